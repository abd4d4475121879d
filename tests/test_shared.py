"""Shared variables: their dtypes, who holds which memory, and what may be set."""

import copy

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc.core.errors import ArgumentError, DTypeError, ShapeError


@pytest.fixture(autouse=True)
def numpy_mode():
    with graphc.config(mode="numpy", floatX="float64"):
        yield


@pytest.mark.parametrize("floatX", ["float32", "float64"])
def test_numbers_take_their_usual_dtypes(floatX):
    with graphc.config(floatX=floatX):
        for value, dtype in [
            (1.5, floatX), (1, "int64"), (True, "bool"), (1j, "complex128"),
            (np.float32(1), "float32"), (np.int8(1), "int8"), (np.float64(1), "float64"),
            (np.array([1, 2], "uint16"), "uint16"), (np.zeros(2), "float64"),
            (np.zeros(2, ">f4"), "float32"),
        ]:  # fmt: skip
            s = graphc.shared(value, "s")
            assert s.dtype == dtype and s.get_value().dtype == np.dtype(dtype)
            assert s.name == "s" and s.ndim == np.ndim(value)


@pytest.mark.parametrize("value", [[1.0, 2.0], (1, 2), "a", None, object()])
def test_values_without_a_dtype_are_refused(value):
    with pytest.raises(ArgumentError, match="(?s)shared: .*hint: "):
        graphc.shared(value)


def test_memory_is_copied_unless_borrowed():
    array = np.arange(3.0)
    s, b = graphc.shared(array), graphc.shared(array, borrow=True)
    array[0] = 10
    assert s.get_value()[0] == 0 and b.get_value()[0] == 10
    assert np.shares_memory(b.get_value(borrow=True), array)
    taken = s.get_value()
    taken[:] = 5
    assert s.get_value().tolist() == [0, 1, 2]
    s.get_value(borrow=True)[:] = 5
    assert s.get_value().tolist() == [5, 5, 5]
    given = np.ones(3)
    s.set_value(given)
    given[0] = 9
    assert s.get_value()[0] == 1
    s.set_value(given, borrow=True)
    given[0] = 8
    assert s.get_value()[0] == 8


def test_borrowing_copies_where_kernels_could_not_use_the_array():
    strided = np.arange(6.0)[::2]
    read_only = np.arange(3.0)
    read_only.setflags(write=False)
    for array in (strided, read_only, np.arange(3.0).astype(">f8")):
        s = graphc.shared(array, borrow=True)
        held = s.get_value(borrow=True)
        assert held.flags.c_contiguous and held.flags.writeable and held.dtype.isnative
        assert (held == array).all()


def test_sizes_may_change_but_rank_and_dtype_may_not():
    s = graphc.shared(np.zeros((2, 3)), name="s")
    s.set_value(np.ones((5, 1)))
    assert s.get_value().shape == (5, 1)
    for wrong in (np.zeros(3), 1.0, np.zeros((1, 2, 3))):
        with pytest.raises(ShapeError, match="(?s)s holds float64.*test_shared.py"):
            s.set_value(wrong)
    row = graphc.shared(np.zeros((1, 3)), broadcastable=(True, False))
    assert row.broadcastable == (True, False) and s.broadcastable == (False, False)
    row.set_value(np.zeros((1, 7)))
    with pytest.raises(ShapeError):
        row.set_value(np.zeros((2, 7)))
    with pytest.raises(ShapeError, match="1 entries"):
        graphc.shared(np.zeros((1, 3)), broadcastable=(True,))


def test_set_value_takes_what_does_not_lose_anything():
    f = graphc.shared(np.float32(0), name="f")
    for fine in (0.1, 1, np.float64(0.3), np.int64(7), True, np.array(5)):
        f.set_value(fine)
        assert f.get_value().dtype == "float32" and np.isclose(f.get_value(), float(fine))
    i = graphc.shared(0, name="i")
    v = graphc.shared(np.zeros(1, "float32"), name="v")
    for variable, wrong in [(v, np.array([0.1])), (f, 1j), (i, 0.5), (i, np.array(2.0))]:
        with pytest.raises(DTypeError, match="(?s)holds .*test_shared.py"):
            variable.set_value(wrong)


def test_functions_see_new_values_and_new_sizes():
    s = graphc.shared(np.zeros(3), name="s")
    x = T.dvector("x")
    f = graphc.function([x], (x * s).sum())
    assert float(f([1.0, 2.0, 3.0])) == 0
    s.set_value(np.ones(3))
    assert float(f([1.0, 2.0, 3.0])) == 6
    s.set_value(np.full(2, 2.0), borrow=True)
    assert float(f([1.0, 2.0])) == 6


def test_several_functions_share_one_value():
    s = graphc.shared(0)
    up = graphc.function([], s, updates={s: s + 1})
    down = graphc.function([], s, updates={s: s - 1})
    up(), up(), down()
    assert int(s.get_value()) == 1


def test_shared_variables_act_like_variables():
    s = graphc.shared(np.arange(4.0), name="s")
    assert isinstance(s, graphc.Variable) and isinstance(s, T.TensorSharedVariable)
    assert float((s * 2).sum().eval()) == 12
    assert s[1:3].eval().tolist() == [1, 2]
    assert T.grad((s**2).sum(), s).eval().tolist() == [0, 2, 4, 6]
    s.anything, s.tag.test = 1, 2
    assert {s: 1}[s] == 1 and s != graphc.shared(0) and (s == s) is True


def test_copies():
    s = graphc.shared(np.arange(3.0), name="s")
    twin = copy.deepcopy(s)
    twin.set_value(np.zeros(3))
    assert s.get_value().tolist() == [0, 1, 2] and twin.name == "s"
    alias = copy.copy(s)
    alias.set_value(np.ones(3))
    assert s.get_value().tolist() == [1, 1, 1]
