"""From the source of a kernel to unoptimised LLVM IR, through Numba's front end.

Importing this module imports Numba. Its own start loads every registry (arrays, SciPy, random
numbers); kernels over raw pointers need ``range`` and the primitives of
:mod:`graphc.runtime.primitives`, so the contexts here hold only those.
"""

from __future__ import annotations

import functools
import re
import threading
from typing import Any

import llvmlite.binding as llvm
import numba.core.compiler  # noqa: F401  (the passes below need it loaded)
from llvmlite import ir
from numba.core import codegen, compiler, cpu, fastmathpass, imputils, lowering, types, typing
from numba.core import typed_passes as typed
from numba.core import untyped_passes as untyped
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.typing import templates
from numba.cpython import rangeobj  # noqa: F401  (registers what loops over ranges become)

from graphc.runtime.primitives import NAMESPACE, OPERATORS, PRIMITIVES, SCOPES, PrimitiveType
from graphc.runtime.primitives.casts import convert
from graphc.runtime.primitives.kinds import is_scalar

ARGUMENTS = (types.int64, types.int64, types.int64)
RESULT = types.int64
MASKED = "llvm.loop.vectorize.predicate.enable"
ENVIRONMENT = "environment of"
LOOPS = (range, "getiter", "iternext")
"""Numba's own functions that kernels use."""

_LOOP = re.compile(r'^(!\d+) = !\{ !"graphc loop \d+"(.*) \}$', re.MULTILINE)
_LOCK = threading.Lock()


def lower(source: str, symbol: str, masked: bool = False, plain: bool = False) -> str:
    """Return the IR of a kernel.

    Parameters
    ----------
    source : text of one function of three int64 arguments.
    symbol : the name of the IR's function.
    masked : ask LLVM to vectorise inner loops whole, the last elements under a mask.
    plain : make `symbol` a function of C, ``i64 f(i64, i64, i64)``.
    """
    space = dict(NAMESPACE)
    exec(compile(source, f"<kernel {symbol}>", "exec"), space)
    functions = [value for key, value in space.items() if _is_new(key, value)]
    if len(functions) != 1:
        raise ValueError(f"a kernel is one function, this source has {len(functions)}")
    function = functions[0]
    function.__name__ = function.__qualname__ = f"{symbol}_inner" if plain else symbol
    with _LOCK:
        typing_context, context = _contexts()
        context.masked = masked
        SCOPES.written.clear()
        library = context.codegen().create_library(symbol)
        compiler.compile_extra(
            typing_context, context, function, ARGUMENTS, RESULT, _flags(), {},
            library=library, pipeline_class=_Pipeline,
        )
        if plain:
            _add_plain(library.module, symbol)
        return _with_own_loops(str(library.module))


def _is_new(key: str, value: object) -> bool:
    return key not in NAMESPACE and key != "__builtins__" and callable(value)


def _add_plain(module: ir.Module, symbol: str) -> None:
    """Add a function that calls the module's only one and returns what that stores."""
    inner = next(f for f in module.functions if not f.is_declaration)
    inner.linkage = "internal"
    word = ir.IntType(64)
    outer = ir.Function(module, ir.FunctionType(word, [word] * 3), symbol)
    b = ir.IRBuilder(outer.append_basic_block("start"))
    result = b.alloca(word)
    none = ir.Constant(inner.args[1].type, None)
    b.call(inner, [result, none, *outer.args])
    b.ret(b.load(result))


def _with_own_loops(text: str) -> str:
    """Make the loops' metadata refer to itself, which llvmlite can't say."""
    return _LOOP.sub(r"\1 = distinct !{ \1\2 }", text)


class _Library(codegen.CodeLibrary):
    """Keeps the module that lowering hands over; nothing is linked or compiled here."""

    module: ir.Module

    def add_linking_library(self, library: object) -> None:
        pass

    def add_ir_module(self, module: ir.Module) -> None:
        for name in [n for n in module.globals if n.startswith(ENVIRONMENT)]:
            del module.globals[name]
        self.module = module

    def finalize(self) -> None:
        self._finalized = True

    def get_function(self, name: str) -> None:
        return None

    def get_llvm_str(self) -> str:
        return str(self.module)

    def get_asm_str(self) -> str:
        return ""


class _Codegen(codegen.JITCPUCodegen):
    _library_class = _Library

    def _init(self, module: object) -> None:
        self._data_layout = ""
        target = llvm.Target.from_triple(llvm.get_process_triple())
        self._tm = target.create_target_machine(jit=True)
        self._target_data = self._tm.target_data
        self._data_layout = str(self._target_data)

    def _check_llvm_bugs(self) -> None:
        pass


