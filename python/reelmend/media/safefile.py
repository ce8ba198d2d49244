"""A file for muxers that stays playable when writing fails or the process dies."""

from __future__ import annotations

import os

__all__ = ["SafeFile"]


class SafeFile:
    """A seekable file in which a muxer's last corrections come last, or not at all.

    While a file is being finished (`finishing` True) writes over what is already there wait until everything
    after it is safely written; `commit()` then puts them in place. A fragmented file is thus either turned into
    an ordinary one, or stays the fragmented file it was. After a first failed write every other one fails too.
    """

    def __init__(self, path: str) -> None:
        self.name = path
        self._new = not os.path.exists(path)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        self._at = 0
        self.size = 0
        self.error: OSError | None = None
        self.closed = False
        self._base: int | None = None
        self._late: list[tuple[int, bytes]] = []

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence & 3]
        return self._at

    def write(self, data: bytes) -> int:
        if self.error is not None:
            raise OSError(self.error.errno, self.error.strerror)
        if self._base is not None and self._at < self._base:
            self._late.append((self._at, bytes(data)))
        else:
            self._put(self._at, data)
        self._at += len(data)
        return len(data)

    def _put(self, at: int, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                done = os.pwrite(self._fd, view, at)
                at += done
                view = view[done:]
        except OSError as error:
            self.error = error
            raise
        finally:
            self.size = max(self.size, at)

    def start(self) -> None:
        """Empty the file; what was there before stays until then."""
        os.ftruncate(self._fd, 0)

    def give_up(self) -> None:
        """Close a file that was never started, and remove it if it is ours."""
        self.close()
        if self._new:
            os.unlink(self.name)

    def begin_finish(self) -> None:
        """From here on, writes over earlier bytes wait for `commit`."""
        self._base = self.size

    def commit(self) -> None:
        """Put the waiting writes in place."""
        for at, data in self._late:
            self._put(at, data)
        self._late.clear()
        self._base = None

    def roll_back(self) -> None:
        """Forget the finishing: the file is again as `begin_finish` found it."""
        self._late.clear()
        if self._base is not None:
            os.ftruncate(self._fd, self._base)
            self.size = self._base

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            os.close(self._fd)
