"""Calls in other processes, of functions that may be defined anywhere, and may die."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from pickle import PicklingError
from typing import Any

from graphc.core.errors import ArgumentError
from graphc.core.node import user_frames
from graphc.data.problems import optional

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

Task = tuple[int, dict[str, Any]]


def count_jobs(jobs: Any) -> int:
    """How many processes; -1 stands for one on each processor."""
    if jobs == -1 and not isinstance(jobs, bool):
        return os.cpu_count() or 1
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
        raise ArgumentError(f"jobs={jobs!r} is no number of processes",
                            "give 1 or more, or -1 for all processors", user_frames())  # fmt: skip
    return jobs


def in_processes(
    call: Callable[..., Any], tasks: Iterable[Task], jobs: int, lost: Callable[[], Any]
) -> Iterator[tuple[int, Any]]:
    """``call(arguments)`` for each task, in some order: its number, and what came of it.

    Where a process dies, all that were running are called again one by one, so that the task
    that kills is known; what came of that is ``lost()``.
    """
    waiting, flying, suspects = deque(tasks), {}, []
    pool = _pool(jobs)
    try:
        while waiting or flying:
            while waiting and len(flying) < jobs and not suspects:
                task = waiting.popleft()
                flying[pool.submit(call, task[1])] = task
            for future in wait(flying, return_when=FIRST_COMPLETED)[0]:
                task = flying.pop(future)
                try:
                    found = future.result()
                except BrokenProcessPool:
                    suspects.append(task)
                except (PicklingError, TypeError, AttributeError) as error:
                    raise _unsendable(error) from error
                else:
                    yield task[0], found
            if suspects and not flying:
                pool.shutdown(kill_workers=True)
                yield from _one_by_one(call, suspects, lost)
                suspects, pool = [], _pool(jobs)
    finally:
        pool.shutdown(kill_workers=True)


def _one_by_one(
    call: Callable[..., Any], suspects: list[Task], lost: Callable[[], Any]
) -> Iterator[tuple[int, Any]]:
    for task in suspects:
        pool = _pool(1)
        try:
            yield task[0], pool.submit(call, task[1]).result()
        except BrokenProcessPool:
            yield task[0], lost()
        finally:
            pool.shutdown(kill_workers=True)


def _pool(jobs: int) -> Any:
    """Processes that take functions by value (joblib's loky), and share the processors."""
    loky = optional("joblib.externals.loky", "joblib", "a search in several processes")
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    env = {name: os.environ.get(name, threads) for name in THREADS}
    return loky.ProcessPoolExecutor(max_workers=jobs, env=env)


def _unsendable(error: Exception) -> ArgumentError:
    return ArgumentError(
        f"the objective can't be sent to another process: {type(error).__name__}: {error}",
        "open files and locks can't be sent: make them inside of the objective, or use jobs=1",
        user_frames(),
    )
