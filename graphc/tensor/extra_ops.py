"""``T.extra_ops``: where Theano keeps some ops; all of them are in ``graphc.tensor`` too."""

from graphc.ops.axes import squeeze
from graphc.ops.cumulative import cumprod, cumsum, diff
from graphc.ops.nnet import one_hot as to_one_hot
from graphc.ops.ordering import bincount, searchsorted, unique
from graphc.ops.picking import compress
from graphc.ops.tiling import repeat

__all__ = [
    "bincount", "compress", "cumprod", "cumsum", "diff", "repeat", "searchsorted", "squeeze",
    "to_one_hot", "unique",
]  # fmt: skip
