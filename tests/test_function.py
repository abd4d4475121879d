"""Compiled functions: what goes in, what comes out, what is updated, what replaces what."""

import copy
import pickle
from collections import OrderedDict

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc.core.errors import ArgumentError, DTypeError


@pytest.fixture(autouse=True)
def numpy_mode():
    with graphc.config(mode="numpy", floatX="float64"):
        yield


def values(results):
    return [np.asarray(r).tolist() for r in results]


# Outputs ----------------------------------------------------------------------------------------


def test_results_come_in_the_form_of_the_outputs():
    x = T.dvector("x")
    arg = [1.0, 2.0]
    one = graphc.function([x], 2 * x)(arg)
    assert type(one) is np.ndarray and one.tolist() == [2.0, 4.0]
    several = graphc.function([x], [2 * x, x.sum()])(arg)
    assert type(several) is list and values(several) == [[2.0, 4.0], 3.0]
    assert graphc.function([x], (x,))(arg)[0].tolist() == arg
    assert graphc.function([x], [], on_unused_input="ignore")(arg) == []
    assert graphc.function([x], None, on_unused_input="ignore")(arg) is None
    assert graphc.function([x], on_unused_input="ignore")(arg) is None
    named = graphc.function([x], {"double": 2 * x, "total": x.sum()})(arg)
    assert list(named) == ["double", "total"] and float(named["total"]) == 3.0
    assert values(graphc.function([x], [x, x])(arg)) == [arg, arg]


def test_scalars_come_as_arrays_of_rank_zero():
    x = T.fvector("x")
    for output, dtype in [(x.sum(), "float32"), (x[0], "float32"), (x.argmax(), "int64")]:
        result = graphc.function([x], output)(np.ones(3, "float32"))
        assert type(result) is np.ndarray and result.shape == () and result.dtype == dtype


def test_outputs_are_memory_of_their_own():
    x = T.dmatrix("x")
    s = graphc.shared(np.arange(6.0).reshape(2, 3), name="s")
    outputs = [x, x.T, x[0], x.reshape((6,)), s, s.T, s[1], T.zeros((2, 3)), x + 1, (x + 1).T, x]
    f = graphc.function([x], outputs)
    given = np.ones((2, 3))
    found = f(given)
    for k, result in enumerate(found):
        assert result.flags.writeable
        others = [given, s.get_value(borrow=True), *found[:k], *found[k + 1 :]]
        assert not any(np.shares_memory(result, other) for other in others)
    constant = graphc.function([], T.constant(np.ones(3)))
    constant()[:] = 5
    assert constant().tolist() == [1, 1, 1]


def test_borrowed_outputs_may_be_views():
    x = T.dmatrix("x")
    given = np.ones((2, 3))
    f = graphc.function([graphc.In(x, borrow=True)], graphc.Out(x.T, borrow=True))
    assert np.shares_memory(f(given), given)


# Inputs -----------------------------------------------------------------------------------------


def test_arguments_go_by_position_by_name_and_by_default():
    x, y, w = T.dscalars("x", "y", "w")
    f = graphc.function([x, graphc.In(y, value=1.0), graphc.In(w, value=2, name="w_by_name")],
                        (x + y) * w)  # fmt: skip
    assert float(f(33.0)) == 68
    assert float(f(33.0, 2.0)) == 70
    assert float(f(33.0, 0, 1)) == 33
    assert float(f(33.0, w_by_name=1.0)) == 34
    assert float(f(33.0, w_by_name=1.0, y=0.0)) == 33
    assert float(f(y=1, x=0)) == 2
    assert float(f["y"]) == 1
    f["y"] = 10.0
    assert float(f(0.0)) == 20 and float(f[y]) == 10
    with pytest.raises(KeyError, match="no default"):
        _ = f["x"]
    with pytest.raises(KeyError, match="no input 'q'"):
        _ = f["q"]


def test_a_shared_variable_can_be_a_default():
    x, y = T.dscalars("x", "y")
    s = graphc.shared(5.0, name="s")
    for default in (s, s.container):
        s.set_value(5.0)
        f = graphc.function([x, graphc.In(y, value=default)], x * y)
        assert float(f(2.0)) == 10
        s.set_value(7.0)
        assert float(f(2.0)) == 14 and float(f(2.0, 1.0)) == 2


