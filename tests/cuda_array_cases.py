"""What cases of `cuda_cases.py` hold about arrays that stay on the device."""

import gc
import os

import numpy as np

import graphc
import graphc.tensor as T
from graphc import DeviceArray, Out
from graphc.core.errors import TargetError
from graphc.runtime.cuda.driver import current_driver

rng = np.random.RandomState(3)
SIMULATED = "NUMBA_ENABLE_CUDASIM" in os.environ
A = rng.uniform(-2, 2, (5, 3)).astype("float32")


class Stand:
    """An array of another library, as far as graphc sees it: a view of a copy on the device."""

    def __init__(self, array, **more):
        from numba import cuda

        base = array if array.base is None else array.base
        self.memory = cuda.to_device(base)
        seen = self.memory._ary if SIMULATED else self.memory
        start = seen.__array_interface__ if SIMULATED else seen.__cuda_array_interface__
        offset = array.__array_interface__["data"][0] - base.__array_interface__["data"][0]
        self.described = {
            "shape": array.shape, "typestr": array.dtype.str, "strides": array.strides,
            "data": (start["data"][0] + offset, False), "version": 3, "stream": 1, **more,
        }  # fmt: skip

    @property
    def __cuda_array_interface__(self):
        return self.described


class Capsule:
    """An array that speaks DLPack only."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def doubling(device=True, **options):
    x = T.fmatrix("x")
    return graphc.function([x], Out(x * 2, device=device, **options), target="cuda")


def results_that_stay():
    f = doubling()
    found = f(A)
    assert isinstance(found, DeviceArray) and found.shape == (5, 3) and found.dtype == "float32"
    assert found.strides == (12, 4) and found.ndim == 2 and len(found) == 5 and found.nbytes == 60
    assert repr(found) == "<DeviceArray float32 (5, 3) on " + current_driver().name + ">"
    for host in (found.copy_to_host(), np.asarray(found), np.array(found)):
        np.testing.assert_array_equal(host, A * 2)
    assert np.asarray(found, "float64").dtype == "float64"
    again = f(found)
    np.testing.assert_array_equal(found, A * 2)  # a later call leaves it alone
    np.testing.assert_array_equal(again, A * 4)
    assert f.plan.notes == ["device: " + current_driver().name]
    total = graphc.function(f.inputs, [Out(f.inputs[0].sum(), device=True), f.inputs[0] + 1],
                            target="cuda")  # fmt: skip
    staying, returned = total(found)
    assert isinstance(returned, np.ndarray)
    np.testing.assert_allclose(float(staying), (A * 2).sum(), 1e-6)
    assert total.plan.notes[1:] == ["transfer out: output 1, 60 B"]
    mixed = graphc.function(f.inputs, {"y": Out(f.outputs[0], device=True)}, target="cuda")
    np.testing.assert_array_equal(mixed(A)["y"], A * 2)


def memory_of_results():
    f = doubling()
    first = f(A)
    address = first.address
    second = f(A)
    assert second.address != address
    del first
    gc.collect()
    assert f(A).address == address  # nobody has it any more
    seen = f(A)
    address = seen.__cuda_array_interface__["data"][0]
    assert address == seen.address and seen.__cuda_array_interface__["version"] == 3
    del seen
    gc.collect()
    assert f(A).address != address  # somebody else may still read it
    borrowed = doubling(borrow=True)
    kept = borrowed(A)
    assert borrowed(A + 1).address == kept.address
    np.testing.assert_array_equal(kept, (A + 1) * 2)
    np.testing.assert_array_equal(borrowed(kept), (A + 1) * 4)  # reads what it writes


def arrays_of_others():
    f = doubling()
    given = A.copy()
    np.testing.assert_array_equal(f(Stand(given, strides=None)), A * 2)
    given += 1
    np.testing.assert_array_equal(f(Stand(given)), given * 2)
    square = rng.uniform(-1, 1, (6, 6)).astype("float32")
    for view in (square.T, square[::2, 1:], square[::-1, ::-1], square[:, :0], square[:1, ::3]):
        np.testing.assert_array_equal(f(Stand(view)), view * 2)
    z = T.TensorType("int8", (None,) * 3)("z")
    whole = np.arange(24, dtype="int8").reshape(2, 3, 4)
    g = graphc.function([z], z + 1, target="cuda")
    np.testing.assert_array_equal(g(Stand(whole.transpose(2, 0, 1))), whole.transpose(2, 0, 1) + 1)
    from numba import cuda

    np.testing.assert_array_equal(f(cuda.to_device(A)), A * 2)
    n = T.lscalar("n")
    sized = graphc.function([n], T.arange(n) * 2, target="cuda")
    assert sized(Stand(np.array(4))).tolist() == [0, 2, 4, 6]  # NumPy reads how many


def arrays_that_are_refused():
    f = doubling()
    stays = f(A)
    x = T.fmatrix("x")
    for mode, options in (("cpu", {"target": "cpu"}), ("numpy", {"mode": "numpy"})):
        here = graphc.function([x], x + 1, **options)
        here(A)
        for value in (stays, Stand(A)):
            try:
                here(value)
            except TargetError as error:
                assert "`x`" in str(error) and "lies on a device" in str(error), error
                assert "numpy.asarray" in str(error) and "target='cuda'" in str(error), error
            else:
                raise AssertionError(mode)
        np.testing.assert_array_equal(here(np.asarray(stays)), A * 2 + 1)
    for value, text in (
        (Stand(A.astype("float64")), "an array of dtype float64 on a device came"),
        (Stand(A[0]), "a matrix, and an array of shape (3,), a vector, came"),
        (Stand(A, mask=Stand(A)), "it has a mask"),
    ):
        try:
            f(value)
        except graphc.GraphError as error:
            assert text in str(error), error
        else:
            raise AssertionError(text)
    try:
        graphc.function([x], Out(x, device=True), target="cpu")
    except graphc.GraphError as error:
        assert "Out(device=True) is for functions of the target 'cuda'" in str(error)
    else:
        raise AssertionError("no device")
    assert stays.__dlpack_device__() == (2, 0)
    if not SIMULATED:
        np.testing.assert_array_equal(f(Capsule(stays)), A * 4)
        return
    try:
        stays.__dlpack__()
    except BufferError as error:
        assert "simulator" in str(error)
    else:
        raise AssertionError("a capsule")


def training_with_arrays_that_stay():
    """Batches that lie on the device, and losses that are looked at in the end."""
    x, t = T.fmatrix("x"), T.fmatrix("t")
    found = []
    to_device = doubling()
    for options in ({"target": "cuda"}, {"mode": "numpy"}):
        w = graphc.shared(np.zeros((3, 1), "float32"), name="w")
        loss = ((T.dot(x, w) - t) ** 2).mean()
        step = graphc.function([x, t], Out(loss, device="target" in options),
                               updates=[(w, w - 0.01 * T.grad(loss, w))], **options)  # fmt: skip
        batch = [to_device(A), to_device(A[:, :1])]
        if "mode" in options:
            batch = [np.asarray(b) for b in batch]
        found.append([float(v) for v in [step(*batch) for _ in range(4)]])
        if "target" in options:
            assert not any(note.startswith("transfer") for note in step.plan.notes)
    np.testing.assert_allclose(*found, 1e-5)
    assert found[0][-1] < found[0][0]


CASES = (
    results_that_stay, memory_of_results, arrays_of_others, arrays_that_are_refused,
    training_with_arrays_that_stay,
)  # fmt: skip
