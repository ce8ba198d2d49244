"""A file in, a better file out."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import ModuleType
from typing import Any

from .analyze.explain import explain_paths, why_no_picture
from .errors import OptionError, ReelmendError
from .fallback import Fallback
from .frame import VideoInfo
from .media import Source, open_source
from .media.sinks import SinkPlan, container_of, open_sink, plan_sink
from .media.sources import Decoder
from .media.streams import Sound
from .run import Explained, Interrupts, Progress, Run
from .stage import Stage
from .stream import Plan, Stream

__all__ = ["Progress", "RestoreInterrupted", "RestorePlan", "RestoreResult", "plan_restore", "restore"]

_QUEUES = 224 << 20  # bytes of frames that wait before and behind the stages, at most


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """What a run did.

    frames_in, frames_out  frames read and frames in the file
    frames_made  of those handed on, the frames that the input did not have
    seconds      wall time
    plan         what the stages did
    notes        what could not be kept or was done otherwise, as sentences
    problem      where the input broke off, or None
    interrupted  True if it was stopped by hand
    explain      the files that tell what was found and done, where that was asked for
    summary      the same in a few lines, or ""
    """

    frames_in: int
    frames_out: int
    seconds: float
    plan: Plan
    encoder: str
    notes: tuple[str, ...]
    problem: str | None
    interrupted: bool
    output: str
    explain: tuple[str, ...] = ()
    summary: str = ""
    frames_made: int = 0


class RestoreInterrupted(KeyboardInterrupt):
    """Ctrl-C during `restore`. The file was closed and is playable; `result` tells what is in it."""

    def __init__(self, result: RestoreResult) -> None:
        super().__init__(f"interrupted: {result.frames_out} frames kept in {result.output}")
        self.result = result


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What `restore` would do. `print(plan)` is meant to be read.

    decoder    what reads the input; `fallbacks` are the ways of reading it that were wanted and not taken
    ahead      bytes of frames that the decoder prepares ahead
    """

    input: str
    output: str
    info: VideoInfo
    length: Fraction | None
    stages: Plan
    sink: SinkPlan
    notes: tuple[str, ...]
    explain: tuple[str, ...] = ()
    decoder: str = ""
    fallbacks: tuple[Fallback, ...] = ()
    ahead: int = 0

    @property
    def memory(self) -> int:
        """Bytes of frames and tables held at most, without the codecs' own."""
        return (
            self.stages.memory
            + self.ahead
            + min(_QUEUES, 24 * max(self.info.frame_bytes, self.stages.output.frame_bytes))
        )

    def __str__(self) -> str:
        count = f", {self.info.frames} frames" if self.info.frames else ""
        length = f", {float(self.length):.3f} s" if self.length else ""
        colour = self.info.colour
        tags = [v.name.lower() for v in (colour.primaries, colour.transfer, colour.matrix, colour.range)]
        lines = [
            f"from     {self.input}{count}{length}",
            f"decoder  {self.decoder}",
            f"colour   {', '.join(tags) if set(tags) != {'unspecified'} else 'not tagged'}",
            str(self.stages),
            f"to       {self.output}{self._size()}",
            f"encoder  {self.sink.encoder}",
        ]
        lines += [f"copied   {name}" for name in self.sink.copied]
        lines += [f"sound    {how}" for how in self.sink.sound]
        lines += [f"explain  {name}" for name in self.explain]
        lines += [f"fallback {fallback}" for fallback in self.fallbacks]
        lines += [f"note     {note}" for note in self.notes]
        lines.append(f"memory   at most {self.memory / 2**20:.0f} MiB of frames and tables")
        return "\n".join(lines)

    def _size(self) -> str:
        """How much comes out, where it is not what goes in."""
        if not self.stages.retimed:
            return ""
        count = f", about {self.stages.output.frames} frames" if self.stages.output.frames else ""
        length = f", {float(self.length * self.stages.slower):.3f} s" if self.length else ""
        return count + length


def plan_restore(
    input: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    stages: Sequence[Stage],
    device: str = "cpu",
    encoder: str = "auto",
    crf: int | None = None,
    preset: str | None = None,
    overwrite: bool = False,
    rate: Fraction | int | str = 24,
    explain: str | os.PathLike[str] | None = None,
    audio: Sound = "stretch",
    decoder: Decoder = "auto",
) -> RestorePlan:
    """The whole plan of a `restore` with the same arguments. The input is opened, nothing is written."""
    with open_source(input, rate=rate, device=device, decoder=decoder) as source:
        paths = _explain_paths(explain, source, os.fspath(output), overwrite)
        missing = why_no_picture() if paths else None
        plan = Stream.planned(stages, source.info, device)
        sink = plan_sink(
            output,
            plan.output,
            source=source,
            encoder=encoder,
            crf=crf,
            preset=preset,
            overwrite=overwrite,
            retimed=plan.retimed,
            slower=plan.slower,
            audio=audio,
            device=device,
        )
        notes = (*source.notes, *sink.notes, *([missing] if missing else ()))
        return RestorePlan(
            source.name,
            os.fspath(output),
            source.info,
            source.seconds,
            plan,
            sink,
            notes,
            paths[:1] if missing else paths,
            source.decoder,
            source.fallbacks,
            source.memory,
        )


