"""Folders of images: pixels, classes, sizes and modes, and what is no image."""

from __future__ import annotations

import json
import os
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_support import Load
from PIL import Image

from backprop_cli.data.dataset import load_inputs, load_split
from backprop_cli.data.file import DataFile
from backprop_cli.data.read import read_table
from backprop_cli.data.reading import ImageSettings
from backprop_cli.data.settings import DataSettings
from backprop_cli.data.sources import known_input_shape
from backprop_cli.data.stream import row_names, stream_inputs
from backprop_cli.data.table import Numbers
from backprop_cli.data.transform import Transform
from backprop_cli.errors import BpWarning, DataError, SettingError

PLAIN = {"transform": {"numeric": "none"}, "split": "none"}


def draw(name: str, array: Any, **options: Any) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path, **options)
    return name


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.fixture
def pets(folder: Path) -> str:
    """Gray images of 5 x 4 pixels: three cats, three dogs."""
    for i in range(6):
        draw(f"pets/{'cat' if i < 3 else 'dog'}/{i}.png", noise(i, 5, 4))
    return "pets"


def test_a_folder_a_class(load: Load, pets: str) -> None:
    data = load("classes", source=pets, dtype="float32", **PLAIN)
    assert data.classes == ["cat", "dog"]
    assert data.input_shape == (1, 5, 4)
    assert data.train.targets[:].tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(data.train.inputs[:, 0], [noise(i, 5, 4) for i in range(6)])
    assert data.feature_names[:2] == ["image[0,0,0]", "image[0,0,1]"]
    settings = DataSettings.model_validate({"source": pets})
    assert known_input_shape(settings, Path()) == (1, 5, 4)
    assert load("classes", source=pets, target="class", format="images", **PLAIN).classes == ["cat", "dog"]


def test_colour_is_channels_first_and_jpeg_is_read(load: Load, folder: Path) -> None:
    for k in range(2):
        draw(f"rgb/{k}/a.png", noise(k, 4, 6, 3))
        draw(f"rgb/{k}/b.PNG", noise(k + 2, 4, 6, 3), format="PNG")
    data = load("classes", source="rgb", **PLAIN)
    assert data.classes == [0, 1]
    np.testing.assert_array_equal(data.train.inputs[0], np.moveaxis(noise(0, 4, 6, 3), -1, 0))
    draw("one/x.jpg", np.full((8, 8), 200), quality=95)
    found = read_table(DataFile(Path("one"))).columns["image"]
    assert isinstance(found, Numbers)
    np.testing.assert_allclose(found.values, 200, atol=2)


def test_sizes_and_modes_as_set(load: Load, folder: Path) -> None:
    draw("mix/a/0.png", np.full((4, 6), 90))
    draw("mix/b/0.png", np.full((9, 5, 3), (255, 0, 0)))
    draw("mix/b/1.png", np.full((9, 5, 4), (0, 0, 255, 9)))
    data = load("classes", source="mix", image={"size": [2, 3], "mode": "rgb"}, **PLAIN)
    assert data.input_shape == (3, 2, 3)
    assert data.train.inputs[:, :, 0, 0].tolist() == [[90, 90, 90], [255, 0, 0], [0, 0, 255]]
    gray = load("classes", source="mix", image={"size": [2, 3], "mode": "gray"}, **PLAIN)
    assert gray.train.inputs[:, 0, 1, 2].tolist() == [90, 76, 29]  # ITU-R 601: 0.299 red, 0.114 blue


def test_sixteen_bits_keep_the_upper_eight(folder: Path) -> None:
    Path("deep").mkdir()
    Image.fromarray(np.array([[0, 0x0180], [0x7FFF, 0xFFFF]], np.uint16)).save("deep/a.png")
    found = read_table(DataFile(Path("deep"))).columns["image"]
    assert isinstance(found, Numbers)
    assert found.values.tolist() == [[[[0, 1], [0x7F, 0xFF]]]]


def test_a_camera_held_upright(folder: Path) -> None:
    image = Image.fromarray(noise(0, 2, 3))
    exif = image.getexif()
    exif[0x0112] = 6  # turned by 90 degrees
    Path("photo").mkdir()
    image.save("photo/a.png", exif=exif)
    found = read_table(DataFile(Path("photo"))).columns["image"]
    assert isinstance(found, Numbers)
    np.testing.assert_array_equal(found.values[0, 0], np.rot90(noise(0, 2, 3), -1))


