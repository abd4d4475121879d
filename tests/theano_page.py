"""Writes docs/theano.md: what a program written for Theano has to change."""

from pathlib import Path

from graphc.absent import ABSENT
from graphc.core.config import ELSEWHERE

PAGE = Path(__file__).parent.parent / "docs" / "theano.md"
HEAD = """# Coming from Theano

Change the imports, and most programs run:

```python
import graphc as theano
import graphc.tensor as T
```

Names, parameters and their order are Theano's; [the table of ops](ops.md) has both names where
they differ, and [random numbers](random.md) the spellings of streams. Theano's module paths are
there as well (`graphc.printing`, `graphc.compile.io`, `graphc.compile.mode`, `graphc.gof.graph`,
`graphc.scalar`, `graphc.sandbox.rng_mrg`, `T.nnet.sigm`, `T.sharedvar`, ...).

## What means something else

- `v.owner` describes the application that makes `v` (`op`, `inputs`, `outputs`). An op has one
  output; attributes such as axes are not inputs but `v.attrs`.
- `isinstance(v.owner.op, T.Elemwise)`, `T.DimShuffle`, `T.Subtensor`, `T.Rebroadcast`,
  `T.nnet.Softmax` and `T.nnet.sigm.ScalarSigmoid` tell kinds of ops apart; calling them gives
  functions. `op.scalar_op` is the op itself, and `graphc.scalar.mul` is `T.mul`.
- `Mode(linker="py")` and `Mode(optimizer=None)` are `mode="numpy"`, every other mode is
  `mode="native"`.
- `printing.Print` prints when the value is computed. What nothing depends on is not computed.
- `printing.pydotprint` writes DOT for `outfile="graph.dot"`; pictures need Graphviz.
- Which axes broadcast is decided by sizes when a function runs, as in NumPy, and not by flags.

## What is left out on purpose

These belong to machinery that graphc hasn't: rewriting a mutable graph from outside, writing C,
types of values on devices. Asking for one of the names is an error that says this:

| name | in its place |
| --- | --- |
"""
CONFIG = """
Of the options in `config`, these are refused with a hint:

| option | in its place |
| --- | --- |
"""


def page() -> str:
    """The text of docs/theano.md."""
    names = "".join(f"| `{name}` | {text} |\n" for name, text in sorted(ABSENT.items()))
    options = "".join(f"| `{name}` | {text} |\n" for name, text in sorted(ELSEWHERE.items()))
    return HEAD + names + CONFIG + options


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
