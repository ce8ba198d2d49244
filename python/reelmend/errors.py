"""Every error Reelmend raises on purpose.

Each is a `ReelmendError` and also the builtin a caller would expect (`ValueError`, `OSError` ...), so
`except ReelmendError` catches all of them and `except OSError` still catches what the file system did.
A message says what was wrong, what was got, what was expected, and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

__all__ = [
    "ArrayError",
    "CacheError",
    "CheckpointError",
    "DeviceError",
    "EngineBuildError",
    "EngineError",
    "EngineRejected",
    "FormatError",
    "MediaError",
    "MissingExtraError",
    "NetworkError",
    "OptionError",
    "PlanError",
    "ReelmendError",
    "SinkError",
    "SourceError",
    "StageError",
]


class ReelmendError(Exception):
    """Base of all errors raised on purpose by this package."""


class ArrayError(ReelmendError, ValueError):
    """An array given to an op has a wrong shape, dtype, device or layout."""


class OptionError(ReelmendError, ValueError):
    """An option has a value outside its range."""


class FormatError(ReelmendError, ValueError):
    """A pixel format, colour description or frame does not fit where it was given."""


class PlanError(ReelmendError, ValueError):
    """A stream cannot be planned as asked (stages that do not fit together, an impossible device)."""


class DeviceError(ReelmendError, RuntimeError):
    """A device was asked for that this machine or this build does not have, or it failed."""


class NetworkError(ReelmendError, ValueError):
    """A network of the catalogue is not there, or its folder or ONNX file is not what its description says."""


class CheckpointError(ReelmendError, ValueError):
    """A file of weights cannot be imported: unsafe, damaged, or of an architecture that is not known."""


class CacheError(ReelmendError, OSError):
    """The folder of built engines cannot be read or written."""


class EngineError(ReelmendError, RuntimeError):
    """An engine cannot be opened or run."""


class EngineBuildError(EngineError):
    """A builder refused a network; `reasons` lists everything it said, a line each, with the nodes' names."""

    def __init__(self, message: str, reasons: Sequence[str] = ()) -> None:
        super().__init__("; ".join((message, *reasons)))
        self.reasons = tuple(reasons)


class EngineRejected(EngineError):
    """An engine was built, compared with the reference, and found to differ by more than its network's bar.

    network, part   what was compared; `engine` says on which backend and in which precision
    output, sample  the output and the stored picture on which it failed
    psnr, largest   the figures: dB, and the largest absolute difference; `bar_psnr`, `bar_largest` what was asked
    """

    def __init__(
        self,
        *,
        network: str,
        part: str,
        engine: str,
        output: str,
        sample: str,
        psnr: float,
        largest: float,
        bar_psnr: float,
        bar_largest: float,
    ) -> None:
        super().__init__(
            f"{network}/{part} on {engine}: output {output!r} differs from the fp32 reference on the sample "
            f"{sample!r}: {psnr:.1f} dB and {largest:.3g} at most; expected {bar_psnr:.1f} dB or better and "
            f"{bar_largest:.3g} or less"
        )
        self.network, self.part, self.engine, self.output, self.sample = network, part, engine, output, sample
        self.psnr, self.largest, self.bar_psnr, self.bar_largest = psnr, largest, bar_psnr, bar_largest


class MissingExtraError(ReelmendError, ImportError):
    """An optional dependency is needed and absent; names the extra that installs it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed: run  pip install 'reelmend[{extra}]'"
        )
        self.package = package
        self.extra = extra


class MediaError(ReelmendError, OSError):
    """Reading or writing media failed."""


class SourceError(MediaError):
    """An input cannot be opened, holds no usable video, or broke off before its first frame."""


class SinkError(MediaError):
    """An output cannot be opened or written; what was written before stays playable."""


class StageError(ReelmendError, RuntimeError):
    """A stage failed in a run. The cause is chained; `stage`, `index` and `time` say where."""

    def __init__(self, stage: str, index: int, time: Fraction | None, cause: BaseException) -> None:
        where = f"frame {index}" + (f" ({float(time):.3f} s)" if time is not None else "")
        super().__init__(f"stage {stage!r} failed at {where}: {cause}")
        self.stage = stage
        self.index = index
        self.time = time
