"""The few IR-building words that the contraction kernels are written in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir

from .levels import BYTES, Level

I1, I32, I64 = (ir.IntType(width) for width in (1, 32, 64))
VOID = ir.VoidType()

Values = Sequence[ir.Value]


def word(value: int) -> ir.Constant:
    """Return an int64 constant."""
    return ir.Constant(I64, value)


def repeat(
    b: ir.IRBuilder, trips: ir.Value, start: Values, body: Callable[[list[ir.Value]], Values]
) -> list[ir.Value]:
    """Emit ``for _ in range(trips): values = body(values)`` and return the values after it."""
    before = b.block
    head, inside, after = (b.append_basic_block(name) for name in ("head", "inside", "after"))
    b.branch(head)
    b.position_at_end(head)
    left = b.phi(I64)
    left.add_incoming(trips, before)
    values = [b.phi(value.type) for value in start]
    for phi, value in zip(values, start, strict=True):
        phi.add_incoming(value, before)
    b.cbranch(b.icmp_signed(">", left, word(0)), inside, after)
    b.position_at_end(inside)
    following = body(list(values))
    left.add_incoming(b.sub(left, word(1)), b.block)
    for phi, value in zip(values, following, strict=True):
        phi.add_incoming(value, b.block)
    b.branch(head).set_metadata("llvm.loop", _as_written(b.module))
    b.position_at_end(after)
    return list(values)


def _as_written(module: ir.Module) -> ir.MDValue:
    """Return the mark of loops that LLVM leaves alone: it would unroll what is unrolled already."""
    hints = ("llvm.loop.unroll.disable", "llvm.loop.vectorize.enable")
    unroll = module.add_metadata([ir.MetaDataString(module, hints[0])])
    vectorise = module.add_metadata([ir.MetaDataString(module, hints[1]), ir.Constant(I1, 0)])
    return module.add_metadata([unroll, vectorise])


def text_of(module: ir.Module) -> str:
    """Return a module's IR; the loops' mark refers to itself, which llvmlite can't say."""
    mark = _as_written(module)
    name, parts = mark.get_reference(), [str(part.get_reference()) for part in mark.operands]
    before = f"{name} = !{{ {', '.join(parts)} }}"
    after = f"{name} = distinct !{{ {', '.join([name, *parts])} }}"
    text = str(module)
    if before not in text:
        raise AssertionError(f"llvmlite prints the mark of loops otherwise than {before!r}")
    return text.replace(before, after)


