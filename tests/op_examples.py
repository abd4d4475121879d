"""How the ops of docs/ops.md are called, where it isn't with matrices alone."""

from functools import cached_property

import numpy as np

import graphc.tensor as T
from graphc.core import dtypes


class Inputs:
    """Inputs of one dtype and known sizes, made when an example asks for them."""

    def __init__(self, dtype):
        self.dtype, self.used = dtype, []

    def _input(self, dtype, *shape):
        made = T.tensor(dtype, shape, f"x{len(self.used)}")
        self.used.append(made)
        return made

    @property
    def matrix(self):
        return self._input(self.dtype, 3, 4)

    @property
    def square(self):
        return self._input(self.dtype, 3, 3)

    @property
    def vector(self):
        return self._input(self.dtype, 3)

    @property
    def scalar(self):
        return self._input(self.dtype)

    @property
    def stack(self):
        return self._input(self.dtype, 2, 3, 3)

    @property
    def images(self):
        return self._input(self.dtype, 2, 3, 6, 6)

    @property
    def filters(self):
        return self._input(self.dtype, 4, 3, 3, 3)

    @cached_property
    def positions(self):
        return self._input("int64", 3)

    @cached_property
    def mask(self):
        return self._input("bool", 3)

    def values(self):
        """An array for every input; matrices that are square are positive definite."""
        rng, found = np.random.RandomState(0), []
        for v in self.used:
            shape = v.type.shape
            if dtypes.is_continuous(v.dtype):
                array = rng.uniform(0.3, 0.9, shape)
                if shape[-2:] == (3, 3):
                    array = array + np.swapaxes(array, -1, -2) + 4 * np.eye(3)
            else:
                array = np.resize([1, 0, 1], shape) if v.dtype == "bool" else np.arange(3)
            found.append(np.asarray(array).astype(v.dtype))
        return found


def vector(f, i):
    return f(i.vector)


def square(f, i):
    return f(i.square)


def matrix_and(*given, **named):
    """A call with a matrix and what isn't symbolic."""
    return lambda f, i: f(i.matrix, *given, **named)


def of(*kinds, **named):
    """A call with inputs of the named kinds."""
    return lambda f, i: f(*(getattr(i, kind) for kind in kinds), **named)


def part(f, i):
    return f(i.matrix[1:], i.matrix[1:])


def drawn(*kinds, size=None, **named):
    """A draw, with inputs as its parameters where there are some."""
    return lambda f, i: f(size, *(getattr(i, kind) for kind in kinds), **named)


