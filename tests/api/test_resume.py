"""A run that was ended anywhere and resumed is the run that was not: parameters, slots, metrics, decisions."""

import hashlib
import json
import os
import signal
from pathlib import Path

import pytest
from api_support import (
    EVERY_STEP,
    WITH_DROPOUT,
    assert_same_state,
    bp,
    epoch_numbers,
    last,
    record,
    rows,
    run_of,
    start_bp,
    stop_at,
    table,
    write_config,
)

from backprop_cli.api.train import train
from backprop_cli.autodiff import OPS
from backprop_cli.errors import CheckError, InterruptionError
from backprop_cli.training.events import Checking, Epoch, GradientChecked, Saved

EVERYTHING = {
    "model": {"layers": WITH_DROPOUT},
    "schedule": {"type": "plateau", "patience": 0, "min_delta": 0.1},
    "training": {"epochs": 6, "batch_size": 12},
    "log": EVERY_STEP,
}
CASES = {
    "dropout, plateau": EVERYTHING,
    "cosine, momentum": {
        "optimizer": {"type": "sgd", "momentum": 0.9},
        "schedule": "cosine",
        "training": {"epochs": 6},
        "log": EVERY_STEP,
    },
    "accumulated, float64": {
        **EVERYTHING,
        "training": {"epochs": 6, "batch_size": 5, "accumulate": 2, "precision": "float64"},
    },
    "muon with a fallback, groups": {
        "optimizer": {
            "type": "muon",
            "fallback": "adam",
            "fallback_for": "dense_2.*",
            "groups": [{"parameters": "*.bias", "fallback": {"type": "sgd", "momentum": 0.9}}],
        },
        "training": {"epochs": 6},
        "log": EVERY_STEP,
    },
    "average, lookahead": {
        "average": {"type": "ema", "decay": 0.9},
        "lookahead": {"steps": 3},
        "training": {"epochs": 6},
        "log": EVERY_STEP,
    },
    "early stopping": {
        "early_stopping": {"monitor": "train/accuracy", "patience": 1, "min_delta": 0.02},
        "training": {"epochs": 6},
        "log": EVERY_STEP,
    },
}


def interrupted(config: Path, name: str, step: int, **options) -> str:
    """Train until the step, end there by Ctrl-C, and say what was said."""
    with pytest.raises(InterruptionError) as caught:
        train(config, run_dir=Path(name), on_event=stop_at(step), **options)
    assert caught.value.exit_code == 130
    return str(caught.value)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("step", [1, 4, 10])  # an epoch has 4 steps, or 5
def test_interrupted_and_resumed_is_not_interrupted(case, step):
    config = write_config(**CASES[case])
    straight, whole = run_of(config, "straight")
    interrupted(config, "broken", step)
    rest = train(resume=Path("broken"))
    broken = Path("broken")
    assert_same_state(broken, straight)
    assert epoch_numbers(broken) == epoch_numbers(straight)
    assert (rest.metrics, rest.best, rest.epochs, rest.steps) == (whole.metrics, whole.best, whole.epochs, whole.steps)
    assert [row["step"] for row in table(broken)] == [row["step"] for row in table(straight)]
    assert last(broken).metadata["config"] == last(straight).metadata["config"]


def test_interrupted_many_times():
    config = write_config(**EVERYTHING)
    straight, _ = run_of(config, "straight")
    interrupted(config, "broken", 2)
    for step in (3, 8, 15, 16, 23):
        with pytest.raises(InterruptionError):
            train(resume=Path("broken"), on_event=stop_at(step))
    train(resume=Path("broken"))
    assert_same_state(Path("broken"), straight)
    assert epoch_numbers(Path("broken")) == epoch_numbers(straight)
    assert [entry["step"] for entry in record(Path("broken"))["resumed"]] == [2, 3, 8, 15, 16, 23]


def test_interrupted_at_the_end_of_an_epoch():
    def listen(event):
        if isinstance(event, Epoch) and event.epoch == 6:
            os.kill(os.getpid(), signal.SIGINT)

    config = write_config(**EVERYTHING)
    straight, whole = run_of(config, "straight")
    with pytest.raises(InterruptionError):
        train(config, run_dir=Path("broken"), on_event=listen)
    assert record(Path("broken"))["status"] == "interrupted"
    assert train(resume=Path("broken")).metrics == whole.metrics
    assert_same_state(Path("broken"), straight)
    assert epoch_numbers(Path("broken")) == epoch_numbers(straight)


