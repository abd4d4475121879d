"""The team: threads that do parts of a step at the same time.

The thread that called a function walks its plan. A step that is worth it is posted as a job of
several parts; the caller and its helpers take parts until none is left, and the caller goes on
when all are done. A helper that comes late finds nothing to do, so nobody waits for a thread that
the system has put aside before it began. Which parts there are depends on sizes and on the
number of threads alone, not on who does them.

A job is one word, ``number << 32 | parts << 16 | taken``: adding one takes a part, and says of
which job. While a part that was taken isn't done, no other job is posted, so what the job's table
holds is that job's. Helpers that find nothing for a while park on a lock; the caller wakes them.
A helper says that it parks before it looks for work a last time, and the caller posts before it
looks who is parked: one of them sees the other (all of it is sequentially consistent).
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import os
import threading
from pathlib import Path

import numpy as np

from graphc.core.config import config
from graphc.runtime import natives
from graphc.runtime.compile import compile_source
from graphc.runtime.forks import unlock_in_children

MOST = 64  # helpers
MODERATE = 8  # threads, unless the user asks for more
LINE = 8  # words of a cache line: each of the words that threads write has one of its own
JOB, DONE, BUSY, TABLE, CODE, HELPERS, STOP, FIRST = (LINE * k for k in range(8))
"""Words of a team; that of the first helper is followed by those of the others."""
RUNNING, PARKED = 0, 1
BRISK = 2_000  # looks, some 40 us, before a thread that waits lets others have the core
PATIENCE = 6_000  # looks for work before a helper parks: a few milliseconds, if nobody wants it
YIELD = HELPERS + 1
"""The word with the function that lets other threads have the core."""

# Words of a helper, behind its state: the team, the lock it parks on, and what acquires and
# what releases one
SERVE = f"""
def kernel(block, low, high):
    team = word(block, 1)
    idle = 0
    while atomic_load(team + {8 * STOP}) == 0:
        job = atomic_load(team)
        if (job & 65535) < ((job >> 16) & 65535):
            job = atomic_add(team, 1)
            part = job & 65535
            if part < ((job >> 16) & 65535):
                row = peek_int64(team + {8 * TABLE}) + part * 32
                code = call_step(peek_int64(row), peek_int64(row + 8),
                                 peek_int64(row + 16), peek_int64(row + 24))
                if code != 0:
                    atomic_store(team + {8 * CODE}, code)
                atomic_add(team + {8 * DONE}, 1)
            idle = 0
        elif idle < {BRISK}:
            idle = idle + 1
            pause()
        elif idle < {PATIENCE}:
            idle = idle + 1
            call(peek_int64(team + {8 * YIELD}))
        else:
            atomic_store(block, {PARKED})
            job = atomic_load(team)
            more = (job & 65535) < ((job >> 16) & 65535) or atomic_load(team + {8 * STOP}) != 0
            if not more or not atomic_replace(block, {PARKED}, {RUNNING}):
                call_void(word(block, 3), word(block, 2), 1)
            idle = 0
    return 0
"""

# The block is the team
WAKE = f"""
def kernel(block, low, high):
    for h in range(low, high):
        helper = block + {8 * FIRST} + h * {8 * LINE}
        if atomic_load(helper) == {PARKED}:
            if atomic_replace(helper, {PARKED}, {RUNNING}):
                call_void(word(helper, 4), word(helper, 2))
    return 0
"""

# Words: team, parts, their table (function, block, low, high each); the step's block, words of it
# that are copied to others, the first of those, how many they are and the bytes from one to the
# next; changes in them (address, mask of what stays, what is added) and how many; what sets BLAS's
# number of threads or 0, and the number to go back to; the function `WAKE`; a step for the end,
# or 0, and its block
SHARE = f"""
def kernel(block, low, high):
    team = word(block, 0)
    parts = word(block, 1)
    table = word(block, 2)
    copy = word(block, 5)
    for c in range(word(block, 6)):
        copy_memory(copy, word(block, 3), 8 * word(block, 4))
        copy = copy + word(block, 7)
    change = word(block, 8)
    for c in range(word(block, 9)):
        place = peek_int64(change)
        poke_int64(place, (peek_int64(place) & peek_int64(change + 8)) + peek_int64(change + 16))
        change = change + 24
    if word(block, 10) != 0:
        call_void(word(block, 10), 1)
    alone = -1
    if atomic_replace(team + {8 * BUSY}, 0, 1):
        poke_int64(team + {8 * TABLE}, table)
        poke_int64(team + {8 * CODE}, 0)
        poke_int64(team + {8 * DONE}, 0)
        job = atomic_load(team)
        atomic_store(team, ((((job >> 32) + 1) & 2147483647) << 32) | (parts << 16))
        alone = call_step(word(block, 12), team, 0, peek_int64(team + {8 * HELPERS}))
        part = atomic_add(team, 1) & 65535
        while part < parts:
            row = table + part * 32
            failed = call_step(peek_int64(row), peek_int64(row + 8),
                               peek_int64(row + 16), peek_int64(row + 24))
            if failed != 0:
                atomic_store(team + {8 * CODE}, failed)
            atomic_add(team + {8 * DONE}, 1)
            part = atomic_add(team, 1) & 65535
        waited = 0
        while atomic_load(team + {8 * DONE}) < parts:
            waited = waited + 1
            if waited < {BRISK}:
                pause()
            else:
                call(peek_int64(team + {8 * YIELD}))
        alone = atomic_load(team + {8 * CODE})
        atomic_store(team + {8 * BUSY}, 0)
    # Parts that failed are done again, in order: the first one says what is wrong.
    code = select(alone == -1, 0, alone)
    part = 0
    while alone != 0 and part < parts:
        row = table + part * 32
        failed = call_step(peek_int64(row), peek_int64(row + 8),
                           peek_int64(row + 16), peek_int64(row + 24))
        code = select(failed != 0, failed, code)
        part = select(failed != 0, parts, part + 1)
    if word(block, 10) != 0:
        call_void(word(block, 10), word(block, 11))
    if code == 0 and word(block, 13) != 0:
        code = call_step(word(block, 13), word(block, 14), 0, 1)
    return code
