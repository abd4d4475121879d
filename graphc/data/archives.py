"""Arrays in NumPy's own files: NPZ, and NPY as a memory map."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.data.problems import problem
from graphc.data.tables import Table, column, from_arrays, table

_WHOLE = "the file is incomplete or of another kind: write it again with numpy.save or savez"


def from_npz(path: Any, fields: Sequence[str] | None = None, as_dict: bool = False) -> Table:
    """A data set of the arrays in an NPZ file, which are read into memory.

    Parameters
    ----------
    path : path
        As `numpy.savez` and `numpy.savez_compressed` write it. Pickled objects are refused.
    fields : sequence of str, optional
        Which arrays, in which order; all by default.
    as_dict : bool
        Whether batches are dicts.

    Raises
    ------
    DataError
        For a damaged file, names that aren't there, lengths that differ, objects.

    Examples
    --------
    >>> import numpy as np, os, tempfile
    >>> from graphc import data
    >>> path = os.path.join(tempfile.mkdtemp(), "pairs.npz")
    >>> np.savez(path, x=np.zeros((3, 2)), y=np.arange(3))
    >>> data.from_npz(path)
    <3 rows of x: float64[3, 2], y: int64[3]>
    """
    name = os.fspath(path)
    try:
        with open(name, "rb") as file:  # which NumPy leaves open where it is damaged
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise problem(f"{name}: holds a single array", "from_npy reads NPY files")
            wanted = list(fields or archive.files)
            absent = [field for field in wanted if field not in archive.files]
            if absent:
                raise problem(f"{name}: there is no array {', '.join(map(repr, absent))}",
                              f"it has {', '.join(archive.files)}")  # fmt: skip
            columns = {field: archive[field] for field in wanted}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError) or hasattr(error, "hint"):
            raise
        raise problem(f"{name}: {error}", _WHOLE) from error
    scalar = [field for field, value in columns.items() if not value.ndim]
    if scalar or not columns:
        raise problem(f"{name}: {', '.join(scalar) or 'nothing'} has no rows",
                      "name others with fields=")  # fmt: skip
    return table({k: column(k, v) for k, v in columns.items()}, as_dict, origin=name)


def from_npy(*paths: Any, **fields: Any) -> Table:
    """A data set of NPY files, mapped into memory: rows are read when they are used.

    Parameters
    ----------
    *paths, **fields : path
        As the arrays of `from_arrays`. For files without a head, give `numpy.memmap` objects to
        `from_arrays`.

    Raises
    ------
    DataError
        For files that are shorter than their head says, or of another kind.

    Examples
    --------
    >>> import numpy as np, os, tempfile
    >>> from graphc import data
    >>> path = os.path.join(tempfile.mkdtemp(), "x.npy")
    >>> np.save(path, np.arange(6.0).reshape(3, 2))
    >>> data.from_npy(path).take([2])["x"]
    array([[4., 5.]])
    """
    return from_arrays(
        *map(_mapped, paths), **{name: _mapped(path) for name, path in fields.items()}
    )


def _mapped(path: Any) -> Any:
    name = os.fspath(path)
    try:
        found = np.load(name, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise problem(f"{name}: {error}", _WHOLE) from error
    if not isinstance(found, np.ndarray):
        found.close()
        raise problem(f"{name}: is an archive of several arrays", "from_npz reads NPZ files")
    return found
