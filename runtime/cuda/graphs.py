"""Launches captured as a CUDA graph, through NVIDIA's bindings (part of numba-cuda's extras)."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def capture(
    stream: int, launches: Callable[[], None], bindings: Any = None
) -> Callable[[], None]:
    """Record what `launches` puts on a stream, and return what runs all of it in one call.

    Parameters
    ----------
    stream : its address. What other threads do meanwhile is no part of the graph.
    bindings : ``cuda.bindings.driver``, or what stands for it in tests.

    Raises
    ------
    RuntimeError
        What the driver says where it can't capture; the stream is as it was before.
    """
    if bindings is None:
        from cuda.bindings import driver as bindings
    handle = bindings.CUstream(stream)
    mode = bindings.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
    with _nothing_freed():
        checked(bindings.cuStreamBeginCapture(handle, mode))
        try:
            launches()
        except BaseException:
            bindings.cuStreamEndCapture(handle)  # its own error would be about the first
            raise
        graph = checked(bindings.cuStreamEndCapture(handle))
    try:
        runnable = checked(bindings.cuGraphInstantiate(graph, 0))
    finally:
        bindings.cuGraphDestroy(graph)  # what runs is a copy
    launch = bindings.cuGraphLaunch

    def replay() -> None:
        code = launch(runnable, handle)[0]
        if code:
            raise RuntimeError(f"the CUDA driver says {code.name}")

    # One that runs is freed when it is done, says NVIDIA's documentation.
    weakref.finalize(replay, bindings.cuGraphExecDestroy, runnable).atexit = False
    return replay


@contextmanager
def _nothing_freed() -> Iterator[None]:
    """Let the garbage collector wait: memory that this thread frees would end a capture."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def checked(result: tuple[Any, ...]) -> Any:
    """What a call of the driver returned; an error with the driver's word for its failure."""
    if int(result[0]) != 0:
        raise RuntimeError(f"the CUDA driver says {result[0].name}")
    return result[1] if len(result) > 1 else None
