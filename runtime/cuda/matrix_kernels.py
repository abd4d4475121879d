"""Kernels around calls of libraries for matrices: what goes into the work area, and out of it.

A library overwrites what it is given, and wants matrices by columns: so operands are copied to the
work area in the order that suits, and results from there to their places. Numbers of a launch are
words that `graphc.runtime.cuda.solvers` appends to a step's block, from word `at` on; the first of
them is an offset into the work area. Launches take as many steps as their last argument says.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.runtime.cuda.emit import THREADS
from graphc.runtime.cuda.shapes import indented

_DEALT = [
    "first = int64(cuda.blockIdx.x) * int64(cuda.blockDim.x) + int64(cuda.threadIdx.x)",
    "for at in range(first, parts, int64(cuda.gridDim.x) * int64(cuda.blockDim.x)):",
]


def _kernel(lines: Sequence[str], stops: bool = True) -> str:
    head = ["if stopped(error, step):", "    return"] if stops else []
    return "\n".join(["def kernel(block, work, error, step, parts):",
                      *indented([*head, *lines]), ""])  # fmt: skip


def load(dtype: str, pointer: int, at: int, rank: int, turned: bool) -> str:
    """Copy an operand of `rank` axes, of which the last two are a matrix's, side by side.

    Words: the offset, how far matrices are apart there, all sizes, all strides. Where `turned`,
    neighbours in the copy lie along columns.
    """
    order = [*range(rank - 2), rank - 1, rank - 2] if turned else list(range(rank))
    body, place = ["rest, place = at, int64(0)"], "place"
    for k in reversed(order):
        body += [f"place = place + rest % n{k} * s{k}", f"rest = rest // n{k}"]
    body.append(f"copy[at // each * apart + at % each] = x[{place}]")
    return _kernel([
        f"x = read_{dtype}(block, {pointer})",
        f"copy, apart = at_{dtype}(work + word(block, {at})), word(block, {at + 1})",
        *(f"n{k} = word(block, {at + 2 + k})" for k in range(rank)),
        *(f"s{k} = word(block, {at + 2 + rank + k})" for k in range(rank)),
        f"each = n{rank - 2} * n{rank - 1}", *_DEALT, *indented(body),
    ])  # fmt: skip


def identities(dtype: str, at: int) -> str:
    """Identity matrices side by side. Words: the offset, their size."""
    return _kernel([
        f"copy, n = at_{dtype}(work + word(block, {at})), word(block, {at + 1})", *_DEALT,
        f"    copy[at] = {dtype}(1) if at // n % n == at % n else {dtype}(0)",
    ])  # fmt: skip


def pointers(at: int) -> str:
    """The addresses of values that lie evenly, for calls that take many matrices at once.

    Words: the offsets of the table and of the first matrix, and the bytes from one to the next.
    Also written after a failure: calls can't be stopped, and would follow what lies there else.
    """
    return _kernel([
        f"table, base = at_int64(work + word(block, {at})), work + word(block, {at + 1})",
        f"each = word(block, {at + 2})", *_DEALT, "    table[at] = base + at * each",
    ], stops=False)  # fmt: skip


def copied(dtype: str, at: int) -> str:
    """Elements from one part of the work area to another. Words: both offsets."""
    return _kernel([
        f"made, target = at_{dtype}(work + word(block, {at})), "
        f"at_{dtype}(work + word(block, {at + 1}))",
        *_DEALT, "    target[at] = made[at]",
    ])  # fmt: skip


def store(dtype: str, pointer: int, at: int, turned: bool, part: str) -> str:
    """Copy matrices to a result: whole, or the ``lower`` or ``upper`` part with zeros elsewhere.

    Words: the offset, how far matrices are apart there, how far rows (or columns, where `turned`)
    are, and how many rows and columns the result's matrices have.
    """
    value = f"made[k * apart + {'j * lead + i' if turned else 'i * lead + j'}]"
    keeps = {"lower": "j <= i", "upper": "i <= j"}.get(part)
    names = "apart", "lead", "rows", "columns"
    return _kernel([
        f"made, out = at_{dtype}(work + word(block, {at})), write_{dtype}(block, {pointer})",
        *(f"{name} = word(block, {at + k})" for k, name in enumerate(names, 1)), *_DEALT,
        *indented([
            "k, i, j = at // (rows * columns), at // columns % rows, at % columns",
            f"value = {dtype}(0)" if keeps else f"value = {value}",
            *([f"if {keeps}:", f"    value = {value}"] if keeps else []),
            "out[at] = value",
        ]),
    ])  # fmt: skip


def check(dtype: str, at: int, test: str) -> str:
    """Stop the plan where a matrix has no result; of several the first is told.

    One block. Words: the offset of the calls' codes; with the test ``zero`` or ``nan`` that of the
    values that mustn't be so, how far those of matrices are apart, how many there are of each and
    how far these are apart. A code is noted as 1 with the code, a value as 2 with its number.
    """
    test_of = {"zero": f"value == {dtype}(0)", "nan": "isnan(value)"}
    if test:
        names = "apart", "count", "each"
        lines = [
            f"values = at_{dtype}(work + word(block, {at + 1}))",
            *(f"{name} = word(block, {at + 2 + k})" for k, name in enumerate(names)),
        ]
        looks = ["value = values[at // count * apart + at % count * each]",
                 f"if {test_of[test]}:", "    found = imin(found, at)"]  # fmt: skip
    else:
        lines, looks = ["count = int64(1)"], []
    codes = ["if codes[at // count] != 0:", "    found = imin(found, at)"] if test != "zero" else []
    told = [
        "if thread == 0 and shared[0] < parts:",
        *([
            "    code = int64(codes[shared[0] // count])", "    if code != 0:",
            "        failed(error, step, 1, code, parts)", "    else:",
            "        failed(error, step, 2, shared[0] % count, count)",
        ] if codes else ["    failed(error, step, 2, shared[0] % count, count)"]),
    ]  # fmt: skip
    return _kernel([
        f"codes = at_int32(work + word(block, {at}))", *lines,
        f"shared = cuda.shared.array({THREADS}, types.int64)",
        "thread, threads = int64(cuda.threadIdx.x), int64(cuda.blockDim.x)",
        "found = parts", "for at in range(thread, parts, threads):", *indented([*codes, *looks]),
        "shared[thread] = found", *_tree("shared[thread] = imin(shared[thread], {0})", "shared"),
        *told,
    ])  # fmt: skip


def _tree(joined: str, *names: str) -> list[str]:
    """Combine what a block's threads hold; all of them may read place 0 then."""
    return [
        "cuda.syncthreads()",
        "half = threads // 2",
        "while half > 0:",
        "    if thread < half:",
        *indented(joined.format(*(f"{name}[thread + half]" for name in names)).split("\n"), 2),
        "    cuda.syncthreads()",
        "    half = half // 2",
    ]


