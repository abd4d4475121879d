"""Contraction kernels against NumPy in float64: every form, level, stride, tail and sub-range."""

import ctypes
import functools
import itertools
import mmap
import os

import numpy as np
import pytest

from graphc.runtime import contraction
from graphc.runtime.contraction import Dots, Outer, Tile, native

GUARD = 64
"""Elements around each buffer that must keep their value; NaN where nothing may be read."""

LEVELS = list(contraction.LEVELS)
HOST = LEVELS.index(native.host_level().name)
DTYPES = ("float32", "float64")


def skip_unless_runnable(level):
    if LEVELS.index(level) < HOST:
        pytest.skip(f"this CPU can't run {level}")


@functools.cache
def step(variant):
    text, symbol = contraction.emit_gemm(variant)
    library = native.Library(native.object_code(text, contraction.LEVELS[variant.level]))
    return library.step(symbol)


def guarded(random, shape, order, dtype):
    """A random array inside a larger buffer of NaNs: row-major, column-major, or strided in both.

    Reading outside of it gives NaN, writing outside of it shows in the buffer.
    """
    rows, columns = shape
    strides = {"C": (columns + 3, 1), "F": (1, rows + 3), "S": (2 * columns + 3, 2)}[order]
    span = 1 + max(rows - 1, 0) * strides[0] + max(columns - 1, 0) * strides[1]
    buffer = np.full(span + 2 * GUARD, np.nan, dtype)
    bytes_apart = [stride * buffer.itemsize for stride in strides]
    view = np.lib.stride_tricks.as_strided(buffer[GUARD:], shape, bytes_apart)
    view[...] = random.uniform(-1, 1, shape)
    return buffer, view, strides


def check(variant, sizes, orders="CC", alpha=1.0, beta=0.0, split="rows", cuts=()):
    """Run a variant, in parts if there are cuts, and compare all of C's buffer with the oracle."""
    m, n, k = sizes
    random = np.random.default_rng([m, n, k])
    _, a, a_strides = guarded(random, (m, k), orders[0], variant.dtype)
    _, b, b_strides = guarded(random, (k, n), orders[1], variant.dtype)
    buffer, c, (c_row, _) = guarded(random, (m, n), "C", variant.dtype)
    if beta == 0.0:
        c[...] = np.nan
    expected = buffer.astype("float64")
    inside = np.lib.stride_tricks.as_strided(expected[GUARD:], (m, n), (8 * c_row, 8))
    product = a.astype("float64") @ b.astype("float64")
    inside[...] = alpha * product + (beta * inside if beta else 0.0)
    axis = {"rows": contraction.SPLIT_ROWS, "columns": contraction.SPLIT_COLUMNS}[split]
    words = contraction.block(
        (a.ctypes.data, b.ctypes.data, c.ctypes.data),
        *(sizes, a_strides, b_strides, c_row),
        **{"alpha": alpha, "beta": beta, "split": axis},
    )
    table = np.array(words, np.int64)
    bounds = [0, *cuts, m if axis == contraction.SPLIT_ROWS else n]
    for low, high in itertools.pairwise(bounds):
        assert step(variant)(table.ctypes.data, low, high) == 0
    tolerance = {"float32": 2e-6, "float64": 4e-15}[variant.dtype] * max(k, 4)
    np.testing.assert_allclose(buffer, expected, rtol=0, atol=tolerance, err_msg=repr(variant))


