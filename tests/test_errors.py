"""Errors name the user's line, what was expected and what came."""

import copy
import pickle
import re
import textwrap
import warnings

import numpy as np
import pytest
from mistakes import MISTAKES, PAGE, message_of, page

import graphc
import graphc.tensor as T
from graphc.core.errors import (
    ArgumentError,
    BadIndexError,
    DisconnectedInputError,
    DTypeError,
    GradientError,
    GraphError,
    MissingInputError,
    ShapeError,
    UnusedInputError,
)


@pytest.fixture(autouse=True)
def numpy_mode():
    with graphc.config(mode="numpy", floatX="float64"):
        yield


# The eighteen common ones ------------------------------------------------------------------------


@pytest.mark.parametrize(("title", "line", "program"), MISTAKES, ids=[m[0] for m in MISTAKES])
def test_a_common_mistake_is_explained(title, line, program):
    message = message_of(program)
    quoted = textwrap.dedent(program).strip("\n").splitlines()[line - 1].strip()
    assert f'File "mistake.py", line {line}, in <module>\n    {quoted}' in message
    assert "\nhint: " in message
    assert len(message.splitlines()) <= 15
    assert "graphc/" not in message and "0x" not in message


def test_the_page_of_mistakes_shows_what_the_programs_say():
    assert PAGE.read_text("utf-8") == page(), "python tests/mistakes.py writes it anew"


# All others -------------------------------------------------------------------------------------


def raises(kind, *parts):
    """The block raises `kind`, whose message has all `parts` and quotes a line of this file."""
    return pytest.raises(kind, match="(?s)" + "".join(f"(?=.*{re.escape(p)})" for p in parts))


x, y, z = T.dmatrix("x"), T.dvector("y"), T.dscalar("z")
n = T.iscalar("n")
h = x * 2


@pytest.mark.parametrize(
    ("inputs", "outputs", "parts"),
    [
        (x, x, ["inputs must be a list", "x: float64[?, ?]"]),
        ("x", x, ["inputs must be a list", "'x'"]),
        ([x, x], x, ["x: float64[?, ?] is given twice", "number 0 and 1", "x, y, z ="]),
        ([3.0], x, ["input number 0 is 3.0", "when the function is called"]),
        ([[x, y]], x, ["input number 0", "one flat list"]),
        (["x"], x, ["input number 0 is 'x'"]),
        ([h], h, ["mul: float64[?, ?] can't be an input", "h = x * 2"]),
        ([T.constant(3.0)], x, ["constant 3.0", "can't be an input"]),
        ([graphc.shared(1.0, name="s")], x, ["shared variable s", "always there", "givens"]),
        ([x], 3.0, ["the output is 3.0 of type float"]),
        ([x], [x, None], ["output number 1 is None"]),
        ([x], {"a": x, "b": "c"}, ["output number 1 is 'c'"]),
        ([x], [[x]], ["output number 0 is [x]", "flat list"]),
    ],
)
def test_a_wrong_declaration_is_refused(inputs, outputs, parts):
    with raises(ArgumentError, *parts, "test_errors.py"):
        graphc.function(inputs, outputs)


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"mode": "fast"}, ["mode 'fast'", "'numpy', 'native'"]),
        ({"on_unused_input": "shout"}, ["on_unused_input", "'shout'"]),
        ({"no_default_updates": 3}, ["no_default_updates", "3"]),
        ({"updates": 3}, ["updates must be a dict or a list of pairs, not 3"]),
        ({"updates": [x]}, ["updates must be a dict or a list of pairs"]),
        ({"updates": [(x, y, z)]}, ["updates must be a dict or a list of pairs"]),
        ({"updates": [("w", y)]}, ["'w' is not a shared variable"]),
        ({"givens": {"x": y}}, ["givens: 'x' is not a variable"]),
        ({"givens": [(x, h), (x, h)]}, ["x: float64[?, ?] is replaced twice"]),
        ({"givens": [(x, y.dimshuffle(0, "x")), (y, y)]}, ["which to replace first is open"]),
    ],
)
def test_wrong_options_are_refused(options, parts):
    with raises(ArgumentError, *parts, "test_errors.py"):
        graphc.function([x], x, **options)


