"""Convolution and its gradients are what a plain definition says."""

import itertools

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc.core.errors import ArgumentError, ShapeError
from graphc.passes import strips
from graphc.runtime import convolutions
from graphc.testing import check_grad

BORDERS = ["valid", "half", "full", 1, (2, 1), ((0, 2), (1, 0))]
STEPS = list(itertools.product([(1, 1), (2, 3)], [(1, 1), (2, 1)], [1, 2]))
SIZES = [((2, 4, 7, 6), (6, 3, 2)), ((3, 2, 5, 9), (4, 1, 3)), ((17, 2, 6, 5), (2, 3, 3))]


def zeros_around(border, kernel, dilation):
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
    if isinstance(border, str):
        n = {"valid": [0, 0], "half": [s // 2 for s in spans], "full": [s - 1 for s in spans]}
        return [(p, p) for p in n[border]]
    pairs = border if isinstance(border, tuple) else (border, border)
    return [p if isinstance(p, tuple) else (p, p) for p in pairs]


def plain(x, w, border, stride, dilation, groups):
    """The sum over a window for each output, one at a time; filters as they are."""
    x = np.pad(x, ((0, 0), (0, 0), *zeros_around(border, w.shape[2:], dilation)))
    k, per_group, height, width = w.shape
    spans = [(n - 1) * d + 1 for n, d in zip(w.shape[2:], dilation)]
    made = [(n - s) // t + 1 for n, s, t in zip(x.shape[2:], spans, stride)]
    y = np.zeros((len(x), k, *made), np.result_type(x, "float64"))
    for o, i, j in np.ndindex(k, *made):
        first = o // (k // groups) * per_group
        top, left = i * stride[0], j * stride[1]
        window = x[:, first : first + per_group, top : top + spans[0] : dilation[0],
                   left : left + spans[1] : dilation[1]]  # fmt: skip
        y[:, o, i, j] = (window * w[o]).sum((1, 2, 3))
    return y


def sample(shape, seed=0):
    return np.random.RandomState(seed).uniform(-1, 1, shape)


def filters_of(images, size, groups):
    return sample((size[0], images[1] // groups, *size[1:]), 1)


def options(border, stride, dilation, groups, flip=False):
    return {"border_mode": border, "subsample": stride, "filter_dilation": dilation,
            "num_groups": groups, "filter_flip": flip}  # fmt: skip


@pytest.fixture(scope="module")
def programs():
    """Compiled functions by options: sizes are bound at each call."""
    return {}


def with_gradients(programs, *case, dtype="float64", mode=None):
    key = (*case, dtype, mode)
    if key not in programs:
        x, w, g = (T.TensorType(dtype, (None,) * 4)(n) for n in "xwg")
        y = T.nnet.conv2d(x, w, **options(*case))
        grads = graphc.grad(None, [x, w], known_grads={y: g})
        programs[key] = graphc.function([x, w, g], [y, *grads], mode=mode)
    return programs[key]


def derivatives(x, w, g, *case):
    """Both gradients by the definition, which is linear in each operand."""
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for at in np.ndindex(*w.shape):
        one = np.zeros_like(w)
        one[at] = 1
        dw[at] = (plain(x, one, *case) * g).sum()
    image = np.zeros((1, *x.shape[1:]))
    for at in np.ndindex(*x.shape[1:]):
        image[(0, *at)] = 1
        dx[(slice(None), *at)] = (plain(image, w, *case) * g).sum((1, 2, 3))
        image[(0, *at)] = 0
    return dx, dw


@pytest.mark.parametrize("mode", ["numpy", None])
@pytest.mark.parametrize("border", BORDERS, ids=str)
def test_forward_is_the_definition(border, mode, programs):
    for (stride, dilation, groups), (images, size) in itertools.product(STEPS, SIZES):
        x, w = sample(images), filters_of(images, size, groups)
        case = border, stride, dilation, groups
        try:
            expected = plain(x, w, *case)
        except ValueError:  # the filter doesn't fit
            continue
        f = with_gradients(programs, *case, mode=mode)
        y, dx, dw = f(x, w, np.ones(expected.shape))
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
        assert dx.shape == x.shape and dw.shape == w.shape


@pytest.mark.parametrize("mode", ["numpy", None])
@pytest.mark.parametrize("border", ["valid", "half", ((0, 2), (1, 0))], ids=str)
def test_gradients_are_those_of_the_definition(border, mode, programs):
    for stride, dilation, groups in STEPS:
        x, w = sample((2, 2, 5, 6)), filters_of((2, 2), (2, 3, 2), groups)
        case = border, stride, dilation, groups
        g = sample(plain(x, w, *case).shape, 2)
        _, dx, dw = with_gradients(programs, *case, mode=mode)(x, w, g)
        for found, expected in zip((dx, dw), derivatives(x, w, g, *case)):
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("groups", [1, 2])
def test_second_derivatives(groups):
    x, w = sample((2, 4, 5, 4)), filters_of((2, 4), (2, 3, 2), groups)
    case = options("half", (2, 1), (1, 2), groups, True)
    check_grad(lambda a, b: T.nnet.conv2d(a, b, **case), [x, w], order=2)


def test_filters_are_turned_by_default():
    x, w = sample((2, 3, 5, 5)), sample((2, 3, 2, 3), 1)
    found = T.nnet.conv2d(x, w).eval()
    expected = plain(x, w[:, :, ::-1, ::-1], "valid", (1, 1), (1, 1), 1)
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(T.nnet.conv.conv2d(x, w).eval(), expected)
    np.testing.assert_allclose(
        T.nnet.conv2d(x, w, filter_flip=False).eval(),
        plain(x, w, "valid", (1, 1), (1, 1), 1),
    )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "complex128"])
def test_dtypes(dtype):
    x = (sample((3, 2, 5, 4)) * 8).round().astype(dtype)
    w = (sample((4, 2, 3, 2), 1) * 8).round().astype(dtype)
    found = T.nnet.conv2d(x, w, filter_flip=False).eval()
    assert found.dtype == dtype
    expected = plain(x, w, "valid", (1, 1), (1, 1), 1)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("batch", [0, 1, 8, 15, 16, 17, 40])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_batch_and_any_number_of_filters(batch, dtype, programs):
    f = with_gradients(programs, "half", (1, 1), (1, 1), 1, dtype=dtype)
    slow = with_gradients(programs, "half", (1, 1), (1, 1), 1, dtype=dtype, mode="numpy")
    tolerance = 1e-4 if dtype == "float32" else 1e-12
    for filters, channels in ((1, 3), (7, 1), (13, 5), (20, 2), (64, 6)):
        x, w, g = (
            sample(shape, k).astype(dtype)
            for k, shape in enumerate(
                [(batch, channels, 5, 6), (filters, channels, 3, 3), (batch, filters, 5, 6)]
            )
        )
        for found, expected in zip(f(x, w, g), slow(x, w, g)):
            np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_operands_may_be_views():
    x, w = T.tensor4("x"), T.tensor4("w")
    y = T.nnet.conv2d(x.dimshuffle(3, 2, 0, 1)[:, :, ::-1, 1:], w.dimshuffle(1, 0, 2, 3)[::2])
    a, b = sample((5, 6, 3, 18)).astype(x.dtype), sample((3, 7, 2, 3), 1).astype(x.dtype)
    found = graphc.function([x, w], y)(a, b)
    view, filters = a.transpose(3, 2, 0, 1)[:, :, ::-1, 1:], b.transpose(1, 0, 2, 3)[::2]
    expected = plain(view, filters[:, :, ::-1, ::-1], "valid", (1, 1), (1, 1), 1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_batch_taken_by_its_number():
    images = graphc.shared(sample((40, 2, 5, 5)).astype("float32"))
    w = graphc.shared(sample((3, 2, 3, 3), 1).astype("float32"))
    k = T.lscalar("k")
    y = T.nnet.conv2d(images[k * 20 : (k + 1) * 20], w, filter_flip=False)
    f = graphc.function([k], [y, *graphc.grad((y**2).sum(), [w])])
    for number in (0, 1):
        part = images.get_value()[number * 20 : (number + 1) * 20]
        case = "valid", (1, 1), (1, 1), 1
        expected = plain(part, w.get_value(), *case)
        found, dw = f(number)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        slow = derivatives(part.astype("float64"), w.get_value(), 2 * expected, *case)[1]
        np.testing.assert_allclose(dw, slow, rtol=1e-3, atol=1e-3)


def test_transposed_convolution_and_the_gradients_by_name():
    x, w = sample((2, 3, 7, 6)), sample((4, 3, 3, 2), 1)
    g = sample(plain(x, w, 1, (2, 2), (1, 1), 1).shape, 2)
    dx, dw = derivatives(x, w, g, 1, (2, 2), (1, 1), 1)
    abstract = T.nnet.abstract_conv
    case = {"border_mode": 1, "subsample": (2, 2), "filter_flip": False}
    up = T.nnet.conv2d_transpose(g, w, x.shape, border_mode=1, input_dilation=(2, 2),
                                 filter_flip=False)  # fmt: skip
    of_inputs = abstract.AbstractConv2d_gradInputs(imshp=x.shape, kshp=w.shape, **case)
    of_weights = abstract.AbstractConv2d_gradWeights(imshp=x.shape, kshp=w.shape, **case)
    np.testing.assert_allclose(up.eval(), dx)
    np.testing.assert_allclose(of_inputs(w, g, x.shape[-2:]).eval(), dx)
    np.testing.assert_allclose(of_weights(x, g).eval(), dw)


def test_shapes_that_are_known_are_known():
    x, w = T.TensorType("float32", (None, 3, 32, 31))("x"), sample((8, 3, 5, 5)).astype("float32")
    y = T.nnet.conv2d(x, w, border_mode="half", subsample=(2, 2))
    assert y.type.shape == (None, 8, 16, 16)
    shape = T.nnet.abstract_conv.get_conv_output_shape((None, 3, 32, 31), w.shape, "half", (2, 2))
    assert shape == y.type.shape


def test_what_does_not_fit_is_an_error_with_the_line():
    x = T.TensorType("float32", (None, 3, 4, 4))("x")
    w = T.TensorType("float32", (8, 3, 5, 5))("w")
    with pytest.raises(ShapeError, match="doesn't fit on an axis of 4"):
        T.nnet.conv2d(x, w)
    with pytest.raises(ShapeError, match="channels"):
        T.nnet.conv2d(x, T.TensorType("float32", (8, 2, 3, 3))("w"))
    with pytest.raises(ShapeError, match="rank 2 is not 4"):
        T.nnet.conv2d(T.matrix("m"), w)
    with pytest.raises(ShapeError, match="input_shape says"):
        T.nnet.conv2d(x, w, input_shape=(None, 1, 4, 4), border_mode="full")
    with pytest.raises(ArgumentError, match="'half' keeps the size"):
        T.nnet.conv2d(x, w, border_mode="same")
    with pytest.raises(ShapeError, match="rank 4 is not 6"):
        T.nnet.conv2d(x, w, unshared=True)
    free = T.tensor4("free")
    f = graphc.function([free], T.nnet.conv2d(free, free.dimshuffle(1, 0, 2, 3)))
    with pytest.raises(ShapeError, match="test_conv"):
        f(np.zeros((1, 2, 3, 3), free.dtype))


@pytest.mark.parametrize("level", ["avx512", "avx2", "plain"])
def test_tiles_of_every_level(level, monkeypatch):
    """Lower levels' tiles, as far as this CPU can run them."""
    names = ["plain", "avx2", "avx512"]
    if names.index(level) > names.index(convolutions.cpu_level()):
        pytest.skip(f"this CPU has no {level}")
    monkeypatch.setattr(convolutions, "cpu_level", lambda: level)
    f = with_gradients({}, "half", (1, 1), (1, 1), 1, dtype="float32")
    x, w = sample((19, 3, 6, 5)).astype("float32"), sample((7, 3, 3, 3), 1).astype("float32")
    g = sample((19, 7, 6, 5), 2).astype("float32")
    slow = with_gradients({}, "half", (1, 1), (1, 1), 1, dtype="float32", mode="numpy")
    for found, expected in zip(f(x, w, g), slow(x, w, g)):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("batch, size, filters, routines", [
    (2, (32, 20, 20), (32, 32, 5, 5), ["kernel", "convolution", "kernel"]),
    (8, (32, 20, 20), (32, 32, 5, 5), ["convolution"]),
    (2, (256, 6, 6), (256, 256, 5, 5), ["host"]),  # too low for strips
])  # fmt: skip
def test_a_few_images_go_in_strips_or_are_left_to_numpy(batch, size, filters, routines):
    x, w = sample((batch, *size)), sample(filters, 1)
    a, b = T.TensorType("float64", (None,) * 4)("a"), T.TensorType("float64", (None,) * 4)("b")
    f = graphc.function([a, b], T.nnet.conv2d(a, b, filter_flip=False))
    np.testing.assert_allclose(f(x, w)[0, :2], plain(x[:1], w[:2], "valid", (1, 1), (1, 1), 1)[0])
    assert [s.routine for s in f.plan.steps] == routines


@pytest.mark.parametrize("images, filters, given", [
    ((1, 2, 70, 5), (3, 5, 3), ("half", (1, 1), (1, 1), 1)),
    ((3, 4, 9, 7), (6, 3, 2), (((2, 0), (1, 3)), (1, 2), (1, 1), 2)),
    ((5, 2, 13, 6), (2, 4, 3), ("valid", (2, 1), (2, 1), 1)),
    ((7, 1, 11, 4), (2, 1, 1), (1, (3, 1), (1, 1), 1)),
    ((2, 3, 1, 60), (4, 1, 6), ("full", (1, 1), (1, 2), 1)),
    ((3, 2, 5, 31), (2, 3, 2), ((1, 0), (2, 3), (1, 1), 1)),
])  # fmt: skip
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_strips_of_few_images_give_the_same(images, filters, given, dtype, programs, monkeypatch):
    monkeypatch.setattr(strips, "LEAST", 0)
    monkeypatch.setattr(strips, "SHARE", 9)
    x, w = sample(images).astype(dtype), filters_of(images, filters, given[-1]).astype(dtype)
    slow = with_gradients(programs, *given, dtype=dtype, mode="numpy")
    made = plain(x, w, *given).shape
    g = sample(made, 2).astype(dtype)
    f = with_gradients({}, *given, dtype=dtype)
    tolerance = 1e-12 if dtype == "float64" else 1e-4
    for found, expected in zip(f(x, w, g), slow(x, w, g)):
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    lanes = 64 // x.itemsize
    convolved = [s for s in f.plan.steps if s.routine == "convolution"]
    assert len(convolved) == 3
    assert {lanes} == {s.nodes[0].args[0].type.shape[0] for s in convolved}
