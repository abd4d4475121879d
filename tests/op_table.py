"""Writes docs/ops.md: every op that users can call, as its declaration says and as it behaves.

Formulas come from declarations and docstrings. Dtypes, gradients and lowerings are found by
building each op's example, differentiating it and making its plan. Only other libraries' names
are data, in `foreign.py`, where they differ from ours.
"""

import inspect
import re
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path

import foreign
import numpy as np
from op_examples import EXAMPLES, PARTS, Inputs, of

import graphc
import graphc.tensor as T
from graphc import ops as library
from graphc.core import dtypes
from graphc.core.errors import GraphError
from graphc.core.graph import Graph, ancestors
from graphc.core.node import Constant, Variable
from graphc.core.op import (
    Expand,
    Gather,
    Generator,
    Host,
    Library,
    Op,
    Reduction,
    Running,
    Scalar,
    Update,
)
from graphc.core.op import View as ViewOf
from graphc.core.packed import flat
from graphc.native import NativeProgram
from graphc.ops.scan import is_scan
from graphc.passes.convolution import is_native
from graphc.passes.pooling import is_pooling
from graphc.program import Options
from graphc.staged import by_values

PAGE = Path(__file__).parent.parent / "docs" / "ops.md"
HEAD = """# Every op

What can be called in `graphc.tensor` (`T`), its modules, `graphc.sparse` (`sparse`), loops and
random streams, by the file that declares it. This page is written by `python tests/op_table.py`
from the declarations, and a test fails when it is out of date.

- **dtypes**: which kinds of dtype the main operands may have. "any" is bool, integers, floats and
  complex numbers; "real" is any but complex numbers. Floats are float16, bfloat16, float32 and
  float64; of sparse matrices, the last two.
- **gradient**: "vjp, jvp" where reverse and forward mode have rules of their own; "vjp" where
  forward mode is derived from the reverse one; "0" where it exists and is 0 everywhere; "no" where
  asking for one is an error, or where the result is discrete.
- **becomes**: what the compiler makes of it, for one example in float64: *fused* (an expression
  inside loops that it shares with its neighbours), *reduction*, *index* (made from positions),
  *view* (other strides), *gather*, *update* (in place where nobody else reads), *product*, *copy*
  (library steps), *convolution*, *pooling*, *sparse* (a walk over stored entries), *running* (a
  value carried along axes) and *loop* (native kernels), *host* (a NumPy or SciPy step),
  *constant*, *nothing* (known when the graph is made, or left out); *expanded* is said of an op
  that is replaced with others. What is a product, convolution, pooling or walk over stored entries
  in float32 and float64 is a host step in complex numbers and integers, and what is running one
  in complex numbers.
- NumPy: for sparse matrices it is SciPy.
- A dash: the other library has no function for it alone.
"""

# Modules in the order of the page; what is public in one of them is found by its identity.
PLACES = (
    ("T.", T), ("T.nnet.", T.nnet), ("T.nlinalg.", T.nlinalg), ("T.slinalg.", T.slinalg),
    ("T.fft.", T.fft), ("T.signal.pool.", T.signal.pool), ("T.extra_ops.", T.extra_ops),
    ("T.xlogx.", T.xlogx), ("T.nnet.abstract_conv.", T.nnet.abstract_conv),
    ("T.nnet.neighbours.", T.nnet.neighbours), ("T.nnet.conv.", T.nnet.conv),
    ("T.nnet.conv3d2d.", T.nnet.conv3d2d), ("T.signal.conv.", T.signal.conv),
    ("sparse.", graphc.sparse),
)  # fmt: skip
# Public, and no ops: types, inputs, constants, derivatives and checks.
NO_OPS = {
    "Lop", "Rop", "constant", "extract_constant", "get_conv_output_shape",
    "get_scalar_constant_value", "grad", "hessian", "jacobian", "shared", "tensor", "verify_grad",
    "get_conv_shape_1axis",
    "CSM", "csc_dmatrix", "csc_fmatrix", "csc_matrix", "csr_dmatrix", "csr_fmatrix", "csr_matrix",
    "is_sparse", "is_sparse_variable", "matrix", "structured",
}  # fmt: skip
LOOPS = ("scan", "map", "reduce", "foldl", "foldr", "until")
# Sections that hold what several files declare, behind those of the files.
GATHERED = {
    "graphc.sparse": "Sparse matrices: `from graphc import sparse`",
    "graphc.looping": "Loops",
    "graphc.random": "Random numbers: the methods of `graphc.random.RandomStream`",
}
WORDS = (
    (Scalar, "fused"), (Reduction, "reduction"), (Generator, "index"), (ViewOf, "view"),
    (Gather, "gather"), (Update, "update"), (Library, "product"),
    (Running, "running"), (Host, "host"),
)  # fmt: skip
KINDS = {
    "bool": dtypes.BOOL, "integers": dtypes.INTEGERS, "floats": dtypes.FLOATS,
    "complex": dtypes.COMPLEX,
}  # fmt: skip


