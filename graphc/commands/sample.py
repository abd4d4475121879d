"""``graphc sample``: what the model's file makes up with a run's values."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from graphc.commands.evaluate import restored
from graphc.commands.models import Signature
from graphc.commands.stops import Stop

OPTIONS = ("length", "temperature", "seed", "prompt")
"""What the command line may say to ``sample``."""


def run(options: argparse.Namespace) -> int:
    """Print a sample; returns the exit status."""
    with restored(options) as (_, model, task, _):
        function = model.function("sample")
        if function is None:
            raise Stop(f"{model.name} defines no sample(): give it a function sample(task, "
                       "length=200, temperature=1.0, seed=0, prompt='') that returns a text, or "
                       "yields its pieces")  # fmt: skip
        given: dict[str, Any] = {name: getattr(options, name) for name in OPTIONS}
        given = {name: value for name, value in given.items() if value is not None}
        known = Signature(function, after=1)
        known.check(given, f"{model.name}: sample()", "the command line")
        known.complete(given, f"{model.name}: sample()", "")
        with model.watched("sample()"):
            found = function(task, **given)
            if isinstance(found, Iterable) and not isinstance(found, str) and iter(found) is found:
                for piece in found:
                    print(piece, end="", flush=True)
                print()
            elif found is not None:
                print(found)
    return 0
