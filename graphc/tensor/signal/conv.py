"""``T.signal.conv``: convolution of images and filters without channels."""

from graphc.ops.signals import signal_conv2d as conv2d

__all__ = ["conv2d"]
