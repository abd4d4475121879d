"""``graphc.gof``: Theano's path of what graphs consist of."""

from graphc.absent import lookup
from graphc.core.graph import Graph
from graphc.core.node import Apply, Constant, Variable
from graphc.core.node import TensorType as Type
from graphc.core.op import Op
from graphc.gof import graph

__getattr__ = lookup("graphc.gof", globals())

__all__ = ["Apply", "Constant", "Graph", "Op", "Type", "Variable", "graph"]
