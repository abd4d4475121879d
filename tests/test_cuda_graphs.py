"""What a CUDA plan launches: stored kernels, captured stretches, loops, many calls at once.

Against drivers that only write down what they are asked for; the simulator's cases are in
`cuda_graph_cases.py`.
"""

import ctypes
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from cuda_fake import FakeDriver, cuda_function, in_use

import graphc
import graphc.tensor as T
from graphc.core.errors import TargetError
from graphc.runtime import cache as disk
from graphc.runtime.cuda import graphs, launching, loops, schedule, store

HERE = Path(__file__).parent
X = np.linspace(-1, 1, 35, dtype="float32").reshape(7, 5)


@pytest.fixture
def driver():
    with in_use(FakeDriver()) as made:
        yield made


def asked(driver):
    """What a call put on the stream, in order, with the number of nodes of graphs."""
    return [c[:2] if c[0] in ("capture", "replay") else c[0] for c in driver.calls
            if c[0] in ("capture", "replay", "launch", "multiply")]  # fmt: skip


def called(function, driver, *values):
    driver.calls.clear()
    function(*values)
    return asked(driver)


# --- captured stretches ---------------------------------------------------------------


def test_a_plan_is_captured_in_its_second_call_and_replayed_as_one_graph(driver):
    x, w = T.fmatrix("x"), graphc.shared(X.T.copy(), name="w")
    f = cuda_function([x], T.dot(x, w).sum(), updates=[(w, w * 2)])
    first = called(f, driver, X)
    launched = list(driver.launches())
    assert first == ["launch"] * len(first) and len(first) > 2
    assert called(f, driver, X) == [("capture", len(first)), ("replay", len(first))]
    assert driver.graphs == [launched]  # the same kernels, grids and arguments, in their order
    for _ in range(2):
        assert called(f, driver, X) == [("replay", len(first))]
    w.set_value(X.T * 3)
    assert called(f, driver, X) == [("replay", len(first))]


def test_what_is_captured_by_the_setting(driver):
    x = T.fmatrix("x")
    made = {}
    for setting in ("auto", True, False):
        with graphc.config(cuda_graphs=setting):
            made[setting] = [
                cuda_function([x], T.exp(x)), cuda_function([x], T.exp(x).sum()),
                cuda_function([x], T.exp(x).sum(), profile=True),
            ]  # fmt: skip
    for setting, expected in (("auto", (False, True)), (True, (True, True)), (False, (False,) * 2)):
        for f, captured in zip(made[setting], (*expected, False)):
            f(X)
            kinds = called(f, driver, X)
            assert (("capture", len(driver.graphs[-1])) in kinds if captured else
                    set(kinds) == {"launch"}), (setting, kinds)  # fmt: skip
    with pytest.raises(ValueError, match="cuda_graphs may be 'auto', True, False"):
        graphc.config.cuda_graphs = "always"


def test_steps_of_the_host_split_a_plan_into_stretches(driver):
    x = T.fmatrix("x")
    with graphc.config(cuda_graphs=True):
        f = cuda_function([x], T.exp(T.sort(T.exp(x * 2) / x.sum(), axis=1)).sum())
    f(X + 2)
    f(X + 2)
    assert called(f, driver, X + 2) == [("replay", 1), ("replay", 2)]
    order = [c[0] for c in driver.calls if c[0] != "synchronize"]
    first, last = order.index("replay"), len(order) - 1 - order[::-1].index("replay")
    between = order[first + 1 : last]
    assert between == ["read", "read", "write"]  # the record, the operand, the result
    assert "transfer out and back: step 1, sort, which NumPy does" in f.plan.notes


def scanned(steps, **options):
    x = T.dmatrix("x")
    h, _ = graphc.scan(lambda v, s: T.tanh(v + s), sequences=x, outputs_info=T.zeros((3,)),
                       **options)  # fmt: skip
    return cuda_function([x], h), np.ones((steps, 3))


def test_all_steps_of_a_loop_are_one_graph_up_to_a_limit(driver, monkeypatch):
    f, x = scanned(30)
    launches = called(f, driver, x).count("launch")
    assert launches >= 1 + 2 * 30
    assert called(f, driver, x) == [("capture", launches), ("replay", launches)]
    words = {given[4] for _, _, _, _, given in driver.graphs[0][-60:-2]}
    assert len(words) <= 2  # no step number among the arguments: it lies on the device
    monkeypatch.setattr(loops, "LIMIT", 20)
    monkeypatch.setattr(schedule, "LIMIT", 20)
    f, x = scanned(30)
    f(x)  # the body is captured in its second step
    kinds = called(f, driver, x)
    assert kinds.count(("replay", 2)) == 30 and ("capture", launches) not in kinds


