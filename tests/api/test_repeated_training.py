"""``bp train --folds K --seeds N``: several runs under one directory, and what they say together."""

import csv
import json
import os
import re
import signal
import statistics
from pathlib import Path

import numpy as np
import pytest
from api_support import bp, last, record, write_config, write_flowers
from scipy import stats

from backprop_cli.api.eval import evaluate
from backprop_cli.api.train import train
from backprop_cli.config.load import load_config
from backprop_cli.errors import InterruptionError, UsageError
from backprop_cli.session.experiment import prepare
from backprop_cli.session.repeated import Summary, student
from backprop_cli.training.events import Epoch, Warned


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 9, 10, 14, 29, 30, 99])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
def test_students_distribution(level, degrees):
    assert student(level, degrees) == pytest.approx(stats.t.ppf(0.5 + level / 2, degrees), rel=1e-9)


def test_a_summary_is_that_of_scipy():
    values = [0.91, 0.93, 0.9, 0.97]
    found = Summary.of(values)
    expected = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert found.interval == pytest.approx(expected)
    assert (found.mean, found.sd) == pytest.approx((np.mean(values), np.std(values, ddof=1)))


def table(path):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def test_folds_and_seeds(capsys):
    write_flowers(rows=60)
    assert bp("train", write_config(), "--folds", 3, "--seeds", 2, "--run-dir", "run", "--json") == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    folders = [f"fold-{fold}-seed-{seed}" for seed in (0, 1) for fold in (1, 2, 3)]
    assert sorted(path.name for path in Path("run").iterdir() if path.is_dir()) == sorted(folders)
    each = [record(Path("run") / folder) for folder in folders]
    for name in ("test/accuracy", "validation/loss", "train/loss"):
        values = [one["metrics"][name] for one in each]
        summary = found["folds"][name]
        assert summary["values"] == values
        assert summary["mean"] == found["metrics"][name] == statistics.fmean(values)
        assert summary["sd"] == pytest.approx(statistics.stdev(values))
        assert summary["interval"] == pytest.approx(stats.t.interval(0.95, 5, np.mean(values), stats.sem(values)))
    assert (found["run_dir"], found["status"], found["epochs"], found["best"]) == ("run", "finished", 18, None)
    assert [line.partition(":")[0] for line in captured.err.splitlines()] == [
        f"fold {fold} of 3, seed {seed}" for seed in (0, 1) for fold in (1, 2, 3)
    ]
    assert Path("run/log.txt").read_text() == captured.err
    assert record(Path("run"))["folds"] == found["folds"]
    assert found["baselines"]["majority"]["test/accuracy"] == pytest.approx(
        statistics.fmean(one["baselines"]["majority"]["test/accuracy"] for one in each)
    )


def test_every_row_is_predicted_once_a_seed_by_a_network_that_has_not_seen_it():
    write_flowers(rows=60)
    assert bp("train", write_config(), "--folds", 4, "--seeds", 2, "--run-dir", "run", "--quiet") == 0
    rows = table("run/predictions.csv")
    assert list(rows[0]) == [
        *("row", "fold", "seed", "kind", "prediction"),
        *("probability_a", "probability_b", "probability_c"),
    ]
    truth = [line.rpartition(",")[2] for line in Path("flowers.csv").read_text().splitlines()]
    for seed in ("0", "1"):
        own = [row for row in rows if row["seed"] == seed]
        assert sorted(int(row["row"]) for row in own) == list(range(2, 62))
        assert all(row["kind"] == truth[int(row["row"]) - 1] for row in own)
        right = statistics.fmean(row["kind"] == row["prediction"] for row in own if row["fold"] == "2")
        assert right == pytest.approx(evaluate(f"run/fold-2-seed-{seed}").metrics["accuracy"])


def test_a_fold_is_an_ordinary_run():
    write_flowers(rows=60)
    config = write_config()
    train(config, folds=3, run_dir="run")
    train(config, ["seed=0", "data.split.fold={number: 2, of: 3}"], run_dir="single")
    found, expected = last(Path("run/fold-2-seed-0")).tensors, last(Path("single")).tensors
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


def splits(*overrides):
    dataset = prepare(load_config(Path("flowers.yaml"), [*overrides])).dataset
    return {name: set(split.rows.tolist()) for name, split in dataset.splits.items()}, dataset


def test_the_folds_divide_the_rows_and_stratify():
    write_flowers(rows=90)
    write_config()
    folds = [splits(f"data.split.fold={{number: {fold}, of: 5}}") for fold in range(1, 6)]
    assert set.union(*(rows["test"] for rows, _ in folds)) == set(range(2, 92))
    assert sum(len(rows["test"]) for rows, _ in folds) == 90
    shares = np.bincount(np.concatenate([data.test.targets for _, data in folds])) / 90
    for rows, data in folds:
        assert sum(map(len, rows.values())) == len(set.union(*rows.values())) == 90
        assert np.abs(np.bincount(data.test.targets) - 18 * shares).max() < 2
        assert len(rows["validation"]) == round(72 * 0.15 / 0.85)


