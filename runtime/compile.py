"""From source or IR to native functions, compiled once per content.

A kernel's key is the digest of its text and of everything else that its code depends on. The
process holds one function per key, the disk (:mod:`graphc.runtime.cache`) one object file. Only
what neither holds is compiled, and only then is Numba imported.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType

from graphc.runtime.cache import Cache, cache, key_of
from graphc.runtime.emit import SHORT
from graphc.runtime.forks import unlock_in_children

Emit = Callable[[], str] | None
SOURCE, PLAIN, IR, EMITTED = "source", "plain source", "ir", "emitted"


@dataclass(frozen=True)
class Compiled:
    """A native function ``i32 f(i64 *result, i8 **, i64 block, i64 low, i64 high)``.

    Attributes
    ----------
    address : of the function.
    source : the text it was compiled from.
    name : what the caller calls it.
    seconds : what it took to get it, compiled or from disk.
    origin : ``"compiled"``, ``"disk"`` or ``"memory"``.
    symbol : the function's name in IR and assembly.
    kind : ``"source"``, ``"plain source"`` or ``"ir"``.
    """

    address: int
    source: str
    name: str
    seconds: float
    origin: str
    symbol: str
    kind: str

    @property
    def llvm(self) -> str:
        """The optimised IR; it is made again to be shown."""
        return str(_machine().optimised(_ir_of(self.source, self.symbol, self.kind)))

    @property
    def asm(self) -> str:
        """The assembly; it is made again to be shown."""
        return _machine().assembly(_ir_of(self.source, self.symbol, self.kind))


class _Table:
    """The functions of this process by key. One thread compiles a key, others wait for it."""

    def __init__(self) -> None:
        self.functions: dict[str, Compiled] = {}
        self.forget_callers()
        unlock_in_children(self)

    def forget_callers(self) -> None:
        self._lock = threading.Lock()
        self._busy: dict[str, threading.Lock] = {}

    def get(self, kind: str, text: str, name: str, symbol: str, emit: Emit = None) -> Compiled:
        key = key_of(kind, text, symbol)
        found = self.functions.get(key)
        if found is None:
            with self._lock:
                busy = self._busy.setdefault(key, threading.Lock())
            with busy:
                found = self.functions.get(key)
                if found is None:
                    made = _make(key, kind, emit or (lambda: text), name, symbol)
                    self.functions[key] = made
                    return made
        return replace(found, name=name, origin="memory", seconds=0.0)


_TABLE = _Table()


def compile_source(source: str, name: str) -> Compiled:
    """Return the native function of a kernel's source.

    Parameters
    ----------
    source : one function ``def kernel(block, low, high)`` in the kernel language
        (:mod:`graphc.runtime.primitives`).
    name : what to call it; equal sources are one function whatever they are called.

    Examples
    --------
    >>> made = compile_source("def kernel(block, low, high):\\n    return low + high\\n", "sum")
    >>> made.name
    'sum'
    """
    return _TABLE.get(SOURCE, source, name, "")


def compile_plain(source: str, name: str) -> Compiled:
    """Return the same as a function of C: ``i64 f(i64, i64, i64)``."""
    return _TABLE.get(PLAIN, source, name, "")


def compile_ir(text: str, symbol: str) -> Compiled:
    """Return the native function `symbol` of an LLVM IR text."""
    return _TABLE.get(IR, text, symbol, symbol)


def compile_emitted(symbol: str, emit: Callable[[], str]) -> Compiled:
    """Return the native function that `emit` gives the LLVM IR of.

    The symbol says all that the IR depends on, besides the emitter's own sources; where the
    function is in memory or on disk, nothing is emitted.
    """
    return _TABLE.get(EMITTED, "", symbol, symbol, emit)


def is_loaded(symbol: str) -> bool:
    """Whether this process has an emitted function of that name."""
    return key_of(EMITTED, "", symbol) in _TABLE.functions


def loaded() -> tuple[Compiled, ...]:
    """All functions of this process."""
    return tuple(_TABLE.functions.values())


def _make(
    key: str, kind: str, emit: Callable[[], str], name: str, symbol: str
) -> Compiled:
    start = time.perf_counter()
    symbol = symbol or f"kernel_{key[:16]}"
    store = cache()
    code = store.load(key, symbol)
    address = _load(store, key, code, symbol) if code is not None else None
    origin = "disk"
    text = "" if kind == EMITTED else emit()
    if address is None:
        origin = "compiled"
        text = emit()
        code = _machine().object_code(_ir_of(text, symbol, kind), quick=kind == PLAIN)
        address = _machine().load(code, symbol)
        store.save(key, symbol, code)
    seconds = time.perf_counter() - start
    return Compiled(address, text, name, seconds, origin, symbol, kind)


def _load(store: Cache, key: str, code: bytes, symbol: str) -> int | None:
    try:
        return _machine().load(code, symbol)
    except (RuntimeError, OSError, LookupError) as error:
        store.reject(key, str(error))
        return None


def _ir_of(text: str, symbol: str, kind: str) -> str:
    if kind in (IR, EMITTED):
        return text
    machine = _machine()
    plain = kind == PLAIN
    masked = machine.has_masks() and SHORT in text
    ir = _frontend().lower(text, symbol, masked=masked, plain=plain)
    return machine.widened(ir)


def _machine() -> ModuleType:
    """llvmlite: imported when the first function is loaded."""
    from graphc.runtime import machine

    return machine


def _frontend() -> ModuleType:
    """Numba: imported when the first source is compiled that no cache holds."""
    from graphc.runtime import frontend

    return frontend
