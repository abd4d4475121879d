"""``T.signal.pool``: the largest, the sum or the mean of windows of images."""

from graphc.ops.pool import max_pool_2d, pool_2d

__all__ = ["max_pool_2d", "pool_2d"]
