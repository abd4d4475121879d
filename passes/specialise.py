"""The first half of binding: the graph again, with every size a number.

Shape arithmetic folds away, broadcasting is resolved, composed ops (softmax) become what
they are made of, and the rules run once more on what they can now see.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphc.core import dtypes
from graphc.core.errors import Frame, ShapeError
from graphc.core.graph import Graph, Interner, toposort
from graphc.core.loop import Loop, Operands
from graphc.core.node import Constant, SharedVariable, TensorType, Variable, describe, made_at
from graphc.core.op import Expand, apply, building_with, static_int
from graphc.ops.broadcast import alloc
from graphc.ops.choice import is_branch
from graphc.ops.elementwise import abs_, cast, copy_, sub
from graphc.ops.gather import checked_index
from graphc.ops.reduce import sum as sum_
from graphc.ops.scan import is_scan, state_changes
from graphc.ops.shape import expand_axes
from graphc.passes import loop_bodies
from graphc.passes.group import is_generator
from graphc.passes.layout import Layouts, inside, is_view, shape_of, trace
from graphc.passes.strips import in_strips


@dataclass(frozen=True)
class Sized:
    """A graph whose sizes are all known, and which leaf of the declared one each leaf is."""

    graph: Graph
    interner: Interner
    origin: dict[Variable, Variable]


def size_numbers(graph: Graph) -> list[Variable]:
    """The integers on which sizes depend and that only a call's arguments tell.

    ``x[i * n : (i + 1) * n]`` has a length that depends on ``i``: it is computed before the
    plan is looked up.
    """
    found: dict[Variable, None] = {}
    for v in graph.nodes():
        if v.op is None or v.op.size_args is None:
            continue
        for k in v.op.size_args(len(v.args), v.attrs):
            if _needs_values(v.args[k]):
                found[v.args[k]] = None
    return list(found)


def _needs_values(size: Variable) -> bool:
    """Whether a size depends on the value of a leaf, and not only on leaves' sizes."""
    stack, seen = [size], set()
    while stack:
        v = stack.pop()
        if v in seen or isinstance(v, Constant):
            continue
        seen.add(v)
        if v.op is None:
            return True
        if v.op.name != "dim":
            stack.extend(v.args)
    return False


def specialise(
    graph: Graph, shapes: Mapping[Variable, tuple[int, ...]], numbers: Mapping[Variable, int],
    lines: Mapping[Variable, Iterable[Frame]] | None = None,
) -> Sized:  # fmt: skip
    """`graph` for given sizes of its leaves and given values of its size numbers.

    `lines` are those of the user's program that the graph's nodes are about.
    """
    interner = Interner()
    done: dict[Variable, Variable] = {}
    origin: dict[Variable, Variable] = {}
    order = graph.nodes()
    leaves = [v for v in order if v.op is None] + list(graph.inputs)
    leaves += [s for s, _ in graph.updates]
    with building_with(interner):
        for leaf in dict.fromkeys(leaves):
            if isinstance(leaf, Constant):
                done[leaf] = interner.leaf(leaf)
                continue
            sized = Variable(TensorType(leaf.dtype, shapes[leaf]), name=leaf.name, where=leaf.where)
            done[leaf] = interner.leaf(sized)
            origin[sized] = leaf
        before = dict(done)
        for number, value in numbers.items():
            done[number] = interner.leaf(Constant(value, "int64", where=number.where))
    guards = _guards(interner, before, dict(done), numbers)
    loop_bodies.rebuild(order, interner, done, resolve, sized_bodies(interner))
    _check_known(order, done)
    for old, new in done.items():
        interner.note(new, old)
        interner.lines.setdefault(new, set()).update((lines or {}).get(old, ()))
    updates = tuple((s, done[new]) for s, new in graph.updates)
    sized_graph = Graph(
        tuple(before[v] for v in graph.inputs),
        tuple(done[v] for v in graph.outputs),
        updates,
        guards,
    )
    return Sized(sized_graph, interner, origin)