def test_givens_keep_the_type_of_what_they_replace():
    with raises(DTypeError, "y: float64[?]", "int64[3]", "the dtypes differ", "T.cast"):
        graphc.function([], y, givens={y: T.arange(3)})
    with raises(ShapeError, "y: float64[?]", "float64[?, ?]", "the shapes differ"):
        graphc.function([x], y, givens={y: x})
    relaxed = graphc.function([], y, givens={y: T.arange(3)}, rebuild_strict=False)
    assert relaxed().dtype == "float64"


def test_the_line_that_widened_an_update_is_named():
    w = graphc.shared(np.zeros(3, "float32"), name="w")
    narrow, wide = T.fvector("narrow"), T.dvector("wide")
    whole = T.ivector("whole")
    through = narrow * T.constant(np.ones(3), name="ones64")
    averaged = whole.mean()
    explicit = narrow.astype("float64")
    cases = [
        (w - 0.1 * (narrow + wide), "wide: float64[?]", 'T.fvector("narrow"), T.dvector("wide")'),
        ((w + through * 2).clip(0, 1), "ones64: float64[3]", "through = narrow * T.constant"),
        (w + averaged * narrow, "floats made of integers are floatX", "averaged = whole.mean()"),
        (w + explicit, "cast: float64[?]", 'explicit = narrow.astype("float64")'),
    ]
    for new, culprit, line in cases:
        with raises(DTypeError, "w: float32[?] would become float64", culprit, line, "floatX"):
            graphc.function([narrow, wide, whole], updates=[(w, new)], on_unused_input="ignore")


def test_updates_keep_rank_and_kind():
    w = graphc.shared(np.zeros(3), name="w")
    with raises(ShapeError, "w: float64[?] would become", "ranks differ"):
        graphc.function([x], updates=[(w, x)])
    count = graphc.shared(0, name="count")
    with raises(DTypeError, "count: int64[] would become float64"):
        graphc.function([z], updates=[(count, count + z)])
    column = graphc.shared(np.zeros((3, 1)), name="column", broadcastable=(False, True))
    widen = graphc.function([x], updates=[(column, column + x)], mode="numpy")
    with raises(ShapeError, "column", "(3, 2)", "axis 1 must have size 1"):
        widen(np.ones((3, 2)))
    assert column.get_value().shape == (3, 1)


