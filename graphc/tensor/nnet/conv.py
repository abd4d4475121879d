"""``T.nnet.conv``: the older spelling of `conv2d`."""

from __future__ import annotations

from typing import Any

from graphc.core.node import Variable
from graphc.ops import conv as _conv


def conv2d(
    input: Any, filters: Any, image_shape: Any = None, filter_shape: Any = None,
    border_mode: Any = "valid", subsample: Any = (1, 1),
) -> Variable:  # fmt: skip
    """The convolution of images with filters; see ``T.nnet.conv2d``."""
    return _conv.conv2d(input, filters, image_shape, filter_shape, border_mode, subsample)


__all__ = ["conv2d"]
