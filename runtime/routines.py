"""Small native steps, written in the kernel language like every other kernel."""

OFFSET = '''
def kernel(block, low, high):
    base = word(block, 0)
    index = read_int64(block, 1)
    size = word(block, 2)
    stride = word(block, 3)
    checked = word(block, 4)
    target = write_int64(block, 5)
    error = write_int64(block, 6)
    i = index[0]
    if checked != 0:
        if i < 0:
            i = i + size
        if i < 0 or i >= size:
            error[0] = index[0]
            error[1] = size
            return 1
    if base == 0:
        base = target[0]
    target[0] = base + i * stride
    return 0
'''
"""A pointer moved by an index that only run time tells; with base 0, moved further."""

SCALE = '''
def kernel(block, low, high):
    value = read_{dtype}(block, 0)
    target = write_float64(block, 1)
    target[0] = float64(value[0])
    return 0
'''
"""A coefficient of a product, from memory into the product's block."""

SOURCES = {
    ("offset", None): OFFSET,
    ("scale", "float32"): SCALE.format(dtype="float32"),
    ("scale", "float64"): SCALE.format(dtype="float64"),
}
"""Sources by routine and what the step's `extra` says."""