@pytest.mark.parametrize(
    ("variable", "value", "kind", "parts"),
    [
        (x, [1.0, 2.0], ShapeError, ["`x`", "a matrix", "(2,), a vector"]),
        (z, [1.0], ShapeError, ["`z`", "a scalar", "(1,), a vector"]),
        (n, 1.5, DTypeError, ["`n`", "int32[]", "float 1.5"]),
        (n, np.array(2**40), DTypeError, ["`n`", "int64"]),
        (n, 2**40, DTypeError, ["`n`", "int"]),
        (y, ["a"], DTypeError, ["`y`", "list of dtype <U1"]),
        (y, None, DTypeError, ["`y`", "NoneType None"]),
        (y, [[1.0], [1.0, 2.0]], DTypeError, ["`y`", "list is no array"]),
        (y, T.dvector("v"), DTypeError, ["`y`", "v: float64[?]", "symbolic"]),
        (y, np.ones(2, "complex128"), DTypeError, ["`y`", "complex128"]),
        (T.tensor("float64", (None, 10), "t"), np.ones((2, 9)), ShapeError,
         ["`t`", "float64[?, 10]", "(2, 9)", "axis 1 must have size 10"]),
        (T.drow("r"), np.ones((2, 9)), ShapeError, ["`r`", "axis 0 must have size 1"]),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_refused_with_the_line_of_its_input(variable, value, kind, parts):
    f = graphc.function([variable], variable)
    with raises(kind, *parts, "test_errors.py"):
        f(value)


def test_calls_name_what_is_missing_double_or_unknown():
    f = graphc.function([y, z], y * z, name="scale")
    with raises(ArgumentError, "'scale'", "missing its argument `z`", "(y: float64[?], z"):
        f([1.0])
    with raises(ArgumentError, "takes 2 arguments", "3 came"):
        f([1.0], 2.0, 3.0)
    with raises(ArgumentError, "`y` twice: by position and by name"):
        f([1.0], y=[1.0])
    with raises(ArgumentError, "no input named `q`"):
        f([1.0], q=2.0)
    again = graphc.function([y, T.dvector("y")], y, on_unused_input="ignore")
    with raises(ArgumentError, "2 inputs named `y`"):
        again(y=[1.0])


def test_missing_inputs_are_found_in_every_place():
    w = graphc.shared(0.0, name="w")
    hidden = T.dscalar("hidden")
    with raises(MissingInputError, "`hidden`: float64[]", 'hidden = T.dscalar("hidden")'):
        graphc.function([], updates=[(w, w + hidden)])
    with raises(MissingInputError, "`hidden`", "'deep'"):
        graphc.function([y], y * z, givens={z: hidden}, name="deep")
    with raises(MissingInputError, "an unnamed variable: float64[?]"):
        graphc.function([], T.dvector() + 1)


def test_unused_inputs_raise_warn_or_pass():
    with raises(UnusedInputError, "`z`: float64[]", "x, y, z ="):
        graphc.function([y, z], y)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        graphc.function([y, z], y, on_unused_input="warn")
    assert len(caught) == 1 and "`z`" in str(caught[0].message)
    assert caught[0].filename == __file__
    graphc.function([y, z], y, on_unused_input="ignore")
    with graphc.config(on_unused_input="ignore"):
        graphc.function([y, z], y)


def test_gradients_say_why_they_do_not_exist():
    with raises(GradientError, "int32[] is discrete"):
        graphc.grad(y.sum(), n)
    with raises(GradientError, "not a real float"):
        graphc.grad(n, y)
    with raises(DisconnectedInputError, "only through gt: bool[?]", "discrete"):
        graphc.grad(T.switch(y > 0, 1.0, 2.0).sum(), y)
    with raises(ArgumentError, "needs a cost or known_grads"):
        graphc.grad(None, y)
    with raises(ArgumentError, "'x' is not a variable"):
        graphc.grad(y.sum(), ["x"])


@pytest.mark.parametrize(
    ("build", "kind", "parts"),
    [
        (lambda: T.tensor("float64", (3,)) + T.tensor("float64", (4,)), ShapeError, ["3 and 4"]),
        (lambda: x.dimshuffle(0, 2), ArgumentError, ["axis 2 is out of range"]),
        (lambda: x.sum(axis=5), ArgumentError, ["axis 5 is out of range"]),
        (lambda: x[0, 0, 0], BadIndexError, ["3 indices for x"]),
        (lambda: y[1.5], BadIndexError, ["indices are integers"]),
        (lambda: T.constant([1, 2])[2], BadIndexError, ["index 2 is outside axis 0 of size 2"]),
        (lambda: y.reshape((2, -1, -1)), ShapeError, ["more than one size open"]),
        (lambda: T.concatenate([y, x]), ShapeError, ["different ranks"]),
        (lambda: len(y), DTypeError, ["length", "x.shape[0]"]),
        (lambda: list(y), ArgumentError, ["no known length"]),
        (lambda: T.nnet.categorical_crossentropy(x, y), ArgumentError, ["must be integers"]),
        (lambda: T.set_subtensor(y, 0.0), ArgumentError, ["not a part"]),
        (lambda: graphc.shared(y), ArgumentError, ["symbolic"]),
        (lambda: graphc.shared("a"), ArgumentError, ["not an array of numbers"]),
        (lambda: graphc.In(3), ArgumentError, ["3 is not a variable"]),
        (lambda: graphc.In(z, update=z + 1), ArgumentError, ["needs a value"]),
        (lambda: y.eval({"y": 1}), ArgumentError, ["'y' is no variable"]),
    ],
)
def test_expressions_are_checked_while_they_are_declared(build, kind, parts):
    with raises(kind, *parts, "test_errors.py"):
        build()


def test_an_unknown_name_in_the_tensor_module_suggests_others():
    with pytest.raises(AttributeError, match="did you mean .*softplus"):
        _ = T.softpluss


def test_errors_survive_pickling_and_copying():
    try:
        graphc.function([], y)
    except GraphError as error:
        for twin in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
            assert str(twin) == str(error) and type(twin) is type(error)
