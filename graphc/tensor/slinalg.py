"""``T.slinalg``: linear algebra that SciPy has, under Theano's names."""

from graphc.ops.matrix_functions import expm, kron
from graphc.ops.solvers import (
    cholesky,
    eigvalsh,
    solve,
    solve_lower_triangular,
    solve_triangular,
    solve_upper_triangular,
)

__all__ = [
    "cholesky", "eigvalsh", "expm", "kron", "solve", "solve_lower_triangular",
    "solve_triangular", "solve_upper_triangular",
]  # fmt: skip
