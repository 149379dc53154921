"""Units of ``bp jacobian``: derivatives of what ``bp predict`` prints by the cells of the file."""

import json
from pathlib import Path

import numpy as np
import pytest
from api_support import bp, known_run, run_of, write_config

from backprop_cli.api.jacobian import jacobian

COLUMNS = ("a", "b", "c")
RNG = np.random.default_rng(5)
ROWS = np.stack([100 + 30 * RNG.random(40), RNG.random(40) - 5, np.full(40, 7.0)], axis=1)  # c is constant
KIND = [["red", "blue"][i % 2] for i in range(40)]
Y = 1000 + 50 * np.sin(ROWS[:, 0] / 5) + 20 * ROWS[:, 1]
STEP = 1e-4


def write(path: str, rows: np.ndarray, header: str = "a,b,c,kind,y,z") -> Path:
    lines = [
        ",".join([*(f"{cell:.17g}" for cell in row), KIND[i], f"{Y[i]:.6f}", f"{-Y[i] / 7:.6f}"])
        for i, row in enumerate(rows)
    ]
    Path(path).write_text("\n".join([header, *lines]) + "\n")
    return Path(path)


def config(transform: dict, loss: object = "mean_squared_error", units: int = 2, **data: object) -> Path:
    write("d.csv", ROWS)
    layers = ["flatten"] if "window" in data else []
    return write_config(
        data={"source": "d.csv", "target": ["y", "z"], "features": [*COLUMNS, "kind"], "transform": transform, **data},
        model={
            "layers": [*layers, {"type": "dense", "units": 4, "activation": "tanh"}, {"type": "dense", "units": units}]
        },
        loss=loss,
        training={"precision": "float64", "epochs": 2},
    )


def predicted(rows: np.ndarray) -> np.ndarray:
    """What ``predict`` prints for these rows."""
    assert bp("predict", "run", write("changed.csv", rows), "-o", "out.csv") == 0
    return np.loadtxt("out.csv", delimiter=",", skiprows=1, ndmin=2)


def differences(row: int, column: int, output_row: int) -> np.ndarray:
    """Central differences of one row of predictions by one raw cell."""
    ahead, behind = ROWS.copy(), ROWS.copy()
    step = STEP * max(1.0, abs(ROWS[row, column]))
    ahead[row, column] += step
    behind[row, column] -= step
    return (predicted(ahead)[output_row] - predicted(behind)[output_row]) / (2 * step)


NUMERIC = ["standardize", "min_max", "none", {"scale": 0.01}]


@pytest.mark.parametrize("target", ["none", "standardize"])
@pytest.mark.parametrize("numeric", NUMERIC, ids=str)
def test_predictions_by_inputs_are_differences_of_what_predict_prints(numeric, target):
    known_run(config({"numeric": numeric, "target": target}), "run")
    result = jacobian("run", Path("d.csv"), rows=["9"])  # the header is line 1
    labels = result.to_json()["labels"]
    assert labels == [["y", "z"], ["a", "b", "c", "kind=blue", "kind=red", "kind=<other>"]]
    expected = np.stack([differences(7, k, 7) for k in range(3)], axis=1)
    np.testing.assert_allclose(result.matrix[:, :3], expected, rtol=1e-5, atol=1e-6)
    if numeric != "none" and numeric != {"scale": 0.01}:
        np.testing.assert_array_equal(
            result.matrix[:, 2], 0.0
        )  # a constant column is no input: its cells change nothing


def test_quantiles_are_each_like_the_target():
    loss = {"type": "quantile", "quantile": [0.1, 0.5, 0.9]}
    known_run(config({"target": "standardize"}, loss, 6), "run")
    expected = np.stack([differences(3, k, 3) for k in range(3)], axis=1)
    np.testing.assert_allclose(jacobian("run", Path("d.csv"), rows=["5"]).matrix[:, :3], expected, rtol=1e-5, atol=1e-6)


def test_windows():
    window = {"length": 3, "horizon": 2}
    run_of(config({"target": "standardize"}, units=4, window=window, features=["a", "b"]), "run")
    found = jacobian("run", Path("d.csv"), rows=["6"])  # the window begins on line 6, and is the fifth
    expected = np.stack([differences(4 + row, k, 4) for row in range(3) for k in range(2)], axis=1)
    np.testing.assert_allclose(found.matrix, expected, rtol=1e-5, atol=1e-6)