def test_a_loop_that_may_stop_replays_its_body_and_looks_at_the_condition(driver):
    k = T.dscalar("k")
    last = graphc.reduce(lambda v, s: (s * v, graphc.until(s > 2)), T.arange(9.0), k)[0]
    f = cuda_function([k], last)
    f(1.0)
    kinds = called(f, driver, 1.0)
    replays = [n for kind, n in (k for k in kinds if k != "launch") if kind == "replay"]
    assert len(set(replays)) <= 2 and max(replays.count(n) for n in replays) == 9
    copies = [c[0] for c in driver.calls if c[0] in ("read", "replay") and c[-1] in (1, *replays)]
    assert copies.count("read") >= 9


@pytest.mark.parametrize("error", [RuntimeError("the CUDA driver says NOT_PERMITTED"), OSError()])
def test_where_nothing_can_be_captured_plans_are_launched_after_one_warning(driver, error):
    x = T.fmatrix("x")
    f = cuda_function([x], T.exp(x).sum())
    launches = called(f, driver, X)
    driver.refuses = error
    with pytest.warns(UserWarning, match="can't capture a plan as a CUDA graph .*(NOT_P|OSError)"):
        assert called(f, driver, X) == launches
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert called(f, driver, X) == launches
    with graphc.config(cuda_graphs=True):
        f = cuda_function([x], T.exp(x).sum())
    f(X)
    with pytest.raises(TargetError, match="can't capture"):
        f(X)


def test_addresses_that_change_in_every_call_end_captures(driver):
    driver.lacks_products = None
    x, w = T.fmatrix("x"), graphc.shared(np.ones((5, 5), "float32"), name="w")
    f = cuda_function([x], graphc.Out(T.exp(T.dot(x, w)) + T.dot(x, w * 2), device=True))
    kept = [f(X) for _ in range(40)]
    assert len({k.address for k in kept}) == 40
    assert len([c for c in driver.calls if c[0] == "capture"]) <= schedule.TRIES
    (bound,) = f._program.bound.values()
    assert all(len(s.graphs) <= schedule.KEPT for s in bound.schedules[0].parts)


# --- graphs through NVIDIA's bindings -------------------------------------------------


class Code(int):
    name = "CUDA_ERROR_OF_A_TEST"


class Bindings:
    """`cuda.bindings.driver`, as far as it is used: it notes calls, and fails where it is told."""

    CUstreamCaptureMode = SimpleNamespace(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL=1)
    CUstream = staticmethod(lambda address: ("stream", address))

    def __init__(self, **fails):
        self.calls, self.fails, self.count = [], fails, 0

    def __getattr__(self, name):
        if not name.startswith("cu"):
            raise AttributeError(name)

        def call(*given):
            self.calls.append((name, *given))
            fails = self.fails.get(name, False)
            if fails(*given) if callable(fails) else fails:
                return (Code(1), None)
            self.count += 1
            return Code(0), f"{name} {self.count}"

        return call


def test_a_capture_ends_whatever_happens():
    bindings, made = Bindings(), []
    replay = graphs.capture(7, lambda: made.append(1), bindings)
    names = [c[0] for c in bindings.calls]
    assert names == ["cuStreamBeginCapture", "cuStreamEndCapture", "cuGraphInstantiate",
                     "cuGraphDestroy"]  # fmt: skip
    assert bindings.calls[0][1] == ("stream", 7) and made == [1]
    replay()
    assert bindings.calls[-1] == ("cuGraphLaunch", "cuGraphInstantiate 3", ("stream", 7))
    del replay
    assert bindings.calls[-1] == ("cuGraphExecDestroy", "cuGraphInstantiate 3")

    def fails():
        raise ValueError("inside")

    bindings = Bindings(cuStreamEndCapture=True)
    with pytest.raises(ValueError, match="inside"):
        graphs.capture(7, fails, bindings)
    assert [c[0] for c in bindings.calls] == ["cuStreamBeginCapture", "cuStreamEndCapture"]
    bindings = Bindings(cuGraphInstantiate=True)
    with pytest.raises(RuntimeError, match="CUDA_ERROR_OF_A_TEST"):
        graphs.capture(7, list, bindings)
    assert bindings.calls[-1][0] == "cuGraphDestroy"
    replay = graphs.capture(7, list, Bindings(cuGraphLaunch=True))
    with pytest.raises(RuntimeError, match="CUDA_ERROR_OF_A_TEST"):
        replay()


