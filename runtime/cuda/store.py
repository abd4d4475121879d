"""CUDA kernels on disk: PTX, and machine code per compute capability.

Entries lie in the cache of the CPU's kernels and obey its rules (:mod:`graphc.runtime.cache`):
found by content, no locks, and one that is damaged leads to a warning and a new compilation.
Compilers and linkers are numba-cuda's and need no device.
"""

from __future__ import annotations

import functools
import hashlib
import re
from pathlib import Path

from graphc.runtime import cache as disk
from graphc.runtime.cuda.ptx import compile_ptx

COMPILERS = ("numba", "numba-cuda", "llvmlite", "nvidia-nvvm", "nvidia-cuda-nvcc-cu12",
             "nvidia-nvjitlink", "nvidia-nvjitlink-cu12")  # fmt: skip
"""The packages on which the code of a source depends, where they are installed."""
_ENTRY = re.compile(r"\.visible \.entry (\w+)\(")


@functools.cache
def environment() -> str:
    """What code depends on besides a kernel's source and the capability."""
    from importlib.metadata import PackageNotFoundError, version

    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    for package in COMPILERS:
        try:
            digest.update(f"{package} {version(package)}\n".encode())
        except PackageNotFoundError:
            continue
    return digest.hexdigest()


def key_of(source: str, capability: tuple[int, int], kind: str) -> str:
    """The key of a kernel's code of a kind (``ptx`` or ``cubin``)."""
    parts = environment(), kind, f"{capability[0]}.{capability[1]}", source
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def stored(source: str, capability: tuple[int, int], kind: str) -> bytes | None:
    """A kernel's code on the disk; None where it isn't known."""
    return disk.cache().load(key_of(source, capability, kind), "kernel")


def reject(source: str, capability: tuple[int, int], kind: str, reason: str) -> None:
    """Delete code that can't be used, with a warning."""
    disk.cache().reject(key_of(source, capability, kind), reason)


def ptx_of(source: str, capability: tuple[int, int]) -> str:
    """A kernel's PTX, from the disk where it is known; its entry is named ``kernel``."""
    store, key = disk.cache(), key_of(source, capability, "ptx")
    found = store.load(key, "kernel")
    if found is not None:
        return found.decode()
    text = compile_ptx(source, capability)
    (name,) = _ENTRY.findall(text)  # Numba's has a number that every compilation changes
    text = text.replace(name, "kernel")
    store.save(key, "kernel", text.encode())
    return text


def cubin_of(source: str, capability: tuple[int, int]) -> bytes:
    """A kernel's machine code, an ELF file, from the disk where it is known.

    Its entry is named ``kernel``, too.
    """
    store, key = disk.cache(), key_of(source, capability, "cubin")
    found = store.load(key, "kernel")
    if found is not None:
        return found
    code = linked(ptx_of(source, capability), capability)
    store.save(key, "kernel", code)
    return code


def linked(ptx: str, capability: tuple[int, int]) -> bytes:
    """The machine code of a kernel's PTX."""
    from cuda.core import Linker, LinkerOptions, ObjectCode

    options = LinkerOptions(arch=f"sm_{capability[0]}{capability[1]}")
    whole = ObjectCode.from_ptx(ptx.encode())
    return bytes(Linker(whole, options=options).link("cubin").code)
