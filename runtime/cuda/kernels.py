"""Kernels that no loop nest stands for: pointers of parts, coefficients, copies.

They take what those of :mod:`graphc.runtime.cuda.emit` take, and their blocks have the words of
the CPU's (:mod:`graphc.runtime.natives`).
"""

from graphc.core.dtypes import is_half, wide
from graphc.runtime.cuda.bits import rounded, stored

# A product that a library left in the work area, `parts` elements, to where a product belongs.
ADD_PRODUCT = """\
def kernel(block, work, error, step, parts):
    if stopped(error, step):
        return
    total, c = at_{dtype}(work), write_{made}(block, 2)
    n, c_row = word(block, 4), word(block, 10)
    alpha, beta = {dtype}(real_word(block, 11)), {dtype}(real_word(block, 12))
    first = int64(cuda.blockIdx.x) * int64(cuda.blockDim.x) + int64(cuda.threadIdx.x)
    for at in range(first, parts, int64(cuda.gridDim.x) * int64(cuda.blockDim.x)):
        value = alpha * total[at]
        place = at // n * c_row + at % n
        if beta != {dtype}(0):
            value = value + beta * {get}(c[place])
        c[place] = {put}
"""

OFFSET = """\
def kernel(block, work, error, step, parts):
    if stopped(error, step):
        return
    base, size = word(block, 0), word(block, 2)
    index = read_int64(block, 1)
    target = write_int64(block, 5)
    i = index[0]
    if word(block, 4) != 0:
        if i < 0:
            i = i + size
        if i < 0 or i >= size:
            failed(error, step, 1, index[0], size)
            i = int64(0)
    if base == 0:
        base = target[0]
    target[0] = base + i * word(block, 3)
"""

SCALE = """\
def kernel(block, work, error, step, parts):
    if stopped(error, step):
        return
    value = read_{dtype}(block, 0)
    target = write_float64(block, 1)
    target[0] = float64(value[0])
"""

# `parts` bytes from word 1's address to that of word 0.
COPY = """\
def kernel(block, work, error, step, parts):
    if stopped(error, step):
        return
    target, source = write_uint8(block, 0), read_uint8(block, 1)
    first = int64(cuda.blockIdx.x) * int64(cuda.blockDim.x) + int64(cuda.threadIdx.x)
    for at in range(first, parts, int64(cuda.gridDim.x) * int64(cuda.blockDim.x)):
        target[at] = source[at]
"""

# An array of `parts` axes from word 1's address to that of word 0, in C order: word 2 is its
# number of elements, word 3 the bytes of each; the words after them are sizes and strides.
COMPACT = """\
def kernel(block, work, error, step, parts):
    target, source = write_uint8(block, 0), read_uint8(block, 1)
    count, item = word(block, 2), word(block, 3)
    first = int64(cuda.blockIdx.x) * int64(cuda.blockDim.x) + int64(cuda.threadIdx.x)
    for at in range(first, count, int64(cuda.gridDim.x) * int64(cuda.blockDim.x)):
        rest, place = at, int64(0)
        for k in range(parts):
            axis = parts - 1 - k
            size = word(block, 4 + 2 * axis)
            place = place + rest % size * word(block, 5 + 2 * axis)
            rest = rest // size
        for byte in range(item):
            target[at * item + byte] = source[place + byte]
"""

# No step of a loop has begun: word 1 counts them.
START = """\
def kernel(block, work, error, step, parts):
    if stopped(error, step):
        return
    counter = at_int64(block)
    counter[1] = int64(0)
"""

# Begins the next step of a loop: writes its addresses into the body's blocks. The words are those
# that `graphc.passes.loop_plan.loop_step` says, 10 before the pointers and 7 for each of these,
# but for word 1. Only one thread runs, and the kernels of a stream see all that those before
# them wrote. Pointers that stand still are written in the first step.
ADVANCE = """\
def kernel(block, work, error, step, parts):
    if stopped(error, step):
        return
    counter = at_int64(block)
    done = counter[1]
    first = int64(0)
    if done > 0:
        first = word(block, 3)
    for p in range(first, word(block, 4)):
        entry = block + 80 + p * 56
        later = 3
        if done < word(entry, 0):
            later = 1
        at = word(entry, later) + done * word(entry, later + 1)
        targets = word(entry, 5)
        for k in range(word(entry, 6)):
            place = at_int64(word(targets, 2 * k))
            place[0] = at + word(targets, 2 * k + 1)
    counter[1] = done + 1
"""

# The byte at the address in word `parts`, to where the host reads it; 2 after a failure.
LOOK = """\
def kernel(block, work, error, step, parts):
    target = at_uint8(work)
    if stopped(error, step):
        target[0] = uint8(2)
        return
    found = read_uint8(block, parts)
    target[0] = found[0]
"""

# How many steps a loop took, to the address in word 6.
COUNT = """\
def kernel(block, work, error, step, parts):
    if stopped(error, step):
        return
    target = write_int64(block, 6)
    target[0] = word(block, 1)
"""

# Ends calls that follow one another if the byte at the address in word 5 says so: what is on the
# stream after it does nothing, as after a failure. The number `step` is this kernel's alone.
STOP = """\
def kernel(block, work, error, step, parts):
    if stopped(error, step):
        return
    found = read_uint8(block, 5)
    if found[0] != 0:
        failed(error, step, 1, int64(0), int64(0))
"""

SINGLE = {
    "offset": OFFSET,
    "scale_float32": SCALE.format(dtype="float32"),
    "scale_float64": SCALE.format(dtype="float64"),
}
"""Sources of kernels of one thread, by routine."""

OF_LOOPS = {
    "start of a loop": START, "pointers of a loop": ADVANCE, "condition of a loop": LOOK,
    "steps of a loop": COUNT, "end of a loop": STOP,
}  # fmt: skip
"""Sources of kernels of one thread that loops need."""


def _added(factors: str, made: str) -> str:
    """The kernel that adds a product: halves were added up in float32, and are rounded once."""
    get = f"from_{made}" if is_half(made) else ""
    value = stored(made, rounded(made, "value"))
    return ADD_PRODUCT.format(dtype=wide(factors), made=made, get=get, put=value)


KINDS = [(d, d) for d in ("float16", "bfloat16", "float32", "float64")]
KINDS += [("float16", "float32"), ("bfloat16", "float32")]

ADDED_PRODUCTS = {kind: _added(*kind) for kind in KINDS}
"""By the dtypes of factors and of the result, the kernel that adds a product to its place."""
