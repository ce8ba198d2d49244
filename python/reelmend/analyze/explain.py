"""What a stage found and did, frame by frame: a table (CSV) as the run goes, and a picture (extra `plot`) at its end.

Rows are flat mappings with the same keys for every frame, as `Findings.as_dict` gives them: frame, time, cut, sure,
touched, red_in ... blue_out, and NAME_strength, NAME_confidence, NAME_amount of every kind there is.
"""

from __future__ import annotations

import csv
import io
import os
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import MissingExtraError, OptionError
from .report import PRESENT, Course, Lane, findings_plot, need_matplotlib
from .series import WINDOW, Detrender, Pool

__all__ = ["Explainer", "explain_paths", "why_no_picture"]

COLUMNS = 1200  # of the picture, at most: stretches of frames, each a pixel wide or more
_LANES = 8  # series before those of the kinds: deviations, luma (before and after), time, cut, touched, unsure
_LUMA = np.array([0.2126, 0.7152, 0.0722])  # BT.709
_OF_LUMA = ("global", "alternation")  # kinds whose flicker is that of mean luma
_OF_CHANNELS = ("color",)  # ... of the means of R, G and B


def explain_paths(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    frames: Sequence[str] = (),
) -> tuple[str, str]:
    """The names of the table and the picture: PATH.csv and PATH.png.

    path       a base name, a name that ends in .csv or .png, or a folder, where they are named after the output;
               "" for names beside the output: steady.mp4 gives steady.explain.csv and steady.explain.png
    output     the video; of pictures, their folder gives the name
    overwrite  whether the files may be there already
    frames     folders that hold videos as pictures: among them the picture would be taken for a frame

    Raises OptionError where they cannot be written. Nothing is made.
    """
    name = os.fspath(path)
    folder = bool(name) and (name.endswith(("/", os.sep)) or os.path.isdir(name))
    if not name or folder:
        beside = _named_after(os.fspath(output))
        base = os.path.join(name, beside.name) if folder else str(beside)
    else:
        base = name[:-4] if name.lower().endswith((".csv", ".png")) else name
    if not os.path.basename(base).strip("."):
        raise OptionError(f"explain: {name!r} is no name for files; expected one such as 'steady.explain', or a folder")
    parent = os.path.dirname(base) or "."
    if not os.path.isdir(parent):
        what = "is not a folder" if os.path.exists(parent) else "does not exist; make it first"
        raise OptionError(f"explain: {base}.csv: the folder {parent} {what}")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OptionError(f"explain: {base}.csv: the folder {parent} may not be written to; check its permissions")
    if any(os.path.realpath(held or ".") == os.path.realpath(parent) for held in frames):
        raise OptionError(f"explain: {base}.png: would lie among the frames of a video; choose another folder")
    for made in (f"{base}.csv", f"{base}.png"):
        if not os.path.lexists(made):
            continue
        if not os.path.isfile(made):
            raise OptionError(f"explain: {made}: is there already and is not a file; choose another name")
        if not overwrite:
            raise OptionError(f"explain: {made}: already exists; choose another name, or overwrite (--overwrite)")
        if not os.access(made, os.W_OK):
            raise OptionError(f"explain: {made}: may not be written; check its permissions")
    return f"{base}.csv", f"{base}.png"


def _named_after(output: str) -> Path:
    if output == "-":
        raise OptionError("explain: an output of '-' gives no name to go by; give one, such as 'steady.explain'")
    path = Path(output)
    if "%" in path.name:
        path = path.parent
    elif not (output.endswith(("/", os.sep)) or path.is_dir()):
        path = path.with_suffix("")
    if not path.name or path.name == "..":
        path = path.resolve()
    return path.with_name(f"{path.name}.explain") if path.name else path / "explain"


def why_no_picture() -> str | None:
    """A sentence where there is nothing to draw with, or None."""
    try:
        need_matplotlib()
    except MissingExtraError as error:
        return f"explain: only the table will be written: {error}"
    return None


