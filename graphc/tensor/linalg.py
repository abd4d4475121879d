"""``T.linalg``: all linear algebra, whether NumPy or SciPy has it."""

from graphc.tensor import nlinalg, slinalg
from graphc.tensor.nlinalg import *  # noqa: F403
from graphc.tensor.slinalg import *  # noqa: F403

__all__ = [*nlinalg.__all__, *slinalg.__all__]
