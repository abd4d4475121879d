"""The ways to run a function, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.core.config import config
from graphc.core.devices import CHOICES, device_name
from graphc.core.errors import ArgumentError
from graphc.core.graph import Graph
from graphc.core.node import user_frames
from graphc.program import NumpyProgram, Options, Program


def native_program(graph: Graph, options: Options) -> Program:
    """A program that compiles; the passes are imported with the first one."""
    from graphc.staged import compiled
    from graphc.transfers import at_borders

    return compiled(*at_borders(graph, options))


MAKERS: dict[str, Callable[[Graph, Options], Program]] = {
    "numpy": NumpyProgram,
    "native": native_program,
}

# What programs written for Theano ask for.
ALIASES = {"FAST_RUN": "native", "FAST_COMPILE": "numpy"}


def read_mode(mode: Any) -> str:
    """The mode that a user asked for, or the configured one, as a key of `MAKERS`."""
    wanted = config.mode if mode is None else mode
    if isinstance(wanted, str):
        wanted = ALIASES.get(wanted, wanted)
        if wanted in MAKERS:
            return wanted
    names = ", ".join(map(repr, [*MAKERS, *ALIASES]))
    raise ArgumentError(f"function: mode {wanted!r} is none of {names}", at=user_frames())


def read_target(target: Any, mode: str) -> str:
    """The device on which a function of a mode is to run: as asked for, or as configured."""
    wanted = config.device if target is None else target
    found = device_name(wanted)
    if found is None:
        raise ArgumentError(f"function: target {wanted!r} is none of {CHOICES}",
                            at=user_frames())  # fmt: skip
    if mode != "native":
        if target is not None and found != "cpu":
            raise ArgumentError(
                f"function: mode {mode!r} interprets graphs with NumPy, which has no target "
                f"{found!r}", "leave out the mode, or the target", user_frames(),
            )  # fmt: skip
        return "cpu"
    return found


def compile_program(graph: Graph, options: Options) -> Program:
    """The program of a graph in the mode that the options name."""
    return MAKERS[options.mode](graph, options)
