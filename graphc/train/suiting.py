"""Whether rows suit a task: kinds, ranks, sizes, class numbers, NaN; told before a step is made.

Sizes are followed through the graph without computing anything, as the compiler does when it
binds a function, so that a wrong number of features or a class number that is too large is found
before anything is compiled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import BadIndexError, GraphError, ShapeError
from graphc.core.graph import Graph, toposort
from graphc.core.halves import is_bfloat16, to_bfloat16
from graphc.core.node import Array, Constant, Variable, describe
from graphc.data.checks import check_finite
from graphc.data.dataset import Dataset
from graphc.data.loader import Settings
from graphc.data.problems import DataError, problem
from graphc.data.tables import Table
from graphc.ops.shape import dim
from graphc.passes.specialise import size_numbers, specialise
from graphc.train.task import Task

THROUGH = ("cast", "reshape", "dimshuffle", "copy")  # a class number passes these as it is
COMPARED = ("eq", "neq", "lt", "le", "gt", "ge")
LOOKED_AT = 1 << 30  # bytes of a data set that are read for a check before training
_PART = 1 << 22


class Feed:
    """From batches of a data set to a function's arguments.

    Parameters
    ----------
    rows : Dataset
    fields : sequence of str
        Which of its fields, in the order of `variables`.
    variables : sequence of variables
        The inputs of the function.
    targets : collection of variables
        Those of them that are targets, for hints.
    """

    def __init__(
        self, rows: Dataset, fields: Sequence[str], variables: Sequence[Variable],
        targets: Sequence[Variable],
    ) -> None:  # fmt: skip
        self.fields, self.variables, self.targets = tuple(fields), tuple(variables), tuple(targets)
        self.as_dict = rows.as_dict
        self.places = [rows.names.index(name) for name in fields]
        self.wanted = [dtypes.numpy_dtype(v.dtype) for v in variables]
        self.looked, self.stream = False, not isinstance(rows, Table)

    def __call__(self, batch: Any) -> list[Array]:
        values = list(batch.values()) if self.as_dict else batch
        if not self.looked:
            for field, v, k in zip(self.fields, self.variables, self.places):
                _check_kind(field, values[k], v, v in self.targets, self.stream)
            self.looked = True
        return [_suited(values[k], *wanted)
                for k, wanted in zip(self.places, zip(self.wanted, self.fields))]  # fmt: skip


def _suited(array: Array, dtype: np.dtype, field: str) -> Array:
    """Floats in the precision of the input; whatever else differs is the function's to judge."""
    if array.dtype.kind == "f" and is_bfloat16(dtype):
        return to_bfloat16(array)
    if array.dtype == dtype or array.dtype.kind != "f" or dtype.kind != "f":
        return array
    try:
        with np.errstate(over="raise"):
            return array.astype(dtype)
    except FloatingPointError:
        largest = np.abs(array[np.isfinite(array)]).max()
        raise problem(
            f"field {field!r}: {largest:.6g} is more than {dtype} can hold",
            "scale it, or declare the variable as float64",
        ) from None


def _check_kind(field: str, array: Array, v: Variable, target: bool, stream: bool) -> None:
    """Refuse a field of another rank, size or kind than an input's."""
    sizes = ", ".join(["rows", *map(str, array.shape[1:])])
    label = f"field {field!r} is {array.dtype}[{sizes}]"
    whole = dtypes.is_discrete(v.dtype)
    wanted = f"{describe(v)}, {'a target' if target else 'an input'} of the task"
    if array.ndim != v.ndim:
        hint = f"{v.name or 'the input'} is declared with {v.ndim} axes, rows among them"
        if array.ndim == v.ndim + 1 and array.shape[-1] == 1:
            hint = f"leave out the last axis, which has size 1: {field}[..., 0]"
        elif target and whole and array.ndim == v.ndim + 1:
            hint = f"these look like one-hot rows: class numbers are {field}.argmax(axis=-1)"
        elif target and not whole and array.ndim == v.ndim - 1 and array.dtype.kind in "iu":
            hint = f"class numbers where rows are expected: data.one_hot({field}, classes)"
        elif array.ndim == v.ndim - 1 and array.ndim:
            hint += f": {field}[:, None] has a column, {field}[None] is a single row"
        elif stream and array.ndim == v.ndim + 1:
            hint += "; a generator yields single examples, not batches"
        raise problem(f"{label}, which can't be {wanted}", hint)
    if whole and array.dtype.kind in "fc":
        hint = f"if these are class numbers: {field}.astype({v.dtype!r})"
        if array.dtype.kind == "f" and ((array % 1) != 0).any():
            hint = "they aren't whole numbers: declare the variable with T.vector, or round them"
        raise problem(f"{label}, which can't be {wanted}: floats for integers", hint)
    if array.dtype.kind == "c" and dtypes.numpy_dtype(v.dtype).kind != "c":
        raise problem(f"{label}, which can't be {wanted}: complex numbers", f"{field}.real?")
    for axis, (n, m) in enumerate(zip(v.type.shape, array.shape)):
        if axis and n is not None and n != m:
            raise problem(f"{label}, which can't be {wanted}: axis {axis} has size {m}, not {n}",
                          "compare the sizes of the data with those of the model")  # fmt: skip