ZERO = 2**40
"""What a pivot of 0 counts, beside the signs."""


def determinant(dtype: str, pointer: int, at: int, what: str) -> str:
    """Of matrices as L U: ``det``, or its sign or the logarithm of its absolute value.

    A block takes a matrix. Logarithms are added in float64, as a tree, so that nothing overflows
    on the way. Words: the offsets of L U and of the pivots, the size; `parts` is how many there
    are.
    """
    sign = f"select(signs[0] >= {ZERO}, float64(0), float64(1 - 2 * (signs[0] % 2)))"
    value = {
        "det": f"{sign} * exp(logs[0])", "slogdet_sign": sign, "slogdet_logabsdet": "logs[0]"
    }[what]  # fmt: skip
    both = "logs[thread] = logs[thread] + {0}\nsigns[thread] = signs[thread] + {1}"
    body = [
        "log_sum, sign_sum = float64(0), int64(0)",
        "for i in range(thread, n, threads):",
        *indented([
            "value = float64(made[k * n * n + i * n + i])",
            "if value == float64(0):", f"    sign_sum = sign_sum + {ZERO}",
            "if value < float64(0):", "    sign_sum = sign_sum + 1",
            "if int64(pivots[k * n + i]) != i + 1:", "    sign_sum = sign_sum + 1",
            "log_sum = log_sum + log(abs(value))",
        ]),
        "logs[thread] = log_sum", "signs[thread] = sign_sum", *_tree(both, "logs", "signs"),
        "if thread == 0:", f"    out[k] = {dtype}({value})",
        "cuda.syncthreads()",  # nobody writes the next matrix's before this one's are read
    ]  # fmt: skip
    return _kernel([
        f"made, out = at_{dtype}(work + word(block, {at})), write_{dtype}(block, {pointer})",
        f"pivots, n = at_int32(work + word(block, {at + 1})), word(block, {at + 2})",
        f"logs = cuda.shared.array({THREADS}, types.float64)",
        f"signs = cuda.shared.array({THREADS}, types.int64)",
        "thread, threads = int64(cuda.threadIdx.x), int64(cuda.blockDim.x)",
        "for k in range(int64(cuda.blockIdx.x), parts, int64(cuda.gridDim.x)):", *indented(body),
    ])  # fmt: skip
