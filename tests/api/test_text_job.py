"""A text from the configuration to metrics: what is trained on, what is measured, and what is said instead of rows."""

import json
from pathlib import Path

import numpy as np
import pytest
from api_support import assert_same_state, bp, known_run, record, run_of, write_config

from backprop_cli.api.train import train
from backprop_cli.session.trained_network import open_network
from backprop_cli.training.events import Started

TEXT = "the cat sat on the mat and the dog sat on the log\n" * 40


@pytest.fixture
def config() -> Path:
    Path("t.txt").write_text(TEXT)
    path = write_config(
        data={"text": {"context": 8, "stride": 3}},
        model={
            "layers": [
                {"type": "embedding", "tokens": 20, "width": 8},
                {"type": "dense", "units": 16, "activation": "tanh"},
                {"type": "dense", "units": len(set(TEXT))},
            ]
        },
        loss="next_token",
        gradient_check={},
    )
    path.write_text(path.read_text().replace("source: flowers.csv", "source: t.txt").replace("  target: kind\n", ""))
    return path


def test_training_is_on_all_windows_and_metrics_count_each_token_once(config, capsys):
    events = []
    run, result = run_of(config, "run", on_event=events.append)
    tokens = round(0.7 * len(TEXT))
    (started,) = [event for event in events if isinstance(event, Started)]
    assert started.examples["train"] == (tokens - 8 - 1) // 3 + 1
    assert bp("eval", run, "--split", "train", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["examples"] == -(-(tokens - 1) // 8)
    assert found["metrics"]["loss"] == pytest.approx(result.metrics["train/loss"], rel=1e-6)
    assert list(record(run)["data"]) == [str(Path("t.txt").resolve())]


@pytest.mark.parametrize("ignore", [-1, 0])
@pytest.mark.parametrize("more", [1, 2, 7, 8])
def test_the_last_tokens_of_a_text_count_as_the_others_do(config, capsys, more, ignore):
    """Examples know nothing of each other, so sums over two texts are sums over both in one."""
    run, _ = known_run(config, "run", [f"loss={{type: next_token, ignore: {ignore}}}"])

    def sums(text: str) -> np.ndarray:
        Path("part.txt").write_text(text)
        assert bp("eval", run, "--data", "part.txt", "--json", "--require", "accuracy>=0", *required) == 0
        found = json.loads(capsys.readouterr().out)["metrics"]
        counted = sum(c != ignored for c in text[1:])
        assert found["perplexity"] == pytest.approx(np.exp(found["loss"]), rel=1e-5)
        return counted * np.array([found["loss"], found["accuracy"]]) if counted else np.zeros(2)

    required, ignored = ("--require", "perplexity>=0"), "\n" if ignore == 0 else ""
    text = TEXT[30 : 30 + 17 + more]
    np.testing.assert_allclose(sums(text), sums(text[:17]) + sums(text[16:]), rtol=1e-5)


def test_the_checkpoint_is_all_that_other_texts_need(config, capsys):
    run, _ = known_run(config, "run")
    Path("t.txt").unlink()
    Path("new.txt").write_text("the dog sat on the mat\n" * 4)
    assert bp("eval", run, "--data", "new.txt", "--require", "perplexity<20") == 0
    saved = open_network(run / "checkpoints" / "best.safetensors")
    assert saved.classes == sorted(set(TEXT))
    assert saved.transform.text.decode(saved.transform.text.encode("the hen", "text")) == "the hen"
    Path("new.txt").write_text("the dog\nbit\n" * 4)
    capsys.readouterr()
    assert bp("eval", run, "--data", "new.txt") == 6
    assert capsys.readouterr().err.splitlines()[-1].startswith("new.txt:2:1: character 'b' is not one of the 14 ")


def test_it_predicts_no_rows(config, capsys):
    run, _ = known_run(config, "run")
    assert bp("predict", run, "t.txt") == 2
    best = run / "checkpoints" / "best.safetensors"
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"predict: {best} is a text generator and cannot predict rows; use: bp generate {best}"
    )


def test_a_resumed_run_is_the_same(config):
    run_of(config, "whole", ["training.epochs=4"])
    run_of(config, "cut", ["training.epochs=2"])
    train(resume=Path("cut"), overrides=["training.epochs=4"])
    assert_same_state(Path("whole"), Path("cut"))


def test_the_embedding_must_know_every_token(config, capsys):
    assert bp("validate", config, "model.layers.0.tokens=9") == 2
    assert capsys.readouterr().err == (
        "override model.layers.0.tokens=9: layer embedding_1 knows 9 tokens, but the data has 14; set tokens: 14\n"
        "1 problem; nothing was run.\n"
    )


def test_lines_of_words(config):
    lines = [f"{a} and {b}\n" for a in ("cats", "dogs", "owls") for b in ("mice", "men")]
    Path("t.txt").write_text("".join(lines) * 9)
    words = {"tokens": "word", "lines": "true", "context": 5, "stride": "null"}
    overrides = [*(f"data.text.{key}={value}" for key, value in words.items()), "model.layers.2.units=7"]
    _, result = run_of(config, "run", [*overrides, "training.epochs=40", "optimizer.learning_rate=0.05"])
    # Of the four tokens after the newline the first is one of three and the third one of two; the others are sure.
    assert result.metrics["test/loss"] == pytest.approx(np.log(3 * 2) / 4, rel=0.1)
    assert np.exp(result.metrics["test/loss"]) == pytest.approx(result.metrics["test/perplexity"], rel=1e-4)
