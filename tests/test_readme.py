"""The README is run: its commands print what it shows, its reference names what there is."""

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from backprop_cli.cli.command import COMMANDS, EXIT_CODES
from backprop_cli.config.load import load_config
from backprop_cli.config.resolve import resolved_tree
from backprop_cli.registry import discover

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
LEFT_OUT = "..."

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the README's commands are for a POSIX shell")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language (with the word `slow` where its commands take long), its text, its first line."""

    language: str
    text: str
    line: int


def blocks(language):
    found = re.finditer(r"^```(\w+(?: slow)?)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    every = [Block(match[1], match[2], README.count("\n", 0, match.start()) + 1) for match in found]
    return [block for block in every if block.language == language]


def commands(block):
    """Pairs of a command and the lines shown under it."""
    shown = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            shown.append((line[2:], []))
        else:
            shown[-1][1].append(line)
    return shown


def normal(line):
    """A line without what differs from run to run and from machine to machine."""
    line = re.sub(r"\d{8}T\d{6}Z-[0-9a-f]{4}", "RUN", line)
    line = re.sub(r"\b\w+_\d+\.(weight|bias)\w*\b", "PARAMETER", line)
    line = re.sub(r"^[a-z]+$", "NAME", line)
    line = re.sub(r"-?\d+(,\d{3})*(\.\d+)?(e[-+]?\d+)?", _number, line)
    line = re.sub(r"\[#(, #)*\]", "[#]", line).replace("threads", "thread")
    return re.sub(r"\s+", " ", line).strip()


def _number(found):
    """``#`` for any number, but the numbers of checks and of all their entries are the same everywhere."""
    return found[0] if found.string.startswith((" checks", " entries"), found.end()) else "#"


def agrees(shown, printed):
    """Whether ``printed`` is ``shown``, where ``...`` stands for any lines."""
    parts = [LEFT_OUT if line == LEFT_OUT else re.escape(normal(line)) for line in shown]
    pattern = "".join("(?:.*\n)*?" if part == LEFT_OUT else part + "\n" for part in parts)
    return re.fullmatch(pattern, "".join(normal(line) + "\n" for line in printed)) is not None


def test_counts_of_checks_and_entries_are_compared():
    shown = "PASS: 282 checks, 4,683 of 4,687 entries judged (method auto)"
    assert agrees([shown], [shown.replace("4,683", "4,680")])
    assert not agrees([shown], [shown.replace("4,687", "4,038")])
    assert not agrees([shown], [shown.replace("282", "281")])


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A directory as a clone is, and `bp` on the path."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("configs", "datasets"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def environment():
    found = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    return {**found, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "LC_ALL": "C"}


def run(command, clone, environment, interrupt):
    """All lines that a command prints. ``interrupt``: with a Ctrl-C after the third epoch."""
    shell = ["bash", "-c", f"exec {command}" if interrupt else command]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    lines = []
    with subprocess.Popen(shell, cwd=clone, env=environment, text=True, **pipes) as process:
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if interrupt and line.startswith("epoch 3/"):
                lines.append("^C")
                process.send_signal(signal.SIGINT)
    return lines


@pytest.mark.slow  # some twenty processes, one after the other; tests/cli/test_examples.py runs most of the commands
@pytest.mark.timeout(900)
@pytest.mark.parametrize("language", ("console", "console slow"))
def test_the_tour_prints_what_it_shows(language, clone, environment):
    for block in blocks(language):
        for command, shown in commands(block):
            printed = run(command, clone, environment, interrupt="^C" in shown)
            report = f"README.md, block of line {block.line}: $ {command}\n" + "\n".join(printed)
            assert agrees(shown, printed), report


@pytest.mark.slow
def test_the_loop_over_learning_rates_runs_as_it_is(clone, environment):
    script = next(block.text for block in blocks("sh") if "for rate in" in block.text)
    ended = subprocess.run(["bash", "-eu"], input=script, cwd=clone, env=environment, text=True, capture_output=True)
    assert ended.returncode == 0, ended.stderr
    best, rate, *_ = ended.stdout.splitlines()
    assert best.startswith("best: runs/rates/")
    assert "learning_rate: 0.01," in rate


def test_the_python_blocks_print_what_the_next_block_shows(clone, environment):
    for block, shown in zip(blocks("python"), blocks("text"), strict=True):
        python = [sys.executable, "-c", block.text]
        ended = subprocess.run(python, cwd=clone, env=environment, text=True, capture_output=True)
        assert (ended.stdout, ended.stderr) == (shown.text, ""), f"README.md, block of line {block.line}"


@pytest.mark.slow
def test_the_first_command_ends_with_the_test_accuracy(tmp_path, environment):
    command = blocks("sh")[0].text
    assert command.rstrip().endswith("bp train configs/digits.yaml")
    unwanted = shutil.ignore_patterns(".*", "runs", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, tmp_path / "clone", ignore=unwanted)
    fresh = {key: value for key, value in environment.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    ended = subprocess.run(["bash", "-ec", command], cwd=tmp_path / "clone", env=fresh, text=True, capture_output=True)
    assert ended.returncode == 0, ended.stderr
    name, value = ended.stdout.splitlines()[-1].split()
    assert name == "test/accuracy"
    assert float(value) >= 0.95


def test_the_test_command_is_that_of_continuous_integration():
    assert blocks("sh")[1].text == ".venv/bin/pip install -q -e '.[test]' && .venv/bin/pytest -n 2\n"
    script = (ROOT / ".ci" / "run").read_text()
    assert "-e '.[test]'" in script
    assert 'check "pytest" tests -n 2\n' in script


def test_the_whole_configuration_that_is_shown_is_the_file():
    assert (ROOT / "configs" / "digits.yaml").read_text() in [block.text for block in blocks("yaml")]


def test_the_reference_shows_every_key_and_its_default(tmp_path):
    heading = README.count("\n", 0, README.index("### Configuration"))
    reference, off = [block for block in blocks("yaml") if block.line > heading][:2]
    short = {
        "name": "iris",
        "data": {"source": "../datasets/iris.csv", "target": "species"},
        "model": {"layers": [{"type": "dense", "units": 16, "activation": "relu"}, {"type": "dense", "units": 3}]},
        "loss": "cross_entropy",
        "early_stopping": {},
        "gradient_check": {},
        "lookahead": {},
    }
    shown, least = tmp_path / "shown.yaml", tmp_path / "least.yaml"
    shown.write_text(reference.text + off.text)
    least.write_text(yaml.safe_dump(short))
    assert resolved_tree(load_config(shown), None) == resolved_tree(load_config(least), None)
    written = yaml.safe_load(reference.text + off.text)
    every = resolved_tree(load_config(least), None)
    assert set(written) == set(every)
    for section in (
        "data",
        "training",
        "checkpoint",
        "regularization",
        "optimizer",
        "loss",
        "early_stopping",
        "gradient_check",
        "lookahead",
        "run",
    ):
        assert set(written[section]) == set(every[section])


def test_every_command_is_named():
    discover("backprop_cli.cli.commands")
    listed = set(re.findall(r"^\| `bp (\w+)", README, re.MULTILINE))
    assert listed == set(COMMANDS)


def test_every_exit_code_is_named():
    table = README[README.index("### Exit codes") : README.index("### Configuration")]
    listed = [int(code) for row in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE) for code in row.split(",")]
    assert listed == list(EXIT_CODES)


def test_every_ready_configuration_is_named():
    listed = re.findall(r"^\| `configs/(\w+\.yaml)`", README, re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in (ROOT / "configs").glob("*.yaml"))


def test_links_lead_somewhere():
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", README, re.MULTILINE)}
    targets = re.findall(r"\]\(([^)]+)\)", README)
    for target in (target for target in targets if not target.startswith("https://")):
        assert target.removeprefix("#") in headings or (ROOT / target).exists(), target