"""

# Words: address of the step's block, the word there with the address of its result, that of the
# first part's result, how many parts, bytes from one to the next, elements of each
ADD_UP = """
def kernel(block, low, high):
    target = peek_int64(word(block, 0) + 8 * word(block, 1))
    part = word(block, 2)
    size = word(block, 5)
    copy_memory(target, part, size * {bytes})
    for p in range(1, word(block, 3)):
        part = part + word(block, 4)
        for i in range(size):
            at = i * {bytes}
            poke_{dtype}(target, at, peek_{dtype}(target, at) + peek_{dtype}(part, at))
    return 0
"""
SOURCES = {
    "serve": SERVE,
    "wake": WAKE,
    "share": SHARE,
    "add_up_float32": ADD_UP.format(dtype="float32", bytes=4),
    "add_up_float64": ADD_UP.format(dtype="float64", bytes=8),
}


def native(name: str) -> int:
    """The address of one of the functions in `SOURCES`."""
    return compile_source(SOURCES[name], name).address


def threads() -> int:
    """How many threads a call may use: `graphc.config.threads`, or as many as there are cores.

    Cores are those that the system gives the process, at most `MODERATE`; OMP_NUM_THREADS makes
    them fewer.
    """
    if config.threads:
        return min(int(config.threads), MOST + 1)
    found = min(cores(), MODERATE)
    limit = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return min(found, int(limit)) if limit.isdigit() and int(limit) else found


@functools.cache
def cores() -> int:
    """The cores that the system lets this process use."""
    affine = hasattr(os, "sched_getaffinity")
    found = len(os.sched_getaffinity(0)) if affine else os.cpu_count() or 1
    try:  # the share of a container
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return min(found, max(1, -(-int(quota) // int(period))))
    except (OSError, ValueError):
        return found


class Team:
    """The helpers of this process, and the words that they share with callers.

    A child process has its parent's memory but none of its threads: callers there find no
    helpers and do all parts, until another plan is linked.
    """

    def __init__(self) -> None:
        self._memory = np.zeros(FIRST + LINE * (MOST + 1), "int64")
        self.words = self._memory[-(self._memory.ctypes.data // 8) % LINE :]
        self.words[YIELD] = _address_of_yield()
        self.forget_callers()
        unlock_in_children(self)
        atexit.register(self.stop)

    @property
    def address(self) -> int:
        return int(self.words.ctypes.data)

    def grow(self, helpers: int) -> None:
        """Have at least so many helpers."""
        with self._lock:
            while len(self._threads) < min(helpers, MOST) and not self.words[STOP]:
                start = FIRST + LINE * len(self._threads)
                self.words[start : start + 5] = RUNNING, self.address, _held_lock(), *_LOCKING
                thread = threading.Thread(
                    target=natives.call_released, args=(native("serve"), self.address + 8 * start),
                    daemon=True, name=f"graphc-{len(self._threads)}",
                )  # fmt: skip
                thread.start()
                self._threads.append(thread)
                self.words[HELPERS] = len(self._threads)

    def stop(self) -> None:
        """Send the helpers home, before the interpreter takes their memory away."""
        with self._lock:
            self.words[STOP] = 1
            while any(t.is_alive() for t in self._threads):
                for k in range(len(self._threads)):
                    # The native routine that callers use wakes who is parked.
                    natives.call(native("wake"), self.address, k, k + 1)
                for t in self._threads:
                    t.join(0.01)

    def forget_callers(self) -> None:
        """Let go of threads that aren't here; for child processes."""
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.words[JOB] = self.words[BUSY] = self.words[HELPERS] = 0


def _held_lock() -> int:
    """A lock of Python's, held: whoever asks for it waits until somebody releases it.

    No interpreter is needed for either. It is never freed: helpers live as long as the process.
    """
    allocate = ctypes.pythonapi.PyThread_allocate_lock
    acquire = ctypes.pythonapi.PyThread_acquire_lock
    allocate.restype, acquire.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_int]
    lock = int(allocate() or 0)
    acquire(lock, 1)
    return lock


def _address_of_yield() -> int:
    """``sched_yield``, or what the system has in its place."""
    system = ctypes.WinDLL("kernel32") if os.name == "nt" else ctypes.CDLL(None)
    function = system.SwitchToThread if os.name == "nt" else system.sched_yield
    return ctypes.cast(function, ctypes.c_void_p).value or 0


_LOCKING = [
    ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0
    for name in ("PyThread_acquire_lock", "PyThread_release_lock")
]


@functools.cache
def team() -> Team:
    """The team of this process."""
    return Team()