def sized_bodies(interner: Interner) -> loop_bodies.Transform:
    """Bodies over leaves of known sizes; those whose sizes don't follow stay as they are."""

    def transform(
        loop: Loop, wanted: Sequence[Variable], args: tuple[Variable, ...]
    ) -> loop_bodies.Found:
        given = loop.split(args)
        _check_steps(loop, given)
        rows = [(a, 1) for a in given.sequences]
        rows += [(a, 1) for a, s in zip(given.initials, loop.states) for _ in s.reads]
        rows += [(a, 0) for a in given.constants]
        done: dict[Variable, Variable] = {}
        for k, (leaf, (a, lead)) in enumerate(zip(loop.leaves, rows)):
            kind = TensorType(leaf.dtype, a.type.shape[lead:])
            number = not lead and isinstance(a, Constant) and not a.ndim
            done[leaf] = a if number else loop_bodies.leaf(interner, k, leaf, kind)
        leaves = {v: loop_bodies.leaf(interner, k, v, TensorType(v.dtype, done[v].type.shape))
                  for k, v in enumerate(loop.leaves)}  # fmt: skip
        order = toposort([*loop.results, *wanted], leaves=frozenset(done))
        loop_bodies.rebuild(order, interner, done, resolve, transform)
        for state in loop.states:
            before, after = done[state.reads[0]].type.shape, done[state.next].type.shape
            if before != after and None not in after:
                raise state_changes(state.next, before, after)  # type: ignore[arg-type]
        if not all(done[v].type.known for v in order):
            return loop, {v: v for v in wanted}
        for old in order:
            interner.note(done[old], old)
        return loop.over(leaves, lambda roots: [done[r] for r in roots]), done

    return transform


def _check_steps(loop: Loop, given: Operands) -> None:
    steps = static_int(given.steps)
    for a in given.sequences:
        length = a.type.shape[0]
        if steps is not None and length is not None and length < steps:
            raise ShapeError(
                f"the loop takes {steps} steps, and {describe(a)} has rows for {length}",
                "leave n_steps out for as many steps as there are rows", loop.where,
            )  # fmt: skip
    if steps is not None and steps < 0:
        raise ShapeError(
            f"the number of steps is {steps}", "it must not be negative", loop.where
        )


def _check_known(order: Iterable[Variable], done: Mapping[Variable, Variable]) -> None:
    """Memory is planned for sizes: an op of the user's has to tell its own."""
    for v in order:
        if not done[v].type.known:
            raise ShapeError(
                f"the sizes of {describe(done[v])} don't follow from those of its operands",
                "its infer is to give them where those are known; or make it with graphc.as_op",
                v.where,
            )


def _guards(
    interner: Interner, leaves: Mapping[Variable, Variable], done: dict[Variable, Variable],
    numbers: Mapping[Variable, int],
) -> tuple[Variable, ...]:  # fmt: skip
    """Checks, part of the plan, that the size numbers of a call are those it was made for.

    Each is computed from the numbers that it depends on, which have checks of their own.
    """
    guards: dict[Variable, None] = {}
    for number, value in numbers.items():
        interner.rebuild(toposort(number.args), done, resolve)
        with building_with(interner), made_at(number.where):
            found = leaves[number] if number.op is None else resolve(
                number, tuple(done[a] for a in number.args)
            )
            if not isinstance(found, Constant):
                guards[checked_index(abs_(sub(found, value)), 1)] = None
    return tuple(guards)


def resolve(v: Variable, args: tuple[Variable, ...]) -> Variable:
    """An application over operands of known sizes, in terms that kernels have."""
    op = v.op
    assert op is not None
    if op.name == "dim":
        size = args[0].type.shape[v.attrs["axis"]]
        return apply(op, args, v.attrs) if size is None else Constant(size, "int64", where=v.where)
    if op.name == "steps_of" and all(isinstance(a, Constant) for a in args[1:]):
        apply(op, args, v.attrs)  # a check; of numbers that a call tells, `_guards` has one
        return args[0]
    if op.name in ("broadcast_like", "sum_like") and not all(a.type.known for a in args):
        return apply(op, args, v.attrs)  # in the body of a loop that tells its sizes as it runs
    if op.name == "broadcast_like":
        return _broadcast(args[0], args[1].type.shape)
    if op.name == "alloc":
        built = apply(op, args, v.attrs)
        return args[0] if built.type.shape == args[0].type.shape else built
    if op.name == "sum_like":
        return sum_to(args[0], args[1].type.shape)
    return apply(op, args, v.attrs)


