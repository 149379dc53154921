"""``bp generate``: what is drawn, how far a network remembers, and what is said of a prompt that it does not know."""

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from api_support import bp, run_of, start_bp, write_config

from backprop_cli.api.generate import generate
from backprop_cli.data.sections import TextSettings
from backprop_cli.data.tokenizer import Tokenizer
from backprop_cli.errors import UsageError
from backprop_cli.inspection.token_sampling import Sampler
from backprop_cli.session.trained_network import open_network
from backprop_cli.training.token_reader import Stepwise, Windowed, reader

CONTEXT = 8
START = {"type": "embedding", "tokens": 5, "width": 12}
END = {"type": "dense", "units": 5}
ATTENTION = [
    START,
    {"type": "positional_embedding", "name": "place"},
    {"type": "attention", "heads": 2, "causal": True},
    {"type": "add", "inputs": ["place", "attention_1"]},
    END,
]
NETWORKS = {
    "attention": ATTENTION,
    "gru": [START, {"type": "gru", "units": 12, "output": "sequence"}, END],
    "flat": [START, "flatten", {"type": "dense", "units": 5 * CONTEXT}, {"type": "reshape", "shape": [CONTEXT, 5]}],
}


def train_on(text, layers, name="run", **more):
    Path("words.txt").write_text(text)
    path = write_config(Path("words.yaml"), loss="next_token")
    tree = yaml.safe_load(path.read_text())
    tree |= {
        "data": {"source": "words.txt", "text": {"context": CONTEXT} | more, "split": "none"},
        "model": {"layers": layers},
        "optimizer": {"type": "adam", "learning_rate": 0.02},
        "training": {"epochs": 40, "batch_size": 8},
    }
    path.write_text(yaml.safe_dump(tree))
    return run_of(path, name)[0]


def checkpoint(run):
    return run / "checkpoints" / "best.safetensors"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attention")
    with contextlib.chdir(folder):
        return folder / train_on("abcd\n" * 60, ATTENTION)


@pytest.fixture
def run(trained):
    shutil.copytree(trained, "run")
    return Path("run")


def said(capsys, code, *words):
    assert bp("generate", *words) == code
    return capsys.readouterr().err


@pytest.mark.parametrize("kind", ["attention", "gru"])
def test_what_it_learned_goes_on_beyond_the_context(kind):
    found = generate(train_on("abcd\n" * 60, NETWORKS[kind]), prompt="ab", tokens=4 * CONTEXT, temperature=0)
    assert "ab" + found.text == ("abcd\n" * 10)[: 4 * CONTEXT + 2]


@pytest.mark.parametrize("kind", NETWORKS)
def test_reading_token_by_token_is_reading_the_window(kind):
    run = train_on("abcd\n" * 60, NETWORKS[kind])
    saved = open_network(checkpoint(run))
    step, window = reader(saved.recipe, saved.vectors), Windowed(saved.recipe, saved.vectors)
    assert type(step) is (Windowed if kind == "flat" else Stepwise)
    tokens = np.random.default_rng(0).integers(0, 5, 3 * CONTEXT)
    for _ in range(2):  # start() forgets all
        step.start()
        window.start()
        for token in tokens[:CONTEXT]:
            np.testing.assert_allclose(step.read(int(token)), window.read(int(token)), rtol=1e-4, atol=1e-5)


