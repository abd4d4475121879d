"""Kernels that no loop nest stands for: products, pointers of parts, coefficients.

They take what those of :mod:`graphc.runtime.cuda.emit` take, and their blocks have the words of
the CPU's (:mod:`graphc.runtime.natives`).
"""

# A block of threads makes a square of C, `parts` elements wide; squares of A and B go through
# shared memory.
GEMM = """\
def kernel(block, work, error, step, parts):
    if stopped(error, step):
        return
    a = read_{dtype}(block, 0)
    b = read_{dtype}(block, 1)
    c = write_{dtype}(block, 2)
    m, n, k = word(block, 3), word(block, 4), word(block, 5)
    a_row, a_col = word(block, 6), word(block, 7)
    b_row, b_col = word(block, 8), word(block, 9)
    c_row = word(block, 10)
    alpha, beta = {dtype}(real_word(block, 11)), {dtype}(real_word(block, 12))
    left = cuda.shared.array(THREADS, types.{dtype})
    right = cuda.shared.array(THREADS, types.{dtype})
    thread, here = int64(cuda.threadIdx.x), int64(cuda.blockIdx.x)
    y, x = thread // parts, thread % parts
    across = (n + parts - 1) // parts
    row, column = here // across * parts + y, here % across * parts + x
    total = {dtype}(0)
    for first in range(0, k, parts):
        left[thread] = {dtype}(0)
        right[thread] = {dtype}(0)
        if row < m and first + x < k:
            left[thread] = a[row * a_row + (first + x) * a_col]
        if first + y < k and column < n:
            right[thread] = b[(first + y) * b_row + column * b_col]
        cuda.syncthreads()
        for i in range(parts):
            total = total + left[y * parts + i] * right[i * parts + x]
        cuda.syncthreads()
    if row < m and column < n:
        value = alpha * total
        if beta != {dtype}(0):
            value = value + beta * c[row * c_row + column]
        c[row * c_row + column] = value
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

SINGLE = {
    "offset": OFFSET,
    "scale_float32": SCALE.format(dtype="float32"),
    "scale_float64": SCALE.format(dtype="float64"),
}
"""Sources of kernels of one thread, by routine."""

PRODUCTS = {dtype: GEMM.format(dtype=dtype) for dtype in ("float32", "float64")}
