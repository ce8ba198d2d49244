"""The cache of engines: one build for all who ask, nothing broken after a kill, a full disk or damage."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reelmend.engines import cache as cache_module
from reelmend.engines.cache import EngineCache
from reelmend.engines.cachefiles import Lock, bytes_of
from reelmend.errors import CacheError, EngineError, OptionError

FIELDS = {"network": "toy", "part": "main", "backend": "pretended", "precision": "fp16", "builder": "pretended 1.0"}


@pytest.fixture
def cache(tmp_path):
    return EngineCache(tmp_path / "cache")


def builder(plan=b"a plan", count=None, **facts):
    def build():
        if count is not None:
            count.append(1)
        return plan, facts

    return build


def never():
    pytest.fail("built again")


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and "locks" not in p.parts)


def test_what_is_built_is_kept_with_all_that_is_told_of_it(cache):
    entry = cache.get_or_build(FIELDS, builder(acceptance={"psnr": 61.5}))
    assert (entry.built, entry.kept, entry.plan) == (True, True, b"a plan")
    again = cache.get_or_build(FIELDS, never)
    assert (again.built, again.plan) == (False, b"a plan")
    assert again.manifest["acceptance"] == {"psnr": 61.5}
    assert again.manifest["fields"] == FIELDS
    assert [r.key for r in cache.list()] == [entry.key]
    assert cache.verify() == {}


def test_the_order_of_fields_does_not_count(cache):
    cache.get_or_build(FIELDS, builder())
    assert cache.get(dict(reversed(FIELDS.items()))) is not None


def test_any_other_field_is_another_engine_and_the_difference_is_told(cache):
    cache.get_or_build(FIELDS, builder())
    said = []
    entry = cache.get_or_build({**FIELDS, "builder": "pretended 2.0"}, builder(b"new"), said.append)
    assert entry.built
    assert "builder pretended 1.0 -> pretended 2.0" in entry.why
    assert any("pretended 2.0" in line for line in said)
    assert len(cache.list()) == 2
    assert "there was none of other/main" in cache.explain({**FIELDS, "network": "other"})


def test_a_build_that_fails_leaves_nothing(cache):
    def fails():
        raise EngineError("no")

    with pytest.raises(EngineError, match="no"):
        cache.get_or_build(FIELDS, fails)
    assert files(cache.folder) == []
    assert cache.get_or_build(FIELDS, builder()).built


def _flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("name", "damage", "why"),
    [
        ("engine.plan", _flip, "its bytes are not those that were written"),
        ("engine.plan", lambda p: p.write_bytes(b"a pl"), "4 bytes; expected 6"),
        ("engine.plan", lambda p: p.write_bytes(b""), "0 bytes; expected 6"),
        ("engine.plan", lambda p: p.unlink(), ""),
        ("manifest.json", lambda p: p.write_text("{"), "no manifest"),
        ("manifest.json", lambda p: p.write_text("[]"), "schema is not"),
        ("manifest.json", lambda p: p.write_text(json.dumps({**json.loads(p.read_text()), "schema": 99})), "schema is"),
        ("manifest.json", lambda p: p.unlink(), ""),
    ],
)
def test_a_damaged_engine_is_found_told_and_built_again(cache, name, damage, why):
    key = cache.get_or_build(FIELDS, builder()).key
    damage(cache.folder / "engines" / key / name)
    assert list(cache.verify()) == [key]
    assert why in cache.verify()[key]
    said = []
    entry = cache.get_or_build(FIELDS, builder(), said.append)
    assert entry.built
    assert why in entry.why
    assert cache.verify() == {}
    assert cache.get_or_build(FIELDS, never).plan == b"a plan"


def test_an_engine_that_does_not_load_is_built_once_more(cache):
    cache.get_or_build(FIELDS, builder(b"of an older runtime"))

    def load(entry):
        if entry.plan == b"of an older runtime":
            raise EngineError("version tag does not match")
        return "loaded"

    loaded, entry = cache.open(FIELDS, builder(b"new"), load)
    assert loaded == "loaded"
    assert "version tag does not match" in entry.why
    assert cache.get_or_build(FIELDS, never).plan == b"new"
    with pytest.raises(EngineError, match="version tag"):
        cache.open({**FIELDS, "device": "x"}, builder(b"of an older runtime"), load)


def test_an_engine_that_neither_loads_nor_can_be_removed(cache, monkeypatch):
    cache.get_or_build(FIELDS, builder(b"of an older runtime"))

    def load(entry):
        if entry.plan == b"of an older runtime":
            raise EngineError("version tag does not match")
        return "loaded"

    def read_only(source, target):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "rename", read_only)
    loaded, entry = cache.open(FIELDS, builder(b"new"), load)
    assert (loaded, entry.built, entry.kept) == ("loaded", True, False)
    assert "Read-only file system" in entry.note
    assert "version tag does not match" in entry.why


@pytest.mark.parametrize("where", ["engine.plan", "manifest.json"])
def test_a_full_disk_leaves_nothing_broken_and_the_run_goes_on(cache, monkeypatch, where):
    real = cache_module.flushed

    def full(path, data):
        if path.name == where:
            path.write_bytes(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, data)

    monkeypatch.setattr(cache_module, "flushed", full)
    said = []
    entry = cache.get_or_build(FIELDS, builder(), said.append)
    assert (entry.built, entry.kept, entry.plan) == (True, False, b"a plan")
    for word in ("No space left on device", "bytes", "REELMEND_CACHE", "prune"):
        assert word in entry.note
    assert entry.note in said
    assert files(cache.folder) == []
    monkeypatch.setattr(cache_module, "flushed", real)
    assert cache.get_or_build(FIELDS, builder()).kept


_LIMITED = """
import resource, signal, sys
from reelmend.engines.cache import EngineCache
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
entry = EngineCache(sys.argv[1]).get_or_build({"network": "large"}, lambda: (b"x" * (1 << 20), {}))
assert entry.plan == b"x" * (1 << 20)
print(entry.kept, entry.note)
"""


def test_a_file_that_the_system_refuses_to_grow(cache):
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(cache.folder)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("False a built engine (1.0 MiB) at ")
    assert files(cache.folder) == []


_ON_A_SMALL_DISK = """
import sys
from reelmend.engines.cache import EngineCache
cache = EngineCache(sys.argv[1])
large = cache.get_or_build({"network": "large"}, lambda: (b"x" * (1 << 20), {}))
print(large.kept, len(large.plan), large.note)
small = cache.get_or_build({"network": "small"}, lambda: (b"x" * 100, {}))
print(small.kept, cache.verify(), [r.fields["network"] for r in cache.list()])
"""


def test_a_disk_that_is_too_small(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    apart = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o size=256k tmpfs '{disk}'"
    try:
        subprocess.run([*apart, mount], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine lets no user mount a disk of its own")
    script = tmp_path / "script.py"
    script.write_text(_ON_A_SMALL_DISK)
    done = subprocess.run(
        [*apart, f"{mount} && '{sys.executable}' '{script}' '{disk}'"], capture_output=True, text=True, check=True
    )
    first, second = done.stdout.splitlines()
    assert first.startswith("False 1048576 a built engine (1.0 MiB) at ")
    assert "No space left on device" in first
    assert second == "True {} ['small']"


@pytest.mark.parametrize("kind", ["a file", "nowhere"])
def test_a_folder_that_cannot_be_one(tmp_path, kind):
    place = tmp_path / "place"
    if kind == "a file":
        place.write_text("not a folder")
        cache = EngineCache(place)
    else:
        cache = EngineCache(Path("/proc/reelmend"))
    entry = cache.get_or_build(FIELDS, builder())
    assert (entry.built, entry.kept) == (True, False)
    assert "REELMEND_CACHE" in entry.note


_BUILDS = """
import os, sys, time
from reelmend.engines.cache import EngineCache
def build():
    with open(sys.argv[2], "a") as f:
        f.write(f"{os.getpid()}\\n")
    time.sleep(float(sys.argv[3]))
    return b"p" * 100000, {}
