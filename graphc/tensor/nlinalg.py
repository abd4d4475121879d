"""``T.nlinalg``: linear algebra that NumPy has, under Theano's names."""

from graphc.ops.decompositions import eig, eigh, qr, svd
from graphc.ops.inverses import det, matrix_inverse, pinv, slogdet
from graphc.ops.matrix_functions import (
    alloc_diag,
    diag,
    extract_diag,
    matrix_dot,
    matrix_power,
    norm,
    tensorinv,
    trace,
)
from graphc.ops.solvers import lstsq

inv = matrix_inverse

__all__ = [
    "alloc_diag", "det", "diag", "eig", "eigh", "extract_diag", "inv", "lstsq", "matrix_dot",
    "matrix_inverse", "matrix_power", "norm", "pinv", "qr", "slogdet", "svd", "tensorinv",
    "trace",
]  # fmt: skip