def variants(level, dtype):
    """Each form of kernel once, with the orders of A and B that it reads."""
    wide = Tile(*{"avx512": (12, 2), "avx2": (4, 3), "plain": (5, 2)}[level])
    lanes = contraction.LEVELS[level].lanes(dtype)
    tall, few = Tile(8, 1), min(5, lanes)
    return [
        (Outer(dtype, level, wide), ["CC", "FC", "SC"]),
        (Outer(dtype, level, wide, adjacent=True), ["FC"]),
        (Outer(dtype, level, wide, adjacent=True, order="rows"), ["FC"]),
        (Outer(dtype, level, wide, "copied"), ["CC", "SC"]),
        (Outer(dtype, level, wide, "transposed"), ["CF", "FF"]),
        (Outer(dtype, level, wide, "gathered"), ["CS", "SF"]),
        (Outer(dtype, level, tall), ["CC", "FC"]),
        (Outer(dtype, level, Tile(1, 4, 2), strip=32), ["CC"]),
        (Outer(dtype, level, Tile(1, 4, 4), strip=32, swapped=True), ["FC", "FF"]),
        (Outer(dtype, level, tall, adjacent=True, swapped=True), ["FC"]),
        (Dots(dtype, level, 3, few), ["CF"]),
        (Dots(dtype, level, 3, few, packed=True), ["CC", "CS"]),
        (Dots(dtype, level, 1, 2, depth=3), ["CF"]),
        (Dots(dtype, level, 1, few, swapped=True), ["CF"]),
    ]


ALL = [
    pytest.param(variant, orders, id=variant.symbol)
    for level, dtype in itertools.product(LEVELS, DTYPES)
    for variant, orders in variants(level, dtype)
]

SIZES = [
    *[(1, 1, 1), (0, 3, 4), (3, 0, 4), (2, 3, 0), (0, 0, 0), (1, 40, 3), (40, 1, 19)],
    *[(5, 7, 9), (13, 33, 17), (24, 64, 16), (25, 65, 33), (11, 31, 15), (16, 16, 16)],
    *[(7, 97, 12), (31, 10, 100), (3, 5, 1030), (2, 49, 1), (29, 100, 300)],
]


@pytest.mark.parametrize(("variant", "orders"), ALL)
def test_agrees_with_numpy_at_every_tail_and_stride(variant, orders):
    skip_unless_runnable(variant.level)
    for sizes, order in itertools.product(SIZES, orders):
        check(variant, sizes, order)


@pytest.mark.parametrize(("variant", "orders"), ALL)
def test_scales_the_product_and_what_c_holds(variant, orders):
    skip_unless_runnable(variant.level)
    for alpha, beta in itertools.product((1.0, -0.01, 0.0), (0.0, 1.0, 0.99998)):
        check(variant, (13, 37, 21), orders[0], alpha, beta)
        check(variant, (4, 6, 1100), orders[0], alpha, beta)  # several blocks of k


@pytest.mark.parametrize(("variant", "orders"), ALL)
def test_any_sub_ranges_make_the_whole(variant, orders):
    skip_unless_runnable(variant.level)
    for split, cuts in itertools.product(("rows", "columns"), ((1,), (5, 5, 6), (13, 17))):
        check(variant, (19, 41, 23), orders[-1], 0.5, 2.0, split, cuts)


@pytest.mark.parametrize(
    ("level", "dtype"),
    [("avx512", "float32"), ("avx512", "float64"), ("avx2", "float32"), ("plain", "float64")],
)
def test_chosen_variants_can_read_their_operands(level, dtype):
    skip_unless_runnable(level)
    orders = ["".join(pair) for pair in itertools.product("CFS", repeat=2)]
    shapes = [(1, 1, 20), (1, 70, 30), (70, 1, 30), (20, 30, 140), (20, 10, 20), (20, 30, 1)]
    shapes += [(60, 10, 130), (70, 50, 20), (130, 9, 90), (9, 130, 64)]
    chosen = {}
    for (m, n, k), order in itertools.product(shapes, orders):
        strides = {"C": lambda _, y: (y + 3, 1), "F": lambda x, _: (1, x + 3)}
        strides["S"] = lambda _, y: (2 * y + 3, 2)
        pair = strides[order[0]](m, k), strides[order[1]](k, n)
        choice = contraction.choose(m, n, k, dtype, *pair, level)
        if choice.kind == "tile":
            chosen.setdefault(choice.variant, []).append(((m, n, k), order))
        else:
            assert "S" not in order, "BLAS can't read an operand without a unit stride"
    for variant, cases in chosen.items():
        for sizes, order in cases:
            check(variant, sizes, order)


