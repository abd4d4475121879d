"""The generated cases of every elementwise op: types, broadcasting, kernels, derivatives.

Each check takes ops, so that one that has just been declared gets what the library's have.
"""

import itertools
import zlib

import numpy as np

import graphc
import graphc.tensor as T
from graphc.core import dtypes
from graphc.core.graph import Graph
from graphc.core.op import OPS
from graphc.testing import check_grad, inputs_like

NATIVE = [*dtypes.BOOL, *dtypes.INTEGERS, "float32", "float64"]
FLOATS = {"float32": 3e-6, "float64": 2e-14}
SHAPES = [(), (3,), (2, 3), (1, 3), (0, 3), (2, 1, 3)]


def elementwise_ops():
    """All of the library whose operands are plain tensors, by name."""
    left_out = ("cast", "checked_index")
    return [
        op for name, op in sorted(OPS.items())
        if op.elementwise and name not in left_out and "random" not in op.facts
    ]  # fmt: skip


def arity(op):
    return max(k for k in range(4) if f"{{{k}}}" in op.lower.template) + 1


def seeded(op):
    return np.random.RandomState(zlib.crc32(op.name.encode()))


# Types ----------------------------------------------------------------------------------------


def numbers(dtype, shape, rng):
    values = (
        rng.uniform(0.1, 0.9, shape) if dtypes.is_continuous(dtype) else rng.randint(1, 3, shape)
    )
    return dtypes.convert(values, dtype)


def check_types(build, arrays):
    """Declared types are those of what each op's meaning returns, sizes known or not."""
    for known in (True, False):
        inputs = inputs_like(arrays, known)
        output = build(*inputs)
        values = dict(zip(inputs, map(np.asarray, arrays)))
        for v in Graph(tuple(inputs), (output,)).nodes():
            if v in values:
                continue
            if v.op is None:
                values[v] = v.data
                continue
            with np.errstate(all="ignore"):
                found = v.op.numpy(*(values[a] for a in v.args), **v.attrs)
            found = np.asarray(found)
            given = dtypes.name_of(found.dtype)
            assert given == v.dtype, f"{v.op.name} declares {v.type}, gives {given}"
            shape = tuple(n if n is not None else m for n, m in zip(v.type.shape, found.shape))
            assert shape == found.shape, f"{v.op.name} declares {v.type}, gives {found.shape}"
            values[v] = found
        if known and output.op is not None:
            assert output.type.known, f"sizes of {output} are open though its operands' are known"
    return values[output]


def tried(op, arrays):
    """What an op gives, or None if it doesn't take these dtypes."""
    try:
        op(*inputs_like(arrays))
    except graphc.GraphError:
        return None
    return check_types(op, arrays)


def check_dtypes(op):
    """What an op declares and gives for every pair of dtypes; some of them it must take."""
    rng = seeded(op)
    count, taken = arity(op), 0
    for chosen in itertools.product(dtypes.ALL, repeat=min(count, 2)):
        chosen = chosen if count < 3 else ("bool", *chosen)
        result = tried(op, [numbers(d, (2, 3), rng) for d in chosen])
        taken += result is not None
    assert taken >= 3


def check_broadcasting(op):
    """The shapes that an op gives are those in which NumPy's meet."""
    rng = seeded(op)
    dtype = "float32" if tried(op, [np.ones(2, "float32")] * arity(op)) is not None else "int32"
    for shapes in itertools.product(SHAPES, repeat=min(arity(op), 2)):
        full = shapes if arity(op) < 3 else (*shapes, shapes[0])
        try:
            expected = np.broadcast_shapes(*full)
        except ValueError:
            continue
        assert check_types(op, [numbers(dtype, s, rng) for s in full]).shape == expected


# Kernels --------------------------------------------------------------------------------------


def both(inputs, outputs, calls):
    """What the compiled function and the interpreter give for each of several calls."""
    options = {"on_unused_input": "ignore"}
    native = graphc.function(inputs, outputs, mode="native", **options)
    plain = graphc.function(inputs, outputs, mode="numpy", **options)
    return [(native(*arrays), plain(*arrays)) for arrays in calls]


def equal(found, expected, label, tolerance=None):
    assert found.dtype == expected.dtype and found.shape == expected.shape, label
    assert type(found) is np.ndarray and found.flags.c_contiguous and found.flags.writeable
    name = expected.dtype.name
    if name not in FLOATS:
        np.testing.assert_array_equal(found, expected, label)
        return
    relative = FLOATS[name] if tolerance is None else tolerance
    with np.errstate(all="ignore"):  # NumPy's own functions are rough among subnormal numbers
        np.testing.assert_allclose(found, expected, relative, np.finfo(name).tiny, err_msg=label)


