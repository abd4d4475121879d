"""Images in a folder, one folder within it for each class. Pillow reads them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphc.core.node import Array
from graphc.data.problems import MissingDataError, optional, problem
from graphc.data.scaling import Scale
from graphc.data.tables import Table, table

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")


class Pictures:
    """Image files as a column of uint8, (rows, channels, height, width), read when used."""

    dtype = np.dtype("uint8")

    def __init__(self, paths: Sequence[Path], size: tuple[int, int] | None, mode: str) -> None:
        self.paths, self.mode, self.size = list(paths), mode, size
        first = self._read(self.paths[0])
        self.shape = (len(self.paths), *first.shape)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: Any) -> Array:
        chosen = np.arange(len(self))[rows]
        found = np.empty((len(chosen), *self.shape[1:]), self.dtype)
        for k, row in enumerate(chosen):
            picture = self._read(self.paths[row])
            if picture.shape != self.shape[1:]:
                raise problem(
                    f"{self.paths[row]}: height and width are {picture.shape[1:]}, those of "
                    f"{self.paths[0].name} are {self.shape[2:]}",
                    "from_folder(..., size=(height, width)) makes them equal",
                )
            found[k] = picture
        return found

    def _read(self, path: Path) -> Array:
        image = optional("PIL.Image", "Pillow", "reading images")
        try:
            with image.open(path) as opened:
                picture = opened.convert(self.mode)
        except (OSError, SyntaxError, ValueError) as error:
            raise problem(f"{path}: can't be read as an image: {error}",
                          "the file is damaged or of another kind") from error  # fmt: skip
        if self.size is not None:
            picture = picture.resize(self.size[::-1], image.Resampling.BILINEAR)
        pixels = np.asarray(picture, "uint8")
        return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)


def from_folder(
    folder: Any, size: tuple[int, int] | None = None, grey: bool = False, scale: bool = True
) -> Table:
    """A data set of image files; the folder that an image is in says its class.

    Parameters
    ----------
    folder : path
        Holds a folder for each class, or images without classes.
    size : (height, width), optional
        What images are brought to; without it, all must be of one size.
    grey : bool
        Whether there is one channel instead of three.
    scale : bool
        Whether bytes 0 ... 255 become floats 0 ... 1 of dtype ``floatX``.

    Returns
    -------
    Table
        ``x`` (rows, channels, height, width), and ``y`` int32 where there are classes, whose
        names are its `classes`, in alphabetical order. Images are read batch by batch.

    Raises
    ------
    MissingPackageError
        Without Pillow.
    MissingDataError
        If there is no such folder, or no image in it.
    DataError
        For images of other sizes and damaged files, with the file.
    """
    optional("PIL.Image", "Pillow", "from_folder")
    root = Path(os.fspath(folder)).expanduser()
    classes = sorted(p.name for p in root.iterdir() if p.is_dir()) if root.is_dir() else []
    found = [(path, k) for k, name in enumerate(classes) for path in _images(root / name)]
    bare = _images(root) if root.is_dir() else []
    if not found and not bare:
        raise MissingDataError(
            f"{root}: " + ("no image in it" if root.is_dir() else "there is no such folder"),
            f"it is to hold a folder of images for each class; known are {' '.join(SUFFIXES)}",
        )
    if found and bare:
        raise problem(f"{root}: images beside folders of images: {bare[0].name}",
                      "put each image into the folder of its class")  # fmt: skip
    mode = "L" if grey else "RGB"
    columns: dict[str, Any] = {"x": Pictures([p for p, _ in found] or bare, size, mode)}
    if found:
        empty = [name for k, name in enumerate(classes) if k not in {c for _, c in found}]
        if empty:
            raise problem(f"{root}: no image in the folders {', '.join(empty)}", "remove them")
        columns["y"] = np.array([k for _, k in found], "int32")
    made = table(columns, classes=classes if found else None, origin=str(root))
    return made.map(Scale(255)) if scale else made


def _images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
