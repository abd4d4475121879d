"""Every function as a compiled loop over arrays, for tests and measurements.

Kernels of compiled graphs don't come from here: they emit the same functions inside their loops.
"""

import ctypes
from collections.abc import Iterable
from dataclasses import dataclass

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from graphc.runtime.vecmath import FUNCTIONS
from graphc.runtime.vecmath.function import Function
from graphc.runtime.vecmath.lanes import FLOAT32, FLOAT64, Format

INDEX = ir.IntType(64)


@dataclass(frozen=True)
class Loops:
    """Compiled loops.

    Attributes
    ----------
    ir_text : the optimised LLVM IR of the module.
    assembly : its machine code as text.
    engine : what owns the machine code.
    """

    ir_text: str
    assembly: str
    engine: llvm.ExecutionEngine

    def pointer(self, name: str, dtype: str) -> ctypes._CFuncPtr:
        """The loop as a C function of the arrays' addresses, the result's last, and the size."""
        arity = FUNCTIONS[name].arity
        kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (arity + 1), ctypes.c_int64)
        return kind(self.engine.get_function_address(f"{name}_{dtype}"))

    def __call__(self, name: str, *arguments: np.ndarray) -> np.ndarray:
        """The function of flat arrays of one dtype and size."""
        arrays = [np.ascontiguousarray(argument) for argument in arguments]
        result = np.empty_like(arrays[0])
        addresses = [array.ctypes.data for array in (*arrays, result)]
        self.pointer(name, result.dtype.name)(*addresses, result.size)
        return result


def _emit_loop(module: ir.Module, function: Function, form: Format, fused: bool) -> None:
    """``for i in range(size): result[i] = function(argument[i], ...)``."""
    arrays = [form.real.as_pointer()] * (function.arity + 1)
    kind = ir.FunctionType(ir.VoidType(), [*arrays, INDEX])
    loop = ir.Function(module, kind, f"{function.name}_{form.name}")
    *sources, target, size = loop.args
    target.add_attribute("noalias")
    entry, body, done = (loop.append_basic_block(name) for name in ("entry", "body", "done"))
    builder = ir.IRBuilder(entry)
    builder.cbranch(builder.icmp_signed(">", size, INDEX(0)), body, done)
    builder = ir.IRBuilder(body)
    index = builder.phi(INDEX)
    values = [builder.load(builder.gep(source, [index])) for source in sources]
    result = function.emit(builder, *values, fused=fused)
    builder.store(result, builder.gep(target, [index]))
    following = builder.add(index, INDEX(1))
    index.add_incoming(INDEX(0), entry)
    index.add_incoming(following, body)
    builder.cbranch(builder.icmp_signed("<", following, size), body, done)
    ir.IRBuilder(done).ret_void()


def emit_loops(names: Iterable[str] = FUNCTIONS, *, fused: bool = True) -> ir.Module:
    """A module with a loop ``NAME_DTYPE`` for each function and format, not yet optimised."""
    module = ir.Module("vecmath")
    for name in names:
        for form in (FLOAT32, FLOAT64):
            _emit_loop(module, FUNCTIONS[name], form, fused)
    return module


def compile_loops(
    module: ir.Module, *, cpu: str | None = None, features: str | None = None
) -> Loops:
    """Optimise (O3) and compile the loops, by default for this machine with its widest vectors."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    if features is None:
        # LLVM's models of some AVX-512 CPUs prefer half of their width.
        narrow = ",-prefer-256-bit" if llvm.get_default_triple().startswith("x86_64") else ""
        features = llvm.get_host_cpu_features().flatten() + narrow
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=cpu or llvm.get_host_cpu_name(), features=features, opt=3, jit=True)
    compiled = llvm.parse_assembly(str(module))
    compiled.triple, compiled.data_layout = llvm.get_default_triple(), str(machine.target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(compiled, passes)
    text, assembly = str(compiled), machine.emit_assembly(compiled)
    engine = llvm.create_mcjit_compiler(compiled, machine)
    engine.finalize_object()
    return Loops(text, assembly, engine)
