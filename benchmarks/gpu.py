"""All workloads of peerbench on a GPU: graphc against PyTorch (eager, compiled) and JAX.

    python benchmarks/gpu.py --peerbench FOLDER --out gpu.json --table gpu.md
    python benchmarks/gpu.py --peerbench FOLDER --dry      # without a GPU: what it would do

Each (workload, variant, peer) runs in a process of its own, on the same device, with data that
lie there already and results that stay there. The first steps are compared with the first peer
that succeeded before anything is timed, and every step is waited for. Copy bandwidth and matrix
products measured in the same run say what the device can do. The table goes into
docs/performance.md by hand, with the device's name.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
PEERS = {"torch": "torch", "torch_compile": "torch", "jax": "jax", "graphc": "graphc"}
RESIDENT = {
    "elementwise": ("x", "z"), "softmax_xent": ("logits", "labels"),
    "layernorm": ("x", "gamma", "beta", "dy"), "big_graph": ("x", "weights"),
}  # fmt: skip
"""The data that graphc's version passes in every call, where it isn't ``batches``."""


# --- one peer, in a process of its own ------------------------------------------------


def move(value: Any, change: Callable[[Any], Any]) -> Any:
    """A nest of lists and tuples with its arrays changed."""
    if isinstance(value, list | tuple):
        return type(value)(move(v, change) for v in value)
    return change(value)


def on_torch() -> tuple[Callable[[], Any], Callable[[Any], Any], Callable[[], int]]:
    """Let the peers' code make tensors on the GPU; how to wait, read, and tell memory."""
    import lib_torch  # type: ignore[import-not-found]
    import torch  # type: ignore[import-not-found]

    torch.set_default_device("cuda")
    host = lib_torch.tensor
    lib_torch.tensor = lambda array: host(array).cuda()

    def read(value: Any) -> Any:
        return value.detach().cpu() if torch.is_tensor(value) else value

    return torch.cuda.synchronize, read, torch.cuda.max_memory_allocated


def on_jax() -> tuple[Callable[[], Any], Callable[[Any], Any], Callable[[], int]]:
    """JAX finds the GPU by itself, and the peers' code waits for results."""
    import jax  # type: ignore[import-not-found]

    (device, *_) = jax.devices("gpu")
    return lambda: None, lambda v: v, lambda: int(device.memory_stats()["peak_bytes_in_use"])


@functools.cache
def on_graphc() -> tuple[Callable[[], Any], Callable[[Any], Any], Callable[[], int]]:
    """Let functions run on the device and leave their results there."""
    import graphc
    from graphc.runtime.cuda.driver import current_driver
    from graphc.runtime.cuda.faults import using

    graphc.config.device = "cuda"
    plain, driver = graphc.function, current_driver()

    def function(inputs: Any, outputs: Any = None, **options: Any) -> Any:
        if outputs is not None:
            outputs = move(outputs, lambda v: graphc.Out(v, device=True))
        return plain(inputs, outputs, **options)

    graphc.function = function
    allocate, taken = driver.allocate, [0]

    def counted(size: int, *what: str) -> Any:
        taken[0] += size
        return allocate(size, *what)

    driver.allocate = counted  # type: ignore[method-assign]

    def read(value: Any) -> Any:
        return np.asarray(value) if isinstance(value, graphc.DeviceArray) else value

    def wait() -> None:
        with using(driver):
            driver.synchronize()

    return wait, read, lambda: taken[0]


def uploaded(workload: str, data: dict[str, Any]) -> dict[str, Any]:
    """The data of graphc's version, with what calls are given on the device."""
    import graphc
    import graphc.tensor as T

    copies: dict[Any, Any] = {}

    def upload(array: Any) -> Any:
        kind = str(array.dtype), array.ndim
        if kind not in copies:
            x = T.tensor(kind[0], (None,) * kind[1])
            copies[kind] = graphc.function([x], x)
        return copies[kind](array)

    keys = RESIDENT.get(workload, ("batches",))
    return {k: move(v, upload) if k in keys else v for k, v in data.items()}


