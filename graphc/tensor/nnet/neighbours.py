"""``T.nnet.neighbours``: windows of images as rows of a matrix, and back."""

from graphc.ops.neighbours import images2neibs, neibs2images

__all__ = ["images2neibs", "neibs2images"]
