"""One step's operations done for all steps at once, over an axis in front.

An operand is either stacked (one row per step) or fixed (the same in every step). The result
of an op over stacked operands is again an op, over one axis more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.core.graph import toposort
from graphc.core.node import Constant, Variable, made_at
from graphc.core.op import OPS, Reduction, Scalar, apply
from graphc.ops.broadcast import alloc, broadcast_like
from graphc.ops.elementwise import mul
from graphc.ops.index import getitem
from graphc.ops.linalg import matrix_product
from graphc.ops.reduce import sum as sum_
from graphc.ops.shape import dim, dimshuffle, reshape

Stacked = tuple[Variable, bool]  # a value outside, and whether it has an axis of steps in front
Base = Callable[[Variable], Stacked | None]
Rule = Callable[[Variable, Sequence[Stacked], Variable], Variable | None]


class Stacker:
    """Values of a loop's body for all steps.

    Parameters
    ----------
    base : callable
        For a variable of the body, what it is outside, where that is known.
    steps : Variable
        How many steps there are.
    """

    def __init__(self, base: Base, steps: Variable) -> None:
        self.base, self.steps = base, steps
        self.found: dict[Variable, Stacked | None] = {}

    def of(self, v: Variable) -> Stacked | None:
        """What a variable is for all steps; None where an op is in the way."""
        for u in self._order(v):
            if u in self.found:
                continue
            known = self.base(u)
            self.found[u] = known if known is not None else self._apply(u)
        return self.found[v]

    def _order(self, v: Variable) -> list[Variable]:
        leaves = set()
        for u in toposort([v], leaves=self.found.keys()):
            if self.base(u) is not None:
                leaves.add(u)
        return toposort([v], leaves=leaves | self.found.keys())

    def _apply(self, v: Variable) -> Stacked | None:
        if v.op is None:
            return None
        args = [self.found[a] for a in v.args]
        given = [a for a in args if a is not None]
        if len(given) < len(args):
            return None
        with made_at(v.where):
            if not any(is_stacked for _, is_stacked in given):
                return apply(v.op, [a for a, _ in given], v.attrs), False
            rule = _RULES.get(v.op.name)
            if rule is None and isinstance(v.op.lower, Scalar):
                rule = _elementwise
            elif rule is None and isinstance(v.op.lower, Reduction):
                rule = _reduction
            found = rule(v, given, self.steps) if rule is not None else None
        return None if found is None else (found, True)

    def summed(self, v: Variable, axes: tuple[int, ...]) -> Variable | None:
        """The sum over steps, and over `axes` of a step's value, as few operations."""
        if v.op is None:
            return None
        args = [self.of(a) for a in v.args]
        given = [a for a in args if a is not None]
        if len(given) < len(args):
            return None
        rule = _SUMS.get(v.op.name)
        with made_at(v.where):
            found = None if rule is None else rule(v, given, self.steps)
            if found is None:
                return None
            return sum_(found, axes, dtype=found.dtype) if axes else found


def _aligned(a: Stacked, v: Variable, inner: Variable) -> Variable:
    """An operand in the rank of the result: new axes come behind that of the steps."""
    value, is_stacked = a
    if not is_stacked or inner.ndim == v.ndim:
        return value
    new = ("x",) * (v.ndim - inner.ndim)
    return dimshuffle(value, 0, *new, *range(1, value.ndim))


def _elementwise(v: Variable, args: Sequence[Stacked], steps: Variable) -> Variable | None:
    assert v.op is not None
    return apply(v.op, [_aligned(a, v, u) for a, u in zip(args, v.args)], v.attrs)


def _reduction(v: Variable, args: Sequence[Stacked], steps: Variable) -> Variable | None:
    assert v.op is not None
    attrs = {**v.attrs, "axes": tuple(k + 1 for k in v.attrs["axes"])}
    return apply(v.op, [a for a, _ in args], attrs)


def _one_axis(v: Variable, args: Sequence[Stacked], steps: Variable) -> Variable | None:
    """Ops along one axis, as softmax."""
    assert v.op is not None
    axis = v.attrs["axis"]
    attrs = {**v.attrs, "axis": axis + 1 if axis >= 0 else axis}
    return apply(v.op, [a for a, _ in args], attrs)


def _join(v: Variable, args: Sequence[Stacked], steps: Variable) -> Variable | None:
    parts = [a if is_stacked else _spread(a, a, steps) for a, is_stacked in args]
    return apply(OPS["join"], parts, {**v.attrs, "axis": v.attrs["axis"] + 1})


def _spread(value: Variable, like: Variable, steps: Variable) -> Variable:
    """A fixed value once per step."""
    return alloc(value, steps, *(dim(like, k) for k in range(like.ndim)))


def _dimshuffle(v: Variable, args: Sequence[Stacked], steps: Variable) -> Variable | None:
    pattern = ["x" if p == "x" else p + 1 for p in v.attrs["pattern"]]
    return dimshuffle(args[0][0], 0, *pattern)


def _alloc(v: Variable, args: Sequence[Stacked], steps: Variable) -> Variable | None:
    if any(is_stacked for _, is_stacked in args[1:]):
        return None
    return alloc(_aligned(args[0], v, v.args[0]), steps, *(a for a, _ in args[1:]))


def _broadcast_like(v: Variable, args: Sequence[Stacked], steps: Variable) -> Variable | None:
    value = _aligned(args[0], v, v.args[0])
    like, is_stacked = args[1]
    return broadcast_like(value, like) if is_stacked else _spread(value, like, steps)