def test_inputs_can_have_a_state():
    x, total = T.dscalars("x", "total")
    f = graphc.function([x, graphc.In(total, value=10.0, update=total + x)], total)
    assert [float(f(1.0)) for _ in range(3)] == [10, 11, 12]
    assert float(f(1.0, 100.0)) == 100 and float(f["total"]) == 101
    s = graphc.shared(1.0)
    graphc.function([x, graphc.In(total, value=s, update=total * x)], [])(3.0)
    assert float(s.get_value()) == 3
    g = copy.copy(f)
    f(1.0)
    assert float(f["total"]) == 102 and float(g["total"]) == 101


@pytest.mark.parametrize(
    ("dtype", "value", "allowed"),
    [
        # exact conversions are always fine; None lets numbers lose digits, True everything
        ("float32", np.float32(0.1), {None, True, False}),
        ("float32", 0.5, {None, True, False}),
        ("float32", 0.1, {None, True}),
        ("float32", np.float64(0.1), {None, True}),
        ("float32", np.array(0.1), {True}),
        ("float32", 3, {None, True, False}),
        ("float32", np.array(3), {None, True, False}),
        ("float32", np.array(2**24 + 1), {True}),
        ("float32", True, {None, True, False}),
        ("float64", np.float32(0.1), {None, True, False}),
        ("int32", 3.0, {None, True, False}),
        ("int32", 3.5, {True}),
        ("int32", np.array(3.0), {True}),
        ("int32", np.array(3), {None, True, False}),
        ("int8", 300, {True}),
        ("int8", np.array(300), {True}),
        ("uint8", -1, {True}),
        ("float32", float("nan"), {None, True, False}),
        ("bool", np.array(True), {None, True, False}),
    ],
)
def test_which_arguments_may_lose_precision(dtype, value, allowed):
    x = T.tensor(dtype, (), "x")
    for policy in (None, True, False):
        f = graphc.function([x], x, allow_input_downcast=policy)
        if policy in allowed:
            assert f(value).dtype == dtype
        else:
            with pytest.raises(DTypeError, match="`x`"):
                f(value)
    strict = graphc.function([graphc.In(x, strict=True)], x)
    exact = isinstance(value, np.ndarray | np.generic) and value.dtype == dtype
    if not exact and not (dtype == "bool" or np.asarray(value).dtype == dtype):
        with pytest.raises(DTypeError, match="strict"):
            strict(value)


def test_lists_and_foreign_layouts_are_taken():
    x = T.fmatrix("x")
    f = graphc.function([x], x * 2)
    expected = np.arange(6, dtype="float32").reshape(2, 3)
    for given in (
        [[0, 1, 2], [3, 4, 5]],
        [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]],
        np.asfortranarray(expected),
        expected.astype(">f4"),
        np.repeat(expected, 2, axis=1)[:, ::2],
        np.arange(6, dtype="int32").reshape(2, 3),
        expected.astype("float16"),
    ):
        assert f(given).dtype == np.dtype("float32") and (f(given) == 2 * expected).all()
    with graphc.config(allow_input_downcast=True):
        relaxed = graphc.function([x], x)
    assert relaxed(np.full((1, 1), 0.1)).dtype == "float32"


# Updates ----------------------------------------------------------------------------------------


def test_updates_in_every_form():
    a, b = graphc.shared(1.0, name="a"), graphc.shared(2.0, name="b")
    x = T.dscalar("x")
    pairs = [(a, a + x), (b, b + a)]
    forms = [
        pairs, tuple(pairs), dict(pairs), OrderedDict(pairs), dict(pairs).items(),
        [pairs[0]] + [pairs[1]], [list(p) for p in pairs], iter(pairs),
    ]  # fmt: skip
    for form in forms:
        a.set_value(1.0)
        b.set_value(2.0)
        f = graphc.function([x], a * b, updates=form)
        assert float(f(10.0)) == 2.0
        assert (float(a.get_value()), float(b.get_value())) == (11.0, 3.0)
    assert list(f.updates) == [a, b]


def test_updates_read_the_values_before_the_call():
    a, b = graphc.shared(np.array([1.0, 2.0])), graphc.shared(np.array([3.0, 4.0]))
    swap = graphc.function([], [a, b], updates=[(a, b), (b, a)])
    assert values(swap()) == [[1, 2], [3, 4]]
    assert values([a.get_value(), b.get_value()]) == [[3, 4], [1, 2]]
    shift = graphc.function([], a, updates=[(a, T.set_subtensor(a[1:], a[:-1]))])
    shift()
    assert a.get_value().tolist() == [3, 3]