def build(workload: str, variant: str, peer: str, set_up: bool = True) -> tuple[Any, Any, Any]:
    """The task of a peer, with steps that are waited for; its module; and the memory's reader."""
    import harness  # type: ignore[import-not-found]

    os.environ["PEERBENCH_GRAPHC"] = str(HERE / "peerbench.py")
    module = importlib.import_module("workloads." + workload)
    maker = {"torch": on_torch, "torch_compile": on_torch, "jax": on_jax, "graphc": on_graphc}
    wait, read, memory = maker[peer]()
    make = harness.builder(workload, peer)
    if make is None:
        raise harness.Unsupported(getattr(module, "MISSING", {}).get(peer, "not written for it"))
    data = module.make_data(**module.VARIANTS[variant])
    task = make(uploaded(workload, data) if peer == "graphc" and set_up else data, peer)
    inner, reader = task.step, task.read

    def step() -> Any:
        found = inner()
        wait()
        return found

    task.step, task.read = step, lambda handle: reader(move(handle, read))
    return task, module, memory


def child(args: argparse.Namespace) -> dict[str, Any]:
    """Compare, then time one cell; what the parent writes down."""
    import harness

    if args.peer == "ceilings":
        return ceilings()
    try:
        task, module, memory = build(args.workload, args.variant, args.peer)
        check: list[float] = []
        for _ in range(getattr(module, "CHECK_STEPS", harness.CHECK_STEPS)):
            check += list(task.read(task.step()))
        problem = harness.agree(check, json.loads(args.reference)) if args.reference else None
        if problem:
            return {"status": "mismatch", "reason": problem}
        if getattr(module, "MODE", "time") == "memory":
            return {"status": "ok", "check": check, "bytes": memory()}
        return {"status": "ok", "check": check, "step": harness.measure(task.step, args.seconds)}
    except harness.Unsupported as error:
        return {"status": "n/a", "reason": str(error)}
    except Exception as error:
        traceback.print_exc()
        lines = str(error).strip().splitlines() or [""]
        return {"status": "error", "reason": f"{type(error).__name__}: {lines[0][:200]}"}


def ceilings() -> dict[str, Any]:
    """What the device can do: bytes per second of a copy, operations per second of products."""
    import harness
    import torch

    found: dict[str, Any] = {"status": "ok", "device": torch.cuda.get_device_name()}
    source = torch.ones(2**28, device="cuda")
    target = torch.empty_like(source)

    def timed(act: Callable[[], Any]) -> float:
        def step() -> None:
            act()
            torch.cuda.synchronize()

        return float(harness.measure(step)["min"])

    found["copy, GB/s"] = 2 * source.nbytes / timed(lambda: target.copy_(source)) / 1e9
    n = 8192
    for name, kind, tf32 in (("float32", torch.float32, False), ("tf32", torch.float32, True),
                             ("bfloat16", torch.bfloat16, False)):  # fmt: skip
        torch.backends.cuda.matmul.allow_tf32 = tf32
        a, b = (torch.ones((n, n), device="cuda", dtype=kind) for _ in range(2))
        c = torch.empty_like(a)
        seconds = timed(lambda a=a, b=b, c=c: torch.mm(a, b, out=c))
        found[f"product in {name}, TFLOP/s"] = 2 * n**3 / seconds / 1e12
    return found


# --- all of them ----------------------------------------------------------------------


def cells(args: argparse.Namespace) -> list[tuple[str, str]]:
    """The workloads and variants that were asked for."""
    import run as peerbench  # type: ignore[import-not-found]

    found = []
    for workload in args.only.split(",") if args.only else peerbench.WORKLOADS:
        module = importlib.import_module("workloads." + workload)
        long = getattr(module, "LONG", ())
        found += [(workload, v) for v in module.VARIANTS if args.long or v not in long]
    return found


