"""``bp init --examples``: what the documentation's commands name, without a clone."""

import json
from pathlib import Path

import pytest
from api_support import bp

from backprop_cli.api.copy_examples import copy_examples
from backprop_cli.errors import UsageError
from backprop_cli.files import ready_folder


def test_the_folders_of_a_clone_are_copied():
    copied = copy_examples("tour")
    assert Path("configs/iris.yaml") in copied.files
    assert Path("datasets/iris.csv") in copied.files
    for name in copied.files:
        assert (Path("tour") / name).read_bytes() == (ready_folder() / name).read_bytes()
    assert copy_examples("tour").files == []


def test_a_configuration_among_them_trains_as_it_is():
    assert bp("init", "--examples") == 0
    assert bp("train", "configs/iris.yaml", "training.epochs=1", "--quiet") == 0


def test_a_changed_file_is_kept():
    copy_examples()
    own = Path("configs/iris.yaml")
    own.write_text("mine")
    Path("datasets/iris.csv").unlink()
    with pytest.raises(UsageError, match=r"^configs/iris.yaml exists already and differs; --force replaces it"):
        copy_examples()
    assert own.read_text() == "mine"
    assert not Path("datasets/iris.csv").exists()
    assert copy_examples(force=True).files == [own, Path("datasets/iris.csv")]


def test_what_is_printed(capsys):
    assert bp("init", "--examples", "-o", "tour") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("files: configs/ and datasets/ in tour are complete")
    assert lines[1] == "next: bp train tour/configs/iris.yaml"
    assert bp("init", "--examples", "--json", "-o", "tour") == 0
    assert json.loads(capsys.readouterr().out) == {"folder": "tour", "files": []}
    assert bp("init", "--examples", "iris") == 2
    assert capsys.readouterr().err.startswith("init: --examples copies all templates")


@pytest.mark.parametrize("folder", ["", "configs"])
def test_a_missing_configuration_is_pointed_at(folder, capsys):
    assert bp("train", str(Path(folder, "digits.yaml"))) == 2
    message = f"{Path(folder, 'digits.yaml')}: no such file; bp init digits writes one, bp init --examples all of"
    assert capsys.readouterr().err.startswith(message)


def test_missing_data_is_pointed_at(capsys):
    assert bp("init", "datasets/iris.csv") == 2
    assert "bp init --examples writes configs/ and datasets/" in capsys.readouterr().err
