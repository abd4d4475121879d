"""What is known about sizes before there are numbers: which axes are certainly equal.

The size of an axis is a number, or a set of sources: axes of variables about which nothing
more is known, and symbolic integers. Several sources are sizes that broadcast together.
Equal sets are equal sizes, so a rule may drop an operand whose sources others have too.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence

from graphc.core.node import Variable
from graphc.core.op import static_int
from graphc.ops.index import pick_position

VALUE = -1  # in place of an axis: the source is the value of an integer scalar
MOST_SOURCES = 8  # more than these are not told apart, so that sets stay small

Source = tuple[Variable, int]
Size = int | frozenset[Source]
Sizes = tuple[Size, ...]
Found = tuple[Size | None, ...]  # None: the axis is a source of its own

_cache: weakref.WeakKeyDictionary[Variable, Found] = weakref.WeakKeyDictionary()


def sizes(variable: Variable) -> Sizes:
    """The size of every axis."""
    shape = variable.type.shape
    if None not in shape:
        return shape  # type: ignore[return-value]
    found: Found | None = shape if variable.op is None else _cache.get(variable)
    if found is None:
        _compute(variable)
        found = _cache[variable]
    if None not in found:
        return found  # type: ignore[return-value]
    return tuple([frozenset([(variable, k)]) if n is None else n for k, n in enumerate(found)])


def same_sizes(a: Variable, b: Variable) -> bool:
    """Whether two variables certainly have one shape."""
    return a is b or (a.ndim == b.ndim and sizes(a) == sizes(b))


def size_of(number: Variable) -> Size:
    """The size that an integer scalar stands for."""
    known = static_int(number)
    if known is not None:
        return known
    if number.op is not None and number.op.name == "dim":
        return sizes(number.args[0])[number.attrs["axis"]]
    return frozenset([(number, VALUE)])


def only_source(variable: Variable) -> Variable | None:
    """A variable further up that certainly has the same shape, if there is a single one."""
    found: Variable | None = None
    for k, size in enumerate(sizes(variable)):
        if isinstance(size, int):
            continue
        if len(size) > 1:
            return None
        ((source, axis),) = size
        if axis != k or (found is not None and source is not found):
            return None
        found = source
    if found is None or found is variable or not same_sizes(found, variable):
        return None
    return found


def _compute(variable: Variable) -> None:
    """Enter a variable and what its sizes come from into the cache, operands first."""
    stack = [variable]
    while stack:
        v = stack[-1]
        if v in _cache:
            stack.pop()
            continue
        missing = [
            a for a in _bases(v) if a.op is not None and a not in _cache and not a.type.known
        ]
        if missing:
            stack.extend(missing)
            continue
        stack.pop()
        _cache[v] = tuple(
            n if n is not None else _bounded(size) for n, size in zip(v.type.shape, _rule(v))
        )


def _bases(v: Variable) -> list[Variable]:
    if v.op is None or _table(v) is None:
        return []
    dims = [a.args[0] for a in v.args if a.op is not None and a.op.name == "dim"]
    return [*v.args, *dims]


def _bounded(size: Size | None) -> Size | None:
    return None if isinstance(size, frozenset) and len(size) > MOST_SOURCES else size


def _rule(v: Variable) -> Found:
    formula = _table(v)
    return (None,) * v.ndim if formula is None else formula(v)


def _table(v: Variable) -> Callable[[Variable], Found] | None:
    if v.op is None:
        return None
    return _meet_all if v.op.elementwise else TABLE.get(v.op.name)


def meet(found: Sequence[Sizes]) -> Sizes:
    """The sizes that result where shapes broadcast together."""
    rank = max(map(len, found), default=0)
    result: list[Size] = []
    for k in range(rank):
        together: Size = 1
        for s in found:
            n: Size = s[len(s) - rank + k] if len(s) - rank + k >= 0 else 1
            if n == 1:
                continue
            if isinstance(n, int):
                together = n
                break
            together = n if isinstance(together, int) else together | n
        result.append(together)
    return tuple(result)


def _meet_all(v: Variable) -> Found:
    return meet([sizes(a) for a in v.args])


def _of_first(v: Variable) -> Found:
    return sizes(v.args[0])


def _of_second(v: Variable) -> Found:
    return sizes(v.args[1])


def _dimshuffle(v: Variable) -> Found:
    inner = sizes(v.args[0])
    return tuple(1 if p == "x" else inner[p] for p in v.attrs["pattern"])


def _reduced(v: Variable) -> Found:
    return tuple(n for k, n in enumerate(sizes(v.args[0])) if k not in v.attrs["axes"])


def _alloc(v: Variable) -> Found:
    return tuple(size_of(n) for n in v.args[1:])


def _reshape(v: Variable) -> Found:
    """A symbolic size may turn out to be -1, unless it is the size of an axis."""
    return tuple(
        size_of(n) if n.op is not None and n.op.name == "dim" else None for n in v.args[1:]
    )


def _dot(v: Variable) -> Found:
    return sizes(v.args[0])[0], sizes(v.args[1])[1]


def _subtensor(v: Variable) -> Found:
    x, *numbers = v.args
    inner, axis = sizes(x), 0
    result: list[Size] = []
    for entry in v.attrs["window"]:
        if entry[0] == "n":
            result.append(1)
            continue
        if entry[0] != "i":
            result.append(inner[axis] if entry[0] == "a" else size_of(numbers[entry[2]]))
        axis += 1
    return (*result, *inner[axis:])


def _gather(v: Variable) -> Found:
    x, *indices = v.args
    axes = v.attrs["axes"]
    rest = [n for k, n in enumerate(sizes(x)) if k not in axes]
    at = pick_position(axes)
    return (*rest[:at], *meet([sizes(i) for i in indices]), *rest[at:])


def _join(v: Variable) -> Found:
    axis = v.attrs["axis"]
    return tuple(None if k == axis else n for k, n in enumerate(sizes(v.args[0])))


def _convolution(v: Variable) -> Found:
    return sizes(v.args[0])[0], sizes(v.args[1])[0], *(None,) * (v.ndim - 2)


def _convolution_grad_input(v: Variable) -> Found:
    g, w, *size = v.args
    channels = sizes(w)[1] if v.attrs["groups"] == 1 else None
    return sizes(g)[0], channels, *map(size_of, size)


def _convolution_grad_weight(v: Variable) -> Found:
    x, g, *size = v.args
    channels = sizes(x)[1] if v.attrs["groups"] == 1 else None
    return sizes(g)[1], channels, *map(size_of, size)


def _pool(v: Variable) -> Found:
    return (*sizes(v.args[0])[:2], None, None)


def _pool_grad(v: Variable) -> Found:
    return (*sizes(v.args[0])[:2], size_of(v.args[1]), size_of(v.args[2]))


TABLE: dict[str, Callable[[Variable], Found]] = {
    "broadcast_like": _of_second,
    "sum_like": _of_second,
    "dimshuffle": _dimshuffle,
    "alloc": _alloc,
    "reshape": _reshape,
    "dot": _dot,
    "subtensor": _subtensor,
    "gather": _gather,
    "join": _join,
    "arange": lambda v: (size_of(v.args[2]),),
    "eye": lambda v: (size_of(v.args[0]), size_of(v.args[1])),
    **dict.fromkeys(("sum", "prod", "max", "min", "argmax", "argmin", "all", "any"), _reduced),
    **dict.fromkeys(("softmax", "logsoftmax", "update_subtensor", "scatter", "gemm"), _of_first),
    "logsumexp": _reduced,
    **dict.fromkeys(("conv2d", "conv3d"), _convolution),
    **dict.fromkeys(("conv2d_grad_input", "conv3d_grad_input"), _convolution_grad_input),
    **dict.fromkeys(("conv2d_grad_weight", "conv3d_grad_weight"), _convolution_grad_weight),
    **dict.fromkeys(("pool", "pool_max"), _pool),
    "pool_grad": _pool_grad,
    "pool_max_grad": _of_first,
    "pool_max_pick": _of_second,
    "csr_rows": lambda v: sizes(v.args[1]),
    "csr_dot": lambda v: (None, sizes(v.args[3])[1]),
    "csr_dot_turned": lambda v: (size_of(v.args[4]), sizes(v.args[3])[1]),
    "csr_sampled_dot": lambda v: sizes(v.args[0]),
    "csr_order": lambda v: sizes(v.args[0]),
}