def run_child(args: argparse.Namespace, workload: str, variant: str, peer: str,
              reference: Any = None) -> dict[str, Any]:  # fmt: skip
    """One cell in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "result.json"
        command = [
            sys.executable, __file__, "--peerbench", args.peerbench, "--child", str(out),
            "--workload", workload, "--variant", variant, "--peer", peer,
            "--seconds", str(args.seconds),
            *(["--reference", json.dumps(reference)] if reference is not None else []),
        ]  # fmt: skip
        env = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        if args.cuda_graphs:
            flags = env.get("GRAPHC_FLAGS")
            env["GRAPHC_FLAGS"] = (flags + "," if flags else "") + "cuda_graphs=True"
        try:
            done = subprocess.run(command, env=env, timeout=args.timeout, check=False)
        except subprocess.TimeoutExpired:
            return {"status": "error", "reason": f"took longer than {args.timeout:.0f} s"}
        if not out.exists():
            return {"status": "error", "reason": f"the process ended with {done.returncode}"}
        found: dict[str, Any] = json.loads(out.read_text())
        return found


def bench(args: argparse.Namespace) -> None:
    """Run everything, and write results and table as they come."""
    results: dict[str, Any] = {"ceilings": run_child(args, "", "", "ceilings"), "cells": []}
    for workload, variant in cells(args):
        reference = None
        for peer in args.peers.split(","):
            found = run_child(args, workload, variant, peer, reference)
            reference = reference or found.get("check")
            results["cells"].append({"workload": workload, "variant": variant, "peer": peer,
                                     **found})  # fmt: skip
            print(workload, variant, peer, text_of(found), flush=True)
            if args.out:
                Path(args.out).write_text(json.dumps(results, indent=1))
            if args.table:
                Path(args.table).write_text(table(results))


def text_of(cell: dict[str, Any]) -> str:
    """A cell of the table."""
    if cell["status"] != "ok":
        return f"{cell['status']}: {cell.get('reason', '')}"
    if "bytes" in cell:
        return f"{cell['bytes'] / 2**20:.0f} MiB"
    seconds = cell["step"]["median"]
    return f"{seconds * 1e6:.1f} us" if seconds < 1e-3 else f"{seconds * 1e3:.2f} ms"


def table(results: dict[str, Any]) -> str:
    """The Markdown for docs/performance.md."""
    top = results["ceilings"]
    lines = [f"Device: {top.get('device', top.get('reason', 'unknown'))}.", ""]
    lines += [f"- {k}: {v:.3g}" for k, v in top.items() if isinstance(v, float)]
    peers = list(dict.fromkeys(c["peer"] for c in results["cells"]))
    lines += ["", "| workload | " + " | ".join(peers) + " |", "| --- " * (len(peers) + 1) + "|"]
    rows: dict[str, dict[str, str]] = {}
    for c in results["cells"]:
        found = text_of(c) if c["status"] == "ok" else c["status"]
        rows.setdefault(f"{c['workload']} {c['variant']}", {})[c["peer"]] = found
    lines += [
        f"| {name} | " + " | ".join(row.get(p, "-") for p in peers) + " |"
        for name, row in rows.items()
    ]
    notes = [f"- {c['workload']} {c['variant']}, {c['peer']}: {text_of(c)}"
             for c in results["cells"] if c["status"] != "ok"]  # fmt: skip
    return "\n".join([*lines, *(["", *notes] if notes else []), ""])


def dry(args: argparse.Namespace) -> None:
    """Say what would run, and build graphc's functions against a driver that does nothing."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    from cuda_fake import FakeDriver  # type: ignore[import-not-found]

    from graphc.core.errors import TargetError
    from graphc.runtime.cuda.driver import use_driver

    use_driver(FakeDriver(lacks_products=None))
    os.environ["PEERBENCH_GRAPHC"] = str(HERE / "peerbench.py")
    for workload, variant in cells(args):
        module = importlib.import_module("workloads." + workload)
        for peer in args.peers.split(","):
            if peer != "graphc":
                there = importlib.util.find_spec(PEERS[peer]) is not None
                said = "would run" if there else f"n/a: {PEERS[peer]} isn't installed"
                if peer not in module.PEERS:
                    said = "n/a: not written for it"
            elif workload in ("big_graph", "epoch", "memory"):
                said = "would run (it is built where it runs)"
            else:
                try:
                    build(workload, variant, peer, set_up=False)
                    said = "would run: its functions are built"
                except TargetError as error:
                    said = f"n/a: {error.what}"
            print(f"{workload} {variant}, {peer}: {said}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peerbench", required=True, help="the folder of peerbench")
    parser.add_argument("--out", help="a JSON file for all results")
    parser.add_argument("--table", help="a Markdown file for the table")
    parser.add_argument("--only", default="", help="workloads, with commas; all by default")
    parser.add_argument("--peers", default=",".join(PEERS), help="with commas")
    parser.add_argument("--long", action="store_true", help="the long variants, too")
    parser.add_argument(
        "--cuda-graphs", action="store_true", help="fail where graphc can't capture its plans"
    )
    parser.add_argument("--seconds", type=float, default=0.5, help="timing per cell")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for each process")
    parser.add_argument("--dry", action="store_true", help="run nothing; no GPU is needed")
    for name in ("--child", "--workload", "--variant", "--peer", "--reference"):
        parser.add_argument(name, default="", help=argparse.SUPPRESS)
    args = parser.parse_args()
    sys.path.insert(0, args.peerbench)
    if args.child:
        Path(args.child).write_text(json.dumps(child(args)))
    elif args.dry:
        dry(args)
    else:
        bench(args)


if __name__ == "__main__":
    main()