def _explain_paths(
    explain: str | os.PathLike[str] | None, source: Source, output: str, overwrite: bool
) -> tuple[str, ...]:
    if explain is None:
        return ()
    frames = [os.path.dirname(name) for name in getattr(source, "files", ())[:1]]
    if container_of(output) == "pictures":
        frames.append(output if os.path.isdir(output) else os.path.dirname(output))
    return explain_paths(explain, output, overwrite=overwrite, frames=frames)


def restore(
    input: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    stages: Sequence[Stage],
    device: str = "cpu",
    encoder: str = "auto",
    crf: int | None = None,
    preset: str | None = None,
    overwrite: bool = False,
    rate: Fraction | int | str = 24,
    limit: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    explain: str | os.PathLike[str] | None = None,
    audio: Sound = "stretch",
    decoder: Decoder = "auto",
) -> RestoreResult:
    """Restore a video file, with its sound, subtitles, chapters and tags, at its exact times.

    input     a file, a folder of pictures (`rate` a second), a pattern, or "-" for y4m on standard input
    output    a file, a folder ("out/") or pattern for pictures, or "-" for y4m on standard output
    stages    such as [Deflicker()], in order; none at all re-encodes
    device    "cpu", "cuda" or "cuda:N"
    encoder, crf, preset, overwrite   as `reelmend.media.open_sink` takes them
    limit     stop after so many frames of the input
    progress  called after every frame of the input with a Progress
    explain   tell what was found and done, frame by frame: a table (PATH.csv, written as the run goes) and a picture
              of it (PATH.png, with the extra `plot`). PATH is a base name, either name, or a folder; "" names them
              after the output: steady.explain.csv. Existing ones are replaced only with `overwrite`
    audio     sound in slow motion: "stretch" it at its pitch, so that it stays with the picture (encoded anew), "keep"
              it as it is (copied; it ends early), or "drop" it. Without slow motion sound is copied, unless dropped
    decoder   "auto": on the device where it can decode the input, else on the CPU; "pyav": on the CPU; "dali" or
              "nvcodec" with the extras of these names

    Decoding, the stages and encoding overlap in three threads. A damaged input gives a file of all its good
    frames and `problem` in the result. Ctrl-C closes the file and raises RestoreInterrupted. Any error leaves
    what was written playable and says so (in the error or its notes).
    """
    if limit is not None and limit < 1:
        raise OptionError(f"limit is a number of frames, at least 1; got {limit}")
    begin = time.perf_counter()
    with open_source(input, rate=rate, device=device, decoder=decoder) as source:
        paths = _explain_paths(explain, source, os.fspath(output), overwrite)
        explained = Explained(*paths) if paths else None
        stream = Stream(stages, source.info, device=device)
        if explained is not None:
            stream.listen(explained.hear)
        plan = stream.plan
        sink = open_sink(
            output,
            plan.output,
            source=source,
            encoder=encoder,
            crf=crf,
            preset=preset,
            overwrite=overwrite,
            retimed=plan.retimed,
            slower=plan.slower,
            audio=audio,
            device=device,
        )
        interrupts = Interrupts()
        run = Run(source, stream, sink, limit, progress, interrupts)
        interrupted = False
        with interrupts.installed():
            try:
                run.all()
            except KeyboardInterrupt:
                interrupted = True
                run.give_up()
            except BaseException as error:
                run.give_up(flush=False)
                if isinstance(error, ReelmendError) and sink.kept not in str(error):
                    error.add_note(sink.kept)
                if explained is not None:
                    explained.finish()
                raise
        seconds = time.perf_counter() - begin
        if explained is not None:
            try:
                explained.finish()
            except KeyboardInterrupt:
                interrupted = True
        fallbacks = map(str, (*source.fallbacks, *stream.fallbacks))
        told = explained.notes if explained is not None else ()
        notes = tuple(dict.fromkeys((*source.notes, *fallbacks, *sink.notes, *told)))
        result = RestoreResult(
            run.frames_in,
            sink.written,
            seconds,
            plan,
            sink.encoder,
            notes,
            source.problem,
            interrupted,
            os.fspath(output),
            explained.files if explained is not None else (),
            explained.summary if explained is not None else "",
            run.frames_made,
        )
    if interrupted:
        raise RestoreInterrupted(result)
    return result


class _CallableModule(ModuleType):
    """`reelmend.restore` is this module once anything has imported it, and the function before; both are called."""

    def __call__(self, *args: Any, **options: Any) -> RestoreResult:
        return restore(*args, **options)


sys.modules[__name__].__class__ = _CallableModule
