"""Memory: aliases, updates in place, errors half way, threads, and the accuracy of long sums."""

import math
import os
import signal
import threading

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc.runtime.compile import loaded


@pytest.fixture(autouse=True)
def double_precision():
    with graphc.config(floatX="float64"):
        yield


def numbers(*shape, seed=0, dtype="float64"):
    return np.asarray(np.random.RandomState(seed).uniform(-1, 1, shape)).astype(dtype)


def shared(*shape, name="W", seed=0):
    return graphc.shared(numbers(*shape, seed=seed), name=name)


def agree(inputs, outputs, updates, arrays, calls=3):
    """Results and new values are those of the interpreter, call after call."""
    start = [s.get_value() for s, _ in updates]
    found = {}
    for mode in ("numpy", "native"):
        for (s, _), value in zip(updates, start):
            s.set_value(value)
        f = graphc.function(inputs, outputs, updates=updates, mode=mode, on_unused_input="ignore")
        found[mode] = [v for _ in range(calls) for v in f(*arrays)]
        found[mode] += [s.get_value() for s, _ in updates]
    for (s, _), value in zip(updates, start):
        s.set_value(value)
    for k, (a, b) in enumerate(zip(found["native"], found["numpy"], strict=True)):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, 1e-9, 1e-9, err_msg=f"value {k}")


# Arguments that share memory --------------------------------------------------------------------


def test_the_same_array_passed_twice_and_overlapping_views():
    x, y = T.dmatrix("x"), T.dmatrix("y")
    outputs = [x + y, x - y[::-1], T.dot(x, y.T), x.T]
    f, plain = graphc.function([x, y], outputs), graphc.function([x, y], outputs, mode="numpy")
    a = numbers(6, 5)
    for first, second in [(a, a), (a[:4], a[2:]), (a[::2], a[1::2]), (a[1:], a[:0:-1])]:
        for found, expected in zip(f(first, second), plain(first, second)):
            np.testing.assert_allclose(found, expected, 1e-12)
    np.testing.assert_array_equal(a, numbers(6, 5))


@pytest.mark.parametrize("repeat", [1, 3])
def test_an_argument_that_is_a_shared_variables_own_memory(repeat):
    W, x = shared(6, 4), T.dmatrix("x")
    f = graphc.function([x], [x * 2, W.sum()], updates=[(W, W - x[::-1])])
    for _ in range(repeat):
        before = W.get_value()
        doubled, _ = f(W.get_value(borrow=True))
        np.testing.assert_allclose(doubled, before * 2)
        np.testing.assert_allclose(W.get_value(), before - before[::-1])


def test_an_argument_that_is_part_of_a_shared_variables_memory():
    W, x = shared(6, 4), T.dmatrix("x")
    f = graphc.function([x], x + 1, updates=[(W, T.set_subtensor(W[3:], x))])
    before = W.get_value()
    np.testing.assert_allclose(f(W.get_value(borrow=True)[2:5]), before[2:5] + 1)
    np.testing.assert_allclose(W.get_value()[3:], before[2:5])


def test_results_are_the_users_own():
    W, x = shared(4, 4), T.dmatrix("x")
    outputs = [x, x.T, x[1:], W, W.T, W + 0, x, W[0], x * 2, T.zeros((2, 2))]
    outputs.append(T.constant(numbers(3)))
    f = graphc.function([x], outputs, updates=[(W, W * 1)])
    argument, kept = numbers(4, 4, seed=1), []
    for _ in range(6):
        found = f(argument)
        kept.append((found, [a.copy() for a in found]))
        everything = [argument, W.get_value(borrow=True), *(a for old, _ in kept for a in old)]
        for k, a in enumerate(everything):
            assert not any(np.may_share_memory(a, b) for b in everything[:k])
        f(argument)[0][:] = np.nan  # the user may write to a result and throw it away
    for found, copies in kept:
        for a, b in zip(found, copies):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(argument, numbers(4, 4, seed=1))


# Updates ----------------------------------------------------------------------------------------


