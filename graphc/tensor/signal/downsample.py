"""``T.signal.downsample``: pooling under its older names."""

from graphc.ops.pool import max_pool_2d

__all__ = ["max_pool_2d"]
