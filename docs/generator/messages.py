"""``messages.md``: every kind of message, with an example and the way out."""

from __future__ import annotations

import importlib
import inspect
import re
import shlex
from collections.abc import Iterator, Mapping

from backprop_cli.cli.command import EXIT_CODES
from backprop_cli.errors import BpError, BpWarning
from generator import markdown
from generator.examples import Examples, printed
from generator.package_map import PACKAGE

_INTRODUCTION = """\
A message goes to standard error. It says what is wrong, with the value and its place, and what to do about it. With
`--json` the same is an object on standard output: `{"error": {"code": 2, "kind": "config", "problems": [...]}}`. Below
are the kinds, each with its [exit code](exit-codes.md). The examples are real: the script that makes this page ran the
commands, in a folder with the project's `configs/` and `datasets/`."""

_WRONG_CONFIGURATION = """\
data: {source: datasets/iris.csv, target: species}
model:
  layers:
    - {type: dense, units: -64, activation: rellu}
    - {type: dens, units: 3}
loss: cross_entropy
optimiser: adam
"""
_WRONG_TABLE = "size,weight,class\n1.5,20,small\n2.5,heavy,large\n1.0,18,small\n3.0,44,large\n"
_ROWS = "sepal_length,sepal_width,petal_length\n5.1,3.5,1.4\n"
_TABLE = """\
data: {source: table.csv, target: class}
model: {layers: [{type: dense, units: 2}]}
loss: cross_entropy
"""
_WRONG_PLUGIN = """\
from typing import Literal

from backprop_cli.plugin import ACTIVATIONS, Activation


@ACTIVATIONS.register
class Double(Activation):
    type: Literal["double"] = "double"

    def apply(self, x):
        return x + y
"""

_EXAMPLES: dict[str, tuple[tuple[str, dict[str, str]], ...]] = {
    "usage": (("bp trian configs/iris.yaml", {}), ("bp eval runs/iris/latest --require 'accuracy=0.9'", {})),
    "config": (("bp validate wrong.yaml", {"wrong.yaml": _WRONG_CONFIGURATION}),),
    "interrupted": (("bp train configs/xor.yaml training.epochs=100000 --quiet", {}),),
    "check": (("bp eval runs/iris/latest --require 'accuracy>=2'", {}),),
    "diverged": (("bp train configs/linear_regression.yaml optimizer.learning_rate=1e30 --quiet", {}),),
    "checkpoint": (("bp eval configs/iris.yaml", {}), ("bp predict runs/none datasets/iris.csv", {})),
    "data": (
        ("bp validate table.yaml", {"table.yaml": _TABLE, "table.csv": _WRONG_TABLE}),
        ("bp predict runs/iris/latest rows.csv", {"rows.csv": _ROWS}),
    ),
    "plugin": (("bp gradcheck --plugins double.py", {"double.py": _WRONG_PLUGIN}),),
}
"""Commands that fail with a message of this kind, with the files that they read."""

_PYTHON = """\
import numpy as np

from backprop_cli import autodiff as ad
from backprop_cli.errors import ShapeError

try:
    ad.grad(lambda w: np.sum(w @ np.ones((4, 2))))(np.ones((3, 5)))
except ShapeError as error:
    print(error)
"""
"""A ShapeError: a configuration that has one gets a problem at the layer instead."""

_OTHER_KINDS = {
    "memory": (
        2,
        "The machine has less memory than the network, its data or a step needs.\n\n"
        "Way out: make ``training.batch_size``, the examples or the layers smaller; ``training.recompute`` needs less "
        "memory for the gradient. ``bp show`` says how many bytes a network takes.",
    ),
    "plugin": (
        2,
        "Your own code raised an exception: a file under ``plugins`` or ``--plugins``.\n\n"
        "Way out: the last line names the file and line of your code; the traceback above it is Python's.",
    ),
    "internal": (
        1,
        "A bug in ``bp``: no command, configuration or file should lead here.\n\n"
        "Way out: report the traceback, with the command and the configuration.",
    ),
}
"""Kinds of messages about exceptions that are not the package's own: exit code, and a docstring."""

_PROBLEMS_INTRODUCTION = """\
A problem has the form `file:line:column: key: reason; way out`, or `override KEY=VALUE: reason; way out` if the command
line set the value. All problems of a file are reported at once. These are the sorts that there are."""

_TEXTS = {
    "open.yaml": "data: {source: datasets/iris.csv, target: species\nmodel:\n  layers: [{type: dense, units: 3}]\n",
    "twice.yaml": f"{_TABLE}training: {{epochs: 10, epochs: 20}}\n",
}
"""Configurations that are not YAML, or not of its kind, by file name."""
_RESUMPTIONS = ("model.layers.0.units=8", "seed=1")
"""Overrides that a resumed run refuses."""

