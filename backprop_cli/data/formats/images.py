"""Images in folders."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from backprop_cli.data.file import DataFile, printable
from backprop_cli.data.folder import SUFFIXES, ImageFolder, classes_of, parts_of
from backprop_cli.data.format import FORMATS, ArrayFormat
from backprop_cli.data.pixels import CHANNELS, ImageKind, bomb_warnings, kind_of, pixels_of
from backprop_cli.data.reading import ImageSettings, Reading
from backprop_cli.data.table import Array
from backprop_cli.memory import check_memory

IMAGE, CLASS = "image", "class"


@FORMATS.register
class Images(ArrayFormat):
    """PNG and JPEG images, with a folder for each class: arrays `image`, 8 bits a channel, channels first, and `class`.

    A folder without folders has no classes. A single image can stand for such a folder, to predict from. Images are
    sorted by path; hidden ones are left out, and other files with a warning. All must have one size, and be all gray or
    all in colour, unless ``data.image`` converts them; transparency is dropped. Needs the extra [images]. Files: a
    folder, ``.png``, ``.jpg``, ``.jpeg``.
    """

    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES
    default_target: ClassVar[str | None] = CLASS
    no_target: ClassVar[str] = (
        "has images but no folders, whose names would be their classes; move each image into the folder of its "
        "class, or set target: features to predict the images themselves"
    )
    reads_images: ClassVar[bool] = True

    def __init__(self, settings: ImageSettings | None = None):
        self.settings = settings or ImageSettings()

    @classmethod
    def matches(cls, name: str) -> bool:
        return name.endswith("/") or super().matches(name)

    def configured(self, reading: Reading) -> Images:
        return Images(reading.image)

    def arrays(self, file: DataFile) -> dict[str, Array]:
        """``image`` uint8 (images, channels, height, width), and ``class`` (images,) if the folder has folders.

        Warns of files that are not images. Raises: DataError for folders that are not classes, or have no images.
        """
        found = ImageFolder(file)
        found.check_classes()
        found.warn_of_splits()
        found.warn_of_others()
        return self._read(file, found.images, kind_of(found.images[0], self.settings))

    def pieces(self, file: DataFile, rows: int) -> Iterator[dict[str, Array]]:
        """The arrays of ``rows`` images at a time, from any folders."""
        found = ImageFolder(file)
        found.warn_of_others()
        kind = kind_of(found.images[0], self.settings)
        for start in range(0, len(found.images), rows):
            yield self._read(file, found.images[start : start + rows], kind)

    def shapes(self, file: DataFile) -> dict[str, tuple[int, ...]]:
        paths = ImageFolder(file).images
        mode, size = kind_of(paths[0], self.settings)
        found: dict[str, tuple[int, ...]] = {IMAGE: (len(paths), CHANNELS[mode], *size)}
        return found if classes_of(file, paths) is None else {**found, CLASS: (len(paths),)}

    def names(self, file: DataFile) -> list[str]:
        """The paths below the folder."""
        return [printable("/".join(parts_of(file, path))) for path in ImageFolder(file).images]

    def _read(self, file: DataFile, paths: Sequence[Path], kind: ImageKind) -> dict[str, Array]:
        mode, size = kind
        shape = (len(paths), CHANNELS[mode], *size)
        check_memory(math.prod(shape), f"{file.name}: images of the shape {list(shape)}")
        out = np.empty(shape, np.uint8)
        with bomb_warnings(paths[0]):
            for row, path in enumerate(paths):
                out[row] = pixels_of(path, kind, self.settings)
        classes = classes_of(file, paths)
        return {IMAGE: out} if classes is None else {IMAGE: out, CLASS: classes}
