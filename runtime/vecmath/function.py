"""A function of vector maths: its formula, arity and stated accuracy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from llvmlite import ir

from graphc.runtime.vecmath.lanes import FLOAT32, FLOAT64, Real


@dataclass(frozen=True)
class Function:
    """A real function as straight-line LLVM IR.

    Attributes
    ----------
    name : its name in ``FUNCTIONS``.
    arity : how many numbers it takes, all of one format.
    formula : builds it from :class:`~graphc.runtime.vecmath.lanes.Real` values.
    ulp : the largest error by dtype name, in units in the last place of the exact result, on
        machines with fused multiply-add.

    Examples
    --------
    >>> from llvmlite import ir
    >>> from graphc.runtime.vecmath import FUNCTIONS
    >>> kind = ir.FunctionType(ir.FloatType(), [ir.FloatType()])
    >>> function = ir.Function(ir.Module(), kind, "square_root")
    >>> builder = ir.IRBuilder(function.append_basic_block())
    >>> root = FUNCTIONS["sqrt"].emit(builder, function.args[0])
    >>> print(root.type)
    float
    """

    name: str
    arity: int
    formula: Callable[..., Real]
    ulp: Mapping[str, float]

    def emit(self, builder: ir.IRBuilder, *values: ir.Value, fused: bool = True) -> ir.Value:
        """Append the function's instructions to the builder's block.

        Parameters
        ----------
        builder : where to append.
        *values : as many numbers as the arity, all ``float`` or all ``double``.
        fused : whether the machine has fused multiply-add (and with it rounding to integers). If
            not, products are rounded before they are added, and the last place is less certain.

        Returns
        -------
        A value of the same type.

        Raises
        ------
        TypeError : for another number of values or other types.
        """
        formats = {form.real: form for form in (FLOAT32, FLOAT64)}
        kinds = [value.type for value in values]
        if len(values) != self.arity or kinds[0] not in formats or len(set(kinds)) > 1:
            raise TypeError(
                f"vecmath.{self.name} takes {self.arity} value(s), all float or all double, "
                f"not ({', '.join(map(str, kinds))})"
            )
        form = formats[kinds[0]]
        return self.formula(*(Real(builder, value, form, fused) for value in values)).value
