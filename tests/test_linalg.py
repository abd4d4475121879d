"""Linear algebra and Fourier transforms: NumPy's values, derivatives twice, errors with a line."""

import pickle

import numpy as np
import pytest
import scipy.linalg

import graphc
import graphc.tensor as T
from graphc.core.errors import LinearAlgebraError, NullGradientError, ShapeError
from graphc.core.op import OPS
from graphc.testing import check_grad, check_op

L = T.linalg
RNG = np.random.RandomState(0)
A = RNG.rand(3, 3) + np.diag([2.0, 3.0, 4.0])
STACK = RNG.rand(2, 3, 3) + np.diag([1.0, 3.0, 5.0])
TALL, WIDE, V = RNG.rand(4, 3), RNG.rand(3, 5), RNG.rand(3)
S = A @ A.T
SPD = STACK @ STACK.transpose(0, 2, 1)
COMPLEX_HALF = np.stack([RNG.rand(2, 4, 3), RNG.rand(2, 4, 3)], -1)


@pytest.fixture(autouse=True)
def numpy_mode():
    with graphc.config(mode="numpy", floatX="float64"):
        yield


def pair(z):
    return np.stack([z.real, z.imag], -1)


def part(k, function, **attrs):
    """One of several results; all of the only one for ``...``."""

    def build(*args):
        found = function(*args, **attrs)
        return found if k is ... else found[k]

    return build


