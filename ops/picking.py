"""Elements picked by masks, along an axis, or from several tensors."""

from __future__ import annotations

from typing import Any

from graphc.core.errors import ArgumentError
from graphc.core.node import Variable, describe, user_frames
from graphc.ops.convert import as_variable, normal_axis, operands
from graphc.ops.elementwise import cast, clip, eq, mod, neq, switch
from graphc.ops.gather import checked_index
from graphc.ops.index import getitem, take
from graphc.ops.join import stack
from graphc.ops.make import arange
from graphc.ops.masks import mask_positions
from graphc.ops.shape import dim, dimshuffle, flatten


def nonzero(a: Any, return_matrix: bool = False) -> Any:
    """The indices of the elements that are not zero: one vector per axis.

    Their number is known when the function is called.

    Parameters
    ----------
    return_matrix : bool
        Whether the vectors come as the rows of one matrix.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> [i.eval().tolist() for i in T.nonzero(T.constant([[0, 3], [4, 0]]))]
    [[0, 1], [1, 0]]
    """
    variable = as_variable(a)
    if variable.ndim == 0:
        raise ArgumentError(f"nonzero of a scalar: {describe(variable)}", at=user_frames())
    found = mask_positions(variable if variable.dtype == "bool" else neq(variable, 0))
    return stack(found) if return_matrix else tuple(found)


def flatnonzero(a: Any) -> Variable:
    """The positions in the flat tensor of the elements that are not zero."""
    found: Variable = nonzero(flatten(a))[0]
    return found


def nonzero_values(a: Any) -> Variable:
    """The elements that are not zero, as a vector."""
    variable = as_variable(a)
    return getitem(variable, nonzero(variable))


def compress(condition: Any, x: Any, axis: int | None = None) -> Variable:
    """What lies along `axis` (in the flat tensor by default) where a condition holds.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.compress(T.constant([1, 0, 1]), T.constant([5, 6, 7])).eval()
    array([5, 7])
    """
    return take(x, flatnonzero(condition), axis)


def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Variable:
    """Elements along an axis, at a position of its own for each place of the others.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> x = T.constant([[3, 1], [5, 9]])
    >>> T.take_along_axis(x, T.argsort(x, 1), 1).eval()
    array([[1, 3],
           [5, 9]])
    """
    variable, positions = as_variable(arr), as_variable(indices)
    if axis is None:
        variable, axis = flatten(variable), 0
    place = normal_axis(axis, variable.ndim, "take_along_axis")
    if positions.ndim != variable.ndim:
        raise ArgumentError(
            f"take_along_axis: {describe(variable)} and {describe(positions)} differ in rank",
            at=user_frames(),
        )
    index = []
    for k in range(variable.ndim):
        pattern = ["x"] * variable.ndim
        pattern[k] = 0  # type: ignore[call-overload]
        index.append(
            positions if k == place else dimshuffle(arange(dim(positions, k)), *pattern)
        )
    return getitem(variable, tuple(index))


def choose(a: Any, choices: Any, mode: str = "raise") -> Variable:
    """For each element of `a`, which counts them, the element of one of several tensors.

    Parameters
    ----------
    choices : sequence of tensors, or a tensor whose first axis has a known size
        They and `a` are broadcast to one shape.
    mode : {'raise', 'wrap', 'clip'}
        What a number does that counts none of them.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.choose(T.constant([1, 0]), [T.constant([5, 6]), T.constant([7, 8])]).eval()
    array([7, 6])
    """
    number = as_variable(a)
    found = operands(list(choices))
    count = len(found)
    settle = {
        "raise": lambda: checked_index(number, count),
        "wrap": lambda: mod(number, count),
        "clip": lambda: clip(number, 0, count - 1),
    }
    if mode not in settle or not count:
        raise ArgumentError(
            f"choose: {count} choices, mode {mode!r}", f"modes are {list(settle)}", user_frames()
        )
    index = cast(settle[mode](), "int64")
    result = found[-1]
    for k in reversed(range(count - 1)):
        result = switch(eq(index, k), found[k], result)
    return result if count > 1 else switch(eq(index, 0), result, result)