# --- kernels from the disk ------------------------------------------------------------


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """An empty cache, and what is compiled into it."""
    monkeypatch.setenv("GRAPHC_CACHE_DIR", str(tmp_path / "kernels"))
    made = []

    def compile_ptx(text, capability):
        made.append(text)
        return f".visible .entry _Z1k(\n{text}"

    monkeypatch.setattr(store, "compile_ptx", compile_ptx)
    monkeypatch.setattr(store, "linked", lambda ptx, capability: b"\x7fELF" + ptx.encode()[-9:])
    return made


def test_a_kernel_is_compiled_once_and_launched_from_the_disk(stored):
    for _ in range(2):
        bindings = Bindings()
        launcher = launching.Launcher(5, (9, 0), bindings)
        kernel = launcher.load("a kernel", "exp")
        (_, code), (_, module, name) = bindings.calls
        assert code.startswith(b"\x7fELF") and name == b"kernel" and module.startswith("cuModule")
        launch = launcher.prepare(kernel, 3, 256, (1 << 40, -2, 3, 4, 5))
        launch()
        launch()
        assert bindings.calls[-1] == bindings.calls[-2]
        name, function, *grid, shared, stream, places, extra = bindings.calls[-1]
        assert (name, function, grid) == ("cuLaunchKernel", kernel, [3, 1, 1, 256, 1, 1])
        assert (shared, stream, extra) == (0, ("stream", 5), 0)
        pointers = (ctypes.c_void_p * 5).from_address(places)
        values = [ctypes.c_int64.from_address(p).value for p in pointers]
        assert values == [1 << 40, -2, 3, 4, 5]
    assert stored == ["a kernel"]
    bindings.fails["cuLaunchKernel"] = True
    with pytest.raises(RuntimeError, match="CUDA_ERROR_OF_A_TEST"):
        launch()


def test_code_that_the_driver_refuses_is_made_again(stored):
    launching.Launcher(5, (9, 0), Bindings()).load("a kernel", "exp")
    key = store.key_of("a kernel", (9, 0), "cubin")
    disk.cache().save(key, "kernel", b"another device's")
    bindings = Bindings(cuModuleLoadData=lambda code: code == b"another device's")
    with pytest.warns(UserWarning, match="unusable entry .*: for exp, the CUDA driver says"):
        launching.Launcher(5, (9, 0), bindings).load("a kernel", "exp")
    assert [c[1][:4] for c in bindings.calls if c[0] == "cuModuleLoadData"] == [b"anot", b"\x7fELF"]
    assert store.stored("a kernel", (9, 0), "cubin").startswith(b"\x7fELF")
    bindings = Bindings(cuModuleLoadData=lambda code: code.startswith(b"\x7fELF"))
    launcher = launching.Launcher(5, (9, 0), bindings)
    with pytest.warns(UserWarning) as caught:
        for text in ("another", "a third"):
            launcher.load(text, "exp")
    assert len([w for w in caught if "the driver compiles their PTX" in str(w.message)]) == 1
    assert bindings.calls[-2][1].endswith(b"a third\0")


PROGRAM = """
import sys, warnings
import numpy as np
sys.path.insert(0, {here!r})
from cuda_fake import FakeDriver, cuda_function, in_use
from test_cuda_graphs import Bindings
import graphc, graphc.tensor as T
from graphc.runtime.cuda import store
from graphc.runtime.cuda.driver import use_driver
from graphc.runtime.cuda.launching import Launcher

compiled = []
def compile_ptx(text, capability):
    compiled.append(text)
    return ".visible .entry _Z1k(" + text
store.compile_ptx, store.linked = compile_ptx, lambda ptx, capability: ptx.encode()

class Driver(FakeDriver):
    bindings = Bindings()
    launcher = Launcher(5, (9, 0), bindings)
    def load(self, source, name):
        return self.launcher.load(source, name)
    def prepare(self, *given):
        return self.launcher.prepare(*given)
    def launch(self, *given):
        self.prepare(*given)()

use_driver(Driver())
x, w = T.dmatrix("x"), graphc.shared(np.ones((3, 3)))
h, _ = graphc.scan(lambda v, s: T.tanh(v + s), sequences=x, outputs_info=T.zeros((3,)))
f = graphc.function([x], [h.sum(), T.nnet.softmax(x)], updates=[(w, w * 2)], target="cuda")
f(np.ones((4, 3)))
launched = [c[0] for c in Driver.bindings.calls].count("cuLaunchKernel")
print(len(compiled), launched, "numba" in sys.modules)
"""


def test_a_warm_process_compiles_nothing_and_has_no_numba(tmp_path):
    found = []
    for _ in range(2):
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(here=str(HERE))], capture_output=True, text=True,
            timeout=100, cwd=HERE.parent,
            env={**os.environ, "GRAPHC_CACHE_DIR": str(tmp_path / "kernels"),
                 "PYTHONPATH": str(HERE.parent)},
        )  # fmt: skip
        assert not run.returncode, run.stderr
        found.append(run.stdout.split())
    cold, warm = found
    assert int(cold[0]) > 5 and warm[0] == "0"
    assert cold[1] == warm[1] and int(warm[1]) > 8 and warm[2] == "False"


