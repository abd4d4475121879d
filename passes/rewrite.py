"""The one driver of rewrite rules.

Nodes are brought to their normal form operands first. A rule sees only what lies below a
node, and that is in normal form already, so each node is looked at once, and again only
where a rule has made something new: one sweep reaches the fixpoint.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from graphc.core import dtypes
from graphc.core.errors import Frame, RewriteError
from graphc.core.graph import Graph, Interner
from graphc.core.node import Variable, describe, made_at
from graphc.core.op import Op, building_with
from graphc.core.pattern import Rule, kind_of
from graphc.passes.sizes import same_sizes

FIRINGS_PER_NODE = 30  # as many may be needed; rules that grow a graph forever need more
FIRINGS_AT_LEAST = 1_000


@dataclass(frozen=True)
class Firing:
    """One replacement: by which rule, of what, by what, and the user's lines it is about."""

    rule: str
    before: Variable
    after: Variable
    lines: tuple[Frame, ...]


def rewrite(
    graph: Graph, rules: tuple[Rule, ...], interner: Interner, log: list[Firing]
) -> Graph:
    """An interned graph brought to the normal form of some rules.

    Parameters
    ----------
    graph : Graph
        Built by `interner`.
    rules : tuple of Rule
        Of several that match a node, the first fires.
    interner : Interner
        Makes all new nodes.
    log : list of Firing
        Is extended by what happened.

    Raises
    ------
    RewriteError
        If a rule fails, changes a dtype or a rank, contradicts known sizes, or if rules
        run in circles.
    """
    rewriter = Rewriter(rules, interner, log, len(graph.nodes()))
    return graph.with_roots([rewriter.normal(r) for r in graph.roots])


class Rewriter:
    """Normal forms, remembered from root to root.

    Parameters
    ----------
    rules, interner, log
        As for `rewrite`.
    nodes : int
        How many will be given, or lie below what will be given: the measure of how often
        rules may fire before they are said to run in circles.
    """

    def __init__(
        self, rules: tuple[Rule, ...], interner: Interner, log: list[Firing], nodes: int
    ) -> None:
        self.rules = rules
        self.interner = interner
        self.log = log
        self.done: dict[Variable, Variable] = {}
        self._became: dict[Variable, Variable] = {}  # replaced, its replacement not normal yet
        self._index: dict[tuple[Op, tuple[str, ...]], tuple[Rule, ...]] = {}
        self._most = len(log) + FIRINGS_AT_LEAST + FIRINGS_PER_NODE * nodes

    def normal(self, variable: Variable) -> Variable:
        """The normal form of an interned variable."""
        done, became = self.done, self._became
        stack = [variable]
        with building_with(self.interner):
            while stack:
                v = stack[-1]
                if v in done:
                    stack.pop()
                    continue
                after = became.get(v)
                if after is None:
                    waiting = [a for a in v.args if a not in done]
                    if waiting:
                        self._refuse_circles(waiting)
                        stack.extend(waiting)
                        continue
                    after = self._step(v)
                if after is v:
                    done[v] = v
                elif after in done:
                    done[v] = done[after]
                    became.pop(v, None)
                else:
                    self._refuse_circles([after])
                    became[v] = after
                    stack.append(after)
        return done[variable]

    def _step(self, v: Variable) -> Variable:
        """What stands for a node whose operands have normal forms: itself if nothing fires."""
        op = v.op
        if op is None:
            return v
        args = tuple([self.done[a] for a in v.args])
        if any(a is not b for a, b in zip(args, v.args)):
            with made_at(v.where):
                new = self.interner.build(op, args, v.attrs)
            if new is not v:
                self.interner.note(new, v)
                return new
        kinds = tuple([kind_of(a) for a in args])
        rules = self._index.get((op, kinds))
        if rules is None:
            rules = tuple(r for r in self.rules if r.may_match(op, kinds))
            self._index[op, kinds] = rules
        if v.dtype in dtypes.COMPLEX:  # rules are about real numbers: sqrt(x^2) is |x|
            return v
        return self._try(rules, v) if rules else v

    def _try(self, rules: tuple[Rule, ...], v: Variable) -> Variable:
        """What the first rule that fires makes of a node, or the node."""
        rule = rules[0]
        try:
            with made_at(v.where):
                for rule in rules:
                    after = rule.step(v)
                    if after is None:
                        continue
                    after = self.interner.leaf(after)
                    if after is not v and _may_replace(rule, v, after):
                        self._record(rule, v, after)
                        return after
        except RewriteError:
            raise
        except Exception as error:
            raise RewriteError(
                f"rule {rule.name} failed on {describe(v)}: {type(error).__name__}: {error}",
                at=v.where,
            ) from error
        return v

    def _record(self, rule: Rule, before: Variable, after: Variable) -> None:
        lines = tuple(sorted(self.interner.lines.get(before, ())))
        self.interner.note(after, before)
        self.log.append(Firing(rule.name, before, after, lines))
        if len(self.log) > self._most:
            self._complain(Counter(f.rule for f in self.log[-1000:]))

    def _refuse_circles(self, coming: Iterable[Variable]) -> None:
        """To need a node that waits for its own replacement is to run in circles."""
        for v in coming:
            if v in self._became:
                self._complain(Counter(f.rule for f in self.log[-20:]), v)

    def _complain(self, rules: Counter[str], v: Variable | None = None) -> None:
        names = ", ".join(name for name, _ in rules.most_common(3))
        about = f" at {describe(v)}" if v is not None else ""
        raise RewriteError(
            f"rules run in circles{about}; the last to fire were {names}",
            "each rule must make an expression simpler by one measure they share",
            v.where if v is not None else (),
        )


def _may_replace(rule: Rule, old: Variable, new: Variable) -> bool:
    """Whether a rule's result keeps the type; not so is a fault, or a lost broadcast."""
    if new.dtype != old.dtype:
        _refuse(rule, old, new)
    pairs = list(zip(old.type.shape, new.type.shape))
    contradiction = old.ndim != new.ndim or any(
        n != m for n, m in pairs if n is not None and m is not None
    )
    if contradiction and not rule.is_template:
        _refuse(rule, old, new)
    if contradiction or any(m is None and n is not None for n, m in pairs):
        return False
    return not rule.drops or same_sizes(old, new)


def _refuse(rule: Rule, old: Variable, new: Variable) -> None:
    raise RewriteError(
        f"rule {rule.name} would replace {describe(old)} by {describe(new)}, of another type",
        "a rule keeps dtype, rank and known sizes",
        old.where,
    )
