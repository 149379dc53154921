"""What cannot be resumed: no run, one that is being trained, overrides that change what its numbers mean."""

import json
import platform
import signal
from pathlib import Path

import pytest
from api_support import bp, known_run, record, rows, start_bp, write_config, write_flowers

from backprop_cli.api.train import train

MEANS = "the numbers that the run has saved would mean something else; leave it out, or start a new run"
SPLIT = "the run would be tested on rows that it was trained on; leave it out, or start a new run"
READS = "the network was trained on its inputs and targets as they were; leave it out, or start a new run"


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
    run, _ = known_run(write_config(), "run", ["training.epochs=1"])
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
        ("seed=4", f"was 0, would be 4: {SPLIT}"),
        ("data.split.test=0.3", f"was 0.15, would be 0.3: {SPLIT}"),
        ("data.target=x", f"was kind, would be x: {READS}"),
        ("data.features=[kind, x]", f"was all, would be [kind, x]: {READS}"),
        ("data.transform.numeric=min_max", f"was standardize, would be min_max: {READS}"),
        ("data.sample_weight=x", f"was none, would be x: {MEANS}"),
        ("optimizer=sgd", f"optimizer.type: was adam, would be sgd: {MEANS}"),
        ("optimizer.type=sgd", f"was adam, would be sgd: {MEANS}"),
        ("loss=mean_squared_error", f"loss.type: was cross_entropy, would be mean_squared_error: {MEANS}"),
        ("optimizer.beta1=0.5", f"was 0.9, would be 0.5: {MEANS}"),
        (
            'optimizer.groups=[{parameters: "*.bias", amsgrad: true}]',
            f"amsgrad of dense_1.bias was false, would be true: {MEANS}",
        ),
        ("average=ema", f"was none, would be ema: {MEANS}"),
        ("lookahead={steps: 3}", f"was none, would be {{steps: 3}}: {MEANS}"),
        ("model.layers.0.units=7", f"was 6, would be 7: {MEANS}"),
        ("model.layers.1.bias=false", f"was true, would be false: {MEANS}"),
        ("model.layers.0.activation=relu", f"model.layers[0].activation.type: was tanh, would be relu: {MEANS}"),
        (
            "model.layers=[{type: dense, units: 3}]",
            f"was [dense, dense], would be [dense]: {MEANS}",
        ),
        ("loss.label_smoothing=0.1", f"was 0.0, would be 0.1: {MEANS}"),
        ("loss.class_weight=balanced", f"was none, would be balanced: {MEANS}"),
        ("loss=focal", f"loss.type: was cross_entropy, would be focal: {MEANS}"),
        ("training.precision=float64", f"was float32, would be float64: {MEANS}"),
        ("training.shuffle=false", f"was true, would be false: {MEANS}"),
    ],
)
def test_an_override_that_makes_another_run_of_it(override, reason, capsys):
    run, _ = known_run(write_config(loss={"type": "cross_entropy"}), "run", ["training.epochs=1"])
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert refusal(capsys, run, override) == (2, f"override {override}: {reason}\n1 problem; nothing was run.\n")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_keys_that_another_layer_lacks_are_the_overrides(capsys):
    run, _ = known_run(write_config(), "run", ["training.epochs=1"])
    override = "model.layers.0.type=dropout"
    code, said = refusal(capsys, run, override)
    *problems, last = said.splitlines()
    assert (code, last) == (2, f"{len(problems)} problems; nothing was run.")
    assert all(line.startswith(f"override {override}: model.layers[0].") for line in problems)


def test_every_such_override_is_named(capsys):
    run, _ = known_run(write_config(), "run", ["training.epochs=1"])
    assert refusal(capsys, run, "optimizer=sgd", "training.epochs=9", "seed=4") == (
        2,
        f"override optimizer=sgd: optimizer.type: was adam, would be sgd: {MEANS}\n"
        f"override seed=4: was 0, would be 4: {SPLIT}\n2 problems; nothing was run.\n",
    )
    assert refusal(capsys, run, "data={source: flowers.csv, target: kind, split: {test: 0.3}}") == (
        2,
        f"override data={{source: flowers.csv, target: kind, split: {{test: 0.3}}}}: data.split.test: was 0.15, "
        f"would be 0.3: {SPLIT}\n"
        "1 problem; nothing was run.\n",
    )


def test_overrides_that_change_nothing_are_no_others():
    run, _ = known_run(write_config(), "run", ["training.epochs=1"])
    same = [
        "seed=0",
        "data.split.test=0.15",
        "optimizer.type=adam",
        "model.layers.0.activation=tanh",
        "model.input=[2]",
    ]
    assert train(None, ["training.epochs=2", *same], resume=run).epochs == 2


def test_data_may_move_but_not_change(capsys):
    run, _ = known_run(write_config(), "run", ["training.epochs=1"])
    Path("flowers.csv").rename("moved.csv")
    assert train(None, ["training.epochs=2", "data.source=moved.csv"], resume=run).epochs == 2
    write_flowers(Path("others.csv"), seed=1)
    (digest,) = record(run)["data"].values()
    assert refusal(capsys, run, "data.source=others.csv") == (
        2,
        f"override data.source=others.csv: is not what the run was trained on (sha256 {digest}): rows would be split "
        "differently, and the run would be tested on rows it was trained on; name a copy of the run's own file, or "
        "accept it with --accept-changed-data\n1 problem; nothing was run.\n",
    )
    assert bp("train", "--resume", run, "data.source=others.csv", "training.epochs=3", "--accept-changed-data") == 0


def test_groups_are_a_way_to_write_what_each_parameter_is_updated_by():
    run, _ = known_run(write_config(), "run", ["training.epochs=1"])
    groups = 'optimizer.groups=[{parameters: "*.bias", learning_rate: 0.1, epsilon: 1e-6, beta1: 0.9}]'
    assert train(None, ["training.epochs=2", groups], resume=run).epochs == 2
    assert train(None, ["training.epochs=3", "optimizer.groups=[]"], resume=run).epochs == 3


def test_a_run_that_is_being_trained(capsys):
    process = start_bp("train", write_config(), "--run-dir", "run", "training.epochs=1000000")
    assert process.stderr is not None
    for _ in range(3):
        process.stderr.readline()
    since = json.loads(Path("run/.lock").read_text())["since"]
    message = (
        f"run: is being trained by process {process.pid} (on {platform.node()}, since {since}); "
        "wait until it ends, or end it first\n"
    )
    assert refusal(capsys, "run") == (2, message)
    assert refusal(capsys, "run", "--dry-run") == (2, message)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert [row["step"] for row in rows(Path("run"), "started")] == [0]
    assert not Path("run/.lock").exists()
    assert bp("train", "--resume", "run", "training.epochs=1", "--quiet") == 0
