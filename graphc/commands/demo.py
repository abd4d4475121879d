"""``graphc demo``."""

from __future__ import annotations

import argparse

import graphc.demo as demo
from graphc.commands.stops import Stop


def run(options: argparse.Namespace) -> int:
    """Run the demo; returns the exit status."""
    missing = demo.missing_extras()
    if missing:
        raise Stop(f"needs {', '.join(missing)}: pip install 'graphc[demo]' "
                   "(in a checkout: pip install '.[demo]')")  # fmt: skip
    chosen = {n: getattr(options, n) for n in ("epochs", "seed", "mode")}
    settings = demo.Settings(**{n: v for n, v in chosen.items() if v is not None})
    demo.run(settings, options.out)
    return 0