def test_several_rows_and_the_networks_units(capsys):
    run_of(config({"target": "standardize", "numeric": "standardize"}), "run")
    rows = jacobian("run", Path("d.csv"), rows=["2-4"]).arrays["jacobian"]
    assert rows.shape == (3, 2, 3, 6)
    for k in range(3):
        alone = jacobian("run", Path("d.csv"), rows=[str(2 + k)]).matrix
        np.testing.assert_allclose(rows[k, :, k], alone, rtol=1e-12)
    network = jacobian("run", Path("d.csv"), rows=["2"], units="network").matrix
    data = jacobian("run", Path("d.csv"), rows=["2"]).matrix
    assert bp("jacobian", "run", "d.csv", "--row", 2, "--units", "network", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    np.testing.assert_array_equal(found["values"], network)
    assert (found["units"], found["of"]["unit"], found["by"]["unit"]) == ("network", "network", "network")
    # Categories have the network's numbers either way, so that the two differ there by the target's deviation alone.
    ratio = data[:, 3:] / network[:, 3:]
    np.testing.assert_allclose(ratio[:, 0], ratio[:, 1], rtol=1e-12)
    assert ratio[0, 0] == pytest.approx(7 * ratio[1, 0])
    assert ratio[0, 0] == pytest.approx(Y.std(), rel=0.3)  # of the train rows


def test_the_loss_by_the_cells_of_a_row():
    """Its numerator and unit are the network's, whichever units the inputs have."""
    known_run(config({"target": "standardize"}), "run")
    found = jacobian("run", Path("d.csv"), of="loss", rows=["2"]).matrix

    def loss(change: float) -> float:
        changed = ROWS[:1].copy()
        changed[0, 0] += change
        (row,) = [jacobian("run", write("one.csv", changed), per_example=True, of="loss").to_json()["examples"]]
        return row[0]["loss"]

    assert found[0, 0] == pytest.approx((loss(1e-3) - loss(-1e-3)) / 2e-3, rel=1e-5)


def test_second_derivatives_by_inputs_are_in_the_same_units():
    known_run(config({"target": "standardize"}), "run")
    options = {"by": "inputs", "rows": ["2"], "of": "loss"}
    source = Path("d.csv")
    slopes = np.array(
        [jacobian("run", source, **options).matrix[0], jacobian("run", source, units="network", **options).matrix[0]]
    )
    by = np.divide(slopes[0], slopes[1], out=np.zeros(6), where=slopes[1] != 0)
    hessian = jacobian("run", source, hessian=True, **options).matrix
    network = jacobian("run", source, hessian=True, units="network", **options).matrix
    np.testing.assert_allclose(hessian, by * network * by[:, None], rtol=1e-9, atol=1e-15)
    np.save("v.npy", np.arange(1.0, 7))
    product = jacobian("run", source, hvp="v.npy", **options).arrays
    np.testing.assert_allclose(product["product"], hessian @ np.arange(1.0, 7), rtol=1e-9)
    np.testing.assert_allclose(product["gradient"], slopes[0], rtol=1e-12)
    largest = jacobian("run", source, eigen=1, **options).to_json()["eigenvalues"][0]["value"]
    assert largest == pytest.approx(np.linalg.eigvalsh(hessian)[-1], rel=1e-6)


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (
            [],
            [
                "units: predictions in the target's own unit, inputs in the data's own units",
                "not linear in the data: derivatives by the network's numbers for kind",
            ],
        ),
        (["--units", "network"], ["units: predictions in the network's units, inputs after the transform"]),
        (["--by", "parameters"], ["units: predictions in the target's own unit, parameters in the network's units"]),
        (
            ["--of", "outputs"],
            [
                "units: outputs in the network's units, inputs in the data's own units",
                "not linear in the data: derivatives by the network's numbers for kind",
            ],
        ),
        (["--of", "loss", "--by", "parameters"], []),
        (["--eigen", "1"], []),
    ],
)
def test_the_header_names_the_units_of_both_sides(words, lines, capsys):
    known_run(config({"target": "standardize"}), "run")
    assert bp("jacobian", "run", *words) == 0
    header = capsys.readouterr().out.split("\n\n")[0].splitlines()
    assert header[2:] == lines
    assert bp("jacobian", "run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["by"]["categories"] == ["kind"]


def test_other_units(capsys):
    assert bp("jacobian", "run", "--units", "metres") == 2
    assert "'metres' is not one of 'data', 'network'" in capsys.readouterr().err
