"""From the IR of a kernel to a function to call: for tests and benchmarks."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import llvmlite.binding as llvm

from .levels import Level, level_of

Step = Callable[[int, int, int], int]
"""``step(block, low, high)``: a loaded step without the two pointers that it ignores."""


def host_level() -> Level:
    """Return the best level of the CPU that this process runs on."""
    return level_of(llvm.get_host_cpu_features())


def target_machine(level: Level | None = None) -> llvm.TargetMachine:
    """Return a code generator for the host, or for a lower level's CPU."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    if level is not None and level != host_level():
        cpu, features = level.cpu, ""
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(
        cpu=cpu, features=features, opt=3, reloc="default", codemodel="jitdefault", jit=True
    )


def optimised(text: str, machine: llvm.TargetMachine) -> llvm.ModuleRef:
    """Return the parsed and optimised module of an IR text."""
    module = llvm.parse_assembly(text)
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return module


def object_code(text: str, level: Level | None = None) -> bytes:
    """Return the object code of an IR text, for the host or for a lower level's CPU."""
    machine = target_machine(level)
    return machine.emit_object(optimised(text, machine))


class Library:
    """Object code loaded into the process; its functions live as long as it or a step does.

    Parameters
    ----------
    code : bytes
        What `object_code` returned.
    """

    def __init__(self, code: bytes) -> None:
        machine = target_machine()
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()

    def address(self, symbol: str) -> int:
        """Return the address of a function."""
        return self._engine.get_function_address(symbol)

    def step(self, symbol: str) -> Step:
        """Return a step as a Python function."""
        word, result = ctypes.c_int64, ctypes.c_int64()
        kind = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, word, word, word)
        function, out = kind(self.address(symbol)), ctypes.addressof(result)

        def call(block: int, low: int, high: int, _code: Library = self) -> int:
            return function(out, None, block, low, high) or result.value

        return call
