"""Networks that run: a catalogue of them, engines made from them, and proof that an engine does what it should.

with open_engine("lite-x2", size=(540, 960)) as engine:
    large = engine.run({"x": picture})["y"]  # float32 (1, 3, 540, 960) to (1, 3, 1080, 1920)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .catalogue import find, networks, user_folder
    from .engine import Engine, Request
    from .network import Network, Part, Port, load_network
    from .opening import EnginePlan, open_engine, plan_engine

# Loaded when first used: a description of a network needs neither a cache nor a backend.
_HOMES = {
    "Engine": ".engine",
    "EnginePlan": ".opening",
    "Network": ".network",
    "Part": ".network",
    "Port": ".network",
    "Request": ".engine",
    "find": ".catalogue",
    "load_network": ".network",
    "networks": ".catalogue",
    "open_engine": ".opening",
    "plan_engine": ".opening",
    "user_folder": ".catalogue",
}

__all__ = [
    "Engine",
    "EnginePlan",
    "Network",
    "Part",
    "Port",
    "Request",
    "find",
    "load_network",
    "networks",
    "open_engine",
    "plan_engine",
    "user_folder",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home, __name__), name)
    globals()[name] = value
    return value