def test_updates_that_read_each_others_old_values():
    A, B, C = (shared(5, 5, name=n, seed=k) for k, n in enumerate("ABC"))
    x = T.dvector("x")
    for updates in [
        [(A, B), (B, A)],
        [(A, B), (B, C), (C, A)],
        [(A, B + A), (B, A - B)],
        [(A, A * x), (B, A.sum(0) + B), (C, B.T)],
        [(A, T.dot(A, B)), (B, B - 0.1 * T.dot(A.T, B) - 0.2 * B), (C, C + T.dot(A, A))],
        [(A, A + x), (B, A + x), (C, A + x)],
        [(A, A - A[0]), (B, B - B[:, :1]), (C, C - C.sum(1, keepdims=True))],
        [(A, T.set_subtensor(A[0], B[1])), (B, T.set_subtensor(B[1], A[0]))],
    ]:
        agree([x], [A, x + 1, updates[0][1]], updates, [numbers(5)])
        agree([x], [], updates, [numbers(5)])


def test_updates_that_move_a_variables_own_elements():
    A, B = shared(5, 5, name="A"), shared(5, 5, name="B", seed=1)
    v, x, i = shared(7, name="v"), T.dvector("x"), T.lvector("i")
    picks = np.array([0, 4, 2, 2, -1])
    for updates in [
        [(A, A[::-1]), (B, B[:, ::-1])],
        [(A, A.T), (B, B + B.T)],
        [(v, T.concatenate([v[1:], x])), (A, A[::-1, ::-1].T)],
        [(A, A[i]), (B, B[:, i])],
        [(A, T.set_subtensor(A[1:], A[:-1])), (B, T.inc_subtensor(B[i], B))],
        [(A, T.set_subtensor(A[:, 0], A[:, 1])), (B, T.set_subtensor(B[::-1], B))],
        [(A, A.T.reshape((5, 5))), (B, B.flatten()[::-1].reshape((5, 5)))],
        [(A, T.nnet.softmax(A, 0)), (B, T.nnet.softmax(B.T, 1))],
        [(v, v[::-1] + v), (A, T.inc_subtensor(A[i, i], 1.0))],
    ]:
        agree([x, i], [A.sum()], updates, [numbers(1), picks])


def test_an_update_that_is_an_output_too():
    W, x = shared(4, 3), T.dmatrix("x")
    new = W - 0.1 * T.dot(x.T, T.dot(x, W))
    agree([x], [new, new.T, new.sum(0)], [(W, new)], [numbers(8, 4)])
    agree([x], [T.exp(W), new, W], [(W, T.exp(W))], [numbers(8, 4)])


def test_updates_that_change_a_shape():
    G, H, K = shared(0, name="G"), shared(3, 4, name="H"), shared(4, 3, name="K")
    x = T.dvector("x")
    agree([x], [G.sum(), G], [(G, T.concatenate([G, x]))], [numbers(2)], 5)
    agree([x], [H.T], [(H, H.T + x[0])], [numbers(2)], 4)
    agree([x], [H, K], [(H, K), (K, H * 2)], [numbers(2)], 3)
    agree([x], [H[0]], [(G, T.concatenate([x * 2, G])), (H, H + G.sum())], [numbers(2)], 4)


def test_values_set_between_calls():
    W, x = shared(4, 3), T.dmatrix("x")
    f = graphc.function([x], T.dot(x, W).sum(), updates=[(W, W + 1)])
    for shape in [(4, 3), (2, 3), (4, 3), (4, 5), (1, 1), (4, 3)]:
        for borrow in (False, True):
            value, argument = numbers(*shape), numbers(6, shape[0], seed=1)
            W.set_value(value.copy(), borrow=borrow)
            for k in range(3):
                np.testing.assert_allclose(f(argument), (argument @ (value + k)).sum(), 1e-9)
            np.testing.assert_allclose(W.get_value(), value + 3)
    W.set_value(numbers(3, 4).T, borrow=True)  # a layout that kernels can't use is copied
    np.testing.assert_allclose(f(np.eye(4)), numbers(3, 4).sum())