# What is looked at with complex operands.
PARTS = {"real", "imag", "conj", "angle"}
EXAMPLES = {
    # elementwise
    "cast": matrix_and("float32"),
    "polygamma": lambda f, i: f(2, i.matrix),
    "and_": of("vector", "vector"),
    "or_": of("vector", "vector"),
    "xor": of("vector", "vector"),
    "invert": of("vector"),
    "left_shift": of("vector", "vector"),
    "right_shift": of("vector", "vector"),
    "stacklists": lambda f, i: f([[i.scalar, i.scalar], [i.scalar, i.scalar]]),
    # order
    "argtopk": matrix_and(2),
    "topk": matrix_and(2),
    "topk_and_argtopk": matrix_and(2),
    "bincount": of("vector"),
    "searchsorted": of("vector", "vector"),
    # shapes
    "dimshuffle": matrix_and(1, "x", 0),
    "reshape": matrix_and((2, 6)),
    "flatten": matrix_and(1),
    "shape_padaxis": matrix_and(1),
    "expand_dims": matrix_and(1),
    "moveaxis": matrix_and(0, 1),
    "patternbroadcast": matrix_and((False, False)),
    "specify_shape": matrix_and((3, 4)),
    "swapaxes": matrix_and(0, 1),
    "broadcast_to": matrix_and((2, 3, 4)),
    "squeeze": lambda f, i: f(i.matrix[:1], 0),
    "addbroadcast": lambda f, i: f(i.matrix[:1], 0),
    "atleast_1d": of("scalar"),
    "alloc": lambda f, i: f(i.vector, 2, 3),
    "full": lambda f, i: f((3, 4), i.scalar),
    "ones": lambda f, i: f((3, 4)),
    "zeros": lambda f, i: f((3, 4)),
    "arange": lambda f, i: f(4),
    "eye": lambda f, i: f(3, 4),
    "tri": lambda f, i: f(3, 4),
    "meshgrid": of("vector", "vector"),
    "concatenate": lambda f, i: f([i.matrix, i.matrix]),
    "stack": lambda f, i: f([i.matrix] * 2),
    "join": lambda f, i: f(0, i.matrix, i.matrix),
    "pad": matrix_and(1),
    "repeat": matrix_and(2, 0),
    "roll": matrix_and(1),
    "tile": matrix_and((2, 1)),
    "split": lambda f, i: f(i.vector, [1, 2], 2),
    "getitem": matrix_and((slice(1, None), 0)),
    "set_subtensor": part,
    "inc_subtensor": part,
    "take": lambda f, i: f(i.matrix, i.positions, 0),
    "choose": lambda f, i: f(i.positions, [i.vector, i.vector, i.vector]),
    "compress": lambda f, i: f(i.mask, i.matrix, 0),
    "take_along_axis": lambda f, i: f(i.vector, i.positions, 0),
    "switch": lambda f, i: f(i.mask, i.vector, i.vector),
    "largest": of("matrix", "matrix"),
    "smallest": of("matrix", "matrix"),
    "fill": of("square", "vector"),
    "broadcast_like": of("vector", "square"),
    "full_like": of("square", "scalar"),
    # products and linear algebra
    "dot": lambda f, i: f(i.matrix, i.matrix.T),
    "outer": of("vector", "vector"),
    "matmul": of("stack", "stack"),
    "batched_dot": of("stack", "stack"),
    "batched_tensordot": of("stack", "stack", axes=1),
    "tensordot": of("square", "square", axes=1),
    "matrix_dot": of("square", "square"),
    "kron": of("square", "square"),
    "matrix_power": lambda f, i: f(i.square, 3),
    "tensorinv": lambda f, i: f(i.square, 1),
    **dict.fromkeys(
        (
            "det",
            "inv",
            "slogdet",
            "eig",
            "eigh",
            "cholesky",
            "expm",
            "eigvalsh",
            "qr",
            "svd",
            "pinv",
            "trace",
        ),
        square,
    ),
    **dict.fromkeys(
        ("solve", "solve_lower_triangular", "solve_triangular", "solve_upper_triangular"),
        of("square", "vector"),
    ),
    "lstsq": of("square", "vector"),
    "alloc_diag": vector,
    "diag": square,
    "irfft": lambda f, i: f(i._input(i.dtype, 2, 3, 2)),
    # networks
    "grad_clip": matrix_and(-1, 1),
    "grad_scale": matrix_and(2),
    "straight_through": lambda f, i: f(i.matrix * 2, i.matrix),
    "one_hot": lambda f, i: f(i.positions, 3),
    "to_one_hot": lambda f, i: f(i.positions, 3),
    "confusion_matrix": of("positions", "positions"),
    "categorical_crossentropy": of("square", "positions"),
    "crossentropy_categorical_1hot": of("square", "positions"),
    "crossentropy_softmax_1hot": of("square", "positions"),
    "crossentropy_softmax_1hot_with_bias": of("square", "vector", "positions"),
    "crossentropy_softmax_argmax_1hot_with_bias": of("square", "vector", "positions"),
    "embedding": lambda f, i: f(i.square, i.positions),
    "maxout": matrix_and(2),
    "multiclass_hinge": of("square", "positions", delta=9),
    "softmax_with_bias": of("square", "vector"),
    "conv2d": of("images", "filters"),
    "pool_2d": of("images", ws=(2, 2)),
    "max_pool_2d": of("images", ds=(2, 2)),
    "conv2d_transpose": lambda f, i: f(i.images, i.filters.dimshuffle(1, 0, 2, 3), (2, 4, 8, 8)),
    "conv2d_grad_wrt_inputs": lambda f, i: f(
        i._input(i.dtype, 2, 4, 4, 4), i.filters, (2, 3, 6, 6)
    ),
    "conv2d_grad_wrt_weights": lambda f, i: f(
        i.images, i._input(i.dtype, 2, 4, 4, 4), (4, 3, 3, 3)
    ),
    "local_response_norm": of("images"),
    # random numbers: called with a size, or the parameters' shapes
    "stream.bernoulli": drawn("vector"),
    "stream.beta": drawn("vector", "vector"),
    "stream.binomial": lambda f, i: f(None, 10, i.vector),
    "stream.categorical": lambda f, i: f(i.matrix),
    "stream.choice": drawn(size=(3,), a=5),
    "stream.exponential": drawn("vector"),
    "stream.gamma": drawn("vector", "vector"),
    "stream.gumbel": drawn("vector", "vector"),
    "stream.integers": lambda f, i: f(6, size=(3,)),
    "stream.multinomial": lambda f, i: f(None, 1, i.matrix),
    "stream.normal": drawn("vector", "vector"),
    "stream.permutation": drawn(n=5),
    "stream.poisson": drawn("vector"),
    "stream.random_integers": drawn(size=(3,)),
    "stream.shuffle_row_elements": lambda f, i: f(i.matrix),
    "stream.truncated_normal": drawn("vector", "vector"),
    "stream.uniform": drawn("vector", "vector"),
}
