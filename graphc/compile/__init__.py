"""``graphc.compile``: where Theano keeps what makes ops of functions and graphs."""

from graphc.absent import lookup
from graphc.api import function
from graphc.arguments import In, Out
from graphc.compile import io, mode, ops, sharedvalue
from graphc.compile.mode import Mode, get_default_mode, get_mode
from graphc.compile.ops import as_op
from graphc.core.node import SharedVariable
from graphc.sharing import shared
from graphc.subgraphs import OpFromGraph

__getattr__ = lookup("graphc.compile", globals())

__all__ = [
    "In", "Mode", "OpFromGraph", "Out", "SharedVariable", "as_op", "function",
    "get_default_mode", "get_mode", "io", "mode", "ops", "shared", "sharedvalue",
]  # fmt: skip
