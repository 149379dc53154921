"""Image files to pixels, with Pillow."""

from __future__ import annotations

import io
import math
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from backprop_cli.data.file import DataFile, extra, file_errors
from backprop_cli.data.reading import ImageSettings
from backprop_cli.errors import DataError

CHANNELS = {"gray": 1, "rgb": 3}
_GRAY = ("1", "L", "LA", "La", "I;16", "I;16B", "I;16L")

_MOST_PIXELS = 8 * 1032
"""Most pixels per byte of a file: a byte of PNG unpacks to at most 1032 bytes (RFC 1951) of 8 pixels; JPEG packs less.
"""

ImageKind = tuple[str, tuple[int, int]]
"""``gray`` or ``rgb``, and height and width in pixels."""


def kind_of(path: Path, settings: ImageSettings) -> ImageKind:
    """The kind of images: as set, or read from the image at ``path``. Raises: DataError if it cannot be read."""
    with bomb_warnings(path), _opened(path) as image:
        return settings.mode or image.mode, settings.size or image.size


def pixels_of(path: Path, kind: ImageKind, settings: ImageSettings) -> NDArray[np.uint8]:
    """The image (channels, height, width), upright, converted and resized as far as the settings allow.

    Call it within ``bomb_warnings``. Raises: DataError if it is damaged, or not of this kind.
    """
    mode, size = kind
    with _opened(path) as image:
        if settings.mode is None and image.mode != mode:
            raise DataError(f"{image.name}: is {image.mode}, and the first image is {mode}; set data.image.mode")
        if settings.size is None and image.size != size:
            own, first = (f"{height} x {width}" for height, width in (image.size, size))
            reason = f"has {own} pixels (height x width), and the first image {first}"
            raise DataError(f"{image.name}: {reason}; set data.image.size to resize them")
        pixels = image.pixels(mode, size)
    return np.moveaxis(pixels.reshape(*size, CHANNELS[mode]), -1, 0)


@contextmanager
def bomb_warnings(path: Path) -> Iterator[None]:
    """Of Pillow's warnings make the one about too many pixels an error, and ignore the others."""
    pillow = _pillow("PIL.Image", path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a palette, or metadata of a camera
        warnings.simplefilter("error", pillow.DecompressionBombWarning)
        yield


def _pillow(module: str, path: Path) -> Any:
    """A module of Pillow. Raises: DataError about the image if it is not installed."""
    # Importing a module again costs as much as opening an image.
    return sys.modules.get(module) or extra(module, package="Pillow", extra="images", file=DataFile(path).name)


@contextmanager
def _opened(path: Path) -> Iterator[_Image]:
    pillow = _pillow("PIL.Image", path)
    with file_errors(DataFile(path)):
        content = path.read_bytes()
    # From a file Pillow would allocate the length that a damaged chunk announces, from memory only the existing bytes.
    yield _Image(io.BytesIO(content), len(content), path, pillow)


class _Image:
    """An opened image, upright. Every error of Pillow becomes a DataError."""

    def __init__(self, stream: BinaryIO, size: int, path: Path, pillow: ModuleType):
        self._path, self._pillow = path, pillow
        operations = _pillow("PIL.ImageOps", path)
        self._image: Any = self._careful(lambda: pillow.open(stream))
        if math.prod(self._image.size) > _MOST_PIXELS * size:
            wide, high = self._image.size
            raise DataError(
                f"{self.name}: the image is damaged: {size:,} bytes cannot hold the {high:,} x {wide:,} pixels of its "
                "header; replace or remove it"
            )
        # Cameras store pixels in the orientation of the sensor, together with the rotation to apply.
        self._careful(lambda: operations.exif_transpose(self._image, in_place=True))

    @property
    def name(self) -> str:
        """The file's name in messages. Looking it up takes as long as decoding a small image."""
        return DataFile(self._path).name

    @property
    def mode(self) -> str:
        """``gray`` or ``rgb``."""
        return "gray" if self._image.mode in _GRAY else "rgb"

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return (self._image.height, self._image.width)

    def pixels(self, mode: str, size: tuple[int, int]) -> NDArray[np.uint8]:
        """8 bits a channel, (height, width) or (height, width, 3)."""
        found: NDArray[np.uint8] = self._careful(lambda: np.asarray(self._converted(mode, size)))
        return found

    def _converted(self, mode: str, size: tuple[int, int]) -> Any:
        image = self._image
        if image.mode.startswith("I;16"):
            # Pillow would clip 16 bits at 255.
            image = self._pillow.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        image = image.convert("L" if mode == "gray" else "RGB")
        return image if self.size == size else image.resize(size[::-1], self._pillow.Resampling.BILINEAR)

    def _careful(self, act: Any) -> Any:
        try:
            return act()
        except self._pillow.UnidentifiedImageError as error:
            raise DataError(f"{self.name}: is not an image; replace or remove it") from error
        except (self._pillow.DecompressionBombWarning, self._pillow.DecompressionBombError) as error:
            most = self._pillow.MAX_IMAGE_PIXELS
            raise DataError(
                f"{self.name}: the image has more than {most:,} pixels by its header; replace it, or make it smaller"
            ) from error
        except MemoryError:
            raise
        except Exception as error:
            # On a damaged file Pillow's readers raise nearly any type.
            raise DataError(f"{self.name}: the image is damaged ({error}); replace or remove it") from error