class _Table:
    """A CSV file to which every row goes whole, at once, or not at all."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "wb", buffering=0)  # noqa: SIM115
        self._size = 0

    def write(self, values: list[Any]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(values)
        data = text.getvalue().encode()
        left = memoryview(data)
        try:
            while left:
                left = left[self._file.write(left) or 0 :]
        except OSError:
            self._file.truncate(self._size)  # part of a row is worse than none
            raise
        self._size += len(data)

    def close(self) -> None:
        self._file.close()


def _plain(value: Any) -> Any:
    if isinstance(value, bool | np.bool_):
        return int(value)
    if isinstance(value, float | np.floating):
        return round(float(value), 6)
    return "" if value is None else value


class _Total:
    """Of the frames in which a kind is present: their number, the strength, and the squared deviations of mean luma
    before and after, R, G, B before, R, G, B after."""

    def __init__(self) -> None:
        self.frames = 0
        self.most = 0.0
        self.squares = np.zeros(8)
        self._sum = 0.0

    @property
    def mean(self) -> float:
        return self._sum / self.frames if self.frames else 0.0

    def add(self, strength: float) -> None:
        self.frames += 1
        self._sum += strength
        self.most = max(self.most, strength)


class Explainer:
    """Takes rows while a restoration runs: `add(row)` each, `finish(...)` at the end. Neither raises an ordinary error.

    What could not be done stands in `notes`, as sentences; that there is no matplotlib to draw with, from the start.
    Rows are numbered on from the first one's `frame`, in the order they come. Memory does not grow with them.
    """

    def __init__(self, table: str, picture: str) -> None:
        self.notes: list[str] = []
        self.rows = 0
        self._paths = (table, picture)
        self._table: _Table | None = None
        self._first = 0
        self._touched = 0
        self._kinds: tuple[str, ...] = ()
        self._cuts = 0
        self._totals: tuple[_Total, ...] = ()  # of each kind
        self._present: deque[npt.NDArray[np.bool_]] = deque()  # of the frames whose deviation is not known yet
        self._pool = Pool(0, COLUMNS)
        self._deviations = Detrender()
        missing = why_no_picture()
        self._drawable = missing is None
        if missing is not None:
            self.notes.append(missing)

    def add(self, row: Mapping[str, Any]) -> None:
        """One frame."""
        if self.rows == 0:
            self._begin(row)
        try:
            if self._table is not None:
                self._table.write([_plain(v) for v in {**row, "frame": self._first + self.rows}.values()])
        except OSError as error:
            self._no_table(error)
        try:
            if self._drawable:
                self._gather(row)
        except Exception as error:
            self._no_picture(error)
        self.rows += 1

    def finish(self, verdict: str = "none", words: str = "") -> tuple[str, ...]:
        """Close the table, draw the picture, and give the names of the files that were made.

        verdict  the name of the dominant kind, or "none"
        words    how the picture's title should say it
        """
        if not self.rows:
            self.notes.append("explain: no frame went through a stage that has something to tell")
            return ()
        made = []
        table, picture = self._paths
        if self._table is not None:
            self._table.close()
        if os.path.exists(table):
            made.append(table)
        try:
            if self._drawable:
                findings_plot(self._course(), picture, title=self._title(verdict, words or verdict))
                made.append(picture)
        except Exception as error:
            self._no_picture(error)
        return tuple(made)

    def _begin(self, row: Mapping[str, Any]) -> None:
        table, picture = self._paths
        self._first = int(row.get("frame", 0))
        self._kinds = tuple(name.removesuffix("_strength") for name in row if name.endswith("_strength"))
        self._totals = tuple(_Total() for _ in self._kinds)
        self._pool = Pool(_LANES + 3 * len(self._kinds), COLUMNS)
        try:
            if os.path.exists(picture):
                os.unlink(picture)  # of an earlier run: it would not fit this table
            self._table = _Table(table)
            self._table.write(list(row))
        except OSError as error:
            self._no_table(error)

    def _no_table(self, error: OSError) -> None:
        kept = f"; it holds the first {self.rows} frames" if self.rows else ""
        self.notes.append(f"explain: {self._paths[0]}: writing failed ({error.strerror or error}){kept}")
        if self._table is not None:
            self._table.close()
            self._table = None

    def _no_picture(self, error: Exception) -> None:
        self._drawable = False
        self.notes.append(f"explain: {self._paths[1]}: the picture could not be drawn ({error})")

    def _gather(self, row: Mapping[str, Any]) -> None:
        channels = np.array([[row[f"{c}_{when}"] for c in ("red", "green", "blue")] for when in ("in", "out")])
        luma = channels @ _LUMA
        found = np.array([(row[f"{k}_strength"], row[f"{k}_confidence"], row[f"{k}_amount"]) for k in self._kinds])
        seconds = np.nan if row["time"] is None else row["time"]
        self._touched += bool(row["touched"])
        self._cuts += bool(row["cut"])
        for total, (strength, confidence, _) in zip(self._totals, found, strict=True):
            if confidence >= PRESENT:
                total.add(strength)
        values = (*luma, seconds, row["cut"], row["touched"], not row["sure"], *found.ravel())
        self._pool.put(self.rows, 2, values)
        self._present.append(found[:, 1] >= PRESENT)
        deviation = self._deviations.push(np.concatenate([luma, channels.ravel()]))
        if deviation is not None:
            self._gather_deviation(self.rows - WINDOW // 2, deviation)

    def _gather_deviation(self, frame: int, deviation: npt.NDArray[np.float64]) -> None:
        self._pool.put(frame, 0, deviation[:2])
        for total, present in zip(self._totals, self._present.popleft(), strict=True):
            if present:
                total.squares += deviation * deviation

    def _course(self) -> Course:
        """What was gathered, for drawing."""
        rest = self._deviations.rest()
        for at, deviation in enumerate(rest, start=self.rows - len(rest)):
            self._gather_deviation(at, deviation)
        low, high = self._pool.low, self._pool.high
        lanes = []
        for at, kind in enumerate(self._kinds):
            total = self._totals[at]
            strength, confidence, amount = high[_LANES + 3 * at : _LANES + 3 * at + 3]
            lanes.append(Lane(kind, strength, confidence, amount, total.frames, total.mean, total.most))
        return Course(
            first=self._first,
            frames=self.rows,
            stride=self._pool.stride,
            cuts=self._cuts,
            luma=(np.stack([low[2], high[2]]), np.stack([low[3], high[3]])),
            deviation=(np.stack([low[0], high[0]]), np.stack([low[1], high[1]])),
            seconds=low[4],
            cut=high[5] > 0,
            touched=np.stack([low[6], high[6]]) > 0,
            unsure=high[7] > 0,
            lanes=tuple(lanes),
        )

    def _title(self, verdict: str, words: str) -> str:
        total = dict(zip(self._kinds, self._totals, strict=True)).get(verdict, _Total())
        levels = f", {total.mean:.1f} levels" if total.frames else ""
        spread = np.sqrt(total.squares / max(total.frames, 1))
        if verdict in _OF_LUMA:
            levels = f", {spread[0]:.1f} → {spread[1]:.1f} levels"
        elif verdict in _OF_CHANNELS:
            levels = f", {spread[2:5].max():.1f} → {spread[5:8].max():.1f} levels"
        done = f"{self._touched:,} of {self.rows:,} frames treated" if self._touched else "no frame changed"
        return f"{words}{levels}; {done}"
