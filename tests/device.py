"""Tests of ops and training on a CUDA device: ``python -m pytest -m gpu``.

With that expression, every test of the files in `FILES` is made twice: once as ever, which the
expression leaves out, and once with ``graphc.config.device = "cuda"``, which it chooses. Without
it nothing is added. With ``NUMBA_ENABLE_CUDASIM=1`` Numba's simulator is the device.
"""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

FILES = (
    "test_conv", "test_conv_axes", "test_halves", "test_ifelse", "test_linalg", "test_loop",
    "test_more_ops", "test_native_graphs", "test_native_ops", "test_nn_layers", "test_nn_losses",
    "test_nn_recurrent", "test_optim", "test_pool", "test_pools", "test_random",
    "test_random_distributions", "test_recurrent", "test_scan", "test_scan_derivatives",
    "test_scan_generated", "test_scan_inside", "test_scan_updates", "test_shape_ops",
    "test_sparse", "test_stability", "test_train",
)  # fmt: skip
"""Files whose tests ask for numbers, whatever runs the functions."""


def is_there():
    """Whether there is a device, or the simulator."""
    from numba import cuda  # heavy, and asked only when a test wants a device

    return cuda.is_available()


def add_variants(metafunc):
    """Make a test once for each target."""
    wanted = "gpu" in (metafunc.config.option.markexpr or "").split()
    if wanted and metafunc.module.__name__ in FILES:
        cuda = pytest.param("cuda", marks=pytest.mark.gpu)
        metafunc.parametrize("_where", ["cpu", cuda], indirect=True)


def can_compile():
    """Whether NVIDIA's compiler is installed, and not hidden by the simulator."""
    there = importlib.util.find_spec("numba_cuda") is not None
    return there and "NUMBA_ENABLE_CUDASIM" not in os.environ


def skip(items):
    """Skip what needs a device or the compiler where there is none."""
    for name, there, reason in (
        ("gpu", is_there, "no CUDA device"),
        ("compiler", can_compile, "numba-cuda isn't installed: no compiler to PTX"),
    ):
        needing = [item for item in items if item.get_closest_marker(name)]
        if needing and not there():
            for item in needing:
                item.add_marker(pytest.mark.skip(reason=reason))


def report(terminal):
    """What ran where, by file; only where tests were asked for by ``-m gpu``."""
    if (terminal.config.option.markexpr or "") != "gpu":
        return
    from graphc import doctor

    terminal.section("CUDA")
    for finding in doctor._device():
        terminal.line(f"{finding.state:5} {finding.what}")
    counts = {}
    for outcome in ("passed", "failed", "error", "skipped"):
        for found in terminal.stats.get(outcome, ()):
            row = counts.setdefault(Path(found.nodeid.split("::")[0]).stem, {})
            row[outcome] = row.get(outcome, 0) + 1
    for name, row in sorted(counts.items()):
        terminal.line(f"{name:28} " + ", ".join(f"{n} {outcome}" for outcome, n in row.items()))
    if "graphc.runtime.cuda.driver" in sys.modules and is_there():
        from graphc.runtime.cuda.driver import current_driver

        room = current_driver().room()
        if room is not None:
            terminal.line(f"memory: {room[1] - room[0]:,} of {room[1]:,} bytes in use at the end")
