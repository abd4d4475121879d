"""What ``graphc doctor`` looks at: whether this machine has all that graphc needs."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

import graphc.tensor as T
from graphc.api import function
from graphc.core.config import OPTIONS, config
from graphc.core.errors import TargetError
from graphc.core.plan import size_text
from graphc.runtime.cuda import probe

NEEDED = ("numpy", "numba", "llvmlite", "scipy", "networkx", "platformdirs")
EXTRA = ("scikit-learn", "tqdm", "matplotlib", "safetensors", "pillow", "joblib", "tensorboardX",
         "mpi4py", "numba-cuda", "nvmath-python")  # fmt: skip
FEATURES = ("avx512f", "avx512vl", "avx512bf16", "avx512fp16", "avx2", "fma", "f16c", "avx", "sse2",
            "sve", "neon", "fullfp16", "bf16")  # fmt: skip
"""What graphc's kernels gain most from, of what LLVM calls a processor's features."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Variables of the environment that limit threads."""


@dataclass(frozen=True)
class Finding:
    """One line of the report: ``ok``, ``note`` or ``BAD``, and what to do about it."""

    state: str
    what: str
    advice: str = ""


def examine() -> Iterator[Finding]:
    """Everything that is worth knowing, one after the other.

    Examples
    --------
    >>> from graphc.doctor import examine
    >>> all(finding.state in ("ok", "note", "BAD") for finding in examine())
    True
    """
    for check in CHECKS:
        try:
            with warnings.catch_warnings(record=True) as raised:
                warnings.simplefilter("always")
                yield from check()
            for warning in raised:
                yield Finding("BAD", str(warning.message))
        except Exception as error:  # a check that fails is a finding, not the end
            yield Finding("BAD", f"{check.__name__.strip('_')}: {type(error).__name__}: {error}")


def _python() -> Iterator[Finding]:
    yield Finding("ok", f"Python {platform.python_version()} on {platform.platform()}")
    package = sys.modules["graphc"]
    yield Finding("ok", f"graphc {package.__version__}, from {package.__file__}")


def _packages() -> Iterator[Finding]:
    for name in NEEDED:
        found = _version(name)
        advice = f"pip install {name}"
        yield Finding("ok", f"{name} {found}") if found else Finding("BAD", f"no {name}", advice)
    there = [f"{name} {_version(name)}" for name in EXTRA if _version(name)]
    yield Finding("ok", f"extras: {', '.join(there) or 'none'}")
    absent = [name for name in EXTRA[:4] if not _version(name)]
    if absent:
        yield Finding("note", f"no {', '.join(absent)}", "pip install 'graphc[demo]'")


def _processor() -> Iterator[Finding]:
    from graphc.runtime.machine import host

    there = host().features.split(",")
    found = [name for name in FEATURES if f"+{name}" in there]
    yield Finding("ok", f"processor {host().name}: {', '.join(found) or 'no vectors'}")


def _threads() -> Iterator[Finding]:
    from graphc.runtime import blas, team

    allowed, cores, count = team.cores(), os.cpu_count() or 1, blas.threads()[1]
    limits = "".join(f", {name}={os.environ[name]}" for name in THREADS if name in os.environ)
    text = (f"{allowed} of {cores} cores for us, {team.threads()} threads for calls, "
            f"{count} for BLAS{limits}")  # fmt: skip
    if count > allowed:
        yield Finding("note", text, f"OMP_NUM_THREADS={allowed} keeps threads from waiting for "
                      "each other")  # fmt: skip
    else:
        yield Finding("ok", text)


def _settings() -> Iterator[Finding]:
    changed = [f"{n} = {getattr(config, n)!r}" for n, o in OPTIONS.items()
               if getattr(config, n) != o.default]  # fmt: skip
    yield Finding("ok", f"settings: {', '.join(changed) or 'all as they come'}")


def _cache() -> Iterator[Finding]:
    from graphc.runtime.cache import cache

    store = cache()
    if not store.usable:
        yield Finding("BAD", f"the kernel cache in {store.path} can't be used",
                      "GRAPHC_CACHE_DIR names another folder")  # fmt: skip
        return
    yield Finding(
        "ok",
        f"kernel cache {store.path}: {len(store.entries())} kernels, {size_text(store.size())} "
        f"of at most {config.cache_size_mb} MiB",
    )


def _blas() -> Iterator[Finding]:
    import scipy

    from graphc.runtime import blas

    place = f"sgemm at {blas.address('sgemm'):#x}"
    built = scipy.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    label = " ".join(str(built[k]) for k in ("name", "version") if built.get(k)) or "unknown"
    yield Finding("ok", f"BLAS through SciPy: {label}, {place}")


def _compiler() -> Iterator[Finding]:
    """A function from declaration to result, with an empty kernel cache."""
    x, y = T.fmatrix("x"), T.fmatrix("y")
    compiled = function([x, y], T.tanh(T.dot(x, y) + 1).sum(), mode="native")
    values = np.full((8, 8), 0.25, "float32")
    with _cache_in_a_new_folder():
        start = time.perf_counter()
        result = float(compiled(values, values))
        seconds = time.perf_counter() - start
    expected = float(np.tanh(values @ values + 1).sum())
    if abs(result - expected) > 1e-4 * abs(expected):
        yield Finding("BAD", f"a compiled function gave {result}, not {expected}",
                      "please report this, with the lines above")  # fmt: skip
    else:
        yield Finding("ok", f"a function compiled without any cache and was right: {seconds:.2f} s")


@contextmanager
def _cache_in_a_new_folder() -> Iterator[None]:
    before = os.environ.get("GRAPHC_CACHE_DIR")
    with tempfile.TemporaryDirectory(prefix="graphc-doctor-") as folder:
        os.environ["GRAPHC_CACHE_DIR"] = folder
        try:
            yield
        finally:
            del os.environ["GRAPHC_CACHE_DIR"]
            if before is not None:
                os.environ["GRAPHC_CACHE_DIR"] = before


def _device() -> Iterator[Finding]:
    """The driver, the toolkit, the libraries and the devices, or why there is none."""
    machine = probe.look()
    packages = {name: probe.installed(name) for name in probe.LIBRARIES}
    there = ", ".join(f"{name} {found}" for name, found in packages.items() if found)
    if machine.driver is None and machine.problem:
        yield Finding("ok", f"{machine.problem}: CPU only" + (f" (with {there})" if there else ""))
        return
    if machine.problem:
        yield Finding("note", machine.problem, "the target 'cpu' works without")
        return
    yield Finding("ok", f"CUDA: {probe.versions_text(machine)}; {there or 'no packages for it'}")
    for name in ("numba-cuda", "nvmath-python"):
        if not packages[name]:
            what = "the target 'cuda'" if name == "numba-cuda" else "products by cuBLAS"
            yield Finding("note", f"{what} needs {name}", probe.INSTALL)
    for device in machine.devices:
        try:
            probe.check(machine, device.ordinal)
        except TargetError as error:
            yield Finding("note", error.what, error.hint)
        else:
            yield Finding("ok", f"device {device}")


_version = probe.installed


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _python, _packages, _processor, _threads, _settings, _cache, _blas, _compiler, _device,
)  # fmt: skip
"""What is examined, in this order."""
