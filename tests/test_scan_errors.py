"""Mistakes with loops: each message names the line of `fn`, what is wrong, and what to do."""

import re

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc import scan, until
from graphc.core.errors import ArgumentError, DTypeError, GraphError, ShapeError

x, v, a = T.dmatrix("x"), T.dvector("v"), T.dscalar("a")
n = T.lscalar("n")


@pytest.fixture(autouse=True)
def float64():
    with graphc.config(floatX="float64"):
        yield


def raises(kind, *parts):
    """The block raises `kind`; its message has all parts, a line of this file, and a hint."""
    parts = (*parts, "test_scan_errors.py", "hint: ")
    return pytest.raises(kind, match="(?s)" + "".join(f"(?=.*{re.escape(p)})" for p in parts))


def plain(b, s):
    return s + b  # the line of fn


def alone(b):
    return 2 * b  # the line of fn


LINE = "def plain(b, s):"  # a function is named by its first line
ALONE = "def alone(b):"


# What is said about sequences -------------------------------------------------------------------


@pytest.mark.parametrize("taps", [[0.5], "now", [], [None], [True], {0: 1}], ids=str)
def test_taps_of_a_sequence_that_are_none(taps):
    with raises(ArgumentError, "taps of sequence number 1", repr(taps), "0 is the present", LINE):
        scan(plain, [v, dict(input=v, taps=taps)])


def test_a_key_that_means_nothing():
    with raises(ArgumentError, "sequence number 0", "'initial'", "input, taps", ALONE):
        scan(alone, dict(initial=v))
    with raises(ArgumentError, "output number 0", "'tap'", "initial, taps", LINE):
        scan(plain, v, dict(initial=a, tap=[-1]))


def test_a_sequence_without_an_axis():
    with raises(ShapeError, "sequence a: float64[]", "no axis", "non_sequence", LINE):
        scan(plain, a, v)
    with raises(ShapeError, "no axis", "non_sequence", ALONE):
        scan(alone, 3.0)


def test_a_sequence_that_is_missing():
    with raises(ArgumentError, "sequence number 1 is None", LINE):
        scan(plain, [v, None])
    with raises(ArgumentError, "sequence number 0 has no input", ALONE):
        scan(alone, dict(taps=[0]))


def test_a_sequence_that_is_too_short_for_its_taps():
    short = T.TensorType("float64", (2,))("short")
    with raises(ShapeError, "taps [-2, 1]", "1 are missing", LINE):
        scan(plain, dict(input=short, taps=[-2, 1]))


@pytest.mark.parametrize("mode", ["numpy", "native"])
def test_a_sequence_that_turns_out_too_short_for_its_taps(mode):
    made = scan(lambda b, c: plain(b, c), dict(input=v, taps=[-2, 1]))[0]
    f = graphc.function([v], made, mode=mode)
    assert f(np.ones(4)).shape == (1,)
    assert f(np.ones(3)).shape == (0,)
    with raises(ShapeError, "taps [-2, 1]", "1 are missing", "lambda b, c"):
        f(np.ones(2))


# What is said about states ----------------------------------------------------------------------


@pytest.mark.parametrize("taps", [[0], [1], [-1, -1], [-1.0], "past", [True]], ids=str)
def test_taps_of_a_state_that_are_none(taps):
    with raises(ArgumentError, "taps of output number 0", repr(taps), "negative integers", LINE):
        scan(plain, v, dict(initial=v, taps=taps))


def test_taps_without_an_initial_value():
    with raises(ArgumentError, "output number 0", "[-2]", "no initial value", LINE):
        scan(plain, v, dict(taps=[-2]))


def test_an_initial_value_with_too_few_rows():
    short = T.TensorType("float64", (2,))("short")
    with raises(ShapeError, "looks back 3 steps", "short: float64[2]", "2 rows", LINE):
        scan(plain, v, dict(initial=short, taps=[-3]))
    with raises(ShapeError, "looks back 2 steps", "scalar a: float64[]", "one row per step", LINE):
        scan(plain, v, dict(initial=a, taps=[-2]))


