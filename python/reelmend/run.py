"""One run: frames from a source through a stream into a sink, and what is told on the way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from types import FrameType

from .analyze.explain import Explainer
from .convert import to_host
from .frame import Frame
from .media import Prefetch, Source
from .media.sinks import Sink
from .stage import Finding, FindingSummary
from .stream import Stream

__all__ = ["Explained", "Interrupts", "Progress", "Run"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: frames read, of `total` where known, and handed on; `time` of `length` seconds of the input."""

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


class Interrupts:
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


class Run:
    """Reads, restores and writes all frames, or stops early and keeps what there is."""

    def __init__(
        self,
        source: Source,
        stream: Stream,
        sink: Sink,
        limit: int | None,
        progress: Callable[[Progress], None] | None,
        interrupts: Interrupts,
    ) -> None:
        self.frames_in = self.frames_made = 0
        self._source = source
        self._stream = stream
        self._sink = sink
        self._limit = limit
        self._progress = progress
        self._interrupts = interrupts
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
                for out in ready:
                    self._write(out)
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
        for out in self._stream.flush():
            self._write(out)

    def _write(self, frame: Frame) -> None:
        self._sink.write(frame if self._sink.index is not None else to_host(frame))
        self.frames_made += frame.made

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


class Explained:
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
