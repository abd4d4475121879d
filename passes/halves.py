"""Products and their kin on float16 and bfloat16 as they lie in memory, for targets that read them.

A half op stands in a sized graph as a cast of its operands to float32, the op, and a cast back.
Where a library or a kernel of its own does the op, that would copy the operands. Kernels of the
CUDA target widen what they read, add up in float32 and round what they write: the same numbers
without the copies.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.core import dtypes
from graphc.core.graph import Graph, Interner, users
from graphc.core.node import Constant, Variable
from graphc.core.op import apply
from graphc.ops.broadcast import alloc
from graphc.ops.linalg import gemm
from graphc.passes.convolution import KINDS
from graphc.passes.layout import is_view
from graphc.passes.pooling import OPERANDS

READ = {"dot": 2, "matmul": 2, **dict.fromkeys(KINDS, 2), **OPERANDS}
"""Of each op that reads halves, how many operands may be such."""


def narrowed(graph: Graph, interner: Interner) -> Graph:
    """The graph with halves as operands of products, convolutions and pooling, and as results
    where nobody wants the float32."""
    order = graph.nodes()
    readers = users(order)
    roots = set(graph.roots)
    done: dict[Variable, Variable] = {}

    def visit(v: Variable, args: tuple[Variable, ...]) -> Variable:
        assert v.op is not None
        if v.op.name == "cast" and dtypes.is_half(v.dtype):
            made = v.args[0]
            if len(readers[made]) == 1 and made not in roots:
                found = _of_halves(made, [done[a] for a in made.args], v.dtype)
                return apply(v.op, args, v.attrs) if found is None else found
        if v.op.name in ("dot", "gemm") and v.dtype == "float32":
            return _product(v, args)
        return apply(v.op, args, v.attrs)

    interner.rebuild(order, done, visit)
    return graph.with_roots([done[r] for r in graph.roots])


def _of_halves(v: Variable, args: Sequence[Variable], dtype: str) -> Variable | None:
    """An op that reads and makes a dtype, if all its operands are casts of that."""
    count = 0 if v.op is None or v.dtype != "float32" else READ.get(v.op.name, 0)
    given = [_half(a) for a in args[:count]]
    if not given or any(a is None or a.dtype != dtype for a in given):
        return None
    assert v.op is not None
    return apply(v.op, (*given, *args[count:]), v.attrs)  # type: ignore[arg-type]


def _product(v: Variable, args: tuple[Variable, ...]) -> Variable:
    """A product of halves that is a float32."""
    assert v.op is not None
    accumulates = v.op.name == "gemm"
    a, b = (_half(x) for x in (args[1:3] if accumulates else args))
    if a is None or b is None or a.dtype != b.dtype:
        return apply(v.op, args, v.attrs)
    zero, one = Constant(0, "float32"), Constant(1, "float32")
    start, alpha, beta = (args[0], *args[3:]) if accumulates else (
        alloc(zero, *v.type.shape), one, zero)  # fmt: skip
    return apply(gemm, (start, a, b, alpha, beta), {})


def _half(a: Variable) -> Variable | None:
    """What a float32 is a cast, or a view of a cast, of."""
    if a.op is not None and a.op.name == "cast" and dtypes.is_half(a.args[0].dtype):
        return a.args[0]
    if is_view(a) and a.dtype == "float32":
        inner = _half(a.args[0])
        return None if inner is None else apply(a.op, (inner, *a.args[1:]), a.attrs)  # type: ignore
    return None
