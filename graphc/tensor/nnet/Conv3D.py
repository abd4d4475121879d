"""``T.nnet.Conv3D``: Theano's path of the correlation of volumes with channels last."""

from __future__ import annotations

from typing import Any

from graphc.core.node import Variable
from graphc.tensor.nnet.conv import conv3D


class Conv3D:
    """``Conv3D()(V, W, b, d)`` is `conv3D`."""

    def __call__(self, V: Any, W: Any, b: Any, d: Any) -> Variable:
        return conv3D(V, W, b, d)


__all__ = ["Conv3D", "conv3D"]
