"""What cases of `cuda_cases.py` hold about linear algebra, with LAPACK in cuSOLVER's place."""

import ctypes
from contextlib import contextmanager

import numpy as np
from cuda_graph_cases import capturing_driver
from cuda_solver_fake import Solvers

import graphc
import graphc.tensor as T
from graphc.core.errors import BadIndexError, LinearAlgebraError
from graphc.runtime.cuda.driver import current_driver, use_driver

rng = np.random.RandomState(6)


def matrices(*shape, dtype="float64"):
    return rng.uniform(-1, 1, shape).astype(dtype)


def definite(*front, n=4, dtype="float64"):
    x = matrices(*front, n, n, dtype=dtype)
    return x @ np.swapaxes(x, -1, -2) + np.eye(n, dtype=dtype)


def memory(address, dtype, count):
    size = count * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_byte * size).from_address(address), dtype)


@contextmanager
def library(captured=False):
    """The simulator with cuSOLVER's routines; on a device, its own."""
    driver = current_driver()
    fake = Solvers(memory)
    if not driver.simulated:
        yield None if driver.lacks_solvers else fake
        return

    class WithLibrary(type(capturing_driver() if captured else driver)):
        solver_room = staticmethod(fake.room)

        def solve(self, *given):
            assert getattr(self, "open_graph", None) is None, "no graph holds such calls"
            fake.solve(*given)

    used = WithLibrary(driver._cuda, simulated=True)
    used.lacks_solvers = None
    use_driver(used)
    try:
        yield fake
    finally:
        use_driver(driver)


def same(build, *arrays, calls=None, tolerance=1e-9):
    """As NumPy mode, without a step of the host; `calls` are the library's, in order."""
    from cuda_cases import compare

    with library() as fake:
        single = arrays[0].dtype == "float32"
        f = compare(build, *arrays, tolerance=2e-4 if single else tolerance)
        served = fake is not None
        assert served != ("host" in {s.routine for _, s in f.plan.all_steps()}), f.plan
        if served and fake.calls and calls is not None:
            assert " ".join(c[0] for c in fake.calls) == calls, fake.calls
    return f


def cholesky_and_triangles():
    for dtype in ("float32", "float64"):
        same(T.slinalg.cholesky, definite(dtype=dtype), calls="potrf")
        b = matrices(4, 3, dtype=dtype)
        for lower in (False, True):
            for trans in (0, 1) if dtype == "float64" else (lower,):
                same(lambda a, b, u=lower, t=trans: T.slinalg.solve_triangular(a, b, t, u),
                     definite(dtype=dtype), b, calls="trsm")  # fmt: skip
    same(lambda a, b: T.slinalg.solve_triangular(a, b, unit_diagonal=True),
         np.triu(matrices(4, 4)) * (1 - np.eye(4)), matrices(4))  # fmt: skip
    same(lambda a: T.slinalg.cholesky(a, lower=False), definite(2, 3), calls="potrf_batched")
    same(lambda a, b: T.slinalg.solve_triangular(a, b, lower=True), definite(2, 1),
         matrices(3, 4, 2), calls=" ".join(6 * ["trsm"]))  # fmt: skip
    same(lambda a: T.grad(T.slinalg.cholesky(a).sum(), a), definite(n=3))


