"""Reading ahead: frames are decoded in a thread of their own, a bounded number of bytes early."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from ..frame import Frame

__all__ = ["Prefetch"]


def frame_bytes(frame: Frame) -> int:
    """Bytes of a frame's samples."""
    return frame.format.frame_bytes(frame.width, frame.height)


class Prefetch:
    """Iterates `frames` in a thread, at most `max_bytes` (but at least two frames) ahead.

    An error of the source is raised to the consumer after the frames before it. `close()` stops the thread
    at its next frame and waits for it, so it can be left at any time.
    """

    def __init__(self, frames: Iterable[Frame], *, max_bytes: int = 128 << 20, max_frames: int = 16) -> None:
        self._frames = frames
        self._max_bytes = max_bytes
        self._max_frames = max_frames
        self._ready: deque[Frame] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._stop = False
        self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="reelmend-read", daemon=True)
        self._thread.start()

    def _full(self) -> bool:
        held = len(self._ready)
        return held >= self._max_frames or (held >= 2 and self._bytes >= self._max_bytes)

    def _run(self) -> None:
        try:
            for frame in self._frames:
                with self._changed:
                    while self._full() and not self._stop:
                        self._changed.wait()
                    if self._stop:
                        return
                    self._ready.append(frame)
                    self._bytes += frame_bytes(frame)
                    self._changed.notify_all()
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        with self._changed:
            while not self._ready and not self._ended:
                self._changed.wait()
            if self._ready:
                frame = self._ready.popleft()
                self._bytes -= frame_bytes(frame)
                self._changed.notify_all()
                return frame
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            raise StopIteration

    def close(self, timeout: float | None = 2.0) -> bool:
        """Stop reading. True once the thread has ended; False if it still waits for the input after `timeout`."""
        with self._changed:
            self._stop = True
            self._ready.clear()
            self._changed.notify_all()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
