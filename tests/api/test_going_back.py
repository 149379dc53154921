"""Resuming from another checkpoint than the last: because the last is damaged, or because it went wrong since."""

from pathlib import Path

import pytest
from api_support import assert_same_state, bp, epoch_numbers, last, rows, run_of, table, write_config

from backprop_cli.api.eval import evaluate
from backprop_cli.api.train import train
from backprop_cli.run.checkpoint import load
from backprop_cli.training.events import Warned

JUMPY = {"optimizer": {"type": "sgd", "learning_rate": 20.0}, "training": {"epochs": 8}}
"""A learning rate at which the best epoch is not the last."""


def names(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def cut(path: Path) -> int:
    """Half of a file is lost; the new size. Other names of the file keep the whole."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])
    return len(content) // 2


def refusal(capsys, target) -> tuple[int, str]:
    code = bp("train", "--resume", target)
    return code, capsys.readouterr().err


def test_a_damaged_last_checkpoint_names_the_way(capsys):
    run, _ = run_of(write_config(checkpoint={"keep_best": 0}), "run")
    last_path, step = run / "checkpoints/last.safetensors", "run/checkpoints/step-00000008.safetensors"
    size = cut(last_path)
    way = f"step-00000008.safetensors is whole: resume from it with: bp train --resume {step}\n"
    assert refusal(capsys, run) == (5, f"{last_path}: is truncated or damaged ({size} bytes); {way}")
    last_path.write_bytes(b"")
    assert refusal(capsys, run) == (5, f"{last_path}: is empty: expected a checkpoint; {way}")
    last_path.unlink()
    assert refusal(capsys, run) == (5, f"run: has no checkpoint to resume from: last.safetensors is missing; {way}")
    assert bp("train", *way.split("bp train ")[1].split(), "--quiet") == 0
    assert last(run).metadata["state"]["step"] == 12


def test_nothing_whole_is_left(capsys):
    run, _ = run_of(write_config(checkpoint={"keep_best": 0}), "run")
    sizes = {path.name: cut(path) for path in (run / "checkpoints").iterdir()}
    assert refusal(capsys, run) == (
        5,
        f"run/checkpoints/last.safetensors: is truncated or damaged ({sizes['last.safetensors']} bytes); "
        "there is no other whole one: start a new run\n",
    )
    for path in (run / "checkpoints").iterdir():
        path.unlink()
    assert refusal(capsys, run) == (
        5,
        "run: has no checkpoint to resume from: last.safetensors is missing; "
        "there is no other whole one: start a new run\n",
    )


def test_a_damaged_older_one_names_the_last(capsys):
    run, _ = run_of(write_config(), "run")
    older = run / "checkpoints/step-00000004.safetensors"
    size = cut(older)
    assert refusal(capsys, older) == (
        5,
        f"{older}: is truncated or damaged ({size} bytes); "
        "last.safetensors is whole: resume from it with: bp train --resume run\n",
    )


@pytest.mark.parametrize("target", ["run", "runs/x/latest"])
@pytest.mark.parametrize("broken", [True, False])
def test_going_back_is_never_having_been_there(broken, target):
    config = write_config(training={"epochs": 5})
    straight, whole = run_of(config, "straight")
    run, _ = run_of(config, "run")
    if target != "run":
        Path("runs/x").mkdir(parents=True)
        Path("run").rename("runs/x/one")
        Path("runs/x/latest").symlink_to("one")
        run = Path("runs/x/one")
    if broken:
        for name in ("last", "best"):  # two names of one file
            cut(run / f"checkpoints/{name}.safetensors")
    result = train(resume=Path(target) / "checkpoints/step-00000012.safetensors")
    assert (result.metrics, result.best, result.run_dir) == (whole.metrics, whole.best, run)
    assert_same_state(run, straight)
    assert epoch_numbers(run) == epoch_numbers(straight)
    assert [row["step"] for row in table(run)] == [row["step"] for row in table(straight)]
    assert [row["step"] for row in rows(run, "started")] == [0, 12]
    kept = [name for name in names(run) if not name.startswith("superseded-")]
    assert kept == names(straight)
    for name in kept:
        content = (straight / "checkpoints" / name).read_bytes()
        assert (run / "checkpoints" / name).read_bytes() == content
    if not broken:
        ahead = {"superseded-best.safetensors", "superseded-last.safetensors", "superseded-step-00000016.safetensors"}
        assert set(names(run)) - set(kept) == ahead
        assert load(run / "checkpoints/superseded-last.safetensors").metadata["state"]["step"] == 20


def test_the_best_of_later_is_not_the_best_of_a_run_that_went_back():
    """Its file is set aside; the best up to there is found under another name, or told to be gone."""
    config = write_config(**JUMPY, checkpoint={"keep_last": 9, "monitor": "validation/accuracy"})
    run, first = run_of(config, "run")
    assert first.best is not None
    later = first.best.step
    assert later > 4
    back = run / "checkpoints" / f"step-{later - 4:08d}.safetensors"
    told = load(back).metadata["state"]["memory"]["best"]
    result = train(None, [f"training.max_steps={later - 4}"], resume=back)
    assert result.best.to_json() == {"epoch": told["epoch"], "step": told["step"], "monitor": "validation/accuracy"} | {
        "value": told["value"]
    }
    assert load(run / "checkpoints/best.safetensors").metadata["state"]["step"] == told["step"]
    assert evaluate(run, split="validation").metrics["accuracy"] == told["value"]


def test_a_best_that_is_gone():
    config = write_config(**JUMPY, checkpoint={"keep_last": 9, "monitor": "validation/accuracy"})
    run, first = run_of(config, "run")
    assert first.best is not None
    best = first.best.step
    back = run / "checkpoints" / f"step-{best + 4:08d}.safetensors"
    assert back.exists()
    (run / "checkpoints" / f"step-{best:08d}.safetensors").unlink()
    cut(run / "checkpoints/best.safetensors")
    warnings = []
    result = train(resume=back, on_event=lambda event: warnings.append(event) if isinstance(event, Warned) else None)
    assert [event.message for event in warnings] == [
        f"the best checkpoint so far, of step {best}, is gone: the best is chosen among later ones"
    ]
    assert result.best is not None
    assert result.best.step > best + 4
    assert evaluate(run, split="validation").metrics["accuracy"] == result.best.value


def test_forward_again():
    config = write_config(training={"epochs": 5})
    straight, whole = run_of(config, "straight")
    run, _ = run_of(config, "run")
    train(None, ["training.max_steps=12"], resume=run / "checkpoints/step-00000012.safetensors")
    result = train(resume=run / "checkpoints/superseded-last.safetensors")
    assert (result.metrics, result.best) == (whole.metrics, whole.best)
    assert_same_state(run, straight)