def specials(dtype):
    if dtype == "bool":
        return np.array([False, True])
    if dtypes.is_discrete(dtype):
        limits = np.iinfo(dtype)
        near = [0, 1, 2, 3, 7, 100, limits.max, limits.max - 1, limits.min, limits.min + 1]
        return np.array(near + [-1, -2, -7] * (limits.min < 0), dtype)
    limits = np.finfo(dtype)
    least, tiny, most = limits.smallest_subnormal, limits.tiny, limits.max
    found = [0, 1, 2, 0.5, 3, 1.5, 2.5, 1e-3, 0.1, 20, 100, tiny, least, 9 * least, most, np.inf]
    return np.array([*found, *(-x for x in found), np.nan], dtype)


ARITHMETIC = ("add", "sub", "mul", "neg", "abs", "true_div", "sqrt", "inv", "sqr", "floor", "trunc",
              "ceil", "rint", "switch")  # fmt: skip


def applied(op, operands):
    try:
        return op(*operands)
    except graphc.GraphError:
        return None  # not for these dtypes


def check_kernels(ops, dtype):
    """Kernels give what NumPy gives for all pairs of special values; how many ops take them."""
    first, second = (x.ravel() for x in np.meshgrid(specials(dtype), specials(dtype)))
    a, b = inputs_like([first, second])
    operands = {1: (a,), 2: (a, b), 3: (T.lt(a, b), a, b)}
    found = {op.name: applied(op, operands[arity(op)]) for op in ops}
    outputs = {name: v for name, v in found.items() if v is not None}
    if not outputs:
        return 0
    ((native, plain),) = both([a, b], list(outputs.values()), [(first, second)])
    for name, x, y in zip(outputs, native, plain):
        if name == "erfcinv" and dtype in FLOATS:  # SciPy's has no digits among subnormal numbers
            x, y = (v[np.abs(first) >= np.finfo(dtype).tiny] for v in (x, y))
        equal(x, y, f"{name} of {dtype}")
        if name in ARITHMETIC and dtype in FLOATS:
            np.testing.assert_array_equal(x, y, name)
            np.testing.assert_array_equal(np.signbit(x[x == 0]), np.signbit(y[y == 0]), name)
    return len(outputs)


# Derivatives ----------------------------------------------------------------------------------

DOMAIN = {
    "arccosh": (1.2, 3.0), "log": (0.3, 3), "log2": (0.3, 3), "log10": (0.3, 3),
    "sqrt": (0.3, 3), "rsqrt": (0.3, 3), "arcsin": (-0.9, 0.9), "arccos": (-0.9, 0.9),
    "arctanh": (-0.9, 0.9), "log1p": (-0.5, 3), "pow": (0.3, 2), "tan": (-1.2, 1.2),
    "gamma": (0.5, 3), "gammaln": (0.5, 3), "psi": (0.5, 3), "erfinv": (-0.9, 0.9),
    "erfcinv": (0.1, 1.9), "xlogx": (0.3, 3), "xlogy0": (0.3, 3),
    "true_div": (0.5, 2), "inv": (0.5, 2), "int_div": (0.6, 0.9), "mod": (0.6, 0.9),
}  # fmt: skip
PIECEWISE = {"abs", "sgn", "floor", "ceil", "trunc", "rint", "round_half_away", "relu"}


def sample(name, shape, rng):
    low, high = DOMAIN.get(name, (-2.0, 2.0))
    values = rng.uniform(low, high, shape)
    if name in PIECEWISE:  # away from kinks, which are at halves and integers
        values = np.round(values * 2) / 2 + 0.2
    return values


def check_derivatives(op):
    """Derivatives agree with differences, to second order, also of operands that broadcast."""
    rng, count = seeded(op), arity(op)
    for shapes in ([(3,)] * count, [(2, 3), (3,), (2, 1)][:count]):
        arrays = [sample(op.name, s, rng) for s in shapes]
        if op.name == "switch":
            arrays[0] = rng.rand(*shapes[0]) > 0.5
        result = applied(op, [T.constant(a) for a in arrays])
        if result is None:
            continue  # for integers only
        if dtypes.is_continuous(result.dtype):
            check_grad(op, arrays, order=2, abs_tol=1e-5, rel_tol=1e-5)