@pytest.mark.parametrize("when", [Checking, GradientChecked])
def test_interrupted_before_the_first_step(when):
    def listen(event):
        if isinstance(event, when):
            os.kill(os.getpid(), signal.SIGINT)

    config = write_config(gradient_check={"samples": 1})
    straight, _ = run_of(config, "straight")
    with pytest.raises(InterruptionError) as caught:
        train(config, run_dir=Path("broken"), on_event=listen)
    assert str(caught.value) == ("interrupted at step 0; everything is saved; resume with: bp train --resume broken")
    assert Path("broken/gradient_check/step-00000000.json").exists() == (when is GradientChecked)
    train(resume=Path("broken"))
    assert_same_state(Path("broken"), straight)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_an_interrupted_run_says(number, code, capsys):
    config = write_config(log=EVERY_STEP)
    with pytest.raises(InterruptionError) as caught:
        train(config, run_dir=Path("run"), on_event=stop_at(6, number))
    assert caught.value.exit_code == code
    assert str(caught.value) == "interrupted at step 6; everything is saved; resume with: bp train --resume run"
    told = record(Path("run"))
    assert (told["status"], told["exit_code"], told["steps"], told["epochs"]) == ("interrupted", code, 6, 1)
    assert told["metrics"] is None
    assert rows(Path("run"))[-1] == {"event": "stopped", "step": 6, "epoch": 2, "reason": "interrupted"}
    assert last(Path("run")).metadata["state"]["step"] == 6
    assert [row["epoch"] for row in table(Path("run"))] == ["1"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_process_that_gets_a_signal(number, code):
    config = write_config(**EVERYTHING)
    forever = ["training.epochs=1000000", "training.compile=false", "schedule=constant"]
    process = start_bp("train", config, "--run-dir", "run", "--json", *forever)
    assert process.stderr is not None
    lines = [process.stderr.readline() for _ in range(3)]
    process.send_signal(number)
    out, rest = process.communicate(timeout=30)
    assert process.returncode == code
    assert lines[0].startswith("training ")
    step = record(Path("run"))["steps"]
    message = f"interrupted at step {step}; everything is saved; resume with: bp train --resume run"
    assert rest.splitlines()[-1] == message
    assert json.loads(out) == {
        "error": {"code": code, "kind": "interrupted", "problems": [{"message": message}]},
        "run_dir": "run",
        "status": "interrupted",
    }
    assert (Path("run") / "log.txt").read_text().splitlines()[-1] == message
    epoch = last(Path("run")).metadata["state"]["epoch"] + 1
    ends = [f"training.epochs={epoch}", "schedule=constant"]
    assert bp("train", "--resume", "run", ends[0], "--quiet") == 0
    straight, _ = run_of(config, "straight", ends)
    assert_same_state(Path("run"), straight)
    assert epoch_numbers(Path("run")) == epoch_numbers(straight)


def test_a_killed_run_goes_on_from_its_last_checkpoint():
    """Rows of the journal beyond it are superseded; the table has every epoch once."""
    config = write_config(**EVERYTHING, checkpoint={"every_epochs": 4, "keep_best": 0})
    straight, _ = run_of(config, "straight")

    class KilledError(BaseException):
        """As much of SIGKILL as one process can see: nothing of ours runs after it."""

    def listen(event):
        if isinstance(event, Epoch) and event.epoch == 6:
            raise KilledError

    with pytest.raises(KilledError):
        train(config, run_dir=Path("broken"), on_event=listen)
    assert last(Path("broken")).metadata["state"]["step"] == 16
    assert len(Path("broken/metrics.jsonl").read_text().splitlines()) > 6
    train(resume=Path("broken"))
    assert_same_state(Path("broken"), straight)
    assert epoch_numbers(Path("broken")) == epoch_numbers(straight)
    assert [row["epoch"] for row in table(Path("broken"))] == ["1", "2", "3", "4", "5", "6"]


def test_a_process_that_is_killed():
    config = write_config(**EVERYTHING)
    process = start_bp(
        "train", config, "--run-dir", "run", "training.epochs=1000000", "training.compile=false", "schedule=constant"
    )
    assert process.stderr is not None
    for _ in range(4):
        process.stderr.readline()
    process.kill()
    process.communicate(timeout=30)
    assert record(Path("run"))["status"] == "running"
    epoch = last(Path("run")).metadata["state"]["epoch"] + 1
    ends = [f"training.epochs={epoch}", "schedule=constant"]
    assert bp("train", "--resume", "run", ends[0], "--quiet") == 0
    straight, _ = run_of(config, "straight", ends)
    assert_same_state(Path("run"), straight)
    assert epoch_numbers(Path("run")) == epoch_numbers(straight)
    assert [row["epoch"] for row in table(Path("run"))] == [str(k) for k in range(1, epoch + 1)]


def test_killed_between_the_last_checkpoint_and_its_name_as_the_best():
    config = write_config(optimizer={"type": "sgd", "learning_rate": 0.1})

    def listen(event):
        if isinstance(event, Saved) and event.kind == "last" and event.step == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, run_dir=Path("broken"), on_event=listen)
    assert record(Path("broken"))["status"] == "interrupted"
    straight, whole = run_of(config, "straight", ["training.epochs=2"])
    result = train(None, ["training.epochs=2"], resume=Path("broken"))
    assert result.best.step == 8
    assert result.metrics == whole.metrics
    assert sorted(path.name for path in Path("broken/checkpoints").iterdir()) == sorted(
        path.name for path in (straight / "checkpoints").iterdir()
    )


