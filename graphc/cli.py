"""The command ``graphc``: what its arguments may be. `graphc.commands` has what it does."""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphc.core.errors import GraphError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; those of the process by default.

    Returns
    -------
    int
        0; 1 where something failed; 2 where the command was called wrongly; 130 after Ctrl-C.

    Examples
    --------
    >>> from graphc.cli import main
    >>> main(["cache"]) # doctest: +ELLIPSIS
    kernels in ...
    0
    """
    options = parser().parse_args(arguments)
    # A command is imported when it is called: the help text needs none of them.
    stops = importlib.import_module("graphc.commands.stops")
    try:
        command = importlib.import_module(f"graphc.commands.{options.command}")
        return int(command.run(options))
    except stops.Stop as stop:
        return _failed(options.command, stop.message, stop.status)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return int(stops.INTERRUPTED)
    except GraphError as error:
        return _failed(options.command, stops.told(error), stops.FAILED)
    except BrokenPipeError:  # `graphc predict ... | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(stops.FAILED)
    except OSError as error:
        return _failed(options.command, _named(error), stops.FAILED)


def _failed(command: str, message: str, status: int) -> int:
    sys.stdout.flush()
    print(f"graphc {command}: {message}", file=sys.stderr)
    return status


def _named(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


def parser() -> argparse.ArgumentParser:
    """What the command line may look like."""
    top = argparse.ArgumentParser(
        prog="graphc", description="A Theano-style compiler for dataflow graphs.",
        epilog="graphc COMMAND --help says more; docs/command-line.md has a whole example.",
    )  # fmt: skip
    top.add_argument("--version", action="version", version=f"graphc {_version()}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True,
                                  dest="command")  # fmt: skip
    for add in (_train, _evaluate, _predict, _sample, _demo, _doctor, _cache):
        add(commands)
    return top


TRAIN = """\
Train the task that MODEL.py defines. The file has a function task(**options) that returns a
graphc.train.Task (or a variable 'task'). It may have data(source=None), which returns rows or
(training rows, validation rows), and sample(task, ...) for `graphc sample`."""

TRAIN_EXAMPLE = """\
examples:
  graphc train mlp.py --data digits --epochs 20 --set hidden=64 activation=relu
  graphc train mlp.py --data flowers.csv --target kind --split 0.7,0.3 --patience 5

The folder keeps checkpoints, best.safetensors, last.safetensors, log.csv, curves.png and run.json.
Training into it again goes on where it stopped, with the same settings and to the same bits:
  graphc train mlp.py
