"""The CUDA target without a GPU: in Numba's simulator, as PTX, as plans; and with one, where it is.

What the simulator shows is in `cuda_cases.py`; it runs once, in a process of its own.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import cuda_cases
import numpy as np
import pytest
from cuda_fake import FakeDriver, cuda_function, in_use

import graphc
import graphc.tensor as T
from graphc.core.errors import ArgumentError, TargetError
from graphc.runtime.cuda import kernels
from graphc.runtime.cuda.driver import use_driver

HERE = Path(__file__).parent
X = np.linspace(-1, 1, 35, dtype="float32").reshape(7, 5)


@pytest.fixture(scope="module")
def simulated():
    """What the program of cases says, by case."""
    run = subprocess.run(
        [sys.executable, str(HERE / "cuda_cases.py")], capture_output=True, text=True,
        timeout=280, cwd=HERE.parent,
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": str(HERE.parent)},
    )  # fmt: skip
    found, name = {}, None
    for line in run.stdout.splitlines():
        if line.startswith(("ok ", "BAD ")):
            name = line.split()[1]
            found[name] = ""
        if name is not None and not line.startswith("ok "):
            found[name] += line + "\n"
    assert found, run.stderr
    return found


@pytest.mark.parametrize("case", [case.__name__ for case in cuda_cases.CASES])
def test_in_the_simulator_as_in_numpy_mode(simulated, case):
    assert case in simulated, f"the program stopped before {case}"
    assert not simulated[case], simulated[case]


# --- plans, against a driver that only writes down what it is asked for ---------------


@pytest.fixture
def driver():
    with in_use(FakeDriver()) as made:
        yield made


def test_a_call_copies_arguments_in_and_results_out_and_nothing_between(driver):
    x, w = T.fmatrix("x"), graphc.shared(X.T.copy(), name="w")
    f = cuda_function([x], T.tanh(T.dot(x, w)).sum(axis=1), updates=[(w, w * 2)])
    f(X)
    before = len(driver.calls)
    f(X)
    kinds = [c[0] for c in driver.calls[before:]]
    record, argument, results = 32, X.nbytes, 7 * 4
    copies = [c[2] for c in driver.calls[before:] if c[0] in ("write", "read")]
    assert copies == [record, argument, record, results]
    assert kinds == ["write", "write", "capture", "replay", "read", "read"]
    assert f.plan.notes == [
        "device: a recording",
        "product 7x5 @ 5x7: a kernel with tiles, no cuBLAS: a recording has none",
        "transfer in: x, 140 B", "transfer out: output 0, 28 B",
    ]  # fmt: skip


def test_a_shared_variable_goes_to_the_device_once(driver):
    w = graphc.shared(np.zeros((300, 4)), name="w")
    f = cuda_function([], None, updates=[(w, w + 1)])
    for _ in range(3):
        f()
    assert [c[2] for c in driver.calls if c[0] == "write"].count(w.get_value().nbytes) == 1
    w.set_value(np.ones((300, 4)))
    f()
    assert [c[2] for c in driver.calls if c[0] == "write"].count(300 * 4 * 8) == 2


def test_launches_cover_all_elements_within_what_the_driver_allows(driver):
    x = T.fmatrix("x")
    f = cuda_function([x], [T.exp(x), T.exp(x).sum(), T.nnet.softmax(x)])
    for shape in ((1, 1), (3, 1000), (5000, 700)):
        driver.calls.clear()
        f(np.ones(shape, "float32"))
        for _, _, grid, threads, _ in driver.launches():
            assert threads == 256 and grid <= 1024
    assert max(grid for _, _, grid, _, _ in driver.launches()) == 1024


def test_the_blocks_of_a_sum_depend_on_sizes_alone(driver):
    x = T.fvector("x")
    f = cuda_function([x], x.sum())
    f(np.ones(10_000, "float32"))
    (_, _, grid, _, given), (_, _, last, _, again) = driver.launches()
    elements = 256 * 4 * 2  # of a block: two runs of four for each thread
    assert grid == given[4] == again[4] == -(-10_000 // elements) and last == 1
    assert driver.allocated.count(grid * 8) == 1  # the work area: one number per block


def test_equal_kernels_are_loaded_once(driver):
    x = T.fmatrix("x")
    for _ in range(3):
        cuda_function([x], T.exp(x) * 2 + 1)(X)
    cuda_function([x], T.exp(x) * 3 + 1)(X[:3])
    assert len(driver.sources) == 1


def test_batches_of_any_size_share_the_kernels_of_convolutions(driver):
    every_convolution(40)
    before = dict(driver.sources)
    every_convolution(41)
    assert not [text for text in set(driver.sources) - set(before) if "image" in text]


def test_convolutions_take_no_memory_but_their_results(driver):
    x, w = T.ftensor4("x"), T.ftensor4("w")
    f = cuda_function([x, w], T.nnet.conv2d(x, w))
    f(np.ones((3, 2, 9, 9), "float32"), np.ones((8, 2, 3, 3), "float32"))
    assert f.plan.arena_bytes == 0
    assert [s.routine for s in f.plan.steps] == ["implicit"]


# --- arrays that stay on the device ---------------------------------------------------


class Tensor:
    """An array of another library on a device, with one of the protocols or both."""

    def __init__(self, address, shape, device=0, stream=None, typestr="<f4"):
        self.device = device
        self.described = {"shape": shape, "typestr": typestr, "data": (address, True),
                          "strides": None, "version": 3, "stream": stream}  # fmt: skip

    @property
    def __cuda_array_interface__(self):
        return self.described


class Capsuled(Tensor):
    __cuda_array_interface__ = None

    def __dlpack__(self, **options):
        raise AssertionError("the driver reads it")

    def __dlpack_device__(self):
        return 2, self.device


def test_an_argument_on_the_device_is_read_where_it_lies(driver):
    x = T.fmatrix("x")
    f = cuda_function([x], graphc.Out(T.exp(x), device=True))
    for value in (Tensor(1 << 40, (7, 5), stream=9), Capsuled(1 << 41, (7, 5))):
        driver.calls.clear()
        found = f(value)
        assert (1 << 40 if type(value) is Tensor else 1 << 41) in words_written(driver)
        assert found.address in words_written(driver)
        copies = [c[2] for c in driver.calls if c[0] in ("write", "read")]
        assert copies.count(32) == 2 and X.nbytes not in copies
        assert [c for c in driver.calls if c[0] == "wait"] == [("wait", 9)] * (
            type(value) is Tensor
        )
    kept = f(Tensor(1 << 40, (7, 5)))
    driver.calls.clear()
    g = cuda_function([x], graphc.Out(x * 2, device=True))
    g(kept)
    assert kept.address in words_written(driver)
    assert kept.__dlpack__(stream=3) == ("capsule", kept.address, {"stream": 3})
    assert f.plan.notes == ["device: a recording"]


def words_written(driver):
    """The numbers in the memory that plans have on the fake device."""
    return {int(w) for m in driver.memories for w in m.bytes[: len(m.bytes) // 8 * 8].view("int64")}


def test_arrays_on_another_device_are_refused(driver):
    x = T.fmatrix("x")
    f = cuda_function([x], x * 2)
    driver.places[1 << 42] = 1
    for value in (Tensor(1 << 42, (7, 5)), Capsuled(1 << 41, (7, 5), device=1)):
        with pytest.raises(TargetError, match="input `x`: it lies on device 1, and the function"):
            f(value)
    with pytest.raises(TargetError, match="no multiple of 4"):
        f(Tensor((1 << 40) + 2, (7, 5)))
    there = cuda_function([x], graphc.Out(x, device=True))(X)
    use_driver(FakeDriver())
    with pytest.raises(TargetError, match="it lies on a recording"):
        cuda_function([x], x * 2)(there)


def test_results_and_arguments_in_other_forms(driver):
    x = T.fmatrix("x")
    for make in (
        lambda: graphc.function([x], graphc.Out(x, device=True), mode="numpy"),
        lambda: graphc.function([x], graphc.Out(x, device=True)),
    ):
        with pytest.raises(ArgumentError, match="add target='cuda'"):
            make()
    y = graphc.sparse.csr_matrix("y")
    with pytest.raises(ArgumentError, match="sparse results don't stay"):
        graphc.function([y], graphc.Out(y, device=True), target="cuda")


@pytest.mark.skipif(
    importlib.util.find_spec("cuda") is None, reason="cuda-core isn't installed: no DLPack"
)
def test_dlpack_is_read_by_nvidias_library():
    from graphc.runtime.cuda.interchange import read_dlpack

    found = read_dlpack(X.T, -1)
    assert found["shape"] == (5, 7) and found["strides"] == (4, 20) and found["typestr"] == "<f4"
    assert found["data"][0] == X.ctypes.data


# --- PTX, from the real compiler ------------------------------------------------------


def every_family():
    """Functions over `X`-like inputs that need every form of kernel."""
    x, z, i = T.fmatrix("x"), T.dmatrix("z"), T.lvector("i")
    u, b = T.vector("u", "uint8"), T.lvector("b")
    stream = graphc.random.RandomStream(1)
    outputs = [
        T.exp(x) + T.erfinv(x) * T.nnet.sigmoid(x) + T.gammaln(x) + T.psi(x) + T.round(x) % 3,
        T.arctan2(z, z**2) // 0.3 + T.expm1(z) * T.nnet.softplus(z), x.sum(), z.sum(axis=0),
        x.sum(axis=1), T.nnet.softmax(z), z.argmax(), z.argmax(axis=0), x.argmin(axis=1),
        (x > 0).any(axis=0), x[i], T.inc_subtensor(x[i], 1), T.dot(x, x.T), T.dot(z, z.T) * 2,
        u // 3 + u % 2, b**2 // 7 % 5 ^ (b << 2), T.cast(z, "uint64"), T.cast(x, "int8"),
        stream.normal((3,), dtype="float32"), stream.uniform((3,), dtype="float64"),
        x[i[0] : i[0] + 2].sum(), T.cumsum(x), T.cumsum(b * 2), T.grad(T.cumprod(z, 0).sum(), z),
    ]  # fmt: skip
    f = cuda_function([x, z, i, u, b], outputs)
    f(X, X.astype("float64"), np.array([1, 2]), np.array([3], "uint8"), np.array([4]))
    many = np.ones((200, 100), "float32")  # more of a row than a thread or a block takes
    cuda_function([x], [T.cumsum(x), T.grad(T.cumprod(x, 1).sum(), x)])(many)
    every_convolution()
    data, indices, indptr = T.fvector("data"), T.ivector("indices"), T.lvector("indptr")
    y = graphc.sparse.dot(graphc.sparse.CSR(data, indices, indptr, (7, 7)), x)
    f = cuda_function([data, indices, indptr, x], [y, *T.grad((y**2).sum(), [data, x])])
    f(X[0], np.arange(5, dtype="int32"), np.array([0, 1, 2, 3, 4, 5, 5, 5]), X)


def every_convolution(images=40):
    """Functions that need every kernel of convolutions and of pooling."""
    for dtype, filters, options in (
        ("float32", (6, 2, 3, 3), {"border_mode": 1}),
        ("float64", (6, 2, 3, 2), {"subsample": (2, 1), "filter_dilation": (1, 2)}),
        ("float32", (4, 1, 3, 3), {"num_groups": 2, "border_mode": "half"}),
    ):
        x, w = T.tensor4("x", dtype), T.tensor4("w", dtype)
        y = T.nnet.conv2d(x, w, **options)
        loss = sum((T.signal.pool.pool_2d(y, (2, 2), whole, mode=mode) ** 2).sum()
                   for mode, whole in (("max", True), ("average_exc_pad", False)))  # fmt: skip
        f = cuda_function([x, w], [loss, *T.grad(loss, [x, w])])
        f(np.ones((images, 2, 12, 11), dtype), np.ones(filters, dtype))
    x, w = T.dtensor5("x"), T.dtensor5("w")
    y = T.nnet.conv3d(x, w, subsample=(1, 2, 1))
    f = cuda_function([x, w], [y, *T.grad((y**2).sum(), [x, w])])
    f(np.ones((2, 3, 4, 5, 4)), np.ones((7, 3, 2, 2, 2)))


@pytest.mark.compiler
@pytest.mark.parametrize("capability", [(8, 0), (9, 0)])
def test_kernels_compile_to_ptx(driver, capability):
    from graphc.runtime.cuda.ptx import compile_ptx

    every_family()
    assert len(driver.sources) > 20
    tables = kernels.ADDED_PRODUCTS, kernels.SINGLE, kernels.OF_LOOPS
    fixed = {kernels.COPY, kernels.COMPACT, *(text for t in tables for text in t.values())}
    tiled = [source for source in driver.sources if source.startswith("@bounded")]
    other = set(tiled[capability == (8, 0) :: 2])  # tiles take long: half of them for each
    for source in (*driver.sources, *(fixed - set(driver.sources))):
        if source in other:
            continue
        text = compile_ptx(source, capability)
        assert f".target sm_{capability[0]}{capability[1]}" in text and ".entry" in text, source


# --- errors ---------------------------------------------------------------------------


@pytest.mark.skipif("NUMBA_ENABLE_CUDASIM" in os.environ, reason="the simulator is a device")
def test_without_a_device_the_error_says_what_to_install_and_the_cpu_goes_on():
    from numba import cuda

    if cuda.is_available():
        pytest.skip("there is a device")
    use_driver(None)
    x = T.dvector("x")
    with pytest.raises(TargetError) as caught:
        graphc.function([x], x * 2, target="cuda")
    text = str(caught.value)
    assert "graphc[cuda12]" in text and "graphc[cuda13]" in text
    assert "numba-cuda" in text or "no device" in text
    with graphc.config(device="cuda"), pytest.raises(TargetError):
        graphc.function([x], x * 2)
    assert graphc.function([x], x * 2)(np.ones(2)).tolist() == [2, 2]


def test_targets_and_modes_that_do_not_go_together(driver):
    x = T.dvector("x")
    with pytest.raises(ArgumentError, match="target 'tpu' is none of 'cpu', 'cuda'"):
        graphc.function([x], x, target="tpu")
    with pytest.raises(ArgumentError, match="mode 'numpy' interprets graphs with NumPy"):
        graphc.function([x], x, target="cuda", mode="numpy")
    with pytest.raises(ValueError, match="graphc.config.device may be 'cpu', 'cuda'"):
        graphc.config.device = "gpu"


# --- with a device --------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.parametrize("case", cuda_cases.CASES, ids=lambda case: case.__name__)
def test_on_a_device_as_in_numpy_mode(case):
    use_driver(None)
    case()
