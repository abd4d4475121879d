"""How the ops of docs/ops.md are called, where it isn't with matrices alone.

A key is a name, or a whole path (``T.nnet.relu``) where several ops share the name.
"""

from functools import cached_property

import numpy as np

import graphc
import graphc.tensor as T
from graphc.core import dtypes
from graphc.sparse import SparseType


class Inputs:
    """Inputs of one dtype and known sizes, made when an example asks for them."""

    def __init__(self, dtype):
        self.dtype, self.used = dtype, []
        self.fixed = {}  # the values of inputs that are not free

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

    @property
    def sequences(self):
        return self._input(self.dtype, 2, 3, 6)

    @property
    def volumes(self):
        return self._input(self.dtype, 2, 3, 4, 4, 4)

    @property
    def sparse(self):
        """A matrix of 3 rows and 4 columns with 5 entries, in compressed rows."""
        model = SparseType("csr", self.dtype, (3, 4))()
        data = self._input(self.dtype, 5)
        indices, indptr = self._input("int32", 5), self._input("int32", 4)
        self.fixed |= {indices: [0, 2, 1, 0, 3], indptr: [0, 2, 3, 5]}
        return model.with_parts([data, indices, indptr, model.minor])

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
            if v in self.fixed:
                array = self.fixed[v]
            elif dtypes.is_continuous(v.dtype):
                array = rng.uniform(0.3, 0.9, shape)
                if shape[-2:] == (3, 3):
                    array = array + np.swapaxes(array, -1, -2) + 4 * np.eye(3)
            else:
                array = np.resize([1, 0, 1], shape) if v.dtype == "bool" else np.arange(3)
            found.append(dtypes.convert(array, v.dtype))
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


def shaped(*shapes, **named):
    """A call with inputs of these shapes."""
    return lambda f, i: f(*(i._input(i.dtype, *shape) for shape in shapes), **named)


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
    "transfer": matrix_and("cuda:1"),
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
    "conv1d": shaped((2, 3, 6), (4, 3, 3)),
    "causal_conv1d": shaped((2, 3, 6), (4, 3, 3)),
    "conv3d": shaped((2, 3, 4, 4, 4), (4, 3, 3, 3, 3)),
    "T.nnet.conv3d2d.conv3d": shaped((2, 4, 3, 4, 4), (4, 3, 3, 3, 3)),
    "T.nnet.conv.conv2d": of("images", "filters"),
    "T.signal.conv.conv2d": shaped((2, 6, 6), (4, 3, 3)),
    "conv3D": shaped((2, 4, 4, 4, 3), (4, 3, 3, 3, 3), (4,)),
    "conv1d_transpose": shaped((2, 4, 6), (4, 3, 3), output_shape=(2, 3, 8)),
    "conv1d_grad_wrt_inputs": shaped((2, 4, 4), (4, 3, 3), input_shape=(2, 3, 6)),
    "conv1d_grad_wrt_weights": shaped((2, 3, 6), (2, 4, 4), filter_shape=(4, 3, 3)),
    "conv3d_transpose": shaped((2, 4, 2, 2, 2), (4, 3, 3, 3, 3), output_shape=(2, 3, 4, 4, 4)),
    "conv3d_grad_wrt_inputs": shaped((2, 4, 2, 2, 2), (4, 3, 3, 3, 3), input_shape=(2, 3, 4, 4, 4)),
    "conv3d_grad_wrt_weights": shaped(
        (2, 3, 4, 4, 4), (2, 4, 2, 2, 2), filter_shape=(4, 3, 3, 3, 3)
    ),
    "depthwise_conv2d": shaped((2, 3, 6, 6), (6, 1, 3, 3)),
    "separable_conv2d": shaped((2, 3, 6, 6), (6, 1, 3, 3), (4, 6, 1, 1)),
    "separable_conv3d": shaped((2, 3, 4, 4, 4), (6, 1, 3, 3, 3), (4, 6, 1, 1, 1)),
    "pool_3d": of("volumes", ws=(2, 2, 2)),
    "max_pool_3d": of("volumes", ds=(2, 2, 2)),
    "max_pool_2d_same_size": of("images", patch_size=(2, 2)),
    "max_pool_2d_with_positions": of("images", ws=(2, 2)),
    "unpool_2d": lambda f, i: f(i.scalar.dimshuffle("x", "x"), np.zeros((1, 1), int), (2, 2)),
    "stochastic_pool_2d": lambda f, i: f(i.images, 2, graphc.random.RandomStream(1)),
    "weighted_pool_2d": of("images", ws=2),
    **dict.fromkeys(("global_pool", "global_max_pool", "global_average_pool"), of("images")),
    "upsample": of("images", ratio=2),
    "bilinear_upsampling": of("images", ratio=2),
    "bilinear_kernel_1D": lambda f, i: f(2),
    "bilinear_kernel_2D": lambda f, i: f(2),
    "images2neibs": of("images", neib_shape=(2, 2)),
    "neibs2images": shaped((54, 4), neib_shape=(2, 2), original_shape=(2, 3, 6, 6)),
    # sparse matrices; the others take one
    **{f"sparse.{name}": of("sparse", "sparse") for name in ("add", "sub", "mul")},
    "sparse.as_sparse_variable": of("sparse"),
    "sparse.cast": of("sparse", dtype="float32"),
    "sparse.convert": of("sparse", format="csc"),
    "sparse.CSR": shaped((2,), indices=[0, 1], indptr=[0, 1, 2], shape=(2, 2)),
    "sparse.CSC": shaped((2,), indices=[0, 1], indptr=[0, 1, 2], shape=(2, 2)),
    "sparse.csr_from_dense": of("matrix"),
    "sparse.csc_from_dense": of("matrix"),
    "sparse.square_diagonal": of("vector"),
    "sparse.dot": lambda f, i: f(i.sparse, i.matrix.T),
    "sparse.row_scale": of("sparse", "vector"),
    "sparse.col_scale": lambda f, i: f(i.sparse, i._input(i.dtype, 4)),
    "sparse.structured_add_s_v": lambda f, i: f(i.sparse, i._input(i.dtype, 4)),
    "sparse.usmm": lambda f, i: f(i.scalar, i.sparse, i.matrix.T, i.square),
    "sparse.sampling_dot": lambda f, i: f(i.square, i._input(i.dtype, 4, 3), i.sparse),
    "sparse.hstack": lambda f, i: f([i.sparse, i.sparse]),
    "sparse.vstack": lambda f, i: f([i.sparse, i.sparse]),
    **{
        f"sparse.structured_{name}": of("sparse", "scalar")
        for name in ("add", "maximum", "minimum", "pow")
    },
    # loops: their functions
    "graphc.scan": lambda f, i: f(lambda x, s: x * s, i.vector, i.scalar)[0],
    "graphc.map": lambda f, i: f(lambda x: x * x, i.vector)[0],
    **{
        f"graphc.{name}": lambda f, i: f(lambda x, s: x * s, i.vector, i.scalar)[0]
        for name in ("reduce", "foldl", "foldr")
    },
    "graphc.until": lambda f, i: graphc.scan(
        lambda s: (s * s, f(T.lt(s * s, 0.1))), None, i.scalar, n_steps=5
    )[0],
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
