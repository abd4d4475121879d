"""The one printer of expressions: graphs as formulas that people can read.

Arithmetic is written with operators, parts as ``x[i]``, everything else as a call. Below the
root, a variable with a name is shown by its name. What lies too deep is shown as ``…``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from graphc.core import dtypes
from graphc.core.node import Attrs, Constant, Variable

ELLIPSIS = "…"
DEEP = 1_000_000  # no graph is deeper than this

ATOM, POWER, UNARY, PRODUCT, SUM, SHIFT_AND, XOR, OR, COMPARE = 9, 8, 7, 6, 5, 4, 3, 2, 1

Piece = tuple[str, int]
"""A text and how tightly it binds."""

Names = Mapping[Variable, str]
NO_NAMES: Names = MappingProxyType({})

INFIX: Mapping[str, tuple[str, int]] = {
    "add": (" + ", SUM), "sub": (" - ", SUM), "mul": (" * ", PRODUCT),
    "true_div": (" / ", PRODUCT), "int_div": (" // ", PRODUCT), "mod": (" % ", PRODUCT),
    "dot": (" @ ", PRODUCT), "pow": (" ** ", POWER),
    "eq": (" == ", COMPARE), "neq": (" != ", COMPARE), "lt": (" < ", COMPARE),
    "le": (" <= ", COMPARE), "gt": (" > ", COMPARE), "ge": (" >= ", COMPARE),
    "and_": (" & ", SHIFT_AND), "xor": (" ^ ", XOR), "or_": (" | ", OR),
}  # fmt: skip
"""Operators between two operands, by the op's name."""

PREFIX = {"neg": "-", "invert": "~"}
"""Operators before one operand."""

ASSOCIATIVE = {"add", "mul", "and_", "or_", "xor"}
SILENT = {"identity", "checked_index", "sum_like"}  # what a reader of a formula needn't see
HIDDEN_ATTRS = {"nonempty", "dtype", "copy", "branch"}


def formula(
    variable: Variable, depth: int = 5, width: int = 160, through: bool = False,
    names: Names = NO_NAMES,
) -> str:  # fmt: skip
    """An expression as one line.

    Parameters
    ----------
    variable : Variable
        Its root.
    depth : int
        How many operations deep to go; -1 for all.
    width : int
        Operands longer than this are cut; it bounds the text of graphs that share much.
    through : bool
        Whether to look inside variables that have a name.
    names : mapping
        What leaves are called, where it isn't by their own name.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> from graphc.core.text import formula
    >>> x, y = T.dvectors("x", "y")
    >>> formula(T.exp(-(x + y) * 2).sum())
    'sum(exp(-(x + y) * 2.0))'
    >>> formula(T.exp(-(x + y) * 2).sum(), depth=2)
    'sum(exp(…))'
    """
    root = (variable, depth if depth >= 0 else DEEP)
    done: dict[tuple[Variable, int], Piece] = {}
    stack = [root]
    while stack:
        key = stack[-1]
        v, left = key
        if key in done:
            stack.pop()
            continue
        if v.op is None or (v.name and not through and v is not variable):
            done[key] = (leaf_text(v, names), ATOM)
            continue
        below = left if v.op.name in SILENT or _is_spread(v) else left - 1
        below = DEEP if left == DEEP else below
        operands = operands_of(v) if left > 0 else ()
        waiting = [(a, below) for a in operands if (a, below) not in done]
        if waiting:
            stack.extend(waiting)
        elif left <= 0:
            done[key] = (ELLIPSIS, ATOM)
        else:
            pieces = [done[a, below] for a in operands]
            cut = [_cut(a, p, width, names) for a, p in zip(operands, pieces)]
            done[key] = application(v, cut)
    return done[root][0]


