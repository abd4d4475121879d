"""``T.nnet.conv``: older spellings of convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphc.core.node import Variable
from graphc.ops import convolutions as _conv
from graphc.ops.convert import as_variable as _as_variable
from graphc.tensor.nnet.abstract_conv import get_conv_output_shape as _output_shape


def conv2d(
    input: Any, filters: Any, image_shape: Any = None, filter_shape: Any = None,
    border_mode: Any = "valid", subsample: Any = (1, 1), **kargs: Any,
) -> Variable:  # fmt: skip
    """The convolution of images with filters; see ``T.nnet.conv2d``. Other arguments were hints
    about speed, and nothing depends on them."""
    return _conv.conv2d(input, filters, image_shape, filter_shape, border_mode, subsample)


@dataclass(frozen=True)
class ConvOp:
    """``ConvOp(...)(images, filters)`` is `conv2d` with the stride ``(dx, dy)``; nothing depends
    on the sizes."""

    imshp: Any = None
    kshp: Any = None
    nkern: Any = None
    bsize: Any = None
    dx: int = 1
    dy: int = 1
    output_mode: str = "valid"

    def __call__(self, inputs: Any, kerns: Any) -> Variable:
        stride = self.dx or 1, self.dy or 1
        return _conv.conv2d(inputs, kerns, border_mode=self.output_mode, subsample=stride)

    @staticmethod
    def getOutputShape(
        inshp: Sequence[int], kshp: Sequence[int], stride: Sequence[int] = (1, 1),
        mode: str = "valid",
    ) -> tuple[Any, ...]:  # fmt: skip
        """The height and width of a result.

        >>> ConvOp.getOutputShape((7, 6), (3, 3), (2, 1), "full")
        (5, 8)
        """
        return _output_shape((None, None, *inshp), (None, None, *kshp), mode, stride)[2:]


def conv3D(V: Any, W: Any, b: Any, d: Any = (1, 1, 1)) -> Variable:
    """The correlation of volumes with filters, channels last, plus a bias.

    ``out[n, r, c, t, k] = b[k] + sum over x, y, z, j of
    V[n, d0 r + x, d1 c + y, d2 t + z, j] W[k, x, y, z, j]``

    Parameters
    ----------
    V : (batch, rows, columns, times, channels)
        Volumes.
    W : (filters, rows, columns, times, channels)
        Filters, which are not turned.
    b : vector
        What is added for each filter.
    d : three of int
        The stride.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> T.nnet.conv3D(np.ones((1, 2, 2, 2, 3)), np.ones((1, 2, 2, 2, 3)), [0.5]).eval().ravel()
    array([24.5])
    """
    x, w = (_as_variable(v).dimshuffle(0, 4, 1, 2, 3) for v in (V, W))  # type: ignore[attr-defined]
    made: Any = _conv.conv3d(x, w, subsample=tuple(d), filter_flip=False)
    return made.dimshuffle(0, 2, 3, 4, 1) + _as_variable(b)  # type: ignore[no-any-return]


__all__ = ["ConvOp", "conv2d", "conv3D"]
