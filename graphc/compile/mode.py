"""``graphc.compile.mode``: Theano's spellings of modes."""

from __future__ import annotations

from typing import Any

from graphc.core.errors import ArgumentError
from graphc.core.node import user_frames
from graphc.modes import read_mode

# Theano's linkers: those that run Python code, and those that compile.
LINKERS = {"py": "numpy", "vm": "native", "cvm": "native", "c": "native", "c|py": "native",
           "c|py_nogc": "native", "vm_nogc": "native", "cvm_nogc": "native"}  # fmt: skip


class Mode(str):
    """Theano's ``Mode(linker=..., optimizer=...)``: the name of one of graphc's modes.

    Parameters
    ----------
    linker : str
        ``"py"`` is ``mode="numpy"``; the others are ``mode="native"``.
    optimizer : str, optional
        None or ``"None"`` is ``mode="numpy"`` too, which runs graphs as they are declared.

    Examples
    --------
    >>> import graphc, graphc.tensor as T
    >>> x = T.dscalar("x")
    >>> mode = graphc.Mode(linker="py")
    >>> str(mode), float(graphc.function([x], 2 * x, mode=mode)(4))
    ('numpy', 8.0)
    """

    def __new__(cls, linker: Any = "cvm", optimizer: Any = "default") -> Mode:
        name = "cvm" if linker is None else str(linker)
        if name not in LINKERS:
            raise ArgumentError(
                f"Mode: linker {linker!r} is none of {', '.join(map(repr, LINKERS))}",
                at=user_frames(),
            )
        return super().__new__(cls, "numpy" if optimizer in (None, "None") else LINKERS[name])

    def including(self, *tags: str) -> Mode:
        """This mode: the rules of graphc are not chosen by tags."""
        return self

    excluding = requiring = including

    def __reduce__(self) -> Any:
        return Mode, ("py" if self == "numpy" else "cvm",)


def get_mode(mode: Any = None) -> Mode:
    """A mode by its name, or the configured one."""
    return Mode("py" if read_mode(mode) == "numpy" else "cvm")


def get_default_mode() -> Mode:
    """The mode of functions that name none: ``config.mode``."""
    return get_mode()


__all__ = ["Mode", "get_default_mode", "get_mode"]
