"""A configuration for a folder of images, with a folder for each class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from backprop_cli.config.presets import batch_size
from backprop_cli.data.file import DataFile
from backprop_cli.data.folder import ImageFolder, classes_of
from backprop_cli.data.pixels import kind_of
from backprop_cli.data.reading import ImageSettings
from backprop_cli.errors import UsageError, plural

_SAMPLE = 500
"""Most images whose size is looked at."""
_LARGEST = 64
"""Longest side of an image as it is; larger ones are made smaller."""
_MOST_POOLS = 3


class ImageFacts(NamedTuple):
    """What a folder of images is. ``resized``: whether the images must be converted to ``size`` and ``mode``."""

    classes: Mapping[str, int]
    images: int
    size: tuple[int, int]
    mode: str
    resized: bool
    mixed: bool


def image_facts(folder: Path) -> ImageFacts:
    """What a folder of images is. Raises: UsageError without folders for the classes; DataError for a wrong folder."""
    file = DataFile(folder)
    found = ImageFolder(file)
    found.check_classes()
    labels = classes_of(file, found.images)
    if labels is None:
        raise UsageError(
            f"{file.name}: has images but no folders, whose names would be their classes; move each image into the "
            "folder of its class"
        )
    names, counts = np.unique(labels, return_counts=True)
    if len(names) < 2:
        raise UsageError(f"{file.name}: has a single class, {names[0]}; give another class a folder, too")
    step = max(1, len(found.images) // _SAMPLE)
    kinds = Counter(kind_of(path, ImageSettings()) for path in found.images[::step])
    sizes, modes = {size for _, size in kinds}, {mode for mode, _ in kinds}
    side = int(np.median([min(size) for _, size in kinds.elements()]))
    (usual,) = sizes if len(sizes) == 1 else [(side, side)]
    shrink = max(1.0, max(usual) / _LARGEST)
    size = (max(1, round(usual[0] / shrink)), max(1, round(usual[1] / shrink)))
    classes = {str(name): int(count) for name, count in zip(names, counts, strict=True)}
    mode = "rgb" if "rgb" in modes else "gray"
    return ImageFacts(classes, len(found.images), size, mode, len(sizes) > 1 or shrink > 1, len(modes) > 1)


def draft_images(facts: ImageFacts, source: str) -> str:
    """A configuration with convolutions, from small to large filters."""
    train = int(0.7 * facts.images)
    height, width = facts.size
    keys = [f"size: [{height}, {width}]"] * facts.resized + [f"mode: {facts.mode}"] * facts.mixed
    pools = min(_MOST_POOLS, max(0, int(np.log2(min(facts.size) / 4)))) if min(facts.size) >= 4 else 0
    layers = [line for block in range(pools) for line in (*_convolution(16 * 2**block), "{type: max_pool, kernel: 2}")]
    shift = max(1, min(facts.size) // 12)
    lines = [
        f"# Predicts the class of an image, its folder: {len(facts.classes):,} classes, "
        f"{plural(facts.images, 'image')}.",
        "data:",
        f"  source: {source}",
        *([f"  image: {{{', '.join(keys)}}}"] if keys else []),
        "  transform: {numeric: {scale: 0.00392156862745098}}  # 1/255: pixels from 0 to 1",
        f"  augment: {{shift: {shift}}}  # pixels; flip: horizontal if a mirrored image has the same class",
        "",
        "model:",
        "  layers:",
        *(f"    - {line}" for line in [*layers, *_convolution(16 * 2**pools)]),
        "    - global_average_pool",
        "    - {type: dropout, rate: 0.1}",
        "    - {type: dense, units: auto}  # one output for each class",
        "",
        "loss: cross_entropy",
        "optimizer: {type: adamw, learning_rate: 3e-3, weight_decay: 0.01}",
        "metrics: [accuracy]",
        f"training: {{epochs: auto, batch_size: {min(128, batch_size(train))}}}",
        "early_stopping: {patience: 16}  # epochs without a better validation/loss",
        "gradient_check: {samples: 8}",
    ]
    return "\n".join(lines) + "\n"


def _convolution(channels: int) -> list[str]:
    keys = "kernel: 3, padding: same, bias: false, initializer: he_normal"
    return [
        f"{{type: conv2d, channels: {channels}, {keys}}}",
        "batch_norm",
        "{type: activation, function: relu}",
    ]