def test_two_functions_over_one_variable():
    W, x = shared(3), T.dvector("x")
    grow = graphc.function([x], None, updates=[(W, T.concatenate([W, x]))])
    add, read = graphc.function([x], W.sum(), updates=[(W, W + x[0])]), graphc.function([], W * 2)
    expected = W.get_value()
    for k in range(4):
        np.testing.assert_allclose(read(), expected * 2)
        np.testing.assert_allclose(add([1.0]), expected.sum())
        expected = expected + 1.0
        if k % 2:
            grow([5.0, 6.0])
            expected = np.concatenate([expected, [5.0, 6.0]])


def test_last_batch_that_is_shorter_compiles_nothing_new():
    data, target, W = shared(53, 8), shared(53), shared(8)
    i, n = T.lscalar("i"), 16
    x, y = T.dmatrix("x"), T.dvector("y")
    cost = T.mean((T.tanh(T.dot(x, W)) - y) ** 2)
    options = {
        "updates": [(W, W - 0.1 * T.grad(cost, W))],
        "givens": {x: data[i * n : (i + 1) * n], y: target[i * n : (i + 1) * n]},
    }
    native = graphc.function([i], cost, **options)
    found = [native(k) for k in range(3)]
    before = {f.symbol for f in loaded()}
    found += [native(k) for k in (3, 0, 3)]
    assert {f.symbol for f in loaded()} == before
    W.set_value(numbers(8))
    plain = graphc.function([i], cost, mode="numpy", **options)
    np.testing.assert_allclose(found, [plain(k) for k in (0, 1, 2, 3, 0, 3)], rtol=1e-5)


# Errors half way --------------------------------------------------------------------------------

GOOD, BAD = np.array([0, 1, 3, 2, -6]), np.array([0, 1, 3, 2, 99])


def stopping_updates(A, B, i, n):
    """Updates of which some step meets a bad index, each with what is read besides."""
    six = T.concatenate([i, i[:1]])
    return [
        ([], [(A, T.inc_subtensor(A[i], 1.0))]),
        ([A.sum()], [(A, T.set_subtensor(A[i], 1.0)), (B, B + A)]),
        ([(A * 2)[i]], [(A, A * 2)]),
        ([], [(A, A * 2), (B, (A * 2)[six])]),
        ([A[n] * 2], [(A, A * 2), (B, B + 1)]),
        ([(A * 2)[n].sum()], [(A, A * 2), (B, B + 1)]),
        ([], [(A, T.set_subtensor(A[n], 0.0)), (B, B * 3)]),
        ([], [(B, B + 1), (A, T.set_subtensor(A[0], B[n]))]),
        ([], [(A, A + six[:, None] * B[six]), (B, B - 1)]),
        ([], [(B, B + 1), (A, A - 0.1 * T.grad(T.tanh(A[i]).sum(), A))]),
        ([T.dot(A[n], B.T)], [(A, A - 0.1 * T.dot(B, T.dot(B.T, A)))]),
        ([], [(A, A + B.sum(0) + T.cast(A.sum() * 0, "int64")), (B, B * B[T.argmax(A * 0) + n])]),
    ]


@pytest.mark.parametrize("case", range(12))
def test_a_bad_index_leaves_every_shared_variable_as_it_was(case):
    A, B = shared(6, 4, name="A"), shared(6, 4, name="B", seed=1)
    i, n = T.lvector("i"), T.lscalar("n")
    outputs, updates = stopping_updates(A, B, i, n)[case]
    f = graphc.function([i, n], outputs, updates=updates, on_unused_input="ignore")
    for attempt in range(3):
        with pytest.raises(IndexError) as error:
            f(BAD, 6)
        assert "index 99" in str(error.value) or "index 6" in str(error.value)
        assert "test_native_memory.py" in str(error.value) and "size 6" in str(error.value)
        np.testing.assert_array_equal(A.get_value(), numbers(6, 4))
        np.testing.assert_array_equal(B.get_value(), numbers(6, 4, seed=1))
        if attempt == 1:
            f(GOOD, 5)  # and the function goes on working
            A.set_value(numbers(6, 4))
            B.set_value(numbers(6, 4, seed=1))
    agree([i, n], outputs, updates, [GOOD, -6])


