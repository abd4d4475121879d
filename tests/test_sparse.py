"""Sparse matrices are what SciPy says, with gradients, and everything at the doors of functions."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as scipy_sparse

import graphc
import graphc.tensor as T
from graphc import sparse
from graphc.core.errors import (
    ArgumentError,
    BadIndexError,
    DTypeError,
    MissingInputError,
    ShapeError,
    UnusedInputError,
)
from graphc.core.op import OPS
from graphc.testing import check_grad

PAGE = Path(__file__).resolve().parent.parent / "docs" / "sparse.md"
MODES = ("numpy", "native")


def random(rows, columns, seed, format="csr", density=0.4, dtype="float64"):
    found = scipy_sparse.random(
        rows, columns, density, format=format, random_state=seed, dtype=dtype
    )
    found.data -= np.asarray(0.4, dtype)
    return found


def dense(x):
    return x.toarray() if scipy_sparse.issparse(x) else np.asarray(x)


M, Q, N = random(7, 5, 0), random(7, 5, 3), random(5, 6, 1)
C = M.tocsc()
RNG = np.random.default_rng(0)
B, A, W, R = (RNG.normal(size=shape) for shape in ((5, 3), (4, 7), 5, 7))
FULL = RNG.normal(size=(7, 5))
HOLES = np.where(FULL > 0, FULL, 0)
REPEATED = scipy_sparse.csr_matrix(([1.0, 2, 3, 4], [1, 1, 0, 1], [0, 3, 3, 4]), shape=(3, 2))

# By name: an expression of x, q: csr 7x5, c: csc 7x5, n: csr 5x6, b 5x3, a 4x7, w 5, r 7,
# full, holes 7x5, and u: csr 3x2 with places that occur twice; and what it is worth.
CASES = {
    "dot": (lambda v: sparse.dot(v.x, v.b), M @ B),
    "dot, csc": (lambda v: v.c @ v.b, M @ B),
    "dot of dense": (lambda v: v.a @ v.x, A @ M),
    "dot of dense, csc": (lambda v: T.dot(v.a, v.c), A @ M),
    "vector": (lambda v: v.x.dot(v.w), M @ W),
    "vector, csc": (lambda v: v.c.dot(v.w), M @ W),
    "vector of dense": (lambda v: v.r @ v.x, R @ M),
    "strided": (lambda v: v.x @ v.a[:3, :5].T, M @ A[:3, :5].T),
    "reversed": (lambda v: v.c @ v.b[::-1, ::2], M @ B[::-1, ::2]),
    "repeated number": (lambda v: v.x @ T.ones((5, 2)), M @ np.ones((5, 2))),
    "of integers": (lambda v: v.x.astype("int64") @ T.arange(5), M.astype("int64") @ np.arange(5)),
    "float32": (lambda v: v.x.astype("float32") @ v.b.astype("float32"), M @ B),
    "complex": (lambda v: v.x @ (v.w * 1j), M @ (W * 1j)),
    "sparse dot": (lambda v: v.x @ v.n, M @ N),
    "sparse dot, mixed": (lambda v: sparse.structured_dot(v.c, v.n), M @ N),
    "sampling": (lambda v: sparse.sampling_dot(v.r.dimshuffle(0, "x"), v.w.dimshuffle(0, "x"), v.x),
                 M.multiply(np.outer(R, W))),
    "sampling, csc": (lambda v: sparse.sampling_dot(v.a.T, v.b[:, :1] + v.a[:, :5].T, v.c),
                      M.multiply(A.T @ (B[:, :1] + A[:, :5].T).T)),
    "transposed": (lambda v: v.x.T, M.T),
    "dense": (lambda v: v.x.toarray(), M),
    "dense, repeated": (lambda v: sparse.dense_from_sparse(v.u), REPEATED),
    "tocsc": (lambda v: v.x.tocsc(), M),
    "tocsr": (lambda v: v.c.tocsr(), M),
    "sorted": (lambda v: sparse.ensure_sorted_indices(v.u), REPEATED),
    "from dense": (lambda v: sparse.csr_from_dense(v.holes), HOLES),
    "from dense, csc": (lambda v: sparse.csc_from_dense(v.holes), HOLES),
    "remove0": (lambda v: sparse.remove0(sparse.structured_maximum(v.x, 0.0)), M.maximum(0)),
    "add": (lambda v: v.x + v.q, M + Q),
    "add, mixed": (lambda v: v.c - v.q, M - Q),
    "add dense": (lambda v: v.full + v.x, M + FULL),
    "sub dense": (lambda v: v.full - v.c, FULL - M),
    "mul": (lambda v: v.x * v.q, M.multiply(Q)),
    "mul, mixed": (lambda v: v.c * v.q, M.multiply(Q)),
    "mul, repeated": (lambda v: v.u * v.u, REPEATED.toarray() ** 2),
    "mul by number": (lambda v: 2 * v.x / 4, M / 2),
    "mul by vector": (lambda v: v.w * v.x, M.multiply(W)),
    "mul by column": (lambda v: v.x * v.r.dimshuffle(0, "x"), M.multiply(R[:, None])),
    "mul by dense": (lambda v: v.c * v.full, M.multiply(FULL)),
    "neg": (lambda v: -v.x, -M),
    "rows scaled": (lambda v: sparse.row_scale(v.x, v.r), M.multiply(R[:, None])),
    "columns scaled": (lambda v: sparse.col_scale(v.c, v.w), M.multiply(W)),
    "sum": (lambda v: v.x.sum(), M.sum()),
    "sums of columns": (lambda v: sparse.sp_sum(v.x, axis=0, sparse_grad=True), M.toarray().sum(0)),
    "sums of rows": (lambda v: v.c.sum(axis=1), M.toarray().sum(1)),
    "means": (lambda v: v.x.mean(axis=-1), M.toarray().mean(1)),
    "ones": (lambda v: sparse.sp_ones_like(v.x), (M != 0).astype(float)),
    "zeros": (lambda v: sparse.sp_zeros_like(v.c), 0 * M),
    "diagonal": (lambda v: sparse.diag(v.x), M.diagonal()),
    "diagonal, wide": (lambda v: v.n.T.diagonal(), N.T.diagonal()),
    "square diagonal": (lambda v: sparse.square_diagonal(v.w), np.diag(W)),
    "sine": (lambda v: sparse.sin(v.x), M.sin()),
    "power": (lambda v: v.x**2, M.power(2)),
    "absolute": (lambda v: abs(v.x), abs(M)),
    "structured exp": (lambda v: sparse.structured_exp(v.x),
                       np.where(M.toarray() != 0, np.exp(M.toarray()), 0)),
    "structured add": (lambda v: sparse.structured_add(v.c, 1.0), M + (M != 0).astype(float)),
    "rows": (lambda v: v.x[1:-1], M[1:-1]),
    "rows, csc": (lambda v: v.c[::-2], M[::-2]),
    "picked rows": (lambda v: v.x[[0, 2, 2, -1]], M[[0, 2, 2, 6]]),
    "block": (lambda v: v.x[2:, 1:4], M[2:, 1:4]),
    "one row": (lambda v: v.x[-2], M[5]),
    "one column": (lambda v: v.x[:, 3], M[:, [3]]),
    "element": (lambda v: v.x[2, -1] + v.c[1, 1], M[2, 4] + M[1, 1]),
    "vstack": (lambda v: sparse.vstack([v.x, v.c, v.q]), scipy_sparse.vstack([M, M, Q])),
    "hstack": (lambda v: sparse.hstack([v.x, v.c], format="csr"), scipy_sparse.hstack([M, M])),
    "shape": (lambda v: v.x.shape + v.c.shape, [14, 10]),
    "constant": (lambda v: sparse.as_sparse_variable(M) @ v.b, M @ B),
    "from its vectors": (lambda v: sparse.CSR(*sparse.csm_properties(v.x)), M),
    "csc of vectors": (lambda v: sparse.CSC(*sparse.csm_properties(v.c)), M),
}  # fmt: skip
FORMATS = {
    "transposed": "csc", "tocsc": "csc", "tocsr": "csr", "sparse dot": "csr", "vstack": "csc",
    "sparse dot, mixed": "csc", "from dense, csc": "csc", "add, mixed": "csc", "mul": "csr",
    "square diagonal": "csc", "rows, csc": "csc", "hstack": "csr", "from its vectors": "csr",
}  # fmt: skip


class Inputs:
    """One input for each value, as an attribute."""

    def __init__(self):
        self.x, self.q = sparse.csr_matrix("x", "float64"), sparse.csr_dmatrix("q")
        self.c, self.n = sparse.csc_matrix("c", "float64"), sparse.matrix("csr", "n", "float64")
        self.u = sparse.csr_dmatrix("u")
        self.b, self.a, self.full, self.holes = T.dmatrices("b", "a", "full", "holes")
        self.w, self.r = T.dvectors("w", "r")

    values = {"x": M, "q": Q, "c": C, "n": N, "u": REPEATED, "b": B, "a": A, "full": FULL,
              "holes": HOLES, "w": W, "r": R}  # fmt: skip


@pytest.fixture(scope="module", params=MODES)
def results(request):
    v = Inputs()
    outputs = {name: build(v) for name, (build, _) in CASES.items()}
    f = graphc.function([getattr(v, k) for k in v.values], outputs, mode=request.param)
    return f(**v.values), outputs


@pytest.mark.parametrize("name", CASES)
def test_operations_are_those_of_scipy(results, name):
    values, outputs = results
    found, expected = values[name], dense(CASES[name][1])
    assert found.dtype == outputs[name].dtype
    assert scipy_sparse.issparse(found) == isinstance(outputs[name], sparse.SparseVariable)
    tolerance = 1e-5 if found.dtype == "float32" else 1e-12
    np.testing.assert_allclose(dense(found), expected, tolerance, tolerance)
    assert np.shape(found) == np.shape(expected)
    if name in FORMATS:
        assert found.format == FORMATS[name]


def csr(data, like):
    return sparse.CSR(data, like.indices, like.indptr, like.shape)


def csc(data, like):
    return sparse.CSC(data, like.indices, like.indptr, like.shape)


DERIVED = {
    "dot": (lambda d, b: sparse.dot(csr(d, M), b) ** 2, [M.data, B]),
    "dot, csc": (lambda d, b: csc(d, C) @ b**2, [C.data, B]),
    "vector": (lambda d, w: csr(d, M).dot(w) ** 2, [M.data, W]),
    "of dense": (lambda d, a: a @ csr(d, M), [M.data, A]),
    "sampling": (lambda d, a, b: sparse.sampling_dot(a.T, b, csr(d, M)).data ** 2,
                 [M.data, A, RNG.normal(size=(5, 4))]),
    "sparse dot": (lambda d, e: (csr(d, M) @ csr(e, N))
                   .toarray() ** 2, [M.data, N.data]),
    "add": (lambda d, e: (csr(d, M) + csr(e, Q)).toarray() ** 2,
            [M.data, Q.data]),
    "mul": (lambda d, e: (csr(d, M) * csr(e, Q)).toarray() ** 2,
            [M.data, Q.data]),
    "from dense": (lambda x: sparse.csr_from_dense(x).toarray() ** 2, [FULL[:2, :3]]),
    "sums": (lambda d: csc(d, C).sum(1) ** 2, [C.data]),
    "formats and parts": (lambda d: (csr(d, M).tocsc()[1:, 1:3]).sum(0) ** 2,
                          [M.data]),
    "structured": (lambda d: sparse.structured_sigmoid(csr(d, M)).sum(0) ** 2,
                   [M.data]),
}  # fmt: skip


@pytest.mark.parametrize("name", DERIVED)
def test_derivatives_agree_with_differences_to_second_order(name):
    build, arrays = DERIVED[name]
    check_grad(build, arrays, order=2, abs_tol=2e-5, rel_tol=2e-5, mode="numpy")


def test_every_differentiable_op_here_is_derived():
    tried = set()
    for build, arrays in DERIVED.values():
        inputs = [T.tensor("float64", (None,) * np.ndim(a)) for a in arrays]
        nodes = graphc.Graph(tuple(inputs), (build(*inputs),)).nodes()
        tried |= {v.op.name for v in nodes if v.op is not None}
    ours = {op.name for op in OPS.values() if op.name.startswith("csr_") and op.vjp is not None}
    assert len(ours) == 3 and ours <= tried


@pytest.mark.parametrize("mode", MODES)
def test_the_gradient_of_a_sparse_variable_has_its_structure(mode):
    x, c = sparse.csr_matrix("x", "float64"), sparse.csc_matrix("c", "float64")
    b = T.dmatrix("b")
    cost = (sparse.dot(x, b) ** 2).sum() + (c @ b).sum()
    gx, (gc, gb) = graphc.grad(cost, x), graphc.grad(cost, [c, b])
    f = graphc.function([x, c, b], [gx, gc, gb], mode=mode)
    found = f(M, C, B)
    pattern = M.toarray() != 0
    assert [getattr(g, "format", None) for g in found] == ["csr", "csc", None]
    np.testing.assert_allclose(dense(found[0]), 2 * (M @ B) @ B.T * pattern)
    np.testing.assert_allclose(dense(found[1]), np.ones((7, 3)) @ B.T * pattern)
    np.testing.assert_allclose(found[2], 2 * M.T @ (M @ B) + M.T @ np.ones((7, 3)))


# --- at the doors of functions --------------------------------------------------------


def test_arguments_of_all_sizes_and_edges():
    x, w = sparse.csr_matrix("x", "float64"), T.dvector("w")
    f = graphc.function([x, w], [x.dot(w), x.T.dot(x.dot(w)), x * 2.0])
    longer = scipy_sparse.csr_matrix((np.r_[M.data, 9.0], np.r_[M.indices, 0], M.indptr))
    for m in (M, Q, random(1, 5, 4), random(40, 5, 5), scipy_sparse.csr_matrix((3, 5)), longer,
              scipy_sparse.csr_matrix((0, 5)), scipy_sparse.csr_array(M), M.astype("float32")):
        y, z, twice = f(m, W)
        exact = dense(m).astype("float64")
        np.testing.assert_allclose(y, exact @ W, atol=1e-12)
        np.testing.assert_allclose(z, exact.T @ (exact @ W), atol=1e-12)
        np.testing.assert_allclose(dense(twice), 2 * exact)
    assert f(x=M, w=W)[0].shape == (7,)
    assert M.nnz == f(M, W)[2].nnz and f(M, W)[2].data is not M.data


def test_arguments_with_other_numbers_of_entries_share_plans():
    x, w = sparse.csr_matrix("x", "float64"), T.dvector("w")
    f = graphc.function([x, w], (2 * x).dot(w))
    exact = graphc.function([x, w], [x.dot(w), x.data.sum()])
    for k in range(20):
        m = random(60, 5, k, density=0.5 + k / 100)
        np.testing.assert_allclose(f(m, W), 2 * (m @ W), atol=1e-12)
        assert exact(m, W)[1] == pytest.approx(m.sum())
    assert len(f.program.bound) <= 4
    assert len(exact.program.bound) > 4  # here more entries would count


def test_functions_of_sparse_variables_can_be_asked_copied_and_pickled():
    x, b = sparse.csr_matrix("x", "float64"), T.dmatrix("b")
    f = graphc.function([b, graphc.In(x, value=M)], {"y": x @ b, "twice": x + x}, name="f")
    copies = [f, f.copy(), pickle.loads(pickle.dumps(f))]
    for g in copies:
        assert "csr float64[?, ?]" in repr(g) and g.inputs[1].name == "x"
        np.testing.assert_allclose(g(B)["y"], M @ B)
        np.testing.assert_allclose(dense(g(b=B, x=Q)["twice"]), 2 * dense(Q))
    f["x"] = Q
    np.testing.assert_allclose(f(B)["y"], Q @ B)
    np.testing.assert_allclose(copies[1](B)["y"], M @ B)
    assert (f["x"] != Q).nnz == 0 and isinstance(f.outputs[1], sparse.SparseVariable)
    assert graphc.clone(x * 2, {x: sparse.as_sparse_variable(M)}).eval().sum() == pytest.approx(
        2 * M.sum()
    )
    assert "x.indptr" in graphc.dprint(x * 2, file="str")


@pytest.mark.parametrize("mode", MODES)
def test_shared_matrices_are_read_updated_and_replaced(mode):
    s, x = graphc.shared(M, name="s"), sparse.csr_matrix("x", "float64")
    assert isinstance(s, sparse.SparseSharedVariable) and repr(s) == "s"
    grow = graphc.function([x], s.sum(), updates=[(s, s + x)], mode=mode)
    assert grow(Q) == pytest.approx(M.sum())
    assert grow(Q) == pytest.approx((M + Q).sum())  # it has more entries by now
    np.testing.assert_allclose(dense(s.get_value()), dense(M + 2 * Q))
    s.get_value().data[:] = 0  # a copy
    s.set_value(random(3, 2, 1))
    halve = graphc.function([], s.shape, updates={s: s * 0.5}, mode=mode)
    assert halve().tolist() == [3, 2]
    np.testing.assert_allclose(s.get_value(borrow=True).data, random(3, 2, 1).data / 2)
    s.set_value(M)
    b = T.dmatrix("b")
    given = graphc.function([b], x @ b, givens={x: s}, mode=mode)
    np.testing.assert_allclose(given(B), M @ B)
    s.default_update = s * 2.0
    graphc.function([b], s @ b, mode=mode)(B)
    np.testing.assert_allclose(s.get_value().data, 2 * M.data)
    np.testing.assert_allclose(dense(graphc.shared(C).get_value()), dense(M))


def test_logistic_regression_on_sparse_rows_learns():
    rng = np.random.default_rng(1)
    data = random(400, 60, 2, density=0.1)
    truth = rng.normal(size=60)
    labels = (data @ truth > 0).astype("float64")
    x, y = sparse.csr_matrix("x", "float64"), T.dvector("y")
    w, bias = graphc.shared(np.zeros(60), name="w"), graphc.shared(0.0, name="b")
    p = T.nnet.sigmoid(sparse.dot(x, w) + bias)
    cost = T.nnet.binary_crossentropy(p, y).mean()
    updates = [(v, v - 50.0 * g) for v, g in zip((w, bias), graphc.grad(cost, [w, bias]))]
    train = graphc.function([x, y], cost, updates=updates)
    train(data, labels)
    np.testing.assert_allclose(w.get_value(), 50.0 * data.T @ (labels - 0.5) / 400)
    for _ in range(40):
        costs = [train(data[k : k + 40], labels[k : k + 40]) for k in range(0, 400, 40)]
    predict = graphc.function([x], p > 0.5)
    assert np.mean(costs) < 0.15 and (predict(data) == labels).mean() > 0.97
    assert not any(step.routine == "host" for step in train.plan.steps)


def test_the_page_about_sparse_matrices_runs():
    lines, inside = [], False
    for line in PAGE.read_text("utf-8").splitlines():
        fence = line.startswith("```")
        lines.append(line if inside and not fence else "")
        inside = line.strip() == "```python" if fence else inside
    program = "\n".join(lines)
    assert program.count("assert ") >= 4
    with graphc.config(floatX="float64"):
        exec(compile(program, str(PAGE), "exec"), {"__name__": "sparse_page"})


def test_the_page_lists_names_that_are_there():
    table = PAGE.read_text("utf-8").split("## What there is\n")[1].split("## Gradients")[0]
    names = re.findall(r"`([a-z_0-9]+)`", table)
    assert len(names) > 20 and [n for n in names if not hasattr(sparse, n)] == []
    assert [n for n in sparse.__all__ if not hasattr(sparse, n)] == []


# --- errors ---------------------------------------------------------------------------

X, Y = sparse.csr_matrix("X", "float64"), sparse.csr_matrix("Y", "float64")
D = T.dmatrix("D")
DOT = graphc.function([X, D], X @ D)
NARROW = graphc.function([sparse.csr_dmatrix("k", shape=(None, 3))], T.constant(0),
                         on_unused_input="ignore")  # fmt: skip
SHARED = graphc.shared(M, name="shared")
WRONG = {
    "format": (lambda: DOT(C, B), DTypeError, "pass value.tocsr()"),
    "dense argument": (lambda: DOT(dense(M), B), DTypeError, "scipy.sparse.csr_matrix(value)"),
    "dtype": (lambda: DOT(M.astype("complex128"), B), DTypeError, "astype('float64')"),
    "sizes": (lambda: DOT(M, B[:4]), ShapeError, "5 columns meets a dense one of 4 rows"),
    "known sizes": (lambda: NARROW(M), ShapeError, "shape (7, 5) came"),
    "declared sizes": (lambda: sparse.csr_matrix(shape=(3, 4)) @ T.ones((3, 2)), ShapeError,
                       "inner sizes 4 and 3 differ"),
    "sizes of two": (lambda: (X + Y).eval({X: M, Y: M[:3]}), ShapeError, "sizes of sparse"),
    "sizes of product": (lambda: (X @ Y).eval({X: M, Y: M}), ShapeError, "size 6"),
    "sizes of factors": (lambda: (X * D).eval({X: M, D: B}), ShapeError, "size"),
    "row index": (lambda: X[9].eval({X: M}), BadIndexError, "9"),
    "element index": (lambda: X[0, 5].eval({X: M}), BadIndexError, "5"),
    "indices": (lambda: X[1, 2, 3], BadIndexError, "x[i, j]"),
    "dense op": (lambda: T.exp(X), DTypeError, "X: csr float64[?, ?] is sparse"),
    "comparison": (lambda: D < X, DTypeError, "x.toarray()"),
    "division": (lambda: D / X, DTypeError, "is sparse"),
    "method": (lambda: X.argmax(), AttributeError, "make it dense with .toarray()"),
    "sum with a number": (lambda: X + 1, ArgumentError, "structured_add"),
    "power": (lambda: X**0, ArgumentError, "structured_pow"),
    "quotient": (lambda: X / Y, ArgumentError, "zeros divide"),
    "truth": (lambda: bool(X), DTypeError, "not known"),
    "length": (lambda: len(X), TypeError, "x.shape[0]"),
    "iteration": (lambda: list(X), TypeError, "iterated over"),
    "membership": (lambda: D in X, TypeError, "needs values"),
    "a tuple of it": (lambda: T.stack(X), (TypeError, graphc.GraphError), "X: csr"),
    "twice": (lambda: graphc.function([X, X], X), ArgumentError, "given twice"),
    "missing": (lambda: graphc.function([D], X), MissingInputError, "`X.data`"),
    "unused": (lambda: graphc.function([X, D], D), UnusedInputError, "`X`"),
    "shared input": (lambda: graphc.function([SHARED], SHARED), ArgumentError, "givens"),
    "computed input": (lambda: graphc.function([X * 2], X), ArgumentError, "computed"),
    "update by dense": (lambda: graphc.function([D], None, updates={SHARED: D}), ArgumentError,
                        "not sparse"),
    "update format": (lambda: graphc.function([], None, updates={SHARED: SHARED.T}), DTypeError,
                      ".tocsr()"),
    "update of an input": (lambda: graphc.function([graphc.In(X, value=M, update=D)], X),
                           ArgumentError, "graphc.shared(matrix)"),
    "value": (lambda: SHARED.set_value(C), DTypeError, "pass value.tocsr()"),
    "no sparse": (lambda: sparse.as_sparse_variable(D), ArgumentError, "csr_from_dense"),
    "rank": (lambda: sparse.csr_from_dense(T.dvector()), ShapeError, "takes a matrix"),
    "kind of format": (lambda: sparse.SparseType("coo", "float32"), ArgumentError, "'coo'"),
    "kind of dtype": (lambda: sparse.csr_matrix(dtype="float16"), DTypeError, "float16"),
    "vectors": (lambda: sparse.CSR(T.dvector(), T.dvector(), T.lvector(), (2, 2)), ArgumentError,
                "indices must be a vector of integers"),
    "pointers": (lambda: sparse.CSR([1.0], [0], [0, 1], (3, 3)), ShapeError, "3 need 4"),
    "disconnected": (lambda: graphc.grad(D.sum(), X), graphc.GraphError, "X.data"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_explained(name):
    act, kind, text = WRONG[name]
    with pytest.raises(kind) as caught:
        act()
    assert text in str(caught.value)


BROKEN = [
    ([0, 4], [0, 1, 2]), ([-1, 0], [0, 1, 2]), ([0, 3], [0, 3, 2]), ([0, 3], [-1, 1, 2]),
    ([0, 3], [1, 1, 2]), ([0, 3], [0, 1, 9]),
]  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_vectors_that_are_no_matrix_never_lead_outside_of_memory(mode):
    d, i, p, b = T.dvector("d"), T.ivector("i"), T.lvector("p"), T.dmatrix("b")
    x = sparse.CSR(d, i, p, (p.shape[0] - 1, 4))
    products = [x @ b, x.T @ b[:2], sparse.sampling_dot(b[:2], b, x).data, x.sum(1)]
    functions = [
        graphc.function([d, i, p, b], f, mode=mode, on_unused_input="ignore") for f in products
    ]
    good, ones, many = np.array([0, 3], "int32"), np.ones(2), np.ones((4, 2))
    for f in functions:
        f(ones, good, [0, 1, 2], many)
    for indices, pointers in BROKEN:
        for k, f in enumerate(functions):
            if k == 3 and pointers == [0, 1, 2]:
                continue  # sums of rows don't look at columns
            with pytest.raises((ShapeError, BadIndexError)):
                f(ones, np.array(indices, "int32"), pointers, many)
