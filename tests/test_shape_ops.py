"""Ops that move, repeat, pick, order and contract: NumPy's values in both modes, and gradients."""

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc.testing import check_grad, check_op

RNG = np.random.RandomState(0)
V, M, C = RNG.rand(5), RNG.rand(3, 4), RNG.rand(2, 3, 4)
I = np.array([2, 0, 1, 2])  # noqa: E741
TIES = np.array([[3.0, 1.0, 3.0, 2.0], [0.0, 0.0, -1.0, 5.0], [1.0, 2.0, 3.0, 4.0]])


@pytest.fixture(autouse=True)
def double_precision():
    with graphc.config(floatX="float64"):
        yield


# A name, what graphc builds, the operands, and what NumPy gives. Those whose name begins with a
# "~" have no gradient to check.
CASES = {
    "swapaxes": (lambda x: x.swapaxes(0, -1), [C], C.swapaxes(0, -1)),
    "moveaxis": (lambda x: T.moveaxis(x, (0, 1), (-1, 0)), [C], np.moveaxis(C, (0, 1), (-1, 0))),
    "squeeze": (lambda x: T.squeeze(x, 1), [C[:, :1]], C[:, 0]),
    "expand_dims": (lambda x: T.expand_dims(x, (0, -1)), [M], M[None, :, :, None]),
    "specify_shape": (lambda x: T.specify_shape(x, (3, None)), [M], M),
    "specify by shape": (lambda x, y: T.specify_shape(x, y.shape), [M, M + 1], M),
    "addbroadcast": (lambda x: T.addbroadcast(x, 0), [M[:1]], M[:1]),
    "patternbroadcast": (lambda x: T.patternbroadcast(x, (True, False)), [M[:1]], M[:1]),
    "unbroadcast": (lambda x: T.unbroadcast(x, 0), [M[:1]], M[:1]),
    "tile": (lambda x: T.tile(x, (2, 1, 3)), [M], np.tile(M, (2, 1, 3))),
    "tile once": (lambda x: T.tile(x, 2), [C], np.tile(C, 2)),
    "tile to a rank": (lambda x: T.tile(x, [2], ndim=3), [M], np.tile(M, (1, 1, 2))),
    "repeat": (lambda x: x.repeat(3, axis=1), [M], M.repeat(3, 1)),
    "repeat flat": (lambda x: T.repeat(x, 2), [M], M.repeat(2)),
    "repeat by array": (lambda x, n: T.repeat(x, n, 1), [M, I], M.repeat(I, 1)),
    "repeat not at all": (lambda x, n: T.repeat(x, n), [V[:4], I * 0], V[:0]),
    "flip": (lambda x: T.flip(x, (0, 2)), [C], np.flip(C, (0, 2))),
    "roll": (lambda x: T.roll(x, 2, 1), [M], np.roll(M, 2, 1)),
    "roll back": (lambda x: T.roll(x, -7), [M], np.roll(M, -7)),
    "roll by a variable": (lambda x, n: T.roll(x, n, 0), [M, np.int64(4)], np.roll(M, 4, 0)),
    "split": (lambda x: T.split(x, [1, 0, 3], 3, axis=1)[2], [M], M[:, 1:]),
    "split at variables": (
        lambda x, n: x.split(n, 2)[1] * 2, [V, np.array([2, 3])], V[2:] * 2,
    ),
    "diagonal": (lambda x: x.diagonal(1), [M], M.diagonal(1)),
    "diagonal of planes": (lambda x: T.diagonal(x, -1, 1, 2), [C], C.diagonal(-1, 1, 2)),
    "diagonal outside": (lambda x: T.diagonal(x, 9), [M], M.diagonal(9)),
    "diag": (lambda x: T.diag(x, -2), [V], np.diag(V, -2)),
    "diag of a matrix": (T.diag, [M], np.diag(M)),
    "trace": (lambda x: x.trace(), [M], M.trace()),
    "tril": (lambda x: T.tril(x, 1), [C], np.tril(C, 1)),
    "triu": (lambda x: T.triu(x, -1), [M], np.triu(M, -1)),
    "~tri": (lambda x: T.tri(3, 4, -1), [V], np.tri(3, 4, -1)),
    "~mgrid": (lambda x: T.mgrid[1:3, 0:6:2][1], [V], np.mgrid[1:3, 0:6:2][1]),
    "~ogrid": (lambda x: T.ogrid[1:3, 0:6:2][0], [V], np.ogrid[1:3, 0:6:2][0]),
    "meshgrid": (lambda x, y: T.meshgrid(x, y)[0] * T.meshgrid(x, y)[1], [V, V[:3]],
                 np.outer(V[:3], V)),
    "meshgrid ij": (lambda x, y: T.meshgrid(x, y, indexing="ij")[0], [V, V[:3]],
                    np.meshgrid(V, V[:3], indexing="ij")[0]),
    "stacklists": (lambda x: T.stacklists([[x[0], x[1]], [x[2], 1.0]]), [V],
                   np.array([[V[0], V[1]], [V[2], 1]])),
    "mask": (lambda x: x[x > 0.5], [M], M[M > 0.5]),
    "mask of rows": (lambda x, m: x[m, 1:], [M, np.array([True, False, True])], M[[0, 2], 1:]),
    "mask behind": (lambda x, m: x[..., m], [C, I[[0, 1, 2, 3]] > 0], C[..., I > 0]),
    "constant mask": (lambda x: x[np.array([True, False, True])], [M], M[[0, 2]]),
    "mask of nothing": (lambda x: x[x > 9], [M], M[:0, 0]),
    "set by mask": (lambda x: T.set_subtensor(x[x > 0.5], 0.25), [M], np.where(M > 0.5, 0.25, M)),
    "add by mask": (lambda x: T.inc_subtensor(x[x > 0.5], x[x > 0.5] * 2), [M],
                    np.where(M > 0.5, 3 * M, M)),
    "nonzero_values": (T.nonzero_values, [M], M.ravel()),
    "~nonzero_values": (T.nonzero_values, [np.maximum(M - 0.5, 0)], (M - 0.5)[M > 0.5]),
    "~nonzero": (lambda x: x.nonzero()[1], [I.reshape(2, 2)], I.reshape(2, 2).nonzero()[1]),
    "~nonzero matrix": (lambda x: T.nonzero(x, True), [I], np.array(I.nonzero())),
    "~flatnonzero": (T.flatnonzero, [I.reshape(2, 2)], np.flatnonzero(I)),
    "compress": (lambda x: x.compress([0, 1, 1], axis=0), [M], M[1:]),
    "take_along_axis": (lambda x: T.take_along_axis(x, T.argsort(x, 0), 0), [M], np.sort(M, 0)),
    "choose": (lambda x, i: T.choose(i, [x, 2 * x, 3.0]), [V[:4], I],
               np.choose(I, [V[:4], 2 * V[:4], np.full(4, 3.0)])),
    "choose, wrapped": (lambda x, i: T.choose(i, [x, -x], mode="wrap"), [V[:4], I],
                        np.choose(I, [V[:4], -V[:4]], mode="wrap")),
    "sort": (lambda x: x.sort(0), [M], np.sort(M, 0)),
    "sort flat": (lambda x: T.sort(x, None), [M], np.sort(M, None)),
    "~sort ties": (T.sort, [TIES], np.sort(TIES)),
    "~argsort": (lambda x: x.argsort(), [TIES], np.argsort(TIES, kind="stable")),
    "topk": (lambda x: T.topk(x, 2, 0), [M], np.sort(M, 0)[:0:-1]),
    "topk, smallest": (lambda x: T.topk(x, -3), [M], np.sort(M)[:, :3]),
    "~argtopk": (lambda x: T.topk_and_argtopk(x, 1)[1], [M], M.argmax(1)[:, None]),
    "~searchsorted": (lambda x, v: T.searchsorted(x, v, "right"), [np.sort(V), M],
                      np.searchsorted(np.sort(V), M, "right")),
    "~unique": (T.unique, [TIES], np.unique(TIES)),
    "unique": (lambda x: T.unique(x) ** 2, [M], np.unique(M) ** 2),
    "~unique inverse": (lambda x: T.unique(x, return_inverse=True)[1], [TIES],
                        np.unique(TIES, return_inverse=True)[1].ravel()),
    "~unique counts": (lambda x: T.unique(x, return_counts=True)[1], [TIES],
                       np.unique(TIES, return_counts=True)[1]),
    "~bincount": (lambda i: T.bincount(i, minlength=5), [I], np.bincount(I, minlength=5)),
    "bincount of weights": (lambda w, i: T.bincount(i, w), [V[:4], I], np.bincount(I, V[:4])),
    "~bincount of nothing": (lambda i: T.bincount(i), [I[:0]], np.bincount(I[:0])),
    "cumsum": (lambda x: x.cumsum(1), [M], M.cumsum(1)),
    "cumsum flat": (lambda x: T.cumsum(x), [M], M.cumsum()),
    "~cumsum of integers": (T.cumsum, [I.astype("int8")], I.cumsum()),
    "cumprod": (lambda x: x.cumprod(0), [M], M.cumprod(0)),
    "diff": (lambda x: T.diff(x, 2, 0), [M], np.diff(M, 2, 0)),
    "ptp": (lambda x: x.ptp(1), [M], np.ptp(M, 1)),
    "matmul": (lambda x, y: x @ y, [C, RNG.rand(1, 4, 2)], None),
    "matmul of a vector": (T.matmul, [C, V[:4]], C @ V[:4]),
    "matmul by a vector": (T.matmul, [V[:3], C], V[:3] @ C),
    "batched_dot": (T.batched_dot, [C, C.swapaxes(1, 2) + 1], C @ (C.swapaxes(1, 2) + 1)),
    "batched_dot of rows": (T.batched_dot, [C, C[:, 0] + 1],
                            np.einsum("bij,bj->bi", C, C[:, 0] + 1)),
    "tensordot": (lambda x, y: T.tensordot(x, y, [[1, 2], [0, 1]]), [C, M], np.tensordot(C, M, 2)),
    "tensordot by number": (lambda x, y: T.tensordot(x, y, axes=1), [M, C[0].T],
                            np.tensordot(M, C[0].T, 1)),
    "tensordot over all": (T.tensordot, [M, M + 1], np.tensordot(M, M + 1)),
    "batched_tensordot": (lambda x, y: T.batched_tensordot(x, y, [[1, 2], [2, 1]]),
                          [C, C.swapaxes(1, 2) + 1],
                          np.einsum("bij,bji->b", C, C.swapaxes(1, 2) + 1)),
    **{
        f"pad, {mode}": (lambda x, mode=mode: T.pad(x, ((2, 1), (0, 3)), mode), [M],
                         np.pad(M, ((2, 1), (0, 3)), mode))
        for mode in ("constant", "edge", "wrap", "reflect", "symmetric")
    },
    "pad with a value": (lambda x: T.pad(x, 1, constant_values=7), [V],
                         np.pad(V, 1, constant_values=7)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name):
    build, arrays, expected = CASES[name]
    plain = check_op(build, arrays, expected, mode="numpy")
    with graphc.config(mode="native"):
        inputs = [T.TensorType(a.dtype.name, (None,) * np.ndim(a))() for a in arrays]
        found = graphc.function(inputs, build(*inputs), on_unused_input="ignore")(*arrays)
    assert found.dtype == plain.dtype and found.shape == plain.shape
    np.testing.assert_allclose(found, plain, 1e-12)
    if not name.startswith("~") and plain.size:
        check_grad(build, arrays, mode="numpy")


def test_mistakes_are_errors_with_what_to_do():
    x, m = T.dmatrix("x"), T.TensorType("bool", (None,))("m")
    array = np.ones((3, 4))
    with pytest.raises(graphc.GraphError, match="axis 0 was to have size 1, and has 3"):
        graphc.function([x], T.addbroadcast(x, 0) * 2, mode="native")(array)
    for mode in ("numpy", "native"):
        f = graphc.function([x, m], x[m] * 2, mode=mode)
        assert f(array, [True, False, True]).shape == (2, 4)
        with pytest.raises(graphc.GraphError, match="was to have size|test_shape_ops"):
            f(array, [True, False])
        pick = graphc.function([x], T.choose(T.constant([0, 2]), [x[0, :2], x[1, :2]]), mode=mode)
        with pytest.raises(graphc.GraphError, match="index|indices"):
            pick(array)
    for build in (
        lambda: T.tensordot(x, T.ones((5, 2)), [[5], [0]]), lambda: T.pad(x, 1, "mirror"),
        lambda: T.split(x, [1, 2], 3), lambda: T.matmul(T.ones((2, 3, 4)), T.ones((2, 3, 4))),
        lambda: T.moveaxis(x, (0, 1), 0), lambda: T.topk(x, 0), lambda: T.choose(x, []),
        lambda: T.specify_shape(x, (1, 2, 3)), lambda: T.diag(T.ones((2, 2, 2))),
        lambda: T.mgrid[3], lambda: T.repeat(x, 1.5), lambda: x[T.ones((2, 2, 2), "bool")],
    ):  # fmt: skip
        with pytest.raises(graphc.GraphError) as caught:
            build()
        assert any("test_shape_ops" in frame[0] for frame in caught.value.at)


def test_masks_of_computed_numbers_are_those_of_the_compiled_computation():
    """NumPy's exp and ours may differ in the last digit, and so may masks made of it."""
    x = T.dvector("x")
    y = T.exp(T.sin(x) * 3)
    array = np.linspace(-3, 3, 500)
    f = graphc.function([x], [y, y], mode="native")
    exact = f(array)[0]
    picked = graphc.function([x], [y[T.eq(y, T.constant(exact))], y.sum()], mode="native")
    assert (picked(array)[0] == exact).all()
    chain = y[y > 1][y[y > 1] < 2]
    found = graphc.function([x], chain * 2, mode="native")
    for part in (array, array[:100], array[:0]):
        values = f(part)[0]
        assert (found(part) == 2 * values[(values > 1) & (values < 2)]).all()


def test_updates_by_masks():
    x, s = T.dvector("x"), graphc.shared(np.zeros(5))
    step = graphc.function([x], s.sum(), updates=[(s, T.inc_subtensor(s[s < x], 1.0))],
                           mode="native")  # fmt: skip
    assert [float(step(V)) for _ in range(3)] == [0, 5, 5]
    assert (s.get_value() == 1 + (V > 1)).all()
    assert step.plan and "update" in str(step.explain())
