"""The native entry, its Python twin and the executor's own functions."""

import gc
import itertools
import os
import sys
import threading
import weakref

import numpy as np
import pytest

from graphc.runtime import layout, natives
from graphc.runtime.buffers import Arena, address_of, allocate, empties
from graphc.runtime.compile import compile_source
from graphc.runtime.contraction import block as contraction_block
from graphc.runtime.entry import FAILED, UNFIT, BoundEntry, InputSpec, OutputSpec

ADD = """
def kernel(block, low, high):
    x = read_{0}(block, 0)
    y = read_{0}(block, 1)
    out = write_{0}(block, 2)
    for i in range(low, high):
        out[i] = x[i] + y[i]
    return 0
"""

needs_layout = pytest.mark.skipif(not layout.is_known(), reason="another object layout")


def add_entry(dtype, shape, native=True, **options):
    """The entry of a plan with one step that adds two arrays."""
    kernel = compile_source(ADD.format(dtype), "add")
    block = np.zeros(3, np.int64)
    words = [address_of(block) + 8 * i for i in range(3)]
    steps = np.array([[kernel.address, words[0], 0, int(np.prod(shape))]], np.int64)
    kind = np.dtype(dtype)
    inputs = [InputSpec(kind, shape, ((0, word),)) for word in words[:2]]
    outputs = [OutputSpec(kind, shape, ((0, words[2]),))]
    return BoundEntry(inputs, outputs, steps, returns="one", keep=block, native=native, **options)


@pytest.fixture(params=[True, False], ids=["native", "python"])
def native(request):
    return request.param


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5), (2, 1, 4), (0, 3)])
def test_adds_arrays_of_any_layout(dtype, shape, native):
    entry = add_entry(dtype, shape, native)
    x = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    y = (x * 2 + 1).astype(dtype)
    wide = np.zeros((*shape, 2), dtype)
    wide[..., 0] = x
    unaligned = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(dtype).reshape(shape)
    swapped = x.astype(x.dtype.newbyteorder())
    for left in (x, wide[..., 0], np.array(x, order="F"), unaligned, swapped):
        result = entry.run([left, y])
        assert type(result) is np.ndarray and result.dtype == x.dtype
        np.testing.assert_array_equal(result, x + y)


@needs_layout
def test_native_call_takes_what_was_bound():
    entry = add_entry("float64", (2, 3))
    x = np.ones((2, 3))
    np.testing.assert_array_equal(entry.call(x, x), x + x)
    for bad in ([x], [x, x, x], [x, x.astype("float32")], [x, x[0]], [x, np.ones((3, 2))],
                [x, x.tolist()], [x, np.ones((2, 6))[:, ::2]], [x, x.view(np.matrix)], [x, None],
                [x, np.ones((2, 3, 1))], [x, np.asfortranarray(x)], [x, 1.0], [x, x > 0]):
        assert entry.call(*bad) is UNFIT
    with pytest.raises(TypeError):
        entry.call(x, y=x)


@needs_layout
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int64", "uint8", "uint64"])
def test_numbers(dtype):
    entry = add_entry(dtype, ())
    one = np.array(1, dtype)
    result = entry.call(one, 2)
    assert result == 3 and result.dtype == dtype and result.shape == ()
    assert entry.call(np.dtype(dtype).type(5), one) == 6
    if dtype.startswith("float"):
        assert entry.call(0.5, one) == 1.5 and entry.call(-1, -1.0) == -2
        assert entry.call(10**400, one) is UNFIT
    else:
        info = np.iinfo(dtype)
        assert entry.call(0.5, one) is UNFIT
        assert entry.call(info.max + 1, one) is UNFIT and entry.call(info.min - 1, one) is UNFIT
        assert entry.call(min(info.max, 2**63 - 1), 0 * one) == min(info.max, 2**63 - 1)
        assert entry.call(info.min, 0 * one) == info.min
    for other in (True, "1", None, 1j, np.float16(1)):
        assert entry.call(other, one) is UNFIT
    assert not sys.exc_info()[0]


def test_outputs_are_never_shared(native):
    entry = add_entry("float64", (3,), native)
    x, kept = np.ones(3), []
    for i in range(300):
        result = entry.run([x * i, x])
        kept.append(result[1:] if i % 3 == 0 else result.T if i % 3 == 1 else result)
    for i, result in enumerate(kept):
        assert (result == i + 1).all()
    assert len({address_of(array) for array in kept}) == 300


