"""Addresses of BLAS routines, as SciPy exports them to Cython.

``import scipy.linalg.cython_blas`` runs all of ``scipy.linalg`` first, a third of a second; the
extension alone, loaded from its file, takes a sixth of that. It isn't registered as an imported
module, so a program that imports it later imports it as always.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType

GEMM = {"float32": "sgemm", "float64": "dgemm"}
"""BLAS's matrix product by dtype."""

_MODULE = "scipy.linalg.cython_blas"


@functools.cache
def address(routine: str) -> int:
    """Return the address of a Fortran BLAS routine: all arguments by address, 32-bit integers.

    Raises
    ------
    LookupError : if there is no such routine.
    """
    capsule = _module().__pyx_capi__.get(routine)
    if capsule is None:
        raise LookupError(f"SciPy's BLAS has no routine {routine!r}")
    name_of, pointer_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of.restype = ctypes.c_void_p
    pointer_of.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return int(pointer_of(capsule, name_of(capsule)))


@functools.cache
def _module() -> ModuleType:
    place = _file()
    if place is None or _MODULE in sys.modules:
        return importlib.import_module(_MODULE)
    spec = importlib.util.spec_from_file_location(_MODULE, place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules.pop(_MODULE, None)  # it enters itself
    return module


def _file() -> Path | None:
    """The extension's file."""
    package = importlib.util.find_spec("scipy")
    for root in (package.submodule_search_locations or ()) if package else ():
        for suffix in EXTENSION_SUFFIXES:
            place = Path(root, "linalg", "cython_blas" + suffix)
            if place.exists():
                return place
    return None


@functools.cache
def threads() -> tuple[int, int]:
    """The address of OpenBLAS's function that sets its number of threads, and that number now.

    (0, 1) where SciPy's BLAS is another one, or the function isn't found.
    """
    _module()
    package = importlib.util.find_spec("scipy")
    for root in (package.submodule_search_locations or ()) if package else ():
        for library in Path(root).with_name("scipy.libs").glob("*openblas*"):
            try:
                loaded = ctypes.CDLL(str(library))
                setter = loaded.scipy_openblas_set_num_threads
                count = int(loaded.scipy_openblas_get_num_threads())
            except (OSError, AttributeError):
                continue
            return ctypes.cast(setter, ctypes.c_void_p).value or 0, count
    return 0, 1
