"""Convolutions by cuDNN, through a stand-in that checks what it is asked and lets NumPy do it."""

import numpy as np
import pytest
from cuda_fake import FakeDriver
from cudnn_fake import module_for

import graphc
import graphc.tensor as T
from graphc.core.errors import TargetError
from graphc.runtime.cuda.cudnn import Cudnn
from graphc.runtime.cuda.driver import use_driver

rng = np.random.RandomState(7)


@pytest.fixture
def driver():
    made = FakeDriver()
    made.cudnn = Cudnn(0, module_for(made))
    made.lacks_convolutions = None
    use_driver(made)
    with graphc.config(cuda_convolutions="cudnn"):
        yield made
    use_driver(None)


def by_cudnn(inputs, outputs, *arrays):
    """What a function gives whose only steps are convolutions, which NumPy mode gives, too."""
    f = graphc.function(inputs, outputs, target="cuda", on_unused_input="ignore")
    plain = graphc.function(inputs, outputs, mode="numpy", on_unused_input="ignore")
    for found, expected in zip(f(*arrays), plain(*arrays)):
        tolerance = {"float16": 2e-3, "float32": 1e-4, "float64": 1e-11}[expected.dtype.name]
        np.testing.assert_allclose(found, expected, tolerance, tolerance)
    return f


def test_values_and_gradients_in_the_layouts_asked_for(driver):
    for dtype, images, filters, options in (
        ("float32", (2, 4, 6, 5), (6, 4, 3, 2), {"border_mode": (1, 2)}),
        ("float64", (2, 4, 7, 5), (6, 2, 2, 2), {"num_groups": 2, "subsample": (3, 2),
                                                 "filter_flip": False}),
        ("float64", (1, 3, 6, 6), (2, 3, 3, 2), {"filter_dilation": (2, 1), "filter_flip": False}),
        ("float32", (2, 3, 4, 4, 3), (4, 3, 2, 1, 2), {"subsample": (1, 2, 1)}),
        ("float16", (2, 3, 5, 4), (4, 3, 2, 2), {"filter_flip": False}),
    ):  # fmt: skip
        x, w = (T.TensorType(dtype, (None,) * len(images))(name) for name in "xw")
        conv = T.nnet.conv2d if len(images) == 4 else T.nnet.conv3d
        y = conv(x, w, **options)
        g = T.TensorType(dtype, (None,) * len(images))("g")
        values = [rng.uniform(-1, 1, s).astype(dtype) for s in (images, filters)]
        made = graphc.function([x, w], y, mode="numpy")(*values).shape
        flips = options.get("filter_flip", True)  # then a kernel copies the gradient of filters
        outputs = [y, *graphc.gradient.Lop(y, [x] if flips else [x, w], g)]
        before = len(driver.cudnn.cudnn.ran)
        by_cudnn([x, w, g], outputs, *values, rng.uniform(-1, 1, made).astype(dtype))
        ran = driver.cudnn.cudnn.ran[before:]
        assert {r.kind for r in ran} == {"forward", "input", "weight"} - {"weight" * flips}
        assert {"convolution_mode" in r.options for r in ran if r.kind != "weight"} == {flips}


def test_rounding_and_sums_without_an_order_are_ruled_out_unless_asked_for(driver):
    x, w = T.ftensor4("x"), T.ftensor4("w")
    images, filters = np.ones((1, 2, 4, 4), "float32"), np.ones((3, 2, 2, 2), "float32")
    found = {}
    for wanted in ("float32", "tf32", "bfloat16"):
        with graphc.config(cuda_products=wanted):
            f = by_cudnn([x, w], [T.nnet.conv2d(x, w)], images, filters)
        found[wanted] = set(driver.cudnn.cudnn.ran[-1].notes)
        assert f.plan.notes[1].endswith(f"cuDNN, {wanted}")
    assert all("NONDETERMINISTIC" in notes for notes in found.values())
    assert found["float32"] - found["tf32"] == {"TENSOR_CORE"}
    assert found["tf32"] - found["bfloat16"] == {"DOWN_CONVERT_INPUTS"}


