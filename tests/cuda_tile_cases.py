"""What tiles do in the simulator: products and convolutions of odd sizes; see `cuda_cases.py`."""

from itertools import product

import numpy as np
from half_numbers import HALVES, plain, stored

import graphc
import graphc.tensor as T
from graphc.core.dtypes import is_half, numpy_dtype
from graphc.runtime.cuda import convolutions, matrices
from graphc.runtime.cuda.driver import current_driver
from graphc.runtime.cuda.tiles import COMPUTED, Tile

rng = np.random.RandomState(4)
TILES = {
    "float32": (Tile(4, 4, 4, 2, 2), Tile(16, 4, 4, 8, 2), Tile(8, 8, 4, 4, 4)),
    "float64": (Tile(4, 4, 4, 2, 2), Tile(8, 4, 4, 4, 2), Tile(8, 8, 4, 4, 4)),
}
"""Of 4 threads each: with words that hold a thread's rows, and with several words of them."""


def as_stored(values, dtype):
    return stored(values, dtype) if is_half(dtype) else values.astype(dtype)


def exact(array):
    return plain(array).astype("float64") if array.itemsize == 2 else array


def multiplied(tile, dtype, sizes, along, parts=1, stack=(), gap=0, alpha=1.0, beta=0.0, made=""):
    """A product on the device by one kernel of ours, and what NumPy finds."""
    driver, made = current_driver(), made or dtype
    m, n, k = sizes
    size, result = numpy_dtype(dtype).itemsize, numpy_dtype(made).itemsize
    a, a_steps = _laid_out((*stack, m, k), along[0] == "own", gap, dtype)
    b, b_steps = _laid_out((*stack[1:], k, n), along[1] == "sum", gap, dtype)
    c = as_stored(rng.uniform(-1, 1, (*stack, m, n)), made)
    c_row = n if stack else n + gap
    room = as_stored(np.zeros((*stack, m, c_row)), made)
    room[..., :n] = c
    memories = [driver.allocate(max(x.nbytes, 1) + 16) for x in (a[1], b[1], room)]
    starts = size * gap, size * gap, result * gap
    for memory, x, start in zip(memories, (a[1], b[1], room), starts):
        memory.write(np.ascontiguousarray(x), start)
    reals = np.array([alpha, beta]).view("int64")
    words = [*(x.address + start for x, start in zip(memories, starts)), m, n, k, *a_steps[-2:],
             *b_steps[-2:], c_row, *reals]  # fmt: skip
    for axis, extent in enumerate(stack):
        words += [extent, a_steps[axis], b_steps[axis - 1] if axis else 0]
    block, error = driver.allocate(8 * len(words)), driver.allocate(32)
    block.write(np.array(words, "int64"))
    error.write(np.zeros(4, "int64"))
    count = int(np.prod(stack)) if stack else 1
    kind = COMPUTED[dtype]
    work = driver.allocate(max(parts * count * m * n * np.dtype(kind).itemsize, 8))
    source = matrices.tiled(tile, dtype, *along, len(stack), made if parts == 1 else kind)
    arguments = block.address, work.address, error.address, 1, parts
    grid = tile.count(m, n) * count * parts
    driver.launch(driver.load(source, "tiled"), grid, tile.threads, arguments)
    if parts > 1:
        second = matrices.gathered(made, len(stack))
        driver.launch(driver.load(second, "gathered"), 2, driver.threads, arguments)
    memories[2].read(room, starts[2])
    assert not plain(room[..., n:]).any(), "elements beside C were written"
    return room[..., :n], alpha * (a[0] @ b[0]) + beta * exact(c)