def _reshape(v: Variable, args: Sequence[Stacked], steps: Variable) -> Variable | None:
    if any(is_stacked for _, is_stacked in args[1:]):
        return None
    sizes = [a if n is None else Constant(n, "int64") for n, (a, _) in zip(v.type.shape, args[1:])]
    return reshape(args[0][0], [steps, *sizes])


def _subtensor(v: Variable, args: Sequence[Stacked], steps: Variable) -> Variable | None:
    (x, is_stacked), *numbers = args
    window = v.attrs["window"]
    moving = [n for n, is_number_stacked in numbers if is_number_stacked]
    if is_stacked and not moving:
        return apply(OPS["subtensor"], [a for a, _ in args], {"window": (("a",), *window)})
    if not is_stacked and window[0] == ("i", 0) and len(numbers) == 1:
        if all(e == ("a",) for e in window[1:]):
            return getitem(x, numbers[0][0])
    return None


def _gather(v: Variable, args: Sequence[Stacked], steps: Variable) -> Variable | None:
    (x, is_stacked), *indices = args
    if is_stacked or v.attrs["axes"][0] != 0 or not all(s for _, s in indices):
        return None
    if any(u.ndim != v.args[1].ndim for u in v.args[1:]):
        return None
    if v.attrs["axes"] != tuple(range(len(indices))):
        return None
    return apply(OPS["gather"], [x, *(a for a, _ in indices)], v.attrs)


def _dot(v: Variable, args: Sequence[Stacked], steps: Variable) -> Variable | None:
    """``a[t] @ b`` for all t is one product of all rows."""
    (a, a_stacked), (b, b_stacked) = args
    if a_stacked and b_stacked:
        return None
    if b_stacked:
        turned = _dot(v, [(dimshuffle(b, 0, 2, 1), True), (dimshuffle(a, 1, 0), False)], steps)
        return None if turned is None else dimshuffle(turned, 0, 2, 1)
    m, k, n = dim(a, 1), dim(a, 2), dim(b, 1)
    return reshape(matrix_product(reshape(a, [mul(steps, m), k]), b), [steps, m, n])


_RULES: dict[str, Rule] = {
    "dimshuffle": _dimshuffle, "alloc": _alloc, "broadcast_like": _broadcast_like,
    "reshape": _reshape, "subtensor": _subtensor, "gather": _gather, "dot": _dot,
    "softmax": _one_axis, "logsoftmax": _one_axis, "join": _join,
}  # fmt: skip


# --- sums over steps ------------------------------------------------------------------


def _summed_dot(v: Variable, args: Sequence[Stacked], steps: Variable) -> Variable | None:
    """``sum over t of a[t] @ b[t]`` is one product whose inner axis runs over t, too."""
    (a, a_stacked), (b, b_stacked) = args
    if not (a_stacked and b_stacked):
        return None
    m, k, n = dim(a, 1), mul(steps, dim(a, 2)), dim(b, 2)
    left = reshape(dimshuffle(a, 1, 0, 2), [m, k])
    return matrix_product(left, reshape(b, [k, n]))


def _summed_mul(v: Variable, args: Sequence[Stacked], steps: Variable) -> Variable | None:
    """``sum over t of a[t, i] b[t, j]`` is a product of matrices."""
    if v.ndim != 2 or not all(is_stacked for _, is_stacked in args):
        return None
    sides: dict[int, Variable] = {}
    for u, (value, _) in zip(v.args, args):
        if u.ndim != 2:
            return None
        ones = [k for k, n in enumerate(u.type.shape) if n == 1]
        if len(ones) != 1 or ones[0] in sides:
            return None
        sides[ones[0]] = dimshuffle(value, 0, 2 if ones[0] == 0 else 1)
    if len(sides) != 2:
        return None
    return matrix_product(dimshuffle(sides[1], 1, 0), sides[0])


def _summed_scatter(v: Variable, args: Sequence[Stacked], steps: Variable) -> Variable | None:
    """``sum over t of zeros with [i[t]] += y[t]`` is one write of all rows."""
    (x, x_stacked), (y, _), *indices = args
    if x_stacked or not is_zero(x) or v.attrs["mode"] != "inc":
        return None
    if v.attrs["axes"] != tuple(range(len(indices))) or not all(s for _, s in indices):
        return None
    if any(u.ndim != v.args[2].ndim for u in v.args[2:]):
        return None
    value = _aligned(args[1], v.args[1], v.args[1])
    return apply(OPS["scatter"], [x, value, *(a for a, _ in indices)], v.attrs)


def _summed_update(v: Variable, args: Sequence[Stacked], steps: Variable) -> Variable | None:
    """The same for a row that is picked by a number."""
    (x, x_stacked), (y, y_stacked), *numbers = args
    window = v.attrs["window"]
    if x_stacked or not is_zero(x) or len(numbers) != 1 or window[0] != ("i", 0):
        return None
    if not numbers[0][1] or not y_stacked or v.args[1].ndim != x.ndim - 1:
        return None
    if any(e != ("a",) for e in window[1:]):
        return None
    return apply(OPS["scatter"], [x, y, numbers[0][0]], {"axes": (0,), "mode": "inc"})


_SUMS: dict[str, Rule] = {
    "dot": _summed_dot, "mul": _summed_mul, "scatter": _summed_scatter,
    "update_subtensor": _summed_update,
}


def is_zero(x: Variable) -> bool:
    """Whether a variable is certainly zero everywhere."""
    while x.op is not None and x.op.name in ("alloc", "broadcast_like", "dimshuffle", "reshape"):
        x = x.args[0]
    return isinstance(x, Constant) and bool((x.data == 0).all())
