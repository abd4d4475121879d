"""Linear algebra by cuSOLVER: what plans say, what is asked of it, and who else does it."""

import importlib.util
import re
import sys
from types import ModuleType

import numpy as np
import pytest
from cuda_fake import FakeDriver, in_use
from cuda_solver_fake import SIGNATURES, Solvers

import graphc
import graphc.tensor as T
from graphc.core.errors import LinearAlgebraError, TargetError
from graphc.runtime.cuda.cusolver import OF_CUBLAS, Cusolver
from graphc.runtime.cuda.driver import use_driver

A = np.array([[4.0, 1, 0], [1, 3, 1], [0, 1, 2]])


class WithLibrary(FakeDriver):
    """Its kernels run nothing, so that its library sees zeros, and no addresses in tables."""

    lacks_solvers = None

    def __init__(self):
        super().__init__()
        self.library = Solvers(self.numbers)
        self.solver_room = self.library.room

    def solve(self, routine, dtype, arguments):
        self.calls.append(("solve", routine))
        if not routine.endswith("batched"):
            self.library.solve(routine, dtype, arguments)


@pytest.fixture
def driver():
    with in_use(WithLibrary()) as made:
        yield made


def everything(x, b):
    from_svd = T.nlinalg.svd(x, full_matrices=False)
    return [
        T.slinalg.cholesky(x), T.slinalg.solve(x, b), T.nlinalg.matrix_inverse(x),
        T.nlinalg.det(x), *T.nlinalg.slogdet(x), T.slinalg.solve_triangular(x, b),
        *T.nlinalg.qr(x), *T.nlinalg.eigh(x), *from_svd, T.nlinalg.svd(x)[0],
    ]  # fmt: skip


def test_steps_that_share_a_decomposition_call_the_library_once(driver):
    x, b = T.dmatrix("x"), T.dmatrix("b")
    f = graphc.function([x, b], everything(x, b), target="cuda")
    f(A, A)
    asked = [c[1] for c in driver.calls if c[0] == "solve"]
    assert sorted(asked) == ["geqrf", "gesvd", "getrf", "getrs", "getrs", "orgqr", "potrf",
                             "syevd", "trsm"]  # fmt: skip
    assert {s.routine for s in f.plan.steps} == {"solver"}
    assert "cholesky of 3x3: cuSOLVER, potrf" in str(f.plan)
    assert any(re.fullmatch("qr of 3x3: cuSOLVER, shared with step [0-9]+", n)
               for n in f.plan.notes)  # fmt: skip
    work = [c[4][1] for c in driver.launches()]
    assert len(set(work)) == 5  # of four decompositions that are shared, and the work area


def test_decompositions_of_different_values_are_not_shared(driver):
    x, i = T.dtensor3("x"), T.lvector("i")
    parts = [T.nlinalg.eigh(x[i[0]])[0], T.nlinalg.eigh(x[i[1]])[1], T.nlinalg.eigh(x[0], "U")[0],
             T.nlinalg.eigh(x[0])[0]]  # fmt: skip
    graphc.function([x, i], parts, target="cuda")(np.stack([A, A]), np.array([0, 1]))
    assert [c[1] for c in driver.calls if c[0] == "solve"] == ["syevd"] * 4


def test_without_the_library_numpy_does_it_and_the_plan_says_so():
    use_driver(FakeDriver())
    try:
        x = T.dmatrix("x")
        f = graphc.function([x], T.slinalg.cholesky(x), target="cuda")
        with pytest.raises(LinearAlgebraError):
            f(-A)
        f(A)
        assert {s.routine for s in f.plan.steps} == {"host"}
        assert "cholesky of 3x3: NumPy, no cuSOLVER: a recording has none" in f.plan.notes
        assert any("transfer out and back: step 0, cholesky of 3x3" in n for n in f.plan.notes)
        with graphc.config(cuda_solvers="library"):
            f = graphc.function([x], T.slinalg.cholesky(x), target="cuda")
        with pytest.raises(TargetError, match="no cuSOLVER for cholesky of 3x3: a recording has"):
            f(A)
    finally:
        use_driver(None)


def test_numpy_may_be_asked_for(driver):
    x = T.dmatrix("x")
    with graphc.config(cuda_solvers="host"):
        f = graphc.function([x], T.slinalg.cholesky(x), target="cuda")
    np.testing.assert_allclose(f(A), np.linalg.cholesky(A))
    assert "cholesky of 3x3: NumPy, no cuSOLVER: cuda_solvers is 'host'" in f.plan.notes
    with pytest.raises(ValueError, match="cuda_solvers may be"):
        graphc.config.cuda_solvers = "magma"