STUBBED = """
from graphc.runtime.cuda import graphs, kernels, launching

launcher = launching.Launcher(0x5000, (9, 0))
kernel = launcher.load(kernels.COPY, "copy")
launch = launcher.prepare(kernel, 3, 256, (1 << 40, -2, 3, 4, 5))
launch()
replay = graphs.capture(0x5000, launch)
replay()
del replay
try:
    graphs.capture(0x5000, launcher.prepare(kernel, 1, 1, (1, 2, 3, 4, 700)))
except RuntimeError as error:
    print(error)
"""


@pytest.mark.compiler
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler for a stub of the driver")
def test_nvidias_bindings_pass_on_what_is_launched(tmp_path):
    """The way from a source to the driver's C calls, with a driver that says what it is asked."""
    stub = tmp_path / "libcuda.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(stub), str(HERE / "cuda_stub.c"), "-ldl"],
                   check=True)  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-c", STUBBED], capture_output=True, text=True, timeout=100,
        cwd=HERE.parent,
        env={**os.environ, "GRAPHC_CACHE_DIR": str(tmp_path / "kernels"),
             "LD_LIBRARY_PATH": str(tmp_path), "PYTHONPATH": str(HERE.parent)},
    )  # fmt: skip
    launch = "launch 0x22 3 1 1 256 1 1 0 0x5000 1: 1099511627776 -2 3 4 5"
    assert run.stdout.splitlines() == [
        "load ELF", "function kernel of 0x11", launch,
        "begin 0x5000 1", launch, "end", "instantiate 0x33 0", "destroy graph",
        "replay 0x44 0x5000", "destroy runnable",
        "begin 0x5000 1", "launch 0x22 1 1 1 1 1 1 0 0x5000 1: 1 2 3 4 700", "end",
        "the CUDA driver says CUDA_ERROR_ILLEGAL_ADDRESS",
    ], run.stdout + run.stderr  # fmt: skip


# --- many calls at once ---------------------------------------------------------------


def test_an_epoch_is_launches_of_one_graph_and_one_wait(driver):
    data, i = graphc.shared(np.ones((12, 3)), name="data"), T.lscalar("i")
    w = graphc.shared(np.zeros(3), name="w")
    rows = data[i * 4 : (i + 1) * 4]
    loss = ((T.dot(rows, w) - 1) ** 2).mean()
    f = cuda_function([i], loss, updates=[(w, w - T.grad(loss, w))])
    order = graphc.each(np.arange(50) % 3)
    graphc.loop(f, order)
    driver.calls.clear()
    losses = graphc.loop(f, order)
    assert losses.shape == (50,)
    kinds = [c[0] for c in driver.calls]
    last = len(kinds) - 1 - kinds[::-1].index("replay")
    first = last - 48
    assert kinds[first : last + 1] == ["replay"] * 49  # and one call before them, by itself
    assert kinds[last + 1 :] == ["read"] * 2  # the record, 49 losses
    assert driver.calls[-1][2] == 49 * 8


def test_rows_that_are_many_are_brought_in_pieces(driver, monkeypatch):
    from graphc.runtime.cuda import repeat

    monkeypatch.setattr(repeat, "ROOM", 10 * (24 + 8))
    x = T.dvector("x")
    f = cuda_function([x], x.sum())
    assert graphc.loop(f, graphc.each(np.ones((34, 3)))).shape == (34,)
    copies = [c[2] for c in driver.calls if c[0] == "write" and c[2] % 24 == 0]
    assert copies.count(240) == 3 and copies.count(72) == 1


def test_epochs_with_products_of_the_library_read_moving_addresses_on_the_device(driver):
    driver.lacks_products = None
    x, w = T.fmatrix("x"), graphc.shared(np.ones((5, 5), "float32"), name="w")
    f = cuda_function([x], [T.dot(x, w), T.eq(x.sum(), 100)], updates=[(w, T.dot(w, w))])
    f(X)
    plain = {c[1].indirect for c in driver.calls if c[0] == "multiply"}
    assert plain == {False}
    with graphc.config(cuda_graphs=False):
        driver.calls.clear()
        graphc.loop(f, graphc.each(np.stack([X] * 4)))
    (graph,) = [g for g in driver.graphs if any(c[0] == "multiply" for c in g)][-1:]
    assert sorted(c[1].indirect for c in graph if c[0] == "multiply") == [False, True]
