"""``T.signal.pool``: one number for each window of images and of volumes, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graphc.core.node import Variable
from graphc.ops.convolutions import so_many as _so_many
from graphc.ops.pool import max_pool_2d, pool_2d
from graphc.ops.pool import pooled_size as _pooled_size
from graphc.ops.pools import max_pool_2d_same_size, max_pool_3d, pool_3d
from graphc.ops.stochastic import stochastic_pool_2d, weighted_pool_2d
from graphc.ops.unpool import max_pool_2d_with_positions, unpool_2d
from graphc.ops.upsampling import upsample


@dataclass(frozen=True)
class Pool:
    """``Pool(...)(images, ws, stride, pad)`` is `pool_2d`, or `pool_3d` if `ndim` is 3."""

    ignore_border: bool = False
    mode: str = "max"
    ndim: int = 2

    def __call__(self, x: Any, ws: Any, stride: Any = None, pad: Any = None) -> Variable:
        pooled = pool_3d if self.ndim == 3 else pool_2d
        return pooled(x, ws, self.ignore_border, stride, 0 if pad is None else pad, self.mode)

    @staticmethod
    def out_shape(
        imgshape: Any, ws: Any = None, ignore_border: bool = False, stride: Any = None,
        pad: Any = None, ndim: int = 2, ds: Any = None, st: Any = None, padding: Any = None,
    ) -> list[Any]:  # fmt: skip
        """The shape of a result, from numbers.

        >>> Pool.out_shape((10, 3, 7, 8), (2, 2), ignore_border=True)
        [10, 3, 3, 4]
        """
        window = _so_many(ws if ws is not None else ds, ndim, "ws")
        given = stride if stride is not None else st
        steps = window if given is None else _so_many(given, ndim, "stride")
        around = pad if pad is not None else padding
        zeros = (0,) * ndim if around is None else _so_many(around, ndim, "pad", 0)
        sizes = list(imgshape)
        found = [
            _pooled_size(int(n), *rest, ignore_border)
            for n, *rest in zip(sizes[-ndim:], window, steps, zeros)
        ]
        return [*sizes[:-ndim], *found]


__all__ = [
    "Pool", "max_pool_2d", "max_pool_2d_same_size", "max_pool_2d_with_positions", "max_pool_3d",
    "pool_2d", "pool_3d", "stochastic_pool_2d", "unpool_2d", "upsample", "weighted_pool_2d",
]  # fmt: skip
