"""What Theano has and graphc deliberately hasn't, and what to use in its place."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

_OWN_OP = "graphc.as_op for a NumPy function, or graphc.Op (docs/user-ops.md)"
_RULES = "rules are functions in passes/ (CONTRIBUTING, 'add a rule')"
_LOOK = "f.explain(), graphc.dprint and graphc.inspect.to_dot show graphs and plans"
_TIME = "graphc.function(..., profile=True) and f.profile"
_C = "no C is written or compiled: graphc.elementwise becomes machine code"

# By the path below `graphc`: what takes its place.
ABSENT: Mapping[str, str] = {
    "gof.COp": _C,
    "gof.FunctionGraph": "graphc.Graph, which is immutable",
    "gof.LocalOptimizer": _RULES,
    "gof.OpWiseCLinker": _C,
    "gof.Optimizer": _RULES,
    "gof.PureOp": _OWN_OP,
    "gof.Query": _RULES,
    "gof.TopoOptimizer": _RULES,
    "gof.Value": "T.constant",
    "gof.cmodule": _C,
    "gof.compilelock": "the kernel cache needs no lock; `graphc cache` shows it",
    "gof.local_optimizer": _RULES,
    "gof.op": _OWN_OP,
    "gof.opt": _RULES,
    "gof.toolbox": _RULES,
    "gof.type": "graphc.TensorType or graphc.sparse.SparseType: there are no other values",
    "compile.DebugMode": "mode='numpy' interprets the graph as declared: compare with it",
    "compile.MonitorMode": "graphc.printing.Print, or mode='numpy'",
    "compile.debugmode": "mode='numpy' interprets the graph as declared: compare with it",
    "compile.NanGuardMode": "T.isnan(x).any() as an output, or graphc.printing.Print",
    "compile.nanguardmode": "T.isnan(x).any() as an output, or graphc.printing.Print",
    "compile.ops.DeepCopyOp": "T.identity",
    "compile.optdb": _RULES,
    "compile.profiling": _TIME,
    "configparser": "graphc.config, whose options are fixed",
    "d3viz": _LOOK,
    "function_dump": "pickle: compiled functions and graphs can be pickled",
    "gpuarray": "one kernel language serves every target; there are no GPU types",
    "printing._TagGenerator": "graphc.printing.min_informative_str, which numbers variables",
    "sandbox.cuda": "one kernel language serves every target; there are no GPU types",
    "tests": "graphc.testing, numpy.testing",
    "scan_module.scan_op": "graphc.scan: its results are applications of an op named 'scan'",
    "sparse.opt": _RULES,
    "tensor.hashtype": "hash(x.type)",
    "tensor.new": "T.tensor(dtype, shape)",
    "tensor.opt": _RULES,
}


def lookup(
    module: str, names: Mapping[str, Any], later: Collection[str] = ()
) -> Callable[[str], Any]:
    """A module's ``__getattr__``: an error that says what to use, or which names are near.

    Sub-modules in `later` are imported when they are asked for.
    """

    def missing(name: str) -> Any:
        if name in later:
            return importlib.import_module(f"{module}.{name}")
        path = f"{module}.{name}".removeprefix("graphc.")
        if path in ABSENT:
            hint = f" on purpose; use {ABSENT[path]}"
        else:
            known = [n for n in (*names, *later) if not n.startswith("_")]
            near = difflib.get_close_matches(name, known, 3)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise AttributeError(f"{module} has no {name!r}{hint}")

    return missing


__all__ = ["ABSENT", "lookup"]
