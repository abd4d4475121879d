"""The command ``graphc``: ``demo``, ``doctor``, ``cache``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from graphc.core.plan import size_text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; those of the process by default.

    Examples
    --------
    >>> from graphc.cli import main
    >>> main(["cache"]) # doctest: +ELLIPSIS
    kernels in ...
    0
    """
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """What the command line may look like."""
    top = argparse.ArgumentParser(
        prog="graphc", description="A Theano-style compiler for dataflow graphs."
    )
    top.add_argument("--version", action="version", version=f"graphc {_version()}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    demo = commands.add_parser("demo", help="train a network on handwritten digits")
    demo.add_argument("--out", type=Path, default=Path("graphc-demo"), metavar="FOLDER",
                      help="where curves, weights and the report go (%(default)s)")  # fmt: skip
    demo.add_argument("--epochs", type=_positive, help="how often every image is shown")
    demo.add_argument("--seed", type=int, help="of the weights and the order of images")
    demo.add_argument("--mode", choices=("native", "numpy"), help="compiled, or interpreted")
    demo.set_defaults(run=run_demo)

    doctor = commands.add_parser("doctor", help="check that this machine has what graphc needs")
    doctor.set_defaults(run=run_doctor)

    cache = commands.add_parser("cache", help="show or empty the cache of compiled kernels")
    cache.add_argument("--clear", action="store_true", help="delete all kernels")
    cache.set_defaults(run=run_cache)
    return top


def run_demo(options: argparse.Namespace) -> int:
    """``graphc demo``."""
    import graphc.demo as demo

    missing = demo.missing_extras()
    if missing:
        print(
            f"graphc demo needs {', '.join(missing)}: pip install 'graphc[demo]' "
            "(in a checkout: pip install '.[demo]')",
            file=sys.stderr,
        )
        return 1
    chosen = {n: getattr(options, n) for n in ("epochs", "seed", "mode")}
    settings = demo.Settings(**{n: v for n, v in chosen.items() if v is not None})
    demo.run(settings, options.out)
    return 0


def run_doctor(options: argparse.Namespace) -> int:
    """``graphc doctor``: status 1 where something is bad."""
    import graphc.doctor as doctor

    bad = 0
    for finding in doctor.examine():
        bad += finding.state == "BAD"
        print(f"{finding.state:<5} {finding.what}", flush=True)
        if finding.advice:
            print(f"      -> {finding.advice}", flush=True)
    print("\nall is well" if not bad else f"\n{bad} {'thing needs' if bad == 1 else 'things need'} "
          "attention: see BAD above")  # fmt: skip
    return 1 if bad else 0


def run_cache(options: argparse.Namespace) -> int:
    """``graphc cache``."""
    from graphc.runtime.cache import cache

    store = cache()
    if options.clear:
        count = len(store.entries())
        store.clear()
        print(f"deleted {count} kernels from {store.path}")
        return 0
    print(f"kernels in {store.path}: {len(store.entries())}, {size_text(store.size())}")
    return 0


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _version() -> str:
    return str(sys.modules["graphc"].__version__)


if __name__ == "__main__":
    sys.exit(main())
