"""DLPack and addresses, through NVIDIA's ``cuda.core`` and ``cuda.bindings``.

Both come with numba-cuda; they are imported when an array is exchanged.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def read_dlpack(value: Any, stream: int) -> dict[str, Any]:
    """An array that speaks DLPack, described as by ``__cuda_array_interface__``.

    The stream waits for what the array's library has under way.
    """
    view = _view_type().from_dlpack(value, stream_ptr=stream)
    if view.dtype is None:
        raise ValueError("its dtype is none of NumPy's")
    kind = np.dtype(view.dtype)
    strides = view.strides
    return {
        "shape": tuple(view.shape), "typestr": kind.str, "data": (int(view.ptr), view.readonly),
        "strides": None if strides is None else tuple(s * kind.itemsize for s in strides),
    }  # fmt: skip


def export(array: Any, **options: Any) -> Any:
    """A capsule of DLPack that holds an array, which lives as long as the capsule's user."""
    kind = _view_type()
    if not hasattr(kind, "__dlpack__"):
        raise BufferError("the installed cuda-core makes no DLPack capsules: pip install -U "
                          "cuda-core, or use __cuda_array_interface__")  # fmt: skip
    return kind.from_cuda_array_interface(array, stream_ptr=-1).__dlpack__(**options)


def device_of(address: int) -> int | None:
    """The number of the device on which an address lies; None if the driver doesn't know it."""
    from cuda.bindings import driver

    wanted = driver.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
    code, found = driver.cuPointerGetAttribute(wanted, address)
    return int(found) if int(code) == 0 and int(found) >= 0 else None


def _view_type() -> Any:
    try:
        from cuda.core.utils import StridedMemoryView
    except ImportError as error:
        raise BufferError(f"DLPack needs the package cuda-core: {error}") from error
    return StridedMemoryView
