"""graphc: declare a graph, differentiate it, compile it, read every step of the way.

Public names are listed here and defined elsewhere; code inside graphc never imports from here.
"""

import os.path as _path

if __name__ != "graphc":
    raise ImportError(f"this package is 'graphc', not {__name__!r}: write 'import graphc'")

__version__ = "0.1.0.dev0"

# Installed, graphc.ops lies in this folder. In a checkout it is the folder beside this one.
if not _path.isdir(_path.join(_path.dirname(__file__), "ops")):
    __path__.append(_path.dirname(_path.dirname(_path.abspath(__file__))))

from graphc import compile, gradient, optim, pickling, random, recurrent, sandbox, tensor
from graphc.api import clone, function
from graphc.arguments import In, Out
from graphc.compile.ops import as_op
from graphc.compiled import Function
from graphc.core.config import config
from graphc.core.errors import GraphError
from graphc.core.graph import Graph
from graphc.core.node import Constant, SharedVariable, TensorType, Variable
from graphc.core.op import Op
from graphc.inspect import dprint, pp, pprint
from graphc.looping import foldl, foldr, map, reduce, scan, until
from graphc.passes.autodiff import Lop, grad
from graphc.passes.jacobians import hessian, jacobian
from graphc.passes.tangents import Rop
from graphc.sharing import shared
from graphc.subgraphs import OpFromGraph, elementwise

__all__ = [
    "Constant", "Function", "Graph", "GraphError", "In", "Lop", "Op", "OpFromGraph", "Out",
    "Rop", "SharedVariable", "TensorType", "Variable", "as_op", "clone", "compile", "config",
    "dprint", "elementwise", "function", "grad", "gradient", "hessian", "jacobian", "optim",
    "pickling", "pp", "pprint", "shared", "tensor", "random", "sandbox", "scan", "map", "reduce",
    "foldl", "foldr", "until", "recurrent",
]  # fmt: skip
