"""Images changed at random while they are trained on: the same things, seen a little differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backprop_cli.data.settings import AugmentSettings
from backprop_cli.data.table import Array
from backprop_cli.errors import SettingError

Signs = NDArray[np.int64]


class Augmentation:
    """Changes a batch of images in place, each image by its own random numbers, all at once.

    Flips, then rotates about the middle (bilinear), then shifts by whole pixels; then adds noise and cuts out a square,
    of which the border of the image may leave only a part. What comes in from outside, and what is cut out, is 0.

    Shapes: images (batch, channels, height, width), float
    Source: cutout: DeVries & Taylor, Improved Regularization of Convolutional Neural Networks with Cutout (2017).
    """

    def __init__(self, settings: AugmentSettings, shape: tuple[int, int, int]):
        self.settings = settings
        self.channels, self.height, self.width = shape
        self._moves = bool(settings.shift or settings.flip or settings.rotate)

    def __call__(self, images: Array, rng: np.random.Generator) -> None:
        """Equal ``rng``, equal images."""
        settings = self.settings
        if self._moves:
            self._move(images, rng)
        if settings.noise:
            images += np.asarray(settings.noise, images.dtype) * rng.standard_normal(images.shape, images.dtype)
        if settings.cutout:
            self._cut(images, rng)

    def _move(self, images: Array, rng: np.random.Generator) -> None:
        """Every pixel from where it comes from: all told from the middle, and the last change taken back first."""
        count, most = len(images), self.settings.shift
        down, right = rng.integers(-most, most, (2, count, 1), endpoint=True)
        rows = np.arange(self.height) - (self.height - 1) / 2 - down
        columns = np.arange(self.width) - (self.width - 1) / 2 - right
        upright, unmirrored = (self._signs(axis, count, rng) for axis in ("vertical", "horizontal"))
        if self.settings.rotate:
            largest = np.deg2rad(self.settings.rotate)
            angle = rng.uniform(-largest, largest, (count, 1))
            sine, cosine = np.sin(angle), np.cos(angle)
            y = _sums(images.dtype, upright * cosine * rows, upright * sine * columns)
            x = _sums(images.dtype, -unmirrored * sine * rows, unmirrored * cosine * columns)
            self._interpolate(images, y, x)
        else:
            self._gather(images, upright * rows, unmirrored * columns)

    def _signs(self, axis: str, count: int, rng: np.random.Generator) -> Signs:
        """-1 for the images that are flipped along the axis, half of them, if any are; (count, 1)."""
        if self.settings.flip not in (axis, "both"):
            return np.ones((count, 1), np.int64)
        return 1 - 2 * rng.integers(0, 2, (count, 1))

    def _gather(self, images: Array, rows: Array, columns: Array) -> None:
        """Pixels from whole places (count, height) and (count, width), which the border keeps inside."""
        border = self.settings.shift
        padded = _bordered(images, border, border)
        height, width = padded.shape[2:]
        y = (rows + (self.height - 1) / 2 + border).astype(np.int64)
        x = (columns + (self.width - 1) / 2 + border).astype(np.int64)
        y += np.arange(len(images))[:, None] * (self.channels * height)
        index = (y * width)[:, :, None] + x[:, None, :]
        for channel in range(self.channels):
            images[:, channel] = padded.reshape(-1)[channel * height * width :].take(index)

    def _interpolate(self, images: Array, y: Array, x: Array) -> None:
        """Each pixel from the four around the place (count, height, width) that it comes from; both are overwritten."""
        padded = _bordered(images, 1, 2)
        height, width = padded.shape[2:]
        # Beyond the border all is zero, so that farther out is no different.
        for places, size in ((y, self.height), (x, self.width)):
            places += (size + 1) / 2
            np.clip(places, 0, size + 1, out=places)
        top, left = np.floor(y), np.floor(x)
        y -= top
        x -= left
        first = np.arange(len(images))[:, None, None] * (self.channels * height * width)
        index = first + top.astype(np.int64) * width + left.astype(np.int64)
        flat = padded.reshape(-1)
        for channel in range(self.channels):
            own = flat[channel * height * width :]
            upper, lower = (_between(own[below:], index, x) for below in (0, width))
            lower -= upper
            lower *= y
            np.add(upper, lower, out=images[:, channel])

    def _cut(self, images: Array, rng: np.random.Generator) -> None:
        side, count = self.settings.cutout, len(images)
        y, x = (rng.integers(0, size, (count, 1)) - side // 2 for size in (self.height, self.width))
        rows, columns = np.arange(self.height), np.arange(self.width)
        inside = ((rows >= y) & (rows < y + side))[:, :, None] & ((columns >= x) & (columns < x + side))[:, None, :]
        np.copyto(images, 0, where=inside[:, None])


def _sums(dtype: np.dtype[Any], rows: Array, columns: Array) -> Array:
    """``rows[b, i] + columns[b, j]``."""
    return np.asarray(rows.astype(dtype)[:, :, None] + columns.astype(dtype)[:, None, :])


def _bordered(images: Array, before: int, after: int) -> Array:
    """The images with rows and columns of zeros around them."""
    count, channels, height, width = images.shape
    padded = np.zeros((count, channels, height + before + after, width + before + after), images.dtype)
    padded[:, :, before : before + height, before : before + width] = images
    return padded


def _between(flat: Array, index: Array, weight: Array) -> Array:
    """``(1 - weight) * flat[index] + weight * flat[index + 1]``."""
    left, right = flat.take(index), flat[1:].take(index)  # half the time of flat[index]
    right -= left
    right *= weight
    right += left
    return right


def augmentation(settings: AugmentSettings | None, shape: Sequence[int]) -> Augmentation | None:
    """What ``settings`` do to examples of this shape; None where they do nothing.

    Raises: SettingError where examples are no images, or smaller than a shift or a cut.
    """
    if settings is None:
        return None
    if len(shape) != 3:
        reason = (
            f"is for images, examples of [channels, height, width], and an example has the shape {list(shape)}; "
            "say with model.input what it is"
        )
        raise SettingError([(("data", "augment"), reason)])
    smallest = min(shape[1:])
    findings = [
        (("data", "augment", key), f"must be at most {most}: an image has {shape[1]} x {shape[2]} pixels")
        for key, most in (("shift", smallest - 1), ("cutout", smallest))
        if getattr(settings, key) > most
    ]
    if findings:
        raise SettingError(findings)
    return Augmentation(settings, (shape[0], shape[1], shape[2]))
