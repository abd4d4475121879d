"""``T.xlogx``: products with a logarithm that are 0 where their factor is."""

from graphc.ops.special import xlogx, xlogy0

__all__ = ["xlogx", "xlogy0"]