class _Context(cpu.CPUContext):
    masked = False

    def init(self) -> None:
        self.is32bit = False
        self._internal_codegen = _Codegen("graphc")

    def refresh(self) -> None:
        """Load what kernels use; called once for each compilation."""
        if PrimitiveType in self._registries:
            return
        self._registries[PrimitiveType] = None
        registry = imputils.builtin_registry
        self.insert_func_defn([entry for entry in registry.functions if entry[1] in LOOPS])
        self._insert_cast_defn([(_cast, (types.Any, types.Any))])
        self._insert_get_constant_defn([(_constant, (types.Any,))])
        varargs = (types.VarArg(types.Any),)
        named = [(p.lower, p, varargs) for p in PRIMITIVES.values()]
        signs = [(PRIMITIVES[name].lower, sign, varargs) for sign, name in OPERATORS.items()]
        self.insert_func_defn([*named, *signs])
        self.typing_context.refresh()

    def mangler(self, name: str, kinds: object, **kwargs: object) -> str:
        return name.rpartition(".")[2]

    def insert_user_function(self, *arguments: object) -> None:
        """Kernels don't call each other."""

    def get_env_name(self, fndesc: Any) -> str:
        return f"{ENVIRONMENT} {fndesc.mangled_name}"

    def get_executable(self, library: object, fndesc: object, env: object) -> None:
        return None

    def post_lowering(self, module: ir.Module, library: object) -> None:
        fastmathpass.rewrite_module(module, self.fastmath)


def _constant(context: Any, builder: object, kind: types.Type, value: Any) -> ir.Constant:
    plain = types.unliteral(kind)
    if is_scalar(plain):
        return ir.Constant(context.get_value_type(plain), value)
    return context.get_dummy_value()  # a function


def _cast(
    context: Any, builder: ir.IRBuilder, source: types.Type, target: types.Type, value: ir.Value
) -> ir.Value:
    """The conversions that Numba inserts where values of two types meet in one variable."""
    source, target = types.unliteral(source), types.unliteral(target)
    return convert(builder, value, source, target)


class _Typing(typing.Context):
    def refresh(self) -> None:
        if PrimitiveType in self._registries:
            return
        self._registries[PrimitiveType] = None
        registry = templates.builtin_registry
        for template in registry.functions:
            if template.key in LOOPS:
                self.insert_function(template(self))
        for value, kind in registry.globals:
            if value is range:
                self.insert_global(value, kind)
        for sign, name in OPERATORS.items():
            self.insert_global(sign, PRIMITIVES[name]._numba_type_)


class _Lower(lowering.Lower):
    """Numba's lowering, with a hint on inner loops."""

    def lower_block(self, block: Any) -> None:
        super().lower_block(block)
        jump = block.body[-1]
        if self.context.masked and isinstance(jump, lowering.ir.Jump):
            end = next(label for label, other in self.blocks.items() if other is block)
            if jump.target <= end and self._is_inner(jump.target, end):
                self._annotate(self.builder.block.terminator)

    @functools.cached_property
    def _loops(self) -> list[tuple[int, int]]:
        """First and last block of every loop: blocks are numbered as they stand in the source."""
        jumps = [(label, block.body[-1]) for label, block in self.blocks.items()]
        return [(jump.target, label) for label, jump in jumps
                if isinstance(jump, lowering.ir.Jump) and jump.target <= label]

    def _is_inner(self, head: int, end: int) -> bool:
        """Whether a loop has none inside and lies in another."""
        inside = any(head < h and e < end for h, e in self._loops)
        return not inside and any(h < head and end < e for h, e in self._loops)

    def _annotate(self, branch: ir.Instruction) -> None:
        module = self.module
        hint = module.add_metadata([MASKED, ir.Constant(ir.IntType(1), 1)])
        name = f"graphc loop {len(module.metadata)}"
        branch.set_metadata("llvm.loop", module.add_metadata([name, hint]))


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(typed.BaseNativeLowering):
    _name = "graphc_lowering"

    @property
    def lowering_class(self) -> type:
        return _Lower


PASSES = (
    untyped.TranslateByteCode,
    untyped.FixupArgs,
    untyped.IRProcessing,
    typed.NopythonTypeInference,
    _Lowering,
)
"""Numba's passes that kernels need.

Without static single assignment (a variable has one type all over a kernel, and LLVM makes its
own), annotation and the checks of Python features, the front end takes a third less time.
"""


class _Pipeline(compiler.CompilerBase):
    def define_pipelines(self) -> list[PassManager]:
        manager = PassManager("kernel")
        for step in PASSES:
            manager.add_pass(step, step._name)
        manager.finalize()
        return [manager]


@functools.cache
def _contexts() -> tuple[_Typing, _Context]:
    typing_context = _Typing()
    return typing_context, _Context(typing_context)


@functools.cache
def _flags() -> compiler.Flags:
    flags = compiler.Flags()
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = flags.no_compile = True
    flags.nrt = False
    flags.error_model = "numpy"
    flags.fastmath = cpu.FastMathOptions({"contract"})
    return flags
