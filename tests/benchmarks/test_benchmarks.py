"""The benchmarks run, and judge what they measured."""

import ast
import json
import mmap
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import backprop_cli

ROOT = Path(__file__).parents[2]


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch):
    """The package of the checkout, which is not installed."""
    monkeypatch.syspath_prepend(str(ROOT))
    import benchmarks.__main__ as main

    return main


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
    assert [bar["against"] for bar in found["bars"]] == ["bp_plan"]


def test_unknown_names() -> None:
    ran = _run("--cases", "huge")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("no case is called huge; known: tiny, small, large, depth, ")
    ran = _run("--peers", "caffe")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("no peer is called caffe; known: bp, bp_plan, bp_fast, bp_fast_plan, gemm, ")


def _result(name: str, **seconds: list[float]):
    from benchmarks.measure import Line, Result

    lines = {line.replace("_", "-") if name == "depth" else line: Line(line, times) for line, times in seconds.items()}
    for line in lines.values():
        line.facts["memory_bytes"] = 50_000_000
    return Result(name, name, "step", next(iter(lines)), lines, {"mygrad": "not installed: mygrad"})


@pytest.mark.parametrize(("jax", "code", "mark"), [(1.2e-4, 1, "  MISSED"), (1.6e-4, 0, "")])
def test_check(benchmarks, monkeypatch, capsys, jax: float, code: int, mark: str) -> None:
    result = _result("tiny", bp=[1e-4, 2e-4, 1e-4], torch_fused=[7e-4, 14e-4, 7e-4], jax_step=[jax, 4e-4, jax])
    monkeypatch.setattr(benchmarks, "measure", lambda *_: result)
    assert benchmarks.main(["--cases", "tiny", "--check"]) == code
    printed = capsys.readouterr().out
    assert (
        f"""
tiny: tiny; ratios are to bp
                            us a step   min  median   max  peak MB  threads  loss
  bp           bp                 100  1.00    1.00  1.00       50
  torch_fused  torch_fused        700  7.00    7.00  7.00       50
  jax_step     jax_step           {jax * 1e6:.0f}  {jax * 1e4:.2f}    {jax * 1e4:.2f}  2.00       50
  mygrad: not installed: mygrad

bars: time (or memory) of the peer over that of bp, medians
  bar   against                                      ratio  at least
  tiny  best peer called a step at a time: jax_step  {jax * 1e4:.3f}      1.50{mark}
  tiny  best PyTorch: torch_fused                    7.000      6.00
"""
        in printed
    )


def test_ratios_are_within_rounds(benchmarks) -> None:
    result = _result("tiny", bp=[1.0, 10.0], gemm=[0.5, 4.0])
    assert result.ratios("gemm") == [0.5, 0.4]


def test_linearity(benchmarks) -> None:
    from benchmarks.bars import linearity

    straight = _result("depth", depth_4=[14.0], depth_32=[42.0], depth_64=[74.0])
    bent = _result("depth", depth_4=[14.0], depth_32=[42.0], depth_64=[90.0])
    assert linearity(straight) == ("bp", 1.0)
    assert linearity(bent) == ("bp", 1.5)


def test_bars_for_fast_replace_the_others(benchmarks) -> None:
    from benchmarks.bars import judge

    result = _result("tiny", bp=[1.0], bp_fast=[0.5], jax_scan=[0.7])
    assert [(v.figure, v.at_least, v.passed) for v in judge([result])] == [(0.7, 0.6, True)]
    assert [(v.figure, v.at_least, v.passed) for v in judge([result], fast=True)] == [(1.4, 1.0, True)]
    without = _result("tiny", bp=[1.0], jax_scan=[0.7])
    assert [(v.figure, v.at_least, v.passed) for v in judge([without], fast=True)] == [(0.7, 0.6, True)]


def test_compiled_steps_are_held_against_numpys(benchmarks) -> None:
    from benchmarks.bars import judge

    result = _result("large", bp=[1.3], bp_fast=[1.0])
    assert judge([result]) == []
    assert [(v.bar.what, v.figure) for v in judge([result], fast=True)] == [("on NumPy alone", 1.3)]


def test_missing_peer_says_so(benchmarks) -> None:
    from benchmarks.peers import Peer

    assert Peer("none", "none", needs=("no_such_module",)).missing() == "not installed: no_such_module"
    assert Peer("numpy", "gemm", needs=("numpy",)).missing() == ""


def test_every_bar_names_a_case(benchmarks) -> None:
    from benchmarks.bars import BARS
    from benchmarks.comparisons import COMPARISONS

    assert {bar.case for bar in BARS} <= COMPARISONS.keys()


def test_every_network_is_the_same_in_pytorch(benchmarks) -> None:
    from benchmarks.networks import NETWORKS

    tree = ast.parse((ROOT / "benchmarks" / "peers" / "torch_networks.py").read_text())
    (table,) = [node.value for node in tree.body if isinstance(node, ast.AnnAssign)]
    assert [key.value for key in table.keys] == list(NETWORKS)


@pytest.mark.parametrize("name", ["convolutions", "lenet", "gru", "transformer", "batch_norm", "layer_norm"])
def test_a_network_learns_what_its_examples_hold(benchmarks, name: str) -> None:
    from backprop_cli.training.step_program import forward
    from benchmarks.networks import NetworkCase
    from benchmarks.peers.bp_network import Network

    case = NetworkCase(name, batch=4, examples=8)
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


def test_bp_begins_where_the_installed_command_does(benchmarks) -> None:
    from benchmarks.command import BP, bp

    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, function = scripts["bp"].split(":")
    assert f"from {module} import {function}; {function}()" == BP
    version = bp("title", "--version")
    version.prepare()
    assert version.facts()["printed"] == f"bp {backprop_cli.__version__}"


def test_memory_of_the_steps(benchmarks) -> None:
    from benchmarks.bars import judge

    result = _result("convolutions", bp=[1.0], torch_adam=[1.1], torch_fused=[1.2])
    for name, megabytes in (("bp", 12), ("torch_adam", 3), ("torch_fused", 5)):
        result.lines[name].facts["step_memory_bytes"] = megabytes * 1_000_000
    time, peak, steps = judge([result])
    assert (time.against, time.figure, time.passed) == ("torch_adam", 1.1, True)
    assert (peak.figure, peak.passed) == (1.0, True)
    assert (steps.against, steps.figure, steps.passed) == ("torch_adam", 0.25, False)
    result.lines["bp"].facts["step_memory_bytes"] = None
    assert [verdict.bar.what for verdict in judge([result])] == ["PyTorch eager", "peak memory, PyTorch eager"]


def test_the_peak_can_be_forgotten(benchmarks) -> None:
    from benchmarks.memory import forget_peak, peak_bytes

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