def fitted(variable: Variable, width: int = 90, deepest: int = 8) -> str:
    """An expression as one line, as deep as `width` columns allow; at least its operation.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> from graphc.core.text import fitted
    >>> x, y = T.dvectors("x", "y")
    >>> fitted(T.exp(-(x + y) * 2).sum(), width=20)
    'sum(exp(-… * 2.0))'
    """
    best = formula(variable, 1, width)
    for depth in range(2, deepest + 1):
        text = formula(variable, depth, 2 * width)
        if len(text) > width or text == best:
            break
        best = text
    return best


def leaf_text(variable: Variable, names: Names = NO_NAMES) -> str:
    """The name of a variable, the value of a constant, or a type in angle brackets."""
    name = names.get(variable, variable.name)
    if name:
        return name
    if isinstance(variable, Constant):
        return literal(variable)
    return f"<{variable.type}>"


def literal(constant: Constant) -> str:
    """A constant, shortened to what tells it from others.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc.core.node import Constant
    >>> literal(Constant(np.float32(0.1))), literal(Constant(np.zeros((20, 3))))
    ('0.1', 'full((20, 3), 0.0)')
    """
    data = constant.data
    if constant.dtype == "bfloat16":
        data = dtypes.convert(data, "float32")
    if data.ndim == 0:
        return str(data[()])
    value = constant.uniform()
    if value is not None:
        return f"full({data.shape}, {data.reshape(-1)[0]!s})"
    if data.size <= 4:
        return np.array2string(data, separator=", ").replace("\n", "")
    return f"<{constant.type} constant>"


def application(v: Variable, operands: Sequence[Piece]) -> Piece:
    """An op applied to operands whose texts are known."""
    assert v.op is not None
    name, attrs = v.op.name, v.attrs
    if name in INFIX and len(operands) == 2:
        return _infix(name, operands)
    if name in PREFIX:
        return PREFIX[name] + _wrapped(operands[0], UNARY), UNARY
    if name in SILENT or _is_spread(v):
        return operands[0]
    special = SPECIAL.get(name)
    if special is not None:
        return special(v, operands)
    texts = [t for t, _ in operands] + attr_texts(attrs, v)
    return f"{name.rstrip('_')}({', '.join(texts)})", ATOM


def attr_texts(attrs: Attrs, v: Variable) -> list[str]:
    """Attributes as keyword arguments, but for those that go without saying."""
    if "loop" in attrs:
        return [loop_result(v)]
    texts = []
    for key, value in attrs.items():
        if key in HIDDEN_ATTRS or callable(value):
            continue
        if key == "axes":
            if len(value) == (v.args[0].ndim if v.args else 0):
                continue
            texts.append(f"axis={value[0]}" if len(value) == 1 else f"axis={tuple(value)}")
        else:
            texts.append(f"{key}={value!r}")
    return texts


def _infix(name: str, operands: Sequence[Piece]) -> Piece:
    sign, binding = INFIX[name]
    left, right = operands
    first = _wrapped(left, binding + (name == "pow"))
    second = _wrapped(right, binding + (name not in ASSOCIATIVE | {"pow"}))
    if right[1] == UNARY and binding <= PRODUCT:
        second = f"({right[0]})" if binding == SUM else second
    return f"{first}{sign}{second}", binding


def _wrapped(piece: Piece, binding: int) -> str:
    """An operand, in parentheses where it binds less tightly than `binding`."""
    text, own = piece
    return text if own >= binding else f"({text})"


def _cut(v: Variable, piece: Piece, width: int, names: Names) -> Piece:
    """An operand, or its operation alone where its text is too long."""
    if len(piece[0]) <= width or v.op is None:
        return piece
    return application(v, [_brief(a, names) for a in operands_of(v)])


def _brief(v: Variable, names: Names) -> Piece:
    text = leaf_text(v, names) if v.op is None or v.name else ELLIPSIS
    return (text if len(text) <= 20 else ELLIPSIS), ATOM


