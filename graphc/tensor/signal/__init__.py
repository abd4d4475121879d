"""``T.signal``: pooling."""

from graphc.tensor.signal import downsample, pool

__all__ = ["downsample", "pool"]
