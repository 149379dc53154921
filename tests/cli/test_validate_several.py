"""``bp validate`` on several files, and the hook of pre-commit that calls it."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from backprop_cli.cli import app

ROOT = Path(__file__).parents[2]
HOOK = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())[0]
PROBLEM = {"path": "data.source", "file": "gone.yaml", "line": 4, "column": 11}
UNKNOWN = {"path": "model.layers[0].unit", "file": "broken.yaml", "line": 9, "column": 21}


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """Two configurations that are valid, one whose data is missing, one with an unknown key."""
    text = (ROOT / "configs" / "iris.yaml").read_text().replace("../datasets", str(ROOT / "datasets"))
    texts = {
        "iris.yaml": text,
        "a=b.yaml": text,
        "gone.yaml": re.sub("source: .*", "source: gone.csv", text),
        "broken.yaml": text.replace("units: 16", "unit: 16"),
    }
    for name, content in texts.items():
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)


def validate(capsys, *words):
    code = app.run(["validate", *words])
    return code, *capsys.readouterr()


def without_messages(problems):
    return [{key: value for key, value in problem.items() if key != "message"} for problem in problems]


def test_a_line_for_each_file(capsys):
    assert validate(capsys, "iris.yaml", "a=b.yaml") == (0, "iris.yaml: valid\na=b.yaml: valid\n", "")


def test_a_line_of_a_configuration_is_no_file(capsys):
    code, out, err = validate(capsys, "iris.yaml", "data.exclude: [kind]")
    assert (code, out) == (2, "")
    assert err == (
        "override data.exclude: [kind]: expected KEY=VALUE; write 'data.exclude=[kind]'\n1 problem; nothing was run.\n"
    )


def test_all_problems_of_all_files(capsys):
    code, out, err = validate(capsys, "gone.yaml", "broken.yaml", "iris.yaml", "nowhere.yaml")
    assert code == 2
    assert out == "gone.yaml: 1 problem\nbroken.yaml: 1 problem\niris.yaml: valid\nnowhere.yaml: 1 problem\n"
    assert re.findall(r"^\w+\.yaml\S*", err, re.MULTILINE) == ["gone.yaml:4:11:", "broken.yaml:9:21:", "nowhere.yaml:"]
    assert err.endswith("\n3 of 4 files cannot be trained\n")


@pytest.mark.parametrize(
    ("names", "code"), [(["gone.yaml", "iris.yaml"], 6), (["gone.yaml", "broken.yaml"], 2), (["broken.yaml"] * 2, 2)]
)
def test_the_exit_code_is_that_of_the_earliest_check(names, code, capsys):
    assert validate(capsys, *names)[0] == code


def test_overrides_hold_for_every_file_wherever_they_stand(capsys):
    words = ["training.epochs=1", "iris.yaml", "seed=3", "a=b.yaml", "training.batch_size=35"]
    code, out, _ = validate(capsys, *words, "--json")
    assert code == 0
    found = json.loads(out)
    assert list(found) == ["valid", "files"]
    assert [(each["config"], each["valid"], each["steps"]) for each in found["files"]] == [
        ("iris.yaml", True, 3),
        ("a=b.yaml", True, 3),
    ]
    code, out, err = validate(capsys, "iris.yaml", "a=b.yaml", "sead=3")
    assert (code, out) == (2, "iris.yaml: 1 problem\na=b.yaml: 1 problem\n")
    assert err.count("override sead=3: unknown key; did you mean 'seed'?\n") == 2


def test_one_file_prints_its_figures(capsys):
    code, out, _ = validate(capsys, "seed=3", "iris.yaml", "--json")
    assert (code, json.loads(out)["steps"]) == (0, 350)
    assert validate(capsys, "a=b.yaml")[1].startswith("valid                yes\n")


def test_overrides_alone(capsys):
    message = "validate: CONFIG is missing; 'seed=3' is no file, so it overrides a key\n"
    assert validate(capsys, "seed=3", "training.epochs=2") == (2, "", message)
    assert validate(capsys, "seed=" + "3" * 5000)[0] == 2


def test_json_of_failures(capsys):
    code, out, _ = validate(capsys, "gone.yaml", "iris.yaml", "broken.yaml", "--json")
    found = json.loads(out)
    assert (code, list(found)) == (2, ["error", "files"])
    assert (found["error"]["code"], found["error"]["kind"]) == (2, "config")
    assert without_messages(found["error"]["problems"]) == [PROBLEM, UNKNOWN]
    assert [each["valid"] for each in found["files"]] == [False, True, False]
    assert [each.get("error", {}).get("code") for each in found["files"]] == [6, None, 2]
    assert without_messages(found["files"][2]["error"]["problems"]) == [UNKNOWN]


def test_warnings_name_their_file(capsys):
    softmax = Path("iris.yaml").read_text().replace("units: 3}", "units: 3, activation: softmax}")
    Path("warned.yaml").write_text(softmax)
    code, out, err = validate(capsys, "iris.yaml", "warned.yaml")
    assert (code, out) == (0, "iris.yaml: valid\nwarned.yaml: valid\n")
    assert re.fullmatch(r"warning: warned\.yaml:\d+:\d+: .*softmax.*\n", err)


def test_the_hook_takes_configurations_and_runs_on_two(files, capsys):
    assert HOOK["language"] == "python"
    chosen = re.compile(HOOK["files"])
    taken = ["configs/iris.yaml", "a/configs/b.yml", ".github/workflows/test.yml", "configs/plugins/x.py", "x.yaml"]
    assert [path for path in taken if chosen.search(path)] == taken[:2]
    program, *words = shlex.split(HOOK["entry"])
    assert program == "bp"
    assert app.run([*words, "iris.yaml", "broken.yaml"]) == 2
    assert capsys.readouterr().out == "iris.yaml: valid\nbroken.yaml: 1 problem\n"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(find_spec("pre_commit") is None, reason="pre-commit is not installed")
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="pre-commit runs hooks of a Git repository")
def test_pre_commit_runs_the_hook(tmp_path, monkeypatch):
    """It clones this repository and installs the package in an environment of its own."""
    for variable in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "cache"))
    repository = tmp_path / "mine"
    (repository / "configs").mkdir(parents=True)
    (repository / "other.yaml").write_text("a: 1\n")
    for name in ("iris", "gone"):
        shutil.copy(f"{name}.yaml", repository / "configs")
    for words in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", *words], cwd=repository, check=True)
    command = [sys.executable, "-m", "pre_commit", "try-repo", str(ROOT), "bp-validate", "--all-files"]
    done = subprocess.run(command, cwd=repository, text=True, capture_output=True)
    assert done.returncode == 1, done.stderr
    assert "- exit code: 6\n" in done.stdout
    assert "configs/gone.yaml: 1 problem\n" in done.stdout
    assert "configs/iris.yaml: valid\n" in done.stdout
    assert "other.yaml" not in done.stdout
