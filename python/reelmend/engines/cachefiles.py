"""Files of the cache: where it lies, how large it may be, locks between processes, writes that are whole."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from ..errors import CacheError, OptionError
from .engine import Told

__all__ = [
    "SCHEMA",
    "Lock",
    "bytes_of",
    "children",
    "default_folder",
    "default_limit",
    "draft_name",
    "flushed",
    "size_words",
    "trouble",
]

SCHEMA = 1
_LIMIT = 16 << 30
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?$", re.IGNORECASE)


def bytes_of(text: str) -> int:
    """Bytes of a size such as "8G", "500M" or "1.5 GiB" (powers of 1024). Raises OptionError for anything else."""
    m = _SIZE.match(text.strip())
    if not m:
        raise OptionError(f"{text!r} is no size; expected a number of bytes, or one such as 500M or 8G")
    return int(float(m[1]) * _UNITS[m[2].upper()])


def size_words(count: int) -> str:
    """A size for people: "512 bytes", "3.4 MiB"."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


def default_folder() -> Path:
    """REELMEND_CACHE, else reelmend in XDG_CACHE_HOME or ~/.cache."""
    named = os.environ.get("REELMEND_CACHE")
    if named:
        return Path(named)
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():  # its specification has others ignored
        return base / "reelmend"
    try:
        return Path.home() / ".cache" / "reelmend"
    except RuntimeError:  # no HOME and no entry for the user: a folder that cannot be used is said when it is needed
        return Path("/nonexistent/.cache/reelmend")


def default_limit() -> int:
    """REELMEND_CACHE_LIMIT, else 16 GiB. Raises OptionError if it is no size."""
    named = os.environ.get("REELMEND_CACHE_LIMIT")
    if not named:
        return _LIMIT
    try:
        return bytes_of(named)
    except OptionError as error:
        raise OptionError(f"REELMEND_CACHE_LIMIT: {error}") from None


def children(folder: Path) -> Iterator[Path]:
    """What is in a folder; nothing if it cannot be read."""
    with suppress(OSError):
        yield from sorted(folder.iterdir())


def draft_name(key: str) -> str:
    """A name for what is being written, that tells of which engine it is."""
    return f"{key}.{os.getpid()}.{uuid.uuid4().hex[:8]}"


def flushed(path: Path, data: bytes) -> None:
    """Write a file and have it on the disk before this returns. Raises OSError."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def trouble(what: str, path: Path, size: int | None, error: OSError) -> CacheError:
    """The CacheError for what the file system refused: what, where, how much, and what to do."""
    amount = "" if size is None else f" ({size_words(size)})"
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    todo = "make room ('reelmend engines prune') or set REELMEND_CACHE to" if full else "set REELMEND_CACHE to"
    refused = CacheError(f"{what}{amount} at {path}: {error.strerror or error}; {todo} a folder that can be written")
    refused.errno = error.errno
    return refused


class Lock:
    """Held by one process at a time; a process that dies, however it does, lets go of it.

    Waits until it has it, and says whom it waits for. A context manager. Raises CacheError where the folder cannot be
    written.
    """

    def __init__(self, path: Path, told: Told, busy: str) -> None:
        self._path = path
        self._file = -1
        said = False
        while not self._take(blocking=said):
            if not said:
                told(f"{busy} by another process{self._holder()}; waiting for it")
                said = True

    @classmethod
    def try_take(cls, path: Path) -> Lock | None:
        """The lock if it is free, else None."""
        lock = cls.__new__(cls)
        lock._path, lock._file = path, -1
        return lock if lock._take(blocking=False) else None

    def _take(self, blocking: bool) -> bool:
        """Whether it is had. False: it is another's, or the file was taken away while it was waited for."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise trouble("a lock of the cache of engines", self._path, None, error) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if blocking else fcntl.LOCK_NB))
            there = os.stat(self._path).st_ino == os.fstat(file).st_ino
        except (BlockingIOError, FileNotFoundError):
            there = False
        except OSError as error:  # a file system without locks
            os.close(file)
            raise trouble("a lock of the cache of engines", self._path, None, error) from error
        except BaseException:
            os.close(file)
            raise
        if not there:
            os.close(file)
            return False
        self._file = file
        with suppress(OSError):  # only for the words of those who wait
            os.truncate(file, 0)
            os.pwrite(file, str(os.getpid()).encode(), 0)
        return True

    def _holder(self) -> str:
        with suppress(OSError, ValueError):
            return f" (pid {int(self._path.read_text())})"
        return ""

    def discard(self) -> None:
        """Take its file away: what it stood for is gone. Those who wait notice, and make another."""
        with suppress(OSError):
            self._path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