svd = np.linalg.svd(TALL, full_matrices=False)
eigh = np.linalg.eigh(S)
VALUES = {
    "inverse": (L.matrix_inverse, [A], np.linalg.inv(A)),
    "inverses": (L.inv, [STACK], np.linalg.inv(STACK)),
    "pinv": (L.pinv, [TALL], np.linalg.pinv(TALL)),
    "pinvs": (L.pinv, [STACK[:, :2]], np.linalg.pinv(STACK[:, :2])),
    "det": (L.det, [A], np.linalg.det(A)),
    "dets": (L.det, [STACK], np.linalg.det(STACK)),
    "det of integers": (L.det, [np.array([[1, 2], [3, 4]])], -2.0),
    "slogdet, sign": (part(0, L.slogdet), [-A], -1),
    "slogdet": (part(1, L.slogdet), [STACK], np.linalg.slogdet(STACK)[1]),
    "cholesky": (L.cholesky, [SPD], np.linalg.cholesky(SPD)),
    "cholesky, upper": (part(..., L.cholesky, lower=False), [S], np.linalg.cholesky(S).T),
    "solve": (L.solve, [A, TALL.T], np.linalg.solve(A, TALL.T)),
    "solve, vector": (L.solve, [A, V], np.linalg.solve(A, V)),
    "solve, stacks": (L.solve, [STACK, WIDE], np.linalg.solve(STACK, WIDE)),
    "solve, symmetric": (part(..., L.solve, assume_a="sym"), [S, V], np.linalg.solve(S, V)),
    "solve, positive": (
        part(..., L.solve, assume_a="pos", lower=True), [SPD, WIDE], np.linalg.solve(SPD, WIDE),
    ),
    "triangular": (L.solve_triangular, [A, V], np.linalg.solve(np.triu(A), V)),
    "triangular, lower": (L.solve_lower_triangular, [A, V], np.linalg.solve(np.tril(A), V)),
    "triangular, stack": (L.solve_upper_triangular, [STACK, WIDE],
                          np.linalg.solve(np.triu(STACK), WIDE)),
    "triangular, transposed": (
        part(..., L.solve_triangular, trans="T", lower=True, unit_diagonal=True), [A, V],
        np.linalg.solve(np.tril(A, -1).T + np.eye(3), V),
    ),
    "lstsq": (part(0, L.lstsq), [TALL, RNG.rand(4, 2)], None),
    "lstsq, vector": (part(0, L.lstsq), [TALL, TALL @ V], V),
    "lstsq, residuals": (part(1, L.lstsq), [TALL, TALL], np.zeros(3)),
    "lstsq, stacks": (
        part(0, L.lstsq), [STACK[:, :, :2], WIDE], np.linalg.pinv(STACK[:, :, :2]) @ WIDE,
    ),
    "lstsq, residuals of stacks": (part(1, L.lstsq), [STACK, WIDE], np.zeros((2, 5))),
    "lstsq, ranks": (part(2, L.lstsq), [np.stack([np.ones((3, 3)), A]), WIDE], [1, 3]),
    "lstsq, rank": (part(2, L.lstsq), [np.ones((4, 3)), TALL], 1),
    "lstsq, singular values": (part(3, L.lstsq), [TALL, TALL], svd[1]),
    "q": (part(0, L.qr), [STACK], np.linalg.qr(STACK)[0]),
    "r": (part(1, L.qr), [WIDE], np.linalg.qr(WIDE)[1]),
    "q, complete": (part(0, L.qr, mode="complete"), [TALL], np.linalg.qr(TALL, "complete")[0]),
    "r alone": (part(..., L.qr, mode="r"), [TALL], np.linalg.qr(TALL, "r")),
    "u": (part(0, L.svd, full_matrices=False), [TALL], svd[0]),
    "u, full": (part(0, L.svd), [TALL], np.linalg.svd(TALL)[0]),
    "singular values": (part(..., L.svd, compute_uv=False), [STACK], np.linalg.svd(STACK)[1]),
    "v": (part(2, L.svd), [TALL], np.linalg.svd(TALL)[2]),
    "eigh": (part(0, L.eigh), [SPD], np.linalg.eigh(SPD)[0]),
    "eigh, vectors": (part(1, L.eigh, UPLO="U"), [A], np.linalg.eigh(A, "U")[1]),
    "eig": (part(0, L.eig), [A], np.linalg.eig(A)[0].astype(complex)),
    "eig, vectors": (part(1, L.eig), [A - 3], np.linalg.eig(A - 3)[1].astype(complex)),
    "eigvalsh": (L.eigvalsh, [S], eigh[0]),
    "eigvalsh, two": (part(..., L.eigvalsh, lower=False), [A, S],
                      scipy.linalg.eigvalsh(A, S, lower=False)),
    "expm": (L.expm, [A / 3], scipy.linalg.expm(A / 3)),
    "expms": (L.expm, [STACK / 3], scipy.linalg.expm(STACK / 3)),
    "kron": (L.kron, [TALL, WIDE], np.kron(TALL, WIDE)),
    "kron, vector": (L.kron, [V, WIDE], np.kron(V, WIDE)),
    "trace": (L.trace, [WIDE], np.trace(WIDE)),
    "diagonal": (L.diag, [TALL], np.diag(TALL)),
    "diagonal above": (lambda x: L.extract_diag(x, 2), [WIDE], np.diag(WIDE, 2)),
    "diagonal below": (lambda x: L.extract_diag(x, -2), [TALL], np.diag(TALL, -2)),
    "diagonal matrix": (L.diag, [V], np.diag(V)),
    "power": (lambda x: L.matrix_power(x, 5), [STACK], np.linalg.matrix_power(STACK, 5)),
    "power 0": (lambda x: L.matrix_power(x, 0), [STACK], np.linalg.matrix_power(STACK, 0)),
    "power -2": (lambda x: L.matrix_power(x, -2), [A], np.linalg.matrix_power(A, -2)),
    "products": (L.matrix_dot, [TALL, A, WIDE], TALL @ A @ WIDE),
    "tensorinv": (L.tensorinv, [RNG.rand(2, 3, 6)], None),
    "rfft": (T.fft.rfft, [WIDE], pair(np.fft.rfft(WIDE))),
    "rfft, two axes": (
        lambda x: T.fft.rfft(x, "ortho"), [STACK],
        pair(np.fft.rfftn(STACK, axes=(1, 2), norm="ortho")),
    ),
    "irfft": (T.fft.irfft, [COMPLEX_HALF[0]],
              np.fft.irfft(COMPLEX_HALF[0, ..., 0] + 1j * COMPLEX_HALF[0, ..., 1])),
    "irfft, odd": (
        lambda x: T.fft.irfft(x, "ortho", is_odd=True), [COMPLEX_HALF],
        np.fft.irfftn(COMPLEX_HALF[..., 0] + 1j * COMPLEX_HALF[..., 1], s=(4, 5), axes=(1, 2),
                      norm="ortho"),
    ),
    "irfft of rfft": (lambda x: T.fft.irfft(T.fft.rfft(x, "no_norm"), is_odd=True), [WIDE], WIDE),
}  # fmt: skip
for order in (None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf):
    VALUES[f"norm {order}"] = (part(..., L.norm, ord=order), [TALL], np.linalg.norm(TALL, order))


