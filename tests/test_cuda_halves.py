"""float16 and bfloat16 on the CUDA target: code from NVIDIA's compiler, and calls of cuBLAS.

What the simulator shows is in `cuda_half_cases.py`, which `test_cuda.py` runs.
"""

import ctypes
import re
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from cuda_fake import FakeDriver, in_use
from half_numbers import HALVES, close, inputs, numbers, plain, stored

import graphc
import graphc.tensor as T
from graphc.runtime.cuda.driver import use_driver
from graphc.runtime.cuda.products import Cublas, Gemm


@pytest.fixture
def driver():
    with in_use(FakeDriver(lacks_products=None)) as made:
        yield made


def called(outputs, variables, *arrays):
    options = {"target": "cuda", "on_unused_input": "ignore"}
    return graphc.function(variables, outputs, **options)(*arrays)


def text_of(driver, capability, outputs, variables, *arrays):
    """The PTX of what a function launches."""
    from graphc.runtime.cuda.ptx import compile_ptx

    driver.sources.clear()
    called(outputs, variables, *arrays)
    return "\n".join(compile_ptx(source, capability) for source in driver.sources)


@pytest.mark.compiler
@pytest.mark.parametrize("half", HALVES)
def test_every_form_of_kernel_compiles(half):
    use_driver(driver := FakeDriver())
    d, n = T.dvector("d"), T.lvector("n")
    x, images, filters = inputs(half, 2, 4, 4)
    p = T.signal.pool.pool_2d(T.nnet.conv2d(images, filters), (2, 2), False)
    some = [T.nnet.softmax(x), T.cast(d, half), T.dot(x, x.T), T.cumsum(x, 1)]
    more = [
        x.sum(), T.inc_subtensor(x[n], 1), T.cast(n, half),
        T.dot(T.cast(x, "float32"), T.cast(x.T, "float32")) + 1, p,
        *T.grad(p.sum(), [images, filters]),
    ]  # fmt: skip
    given = (numbers(half, 3, 4), np.ones(3), np.array([0, 2]), numbers(half, 2, 2, 4, 4),
             numbers(half, 4, 2, 2, 2))  # fmt: skip
    # NVIDIA's compiler takes its time: what is special to a dtype, for both capabilities.
    first, second = ((8, 0), (9, 0)) if half == "float16" else ((9, 0), (8, 0))
    for capability, outputs, least in ((first, some + more, 10), (second, some, 3)):
        text = text_of(driver, capability, outputs, [x, d, n, images, filters], *given)
        assert text.count(".entry") == len(driver.sources) >= least
        assert not re.search(r"(add|mul|fma)\S*\.f16", text)
    use_driver(None)


@pytest.mark.compiler
def test_float16_is_converted_by_the_device_and_bfloat16_by_integers(driver):
    """A load, a rounding of each op and a store: one conversion each, and no product fused."""
    for half in HALVES:
        x, y = inputs(half, 1, 1)
        text = text_of(driver, (8, 0), [x * y + x], [x, y], numbers(half, 4), numbers(half, 4))
        body = text.split("{", 1)[1]
        loads = len(re.findall(r"ld\.global\.[bu]16", body))
        stores = len(re.findall(r"st\.global\.[bu]16", body))
        assert loads == 2 * stores > 0
        for op in ("mul.f32", "add.f32"):
            assert body.count(op) == stores
        assert "fma" not in body
        rounds, widens = body.count("cvt.rn.f16.f32"), body.count("cvt.f32.f16")
        expected = (2 * stores, 3 * stores) if half == "float16" else (0, 0)
        assert (rounds, widens) == expected
        moved = text_of(driver, (8, 0), [x[::2]], [x, y], numbers(half, 4), numbers(half, 4))
        assert "f16" not in moved and ".f32" not in moved  # bits, as they are


