"""Searches for hyper-parameters: at random, and over a grid."""

from __future__ import annotations

import inspect
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from graphc.core.errors import ArgumentError
from graphc.core.node import user_frames
from graphc.data.order import read_count, read_seed
from graphc.train import spaces
from graphc.train.progress import Progress, number
from graphc.train.trials import Outcome, SearchFolder, Trial, Trials, read_better
from graphc.train.workers import Task, count_jobs, in_processes

Objective = Callable[..., Any]


def random_search(
    objective: Objective,
    space: Mapping[str, Any],
    trials: int = 20,
    seed: int = 0,
    jobs: int = 1,
    folder: str | Path | None = None,
    *,
    better: str = "higher",
    progress: bool = True,
) -> Trials:
    """Call an objective with hyper-parameters that are drawn at random.

    Parameters
    ----------
    objective : callable
        A function of keyword arguments, those of `space` and `seed`, an integer of each trial's
        own. It returns a score, or a dict with ``"score"`` and other figures. One that raises is
        a failed trial, with its error in the table, and the search goes on.
    space : dict
        For each argument `uniform`, `log_uniform`, `integers`, `log_integers` or `choice`; a list,
        which is a choice; or anything else, which is a constant. A ``"seed"`` in it takes the
        place of the trial's own.
    trials : int
        How many.
    seed : int
        Of the draws. Those of a trial depend on this, its number and the names, and on nothing
        else: more trials, more processes and more names change none of the others.
    jobs : int
        In how many processes, -1 for as many as there are processors. Functions of the main
        program, closures and lambdas may be objectives. More than one needs joblib.
    folder : str or Path, optional
        Where each trial is written down when it is over. A search that was ended there, by
        whatever, makes those that are left. To make one again, delete its file.
    better : {"higher", "lower"}
        Which scores are better.
    progress : bool
        Whether to show a bar, and a line for each trial.

    Returns
    -------
    Trials
        Printed, it is a table, the best trial first. After Ctrl-C, that of the trials that were
        over.

    Raises
    ------
    ArgumentError
        If the objective can't be called with these names.
    SearchError
        If the folder holds another search, or another process searches there.
    KeyboardInterrupt
        After Ctrl-C before any trial was over.

    Notes
    -----
    Bergstra and Bengio, "Random search for hyper-parameter optimization", 2012.

    Examples
    --------
    >>> from graphc import train
    >>> def objective(rate, hidden, seed):
    ...     return {"score": -abs(rate - 0.1), "weights": 3 * hidden}
    >>> space = {"rate": train.log_uniform(1e-3, 1), "hidden": [8, 16]}
    >>> found = train.random_search(objective, space, trials=30, progress=False)
    >>> 0.05 < found.best.arguments["rate"] < 0.2, len(found.rows)
    (True, 30)
    """
    known, seed = spaces.as_space(space), read_seed(seed, may_be_any=False)
    tasks = [(k, _seeded(spaces.drawn(known, seed, k), seed, k))
             for k in range(read_count(trials, "trials"))]  # fmt: skip
    varied = [k for k, v in known.items() if isinstance(v, spaces.Distribution)]
    return _search("random", objective, known, tasks, varied, seed, jobs, folder, better, progress)


def grid_search(
    objective: Objective,
    space: Mapping[str, Any],
    seed: int = 0,
    jobs: int = 1,
    folder: str | Path | None = None,
    *,
    better: str = "higher",
    progress: bool = True,
) -> Trials:
    """Call an objective with all combinations of hyper-parameters.

    Parameters
    ----------
    objective, seed, jobs, folder, better, progress
        As for `random_search`; the seed is that of the trials' own seeds.
    space : dict
        For each argument a list of values, or a constant. The last name changes fastest.

    Returns
    -------
    Trials

    Examples
    --------
    >>> from graphc import train
    >>> def objective(rate, hidden, seed):
    ...     return (rate - 0.1) ** 2 + 1 / hidden
    >>> space = {"rate": [0.01, 0.1, 1.0], "hidden": [8, 16]}
    >>> found = train.grid_search(objective, space, better="lower", progress=False)
    >>> len(found), found.best.arguments["rate"], found.best.arguments["hidden"]
    (6, 0.1, 16)
    """
    known, seed = spaces.as_space(space), read_seed(seed, may_be_any=False)
    tasks = [(k, _seeded(given, seed, k)) for k, given in enumerate(spaces.grid(known))]
    varied = [k for k, v in known.items() if isinstance(v, spaces.Choice)]
    return _search("grid", objective, known, tasks, varied, seed, jobs, folder, better, progress)


def _seeded(arguments: dict[str, Any], seed: int, trial: int) -> dict[str, Any]:
    return arguments if "seed" in arguments else {
        **arguments, "seed": spaces.seed_of(seed, trial)
    }  # fmt: skip