@dataclass
class Entry:
    """One row: an op or function, and all names by which it can be called."""

    value: object
    names: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.names[0].rpartition(".")[2]

    @property
    def place(self) -> str:
        return self.names[0].partition(".")[0]


def is_public(name: str, value: object) -> bool:
    """Whether a public name stands for an op, or for a function that makes variables."""
    if isinstance(value, Op):
        return True
    plain = isinstance(value, types.FunctionType)
    return plain and name not in NO_OPS and value.__module__ != "graphc.tensor.kinds"


def entries() -> list[Entry]:
    """All rows, in the order in which files declare them."""
    found: dict[int, Entry] = {}
    for prefix, module in PLACES:
        for name in module.__all__:
            value = getattr(module, name)
            if is_public(name, value):
                names = found.setdefault(id(value), Entry(value)).names
                names += [prefix + name] if prefix + name not in names else []
    for name in LOOPS:
        value = getattr(graphc, name)
        found[id(value)] = Entry(value, [f"graphc.{name}"])
    for name, value in inspect.getmembers(graphc.random.RandomStream, inspect.isfunction):
        if not name.startswith("_") and value.__annotations__.get("return") == "Variable":
            found[id(value)] = Entry(value, [f"stream.{name}"])
    return sorted(found.values(), key=lambda e: (section_rank(e), e.name))


def home(entry: Entry) -> str:
    """The module that declares an entry, or stands for those that do."""
    if isinstance(entry.value, Op):
        modules = (*library.FAMILIES, *(getattr(library, name) for name in library.__all__))
        for module in modules:
            if any(value is entry.value for value in vars(module).values()):
                return module.__name__
        return library.elementwise.__name__  # declared on the fly
    kinds = {"sparse": "graphc.sparse", "stream": "graphc.random", "graphc": "graphc.looping"}
    return kinds.get(entry.place, entry.value.__module__)


def section_rank(entry: Entry) -> tuple[int, str]:
    name = home(entry)
    if name in GATHERED:
        return 10_000 + list(GATHERED).index(name), name
    families = [f.__name__ for f in library.FAMILIES]
    return families.index(name) if name in families else len(families), name


def section_title(entry: Entry) -> str:
    name = home(entry)
    if name in GATHERED:
        return GATHERED[name]
    if name == T.__name__:
        return "Made of several of them"
    text = " ".join(inspect.getdoc(sys.modules[name]).split("\n\n")[0].split())
    return re.split(r"\. |: one |\.$", text.replace("``", "`"))[0]


# What is derived ------------------------------------------------------------------------------


def formula_of(value: object) -> str:
    """The formula of an op, or the first sentence of a function's docstring."""
    if isinstance(value, Op):
        return f"`{value.formula}`" if value.formula else ""
    text = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())
    text = text.replace("``", "`")
    return text if text.endswith("...") else text.rstrip(".")


def built(entry: Entry, dtype: str) -> tuple[Inputs, list[Variable]]:
    """The example of an entry for a dtype of its main operands, and its results."""
    inputs = Inputs(dtype)
    example = EXAMPLES.get(entry.names[0])
    if entry.place == "stream":
        found = example(getattr(graphc.random.RandomStream(1), entry.name), inputs)
    elif entry.place == "sparse":
        found = (example or of("sparse"))(entry.value, inputs)
    elif example := example or EXAMPLES.get(entry.name):
        found = example(entry.value, inputs)
    else:
        found = entry.value(*(inputs.matrix for _ in range(operand_count(entry))))
    results = flat(found if isinstance(found, list | tuple) else [found])
    return inputs, [v for v in results if isinstance(v, Variable)]


def operand_count(entry: Entry) -> int:
    if isinstance(entry.value, Op):
        templates = getattr(entry.value.lower, "template", "")
        used = [k for k in range(4) if f"{{{k}}}" in templates]
        if used:
            return used[-1] + 1
        raise LookupError(f"{entry.names[0]} needs an example in tests/op_examples.py")
    required = [
        p for p in inspect.signature(entry.value).parameters.values()
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    ]  # fmt: skip
    return max(len(required), 1)


def dtypes_of(entry: Entry) -> str:
    """Which kinds of dtype the example can be built with."""
    taken = {}
    kinds = {kind: [d for d in names if entry.place != "sparse" or not dtypes.is_half(d)]
             for kind, names in KINDS.items()}  # fmt: skip
    for kind, names in kinds.items():
        good = []
        for name in names:
            try:
                inputs, outputs = built(entry, name)
            except GraphError:
                continue
            used = inputs.used
            if not dtypes.is_half(name) or runs(inputs, outputs):
                good.append(name)
            if not used:
                return "no operand"
        taken[kind] = good
    whole = [kind for kind, good in taken.items() if good == kinds[kind]]
    parts = [name for kind, good in taken.items() if kind not in whole for name in good]
    if not (whole or parts):
        raise LookupError(f"{entry.names[0]} takes no dtype: correct its example")
    if parts:
        return ", ".join([*whole, *parts])
    shorter = {
        ("bool", "integers", "floats", "complex"): "any",
        ("bool", "integers", "floats"): "real",
    }
    return shorter.get(tuple(whole), ", ".join(whole))


