"""Launches captured as a CUDA graph, through NVIDIA's bindings (part of numba-cuda's extras)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def capture(stream: Any, launches: Callable[[], None]) -> Callable[[], None]:
    """Record what `launches` puts on a stream, and return what runs all of it in one call."""
    from cuda.bindings import driver

    handle = driver.CUstream(int(stream.handle.value or 0))
    mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
    _checked(driver.cuStreamBeginCapture(handle, mode))
    try:
        launches()
    finally:
        graph = _checked(driver.cuStreamEndCapture(handle))
    runnable = _checked(driver.cuGraphInstantiate(graph, 0))

    def replay() -> None:
        _checked(driver.cuGraphLaunch(runnable, handle))

    return replay


def _checked(result: tuple[Any, ...]) -> Any:
    if int(result[0]) != 0:
        raise RuntimeError(f"the CUDA driver says {result[0].name}")
    return result[1] if len(result) > 1 else None