@pytest.mark.parametrize("mode", ["numpy", "native"])
def test_an_initial_value_that_turns_out_to_have_too_few_rows(mode):
    w = T.dvector("w")
    f = graphc.function([v, w], scan(plain, v, dict(initial=w, taps=[-3]))[0], mode=mode)
    assert f(np.ones(4), np.ones(3)).shape == (4,)
    with raises(ShapeError, "looks back 3 steps", "2 rows", LINE):
        f(np.ones(4), np.ones(2))


def test_a_state_that_is_missing_an_initial_value():
    """Without outputs_info nothing is fed back, and fn gets too little."""
    with raises(ArgumentError, "plain(b, s)", "gets 1 argument", "outputs_info", LINE):
        scan(plain, v)


def test_fn_that_takes_fewer_arguments_than_it_gets():
    with raises(ArgumentError, "alone(b)", "gets 2 arguments: 1 from sequences, 1 from states", ALONE):
        scan(alone, v, a)


def test_an_error_of_fn_itself_is_its_own():
    def wrong(b):
        return b + undefined  # noqa: F821

    with pytest.raises(NameError):
        scan(wrong, v)

    def deeper(b):
        return T.dot()

    with pytest.raises(TypeError, match="dot"):
        scan(deeper, v)


def test_a_state_that_changes_its_rank():
    with raises(ShapeError, "output number 0", "float64[]", "float64[?]", "return s + b"):
        scan(plain, x, a)


def test_a_state_that_changes_its_known_size():
    first = T.TensorType("float64", (3,))("first")
    with raises(ShapeError, "output number 0", "[3]", "[2]", "return s[:2]  # cut"):
        scan(lambda b, s: cut(s), v, first)


def cut(s):
    return s[:2]  # cut


@pytest.mark.parametrize("mode", ["numpy", "native"])
def test_a_state_that_turns_out_to_change_its_size(mode):
    w = T.dvector("w")

    def grown(b, s):
        return T.concatenate([s, s])[1:] + b  # grown

    f = graphc.function([v, w], scan(grown, v, w)[0], mode=mode)
    assert f(np.ones(3), np.ones(1)).shape == (3, 1)
    with raises(ShapeError, "shape (2,)", "(3,)", "# grown"):
        f(np.ones(3), np.ones(2))


def test_a_state_that_changes_its_dtype():
    narrow = T.fscalar("narrow")
    with raises(DTypeError, "output number 0", "narrow", "float64", "astype('float32')", "s + b"):
        scan(plain, v, narrow)
    with raises(DTypeError, "output number 0", "int64", "float64", "astype('int64')", "s + b"):
        scan(plain, v, n)


# What fn returns --------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_outputs_than_there_are_entries(count):
    def fn(b, s, t):
        return [b] * count

    with raises(ArgumentError, f"fn returned {count} output", "is for 2", "def fn(b, s, t):"):
        scan(fn, v, [a, a])


def test_an_output_that_is_no_tensor():
    def fn(b):
        return "b"

    with raises(GraphError, "'b'", "def fn(b):"):
        scan(fn, v)


def test_an_output_that_is_none():
    def fn(b):
        return [b, None]

    with raises(ArgumentError, "output number 1", "None", "def fn(b):"):
        scan(fn, v)


def test_until_of_something_that_is_no_scalar():
    def fn(b, s):
        return s + b, until(s > b)  # many

    with raises(ShapeError, "until takes a scalar", "bool[3]", "T.all", "# many"):
        scan(fn, x, T.zeros(3))


def test_an_update_of_something_that_is_not_shared():
    def fn(b):
        return b, {a: a + b}

    with raises(GraphError, "a: float64[]", "not a shared variable"):
        scan(fn, v)


def test_an_update_of_another_dtype_or_rank():
    s = graphc.shared(np.float32(1), name="s")

    def wider(b):
        return b, {s: s + b}  # wider

    def larger(b):
        return b, {s: T.cast(v, "float32")}  # larger

    with raises(DTypeError, "s: float32[]", "float64", "v[t]", "def wider(b):"):
        scan(wider, v)
    with raises(ShapeError, "s: float32[]", "ranks differ", "# larger"):
        scan(larger, v)


# The number of steps ----------------------------------------------------------------------------


