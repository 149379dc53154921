"""Where configuration and data meet: what the one says of the other that is not so, at its line."""

from pathlib import Path

import numpy as np
import pytest
from api_support import bp, write_config, write_flowers

from backprop_cli.nn.model import Model

FLOWERS = """\
data:
  source: flowers.csv
  target: kind
  features: [x, y]
model:
  layers:
    - {type: dense, units: 3}
loss: {type: cross_entropy, class_weight: {a: 2}}
metrics:
  - accuracy
  - f1
"""


def write(old: str, new: str) -> None:
    write_flowers()
    assert FLOWERS.count(old) == 1
    Path("flowers.yaml").write_text(FLOWERS.replace(old, new))


@pytest.mark.parametrize("command", ["validate", "train"])
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "- f1",
            "- {type: top_k_accuracy, k: 50}",
            "flowers.yaml:11:5: metrics[1]: 'top_k_accuracy' with k: 50 is always 1, as the data has 3 classes; set k "
            "to at most 2\n"
            "   11 |   - {type: top_k_accuracy, k: 50}\n"
            "      |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n",
        ),
        (
            "class_weight: {a: 2}",
            "class_weight: {rose: 2, 1.5: 3}",
            "flowers.yaml:8:44: loss.class_weight.rose: unknown class 'rose'; known: a, b, c\n"
            "    8 | loss: {type: cross_entropy, class_weight: {rose: 2, 1.5: 3}}\n"
            "      |                                            ^^^^\n"
            "flowers.yaml:8:53: loss.class_weight.1.5: unknown class '1.5'; known: a, b, c\n"
            "    8 | loss: {type: cross_entropy, class_weight: {rose: 2, 1.5: 3}}\n"
            "      |                                                     ^^^\n",
        ),
        (
            "model:",
            "model:\n  input: [5]",
            "flowers.yaml:6:10: model.input: [5] has 5 values, but an example of flowers.csv has 2\n"
            "    6 |   input: [5]\n"
            "      |          ^^^\n",
        ),
        (
            "[x, y]",
            "[x, yy, zzz]",
            "flowers.yaml:4:17: data.features[1]: no column 'yy' in flowers.csv; did you mean 'y'?\n"
            "    4 |   features: [x, yy, zzz]\n"
            "      |                 ^^\n"
            "flowers.yaml:4:21: data.features[2]: no column 'zzz' in flowers.csv; its columns: x, y, kind\n"
            "    4 |   features: [x, yy, zzz]\n"
            "      |                     ^^^\n",
        ),
        (
            "kind",
            "kinds",
            "flowers.yaml:3:11: data.target: no column 'kinds' in flowers.csv; did you mean 'kind'?\n"
            "    3 |   target: kinds\n"
            "      |           ^^^^^\n",
        ),
        (
            "  target: kind\n  features: [x, y]",
            "  target: x\n  features: [y]",
            "flowers.yaml:3:11: data.target: flowers.csv: column 'x' has 60 different numbers with fractions in 60 "
            "rows, and the loss treats each as a class; to predict a number use a loss for numbers, such as "
            "mean_squared_error; for classes name their column\n"
            "    3 |   target: x\n"
            "      |           ^\n",
        ),
    ],
)
def test_a_mistake_at_its_line(command, old, new, said, capsys):
    write(old, new)
    assert bp(command, "flowers.yaml") == 2
    problems = said.count("flowers.yaml:")
    closing = f"{problems} problem{'' if problems == 1 else 's'}; nothing was run.\n"
    assert capsys.readouterr().err == said + closing
    assert not Path("runs").exists()


def test_all_that_does_not_fit_at_once(capsys):
    write("units: 3", "units: 4")
    assert bp("validate", "flowers.yaml", "metrics=[top_k_accuracy]") == 2
    assert capsys.readouterr().err == (
        "flowers.yaml:7:28: model.layers[0].units: the network has 4 outputs, but the data has 3 classes; set units: 3"
        "\n"
        "    7 |     - {type: dense, units: 3}\n".replace("units: 3}", "units: 4}")
        + "      |                            ^\n"
        "override metrics=[top_k_accuracy]: metrics[0]: 'top_k_accuracy' with k: 5 is always 1, as the data has 3 "
        "classes; set k to at most 2\n"
        "2 problems; nothing was run.\n"
    )