# --- sizes and class numbers ----------------------------------------------------------


def picks(task: Task) -> dict[Variable, Variable]:
    """Inputs and targets that are numbers of things, and how many of these there are.

    Those are the integers that pick from an axis, as class numbers do in cross-entropies and
    tokens in embeddings: ``{y: the size of the axis}``.
    """
    leaves = {*task.inputs, *task.targets}
    found: dict[Variable, Variable] = {}
    for v in toposort([task.losses[1]]):
        if v.op is None or v.op.name != "gather":
            continue
        for axis, index in zip(v.attrs["axes"], v.args[1:]):
            index = _source(index)
            if index in leaves:
                found.setdefault(index, dim(v.args[0], axis))
    return found


def masked(task: Task) -> set[Variable]:
    """Inputs and targets that the loss compares with something, as where -1 is for no class."""
    return {
        _source(a) for v in toposort([task.losses[1]])
        if v.op is not None and v.op.name in COMPARED for a in v.args
    }  # fmt: skip


def _source(v: Variable) -> Variable:
    while v.op is not None and v.op.name in THROUGH:
        v = v.args[0]
    return v


def crossed(task: Task) -> list[tuple[Variable, Variable]]:
    """Targets with one axis, and matrices that the loss subtracts or compares them with.

    Where the matrix is a column, that gives a square of each row with all others, which is wrong
    and has no size that a function could refuse.
    """
    targets = {v for v in task.targets if v.ndim == 1}
    found = []
    for v in toposort([task.losses[1]]):
        if v.op is None or len(v.args) != 2 or v.op.name not in ("sub", *COMPARED):
            continue
        for one, other in (v.args, v.args[::-1]):
            while one.op is not None and one.op.name == "cast":
                one = one.args[0]
            if one in targets and other.ndim == 2:
                found.append((one, other))
    return found


def known_counts(task: Task, arrays: Sequence[Array]) -> dict[Variable, int]:
    """`picks` with numbers, from the sizes of a batch; nothing is computed.

    Raises
    ------
    ShapeError and others
        Where the model can't take arrays of these sizes.
    """
    found, pairs = picks(task), crossed(task)
    inputs = tuple(task.leaves)
    columns = tuple(dim(other, 1) for _, other in pairs)
    graph = Graph(inputs, (*found.values(), *columns, task.losses[1]))
    if size_numbers(graph):
        return {}
    shapes = {v: a.shape for v, a in zip(inputs, arrays)}
    shapes |= {v: v.get_value(borrow=True).shape for v in graph.shared()}
    sized = specialise(graph, shapes, {}).graph.outputs
    for (target, other), size in zip(pairs, sized[len(found) :]):
        if isinstance(size, Constant) and int(size.data) == 1:
            raise ShapeError(
                f"the loss takes {describe(target)} and {describe(other)} together, which has one "
                "column: by broadcasting, each row meets all others",
                "leave out the last axis of the output, p[:, 0]", other.where,
            )  # fmt: skip
    return {v: int(size.data) for v, size in zip(found, sized) if isinstance(size, Constant)}


