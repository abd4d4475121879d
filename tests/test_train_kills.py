"""Training that is killed at random moments goes on, and ends with the bits of one that isn't."""

import csv
import multiprocessing
import os
import random
import select
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

pytest.importorskip("safetensors")

import train_child

from graphc import train

HERE = Path(__file__).parent


class Child:
    """The program in a process of its own."""

    def __init__(self, folder):
        paths = os.pathsep.join([str(HERE.parent), str(HERE)])
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "train_child.py"), str(folder)],
            env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        line = self.process.stdout.readline()
        assert line == "ready\n", self.process.stderr.read()

    def dead_after(self, seconds):
        """Kill it after a while; whether there was something to kill."""
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        if not ready:
            self.process.kill()
        out, errors = self.process.communicate(timeout=60)
        if self.process.returncode == -9:
            return True
        assert self.process.returncode == 0 and out == "done\n", errors
        return False


class Fork:
    """A shorter one, in a copy of a process that has imported everything: less to wait for."""

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["train_child"])

    def __init__(self, folder):
        self.process = self.context.Process(target=train_child.main, args=(str(folder), "numpy", 2))
        self.process.start()

    def dead_after(self, seconds):
        """Kill it after a while; whether there was something to kill."""
        self.process.join(seconds)
        self.process.kill()
        self.process.join()
        assert self.process.exitcode in (0, -9)
        return self.process.exitcode == -9


def end(folder):
    """What a run leaves, but for the time that it took."""
    with open(folder / "log.csv") as file:
        log = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
    files = [(folder / f"{name}.safetensors").read_bytes() for name in ("best", "last")]
    (values, state) = train.RunFolder(folder).newest()
    values = {k: v.tobytes() for k, v in values.items()}
    del state["seconds"], state["columns"]["seconds"]
    return log, files, values, state


def kill_often(start, times, base, seed):
    """Kill runs until so many kills are done; each run ends as the undisturbed one.

    Returns how many kills and runs there were, and in how many different places runs went on.
    """
    for name in ("first", "whole"):  # the first compiles the kernels
        child, began = start(base / name), time.perf_counter()
        assert not child.dead_after(120)
        longest = time.perf_counter() - began
    wanted = end(base / "whole")
    rolls, kills, runs, places = random.Random(seed), 0, 0, set()
    while kills < times or not runs:
        folder, before, running = base / f"run{runs}", -1, True
        while running:
            child = start(folder)
            running = child.dead_after(rolls.uniform(0, longest) if kills < times else 120)
            kills += running
            if not running and before < 0 and kills < times:
                longest *= 0.8  # the machine has less to do than it had
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # a damaged checkpoint would be told
                found = train.RunFolder(folder).newest()
            now = -1 if found is None else found[1]["step"]
            assert now >= before, f"step {before} was reached, and {now} is left"
            before = now
            places.add((runs, now))
        assert end(folder) == wanted
        runs += 1
    return kills, runs, len(places)


def test_a_run_that_is_killed_a_few_times_ends_with_the_same_bits(tmp_path):
    kills, _, _ = kill_often(Fork, 6, tmp_path, seed=1)
    assert kills >= 6


@pytest.mark.slow
def test_a_run_that_is_killed_200_times_ends_with_the_same_bits(tmp_path):
    kills, runs, places = kill_often(Child, 200, tmp_path, seed=2)
    print(f"{kills} kills in {runs} runs, which went on from {places} different checkpoints")
    assert kills >= 200 and places >= 20
