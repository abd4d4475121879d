"""The kernel cache: what it finds again, what it refuses, and what happens when processes die."""

import os
import signal
import subprocess
import sys
import time
import warnings

import pytest

from graphc.core.config import config
from graphc.runtime import cache as caching
from graphc.runtime.cache import Cache, key_of

KEY, OTHER = "ab" * 32, "cd" * 32


@pytest.fixture
def store(tmp_path):
    return Cache(tmp_path / "kernels")


def test_finds_what_was_saved(store):
    assert store.load(KEY, "f") is None
    store.save(KEY, "f", b"code")
    assert store.load(KEY, "f") == b"code"
    assert Cache(store.path).load(KEY, "f") == b"code"
    assert len(store.entries()) == 1 and store.size() > 4
    store.clear()
    assert store.load(KEY, "f") is None and not store.entries()


def test_keys_tell_texts_and_their_borders_apart():
    keys = {key_of(*parts) for parts in (("a", "b"), ("ab",), ("", "ab"), ("b", "a"), ("ab", ""))}
    assert len(keys) == 5 and key_of("a", "b") in keys


@pytest.mark.parametrize("part", ["emitter", "cpu", "version"])
def test_keys_depend_on_what_code_depends_on(part, monkeypatch):
    before = key_of("text")
    caching.environment.cache_clear()
    if part == "emitter":
        monkeypatch.setattr(caching, "_emitters", lambda: "other")
    elif part == "version":
        monkeypatch.setattr(caching, "_version", lambda package: "0")
    else:
        from graphc.runtime import machine

        monkeypatch.setattr(machine, "host", lambda: machine.Host("other", "+none"))
    assert key_of("text") != before
    monkeypatch.undo()
    caching.environment.cache_clear()
    assert key_of("text") == before


def damage(path, how):
    data = path.read_bytes()
    if how == "truncated":
        data = data[:-3]
    elif how == "empty":
        data = b""
    elif how == "changed":
        data = data[:-1] + bytes([data[-1] ^ 1])
    elif how == "longer":
        data += b"x"
    else:
        data = b"something else\n" * 9
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["truncated", "empty", "changed", "longer", "foreign"])
def test_a_damaged_entry_is_refused_with_a_warning(store, how):
    store.save(KEY, "f", b"code" * 99)
    damage(store.entries()[0], how)
    with pytest.warns(UserWarning, match="unusable entry"):
        assert store.load(KEY, "f") is None
    assert not store.entries()
    store.save(KEY, "f", b"new")
    assert store.load(KEY, "f") == b"new"


@pytest.mark.parametrize("key, symbol", [(OTHER, "f"), (KEY, "g")])
def test_an_entry_of_another_key_or_symbol_is_refused(store, key, symbol):
    store.save(KEY, "f", b"code")
    store.save(key, symbol, b"else")
    place = store._place(KEY)
    place.write_bytes(store._place(key).read_bytes())
    with pytest.warns(UserWarning, match="unusable entry"):
        assert store.load(KEY, "f") is None


def test_the_oldest_entries_go_first(store, monkeypatch):
    now = time.time()
    keys = [f"{i:02d}" * 32 for i in range(10)]
    for age, key in enumerate(keys):
        store.save(key, "f", bytes(200_000))
        os.utime(store._place(key), (now - 10_000 * age, now - 10_000 * age))
    assert store.load(keys[9], "f")  # used just now
    with config(cache_size_mb=1):
        store.sweep()
    left = [key for key in keys if store._place(key).exists()]
    assert left == [*keys[:2], keys[9]]


def test_saving_keeps_the_folder_small(store):
    with config(cache_size_mb=1):
        for i in range(caching.SWEEP_EVERY + 1):
            store.save(f"{i:064x}"[::-1], "f", bytes(50_000))
    assert store.size() < 2**20


def test_leftovers_of_dead_writers_go(store):
    store.save(KEY, "f", b"code")
    fresh, stale = (store._place(KEY).parent / name for name in ("new-1", "new-2"))
    for path in (fresh, stale):
        path.write_bytes(b"half")
    os.utime(stale, (0, 0))
    store.sweep()
    assert fresh.exists() and not stale.exists() and store.load(KEY, "f") == b"code"


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_folder_open_to_others_is_not_used(tmp_path):
    place = tmp_path / "open"
    place.mkdir()
    place.chmod(0o755)
    with pytest.warns(UserWarning, match="not used.*mode is 755"):
        store = Cache(place)
    store.save(KEY, "f", b"code")
    assert store.load(KEY, "f") is None and not list(place.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="owners are POSIX's")
def test_a_folder_of_another_user_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 12345678)
    with pytest.warns(UserWarning, match="belongs to another user"):
        assert not Cache(tmp_path / "foreign").usable


def test_a_place_that_is_no_folder_means_no_cache(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="no kernel cache"):
        store = Cache(tmp_path / "file")
    store.save(KEY, "f", b"code")
    assert store.load(KEY, "f") is None


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_new_folders_and_files_are_private(store):
    store.save(KEY, "f", b"code")
    place = store._place(KEY)
    assert place.stat().st_mode & 0o077 == 0
    assert store.path.stat().st_mode & 0o777 == 0o700


def test_the_environment_names_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("GRAPHC_CACHE_DIR", str(tmp_path / "a"))
    assert caching.folder() == tmp_path / "a"
    monkeypatch.delenv("GRAPHC_CACHE_DIR")
    with config(cache_dir=str(tmp_path / "b")):
        assert caching.folder() == tmp_path / "b"
    with config(cache_dir=""):
        assert caching.folder().name == "graphc"


PROGRAM = """
import ctypes, sys, warnings
warnings.simplefilter("error")
from graphc.runtime.compile import compile_source
for k in range(3):
    made = compile_source(f"def kernel(block, low, high):\\n    return low + {k}\\n", "add")
    call = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 3)
    result = ctypes.c_int64()
    assert call(made.address)(ctypes.addressof(result), None, 0, 5, 0) == 0
    assert result.value == 5 + k
print(made.origin, "numba" in sys.modules)
"""


def start(folder):
    environment = {**os.environ, "GRAPHC_CACHE_DIR": str(folder)}
    return subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_sixteen_processes_and_one_killed_do_no_damage(tmp_path):
    folder = tmp_path / "shared"
    processes = [start(folder) for _ in range(16)]
    doomed = processes.pop(7)
    deadline = time.monotonic() + 60
    while not list(folder.glob("*/*")) and time.monotonic() < deadline:
        time.sleep(0.001)
    doomed.send_signal(signal.SIGKILL) if os.name == "posix" else doomed.kill()
    doomed.communicate()
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    store = Cache(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(store.entries()) == 3
    output, errors = start(folder).communicate()
    assert output.split() == ["disk", "False"], errors
