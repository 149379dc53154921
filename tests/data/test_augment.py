"""Changes of images: each against its definition, with the random numbers in hand or found out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from backprop_cli.data.augment import Augmentation, augmentation
from backprop_cli.data.sections import AugmentSettings
from backprop_cli.errors import SettingError

SHAPE = (2, 6, 5)


def made(shape: tuple[int, ...] = SHAPE, **settings: Any) -> Augmentation:
    found = augmentation(AugmentSettings.model_validate(settings), shape)
    assert found is not None
    return found


def images(count: int, shape: tuple[int, ...] = SHAPE, dtype: str = "float64") -> np.ndarray:
    return np.random.default_rng(7).uniform(1, 2, (count, *shape)).astype(dtype)


def changed(before: np.ndarray, seed: int = 0, **settings: Any) -> np.ndarray:
    after = before.copy()
    made(before.shape[1:], **settings)(after, np.random.default_rng(seed))
    return after


def shifted(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """By the definition: pixel (y, x) goes to (y + down, x + right)."""
    out = np.zeros_like(image)
    height, width = image.shape[1:]
    for y in range(height):
        for x in range(width):
            if 0 <= y + down < height and 0 <= x + right < width:
                out[:, y + down, x + right] = image[:, y, x]
    return out


def test_every_image_has_a_shift_of_its_own() -> None:
    before = images(300)
    after, seen = changed(before, shift=2), set()
    for old, new in zip(before, after, strict=True):
        ways = [(d, r) for d in range(-2, 3) for r in range(-2, 3) if np.array_equal(shifted(old, d, r), new)]
        assert len(ways) == 1
        seen.add(ways[0])
    assert len(seen) == 25


@pytest.mark.parametrize(
    ("flip", "ways"),
    [
        ("horizontal", [(1, 1), (1, -1)]),
        ("vertical", [(1, 1), (-1, 1)]),
        ("both", [(1, 1), (1, -1), (-1, 1), (-1, -1)]),
    ],
)
def test_flips_are_even(flip: str, ways: list[tuple[int, int]]) -> None:
    before = images(400)
    after = changed(before, flip=flip)
    counts = [sum(np.array_equal(o[:, ::v, ::h], n) for o, n in zip(before, after, strict=True)) for v, h in ways]
    assert sum(counts) == 400
    assert min(counts) > 400 / len(ways) * 0.7


class Chosen:
    """Random numbers that are not: what is drawn next, by the name of the draw."""

    def __init__(self, integers: list[Any], uniform: Any = None):
        self._integers, self._uniform = integers, uniform

    def integers(self, *_: Any, **__: Any) -> Any:
        return self._integers.pop(0)

    def uniform(self, *_: Any) -> Any:
        return self._uniform


def moved(image: np.ndarray, down: int, right: int, flips: list[int], degrees: float) -> np.ndarray:
    after = image[None].copy()
    draws = [np.full((1, 1), flip) for flip in flips]
    rng: Any = Chosen([np.array([[[down]], [[right]]]), *draws], np.array([[np.deg2rad(degrees)]]))
    made(image.shape, shift=4, rotate=180, flip="both")(after, rng)
    return after[0]


def test_a_quarter_turn() -> None:
    image = images(1, (2, 5, 5))[0]
    np.testing.assert_allclose(moved(image, 0, 0, [0, 0], 90), np.rot90(image, 1, (1, 2)), atol=1e-12)
    np.testing.assert_allclose(moved(image, 0, 0, [0, 0], 180), image[:, ::-1, ::-1], atol=1e-12)


@pytest.mark.parametrize("degrees", [-33.0, 0.0, 7.5, 121.0])
@pytest.mark.parametrize("flips", [[0, 0], [0, 1], [1, 1]])
def test_it_flips_then_turns_then_shifts(degrees: float, flips: list[int]) -> None:
    """As SciPy does one after the other; the turn between pixels of a larger image, so that nothing is lost."""
    image = np.zeros((1, 15, 13))
    image[:, 5:10, 4:9] = images(1, (1, 5, 5))[0]
    expected = image[0, :: -1 if flips[0] else 1, :: -1 if flips[1] else 1]
    expected = ndimage.rotate(expected, degrees, reshape=False, order=1, mode="constant")
    expected = ndimage.shift(expected, (2, -3), order=1, mode="constant")
    np.testing.assert_allclose(moved(image, 2, -3, flips, degrees)[0], expected, atol=1e-9)


def test_angles_are_within_the_limit() -> None:
    """The angle is seen in where a point goes."""
    point = np.zeros((500, 1, 41, 41))
    point[:, 0, 20, 36:39] = 1.0
    after = changed(point, rotate=10)
    y, x = (np.einsum("bchw,hw->b", after, grid) / after.sum((1, 2, 3)) for grid in np.mgrid[-20:21, -20:21])
    angles = np.rad2deg(np.arctan2(y, x))
    assert np.abs(angles).max() < 10.5
    assert np.abs(angles).max() > 9
    assert abs(angles.mean()) < 1


def test_noise_has_its_deviation() -> None:
    before = images(200)
    added = changed(before, noise=0.3) - before
    assert added.std() == pytest.approx(0.3, rel=0.02)
    assert abs(added.mean()) < 0.01


def test_a_cut_is_a_square_that_may_leave_the_image() -> None:
    after = changed(images(400), cutout=3)
    sizes = set()
    for image in after:
        y, x = np.nonzero(image[0] == 0)
        sizes.add((int(np.ptp(y)) + 1, int(np.ptp(x)) + 1))
        assert len(y) == (np.ptp(y) + 1) * (np.ptp(x) + 1)
        np.testing.assert_array_equal(image[0] == 0, image[1] == 0)
    assert sizes == {(h, w) for h in (2, 3) for w in (2, 3)}


EVERYTHING = {"shift": 1, "flip": "both", "rotate": 20, "noise": 0.1, "cutout": 2}


def test_equal_seeds_make_equal_images_of_the_same_precision() -> None:
    before = images(16, dtype="float32")
    first, again, other = (changed(before, seed, **EVERYTHING) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(changed(before), before)


@pytest.mark.parametrize(
    ("shape", "settings", "findings"),
    [
        (
            (64,),
            {"shift": 1},
            [
                (
                    ("data", "augment"),
                    "is for images, examples of [channels, height, width], and an example has the shape [64]; set its "
                    "shape with model.input",
                )
            ],
        ),
        (
            (1, 8, 6),
            {"shift": 6, "cutout": 7},
            [
                (("data", "augment", "shift"), "must be at most 5: an image has 8 x 6 pixels"),
                (("data", "augment", "cutout"), "must be at most 6: an image has 8 x 6 pixels"),
            ],
        ),
    ],
)
def test_what_it_cannot_change(shape: tuple[int, ...], settings: dict, findings: list) -> None:
    with pytest.raises(SettingError) as caught:
        augmentation(AugmentSettings.model_validate(settings), shape)
    assert [(each.path, each.reason) for each in caught.value.problems] == findings


def test_nothing_asked() -> None:
    assert augmentation(None, (3,)) is None
