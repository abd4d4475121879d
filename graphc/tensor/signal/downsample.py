"""``T.signal.downsample``: pooling under its older names."""

from graphc.ops.pool import max_pool_2d
from graphc.ops.pools import max_pool_2d_same_size
from graphc.tensor.signal.pool import Pool as DownsampleFactorMax

__all__ = ["DownsampleFactorMax", "max_pool_2d", "max_pool_2d_same_size"]
