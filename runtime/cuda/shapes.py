"""What a step that is no loop nest launches: a source, and how many threads run it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """A launch before its kernel is compiled; `parts` is the kernel's last argument."""

    source: str
    grid: int
    threads: int
    parts: int = 1


def indented(lines: Sequence[str], steps: int = 1) -> list[str]:
    """Lines of a kernel's text, deeper."""
    return ["    " * steps + line for line in lines]


def kernel_of(lines: Sequence[str], above: str = "") -> str:
    """A kernel's source, with a decorator where it has one."""
    start = [above] if above else []
    return "\n".join([*start, "def kernel(block, work, error, step, parts):", *indented(lines), ""])