def test_cublas_is_asked_for_products_of_halves_in_all_layouts(driver):
    for half in HALVES:
        a, b = inputs(half, 2, 2)
        driver.calls.clear()
        for turns in range(4):
            x = numbers(half, *((4, 3) if turns & 1 else (3, 4)), seed=1)
            y = numbers(half, *((5, 4) if turns & 2 else (4, 5)), seed=2)
            product = T.dot(a.T if turns & 1 else a, b.T if turns & 2 else b)
            u, v = (plain(z).astype("float64") for z in (x, y))
            exact = (u.T if turns & 1 else u) @ (v.T if turns & 2 else v)
            close(called(product, [a, b], x, y), stored(exact, half))
        asked = [c[1] for c in driver.calls if c[0] == "multiply"]
        assert len(asked) == 4 and not driver.launches()
        assert {(g.dtype, g.result, g.compute) for g in asked} == {(half, half, "COMPUTE_32F")}


def test_the_users_wish_for_factors_is_about_float32(driver):
    (x,) = inputs("float16", 2)
    with graphc.config(cuda_products="tf32"):
        called(T.dot(x, x), [x], numbers("float16", 3, 3))
    ((_, gemm, *_),) = (c for c in driver.calls if c[0] == "multiply")
    assert gemm.compute == "COMPUTE_32F"


def test_halves_take_two_bytes(driver):
    for half in HALVES:
        x, y = inputs(half, 2, 2)
        f = graphc.function([x, y], T.dot(T.tanh(x), y).sum(), target="cuda")
        driver.calls.clear()
        f(numbers(half, 300, 200), numbers(half, 200, 100))
        copies = [c[2] for c in driver.calls if c[0] == "write"]
        assert 2 * 300 * 200 in copies and 2 * 200 * 100 in copies
        assert f.plan.arena_bytes <= 2 * (300 * 200 + 300 * 100) + 4096


class Library:
    """What `Cublas` calls of nvmath-python, writing down what it is given."""

    Operation = SimpleNamespace(N=0, T=1)
    ComputeType = SimpleNamespace(COMPUTE_32F=68)
    Math = SimpleNamespace(DEFAULT_MATH=0, DISALLOW_REDUCED_PRECISION_REDUCTION=16)

    def __init__(self):
        self.calls = []

    def create(self):
        return 7

    def __getattr__(self, name):
        return lambda *given: self.calls.append((name, *given))


def test_what_cublas_is_given(monkeypatch):
    """Factors of 16 bits, a result of 16 or 32, float32 coefficients and sums."""
    library, module = Library(), ModuleType("nvmath.bindings")
    types = SimpleNamespace(CUDA_R_16F=2, CUDA_R_16BF=14, CUDA_R_32F=0)
    module.cublas = library
    top = ModuleType("nvmath")
    top.CudaDataType, top.bindings = types, module
    monkeypatch.setitem(sys.modules, "nvmath", top)
    monkeypatch.setitem(sys.modules, "nvmath.bindings", module)
    cublas = Cublas(11, 13)
    assert ("set_math_mode", 7, 16) in library.calls
    for dtype, made, codes in (("float16", "", (2, 2, 2)), ("bfloat16", "float32", (14, 14, 0))):
        gemm = Gemm(dtype, "COMPUTE_32F", True, False, 3, 4, 5, 0.5, 0.25, 6, 7, 8, made=made)
        cublas.multiply(gemm, 100, 200, 300)
        name, handle, *given = library.calls[-1]
        turns, sizes, rest = given[:2], given[2:5], given[5:]
        alpha, a, a_kind, lda, b, b_kind, ldb, beta, c, c_kind, ldc, compute, algorithm = rest
        assert (name, handle, turns, sizes) == ("gemm_ex", 7, [1, 0], [3, 4, 5])
        assert (a, lda, b, ldb, c, ldc) == (100, 6, 200, 7, 300, 8)
        assert (a_kind, b_kind, c_kind) == codes and (compute, algorithm) == (68, -1)
        values = [ctypes.c_float.from_address(address).value for address in (alpha, beta)]
        assert values == [0.5, 0.25]
        stack = replace(gemm, count=9, step_a=30, step_b=40, step_c=50)
        cublas.multiply(stack, 100, 200, 300)
        assert library.calls[-1] == (
            "gemm_strided_batched_ex", 7, *turns, *sizes, alpha, 100, a_kind, 6, 30, 200, b_kind, 7,
            40, beta, 300, c_kind, 8, 50, 9, 68, -1,
        )  # fmt: skip
