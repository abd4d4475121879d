"""``T.signal``: pooling, and convolution without channels."""

from graphc.tensor.signal import conv, downsample, pool

__all__ = ["conv", "downsample", "pool"]
