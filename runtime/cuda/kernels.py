"""Kernels that no loop nest stands for: pointers of parts, coefficients, copies.

They take what those of :mod:`graphc.runtime.cuda.emit` take, and their blocks have the words of
the CPU's (:mod:`graphc.runtime.natives`).
"""

# A product that a library left in the work area, `parts` elements, to where a product belongs.
ADD_PRODUCT = """\
def kernel(block, work, error, step, parts):
    if stopped(error, step):
        return
    total, c = at_{dtype}(work), write_{dtype}(block, 2)
    n, c_row = word(block, 4), word(block, 10)
    alpha, beta = {dtype}(real_word(block, 11)), {dtype}(real_word(block, 12))
    first = int64(cuda.blockIdx.x) * int64(cuda.blockDim.x) + int64(cuda.threadIdx.x)
    for at in range(first, parts, int64(cuda.gridDim.x) * int64(cuda.blockDim.x)):
        value = alpha * total[at]
        place = at // n * c_row + at % n
        if beta != {dtype}(0):
            value = value + beta * c[place]
        c[place] = value
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

# Writes the addresses of step `parts` of a loop into its body's blocks; the words are those that
# `graphc.passes.loop_plan.loop_step` says, 10 before the pointers and 7 for each of these.
ADVANCE = """\
def kernel(block, work, error, step, parts):
    if stopped(error, step):
        return
    first = int64(0)
    if parts > 0:
        first = word(block, 3)
    for p in range(first, word(block, 4)):
        entry = block + 80 + p * 56
        later = 3
        if parts < word(entry, 0):
            later = 1
        at = word(entry, later) + parts * word(entry, later + 1)
        targets = word(entry, 5)
        for k in range(word(entry, 6)):
            place = at_int64(word(targets, 2 * k))
            place[0] = at + word(targets, 2 * k + 1)
"""

# The byte at the address in word `parts`, to where the host reads it.
LOOK = """\
def kernel(block, work, error, step, parts):
    if stopped(error, step):
        return
    found, target = read_uint8(block, parts), at_uint8(work)
    target[0] = found[0]
"""

# How many steps a loop took, to the address in word 6.
COUNT = """\
def kernel(block, work, error, step, parts):
    if stopped(error, step):
        return
    target = write_int64(block, 6)
    target[0] = parts
"""

SINGLE = {
    "offset": OFFSET,
    "scale_float32": SCALE.format(dtype="float32"),
    "scale_float64": SCALE.format(dtype="float64"),
}
"""Sources of kernels of one thread, by routine."""

OF_LOOPS = {"pointers of a loop": ADVANCE, "condition of a loop": LOOK, "steps of a loop": COUNT}
"""Sources of kernels of one thread that loops need."""

ADDED_PRODUCTS = {dtype: ADD_PRODUCT.format(dtype=dtype) for dtype in ("float32", "float64")}