def before_a_wall(shape, order, dtype):
    """A random array whose last byte is the last one of readable memory."""
    page = mmap.PAGESIZE
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    pages = -(-size // page) + 1
    memory = mmap.mmap(-1, pages * page)
    start = np.frombuffer(memory, np.uint8).ctypes.data
    wall = ctypes.c_void_p(start + (pages - 1) * page)
    assert ctypes.CDLL(None).mprotect(wall, ctypes.c_size_t(page), 0) == 0
    offset = (pages - 1) * page - size
    array = np.ndarray(shape, dtype, memory, offset, order=order)
    array[...] = np.random.default_rng(0).uniform(-1, 1, shape)
    return array


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and mprotect")
@pytest.mark.parametrize("dtype", DTYPES)
def test_touches_nothing_beyond_an_array(dtype):
    kernels = []
    for variant, orders in variants(native.host_level().name, dtype):
        kernels += [(step(variant), order) for order in orders if "S" not in order]
    child = os.fork()
    if child == 0:  # a fault ends only the child
        try:
            for sizes, (kernel, order) in itertools.product(SIZES[5:], kernels):
                run_before_a_wall(kernel, sizes, order, dtype)
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, "a fault: the kernel touched memory behind an operand"


def run_before_a_wall(kernel, sizes, order, dtype):
    m, n, k = sizes
    a, b = before_a_wall((m, k), order[0], dtype), before_a_wall((k, n), order[1], dtype)
    c = before_a_wall((m, n), "C", dtype)
    strides = [tuple(step // x.itemsize for step in x.strides) for x in (a, b)]
    addresses = (a.ctypes.data, b.ctypes.data, c.ctypes.data)
    table = np.array(contraction.block(addresses, sizes, *strides, n, beta=1.0), np.int64)
    kernel(table.ctypes.data, 0, m)


def test_beta_of_zero_ignores_infinities_and_nans_in_c():
    variant = Outer("float32", native.host_level().name, Tile(4, 1))
    a, b = np.ones((5, 3), "f"), np.ones((3, 7), "f")
    for value in (np.nan, np.inf):
        c = np.full((5, 7), value, "f")
        addresses = (a.ctypes.data, b.ctypes.data, c.ctypes.data)
        table = np.array(contraction.block(addresses, (5, 7, 3), (3, 1), (7, 1), 7), np.int64)
        step(variant)(table.ctypes.data, 0, 5)
        assert (c == 3).all()


def test_nan_in_an_operand_reaches_its_row_of_c():
    variant = Outer("float32", native.host_level().name, Tile(4, 1))
    a, b, c = np.ones((5, 3), "f"), np.ones((3, 7), "f"), np.empty((5, 7), "f")
    a[2, 1] = np.nan
    addresses = (a.ctypes.data, b.ctypes.data, c.ctypes.data)
    table = np.array(contraction.block(addresses, (5, 7, 3), (3, 1), (7, 1), 7), np.int64)
    step(variant)(table.ctypes.data, 0, 5)
    assert np.isnan(c[2]).all() and (np.delete(c, 2, 0) == 3).all()


def test_the_same_variant_is_the_same_text():
    level = native.host_level().name
    variant = Outer("float32", level, Tile(4, 2), "transposed")
    assert len({contraction.emit_gemm(variant) for _ in range(3)}) == 1


def test_large_squares_go_to_blas_and_skinny_products_do_not():
    level, strides = "avx512", ((4096, 1), (4096, 1))
    assert contraction.choose(4096, 4096, 4096, "float32", *strides, level).kind == "blas"
    assert contraction.choose(20, 4096, 4096, "float32", *strides, level).kind == "tile"
