"""``bp jacobian``: results, files and messages, on runs as a user has them."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from api_support import WITH_DROPOUT, bp, run_of, write_config, write_flowers

import backprop_cli
from backprop_cli.api.jacobian import jacobian
from backprop_cli.inspection import differentiation
from backprop_cli.session.trained_network import open_network


@pytest.fixture
def run():
    return run_of(write_config(), "run")[0]


def said(capsys, code: int, *words) -> str:
    """What `bp jacobian` says on standard error."""
    assert bp("jacobian", *words) == code
    return capsys.readouterr().err.removeprefix("checkpoint run/checkpoints/best.safetensors\n")


def found_json(capsys, *words):
    assert bp("jacobian", *words, "--json") == 0
    return json.loads(capsys.readouterr().out)


def softmax(outputs):
    powers = np.exp(outputs - outputs.max())
    return powers / powers.sum()


def by_hand(run, row):
    """The Jacobian of the probabilities by the columns x, y at a row of flowers.csv, in float64, from the formula."""
    saved = open_network(run / "checkpoints" / "best.safetensors")
    own = {name: array.astype(float) for name, array in saved.recipe.layout.arrays(saved.vectors["parameters"]).items()}
    raw = np.array([float(cell) for cell in Path("flowers.csv").read_text().splitlines()[row - 1].split(",")[:2]])
    features = saved.transform.features
    x = np.array([(v - f.shift[0]) / f.divisor[0] * f.factor[0] for v, f in zip(raw, features, strict=True)])
    hidden = np.tanh(own["dense_1.weight"] @ x + own["dense_1.bias"])
    p = softmax(own["dense_2.weight"] @ hidden + own["dense_2.bias"])
    slope = (1 - hidden**2)[:, None] * own["dense_1.weight"] * [f.factor[0] / f.divisor[0] for f in features]
    return (np.diag(p) - np.outer(p, p)) @ own["dense_2.weight"] @ slope


def test_json_is_that_of_the_contract(run, capsys):
    assert bp("jacobian", run, "flowers.csv", "--row", 17, "--json") == 0
    captured = capsys.readouterr()
    assert captured.err == "checkpoint run/checkpoints/best.safetensors\n"
    found = json.loads(captured.out)
    assert list(found) == [
        "kind", "checkpoint", "data", "units", "of", "by", "shape", "norm", "order", "largest", "labels", "values",
        "output",
    ]  # fmt: skip
    expected = by_hand(run, 17)
    np.testing.assert_allclose(found["values"], expected, rtol=0, atol=1e-12)  # float32 would be 1e-7 away
    assert found["kind"] == "jacobian"
    assert found["data"] == {"file": "flowers.csv", "rows": [17]}
    assert found["units"] == "data"
    assert found["of"] == {"name": "predictions", "shape": [3], "unit": "probability"}
    assert found["by"] == {"name": "inputs", "shape": [2], "unit": "data"}
    assert (found["shape"], found["labels"]) == ([3, 2], [["a", "b", "c"], ["x", "y"]])
    assert found["norm"] == pytest.approx(np.linalg.norm(expected), rel=1e-12)
    assert set(found["order"]) == {"asked", "executed", "multiplications", "method", "proved_optimal"}
    assert set(found["order"]["multiplications"]) == {"forward", "reverse", "best"}
    sizes = [abs(entry["value"]) for entry in found["largest"]]
    assert sizes == pytest.approx(sorted(np.abs(expected).ravel(), reverse=True))
    top = found["largest"][0]
    assert expected[tuple(top["index"])] == pytest.approx(top["value"])
    assert (top["of"], top["by"]) == ("abc"[top["index"][0]], "xy"[top["index"][1]])


@pytest.mark.parametrize("order", ["auto", "forward", "reverse", "best"])
def test_orders_agree(run, order, capsys):
    found = found_json(capsys, run, "flowers.csv", "--row", 5, "--order", order)
    np.testing.assert_allclose(found["values"], by_hand(run, 5), rtol=0, atol=1e-12)
    assert found["order"]["asked"] == order
    assert order == "auto" or found["order"]["executed"] == order


def test_a_batch_has_its_axis_in_both(run, capsys):
    found = found_json(capsys, run, "flowers.csv", "--row", 4, "--row", "9-10")
    assert found["shape"] == [3, 3, 3, 2]
    assert found["data"]["rows"] == [4, 9, 10]
    values = np.array(found["values"])
    for k, row in enumerate((4, 9, 10)):
        np.testing.assert_allclose(values[k, :, k], by_hand(run, row), rtol=0, atol=1e-12)
        values[k, :, k] = 0.0
    assert not values.any()
    assert found["labels"][0][:2] == ["row 4 a", "row 4 b"]


def test_text(run, capsys):
    order = found_json(capsys, run, "flowers.csv", "--row", 17)["order"]
    costs = order["multiplications"]
    assert order["proved_optimal"]
    method = order["method"] if order["method"] in costs else f"found by {order['method']}"
    assert costs["best"] <= min(costs["forward"], costs["reverse"])
    assert bp("jacobian", run, "flowers.csv", "--row", 17, "--order", "reverse") == 0
    out = capsys.readouterr().out
    values = [[f"{v:.4g}" for v in row] for row in by_hand(run, 17)]
    x, y = (max(len(row[k]) for row in values) for k in range(2))
    assert out.splitlines() == [
        "Jacobian of predictions by inputs",
        "at row 17 of flowers.csv, shape [3, 2]",
        "units: predictions as probabilities, inputs in the data's own units",
        "",
        f"predictions \\ inputs  {'x':>{x}}  {'y':>{y}}",
        *(f"{name:<20}  {row[0]:>{x}}  {row[1]:>{y}}" for name, row in zip("abc", values, strict=True)),
        "",
        "order    multiplications",
        *(f"{name:<7}  {costs[name]:>15}" for name in ("forward", "reverse", "best")),
        f"computed with order reverse; the best order was {method}, proved optimal",
    ]


def test_npz(run):
    result = jacobian(run, Path("flowers.csv"), by="dense_1.weight", rows=["2-4"], output=Path("out.npz"))
    with np.load("out.npz", allow_pickle=False) as arrays:
        assert sorted(arrays) == ["jacobian", "rows"]
        assert arrays["jacobian"].shape == (3, 3, 6, 2)
        assert arrays["jacobian"].dtype == np.float64
        assert arrays["rows"].tolist() == [2, 3, 4]
        np.testing.assert_array_equal(arrays["jacobian"].reshape(9, 12), result.matrix)
    assert result.to_json()["output"] == "out.npz"


def test_it_is_one_python_call(run):
    assert backprop_cli.jacobian(run, rows=["all"], of="loss").to_json()["of"] == {
        "name": "loss",
        "shape": [],
        "unit": "network",
    }


def test_large_results_are_left_out_of_json(run, capsys, monkeypatch):
    monkeypatch.setattr(differentiation, "MOST_VALUES", 5)
    found = found_json(capsys, run, "flowers.csv", "--row", 17)
    assert (found["values"], found["labels"]) == (None, None)
    assert len(found["largest"]) == 6


# --- which rows ------------------------------------------------------------------------------------------------


def test_rows_of_a_split_are_those_of_the_file(run, capsys):
    """A row of the test split is the line of flowers.csv that it says."""
    found = found_json(capsys, run)
    (row,) = found["data"]["rows"]
    assert found["data"]["split"] == "test"
    np.testing.assert_allclose(found["values"], by_hand(run, row), rtol=0, atol=1e-12)
    again = found_json(capsys, run, "--row", row)
    assert again["values"] == found["values"]
    splits = [found_json(capsys, run, "--per-example", "--split", name) for name in ("train", "validation", "test")]
    rows = [row for part in splits for row in part["data"]["rows"]]
    assert sorted(rows) == list(range(2, 62))  # the header is line 1


def test_rows_that_there_are_not(run, capsys):
    (own,) = found_json(capsys, run, "--split", "validation")["data"]["rows"]
    tested = found_json(capsys, run, "--per-example")["data"]["rows"]
    listed = ", ".join(map(str, tested[:5]))
    assert said(capsys, 2, run, "--row", own) == (
        f"--row {own}: not in the test split, but in validation: add --split validation\n"
    )
    assert said(capsys, 2, run, "--row", 100) == f"--row 100: not in the test split; its 9 rows are {listed}, ...\n"
    assert said(capsys, 2, run, "flowers.csv", "--row", "70-80") == (
        "--row 70-80: not in flowers.csv; its 60 rows are 2, 3, 4, 5, 6, ...\n"
    )
    for text in ("first", "9-4", "-1", "1.5"):
        assert said(capsys, 2, run, f"--row={text}") == (
            f"--row {text}: expected a row number, a range (2-20), or all\n"
        )
    assert said(capsys, 2, run, "flowers.csv", "--split", "train") == (
        "--split train: INPUT names the rows itself; leave one of the two out\n"
    )
    assert said(capsys, 2, run, "--split", "tets") == (
        "--split 'tets': expected one of train, validation, test; did you mean 'test'?\n"
    )


def test_rows_of_arrays_count_from_0(run, capsys):
    lines = Path("flowers.csv").read_text().splitlines()[1:]
    np.savez("flowers.npz", **{name: [float(line.split(",")[k]) for line in lines] for k, name in enumerate("xy")})
    found = found_json(capsys, run, "flowers.npz", "--row", 0)
    np.testing.assert_allclose(found["values"], by_hand(run, 2), rtol=0, atol=1e-12)


def test_targets_are_read_only_where_they_are_needed(run, capsys):
    lines = Path("flowers.csv").read_text().splitlines()
    Path("new.csv").write_text("\n".join(line.rsplit(",", 1)[0] for line in lines) + "\n")
    found = found_json(capsys, run, "new.csv", "--row", 3)
    np.testing.assert_allclose(found["values"], by_hand(run, 3), rtol=0, atol=1e-12)
    assert said(capsys, 6, run, "new.csv", "--of", "loss") == "new.csv: no column 'kind'; its columns: x, y\n"


def test_changed_data_is_told(run, capsys):
    write_flowers(seed=8)
    assert said(capsys, 0, run).startswith("warning: ")


# --- what does not fit -----------------------------------------------------------------------------------------


def test_names_and_options_that_do_not_fit(run, capsys):
    for words, message in (
        (["--of", "dense_3"], "--of dense_3: no such name; did you mean 'dense_2'?"),
        (["--by", "weights"], "--by weights: no such name; known: inputs, parameters, dense_1.weight, dense_1.bias, "
         "dense_2.weight, dense_2.bias, dense_1, dense_2"),
        (["--hessian", "--eigen", "2"], "--hessian and --eigen: these are different results; choose one"),
        (["--hessian", "--of", "predictions"], "--of predictions: --hessian needs a scalar: loss or objective"),
        (["--hvp", "random", "--order", "best"], "--order best: is for Jacobians; leave it out with --hvp"),
        (["--eigen", "0"], "--eigen 0: ask for 1 to 39 eigenvalues, one for each element of parameters"),
        (["--eigen", "40"], "--eigen 40: ask for 1 to 39 eigenvalues, one for each element of parameters"),
        (["--per-example", "--by", "inputs"],
         "--by inputs: --per-example is by parameters, or by one such as dense_1.weight"),
        (["-o", "out.csv"], "--output out.csv: arrays are written as .npz"),
        (["--eigen", "1", "--heatmap", "a.png"],
         "--heatmap: draws a Jacobian or a Hessian; leave it out with other results"),
        (["--heatmap", "a.bmp"], "--heatmap a.bmp: pictures are written as .png, .svg, .pdf"),
    ):  # fmt: skip
        assert said(capsys, 2, run, *words) == f"{message}\n"


def test_results_that_are_too_large(run, capsys, monkeypatch):
    monkeypatch.setattr(differentiation, "MOST_ENTRIES", 20)
    monkeypatch.setattr(differentiation, "MOST_ROWS", 12)
    assert said(capsys, 2, run, "flowers.csv", "--row", "2-4") == (
        "the Jacobian of predictions [3, 3] by inputs [3, 2] would have 54 entries; at most 20 are computed: choose "
        "fewer rows with --row, or another --of or --by\n"
    )
    assert said(capsys, 2, run, "--hessian") == (
        "--hessian: by parameters, which has 39 elements, it would have 1,521 entries; it is computed for at most 12 "
        "elements: --by takes one parameter (dense_2.bias has 3), and --eigen K and --hvp need no matrix\n"
    )
    assert said(capsys, 2, run, "--per-example", "-o", "g.npz") == (
        "--output: the gradients of 9 rows by 39 elements are 351 numbers; at most 20 are written: choose fewer rows "
        "with --row, or one parameter with --by\n"
    )
    assert not Path("g.npz").exists()
    assert bp("jacobian", run, "--per-example") == 0


def test_vectors_that_do_not_fit(run, capsys):
    np.save("short.npy", np.ones(38))
    np.save("nan.npy", np.where(np.arange(39) == 4, np.nan, 1.0))
    np.savez("two.npz", a=np.ones(39), b=np.ones(39))
    for name, message in (
        ("short.npy", "short.npy: holds float64 of shape [38]; expected numbers of shape [39], as parameters has"),
        ("nan.npy", "nan.npy: element 4 (from 0) is nan; expected a finite number"),
        ("two.npz", "two.npz: holds 2 arrays; expected a .npy file with one vector"),
        ("flowers.csv", "flowers.csv: holds no array; expected a .npy file with one vector"),
        ("none.npy", "none.npy: no such file; did you mean 'nan.npy'?"),
    ):
        assert said(capsys, 6, run, "--hvp", name) == f"{message}\n"
    assert said(capsys, 6, run, "--hvp", "short.npy", "--by", "dense_1.weight") == (
        "short.npy: holds float64 of shape [38]; expected numbers of shape [6, 2] or [12], as dense_1.weight has\n"
    )


# --- networks --------------------------------------------------------------------------------------------------


def test_dropout_is_off():
    """A network with dropout and one without, with the same weights, have the same derivatives."""
    run = run_of(write_config(model={"layers": WITH_DROPOUT}), "run")[0]
    found = jacobian(run, Path("flowers.csv"), rows=["17"])
    np.testing.assert_allclose(found.matrix, by_hand(run, 17), rtol=0, atol=1e-12)


def test_numbers_as_targets(capsys):
    config = {
        "data": {"target": "y", "features": ["x"], "transform": {"target": "standardize"}},
        "model": {"layers": [{"type": "dense", "units": 1}]},
        "loss": "mean_squared_error",
    }
    run = run_of(write_config(**config), "run")[0]
    saved = open_network(run / "checkpoints" / "best.safetensors")
    weight = float(saved.vectors["parameters"][0])
    found = found_json(capsys, run, "--units", "network")
    assert found["values"] == [[pytest.approx(weight)]]
    assert found["labels"] == [["y"], ["x"]]
    slope = saved.transform.target.deviation[0] / saved.transform.features[0].divisor[0]
    assert found_json(capsys, run)["values"] == [[pytest.approx(weight * slope)]]


def test_a_layer_that_the_other_does_not_depend_on(run, capsys):
    assert bp("jacobian", run, "--of", "dense_1", "--by", "dense_2.weight") == 0
    assert capsys.readouterr().out.splitlines()[3:] == ["all 0: dense_1 does not depend on dense_2.weight"]


def test_probabilities_sum_to_1_so_derivatives_to_0(run):
    found = jacobian(run, by="parameters", rows=["all"]).arrays["jacobian"]
    assert found.shape == (9, 3, 39)
    np.testing.assert_allclose(found.sum(axis=1), 0.0, atol=1e-14)


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="Matplotlib is an extra")
def test_heatmap(run, capsys):
    assert said(capsys, 0, run, "flowers.csv", "--row", 17, "--heatmap", "a.png") == "heatmap a.png\n"
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")
    assert said(capsys, 0, run, "--hessian", "--heatmap", "b.svg") == "heatmap b.svg\n"


def test_no_heatmap_without_matplotlib(run, capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert said(capsys, 2, run, "--heatmap", "a.png") == (
        "--heatmap: Matplotlib is not installed: pip install 'backprop-cli[plot]'\n"
    )
    assert not Path("a.png").exists()


def test_no_search_beyond_the_limit_is_said(run, capsys, monkeypatch):
    assert "limit" not in found_json(capsys, run, "flowers.csv", "--row", 5)["order"]
    monkeypatch.setattr("backprop_cli.accumulation.jacobians.MOST_BRACKETED", 1)
    monkeypatch.setattr("backprop_cli.accumulation.jacobians.MOST_SEARCHED", 1)
    order = found_json(capsys, run, "flowers.csv", "--row", 5)["order"]
    assert (order["limit"], order["proved_optimal"]) == (1, False)
    assert bp("jacobian", run, "flowers.csv", "--row", 5) == 0
    out = capsys.readouterr().out
    assert out.endswith(
        "not proved optimal\nNo other order was tried: the network has more than 1 intermediate values.\n"
    )
