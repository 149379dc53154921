"""Folders of images from the configuration to predictions; and predictions from Parquet."""

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from api_support import bp, record, run_of, write_config
from PIL import Image


@pytest.fixture
def shapes() -> Path:
    """Gray images of 6 x 6 pixels, bright on the left or on the right, in a folder each."""
    rng = np.random.default_rng(0)
    for i in range(30):
        side = i % 2
        pixels = rng.integers(0, 60, (6, 6))
        pixels[:, 3 * side : 3 * side + 3] += 180
        folder = Path("shapes") / ("left", "right")[side]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i:02d}.png")
    return Path("shapes")


def test_from_folders_to_predictions(shapes, capsys):
    config = write_config(
        data={"source": "shapes", "target": "class", "transform": {"numeric": {"scale": 1 / 255}}},
        model={"layers": ["flatten", {"type": "dense", "units": 2}]},
        training={"epochs": 30, "batch_size": 7},
    )
    run, result = run_of(config, "run")
    assert result.metrics["test/accuracy"] == 1
    assert list(record(run)["data"]) == [str(shapes.resolve())]
    assert bp("predict", run, "shapes/right", "-o", "out.csv", "--proba") == 0
    with Path("out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [f"{i:02d}.png" for i in range(1, 30, 2)]
    assert {row["prediction"] for row in rows} == {"right"}
    assert list(rows[0]) == ["file", "prediction", "probability_left", "probability_right"]
    assert bp("predict", run, "shapes/left/00.png", "--format", "jsonl") == 0
    assert capsys.readouterr().out == '{"file": "00.png", "prediction": "left"}\n'
    assert bp("eval", run, "--data", "shapes", "--require", "accuracy>=1") == 0
    assert bp("jacobian", run, "shapes/left/00.png") == 0


def test_images_without_folders_have_nothing_to_compare_with(shapes, capsys):
    run, _ = run_of(
        write_config(
            data={"source": "shapes", "target": "class"}, model={"layers": ["flatten", {"type": "dense", "units": 2}]}
        ),
        "run",
    )
    for given in ("shapes/left/", "shapes/left/00.png"):
        assert bp("eval", run, "--data", given) == 6
        assert capsys.readouterr().err.endswith(
            f"{given}: has no folders, whose names would be the classes of its images; move each image into the folder "
            "of its class\n"
        )


def test_no_target_needs_to_be_named(shapes):
    path = write_config(model={"layers": ["flatten", {"type": "dense", "units": 2}]})
    path.write_text(path.read_text().replace("source: flowers.csv", "source: shapes").replace("  target: kind\n", ""))
    assert bp("validate", path) == 0


def test_predictions_from_parquet(capsys):
    run, _ = run_of(write_config(), "run")
    with Path("flowers.csv").open() as file:
        rows = list(csv.DictReader(file))
    columns = {name: [float(row[name]) for row in rows] for name in ("x", "y")}
    pa.parquet.write_table(pa.table(columns), "flowers.parquet")
    assert bp("predict", run, "flowers.csv", "--proba") == 0
    expected = capsys.readouterr().out
    assert bp("predict", run, "flowers.parquet", "--proba") == 0
    assert capsys.readouterr().out == expected