def test_the_transform_reads_further_images_alike(load: Load, pets: str) -> None:
    data = load("classes", source=pets, image={"size": [5, 4]}, **PLAIN)
    transform = Transform.from_json(json.loads(json.dumps(data.transform.to_json())))
    assert transform.reading.image == ImageSettings(size=(5, 4), mode="gray")
    np.testing.assert_array_equal(load_split(Path(pets), transform, dtype="float64").inputs, data.train.inputs[:])
    draw("new/b.png", np.full((10, 8, 3), 7))
    draw("new/a.png", np.full((5, 4), 3))
    for chunk in (1, 100):
        pieces = list(stream_inputs(Path("new"), transform, dtype="float64", chunk_rows=chunk))
        assert len(pieces) == (2 if chunk == 1 else 1)
        assert np.concatenate(pieces)[:, 0, 0, 0].tolist() == [3, 7]
    assert row_names(Path("new"), None) == ["a.png", "b.png"]
    assert next(stream_inputs(Path("new/b.png"), transform, dtype="float64")).shape == (1, 1, 5, 4)
    assert row_names(Path("new/b.png"), None) == ["b.png"]
    inputs, rows = load_inputs(Path("new"), transform, dtype="float64")
    assert (inputs[:, 0, 0, 0].tolist(), rows.tolist()) == ([3, 7], [0, 1])


def test_folders_with_a_table_of_targets(load: Load, folder: Path) -> None:
    for i in range(3):
        draw(f"faces/{i}.png", np.full((2, 2), i))
    (folder / "age.csv").write_text("age\n30\n40\n50\n")
    data = load("regression", train={"inputs": "faces", "targets": "age.csv"}, **PLAIN)
    assert data.train.targets[:, 0].tolist() == [30, 40, 50]
    assert data.train.inputs[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert load("regression", source="faces", target="features", **PLAIN).train.targets.shape == (3, 4)


def test_a_change_of_any_image_is_seen(load: Load, pets: str) -> None:
    before = load("classes", source=pets, **PLAIN).files
    draw("pets/cat/0.png", noise(9, 5, 4))
    after = load("classes", source=pets, **PLAIN).files
    assert list(before) == list(after) == [str(Path(pets).resolve())]
    assert before != after


def test_hidden_files_and_others_are_left_out(load: Load, pets: str) -> None:
    Path("pets/.cache").mkdir()
    draw("pets/.cache/x.png", noise(0, 1, 1))
    Path("pets/cat/notes.txt").write_text("soft")
    Path("pets/cat/._0.png").write_text("resource fork")
    Path("pets/dog/Thumbs.db").write_text("of a file manager")
    others = r"pets/: 1 file is not PNG or JPEG and is left out \(1 \.txt\)"
    with pytest.warns(BpWarning, match=f"^{others}$"):
        assert len(load("classes", source=pets, **PLAIN).train) == 6


def test_other_files_are_counted_by_their_suffixes(load: Load, pets: str) -> None:
    for i in range(12):
        draw(f"pets/dog/{i}.bmp", noise(i, 5, 4))
    draw("pets/cat/x.TIF", noise(0, 5, 4), format="TIFF")
    Path("pets/LICENSE").write_text("free")
    with pytest.warns(BpWarning) as caught:
        data = load("classes", source=pets, **PLAIN)
    assert [str(each.message) for each in caught] == [
        "pets/: 14 files are not PNG or JPEG and are left out (12 .bmp, 1 LICENSE, 1 .tif)"
    ]
    assert len(data.train) == 6
    with pytest.warns(BpWarning, match="14 files"):
        assert len(np.concatenate(list(stream_inputs(Path("pets"), data.transform, dtype="float32")))) == 6


def test_the_folder_of_a_class_has_images(load: Load, pets: str) -> None:
    Path("pets/.git").mkdir()
    Path("pets/cow/far").mkdir(parents=True)
    assert message(load, source=pets) == (
        "pets/cow/: the folder of a class has no PNG or JPEG: it is empty; convert them, or remove the folder"
    )
    draw("pets/cow/far/1.gif", noise(0, 5, 4))
    draw("pets/cow/2.gif", noise(0, 5, 4))
    Path("pets/zebra").mkdir()
    assert message(load, source=pets) == (
        "pets/cow/: the folder of a class has no PNG or JPEG: it has only other files (2 .gif); so does zebra; "
        "convert them, or remove the folder"
    )


def test_folders_that_are_splits_are_no_classes(load: Load, folder: Path) -> None:
    for i, name in enumerate(("train/cat", "train/dog", "Val/cat", "Val/dog")):
        draw(f"img/{name}/0.png", noise(i, 5, 4))
    assert message(load, source="img") == (
        "img/: its folders are splits, not classes: Val, train; write data: {validation: img/Val, train: img/train} "
        "instead of source"
    )
    data = load("classes", train="img/train", validation="img/Val", transform={"numeric": "none"})
    assert (data.classes, len(data.train), len(data.validation or [])) == (["cat", "dog"], 2, 2)
    for old, new in (("train", "one"), ("Val", "two")):
        Path(f"img/{old}").rename(f"img/{new}")
    assert message(load, source="img") == (
        "img/: all its folders (one, two) have the same folders in them (cat, dog), so these seem to be the classes; "
        "give each its own key, such as data: {train: img/one, validation: img/two}, or name one of them"
    )
    draw("img/one/cow/0.png", noise(9, 5, 4))
    assert load("classes", source="img", **PLAIN).classes == ["one", "two"]
    # To predict from, any folder will do.
    (folder / "img/one").rename("img/train")
    assert len(np.concatenate(list(stream_inputs(Path("img"), data.transform, dtype="float32")))) == 5


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["01", "1", "2"], ["01", "1", "2"]),
        (["1", "2", "10"], [1, 2, 10]),
        (["1.0", "1"], ["1", "1.0"]),
        (["+1", "1"], ["+1", "1"]),
    ],
)
def test_a_class_is_called_exactly_as_its_folder(load: Load, folder: Path, names: list[str], classes: Any) -> None:
    for i, name in enumerate(names):
        draw(f"img/{name}/0.png", noise(i, 5, 4))
    assert load("classes", source="img", **PLAIN).classes == classes


