"""An op that is declared as CONTRIBUTING shows gets its tests, its row and its place in kernels."""

import re
from pathlib import Path

import numpy as np
import op_cases
import op_table
import pytest

import graphc
import graphc.tensor as T
from graphc.core.op import OPS
from graphc.ops import elementwise
from graphc.testing import check_op

CONTRIBUTING = Path(__file__).resolve().parent.parent / "CONTRIBUTING.md"
RECIPE = re.compile(r"<!-- recipe: op -->\s*```python\n(.*?)```", re.DOTALL)


def declared(text):
    """The op that a declaration makes in the file where it belongs, for one test."""
    before, names = set(OPS), dict(vars(elementwise))
    exec(compile(text, "recipe", "exec"), names)
    (name,) = set(OPS) - before
    assert names[name] is OPS[name]
    return OPS[name]


@pytest.fixture
def op():
    known = set(OPS)
    with graphc.config(floatX="float64"):
        yield declared(RECIPE.search(CONTRIBUTING.read_text("utf-8"))[1])
    for name in set(OPS) - known:
        del OPS[name]


def test_the_recipe_is_about_five_lines():
    text = RECIPE.search(CONTRIBUTING.read_text("utf-8"))[1]
    assert sum(not line.startswith("#") for line in text.splitlines()) <= 5


def test_a_new_op_gets_the_cases_of_all_ops(op):
    assert op in op_cases.elementwise_ops()
    with graphc.config(mode="numpy", floatX="float32"):
        op_cases.check_dtypes(op)
        op_cases.check_broadcasting(op)
    for dtype in ("float32", "float64", "int32"):
        assert op_cases.check_kernels([op], dtype) == 1
    op_cases.check_derivatives(op)
    check_op(op, [[0.0, 1.5]], 1 / np.cosh([0.0, 1.5]))


def test_a_new_op_has_a_row_in_the_table(op):
    row = op_table.row(op_table.Entry(op, [f"T.{op.name}"]))
    assert row == "| `T.sech` | `1 / cosh x` | real | vjp, jvp | fused | — | — | — |\n"


def test_a_new_op_shares_a_kernel_with_its_neighbours(op):
    x = T.dvector("x")
    cost = (op(2 * x + 1) ** 2).sum()
    f = graphc.function([x], [cost, T.grad(cost, x)], mode="native")
    value = np.linspace(-1, 1, 50)
    y = 1 / np.cosh(2 * value + 1)
    found, gradient = f(value)
    assert np.allclose(found, (y**2).sum())
    assert np.allclose(gradient, -4 * y**2 * np.tanh(2 * value + 1))
    assert [step.routine for step in f.plan.steps] == ["kernel"]
    assert "cosh(" in f.kernels[0].source


WRONG = {
    "its meaning": (
        "1 / np.cosh(x)", "2 / np.cosh(x)", lambda op: op_cases.check_kernels([op], "float64"),
    ),
    "its derivative": ("-y * tanh(x)", "y * tanh(x)", op_cases.check_derivatives),
    "its dtype": ("1 / np.cosh(x)", "(1 / np.cosh(x)) > 1", op_cases.check_dtypes),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_in_a_declaration_is_found(what):
    good, bad, check = WRONG[what]
    text = RECIPE.search(CONTRIBUTING.read_text("utf-8"))[1]
    assert good in text
    try:
        with pytest.raises(AssertionError):
            check(declared(text.replace(good, bad)))
    finally:
        OPS.pop("sech")
