"""The benchmark for GPUs, as far as it goes without one."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROGRAM = ROOT / "benchmarks" / "gpu.py"
HARNESS = """
class Unsupported(Exception):
    pass

class Task:
    def __init__(self, step, read, note="", phases=None):
        self.step, self.read = step, read

def builder(workload, peer):
    import importlib.util, os
    spec = importlib.util.spec_from_file_location("tasks", os.environ["PEERBENCH_GRAPHC"])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TASKS.get(workload)

def agree(values, reference, rtol=1e-3):
    return None if values == reference else "other values"

def measure(step, seconds):
    step()
    return {"median": 2e-6}

CHECK_STEPS = 2
"""
ELEMENTWISE = """
import numpy as np
VARIANTS = {"small": {"n": 6}, "huge": {"n": 7}}
LONG = ("huge",)
PEERS = {"torch": None}

def make_data(n):
    return {"x": np.linspace(-1, 1, n, dtype="float32"), "z": np.ones(n, "float32")}
"""
LENET = """
import numpy as np
VARIANTS = {"b2": {}}
PEERS = {"jax": None}

def make_data():
    shapes = (20, 1, 5, 5), (20,), (50, 20, 5, 5), (50,), (800, 500), (500,), (500, 10), (10,)
    return {"params": [np.zeros(s, "float32") for s in shapes],
            "batches": [(np.ones((2, 1, 28, 28), "float32"), np.zeros(2, "int64"))]}
"""


@pytest.fixture
def peerbench(tmp_path):
    """A folder like peerbench, with two workloads."""
    folder = tmp_path / "peerbench"
    (folder / "workloads").mkdir(parents=True)
    files = {"harness.py": HARNESS, "run.py": "WORKLOADS = ['elementwise', 'lenet_step']",
             "workloads/__init__.py": "", "workloads/mlp_step.py": "PEERS = {}",
             "workloads/elementwise.py": ELEMENTWISE, "workloads/lenet_step.py": LENET}  # fmt: skip
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def run(peerbench, *options, **env):
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "--peerbench", str(peerbench), *options],
        capture_output=True, text=True, timeout=200,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
    )  # fmt: skip
    assert not done.returncode, done.stderr
    return done.stdout


def test_a_dry_run_builds_the_graphs_and_says_what_would_run(peerbench):
    lines = dict(line.split(": ", 1) for line in run(peerbench, "--dry").splitlines())
    assert lines["elementwise small, graphc"] == "would run: its functions are built"
    assert lines["elementwise small, jax"] == "n/a: not written for it"
    there = importlib.util.find_spec("torch") is not None
    assert lines["elementwise small, torch"] == (
        "would run" if there else "n/a: torch isn't installed"
    )
    found = lines["lenet_step b2, graphc"]
    assert found.startswith("would run") or found.startswith("n/a: the CUDA target has no")
    assert not any("huge" in line for line in lines)
    assert any("huge" in line for line in run(peerbench, "--dry", "--long").splitlines())


def test_a_run_in_the_simulator_writes_results_and_table(peerbench, tmp_path):
    out, table = tmp_path / "gpu.json", tmp_path / "gpu.md"
    run(peerbench, "--only", "elementwise", "--peers", "graphc,torch", "--out", str(out),
        "--table", str(table), NUMBA_ENABLE_CUDASIM="1")  # fmt: skip
    ours, torch = json.loads(out.read_text())["cells"]
    assert ours["status"] == "ok" and len(ours["check"]) == 8
    assert torch["status"] in ("error", "mismatch")
    lines = table.read_text().splitlines()
    assert "| workload | graphc | torch |" in lines
    assert f"| elementwise small | 2.0 us | {torch['status']} |" in lines
    assert any(line.startswith("- elementwise small, torch: ") for line in lines)