@needs_layout
def test_dropped_outputs_are_recycled():
    entry = add_entry("float64", (1000,))
    x = np.ones(1000)
    addresses = {address_of(entry.run([x, x])) for _ in range(50)}
    assert len(addresses) <= 4
    result = entry.run([x, x])
    seen = address_of(result)
    view = result[::2]
    del result
    assert all(address_of(entry.run([x, x])) != seen for _ in range(9))
    assert (view == 2).all()


@needs_layout
def test_changed_arrays_leave_the_pool():
    entry = add_entry("float64", (4,))
    x = np.ones(4)
    for _ in range(9):
        result = entry.run([x, x])
        result.shape = (2, 2)
        result = entry.run([x, x])
        result.flags.writeable = False
        del result
    fresh = entry.run([x, x])
    assert fresh.shape == (4,) and fresh.flags.writeable


def test_arguments_in_guarded_memory_are_copied(native):
    """A step that writes the shared array, of which an argument is a view."""
    shared = np.arange(6.0)
    source = (
        "def kernel(block, low, high):\n"
        "    x = read_float64(block, 0)\n    s = write_float64(block, 1)\n"
        "    for i in range(low, high):\n        s[i] = s[i] + x[high - 1 - i]\n"
        "    return 0\n"
    )
    kernel = compile_source(source, "update")
    block = np.array([0, address_of(shared)], np.int64)
    steps = [[kernel.address, address_of(block), 0, 6]]
    spec = InputSpec(np.dtype("float64"), (6,), ((0, address_of(block)),))
    ranges = [(address_of(shared), address_of(shared) + shared.nbytes)]
    entry = BoundEntry([spec], [], steps, returns="none", guarded=ranges, keep=(block, shared),
                       native=native)
    assert entry.run([shared]) is None
    assert (shared == 5).all()
    if entry.call:
        assert entry.call(shared) is UNFIT and entry.call(shared + 1) is None


def offset_entry(native, checked, length=1, extent=5):
    """out[:] = table[i] or table[i:i + length] through an offset and a copy step."""
    table = np.arange(extent * 2.0).reshape(extent, 2)
    copy, index, error = np.zeros(2, np.int64), np.zeros(1, np.int64), np.zeros(2, np.int64)
    target = address_of(copy) + 8
    words = [address_of(table), 0, extent, 16, int(checked), target, address_of(error)]
    block = np.array(words, np.int64)
    shape = (2,) if checked else (length, 2)
    steps = [
        [natives.address("offset"), address_of(block), 0, 0],
        [natives.address("copy_bytes"), address_of(copy), 0, 16 * length],
    ]
    entry = BoundEntry(
        [InputSpec(index.dtype, (), ((0, address_of(block) + 8),))],
        [OutputSpec(table.dtype, shape, ((0, address_of(copy)),))],
        steps, returns="list", keep=(table, copy, index, block, error), native=native,
    )
    return entry, table, error


def test_index_step(native):
    entry, table, error = offset_entry(native, checked=True)
    for i in (0, 3, 4, -1, -5):
        (result,) = entry.run([np.array(i)])
        np.testing.assert_array_equal(result, table[i])
    for i in (5, -6):
        assert entry.run([np.array(i)]) is FAILED
        assert entry.failure() == (0, 1)
        assert error.tolist() == [i, 5]
    assert entry.run([np.array(2)])[0].tolist() == [4, 5]


def test_slice_step(native):
    entry, table, _ = offset_entry(native, checked=False, length=2)
    for i in (0, 1, 3):
        (result,) = entry.run([np.array(i)])
        np.testing.assert_array_equal(result, table[i : i + 2])


FILL = """
def kernel(block, low, high):
    fill_memory(word(block, 0) + low, word(block, 1), high - low)
    return 0
"""
FAIL = """
def kernel(block, low, high):
    return word(block, 0)
"""


def test_a_failure_stops_the_walk(native):
    code, mark = np.array([7], np.int64), np.zeros(8, np.uint8)
    fill = np.array([address_of(mark), 255], np.int64)
    steps = [
        [compile_source(FILL, "fill").address, address_of(fill), 0, 4],
        [compile_source(FAIL, "fail").address, address_of(code), 0, 1],
        [compile_source(FILL, "fill").address, address_of(fill), 4, 8],
    ]
    entry = BoundEntry([], [], steps, returns="none", keep=(code, mark, fill), native=native)
    assert entry.run([]) is FAILED and entry.failure() == (1, 7)
    assert mark.tolist() == [255] * 4 + [0] * 4
    code[0] = 0
    assert entry.run([]) is None
    assert mark.tolist() == [255] * 8


