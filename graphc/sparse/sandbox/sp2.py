"""``graphc.sparse.sandbox.sp2``: a path that programs import from."""

from graphc.ops.sparse_math import sampling_dot

__all__ = ["sampling_dot"]
