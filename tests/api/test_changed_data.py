"""Data files that changed since a run began: resuming would split the rows differently, and is refused."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from api_support import bp, record, run_of, stop_at, write_config, write_flowers

from backprop_cli.api.eval import evaluate
from backprop_cli.api.train import train
from backprop_cli.errors import DataError, InterruptionError
from backprop_cli.run.checkpoint import load


def sorted_rows(path: Path = Path("flowers.csv")) -> None:
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *sorted(rows)]) + "\n")


def appended(path: Path = Path("flowers.csv")) -> None:
    path.write_text(path.read_text() + "1.0,2.0,a\n")


def of_another_class(path: Path = Path("flowers.csv")) -> None:
    path.write_text(path.read_text() + "1.0,2.0,d\n")


def without_a_column(path: Path = Path("flowers.csv")) -> None:
    path.write_text("\n".join(line.partition(",")[2] for line in path.read_text().splitlines()) + "\n")


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refusal(path: Path, digest: str) -> str:
    return (
        f"{path.resolve()}: has changed since the run began (its sha256 was {digest}): rows would be split "
        "differently, and the run would be tested on rows it was trained on; restore the old file, or accept it with "
        "--accept-changed-data\n"
    )


@pytest.mark.parametrize("change", [sorted_rows, appended, of_another_class, without_a_column])
def test_a_run_does_not_go_on_with_changed_data(change, capsys):
    run, _ = run_of(write_config(), "run", ["training.epochs=1"])
    data = Path("flowers.csv")
    digest, before = digest_of(data), {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    change()
    assert bp("train", "--resume", run, "training.epochs=2") == 6
    assert capsys.readouterr().err == refusal(data, digest)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert bp("train", "--resume", run, "training.epochs=2", "--dry-run") == 6


def test_changed_data_that_is_accepted(capsys):
    run, _ = run_of(write_config(), "run", ["training.epochs=1"])
    data = Path("flowers.csv")
    first = {str(data.resolve()): digest_of(data)}
    sorted_rows()
    now = {str(data.resolve()): digest_of(data)}
    told = f"{data.resolve()}: has changed since the run began (its sha256 was {first[str(data.resolve())]})"
    assert bp("train", "--resume", run, "training.epochs=2", "--accept-changed-data") == 0
    assert capsys.readouterr().err.splitlines()[:2] == [
        "warning: the best so far starts anew: the data has changed",
        f"warning: {told}; metrics may include rows that the run was trained on",
    ]
    written = record(run)
    assert written["data"] == first
    assert written["resumed"][0]["accepted_data"] == now
    metadata = load(run / "checkpoints" / "last.safetensors").metadata
    assert (metadata["data"], metadata["accepted_data"]) == ([*first.values()], [[*now.values()]])
    # Every later resumption needs the flag, whichever of the two files it finds.
    assert bp("train", "--resume", run, "training.epochs=3") == 6
    capsys.readouterr()
    write_flowers()
    assert bp("train", "--resume", run, "training.epochs=3") == 6
    assert capsys.readouterr().err == (
        f"{data.resolve()}: the run was trained on other data for a while: rows would be split "
        "differently, and the run would be tested on rows it was trained on; accept it with --accept-changed-data if "
        "that is intended\n"
    )
    assert bp("train", "--resume", run, "training.epochs=3", "--accept-changed-data", "--quiet") == 0
    assert record(run)["data"] == first
    metadata = load(run / "checkpoints" / "last.safetensors").metadata
    assert metadata["accepted_data"] == [[*now.values()], [*first.values()]]


def test_a_run_keeps_its_fitted_transform_with_other_rows():
    run, _ = run_of(write_config(loss={"type": "cross_entropy", "class_weight": "balanced"}), "run")
    before = load(run / "checkpoints" / "last.safetensors").metadata
    write_flowers(rows=90, seed=3)
    train(None, ["training.epochs=4"], resume=run, accept_changed_data=True)
    after = load(run / "checkpoints" / "last.safetensors").metadata
    assert [after[key] for key in ("transform", "classes", "class_weights")] == [
        before[key] for key in ("transform", "classes", "class_weights")
    ]
    of_another_class()
    with pytest.raises(DataError, match="class 'd' is not in the train split, which has a, b, c"):
        train(None, ["training.epochs=5"], resume=run, accept_changed_data=True)


def test_an_epoch_that_was_begun_with_other_rows_begins_anew():
    config = write_config(log={"every_steps": 1})
    with pytest.raises(InterruptionError):
        train(config, run_dir=Path("run"), on_event=stop_at(2))
    write_flowers(rows=30)
    epochs = train(resume=Path("run"), accept_changed_data=True)
    assert (epochs.epochs, epochs.steps) == (3, 2 + 3 * 2)  # 21 examples are 2 batches


def test_the_way_on_after_an_interruption_names_the_flag():
    run, _ = run_of(write_config(log={"every_steps": 1}), "run", ["training.epochs=1"])
    sorted_rows()
    with pytest.raises(InterruptionError, match=r"resume with: bp train --resume run --accept-changed-data$"):
        train(None, ["training.epochs=3"], resume=run, accept_changed_data=True, on_event=stop_at(6))


def test_metrics_at_the_end_are_those_of_eval_after_a_change():
    run, _ = run_of(write_config(), "run")
    write_flowers(seed=2)
    result = train(None, ["training.epochs=5"], resume=run, accept_changed_data=True)
    assert result.best is not None
    assert result.best.epoch > 3
    found = evaluate(run).metrics
    assert {f"test/{name}": value for name, value in found.items()}.items() <= result.metrics.items()


@pytest.mark.parametrize("name", ["run", *(f"run/checkpoints/{n}.safetensors" for n in ("best", "step-00000004"))])
def test_eval_knows_of_changed_data(name, capsys):
    run_of(write_config(), "run")
    data = Path("flowers.csv")
    digest = digest_of(data)
    assert bp("eval", name, "--require", "loss<100") == 0
    capsys.readouterr()
    sorted_rows()
    told = (
        f"{data.resolve()}: has changed since the run began (its sha256 was {digest}); "
        "the split may hold rows that the network was trained on"
    )
    assert bp("eval", name) == 0
    assert capsys.readouterr().err.splitlines()[-1] == f"warning: {told}"
    assert bp("eval", name, "--require", "loss<100") == 3
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1] == f"not met: {told}; restore the old file, or add --accept-changed-data"
    assert captured.out.startswith("9 examples\n")
    assert bp("eval", name, "--require", "loss<100", "--json") == 3
    found = json.loads(capsys.readouterr().out)
    unproven = f"{told}; restore the old file, or add --accept-changed-data"
    assert found["error"] == {"code": 3, "kind": "check", "problems": [{"message": unproven}]}
    assert [each["met"] for each in found["requirements"]] == [True]
    assert bp("eval", name, "--require", "loss<100", "--accept-changed-data") == 0
    assert capsys.readouterr().err.splitlines()[-1] == f"warning: {told}"
    assert bp("eval", name, "--require", "loss<0", "--accept-changed-data") == 3
    # Other data is meant, and so is another file.
    capsys.readouterr()
    assert bp("eval", name, "--data", "flowers.csv", "--require", "loss<100") == 0
    assert bp("eval", name, "data.source=flowers.csv", "--require", "loss<100") == 0
    assert "warning" not in capsys.readouterr().err


def test_eval_knows_of_data_that_was_accepted_in_between(capsys):
    run, _ = run_of(write_config(), "run", ["training.epochs=1"])
    sorted_rows()
    train(None, ["training.epochs=2"], resume=run, accept_changed_data=True)
    write_flowers()
    last = run / "checkpoints" / "last.safetensors"
    assert bp("eval", last, "--require", "loss<100") == 3
    assert capsys.readouterr().err == (
        f"not met: {Path('flowers.csv').resolve()}: the run was trained on other data for a while; the split may "
        "hold rows that the network was trained on; add --accept-changed-data if that is intended\n"
    )
    assert evaluate(run / "checkpoints" / "step-00000004.safetensors", require=["loss<100"]).failed == ()


def test_data_that_moved_is_the_same(capsys):
    run, _ = run_of(write_config(), "run", ["training.epochs=1"])
    Path("flowers.csv").rename("flowers.data")
    assert bp("train", "--resume", run, "training.epochs=2") == 6
    assert capsys.readouterr().err == "flowers.csv: no such file\n"
    words = ["data.source=flowers.data", "data.format=csv", "training.epochs=2", "--quiet"]
    assert bp("train", "--resume", run, *words) == 0
    assert bp("train", "--resume", run, "training.epochs=3", "--quiet") == 0
    assert capsys.readouterr().err == ""
    assert list(record(run)["data"]) == [str(Path("flowers.csv").resolve())]


def test_which_of_several_files_changed(capsys):
    rng = np.random.default_rng(0)
    for split, rows in (("a", 40), ("b", 20)):
        np.save(f"{split}.inputs.npy", rng.standard_normal((rows, 2)).astype(np.float32))
        np.save(f"{split}.targets.npy", rng.integers(0, 3, rows))
    files = {
        split: {"inputs": f"{name}.inputs.npy", "targets": f"{name}.targets.npy"}
        for split, name in (("train", "a"), ("test", "b"))
    }
    config = write_config()
    tree = {"data": files, "model": {"layers": [{"type": "dense", "units": 3}]}, "loss": "cross_entropy"}
    config.write_text(json.dumps({**tree, "training": {"epochs": 1}}))
    run, _ = run_of(config, "run")
    changed = Path("b.targets.npy")
    digest = digest_of(changed)
    np.save(changed, np.zeros(20, np.int64))
    assert bp("train", "--resume", run, "training.epochs=2") == 6
    assert capsys.readouterr().err == refusal(changed, digest)
    # Two files of a pair in each other's place are others, too.
    np.save("a.inputs.npy", np.load("a.inputs.npy")[::-1])
    assert bp("train", "--resume", run, "training.epochs=2") == 6
    assert "a.inputs.npy: has changed" in capsys.readouterr().err


def test_a_generated_set_never_changes():
    data = {"source": None, "generate": "moons", "target": None}
    run, _ = run_of(write_config(data=data, model={"layers": [{"type": "dense", "units": 2}]}), "run")
    assert train(None, ["training.epochs=4"], resume=run).epochs == 4
    assert evaluate(run, require=["loss<100"]).failed == ()


def test_what_the_flag_is_not_for(capsys):
    assert bp("train", write_config(), "--accept-changed-data") == 2
    assert capsys.readouterr().err == (
        "train: --accept-changed-data is for --resume; a new run takes its data as it is\n"
    )
    assert bp("train", write_config(), "--find-lr", "--accept-changed-data") == 2
    assert capsys.readouterr().err == (
        "train: --accept-changed-data is for --resume; a new run takes its data as it is\n"
    )


def test_a_range_test_takes_changed_data_as_a_resumed_run_does(capsys):
    run, _ = run_of(write_config(), "run")
    digest = digest_of(Path("flowers.csv"))
    sorted_rows()
    capsys.readouterr()
    assert bp("train", "--resume", run, "--find-lr") == 6
    assert capsys.readouterr().err == refusal(Path("flowers.csv"), digest)
    assert bp("train", "--resume", run, "--find-lr", "--accept-changed-data") == 0
    assert f"has changed since the run began (its sha256 was {digest}); metrics may" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_is_no_file_any_more_is_not_waited_for(capsys):
    run, _ = run_of(write_config(), "run")
    is_stream = "is a stream, and data is read more than once; save it to a file, and name that"
    assert bp("train", "--resume", run, "data.source=/dev/zero") == 6
    assert capsys.readouterr().err.endswith(f"/dev/zero: {is_stream}\n")
    Path("flowers.csv").unlink()
    os.mkfifo("flowers.csv")
    assert bp("train", "--resume", run) == 6
    assert capsys.readouterr().err == f"flowers.csv: {is_stream}\n"
