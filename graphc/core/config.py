"""Settings: ``graphc.config.floatX`` and its kin.

They may be given in the environment (``GRAPHC_FLAGS=floatX=float32,mode=numpy``),
assigned at run time, or set for a ``with`` block (``with config(floatX="float32"):``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from graphc.core.devices import device_name


@dataclass(frozen=True)
class Option:
    """One setting: its default, the values it may take, and what it means.

    With `read`, the choices are examples: it makes a value of what was given, or None.
    """

    default: Any
    choices: tuple[Any, ...] | None
    doc: str
    read: Callable[[Any], Any] | None = None


def _count(value: Any) -> int | None:
    """A whole number from 0 on."""
    return value if type(value) is int and value >= 0 else None


OPTIONS = {
    "floatX": Option(
        "float64", ("float16", "bfloat16", "float32", "float64"), "dtype of untyped floats"
    ),
    "mode": Option("native", ("native", "numpy"), "how functions run unless they say otherwise"),
    "device": Option(
        "cpu", ("cpu", "cuda", "cuda:1"), "where functions run unless they say otherwise",
        device_name,
    ),
    "cuda_graphs": Option(
        "auto", ("auto", True, False),
        "capture what plans launch as CUDA graphs: where that works, always (or raise), never",
    ),
    "cuda_products": Option(
        "float32", ("float32", "tf32", "bfloat16", "float16"),
        "what cuBLAS rounds the factors of float32 products to",
    ),
    "cuda_deterministic": Option(
        True, (True, False),
        "add to indexed elements on CUDA in the order of the indices, not by atomic additions",
    ),
    "cuda_solvers": Option(
        "auto", ("auto", "library", "host"),
        "who does linear algebra on CUDA: cuSOLVER where it is installed, it or nobody, NumPy",
    ),
    "cuda_convolutions": Option(
        "graphc", ("graphc", "cudnn"), "whose kernels do convolutions on a CUDA device"
    ),
    "threads": Option(
        0, (0, 1, 2),
        "threads that a call on the CPU may use; 0: one per core, at most 8, and no more than "
        "OMP_NUM_THREADS", _count,
    ),
    "on_unused_input": Option(
        "raise", ("raise", "warn", "ignore"), "what an input that no output needs leads to"
    ),
    "allow_input_downcast": Option(
        None, (None, True, False), "whether arguments may lose precision on their way in"
    ),
    "cache_dir": Option("", None, "folder of the kernel cache; GRAPHC_CACHE_DIR sets it too"),
    "cache_size_mb": Option(512, None, "size at which the oldest cached kernels are deleted"),
    "data_dir": Option("", None, "folder of data sets; GRAPHC_DATA_DIR sets it too"),
    "profile": Option(False, (True, False), "time every step of every function"),
    "traceback_limit": Option(8, None, "frames of the user's stack that a variable remembers"),
}


class Config:
    """The settings of this process; unknown names and values are refused."""

    def __init__(self, flags: str) -> None:
        values = {name: option.default for name, option in OPTIONS.items()}
        object.__setattr__(self, "_values", values)
        for flag in filter(None, (f.strip() for f in flags.split(","))):
            name, sign, text = flag.partition("=")
            if not sign:
                raise ValueError(f"GRAPHC_FLAGS: {flag!r} is not of the form name=value")
            setattr(self, name.strip(), _parse(name.strip(), text.strip()))

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(_unknown(name)) from None

    def __setattr__(self, name: str, value: Any) -> None:
        option = OPTIONS.get(name)
        if option is None:
            raise AttributeError(_unknown(name))
        known = value if option.read is None else option.read(value)
        right = option.choices is None or (
            known in option.choices if option.read is None else known is not None
        )
        if not right:
            allowed = ", ".join(repr(c) for c in option.choices or ())
            more = ", ..." if option.read is not None else ""
            raise ValueError(f"graphc.config.{name} may be {allowed}{more}, not {value!r}")
        self._values[name] = known

    @contextmanager
    def __call__(self, **settings: Any) -> Iterator[Config]:
        """Set options for a ``with`` block."""
        before = {name: getattr(self, name) for name in settings}
        try:
            for name, value in settings.items():
                setattr(self, name, value)
            yield self
        finally:
            self._values.update(before)

    change_flags = __call__

    def __dir__(self) -> list[str]:
        return [*OPTIONS, "change_flags"]

    def __repr__(self) -> str:
        lines = (f"{n} = {getattr(self, n)!r}  # {o.doc}" for n, o in OPTIONS.items())
        return "\n".join(lines)


# Theano's options that graphc hasn't on purpose, and what does their work.
ELSEWHERE = {
    "compute_test_value": "shapes and dtypes are checked when a graph is declared; "
    "mode='numpy' or x.eval({...}) gives values",
    "print_test_value": "graphc.printing.Print prints values",
    "compiledir": "cache_dir is the folder of compiled kernels",
    "base_compiledir": "cache_dir is the folder of compiled kernels",
    "cxx": "no C++ compiler is used",
    "gcc": "no C++ compiler is used",
    "blas": "NumPy's and graphc's own matrix products need no setting",
    "optimizer": "mode='numpy' runs graphs as they are declared",
    "linker": "mode says how functions run",
    "exception_verbosity": "errors always name the user's lines, shapes and dtypes",
    "warn": "there are no warnings about old versions",
    "pthreads": "threads says how many threads a call may use",
    "openmp": "threads says how many threads a call may use",
    "scan": "loops have no options",
    "allow_gc": "memory is planned when a function is compiled, and kept",
    "cast_policy": "integers and Python numbers never widen floats",
    "dnn": "convolutions and pooling are graphc's own kernels",
    "gpuarray": "device says where functions run",
    "int_division": "/ is true division, and // rounds down",
    "lib": "memory is planned when a function is compiled, and kept",
    "nvcc": "no C++ compiler is used",
    "optimizer_excluding": "mode='numpy' runs graphs as they are declared",
    "optimizer_including": "every rule runs; f.explain() shows which ones fired",
    "profile_memory": "f.explain() shows the plan and its memory",
    "warn_float64": "v.dtype says what a variable is, and graphc.dprint shows all of them",
}


def _unknown(name: str) -> str:
    if name in ELSEWHERE:
        return f"graphc.config has no option {name!r} on purpose: {ELSEWHERE[name]}"
    return f"graphc.config has no option {name!r}; it has {', '.join(OPTIONS)}"


def _parse(name: str, text: str) -> Any:
    option = OPTIONS.get(name)
    if option is None:
        raise AttributeError(_unknown(name))
    literals = {"None": None, "True": True, "False": False}
    if text in literals:
        return literals[text]
    return int(text) if isinstance(option.default, int) and text.lstrip("-").isdigit() else text


config = Config(os.environ.get("GRAPHC_FLAGS", ""))