def test_updates_take_numbers_and_change_sizes():
    a = graphc.shared(np.zeros(2, "float32"))
    n = T.lscalar("n")
    grow = graphc.function([n], a.shape[0], updates=[(a, T.ones((n,), "float32"))])
    assert [int(grow(k)) for k in (5, 3, 4)] == [2, 5, 3]
    s = graphc.shared(np.float32(3))
    graphc.function([], updates=[(s, 0.1)])()
    assert s.get_value().dtype == "float32" and abs(float(s.get_value()) - 0.1) < 1e-6


def test_a_failing_call_updates_nothing():
    a, b = graphc.shared(np.zeros(3)), graphc.shared(np.zeros(3))
    x, i = T.dvector("x"), T.lscalar("i")
    f = graphc.function([x, i], x[i], updates=[(a, a + 1), (b, b + x)])
    for arguments in (([1.0, 2.0, 3.0], 7), ([1.0, 2.0], 0)):
        with pytest.raises(graphc.GraphError):
            f(*arguments)
    assert values([a.get_value(), b.get_value()]) == [[0, 0, 0]] * 2


def test_default_updates_are_applied_unless_told_otherwise():
    a, b = graphc.shared(1.0, name="a"), graphc.shared(10.0, name="b")
    a.default_update = a + b
    b.default_update = b * 2
    x = T.dscalar("x")

    def run(**options):
        a.set_value(1.0)
        b.set_value(10.0)
        f = graphc.function([x], x * a, **options)
        f(1.0)
        return float(a.get_value()), float(b.get_value())

    assert run() == (11, 20)
    assert run(no_default_updates=True) == (1, 10)
    assert run(no_default_updates=[a]) == (1, 10)
    assert run(no_default_updates=[b]) == (11, 10)
    assert run(updates=[(a, a - 1)]) == (0, 10)
    assert run(givens={a: 3.0}) == (1, 10)
    assert run(givens={x: b}, on_unused_input="ignore") == (11, 20)


# Givens -----------------------------------------------------------------------------------------


def test_givens_replace_inputs_shared_variables_and_expressions():
    x, y = T.dvectors("x", "y")
    s = graphc.shared(np.array([1.0, 2.0]), name="s")
    h = x * 2
    out = h + s
    ones = np.ones(2)
    assert values([graphc.function([y], out, givens={x: y + 1})(ones)]) == [[5, 6]]
    assert values([graphc.function([y], out, givens=[(h, y)])(ones)]) == [[2, 3]]
    assert values([graphc.function([x, y], out, givens=[(s, y * 10)])(ones, ones)]) == [[12, 12]]
    assert values([graphc.function([], out, givens={x: np.zeros(2)})()]) == [[1, 2]]
    assert values([graphc.function([x], out, givens={x: x * x})([3.0, 4.0])]) == [[19, 34]]
    chained = graphc.function([y], out, givens=[(x, y), (s, x * 100)])
    assert values([chained(ones)]) == [[102, 102]]


def test_givens_reach_updates_and_default_updates():
    x, y = T.dscalars("x", "y")
    s, t = graphc.shared(0.0), graphc.shared(0.0)
    t.default_update = t + x
    graphc.function([y], x + t, updates=[(s, s + x)], givens={x: 2 * y})(3.0)
    assert (float(s.get_value()), float(t.get_value())) == (6, 6)


def test_the_minibatch_idiom():
    rng = np.random.RandomState(0)
    data = graphc.shared(rng.rand(10, 3), name="X")
    labels = T.cast(graphc.shared(np.arange(10.0), name="Y"), "int32")
    x, y, index = T.dmatrix("x"), T.ivector("y"), T.lscalar("index")
    w = graphc.shared(np.zeros((3, 10)), name="w")
    cost = T.nnet.categorical_crossentropy(T.nnet.softmax(T.dot(x, w)), y).mean()
    rows = slice(index * 4, (index + 1) * 4)
    train = graphc.function(
        inputs=[index],
        outputs=cost,
        updates=[(w, w - 0.5 * graphc.grad(cost, w))],
        givens={x: data[rows], y: labels[rows]},
    )
    costs = [float(train(k)) for _ in range(5) for k in range(3)]
    assert abs(costs[0] - np.log(10)) < 1e-9 and costs[-1] < costs[2] < costs[1] + 1


# The function itself ----------------------------------------------------------------------------


