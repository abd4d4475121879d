"""Writes docs/accuracy.md: what each function of the vector maths is accurate to."""

from pathlib import Path

import graphc.ops  # noqa: F401  (declares the ops)
from graphc.core.op import OPS
from graphc.runtime.vecmath import FUNCTIONS

PAGE = Path(__file__).parent.parent / "docs" / "accuracy.md"
HEAD = """# Accuracy of the vector maths

Kernels compute these functions with arithmetic of our own that LLVM vectorises. The numbers bound
the error in units in the last place (ULP) over the whole range of the dtype, subnormal numbers
included; `tests/test_vecmath.py` measures them against mpmath and long double. Infinities, signed
zeros and NaN are those of NumPy. Rewrites keep infinities and NaN, except where a stable form is
the point; they may change the sign of a zero (`0 - x` becomes `-x`). This page is written by
`python tests/accuracy.py`.

| function | float32 | float64 | |
| --- | --- | --- | --- |
"""


def page() -> str:
    """The text of docs/accuracy.md."""
    rows = []
    for name in sorted(FUNCTIONS):
        f = FUNCTIONS[name]
        formula = OPS[name].formula.replace("|", "\\|") if name in OPS else ""
        rows.append(f"| {name} | {f.ulp['float32']:g} | {f.ulp['float64']:g} | {formula} |\n")
    return HEAD + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
