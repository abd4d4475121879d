"""The CPU that this process runs on: from LLVM IR to object code, from object code to addresses."""

from __future__ import annotations

import functools
import re
import threading
from dataclasses import dataclass

import llvmlite.binding as llvm

from graphc.runtime.forks import unlock_in_children

WIDE = '"prefer-vector-width"="512"'
_DEFINITION = re.compile(r"^(define [^\n]*\))( *)$", re.MULTILINE)


@dataclass(frozen=True)
class Host:
    """Name and features of the CPU, as LLVM knows them."""

    name: str
    features: str


@functools.cache
def host() -> Host:
    """The CPU of this process."""
    return Host(llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())


def _new_machine() -> llvm.TargetMachine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(
        cpu=host().name, features=host().features, opt=3,
        reloc="static", codemodel="jitdefault", jit=True,
    )  # fmt: skip


_target_machine = functools.cache(_new_machine)


def is_arm() -> bool:
    """Whether this is a 64-bit ARM processor."""
    return llvm.get_default_triple().startswith(("aarch64", "arm64"))


def has_masks() -> bool:
    """Whether vector instructions take masks, so that loops need no scalar rest."""
    return "+avx512vl" in host().features.split(",")


def optimised(text: str, quick: bool = False) -> llvm.ModuleRef:
    """The module of an IR text after LLVM's passes; `quick`: without those for long loops."""
    machine = _target_machine()
    module = llvm.parse_assembly(text)
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=1 if quick else 3)
    options.slp_vectorization = False
    options.loop_vectorization = options.loop_unrolling = not quick
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return module


def widened(text: str) -> str:
    """The IR text with a preference for the widest vectors in every function."""
    return _DEFINITION.sub(rf"\1 {WIDE}\2", text)


def object_code(text: str, quick: bool = False) -> bytes:
    """The object file of an IR text, optimised."""
    return bytes(_target_machine().emit_object(optimised(text, quick)))


def assembly(text: str) -> str:
    """The assembly of an IR text, optimised."""
    return str(_target_machine().emit_assembly(optimised(text)))


class _Loader:
    """The engine that holds loaded code, for the life of the process."""

    def __init__(self) -> None:
        self.forget_callers()
        unlock_in_children(self)
        self._engines: list[llvm.ExecutionEngine] = []
        self._symbols: set[str] = set()

    def forget_callers(self) -> None:
        self._lock = threading.Lock()

    def load(self, code: bytes, symbol: str) -> int:
        with self._lock:
            if not self._engines or symbol in self._symbols:  # an engine tells symbols by name
                machine = _new_machine()
                self._engines.append(llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine))
                self._symbols.clear()
            engine = self._engines[-1]
            engine.add_object_file(llvm.ObjectFileRef.from_data(code))
            engine.finalize_object()
            self._symbols.add(symbol)
            address = engine.get_function_address(symbol)
        if not address:
            raise LookupError(f"the object file has no function {symbol!r}")
        return int(address)


_LOADER = _Loader()


def load(code: bytes, symbol: str) -> int:
    """Load an object file and return the address of its function.

    Raises
    ------
    RuntimeError : if this isn't an object file for this machine.
    LookupError : if it has no such function.
    """
    return _LOADER.load(code, symbol)