def systems_and_inverses():
    for dtype in ("float32", "float64"):
        a, b = definite(dtype=dtype), matrices(4, 3, dtype=dtype)
        a[0], a[2] = a[2].copy(), a[0].copy()  # so that rows change places
        same(T.slinalg.solve, a, b, calls="getrf getrs")
        same(lambda a, b: T.slinalg.solve(a.T, b[:, 0]), a, b)
        same(T.nlinalg.matrix_inverse, a, calls="getrf getrs")
        same(lambda a: [T.nlinalg.det(a), T.nlinalg.det(-a[:3, :3]), *T.nlinalg.slogdet(a)], a)
    f = same(lambda a, b: [T.slinalg.solve(a, b), T.nlinalg.matrix_inverse(a), T.nlinalg.det(a)],
             a, b, calls="getrf getrs getrs")  # fmt: skip
    by = [s.label.rpartition(": cuSOLVER, ")[2] for s in f.plan.steps if s.routine == "solver"]
    assert not by or sorted(by)[-2:] in (
        ["getrf, getrs", "shared with step 0"],
        ["getrs", "getrs"],
    ), f.plan
    same(T.slinalg.solve, definite(2, 1), matrices(3, 4, 2), calls="getrf getrf" + 6 * " getrs")
    same(lambda a: [T.nlinalg.det(a), *T.nlinalg.slogdet(a)], definite(3, 2, n=3))
    singular = np.stack([np.ones((3, 3)), np.diag([1.0, -2, 3]), np.zeros((3, 3))])
    same(lambda a: [T.nlinalg.det(a), *T.nlinalg.slogdet(a)], singular)
    same(lambda a, b: T.grad((T.slinalg.solve(a, b) ** 2).sum(), [a, b]), definite(), matrices(4))


def decompositions():
    for dtype in ("float32", "float64"):
        for shape in ((4, 3), (3, 4), (2, 3, 3)) if dtype == "float64" else ((4, 3),):
            x = matrices(*shape, dtype=dtype)
            for mode in ("reduced", "complete"):
                same(lambda x, m=mode: T.nlinalg.qr(x, m), x)
            same(lambda x: T.nlinalg.qr(x, "r"), x)

            def values(x):
                u, s, v = T.nlinalg.svd(x, full_matrices=False)
                return [s, abs(u), abs(v)]

            same(values, x)
            same(lambda x: T.nlinalg.svd(x, compute_uv=False), x)

        def eigen(x, uplo):
            w, v = T.nlinalg.eigh(x, uplo)
            return [w, abs(v)]

        for uplo in "LU":
            same(lambda x, u=uplo: eigen(x, u), matrices(4, 4, dtype=dtype), calls="syevd")
            same(lambda x, u=uplo: T.nlinalg.eigh(x, u)[0], matrices(2, 3, 3, dtype=dtype))


def factors_of_full_size():
    """Vectors that the matrix doesn't determine: orthonormal, and nothing more is known."""
    for shape in ((4, 2), (2, 4)):
        x = matrices(*shape)

        def products(x):
            u, s, v = T.nlinalg.svd(x)
            k = T.eye(u.shape[0], v.shape[0]) * T.concatenate([s, s * 0])[: v.shape[0]]
            return [T.dot(u, u.T), T.dot(v, v.T), T.dot(T.dot(u, k), v)]

        same(products, x, calls="gesvd")  # for three steps


def matrices_without_results():
    cases = (
        (T.slinalg.cholesky, [np.diag([1.0, -1, 2])], "Matrix is not positive definite"),
        (T.nlinalg.matrix_inverse, [np.ones((2, 2))], "Singular matrix"),
        (T.slinalg.solve, [np.zeros((2, 2)), np.ones((2, 1))], "Singular matrix"),
        (lambda a: T.slinalg.solve_triangular(a, T.ones((3,))), [np.diag([1.0, 0, 0])],
         "resolution failed at diagonal 1"),
        (lambda a: T.nlinalg.eigh(a)[0], [np.full((3, 3), np.nan)], "did not converge"),
        (lambda a: T.nlinalg.svd(a)[1], [np.full((3, 3), np.nan)], "did not converge"),
    )  # fmt: skip
    for build, arrays, text in cases:
        inputs = [T.dmatrix(f"x{k}") for k in range(len(arrays))]
        w = graphc.shared(np.ones(3), name="w")
        found = []
        with library():
            for target in ("cuda", "cpu"):
                f = graphc.function(inputs, build(*inputs).sum(), updates=[(w, w + 1)],
                                    target=target)  # fmt: skip
                f(*(definite(n=len(a))[:, : a.shape[1]] for a in arrays))
                before = w.get_value()
                try:
                    f(*arrays)
                except LinearAlgebraError as error:
                    found.append(str(error))
                else:
                    raise AssertionError(f"no error: {target}, {text}")
                np.testing.assert_array_equal(w.get_value(), before)
        assert len(found) == 2 and found[0] == found[1] and text in found[0], (text, found)