def widen(sized: Sized) -> Sized:
    """The graph with float32 wherever float16 and bfloat16 are computed with.

    Each op's result is rounded, as its meaning says, whatever it comes to be fused with.
    What moves values moves them as they are.
    """

    def visit(v: Variable, args: tuple[Variable, ...]) -> Variable:
        assert v.op is not None
        halves = any(dtypes.is_half(a.dtype) for a in args)
        if not halves or not v.op.widens or v.attrs.get("mode") == "set":
            return apply(v.op, args, v.attrs)
        found = apply(v.op, [cast(a, dtypes.wide(a.dtype)) for a in args], v.attrs)
        return cast(found, v.dtype)

    if not any(dtypes.is_half(v.dtype) for v in loop_bodies.all_nodes(sized.graph.roots)):
        return sized
    return _rebuilt(sized, visit)


def expand(sized: Sized) -> Sized:
    """The graph with composed ops (softmax) written out in those that have kernels, and with
    convolutions of few images in strips."""

    def visit(v: Variable, args: tuple[Variable, ...]) -> Variable:
        assert v.op is not None
        if isinstance(v.op.lower, Expand):
            return v.op.lower.rule(*args, **v.attrs)
        found = resolve(v, args)
        strips = None if found.op is None else in_strips(found)
        return found if strips is None else strips

    rows = any(v.op is not None and v.op.name == "map_rows" for v in sized.graph.nodes())
    found = _rebuilt(sized, visit)
    return _with_sized_loops(found) if rows else found


def _with_sized_loops(sized: Sized) -> Sized:
    """The same once more for loops that have come with what was written out."""
    graph, interner = sized.graph, sized.interner
    done: dict[Variable, Variable] = {}
    loop_bodies.rebuild(graph.nodes(), interner, done, resolve, sized_bodies(interner))
    return Sized(graph.with_roots([done[r] for r in graph.roots]), interner, sized.origin)


def _rebuilt(sized: Sized, visit: Any) -> Sized:
    graph, interner = sized.graph, sized.interner

    def over(body: Graph) -> Graph:
        if not all(v.type.known for v in body.nodes()):
            return body  # of a loop whose sizes depend on the step
        done = interner.rebuild(body.nodes(), {}, visit)
        for old, new in done.items():
            interner.note(new, old)
        return body.with_roots([done[r] for r in body.roots])

    changed = over(loop_bodies.in_bodies(graph, interner, over))
    return Sized(changed, interner, sized.origin)


def _broadcast(x: Variable, shape: Sequence[int | None]) -> Variable:
    return x if x.type.shape == tuple(shape) else alloc(x, *(n for n in shape))


def sum_to(g: Variable, shape: tuple[int | None, ...]) -> Variable:
    """`g` summed over the axes along which `shape` was broadcast to its shape."""
    lead = g.ndim - len(shape)
    axes = [
        k for k, n in enumerate(g.type.shape) if k < lead or (shape[k - lead] == 1 and n != 1)
    ]
    if not axes:
        return g
    total = sum_(g, axes, dtype=g.dtype)
    kept = [k - lead for k in axes if k >= lead]
    return expand_axes(total, kept) if kept else total


# --- what has to lie in memory --------------------------------------------------------


# Where the operands begin that are scalars: positions of windows, coefficients of products.
_FIRST_SCALAR = {
    "update_subtensor": 2, "gemm": 3, "csr_dot": 4, "csr_dot_turned": 4, "csr_sampled_dot": 4,
}  # fmt: skip


