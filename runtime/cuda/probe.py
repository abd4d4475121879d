"""What NVIDIA's driver says of this machine, and whether its devices can serve.

The driver's library is asked through ctypes, so that no package is needed to know why there is
no device.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from graphc.core.devices import cuda_name
from graphc.core.errors import TargetError
from graphc.core.plan import size_text

INSTALL = "pip install 'graphc[cuda12]' or 'graphc[cuda13]', as the driver's version says"
WHY = {
    3: "it can't be initialised in this process (was it forked after CUDA was used? start "
       "processes with 'spawn')",
    34: "what was found is a stub for linking, not a driver",
    46: "the device is busy, or used by another process alone",
    100: "it sees no device: none is there, or CUDA_VISIBLE_DEVICES hides it",
    101: "CUDA_VISIBLE_DEVICES names a device that isn't there",
    802: "the system isn't ready: NVIDIA's fabric manager doesn't run",
    803: "its library and its kernel module have different versions: reboot, or reinstall it",
    804: "its compatibility package doesn't serve this device: update the driver itself",
    999: "an unknown error: `nvidia-smi` may say more",
}  # fmt: skip
"""By the driver's code, why it can't be used."""
LOWEST = {12: (5, 0), 13: (7, 5)}
"""By a toolkit's major version, the lowest compute capability that it compiles for."""
TOOLKIT = (
    "nvidia-nvvm", "nvidia-cuda-nvcc-cu12", "nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12",
)  # fmt: skip
"""The packages whose version is the toolkit's."""
LIBRARIES = ("numba-cuda", "nvmath-python", "cuda-core", "cuda-bindings")
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*

Version = tuple[int, int]


@dataclass(frozen=True)
class Device:
    """One device, as the driver describes it."""

    ordinal: int
    name: str
    capability: Version
    memory: int

    def __str__(self) -> str:
        major, minor = self.capability
        return (f"{cuda_name(self.ordinal)} {self.name}, compute capability {major}.{minor}, "
                f"{size_text(self.memory)}")  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """The driver and its devices.

    Attributes
    ----------
    driver : of the driver, the CUDA version that it serves; None without one.
    devices : those that this process sees.
    toolkit : the version of the installed compiler, None where none is.
    problem : why nothing can be used.
    """

    driver: Version | None = None
    devices: tuple[Device, ...] = ()
    toolkit: Version | None = None
    problem: str = ""


def library() -> Any:
    """The driver's library; None where there is none."""
    names = ("nvcuda.dll",) if hasattr(ctypes, "WinDLL") else ("libcuda.so.1", "libcuda.so")
    for name in (*names, ctypes.util.find_library("cuda")):
        try:
            found = ctypes.CDLL(name) if name else None
        except OSError:
            continue
        if found is not None:
            return found
    return None


def look() -> Machine:
    """What the driver says; nothing is started on a device."""
    found = library()
    if found is None:
        return Machine(toolkit=toolkit_version(), problem="there is no NVIDIA driver")
    number = ctypes.c_int()
    driver = None
    if not found.cuDriverGetVersion(ctypes.byref(number)) and number.value:
        driver = number.value // 1000, number.value % 1000 // 10
    toolkit, code = toolkit_version(driver), int(found.cuInit(0))
    if code:
        why = WHY.get(code, "see the errors of the CUDA driver's API")
        why = f"the NVIDIA driver can't be used (error {code}): {why}"
        return Machine(driver, (), toolkit, why)
    found.cuDeviceGetCount(ctypes.byref(number))
    devices = tuple(_device(found, k) for k in range(number.value))
    return Machine(driver, devices, toolkit, "" if devices else "the driver sees no device")


def _device(driver: Any, ordinal: int) -> Device:
    handle, number = ctypes.c_int(ordinal), ctypes.c_int()
    driver.cuDeviceGet(ctypes.byref(handle), ordinal)
    label, memory = ctypes.create_string_buffer(256), ctypes.c_size_t()
    driver.cuDeviceGetName(label, len(label), handle)
    driver.cuDeviceTotalMem_v2(ctypes.byref(memory), handle)
    found = []
    for attribute in (_MAJOR, _MINOR):
        driver.cuDeviceGetAttribute(ctypes.byref(number), attribute, handle)
        found.append(number.value)
    name = label.value.decode(errors="replace")
    return Device(ordinal, name, (found[0], found[1]), memory.value)


def installed(package: str) -> str | None:
    """A package's version; None where it isn't installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def toolkit_version(driver: Version | None = None) -> Version | None:
    """The version of the CUDA toolkit whose compiler is installed by pip.

    Where several are, it is one that the driver can serve.
    """
    found = []
    for package in TOOLKIT:
        parts = (installed(package) or "").split(".")
        if len(parts) >= 2 and parts[0].isdigit() and parts[1].isdigit():
            found.append((int(parts[0]), int(parts[1])))
    served = [v for v in found if driver is None or v[0] <= driver[0]]
    return max(served or found, default=None)


def check(machine: Machine, ordinal: int) -> None:
    """Raise a `TargetError` that says what is missing for a device of this number to serve."""
    name, others = cuda_name(ordinal), "the target 'cpu' works without"
    if machine.problem:
        hint = f"install NVIDIA's driver, and {INSTALL}; {others}"
        raise TargetError(f"the target {name!r} finds no device: {machine.problem}", hint)
    check_versions(machine, name)
    if ordinal >= len(machine.devices):
        raise no_device(ordinal, list(map(str, machine.devices)))
    lowest = LOWEST[max(min((machine.toolkit or (12, 0))[0], max(LOWEST)), min(LOWEST))]
    device = machine.devices[ordinal]
    if device.capability < lowest:
        tool = f"CUDA {_text(machine.toolkit)}" if machine.toolkit else "the compiler"
        good = [cuda_name(d.ordinal) for d in machine.devices if d.capability >= lowest]
        older = lowest > LOWEST[12] and device.capability >= LOWEST[12]
        raise TargetError(
            f"{device} is too old for {tool}, which compiles for compute capability "
            f"{_text(lowest)} and above",
            (f"use {', '.join(good)}; or " if good else "")
            + ("install graphc[cuda12] instead of graphc[cuda13]" if older
               else "compile this function with target='cpu'"),
        )  # fmt: skip


def no_device(ordinal: int, there: list[str]) -> TargetError:
    """The error for a number that no device has."""
    return TargetError(
        f"there is no device {ordinal} for the target {cuda_name(ordinal)!r}; there is "
        + "; ".join(there),
        "devices count from 0, in the order of CUDA_VISIBLE_DEVICES where that is set",
    )


def check_versions(machine: Machine, name: str) -> None:
    """Raise where the driver is older than what the compiler makes code for.

    Toolkits of one major version run on all drivers of that version.
    """
    driver, toolkit = machine.driver, machine.toolkit
    if driver is not None and toolkit is not None and driver[0] < toolkit[0]:
        raise TargetError(
            f"the driver is too old for the target {name!r}: it serves CUDA {_text(driver)}, and "
            f"the installed compiler is of CUDA {_text(toolkit)}",
            f"update NVIDIA's driver, or pip install 'graphc[cuda{driver[0]}]' instead of "
            f"'graphc[cuda{toolkit[0]}]'; the target 'cpu' works without",
        )


def versions_text(machine: Machine) -> str:
    """Both versions, for messages."""
    return (f"the driver serves CUDA {_text(machine.driver)}, the installed compiler is of CUDA "
            f"{_text(machine.toolkit)}")  # fmt: skip


def _text(found: Version | None) -> str:
    return "?" if found is None else f"{found[0]}.{found[1]}"
