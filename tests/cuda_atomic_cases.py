"""Scatters by atomic additions in the simulator, beside NumPy mode; see `cuda_cases.py`."""

import numpy as np

import graphc
import graphc.tensor as T
from graphc.core.errors import BadIndexError

rng = np.random.RandomState(7)
PICKS = np.array([1, -1, 1, 0, 4, -5, 1])
PAIRS = np.array([[1, -1, 1], [0, 1, -3]])


def whole(shape, dtype="float32"):
    """Numbers whose sums are exact, in whatever order they are added."""
    return rng.randint(-9, 9, shape).astype(dtype)


def atomic(build, *arrays):
    """How many scatters of a function are atomic; its results are those of NumPy mode."""
    inputs = [T.TensorType(a.dtype.name, (None,) * a.ndim)(f"x{k}") for k, a in enumerate(arrays)]
    outputs = build(*inputs)
    with graphc.config(cuda_deterministic=False):
        device = graphc.function(inputs, outputs, target="cuda")
    plain = graphc.function(inputs, outputs, mode="numpy")
    for _ in range(2):
        for x, y in zip(device(*arrays), plain(*arrays), strict=True):
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)
    found = sum("atomic additions" in note for note in device.plan.notes)
    assert found == sum("cuda.atomic.add" in k.source for k in device.kernels)
    return found


def atomic_additions():
    for dtype in ("float32", "float64", "int32", "int64"):
        x, v = whole((5, 3), dtype), whole((7, 3), dtype)
        assert atomic(lambda x, v, i: [T.inc_subtensor(x[i], v)], x, v, PICKS) == 1, dtype
    x = whole((5, 3))
    assert atomic(lambda x, i: [T.inc_subtensor(x[i], 1), x * 2], x, PICKS) == 1
    assert atomic(lambda x, v, i: [T.inc_subtensor(x[:, i % 3], v.T)], x, whole((7, 5)), PICKS) == 1
    assert atomic(lambda x, i: [T.grad((x[i] ** 2).sum(), x)], x, PICKS) == 1
    assert atomic(lambda v, i: [T.inc_subtensor(T.zeros((5,), "float64")[i], v)],
                  whole(7, "float64"), PICKS) == 1  # fmt: skip
    assert atomic(lambda x, i: [T.inc_subtensor(x[i], 1)], x, PICKS[:0]) == 1


def atomic_additions_at_several_indices():
    x, v = whole((3, 3, 5)), whole((2, 1, 5))
    assert atomic(lambda x, i: [T.inc_subtensor(x[i], 2)], x, PAIRS) == 1
    assert atomic(lambda x, v, i: [T.inc_subtensor(x[i, i % 2], v)], x, v, PAIRS) == 1
    assert atomic(lambda x, v, i: [T.inc_subtensor(x[:, i, i + 1], v)], x, whole(3), PAIRS) == 1


def what_is_not_added_atomically():
    for dtype, found in (("int8", 0), ("uint64", 0), ("float16", 1)):  # halves add in float32
        x, v = abs(whole((5, 3), dtype)), abs(whole((7, 3), dtype))
        assert atomic(lambda x, v, i: [T.inc_subtensor(x[i], v)], x, v, PICKS) == found, dtype
    assert atomic(lambda x, i: [T.set_subtensor(x[i], 7)], whole((5, 3)), PICKS) == 0
    assert atomic(lambda x: [T.inc_subtensor(x[1:3], 7)], whole((5, 3))) == 0


def atomic_updates_in_place():
    """A shared table keeps its memory, and its values where an index is bad."""
    start = whole((5, 3))
    table, i, v = graphc.shared(start, name="table"), T.lvector("i"), T.fmatrix("v")
    with graphc.config(cuda_deterministic=False):
        f = graphc.function([i, v], None, target="cuda",
                            updates=[(table, T.inc_subtensor(table[i], v))])  # fmt: skip
    values, expected = whole((7, 3)), start.copy()
    for _ in range(2):
        f(PICKS, values)
        np.add.at(expected, PICKS, values)
    assert sum("atomic additions" in note for note in f.plan.notes) == 1
    assert not any("copy" in step.label for step in f.plan.steps), [s.label for s in f.plan.steps]
    for wrong in (5, -6):
        try:
            f(np.array([0, wrong, 1]), values[:3])
        except BadIndexError as error:
            assert f"index {wrong} is outside an axis of size 5" in str(error), error
        else:
            raise AssertionError("no error")
    np.testing.assert_array_equal(table.get_value(), expected)


def atomic_additions_in_loops():
    """Gradients of rows that a loop picks are added up in its body, or behind it."""
    x, i = whole((4, 3), "float64"), np.array([[0, 1], [1, 1], [3, -1]])

    def picked(x, i):
        y, _ = graphc.scan(lambda j, s, x: s + x[j].sum(axis=0), sequences=i,
                           outputs_info=x[0] * 0, non_sequences=x)  # fmt: skip
        return [T.grad((y[-1] ** 2).sum(), x)]

    assert atomic(picked, x, i) >= 1


CASES = (
    atomic_additions, atomic_additions_at_several_indices, what_is_not_added_atomically,
    atomic_updates_in_place, atomic_additions_in_loops,
)  # fmt: skip
