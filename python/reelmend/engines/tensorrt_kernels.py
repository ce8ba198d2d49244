"""What makes the next build or load faster, kept beside the engines.

TensorRT measures kernels while it builds: its timing cache remembers what it measured. TensorRT-RTX compiles kernels
when an engine is loaded: its runtime cache remembers them. Each checks for itself whether a file fits the card, the
driver and its own version; one that does not is ignored. Without a folder that can be written nothing is remembered.
"""

from __future__ import annotations

import os
import re
import uuid
from contextlib import suppress
from pathlib import Path

from ..errors import CacheError
from .cache import EngineCache
from .cachefiles import flushed

__all__ = ["Remembered", "remembered"]


class Remembered:
    """A file that may be lost at any time. Several processes may write it: the last one's is kept, whole."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._last = b""

    def read(self) -> bytes:
        """What was written last; b"" if nothing was."""
        if self.path is not None:
            with suppress(OSError):
                self._last = self.path.read_bytes()
        return self._last

    def write(self, data: bytes) -> None:
        """Keep it, unless it is what was read or written last."""
        if self.path is None or data == self._last:
            return
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            flushed(draft, data)
            os.replace(draft, self.path)
            self._last = data
        except OSError:
            with suppress(OSError):
                draft.unlink()


def remembered(*words: str, folder: Path | None = None) -> Remembered:
    """The file of these words.

    folder  default: `kernels` of the user's cache of engines
    """
    if folder is None:
        try:
            folder = EngineCache().kernels
        except CacheError:
            return Remembered(None)
    return Remembered(folder / "-".join(re.sub(r"[^A-Za-z0-9._]+", "_", word) for word in words))
