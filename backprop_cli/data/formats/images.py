"""Images in folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from backprop_cli.data.file import DataFile
from backprop_cli.data.format import FORMATS, ArrayFormat
from backprop_cli.data.pixels import CHANNELS, Kind, kind_of, pixels_of
from backprop_cli.data.settings import ImageSettings
from backprop_cli.data.table import Array
from backprop_cli.data.text import label_of
from backprop_cli.errors import DataError

IMAGE, CLASS = "image", "class"


@FORMATS.register
class Images(ArrayFormat):
    """PNG and JPEG images, with a folder a class: arrays `image`, 8 bits a channel, channels first, and `class`.

    A folder without folders has no classes, and one image may stand for such a folder: to predict from. Images are
    sorted by path. All are of one size, and all gray or all in colour, unless ``data.image`` says what to make of them;
    transparency is dropped. Needs the extra [images]. Files: a folder, ``.png``, ``.jpg``, ``.jpeg``.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".png", ".jpg", ".jpeg")
    default_target: ClassVar[str | None] = CLASS
    no_target: ClassVar[str] = (
        "has images and no folders of them, whose names would be their classes; move each image into the folder of its "
        "class, or set target: features to predict the images themselves"
    )
    reads_images: ClassVar[bool] = True

    def __init__(self, settings: ImageSettings | None = None):
        self.settings = settings or ImageSettings()

    @classmethod
    def matches(cls, name: str) -> bool:
        """Also a folder."""
        return name.endswith("/") or super().matches(name)

    def configured(self, image: ImageSettings | None) -> Images:
        """As ``data.image`` says."""
        return Images(image)

    def arrays(self, file: DataFile) -> dict[str, Array]:
        """``image`` uint8 (images, channels, height, width), and ``class`` (images,) where there are folders."""
        paths = self._paths(file)
        return self._read(file, paths, kind_of(paths[0], self.settings))

    def pieces(self, file: DataFile, rows: int) -> Iterator[dict[str, Array]]:
        """The same, so many images at a time."""
        paths = self._paths(file)
        kind = kind_of(paths[0], self.settings)
        for start in range(0, len(paths), rows):
            yield self._read(file, paths[start : start + rows], kind)

    def shapes(self, file: DataFile) -> dict[str, tuple[int, ...]]:
        """From the names of the files and the first one's header."""
        paths = self._paths(file)
        mode, size = kind_of(paths[0], self.settings)
        found: dict[str, tuple[int, ...]] = {IMAGE: (len(paths), CHANNELS[mode], *size)}
        return found if _classes(file, paths) is None else {**found, CLASS: (len(paths),)}

    def names(self, file: DataFile) -> list[str]:
        """Paths below the folder."""
        return ["/".join(_parts(file, path)) for path in self._paths(file)]

    def _paths(self, file: DataFile) -> list[Path]:
        """The images, sorted by path; hidden ones are left out."""
        file.check(folder=True)
        if not file.path.is_dir():
            return [file.path]
        found = [path for path in file.path.rglob("*") if path.name.lower().endswith(self.suffixes)]
        paths = sorted(path for path in found if not any(part.startswith(".") for part in _parts(file, path)))
        if not paths:
            raise DataError(
                f"{file.name}: is a folder without images ({', '.join(self.suffixes)}); name a file in it, or a folder "
                "that has a folder of images for each class"
            )
        return paths

    def _read(self, file: DataFile, paths: Sequence[Path], kind: Kind) -> dict[str, Array]:
        mode, size = kind
        out = np.empty((len(paths), CHANNELS[mode], *size), np.uint8)
        for row, path in enumerate(paths):
            out[row] = pixels_of(path, kind, self.settings)
        classes = _classes(file, paths)
        return {IMAGE: out} if classes is None else {IMAGE: out, CLASS: classes}


def _parts(file: DataFile, path: Path) -> tuple[str, ...]:
    """Names on the way from the folder to the image."""
    return path.relative_to(file.path).parts if path != file.path else (path.name,)


def _classes(file: DataFile, paths: Sequence[Path]) -> Array | None:
    """The folder that each image is in, a number where all are; None where there are no folders.

    Raises: DataError for images both in folders and beside them.
    """
    folders = [parts[0] if len(parts) > 1 else None for parts in (_parts(file, path) for path in paths)]
    if not any(folders):
        return None
    if not all(folders):
        lost = paths[folders.index(None)]
        raise DataError(
            f"{DataFile(lost).name}: lies beside the folders of the classes; move it into that of its class"
        )
    labels = [label_of(str(folder)) for folder in folders]
    return np.array(labels if all(isinstance(label, int) for label in labels) else folders)