def _is_spread(v: Variable) -> bool:
    """Whether a variable is its operand but for axes that go without saying."""
    if v.op is None or v.op.name not in ("dimshuffle", "broadcast_like"):
        return False
    if v.op.name == "broadcast_like":
        return True
    pattern, source = tuple(v.attrs["pattern"]), v.args[0].op
    if source is not None and source.name == "dot" and len(pattern) < v.args[0].ndim:
        return True  # a product with a vector
    kept = [p for p in pattern if p != "x"]
    return kept == list(range(v.args[0].ndim)) and pattern[len(pattern) - len(kept) :] == (*kept,)


def _cast(v: Variable, operands: Sequence[Piece]) -> Piece:
    return f"{v.dtype}({operands[0][0]})", ATOM


def _dimshuffle(v: Variable, operands: Sequence[Piece]) -> Piece:
    pattern = tuple(v.attrs["pattern"])
    base = _wrapped(operands[0], ATOM)
    if pattern == (1, 0):
        return f"{base}.T", ATOM
    if [p for p in pattern if p != "x"] == list(range(v.args[0].ndim)):
        return f"{base}[{', '.join('None' if p == 'x' else ':' for p in pattern)}]", ATOM
    return f"{base}.dimshuffle({', '.join(map(repr, pattern))})", ATOM


def _dim(v: Variable, operands: Sequence[Piece]) -> Piece:
    return f"{_wrapped(operands[0], ATOM)}.shape[{v.attrs['axis']}]", ATOM


def operands_of(v: Variable) -> tuple[Variable, ...]:
    """A variable's operands, slices' bounds being those that were written where they are found.

    A slice is kept as its start, clipped to the axis, and its length.
    """
    if v.op is not None and v.op.name == "arange":
        return *v.args[:2], unclipped(v.args[2])
    if v.op is None or v.op.name not in ("subtensor", "update_subtensor"):
        return v.args
    args = list(v.args)
    first = len(args) - sum({"i": 1, "s": 2}.get(e[0], 0) for e in v.attrs["window"])
    for entry in v.attrs["window"]:
        if entry[0] == "s":
            start, length = first + entry[1], first + entry[2]
            stop = _stop_of(args[start], args[length])
            args[length] = args[length] if stop is None else stop
            args[start] = unclipped(args[start])
    return tuple(args)


def unclipped(bound: Variable) -> Variable:
    """What a slice's bound was before it was counted from the start and clipped to the axis."""
    while bound.op is not None:
        name, args = bound.op.name, bound.args
        kept = args
        if name == "minimum":
            kept = tuple(a for a in args if a.op is None or a.op.name != "dim")
        elif name == "maximum":
            kept = tuple(a for a in args if not isinstance(a, Constant)) or args[:1]
        elif name == "switch" and args[0].op is not None and args[0].op.name == "lt":
            kept = args[2:]
        else:
            break
        if len(kept) != 1:
            break
        bound = kept[0]
    return bound


def _stop_of(start: Variable, length: Variable) -> Variable | None:
    """The end of a slice ``max(stop - start, 0)``, or None if its length isn't of that form."""
    difference = unclipped(length)
    if difference.op is not None and difference.op.name == "sub":
        return unclipped(difference.args[0]) if difference.args[1] is start else None
    return difference if isinstance(start, Constant) and not start.data.any() else None


def _window(v: Variable, numbers: Sequence[Piece]) -> str:
    """The inside of the brackets; a slice whose end isn't known is ``start:+length``."""
    shown, first = operands_of(v), len(v.args) - len(numbers)
    entries = []
    for entry in v.attrs["window"]:
        if entry[0] == "i":
            entries.append(numbers[entry[1]][0])
        elif entry[0] == "s":
            start, stop = numbers[entry[1]][0], numbers[entry[2]][0]
            if start == "0":
                start = ""
            elif shown[first + entry[2]] is v.args[first + entry[2]]:
                stop = f"+{stop}"
            if _is_dim_of(shown[first + entry[2]], v.args[0]):
                stop = ""
            entries.append(f"{start}:{stop}" + (f":{entry[3]}" if entry[3] != 1 else ""))
        else:
            entries.append("None" if entry[0] == "n" else ":")
    while len(entries) > 1 and entries[-1] == ":":
        entries.pop()
    return ", ".join(entries)


