"""IDX, the format of MNIST's files: a short head, then numbers with the high byte first."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from typing import Any, BinaryIO

import numpy as np

from graphc.core.node import Array
from graphc.data.problems import problem
from graphc.data.scaling import Scale
from graphc.data.tables import Table, table

DTYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_PIECE = 1 << 20
_AGAIN = "the file is incomplete or damaged: get it again"


def read_idx(path: Any) -> Array:
    """The array in an IDX file, also in a gzipped one.

    Parameters
    ----------
    path : path
        The name doesn't matter: gzip is known by its first bytes.

    Returns
    -------
    array
        uint8, int8, int16, int32, float32 or float64, as the file says.

    Raises
    ------
    DataError
        If the file is no IDX file, is shorter or longer than its head says, or is damaged.

    References
    ----------
    Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", file formats.

    Examples
    --------
    >>> import numpy as np, os, tempfile
    >>> from graphc import data
    >>> path = os.path.join(tempfile.mkdtemp(), "numbers.idx")
    >>> data.write_idx(path, np.array([[1, 2], [3, 4]], "int16"))
    >>> data.read_idx(path)
    array([[1, 2],
           [3, 4]], dtype=int16)
    """
    name = os.fspath(path)
    with open(name, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            with gzip.GzipFile(fileobj=file) if packed else file as stream:
                return _read(stream, name)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise problem(f"{name}: {error}", _AGAIN) from error


def _read(stream: BinaryIO | gzip.GzipFile, name: str) -> Array:
    head = stream.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in DTYPES or not head[3]:
        raise problem(
            f"{name}: no IDX file: it begins with {head.hex(' ') or 'nothing'}",
            "IDX files begin with 00 00, a code for the dtype and the number of axes",
        )
    sizes = stream.read(4 * head[3])
    if len(sizes) < 4 * head[3]:
        raise problem(f"{name}: ends after {4 + len(sizes)} bytes, within its head", _AGAIN)
    shape = struct.unpack(f">{head[3]}I", sizes)
    dtype = np.dtype(DTYPES[head[2]])
    expected = math.prod(shape) * dtype.itemsize
    # In pieces: a damaged head may claim more bytes than there is memory.
    found = bytearray()
    while piece := stream.read(min(_PIECE, expected + 1 - len(found))):
        found += piece
    if len(found) != expected:
        more = "more than" if len(found) > expected else f"{len(found)} of"
        raise problem(
            f"{name}: holds {more} the {expected} bytes of values that its head speaks of: "
            f"{dtype.name}{list(shape)}", _AGAIN,
        )  # fmt: skip
    return np.frombuffer(found, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def write_idx(path: Any, values: Any) -> None:
    """Write an array as an IDX file; gzipped if the name ends in ``.gz``.

    Raises
    ------
    DataError
        For dtypes that the format doesn't have.
    """
    array = np.asarray(values)
    codes = {np.dtype(text).newbyteorder("="): code for code, text in DTYPES.items()}
    code = codes.get(array.dtype.newbyteorder("="))
    if code is None or not array.ndim:
        raise problem(
            f"IDX can't hold {array.dtype}{list(array.shape)}",
            f"it has {', '.join(d.name for d in codes)}, with at least one axis",
        )
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    name = os.fspath(path)
    with gzip.open(name, "wb") if str(name).endswith(".gz") else open(name, "wb") as file:
        file.write(head + array.astype(array.dtype.newbyteorder(">")).tobytes())


def from_idx(images: Any, labels: Any = None, scale: bool = True) -> Table:
    """A data set of IDX files.

    Parameters
    ----------
    images : path
        Of values, (rows, ...).
    labels : path, optional
        Of one number for each row; they become int32.
    scale : bool
        Whether bytes 0 ... 255 become floats 0 ... 1 of dtype ``floatX``, batch by batch.

    Raises
    ------
    DataError
        As `read_idx`, and if the numbers of rows differ.
    """
    columns = {"x": read_idx(images)}
    if labels is not None:
        columns["y"] = read_idx(labels)
        if columns["y"].dtype.kind in "iu":
            columns["y"] = columns["y"].astype("int32")
    origin = os.fspath(images) + ("" if labels is None else f" and {os.fspath(labels)}")
    made = table(columns, origin=origin)
    return made.map(Scale(255)) if scale and columns["x"].dtype == "uint8" else made
