"""Several devices in one process, transfers, and what is said when a device fails.

Drivers here only write down what they are asked, and fail when they are told to; what is computed
on two devices is held by `cuda_device_cases.py`, in the simulator.
"""

import gc
import os
import threading

import numpy as np
import pytest
from cuda_fake import FakeLibrary
from cuda_faults import FailingDriver, current_devices

import graphc
import graphc.tensor as T
from graphc.core.errors import (
    ArgumentError,
    DeviceLostError,
    DeviceMemoryError,
    TargetError,
)
from graphc.runtime.cuda import probe
from graphc.runtime.cuda.driver import use_driver

X = np.linspace(-1, 1, 35, dtype="float32").reshape(7, 5)
LOST = "CUDA_ERROR_ILLEGAL_ADDRESS"


@pytest.fixture
def drivers():
    """Two devices."""
    made = [FailingDriver(k) for k in range(2)]
    use_driver(*made)
    yield made
    assert current_devices() == []  # the thread's own device is current again
    use_driver(None)


def kinds(driver):
    return [c[0] for c in driver.calls]


def doubling(target="cuda", device=False, **options):
    x = T.fmatrix("x")
    return graphc.function([x], graphc.Out(x * 2, device=device), target=target, **options)


# --- which device ---------------------------------------------------------------------


def test_functions_run_on_the_device_that_they_are_for(drivers):
    first, second = drivers
    for target in ("cuda", "cuda:0", "cuda0"):
        doubling(target)(X)
    assert "launch" in kinds(first) and not second.calls
    first.calls.clear()
    f = doubling("cuda:1")
    f(X)
    with graphc.config(device="cuda1"):
        assert graphc.config.device == "cuda:1"
        doubling(None)(X)
    assert kinds(second).count("launch") == 2 and not first.calls
    assert f.plan.notes[0] == "device: a recording, cuda:1"


def test_what_names_no_device(drivers):
    for name in ("gpu0", "cuda:x", "cuda:-1", 1, "dev0"):
        with pytest.raises(ValueError, match="'cpu', 'cuda', 'cuda:1', ..., not"):
            graphc.config.device = name
        with pytest.raises(ArgumentError, match="is none of 'cpu', 'cuda', 'cuda:1', ..."):
            doubling(name)
    with pytest.raises(TargetError, match="(?s)no device 2 .* there is cuda a recording; cuda:1"):
        doubling("cuda:2")
    with pytest.raises(ArgumentError, match="has no target 'cuda:1'"):
        doubling("cuda:1", mode="numpy")


def test_shared_variables_move_to_the_device_that_wants_them(drivers):
    first, second = drivers
    w = graphc.shared(np.arange(6.0), name="w")
    here, there = (
        graphc.function([], w.sum(), target=target) for target in ("cuda", "cuda:1")
    )
    here()
    assert first.calls[0] and w.storage.remote.driver is first
    there()
    assert ("copy", 0, 1, 48) in second.calls and w.storage.remote.driver is second
    assert kinds(first).count("read") == kinds(first).count("write") - 2  # not by the host
    here(), here(), there()
    assert kinds(first).count("copy") == 1 and kinds(second).count("copy") == 2
    np.testing.assert_array_equal(w.get_value(), np.arange(6.0))
    w.set_value(np.zeros(6))
    assert w.storage.remote is None


