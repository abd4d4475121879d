"""Data sets that users have got themselves: MNIST and CIFAR, and the folder they lie in."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from graphc.core.config import config
from graphc.core.node import Array
from graphc.data.idx import from_idx
from graphc.data.problems import MissingDataError, MissingPackageError, optional, problem
from graphc.data.scaling import Scale
from graphc.data.tables import Table, table

_MNIST = ("train-images", "train-labels", "t10k-images", "t10k-labels")
MNIST_SOURCES = {
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "fashion-mnist": "https://github.com/zalandoresearch/fashion-mnist",
}
CIFAR_SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html"
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship",
           "truck")  # fmt: skip


def data_folder() -> Path:
    """Where data sets are looked for, if no folder is given.

    ``GRAPHC_DATA_DIR``, or else ``graphc.config.data_dir``, or else the system's folder for the
    user's data (by platformdirs, where that is installed).

    Examples
    --------
    >>> import graphc
    >>> from graphc import data
    >>> with graphc.config(data_dir="/data"):
    ...     print(data.data_folder())
    /data
    """
    named = os.environ.get("GRAPHC_DATA_DIR") or config.data_dir
    if named:
        return Path(named).expanduser()
    try:
        platformdirs = optional("platformdirs", "platformdirs", "the system's folder for data")
    except MissingPackageError:
        return Path("~/.local/share/graphc").expanduser()
    return Path(platformdirs.user_data_path("graphc", appauthor=False))


def mnist(
    folder: Any = None, name: str = "mnist", scale: bool = True
) -> tuple[Table, Table]:
    """MNIST, or another set of its form, from files: 60,000 images to train with, 10,000 to test.

    Parameters
    ----------
    folder : path, optional
        Where the four files are, gzipped or not; ``mnist`` in `data_folder` by default.
    name : str
        Another folder in `data_folder`: ``fashion-mnist``.
    scale : bool
        Whether bytes 0 ... 255 become floats 0 ... 1 of dtype ``floatX``, batch by batch.

    Returns
    -------
    train, test : Table
        ``x`` (rows, 28, 28), ``y`` int32.

    Raises
    ------
    MissingDataError
        With the folder that was looked in, the files that aren't there, and where to get them.
    DataError
        For damaged files.
    """
    place = Path(folder).expanduser() if folder is not None else data_folder() / name
    found = {stem: _idx_file(place, stem) for stem in _MNIST}
    missing = [stem for stem, path in found.items() if path is None]
    if missing:
        files = ", ".join(f"{stem}-idx{3 if 'images' in stem else 1}-ubyte.gz" for stem in missing)
        source = MNIST_SOURCES.get(name, MNIST_SOURCES["mnist"])
        raise MissingDataError(
            f"{name}: not in {place}: {files}",
            f"get them from {source} and put them there (unpacked is fine, too); folder=, "
            "graphc.config.data_dir or GRAPHC_DATA_DIR name another folder",
        )
    first, second, third, fourth = found.values()
    return from_idx(first, second, scale), from_idx(third, fourth, scale)


def _idx_file(place: Path, stem: str) -> Path | None:
    end = f"idx{3 if 'images' in stem else 1}-ubyte"
    names = [f"{stem}{dot}{end}{packed}" for dot in "-." for packed in ("", ".gz")]
    return next((place / n for n in names if (place / n).is_file()), None)


def cifar10(folder: Any = None, scale: bool = True) -> tuple[Table, Table]:
    """CIFAR-10 from the files of its binary version: 50,000 images to train with, 10,000 to test.

    Parameters
    ----------
    folder : path, optional
        Where ``cifar-10-binary.tar.gz`` or the files in it are; ``cifar-10`` in `data_folder` by
        default. The version for Python is pickled and isn't read.
    scale : bool
        Whether bytes become floats 0 ... 1.

    Returns
    -------
    train, test : Table
        ``x`` (rows, 3, 32, 32), ``y`` int32; `classes` are their names.

    Raises
    ------
    MissingDataError, DataError
        As `mnist`.
    """
    train = [f"data_batch_{k}.bin" for k in range(1, 6)]
    found = _cifar(folder, "cifar-10", train, 3073)
    return _cifar_sets(found, 1, scale, CIFAR10)


def cifar100(folder: Any = None, scale: bool = True) -> tuple[Table, Table]:
    """CIFAR-100 from the files of its binary version; as `cifar10`, with the 100 fine labels."""
    return _cifar_sets(_cifar(folder, "cifar-100", ["train.bin"], 3074), 2, scale, None)


def _cifar(folder: Any, name: str, train: list[str], record: int) -> tuple[Array, Array]:
    """The records to train with and to test with, as bytes."""
    place = Path(folder).expanduser() if folder is not None else data_folder() / name
    test = "test_batch.bin" if name == "cifar-10" else "test.bin"
    wanted = [*train, test]
    archive = place / f"{name}-binary.tar.gz"
    inner = place / ("cifar-10-batches-bin" if name == "cifar-10" else "cifar-100-binary")
    here = next((p for p in (place, inner) if all((p / w).is_file() for w in wanted)), None)
    if here is not None:
        contents = {w: (here / w).read_bytes() for w in wanted}
    elif archive.is_file():
        contents = _unpacked(archive, wanted)
        here = archive
    else:
        raise MissingDataError(
            f"{name}: neither {archive.name} nor {', '.join(wanted)} in {place}",
            f"get the binary version from {CIFAR_SOURCE} and put it there; folder=, "
            "graphc.config.data_dir or GRAPHC_DATA_DIR name another folder",
        )
    for w, content in contents.items():
        if not content or len(content) % record:
            raise problem(
                f"{here / w}: {len(content)} bytes are no multiple of {record}, the bytes of an "
                "image and its labels", "the file is incomplete or damaged: get it again",
            )  # fmt: skip
    arrays = [np.frombuffer(contents[w], "uint8").reshape(-1, record) for w in wanted]
    return np.concatenate(arrays[:-1]), arrays[-1]


def _unpacked(archive: Path, wanted: list[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(archive) as file:
            for member in file:
                base = member.name.rsplit("/", 1)[-1]
                content = file.extractfile(member) if base in wanted else None
                if content is not None:
                    found[base] = content.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise problem(f"{archive}: {error}", "the file is incomplete: get it again") from error
    missing = [w for w in wanted if w not in found]
    if missing:
        raise problem(f"{archive}: {', '.join(missing)} are not in it",
                      f"get the binary version from {CIFAR_SOURCE}")  # fmt: skip
    return {w: found[w] for w in wanted}


def _cifar_sets(
    records: tuple[Array, Array], head: int, scale: bool, classes: tuple[str, ...] | None
) -> tuple[Table, Table]:
    made = [
        table({"x": r[:, head:].reshape(-1, 3, 32, 32), "y": r[:, head - 1].astype("int32")},
              classes=classes, origin="CIFAR")
        for r in records
    ]  # fmt: skip
    train, test = (m.map(Scale(255)) if scale else m for m in made)
    return train, test
