"""``graphc.compile.sharedvalue``: Theano's path of shared variables."""

from graphc.core.node import SharedVariable
from graphc.sharing import shared

__all__ = ["SharedVariable", "shared"]