def _is_dim_of(v: Variable, x: Variable) -> bool:
    return v.op is not None and v.op.name == "dim" and v.args[0] is x


def _picks(v: Variable, indices: Sequence[Piece]) -> str:
    axes = v.attrs["axes"]
    entries = [":"] * (max(axes) + 1)
    for axis, (text, _) in zip(axes, indices):
        entries[axis] = text
    return ", ".join(entries)


def _subtensor(v: Variable, operands: Sequence[Piece]) -> Piece:
    return f"{_wrapped(operands[0], ATOM)}[{_window(v, operands[1:])}]", ATOM


def _gather(v: Variable, operands: Sequence[Piece]) -> Piece:
    return f"{_wrapped(operands[0], ATOM)}[{_picks(v, operands[1:])}]", ATOM


def _changed(inside: Callable[[Variable, Sequence[Piece]], str]) -> Callable[..., Piece]:
    def show(v: Variable, operands: Sequence[Piece]) -> Piece:
        name = "set" if v.attrs["mode"] == "set" else "inc"
        base = f"{_wrapped(operands[0], ATOM)}[{inside(v, operands[2:])}]"
        return f"{name}_subtensor({base}, {operands[1][0]})", ATOM

    return show


def _arange(v: Variable, operands: Sequence[Piece]) -> Piece:
    (start, _), (step, _), (count, _) = operands
    if (start, step) == ("0", "1"):
        return f"arange({count})", ATOM
    return f"{start} + {step} * arange({count})", SUM


def _gemm(v: Variable, operands: Sequence[Piece]) -> Piece:
    c, a, b, alpha, beta = operands
    product = f"{_wrapped(a, PRODUCT)} @ {_wrapped(b, PRODUCT + 1)}"
    scaled = product if alpha[0] in ("1", "1.0") else f"{_wrapped(alpha, PRODUCT)} * ({product})"
    if beta[0] in ("0", "0.0"):
        return scaled, PRODUCT
    kept = c[0] if beta[0] in ("1", "1.0") else f"{_wrapped(beta, PRODUCT)} * {c[0]}"
    return f"{kept} + {scaled}", SUM


def _first(v: Variable, operands: Sequence[Piece]) -> Piece:
    """A check of its first operand."""
    return operands[0]


def _scan(v: Variable, operands: Sequence[Piece]) -> Piece:
    """A loop over sequences goes without its number of steps."""
    texts = [t.removesuffix("[:]") for t, _ in operands]
    first = texts[1:] if v.attrs["loop"].slices else [f"n_steps={texts[0]}", *texts[1:]]
    return f"scan({', '.join([loop_result(v), *first])})", ATOM


def loop_result(v: Variable) -> str:
    """Which result of its loop a variable is: ``rnn: rows of tanh(x[t] + h[t-1])``."""
    loop, of, which = v.attrs["loop"], v.attrs["of"], v.attrs["which"]
    if of == "count":
        text = "number of steps"
    elif of == "rows":
        inner = loop.all_names.get(which) or which.name
        text = f"rows of {inner or formula(which, 4, 40, names=loop.all_names)}"
    else:
        name = loop.next_name(which).removeprefix("next ")
        text = f"last {name}" if of == "final" else f"initial rows and all {name}"
    return f"{loop.name}: {text}" if loop.name else text


SPECIAL: Mapping[str, Callable[[Variable, Sequence[Piece]], Piece]] = {
    "cast": _cast, "dimshuffle": _dimshuffle, "dim": _dim, "subtensor": _subtensor,
    "gather": _gather, "update_subtensor": _changed(_window), "scatter": _changed(_picks),
    "gemm": _gemm, "arange": _arange, "scan": _scan, "steps_of": _first,
}  # fmt: skip
"""Ops that are written neither with an operator nor as a plain call."""
