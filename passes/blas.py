"""Products with what stands around them: ``beta C + alpha A B`` as one library call.

A sum of matrices is read as a linear form, coefficient by coefficient; its products are
then accumulated one after the other into the remaining term. That makes the weight update
``W - lr * X.T @ D``, with or without weight decay, one call in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.core.graph import Graph, Interner, users
from graphc.core.node import Constant, Variable, made_at
from graphc.core.op import apply, building_with
from graphc.ops.broadcast import alloc
from graphc.ops.elementwise import mul, neg, true_div
from graphc.ops.linalg import gemm
from graphc.ops.shape import dimshuffle
from graphc.passes.layout import trace

LINEAR = ("add", "sub", "neg", "mul", "true_div")
SCALING = ("neg", "mul", "true_div")
BLAS_DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Term:
    """A matrix and its scalar coefficient (None for 1)."""

    matrix: Variable
    coefficient: Variable | None


def fold_products(graph: Graph, interner: Interner) -> Graph:
    """The graph with sums that hold matrix products turned into chains of gemm."""
    order = graph.nodes()
    readers = users(order)
    wanted = set(graph.roots) | {
        a for v in order if v.op is not None and v.op.name in ("dot", "gemm") for a in v.args
    }
    for root in graph.roots:
        readers[root].append(root)
    replaced: dict[Variable, Variable] = {}

    def visit(v: Variable, args: tuple[Variable, ...]) -> Variable:
        if v in wanted and v.op is not None and v.op.name in LINEAR and v.ndim == 2:
            found = _fold(v, readers, replaced)
            if found is not None:
                return found
        assert v.op is not None
        return apply(v.op, args, v.attrs)

    interner.rebuild(order, replaced, visit)
    with building_with(interner):
        return graph.with_roots([replaced[r] for r in graph.roots])


def _fold(
    v: Variable, readers: dict[Variable, list[Variable]], done: dict[Variable, Variable]
) -> Variable | None:
    if v.dtype not in BLAS_DTYPES:
        return None
    terms = _terms(v, readers)
    products = [t for t in terms if _is_product(t.matrix, readers)]
    others = [t for t in terms if t not in products]
    if not products or (not others and len(products) < 2):
        return None
    with made_at(v.where):
        one = Constant(1, v.dtype)
        start, beta = _start(others, done, v)
        for t in products:
            a, b = _operands(t.matrix, done)
            alpha = one if t.coefficient is None else done.get(t.coefficient, t.coefficient)
            start = apply(gemm, (start, a, b, alpha, beta), {})
            beta = one
    return start


def _start(
    others: Sequence[Term], done: dict[Variable, Variable], v: Variable
) -> tuple[Variable, Variable]:
    """The matrix into which products are accumulated, and its coefficient."""
    if not others:
        zero = Constant(0, v.dtype)
        return alloc(zero, *v.type.shape), zero
    bases = {t.matrix for t in others}
    if len(bases) == 1:
        coefficient = _sum([_coefficient(t, done, v.dtype) for t in others])
        return done[others[0].matrix], coefficient
    total: Variable | None = None
    for t in others:
        part = mul(_coefficient(t, done, v.dtype), done[t.matrix])
        total = part if total is None else total + part  # type: ignore[operator]
    assert total is not None
    return total, Constant(1, v.dtype)


def _coefficient(t: Term, done: dict[Variable, Variable], dtype: str) -> Variable:
    if t.coefficient is None:
        return Constant(1, dtype)
    return done.get(t.coefficient, t.coefficient)


def _sum(parts: Sequence[Variable]) -> Variable:
    total = parts[0]
    for p in parts[1:]:
        if isinstance(total, Constant) and isinstance(p, Constant):
            total = Constant(total.data + p.data, p.dtype)
        else:
            total = total + p  # type: ignore[operator]
    return total


def _is_product(v: Variable, readers: dict[Variable, list[Variable]]) -> bool:
    """Whether a term is a product, or a transposed one, that nobody else reads."""
    if _is_transposed(v) and len(readers[v]) == 1:
        v = v.args[0]
    return v.op is not None and v.op.name == "dot" and len(readers[v]) == 1


def _scales_product(v: Variable) -> bool:
    """Whether a matrix is anything but a scaled one that is in memory anyway.

    A product that is scaled once and read twice has to stay one product.
    """
    while v.op is not None and v.op.name in SCALING:
        v = next((a for a in v.args if scalar_of(a) is None), v.args[0])
    return v.op is not None and (v.op.name == "dot" or _is_transposed(v) or v.op.elementwise)


def _is_transposed(v: Variable) -> bool:
    return v.op is not None and v.op.name == "dimshuffle" and v.attrs["pattern"] == (1, 0)


def _operands(v: Variable, done: dict[Variable, Variable]) -> tuple[Variable, Variable]:
    """The factors of a product; ``(A B).T`` is ``B.T A.T``, of views."""
    if _is_transposed(v):
        a, b = v.args[0].args
        return dimshuffle(done[b], 1, 0), dimshuffle(done[a], 1, 0)
    return done[v.args[0]], done[v.args[1]]


def scalar_of(v: Variable) -> Variable | None:
    """The scalar that a variable is a broadcast of, or None."""
    source, axes = trace(v)
    if source.ndim == 0:
        return source
    if isinstance(source, Constant) and source.data.size == 1:
        return Constant(source.data.reshape(()), source.dtype, where=source.where)
    return None


def _terms(root: Variable, readers: dict[Variable, list[Variable]]) -> list[Term]:
    """The terms of the linear form that a variable is."""
    found: list[Term] = []
    stack: list[tuple[Variable, Variable | None]] = [(root, None)]
    while stack:
        v, c = stack.pop()
        # A scaled matrix costs nothing to scale again; other terms are taken apart only here.
        inside = v is root or len(readers[v]) == 1 or not _scales_product(v)
        if v.op is None or v.op.name not in LINEAR or not inside:
            found.append(Term(v, c))
            continue
        parts = _parts(v, c, root.type.shape)
        if parts is None:
            found.append(Term(v, c))
        else:
            stack.extend(reversed(parts))
    return found


def _parts(
    v: Variable, c: Variable | None, shape: tuple[int | None, ...]
) -> list[tuple[Variable, Variable | None]] | None:
    """One step of taking a linear form apart, or None where it ends."""
    assert v.op is not None
    name = v.op.name
    if name == "neg":
        return [(v.args[0], _times(c, Constant(-1, v.dtype)))]
    a, b = v.args
    if name in ("add", "sub"):
        if a.type.shape != shape or b.type.shape != shape:
            return None
        return [(a, c), (b, c if name == "add" else _times(c, Constant(-1, v.dtype)))]
    if name == "true_div":
        divisor = scalar_of(b)
        if divisor is None or a.type.shape != shape:
            return None
        return [(a, _over(Constant(1, v.dtype) if c is None else c, divisor))]
    for matrix, factor in ((a, b), (b, a)):
        scalar = scalar_of(factor)
        if scalar is not None and matrix.type.shape == shape:
            return [(matrix, _times(c, scalar))]
    return None


def _times(c: Variable | None, factor: Variable) -> Variable:
    """A product of coefficients; of numbers, a number."""
    if c is None:
        return factor
    if isinstance(c, Constant) and isinstance(factor, Constant):
        return Constant(c.data * factor.data, c.dtype)
    if isinstance(factor, Constant) and factor.data == -1:
        return neg(c)
    return mul(c, factor)


def _over(c: Variable, divisor: Variable) -> Variable:
    """A quotient of coefficients; of numbers, a number."""
    if isinstance(c, Constant) and isinstance(divisor, Constant) and divisor.data != 0:
        return Constant(c.data / divisor.data, c.dtype)
    return true_div(c, divisor)
