"""``graphc doctor``."""

from __future__ import annotations

import argparse

import graphc.doctor as doctor


def run(options: argparse.Namespace) -> int:
    """Print what was found; returns 1 where something is bad."""
    bad = 0
    for finding in doctor.examine():
        bad += finding.state == "BAD"
        print(f"{finding.state:<5} {finding.what}", flush=True)
        if finding.advice:
            print(f"      -> {finding.advice}", flush=True)
    print("\nall is well" if not bad else f"\n{bad} {'thing needs' if bad == 1 else 'things need'} "
          "attention: see BAD above")  # fmt: skip
    return 1 if bad else 0