def launches(driver):
    return [c[0] for c in driver.calls if c[0] in ("launch", "convolve")]


def test_what_cudnn_does_not_do_is_done_by_kernels(driver):
    x, w, i = T.dtensor4("x"), T.dtensor4("w"), T.lscalar("i")
    data = graphc.shared(np.ones((4, 2, 4, 4)), name="data")
    for inputs, y, text in (
        ([x, w], T.nnet.conv2d(x[:, ::-1], w), "strides of its operand 1"),
        ([i, w], T.nnet.conv2d(data[i : i + 2], w), "addresses are computed on the device"),
    ):
        f = graphc.function(inputs, y, target="cuda")
        f(*[np.array(1) if v is i else np.ones((3, 2, 2, 2)) for v in inputs])
        assert launches(driver)[-1] == "launch" and "convolve" not in launches(driver)
        assert any(text in note for note in f.plan.notes), f.plan.notes
    driver.cudnn = Cudnn(0, module_for(driver, refuses=True))
    f = graphc.function([x, w], T.nnet.conv2d(x, w), target="cuda")
    f(np.ones((1, 2, 4, 4)), np.ones((3, 2, 2, 2)))
    assert "convolve" not in launches(driver)
    assert any("no cuDNN: no engine for it" in note for note in f.plan.notes)


def test_kernels_of_graphc_do_convolutions_unless_asked_and_a_missing_package_is_named(driver):
    x, w = T.dtensor4("x"), T.dtensor4("w")
    values = np.ones((1, 2, 4, 4)), np.ones((3, 2, 2, 2))
    with graphc.config(cuda_convolutions="graphc"):
        graphc.function([x, w], T.nnet.conv2d(x, w), target="cuda")(*values)
    assert "convolve" not in launches(driver)
    driver.lacks_convolutions = "the package nvidia-cudnn-frontend isn't installed"
    f = graphc.function([x, w], T.nnet.conv2d(x, w), target="cuda")
    with pytest.raises(TargetError, match=r"graphc\[cudnn13\]"):
        f(*values)


def test_a_captured_graph_is_made_again_where_an_address_of_a_convolution_changes(driver):
    x, w = T.dtensor4("x"), T.dtensor4("w")
    values = np.ones((1, 2, 4, 4)), np.ones((3, 2, 2, 2))
    with graphc.config(cuda_graphs=True):
        y = graphc.Out(T.nnet.conv2d(x, w), device=True)
        f = graphc.function([x, w], y, target="cuda")
    kept = [f(*values) for _ in range(3)]
    assert len({k.address for k in kept}) == 3
    assert [c[0] for c in driver.calls].count("capture") == 2


def test_many_calls_at_once_read_rows_by_kernels_and_the_rest_by_the_library(driver):
    """cuDNN can't be given a pointer that moves; one that stays is the same in every call."""
    x, w = T.dtensor4("x"), graphc.shared(np.ones((3, 2, 2, 2)), name="w")
    rows = graphc.each(np.ones((5, 1, 2, 4, 4)))
    moving = graphc.function([x], T.nnet.conv2d(x, w), target="cuda")
    still = graphc.function([x], T.tanh(T.nnet.conv2d(T.tanh(x), w)), target="cuda")
    for f, captured in ((moving, 0), (still, 1)):
        driver.calls.clear()
        driver.graphs.clear()
        graphc.loop(f, rows)
        made = [c for c in driver.calls if c[0] == "convolve"]
        held = [c for graph in driver.graphs for c in graph if c[0] == "convolve"]
        # A call by itself comes first, and what is captured later has run once.
        assert (len(made), len(held)) == (1 + captured, captured) and driver.graphs
        assert all(c[1:] == made[0][1:] for c in (*made, *held))
