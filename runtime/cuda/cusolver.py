"""cuSOLVER through nvmath-python: whether it is there, and how it is called."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

import numpy as np

LETTERS = {"float32": "s", "float64": "d"}
OF_CUBLAS = ("trsm", "trsm_batched", "getrf_batched", "getrs_batched")
ALPHA = 6  # the place of trsm's coefficient among what is passed


def library() -> str | None:
    """Why there is no cuSOLVER to be called; None where there is."""
    if importlib.util.find_spec("nvmath") is None:
        return "the package nvmath-python isn't installed"
    try:
        from nvmath.bindings import cublas, cusolver, cusolverDn

        cusolver.get_version()  # loads the library
        cublas.get_version, cusolverDn.create  # noqa: B018
    except Exception as error:  # what is missing may be a library of NVIDIA's
        return " ".join(str(error).split()) or type(error).__name__
    return None


class Cusolver:
    """cuSOLVER, and what it lacks of cuBLAS, on a stream, through nvmath-python."""

    def __init__(self, stream: int) -> None:
        from nvmath.bindings import cublas, cusolverDn

        self.dense, self.products = cusolverDn, cublas
        self.handle, self.product_handle = cusolverDn.create(), cublas.create()
        cusolverDn.set_stream(self.handle, stream)
        cublas.set_stream(self.product_handle, stream)
        self.ones = {dtype: np.ones(1, dtype) for dtype in LETTERS}
        self.code = np.zeros(1, "int32")  # says which argument was wrong

    def room(self, routine: str, dtype: str, numbers: Sequence[int]) -> int:
        """How many elements of work area a routine wants."""
        asked = getattr(self.dense, f"{LETTERS[dtype]}{routine}_buffer_size")
        return int(asked(self.handle, *numbers))

    def solve(self, routine: str, dtype: str, arguments: Sequence[int]) -> None:
        """Put one call on the stream."""
        name = LETTERS[dtype] + routine
        passed = list(arguments)
        if routine.startswith("trsm"):
            passed.insert(ALPHA, int(self.ones[dtype].ctypes.data))
        if routine == "getrs_batched":
            passed.insert(-1, int(self.code.ctypes.data))
        if routine in OF_CUBLAS:
            getattr(self.products, name)(self.product_handle, *passed)
        else:
            getattr(self.dense, name)(self.handle, *passed)