@pytest.mark.parametrize("name", VALUES)
def test_values_and_types_are_numpy_s(name):
    build, arrays, expected = VALUES[name]
    check_op(build, arrays, expected)
    if not name.startswith("eig") and "vector" not in name:
        narrow = [a.astype("float32") if a.dtype == "float64" else a for a in arrays]
        with graphc.config(floatX="float32"):
            found = check_op(build, narrow, expected, rtol=2e-3, atol=1e-3)
        assert found.dtype.kind == "i" or found.dtype == "float32"


@pytest.mark.parametrize("name", VALUES)
def test_plans_with_host_steps_give_the_same(name):
    build, arrays, expected = VALUES[name]
    inputs = [T.tensor("float64", (None,) * a.ndim) for a in arrays]
    if any(a.dtype != "float64" for a in arrays):
        pytest.skip("of integers")
    output = build(*inputs)
    compiled = graphc.function(inputs, output, mode="native", on_unused_input="ignore")
    found = compiled(*arrays)
    plain = output.eval(dict(zip(inputs, arrays)))
    assert found.dtype == plain.dtype and np.allclose(found, plain, atol=1e-12)


def symmetric(x):
    return T.dot(x, x.T) + T.eye(3)


def parts(z):
    """Of complex numbers, something real that depends on both parts in its own way."""
    weights = np.arange(1.0, 4.0)
    return T.real(z) ** 2 * weights + T.imag(z) ** 3 * weights[::-1] + T.real(z) * T.imag(z)


TURNING = np.array([[1.0, -2.0, 0.3], [1.5, 0.5, 0.2], [0.1, 0.4, 3.0]])  # w = 0.7 +- 1.7i, 3.1
DERIVED = {
    "inverse": (L.matrix_inverse, [A]),
    "inverses": (L.matrix_inverse, [STACK]),
    "pinv, tall": (L.pinv, [TALL]),
    "pinv, wide": (L.pinv, [WIDE]),
    "pinvs": (L.pinv, [STACK[:, :2]]),
    "det": (L.det, [A]),
    "dets": (L.det, [STACK]),
    "slogdet": (lambda x: L.slogdet(x)[1] + L.slogdet(x)[0], [A]),
    "slogdets": (part(1, L.slogdet), [STACK]),
    "cholesky": (L.cholesky, [S]),
    "cholesky of a symmetric matrix": (lambda x: L.cholesky(symmetric(x)), [A]),
    "choleskys, upper": (part(..., L.cholesky, lower=False), [SPD]),
    "solve": (L.solve, [A, WIDE]),
    "solve, vector": (L.solve, [A, V]),
    "solve, stack and matrix": (L.solve, [STACK, WIDE]),
    "solve, matrix and stack": (L.solve, [A, STACK]),
    "solve, symmetric": (part(..., L.solve, assume_a="sym"), [S, V]),
    "solve, positive": (part(..., L.solve, assume_a="pos", lower=True), [S, WIDE]),
    "triangular": (L.solve_triangular, [A, WIDE]),
    "triangular, stack": (part(..., L.solve_triangular, lower=True), [STACK, V[:, None]]),
    "triangular, transposed": (part(..., L.solve_triangular, trans=1), [A, V]),
    "triangular, unit": (part(..., L.solve_triangular, trans=1, unit_diagonal=True), [A, V]),
    "lstsq": (lambda a, b: L.lstsq(a, b)[0].sum() * L.lstsq(a, b)[1], [TALL, RNG.rand(4, 2)]),
    "lstsq, wide": (part(0, L.lstsq), [WIDE, V]),
    "qr": (lambda x: T.dot(*L.qr(x)) + L.qr(x)[0] * x, [TALL]),
    "q": (part(0, L.qr), [STACK]),
    "q, wide": (part(0, L.qr), [WIDE]),
    "r": (part(..., L.qr, mode="r"), [TALL]),
    "r, wide": (part(..., L.qr, mode="r"), [WIDE]),
    "u": (part(0, L.svd, full_matrices=False), [TALL]),
    "u, wide": (part(0, L.svd, full_matrices=False), [WIDE]),
    "singular values": (part(..., L.svd, compute_uv=False), [STACK]),
    "v": (part(2, L.svd, full_matrices=False), [TALL]),
    "v, wide": (part(2, L.svd, full_matrices=False), [WIDE]),
    "eigh": (part(0, L.eigh), [S]),
    "eighs": (part(0, L.eigh, UPLO="U"), [SPD]),
    "eigh, vectors": (part(1, L.eigh), [S]),
    "eigvalsh": (L.eigvalsh, [A, S]),
    "eig": (lambda x: parts(L.eig(x)[0]), [A]),
    "eig, complex": (lambda x: parts(L.eig(x)[0]), [TURNING]),
    "eig, vectors": (lambda x: parts(L.eig(x)[1]), [A]),
    "eig, complex vectors": (lambda x: parts(L.eig(x)[1]), [TURNING]),
    "eigs": (lambda x: parts(L.eig(x)[1] * L.eig(x)[0][:, None, :]), [np.stack([A, TURNING])]),
    "lstsq, stacks": (part(0, L.lstsq), [STACK[:, :, :2], WIDE]),
    "lstsq, matrix and stack": (
        lambda a, b: L.lstsq(a, b)[0].sum() * L.lstsq(a, b)[1], [TALL, RNG.rand(2, 4, 2)],
    ),
    "expm": (L.expm, [A / 3]),
    "expms": (L.expm, [STACK / 3]),
    "kron": (L.kron, [V, WIDE]),
    "traces": (lambda x: L.trace(x) * L.extract_diag(x, 1) ** 2, [WIDE]),
    "diagonal matrix": (lambda x: L.diag(x) ** 2, [V]),
    "power": (lambda x: L.matrix_power(x / 3, 3), [STACK]),
    "power -2": (lambda x: L.matrix_power(x, -2), [A]),
    "products": (L.matrix_dot, [TALL, A, WIDE]),
    "norm": (lambda x: L.norm(x, "nuc") * L.norm(x, 2), [TALL]),
    "rfft": (lambda x: T.fft.rfft(x) ** 2, [WIDE]),
    "rfft, even": (lambda x: T.fft.rfft(x, "ortho") ** 2, [RNG.rand(2, 3, 4)]),
    "irfft": (lambda x: T.fft.irfft(x) ** 2, [COMPLEX_HALF]),
    "irfft, odd": (lambda x: T.fft.irfft(x, is_odd=True) ** 2, [COMPLEX_HALF[0]]),
}  # fmt: skip