def test_a_finished_run_goes_on_with_more_epochs(capsys):
    config = write_config(**EVERYTHING)
    straight, whole = run_of(config, "straight")
    run_of(config, "run", ["training.epochs=2"])
    assert bp("train", "--resume", "run", "training.epochs=6", "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["metrics"] == whole.metrics
    assert captured.err.splitlines()[0].startswith("resuming after step 8: training ")
    assert_same_state(Path("run"), straight)
    assert epoch_numbers(Path("run")) == epoch_numbers(straight)
    told = record(Path("run"))
    assert told["overrides"] == ["training.epochs=2", "training.epochs=6"]
    assert "epochs: 6" in Path("run/config.resolved.yaml").read_text()


def test_a_finished_run_without_more_to_do_is_left_as_it_is():
    config = write_config(**EVERYTHING)
    run, first = run_of(config, "run")
    before = {path.name: path.read_bytes() for path in (run / "checkpoints").iterdir()}
    numbers, csv = epoch_numbers(run), (run / "metrics.csv").read_text()
    again = train(resume=run)
    assert {**again.to_json(), "timings": {}} == {**first.to_json(), "timings": {}}
    assert {path.name: path.read_bytes() for path in (run / "checkpoints").iterdir()} == before
    assert epoch_numbers(run) == numbers
    assert (run / "metrics.csv").read_text() == csv
    assert record(run)["status"] == "finished"


def test_a_run_stopped_in_the_middle_of_an_epoch_has_it_once():
    config = write_config(**EVERYTHING)
    straight, _ = run_of(config, "straight")
    run, _ = run_of(config, "run", ["training.max_steps=6"])
    assert [row["partial"] for row in rows(run, "epoch")] == [False, True]
    train(None, ["training.max_steps=none"], resume=run)
    assert [(row["epoch"], row["step"]) for row in table(run)] == [
        (row["epoch"], row["step"]) for row in table(straight)
    ]


def test_early_stopping_says_again_why_there_is_nothing_to_do(capsys):
    stopping = {"monitor": "train/accuracy", "patience": 1, "min_delta": 1.0}
    run, _ = run_of(write_config(early_stopping=stopping), "run")
    assert bp("train", "--resume", run, "training.epochs=9") == 0
    said = capsys.readouterr().err.splitlines()[1]
    assert said.startswith("stopped in epoch 2, step 8: early stopping: train/accuracy has not improved on ")
    assert said.endswith(" for 1 epoch")
    assert train(None, ["early_stopping.patience=3"], resume=run).epochs == 3


def test_a_gradient_that_was_wrong_at_the_start_is_checked_again(monkeypatch):
    right = OPS["tanh"].partials
    config = write_config(gradient_check={"samples": "all"})
    with monkeypatch.context() as wrong:
        wrong.setattr(OPS["tanh"], "partials", lambda self, x, *, out: (1.01 * right(self, x, out=out)[0],))
        with pytest.raises(CheckError):
            train(config, run_dir=Path("run"))
        with pytest.raises(CheckError):
            train(resume=Path("run"))
    assert train(resume=Path("run")).status == "finished"


def test_the_seconds_go_on():
    config = write_config()
    run, first = run_of(config, "run", ["training.epochs=2"])
    assert train(None, ["training.epochs=3"], resume=run).seconds > first.seconds
    before = rows(run, "epoch")[1]["seconds"]
    back = run / "checkpoints" / "step-00000008.safetensors"
    assert train(None, ["training.epochs=3"], resume=back).seconds > before


def test_equal_runs_have_equal_files():
    """Also one that was interrupted: nothing in a checkpoint depends on the clock, the process or the directory."""

    def files(run: str) -> dict[str, str]:
        folder = Path(run) / "checkpoints"
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}

    config = write_config(**EVERYTHING)
    run_of(config, "one")
    run_of(config, "deep/two")
    assert files("one") == files("deep/two")
    interrupted(config, "three", 10)
    train(resume=Path("three"))
    assert {name: files("three")[name] for name in ("last.safetensors", "best.safetensors")} == {
        name: files("one")[name] for name in ("last.safetensors", "best.safetensors")
    }