def test_nothing_says_how_many_steps():
    def step(s):
        return s * 2

    with raises(ArgumentError, "nothing says how many steps", "n_steps=", "def step(s):"):
        scan(step, outputs_info=a)
    with raises(ArgumentError, "until", "n_steps=", "upper bound"):
        scan(lambda s: (s * 2, until(s > 3)), outputs_info=a)


@pytest.mark.parametrize("steps", [2.5, "3", [3], T.dscalar("count")], ids=str)
def test_a_number_of_steps_that_is_none(steps):
    with raises(GraphError, "n_steps"):
        scan(plain, v, a, n_steps=steps)


def test_a_negative_number_of_steps():
    with raises(ShapeError, "n_steps is -2", "negative", "go_backwards", LINE):
        scan(plain, v, a, n_steps=-2)


@pytest.mark.parametrize("mode", ["numpy", "native"])
def test_a_number_of_steps_that_turns_out_negative_or_too_large(mode):
    for fn, start in ((plain, a), (alone, None)):
        made = scan(fn, v, start, n_steps=n)[0]
        f = graphc.function([v, a, n], made, mode=mode, on_unused_input="ignore")
        good = f(np.ones(3), 0.5, 2)
        with raises(ShapeError, "n_steps is -1", "negative", f"def {fn.__name__}("):
            f(np.ones(3), 0.5, -1)
        with raises(ShapeError, "n_steps is 4", "rows for 3", f"def {fn.__name__}("):
            f(np.ones(3), 0.5, 4)
        np.testing.assert_array_equal(f(np.ones(3), 0.5, 2), good)
    g = graphc.function([n], scan(lambda: T.constant(1.0), n_steps=n)[0], mode=mode)
    assert g(2).tolist() == [1, 1]
    with raises(ShapeError, "n_steps is -3", "negative"):
        g(-3)


def test_more_steps_than_a_known_number_of_rows():
    known = T.TensorType("float64", (4,))("known")
    with raises(ShapeError, "n_steps is 5", "rows for 4", LINE):
        scan(plain, known, a, n_steps=5)


@pytest.mark.parametrize("back", [0, -2, 2.5, "1"], ids=str)
def test_a_truncation_that_is_no_number_of_steps(back):
    with raises(ArgumentError, "truncate_gradient", repr(back), "-1 for all", LINE):
        scan(plain, v, a, truncate_gradient=back)


# Where it runs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["numpy", "native"])
def test_an_error_in_a_loop_in_a_loop_names_the_inner_line(mode):
    k = T.lvector("k")

    def inner(j, s):
        return s + v[j]  # inner

    f = graphc.function([x, k, v], scan(lambda r: scan(inner, k, r[0])[0], x)[0], mode=mode)
    assert f(np.ones((2, 2)), [0, 1, 2], np.ones(3)).shape == (2, 3)
    with raises(GraphError, "3", "# inner"):
        f(np.ones((2, 2)), [0, 1, 3], np.ones(3))


@pytest.mark.parametrize("mode", ["numpy", "native"])
def test_an_error_in_a_loop_leaves_shared_variables_as_they_were(mode):
    k = T.lvector("k")
    s = graphc.shared(np.zeros(2), name="s")

    def step(j):
        return v[j], {s: s + v[j]}  # step

    found, updates = scan(step, k)
    f = graphc.function([k, v], found, updates=updates, mode=mode)
    f([0, 1], np.ones(3))
    with raises(GraphError, "3", "# step"):
        f([0, 1, 3], np.ones(3))
    assert s.get_value().tolist() == [2, 2]
    f([2], np.ones(3))
    assert s.get_value().tolist() == [3, 3]


@pytest.mark.parametrize("mode", ["numpy", "native"])
def test_an_error_of_the_users_own_op_in_a_loop(mode):
    @graphc.as_op(itypes=[T.dscalar], otypes=[T.dscalar], infer_shape=lambda node, shapes: shapes)
    def careful(b):
        if b > 1:
            raise ValueError("too large")
        return np.asarray(b * 2)

    def step(b, s):
        return s + careful(b)  # careful

    f = graphc.function([v], scan(step, v, 0.0)[0], mode=mode)
    assert f(np.array([0.5, 1.0])).tolist() == [1, 3]
    with raises(GraphError, "too large", "# careful"):
        f(np.array([0.5, 2.0]))
