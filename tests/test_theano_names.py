"""Theano's names: those that are there mean what Theano's mean, those that aren't say so."""

import operator
import pickle
import shutil

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc.absent import ABSENT
from graphc.core.config import ELSEWHERE
from graphc.core.errors import ArgumentError
from graphc.testing import check_grad, check_op

M = np.arange(6.0).reshape(2, 3)
PATHS = """
    Apply Mode Op Variable _asarray clone compile.SharedVariable compile.function compile.io.Out
    compile.mode.get_default_mode compile.mode.get_mode compile.sharedvalue.shared
    gof.Apply gof.Op gof.Type gof.graph.ancestors gof.graph.inputs gof.graph.io_toposort
    gof.graph.is_same_graph printing.Print printing.debugprint printing.min_informative_str
    printing.pp printing.pprint printing.pydotprint printing.var_descriptor
    sandbox.linalg.ops.alloc_diag sandbox.rng_mrg.MRG_RandomStreams sandbox.softsign.softsign
    scalar.add scalar.all_types scalar.as_scalar scalar.basic.Identity scalar.float64
    scalar.identity scalar.mul scalar.true_div scalar.upcast tensor.DimShuffle tensor.Elemwise
    tensor.NotScalarConstantError tensor.Rebroadcast tensor.Subtensor tensor._allclose
    tensor.get_scalar_constant_value tensor.nnet.Softmax tensor.nnet.sigm.ScalarSigmoid
    tensor.sharedvar.SharedVariable tensor.sharedvar.TensorSharedVariable
    """.split()


@pytest.fixture(autouse=True)
def double():
    with graphc.config(floatX="float64"):
        yield


@pytest.mark.parametrize("path", PATHS)
def test_a_name_leads_somewhere(path):
    assert operator.attrgetter(path)(graphc) is not None


@pytest.mark.parametrize("path", ABSENT)
def test_an_absent_name_says_what_to_use(path):
    with pytest.raises(AttributeError, match="on purpose; use"):
        operator.attrgetter(path)(graphc)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_an_absent_option_says_what_does_its_work(name):
    with pytest.raises(AttributeError, match="on purpose: "):
        setattr(graphc.config, name, "off")
    with pytest.raises(AttributeError, match="on purpose: "):
        getattr(graphc.config, name)


def test_near_names_are_suggested():
    with pytest.raises(AttributeError, match="graphc has no 'funtion'; did you mean function"):
        graphc.funtion  # noqa: B018


# Classes of ops ---------------------------------------------------------------------------------


def test_classes_of_ops_tell_them_apart():
    x = T.dmatrix("x")
    kinds = {
        T.Elemwise: x + 1, T.DimShuffle: x.T, T.Subtensor: x[1:], T.nnet.Softmax: T.nnet.softmax(x),
        T.nnet.LogSoftmax: T.nnet.logsoftmax(x), T.Rebroadcast: T.addbroadcast(x, 0),
        T.nnet.sigm.ScalarSigmoid: T.nnet.sigmoid(x), graphc.scalar.Identity: T.identity(x),
    }  # fmt: skip
    for kind in kinds:
        for other, y in kinds.items():
            expected = kind is other or (kind is T.Elemwise and y.owner.op.elementwise)
            assert isinstance(y.owner.op, kind) == expected
    product = x * 2
    assert product.owner.op.scalar_op is graphc.scalar.mul is T.mul
    with pytest.raises(AttributeError, match="not elementwise"):
        x.sum().owner.op.scalar_op  # noqa: B018


def test_classes_of_ops_make_functions():
    n = T.lscalar("n")
    check_op(T.DimShuffle((False, False), (1, "x", 0)), [M], M.T[:, None])
    check_op(T.Elemwise(graphc.scalar.add), [M, M], 2 * M)
    check_op(T.Rebroadcast((0, True), (1, False)), [M[:1]], M[:1])
    check_op(T.nnet.Softmax(), [M], np.exp(M) / np.exp(M).sum(1, keepdims=True))
    part = T.Subtensor([slice(0, T.lscalar), 1])
    check_op(part, [M, np.int64(1)], M[0:1, 1])
    assert T.Rebroadcast((0, True))(T.dmatrix()).broadcastable == (True, False)
    assert part(T.dmatrix("x"), n).ndim == 1


# Constants and graphs -----------------------------------------------------------------------------