@pytest.mark.parametrize("name", DERIVED)
def test_derivatives_agree_with_differences_to_second_order(name):
    build, arrays = DERIVED[name]
    check_grad(build, arrays, order=2, abs_tol=2e-5, rel_tol=2e-5)


def test_every_op_here_is_tested_and_its_derivative_too():
    families = ("inverses", "decompositions", "solvers", "matrix_functions", "fourier", "stacks")
    ops = {op.name for op in OPS.values() if op.infer.__module__.split(".")[-1] in families}
    tried, derived = set(), set()
    for cases, found in ((VALUES.values(), tried), (DERIVED.values(), derived)):
        for build, arrays, *_ in cases:
            inputs = [T.tensor("float64", (None,) * np.ndim(a)) for a in arrays]
            order = graphc.Graph(tuple(inputs), (build(*inputs),)).nodes()
            found |= {v.op.name for v in order if v.op is not None}
    assert len(ops) >= 20 and ops - tried <= {"cofactors"}, ops - tried
    lacking = {name for name in ops if OPS[name].vjp is not None} - derived
    assert lacking <= {"cofactors"}, lacking  # the gradient of det, tested with it
    assert set(L.__all__) == {*T.nlinalg.__all__, *T.slinalg.__all__}


def test_singular_matrices_have_a_gradient_of_their_determinant():
    check_grad(L.det, [np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 1.0], [0.0, 0.0, 3.0]])])
    x = T.dmatrix("x")
    cofactors = T.grad(L.det(x), x).eval({x: [[0.0, 0.0], [0.0, 2.0]]})
    assert np.allclose(cofactors, [[2, 0], [0, 0]])