def test_folds_by_group_and_in_time():
    rng = np.random.default_rng(0)
    lines = [f"{x:.3f},g{k % 11},{k // 2},{'ab'[k % 2]}" for k, x in enumerate(rng.normal(size=80))]
    Path("flowers.csv").write_text("\n".join(["x,group,day,kind", *lines]) + "\n")
    write_config(data={"features": ["x"]}, model={"layers": [{"type": "dense", "units": 2}]})
    tests = []
    for fold in (1, 2, 3):
        rows, _ = splits(f"data.split={{by: group, fold: {{number: {fold}, of: 3}}}}")
        groups = {name: {(row - 2) % 11 for row in chosen} for name, chosen in rows.items()}
        assert sum(map(len, groups.values())) == 11
        tests.append(rows["test"])
    assert sum(map(len, tests)) == len(set.union(*tests)) == 80
    sizes = []
    for fold in (1, 2, 3):
        rows, _ = splits(f"data.split={{time: day, fold: {{number: {fold}, of: 3}}}}")
        assert max(rows["train"]) < min(rows["validation"]) <= max(rows["validation"]) < min(rows["test"])
        sizes.append((len(rows["train"]) + len(rows["validation"]), len(rows["test"])))
    assert sizes == [(20, 20), (40, 20), (60, 20)]


def test_seeds_alone(capsys):
    assert bp("train", write_config(), "seed=7", "--seeds", 2, "--run-dir", "run") == 0
    out = capsys.readouterr().out.splitlines()
    assert sorted(path.name for path in Path("run").iterdir() if path.is_dir()) == ["seed-7", "seed-8"]
    assert not Path("run/predictions.csv").exists()
    assert out[:2] == [
        "run run",
        "mean of 2 runs (sd, 95 % interval of the mean by Student's t with 1 degree of freedom)",
    ]
    assert out[2].startswith("test/loss ")


def test_an_interrupted_one_goes_on_and_repeats_nothing():
    write_flowers(rows=60)
    config = write_config(training={"epochs": 8})
    train(config, folds=3, run_dir="straight")
    seen = []

    def interrupt(path, real=os.kill):
        """A signal in the second run, from a listener that sees only warnings: so it is sent at the first one."""
        seen.append(path)
        if len(seen) == 1:
            real(os.getpid(), signal.SIGINT)

    with pytest.raises(InterruptionError) as caught:
        train(config, folds=3, run_dir="run", on_run=interrupt_in_next(interrupt))
    assert caught.value.exit_code == 130
    assert str(caught.value) == "interrupted in run 2 of 3; everything is saved; resume with: bp train --resume run"
    assert record(Path("run"))["status"] == "interrupted"
    before = (Path("run/fold-1-seed-0/run.json").stat().st_mtime_ns, record(Path("run/fold-1-seed-0"))["end"])
    assert bp("train", "--resume", "run", "--quiet") == 0
    assert (Path("run/fold-1-seed-0/run.json").stat().st_mtime_ns, record(Path("run/fold-1-seed-0"))["end"]) == before
    assert record(Path("run"))["metrics"] == record(Path("straight"))["metrics"]
    assert Path("run/predictions.csv").read_text() == Path("straight/predictions.csv").read_text()


def interrupt_in_next(send):
    """After the first run, send the signal as soon as the second has begun to note signals."""
    from backprop_cli.session.session import Session

    def told(line):
        real = Session._open_record

        def opened(self):
            Session._open_record = real
            real(self)
            send(line)

        Session._open_record = opened

    return told


def test_killed_before_its_first_checkpoint():
    write_flowers(rows=60)
    config = write_config()
    train(config, folds=2, run_dir="run")
    for path in Path("run/fold-2-seed-0/checkpoints").iterdir():
        path.unlink()
    told = json.loads(Path("run/fold-2-seed-0/run.json").read_text())
    Path("run/fold-2-seed-0/run.json").write_text(json.dumps({**told, "status": "running"}))
    before = record(Path("run"))["metrics"]
    train(resume="run")
    assert record(Path("run"))["metrics"] == before


def test_warnings_are_told_once():
    found = []
    write_flowers(rows=60)
    config = write_config(training={"epochs": 12, "batch_size": 1000})
    train(config, ["optimizer.learning_rate=1e-4"], folds=2, run_dir="run", on_event=found.append)
    assert found
    assert not any(isinstance(event, Epoch) for event in found)
    messages = [event.message for event in found if isinstance(event, Warned)]
    assert len(messages) == len({re.sub("[0-9.]+", "", message) for message in messages}) == len(found)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--folds", "3", "--dry-run"], "--dry-run: goes with a single run, not with several; leave it out"),
        (["--folds", "3", "--find-lr"], "--folds: --find-lr writes no run; leave it out"),
        (["--seeds", "1"], "--seeds 1: there must be at least 2"),
        (["--folds", "99"], "flowers.csv: 60 rows cannot make 99 folds; take fewer"),
        (["--folds", "2", "data.window={length: 3}"], "folds go with single rows, and windows reach from one part"),
        (["--folds", "2", "data.source=none", "data.train=a.csv", "data.test=b.csv"], "a fold is the test split"),
        (["data.split.fold={number: 4, of: 3}"], "must be at most the number of folds, 3, got 4"),
    ],
)
def test_refusals(words, says, capsys):
    assert bp("train", write_config(), *words) in (2, 6)
    assert says in capsys.readouterr().err
    assert not Path("runs").exists()


def test_it_has_no_checkpoint_of_its_own(capsys):
    train(write_config(), folds=2, run_dir="run")
    assert bp("eval", "run") == 5
    assert capsys.readouterr().err.endswith("name one of the runs in it: run/fold-1-seed-0\n")


def test_overrides_do_not_go_with_resuming():
    train(write_config(), folds=2, run_dir="run")
    with pytest.raises(UsageError, match="its runs are trained alike; leave overrides, --folds and --seeds out"):
        train(None, ["training.epochs=9"], resume="run")
