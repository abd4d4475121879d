"""Updates and givens as users write them, read into plain pairs and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphc.core import dtypes
from graphc.core.config import config
from graphc.core.errors import ArgumentError, DTypeError, GraphError, ShapeError
from graphc.core.graph import ancestors, substitute, toposort
from graphc.core.node import Constant, SharedVariable, Variable, describe, fits, user_frames
from graphc.core.packed import Packed
from graphc.ops import scan
from graphc.ops.convert import as_variable, is_number
from graphc.ops.elementwise import cast, maximum
from graphc.ops.index import getitem

Pairs = list[tuple[Any, Any]]


def read_pairs(given: Any, what: str) -> Pairs:
    """A mapping, its items, or a list of pairs, as a list of pairs."""
    if given is None:
        return []
    entries = list(given.items()) if isinstance(given, Mapping) else given
    try:
        return [pair for entry in entries for pair in _pairs(entry, what)]
    except GraphError:
        raise
    except (TypeError, ValueError):
        raise ArgumentError(
            f"function: {what} must be a dict or a list of pairs, not {_short(given)}",
            f"{what}=[(variable, expression), ...]",
            user_frames(),
        ) from None


def _pairs(entry: Any, what: str) -> Pairs:
    """A pair, or those of the parts of a packed variable."""
    if isinstance(entry, Variable | Packed):
        raise TypeError
    first, second = entry
    if not isinstance(first, Packed):
        return [(first, second)]
    pairs = list(zip(first.parts, first.fit(second, what)))
    return [(old, new) for old, new in pairs if not isinstance(old, Constant)]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 else text[:77] + "..."


# --- givens ---------------------------------------------------------------------------


def read_givens(given: Any, strict: bool = True) -> dict[Variable, Variable]:
    """What is replaced by what; each replacement sees the pairs before it.

    Raises
    ------
    ArgumentError
        If a pair replaces what an earlier pair's new expression is made of: the order in
        which to replace would be open.
    """
    replace: dict[Variable, Variable] = {}
    for old, new in read_pairs(given, "givens"):
        if not isinstance(old, Variable):
            raise ArgumentError(f"givens: {_short(old)} is not a variable", at=user_frames())
        if old in replace:
            raise ArgumentError(f"givens: {describe(old)} is replaced twice", at=old.where)
        for earlier in replace.values():
            if old in ancestors([earlier]) and old is not earlier:
                raise ArgumentError(
                    f"givens: {describe(old)} is replaced, and {describe(earlier)}, which "
                    "replaces another variable, is made of it",
                    "which to replace first is open: write out the expression you mean",
                    user_frames(),
                )
        value = _fit(old, new, strict)
        replace[old] = substitute([value], replace)[0]
    return replace


def _fit(old: Variable, new: Any, strict: bool) -> Variable:
    """The replacement of a variable in the variable's own type."""
    weak = not isinstance(new, Variable)
    value = as_variable(new)
    if weak and value.dtype != old.dtype:
        assert isinstance(value, Constant)
        if fits(value.data, old.dtype, scalar=is_number(new)):
            value = cast(value, old.dtype)
    if value.dtype != old.dtype and not strict:
        value = cast(value, old.dtype)
    if value.dtype != old.dtype:
        raise DTypeError(
            f"givens: {describe(old)} can't be replaced by {describe(value)}: the dtypes differ",
            f"cast it: T.cast(value, {old.dtype!r})",
            value.where or user_frames(),
        )
    if value.ndim != old.ndim or not old.type.accepts(value.type):
        raise ShapeError(
            f"givens: {describe(old)} can't be replaced by {describe(value)}: the shapes differ",
            "a replacement has the rank and the known sizes of what it replaces",
            value.where or user_frames(),
        )
    return value


# --- updates --------------------------------------------------------------------------


def read_updates(given: Any) -> dict[SharedVariable, Variable]:
    """The new value of each shared variable, in its own dtype and rank."""
    found: dict[SharedVariable, Variable] = {}
    for target, new in read_pairs(given, "updates"):
        if not isinstance(target, SharedVariable):
            label = describe(target) if isinstance(target, Variable) else _short(target)
            where = target.where if isinstance(target, Variable) else ()
            raise ArgumentError(
                f"updates: {label} is not a shared variable, so it can't be updated",
                "make it one: graphc.shared(value, name=...)",
                where or user_frames(),
            )
        if target in found:
            raise ArgumentError(
                f"updates: {describe(target)} is updated twice: to {describe(found[target])} "
                f"and to {describe(as_variable(new))}",
                "write one expression for both changes",
                tuple(dict.fromkeys(found[target].where[-1:] + as_variable(new).where[-1:])),
            )
        found[target] = fit_update(target, new)
    return found


