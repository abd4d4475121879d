"""Pickles keep identity, values and user attributes, and don't recurse."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc.core.graph import Graph

CHECKOUT = Path(__file__).resolve().parent.parent
TWINS = {
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),
    "pickle in Python": lambda thing: pickle.loads(pickle._dumps(thing)),
    "oldest protocol": lambda thing: pickle.loads(pickle.dumps(thing, 2)),
    "deepcopy": copy.deepcopy,
}


@pytest.fixture(autouse=True)
def numpy_mode():
    with graphc.config(mode="numpy", floatX="float64"):
        yield


@pytest.fixture(params=TWINS.values(), ids=TWINS)
def twin(request):
    return request.param


def test_identity_within_one_pickle(twin):
    x = T.dvector("x")
    s = graphc.shared(np.ones(3), name="s")
    h = T.exp(x) + s
    g = T.grad(h.sum(), x)
    x2, s2, h2, g2, again, inner = twin([x, s, h, g, h, h.args[0]])
    assert again is h2 and h2.args[0] is inner and inner.args[0] is x2 and h2.args[1] is s2
    arg = np.array([0.0, 1.0, 2.0])
    assert np.allclose(h2.eval({x2: arg}), np.exp(arg) + 1)
    assert np.allclose(g2.eval({x2: arg}), np.exp(arg))
    assert x2 is not x and (x2.name, x2.type, h2.where) == ("x", x.type, h.where)


def test_user_attributes_and_tags_survive_even_in_circles(twin):
    x = T.dvector("x")
    y = x * 2
    y.tag.origin, y._keras_shape, x.consumer = x, (None, 3), y
    y2 = twin(y)
    assert y2._keras_shape == (None, 3) and y2.tag.origin is y2.args[0]
    assert y2.args[0].consumer is y2


def test_default_updates_lead_back_to_their_variable(twin):
    s = graphc.shared(1.0, name="s")
    s.default_update = s * 2
    s2 = twin(s)
    assert s2.default_update.args[0] is s2
    assert [float(s2.eval()) for _ in range(3)] == [1, 2, 4] and float(s.get_value()) == 1


def test_constants_stay_read_only_and_equal(twin):
    c = twin(T.constant(np.arange(3), name="c"))
    assert c.data.tolist() == [0, 1, 2] and not c.data.flags.writeable and c.name == "c"


def test_long_chains_do_not_recurse(twin):
    x = T.dscalar("x")
    y = x
    for k in range(10_000):
        y = y * 1.0001 if k % 2 else y + x
    f = graphc.function([x], y)
    x2, y2, f2 = twin((x, y, f))
    expected = float(f(0.5))
    assert float(f2(0.5)) == expected
    assert float(graphc.function([x2], y2)(0.5)) == expected


def test_graphs(twin):
    x = T.dvector("x")
    s = graphc.shared(np.ones(2), name="s")
    graph = Graph((x,), (x + s, x), ((s, s * x),))
    found = twin(graph)
    assert found.outputs[1] is found.inputs[0]
    ((target, new),) = found.updates
    assert new.args == (target, found.inputs[0]) and found.outputs[0].args[1] is target


def test_functions_keep_names_defaults_states_and_forms(twin):
    x, y = T.dscalars("x", "y")
    total = graphc.shared(0.0, name="total")
    f = graphc.function(
        [x, graphc.In(y, value=2.0, update=y + 1)], {"product": x * y, "total": total},
        updates=[(total, total + x)], name="f", allow_input_downcast=True,
    )  # fmt: skip
    f(1.0)
    g = twin(f)
    found = g(x=10.0)
    assert (float(found["product"]), float(found["total"])) == (30, 1)
    assert float(g["y"]) == 4 and float(f["y"]) == 3 and float(total.get_value()) == 1
    assert g.name == "f" and repr(g) == repr(f)


def test_functions_pickled_together_go_on_sharing(twin):
    s = graphc.shared(0)
    up = graphc.function([], s, updates={s: s + 1})
    read = graphc.function([], s)
    s2, up2, read2 = twin([s, up, read])
    up2(), up2()
    assert int(read2()) == 2 == int(s2.get_value()) and int(read()) == 0


def test_rows_of_jacobians(twin):
    v = T.dvector("v")
    j = T.jacobian(T.tanh(v) * v.sum(), v)
    v2, j2 = twin([v, j])
    arg = np.array([0.1, 0.2])
    assert np.allclose(j2.eval({v2: arg}), j.eval({v: arg}))


def test_a_fresh_process_loads_a_function(tmp_path):
    x = T.dmatrix("x")
    w = graphc.shared(np.eye(2), name="w")
    f = graphc.function([x], T.nnet.softmax(T.dot(x, w)), name="predict")
    path = tmp_path / "f.pkl"
    path.write_bytes(pickle.dumps(f))
    code = (
        f"import pickle; f = pickle.load(open({str(path)!r}, 'rb')); "
        "print(f([[0.0, 0.0]]).tolist(), f.name)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, timeout=120
    )
    assert run.stdout.strip() == "[[0.5, 0.5]] predict", run.stderr


def test_a_shallow_copy_of_a_variable_is_another_variable_over_the_same_operands():
    x = T.dvector("x")
    y = x + 1
    y.name = "y"
    z = copy.copy(y)
    z.name = "z"
    assert z is not y and z.args is y.args and y.name == "y"
    own = y.copy(name="own")
    assert own.name == "own" and y.name == "y" and own.eval({x: [1.0]}).tolist() == [2.0]
    leaf = x.copy()
    assert leaf is not x and x.name == "x" and leaf.eval({x: [1.0]}).tolist() == [1.0]
