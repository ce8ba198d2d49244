"""Weights put into a definition, every key of the file accounted for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from torch import nn

from ..errors import CheckpointError

__all__ = ["fitted", "shape_of", "within"]

_Module = TypeVar("_Module", bound=nn.Module)
_NAMED = 6  # keys that an error lists of each kind


def fitted(module: _Module, state: Mapping[str, Any], what: str) -> _Module:
    """The module with these weights as float32, in eval mode.

    what  the architecture and part, for the error: "EBME"

    Raises CheckpointError naming the keys that are missing, left over, or of a wrong shape.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    got = {name: tuple(tensor.shape) for name, tensor in state.items()}
    # counters of batches that no result depends on, which old files lack
    silent = {name for name in expected if name.endswith(".num_batches_tracked")}
    wrong = [
        f"{name} is {got[name]}, expected {expected[name]}"
        for name in expected
        if name in got and got[name] != expected[name]
    ]
    faults = [
        f"{word}: {_listed(names)}"
        for word, names in (
            ("missing", [n for n in expected if n not in got and n not in silent]),
            ("left over", [n for n in got if n not in expected]),
            ("of another shape", wrong),
        )
        if names
    ]
    if faults:
        raise CheckpointError(f"{what}: the weights do not fit its definition; {'; '.join(faults)}")
    given = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    module.load_state_dict(given, strict=False)
    return module.eval()


def within(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def shape_of(state: Mapping[str, Any], name: str) -> tuple[int, ...]:
    """The shape of a tensor, () if there is none of that name."""
    return tuple(state[name].shape) if name in state else ()


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