_PROBLEMS: dict[str, tuple[str, ...]] = {
    "Keys": (
        "optimizer.lr=0.01",
        "training.epoch=10",
        "model.layers.0.activation={slope: 0.1}",
        "model.layers.1={type: dense}",
        "data.generate=moons",
    ),
    "Values": (
        "training.epochs=many",
        "training.batch_size=0",
        "training.precision=float16",
        "optimizer.learning_rate=1,5",
        "optimizer=SGDM",
        "loss=crossentropy",
    ),
    "Keys that contradict each other": (
        "metrics=[r2]",
        "early_stopping.monitor=accuracy",
        "data.transform.target=standardize",
        "average={type: swa, from_epoch: 99}",
        "optimizer=lbfgs training.accumulate=2",
    ),
    "The network": (
        "model.layers.1.inputs=dense_9",
        "model.layers.0={type: conv2d, channels: 4, kernel: 3}",
        "model.layers.1.units=4",
        'optimizer.groups=[{parameters: "conv_*", learning_rate: 0.1}]',
    ),
    "The data": (
        "data.target=colour",
        "data.source=../datasets/iris.tsv",
        "data.features=[sepal_length, sepal_size]",
    ),
}
"""Overrides of ``configs/iris.yaml`` that are wrong, by what is wrong."""

_WARNINGS = (
    "model.layers.1.activation=softmax",
    "data.features=[petal_length, species]",
    "training.max_steps=3 lookahead={}",
)


def messages_page(examples: Examples) -> str:
    """The page."""
    found = kinds()
    groups = [part for group, wrong in _PROBLEMS.items() for part in _problems(group, wrong, examples)]
    return markdown.page(
        "Messages",
        _INTRODUCTION,
        markdown.contents([*found, "Problems of a configuration", "Warnings"]),
        *(part for kind, (codes, text) in found.items() for part in _kind(kind, codes, text, examples)),
        "## Problems of a configuration",
        _PROBLEMS_INTRODUCTION,
        "### YAML",
        *(part for name, text in _TEXTS.items() for part in _with_files(f"bp validate {name}", {name: text}, examples)),
        *groups,
        "### Resuming",
        *(examples.shown(f"bp train --resume runs/iris/latest {words}") for words in _RESUMPTIONS),
        "## Warnings",
        markdown.docstring(BpWarning.__doc__),
        *(examples.shown(_validate(words)) for words in _WARNINGS),
    )


def kinds() -> dict[str, tuple[str, str]]:
    """Exit codes and docstring of each kind of message."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "(BpError)" in path.read_text(encoding="utf-8"):
            importlib.import_module(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
    own = [cls for cls in _below(BpError) if "kind" in vars(cls)]
    found = {cls.kind: (_codes(cls), inspect.cleandoc(cls.__doc__ or "")) for cls in own}
    return found | {kind: (str(code), text) for kind, (code, text) in _OTHER_KINDS.items()}


def _below(cls: type[BpError]) -> Iterator[type[BpError]]:
    for each in cls.__subclasses__():
        yield each
        yield from _below(each)


def _codes(cls: type[BpError]) -> str:
    """A class's exit code. A signal's is known only when it comes."""
    if "exit_code" in vars(cls):
        return str(cls.exit_code)
    return ", ".join(str(code) for code in EXIT_CODES if code > 128)


def _kind(kind: str, codes: str, text: str, examples: Examples) -> Iterator[str]:
    yield f"## {kind}"
    yield f"Exit code {codes}. {markdown.docstring(text)}"
    for command, files in _EXAMPLES.get(kind, ()):
        yield from _with_files(command, files, examples, interrupt=kind == "interrupted")
    if kind == "shape":
        yield "From Python:"
        yield markdown.block("python", _PYTHON)
        yield markdown.block("text", printed(_PYTHON))


def _with_files(command: str, files: Mapping[str, str], examples: Examples, interrupt: bool = False) -> Iterator[str]:
    """The files that a command reads, and what it prints. Only ``table.yaml`` is a configuration without mistakes."""
    for name, content in files.items():
        language = name.rpartition(".")[2]
        yield f"`{name}`:"
        yield markdown.block("yaml refused" if language == "yaml" and content != _TABLE else language, content)
    yield examples.shown(command, files, interrupt)


def _problems(group: str, wrong: tuple[str, ...], examples: Examples) -> Iterator[str]:
    yield f"### {group}"
    yield from (examples.shown(_validate(words)) for words in wrong)


def _validate(words: str) -> str:
    """The command that checks ``configs/iris.yaml`` with overrides; quoted where a shell needs it."""
    parts = re.split(r" (?=[a-z_.0-9]+=)", words)
    return f"bp validate configs/iris.yaml {shlex.join(parts)}"
