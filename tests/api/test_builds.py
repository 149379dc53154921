"""Each command builds its network once."""

import pytest
from api_support import bp, known_run, write_config

from backprop_cli.nn.model import Model


@pytest.fixture
def builds(monkeypatch):
    """A list with an item for each network that is built."""
    found, build = [], Model.build.__func__

    def counted(cls, *words, **options):
        found.append(words)
        return build(cls, *words, **options)

    monkeypatch.setattr(Model, "build", classmethod(counted))
    return found


@pytest.mark.parametrize("shape", [None, [2]], ids=["input from the data", "input in the configuration"])
@pytest.mark.parametrize(
    "words",
    [
        "train c.yaml",
        "train c.yaml --dry-run",
        "train c.yaml --find-lr",
        "train --resume run --dry-run",
        "train --resume run training.epochs=2",
        "validate c.yaml",
        "show c.yaml",
        "show run",
        "explain c.yaml",
        "explain run",
        "gradcheck c.yaml",
        "gradcheck run",
        "eval run",
        "predict run flowers.csv -o out.csv",
        "jacobian run",
    ],
)
def test_the_network_is_built_once_a_command(words, shape, builds, capsys):
    config = write_config(model={} if shape is None else {"input": shape})
    config.rename("c.yaml")
    if "run" in words.split():
        known_run("c.yaml", "run", ["training.epochs=1"])
    builds.clear()
    assert bp(*words.split()) == 0, capsys.readouterr().err
    assert len([layers for layers, *_ in builds if len(layers) > 1]) == 1  # baselines are single layers
