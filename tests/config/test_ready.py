"""The ready configurations: each is a template that works wherever it is written."""

import shutil
from pathlib import Path

import pytest

from backprop_cli import files
from backprop_cli.config.load import load_config
from backprop_cli.config.ready import Template, templates
from backprop_cli.config.resolve import resolved_tree
from backprop_cli.files import ready_folder

ROOT = Path(__file__).parents[2]
TEMPLATES = templates()


def test_they_are_the_files_of_the_clone():
    assert ready_folder() == ROOT
    assert sorted(f"configs/{name}.yaml" for name in TEMPLATES) == sorted(
        path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").rglob("*.yaml")
    )


def test_an_installed_package_has_its_own(tmp_path, monkeypatch):
    inside = tmp_path / "backprop_cli"
    inside.mkdir()
    monkeypatch.setattr(files, "__file__", str(inside / "files.py"))
    assert ready_folder() == tmp_path
    (tmp_path / "backprop_cli" / "ready").mkdir()
    assert ready_folder() == tmp_path / "backprop_cli" / "ready"


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_a_template_says_what_it_is_in_a_line(template):
    assert 5 < len(template.summary) < 45
    assert template.text.startswith(f"# {template.summary}")
    comments = [line for line in template.moved(Path("x.yaml")).splitlines() if line.startswith("#")]
    assert not [line for line in comments if "configs/" in line]


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
@pytest.mark.parametrize("folder", ["elsewhere", "a, b: #c [d]"])
def test_the_same_settings_elsewhere(template, folder, tmp_path, monkeypatch):
    """From a package in a folder that YAML quotes, too. Data that is not in the package is looked for next to the
    file.
    """
    monkeypatch.delenv("BP_MNIST", raising=False)
    package = tmp_path / folder
    shutil.copytree(ROOT / "configs", package / "configs", ignore=shutil.ignore_patterns("__pycache__"))
    (package / "datasets").mkdir()
    for data in template.data_sets if template.included else ():
        (package / "datasets" / data).touch()
    packed = Template(template.name, package / "configs" / f"{template.name}.yaml")
    (tmp_path / "new").mkdir()
    new = tmp_path / "new" / packed.path.name
    new.write_text(packed.moved(new), encoding="utf-8")
    expected, found = (resolved_tree(load_config(path)) for path in (packed.path, new))
    if not template.included:
        mnist = str(package / "datasets" / "mnist")
        expected["data"] = _replaced(expected["data"], mnist, str(tmp_path / "new" / "mnist"))
    assert found == expected


def _replaced(value, old, new):
    if isinstance(value, dict):
        return {key: _replaced(inner, old, new) for key, inner in value.items()}
    return value.replace(old, new) if isinstance(value, str) else value


def test_data_to_download(tmp_path, monkeypatch):
    monkeypatch.delenv("BP_MNIST", raising=False)
    mnist = TEMPLATES["mnist"]
    assert (mnist.included, mnist.data_sets, mnist.variable) == (False, ["mnist"], "BP_MNIST")
    files = [Path(path).name for path in mnist.data]
    assert files[0] == "train-images-idx3-ubyte.gz"
    assert mnist.missing(tmp_path) == [tmp_path / "mnist" / name for name in files]
    (tmp_path / "mnist").mkdir()
    for name in files[:-1]:
        (tmp_path / "mnist" / name).touch()
    assert mnist.missing(tmp_path) == [tmp_path / "mnist" / files[-1]]
    monkeypatch.setenv("BP_MNIST", str(tmp_path))
    assert mnist.missing(tmp_path) == [tmp_path / name for name in files]


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_data_comes_with_the_package_or_can_be_downloaded(template):
    assert template.included is (template.download is None)
    if template.included:
        assert template.missing(Path()) == []
    else:
        assert template.download.startswith("https://")
