"""What cannot be resumed: no run, one that is being trained, and overrides that would make another run of it."""

import json
import platform
import signal
from pathlib import Path

import pytest
from jobs_support import bp, rows, run_of, start_bp, write_config, write_flowers

from backprop_cli.jobs.train import train

KEEPS = "a resumed run keeps its"
SPLIT = f"{KEEPS} split: it would be tested on rows that it was trained on; start a new run"
FEATURES = f"{KEEPS} features: its first layer has learned what each of them is; start a new run"


def refusal(capsys, *words) -> tuple[int, str]:
    code = bp("train", "--resume", *words)
    return code, capsys.readouterr().err


def test_what_cannot_be_resumed(capsys):
    assert refusal(capsys, "nowhere") == (
        5,
        "nowhere: no such directory; a run is at runs/<name>/<time>, the newest at runs/<name>/latest\n",
    )
    Path("empty").mkdir()
    assert refusal(capsys, "empty") == (5, "empty: is not a run directory: it has no run.json\n")
    run, _ = run_of(write_config(), "run", ["training.epochs=1"])
    stray = Path("stray.safetensors")
    stray.write_bytes((run / "checkpoints" / "last.safetensors").read_bytes())
    assert refusal(capsys, stray) == (
        5,
        "stray.safetensors: is a file; expected a run directory, or a checkpoint in a run's checkpoints/\n",
    )
    assert refusal(capsys, run, "training.epoch=3") == (
        2,
        "override training.epoch=3: unknown key; did you mean 'epochs'?\n1 problem; nothing was run.\n",
    )


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("seed=4", SPLIT),
        ("data.split.test=0.3", SPLIT),
        ("data.target=y", SPLIT),
        ("data.features=[y, x]", FEATURES),
        (
            "optimizer=sgd",
            f"{KEEPS} optimizer: adam remembers m_sum and v_scaled, sgd remembers nothing; start a new run",
        ),
        (
            'optimizer.groups=[{parameters: "*.bias", amsgrad: true}]',
            f"{KEEPS} optimizer: adam remembers m_sum and v_scaled of dense_1.bias, adam remembers m_sum and v_scaled "
            "and v_largest; start a new run",
        ),
        ("average=ema", f"{KEEPS} average, of which it has none; start a new run"),
        ("lookahead={steps: 3}", f"{KEEPS} lookahead, of which it has none; start a new run"),
        (
            "model.layers.0.units=7",
            f"{KEEPS} parameters: dense_1.weight is [6, 2] and would be [7, 2]; start a new run",
        ),
        (
            "model.layers.1.bias=false",
            f"{KEEPS} parameters: dense_2.bias is [3] and would be gone; start a new run",
        ),
        ("training.precision=float64", f"{KEEPS} precision, float32; start a new run"),
    ],
)
def test_an_override_that_makes_another_run_of_it(override, reason, capsys):
    run, _ = run_of(write_config(loss={"type": "cross_entropy"}), "run", ["training.epochs=1"])
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert refusal(capsys, run, override) == (2, f"override {override}: {reason}\n1 problem; nothing was run.\n")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_every_such_override_is_named(capsys):
    run, _ = run_of(write_config(), "run", ["training.epochs=1"])
    assert refusal(capsys, run, "optimizer=sgd", "training.epochs=9", "seed=4") == (
        2,
        f"override optimizer=sgd: {KEEPS} optimizer: adam remembers m_sum and v_scaled, sgd remembers nothing; "
        "start a new run\n"
        f"override seed=4: {SPLIT}\n2 problems; nothing was run.\n",
    )
    assert refusal(capsys, run, "data={source: flowers.csv, target: kind, split: {test: 0.3}}") == (
        2,
        f"override data={{source: flowers.csv, target: kind, split: {{test: 0.3}}}}: data.split: {SPLIT}\n"
        "1 problem; nothing was run.\n",
    )


def test_overrides_that_change_nothing_are_no_others():
    run, _ = run_of(write_config(), "run", ["training.epochs=1"])
    same = [
        "seed=0",
        "data.split.test=0.15",
        "optimizer.type=adam",
        "model.layers.0.activation=relu",
        "model.input=[2]",
    ]
    assert train(None, ["training.epochs=2", *same], resume=run).epochs == 2


def test_data_may_move_but_not_change(capsys):
    run, _ = run_of(write_config(), "run", ["training.epochs=1"])
    Path("flowers.csv").rename("moved.csv")
    assert train(None, ["training.epochs=2", "data.source=moved.csv"], resume=run).epochs == 2
    write_flowers(Path("others.csv"), seed=1)
    assert refusal(capsys, run, "data.source=others.csv") == (
        2,
        f"override data.source=others.csv: {SPLIT}\n1 problem; nothing was run.\n",
    )


def test_data_that_is_coded_another_way(capsys):
    data = {"target": "y", "features": ["x", "kind"]}
    layers = [{"type": "dense", "units": 1}]
    config = write_config(data=data, model={"layers": layers}, loss="mean_squared_error")
    run, _ = run_of(config, "run", ["training.epochs=1"])
    assert refusal(capsys, run, "data.transform.categorical=ordinal") == (
        2,
        f"override data.transform.categorical=ordinal: {KEEPS} inputs: [4] an example, not [2]; start a new run\n"
        "1 problem; nothing was run.\n",
    )


def test_a_run_that_is_being_trained(capsys):
    process = start_bp("train", write_config(), "--run-dir", "run", "training.epochs=1000000")
    assert process.stderr is not None
    for _ in range(3):
        process.stderr.readline()
    since = json.loads(Path("run/.lock").read_text())["since"]
    message = (
        f"run: is being trained by process {process.pid} (on {platform.node()}, since {since}); "
        "wait for its end, or end it first\n"
    )
    assert refusal(capsys, "run") == (2, message)
    assert refusal(capsys, "run", "--dry-run") == (2, message)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert [row["step"] for row in rows(Path("run"), "started")] == [0]
    assert not Path("run/.lock").exists()
    assert bp("train", "--resume", "run", "training.epochs=1", "--quiet") == 0