def materialise(sized: Sized) -> Sized:
    """The graph with copies where a value must lie in memory and would not.

    These are views whose strides don't exist, generated values that a library reads, and
    roots that are views, leaves, or wanted twice.
    """
    graph, interner = sized.graph, sized.interner
    layouts = Layouts()
    done: dict[Variable, Variable] = {}

    def visit(v: Variable, args: tuple[Variable, ...]) -> Variable:
        assert v.op is not None
        if is_view(v):
            args = (_viewable(v, args, layouts), *(_in_buffer(a) for a in args[1:]))
        elif is_scan(v) or is_branch(v):
            head = _in_buffer(args[0]) if is_branch(v) else args[0]
            args = (head, *_whole_operands(v, args, layouts))
        elif reads_memory(v):
            if v.op.name == "scatter":
                args = (*args[:2], *_checked(v, args))
            first = _FIRST_SCALAR.get(v.op.name, len(args))
            args = (*(_in_memory(a) for a in args[:first]), *(_in_buffer(a) for a in args[first:]))
        elif v.op.name == "gather":
            args = (_in_memory(args[0]), *args[1:])
        return apply(v.op, args, v.attrs)

    interner.rebuild(graph.nodes(), done, visit)
    roots: list[Variable] = []
    with building_with(interner):
        for k, root in enumerate(graph.roots):
            new = done[root]
            while new.op is None or is_view(new) or is_generator(new) or new in roots:
                with made_at(root.where):
                    new = apply(copy_, (new,), {"copy": k} if new in roots else {})
            roots.append(new)
    for old, new in done.items():
        interner.note(new, old)
    return Sized(graph.with_roots(roots), interner, sized.origin)


def _whole_operands(
    v: Variable, args: Sequence[Variable], layouts: Layouts
) -> list[Variable]:
    """The operands of a loop or branch, where they, or their rows, lie in one piece."""
    sequences = {id(a) for a in v.attrs["loop"].split(args).sequences} if is_scan(v) else set()
    found: list[Variable] = []
    for a in args[1:]:
        value = _in_memory(a)
        if isinstance(value, Constant):
            found.append(value)
            continue
        layout = layouts.of(value)
        whole = layout.contiguous
        if id(a) in sequences and shape_of(value)[0]:
            whole = replace(
                layout, shape=layout.shape[1:], strides=layout.strides[1:]
            ).contiguous  # fmt: skip
        found.append(value if whole else apply(copy_, (value,), {}))
    return found


def reads_memory(v: Variable) -> bool:
    """Whether an op reads its operands through pointers of its own."""
    from_loops = v.op is not None and (v.op.elementwise or v.op.name == "gather")
    reduction = v.op is not None and type(v.op.lower).__name__ == "Reduction"
    return not (from_loops or reduction or is_generator(v) or is_view(v))


def _in_memory(a: Variable) -> Variable:
    """`a`, or a copy of it where it is made of a position or of one repeated number."""
    source, _ = trace(a)
    if is_generator(source) or (isinstance(source, Constant) and source.data.size == 1 and a.ndim):
        return apply(copy_, (a,), {})
    return a


def _checked(v: Variable, args: Sequence[Variable]) -> list[Variable]:
    """The indices of a scatter, checked before anything is written."""
    found = []
    for index, axis in zip(args[2:], v.attrs["axes"]):
        size = shape_of(args[0])[axis]
        with made_at(v.where):
            found.append(index if inside(index, size) else checked_index(index, size))
    return found


def _in_buffer(a: Variable) -> Variable:
    """A scalar that a step of its own reads, as a number or alone in its buffer."""
    source, _ = trace(a)
    number = isinstance(source, Constant) and source.data.size == 1
    plain = a.op is None or not (is_view(a) or is_generator(a))
    return a if number or plain else apply(copy_, (a,), {})


def _viewable(v: Variable, args: tuple[Variable, ...], layouts: Layouts) -> Variable:
    """The operand of a view, copied where the view has no strides over it."""
    operand = args[0]
    if v.op is not None and v.op.name in ("dimshuffle", "alloc"):
        return operand
    operand = _in_memory(operand)
    candidate = apply(v.op, (operand, *args[1:]), v.attrs)  # type: ignore[arg-type]
    try:
        layouts.of(candidate)
    except ValueError:
        return apply(copy_, (operand,), {})
    return operand


def sized_leaves(sized: Sized) -> dict[Variable, SharedVariable]:
    """The leaves that are shared variables."""
    return {v: o for v, o in sized.origin.items() if isinstance(o, SharedVariable)}


