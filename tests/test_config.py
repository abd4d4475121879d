"""Settings: from the environment, at run time, and for a block."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc.core.config import OPTIONS, Config

CHECKOUT = Path(__file__).resolve().parent.parent


def test_options_are_read_from_flags():
    config = Config("floatX=float32, mode=numpy,profile=True,cache_size_mb=64,,")
    assert (config.floatX, config.mode, config.profile) == ("float32", "numpy", True)
    assert config.cache_size_mb == 64 and config.on_unused_input == "raise"
    assert Config("allow_input_downcast=None").allow_input_downcast is None


@pytest.mark.parametrize(
    ("flags", "error", "text"),
    [
        ("floatX", ValueError, "name=value"),
        ("floatX=float128", ValueError, "'bfloat16', 'float32', 'float64', not 'float128'"),
        ("floatx=float32", AttributeError, "no option 'floatx'; it has floatX"),
    ],
)
def test_wrong_flags_are_refused(flags, error, text):
    with pytest.raises(error, match=text):
        Config(flags)


def test_the_environment_counts():
    run = subprocess.run(
        [sys.executable, "-c", "import graphc; print(graphc.config.floatX, graphc.config.mode)"],
        cwd=CHECKOUT, env={**os.environ, "GRAPHC_FLAGS": "floatX=float32,mode=numpy"},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert run.stdout.split() == ["float32", "numpy"], run.stderr


def test_blocks_restore_what_they_changed_even_after_errors():
    before = graphc.config.floatX
    other = "float32" if before == "float64" else "float64"
    with graphc.config(floatX=other), graphc.config.change_flags(mode="numpy"):
        assert graphc.config.floatX == other and graphc.config.mode == "numpy"
    with pytest.raises(ZeroDivisionError), graphc.config(floatX=other):
        _ = 1 / 0
    with pytest.raises(ValueError), graphc.config(floatX=other, mode="slow"):
        pass
    assert graphc.config.floatX == before


def test_floatX_is_what_new_variables_have():
    for dtype in ("float32", "float64"):
        with graphc.config(floatX=dtype):
            made = [
                T.matrix("x"), T.scalar(), T.constant(0.5), T.zeros((2, 2)), T.eye(3),
                graphc.shared(1.0), T.exp(T.iscalar()), T.iscalar() / T.iscalar(),
                T.ivector().mean(), T.tensor("floatX", (None,)), T.to_one_hot(T.ivector(), 3),
                T.cast(T.iscalar(), "floatX"), T.constant(np.float64(0.5)),
            ]  # fmt: skip
            assert {v.dtype for v in made} == {dtype}


def test_numbers_never_widen_floats():
    with graphc.config(floatX="float64", mode="numpy"):
        x = T.fvector("x")
        i = T.lvector("i")
        narrow = [
            x + 1, 0.1 * x, x / 3, x**2, x**0.5, np.float64(0.1) * x, x - np.int64(3), x * i,
            i * x, x / i, T.maximum(x, 0.0), T.switch(x > 0, x, 0.0), x.mean(), x.sum() / i.sum(),
            x / x.shape[0], T.clip(x, 0.0, 1.0), T.nnet.sigmoid(x), x[i], x.std(), T.sqr(x).sum(),
        ]  # fmt: skip
        assert {v.dtype for v in narrow} == {"float32"}
        f = graphc.function([x, i], narrow)
        for result in f(np.ones(3, "float32"), np.array([0, 1, 2])):
            assert result.dtype == "float32"


def test_every_option_is_described_and_listed():
    assert all(option.doc for option in OPTIONS.values())
    assert set(OPTIONS) <= set(dir(graphc.config))
    assert all(f"{name} = " in repr(graphc.config) for name in OPTIONS)
