"""What a checkpoint holds of a run, and going on from it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from graphc.core.errors import GraphError
from graphc.core.node import user_frames
from graphc.data.problems import DataError
from graphc.nn import states
from graphc.train.checkpoints import CheckpointError, CheckpointWarning
from graphc.train.history import History
from graphc.train.suiting import fingerprint

if TYPE_CHECKING:
    from graphc.train.fitting import Run


def state_of(run: Run) -> dict[str, Any]:
    """Where a run is, in what JSON can hold."""
    return {
        "task": run.task.fingerprint, "data": run.data, "batches": run.batches.state_dict(),
        "epoch": run.epoch, "step": run.step, "seconds": run.seconds,
        "sums": run.sums.state(), "monitor": run.monitor.state(), "stop": run.stop,
        "columns": run.history.columns, "best": run.history.best,
        "hooks": [[_kind(h), h.state_dict()] for h in run.hooks if hasattr(h, "state_dict")],
    }  # fmt: skip


def take_up(run: Run, resume: bool | str) -> None:
    """Take up what the folder's newest checkpoint left.

    Raises
    ------
    CheckpointError
        If the folder isn't to be used, or holds the checkpoints of another task or other data.
    """
    assert run.folder is not None
    run.data = fingerprint(run.batches.source)
    found = run.folder.newest()
    if found is None:
        return
    values, state = found
    path = run.folder.path
    if not resume:
        raise CheckpointError(f"{path} holds a run already",
                              "give another folder, or resume=True", user_frames())  # fmt: skip
    if resume != "anyway":
        _check_same(run, state)
    try:
        run.batches.load_state_dict(state["batches"])
        states.assign(str(path), run.task.kept, values)
    except DataError as error:
        raise CheckpointError(
            f"the run in {path} was on other data, or other batches of them: {error.what}",
            "give the same rows, batch, shuffle and drop_last, or another folder", user_frames(),
        ) from error  # fmt: skip
    except GraphError as error:
        raise CheckpointError(f"the run in {path} is of another model: {error.what}",
                              "give another folder", user_frames()) from error  # fmt: skip
    run.epoch, run.step, run.seconds = state["epoch"], state["step"], state["seconds"]
    run.sums.load(state["sums"])
    run.monitor.load(state["monitor"])
    run.history = History(state["columns"])
    run.history.best, run.stop = state["best"], state["stop"]
    load_hooks(run.hooks, state["hooks"])


def _check_same(run: Run, state: dict[str, Any]) -> None:
    assert run.folder is not None
    if state["task"] != run.task.fingerprint:
        raise CheckpointError(
            f"the run in {run.folder.path} is of a task with another graph: another model, loss, "
            "figure or optimiser, or other constants in them",
            "give another folder, or resume='anyway' where its values are still meant",
            user_frames(),
        )
    if state["data"] != run.data and None not in (state["data"], run.data):
        same = state["batches"]["rows"] == run.batches.source.length()
        raise CheckpointError(
            f"the run in {run.folder.path} was on other data: " + (
                "as many rows, with other values, dtypes or transforms" if same else
                f"{state['batches']['rows']} rows, and these are {run.batches.source.length()}"),
            "give the same rows, or another folder"
            + (", or resume='anyway' where these are meant" if same else ""), user_frames(),
        )  # fmt: skip


def load_hooks(hooks: Sequence[Any], kept: Sequence[Any]) -> None:
    """Give hooks their states, each the first one of its kind that is left."""
    left = [hook for hook in hooks if hasattr(hook, "load_state_dict")]
    for kind, state in kept:
        hook = next((h for h in left if _kind(h) == kind), None)
        if hook is None:
            warnings.warn(f"the checkpoint has the state of a hook {kind}, which isn't given now",
                          CheckpointWarning, 5)  # fmt: skip
            continue
        left.remove(hook)
        hook.load_state_dict(state)


def _kind(hook: Any) -> str:
    return type(hook).__name__
