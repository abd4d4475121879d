"""Eighteen common mistakes as small programs, and the line that each message must name.

`tests/test_errors.py` runs them; ``python tests/mistakes.py`` writes what they say to
`docs/errors.md`.
"""

import linecache
import textwrap
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "errors.md"

# Title, number of the program's line that is to blame, program.
MISTAKES = [
    (
        "An input is missing", 2,
        """
        x = T.dmatrix("x")
        w = T.dvector("w")
        f = graphc.function([x], T.dot(x, w))
        """,
    ),
    (
        "An input is not used", 2,
        """
        x = T.dmatrix("x")
        y = T.ivector("y")
        f = graphc.function([x, y], x.sum())
        """,
    ),
    (
        "An array of another rank is passed", 1,
        """
        x = T.dmatrix("x")
        f = graphc.function([x], x.sum(axis=1))
        f(np.zeros(3))
        """,
    ),
    (
        "An array of a wider dtype is passed", 1,
        """
        x = T.fvector("x")
        f = graphc.function([x], 2 * x)
        f(np.linspace(0, 1, 5))
        """,
    ),
    (
        "An argument is missing or misspelled", 3,
        """
        x, y = T.dscalars("x", "y")
        f = graphc.function([x, y], x * y, name="area")
        f(3.0, why=2.0)
        """,
    ),
    (
        "An update is wider than its variable", 3,
        """
        W = graphc.shared(np.zeros((3, 2), "float32"), name="W")
        x = T.fmatrix("x")
        rate = T.constant(np.array([0.1, 0.2]), name="rate")
        step = rate * x.sum(axis=0)
        f = graphc.function([x], updates=[(W, W - step)])
        """,
    ),
    (
        "A variable is updated twice", 3,
        """
        w = graphc.shared(np.zeros(3), name="w")
        a = T.dvector("a")
        updates = [(w, w + a), (w, w * 2)]
        f = graphc.function([a], updates=updates)
        """,
    ),
    (
        "What is updated is not shared", 1,
        """
        w = T.dvector("w")
        f = graphc.function([w], updates={w: w + 1})
        """,
    ),
    (
        "A shared variable is made of a list", 1,
        """
        w = graphc.shared([0.1, 0.2], name="w")
        """,
    ),
    (
        "Sizes don't go together", 3,
        """
        x = T.dmatrix("x")
        W = graphc.shared(np.zeros((784, 10)), name="W")
        scores = T.dot(x, W)
        f = graphc.function([x], scores)
        f(np.zeros((20, 783)))
        """,
    ),
    (
        "An index is out of range", 3,
        """
        x = T.dvector("x")
        i = T.lscalar("i")
        y = x[i]
        f = graphc.function([x, i], y)
        f(np.zeros(3), 3)
        """,
    ),
    (
        "The cost of a gradient is not a scalar", 2,
        """
        x = T.dvector("x")
        errors = (x - 1) ** 2
        g = graphc.grad(errors, x)
        """,
    ),
    (
        "The cost doesn't depend on a variable", 2,
        """
        x = T.dvector("x")
        w = T.dvector("w")
        cost = (x**2).sum()
        g = graphc.grad(cost, [x, w])
        """,
    ),
    (
        "No gradient passes through an op", 2,
        """
        x = T.dvector("x")
        best = x.argmax()
        cost = T.cast(best, "float64") * 2
        g = graphc.grad(cost, x)
        """,
    ),
    (
        "Python decides on a symbolic value", 2,
        """
        x = T.dscalar("x")
        positive = x > 0
        y = x if positive else -x
        """,
    ),
    (
        "A loop's state has no initial value", 4,
        """
        x = T.dvector("x")
        def step(row, total):
            return total + row
        totals, updates = graphc.scan(step, sequences=x)
        """,
    ),
    (
        "A loop's state becomes wider than it starts", 1,
        """
        x = T.dvector("x")
        start = T.fscalar("start")
        def step(row, total):
            return total + row
        totals, updates = graphc.scan(step, x, outputs_info=start)
        """,
    ),
    (
        "A loop is to take more steps than there are rows", 4,
        """
        x = T.dvector("x")
        n = T.lscalar("n")
        double = lambda row: 2 * row
        doubled, updates = graphc.scan(double, x, n_steps=n)
        f = graphc.function([x, n], doubled)
        f(np.zeros(3), 4)
        """,
    ),
]  # fmt: skip


def message_of(program: str) -> str:
    """What the error of a program says, with its kind."""
    import numpy as np

    import graphc
    import graphc.tensor as T

    text = textwrap.dedent(program).strip("\n") + "\n"
    lines = text.splitlines(True)
    linecache.cache["mistake.py"] = (len(text), None, lines, "mistake.py")
    names = {"__name__": "mistake", "np": np, "graphc": graphc, "T": T}
    try:
        with graphc.config(traceback_limit=1, mode="numpy", floatX="float64"):
            exec(compile(text, "mistake.py", "exec"), names)
    except graphc.GraphError as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError(f"nothing is wrong with:\n{text}")


def page() -> str:
    """The text of docs/errors.md."""
    parts = [
        "# Eighteen common mistakes, and what graphc says\n",
        "Each message names the line of your program that is to blame, what was expected and "
        "what came.\nAll errors derive from `graphc.GraphError`. This page is written by "
        "`python tests/mistakes.py`.\n",
    ]
    for number, (title, _, program) in enumerate(MISTAKES, 1):
        text = textwrap.dedent(program).strip("\n")
        parts.append(f"## {number}. {title}\n")
        parts.append(f"```python\n{text}\n```\n")
        parts.append(f"```text\n{message_of(program)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