def _search(
    kind: str, objective: Objective, space: Mapping[str, Any], tasks: list[Task],
    varied: list[str], seed: int, jobs: Any, folder: Any, better: Any, progress: bool,
) -> Trials:  # fmt: skip
    """What both searches share: all trials that are not over yet."""
    better, count = read_better(better), count_jobs(jobs)
    _check_call(objective, tasks[0][1])
    search = {"search": kind, "seed": seed, "better": better,
              "space": {k: _told(v) for k, v in space.items()}}  # fmt: skip
    arguments = dict(tasks)
    over: dict[int, Outcome] = {}
    interrupted = False
    with ExitStack() as stack:
        held = None
        if folder is not None:
            held = stack.enter_context(SearchFolder(folder).held(search))
            over = {k: found for k, found in held.outcomes().items() if k in arguments}
        bar = Progress(progress, len(tasks), 1, len(over))
        stack.callback(bar.close)
        left = [task for task in tasks if task[0] not in over]
        outcomes = _outcomes(objective, left, count)
        stack.callback(outcomes.close)
        try:
            for k, outcome in outcomes:
                over[k] = outcome
                if held is not None:
                    held.write(k, arguments[k], outcome)
                    held.write_table(_table(arguments, over, better, varied))
                bar.step()
                bar.say(_line(k, len(tasks), arguments[k], outcome, varied))
        except KeyboardInterrupt:
            if not over:
                raise
            interrupted = True
            where = "" if held is None else f"; to go on, search in {held.path} again"
            bar.say(f"interrupted after {len(over)} of {len(tasks)} trials{where}")
    return _table(arguments, over, better, varied, interrupted)


def _outcomes(
    objective: Objective, tasks: list[Task], jobs: int
) -> Iterator[tuple[int, Outcome]]:  # fmt: skip
    call = Called(objective)
    if jobs == 1 or not tasks:
        for k, arguments in tasks:
            yield k, call(arguments)
    else:
        yield from in_processes(call, tasks, min(jobs, len(tasks)), _lost)


class Called:
    """The objective, with all that can come of it as an `Outcome`."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    def __call__(self, arguments: Mapping[str, Any]) -> Outcome:
        start = time.perf_counter()
        try:
            score, figures = _read(self.objective(**arguments))
        except Exception as error:
            score, figures, found = None, {}, error
        else:
            found = None
        seconds = round(time.perf_counter() - start, 3)
        if found is None:
            return Outcome(score, figures, seconds)
        told = "".join(traceback.format_exception(found))
        return Outcome(None, {}, seconds, f"{type(found).__name__}: {found}", told)


def _lost() -> Outcome:
    return Outcome(error="the process ended: killed, out of memory, or crashed")


def _read(returned: Any) -> tuple[float, dict[str, Any]]:
    """The score and the figures that an objective returned."""
    if not isinstance(returned, Mapping):
        return _score(returned), {}
    if "score" not in returned:
        raise ArgumentError(f"the objective returned {', '.join(map(repr, returned))}, no 'score'",
                            "return {'score': 0.93, ...}")  # fmt: skip
    figures = {str(k): _figure(k, v) for k, v in returned.items() if k != "score"}
    return _score(returned["score"]), figures


def _score(value: Any) -> float:
    if isinstance(value, bool) or np.ndim(value) or not isinstance(
        np.asarray(value).item(), int | float
    ):  # fmt: skip
        raise ArgumentError(f"the objective returned {type(value).__name__}, which is no score",
                            "return a number, or {'score': 0.93, ...}")  # fmt: skip
    return float(value)


def _figure(name: Any, value: Any) -> Any:
    """A figure as JSON has it."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_figure(name, v) for v in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ArgumentError(f"the objective's figure {name!r} is {type(value).__name__}",
                        "give numbers, strings, or lists of them")  # fmt: skip


def _check_call(objective: Any, arguments: Mapping[str, Any]) -> None:
    try:
        inspect.signature(objective).bind(**arguments)
    except TypeError as error:
        raise ArgumentError(
            f"the objective can't be called with {', '.join(arguments)}: {error}",
            "it has an argument for each name of the space, and one called seed", user_frames(),
        ) from None  # fmt: skip
    except ValueError:  # a built-in function, which doesn't tell
        pass


def _told(value: Any) -> Any:
    return repr(value) if isinstance(value, spaces.Distribution) else spaces.label(value)


def _table(
    arguments: Mapping[int, dict[str, Any]], over: Mapping[int, Outcome], better: str,
    varied: list[str], interrupted: bool = False,
) -> Trials:  # fmt: skip
    made = (Trial(k, arguments[k], **vars(found)) for k, found in over.items())
    return Trials(made, better, varied, interrupted)


def _line(
    k: int, of: int, arguments: Mapping[str, Any], outcome: Outcome, varied: list[str]
) -> str:  # fmt: skip
    score = "failed" if outcome.score is None else f"score {number(outcome.score)}"
    shown = ((name, spaces.label(arguments[name])) for name in varied)
    told = "   ".join(f"{n} {number(v) if isinstance(v, float) else v}" for n, v in shown)
    error = f"   {outcome.error.splitlines()[0][:80]}" if outcome.error else ""
    return f"trial {k:{len(str(of - 1))}d} of {of}   {score}   {told}{error}"