def test_what_the_library_lacks_stays_with_numpy(driver):
    x, b, e = T.dmatrix("x"), T.dmatrix("b"), T.lmatrix("e")
    outputs = [T.slinalg.solve(x, b, assume_a="pos"), T.nlinalg.pinv(x), T.slinalg.expm(x)]
    f = graphc.function([x, b, e], outputs, target="cuda", on_unused_input="ignore")
    f(A, A, A.astype("int64"))
    f(A[:0, :0], A[:0], A.astype("int64"))
    assert {s.routine for s in f.plan.steps} == {"host"}


def test_its_calls_are_made_between_graphs(driver):
    x = T.dmatrix("x")
    y = T.slinalg.cholesky(T.tanh(x)) * 2
    with graphc.config(cuda_graphs=True):
        f = graphc.function([x], y, target="cuda")
    calls = []
    for _ in range(3):
        driver.calls.clear()
        f(A)
        calls.append([c[0] for c in driver.calls if c[0] not in ("write", "read", "synchronize")])
    load, store_and_check = ["launch"], ["launch"] * 2
    solve = [*load, "solve", *store_and_check]
    assert calls[0] == ["launch", *solve, "launch"]
    assert calls[2] == ["replay", *solve, "replay"]
    assert [len(graph) for graph in driver.graphs] == [1, 1]


def test_loops_with_its_calls_are_run_from_the_host(driver):
    a, start = T.dtensor3("a"), T.dvector("start")
    h, _ = graphc.scan(
        lambda row, s: T.tanh(T.slinalg.solve(row, s)), sequences=a, outputs_info=start
    )
    with graphc.config(cuda_graphs=True):
        f = graphc.function([a, start], h, target="cuda")
    for _ in range(2):
        driver.calls.clear()
        f(np.stack([A] * 3), A[0])
    asked = [c[1] for c in driver.calls if c[0] == "solve"]
    assert asked == ["getrf", "getrs"] * 3
    assert "replay" in {c[0] for c in driver.calls}


def test_calls_reach_the_bindings_with_handle_and_arguments_in_their_order(monkeypatch):
    told = []

    class Recording(ModuleType):
        def __getattr__(self, name):
            def call(*arguments):
                told.append((self.__name__, name, arguments))
                return 7

            return call

    bindings = ModuleType("nvmath.bindings")
    bindings.cusolverDn, bindings.cublas = Recording("cusolverDn"), Recording("cublas")
    monkeypatch.setitem(sys.modules, "nvmath", ModuleType("nvmath"))
    monkeypatch.setitem(sys.modules, "nvmath.bindings", bindings)
    library = Cusolver(99)
    assert {("cusolverDn", "set_stream", (7, 99)), ("cublas", "set_stream", (7, 99))} <= {*told}
    assert library.room("potrf", "float64", (1, 3, 0, 3)) == 7
    assert told[-1] == ("cusolverDn", "dpotrf_buffer_size", (7, 1, 3, 0, 3))
    library.solve("getrs", "float32", range(9))
    assert told[-1] == ("cusolverDn", "sgetrs", (7, *range(9)))
    library.solve("trsm", "float32", range(10))
    module, name, (handle, *before, alpha, a, lda, b, ldb) = told[-1]
    assert (module, name, handle, before, [a, lda, b, ldb]) == (
        "cublas", "strsm", 7, [0, 1, 2, 3, 4, 5], [6, 7, 8, 9]
    )  # fmt: skip
    assert alpha == library.ones["float32"].ctypes.data and library.ones["float32"] == 1
    library.solve("getrs_batched", "float64", range(9))
    assert told[-1] == ("cublas", "dgetrs_batched", (7, *range(8), library.code.ctypes.data, 8))
    library.solve("potrf_batched", "float64", range(6))
    assert told[-1] == ("cusolverDn", "dpotrf_batched", (7, *range(6)))


@pytest.mark.compiler
def test_kernels_around_the_calls_compile_to_ptx(driver):
    from graphc.runtime.cuda.ptx import compile_ptx

    x, b, z = T.fmatrix("x"), T.fmatrix("b"), T.dtensor3("z")
    many = [*everything(x, b), T.nlinalg.matrix_inverse(z)]
    arrays = *(A.astype("float32"),) * 2, np.stack([A] * 4)
    graphc.function([x, b, z], many, target="cuda")(*arrays)
    assert len(driver.sources) > 14
    for source in driver.sources:
        assert ".target sm_90" in compile_ptx(source, (9, 0)), source


HAS_BINDINGS = importlib.util.find_spec("nvmath") is not None


@pytest.mark.skipif(not HAS_BINDINGS, reason="nvmath-python isn't installed")
@pytest.mark.parametrize("routine", SIGNATURES)
def test_bindings_have_the_arguments_that_are_passed(routine):
    from nvmath.bindings import cublas, cusolverDn

    for letter in "sd":
        found = getattr(cublas if routine in OF_CUBLAS else cusolverDn, letter + routine)
        inside = re.search(r"\((.*?)\)", found.__doc__.splitlines()[0]).group(1)
        names = [argument.split()[-1] for argument in inside.split(",")]
        assert names == ["handle", *SIGNATURES[routine].split()]
