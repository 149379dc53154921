"""A wheel, built from the source distribution, in an empty environment."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PYTHON = Path("Scripts", "python.exe") if os.name == "nt" else Path("bin", "python")
ENVIRONMENT = {
    key: value for key, value in os.environ.items() if key not in {"BP_MNIST", "COLUMNS", "PYTHONPATH", "VIRTUAL_ENV"}
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def run(*words, cwd):
    """What a process prints; it must end with 0 and say nothing else."""
    ended = subprocess.run([*map(str, words)], cwd=cwd, env=ENVIRONMENT, text=True, capture_output=True)
    assert ended.returncode == 0, f"{words}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def new_environment(folder):
    venv.create(folder, with_pip=True, symlinks=os.name != "nt")
    return folder / PYTHON


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The source distribution of a clone in which somebody has put MNIST's files where they may be."""
    folder = tmp_path_factory.mktemp("sources")
    unwanted = shutil.ignore_patterns(".*", "runs", "build", "dist", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, folder / "clone", ignore=unwanted)
    (folder / "clone" / "datasets" / "mnist").mkdir()
    (folder / "clone" / "datasets" / "mnist" / "images.gz").touch()
    python = new_environment(folder / "builder")
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    run(python, "-m", "pip", "install", "-q", *wanted, cwd=folder)
    build = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
    run(python, "-c", build, cwd=folder / "clone")
    (found,) = folder.glob("*.tar.gz")
    return found


@pytest.fixture(scope="module")
def wheel(sources):
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", sources.parent, sources, cwd=sources.parent)
    (found,) = sources.parent.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    found = new_environment(tmp_path_factory.mktemp("empty") / "venv")
    run(found, "-m", "pip", "install", "-q", wheel, cwd=wheel.parent)
    return found


def ready_files():
    folders = [(ROOT / "configs", ("*.yaml", "*.py")), (ROOT / "datasets", ("*.csv", "*.txt", "*.md"))]
    return {path.relative_to(ROOT).as_posix() for folder, ways in folders for way in ways for path in folder.rglob(way)}


def test_the_wheel_has_the_package_and_what_comes_with_it(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = {name for name in file.namelist() if ".dist-info/" not in name}
    kinds = ("*.py", "*.c")
    modules = {path.relative_to(ROOT).as_posix() for kind in kinds for path in (ROOT / "backprop_cli").rglob(kind)}
    assert names == modules | {"backprop_cli/py.typed"} | {f"backprop_cli/ready/{name}" for name in ready_files()}
    assert wheel.stat().st_size < 2_500_000


def test_the_source_distribution_has_what_a_wheel_needs_and_no_tests(sources):
    with tarfile.open(sources) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    assert ready_files() | {"setup.py", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"} <= names
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "datasets/mnist"))]


def type_checked(python, folder):
    """What mypy says of a script that uses the package of an environment."""
    script = 'import backprop_cli\n\nreveal_type(backprop_cli.train("iris.yaml"))\n'
    (folder / "mine.py").write_text(script)
    told = run(sys.executable, "-m", "mypy", "--strict", "--python-executable", python, "mine.py", cwd=folder)
    return told.splitlines()


TYPES = [
    'mine.py:3: note: Revealed type is "backprop_cli.api.train.TrainResult"',
    "Success: no issues found in 1 source file",
]


def test_a_type_checker_sees_the_types(python, tmp_path):
    assert type_checked(python, tmp_path) == TYPES


def test_a_type_checker_sees_the_types_of_an_editable_install(sources, tmp_path):
    """Without the dependencies, whose types it does not need."""
    clone, python = sources.parent / "clone", sources.parent / "builder" / PYTHON
    install = ["-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "-e", clone]
    run(python, *install, cwd=tmp_path)
    assert type_checked(python, tmp_path) == TYPES
    folder = "from backprop_cli.files import ready_folder; print(ready_folder())"
    assert run(sys.executable, "-c", folder, cwd=clone).strip() == str(clone.resolve())


def test_a_user_needs_no_clone(python, tmp_path):
    def bp(*words):
        return run(python.parent / "bp", *words, cwd=tmp_path)

    package = run(python, "-c", "import backprop_cli; print(backprop_cli.__path__[0])", cwd=tmp_path).strip()
    assert Path(package).is_relative_to(python.parent.parent)
    assert "\niris " in bp("init", "--list")
    assert bp("init", "iris").endswith("next: bp train iris.yaml\n")
    data = Path(package, "ready", "datasets", "iris.csv")
    assert f"source: {data} " in (tmp_path / "iris.yaml").read_text()
    assert json.loads(bp("train", "iris.yaml", "--json"))["metrics"]["test/accuracy"] > 0.9
    bp("init", "--examples", "-o", "tour")
    assert json.loads(bp("train", "tour/configs/iris.yaml", "--json"))["metrics"]["test/accuracy"] > 0.9
    shutil.copy(data.with_name("penguins.csv"), tmp_path / "birds.csv")
    assert "species (classes)" in bp("init", "birds.csv", "--target", "species")
    assert json.loads(bp("train", "birds.yaml", "--json"))["metrics"]["test/accuracy"] > 0.9
    assert "\ndense " in bp("list", "layers")
    assert "PASS" in bp("gradcheck", "iris.yaml")
    assert "feature_scale" in bp("show", Path(package, "ready", "configs", "plugins", "diabetes.yaml"))


def test_every_template_is_valid_in_the_environment(python, tmp_path):
    script = """
import backprop_cli
for template in backprop_cli.list_templates().templates:
    result = backprop_cli.init(template.name, force=True)
    assert bool(result.missing) is not template.included
    print(result.missing or backprop_cli.validate(result.config).parameters)
"""
    printed = run(python, "-c", script, cwd=tmp_path).splitlines()
    assert len(printed) == len(list((ROOT / "configs").rglob("*.yaml")))