def test_a_function_shows_what_it_is_made_of():
    x = T.dvector("x")
    w, v = graphc.shared(np.zeros(2), name="w"), graphc.shared(1.0, name="v")
    f = graphc.function([x], [x * w], updates=[(w, w + v)], name="train")
    assert f.name == "train" and f.inputs == [x] and len(f.outputs) == 1
    assert set(f.get_shared()) == {w, v} and list(f.updates) == [w]
    assert f.graph.inputs == (x,) and f.graph.outputs[0] is f.outputs[0]
    assert repr(f) == "<Function train(x: float64[?]) -> mul: float64[?], updates 1>"
    with pytest.raises(AttributeError, match="mode 'numpy'"):
        _ = f.kernels


def test_copies_share_or_swap_shared_variables():
    x = T.dscalar("x")
    a, b = graphc.shared(1.0, name="a"), graphc.shared(100.0, name="b")
    f = graphc.function([x], a, updates=[(a, a + x)], name="f")
    g = f.copy(swap={a: b}, name="g")
    assert (float(g(1.0)), float(f(2.0)), g.name, f.name) == (100, 1, "g", "f")
    assert (float(a.get_value()), float(b.get_value())) == (3, 101)
    still = f.copy(delete_updates=True, share_memory=True)
    assert still.updates == {} and [float(still(1.0)) for _ in range(2)] == [3, 3]
    same = copy.copy(f)
    same(1.0)
    assert float(a.get_value()) == 4 and same.get_shared() == [a]
    with pytest.raises(ArgumentError, match="same type"):
        f.copy(swap={a: graphc.shared(np.zeros(2))})
    with pytest.raises(ArgumentError, match="does not use"):
        f.copy(swap={b: a})


def test_deep_copies_and_pickles_have_state_of_their_own():
    x = T.dscalar("x")
    a = graphc.shared(1.0, name="a")
    f = graphc.function([x], a, updates=[(a, a + x)], name="f")
    for twin in (copy.deepcopy(f), pickle.loads(pickle.dumps(f))):
        assert [float(twin(1.0)) for _ in range(3)] == [1, 2, 3]
        assert twin.name == "f" and twin.get_shared()[0].name == "a"
    assert float(a.get_value()) == 1


def test_eval_compiles_once_and_applies_default_updates():
    x, y = T.dscalars("x", "y")
    z = x + y
    assert float(z.eval({x: 16.3, y: 12.1})) == 16.3 + 12.1
    assert float(z.eval({y: 2, x: 1})) == 3.0
    assert float(z.eval({x: 1, y: 2})) == 3.0 and len(z._compiled) == 2
    s = graphc.shared(0)
    s.default_update = s + 1
    assert [int((s).eval()) for _ in range(3)] == [0, 1, 2]
    assert T.constant([1, 2]).eval().tolist() == [1, 2]


def test_clone_replaces_and_copies():
    x, y = T.dvectors("x", "y")
    s = graphc.shared(np.ones(2))
    z = (x + s).sum()
    assert float(graphc.clone(z, replace={x: y * 2}).eval({y: [1.0, 2.0]})) == 8
    assert float(graphc.clone(z, {x: s * 2}).eval()) == 6
    own = graphc.clone([z, x], share_inputs=False)
    assert own[1] is not x and type(own) is list
    s.set_value(np.zeros(2))
    assert float(own[0].eval({own[1]: [1.0, 2.0]})) == 5
    assert graphc.clone(z) is z or float(graphc.clone(z).eval({x: [1.0, 2.0]})) == 3


def test_the_same_array_may_be_passed_twice_or_be_the_shared_one():
    x, y = T.dvectors("x", "y")
    s = graphc.shared(np.array([1.0, 2.0, 3.0]), name="s")
    f = graphc.function([x, y], [x * y, s], updates=[(s, s + x)])
    mine = s.get_value(borrow=True)
    assert values(f(mine, mine)) == [[1, 4, 9], [1, 2, 3]]
    assert s.get_value().tolist() == [2, 4, 6]
    base = np.arange(5.0)
    assert values(f(base[:3], base[2:])) == [[0, 3, 8], [2, 4, 6]]


@pytest.mark.parametrize("mode", ["FAST_RUN", "FAST_COMPILE", "numpy"])
def test_modes_go_by_theano_names_too(mode):
    x = T.dscalar("x")
    assert float(graphc.function([x], x + 1, mode=mode)(1.0)) == 2


def test_a_chain_of_100_000_nodes_is_an_ordinary_graph():
    x = T.dscalar("x")
    y = x
    for _ in range(100_000):
        y = y + 1
    f = graphc.function([x], y)
    assert float(f(0.0)) == 100_000
