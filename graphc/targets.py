"""Where compiled functions run, by name."""

from __future__ import annotations

from typing import Any

from graphc.core.devices import ordinal_of
from graphc.runtime.bound import Bound


def target_of(name: str) -> Any:
    """The class that binds plans for a target.

    It asks for the device, so that a function that can't run there isn't made.
    """
    if name == "cpu":
        return Bound
    from graphc.runtime.cuda.bound import CudaBound  # asked for, so worth its imports
    from graphc.runtime.cuda.driver import current_driver

    current_driver(ordinal_of(name))
    return CudaBound