def test_links_are_followed_but_not_in_circles(load: Load, pets: str) -> None:
    draw("elsewhere/7.png", noise(7, 5, 4))
    Path("pets/fox").symlink_to(Path("elsewhere").resolve())
    data = load("classes", source=pets, **PLAIN)
    assert data.classes == ["cat", "dog", "fox"]
    assert len(data.train) == 7
    before = DataFile(Path("pets")).sha256()
    draw("elsewhere/7.png", noise(8, 5, 4))
    assert DataFile(Path("pets")).sha256() != before
    Path("pets/dog/again").symlink_to(Path("pets").resolve())
    assert message(load, source=pets) == "pets/: is a link to a folder above it; remove it"


@pytest.mark.parametrize("name", ["dog/9.png", "dog/pipe", "9.jpg"])
def test_pipes_and_devices_are_not_opened(load: Load, pets: str, name: str) -> None:
    os.mkfifo(f"pets/{name}")
    assert message(load, source=pets) == f"pets/{name}: is a pipe or a device, not a file; remove it"


def test_a_pipe_instead_of_images_or_arrays(load: Load, pets: str) -> None:
    data = load("classes", source=pets, **PLAIN)
    for name, task, keys in (
        ("one.png", "classes", {"target": "features", **PLAIN}),
        ("one.npy", "regression", {"target": "features", **PLAIN}),
        ("one.txt", "tokens", {}),
    ):
        os.mkfifo(name)
        reason = f"{name}: is a stream, and data is read more than once; save it to a file, and name that"
        with pytest.raises(DataError, match=f"^{reason}$"):
            load(task, source=name, **keys)
    with pytest.raises(DataError) as caught:
        list(stream_inputs(Path("one.png"), data.transform, dtype="float32"))
    assert str(caught.value) == "one.png: arrays cannot be read from a stream; give a file, or csv, tsv or jsonl"


def test_names_that_are_not_utf_8(load: Load, pets: str) -> None:
    draw(os.fsdecode(b"pets/dog/\xe9.png"), noise(7, 5, 4))
    assert len(load("classes", source=pets, **PLAIN).train) == 7
    named = os.fsdecode(b"caf\xe9")
    Path(pets).rename(named)
    assert [*DataFile(Path(named)).hashes()] == [rf"{Path.cwd()}/caf\xe9"]
    Path(named).rename(pets)
    assert row_names(Path(pets), None)[-1] == r"dog/\xe9.png"  # type: ignore[index]
    draw(os.fsdecode(b"pets/\xe9/0.png"), noise(7, 5, 4))
    assert message(load, source=pets) == (
        os.fsdecode(b"pets/\xe9/") + ": the name of a class is not UTF-8; rename the folder"
    )


def test_dimensions_in_a_header_are_not_believed(load: Load, folder: Path) -> None:
    good = Path(draw("a.png", noise(0, 5, 4))).read_bytes()
    for size, reason in (
        (20_000, "the image has more than 89,478,485 pixels by its header; replace it, or make it smaller"),
        (900, "the image is damaged: 91 bytes cannot hold the 900 x 900 pixels of its header; replace or remove it"),
        (800, "the image is damaged (image file is truncated (0 bytes not processed)); replace or remove it"),
        (0, "is not an image; replace or remove it"),
    ):
        head = b"IHDR" + struct.pack(">II", size, size) + good[24:29]
        Path("a.png").write_bytes(good[:12] + head + struct.pack(">I", zlib.crc32(head)) + good[33:])
        assert message(load, source="a.png", target="features") == f"a.png: {reason}"


def message(load: Load, **keys: Any) -> str:
    with pytest.raises(DataError) as caught:
        load("classes", **{**PLAIN, **keys})
    return str(caught.value)


