"""``bp jacobian`` for Hessians, their products and eigenvalues, and for the gradients of single rows."""

from pathlib import Path

import numpy as np
import pytest
from api_support import bp, run_of, write_config

from backprop_cli.api.jacobian import jacobian


@pytest.fixture
def run():
    return run_of(write_config(), "run")[0]


def test_hessian_its_products_and_eigenvalues(run, capsys):
    result = jacobian(run, hessian=True)
    size = 6 * 2 + 6 + 3 * 6 + 3
    matrix = result.matrix
    assert matrix.shape == (size, size)
    found = result.to_json()
    assert found["kind"] == "hessian"
    assert found["asymmetry"] <= 1e-14
    assert len(found["data"]["rows"]) == 9
    values = np.linalg.eigvalsh(matrix)
    assert found["eigenvalues"] == {"largest": pytest.approx(values[-1]), "least": pytest.approx(values[0])}
    assert all(entry["index"][0] <= entry["index"][1] for entry in found["largest"])
    assert found["largest"][0]["of"].startswith("dense_")

    spectrum = jacobian(run, eigen=3, output=Path("e.npz")).to_json()
    np.testing.assert_allclose([entry["value"] for entry in spectrum["eigenvalues"]], values[:-4:-1], atol=1e-12)
    assert spectrum["least"]["value"] == pytest.approx(values[0], abs=1e-12)
    assert (spectrum["learning_rate"], spectrum["limit"], spectrum["optimizer"]) == (0.01, 2.0, "adam")
    assert spectrum["eigenvalues"][0]["learning_rate_times_value"] == pytest.approx(0.01 * values[-1])
    with np.load("e.npz") as arrays:
        vectors = arrays["eigenvectors"]
        np.testing.assert_allclose(vectors @ matrix, arrays["eigenvalues"][:, None] * vectors, atol=1e-12)

    vector = np.random.default_rng(0).standard_normal(size)
    np.save("v.npy", vector)
    product = jacobian(run, hvp="v.npy", output=Path("p.npz"))
    np.testing.assert_allclose(product.arrays["product"], matrix @ vector, atol=1e-12)
    content = product.to_json()
    np.testing.assert_allclose(content["values"], matrix @ vector, atol=1e-12)
    assert content["curvature"] == pytest.approx(vector @ matrix @ vector / (vector @ vector))
    with np.load("p.npz") as arrays:
        assert sorted(arrays) == ["gradient", "product", "rows", "vector"]
        gradient = jacobian(run, of="objective", by="parameters", rows=["all"]).matrix[0]
        np.testing.assert_allclose(arrays["gradient"], gradient, atol=1e-14)

    random = [jacobian(run, hvp="random") for _ in range(2)]
    assert np.linalg.norm(random[0].arrays["vector"]) == pytest.approx(1.0)
    np.testing.assert_array_equal(random[0].arrays["product"], random[1].arrays["product"])


def test_blocks_of_the_hessian(run):
    whole = jacobian(run, hessian=True).matrix
    block = jacobian(run, hessian=True, by="dense_2.weight")
    np.testing.assert_allclose(block.matrix, whole[18:36, 18:36], atol=1e-14)
    assert block.arrays["hessian"].shape == (3, 6, 3, 6)
    np.save("v.npy", np.ones((3, 6)))
    product = jacobian(run, hvp="v.npy", by="dense_2.weight").arrays["product"]
    np.testing.assert_allclose(product, block.matrix.sum(axis=1).reshape(3, 6), atol=1e-13)


def test_text_of_the_hessian(run, capsys):
    assert bp("jacobian", run, "--eigen", 2) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["Largest eigenvalues of the Hessian of objective by parameters", "at 9 rows of the test split"]
    assert lines[3].split("  ")[-1] == "learning rate times it"
    values = np.linalg.eigvalsh(jacobian(run, hessian=True).matrix)
    assert lines[4].split()[:2] == ["1", f"{values[-1]:.4g}"]
    assert lines[7:] == [
        f"least eigenvalue {values[0]:.4g}; 39 Hessian-vector products",
        f"learning rate 0.01 times eigenvalue: {0.01 * values[-1]:.4g}, limit 2: stable",
        "(the limit is for plain gradient descent; this run trained with adam)",
    ]
    assert bp("jacobian", run, "--hvp", "random") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Hessian of objective by parameters, times a random vector"
    assert lines[3].split() == ["parameters", "value"]
    assert lines[-1].startswith("|v| 1, |Hv| ")
    assert bp("jacobian", run, "--hessian", "--by", "dense_2.bias") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].split()[3:] == ["dense_2.bias[0]", "dense_2.bias[1]", "dense_2.bias[2]"]
    assert len(lines[4:7]) == 3
    assert lines[-1].startswith("eigenvalues from ")


def test_a_learning_rate_beyond_the_limit(capsys):
    run = run_of(write_config(optimizer={"type": "sgd", "learning_rate": 1000.0}, training={"epochs": 0}), "run")[0]
    assert bp("jacobian", run, "--eigen", 1) == 0
    out = capsys.readouterr().out
    assert "limit 2: steps grow along that direction\n" in out
    assert out.endswith("this run trained with sgd)\n")


def test_gradients_of_rows_add_up(capsys):
    run = run_of(write_config(regularization={"l2": 0.1}), "run")[0]
    result = jacobian(run, per_example=True, output=Path("g.npz"))
    found = result.to_json()
    whole = jacobian(run, of="objective", by="parameters", rows=["all"]).matrix[0]
    with np.load("g.npz") as arrays:
        gradients = arrays["gradients"]
        np.testing.assert_allclose(gradients.mean(axis=0), whole, atol=1e-15)
        np.testing.assert_allclose(arrays["batch_gradient"], whole, atol=1e-15)
        for example, row, gradient in zip(found["examples"], arrays["rows"], gradients, strict=True):
            alone = jacobian(run, Path("flowers.csv"), of="objective", by="parameters", rows=[str(row)]).matrix[0]
            np.testing.assert_allclose(gradient, alone, atol=1e-14)
            assert example["row"] == row
            assert example["norm"] == pytest.approx(np.linalg.norm(alone))
            assert example["cosine"] == pytest.approx(
                alone @ whole / np.linalg.norm(alone) / np.linalg.norm(whole), abs=1e-12
            )
    assert found["batch_gradient_norm"] == pytest.approx(np.linalg.norm(whole))


def test_text_of_gradients_of_rows(run, capsys):
    found = jacobian(run, per_example=True, split="train").to_json()["examples"]
    assert bp("jacobian", run, "--per-example", "--split", "train") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].split("  ") == ["row", "  loss", "gradient norm", "cosine to the mean"] or lines[3].startswith(
        "row"
    )
    top = sorted(found, key=lambda example: -example["norm"])
    assert [int(line.split()[0]) for line in lines[4:14]] == [example["row"] for example in top[:10]]
    against = sum(example["cosine"] < 0 for example in found)
    assert lines[15] == "the 10 largest of 42; --json has all"
    assert lines[17] == f"{against} row{'' if against == 1 else 's'} of 42 against it (cosine below 0)"
