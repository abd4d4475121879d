"""The names of devices: ``cpu``, ``cuda``, ``cuda:1``, and how else people write them."""

from __future__ import annotations

import re
from typing import Any

_CUDA = re.compile(r"cuda(?::?(\d{1,4}))?")
CHOICES = "'cpu', 'cuda', 'cuda:1', ..."


def device_name(wanted: Any) -> str | None:
    """The one spelling of a device; None for what names none.

    ``cuda`` is ``cuda:0``, the first that the driver shows; Theano's ``cuda1`` is ``cuda:1``.

    Examples
    --------
    >>> from graphc.core.devices import device_name
    >>> [device_name(name) for name in ("cpu", "cuda", "cuda0", "cuda:1", "gpu", None)]
    ['cpu', 'cuda', 'cuda', 'cuda:1', None, None]
    """
    if wanted == "cpu":
        return "cpu"
    found = _CUDA.fullmatch(wanted) if isinstance(wanted, str) else None
    return None if found is None else cuda_name(int(found[1] or 0))


def cuda_name(ordinal: int) -> str:
    """The name of a CUDA device by its number."""
    return f"cuda:{ordinal}" if ordinal else "cuda"


def ordinal_of(name: str) -> int:
    """The number of a CUDA device by its one spelling."""
    return int(name.partition(":")[2] or 0)


def kind_of(name: str) -> str:
    """``cpu`` or ``cuda``: what kernels and plans are made for, whatever the number."""
    return name.partition(":")[0]