entry = EngineCache(sys.argv[1]).get_or_build({"network": "toy"}, build, lambda line: print(line, flush=True))
print(entry.built, entry.kept, len(entry.plan), flush=True)
"""


def _process(cache, log, seconds):
    command = [sys.executable, "-c", _BUILDS, str(cache.folder), str(log), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.01)


def test_processes_that_want_the_same_engine_build_it_once(cache, tmp_path):
    log = tmp_path / "log"
    processes = [_process(cache, log, 1.0) for _ in range(3)]
    said = [p.communicate(timeout=60)[0] for p in processes]
    assert all(p.returncode == 0 for p in processes)
    builders = log.read_text().split()
    assert len(builders) == 1
    assert sorted(line.splitlines()[-1] for line in said) == [
        "False True 100000",
        "False True 100000",
        "True True 100000",
    ]
    assert any("another process" in text and builders[0] in text for text in said)
    assert cache.verify() == {}


def test_a_process_killed_while_it_builds_leaves_nothing_and_the_next_builds(cache, tmp_path):
    log = tmp_path / "log"
    first = _process(cache, log, 60)
    _until(log.exists)
    second = _process(cache, log, 0)
    time.sleep(0.3)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    out, _ = second.communicate(timeout=60)
    assert second.returncode == 0
    assert out.splitlines()[-1] == "True True 100000"
    assert cache.verify() == {}


def test_what_a_killed_process_had_half_written_is_cleaned_away(cache):
    key = cache.get_or_build(FIELDS, builder()).key
    for owner in (key, "0" * 64):
        draft = cache.folder / "drafts" / f"{owner}.123.abc"
        draft.mkdir(parents=True)
        (draft / "engine.plan").write_bytes(b"half")
    cache.get_or_build({**FIELDS, "device": "other"}, builder())
    assert list((cache.folder / "drafts").iterdir()) == []
    assert cache.get_or_build(FIELDS, never).plan == b"a plan"


def test_a_draft_of_a_living_process_is_left(cache):
    draft = cache.folder / "drafts" / "k.1.x"
    draft.mkdir(parents=True)
    with Lock(cache.folder / "locks" / "k.lock", lambda _: None, "busy"):
        cache.get_or_build(FIELDS, builder())
        assert draft.exists()
    cache.get_or_build({**FIELDS, "device": "other"}, builder())
    assert not draft.exists()


def test_the_engines_used_longest_ago_go_first(cache):
    keys = []
    for k in range(4):
        keys.append(cache.get_or_build({**FIELDS, "k": k}, builder(b"x" * 10000)).key)
        manifest = cache.folder / "engines" / keys[-1] / "manifest.json"
        os.utime(manifest, (1000 + k, 1000 + k))
    cache.get({**FIELDS, "k": 0})  # used now
    small = EngineCache(cache.folder, limit=30000)
    new = small.get_or_build({**FIELDS, "k": 9}, builder(b"y" * 10000)).key
    assert {r.key for r in cache.list()} == {keys[0], new}


def test_an_engine_in_use_is_not_dropped(cache):
    key = cache.get_or_build(FIELDS, builder()).key
    with Lock(cache.folder / "locks" / f"{key}.lock", lambda _: None, "busy"):
        assert cache.prune(all=True) == ()
    assert [r.key for r in cache.prune(all=True)] == [key]
    assert cache.list() == ()


def test_prune_by_age_and_by_network(cache):
    old = cache.get_or_build(FIELDS, builder()).key
    os.utime(cache.folder / "engines" / old / "manifest.json", (1000, 1000))
    cache.get_or_build({**FIELDS, "network": "other"}, builder())
    assert [r.key for r in cache.prune(older_than=3600)] == [old]
    assert [r.fields["network"] for r in cache.prune(networks=lambda name: name == "toy")] == ["other"]
    assert cache.prune(limit=0) == ()


def test_facts_can_be_added(cache):
    key = cache.get_or_build(FIELDS, builder()).key
    cache.note(key, acceptance={"psnr": 50})
    assert cache.get(FIELDS).manifest["acceptance"] == {"psnr": 50}
    with pytest.raises((CacheError, FileNotFoundError)):
        cache.note("0" * 64, x=1)


def test_remove(cache):
    key = cache.get_or_build(FIELDS, builder()).key
    assert cache.remove(key)
    assert not cache.remove(key)


@pytest.mark.parametrize(("text", "count"), [("512", 512), ("2G", 2 << 30), ("1.5 GiB", 3 << 29), ("500m", 500 << 20)])
def test_sizes(text, count):
    assert bytes_of(text) == count


def test_where_it_lies_and_how_large_it_may_be(monkeypatch, tmp_path):
    monkeypatch.setenv("REELMEND_CACHE", str(tmp_path / "here"))
    monkeypatch.setenv("REELMEND_CACHE_LIMIT", "3M")
    assert EngineCache().folder == tmp_path / "here"
    assert EngineCache().limit == 3 << 20
    monkeypatch.delenv("REELMEND_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert EngineCache().folder == tmp_path / "reelmend"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert EngineCache().folder == tmp_path / "home" / ".cache" / "reelmend"
    monkeypatch.setenv("REELMEND_CACHE_LIMIT", "much")
    with pytest.raises(OptionError, match="REELMEND_CACHE_LIMIT: 'much' is no size"):
        EngineCache()
