"""Built engines, kept: what was built once for a card, a version and a size is not built again.

    <folder>/engines/<key>/engine.plan, manifest.json      one engine; the key is a hash of all that decides what it is
    <folder>/locks/<key>.lock                              held while it is built, changed or removed
    <folder>/drafts/                                       what is being written; renamed into place as a whole
    <folder>/kernels/                                      timing and runtime caches of the builders

An engine is there whole or not at all: it is written aside, flushed, and renamed. When the machine fails to keep one,
the run goes on with what was built, and says so.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from ..errors import CacheError, EngineError
from .cachefiles import SCHEMA, Lock, children, default_folder, default_limit, draft_name, flushed, trouble
from .cachekey import difference, key_of, nearest
from .engine import Told

__all__ = ["EngineCache", "Entry", "Record"]

PLAN, MANIFEST = "engine.plan", "manifest.json"

Build = Callable[[], tuple[bytes, Mapping[str, Any]]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Record:
    """An engine that is kept.

    fields    all that its key was made of
    manifest  everything that is told of it: fields, sha256, bytes, built (time), seconds, and what callers noted
    bytes     on disk
    used      when it was last used, seconds since 1970
    """

    key: str
    fields: Mapping[str, Any]
    manifest: Mapping[str, Any]
    bytes: int
    used: float
    folder: Path


@dataclass(frozen=True, slots=True)
class Entry:
    """An engine that was asked for.

    plan   its bytes
    built  whether it was built now; `why` says why it had to be
    kept   whether it is in the cache now; `note` says why not, or what else went wrong beside the engine itself
    """

    key: str
    plan: bytes
    manifest: Mapping[str, Any]
    built: bool
    why: str = ""
    kept: bool = True
    note: str = ""


@dataclass
class EngineCache:
    """A folder of built engines, shared by all processes of a user.

    folder  default: REELMEND_CACHE, else XDG_CACHE_HOME/reelmend, else ~/.cache/reelmend
    limit   bytes that all engines together may take, default: REELMEND_CACHE_LIMIT ("8G", "500M"), else 16 GiB. When
            they would take more, those go first that were used longest ago; not one in use, nor the one just built

    Made without touching the disk. Raises OptionError if REELMEND_CACHE_LIMIT is no size.
    """

    folder: Path = field(default_factory=default_folder)
    limit: int = field(default_factory=default_limit)

    def __post_init__(self) -> None:
        self.folder = Path(self.folder)

    @property
    def kernels(self) -> Path:
        """Where builders keep what makes the next build or load faster."""
        return self.folder / "kernels"

    def get(self, fields: Mapping[str, Any]) -> Entry | None:
        """The engine of these fields, read and checked; None if it is not there or damaged."""
        key = key_of(fields)
        found, _ = self._read(key)
        return found

    def get_or_build(self, fields: Mapping[str, Any], build: Build, told: Told | None = None) -> Entry:
        """The engine of these fields: from the cache, else built, once for all processes that ask for it at a time.

        fields  all that decides the engine; its key is made of them
        build   gives the bytes of the plan and what to tell of it; what it raises is raised, and nothing is left behind
        told    is told when another process is waited for, when it is built and why

        Never raises for the cache's sake: where the folder cannot be used the engine is built, and Entry.note says
        what is wrong.
        """
        say = told or _silent
        key = key_of(fields)
        try:
            found, _ = self._read(key)
            if found is not None:
                return found
            lock = Lock(self.folder / "locks" / f"{key}.lock", say, f"{_name(fields)} is being built")
        except CacheError as error:
            return self._built(fields, build, say, "the cache cannot be used", str(error))
        with lock:
            self._sweep(key)
            found, damage = self._read(key)
            if found is not None:
                return found
            why = damage or self.explain(fields)
            if damage:
                with suppress(CacheError):  # storing the new one tries again, and says what is wrong
                    self._drop(key)
            entry = self._built(fields, build, say, why, "")
            try:
                manifest = self._store(key, entry)
            except CacheError as error:
                say(str(error))
                return Entry(key, entry.plan, entry.manifest, True, why, kept=False, note=str(error))
        self._shrink(self.limit, spare=key)
        return Entry(key, entry.plan, manifest, True, why)

    def open(
        self, fields: Mapping[str, Any], build: Build, load: Callable[[Entry], T], told: Told | None = None
    ) -> tuple[T, Entry]:
        """As get_or_build, and loaded: an engine of the cache that does not load is removed and built once more.

        Raises what `load` raises for an engine that was built just now.
        """
        entry = self.get_or_build(fields, build, told)
        try:
            return load(entry), entry
        except EngineError as error:
            if entry.built:
                raise
            why = f"the one in the cache does not load here: {error}"
        if told is not None:
            told(f"{_name(fields)}: {why}; it is built again")
        try:
            self.remove(entry.key)
        except CacheError as error:
            entry = self._built(fields, build, told or _silent, why, str(error))
        else:
            entry = replace(self.get_or_build(fields, build, told), why=why)
        return load(entry), entry

    def explain(self, fields: Mapping[str, Any]) -> str:
        """Why there is no engine of these fields: how the most similar one of the same network and backend differs."""
        try:
            records = self.list()
        except CacheError as error:
            return f"the cache cannot be read: {error}"
        other = nearest(fields, records)
        if other is None:
            return f"there was none of {_name(fields)} yet"
        if other.key == key_of(fields):
            return ""
        return f"the most similar one differs: {difference(other.fields, fields)}"

    def note(self, key: str, **facts: Any) -> None:
        """Add to an engine's manifest, such as acceptance={...}. Raises CacheError if it cannot be read or written."""
        with Lock(self.folder / "locks" / f"{key}.lock", _silent, f"engine {key[:12]} is in use"):
            path = self.folder / "engines" / key / MANIFEST
            manifest = {**_manifest(path), **_plain(facts)}
            draft = path.with_name(f"{MANIFEST}.{os.getpid()}.tmp")
            data = _dumped(manifest)
            try:
                flushed(draft, data)
                os.replace(draft, path)
            except OSError as error:
                draft.unlink(missing_ok=True)
                raise trouble("the manifest of an engine", path, len(data), error) from error

    def list(self) -> tuple[Record, ...]:
        """All engines that are kept, those used last first. Raises CacheError if the folder cannot be read.

        Damaged ones are left out: `verify` finds them.
        """
        found = []
        for folder in self._folders():
            with suppress(CacheError, OSError):
                manifest = _manifest(folder / MANIFEST)
                size = sum(p.stat().st_size for p in folder.iterdir())
                used = (folder / MANIFEST).stat().st_mtime
                found.append(Record(folder.name, manifest["fields"], manifest, size, used, folder))
        return tuple(sorted(found, key=lambda r: (-r.used, r.key)))

    def verify(self) -> dict[str, str]:
        """What is wrong, by key: every engine is read whole. Raises CacheError if the folder cannot be read."""
        wrong = {}
        for folder in self._folders():
            _, damage = self._read(folder.name, use=False)
            if damage:
                wrong[folder.name] = damage
        return wrong

    def remove(self, key: str) -> bool:
        """Remove one engine. Gives whether it was there. Raises CacheError if it cannot be removed."""
        path = self.folder / "locks" / f"{key}.lock"
        if not (self.folder / "engines" / key).exists():
            return False
        with Lock(path, _silent, f"engine {key[:12]} is in use") as lock:
            gone = self._drop(key)
            lock.discard()
        return gone

    def prune(
        self,
        *,
        all: bool = False,
        older_than: float | None = None,
        limit: int | None = None,
        networks: Callable[[str], bool] | None = None,
    ) -> tuple[Record, ...]:
        """Remove engines and give what was removed. One that is being built or changed right now stays.

        all         every one, the damaged ones too, and the builders' own caches
        older_than  seconds: those not used for so long
        limit       bytes that may stay
        networks    says of a network's name whether it is still known: those of others go
        """
        self._sweep()
        gone = []
        now = time.time()
        for record in self.list():
            stale = older_than is not None and now - record.used > older_than
            orphan = networks is not None and not networks(str(record.fields.get("network", "")))
            if (all or stale or orphan) and self._drop_if_free(record.key):
                gone.append(record)
        if all:
            for folder in self._folders():
                self._drop_if_free(folder.name)
            shutil.rmtree(self.kernels, ignore_errors=True)
        if limit is not None:
            gone += self._shrink(limit)
        return tuple(gone)

    # What follows is done with the lock of the key held, where it writes.

    def _folders(self) -> Sequence[Path]:
        place = self.folder / "engines"
        try:
            return sorted(p for p in place.iterdir() if p.is_dir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise trouble("built engines", place, None, error) from error

    def _read(self, key: str, use: bool = True) -> tuple[Entry | None, str]:
        """The engine of a key, or what is damaged about it; neither where there is none."""
        folder = self.folder / "engines" / key
        try:
            manifest = _manifest(folder / MANIFEST)
            plan = (folder / PLAN).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            # a folder without both files is no engine; one that is being removed vanishes as a whole
            return None, "its folder in the cache lacked files" if folder.is_dir() and use is False else ""
        except (CacheError, OSError) as error:
            return None, f"the one in the cache was damaged: {error}"
        if len(plan) != manifest["bytes"]:
            return None, f"the one in the cache was damaged: {len(plan)} bytes; expected {manifest['bytes']}"
        if hashlib.sha256(plan).hexdigest() != manifest["sha256"]:
            return None, "the one in the cache was damaged: its bytes are not those that were written"
        if use:
            with suppress(OSError):  # a cache that cannot be written still serves
                os.utime(folder / MANIFEST)
        return Entry(key, plan, manifest, built=False), ""

    def _built(self, fields: Mapping[str, Any], build: Build, say: Told, why: str, note: str) -> Entry:
        say(f"building {_name(fields)}: {why}")
        start = time.monotonic()
        plan, facts = build()
        manifest = {
            "schema": SCHEMA,
            "fields": _plain(fields),
            "sha256": hashlib.sha256(plan).hexdigest(),
            "bytes": len(plan),
            "built": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds": round(time.monotonic() - start, 3),
            **_plain(facts),
        }
        return Entry(key_of(fields), plan, manifest, True, why, kept=not note, note=note)

    def _store(self, key: str, entry: Entry) -> Mapping[str, Any]:
        target = self.folder / "engines" / key
        draft = self.folder / "drafts" / draft_name(key)
        data = _dumped(entry.manifest)
        try:
            draft.mkdir(parents=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            flushed(draft / PLAN, entry.plan)
            flushed(draft / MANIFEST, data)
            self._drop(key)  # an empty or damaged folder would stand in the way
            os.rename(draft, target)
        except OSError as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise trouble("a built engine", target, len(entry.plan) + len(data), error) from error
        return entry.manifest

    def _drop(self, key: str) -> bool:
        """Take an engine out, at once for readers, then its files."""
        folder = self.folder / "engines" / key
        aside = self.folder / "drafts" / draft_name(key)
        try:
            aside.parent.mkdir(parents=True, exist_ok=True)
            os.rename(folder, aside)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise trouble("an engine that was to be removed", folder, None, error) from error
        shutil.rmtree(aside, ignore_errors=True)
        return True

    def _drop_if_free(self, key: str) -> bool:
        lock = Lock.try_take(self.folder / "locks" / f"{key}.lock")
        if lock is None:
            return False
        with lock:
            gone = self._drop(key)
            lock.discard()
        return gone

    def _sweep(self, mine: str = "") -> None:
        """Remove drafts that processes left which died: those of whose key the lock is free, or held by us."""
        for draft in children(self.folder / "drafts"):
            key = draft.name.partition(".")[0]
            if key == mine:
                shutil.rmtree(draft, ignore_errors=True)
                continue
            with suppress(CacheError):
                lock = Lock.try_take(self.folder / "locks" / f"{key}.lock")
                if lock is not None:
                    with lock:
                        shutil.rmtree(draft, ignore_errors=True)

    def _shrink(self, limit: int, spare: str = "") -> Sequence[Record]:
        """Remove what was used longest ago until no more than `limit` bytes are left."""
        gone: list[Record] = []
        with suppress(CacheError):
            records = self.list()
            total = sum(r.bytes for r in records)
            for record in reversed(records):
                if total <= limit:
                    break
                if record.key != spare and self._drop_if_free(record.key):
                    total -= record.bytes
                    gone.append(record)
        return gone


def _silent(_: str) -> None:
    pass


def _name(fields: Mapping[str, Any]) -> str:
    words = f"{fields.get('network', 'a network')}/{fields.get('part', 'main')} {fields.get('precision', '')}".strip()
    return f"{words} for {fields.get('backend', 'its backend')}"


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(dict(facts), default=str))
    return plain


def _dumped(manifest: Mapping[str, Any]) -> bytes:
    return (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode()


def _manifest(path: Path) -> dict[str, Any]:
    """A manifest as it was written. Raises CacheError if it is not, FileNotFoundError if there is none."""
    try:
        plain = json.loads(path.read_bytes())
        if not isinstance(plain, dict) or plain["schema"] != SCHEMA:
            raise ValueError(f"schema is not {SCHEMA}")
        if key_of(plain["fields"]) != path.parent.name:
            raise ValueError("it is of another engine")
        return {**plain, "bytes": int(plain["bytes"]), "sha256": str(plain["sha256"])}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CacheError(
            f"{path} is no manifest of an engine ({error}); remove it with 'reelmend engines prune'"
        ) from error
