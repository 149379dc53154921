"""The benchmarks run, and judge what they measured."""

import ast
import json
import mmap
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest

import backprop_cli
import benchmarks.__main__ as benchmarks
from backprop_cli.execution.compiler import compiler_obstacle
from backprop_cli.session.checked_plugins import read_config
from backprop_cli.training.step_program import forward
from benchmarks import markdown, networks
from benchmarks.bars import BARS, judge, linearity
from benchmarks.cases import read_idx
from benchmarks.command import BP, SCRIPTS, bp
from benchmarks.comparisons import COMPARISONS, Comparison, drawn
from benchmarks.compilation import extra_seconds
from benchmarks.families import FAMILIES, draw
from benchmarks.jobs import JOBS, commands, write_idx
from benchmarks.machine import machine
from benchmarks.measure import Line, Result, measure
from benchmarks.memory import forget_peak, peak_bytes
from benchmarks.networks import NETWORKS, NetworkCase
from benchmarks.peers import PEERS, Peer
from benchmarks.peers.bp_network import Network
from benchmarks.table import bars_text, families_text

ROOT = Path(__file__).parents[2]


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)


@pytest.mark.slow
def test_smallest_case(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    ran = _run(
        *("--cases", "tiny", "--peers", "bp_plan", "gemm", "--rounds", "1", "--seconds", "0.01", "--json", str(file))
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "tiny: 4-16-16-3, batch 32; ratios are to bp" in ran.stdout
    found = json.loads(file.read_text())
    assert found["machine"]["processors"] >= 1
    assert {"date", "cpu", "packages", "blas", "environment"} <= found["machine"].keys()
    (comparison,) = found["comparisons"]
    assert comparison["skipped"] == {}
    assert list(comparison["lines"]) == ["bp", "bp_plan", "gemm"]
    for line in comparison["lines"].values():
        assert len(line["seconds"]) == 1
        assert 0 < line["seconds"][0] == line["median_seconds"]
        assert line["ratio"]["min"] == line["ratio"]["median"] == line["ratio"]["max"] > 0
        assert line["memory_bytes"] > 1e6
    assert 0 < comparison["lines"]["bp"]["loss_after_an_epoch"] < 2
    assert (found["bars"], found["bars_not_measured"]) == ([], [])


def test_unknown_names() -> None:
    ran = _run("--cases", "huge")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("no case is called huge; known: tiny, small, large, depth, ")
    ran = _run("--peers", "caffe")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("no peer is called caffe; known: bp, bp_plan, bp_numpy, bp_numpy_plan, gemm, ")


def _result(name: str, **seconds: list[float]):
    lines = {line.replace("_", "-") if name == "depth" else line: Line(line, times) for line, times in seconds.items()}
    for line in lines.values():
        line.facts["memory_bytes"] = 50_000_000
    return Result(name, name, "step", next(iter(lines)), lines, {"mygrad": "not installed: mygrad"})


@pytest.mark.parametrize(("jax", "code", "mark"), [(5.2e-4, 1, "  MISSED"), (6.6e-4, 0, "")])
def test_check(monkeypatch, capsys, jax: float, code: int, mark: str) -> None:
    result = _result("tiny", bp=[1e-4, 2e-4, 1e-4], torch_fused=[4e-3, 8e-3, 4e-3], jax_step=[jax, 14e-4, jax])
    monkeypatch.setattr(benchmarks, "measure", lambda *_: result)
    monkeypatch.setattr(benchmarks, "machine", lambda: {**machine(), "no_compiler": ""})
    assert benchmarks.main(["--cases", "tiny", "--check"]) == code
    printed = capsys.readouterr().out
    assert (
        f"""
tiny: tiny; ratios are to bp
                            us a step    min  median    max  peak MB  threads  loss
  bp           bp                 100   1.00    1.00   1.00       50
  torch_fused  torch_fused      4,000  40.00   40.00  40.00       50
  jax_step     jax_step           {jax * 1e6:.0f}   {jax * 1e4:.2f}    {jax * 1e4:.2f}   7.00       50
  mygrad: not installed: mygrad

bars: time (or memory) of the peer over that of bp, medians
  bar   against                                       ratio  at least
  tiny  best peer called a step at a time: jax_step   {jax * 1e4:.3f}      6.00{mark}
  tiny  best PyTorch: torch_fused                    40.000     35.00
"""
        in printed
    )


def test_ratios_are_within_rounds() -> None:
    result = _result("tiny", bp=[1.0, 10.0], gemm=[0.5, 4.0])
    assert result.ratios("gemm") == [0.5, 0.4]


def test_linearity() -> None:
    straight = _result("depth", depth_4=[14.0], depth_32=[42.0], depth_64=[74.0])
    bent = _result("depth", depth_4=[14.0], depth_32=[42.0], depth_64=[90.0])
    assert linearity(straight) == ("bp", 1.0)
    assert linearity(bent) == ("bp", 1.5)


def test_bars_that_need_a_compiler() -> None:
    result = _result("tiny", bp=[1.0], jax_scan=[1.4], bp_numpy=[4.0], bp_numpy_plan=[3.9])
    verdicts, unmeasured = judge([result])
    assert [(v.bar.what, v.figure, v.passed) for v in verdicts] == [
        ("JAX scan", 1.4, False),
        ("the plan alone on NumPy", 0.975, True),
    ]
    assert unmeasured == []
    verdicts, unmeasured = judge([result], can_compile=False)
    assert [v.bar.what for v in verdicts] == ["the plan alone on NumPy"]
    assert bars_text([], unmeasured) == "not measured, for want of a C compiler:\n  tiny: JAX scan"


def test_missing_peer_says_so() -> None:
    assert Peer("none", "none", needs=("no_such_module",)).missing() == "not installed: no_such_module"
    assert Peer("numpy", "gemm", needs=("numpy",)).missing() == ""


def test_every_bar_names_a_case() -> None:
    known = [*COMPARISONS, *(comparison.name for comparison in drawn(1, seed=0))]
    assert [bar.case for bar in BARS if not any(fnmatch(name, bar.case) for name in known)] == []


@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_network_learns_what_its_examples_hold(name: str) -> None:
    case = NetworkCase(NETWORKS[name], batch=4, examples=8)
    data, again = case.data(), case.data()
    assert [x.tobytes() for x in next(data.batches)] == [x.tobytes() for x in next(again.batches)]
    network = Network(data)
    assert forward(network.recipe, 4, training=True).loss.shape == ()
    starts = network.recipe.layout.arrays(network.state.parameters)
    for name, start in starts.items():
        if start.ndim == 1:
            assert set(start.tolist()) == {float(name.endswith("weight"))}, name
        else:
            assert start.std() == pytest.approx(start[0].size ** -0.5, rel=0.2), name


@pytest.mark.parametrize("name", list(NETWORKS))
def test_pytorch_trains_the_same_network(name: str) -> None:
    _assert_same_in_pytorch(NETWORKS[name])


@pytest.mark.parametrize("family", list(FAMILIES))
def test_pytorch_trains_the_same_random_networks(family: str) -> None:
    for number in range(1, 6):
        _assert_same_in_pytorch(draw(family, number)[0])


def _assert_same_in_pytorch(network: networks.Network) -> None:
    pytest.importorskip("torch")
    case = NetworkCase(network, batch=4, examples=8)
    ours, theirs = (PEERS[peer].build(case.data()) for peer in ("bp_numpy", "torch_adam"))
    assert ours.loss() == pytest.approx(theirs.loss(), rel=1e-5)
    ours.run(2)
    theirs.run(2)
    drops = any(layer["type"] == "dropout" for layer in network.layers)
    assert ours.loss() == pytest.approx(theirs.loss(), rel=0.3 if drops else 2e-3)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_random_networks_are_trained(family: str) -> None:
    for number in range(1, 21):
        network, batch = draw(family, number)
        assert (network, batch) == draw(family, number)
        assert network != draw(family, number, seed=1)[0]
        data = NetworkCase(network, batch=2, examples=4).data()
        assert forward(Network(data).recipe, 2, training=True).loss.shape == ()
    loop = PEERS["bp_numpy"].build(data)
    before = loop.loss()
    loop.run(20)
    assert loop.loss() < before


def test_the_distribution_over_random_networks() -> None:
    draws = [_result(f"family-dense-0{n}", bp=[1.0], torch_adam=[n], torch_fused=[n + 1.0]) for n in range(1, 6)]
    draws.append(_result("family-text-01", bp=[1.0], torch_adam=[9.0]))
    assert (
        families_text([*draws, _result("tiny", bp=[1.0], torch_adam=[50.0])])
        == """\
random networks: time of PyTorch (eager, the faster Adam) over that of bp
  family  draws   min  quartile  median  quartile   max
  dense       5  1.00      2.00    3.00      4.00  5.00
  text        1  9.00      9.00    9.00      9.00  9.00
  all         6  1.00      2.25    3.50      4.75  9.00"""
    )
    verdicts, _ = judge(draws)
    assert [(v.against, v.figure, v.passed) for v in verdicts] == [
        ("torch_adam, family-dense-01", 1.0, True),
        ("torch_adam, family-text-01", 9.0, True),
    ]
    assert families_text([_result("tiny", bp=[1.0], torch_adam=[50.0])]) == ""


def test_tables_in_markdown(capsys, tmp_path: Path) -> None:
    small = _result("small", bp=[1e-4], bp_numpy=[3e-4], torch_adam=[9e-4], torch_fused=[8e-4], jax_step=[2e-4])
    small.title = "64-128-64-10, batch 64"
    large = _result("large", bp=[2e-3], torch_fused=[4e-3])
    draws = [_result(f"family-dense-0{n}", bp=[1.0], torch_adam=[float(n)]) for n in (1, 2)]
    job = _result("jobs-digits", bp=[1.0], torch_script=[3.25])
    job.unit = "process"
    compilation = _result("compilation", tiny=[0.2], large=[0.6], iris=[0.3])
    files = []
    for number, results in enumerate(([small, job, compilation], [large, *draws])):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(json.dumps({"comparisons": [result.to_json() for result in results]}))
    markdown.main([str(file) for file in files])
    assert (
        capsys.readouterr().out
        == """\
| case | network | batch | `bp`, ms | PyTorch / `bp` | `bp_numpy` / `bp` |
|---|---|---|---|---|---|
| `small` | 64-128-64-10 | 64 | 0.1 | 8.00 | 3.00 |
| `large` |  | large | 2 | 2.00 |  |

| family | draws | min | quartile | median | quartile | max |
|---|---|---|---|---|---|---|
| dense | 2 | 1.00 | 1.25 | 1.50 | 1.75 | 2.00 |
| all | 2 | 1.00 | 1.25 | 1.50 | 1.75 | 2.00 |

| us a step | small | large |
|---|---|---|
| `bp` | 100 | 2,000 |
| `bp_numpy` | 300 (3.00) |  |
| `torch_adam` | 900 (9.00) |  |
| `torch_fused` | 800 (8.00) | 4,000 (2.00) |
| `jax_step` | 200 (2.00) |  |

| `large`, peak MB | `bp` | `torch_fused` |
|---|---|---|
|  | 50 | 50 |

| job | process | s | process / `bp` | peak MB |
|---|---|---|---|---|
| `jobs-digits` | `bp` | 1 | 1.00 | 50 |
| `jobs-digits` | `torch_script` | 3.25 | 3.25 | 50 |

| compilation | slowest | s |
|---|---|---|
| tiny, small and large | `large` | 0.60 |
| ready configurations | `iris` | 0.30 |
"""
    )


def test_a_drawn_network_in_words() -> None:
    network = networks.transformer(width=8, blocks=1, heads=2, context=4, tokens=5)
    assert networks.described(network.layers) == (
        "embedding 5 8, positional_embedding, 1 x (layer_norm, attention 2) + input, "
        "1 x (layer_norm, dense 32 gelu, dense 8) + input, layer_norm, dense 5"
    )


def test_bp_begins_where_the_installed_command_does() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, function = scripts["bp"].split(":")
    assert f"from {module} import {function}; {function}()" == BP
    version = bp("--version")
    version.prepare()
    assert version.facts()["printed"] == f"bp {backprop_cli.__version__}"


@pytest.mark.parametrize("name", list(JOBS))
def test_a_job_and_its_script_agree(name: str, monkeypatch) -> None:
    job = JOBS[name]
    monkeypatch.setenv("BP_MNIST", "mnist")
    key, length = job.length or ("", "")
    config = read_config(job.config, [f"{key}={length}"] if key else []).config
    tree = ast.parse((SCRIPTS / job.script).read_text())
    (names, values) = next(
        (node.targets[0].elts, node.value.elts)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple)
    )
    constants = {name.id: value.value for name, value in zip(names, values, strict=True) if hasattr(value, "value")}
    assert constants["BATCH"] == config.training.batch_size
    assert constants["RATE"] == config.optimizer.learning_rate
    assert constants.get("EPOCHS", config.training.epochs) == config.training.epochs
    bp_line, script_line = commands(job).values()
    assert (bp_line.title, script_line.title) == (
        f"bp train {job.config.name}{f' {key}={length}' if key else ''}",
        f"scripts/{job.script}",
    )


def test_files_as_those_of_mnist(tmp_path: Path) -> None:
    pixels = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    write_idx(tmp_path / "pixels-ubyte.gz", pixels)
    assert np.array_equal(read_idx(tmp_path / "pixels-ubyte.gz", header=16), pixels.ravel())


def test_long_comparisons_take_fewer_rounds() -> None:
    class Still:
        title = "still"
        samples = 0

        def prepare(self) -> None:
            pass

        def sample(self) -> float:
            self.samples += 1
            return 1.0

        def facts(self) -> dict[str, object]:
            return {}

        def close(self) -> None:
            pass

    still = Still()
    comparison = Comparison("still", "still", "process", "bp", lambda seconds: {"bp": still}, most_rounds=2)
    result = measure(comparison, lambda name: True, rounds=9, seconds=0.1, tell=lambda line: None)
    assert (result.lines["bp"].seconds, still.samples) == ([1.0, 1.0], 2)


@pytest.mark.skipif(bool(compiler_obstacle()), reason="no C compiler")
def test_compilation_takes_less_from_the_cache(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiled, cached = extra_seconds("digits"), extra_seconds("digits")
    assert 0 < cached < compiled


def test_bars_on_seconds() -> None:
    seconds = {"tiny": 0.2, "large": 0.6, "iris": 0.3, "tiny_cached": 0.05}
    verdicts, _ = judge([_result("compilation", **{name: [value] for name, value in seconds.items()})])
    assert [(v.against, v.figure, v.passed) for v in verdicts] == [
        ("large", 0.6, False),
        ("iris", 0.3, True),
        ("tiny_cached", 0.05, True),
    ]
    assert (
        bars_text(verdicts, [])
        == """\
bars: time (or memory) of the peer over that of bp, medians
  bar          against                         ratio        at least
  compilation  tiny, small and large: large  0.600 s  0.00 to 0.50 s  MISSED
  compilation  ready configurations: iris    0.300 s  0.00 to 1.50 s
  compilation  from the cache: tiny_cached   0.050 s  0.00 to 0.10 s"""
    )


def test_memory_of_the_steps() -> None:
    result = _result("convolutions", bp=[1.0], torch_adam=[1.1], torch_fused=[1.2])
    for name, megabytes in (("bp", 12), ("torch_adam", 3), ("torch_fused", 5)):
        result.lines[name].facts["step_memory_bytes"] = megabytes * 1_000_000
    (time, peak, steps), _ = judge([result])
    assert (time.against, time.figure, time.passed) == ("torch_adam", 1.1, False)
    assert (peak.figure, peak.passed) == (1.0, True)
    assert (steps.against, steps.figure, steps.passed) == ("torch_adam", 0.25, False)
    result.lines["bp"].facts["step_memory_bytes"] = None
    assert [verdict.bar.what for verdict in judge([result])[0]] == ["PyTorch eager", "peak memory, PyTorch eager"]


def test_the_peak_can_be_forgotten() -> None:
    # Pages of their own: what the allocator hands out may be resident already.
    freed = np.frombuffer(mmap.mmap(-1, 64_000_000))
    freed[:] = 1.0
    del freed
    before = peak_bytes()
    resident = forget_peak()
    if resident is None:
        pytest.skip("this system keeps its peak")
    assert resident < before - 60_000_000
    kept = np.frombuffer(mmap.mmap(-1, 16_000_000))
    kept[:] = 1.0
    assert 15e6 < peak_bytes() - resident < 40e6