def runs(inputs: Inputs, outputs: list[Variable]) -> bool:
    """Whether what could be built has a value."""
    f = graphc.function(inputs.used, outputs, mode="numpy", on_unused_input="ignore")
    try:
        f(*inputs.values())
    except GraphError:
        return False
    return True


def main_dtype(entry: Entry) -> str:
    """The dtype in which an entry is looked at: float64 if it takes that."""
    for dtype in ("complex128",) * (entry.name in PARTS) + ("float64", "int64"):
        try:
            built(entry, dtype)
        except GraphError:
            continue
        return dtype
    raise LookupError(f"{entry.names[0]} takes no dtype: correct its example")


def gradient_of(entry: Entry) -> str:
    """Whether derivatives exist, found by asking for them and looking at their values."""
    inputs, outputs = built(entry, main_dtype(entry))
    found = {
        gradient_between(leaf, output, inputs)
        for output in outputs
        for leaf in inputs.used
        if leaf in ancestors([output])
    }
    return next((text for text in ("vjp", "vjp, jvp", "0") if text in found), "no")


def gradient_between(leaf: Variable, output: Variable, inputs: Inputs) -> str:
    if not (dtypes.is_continuous(leaf.dtype) and dtypes.is_continuous(output.dtype)):
        return "no"
    cost = (T.abs_(output) if output.dtype in dtypes.COMPLEX else output).sum()
    try:
        gradient = T.grad(cost, leaf, disconnected_inputs="ignore")
    except GraphError:
        return "no"
    f = graphc.function(inputs.used, gradient, mode="numpy", on_unused_input="ignore")
    if not np.any(f(*inputs.values()) != 0):
        return "0"
    between = [v for v in Graph((leaf,), (output,)).nodes() if leaf in ancestors([v])]
    return "vjp, jvp" if all(has_jvp(v) for v in between) else "vjp"


def has_jvp(v: Variable) -> bool:
    return v.op is None or bool(v.op.partials) or v.op.jvp is not None or is_scan(v)


def lowering_of(entry: Entry) -> str:
    """What the example's plan is made of, in float64."""
    inputs, outputs = built(entry, main_dtype(entry))
    graph = Graph(tuple(inputs.used), tuple(outputs))
    prefix = "expanded: " if any(isinstance(v.op.lower, Expand) for v in applied(graph)) else ""
    copies = any(v.op.name == "copy" for v in applied(graph))
    if not by_values(graph):
        program = NativeProgram(graph, Options("native"))
        arrays = inputs.values()
        graph = program._sized(arrays, program.numbers.values(arrays)).graph
    words = {word_of(v) for v in applied(graph) if copies or v.op.name != "copy"}
    order = [*(w for _, w in WORDS), "copy", "convolution", "pooling", "sparse", "loop"]
    if len(words) > 1:
        words.discard("view")
    if not words:
        constant = all(isinstance(v, Constant) for v in graph.outputs)
        return "constant" if constant else "nothing"
    return prefix + ", ".join(sorted(words, key=order.index))


def applied(graph: Graph) -> list[Variable]:
    return [v for v in graph.nodes() if v.op is not None]


def word_of(v: Variable) -> str:
    if isinstance(v.op.lower, Library):
        routines = {"dot": "product", "gemm": "product", "sparse": "sparse"}
        return routines.get(v.op.lower.routine, "copy")
    if is_scan(v):
        return "loop"
    if is_native(v):
        return "convolution"
    if is_pooling(v):
        return "pooling"
    return next(word for kind, word in WORDS if isinstance(v.op.lower, kind))


# The page -------------------------------------------------------------------------------------


def cells(entry: Entry) -> list[str]:
    """One row."""
    formula = formula_of(entry.value)
    if not formula:
        raise LookupError(f"{entry.names[0]} has neither a formula nor a docstring")
    names = ", ".join(f"`{name}`" for name in entry.names)
    plain = [name.rpartition(".")[2] for name in entry.names]
    others = foreign.names_of(entry.names[0], plain)
    return [
        names, formula, dtypes_of(entry), gradient_of(entry), lowering_of(entry),
        *(text if text == "—" else f"`{text}`" for text in others),
    ]  # fmt: skip


def row(entry: Entry) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells(entry)) + " |\n"


def rows() -> list[tuple[str, str]]:
    """Title and row of every entry; what is missing is said of all of them at once."""
    found, missing = [], []
    for entry in entries():
        try:
            found.append((section_title(entry), row(entry)))
        except (LookupError, GraphError) as error:
            missing.append(f"{entry.names[0]}: {error}")
    if missing:
        raise LookupError("rows that can't be written:\n" + "\n".join(missing))
    return found


def page() -> str:
    """The text of docs/ops.md."""
    parts, last = [HEAD], None
    with graphc.config(floatX="float64"), np.errstate(all="ignore"):
        for title, text in rows():
            if title != last:
                last = title
                parts.append(f"\n## {title}\n\n")
                parts.append(
                    "| name | meaning | dtypes | gradient | becomes | Theano | NumPy |"
                    " PyTorch |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n"
                )
            parts.append(text)
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