def test_threads_wait_for_their_own_device_only(drivers):
    first, second = drivers
    one, two = doubling("cuda"), doubling("cuda:1")
    one(X), two(X)
    inside, go_on, order = threading.Event(), threading.Event(), []

    def launch(*given):
        inside.set()
        order.append("begins")
        assert go_on.wait(20)
        order.append("ends")

    first.launch = first.prepare = launch
    first.prepare = lambda *given: lambda: launch(*given)
    one = doubling("cuda")
    threads = [threading.Thread(target=one, args=(X,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert inside.wait(20)
    two(X)  # returns while a call is on the first device
    assert order == ["begins"]
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert order == ["begins", "ends"] * 2


def test_threads_that_want_each_others_variables_do_not_wait_forever(drivers):
    a, b = (graphc.shared(np.zeros(3), name=name) for name in "ab")
    calls = [graphc.function([], (a + b).sum(), target=t) for t in ("cuda", "cuda:1")]
    threads = [
        threading.Thread(target=lambda f=f: [f() for _ in range(40)], daemon=True) for f in calls
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert {v.storage.remote.driver.ordinal for v in (a, b)} <= {0, 1}


# --- transfers ------------------------------------------------------------------------


def test_results_go_where_a_transfer_says(drivers):
    first, second = drivers
    x = T.fmatrix("x")
    outputs = [
        x * 2, T.transfer(x * 2, "cuda"), (x * 3).transfer("cuda:1"),
        T.transfer(T.transfer(x * 4, "cuda1"), "cpu"), T.transfer(x, "cuda:0").sum(),
    ]  # fmt: skip
    f = graphc.function([x], outputs, target="cuda")
    found = f(X)
    assert [type(r).__name__ for r in found] == [
        "ndarray", "DeviceArray", "DeviceArray", "ndarray", "ndarray"
    ]  # fmt: skip
    assert found[1].__dlpack_device__() == (2, 0) and found[2].__dlpack_device__() == (2, 1)
    assert repr(found[2]) == "<DeviceArray float32 (7, 5) on a recording, cuda:1>"
    assert first.calls.count(("copy", 0, 1, X.nbytes)) == 1 and not [
        c for c in second.calls if c[0] in ("read", "write")
    ]
    assert f.plan.notes[1:] == [
        "transfer in: x, 140 B", "transfer out: output 0, 140 B",
        "transfer to cuda:1: output 2, 140 B", "transfer out: output 3, 140 B",
        "transfer out: output 4, 4 B",
    ]  # fmt: skip
    assert "transfer to cuda:1: output 2, 140 B" in str(f.explain())
    assert "transfer to cuda:1: output 2, 140 B" in str(f.plan)
    address = found[2].address
    del found
    gc.collect()
    assert f(X)[2].address == address  # its memory is used again
    lent = graphc.function(
        [x], graphc.Out(T.transfer(x, "cuda:1"), borrow=True), target="cuda"
    )
    assert lent(X).address == lent(X).address


def test_a_call_waits_once_after_its_last_copy(drivers):
    x, y = T.fmatrix("x"), T.fmatrix("y")
    f = graphc.function([x, y], [x + y, x - y, T.exp(x)], target="cuda", profile=False)
    f(X, X)
    drivers[0].calls.clear()
    f(X, X)
    found = [k for k in kinds(drivers[0]) if k not in ("capture", "replay", "launch")]
    assert found == ["write"] * 3 + ["read"] * 4 + ["synchronize"]


def test_transfers_are_in_the_profile_with_their_bytes(drivers):
    x = T.fmatrix("x")
    outputs = [T.exp(x), T.transfer(x * 3, "cuda:1")]
    f = graphc.function([x], outputs, target="cuda", profile=True)
    f(X), f(X)
    records = {r.label: r for r in f.profile.records if r.kind == "transfer"}
    assert set(records) == {"in: x", "out: output 0", "to cuda:1: output 1"}
    for record in records.values():
        assert (record.calls, record.bytes) == (2, X.nbytes) and record.seconds > 0
    assert "transfer  to cuda:1: output 1" in f.profile.summary()


def test_transfers_inside_of_a_graph(drivers):
    x = T.fmatrix("x")
    w = graphc.shared(X, name="w")
    inside = T.transfer(T.exp(x), "cuda:1")
    for outputs, updates in (
        ([inside.sum()], []), ([inside, inside + 1], []), ([], [(w, inside)]),
        ([graphc.scan(lambda v: T.transfer(v, "cuda:1") * 2, sequences=x)[0]], []),
    ):  # fmt: skip
        with pytest.raises(TargetError, match="(?s)'cuda:1'.*no output of the function.*'cuda'"):
            graphc.function([x], outputs, updates=updates, target="cuda")
        graphc.function([x], outputs, updates=updates, target="cuda:1")(X)
    with pytest.raises(ArgumentError, match="can't go to 'gpu0'"):
        T.transfer(x, "gpu0")
    with pytest.raises(TargetError, match="there is no device 7"):
        graphc.function([x], T.transfer(x, "cuda:7"), target="cuda")(X)


@pytest.mark.parametrize("options", [{"target": "cpu"}, {"mode": "numpy"}])
def test_transfers_mean_nothing_on_the_host(options):
    x = T.dvector("x")
    y = T.transfer(x**2, "cuda:1")
    f = graphc.function([x], [y, T.grad(y.sum(), x), T.Rop(y, x, x)], **options)
    for found, expected in zip(f([1, 2]), ([1, 4], [2, 4], [2, 8])):
        assert type(found) is np.ndarray and found.tolist() == expected


def test_arrays_are_copied_from_device_to_device(drivers):
    first, second = drivers
    there = doubling("cuda:1", device=True)(X)
    with pytest.raises(TargetError, match="(?s)input `x`: it lies on a recording, cuda:1, and the "
                       r"function runs on a recording.*transfer\('cuda'\)"):  # fmt: skip
        doubling("cuda")(there)
    second.calls.clear()
    here = there.transfer("cuda:0")
    assert ("copy", 1, 0, X.nbytes) in first.calls
    assert not {"read", "write", "launch"} & {*kinds(first), *kinds(second)}
    doubling("cuda")(here)
    assert here.transfer("cuda") is here
    np.testing.assert_array_equal(here.transfer("cpu"), there.copy_to_host())
    with pytest.raises(ArgumentError, match="'tpu' is none of"):
        here.transfer("tpu")


# --- memory ---------------------------------------------------------------------------


def test_an_error_of_memory_says_who_wanted_it_and_who_has_what(drivers):
    first = drivers[0]
    first.size = 400_000
    v = graphc.shared(np.zeros((50, 50)), name="v")
    other = graphc.function([], v * 2, target="cuda", name="other")
    other()
    x, w = T.dmatrix("x"), graphc.shared(np.zeros((100, 100)), name="w")
    hidden = T.nnet.softmax(T.dot(T.tanh(T.dot(x, w)), w))
    f = graphc.function([x], T.dot(hidden, w), target="cuda", name="step")
    with pytest.raises(DeviceMemoryError) as caught:
        f(np.ones((300, 100)))
    text = str(caught.value)
    assert "cuda (a recording) has no room for 468.8 KiB (480,000 bytes), for values" in text, text
    assert "for values between steps of function 'step'" in text
    assert "this plan holds: words " in text and "1 other plan 19." in text
    assert "graphc holds besides: shared variables 19.5 KiB" in text
    assert "free: " in text and " of 390.6 KiB" in text
    assert "largest between its steps: 234.4 KiB " in text and "test_cuda_devices.py:" in text
    assert "smaller batches" in text and len(text.splitlines()) <= 15
    f(np.ones((3, 100)))  # as it says
    first.size = 1 << 40
    f(np.ones((300, 100)))


def test_a_call_without_memory_changes_nothing_and_can_be_made_again(drivers):
    first, said = drivers[0], []
    x = T.fmatrix("x")
    for after in range(20):
        w = graphc.shared(X.copy(), name="w")
        f = graphc.function([x], graphc.Out(T.dot(x.T, w), device=True), updates=[(w, w + x)],
                            target="cuda")  # fmt: skip
        first.calls.clear()
        first.fail("allocate", "CUDA_ERROR_OUT_OF_MEMORY", after, times=1)
        f(X)  # what others gave up has served
        w = graphc.shared(X.copy(), name="w")
        f = graphc.function([x], graphc.Out(T.dot(x.T, w), device=True), updates=[(w, w + x)],
                            target="cuda")  # fmt: skip
        first.calls.clear()
        first.fail("allocate", "CUDA_ERROR_OUT_OF_MEMORY", after, times=2)
        try:
            f(X)
            break
        except DeviceMemoryError as error:
            said.append(str(error).partition("for ")[2].partition(" of function")[0])
        assert "launch" not in kinds(first)
        np.testing.assert_array_equal(w.get_value(), X)
        first.fails.clear()
        f(X)
        assert "launch" in kinds(first) and first.state.lost is None
    assert {s.partition("for ")[2] for s in said} >= {
        "words", "values between steps", "shared variable `w`", "argument `x`", "result number 0",
    }, said  # fmt: skip


def test_memory_that_nobody_uses_is_given_up_before_an_error(drivers):
    first = drivers[0]
    f = doubling(device=True)
    kept = [f(X) for _ in range(20)]
    del kept
    gc.collect()
    first.size = first.size - first.room()[0] + 100  # all but what lies in the pool
    doubling()(X)


@pytest.mark.parametrize("kind", ["write", "launch", "read", "synchronize"])
def test_after_an_error_that_passes_the_function_can_be_called_again(drivers, kind):
    first = drivers[0]
    f = doubling()
    f(X)
    first.fail(kind, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES")
    with graphc.config(cuda_graphs=False):
        f = doubling()
    with pytest.raises(TargetError, match="CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES") as caught:
        f(X)
    assert not isinstance(caught.value, DeviceLostError) and first.state.lost is None
    f(X)
    assert f(X).shape == X.shape


def test_an_error_between_steps_names_what_may_be_updated(drivers):
    w = graphc.shared(X.copy(), name="w")
    with graphc.config(cuda_graphs=False):
        f = graphc.function([], T.exp(w).sum(), updates=[(w, w * 2)], target="cuda")
    f()
    drivers[0].fail("launch", "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", after=1)
    with pytest.raises(TargetError, match="updates of `w` may be done already"):
        f()
    drivers[0].fail("write", "CUDA_ERROR_INVALID_VALUE")
    with pytest.raises(TargetError, match="nothing was changed"):
        f()
    f()


def test_a_failed_write_is_made_again(drivers):
    """What a call has brought to the device only in part isn't taken for right by the next."""
    first = drivers[0]
    w = graphc.shared(X.copy(), name="w")
    with graphc.config(cuda_graphs=False):
        f = graphc.function([], w.sum(), target="cuda")
    f()
    w.set_value(X + 1)
    full = [c for c in first.calls if c[0] == "write"]
    for after in range(len(full)):
        w.set_value(X + after)
        first.fail("write", "CUDA_ERROR_INVALID_VALUE", after)
        try:
            f()
        except TargetError:
            assert w.storage.remote is None or after > 1
        first.fails.clear()
        f()
        home = w.storage.remote
        np.testing.assert_array_equal(home.memory.bytes.view("float32").reshape(X.shape), X + after)


# --- a device that is gone ------------------------------------------------------------


def trained():
    """A function that changes one variable and reads another, after a call."""
    w, v = (graphc.shared(X.copy(), name=name) for name in "wv")
    f = graphc.function([], (w * v).sum(), updates=[(w, w + v)], target="cuda")
    f()
    return w, v, f


@pytest.mark.parametrize("kind", ["launch", "write", "read", "synchronize", "allocate"])
def test_a_lost_device_is_said_to_be_lost(drivers, kind):
    first, second = drivers
    w, v, f = trained()
    stays = doubling(device=True)(X)
    with graphc.config(cuda_graphs=False):
        g = doubling()
    first.die(kind, LOST)
    with pytest.raises(DeviceLostError) as caught:
        g(X)
    text = str(caught.value)
    assert LOST in text and "CUDA context is gone" in text and "lost with it: `w`" in text
    assert "`v`" not in text and "target 'cpu' work" in text and "checkpoint" in text
    first.calls.clear()
    for again in (
        lambda: g(X), f, lambda: np.asarray(stays), lambda: stays.transfer("cuda:1"), w.get_value,
        lambda: doubling()(X),
    ):  # fmt: skip
        with pytest.raises(DeviceLostError, match=LOST):
            again()
    assert not first.calls  # nobody asked it any more
    np.testing.assert_array_equal(v.get_value(), X)  # the host's copy was right
    here = graphc.function([], (v * 2).sum(), target="cpu")
    np.testing.assert_allclose(here(), (X * 2).sum(), atol=1e-5)
    with pytest.raises(DeviceLostError, match="(?s)the value of `w` is lost.*CUDA_ERROR"):
        graphc.function([], w.sum(), target="cpu")()
    w.set_value(X * 3)
    np.testing.assert_allclose(graphc.function([], w.sum(), target="cpu")(), (X * 3).sum(),
                               atol=1e-5)  # fmt: skip
    doubling("cuda:1")(X)
    assert "launch" in kinds(second)


def test_a_library_that_only_meets_the_consequence(drivers):
    first = drivers[0]
    first.lacks_products = None
    a = T.fmatrix("a")
    f = graphc.function([a], T.dot(a, a), target="cuda")
    f(np.eye(3, dtype="float32"))

    def multiply(*given):
        first.dead = LOST
        raise RuntimeError("CUBLAS_STATUS_EXECUTION_FAILED (13)")

    first.multiply = multiply
    with graphc.config(cuda_graphs=False):
        f = graphc.function([a], T.dot(a, a), target="cuda")
    with pytest.raises(DeviceLostError, match=LOST):
        f(np.eye(3, dtype="float32"))


def test_errors_that_are_not_of_the_device_pass_as_they_are(drivers):
    x = T.fmatrix("x")
    f = graphc.function([x], T.sort(x * 2, axis=0), target="cuda")

    def host_error(*given):
        raise KeyError("mine")

    f(X)
    drivers[0].read_all = host_error
    with pytest.raises(KeyError, match="mine"):
        f(X)
    assert drivers[0].state.lost is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")
def test_a_forked_child_is_told_that_cuda_does_not_live_on(drivers):
    w, v, f = trained()
    drivers[0].state.forks = False
    child = os.fork()
    if not child:
        code = 1
        try:
            f()
        except DeviceLostError as error:
            code = 0 if "forked" in str(error) and "spawn" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    f()


# --- what there is --------------------------------------------------------------------


@pytest.fixture
def machine(monkeypatch):
    """The driver's library, and the packages that are installed."""
    library = FakeLibrary([("One", (9, 0), 80 << 30), ("Old", (6, 1), 8 << 30)])
    packages = {"nvidia-nvvm": "13.1.2"}
    monkeypatch.setattr(probe, "library", lambda: library)
    monkeypatch.setattr(probe, "installed", packages.get)
    return library, packages


def test_devices_are_checked_before_they_are_used(machine):
    library, packages = machine
    probe.check(probe.look(), 0)
    with pytest.raises(TargetError) as caught:
        probe.check(probe.look(), 1)
    text = str(caught.value)
    assert "cuda:1 Old, compute capability 6.1, 8.0 GiB is too old for CUDA 13.1" in text
    assert "7.5 and above" in text and "use cuda" in text
    assert "graphc[cuda12] instead of graphc[cuda13]" in text
    with pytest.raises(TargetError, match="(?s)no device 2 .*cuda One.*; cuda:1 Old.*CUDA_VISIBLE"):
        probe.check(probe.look(), 2)
    library.version = 12040
    old = r"(?s)serves CUDA 12.4.*compiler is of CUDA 13.1.*cuda12"
    with pytest.raises(TargetError, match=old):
        probe.check(probe.look(), 0)
    packages["nvidia-cuda-nvcc-cu12"] = "12.9.1"  # one of them will do
    for ordinal in (0, 1):
        probe.check(probe.look(), ordinal)
    for code, text in ((100, "CUDA_VISIBLE_DEVICES hides"), (803, "different versions"), (5, "")):
        library.code = code
        with pytest.raises(TargetError, match=f"(?s)finds no device.*error {code}.*{text}"):
            probe.check(probe.look(), 0)


def test_a_driver_that_refuses_a_kernel_is_too_old_for_the_compiler(machine, drivers):
    machine[0].version = 13000
    drivers[0].fail("launch", "CUDA_ERROR_UNSUPPORTED_PTX_VERSION")
    with pytest.raises(TargetError, match="(?s)serves CUDA 13.0.* is of CUDA 13.1.*update"):
        doubling()(X)
    assert drivers[0].state.lost is None
