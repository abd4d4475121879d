"""``graphc.compile``: where Theano keeps what makes ops of functions and graphs."""

from graphc.compile import ops
from graphc.compile.ops import as_op
from graphc.subgraphs import OpFromGraph

__all__ = ["OpFromGraph", "as_op", "ops"]
