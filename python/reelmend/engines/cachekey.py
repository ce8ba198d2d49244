"""What makes two built engines the same: a key of all that decides one, and how two differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cache import Record

__all__ = ["difference", "key_of", "nearest"]

_SAME = ("network", "part", "backend", "precision")  # what an engine is of, the most telling first


def key_of(fields: Mapping[str, Any]) -> str:
    """The SHA-256 of the fields as canonical JSON, in hexadecimal: their order does not count, nor tuples or lists."""
    plain = json.dumps(dict(fields), sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(plain.encode()).hexdigest()


def nearest(fields: Mapping[str, Any], records: Iterable[Record]) -> Record | None:
    """The record of the same network, part and backend that differs in the fewest fields, the newest of equals."""
    alike = [r for r in records if all(r.fields.get(k) == fields.get(k) for k in _SAME[:3])]
    return min(alike, key=lambda r: (len(_differing(r.fields, fields)), -r.used), default=None)


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """How two engines' fields differ, as words: "driver 570.1 -> 580.2; builder 1.7.1 -> 1.8.0"."""
    said = []
    for name in _differing(before, now):
        if name == "onnx":
            said.append("the network's file has changed")
        else:
            said.append(f"{name} {_words(before.get(name))} -> {_words(now.get(name))}")
    return "; ".join(said)


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    names = dict.fromkeys([*_SAME, *sorted({*a, *b})])
    return [n for n in names if _plain(a.get(n)) != _plain(b.get(n))]


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def _words(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(_plain(value))
