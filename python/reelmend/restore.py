"""A file in, a better file out."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from types import FrameType, ModuleType
from typing import Any

from .analyze.explain import Explainer, explain_paths, why_no_picture
from .convert import to_host
from .errors import OptionError, ReelmendError
from .frame import Frame, VideoInfo
from .media import Prefetch, Source, open_source
from .media.sinks import Sink, SinkPlan, container_of, open_sink, plan_sink
from .stage import Finding, FindingSummary, Stage
from .stream import Plan, Stream

__all__ = ["Progress", "RestoreInterrupted", "RestorePlan", "RestoreResult", "plan_restore", "restore"]

_QUEUES = 224 << 20  # bytes of frames that wait before and behind the stages, at most


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: frames read and handed on, of `total` where known; `time` of `length` seconds."""

    frames_in: int
    frames_out: int
    total: int | None
    time: Fraction | None
    length: Fraction | None

    @property
    def share(self) -> float | None:
        """0 to 1, by frames where their number is known, else by time; None where neither is."""
        if self.total:
            return min(1.0, self.frames_in / self.total)
        if self.length and self.time is not None:
            return min(1.0, max(0.0, float(self.time / self.length)))
        return None


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """What a run did.

    frames_in, frames_out  frames read and frames in the file
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


class RestoreInterrupted(KeyboardInterrupt):
    """Ctrl-C during `restore`. The file was closed and is playable; `result` tells what is in it."""

    def __init__(self, result: RestoreResult) -> None:
        super().__init__(f"interrupted: {result.frames_out} frames kept in {result.output}")
        self.result = result


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What `restore` would do. `print(plan)` is meant to be read."""

    input: str
    output: str
    info: VideoInfo
    length: Fraction | None
    stages: Plan
    sink: SinkPlan
    notes: tuple[str, ...]
    explain: tuple[str, ...] = ()

    @property
    def memory(self) -> int:
        """Bytes of frames and tables held at most, without the codecs' own."""
        return self.stages.memory + min(_QUEUES, 24 * max(self.info.frame_bytes, self.stages.output.frame_bytes))

    def __str__(self) -> str:
        count = f", {self.info.frames} frames" if self.info.frames else ""
        length = f", {float(self.length):.3f} s" if self.length else ""
        colour = self.info.colour
        tags = [v.name.lower() for v in (colour.primaries, colour.transfer, colour.matrix, colour.range)]
        lines = [
            f"from     {self.input}{count}{length}",
            f"colour   {', '.join(tags) if set(tags) != {'unspecified'} else 'not tagged'}",
            str(self.stages),
            f"to       {self.output}",
            f"encoder  {self.sink.encoder}",
        ]
        lines += [f"copied   {name}" for name in self.sink.copied]
        lines += [f"explain  {name}" for name in self.explain]
        lines += [f"note     {note}" for note in self.notes]
        lines.append(f"memory   at most {self.memory / 2**20:.0f} MiB of frames and tables")
        return "\n".join(lines)


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
) -> RestorePlan:
    """The whole plan of a `restore` with the same arguments. The input is opened, nothing is written."""
    with open_source(input, rate=rate) as source:
        paths = _explain_paths(explain, source, os.fspath(output), overwrite)
        missing = why_no_picture() if paths else None
        plan = Stream.planned(stages, source.info, device)
        sink = plan_sink(
            output, plan.output, source=source, encoder=encoder, crf=crf, preset=preset, overwrite=overwrite
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


class _Explained:
    """What the first stage that has something to tell tells: to files as the run goes, and summed up.

    Whatever goes wrong in it ends the telling and not the run.
    """

    def __init__(self, table: str, picture: str) -> None:
        self.files: tuple[str, ...] = ()
        self._explainer = Explainer(table, picture)
        self.notes = self._explainer.notes
        self._stage = ""
        self._broken = False
        self._summary: FindingSummary | None = None

    @property
    def summary(self) -> str:
        return str(self._summary) if self._summary is not None else ""

    def hear(self, stage: str, finding: Finding) -> None:
        self._stage = self._stage or stage
        if stage != self._stage or self._broken:
            return
        try:
            self._summary = self._summary or finding.summary()
            self._summary.add(finding)
            self._explainer.add(finding.as_dict())
        except Exception as error:
            self._broken = True
            self.notes.append(f"explain: stopped after {self._explainer.rows} frames ({error})")

    def finish(self) -> None:
        """Close and draw. A Ctrl-C while it draws is let through."""
        try:
            told = (self._summary.verdict, self._summary.words) if self._summary is not None else ()
            self.files = self._explainer.finish(*told)
        except Exception as error:
            self.notes.append(f"explain: {error}")


class _Interrupts:
    """Holds a Ctrl-C back while a stage works, so that no frame is lost half way; the second one goes through."""

    def __init__(self) -> None:
        self._busy = False
        self._pending = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._busy or self._pending:
            raise KeyboardInterrupt
        self._pending = True

    @contextmanager
    def installed(self) -> Iterator[None]:
        mine = []
        if threading.current_thread() is threading.main_thread():
            # The command line has SIGTERM mean the same; handlers of other programs are left alone.
            mine = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is signal.default_int_handler]
        for number in mine:
            signal.signal(number, self._handle)
        try:
            yield
        finally:
            for number in mine:
                signal.signal(number, signal.default_int_handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
        if self._pending:
            self._pending = False
            raise KeyboardInterrupt


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

    Decoding, the stages and encoding overlap in three threads. A damaged input gives a file of all its good
    frames and `problem` in the result. Ctrl-C closes the file and raises RestoreInterrupted. Any error leaves
    what was written playable and says so (in the error or its notes).
    """
    if limit is not None and limit < 1:
        raise OptionError(f"limit is a number of frames, at least 1; got {limit}")
    begin = time.perf_counter()
    with open_source(input, rate=rate) as source:
        paths = _explain_paths(explain, source, os.fspath(output), overwrite)
        explained = _Explained(*paths) if paths else None
        stream = Stream(stages, source.info, device=device)
        if explained is not None:
            stream.listen(explained.hear)
        plan = stream.plan
        sink = open_sink(
            output, plan.output, source=source, encoder=encoder, crf=crf, preset=preset, overwrite=overwrite
        )
        interrupts = _Interrupts()
        run = _Run(source, stream, sink, limit, progress, interrupts)
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
        fallbacks = (f"{f.used} instead of {f.wanted}: {f.why}" for f in plan.fallbacks)
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
        )
    if interrupted:
        raise RestoreInterrupted(result)
    return result


class _Run:
    def __init__(
        self,
        source: Source,
        stream: Stream,
        sink: Sink,
        limit: int | None,
        progress: Callable[[Progress], None] | None,
        interrupts: _Interrupts,
    ) -> None:
        self.frames_in = 0
        self._source = source
        self._stream = stream
        self._sink = sink
        self._limit = limit
        self._progress = progress
        self._interrupts = interrupts
        self._left: deque[Frame] = deque()  # flushed, not yet handed on
        self._reader = Prefetch(source)

    def all(self) -> None:
        frames_out = 0
        total, length = self._source.info.frames, self._source.seconds
        if self._limit:
            total = min(total or self._limit, self._limit)
        for frame in self._reader:
            with self._interrupts.held():
                ready = self._stream.push(frame)
                self.frames_in += 1
                for made in ready:
                    self._sink.write(to_host(made))
                frames_out += len(ready)
            if self._progress is not None:
                self._progress(Progress(self.frames_in, frames_out, total, frame.time, length))
            if self._limit is not None and self.frames_in >= self._limit:
                break
        early = self._limit is not None and self.frames_in >= self._limit
        if early:
            self._reader.close()
        self._flush()
        if early:
            self._sink.stop(None)
        self._sink.close()
        self._reader.close()

    def _flush(self) -> None:
        for made in self._stream.flush():
            self._sink.write(to_host(made))

    def give_up(self, flush: bool = True) -> None:
        """Stop reading, keep what there is. Never raises an ordinary error."""
        try:
            self._source.detach()
            self._reader.close(0.2)
            if flush:
                self._flush()
        except Exception:
            pass
        finally:
            self._sink.stop()
            self._reader.close(0.5)


class _CallableModule(ModuleType):
    """`reelmend.restore` is this module once anything has imported it, and the function before; both are called."""

    def __call__(self, *args: Any, **options: Any) -> RestoreResult:
        return restore(*args, **options)


sys.modules[__name__].__class__ = _CallableModule
