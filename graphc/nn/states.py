"""Values of layers: given by name, written to files, read again."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, GraphError
from graphc.core.node import Array, SharedVariable, user_frames
from graphc.files import whole

_SHOWN = 6


def assign(label: str, variables: Mapping[str, SharedVariable], values: Mapping[str, Any]) -> None:
    """Set all variables, or none and raise."""
    problems = []
    missing = [name for name in variables if name not in values]
    extra = [name for name in values if name not in variables]
    for what, names in (("missing", missing), ("not in the model", extra)):
        if names:
            problems.append(f"{what}: {_some(names)}")
    ready: dict[str, Array] = {}
    for name in variables:
        if name in values:
            problem = _check(name, variables[name], values[name], ready)
            problems += [problem] if problem else []
    if problems:
        shown = [*problems[:_SHOWN], *([f"and {len(problems) - _SHOWN} more"]
                 if len(problems) > _SHOWN else [])]  # fmt: skip
        raise ArgumentError(
            f"{label}: these are not the values of this model, and nothing was changed\n  "
            + "\n  ".join(shown),
            _cure(variables, values),
            user_frames(),
        )
    for name, value in ready.items():
        variables[name].set_value(value)


def _cure(variables: Mapping[str, SharedVariable], values: Mapping[str, Any]) -> str:
    """What to do about values that aren't those of a model."""
    if list(variables) == list(values):
        shapes = [v.get_value(borrow=True).shape for v in variables.values()]
        if shapes == [np.shape(value) for value in values.values()]:
            return (
                "set graphc.config.floatX as it was before building the model, or cast: "
                "layer.load_state({k: v.astype('float32') for k, v in values.items()})"
            )
    return (
        "build the model with the sizes and the order of layers that it was saved with; "
        "for a part of it, load into that model and give part.state() to the new part"
    )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more


def _check(name: str, variable: SharedVariable, value: Any, ready: dict[str, Array]) -> str | None:
    """What is wrong with a value, if anything; else it is made ready."""
    array, wanted = np.asarray(value), variable.get_value(borrow=True).shape
    if array.shape != wanted:
        return f"{name!r} has shape {array.shape}, not {wanted}"
    if variable.dtype == "bfloat16" and array.dtype == np.float32:
        array = dtypes.convert(array, "bfloat16")
    try:
        ready[name] = variable.check_value(array)
    except GraphError:
        return f"{name!r} has dtype {array.dtype}, not {variable.dtype}"
    return None


def write(path: str | Path, values: Mapping[str, Array]) -> Path:
    """Write arrays to a file, which appears when it is whole."""
    target = _with_ending(Path(path))
    plain = {k: np.ascontiguousarray(_storable(v)).reshape(v.shape) for k, v in values.items()}
    if not target.parent.is_dir():
        raise FileNotFoundError(f"can't write {target}: there is no folder {target.parent}")
    with whole(target) as file:
        if target.suffix == ".npz":
            # By position, so that no name of a model meets a parameter of savez.
            names = np.array(list(plain), dtype=np.str_)
            by_place = {f"value{k}": v for k, v in enumerate(plain.values())}
            np.savez(file, names=names, **by_place)
        else:
            file.write(_safetensors(target).save(plain))
    return target


def read(path: str | Path) -> dict[str, Array]:
    """The arrays of a file that `write` made."""
    found = next((p for p in _candidates(Path(path)) if p.is_file()), None)
    if found is None:
        raise FileNotFoundError(f"there is no file {path}, nor one with an ending that save adds")
    try:
        if found.suffix == ".npz":
            with np.load(found, allow_pickle=False) as archive:
                names = archive["names"].tolist()
                return {name: archive[f"value{k}"] for k, name in enumerate(names)}
        return dict(_safetensors(found).load(found.read_bytes()))
    except (GraphError, MemoryError):
        raise
    except Exception as error:
        raise ArgumentError(
            f"{found} is not a whole file of a model's values: {error}",
            "it was cut off, or written by something else", user_frames(),
        ) from error  # fmt: skip


def _storable(array: Array) -> Array:
    """bfloat16 as float32, which holds its values and which all formats know."""
    return dtypes.convert(array, "float32") if array.dtype.kind == "V" else array


def _with_ending(path: Path) -> Path:
    if path.suffix in (".npz", ".safetensors"):
        return path
    there = importlib.util.find_spec("safetensors") is not None
    return path.with_name(path.name + (".safetensors" if there else ".npz"))


def _candidates(path: Path) -> list[Path]:
    if path.suffix in (".npz", ".safetensors"):
        return [path]
    return [path.with_name(path.name + ending) for ending in (".safetensors", ".npz")]


def _safetensors(path: Path) -> Any:
    """The library, loaded when a file needs it."""
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ArgumentError(
            f"{path} needs the package safetensors, which is not installed",
            "pip install safetensors, or use a path that ends in .npz", user_frames(),
        ) from error  # fmt: skip
    return safetensors.numpy