def source_line(path: Path) -> str:
    """The second and third line of a message about data.source."""
    lines = path.read_text().splitlines()
    number, line = next((n, line) for n, line in enumerate(lines, 1) if "source:" in line)
    value = line.split("source: ")[1].split(",")[0]
    return f"{number:>5} | {line}\n      | {' ' * line.index(value)}{'^' * len(value)}\n"


def place_of(path: Path) -> str:
    lines = path.read_text().splitlines()
    number, line = next((n, line) for n, line in enumerate(lines, 1) if "source:" in line)
    return f"{path}:{number}:{line.index('source: ') + 9}: data.source"


def test_a_data_file_that_is_not_there(capsys):
    Path("configs").mkdir()
    write_config(Path("configs/flowers.yaml"))
    hint = "; paths in a configuration start at its own folder"
    for config in (Path("configs/flowers.yaml"), Path("configs/flowers.yaml").absolute()):
        assert bp("validate", config) == 6
        said = f"{place_of(config)}: configs/flowers.csv: no such file{hint}\n{source_line(config)}"
        assert capsys.readouterr().err == said
    source = f"data.source={Path('flowers.cs').absolute()}"
    assert bp("validate", "configs/flowers.yaml", source) == 6
    said = f"override {source}: flowers.cs: no such file; did you mean 'flowers.csv'?\n"
    assert capsys.readouterr().err == said
    source = f"data.source={Path('other.csv').absolute()}"
    assert bp("validate", "configs/flowers.yaml", source) == 6
    assert capsys.readouterr().err == f"override {source}: other.csv: no such file\n"


def test_a_missing_file_of_a_pair_is_at_its_own_line(capsys):
    np.save("x.npy", np.zeros((4, 2)))
    Path("pair.yaml").write_text(
        "data:\n  train: {inputs: x.npy, targets: y.npy}\n"
        "model: {layers: [{type: dense, units: 2}]}\nloss: cross_entropy\n"
    )
    assert bp("validate", "pair.yaml") == 6
    assert capsys.readouterr().err == (
        "pair.yaml:2:35: data.train.targets: y.npy: no such file; did you mean 'x.npy'?\n"
        "    2 |   train: {inputs: x.npy, targets: y.npy}\n"
        "      |                                   ^^^^^\n"
    )


def test_a_data_file_in_a_folder_that_a_variable_can_name(capsys, monkeypatch):
    Path("configs").mkdir()
    path = write_config(Path("configs/flowers.yaml"))
    path.write_text(path.read_text().replace("flowers.csv", "${FLOWERS:-../data}/flowers.csv"))
    gone = f"{place_of(path)}: data/flowers.csv: no such file; the folder 'data' does not exist either"
    assert bp("validate", path) == 6
    hint = "; the folder can be named by the environment variable FLOWERS, which is not set"
    assert capsys.readouterr().err == f"{gone}{hint}\n{source_line(path)}"
    monkeypatch.setenv("FLOWERS", "data")
    assert bp("validate", path) == 6
    assert capsys.readouterr().err == f"{gone}\n{source_line(path)}"


def test_the_copy_of_a_configuration_in_a_run(capsys):
    assert bp("train", write_config(), "--run-dir", "run", "--quiet") == 0
    capsys.readouterr()
    assert bp("validate", "run/config.yaml") == 6
    assert capsys.readouterr().err == (
        f"{place_of(Path('run/config.yaml'))}: run/flowers.csv: no such file; this is a run's copy of its "
        f"configuration: use run/config.resolved.yaml, whose paths start there\n{source_line(Path('run/config.yaml'))}"
    )
    assert bp("validate", "run/config.resolved.yaml") == 0


@pytest.mark.parametrize(
    "command", [["validate"], ["show"], ["explain"], ["train", "--dry-run"], ["gradcheck", "--samples", "1"]]
)
@pytest.mark.parametrize("shape", [[], ["model.input=[2]"]])
def test_a_command_builds_the_network_once(command, shape, monkeypatch, capsys):
    built = []
    build = Model.build.__func__

    def counted(cls, *args, **options):
        built.append(args)
        return build(cls, *args, **options)

    monkeypatch.setattr(Model, "build", classmethod(counted))
    assert bp(command[0], write_config(), *shape, *command[1:]) == 0
    assert len(built) == 1
