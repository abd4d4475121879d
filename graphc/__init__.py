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

from graphc import compile, gradient, pickling, random, sparse, tensor
from graphc.absent import lookup as _lookup
from graphc.api import clone, function
from graphc.arguments import In, Out
from graphc.compile.mode import Mode
from graphc.compile.ops import as_op
from graphc.compiled import Function
from graphc.core.config import config
from graphc.core.errors import GraphError
from graphc.core.graph import Graph
from graphc.core.halves import BFLOAT16, from_bfloat16, to_bfloat16
from graphc.core.node import Apply, Constant, SharedVariable, TensorType, Variable
from graphc.core.op import Op
from graphc.inspect import dprint, pp, pprint
from graphc.looping import foldl, foldr, map, reduce, scan, until
from graphc.ops.choice import ifelse
from graphc.passes.autodiff import Lop, grad
from graphc.passes.jacobians import hessian, jacobian
from graphc.passes.tangents import Rop
from graphc.repeated import each, loop
from graphc.runtime.cuda.arrays import DeviceArray
from graphc.sharing import _asarray, shared  # noqa: F401  (a name that Theano has)
from graphc.subgraphs import OpFromGraph, elementwise

# Modules that are imported when a program first asks for them.
_LATER = (
    "data", "estimators", "gof", "initial", "nn", "optim", "pictures", "printing", "recurrent",
    "sandbox", "scalar", "scan_module", "train",
)  # fmt: skip
__getattr__ = _lookup("graphc", globals(), _LATER)

__all__ = [
    "BFLOAT16", "Constant", "DeviceArray", "Function", "Graph", "GraphError", "In", "Lop", "Op",
    "OpFromGraph", "Out", "Apply", "Mode", "gof", "printing", "scalar",
    "Rop", "SharedVariable", "TensorType", "Variable", "as_op", "clone", "compile", "config",
    "dprint", "elementwise", "function", "grad", "gradient", "hessian", "initial", "jacobian",
    "optim", "data", "estimators", "nn", "pictures",
    "from_bfloat16", "pickling", "pp", "pprint", "shared", "tensor", "to_bfloat16", "random",
    "sandbox", "sparse", "scan", "scan_module", "map", "reduce", "foldl", "foldr", "until",
    "ifelse", "loop", "each", "recurrent", "train",
]  # fmt: skip
