"""bp init from a difficult file to predictions, and with series, folders of images and texts."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from api_support import bp
from PIL import Image

from backprop_cli.api.init import init
from backprop_cli.errors import UsageError


def write_rows(path, header, rows):
    with Path(path).open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def months(count):
    return [f"{2000 + k // 12}-{1 + k % 12:02}" for k in range(count)]


def write_month_by_month(count=120):
    values = [f"{50 + 20 * np.sin(k / 1.9):.3f}" for k in range(count)]
    write_rows("t.csv", ["when", "note", "load"], zip(months(count), "ab" * (count // 2), values, strict=True))


def test_from_a_difficult_file_to_predictions(capsys):
    """A byte order mark, semicolons, decimal commas, dates, an identifier, missing targets and an unknown category."""
    rng = np.random.default_rng(0)
    lines = ["customer_id;joined;plan;spent;score"]
    for number in range(120):
        spent, plan = rng.normal(), "ab"[number % 2]
        score = "" if number % 30 == 7 else f"{3 * spent + (plan == 'a'):.3f}".replace(".", ",")
        day = np.datetime64("2023-01-01") + int(rng.integers(500))
        lines.append(f"C{number};{day};{plan};{f'{spent:.3f}'.replace('.', ',')};{score}")
    Path("t.csv").write_text("\ufeff" + "\n".join(lines), encoding="utf-8")
    assert bp("init", "t.csv") == 0
    assert capsys.readouterr().out == (
        "t.csv: 120 rows\n"
        "target      score (regression), the last column; --target and --task set others\n"
        "dropped     4 rows without a target\n"
        "numbers     1: spent\n"
        "dates       1: joined\n"
        "categories  1: plan\n"
        "left out    customer_id is an identifier or free text, with 120 different texts in 120 rows\n"
        "network     preset strong; --preset writes another\n"
        "wrote t.yaml, and bp.schema.json for editors\n"
        "next: bp train t.yaml\n"
    )
    assert bp("train", "t.yaml", "--quiet", "--json") == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["test/r2"] > 0.9
    Path("new.csv").write_text(
        "\ufeffcustomer_id;joined;plan;spent\nC900;2024-01-31;c;1,5\nC901;2024-02-01;a;-1\n", encoding="utf-8"
    )
    assert bp("predict", "runs/t/latest", "new.csv", "-o", "out.csv") == 0
    _, high, low = Path("out.csv").read_text().split()
    assert float(high) > 2 > 0 > float(low)


def test_a_series(capsys):
    write_month_by_month()
    assert bp("init", "t.csv") == 0
    assert capsys.readouterr().out == (
        "t.csv: 120 rows\n"
        "target    load (regression), the last column; --target and --task set others\n"
        "numbers   1: load\n"
        "left out  note holds no numbers, which a series is predicted from\n"
        "series    a row a month, by when\n"
        "network   for windows of 24 rows; --task regression takes each row alone\n"
        "wrote t.yaml, and bp.schema.json for editors\n"
        "next: bp train t.yaml\n"
    )
    data = yaml.safe_load(Path("t.yaml").read_text())["data"]
    assert data["window"] == {"length": 24, "season": 12, "time": "when"}
    assert data["features"] == ["load"]
    assert bp("train", "t.yaml", "training.epochs=20", "--quiet", "--json") == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["test/r2"] > 0.9


@pytest.mark.parametrize("options", [{"task": "regression"}, {"preset": "plain"}])
def test_a_task_or_a_preset_takes_the_rows_alone(options):
    write_month_by_month()
    assert init("t.csv", **options).seen.kind == "table"


@pytest.mark.parametrize(("group", "names"), [("shop", ("north", "west")), ("store_id", (7, 12, 31))])
def test_several_series(group, names):
    days = [str(np.datetime64("2024-01-01") + day) for day in range(90)]
    rows = [(day, name, k * k % 97 / 2) for k, day in enumerate(days) for name in names]
    write_rows("t.csv", ["day", group, "sales"], rows)
    assert init("t.csv").seen.notes["series"] == f"a row a day, by day, a series for each {group}"
    data = yaml.safe_load(Path("t.yaml").read_text())["data"]
    assert data["window"] == {"length": 18, "season": 7, "time": "day", "group": group}
    assert bp("train", "t.yaml", "training.epochs=1", "--quiet") == 0


@pytest.mark.parametrize("kind", ["irregular", "short", "classes"])
def test_dates_that_make_no_series(kind):
    count = 30 if kind == "short" else 120
    days = [np.datetime64("2024-01-01") + (k * k if kind == "irregular" else k) for k in range(count)]
    values = [k % 3 if kind == "classes" else k * k % 17 / 2 for k in range(count)]
    write_rows("t.csv", ["day", "x", "value"], zip(days, range(0, 7 * count, 7), values, strict=True))
    assert init("t.csv").seen.kind == "table"


def write_images(sizes=((12, 12),), modes=("L",), folders=("dark", "light")):
    for folder in folders:
        Path("images", folder).mkdir(parents=True)
        for k in range(20):
            gray = np.full(sizes[k % len(sizes)], 40 + 170 * (folder == "light") + k, np.uint8)
            Image.fromarray(gray).convert(modes[k % len(modes)]).save(Path("images", folder, f"{k}.png"))


def test_a_folder_of_images(capsys):
    write_images()
    assert bp("init", "images") == 0
    assert capsys.readouterr().out == (
        "images: 40 images\n"
        "classes  dark: 20, light: 20\n"
        "pixels   12 x 12, gray\n"
        "network  convolutions\n"
        "wrote images.yaml, and bp.schema.json for editors\n"
        "next: bp train images.yaml\n"
    )
    assert bp("train", "images.yaml", "training.epochs=10", "--quiet", "--json") == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["test/accuracy"] == 1


@pytest.mark.slow
def test_images_of_several_sizes_and_modes():
    write_images(((30, 20), (200, 300)), ("L", "RGB", "L"))
    assert init("images").seen.notes["pixels"] == "64 x 64, rgb, to which they are converted"
    assert yaml.safe_load(Path("images.yaml").read_text())["data"]["image"] == {"size": [64, 64], "mode": "rgb"}
    assert bp("train", "images.yaml", "training.epochs=1", "--quiet") == 0


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("one",), "images: has a single class, one; give another class a folder, too"),
        (
            ("",),
            "images: has images but no folders, whose names would be their classes; move each image into the folder "
            "of its class",
        ),
    ],
)
def test_folders_without_classes(folders, message):
    write_images(folders=folders)
    with pytest.raises(UsageError) as caught:
        init("images")
    assert str(caught.value).replace("/:", ":") == message


@pytest.mark.slow
def test_a_text(capsys):
    Path("play.txt").write_text("to be or not to be,\n\nthat is the question\n" * 100)
    assert bp("init", "play.txt") == 0
    assert capsys.readouterr().out == (
        "play.txt: 300 lines\n"
        "text     4,200 characters, 15 different\n"
        "example  64 characters; the next character is predicted\n"
        "network  recurrent; bp generate writes on\n"
        "wrote play.yaml, and bp.schema.json for editors\n"
        "next: bp train play.yaml\n"
    )
    assert "#   bp generate runs/play/latest --tokens 200\n" in Path("play.yaml").read_text()
    assert bp("train", "play.yaml", "training.epochs=1", "--quiet") == 0
    assert bp("generate", "runs/play/latest", "--tokens", "5") == 0


def test_a_text_whose_lines_are_examples():
    Path("names.txt").write_text("".join(f"{'abcde'[k % 5]}n{'xyz'[k % 3]}a\n" for k in range(200)))
    assert init("names.txt").seen.notes["example"] == "a line; the next character is predicted"
    assert yaml.safe_load(Path("names.yaml").read_text())["data"]["text"] == {"lines": True, "context": 5}
    assert bp("train", "names.yaml", "training.epochs=1", "--quiet") == 0
