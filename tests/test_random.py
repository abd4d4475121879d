"""Random streams: Philox's published numbers, state, modes, fusion, gradients, errors, names."""

import copy
import inspect
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from test_readme import python_program

import graphc
import graphc.tensor as T
from graphc.core.op import OPS
from graphc.drawing import mix
from graphc.ops import random as ops
from graphc.random import MRG_RandomStreams, RandomStream, RandomStreams
from graphc.testing import check_grad


@pytest.fixture(autouse=True)
def single_precision():
    with graphc.config(floatX="float32"):
        yield


def joined(low, high):
    return np.uint64(low | high << 32)


def in_both_modes(stream, inputs, outputs, *arguments):
    """What a function gives compiled and interpreted, from the same state."""
    before, found = stream.state.get_value(), []
    for mode in ("native", "numpy"):
        stream.state.set_value(before)
        found.append(graphc.function(inputs, outputs, mode=mode)(*arguments))
    return zip(*found, strict=True)


# Philox -----------------------------------------------------------------------------------------

# kat_vectors of Random123: counter, key, result.
PUBLISHED = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    ([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0],
     [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
]  # fmt: skip


@pytest.mark.parametrize("mode", ["native", "numpy"])
def test_philox_gives_the_published_words(mode):
    kinds = ("uint64", ()), ("uint64", ()), ("int64", (None,))
    where = [T.TensorType(*kind)() for kind in kinds]
    words = graphc.function(where, [op(*where) for op in ops.WORDS], mode=mode)
    for counter, key, expected in PUBLISHED:
        index = joined(*counter[:2]).astype("int64")
        found = words(joined(*key), joined(*counter[2:]), np.array([index]))
        assert [int(w[0]) for w in found] == expected


def test_unit_numbers_are_the_upper_bits():
    stream = RandomStream(3)
    single, double = stream.uniform((50,)), stream.uniform((50,), dtype="float64")
    key, _ = stream.state.get_value()
    a, b = graphc.function([], [single, double], mode="native")()
    w0, _, _, _ = ops.philox(key ^ np.uint64(mix(1)), 0, np.arange(50))
    np.testing.assert_array_equal(a, (w0 >> 8).astype("float32") / 2**24)
    w0, w1, _, _ = ops.philox(key ^ np.uint64(mix(2)), 0, np.arange(50))
    np.testing.assert_array_equal(b, ((w0 >> 5) * 2.0**26 + (w1 >> 6)) / 2**53)


# Modes and fusion -------------------------------------------------------------------------------


def test_modes_draw_the_same_numbers():
    stream = RandomStream(11)
    n, p = T.lscalar("n"), T.vector("p")
    exact = [
        stream.uniform((n, 7)), stream.uniform((2, 3, n), dtype="float64"), stream.uniform(()),
        stream.binomial((n, 3), p=p, dtype="float32"), stream.integers(-5, 9, (n,)),
        stream.permutation(n=n), stream.poisson((n,), 3.0), stream.gamma((n,), 2.0),
        stream.beta((n,), 2.0, 3.0), stream.binomial((n,), 10, 0.3), stream.choice((n,), a=p),
        stream.choice((n,), p=p), stream.choice((2,), a=n, replace=False),
        stream.multinomial(n=20, pvals=[[0.2, 0.8]]), stream.uniform((n, 4), dtype="float16"),
    ]  # fmt: skip
    close = [
        stream.normal((n, 7)), stream.normal((n,), dtype="float64"), stream.exponential((n, 7)),
        stream.truncated_normal((n, 7)), stream.gumbel((n, 7), dtype="float64"),
    ]  # fmt: skip
    given = np.array([0.1, 0.2, 0.9], "float32")
    pairs = list(in_both_modes(stream, [n, p], exact + close, 5, given))
    for k, (native, plain) in enumerate(pairs):
        assert native.dtype == plain.dtype and native.shape == plain.shape
        if k < len(exact):
            np.testing.assert_array_equal(native, plain)
        else:
            tolerance = 1e-6 if native.dtype == "float32" else 1e-14
            np.testing.assert_allclose(native, plain, tolerance, tolerance)


def test_a_number_does_not_depend_on_what_it_is_fused_with():
    def fresh():
        return RandomStream(5).uniform((33, 17))

    x = np.linspace(0, 1, 33 * 17).reshape(33, 17)
    alone = fresh().eval()
    np.testing.assert_array_equal((fresh() < x).eval(), alone < x)
    np.testing.assert_array_equal(fresh().T.eval(), alone.T)
    np.testing.assert_array_equal(fresh()[3:20:4, ::-2].eval(), alone[3:20:4, ::-2])
    np.testing.assert_array_equal(T.max(fresh(), axis=0).eval(), alone.max(0))
    np.testing.assert_array_equal(T.max(fresh(), axis=1).eval(), alone.max(1))
    np.testing.assert_array_equal(fresh().flatten().eval(), alone.ravel())


def test_a_dropout_mask_is_drawn_inside_the_kernel():
    x, stream = T.matrix("x"), RandomStream(1)
    drop = graphc.function([x], T.tanh(x) * stream.binomial(x.shape, p=0.5, dtype=x.dtype))
    value = drop(np.ones((40, 30), "float32"))
    assert 0.4 < (value != 0).mean() < 0.6
    (kernel,) = [k for k in drop.kernels if "philox" in k.source]
    assert "tanh" in kernel.source
    drop(np.ones((4, 5), "float32"))
    assert len([k for k in drop.kernels if "philox" in k.source]) == 1


def test_draws_of_one_function_are_independent():
    stream = RandomStream(2)
    a, b = graphc.function([], [stream.normal((20000,)), stream.normal((20000,))])()
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.03
    u = stream.uniform((5,))
    twice = graphc.function([], [u, u + 0])()
    np.testing.assert_array_equal(*twice)


def test_numbers_beyond_the_first_32_bits_of_positions_differ():
    where = [np.uint64(1), np.uint64(2), np.array([5, 5 + 2**32], "int64")]
    assert len(set(ops.philox(*where)[0])) == 2


# State ------------------------------------------------------------------------------------------


def test_calls_advance_the_state_and_seeds_start_again():
    stream = RandomStream(42)
    u = stream.uniform((3,))
    step = graphc.function([], u)
    first, second = step(), step()
    assert (first != second).all() and stream.state.get_value()[1] == 2
    stream.seed()
    np.testing.assert_array_equal(step(), first)
    stream.seed(43)
    other = step()
    assert (other != first).all()
    stream.seed(42)
    np.testing.assert_array_equal(step(), first)
    np.testing.assert_array_equal(graphc.function([], RandomStream(42).uniform((3,)))(), first)


def test_no_default_updates_holds_still():
    stream = RandomStream(42)
    still = graphc.function([], stream.uniform((3,)), no_default_updates=True)
    np.testing.assert_array_equal(still(), still())
    given = graphc.function([], stream.uniform((3,)), updates=stream.updates())
    assert (given() != given()).all() and stream.state.get_value()[1] == 2


def test_a_saved_state_goes_on_where_it_was(tmp_path):
    stream = RandomStream(42)
    step = graphc.function([], stream.normal((4,)))
    step()
    np.save(tmp_path / "state.npy", stream.state.get_value())
    following = [step() for _ in range(3)]
    stream.state.set_value(np.load(tmp_path / "state.npy"))
    np.testing.assert_array_equal([step() for _ in range(3)], following)


def test_streams_and_functions_survive_pickling():
    stream = RandomStream(42)
    draw = stream.uniform((3,))
    step = graphc.function([], draw)
    step()
    again = pickle.loads(pickle.dumps(step))
    np.testing.assert_array_equal(again(), step())
    twin = copy.deepcopy(stream)
    assert (twin.state.get_value() == stream.state.get_value()).all()
    assert twin.draws == stream.draws
    np.testing.assert_array_equal(twin.normal((2,)).eval(), stream.normal((2,)).eval())


def test_a_later_call_draws_other_dropout_masks_in_training():
    stream, rng = RandomStream(7), np.random.RandomState(0)
    data = rng.uniform(-1, 1, (200, 10)).astype("float32")
    target = (data @ rng.uniform(-1, 1, 10) > 0).astype("float32")
    x, y = T.matrix("x"), T.vector("y")
    W = graphc.shared(rng.uniform(-0.3, 0.3, (10, 32)).astype("float32"))
    v = graphc.shared(rng.uniform(-0.3, 0.3, 32).astype("float32"))
    hidden = T.tanh(T.dot(x, W))
    mask = stream.binomial(hidden.shape, p=0.5, dtype="float32")
    loss = T.mean(T.nnet.binary_crossentropy(T.nnet.sigmoid(T.dot(hidden * mask * 2, v)), y))
    updates = [(p, p - 0.5 * g) for p, g in zip((W, v), graphc.grad(loss, [W, v]))]
    step = graphc.function([x, y], loss, updates=updates)
    losses = [float(step(data, target)) for _ in range(200)]
    predict = graphc.function([x], T.dot(hidden, v) > 0)
    assert np.mean(losses[-20:]) < 0.5 * losses[0]
    assert (predict(data) == target).mean() > 0.9
    assert stream.state.get_value()[1] == 200


# Types, gradients -------------------------------------------------------------------------------


def test_types_know_what_they_can():
    stream, n = RandomStream(1), T.lscalar("n")
    x, size = T.matrix("x"), T.lvector("size")
    shape = stream.normal((2, n, 3)).type.shape
    assert shape == (2, None, 3)
    assert stream.uniform(x.shape).type.shape == (None, None)
    assert stream.uniform(low=x).type == T.TensorType("float32", (None, None))
    assert stream.uniform(size, ndim=2).eval({size: [3, 4]}).shape == (3, 4)
    assert stream.normal(avg=T.vector(), std=T.col()).type.shape == (None, None)
    assert stream.normal(dtype="float64").type == T.TensorType("float64", ())
    assert stream.multinomial(pvals=x).type.shape == (None, None)
    assert stream.categorical(x).type == T.TensorType("int64", (None,))
    assert stream.permutation((2,), n=4).type.shape == (2, 4)
    assert stream.shuffle_row_elements(x).type == x.type
    assert stream.binomial((3,), dtype="floatX").dtype == "float32"


@pytest.mark.parametrize("size", [0, (0, 3), (3, 0), ()])
def test_empty_and_single_draws(size):
    stream = RandomStream(1)
    shape = size if isinstance(size, tuple) else (size,)
    for draw in (stream.uniform, stream.normal, stream.binomial, stream.poisson):
        assert draw(size).eval().shape == shape


@pytest.mark.parametrize("name", ["uniform", "normal", "gumbel", "truncated_normal"])
def test_gradients_pass_through_location_and_scale(name):
    def build(a, b):
        stream = RandomStream(4)
        stream.state.default_update = None
        return getattr(stream, name)((3, 2), a, b)

    check_grad(build, [np.array([0.3, 0.4]), np.array([[1.5], [0.7], [2.0]])])


def test_gradients_pass_through_scales():
    def build(name):
        def draw(scale):
            stream = RandomStream(4)
            stream.state.default_update = None
            return getattr(stream, name)((3,), scale=scale)

        return draw

    check_grad(build("exponential"), [np.array([0.3, 1.0, 2.0])])
    check_grad(build("gamma"), [np.array([0.3, 1.0, 2.0])])


def test_no_gradient_passes_through_discrete_draws():
    stream, p = RandomStream(4), T.vector("p")
    for draw in (stream.binomial((3,), p=p, dtype="float32"), stream.multinomial(pvals=p),
                 stream.poisson(lam=p, dtype="float32"), stream.categorical(p)):  # fmt: skip
        with pytest.raises(graphc.GraphError, match="discrete"):
            graphc.grad(T.cast(draw, "float32").sum(), p)
    with pytest.raises(graphc.GraphError, match="random_gamma has no gradient"):
        graphc.grad(stream.gamma(shape=p).sum(), p)


# Errors -----------------------------------------------------------------------------------------

MISTAKES = {
    "low must not be above high, not low = 2.0, high = 1.0": lambda s: s.uniform((2,), 2.0, 1.0),
    "std must not be negative": lambda s: s.normal((2,), std=-1),
    "p must lie in [0, 1], not p = 1.5": lambda s: s.binomial((2,), p=1.5),
    "n must not be negative": lambda s: s.binomial((2,), n=-3),
    "low must be below high": lambda s: s.integers(3, 3, (2,)),
    "is not an integer": lambda s: s.integers(T.scalar("a"), 9, (2,)),
    "probabilities must not be negative": lambda s: s.multinomial(pvals=[0.5, -0.5]),
    "not the probabilities of classes": lambda s: s.categorical(T.scalar("p")),
    "size -1 is negative": lambda s: s.uniform((2, -1)),
    "ndim=3, but the size has 2 entries": lambda s: s.uniform((2, 1), ndim=3),
    "does not broadcast to the size (2, 3)": lambda s: s.normal((2, 3), avg=np.zeros(4)),
    "must be an integer": lambda s: s.normal((2.5,)),
    "is not known, so neither is the rank": lambda s: s.normal(T.lvector("size")),
    "dtype int32 can't hold them": lambda s: s.normal((2,), dtype="int32"),
    "5 different ones out of 3": lambda s: s.choice((5,), a=3, replace=False),
    "lam must not be negative": lambda s: s.poisson((2,), -1.0),
    "is complex": lambda s: s.normal((2,), avg=T.zscalar("z")),
    "a seed is an integer": lambda s: s.seed("abc"),
}  # fmt: skip


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_are_told_with_the_users_line(message):
    with pytest.raises(graphc.GraphError) as caught:
        MISTAKES[message](RandomStream(1))
    assert message in str(caught.value)
    assert "test_random.py" in str(caught.value)


@pytest.mark.parametrize("mode", ["native", "numpy"])
def test_parameters_that_turn_out_wrong_are_told(mode):
    lam = T.vector("lam")
    draw = graphc.function([lam], RandomStream(1).poisson(lam=lam), mode=mode)
    with pytest.raises(graphc.GraphError, match="(?s)lam < 0.*test_random.py.*hint") as caught:
        draw(np.array([-1.0], "float32"))
    assert "RandomStream(1).poisson(lam=lam)" in str(caught.value)
    n, p = T.lscalar("n"), T.vector("p")
    f = graphc.function([n, p], RandomStream(1).binomial((2,), n=n, p=p), mode=mode)
    for wrong in ((-1, [0.5, 0.5]), (3, [0.5, 1.5])):
        with pytest.raises(graphc.GraphError, match="(?s)binomial: .*test_random.py"):
            f(*wrong)


@pytest.mark.parametrize("mode", ["native", "numpy"])
def test_draws_on_the_host_are_numpys_for_the_key_and_the_call(mode):
    stream = RandomStream(7)
    draws = [
        stream.poisson((20,), 3.0), stream.gamma((20,), 2.0, dtype="float64"),
        stream.beta((20,), 2.0, 3.0, dtype="float64"), stream.binomial((20,), 10, 0.3),
        stream.permutation(n=20), stream.multinomial((3,), 20, [0.2, 0.8]),
    ]  # fmt: skip
    f = graphc.function([], draws, mode=mode)
    stream.state.set_value(np.array([123, 45], "uint64"))
    assert stream.draws == len(draws)
    for call in (45, 46):
        rngs = [
            np.random.Generator(
                np.random.Philox(key=np.array([123 ^ mix(k), 0], "uint64"), counter=[0, 0, 0, call])
            )
            for k in range(1, 7)
        ]
        expected = [
            rngs[0].poisson(np.full(20, 3.0)), rngs[1].standard_gamma(2.0, 20),
            rngs[2].beta(2.0, 3.0, 20), rngs[3].binomial(10, 0.3, 20),
            np.argsort(rngs[4].standard_exponential(20), kind="stable"),
            rngs[5].multinomial(20, [0.2, 0.8], 3),
        ]  # fmt: skip
        for found, wanted in zip(f(), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


# Names ------------------------------------------------------------------------------------------

THEANO = {
    "uniform": "size low high ndim dtype", "normal": "size avg std ndim dtype",
    "binomial": "size n p ndim dtype", "multinomial": "size n pvals ndim dtype",
    "choice": "size a replace p ndim dtype", "poisson": "size lam ndim dtype",
    "permutation": "size n ndim dtype", "random_integers": "size low high ndim dtype",
    "shuffle_row_elements": "input", "truncated_normal": "size avg std ndim dtype",
}  # fmt: skip


@pytest.mark.parametrize("name", THEANO)
def test_parameters_have_theanos_names_and_order(name):
    found = list(inspect.signature(getattr(RandomStreams, name)).parameters)[1:]
    assert found[: len(THEANO[name].split())] == THEANO[name].split()


def test_programs_find_streams_under_theanos_paths():
    from graphc.sandbox.rng_mrg import MRG_RandomStreams as by_sandbox
    from graphc.tensor.shared_randomstreams import RandomStreams as by_tensor

    assert by_sandbox is MRG_RandomStreams and by_tensor is RandomStreams
    assert graphc.sandbox.rng_mrg.MRG_RandomStreams(seed=[1, 2, 3, 4, 5, 6]).seed() is None
    srng = T.shared_randomstreams.RandomStreams(seed=234)
    rv_u, rv_n = srng.uniform((2, 2)), srng.normal((2, 2))
    f = graphc.function([], rv_u)
    g = graphc.function([], rv_n, no_default_updates=True)
    nearly_zeros = graphc.function([], rv_u + rv_u - 2 * rv_u)
    assert (f() != f()).all() and (g() == g()).all() and not nearly_zeros().any()
    assert rv_u.rng is srng.state and srng.state_updates[0][0] is rv_u.update[0]


def test_the_page_about_random_numbers_does_what_it_says():
    text = (Path(__file__).parent.parent / "docs" / "random.md").read_text("utf-8")
    exec(compile(python_program(text), "random.md", "exec"), {"__name__": "random_page"})
    draws = {
        name for name, method in inspect.getmembers(RandomStream, inspect.isfunction)
        if method.__annotations__.get("return") == "Variable" and name[0] != "_"
    }  # fmt: skip
    table = text.split("## Draws")[1].split("## Theano")[0]
    assert draws <= set(re.findall(r"`(\w+)`", table)), "each draw is in the page's table"


def test_every_random_op_has_a_formula():
    found = [op for op in OPS.values() if "random" in op.facts]
    assert len(found) > 15 and all(op.formula for op in found)