def test_gradients_of_a_gaussian_process_compile():
    x, y, scale = T.dmatrix("x"), T.dvector("y"), T.dscalar("scale")
    squares = ((x[:, None, :] - x[None, :, :]) ** 2).sum(2)
    kernel = T.exp(-squares / scale) + 0.1 * T.eye(x.shape[0])
    factor = L.cholesky(kernel)
    half = L.solve_lower_triangular(factor, y)
    loss = 0.5 * (half**2).sum() + T.log(L.extract_diag(factor)).sum()
    grads = T.grad(loss, [x, scale])
    points = [RNG.rand(5, 2), RNG.rand(5), 0.7]
    native = graphc.function([x, y, scale], [loss, *grads], mode="native")(*points)
    plain = graphc.function([x, y, scale], [loss, *grads], mode="numpy")(*points)
    assert all(np.allclose(a, b) for a, b in zip(native, plain))


# What is wrong, and where -------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["numpy", "native"])
def test_matrices_without_a_result_are_named_with_the_user_s_line(mode):
    x = T.dmatrix("x")
    for build, value, what in [
        (L.matrix_inverse, np.zeros((2, 2)), "Singular"),
        (L.cholesky, -np.eye(2), "positive definite"),
        (lambda x: L.solve_triangular(x, x), np.zeros((2, 2)), "singular"),
        (lambda x: L.solve(x, x), np.zeros((2, 2)), "Singular"),
    ]:
        f = graphc.function([x], build(x), mode=mode)
        with pytest.raises(LinearAlgebraError, match=f"(?s){what}.*test_linalg.py.*hint: add"):
            f(value)
        with pytest.raises(np.linalg.LinAlgError):
            f(value)
        assert np.isfinite(f(np.eye(3))).all()
    f = graphc.function([x], L.det(x), mode=mode)
    with pytest.raises(graphc.GraphError, match="(?s)square.*test_linalg.py"):
        f(np.zeros((2, 3)))


def test_wrong_operands_are_refused_when_they_are_declared():
    x, v, s = T.dmatrix("x"), T.dvector("v"), T.dscalar("s")
    wide = T.tensor("float64", (2, 3), "wide")
    z = T.zmatrix("z")
    with pytest.raises(ShapeError, match="(?s)takes a matrix.*v: float64.*test_linalg.py"):
        L.det(v)
    with pytest.raises(ShapeError, match="(?s)det.*wide.*2 rows and 3 columns.*test_linalg.py"):
        L.det(wide)
    with pytest.raises(ShapeError, match="2 rows"):
        L.solve(T.tensor("float64", (3, 3)), wide)
    with pytest.raises(ShapeError, match="scalar"):
        L.solve(x, s)
    with pytest.raises(graphc.GraphError, match="real numbers"):
        L.matrix_inverse(z)
    for wrong in (lambda: L.qr(x, mode="full"), lambda: L.eigh(x, UPLO="X"),
                  lambda: L.solve(x, v, assume_a="tri"), lambda: L.matrix_power(x, 0.5),
                  lambda: L.solve_triangular(x, v, trans=2), lambda: L.norm(x, 3),
                  lambda: T.fft.rfft(x, norm="forward"), lambda: T.fft.rfft(v)):  # fmt: skip
        with pytest.raises(graphc.GraphError, match="test_linalg.py"):
            wrong()


def test_what_has_no_gradient_says_so():
    x = T.dmatrix("x")
    for cost in (abs(L.svd(x)[0]).sum(), L.qr(x, mode="complete")[0].sum()):
        with pytest.raises(NullGradientError, match="(?s)(full_matrices=False|mode='reduced')"):
            T.grad(cost, x)
        with pytest.raises(NullGradientError):
            T.Rop(cost, x, x)


def test_small_and_empty_matrices():
    for build, shape in [(L.matrix_inverse, (0, 0)), (L.det, (0, 0)), (L.expm, (0, 0)),
                         (L.cholesky, (2, 0, 0)), (L.solve, (0, 0)), (L.eigh, (0, 0))]:  # fmt: skip
        empty = np.zeros(shape)
        found = part(0, build) if build is L.eigh else build
        arrays = [empty, empty] if build is L.solve else [empty]
        check_op(found, arrays)
    half = np.eye(2, dtype="float16")
    assert check_op(L.matrix_inverse, [2 * half], 0.5 * half).dtype == "float16"
    assert check_op(part(0, L.eig), [half], [1, 1]).dtype == "complex64"


def test_graphs_of_decompositions_are_pickled():
    x = T.dmatrix("x")
    again = pickle.loads(pickle.dumps(graphc.function([x], L.svd(x)[1])))
    assert np.allclose(again(TALL), np.linalg.svd(TALL)[1])
