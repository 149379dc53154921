"""Folders of images whose names could be something else than those of classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_support import Load
from PIL import Image

from backprop_cli.errors import BpWarning, DataError

PLAIN = {"transform": {"numeric": "none"}, "split": "none"}


def draw(name: str) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((5, 4), np.uint8)).save(path)


@pytest.fixture
def pets(folder: Path) -> str:
    for name in ("cat", "dog"):
        draw(f"pets/{name}/0.png")
    return "pets"


def test_a_folder_called_as_a_split_is_a_class_with_a_warning(load: Load, pets: str) -> None:
    draw("pets/val/0.png")
    expected = (
        "pets/: the folder 'val' is read as a class, as the others are; give a split a key of its own, such as "
        "data: {validation: pets/val}"
    )
    with pytest.warns(BpWarning) as warned:
        assert load("classes", source=pets, **PLAIN).classes == ["cat", "dog", "val"]
    assert [str(each.message) for each in warned] == [expected]


def test_folders_that_differ_by_spaces_are_not_merged(load: Load, pets: str) -> None:
    draw("pets/cat /0.png")
    with pytest.raises(DataError) as refused:
        load("classes", source=pets, **PLAIN)
    assert str(refused.value) == (
        "pets/: the folders 'cat' and 'cat ' differ only by spaces, which do not count in a class's name; rename one, "
        "or move its images"
    )


def test_no_name_of_a_folder_is_missing(load: Load, folder: Path) -> None:
    for name in ("NA", "nan", "1,000"):
        draw(f"img/{name}/0.png")
    assert load("classes", source="img", **PLAIN).classes == ["1,000", "NA", "nan"]
