"""Which networks there are: those that ship with the library, and the user's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from ..errors import NetworkError
from .network import FILE, Network, load_network

__all__ = ["find", "folders", "networks", "user_folder"]


def user_folder() -> Path:
    """Where imported networks go: REELMEND_ENGINES, else reelmend/engines in the user's data folder (XDG)."""
    named = os.environ.get("REELMEND_ENGINES")
    if named:
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "reelmend" / "engines"


def _shipped() -> Path:
    """In an installed package the networks lie in it; in a checkout, in its folder `engines`."""
    here = Path(__file__).resolve().parent
    installed = here / "shipped"
    return installed if installed.is_dir() else here.parents[2] / "engines"


def folders() -> tuple[Path, Path]:
    """(the user's, the shipped one). A name in the first hides the same name in the second."""
    return user_folder(), _shipped()


def _places() -> dict[str, Path]:
    """Folders of networks by name."""
    found: dict[str, Path] = {}
    for folder in folders():
        if folder.is_dir():
            for path in sorted(folder.glob(f"*/{FILE}")):
                if not path.parent.name.startswith("."):
                    found.setdefault(path.parent.name, path.parent)
    return found


def networks() -> Iterator[Network | NetworkError]:
    """All networks, by name; an error in place of one whose description is broken."""
    for _, folder in sorted(_places().items()):
        try:
            yield load_network(folder)
        except NetworkError as error:
            yield error


def find(name: str | os.PathLike[str], task: str | None = None) -> Network:
    """A network by its name, or by the path of its folder.

    task  what it must be for. Raises NetworkError for one that is not there, broken, or for something else; says
          which there are.
    """
    text = os.fspath(name)
    places = _places()
    if text in places:
        network = load_network(places[text])
    elif (Path(text) / FILE).is_file():
        network = load_network(text)
    else:
        near = get_close_matches(text, places, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise NetworkError(
            f"no network {text!r}: {hint}there are {', '.join(places) or 'none'}; "
            "'reelmend engines list' tells of them, 'reelmend engines import FILE' adds one"
        )
    if task is not None and network.task != task:
        fitting = [n.name for n in networks() if isinstance(n, Network) and n.task == task]
        raise NetworkError(
            f"network {network.name!r} is for {network.task}, not for {task}; for that there are "
            f"{', '.join(fitting) or 'none'}"
        )
    return network
