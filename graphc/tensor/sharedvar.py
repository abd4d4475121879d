"""``T.sharedvar``: Theano's path of shared variables."""

from graphc.core.node import SharedVariable
from graphc.sharing import shared

TensorSharedVariable = ScalarSharedVariable = SharedVariable

__all__ = ["ScalarSharedVariable", "SharedVariable", "TensorSharedVariable", "shared"]