def fit_update(target: Variable, new: Any, what: str = "updates") -> Variable:
    """An update's expression, checked against what it updates.

    Raises
    ------
    DTypeError
        If the dtypes differ; the error quotes the line where the other dtype came in.
    ShapeError
        If the ranks or known sizes differ.
    """
    value = as_variable(new)
    if value.dtype != target.dtype:
        if isinstance(value, Constant) and fits(value.data, target.dtype, scalar=is_number(new)):
            value = cast(value, target.dtype)
        else:
            raise _other_dtype(target, value, what)
    if not target.type.accepts(value.type):
        raise ShapeError(
            f"{what}: {describe(target)} would become {describe(value)}: "
            + ("the ranks differ" if value.ndim != target.ndim else "the known sizes differ"),
            "an update keeps the rank; .sum(), .reshape or .dimshuffle may be missing",
            value.where or user_frames(),
        )
    return value


def _other_dtype(target: Variable, value: Variable, what: str) -> GraphError:
    source = where_widened(value, target.dtype)
    text = f"{what}: {describe(target)} would become {value.dtype}"
    if source is value:
        text += f": the new value is {describe(source)}"
    else:
        text += f": {source.dtype} comes in with {describe(source)}"
    if source.dtype == config.floatX and _makes_floats(source):
        text += f"; floats made of integers are floatX, now {config.floatX}"
    hint = f"cast it there: .astype({target.dtype!r})"
    if dtypes.is_float(value.dtype) and not dtypes.is_half(target.dtype):
        hint += f", or set graphc.config.floatX = {target.dtype!r} before declaring inputs"
    return DTypeError(text, hint, source.where or value.where or user_frames())


def _makes_floats(source: Variable) -> bool:
    """Whether an application turns integers into floats."""
    casts = [v for v in (source, *source.args) if v.op is not None and v.op.name == "cast"]
    return any(dtypes.is_discrete(c.args[0].dtype) for c in casts)


def where_widened(value: Variable, wanted: str) -> Variable:
    """The variable through which another dtype than `wanted` came into an expression.

    Walks down from `value` to an operand that has the other dtype by itself, past casts
    that only brought an operand to the dtype of its neighbour.
    """
    at = value
    while at.op is not None:
        inner = [a for a in at.args if _carries(a, wanted, at.dtype)]
        if not inner:
            return at
        at = min(inner, key=lambda a: isinstance(a, Constant) and a.ndim == 0)
    return at


def _carries(operand: Variable, wanted: str, dtype: str) -> bool:
    """Whether an operand brings `dtype` with it: not if it was cast from `wanted` or less."""
    if operand.dtype != dtype:
        return False
    if operand.op is None or operand.op.name != "cast":
        return True
    source = operand.args[0].dtype
    return source != wanted and dtypes.promote([source, wanted]) != wanted


def default_updates(
    roots: Sequence[Variable],
    updates: dict[SharedVariable, Variable],
    replace: Mapping[Variable, Variable],
    excluded: Any,
) -> dict[SharedVariable, Variable]:
    """The updates together with the default updates of all shared variables in reach.

    `replace` holds the givens, applied to `roots` and `updates` already. `excluded` is
    True for no default updates, or a list of shared variables to leave alone.
    """
    if not isinstance(excluded, bool | list | tuple | set | frozenset):
        raise ArgumentError(
            f"function: no_default_updates is a bool or a list of shared variables, not "
            f"{excluded!r}", at=user_frames(),
        )  # fmt: skip
    found = dict(updates)
    if excluded is True:
        return found
    left_out = set(excluded or ())
    seen: set[Variable] = set()
    pending = [*roots, *updates.values(), *updates]
    while pending:
        order = toposort(pending, leaves=seen)
        pending = []
        for variable in order:
            if variable in seen:
                continue
            seen.add(variable)
            if not isinstance(variable, SharedVariable) or variable.default_update is None:
                continue
            if variable in found or variable in left_out:
                continue
            new = fit_update(variable, total_update(variable, roots), "default_update")
            found[variable] = substitute([new], replace)[0]
            pending.append(found[variable])
    return found


def total_update(variable: SharedVariable, roots: Sequence[Variable]) -> Variable:
    """The default update of a shared variable that loops in `roots` may update as well.

    Loops and what is outside start from the same value: of a count, as random streams have,
    the highest that is reached is the new one.
    """
    default = variable.default_update
    assert default is not None
    finals = _finals(variable, roots)
    if not finals:
        return default
    if len(finals) == 1 and not dtypes.is_discrete(variable.dtype):
        return finals[0]
    if not dtypes.is_discrete(variable.dtype):
        raise ArgumentError(
            f"{describe(variable)} has a default update, and {len(finals)} loops update it",
            "pass its new value by updates=", variable.where,
        )  # fmt: skip
    total = default
    for new in finals:
        total = maximum(total, new)
    return total


def _finals(variable: SharedVariable, roots: Sequence[Variable]) -> list[Variable]:
    """What loops make of a shared variable that they start from."""
    found: dict[Any, Variable] = {}
    for v in toposort(roots):
        if not scan.is_scan(v):
            continue
        loop, args = scan.key_of(v)
        for k, (state, initial) in enumerate(zip(loop.states, loop.split(args).initials)):
            if state.shared and initial.args == (variable,):
                found[loop, args, k] = getitem(scan.final(loop, args, k), 0)
    return list(found.values())