def test_a_size_that_only_values_tell_is_found_before_anything_is_overwritten():
    W, n = shared(6), T.lscalar("n")
    f = graphc.function([n], W[:n].sum(), updates=[(W, W + 1)])
    expected = W.get_value()
    for length in (3, 3, 4, 2, 3, 0, 9, 3):
        np.testing.assert_allclose(f(length), expected[:length].sum(), 1e-12, 1e-12)
        expected = expected + 1
    np.testing.assert_allclose(W.get_value(), expected)


# Threads and processes --------------------------------------------------------------------------


def test_many_threads_call_one_function():
    x, total = T.dvector("x"), graphc.shared(0.0, name="total")
    f = graphc.function([x], [T.tanh(x) * 2, x.sum()], updates=[(total, total + x[0])])
    sizes, failures = (3, 40, 1000), []

    def work(seed):
        for k in range(60):
            a = numbers(sizes[(k + seed) % 3], seed=seed + k)
            a[0] = 1.0
            y, s = f(a)
            if not (np.allclose(y, np.tanh(a) * 2, 1e-12) and np.isclose(s, a.sum())):
                failures.append((seed, k))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures and total.get_value() == 6 * 60


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_process_goes_on_calling():
    x, W = T.dvector("x"), shared(1)
    f = graphc.function([x], T.exp(x + W).sum(), updates=[(W, W * 0.5)])
    other = graphc.function([x], x * 3)
    long = numbers(500_000), numbers(400_000)
    stop = threading.Event()

    def call_both():
        for a in long:  # two plans in turn, so that calls take the way with the lock
            f(a)

    def call():
        while not stop.is_set():
            call_both()

    call_both()
    thread = threading.Thread(target=call)
    thread.start()
    try:
        for _ in range(5):
            assert _status_of_child(lambda: (call_both(), other(numbers(9)))) == 0
    finally:
        stop.set()
        thread.join()
    np.testing.assert_allclose(other(numbers(5)), numbers(5) * 3)


def _status_of_child(work):
    """The exit status of a child that does some work; that of an alarm if it hangs."""
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(10)
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


# Accuracy ---------------------------------------------------------------------------------------


def errors(found, exact):
    return np.abs(np.asarray(found, "longdouble") - exact).max()


@pytest.mark.parametrize(
    "shape", [(2**20,), (1000, 1100), (3, 400_000), (400_000, 3), (70, 80, 190)], ids=str
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_long_sums_are_as_accurate_as_numpys(shape, dtype):
    x = T.TensorType(dtype, (None,) * len(shape))("x")
    array = (numbers(*shape, dtype=dtype) + dtype_of(dtype)(0.7)) ** 3
    axes = [None, *range(len(shape)), *([(0, 1), (1, 2), (0, 2)] if len(shape) == 3 else [])]
    sums = graphc.function([x], [T.sum(x, a) for a in axes])(array)
    fused = graphc.function([x], [T.mean(x * 2 - x, a) for a in axes])(array)
    wide = array.astype("longdouble")
    for axis, total, mean in zip(axes, sums, fused):
        exact = wide.sum(axis)
        count = array.size // exact.size
        allowed = 2 * errors(array.sum(axis), exact) + np.finfo(dtype).eps * np.abs(exact).max()
        assert errors(total, exact) <= allowed
        assert errors(mean * dtype_of("float64")(count), exact) <= 2 * allowed


def dtype_of(name):
    return np.dtype(name).type


def test_a_sum_of_ten_million_equal_numbers():
    x = T.fvector("x")
    array = np.full(10_000_000, 0.1, "float32")
    exact = math.fsum(array[:1]) * array.size
    found = graphc.function([x], [x.sum(), x.mean(), (x + x).sum(), T.sqrt(x * x).sum()])(array)
    for value, expected in zip(found, [exact, exact / array.size, 2 * exact, exact]):
        np.testing.assert_allclose(value, expected, 2e-7)
