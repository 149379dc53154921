"""More memory than there is: exit code 6 of data, 2 of a configuration, with the size that was asked for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from api_support import bp, record, write_config

from backprop_cli import memory
from backprop_cli.memory import check_memory, memory_errors_as, reason, shortage, size_text

GIB = 1 << 30


@pytest.fixture(autouse=True)
def _four_gib(monkeypatch):
    monkeypatch.setattr(memory, "installed", lambda: 4 * GIB)


def said(capsys, *words):
    code = bp(*words)
    return code, capsys.readouterr().err


@pytest.mark.parametrize(("examples", "size"), [(10**12, "36.3 TiB"), (10**30, "more than 10,000 YiB")])
def test_examples_that_are_made(capsys, examples, size):
    config = write_config(data={"source": "none", "target": "class", "generate": {"type": "xor", "examples": examples}})
    code, err = said(capsys, "validate", config)
    assert code == 2
    assert (
        f"data.generate.examples: {examples:,} examples take {size}, and this machine has 4.0 GiB of memory; make "
        in (err.replace("override ", ""))
    )


def test_a_network_and_what_its_optimizer_keeps(capsys):
    """The parameters alone would fit."""
    config = write_config()
    code, err = said(capsys, "validate", config, "model.layers.0.units=100000000")
    assert (code, err) == (
        2,
        "out of memory: the network with its optimizer's memory would take 6.7 GiB, and this machine has 4.0 GiB of "
        "memory; make training.batch_size, the examples or the layers smaller\n",
    )


def test_the_arrays_of_a_batch_end_a_run_in_its_record_too(capsys):
    config = write_config(
        model={"layers": [{"type": "dense", "units": 60_000}, {"type": "dense", "units": 3}]},
        training={"batch_size": 42, "precision": "float64"},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "installed", lambda: 40_000_000)
        code = bp("train", config, "--run-dir", "run", "--json")
    captured = capsys.readouterr()
    assert code == 2
    assert "out of memory: the arrays of a batch, the network and its gradients would take " in captured.err
    assert json.loads(captured.out)["error"]["kind"] == "memory"
    if Path("run/run.json").exists():
        assert record(Path("run"))["exit_code"] == 2


def test_images_that_are_made_larger(capsys):
    pillow = pytest.importorskip("PIL.Image")
    for name in ("a", "b"):
        Path("img", name).mkdir(parents=True)
        for i in range(3):
            pillow.fromarray(np.zeros((4, 4), np.uint8)).save(f"img/{name}/{i}.png")
    config = write_config(data={"source": "img", "target": "class", "image": {"size": [50_000, 50_000]}})
    layers = "[{type: global_average_pool}, {type: dense, units: 2}]"
    code, err = said(capsys, "validate", config, f"model.layers={layers}")
    assert (code, err) == (
        6,
        "the data does not fit into memory: img/: images of the shape [6, 1, 50000, 50000] would take 13.9 GiB, and "
        "this machine has 4.0 GiB of memory; use fewer rows or columns (data.features)\n",
    )


def test_a_context_longer_than_any_text(capsys):
    Path("t.txt").write_text("to be or not to be\n" * 40)
    text = {"source": "t.txt", "target": None, "text": {"context": 10**12}}
    layers = [{"type": "embedding", "tokens": 32, "width": 4}, {"type": "dense", "units": 9}]
    config = write_config(data=text, model={"layers": layers}, loss="next_token")
    for override in ([], ["data.text.lines=true"]):
        code, err = said(capsys, "validate", config, *override)
        assert code == 2
        reason = "an example of 1,000,000,000,000 tokens would take 7.2 TiB, and this machine has"
        assert f"data.text.context: {reason}" in err


def test_what_is_said_of_sizes():
    assert shortage(4 * GIB) is None
    assert shortage(4 * GIB + 1) == "4.0 GiB, and this machine has 4.0 GiB of memory"
    with pytest.raises(MemoryError, match=r"^it would take 7\.5 GiB, and this machine has 4\.0 GiB of memory$"):
        check_memory(15 * GIB // 2, "it")
    assert reason(MemoryError()) == "not enough memory is left"
    with (
        pytest.raises(ValueError, match="PiB for an array of the shape"),
        memory_errors_as(ValueError),
    ):
        np.empty((1 << 50, 2), np.float32)
    assert size_text(31992512512) == "29.7 GiB"


def test_a_limit_of_the_process_counts():
    code = "import resource, backprop_cli.memory as m; print(m.installed())"
    limited = ["bash", "-c", f"ulimit -v 1000000; exec {sys.executable} -c '{code}'"]
    found = subprocess.run(limited, capture_output=True, text=True, check=True, env={**os.environ})
    assert int(found.stdout) == 1_000_000 * 1024