Ctrl-C ends with a checkpoint."""


def _train(commands: Any) -> None:
    command = _command(commands, "train", "train the task that a file defines", TRAIN,
                       TRAIN_EXAMPLE, "graphc train MODEL.py [--data SOURCE ...] [option ...]")
    command.add_argument("model", metavar="MODEL.py", help="the file; name it before the options")

    rows = command.add_argument_group("data")
    rows.add_argument("--data", nargs="+", metavar="SOURCE",
                      help="a name (digits, iris, wine, breast_cancer, diabetes, linnerud, mnist, "
                      "fashion-mnist, cifar10, cifar100), a CSV, TSV or NPZ file, NPY or IDX files "
                      "(x y), or a folder with a folder of images for each class; given to data() "
                      "where MODEL.py has one")  # fmt: skip
    rows.add_argument("--validation", nargs="+", metavar="SOURCE",
                      help="rows that are judged after each epoch and never learned from")
    rows.add_argument("--split", type=_shares, metavar="A,B",
                      help="shares of the rows to learn from and to validate with, where there "
                      "are none for that; always the same rows (0.8,0.2); 1 learns from all")
    rows.add_argument("--target", metavar="COLUMN", help="the column of a table to be learned")
    rows.add_argument("--size", type=_size, metavar="H,W",
                      help="height and width that the images of a folder are brought to")
    rows.add_argument("--grey", action="store_true", default=False,
                      help="read the images of a folder with one channel")

    how = command.add_argument_group("training")
    how.add_argument("--epochs", type=_positive, metavar="N",
                     help="how often all rows are shown, earlier runs into the folder included "
                     "(10)")  # fmt: skip
    how.add_argument("--batch", type=_positive, metavar="N", help="rows in a step (32)")
    how.add_argument("--rate", type=_rate, metavar="R", help="the learning rate (the task's own)")
    how.add_argument("--patience", type=_positive, metavar="N",
                     help="stop after N epochs without a better one, and keep the best")
    how.add_argument("--seed", type=_count, metavar="N",
                     help="of the order of rows; given to task() too, where it takes one (0)")
    how.add_argument("--mode", choices=("native", "numpy"),
                     help="compiled (native), or interpreted")  # fmt: skip
    _set(how)

    out = command.add_argument_group("output")
    out.add_argument("--out", type=Path, metavar="FOLDER",
                     help="where all of it is kept (runs/<name of the file>)")
    out.add_argument("--every", type=_positive, metavar="N",
                     help="steps from one checkpoint to the next; there is always one after an "
                     "epoch")  # fmt: skip
    out.add_argument("--fresh", action="store_true",
                     help="delete the run that the folder holds, and begin again")
    out.add_argument("--quiet", action="store_true", help="show no progress")


def _set(group: Any) -> None:
    group.add_argument("--set", dest="options", nargs="+", action=_Options, default={},
                       metavar="NAME=VALUE",
                       help="options of task(): Python literals, or plain words")  # fmt: skip


def _evaluate(commands: Any) -> None:
    command = _command(
        commands, "evaluate", "print the figures of a run",
        "Print the loss and the figures of a run, for the rows that it didn't learn from.",
        "examples:\n  graphc evaluate --run runs/mlp\n"
        "  graphc evaluate --run runs/mlp --data more.csv --values last --json",
        "graphc evaluate --run FOLDER [option ...] [MODEL.py]",
    )  # fmt: skip
    _of_a_run(command)
    command.add_argument("--data", nargs="+", metavar="SOURCE",
                         help="other rows, as for train (those that the run held out)")
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _predict(commands: Any) -> None:
    command = _command(
        commands, "predict", "write what a run says about rows",
        "Write predictions: for classes, the name of each row's and all scores.",
        "examples:\n  graphc predict --run runs/flowers --data new.csv\n"
        "  graphc predict --run runs/mlp --data images.npy --out predictions.npz",
        "graphc predict --run FOLDER --data SOURCE [...] [option ...]",
    )  # fmt: skip
    _of_a_run(command)
    command.add_argument("--data", nargs="+", metavar="SOURCE", required=True,
                         help="the rows, as for train; targets may be missing")  # fmt: skip
    command.add_argument("--out", type=Path, metavar="FILE",
                         help="a .csv, .npy or .npz file (CSV to standard output)")  # fmt: skip


def _sample(commands: Any) -> None:
    command = _command(
        commands, "sample", "have a run make something up",
        "Print what MODEL.py's function sample(task, ...) returns or yields.\nOptions that are not "
        "given are left to it.",
        "example:\n  graphc sample --run runs/lstm --length 500 --temperature 0.7 --prompt 'The '",
        "graphc sample --run FOLDER [option ...] [MODEL.py]",
    )  # fmt: skip
    _of_a_run(command)
    command.add_argument("--length", type=_positive, metavar="N", help="how long it is to be")
    command.add_argument("--temperature", type=_rate, metavar="T",
                         help="below 1 for what is likely, above for what is not")  # fmt: skip
    command.add_argument("--seed", type=_count, metavar="N", help="of the draws")
    command.add_argument("--prompt", metavar="TEXT", help="what it is to go on from")


def _of_a_run(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", metavar="MODEL.py", nargs="?",
                         help="the file, where it isn't the one that the run was made with")
    command.add_argument("--run", dest="run_folder", type=Path, metavar="FOLDER", required=True,
                         help="what graphc train wrote")  # fmt: skip
    command.add_argument("--values", metavar="WHICH",
                         help="best (the best epoch), last, or a .safetensors file (best)")


def _demo(commands: Any) -> None:
    command = _command(commands, "demo", "train a network on handwritten digits")
    command.add_argument("--out", type=Path, default=Path("graphc-demo"), metavar="FOLDER",
                         help="where curves, weights and the report go (%(default)s)")
    command.add_argument("--epochs", type=_positive, help="how often every image is shown")
    command.add_argument("--seed", type=int, help="of the weights and the order of images")
    command.add_argument("--mode", choices=("native", "numpy"), help="compiled, or interpreted")


def _doctor(commands: Any) -> None:
    _command(commands, "doctor", "check that this machine has what graphc needs")


def _cache(commands: Any) -> None:
    command = _command(commands, "cache", "show or empty the cache of compiled kernels")
    command.add_argument("--clear", action="store_true", help="delete all kernels")


def _command(
    commands: Any, name: str, summary: str, about: str = "", example: str = "",
    usage: str | None = None,
) -> argparse.ArgumentParser:  # fmt: skip
    made: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=about or f"{summary[0].upper()}{summary[1:]}.",
        epilog=example, usage=usage, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    return made


class _Options(argparse.Action):
    """``name=value`` pairs as Python literals, which ``run.json`` can hold."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        found = dict(getattr(namespace, self.dest))
        for pair in values:
            name, sign, text = pair.partition("=")
            if not sign or not name.isidentifier():
                raise argparse.ArgumentError(self, f"{pair!r} is not of the form name=value")
            found[name] = self._literal(name, text)
        setattr(namespace, self.dest, found)

    def _literal(self, name: str, text: str) -> str:
        try:
            return repr(ast.literal_eval(text))
        except (ValueError, SyntaxError):
            if re.fullmatch(r"[^\W\d][\w.-]*|[\w.-]*/[\w./-]*", text):
                return repr(text)  # a word or a path, for which shells take the quotes away
            raise argparse.ArgumentError(
                self, f"{name}={text}: {text!r} is neither a Python literal nor a plain word"
            ) from None


def _number(text: str, kind: Any, what: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no {what}") from None


def _count(text: str) -> int:
    number: int = _number(text, int, "whole number")
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return number


def _positive(text: str) -> int:
    number = _count(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _rate(text: str) -> float:
    number: float = _number(text, float, "number")
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and finite")
    return number


def _shares(text: str) -> list[float]:
    parts: list[float] = [_number(part, float, "number") for part in text.split(",")]
    if not all(part > 0 for part in parts) or abs(sum(parts) - 1) > 1e-9:
        raise argparse.ArgumentTypeError(f"{text}: shares are above 0 and add up to 1: 0.8,0.2")
    return parts


def _size(text: str) -> list[int]:
    sizes = [_positive(part) for part in text.split(",")]
    if len(sizes) not in (1, 2):
        raise argparse.ArgumentTypeError(f"{text}: give height and width: 32,32")
    return sizes * 2 if len(sizes) == 1 else sizes


def _version() -> str:
    return str(sys.modules["graphc"].__version__)


if __name__ == "__main__":
    sys.exit(main())
