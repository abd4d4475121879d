"""The identity that prints what passes through it."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.core.node import Variable
from graphc.core.op import Host, Op, apply, declare


def _print(x: Any, message: str, names: tuple[str, ...], show: Any) -> Any:
    array = np.array(x)
    if show is not None:
        show(array)
        return array
    for name in names:
        found = getattr(array, name)
        text = str(found() if callable(found) else found)
        print(message, name, "=", text)
    return array


_printed = declare(
    Op(
        "print", lambda args, attrs: args[0].type, _print, Host(),
        vjp=lambda g, out, x, **attrs: (g,),
        jvp=lambda tangents, out, x, **attrs: tangents[0],
        formula="x, which is printed", facts={"folds": False},
    )
)  # fmt: skip


def printed(x: Variable, message: str, names: tuple[str, ...], show: Any = None) -> Variable:
    """`x`; when it is computed, its attributes `names` are printed, or `show` gets its value."""
    return apply(_printed, (x,), {"message": message, "names": names, "show": show})
