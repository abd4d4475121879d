"""Compiling: one function per content, visible IR and assembly, errors that name the kernel."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from graphc.runtime import natives
from graphc.runtime.buffers import address_of
from graphc.runtime.cache import cache
from graphc.runtime.compile import compile_ir, compile_plain, compile_source, loaded

SCALE = """
def kernel(block, low, high):
    x = read_float32(block, 0)
    out = write_float32(block, 1)
    for i in range(low, high):
        out[i] = x[i] * float32({})
    return 0
"""


def scaled(compiled, x):
    out = np.zeros_like(x)
    block = np.array([address_of(x), address_of(out)])
    assert natives.call(compiled.address, address_of(block), 0, len(x)) == 0
    return out


def test_equal_sources_are_one_function():
    first = compile_source(SCALE.format(17), "first")
    count, files = len(loaded()), len(cache().entries())
    for _ in range(100):
        again = compile_source(SCALE.format(17), "again")
        assert again.address == first.address and again.origin == "memory"
        assert again.name == "again" and first.name == "first"
    assert len(loaded()) == count and len(cache().entries()) == files
    other = compile_source(SCALE.format(18), "other")
    assert other.address != first.address and len(loaded()) == count + 1
    x = np.arange(100, dtype="float32")
    np.testing.assert_array_equal(scaled(first, x), x * 17)
    np.testing.assert_array_equal(scaled(other, x), x * 18)


def test_threads_compile_a_source_once():
    count, found = len(loaded()), []

    def work():
        found.append(compile_source(SCALE.format(19), "threads"))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({made.address for made in found}) == 1 and len(loaded()) == count + 1
    assert sorted(made.origin == "memory" for made in found) == [False] + [True] * 7


def test_ir_and_assembly_can_be_read():
    made = compile_source(SCALE.format(20), "shown")
    assert made.symbol in made.llvm and made.symbol in made.asm
    assert "<16 x float>" in made.llvm or "<8 x float>" in made.llvm or "<4 x float>" in made.llvm
    assert made.seconds > 0 and made.source == SCALE.format(20)


TEXT = """
define i32 @{symbol}(ptr %result, ptr %excinfo, i64 %block, i64 %low, i64 %high) {{
  %value = add i64 %low, {number}
  store i64 %value, ptr %result
  ret i32 0
}}
"""


def test_ir_texts_compile_too():
    one = compile_ir(TEXT.format(symbol="same", number=1), "same")
    two = compile_ir(TEXT.format(symbol="same", number=2), "same")
    assert [natives.call(made.address, 0, 40, 0) for made in (one, two)] == [41, 42]
    assert compile_ir(TEXT.format(symbol="same", number=1), "same").address == one.address
    assert "@same" in one.llvm


def test_plain_functions_return_their_value():
    import ctypes

    made = compile_plain("def kernel(x, y, z):\n    return x * y + z\n", "plain")
    assert ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 3)(made.address)(6, 7, -2) == 40


@pytest.mark.parametrize(
    "body",
    ["return unheard_of(low)", "return float32(1) + float64(low)", "return low + float32(1)",
     "read_float32(block, 0)[low] = float32(1)", "return read_float32(block, low)[0]",
     "write_float32(block, 0)[low] = 1.0"],
)
def test_what_the_language_lacks_is_refused(body):
    count = len(loaded())
    with pytest.raises(Exception, match=r"no such primitive|not defined|NameError|Cannot"):
        compile_source(f"def kernel(block, low, high):\n    {body}\n    return 0\n", "wrong")
    assert len(loaded()) == count


def test_a_source_is_one_function():
    with pytest.raises(ValueError, match="one function"):
        compile_source("def f(a, b, c):\n    return 0\ndef g(a, b, c):\n    return 0\n", "two")


def test_a_bad_object_file_is_compiled_again(tmp_path):
    source = SCALE.format(21)
    program = (
        "import sys, warnings\n"
        "from graphc.runtime.compile import compile_source\n"
        f"made = compile_source({source!r}, 'again')\n"
        "print(made.origin)\n"
    )

    environment = {**os.environ, "GRAPHC_CACHE_DIR": str(tmp_path)}

    def run():
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stderr
        return done

    assert run().stdout.strip() == "compiled" and run().stdout.strip() == "disk"
    (entry,) = tmp_path.rglob("*.object")
    entry.write_bytes(entry.read_bytes()[:-100])
    broken = run()
    assert broken.stdout.strip() == "compiled" and "unusable entry" in broken.stderr
    assert run().stdout.strip() == "disk"


def test_importing_the_compiler_imports_no_compiler():
    program = (
        "import sys, graphc.runtime.compile, graphc.runtime.entry, graphc.runtime.natives\n"
        "print([m for m in ('numba', 'llvmlite', 'scipy') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_overlapping_reads_and_in_place_writes():
    """What is written through a write pointer may be read through it."""
    source = (
        "def kernel(block, low, high):\n"
        "    p = write_int64(block, 0)\n"
        "    for i in range(low + 1, high):\n"
        "        p[i] = p[i] + p[i - 1]\n"
        "    return 0\n"
    )
    x = np.ones(50, np.int64)
    block = np.array([address_of(x)])
    assert natives.call(compile_source(source, "scan").address, address_of(block), 0, 50) == 0
    assert x.tolist() == list(range(1, 51))