def test_messages(load: Load, pets: str) -> None:
    assert message(load, source="pats") == "pats: no such file"
    Path("pets/cat/9.png").write_bytes(b"not an image")
    assert message(load, source=pets) == "pets/cat/9.png: is not an image; replace or remove it"
    whole = Path(draw("pets/cat/9.png", noise(0, 5, 4))).read_bytes()
    Path("pets/cat/9.png").write_bytes(whole[: len(whole) // 2])
    assert message(load, source=pets).startswith("pets/cat/9.png: the image is damaged (")
    draw("pets/cat/9.png", noise(0, 5, 5))
    assert message(load, source=pets) == (
        "pets/cat/9.png: has 5 x 5 pixels (height x width), and the first image 5 x 4; set data.image.size to resize "
        "them"
    )
    draw("pets/cat/9.png", noise(0, 5, 4, 3))
    assert message(load, source=pets) == "pets/cat/9.png: is rgb, and the first image is gray; set data.image.mode"
    Path("pets/cat/9.png").rename("pets/9.png")
    assert message(load, source=pets) == (
        "pets/9.png: is outside the folders of the classes; move it into the folder of its class"
    )
    Path("void").mkdir()
    assert message(load, source="void") == (
        "void/: has no images (.png, .jpg, .jpeg); name a file in it, or a folder that has a folder of "
        "images for each class"
    )
    draw("flat/a.png", noise(0, 2, 2))
    assert message(load, source="flat") == (
        "flat/ has images but no folders, whose names would be their classes; move each image into the folder "
        "of its class, or set target: features to predict the images themselves"
    )


def test_another_size_than_that_of_training(load: Load, pets: str) -> None:
    transform = load("classes", source=pets, **PLAIN).transform
    draw("new/a.png", noise(0, 7, 4))
    with pytest.raises(DataError) as caught:
        next(stream_inputs(Path("new"), transform, dtype="float64"))
    assert str(caught.value) == "new/: array 'image': an example has shape [1, 7, 4], expected [1, 5, 4]"


def test_a_row_is_named_by_its_file(load: Load, pets: str) -> None:
    transform = load("classes", source=pets, **PLAIN).transform
    draw("more/cat/0.png", noise(0, 5, 4))
    draw("more/lion/0.png", noise(0, 5, 4))
    with pytest.raises(DataError) as caught:
        load_split(Path("more"), transform, dtype="float64")
    assert str(caught.value) == (
        "more/lion/0.png: class 'lion' is not in the train split, which has cat, dog; train with rows that have it, "
        "or remove this row"
    )


def test_of_an_autoencoder_the_folders_are_not_read(load: Load, pets: str) -> None:
    data = load("regression", source=pets, target="features", **PLAIN)
    assert (data.input_shape, data.train.targets.shape) == ((1, 5, 4), (6, 20))
    np.testing.assert_array_equal(data.train.targets, data.train.inputs[:].reshape(6, 20))
    settings = DataSettings.model_validate({"source": pets, "target": "features"})
    assert known_input_shape(settings, Path()) == (1, 5, 4)


def test_channels_are_not_put_last_by_reading_values_in_another_shape(load: Load, folder: Path) -> None:
    for k in range(2):
        draw(f"rgb/{k}/a.png", noise(k, 4, 6, 3))
    with pytest.raises(SettingError) as caught:
        load("classes", source="rgb", input_shape=(4, 6, 3), **PLAIN)
    assert tuple((each.path, each.reason) for each in caught.value.problems) == (
        (
            ("model", "input"),
            "[4, 6, 3] would mix up examples of rgb/, which have the shape [3, 4, 6]; write [3, 4, 6]",
        ),
    )
    assert load("classes", source="rgb", input_shape=(72,), **PLAIN).input_shape == (72,)
    assert load("classes", source="rgb", input_shape=(3, 1, 4, 6), **PLAIN).input_shape == (3, 1, 4, 6)


def test_mistakes_of_the_settings(load: Load, flowers: str, folder: Path) -> None:
    Path("flowers").write_text("a,k\n1,x\n")
    for keys, path, reason in [
        (
            {"source": flowers, "target": "k", "image": {"mode": "rgb"}},
            ("data", "image"),
            "goes with images, and flowers.csv is neither one nor a folder",
        ),
        (
            {"source": "flowers", "format": "images"},
            None,
            "flowers: is not an image; replace or remove it",
        ),
    ]:
        with pytest.raises(DataError) as caught:
            load("classes", **keys)
        assert str(caught.value) == reason
        if path is not None:
            assert isinstance(caught.value, SettingError)
            (problem,) = caught.value.problems
            assert (problem.path, problem.reason) == (path, reason)


def test_without_pillow(load: Load, pets: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    assert message(load, source=pets) == (
        "pets/cat/0.png: reading it needs Pillow, which is not installed: pip install 'backprop-cli[images]'"
    )