def check_rows(task: Task, rows: Dataset, feed: Feed, size: int, finite: bool, what: str) -> bool:
    """Look at a data set before it is used; streams are looked at when they are read.

    Parameters
    ----------
    size : int
        Rows of a batch.
    finite : bool
        Whether NaN and infinities are refused.
    what : str
        What errors call the data set, such as ``"the validation set"``.

    Returns
    -------
    bool
        Whether batches still have to be looked at for NaN and infinities.

    Raises
    ------
    DataError
        With field and row.
    """
    if not isinstance(rows, Table):
        return finite
    with named(what):
        probe = Settings(min(size, len(rows)), False, 0, False, 0, False)
        arrays = feed(next(rows.made(probe, 0, 0)))
        try:
            counts = known_counts(task, arrays)
        except GraphError as error:
            raise unsuitable(feed, arrays, error, "rows") from error
        may_be_less = masked(task)
        changed = {name for step in rows.steps for name in step.fields}
        for field, v in zip(feed.fields, feed.variables):
            if v in counts and field not in changed:
                low = -counts[v] if v in may_be_less else 0
                _check_numbers(field, rows, low, counts[v], v in task.targets)
        small = sum(_bytes(c) for c in rows.columns.values()) <= LOOKED_AT
        if finite and small:
            for name in feed.fields:
                for first, part in _parts(rows, name):
                    check_finite(part, name, first)
    return finite and (not small or bool(rows.steps))


class named:
    """Errors about data inside the block say which data set it is."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self.what and isinstance(error, DataError) and not error.what.startswith(self.what):
            error.what = f"{self.what}: {error.what}"


def _check_numbers(field: str, rows: Table, least: int, count: int, target: bool) -> None:
    """Refuse class numbers outside least ... count - 1; negative ones count from the end."""
    column = rows.columns[field]
    if column.dtype.kind not in "iu" or _bytes(column) > LOOKED_AT:
        return
    values = column if rows.rows is None else column[rows.rows]
    low, high = int(values.min()), int(values.max())
    if low >= least and high < count:
        return
    values = np.asarray(values)
    bad = np.argwhere((values < least) | (values >= count))
    at = ", ".join(map(str, bad[0]))
    kind = "class" if target else "entry"
    among = f"{count} {'classes' if target else 'entries'}"
    others = f", and {len(bad) - 1} more such numbers" if len(bad) > 1 else ""
    value = values[tuple(bad[0])]
    raise problem(
        f"field {field!r}: row {bad[0][0]} has {kind} {value} ({field}[{at}]) among {among}"
        f"{others}; the numbers go from {low} to {high}",
        _renumber(low, high, count, field),
    )


def _renumber(low: int, high: int, count: int, field: str) -> str:
    if low == 1 and high == count:
        return f"they are numbered from 0: {field} - 1"
    if low < 0:
        return "they are numbered from 0; leave out rows without a class, or renumber"
    return f"they are numbered from 0: these need {high + 1}; is the model's last layer too small?"


def unsuitable(
    feed: Feed, arrays: Sequence[Array], error: GraphError, where: str
) -> DataError:  # fmt: skip
    """What a function said of a batch, as an error about the data."""
    given = ", ".join(f"{field}: {a.dtype}{list(a.shape)}" for field, a in zip(feed.fields, arrays))
    ranges = ""
    if isinstance(error, BadIndexError):
        ranges = "".join(f"; {field} goes from {a.min()} to {a.max()}"
                         for field, a in zip(feed.fields, arrays)
                         if a.dtype.kind in "iu" and a.size)  # fmt: skip
    return DataError(f"the model can't take {where} of {given}{ranges}: {error.what}",
                     error.hint, error.at)  # fmt: skip


# --- reading --------------------------------------------------------------------------


def _bytes(column: Any) -> int:
    return int(np.prod(column.shape, dtype="int64")) * column.dtype.itemsize


def _parts(rows: Table, name: str) -> Iterator[tuple[int, Array]]:
    """A column as it is kept, in parts, with the number of the first row of each."""
    column, count = rows.columns[name], len(rows)
    if column.dtype.kind not in "fc":
        return
    size = max(1, _PART * count // max(1, _bytes(column)))
    for first in range(0, count, size):
        part = slice(first, min(first + size, count))
        yield first, np.asarray(column[part if rows.rows is None else rows.rows[part]])


def fingerprint(rows: Any) -> str | None:
    """What tells a data set from another: its columns' kinds and some of its rows."""
    if not isinstance(rows, Table):
        return None
    steps = [(str(step), step.fields, getattr(step.transform, "seed", None)) for step in rows.steps]
    digest = hashlib.sha256(repr([rows.names, steps]).encode())
    count = len(rows)
    chosen = np.unique(np.linspace(0, count - 1, min(count, 256)).astype("int64"))
    if rows.rows is not None:
        chosen = rows.rows[chosen]
    for column in rows.columns.values():
        part = np.ascontiguousarray(column[chosen])
        digest.update(f"{part.dtype} {column.shape[1:]}".encode() + part.tobytes())
    return digest.hexdigest()
