"""Networks whose definitions spandrel keeps: ESRGAN in all its spellings, Compact, DAT, PLKSR and some forty more.

Source: github.com/chaiNNer-org/spandrel (MIT), which names the source of each.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CheckpointError, MissingExtraError
from .family import Graph, Recognised, State
from .upscale.common import enlarging

__all__ = ["recognise_other", "supported"]

_LEAST = 16  # rows and columns, where spandrel asks for none: deep networks pad by reflection inside


class _Described(nn.Module):
    """A model of spandrel as it is called there, without its padding to size and clamping to 0..1."""

    def __init__(self, descriptor: Any) -> None:
        super().__init__()
        self.model = descriptor.model
        self._call = descriptor._call_fn

    def forward(self, x: Tensor) -> Any:
        return self._call(self.model, x)


def recognise_other(state: State) -> Recognised | None:
    """What spandrel makes of a state dict, None where it knows none of its kind.

    Raises CheckpointError for a network that is known and not of use here: other than RGB to RGB, with a mask, or for
    square pictures alone; and where its weights do not fit.
    """
    spandrel = _spandrel()
    try:
        descriptor = spandrel.ModelLoader("cpu").load_from_state_dict(dict(state))
    except spandrel.UnsupportedModelError:
        return None
    except Exception as error:  # whatever a definition stumbles over in a state dict that is only nearly its own
        raise CheckpointError(f"taken for one of spandrel's networks, but does not fit: {error}") from error
    kind = descriptor.architecture.name
    if not isinstance(descriptor, spandrel.ImageModelDescriptor):
        raise CheckpointError(f"{kind}: fills in what a mask says; expected a network of one picture")
    channels = descriptor.input_channels, descriptor.output_channels
    if channels != (3, 3):
        raise CheckpointError(f"{kind}: takes {channels[0]} channels and gives {channels[1]}; expected 3 and 3 (RGB)")
    needs = descriptor.size_requirements
    if needs.square:
        raise CheckpointError(f"{kind}: takes square pictures alone; expected a network of pictures of any shape")
    scale, multiple = descriptor.scale, needs.multiple_of
    part = enlarging(scale, multiple=multiple, minimum=-(-max(needs.minimum, _LEAST) // multiple) * multiple)
    least = part.padded((64, 64))
    task = "restore" if descriptor.purpose == "Restoration" else "upscale"
    family = descriptor.architecture.id.lower()
    settings = {"tags": list(descriptor.tags)} if descriptor.tags else {}
    return Recognised(family, task, (Graph(_Described(descriptor), part, least),), scale, settings=settings)


def supported() -> list[str]:
    """Names of the architectures that spandrel knows."""
    return sorted(entry.architecture.name for entry in _spandrel().MAIN_REGISTRY)


def _spandrel() -> Any:
    try:
        _load_torchvision()
        import spandrel
    except ImportError:
        raise MissingExtraError("spandrel", "train", "recognising checkpoints of other projects") from None
    return spandrel


_kept: list[Any] = []  # a library of operators lives as long as its object


def _load_torchvision() -> None:
    """Import torchvision, which spandrel does for colours and resizing.

    Its usual wheel is compiled for torch with CUDA. Beside a torch for CPUs its compiled operators are missing and the
    import fails on the first of them, nms, of which nothing here makes use: declared without a body, it passes.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _kept.append(library)
        import torchvision  # noqa: F401