def _laid_out(shape, turned, gap, dtype):
    """Numbers in that shape, the memory they lie in, and their steps in elements."""
    *stack, rows, columns = shape
    long = [*stack, columns, rows + gap] if turned else [*stack, rows, columns + gap]
    memory = as_stored(rng.uniform(-1, 1, long), dtype)
    seen = np.swapaxes(memory, -1, -2) if turned else memory
    steps = [s // memory.itemsize for s in seen.strides]
    return (exact(seen)[..., :rows, :columns], memory), steps


def products_in_tiles():
    """All layouts of both factors, words that lie askew, strips that end early, empty sums."""
    cases = [
        (dtype, sizes, along, gap)
        for dtype in ("float32", "float64") for along in product(("sum", "own"), repeat=2)
        for sizes, gap in (((5, 6, 9), 0), ((8, 4, 8), 0), ((3, 9, 5), 1))
    ]  # fmt: skip
    cases += [("float64", sizes, ("sum", "own"), 0) for sizes in ((1, 5, 7), (9, 1, 6), (1, 1, 0))]
    for number, (dtype, sizes, along, gap) in enumerate(cases):
        found, expected = multiplied(TILES[dtype][number % 3], dtype, sizes, along, gap=gap)
        tolerance = 1e-5 if dtype == "float32" else 1e-12
        about = str(cases[number])
        np.testing.assert_allclose(found, expected, tolerance, tolerance, err_msg=about)


def products_that_several_blocks_share():
    """Shares of a sum, some of them empty; stacks; and C with what was there."""
    tile = TILES["float32"][0]
    for parts, k, stack in ((3, 13, ()), (4, 5, ()), (2, 9, (2,)), (1, 6, (2, 3))):
        for dtype, beta in (("float32", 0.0), ("float64", 0.5)):
            given = tile, dtype, (5, 6, k), ("sum", "own"), parts, stack, 0, -0.5, beta
            found, expected = multiplied(*given)
            tolerance = 1e-5 if dtype == "float32" else 1e-12
            np.testing.assert_allclose(found, expected, tolerance, tolerance)
    found, expected = multiplied(tile, "float32", (4, 8, 6), ("own", "own"), alpha=2.0, beta=1.0)
    np.testing.assert_allclose(found, expected, 1e-5, 1e-5)


def halves_in_tiles():
    """Widened where they are loaded, words and ends of rows; results rounded once, or float32."""
    for number, (half, along) in enumerate(product(HALVES, product(("sum", "own"), repeat=2))):
        tile, made = TILES["float32"][number % 3], (half, "float32")[number // 2 % 2]
        for sizes, parts, stack, gap, beta in (
            ((5, 6, 9), 1, (), 0, 0.5), ((8, 4, 8), 1, (2,), 0, 0.0), ((3, 9, 5), 1, (), 1, 0.0),
            ((5, 6, 13), 3, (2,), 0, -1.5),
        ):
            given = tile, half, sizes, along, parts, stack, gap, 0.5, beta, made
            found, expected = multiplied(*given)
            if made == half:
                wanted = as_stored(expected, half)
                np.testing.assert_allclose(plain(found), plain(wanted), 2.0**-7, 2.0**-9)
                differ = np.mean(plain(found) != plain(wanted))
                assert differ < 0.1, (given, differ)  # sums of float32, rounded once
            else:
                np.testing.assert_allclose(found, expected, 1e-5, 1e-5, err_msg=str(given))


def products_and_stacks_of_them():
    """As plans launch them: long sums are shared, factors of stacks are broadcast and turned."""
    a, b = rng.uniform(-1, 1, (2, 2, 4, 5)), rng.uniform(-1, 1, (2, 5, 2))
    x, y, u = T.dtensor4("x"), T.dtensor3("y"), T.dmatrix("u")
    turned = x.transpose(0, 1, 3, 2)
    outputs = [
        T.matmul(x, y), T.matmul(x[:, ::2], y[1]), T.matmul(y.transpose(0, 2, 1), turned),
        T.batched_dot(y, turned[1, :, :2]), T.dot(u.T, u), T.dot(u[::9], u.T[:, 0]),
        T.dot(u[:0], u[:3].T), T.dot(u[:3, :0], u[:2, :0].T),
        T.grad((T.matmul(x, y) ** 2).sum(), y),
    ]  # fmt: skip
    u_value = rng.uniform(-1, 1, (70, 3))
    options = {"on_unused_input": "ignore"}
    device = graphc.function([x, y, u], outputs, target="cuda", **options)
    plain = graphc.function([x, y, u], outputs, mode="numpy", **options)
    for found, expected in zip(device(a, b, u_value), plain(a, b, u_value)):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, 1e-11, 1e-12)
    routines = [step.routine for step in device.plan.steps]
    assert routines.count("stacked") >= 4 and "host" not in routines, routines
    if current_driver().simulated:  # which has no library
        assert max(len(a.launches) for a in _actions(device)) == 2
    first, second = device(a, b, u_value)[4], device(a, b, u_value)[4]
    np.testing.assert_array_equal(first, second)


def _actions(f):
    (bound,) = f._program.bound.values()
    return bound.linked.actions


def nothing_is_multiplied_after_a_failure():
    """A tile's kernel leaves C alone where a step before it has failed."""
    w, x, i = graphc.shared(np.ones((5, 5)), name="w"), T.dmatrix("x"), T.lvector("i")
    stack = T.matmul(x.dimshuffle("x", 0, 1), x)
    f = graphc.function([x, i], [x[i].sum(), stack], updates=[(w, w - T.dot(x.T, x))],
                        target="cuda")  # fmt: skip
    try:
        f(np.ones((5, 5)), np.array([9]))
    except graphc.GraphError:
        np.testing.assert_array_equal(w.get_value(), np.ones((5, 5)))
    else:
        raise AssertionError("no error")


def convolutions_in_tiles():
    """Channels of one tap in a stage, or taps first; second derivatives; numbers of 64 bits."""
    from cuda_cases import compare

    for images, filters, options in (
        ((1, 4, 4, 3), (5, 4, 2, 2), {"border_mode": 1}),
        ((2, 8, 3, 4), (8, 4, 2, 1), {"num_groups": 2, "subsample": (1, 2)}),
        ((1, 3, 5, 5), (4, 3, 2, 2), {"filter_dilation": (2, 1), "subsample": (2, 1)}),
        ((1, 4, 2, 3, 3), (4, 4, 1, 2, 2), {"subsample": (1, 1, 2), "border_mode": (0, 1, 0)}),
    ):
        x, w = rng.uniform(-1, 1, images), rng.uniform(-1, 1, filters)

        def build(x, w, options=options):
            conv = T.nnet.conv2d if x.ndim == 4 else T.nnet.conv3d
            y = conv(x, w, **options)
            both = T.grad((y * y).sum(), [x, w])
            again = T.grad(sum((g * g).sum() for g in both), [x, w])
            return [y, *both, *again]

        before = convolutions.LARGE
        convolutions.LARGE = 0 if len(images) == 5 else before
        try:
            compare(build, x, w, tolerance=1e-10)
        finally:
            convolutions.LARGE = before


CASES = (
    products_in_tiles, products_that_several_blocks_share, halves_in_tiles,
    products_and_stacks_of_them, nothing_is_multiplied_after_a_failure, convolutions_in_tiles,
)  # fmt: skip
