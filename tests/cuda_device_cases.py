"""What cases of `cuda_cases.py` hold about several devices: what is computed, and what is kept.

In the simulator, the second device is a driver of its own over the same memory. On a machine with
one device, that one stands for both.
"""

import os
import threading

import numpy as np

import graphc
import graphc.tensor as T
from graphc import Out
from graphc.core.errors import TargetError
from graphc.runtime.cuda.driver import current_driver, use_driver

rng = np.random.RandomState(6)
A, B = (rng.uniform(-1, 1, (6, 4)).astype("float32") for _ in range(2))


class two_devices:
    """A block with the names of two devices."""

    def __enter__(self):
        self.before = current_driver()
        kind = type(self.before)
        if "NUMBA_ENABLE_CUDASIM" in os.environ:
            self.drivers = [kind(self.before._cuda, True, k) for k in range(2)]
            use_driver(*self.drivers)
            return "cuda", "cuda:1"
        try:
            current_driver(1)
        except TargetError:
            return "cuda", "cuda"
        return "cuda", "cuda:1"

    def __exit__(self, *error):
        if "NUMBA_ENABLE_CUDASIM" in os.environ:
            use_driver(self.before)


def two_devices_share_a_variable():
    with two_devices() as names:
        w, expected = graphc.shared(A.copy(), name="w"), A.copy()
        steps = [graphc.function([], w.sum(), updates=[(w, w * k + 1)], target=name)
                 for k, name in zip((2, 3), names)]  # fmt: skip
        here = graphc.function([], updates=[(w, w - 0.5)], target="cpu")
        for turn in (0, 1, 1, 2, 0, 1, 2, 1, 0):
            if turn == 2:
                here()
                expected = expected - np.float32(0.5)
                continue
            np.testing.assert_allclose(steps[turn](), expected.sum(), 1e-5)
            expected = expected * np.float32((2, 3)[turn]) + 1
        np.testing.assert_allclose(w.get_value(), expected, 1e-5)


def layers_on_two_devices():
    """A network whose halves run on two devices, and pass each other values and gradients."""
    x, h, g = T.fmatrix("x"), T.fmatrix("h"), T.fmatrix("g")
    data, wanted = A, B[:, :1]
    found = []
    with two_devices() as (first, second):
        for one, two in ((first, second), ("cpu", "cpu")):
            u = graphc.shared(np.full((4, 3), 0.3, "float32"), name="u")
            v = graphc.shared(np.full((3, 1), 0.2, "float32"), name="v")
            hidden = T.tanh(T.dot(x, u))
            forward = graphc.function([x], T.transfer(hidden, two), target=one)
            loss = ((T.dot(h, v) - wanted) ** 2).mean()
            upper = graphc.function(
                [h], [loss, T.transfer(T.grad(loss, h), one)],
                updates=[(v, v - 0.1 * T.grad(loss, v))], target=two,
            )  # fmt: skip
            back = T.grad(None, u, known_grads={hidden: g})
            lower = graphc.function([x, g], updates=[(u, u - 0.1 * back)], target=one)
            losses = []
            for _ in range(3):
                value, slope = upper(forward(data))
                lower(data, slope)
                losses.append(float(value))
            found.append([*losses, *u.get_value().reshape(-1), *v.get_value().reshape(-1)])
    np.testing.assert_allclose(*found, 1e-5)
    assert found[0][2] < found[0][0]


def arrays_from_device_to_device():
    x = T.fmatrix("x")
    with two_devices() as (first, second):
        f = graphc.function([x], [Out(x * 2, device=True), T.transfer(x * 3, second)], target=first)
        g = graphc.function([x], x + 1, target=second)
        here, there = f(A)
        np.testing.assert_array_equal(g(there), A * 3 + 1)
        np.testing.assert_array_equal(g(here.transfer(second)), A * 2 + 1)
        np.testing.assert_array_equal(there.transfer(first).transfer("cpu"), A * 3)
        again = f(B)[1]
        np.testing.assert_array_equal(there, A * 3)
        np.testing.assert_array_equal(again, B * 3)
        if first == second:
            return
        try:
            g(here)
        except TargetError as error:
            assert "`x`: it lies on" in str(error) and "transfer('cuda:1')" in str(error), error
        else:
            raise AssertionError("an array of another device was taken")


def threads_on_two_devices():
    """Several threads on each of two devices, with functions of their own and one they share."""
    x, wrong = T.fmatrix("x"), []
    with two_devices() as names:
        common = [graphc.function([x], T.exp(x).sum(axis=0), target=n) for n in names]

        def work(k):
            try:
                own = graphc.function([x], (x * k).sum(axis=1), target=names[k % 2])
                for _ in range(2):
                    np.testing.assert_allclose(own(A), (A * k).sum(axis=1), 1e-5, atol=1e-6)
                    found = common[k % 2](B + k)
                    np.testing.assert_allclose(found, np.exp(B + k).sum(axis=0), 1e-5)
            except Exception as error:
                wrong.append(error)

        threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong, wrong


def calls_after_failed_ones():
    """Whichever allocation or copy fails before the steps, the next call gives what is right."""
    if "NUMBA_ENABLE_CUDASIM" not in os.environ:
        return  # a device doesn't fail when it is told to
    before = current_driver()
    failing = {"in": None}

    class Failing(type(before)):
        def staged(self, data):
            self.count()
            return super().staged(data)

        def reclaim(self):  # before each allocation
            self.count()
            super().reclaim()

        def count(self):
            if failing["in"] is not None:
                failing["in"] -= 1
                if failing["in"] < 0:
                    failing["in"] = None
                    raise RuntimeError("[1] Call to cuIt results in CUDA_ERROR_INVALID_VALUE")

    use_driver(Failing(before._cuda, True))
    try:
        x, failed = T.fmatrix("x"), 0
        for after in range(40):
            w, expected = graphc.shared(A.copy(), name="w"), A.copy()
            f = graphc.function([x], T.dot(w.T, x), updates=[(w, w + x)], target="cuda")
            failing["in"] = after
            for _ in range(3):
                try:
                    found = f(B)
                except TargetError as error:
                    failed += 1
                    assert "CUDA_ERROR_INVALID_VALUE" in str(error)
                    np.testing.assert_array_equal(w.get_value(), expected)
                    found = f(B)
                np.testing.assert_allclose(found, expected.T @ B, 1e-5, atol=1e-6)
                expected = expected + B
            np.testing.assert_allclose(w.get_value(), expected, 1e-6)
            if failing["in"] is not None:
                break
        assert 12 < failed == after, (failed, after)
    finally:
        use_driver(before)


CASES = (
    two_devices_share_a_variable, layers_on_two_devices, arrays_from_device_to_device,
    threads_on_two_devices, calls_after_failed_ones,
)  # fmt: skip
