"""Stable forms of a user's expressions, for differentiation.

``log(softmax(x))`` is differentiated as the ``logsoftmax(x)`` it will become: through the
softmax, the gradient would be 0/0 where a probability vanishes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from graphc.core.graph import Interner, toposort
from graphc.core.node import Variable, made_at
from graphc.core.op import apply, building_with
from graphc.core.pattern import Rule
from graphc.passes.canonical import CANONICAL
from graphc.passes.rewrite import Firing, Rewriter
from graphc.passes.stability import STABLE

RULES: tuple[Rule, ...] = CANONICAL + STABLE
STABLE_NAMES = frozenset(r.name for r in STABLE)
ROOTS = frozenset(root for r in STABLE for root in r.roots)
KEYS = frozenset(("exp", "sigmoid", "softmax"))  # without one, nothing overflows
REACH = 12  # how far above one of these a rule's root may lie


def stable_forms(
    order: Sequence[Variable], held: Collection[Variable]
) -> dict[Variable, Variable]:
    """Equal expressions that derivatives should be taken of instead.

    Parameters
    ----------
    order : sequence of variables
        A user's graph, operands first.
    held : collection of variables
        Variables whose own adjoint is wanted, or through which none may pass: no form
        looks inside them.

    Returns
    -------
    dict
        For each variable that a stability rule applies to, an equal expression over
        variables that come earlier in `order`.
    """
    reach = _above_keys(order)
    if not any(v.op is not None and v.op.name in ROOTS and reach[v] > 0 for v in reach):
        return {}
    shadow = _Shadow(set(held), len(order))
    for v in order:
        shadow.visit(v, v in reach)
    return shadow.forms


def _above_keys(order: Sequence[Variable]) -> dict[Variable, int]:
    """How far each variable lies above the nearest op in KEYS, if no further than REACH."""
    found: dict[Variable, int] = {}
    for v in order:
        if v.op is None:
            continue
        if v.op.name in KEYS:
            found[v] = 0
            continue
        if v.op.name == "sqrt" and _is_square(v.args[0]):
            found[v.args[0]] = 0
        distance = min((found[a] for a in v.args if a in found), default=REACH)
        if distance < REACH:
            found[v] = distance + 1
    return found


def _is_square(v: Variable) -> bool:
    """Whether a square root of this is an absolute value."""
    if v.op is None:
        return False
    return v.op.name in ("sqr", "pow") or (v.op.name == "mul" and v.args[0] is v.args[1])


class _Shadow:
    """A user's graph interned and rewritten beside it, and the way back.

    Held variables are leaves in the shadow, so equal nodes there are equal in value and
    in what they hold.
    """

    def __init__(self, held: set[Variable], nodes: int) -> None:
        self.forms: dict[Variable, Variable] = {}
        self._held = held
        self._log: list[Firing] = []
        self._interner = Interner()
        self._rewriter = Rewriter(RULES, self._interner, self._log, nodes)
        self._of: dict[Variable, Variable] = {}  # the user's variable -> its shadow
        self._back: dict[Variable, Variable] = {}  # a shadow -> the user's variable
        self._stable: dict[Variable, Variable] = {}  # a shadow -> its form, in user's terms

    def visit(self, v: Variable, may_fire: bool) -> None:
        if v.op is None:
            shadow = self._interner.leaf(v)
        else:
            shadow = self._shadow(v, may_fire)
        if v in self._held and v.op is not None:
            shadow = Variable(v.type, where=v.where)
        self._of[v] = shadow
        self._back.setdefault(shadow, v)

    def _shadow(self, v: Variable, may_fire: bool) -> Variable:
        assert v.op is not None
        args = tuple(self._of[a] for a in v.args)
        with building_with(self._interner), made_at(v.where):
            plain = apply(v.op, args, v.attrs)
        if not may_fire:
            self._rewriter.done.setdefault(plain, plain)
            return plain
        start = len(self._log)
        normal = self._rewriter.normal(plain)
        if any(f.rule in STABLE_NAMES for f in self._log[start:]):
            with made_at(v.where):
                self._stable[plain] = self._in_users_terms(normal)
        if plain in self._stable:
            self.forms[v] = self._stable[plain]
        return normal

    def _in_users_terms(self, shadow: Variable) -> Variable:
        """A shadow rebuilt over the user's variables as far as they have some."""
        for n in toposort([shadow], leaves=self._back):
            if n in self._back:
                continue
            if n.op is None:
                self._back[n] = n
            else:
                self._back[n] = apply(n.op, [self._back[a] for a in n.args], n.attrs)
        return self._back[shadow]
