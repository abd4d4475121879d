"""Products with sparse matrices as steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphc.core.node import Variable
from graphc.core.plan import Address, Place, Step, Word
from graphc.passes.layout import Layout, shape_of
from graphc.passes.lower import BLAS_DTYPES

# Of each op, which operands a kernel reads, and which of them is the dense matrix.
OPERANDS = {
    "csr_rows": (0,), "csr_dot": (0, 1, 2, 3, 4), "csr_dot_turned": (0, 1, 2, 3),
    "csr_sampled_dot": (0, 1, 2, 3, 4),
}  # fmt: skip
DENSE = {"csr_dot": (3,), "csr_dot_turned": (3,), "csr_sampled_dot": (2, 3)}
NAMES = {
    "csr_rows": ("indptr",), "csr_dot": ("data", "indices", "indptr", "b", "minor"),
    "csr_dot_turned": ("data", "indices", "indptr", "b"),
    "csr_sampled_dot": ("indices", "indptr", "a", "b", "minor"),
}  # fmt: skip


@dataclass(frozen=True)
class Request:
    """What a kernel is made of.

    `adjacent` are the vectors, and the rows of matrices, whose elements lie side by side;
    `single`: the dense matrix has one column.
    """

    name: str
    dtype: str
    dtypes: tuple[str, ...]
    adjacent: tuple[str, ...]
    single: bool


def is_compressed(v: Variable) -> bool:
    """Whether an op works on compressed rows in dtypes that have kernels."""
    if v.op is None or v.op.name not in OPERANDS:
        return False
    read = [v.args[k].dtype for k in OPERANDS[v.op.name]]
    return v.dtype in (*BLAS_DTYPES, "int64") and all(
        d in (*BLAS_DTYPES, "int32", "int64") for d in read
    )


def compressed_step(
    v: Variable, layouts: Sequence[Layout], addresses: Sequence[Address],
    places: Mapping[Variable, Place],
) -> tuple[Step, list[int]]:  # fmt: skip
    """The step of an op on compressed rows, and at which words its operands' addresses are."""
    assert v.op is not None
    name, args = v.op.name, v.args
    dense = DENSE.get(name, ())
    columns = shape_of(args[max(dense)])[1] if dense else 1
    words: list[Word] = []
    starts: list[int] = []
    for layout, address in zip(layouts, addresses):
        starts.append(len(words))
        words += [address, *layout.strides]
    pointers = args[{"csr_rows": 0, "csr_sampled_dot": 1}.get(name, 2)]
    entries = shape_of(args[1 if name == "csr_rows" else 0])[0]
    rows = shape_of(pointers)[0] - 1
    if name == "csr_dot_turned":
        minor = shape_of(v)[0]
    else:
        minor = shape_of(args[max(dense)])[0] if dense else 0
    words += [Address(places[v]), Address(Place("error")), rows, entries, minor, columns]
    used = [args[k] for k in OPERANDS[name]]
    request = Request(
        name, v.dtype, tuple(a.dtype for a in used),
        tuple(label for label, layout in zip(NAMES[name], layouts)
              if layout.shape[-1:] == (1,) or layout.strides[-1:] == (1,)),
        columns == 1,
    )  # fmt: skip
    step = Step(
        "compressed", f"{name}: {rows} rows, {entries} entries", words, 0,
        columns if name == "csr_dot_turned" else rows, nodes=(v,), checks=[v],
        flops=2.0 * entries * columns, bytes=float(sum(a.type.nbytes for a in (v, *used))),
        reads=tuple(str(a.place) for a in addresses), writes=(str(places[v]),), extra=request,
    )  # fmt: skip
    return step, starts
