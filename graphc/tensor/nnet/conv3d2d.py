"""``T.nnet.conv3d2d``: an older spelling of `conv3d`, with time before channels."""

from __future__ import annotations

from typing import Any

from graphc.core.node import Variable
from graphc.ops import convolutions as _conv
from graphc.ops.convert import as_variable as _as_variable
from graphc.ops.shape import dimshuffle as _dimshuffle


def conv3d(
    signals: Any, filters: Any, signals_shape: Any = None, filters_shape: Any = None,
    border_mode: Any = "valid",
) -> Variable:  # fmt: skip
    """The convolution of signals (batch, time, channels, height, width) with filters (filters,
    time, channels, height, width): (batch, time, filters, height, width).

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> x, w = np.ones((1, 4, 2, 3, 3)), np.ones((5, 2, 2, 3, 3))
    >>> T.nnet.conv3d2d.conv3d(x, w).eval().shape
    (1, 3, 5, 1, 1)
    """
    x, w = (_dimshuffle(_as_variable(v), 0, 2, 1, 3, 4) for v in (signals, filters))
    return _dimshuffle(_conv.conv3d(x, w, border_mode=border_mode), 0, 2, 1, 3, 4)


__all__ = ["conv3d"]
