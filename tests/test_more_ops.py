"""Special functions, complex numbers, normalisation and losses: values in both modes, gradients."""

import numpy as np
import pytest
import scipy.special

import graphc
import graphc.tensor as T
from graphc.testing import check_grad, check_op

RNG = np.random.RandomState(0)
V, M, C = RNG.rand(5) + 0.1, RNG.randn(3, 4), RNG.rand(2, 3, 4) + 0.1
X = RNG.randn(4, 3, 2, 2)
Y = np.array([0, 3, 1])
SIGNS = np.sign(M)
Z = M + 1j * M[::-1]
N = T.nnet


@pytest.fixture(autouse=True)
def double_precision():
    with graphc.config(floatX="float64"):
        yield


def normed(x, axes, epsilon):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


def responses(x):
    square = np.pad(x**2, ((0, 0), (1, 1), (0, 0)))
    return x / (2 + 0.5 * (square[:, :-2] + square[:, 1:-1] + square[:, 2:])) ** 0.75


ELU = np.where(M > 0, M, np.expm1(M))
SCORES = M - M[range(3), Y][:, None] + 1
SCORES[range(3), Y] = 0

# Those whose name begins with a "~" have no gradient to check.
CASES = {
    "deg2rad": (T.deg2rad, [M], np.deg2rad(M)),
    "rad2deg": (T.rad2deg, [M], np.rad2deg(M)),
    "cube": (T.cube, [M], M**3),
    "tri_gamma": (T.tri_gamma, [V], scipy.special.polygamma(1, V)),
    "logaddexp of far numbers": (lambda x: T.logaddexp(x, 900.0), [M * 1e3],
                                 np.logaddexp(M * 1e3, 900)),
    "~isclose": (lambda x: T.isclose(x, x * (1 + 1e-6)), [np.array([1.0, np.inf, np.nan])],
                 [True, True, False]),
    "~isclose, equal NaN": (lambda x: T.isclose(x, x[::-1], equal_nan=True),
                            [np.array([np.nan, 1.0, 1.1, np.nan])], [True, False, False, True]),
    "~allclose": (lambda x: T.allclose(x, x + 1e-9), [M], True),
    "~logical": (lambda x, y: T.logical_not(T.logical_and(x, T.logical_or(y, 0))), [Y, Y[::-1]],
                 ~((Y != 0) & (Y[::-1] != 0))),
    "~left shift": (lambda i: i << T.constant([0, 1, 70]), [Y], [0, 6, 0]),
    "~right shift": (lambda i: i >> 1, [-Y], -Y >> 1),
    "real": (lambda x: T.complex(x, x + 1).real, [M], M),
    "imag": (lambda x: T.complex(1, x**2).imag, [M], M**2),
    "angle": (lambda x: T.angle(T.complex(x, 2.0)), [M], np.arctan2(2, M)),
    "polar": (lambda r, a: T.imag(T.complex_from_polar(r, a)), [C, C + 1], C * np.sin(C + 1)),
    "~conj": (lambda z: z.conj(), [Z], Z.conj()),
    "~conj of real": (T.conj, [M], M),
    "~abs": (abs, [Z], np.abs(Z)),
    "~complex dot": (lambda z: T.dot(z, T.conj(z).T), [Z], Z @ Z.conj().T),
    "variance, corrected": (lambda x: T.var(x, 0, ddof=1), [M], M.var(0, ddof=1)),
    "product with a zero": (lambda x: T.prod(x, 0), [np.array([[0.0, 1], [2, 3]])], [0.0, 3]),
    "~sum of float32 in float64": (
        lambda x: T.sum(x, acc_dtype="float64", dtype="float64"),
        [np.array([1e8, 1, -1e8], "float32")], 1.0,
    ),
    "selu": (N.selu, [M], 1.0507009873554805 * np.where(M > 0, M, 1.6732632423543772 * ELU)),
    "gelu": (N.gelu, [M], M * scipy.special.ndtr(M)),
    "gelu, approximate": (lambda x: N.gelu(x, True), [M], None),
    "swish": (lambda x: N.swish(x, 2.0), [M], M * scipy.special.expit(2 * M)),
    "leaky_relu": (N.leaky_relu, [M], np.where(M > 0, M, 0.01 * M)),
    "learned alpha": (lambda x, a: N.relu(x, a), [M, V[:4]], np.where(M > 0, M, V[:4] * M)),
    "maxout": (lambda x: N.maxout(x, 2), [M], M.reshape(3, 2, 2).max(2)),
    "hinge": (lambda x: N.hinge(x, SIGNS), [M * 2], np.maximum(0, 1 - np.abs(2 * M))),
    "squared_hinge": (lambda x: N.squared_hinge(x, SIGNS), [M * 2],
                      np.maximum(0, 1 - np.abs(2 * M)) ** 2),
    "multiclass_hinge": (lambda x: N.multiclass_hinge(x, Y), [M], SCORES.max(1)),
    "huber": (lambda x, y: N.huber(x, y, 0.7), [M, -M],
              np.where(np.abs(2 * M) < 0.7, 2 * M**2, 0.7 * (np.abs(2 * M) - 0.35))),
    "squared_error": (N.squared_error, [M, -M], 4 * M**2),
    "crossentropy": (lambda x: N.crossentropy_softmax_1hot(x, Y)[0], [M],
                     scipy.special.logsumexp(M, 1) - M[range(3), Y]),
    "crossentropy with bias": (
        lambda x, b: N.crossentropy_softmax_argmax_1hot_with_bias(x, b, Y)[0], [M, V[:4]],
        scipy.special.logsumexp(M + V[:4], 1) - (M + V[:4])[range(3), Y],
    ),
    "embedding": (lambda w: N.embedding(w, T.constant([[0, 2], [2, 2]])), [M], M[[[0, 2], [2, 2]]]),
    "~confusion_matrix": (lambda y: N.confusion_matrix(y, y[::-1])[0], [Y],
                          [[0, 1, 0], [1, 0, 0], [0, 0, 1]]),
    "layer_norm": (lambda x, g: N.layer_norm(x, g, 1.0), [M, V[:4]],
                   normed(M, 1, 1e-5) * V[:4] + 1),
    "local_response_norm": (lambda x: N.local_response_norm(x, 3, 2, 0.5), [C], responses(C)),
    "batch_normalization": (N.bn.batch_normalization, [M, V[:4], V[1:], V[:4] + 1, V[1:] + 1],
                            (M - V[:4] - 1) / (V[1:] + 1) * V[:4] + V[1:]),
    "batch norm": (lambda x, g, b: N.bn.batch_normalization_train(x, g, b)[0],
                   [M, V[:4], V[1:]], normed(M, 0, 1e-4) * V[:4] + V[1:]),
    "spatial batch norm": (
        lambda x, g, b: N.bn.batch_normalization_train(x, g, b, "spatial")[0],
        [X, V[:3], V[None, :3, None, None]],
        normed(X, (0, 2, 3), 1e-4) * V[:3, None, None] + V[:3, None, None],
    ),
    "running variance": (
        lambda x, v: N.bn.batch_normalization_train(
            x, T.ones(3), T.zeros(3), "spatial", running_mean=v, running_var=v,
            running_average_factor=0.25,
        )[4],
        [X, V[:3]], 0.75 * V[:3] + 0.25 * X.var((0, 2, 3), ddof=1),
    ),
    "batch norm in use": (
        lambda x, g: N.bn.batch_normalization_test(x, g, 0 * g, g + 1, g, epsilon=0.5),
        [M, V[:4]], (M - V[:4] - 1) / np.sqrt(V[:4] + 0.5) * V[:4],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name):
    build, arrays, expected = CASES[name]
    plain = check_op(build, arrays, expected, mode="numpy")
    inputs = [T.TensorType(a.dtype.name, (None,) * np.ndim(a))() for a in arrays]
    native = graphc.function(inputs, build(*inputs), mode="native", on_unused_input="ignore")
    found = native(*arrays)
    assert found.dtype == plain.dtype and found.shape == plain.shape
    np.testing.assert_allclose(found, plain, 1e-11, 1e-14)
    if not name.startswith("~"):
        check_grad(build, arrays, mode="numpy")


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_gradients_of_complex_inputs_hold_both_partial_derivatives(dtype):
    z = T.TensorType(dtype, (None,))("z")
    cost = T.sum(T.real(z) ** 2 * T.imag(z) + T.real(z * z * (2 - 1j)))
    at = np.array([1 + 2j, -0.5 + 1j], dtype)
    x, y = at.real, at.imag
    by_real, by_imag = 2 * x * y + 4 * x + 2 * y, x**2 - 4 * y + 2 * x
    for mode in ("numpy", "native"):
        gradient = graphc.function([z], T.grad(cost, z), mode=mode)(at)
        assert gradient.dtype == dtype
        np.testing.assert_allclose(gradient, by_real + 1j * by_imag, 1e-6)


ANALYTIC = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2,
    "log10": np.log10, "log1p": np.log1p, "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "arcsin": np.arcsin, "arccos": np.arccos, "arctan": np.arctan, "sinh": np.sinh,
    "cosh": np.cosh, "tanh": np.tanh, "arcsinh": np.arcsinh, "arccosh": np.arccosh,
    "arctanh": np.arctanh, "sqrt": np.sqrt, "rsqrt": lambda z: 1 / np.sqrt(z),
    "reciprocal": np.reciprocal, "sqr": np.square,
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_functions_of_complex_numbers_have_their_values_on_both_sides_of_their_cuts(dtype):
    z = T.TensorType(dtype, (None,))("z")
    parts = [0.0, -0.0, 0.3, -0.7, 2.0, -3.0]
    at = np.array([complex(a, b) for a in parts for b in parts], dtype)
    found = {name: graphc.function([z], getattr(T, name)(z), mode="numpy") for name in ANALYTIC}
    native = graphc.function([z], [getattr(T, name)(z) for name in ANALYTIC], mode="native")(at)
    for (name, numpy), other in zip(ANALYTIC.items(), native):
        with np.errstate(all="ignore"):
            expected = numpy(at)
        for value in (found[name](at), other):
            assert value.dtype == dtype
            np.testing.assert_array_equal(value, expected, name)
    for refused in (T.arctan2, T.nnet.softplus, T.floor, T.erf, T.maximum):
        with pytest.raises(graphc.GraphError, match="real"):
            refused(*(z, z)[: 2 if refused in (T.arctan2, T.maximum) else 1])


@pytest.mark.parametrize("mode", ["numpy", "native"])
def test_functions_of_complex_numbers_are_differentiated(mode):
    """The gradient has the derivative by the real part in its own, and so for the imaginary."""
    z, w = T.zvector("z"), T.zscalar("w")
    built = [getattr(T, name)(z) for name in ANALYTIC]
    built += [z**w, z**3, z**0.5, 2.0**z, z ** (1 - 2j), T.log(1 + z * z), T.tanh(z) * T.log(z + 3)]
    costs = [T.sum(2 * T.real(y) - T.imag(y)) for y in built]
    grads = [T.grad(cost, [z, w], disconnected_inputs="ignore") for cost in costs]
    f = graphc.function([z, w], costs, mode="numpy")
    flat = [g for pair in grads for g in pair]
    found = graphc.function([z, w], flat, mode=mode)
    at, power, step = Z[0, :3] + 0.1, np.asarray(1.2 - 0.4j), 1e-6

    def slope(dz, dw):
        high, low = f(at + dz, power + dw), f(at - dz, power - dw)
        return (np.array(high) - np.array(low)) / (2 * step)

    rows = []
    for k in range(3):
        move = np.zeros(3, complex)
        move[k] = step
        rows.append(slope(move, 0) + 1j * slope(1j * move, 0))
    by_power = slope(0, step) + 1j * slope(0, 1j * step)
    values = found(at, power)
    for k, (by_z, by_w) in enumerate(zip(values[::2], values[1::2])):
        label = str(built[k])
        np.testing.assert_allclose(by_z, [row[k] for row in rows], 1e-6, 1e-7, err_msg=label)
        np.testing.assert_allclose(by_w, by_power[k], 1e-6, 1e-7, err_msg=label)


def test_a_power_of_complex_zero_has_no_nan_in_its_gradient_by_the_exponent():
    z, w = T.zvector("z"), T.zscalar("w")
    gradient = T.grad(T.sum(T.real(z**w)), w)
    value = graphc.function([z, w], gradient, mode="numpy")(np.array([0j, 2]), np.asarray(2 + 0j))
    np.testing.assert_allclose(value, np.log(2) * 4)


def test_rules_about_real_numbers_leave_complex_ones_alone():
    z = T.zvector("z")
    e = T.exp(-z)
    for f in (T.sqrt(z * z), T.exp(z) - 1, T.exp(z) / T.exp(z).sum(), 1 / (1 + e), (z**2) ** 0.5):
        outputs = [f, T.grad(T.real(f).sum(), z)]
        plain, native = (graphc.function([z], outputs, mode=m)(Z[0]) for m in ("numpy", "native"))
        np.testing.assert_allclose(plain, native, 1e-9)


def test_signatures_that_programs_use():
    with pytest.raises(graphc.GraphError, match="real"):
        T.complex(T.zvector("z"), 1)
    with pytest.raises(graphc.GraphError, match="integers"):
        T.left_shift(T.dvector("x"), 1)
    with pytest.raises(graphc.GraphError, match="no groups of 3"):
        N.maxout(T.ones((2, 4)), 3)
    with pytest.raises(graphc.GraphError, match="rank"):
        N.bn.batch_normalization_train(T.dmatrix("x"), T.dtensor3("g"), 0.0)


def test_modules_are_where_theano_has_them():
    assert T.xlogx.xlogy0 is T.xlogy0 and callable(T.extra_ops.to_one_hot)
    x = T.constant([0.0, 2.0])
    np.testing.assert_allclose(T.xlogx.xlogx(x).eval(), [0, 2 * np.log(2)])
    assert T.full((2, 3), 1.5, "float32").type == T.TensorType("float32", (2, 3))
