"""Products by cuBLAS, against a driver that does on the host what cuBLAS documents."""

import numpy as np
import pytest
from cuda_fake import FakeDriver, in_use

import graphc
import graphc.tensor as T
from graphc.runtime.cuda.driver import use_driver
from graphc.runtime.cuda.products import COMPUTE

rng = np.random.RandomState(2)


@pytest.fixture
def driver():
    with in_use(FakeDriver(lacks_products=None)) as made:
        yield made


def products(driver):
    return [c for c in driver.calls if c[0] == "multiply"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_matrices_in_all_layouts(driver, dtype):
    a, b = (T.TensorType(dtype, (None, None))(name) for name in "ab")
    for m, k, n in ((3, 4, 5), (1, 4, 5), (3, 1, 5), (3, 4, 1), (1, 1, 1), (2, 7, 2)):
        for turns in range(4):
            x = rng.uniform(-1, 1, (k, m) if turns & 1 else (m, k)).astype(dtype)
            y = rng.uniform(-1, 1, (n, k) if turns & 2 else (k, n)).astype(dtype)
            left, right = (a.T if turns & 1 else a), (b.T if turns & 2 else b)
            f = graphc.function([a, b], T.dot(left, right), target="cuda")
            expected = (x.T if turns & 1 else x) @ (y.T if turns & 2 else y)
            np.testing.assert_allclose(f(x, y), expected, 1e-5 if dtype == "float32" else 1e-12)
    assert len(products(driver)) == 24 and not driver.launches()
    f = graphc.function([a, b], T.dot(a[1:3], b[:, 2:]), target="cuda")
    x, y = rng.uniform(-1, 1, (5, 4)).astype(dtype), rng.uniform(-1, 1, (4, 6)).astype(dtype)
    np.testing.assert_allclose(f(x, y), x[1:3] @ y[:, 2:], 1e-5)


def test_an_update_in_place_is_one_call(driver):
    w = graphc.shared(rng.uniform(-1, 1, (4, 3)), name="w")
    x, d = T.dmatrix("x"), T.dmatrix("d")
    start, left, right = w.get_value(), rng.uniform(-1, 1, (6, 4)), rng.uniform(-1, 1, (6, 3))
    f = graphc.function([x, d], updates=[(w, w * 0.5 - 0.1 * T.dot(x.T, d))], target="cuda")
    f(left, right)
    np.testing.assert_allclose(w.get_value(), start * 0.5 - 0.1 * left.T @ right, 1e-12)
    ((_, gemm, *_),) = products(driver)
    assert (gemm.alpha, gemm.beta, gemm.apart, gemm.indirect) == (-0.1, 0.5, False, False)
    assert not driver.launches()


def test_after_what_may_fail_and_with_computed_coefficients_a_kernel_adds_the_product(driver):
    w = graphc.shared(rng.uniform(-1, 1, (4, 4)), name="w")
    x, i, rate = T.dmatrix("x"), T.lvector("i"), T.dscalar("rate")
    f = graphc.function([x, i], x[i].sum(), updates=[(w, w - 0.1 * T.dot(x.T, x))], target="cuda")
    f(np.ones((6, 4)), np.array([1, 2]))
    g = graphc.function([x, rate], updates=[(w, w - rate * T.dot(x.T, x))], target="cuda")
    g(np.ones((6, 4)), 0.3)
    first, second = (c[1] for c in products(driver))
    assert first.apart and second.apart and (second.alpha, second.beta) == (1.0, 0.0)
    assert 4 * 4 * 8 in driver.allocated  # where the products go
    (adding,) = (name for text, name in driver.sources.items() if "alpha * total[at]" in text)
    kinds = [c[1] for c in driver.calls if c[0] == "launch" and c[1] == adding]
    assert len(kinds) == 2
    last = max(k for k, c in enumerate(driver.calls) if c[0] == "multiply")
    assert driver.calls[last + 1][:2] == ("launch", adding)


def test_slices_that_move_are_read_from_the_device(driver):
    data = graphc.shared(rng.uniform(-1, 1, (12, 4)), name="data")
    i = T.lscalar("i")
    w = T.dmatrix("w")
    f = graphc.function([i, w], T.dot(data[i * 3 : (i + 1) * 3], w), target="cuda")
    f(1, np.ones((4, 2)))
    ((_, gemm, a, b, c),) = products(driver)
    assert gemm.indirect and not gemm.apart and {abs(a - b), abs(b - c), abs(a - c)} == {8, 16}
    (bound,) = f._program.bound.values()
    step = bound.plan.steps[-1]
    start = bound.linked.block.address + 8 * bound.linked.starts[len(bound.plan.steps) - 1]
    assert (b, a, c) == (start, start + 8, start + 16) and step.routine == "gemm"


def test_strides_that_cublas_lacks_and_its_absence_leave_products_to_a_kernel(driver):
    a = T.fmatrix("a")
    f = graphc.function([a], T.dot(a[::2, ::2], a[:2]), target="cuda")
    f(np.ones((4, 4), "float32"))
    notes = [n for n in f.plan.notes if n.startswith("product")]
    plain = [n for n in notes if "cuBLAS, COMPUTE_32F" in n]
    assert notes and (plain or "without gaps" in notes[0]), notes
    use_driver(FakeDriver())
    g = graphc.function([a], T.dot(a, a), target="cuda")
    g(np.ones((4, 4), "float32"))
    assert g.plan.notes[1] == (
        "product 4x4 @ 4x4: a kernel with tiles, no cuBLAS: a recording has none"
    )


def test_a_stack_of_products_is_one_call_where_its_matrices_lie_at_equal_distances(driver):
    x, y = T.dtensor4("x"), T.dtensor3("y")
    a, b = rng.uniform(-1, 1, (2, 3, 4, 5)), rng.uniform(-1, 1, (3, 5, 2))
    for left, right, one_call in (
        (x[1], y, True), (x[:, 1], y[0], True), (x[1, ::2], y[:2], True), (x, y, False),
        (y.transpose(0, 2, 1), x[0].transpose(0, 2, 1), True), (x[1], y.dimshuffle("x", 0, 1, 2),
                                                                True),
    ):  # fmt: skip
        driver.calls.clear()
        product = T.matmul(left, right)
        f = graphc.function([x, y], product, target="cuda", on_unused_input="ignore")
        plain = graphc.function([x, y], product, mode="numpy", on_unused_input="ignore")
        found = f(a, b)
        assert (len(products(driver)), len(driver.launches())) == (one_call, not one_call)
        if one_call:
            np.testing.assert_allclose(found, plain(a, b), 1e-12)
            assert products(driver)[0][1].count == np.prod(found.shape[:-2])
        else:
            assert any("equal distances" in note for note in f.plan.notes)


def test_what_factors_are_rounded_to(driver):
    a, z = T.fmatrix("a"), T.dmatrix("z")
    for wanted in ("float32", "tf32", "bfloat16", "float16"):
        with graphc.config(cuda_products=wanted):
            f = graphc.function([a, z], [T.dot(a, a), T.dot(z, z)], target="cuda")
        f(np.eye(3, dtype="float32"), np.eye(3))
        found = {c[1].dtype: c[1].compute for c in products(driver)[-2:]}
        assert found == {"float32": COMPUTE["float32", wanted], "float64": "COMPUTE_64F"}
    with pytest.raises(ValueError, match="cuda_products may be"):
        graphc.config.cuda_products = "float8"


# --- captured graphs ------------------------------------------------------------------


def replays(driver):
    return [c[0] for c in driver.calls if c[0] in ("capture", "replay", "multiply", "launch")]


def test_a_graph_that_holds_addresses_is_captured_again_when_one_changes(driver):
    x, w = T.fmatrix("x"), graphc.shared(np.ones((3, 3), "float32"), name="w")
    value = np.ones((3, 3), "float32")
    with graphc.config(cuda_graphs=True):
        f = graphc.function([x], graphc.Out(T.dot(x, w), device=True), target="cuda")
    kept = [f(value) for _ in range(3)]
    assert len({k.address for k in kept}) == 3
    assert replays(driver).count("capture") == 2
    address = kept.pop().address
    assert f(value).address == address and replays(driver).count("capture") == 2
