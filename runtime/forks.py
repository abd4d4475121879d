"""Locks in child processes: the threads that held them at the fork are not there."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Owner(Protocol):
    """Something with locks."""

    def forget_callers(self) -> None:
        """Make new locks, open ones."""


_OWNERS: weakref.WeakSet[Owner] = weakref.WeakSet()


def unlock_in_children(owner: Owner) -> None:
    """Have an owner's `forget_callers` called in every child process, while the owner lives."""
    _OWNERS.add(owner)


def _after_fork() -> None:
    for owner in list(_OWNERS):
        owner.forget_callers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