def test_failures_keep_no_references(native):
    entry, _, _ = offset_entry(native, checked=True)
    for _ in range(100):
        assert entry.run([np.array(9)]) is FAILED
        entry.failure()
    assert entry.run([np.array(1)])[0].tolist() == [2, 3]
    gone = weakref.ref(entry)
    del entry
    gc.collect()
    assert gone() is None


@needs_layout
def test_references_balance():
    entry, one = add_entry("float64", ()), np.array(1.0)
    outcomes = [None, UNFIT, FAILED]
    before = [sys.getrefcount(thing) for thing in (one, *outcomes)]
    for _ in range(10000):
        entry.call(one, one)
        entry.call(one)
        entry.call(2.0, 3)
    after = [sys.getrefcount(thing) for thing in (one, *outcomes)]
    assert max(abs(a - b) for a, b in zip(after, before)) < 100


def test_many_threads_share_an_entry(native):
    entry = add_entry("float64", (20000,), native, long=True)
    wrong = []

    def work(seed):
        for i in range(40):
            x = np.full(20000, float(seed * 1000 + i))
            result = entry.run([x, x])
            if not (result == 2 * x).all():
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_process_may_call():
    entry, x = add_entry("float64", (5,)), np.ones(5)
    entry.table[0] = 1  # as if a thread of the parent were inside
    child = os.fork()
    if not child:
        os._exit(0 if (entry.run([x, x]) == 2).all() else 1)
    entry.table[0] = 0
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("turned", list(itertools.product([False, True], repeat=2)))
@pytest.mark.parametrize("split", [0, 1])
def test_blas_step(dtype, turned, split):
    rng = np.random.default_rng(0)
    for m, n, k in [(5, 7, 3), (1, 7, 3), (5, 1, 3), (5, 7, 1), (1, 1, 4), (1, 1, 1), (5, 4, 0)]:
        a = rng.normal(size=(k, m)).T if turned[0] else rng.normal(size=(m, k))
        b = rng.normal(size=(n, k)).T if turned[1] else rng.normal(size=(k, n))
        a, b = (np.array(v, dtype, order="K") for v in (a, b))
        c = rng.normal(size=(m, n)).astype(dtype)
        expected = 2 * a @ b - 0.5 * c
        strides = [tuple(s // v.itemsize for s in v.strides) for v in (a, b)]
        addresses = tuple(address_of(v) for v in (a, b, c))
        scales = {"alpha": 2, "beta": -0.5}
        words = contraction_block(addresses, (m, n, k), *strides, n, **scales, split=split)
        table = np.array(natives.gemm_words(dtype, words), np.int64)
        extent = n if split else m
        for low, high in ((0, extent // 2), (extent // 2, extent)):
            if low < high:
                step = natives.address(f"gemm_{dtype}")
                assert natives.call(step, address_of(table), low, high) == 0
        np.testing.assert_allclose(c, expected, rtol=1e-4, atol=1e-5)


def test_profiled_walk_adds_up_time():
    mark = np.zeros(10**6, np.uint8)
    fill = np.array([address_of(mark), 1], np.int64)
    step = [compile_source(FILL, "fill").address, address_of(fill), 0]
    steps = np.array([[*step, 10**6], [*step, 1]], np.int64)
    record = np.zeros((2, 2), np.int64)
    block = np.array(natives.profile_words(address_of(steps), address_of(record)), np.int64)
    for _ in range(5):
        assert natives.call(natives.address("walk_profiled"), address_of(block), 0, 2) == 0
    assert mark.all() and record[:, 1].tolist() == [5, 5]
    assert (record[:, 0] > 0).all() and record[0, 0] < 10**9


def test_buffers_start_on_cache_lines():
    assert all(address_of(allocate(n)) % 64 == 0 and len(allocate(n)) >= n for n in (0, 1, 99))
    arrays = empties(5, (3, 2), np.dtype("float32")) + empties(3, (100, 9), np.dtype("int64"))
    assert all(address_of(a) % 64 == 0 and a.flags.c_contiguous for a in arrays)
    for k, array in enumerate(arrays):
        array[...] = k
    assert all((array == k).all() for k, array in enumerate(arrays))
    arena = Arena(1000)
    assert arena.address % 64 == 0
    arena.array(128, (4,), np.dtype("int64"))[:] = 3
    assert arena.memory[128:160].view(np.int64).tolist() == [3] * 4
    with pytest.raises(ValueError, match="outside"):
        arena.at(1001)