def test_a_full_memory_starts_again_from_its_last_half(run):
    saved = open_network(checkpoint(run))
    tokens = np.random.default_rng(0).integers(0, 5, CONTEXT + 3).tolist()
    on, anew = (reader(saved.recipe, saved.vectors) for _ in range(2))
    for token in tokens:
        last = on.read(token).copy()
    for token in tokens[CONTEXT // 2 :]:
        expected = anew.read(token)
    np.testing.assert_array_equal(last, expected)


def test_next_to_0_the_temperature_is_0(run):
    coldest = generate(run, tokens=9, temperature=0)
    assert generate(run, tokens=9, temperature=1e-320).text == coldest.text


def test_lines_begin_anew_after_each_newline(capsys):
    run = train_on("abc\nbca\ncab\n" * 30, [START | {"tokens": 4}, NETWORKS["gru"][1], END | {"units": 4}], lines=True)
    found = generate(run, tokens=200, temperature=0.3)
    assert set(found.text.split("\n")[:-1]) == {"abc", "bca", "cab"}
    assert generate(run, prompt="c", tokens=3, temperature=0).text == "ab\n"
    assert generate(run, prompt="abc\nb", tokens=3, temperature=0).text == "ca\n"


def test_text_is_written_as_it_is_drawn(run, capsys):
    assert bp("generate", run, "--prompt", "ab", "--tokens", 7, "--temperature", 0) == 0
    captured = capsys.readouterr()
    assert captured.out == "abcd\nabcd\n"
    assert captured.err == f"checkpoint {checkpoint(run)}\n"
    assert bp("generate", run, "--prompt", "ab", "--tokens", 2, "--temperature", 0) == 0
    assert capsys.readouterr().out == "abcd\n"
    assert bp("generate", run, "--prompt", "ab", "--tokens", 0) == 0
    assert capsys.readouterr().out == "ab\n"
    pieces = []
    found = generate(run, tokens=20, seed=3, on_text=pieces.append)
    assert "".join(pieces) == found.text
    assert len(pieces) == 20


@pytest.mark.parametrize(("tokens", "text"), [(2, "abc\n"), (4, "abcd\n")])
def test_an_interrupted_text_ends_its_line(run, capsys, monkeypatch, tokens, text):
    draw, drawn = Sampler.__call__, []

    def interrupted(self, outputs):
        if len(drawn) == tokens:
            raise KeyboardInterrupt
        drawn.append(draw(self, outputs))
        return drawn[-1]

    monkeypatch.setattr(Sampler, "__call__", interrupted)
    assert bp("generate", checkpoint(run), "--prompt", "a", "--temperature", "0") == 130
    assert capsys.readouterr() == (text, "interrupted\n")


def test_json_is_one_object(run, capsys):
    words = ("--prompt", "ab", "--tokens", 4, "--temperature", 0.5, "--top-k", 2, "--seed", 7, "--json")
    assert bp("generate", run, *words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {
        "checkpoint": str(checkpoint(run)),
        "prompt": "ab",
        "text": generate(run, prompt="ab", tokens=4, temperature=0.5, top_k=2, seed=7).text,
        "tokens": 4,
        "temperature": 0.5,
        "top_k": 2,
        "seed": 7,
    }


def test_same_seed_same_text(run):
    texts = [generate(run, tokens=60, temperature=3.0, seed=seed).text for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert generate(run, tokens=60, top_k=1, seed=5).text == generate(run, tokens=60, temperature=0).text


SCORES = np.log(np.array([0.5, 0.3, 0.15, 0.05]))


def draws(count=20_000, unknown=None, **options):
    vocabulary = ("a", "b", "c", "<unknown>" if unknown else "d")
    given = {"temperature": 1.0, "top_k": None, "rng": np.random.default_rng(0), **options}
    draw = Sampler(Path("x"), Tokenizer(TextSettings(), vocabulary), **given)
    return np.bincount([draw(SCORES) for _ in range(count)], minlength=4) / count


def test_shares_are_those_of_the_scores():
    np.testing.assert_allclose(draws(), [0.5, 0.3, 0.15, 0.05], atol=0.012)
    half = np.array([0.5, 0.3, 0.15, 0.05]) ** 2
    np.testing.assert_allclose(draws(temperature=0.5), half / half.sum(), atol=0.012)
    np.testing.assert_allclose(draws(top_k=2), [0.625, 0.375, 0, 0], atol=0.012)
    np.testing.assert_allclose(draws(unknown=True), np.array([0.5, 0.3, 0.15, 0]) / 0.95, atol=0.012)
    np.testing.assert_array_equal(draws(100, temperature=0), [1, 0, 0, 0])
    np.testing.assert_array_equal(draws(100, temperature=1e-300), [1, 0, 0, 0])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--tokens", -1), "--tokens -1: must be 0 or greater"),
        (("--temperature", -1), "--temperature -1: must be 0 (the most probable token) or a number above it"),
        (("--temperature", "nan"), "--temperature nan: must be 0 (the most probable token) or a number above it"),
        (("--top-k", 0), "--top-k 0: must be 1 or greater"),
        (("--seed", -1), "--seed -1: must be 0 or greater"),
        (
            ("--prompt", "ab\nxb"),
            "--prompt:2:1: character 'x' is not one of the 5 characters that the network was trained on; remove it, or "
            "train with data.text.minimum_count: 2, which maps rare ones to <unknown>",
        ),
    ],
)
def test_what_is_refused(words, message, run, capsys):
    assert said(capsys, 2, run, *words).removeprefix(f"checkpoint {checkpoint(run)}\n") == f"{message}\n"


def test_a_network_that_was_not_trained_on_a_text(capsys):
    run, _ = run_of(write_config(), "run")
    path = run / "checkpoints" / "best.safetensors"
    assert said(capsys, 5, path) == f"{path}: its network was trained on x, y, not on a text; use one that was\n"


def test_a_checkpoint_that_is_not_there(capsys):
    assert bp("generate", "none.safetensors") == 5
    assert "none.safetensors" in capsys.readouterr().err
    with pytest.raises(UsageError):
        generate("none.safetensors", top_k=0)


def test_a_reader_that_leaves_ends_it(run):
    process = start_bp("generate", checkpoint(run), "--tokens", 10_000_000)
    assert process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=20) == 0
    assert process.stderr.read() == ""
    process.stderr.close()
