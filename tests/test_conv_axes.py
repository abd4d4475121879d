"""Convolution of sequences, images and volumes is what a plain definition says."""

import itertools

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc.core.errors import ArgumentError, GraphError, ShapeError
from graphc.testing import check_grad

CONV = {1: T.nnet.conv1d, 2: T.nnet.conv2d, 3: T.nnet.conv3d}
BORDERS = {
    1: ["valid", "half", "full", 2, ((0, 3),)],
    2: ["valid", "half", "full", (2, 1), ((0, 2), (1, 0))],
    3: ["valid", "half", "full", 1, (2, 0, 1), ((0, 2), (1, 0), (1, 1))],
}
STEPS = {
    axes: list(itertools.product([1, (2, 3, 2)[:axes]], [1, (2, 1, 2)[-axes:]], [1, 2]))
    for axes in (1, 2, 3)
}
SIZES = {  # of inputs, and of filters: how many, and their size; odd ones, and more than a block
    1: [((2, 4, 11), (6, 3)), ((17, 2, 8), (2, 4))],
    2: [((2, 4, 7, 6), (6, 3, 2))],
    3: [((2, 4, 7, 6, 5), (6, 3, 2, 2)), ((17, 2, 5, 5, 6), (4, 2, 3, 1))],
}


def sample(shape, seed=0):
    return np.random.RandomState(seed).uniform(-1, 1, shape)


def each(value, axes):
    return value if isinstance(value, tuple) else (value,) * axes


