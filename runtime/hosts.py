"""Steps that NumPy does, whatever target holds their operands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ShapeError
from graphc.core.node import Array
from graphc.core.plan import Step
from graphc.runtime.reference import meaning


def host_value(step: Step, operand_of: Callable[..., Array]) -> Array:
    """The result of a step's op, in its dtype.

    Parameters
    ----------
    operand_of : callable
        ``operand_of(address, layout, dtype, moves)``: a value in the plan's memory.
    """
    node, operands, _ = step.extra
    values = []
    for operand in operands:
        if isinstance(operand, np.ndarray):
            values.append(operand)
        elif isinstance(operand[1], tuple):
            number, shape, dtype = operand
            values.append(np.broadcast_to(dtypes.convert(number, dtype), shape))
        else:
            values.append(operand_of(*operand))
    value = np.asarray(meaning(node, values))
    if value.shape != node.type.shape:
        raise ShapeError(
            f"{node.op.name} gave an array of shape {value.shape}, and {node.type.shape} was "
            "inferred",
            "correct its infer or infer_shape", node.where,
        )  # fmt: skip
    return dtypes.convert(value, node.dtype)


def moved(moves: Any, index_at: Callable[[Any], int], fail: Callable[..., Exception]) -> int:
    """By how many elements indices that only run time tells move an operand.

    Parameters
    ----------
    index_at : callable
        The index at an address.
    fail : callable
        ``fail(owner, index, size)``: the error for an index outside its axis.
    """
    total = 0
    for address, d in moves:
        index = index_at(address)
        place = index + d.size if d.checked and index < 0 else index
        if d.checked and not 0 <= place < d.size:
            raise fail(d.owner, index, d.size)
        total += place * d.stride
    return total
