"""Running sums and their kin as steps: what is side by side, and along what values are carried.

Axes of size 1 are left out, and neighbours through which all operands walk evenly become one. A
step that counts from the end has its operands' last elements as their first, and strides that go
backwards: the kernels (`runtime/running.py`) know of one direction only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from graphc.core.node import Variable
from graphc.core.op import Running
from graphc.core.plan import Address, Place, Split, Step, Word
from graphc.passes.group import NATIVE
from graphc.passes.layout import Layout, c_strides, shape_of
from graphc.passes.lower import itemsize

NARROW = 8  # neighbours; fewer are no vector
LINE = 64  # bytes that two threads had better not both write
FLOPS = {"sum": 1.0, "prod": 1.0, "shift": 0.0, "recurrence": 2.0}  # of an element

_Axis = tuple[int, tuple[int, ...]]  # a size, and the strides of all operands and the result


@dataclass(frozen=True)
class Request:
    """What a kernel is made of.

    `kept` axes are apart from each other, along `carried` ones values are carried. With `lanes`,
    neighbours in memory lie along the last kept axis, else along the last carried one, and
    `adjacent` says for each operand and the result whether they lie side by side there. `fill` is
    what a shift begins with.
    """

    kind: str
    dtype: str
    kept: int
    carried: int
    lanes: bool
    adjacent: tuple[bool, ...]
    fill: int = 0


def is_running(v: Variable) -> bool:
    """Whether an op carries values along axes, in a dtype that has kernels."""
    if v.op is None or not isinstance(v.op.lower, Running):
        return False
    return v.dtype in NATIVE and v.dtype != "bool" and all(a.dtype == v.dtype for a in v.args)


def running_step(
    v: Variable, layouts: Sequence[Layout], addresses: Sequence[Address],
    places: Mapping[Variable, Place],
) -> tuple[Step, list[int]]:  # fmt: skip
    """The step of an op that carries values, and at which words its operands' addresses are."""
    assert v.op is not None and isinstance(v.op.lower, Running)
    shape = shape_of(v)
    strides = [*(lay.strides for lay in layouts), c_strides(shape)]
    axes: list[_Axis] = [(n, tuple(s[k] for s in strides)) for k, n in enumerate(shape)]
    carried = v.attrs["axes"] if "axes" in v.attrs else (v.attrs["axis"],)
    kept = _merged([axes[k] for k in range(v.ndim) if k not in carried], len(strides))
    along = [axes[k] for k in carried]
    starts = [0] * len(strides)
    if v.attrs.get("reverse"):
        starts = [sum((n - 1) * s[k] for n, s in along) for k in range(len(strides))]
        along = [(n, tuple(-x for x in s)) for n, s in along]
    along = _merged(along, len(strides))
    lanes = kept[-1][1][-1] == 1 and kept[-1][0] >= NARROW
    request = Request(
        v.op.lower.kind, v.dtype, len(kept), len(along), lanes,
        tuple(s == 1 for s in (kept if lanes else along)[-1][1]), v.attrs.get("fill", 0),
    )  # fmt: skip
    item, words, pointers = itemsize(v.dtype), list[Word](), list[int]()
    for k, address in enumerate((*addresses, Address(places[v]))):
        pointers.append(len(words))
        moved = replace(address, offset=address.offset + starts[k] * item)
        words += [moved, *(s[k] for _, s in (*kept, *along))]
    words += [n for n, _ in (*kept, *along)]
    rows = prod(n for n, _ in (kept[:-1] if lanes else kept))
    splits_lanes = lanes and len(kept) == 1
    size, unit = (kept[0][0], LINE // item) if splits_lanes else (rows, 1)
    count = v.type.size or 0
    step = Step(
        "running", f"{v.op.name} along {'x'.join(str(n) for n, _ in along)}", words, 0,
        size, nodes=(v,),
        flops=count * FLOPS[request.kind],
        bytes=float(v.type.nbytes + sum(a.type.nbytes for a in v.args)),
        reads=tuple(str(a.place) for a in addresses), writes=(str(places[v]),), extra=request,
        split=Split(size, unit),
    )  # fmt: skip
    return step, pointers[:-1]


def _merged(axes: Sequence[_Axis], operands: int) -> list[_Axis]:
    """The same elements in the same order, in as few axes as can be, but at least in one."""
    found: list[_Axis] = []
    for n, strides in axes:
        if n == 1:
            continue
        if found and all(a == b * n for a, b in zip(found[-1][1], strides)):
            found[-1] = (found[-1][0] * n, strides)
        else:
            found.append((n, strides))
    return found or [(1, (0,) * operands)]