def zeros_around(border, kernel, dilation):
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
    if isinstance(border, str):
        around = {"valid": [0 for s in spans], "half": [s // 2 for s in spans],
                  "full": [s - 1 for s in spans]}[border]  # fmt: skip
        return [(p, p) for p in around]
    return [p if isinstance(p, tuple) else (p, p) for p in each(border, len(kernel))]


def windows(x, size, border, stride, dilation, filters, groups):
    """Each element of a result: its filter and place, and the slices of the padded input."""
    axes = len(size)
    stride, dilation = each(stride, axes), each(dilation, axes)
    pads = zeros_around(border, size, dilation)
    spans = [(n - 1) * d + 1 for n, d in zip(size, dilation)]
    made = [(n + sum(p) - s) // t + 1 for n, p, s, t in zip(x.shape[2:], pads, spans, stride)]
    if min(n + sum(p) - s for n, p, s in zip(x.shape[2:], pads, spans)) < 0:
        return pads, None, []
    per_group, found = x.shape[1] // groups, []
    for k, *at in np.ndindex(filters, *made):
        first = k // (filters // groups) * per_group
        parts = (slice(i * t, i * t + s, d) for i, t, s, d in zip(at, stride, spans, dilation))
        found.append((k, at, (slice(None), slice(first, first + per_group), *parts)))
    return pads, made, found


def definition(x, w, g, border, stride, dilation, groups):
    """The result and both gradients for a gradient `g` (or seed of one), one element at a time."""
    size = w.shape[2:]
    pads, made, found = windows(x, size, border, stride, dilation, len(w), groups)
    if made is None:
        return None
    wide = np.pad(x, ((0, 0), (0, 0), *pads))
    y = np.zeros((len(x), len(w), *made))
    g = sample(y.shape, 2) if g is None else g
    dx, dw = np.zeros_like(wide), np.zeros_like(w)
    behind = tuple(range(1, w.ndim))
    for k, at, window in found:
        y[(slice(None), k, *at)] = (wide[window] * w[k]).sum(behind)
        here = g[(slice(None), k, *at)].reshape(-1, *(1,) * len(behind))
        dw[k] += (wide[window] * here).sum(0)
        dx[window] += here * w[k]
    inside = tuple(slice(b, b + n) for (b, _), n in zip(pads, x.shape[2:]))
    return y, dx[(slice(None), slice(None), *inside)], dw, g


def compiled(axes, mode, dtype="float64", **options):
    x, w, g = (T.TensorType(dtype, (None,) * (axes + 2))(n) for n in "xwg")
    y = CONV[axes](x, w, filter_flip=False, **options)
    grads = graphc.grad(None, [x, w], known_grads={y: g})
    return graphc.function([x, w, g], [y, *grads], mode=mode)


@pytest.mark.parametrize("axes, border", [(n, b) for n in BORDERS for b in BORDERS[n]], ids=str)
def test_results_and_gradients_are_those_of_the_definition(axes, border):
    for stride, dilation, groups in STEPS[axes]:
        options = {"border_mode": border, "subsample": stride, "filter_dilation": dilation,
                   "num_groups": groups}  # fmt: skip
        plain, native = (compiled(axes, mode, **options) for mode in ("numpy", None))
        for images, (filters, *size) in SIZES[axes]:
            x, w = sample(images), sample((filters, images[1] // groups, *size), 1)
            expected = definition(x, w, None, border, stride, dilation, groups)
            if expected is None:
                with pytest.raises(ShapeError, match="doesn't fit"):
                    plain(x, w, np.zeros((1,) * x.ndim))
                continue
            *arrays, g = expected
            for f in (plain, native):
                for found, wanted in zip(f(x, w, g), arrays):
                    np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-11)
            assert {s.routine for s in native.plan.steps} <= {"convolution", "copy", "kernel"}


@pytest.mark.parametrize("axes", [1, 3])
def test_second_derivatives_and_turned_filters(axes):
    x, w = sample((2, 2, 5, 4, 3)[: axes + 2]), sample((2, 1, 3, 2, 2)[: axes + 2], 1)
    options = {"border_mode": "half", "subsample": 2, "num_groups": 2}
    check_grad(lambda a, b: CONV[axes](a, b, **options), [x, w], order=2)
    found = CONV[axes](x, w, num_groups=2).eval()
    turned = w[(..., *(slice(None, None, -1),) * axes)]
    np.testing.assert_allclose(found, definition(x, turned, None, "valid", 1, 1, 2)[0])


@pytest.mark.parametrize("dtype", ["float16", "float32", "int32"])
def test_dtypes_of_volumes(dtype):
    x = (sample((3, 2, 4, 5, 4)) * 8).round().astype(dtype)
    w = (sample((4, 2, 2, 3, 2), 1) * 8).round().astype(dtype)
    found = T.nnet.conv3d(x, w, filter_flip=False).eval()
    assert found.dtype == dtype
    wanted = definition(x.astype("float64"), w.astype("float64"), None, "valid", 1, 1, 1)[0]
    np.testing.assert_array_equal(found, wanted)


def test_volumes_that_are_views():
    x, w = (T.TensorType("float64", (None,) * 5)(n) for n in "xw")
    y = T.nnet.conv3d(x.dimshuffle(4, 3, 2, 0, 1)[:, :, ::-1, 1:], w[::2], filter_flip=False)
    a, b = sample((5, 4, 6, 3, 9)), sample((5, 3, 2, 3, 2), 1)
    view = a.transpose(4, 3, 2, 0, 1)[:, :, ::-1, 1:]
    found = graphc.function([x, w], y)(a, b)
    np.testing.assert_allclose(found, definition(view, b[::2], None, "valid", 1, 1, 1)[0])


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_transposed_convolutions_and_gradients_by_name(axes):
    x, w = sample((2, 3, 7, 6, 4)[: axes + 2]), sample((4, 3, 3, 2, 2)[: axes + 2], 1)
    _, dx, dw, g = definition(x, w, None, 1, 2, 1, 1)
    nnet = T.nnet.abstract_conv
    case = {"border_mode": 1, "filter_flip": False}
    stride = 2 if axes == 1 else (2,) * axes
    up = getattr(nnet, f"conv{axes}d_transpose")(g, w, x.shape, input_dilation=stride, **case)
    case["subsample"] = stride
    inputs = getattr(nnet, f"conv{axes}d_grad_wrt_inputs")(g, w, T.constant(x).shape, **case)
    weights = getattr(nnet, f"conv{axes}d_grad_wrt_weights")(x, g, w.shape, **case)
    found = [up, inputs, weights]
    wanted = [dx, dx, dw]
    if axes > 1:
        of = [getattr(nnet, f"AbstractConv{axes}d_grad{n}") for n in ("Inputs", "Weights")]
        case |= {"imshp": x.shape, "kshp": w.shape}
        found += [of[0](**case)(w, g, x.shape[2:]), of[1](**case)(x, g)]
        wanted += [dx, dw]
        forward = getattr(nnet, f"AbstractConv{axes}d")(**case)(x, w)
        assert forward.type.shape == nnet.get_conv_output_shape(x.shape, w.shape, 1, stride)
    for a, b in zip(graphc.function([], found)(), wanted):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


# --- made of them ---------------------------------------------------------------------


@pytest.mark.parametrize("multiplier", [1, 3])
def test_depthwise_and_separable(multiplier):
    x, w = sample((3, 4, 6, 5)), sample((4 * multiplier, 1, 3, 2), 1)
    point = sample((5, 4 * multiplier, 1, 1), 2)
    turned = w[:, :, ::-1, ::-1]
    inner = definition(x, turned, None, "half", (2, 1), 1, 4)[0]
    case = {"border_mode": "half", "subsample": (2, 1)}
    deep = T.nnet.depthwise_conv2d(x, w, **case)
    whole = T.nnet.separable_conv2d(x, w, point, **case)
    np.testing.assert_allclose(deep.eval(), inner)
    wanted = definition(inner, point, None, "valid", 1, 1, 1)[0]
    np.testing.assert_allclose(whole.eval(), wanted)
    flat = [v[:, :, None] for v in (x, w, point)]
    volumes = T.nnet.separable_conv3d(*flat, border_mode="half", subsample=(1, 2, 1))
    np.testing.assert_allclose(volumes.eval()[:, :, 0], wanted)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_groups_of_one_channel_go_plane_by_plane_where_images_are_few(dtype):
    x, w, g = (T.TensorType(dtype, (None,) * 4)(n) for n in "xwg")
    number, tolerance = T.lscalar("number"), 1e-4 if dtype == "float32" else 1e-11
    cases = [("valid", 1, 1), ("half", (2, 3), 1), ("full", 1, (1, 2)), (((0, 2), (1, 0)), 2, 2)]
    for border, stride, dilation in cases[:: 1 if dtype == "float64" else 2]:
        part = x[number : number + 2].dimshuffle(0, 1, 3, 2)
        y = T.nnet.conv2d(part, w, filter_flip=False, border_mode=border, subsample=stride,
                          filter_dilation=dilation, num_groups=4)  # fmt: skip
        wrt = graphc.grad(None, [part, w], known_grads={y: g})
        f = graphc.function([x, w, g, number], [y, *wrt])
        for width, multiplier in ((8, 1), (19, 3)):
            images = sample((5, 4, width, 7)).astype(dtype)
            filters = sample((4 * multiplier, 1, 3, 2), 1).astype(dtype)
            few = images[2:4].transpose(0, 1, 3, 2).astype("float64")
            wide = filters.astype("float64")
            *wanted, seed = definition(few, wide, None, border, stride, dilation, 4)
            for found, array in zip(f(images, filters, seed.astype(dtype), 2), wanted):
                np.testing.assert_allclose(found, array, rtol=tolerance, atol=tolerance)
            assert [s.routine for s in f.plan.steps].count("depthwise") == 3


def test_causal_convolution_sees_no_later_time():
    x, w = T.dtensor3("x"), sample((3, 2, 3), 1)
    y = T.nnet.causal_conv1d(x, w, filter_dilation=2, subsample=2)
    f = graphc.function([x], y)
    a = sample((2, 2, 9))
    later = a.copy()
    later[:, :, 5:] += 1
    assert f(a).shape == (2, 3, 5)
    np.testing.assert_array_equal(f(a)[..., :3], f(later)[..., :3])
    np.testing.assert_allclose(f(a)[:, :, 4], np.einsum("nck,ock->no", a[..., 4::2], w[..., ::-1]))


def test_older_spellings():
    x, w = sample((2, 3, 6, 5)), sample((4, 3, 3, 2), 1)
    wanted = definition(x, w[..., ::-1, ::-1], None, "full", (2, 1), 1, 1)[0]
    legacy = T.nnet.conv
    found = legacy.conv2d(x, w, x.shape, w.shape, "full", (2, 1), unroll_batch=None).eval()
    np.testing.assert_allclose(found, wanted)
    np.testing.assert_allclose(legacy.ConvOp(dx=2, output_mode="full")(x, w).eval(), wanted)
    volumes, filters = sample((2, 4, 4, 5, 6)), sample((7, 4, 4, 3, 3), 1)
    by_time = T.nnet.conv3d2d.conv3d(volumes, filters).eval()
    swapped = filters.transpose(0, 2, 1, 3, 4)[..., ::-1, ::-1, ::-1]
    wanted = definition(volumes.transpose(0, 2, 1, 3, 4), swapped, None, "valid", 1, 1, 1)[0]
    np.testing.assert_allclose(by_time, wanted.transpose(0, 2, 1, 3, 4))
    by_channel = definition(volumes, filters, None, "valid", (2, 1, 1), 1, 1)[0]
    ends = [v.transpose(0, 2, 3, 4, 1) for v in (volumes, filters)]
    found = T.nnet.conv3D(*ends, np.arange(7.0), (2, 1, 1)).eval()
    np.testing.assert_allclose(found, by_channel.transpose(0, 2, 3, 4, 1) + np.arange(7.0))


@pytest.mark.parametrize("images", [(), (2,)])
@pytest.mark.parametrize("filters", [(), (3,)])
def test_signals_without_channels(images, filters):
    x, w = sample((*images, 5, 6)), sample((*filters, 2, 3), 1)
    stack = x.reshape(-1, 1, 5, 6), w.reshape(-1, 1, 2, 3)[..., ::-1, ::-1]
    wanted = definition(*stack, None, "full", 1, 1, 1)[0].reshape(*images, *filters, 6, 8)
    np.testing.assert_allclose(T.signal.conv.conv2d(x, w, border_mode="full").eval(), wanted)


# --- unshared -------------------------------------------------------------------------


@pytest.mark.parametrize("border, stride, dilation, groups", [
    ("valid", (1, 1), (1, 1), 1), ("half", (2, 1), (1, 2), 2), (((0, 2), (1, 0)), (1, 2), 1, 2),
])  # fmt: skip
def test_unshared_filters(border, stride, dilation, groups):
    x, size = sample((2, 4, 5, 6)), (3, 2)
    pads, made, found = windows(x, size, border, stride, dilation, 6, groups)
    wide = np.pad(x, ((0, 0), (0, 0), *pads))
    w = sample((6, *made, 4 // groups, *size), 1)
    wanted = np.zeros((2, 6, *made))
    for k, (i, j), window in found:
        wanted[:, k, i, j] = (wide[window] * w[k, i, j]).sum((1, 2, 3))
    case = {"border_mode": border, "subsample": stride, "filter_dilation": dilation,
            "num_groups": groups, "unshared": True}  # fmt: skip
    plain = T.nnet.conv2d(x, w, filter_flip=False, **case)
    assert plain.type.shape == wanted.shape
    np.testing.assert_allclose(plain.eval(), wanted)
    check_grad(lambda a, b: T.nnet.conv2d(a, b, **case), [x, w], order=2, mode="numpy")
    g = sample(wanted.shape, 2)
    gx = T.nnet.conv2d_grad_wrt_inputs(g, w, x.shape, **case).eval()
    gw = T.nnet.conv2d_grad_wrt_weights(x, g, w.shape, **case).eval()
    np.testing.assert_allclose((gw * w).sum(), (gx * x).sum())
    assert gw.shape == w.shape and gx.shape == x.shape


# --- errors ---------------------------------------------------------------------------


def test_errors_name_operands_and_say_what_to_do():
    x, w = T.TensorType("float32", (None, 4, 5, 5, 5))("volumes"), T.tensor5("filters")
    small = T.TensorType("float32", (8, 4, 7, 3, 3))("small")
    m = T.tensor4("images")
    nnet = T.nnet
    cases = [
        (lambda: nnet.conv3d(x, small), ShapeError, r"small.*\n?.*doesn't fit on an axis of 5"),
        (lambda: nnet.conv3d(x, small, num_groups=3), ShapeError, "times num_groups: 4 and 12"),
        (lambda: nnet.conv3d(m, w), ShapeError, r"images.*rank 4 is not 5"),
        (lambda: nnet.conv1d(m, w), ShapeError, r"images.*rank 4 is not 3"),
        (lambda: nnet.conv3d(x, w, subsample=(1, 2)), ArgumentError, "one or three integers"),
        (lambda: nnet.conv3d(x, w, border_mode="same"), ArgumentError, "'half' keeps the size"),
        (lambda: nnet.conv3d(x, w, border_mode=(-1, 0, 0)), ArgumentError, "at least 0"),
        (lambda: nnet.conv3d(x, w, num_groups=0), ArgumentError, "num_groups"),
        (lambda: nnet.conv3d(x, w, (None, 3, 5, 5, 5)), ShapeError, "input_shape says"),
        (lambda: nnet.depthwise_conv2d(m, T.tensor4()), ArgumentError, "give num_channels"),
        (lambda: nnet.depthwise_conv2d(m, T.TensorType("float32", (4, 2, 3, 3))("deep"), 4),
         ShapeError, "deep.*one channel each"),
        (lambda: nnet.separable_conv2d(np.ones((1, 2, 4, 4)), np.ones((2, 1, 2, 2)),
                                       np.ones((3, 2, 2, 1))), ShapeError, "not of size 1"),
        (lambda: nnet.causal_conv1d(T.tensor3(), T.tensor3("w")), ArgumentError, "filter_shape="),
        (lambda: nnet.conv3d_transpose(x, w, (2, 2)), ArgumentError, "2 sizes are given for 3"),
        (lambda: nnet.conv2d(np.ones((1, 2, 4, 4)), np.ones((3, 2, 3, 2, 2, 2)), unshared=True),
         ShapeError, "output height must be 3, and is 2"),
        (lambda: T.signal.conv.conv2d(m, T.matrix()), ShapeError, "rank of images.*neither 2"),
    ]  # fmt: skip
    for build, error, message in cases:
        with pytest.raises(error, match=message) as caught:
            build()
        assert isinstance(caught.value, GraphError) and "test_conv_axes" in str(caught.value)
    free = T.tensor5("free")
    f = graphc.function([free], T.nnet.conv3d(free, free.dimshuffle(1, 0, 2, 3, 4)))
    with pytest.raises(ShapeError, match="test_conv_axes"):
        f(np.zeros((1, 2, 3, 3, 3), free.dtype))
