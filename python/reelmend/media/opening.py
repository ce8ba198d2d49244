"""Opening a file, with errors people can act on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO

import av

from ..errors import SourceError

__all__ = ["open_container"]

# Tags that are no UTF-8 are read with marks in place of what is wrong; PyAV 19 has no other way.
_TAGS: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


def open_container(
    path: str, file: BinaryIO | None, options: dict[str, str], format: str | None, hwaccel: Any = None
) -> Any:
    name = Path(path).name if file is None else "standard input"
    if file is None:
        if not os.path.exists(path):
            if "://" not in path:
                raise SourceError(f"{path}: no such file; check the name")
        elif os.path.isfile(path) and os.path.getsize(path) == 0:
            raise SourceError(f"{path}: the file is empty (0 bytes); copy or record it again")
    given = file if file is not None else path
    if (
        hwaccel is not None
    ):  # FFmpeg was able to read the file: what fails is the hardware, and says so in its own words
        return av.open(given, "r", format=format, options=options, hwaccel=hwaccel, **_TAGS)
    try:
        return av.open(given, "r", format=format, options=options, **_TAGS)
    except PermissionError as error:
        raise SourceError(f"{path}: may not be read; check its permissions") from error
    except (av.FFmpegError, ValueError) as error:
        try:
            with open(path, "rb") as probe:
                head = probe.read(12)
        except OSError:
            head = b""
        if head[4:8] in (b"ftyp", b"mdat", b"wide", b"moov"):
            raise SourceError(
                f"{path}: the MP4 index (moov) is missing or damaged, so the recording or copy was cut off; "
                "copy it again, or rebuild the index with a tool such as untrunc"
            ) from error
        if isinstance(error, av.error.EOFError):
            raise SourceError(
                f"{path}: the file ends after its header and holds no frames; nothing to restore"
            ) from error
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceError(
            f"{path}: not a video that FFmpeg can read ({reason}); is {name} really a video file?"
        ) from error
