"""From a kernel's source to PTX, with numba-cuda's compiler."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def compile_ptx(source: str, capability: tuple[int, int]) -> str:
    """The PTX of a kernel's source, from numba-cuda's compiler; no device is needed.

    Parameters
    ----------
    source : one function ``def kernel(block, work, error, step, parts)``.
    capability : of the device that it is for, as ``(9, 0)``.
    """
    from graphc.runtime.cuda.namespace import bounds_of, cuda, function_of, types

    function = function_of(source, "kernel")
    arguments = types.void(*[types.int64] * 5)
    with _as_if_on(capability):
        text, _ = cuda.compile(
            function, arguments, device=False, abi="numba", cc=capability
        )
    bounds = bounds_of(function)
    if bounds is None:
        return str(text)
    # `compile` takes no launch bounds: they stand between an entry's parameters and its body.
    said = f".maxntid {bounds[0]}, 1, 1\n.minnctapersm {bounds[1]}\n"
    return re.sub(r"(\.visible \.entry \w+\([^)]*\)\s*)\{", rf"\1{said}{{", str(text), count=1)


@contextmanager
def _as_if_on(capability: tuple[int, int]) -> Iterator[None]:
    """Let Numba compile what kernels call without a device.

    For functions that kernels call, Numba asks the device at hand for its capability, also where
    the kernel itself is compiled for a given one. Their code is the same for all.
    """
    from numba.cuda import dispatcher

    class Device:
        compute_capability: Any = capability

    before = dispatcher.get_current_device
    dispatcher.get_current_device = Device
    try:
        yield
    finally:
        dispatcher.get_current_device = before
