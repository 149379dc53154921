"""Random changes of images during training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backprop_cli.data.sections import AugmentSettings
from backprop_cli.data.table import Array
from backprop_cli.errors import SettingError

Signs = NDArray[np.int64]


class Augmentation:
    """Changes a batch of images in place, each image by its own random numbers, all at once.

    It flips, then rotates about the middle (bilinear), then shifts by whole pixels; then it adds noise and cuts out a
    square, which may extend beyond the border. Pixels from outside, and those cut out, are 0.

    Shapes: images (batch, channels, height, width), float

    Source: cutout: DeVries & Taylor, Improved Regularization of Convolutional Neural Networks with Cutout (2017).
    """

    def __init__(self, settings: AugmentSettings, shape: tuple[int, int, int]):
        self.settings = settings
        self.channels, self.height, self.width = shape
        self._moves = bool(settings.shift or settings.flip or settings.rotate)

    def __call__(self, images: Array, rng: np.random.Generator) -> None:
        """Change the images; equal ``rng`` give equal images."""
        settings = self.settings
        if self._moves:
            self._move(images, rng)
        if settings.noise:
            images += np.asarray(settings.noise, images.dtype) * rng.standard_normal(images.shape, images.dtype)
        if settings.cutout:
            self._cut(images, rng)

    def _move(self, images: Array, rng: np.random.Generator) -> None:
        """Move every pixel. Its origin follows by undoing the changes, the last one first, relative to the middle."""
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
        """-1 for images to flip along the axis, half of them if ``flip`` names it, else 1; (count, 1)."""
        if self.settings.flip not in (axis, "both"):
            return np.ones((count, 1), np.int64)
        return 1 - 2 * rng.integers(0, 2, (count, 1))

    def _gather(self, images: Array, rows: Array, columns: Array) -> None:
        """Take pixels from whole positions (count, height) and (count, width); the border keeps them inside."""
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
        """Interpolate each pixel between the four around its origin, (count, height, width). Overwrites ``y`` and
        ``x``.
        """
        padded = _bordered(images, 1, 2)
        height, width = padded.shape[2:]
        # Beyond the border everything is zero, so positions are clipped to it.
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
    """The augmentation of examples of this shape; None if ``settings`` is None.

    Raises: SettingError if examples are not images, or smaller than a shift or a cut.
    """
    if settings is None:
        return None
    if len(shape) != 3:
        reason = (
            f"is for images, examples of [channels, height, width], and an example has the shape {list(shape)}; "
            "set its shape with model.input"
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