def smaller(b: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    """Emit the signed minimum of two words."""
    return b.select(b.icmp_signed("<", x, y), x, y)


def ceil_div(b: ir.IRBuilder, x: ir.Value, divisor: int) -> ir.Value:
    """Emit ``ceil(x / divisor)`` for a non-negative word and a constant."""
    return b.udiv(b.add(x, word(divisor - 1)), word(divisor))


class Kit:
    """Types and vector operations for one element type at one level, bound to a module."""

    def __init__(self, module: ir.Module, dtype: str, level: Level) -> None:
        self.module, self.dtype, self.level = module, dtype, level
        self.element = ir.FloatType() if dtype == "float32" else ir.DoubleType()
        self.size, self.lanes = BYTES[dtype], level.lanes(dtype)
        self.vector = ir.VectorType(self.element, self.lanes)
        self.pointer = ir.PointerType()
        self.mask = ir.VectorType(I1, self.lanes)
        self.suffix = f"v{self.lanes}f{8 * self.size}"
        self.zero = ir.Constant(self.vector, None)

    def function(self, name: str, arguments: Sequence[tuple[str, ir.Type]]) -> ir.Function:
        """Declare an internal function of the module; it stays a call, so it is compiled once."""
        kind = ir.FunctionType(VOID, [type_ for _, type_ in arguments])
        function = ir.Function(self.module, kind, name)
        function.linkage, function.calling_convention = "internal", "fastcc"
        for attribute in ("nounwind", "noinline"):
            function.attributes.add(attribute)
        for argument, (label, _) in zip(function.args, arguments, strict=True):
            argument.name = label
        return function

    def call(self, b: ir.IRBuilder, function: ir.Function, arguments: Values) -> None:
        """Emit a call of an internal function."""
        b.call(function, arguments, cconv="fastcc")

    def intrinsic(self, name: str, result: ir.Type, arguments: Sequence[ir.Type]) -> ir.Function:
        """Return the module's declaration of an LLVM intrinsic."""
        known = self.module.globals.get(name)
        return known or ir.Function(self.module, ir.FunctionType(result, arguments), name)

    def fma(self, b: ir.IRBuilder, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
        """Emit ``x * y + z``, fused where the CPU can (without FMA, `llvm.fma` would be a call)."""
        kind = [self.vector] * 3
        return b.call(self.intrinsic(f"llvm.fmuladd.{self.suffix}", self.vector, kind), [x, y, z])

    def spread(self, b: ir.IRBuilder, scalar: ir.Value) -> ir.Value:
        """Emit a vector with `scalar` in every lane."""
        lanes = self.lanes
        zeros = ir.Constant(ir.VectorType(scalar.type, lanes), None)
        first = b.insert_element(zeros, scalar, ir.Constant(I32, 0))
        return b.shuffle_vector(first, zeros, ir.Constant(ir.VectorType(I32, lanes), None))

    def shuffle(self, b: ir.IRBuilder, x: ir.Value, y: ir.Value, order: Sequence[int]) -> ir.Value:
        """Emit a vector of the lanes of x and y (counted on from x's) that `order` names."""
        return b.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, len(order)), list(order)))

    def first_lanes(self, b: ir.IRBuilder, count: ir.Value) -> ir.Value:
        """Emit the mask of the first `count` lanes (none for a negative count)."""
        iota = ir.Constant(ir.VectorType(I32, self.lanes), list(range(self.lanes)))
        bounded = b.trunc(smaller(b, count, word(self.lanes)), I32)
        return b.icmp_signed("<", iota, self.spread(b, bounded))

    def masks(self, b: ir.IRBuilder, count: ir.Value, vectors: int) -> list[ir.Value | None]:
        """Emit the masks of `count` elements in so many vectors; a level without masks has None."""
        if not self.level.masked:
            return [None] * vectors
        return [self.first_lanes(b, b.sub(count, word(v * self.lanes))) for v in range(vectors)]

    def at(self, b: ir.IRBuilder, pointer: ir.Value, offset: ir.Value | int) -> ir.Value:
        """Emit the address of an element `offset` elements on."""
        if isinstance(offset, int) and offset == 0:
            return pointer
        step = word(offset) if isinstance(offset, int) else offset
        return b.gep(pointer, [step], source_etype=self.element)

    def memory(self, b: ir.IRBuilder, count: int, type_: ir.Type | None = None) -> ir.Value:
        """Emit an allocation on the stack, in the function's first block, aligned to a line."""
        with b.goto_entry_block():
            held = b.alloca(type_ or self.element, word(count))
            held.align = 64
            held.type = self.pointer  # llvmlite's own is a typed pointer, which LLVM has given up
            return held

    def value(self, b: ir.IRBuilder, pointer: ir.Value) -> ir.Value:
        """Emit the load of one element."""
        return b.load(pointer, typ=self.element)

    def load(self, b: ir.IRBuilder, pointer: ir.Value, mask: ir.Value | None = None) -> ir.Value:
        """Emit a vector load; lanes outside the mask are zero and their memory isn't touched."""
        if mask is None:
            return b.load(pointer, align=self.size, typ=self.vector)
        load = self.intrinsic(
            f"llvm.masked.load.{self.suffix}.p0",
            self.vector,
            [self.pointer, I32, self.mask, self.vector],
        )
        return b.call(load, [pointer, ir.Constant(I32, self.size), mask, self.zero])

    def store(
        self, b: ir.IRBuilder, value: ir.Value, pointer: ir.Value, mask: ir.Value | None = None
    ) -> None:
        """Emit a vector store of the lanes in the mask."""
        if mask is None:
            b.store(value, pointer, align=self.size)
            return
        store = self.intrinsic(
            f"llvm.masked.store.{self.suffix}.p0", VOID, [self.vector, self.pointer, I32, self.mask]
        )
        b.call(store, [value, pointer, ir.Constant(I32, self.size), mask])

    def prefetch(self, b: ir.IRBuilder, pointer: ir.Value, write: bool = False) -> None:
        """Emit a hint that the line at `pointer`, which may lie outside any array, comes next."""
        hint = self.intrinsic("llvm.prefetch.p0", VOID, [self.pointer, I32, I32, I32])
        flags = [ir.Constant(I32, flag) for flag in (int(write), 3, 1)]
        b.call(hint, [pointer, *flags])