def stacks_of_small_matrices():
    """Many by one call: their addresses are written on the device."""
    a, b = definite(2, 3), matrices(2, 3, 4, 2)
    a[1, 0, 0], a[1, 0, 2] = a[1, 0, 2].copy(), a[1, 0, 0].copy()
    same(lambda a, b: [T.slinalg.solve(a, b), T.nlinalg.matrix_inverse(a), T.nlinalg.det(a)],
         a, b, calls="getrf_batched getrs_batched getrs_batched")  # fmt: skip
    for trans in (0, 1):
        same(lambda a, b, t=trans: T.slinalg.solve_triangular(a, b, t), a, b, calls="trsm_batched")
    same(T.slinalg.solve, definite(6, 1, dtype="float32"), matrices(2, 4, 1, dtype="float32"),
         calls="getrf_batched" + 12 * " getrs")  # fmt: skip
    bad = definite(5)
    bad[3] = -bad[3]
    with library():
        x = T.dtensor3("x")
        f = graphc.function([x], T.slinalg.cholesky(x), target="cuda")
        try:
            f(bad)
        except LinearAlgebraError as error:
            assert "x: float64[5, 4, 4]): Matrix is not positive definite" in str(error), error
        else:
            raise AssertionError("no error")
        picks = T.lvector("picks")
        f = graphc.function([x, picks], T.slinalg.cholesky(x[picks]), target="cuda")
        try:
            f(bad, np.array([0, 1, 9, 2]))  # calls follow the addresses of a table all the same
        except BadIndexError as error:
            assert "index 9" in str(error), error
        else:
            raise AssertionError("no error")


def loops_of_systems():
    def states(a, start):
        h, _ = graphc.scan(lambda row, s: T.slinalg.solve(row, s), sequences=a, outputs_info=start)
        return h

    same(states, definite(3), matrices(4))
    same(lambda a, i: T.nlinalg.matrix_inverse(a[i]), definite(3), np.array(1))


def many_calls_of_systems():
    """`graphc.loop` over rows, with graphs around the library's calls; a failing one ends it."""
    a, b = definite(5), matrices(5, 4)
    bad, found = a.copy(), {}
    bad[3] = 0
    for target in ("cuda", "cpu"):
        with library(captured=True):
            x, y, w = T.dmatrix("x"), T.dvector("y"), graphc.shared(np.zeros(4), name="w")
            z = T.slinalg.solve(T.tanh(x), y)
            outputs = [z, T.cumsum(z * 2), T.nlinalg.det(T.tanh(x))]
            f = graphc.function([x, y], outputs, updates=[(w, w + z)], target=target)
            found[target] = graphc.loop(f, graphc.each(a), graphc.each(b))
            try:
                graphc.loop(f, graphc.each(bad), graphc.each(b))
            except LinearAlgebraError as error:
                assert "Singular matrix" in str(error), error
                assert target == "cpu" or "in call 3 of the loop" in str(error), error
            else:
                raise AssertionError("no error")
            found[target].append(w.get_value())
            counts = getattr(current_driver(), "counts", None)
            assert target == "cpu" or counts is None or counts["replayed"] > 8, counts
    for k, (x, y) in enumerate(zip(found["cuda"], found["cpu"], strict=True)):
        np.testing.assert_allclose(x, y, 1e-9, err_msg=str(k))


CASES = (cholesky_and_triangles, systems_and_inverses, decompositions, factors_of_full_size,
         matrices_without_results, stacks_of_small_matrices, loops_of_systems,
         many_calls_of_systems)  # fmt: skip
