"""The file that defines what is learned: ``task``, and, if it likes, ``data`` and ``sample``."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from graphc.commands.stops import Stop, told, traced, wrong
from graphc.core.config import OPTIONS, config
from graphc.core.errors import GraphError
from graphc.train import CheckpointError, NonFiniteError, Task

NAME = "model_file"
"""What the file is called as a module."""

SKELETON = """define a function that returns one:

    def task(hidden=64):
        ...
        return graphc.train.Task(model, x, y, loss)"""


class ModelFile:
    """A file of the user's, loaded.

    Parameters
    ----------
    path : Path
    mode : str, optional
        How functions of the task run, where the file doesn't say.
    """

    def __init__(self, path: Path, module: ModuleType) -> None:
        self.path, self.module, self.name = path, module, path.name

    def task(self, options: Mapping[str, Any], rate: float | None, seed: int) -> Task:
        """The task that the file defines.

        Parameters
        ----------
        options : mapping
            What ``--set`` says.
        rate : float, optional
            Given to a parameter `rate` or `learning_rate`, else put into the task.
        seed : int
            Given to a parameter `seed`, where there is one.
        """
        found = getattr(self.module, "task", None)
        if found is None:
            raise self._no_task()
        if not callable(found):
            made = self._checked(found, "its variable 'task' is")
            if options:
                raise wrong(f"{self.name}: 'task' is a variable, which takes no options; "
                            "make it a function, def task(hidden=64), to use --set")  # fmt: skip
        else:
            known = Signature(found)
            given = dict(options)
            known.check(given, f"{self.name}: task()", "--set")
            place = next((p for p in ("rate", "learning_rate") if known.has(p)), None)
            if place and rate is not None:
                if place in given:
                    raise wrong(f"--rate and --set {place}= both give a learning rate: give one")
                given[place], rate = rate, None
            if known.has("seed"):
                given.setdefault("seed", seed)
            known.complete(given, f"{self.name}: task()", "--set")
            with self.watched("task()"):
                made = found(**given)
            made = self._checked(made, "task() returned")
        if rate is not None:
            self._put_rate(made, rate)
        return made

    def _no_task(self) -> Stop:
        names = [n for n in vars(self.module) if not n.startswith("_")]
        tasks = [n for n in names if isinstance(getattr(self.module, n), Task)]
        near = tasks or difflib.get_close_matches("task", names, 2)
        found = f" (there is {', '.join(near)})" if near else ""
        return Stop(f"{self.name} defines no 'task'{found}; {SKELETON}")

    def _checked(self, made: Any, what: str) -> Task:
        if isinstance(made, Task):
            return made
        kind = "None" if made is None else f"a {type(made).__name__}"
        hint = "is its 'return' missing?" if made is None else SKELETON
        raise Stop(f"{self.name}: {what} {kind}, not a graphc.train.Task; {hint}")

    def _put_rate(self, task: Task, rate: float) -> None:
        if not hasattr(task.rate, "set_value"):
            raise wrong(f"{self.name}: the learning rate is a schedule or the optimiser's own, so "
                        "--rate can't set it; give task() a parameter 'rate'")  # fmt: skip
        task.rate.set_value(rate)  # type: ignore[union-attr]

    def function(self, name: str) -> Callable[..., Any] | None:
        """Another function of the file; None where it has none, as after an import of that name."""
        found = getattr(self.module, name, None)
        if isinstance(found, ModuleType):  # from graphc import data
            return None
        if found is not None and not callable(found):
            raise Stop(f"{self.name}: '{name}' is a {type(found).__name__}, not a function")
        return found

    @contextmanager
    def watched(self, what: str = "") -> Iterator[None]:
        """While the block runs, errors of the user's code end the command with their traceback."""
        try:
            yield
        except (Stop, KeyboardInterrupt, NonFiniteError, CheckpointError):
            raise
        except SystemExit as error:
            if not what:
                raise
            raise Stop(f"{self.name}: {what} ended the program: exit({error.code!r})") from error
        except GraphError as error:
            raise Stop(f"{self.name}: {told(error, self.path)}" if what else told(error, self.path)
                       ) from error  # fmt: skip
        except MemoryError as error:
            raise Stop(f"out of memory: {error}" if str(error) else "out of memory") from error
        except Exception as error:
            text = traced(error, self.path)
            if text is None:
                raise
            raise Stop(f"{self.name}{f': {what}' if what else ''} failed:\n{text}") from error


class Signature:
    """Which options a function takes."""

    def __init__(self, function: Callable[..., Any], after: int = 0) -> None:
        try:
            parameters = list(inspect.signature(function).parameters.values())[after:]
        except (TypeError, ValueError):
            parameters = []
            self.any = True
        else:
            self.any = any(p.kind is p.VAR_KEYWORD for p in parameters)
        self.named = {p.name: p for p in parameters
                      if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}  # fmt: skip

    def has(self, name: str) -> bool:
        """Whether there is a parameter of that name."""
        return name in self.named

    def check(self, given: Mapping[str, Any], what: str, source: str) -> None:
        """Refuse options that the function doesn't take."""
        unknown = [] if self.any else [name for name in given if name not in self.named]
        if unknown:
            near = difflib.get_close_matches(unknown[0], self.named, 1)
            mean = f"; did you mean {near[0]}?" if near else ""
            raise wrong(f"{what} takes no {', '.join(unknown)} (from {source}){mean}\n"
                        f"it takes {self.text()}")  # fmt: skip

    def complete(self, given: Mapping[str, Any], what: str, source: str) -> None:
        """Refuse calls in which something is missing."""
        absent = [n for n, p in self.named.items() if p.default is p.empty and n not in given]
        if absent:
            raise wrong(f"{what} needs {', '.join(absent)}: give {source} "
                        f"{' '.join(f'{n}=...' for n in absent)}")  # fmt: skip

    def text(self) -> str:
        """The options with their defaults."""
        return ", ".join(n if p.default is p.empty else f"{n}={p.default!r}"
                         for n, p in self.named.items()) or "no options"  # fmt: skip


@contextmanager
def loaded(name: str | Path, mode: str | None = None) -> Iterator[ModelFile]:
    """Run a file, for as long as the block lasts: modules beside it can be imported.

    Settings of graphc that the file makes end with the block.
    """
    path = Path(name).expanduser().absolute()
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        near = _near(path)
        raise wrong(f"MODEL.py: {name} {what}" + (f"; did you mean {near}?" if near else ""))
    before = list(sys.path)
    sys.path.insert(0, str(path.parent))
    with config(**{option: getattr(config, option) for option in OPTIONS}):
        if mode is not None:
            config.mode = mode
        try:
            yield _run(path)
        finally:
            sys.path[:] = before
            sys.modules.pop(NAME, None)


def _run(path: Path) -> ModelFile:
    from importlib.machinery import SourceFileLoader

    loader = SourceFileLoader(NAME, str(path))
    spec = importlib.util.spec_from_file_location(NAME, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    made = ModelFile(path, module)
    with made.watched("the file"):
        exec(compile(path.read_bytes(), str(path), "exec"), vars(module))
    return made


def _near(path: Path) -> str | None:
    """A file beside the one that isn't there, of a similar name."""
    if not path.parent.is_dir():
        return None
    names = [p.name for p in path.parent.iterdir() if p.is_file()]
    return next(iter(difflib.get_close_matches(path.name, names, 1)), None)