def test_constants_are_known_and_others_are_refused():
    value = T.get_scalar_constant_value
    x, known = T.dmatrix("x"), T.tensor("float64", (4, None))
    assert value(3) == 3 and value(T.constant(2.5) * 2) == 5 and value(T.zeros((2, 3))) == 0
    assert value(known.shape[0] + 1) == 5 and value(known.shape[0]).dtype == "int64"
    for unknown in (x[0, 0], x.shape[0], known.shape[1], graphc.shared(1.0), T.constant([1, 2]),
                    x[0, 0] * known.shape[0]):  # fmt: skip
        with pytest.raises(T.NotScalarConstantError, match="(?s)not (a constant|one number)"):
            value(unknown)
        assert T.extract_constant(unknown) is unknown
    with pytest.raises(T.NotScalarConstantError):
        value(T.constant(2.5) * 2, only_process_constants=True)


def test_graphs_are_walked_and_compared():
    x, y, z = T.dscalars("x", "y", "z")
    inner = T.exp(y)
    out = x * inner
    graph = graphc.gof.graph
    assert graph.inputs([out]) == [x, y] and graph.inputs([out], blockers=[inner]) == [x]
    assert graph.ancestors([out]) == [x, y, inner, out]
    assert [a.op for a in graph.io_toposort([x, inner], [out])] == [T.mul]
    assert graph.is_same_graph(out, x * T.exp(y)) and graph.is_same_graph(out, T.exp(y) * x)
    assert not graph.is_same_graph(out, x * T.exp(z)) and not graph.is_same_graph(out, x)
    assert graph.is_same_graph(out, x * T.exp(z), givens=[(z, y)])
    assert not graph.is_same_graph(x.sum(), x + 1)


def test_small_helpers():
    assert graphc._asarray([1, 2], "floatX").dtype == "float64"
    assert T._allclose(np.float32(1), np.float32(1 + 1e-6)) and not T._allclose(1.0, 1.1)
    assert graphc.scalar.upcast("int8", "float32") == "float32"
    assert graphc.scalar.float64().ndim == 0 and graphc.scalar.as_scalar(3).dtype == "int64"
    x = T.dvector("x")
    with pytest.raises(graphc.GraphError, match="not a scalar"):
        graphc.scalar.as_scalar(x)
    assert x.transfer("cpu") is x
    with pytest.raises(ArgumentError, match="(?s)gpu0.*test_theano_names"):
        x.transfer("gpu0")


def test_modes_by_their_spellings():
    x = T.dscalar("x")
    python, fast = graphc.Mode(linker="py"), graphc.Mode("cvm", "fast_run").excluding("fusion")
    assert (python, fast, graphc.Mode(optimizer=None)) == ("numpy", "native", "numpy")
    assert graphc.compile.get_mode("FAST_COMPILE") == "numpy"
    f = graphc.function([x], x + 1, mode=python)
    assert f(1) == 2 and not hasattr(f.program, "bound")
    assert pickle.loads(pickle.dumps(fast)) == "native"
    with pytest.raises(ArgumentError, match="linker 'jax'"):
        graphc.Mode("jax")


# Printing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["numpy", "native"])
def test_print_prints_each_time_and_is_the_identity(mode, capsys):
    x = T.dvector("x")
    y = graphc.printing.Print("x:", attrs=("shape", "min"))(x)
    f = graphc.function([x], (y**2).sum(), mode=mode)
    for _ in range(2):
        assert f([1.0, 2.0]) == 5
        assert capsys.readouterr().out == "x: shape = (2,)\nx: min = 1.0\n"
    seen = []
    show = graphc.printing.Print("of", global_fn=lambda op, value: seen.append((op, value.sum())))
    assert graphc.function([x], show(2 * x) + 1, mode=mode)([1.0, 2.0]).tolist() == [3, 5]
    assert seen == [(show, 6)] and show.message == "of"
    check_grad(lambda x: graphc.printing.Print()(x) ** 2, [[1.0, 2.0]], order=2, mode=mode)


def test_graphs_are_drawn_and_described(tmp_path, capsys):
    x, y = T.dscalars("x", "y")
    out = x * T.exp(y) + x
    graphc.printing.debugprint(out, print_type=True)
    assert "exp: float64[]" in capsys.readouterr().out
    graphc.printing.pydotprint(out, outfile=tmp_path / "graph.dot", var_with_name_simple=True)
    assert (tmp_path / "graph.dot").read_text().startswith("digraph")
    describe = graphc.printing.var_descriptor
    assert describe(out) == describe(x * T.exp(y) + x) != describe(out + 1)
    text = graphc.printing.min_informative_str(out)
    assert text.splitlines() == ["A. add", " B. mul", "  C. x", "  D. exp", "   E. y", " <C>"]
    if shutil.which("dot") is None:
        with pytest.raises(ArgumentError, match="Graphviz"):
            graphc.printing.pydotprint(out, outfile=tmp_path / "graph.png")
