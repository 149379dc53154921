"""Trained networks in C: compiled strictly, run with sanitizers, and compared with what ``bp`` computes."""

import ctypes
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from c_support import STRICT

import backprop_cli
from backprop_cli.errors import UsageError
from backprop_cli.execution.compiler import find_compiler, has_compiler
from backprop_cli.execution.plan import Plan
from backprop_cli.session.trained_network import open_network
from backprop_cli.training.step_program import training_step

pytestmark = pytest.mark.skipif(not has_compiler(), reason="there is no C compiler")

SANITIZED = [*STRICT, "-fsanitize=address,undefined", "-fno-sanitize-recover"]
BATCH = 4

FLATS = """
name: flats
data:
  source: flats.csv
  target: [price, rent]
  transform: {missing: mean, unknown: error}
  split: {validation: 0, test: 0}
model:
  layers:
    - {type: dense, units: 16, activation: relu}
    - {type: dense, units: 2}
loss: mean_squared_error
optimizer: adam
training: {epochs: 2, batch_size: 16, precision: float64}
"""
FLOWERS = """
name: flowers
data: {source: flowers.csv, target: kind, split: {validation: 0, test: 0}}
model:
  layers:
    - {type: dense, units: 16, activation: relu}
    - {type: dense, units: 3}
loss: cross_entropy
training: {epochs: 2, batch_size: 16}
"""


def _flats(path):
    rng = np.random.default_rng(0)
    lines = ["area,city,rooms,floor,price,rent"]
    for row in range(40):
        area, rooms = rng.normal(80, 20), int(rng.integers(1, 6))
        city = ("Bern", "Zürich", 'Bi"el', "")[row % 4]
        floor = "" if row % 5 == 0 else f"{rng.integers(0, 9)}"
        quoted = '"' + city.replace('"', '""') + '"' if '"' in city else city
        lines.append(f"{area:.2f},{quoted},{rooms},{floor},{1000 + 30 * area:.1f},{10 * rooms}")
    path.write_text("\n".join(lines) + "\n")


def _flowers(path):
    rng = np.random.default_rng(1)
    lines = ["a,inputs,c,outputs,kind"]  # names that the header has as well
    for row in range(60):
        values = rng.normal(size=4) + row % 3
        lines.append(",".join(f"{value:.3f}" for value in values) + f",{('iris', 'rose', 'tulip')[row % 3]}")
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two trained networks: 4-16-3 classes in float32; two numbers from columns of all kinds in float64."""
    folder = tmp_path_factory.mktemp("runs")
    found = {}
    for name, text, write in (("flats", FLATS, _flats), ("flowers", FLOWERS, _flowers)):
        write(folder / f"{name}.csv")
        (folder / f"{name}.yaml").write_text(text)
        result = backprop_cli.train(folder / f"{name}.yaml", run_dir=folder / name)
        found[name] = (result.run_dir, folder / f"{name}.csv")
    return found


def compiled(source, *flags):
    """The command that compiles a file, which must succeed without a word."""
    done = subprocess.run(
        [*find_compiler().command, *flags, source.name, "-lm"],
        check=False,
        cwd=source.parent,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def self_test(source, *flags):
    """The output of the self-test."""
    compiled(source, *SANITIZED, "-DBP_TEST", *flags, "-o", "self_test")
    done = subprocess.run(["./self_test"], check=False, cwd=source.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Library:
    """An exported network, to be called with rows of a file."""

    def __init__(self, run, folder, *parts, precision="float64"):
        self.source = folder / "net.c"
        batch = BATCH if {"hessian-vector", "training"} & set(parts) else None
        self.result = backprop_cli.export(run, self.source, parts=parts, precision=precision, batch=batch)
        compiled(self.source, *STRICT, "-shared", "-fPIC", "-o", "net.so")
        self.functions = ctypes.CDLL(str(folder / "net.so"))
        self.saved, self.dtype = open_network(run), np.dtype(precision)
        self.state = np.zeros(self.result.memory.get("state", 0) + 16, np.uint8)
        if "training" in parts:
            self.functions.net_initialize(_pointer(self.state))

    def call(self, name, rows, shape, *more, state=False):
        """What a function writes for these rows."""
        numbers = np.array([[_number(row[f.name]) for f in self._features("number")] for row in rows])
        texts = [row[f.name].encode() or None for row in rows for f in self._features("text")]
        out = np.full(shape, np.nan, self.dtype)
        given = [_pointer(self.state)] if state else []
        given += [_pointer(numbers)] + ([(ctypes.c_char_p * len(texts))(*texts)] if texts else [])
        code = self.functions[f"net_{name}"](*given, *more, _pointer(out))
        return out if code == 0 else code

    def _features(self, kind):
        return [feature for feature in self.saved.transform.features if feature.kind == kind]


def _number(text):
    return float(text) if text else np.nan


def _pointer(array):
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)


def _rows(path):
    import csv

    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def _predicted(run, data, folder, **options):
    backprop_cli.predict(run, data, folder / "out.npz", **options)
    with np.load(folder / "out.npz", allow_pickle=True) as found:
        return dict(found)


def test_a_network_of_4_16_3_is_small_and_passes_its_test(runs, tmp_path):
    result = backprop_cli.export(runs["flowers"][0], tmp_path / "net.c", to="c")
    assert result.memory["static"] == 4 * (4 + 16) <= 200
    assert result.memory["constants"] == 4 * (5 * 16 + 17 * 3)
    assert result.multiplications == {"predict": 4 * 16 + 16 * 3}
    assert [path.name for path in result.files] == ["net.c", "net.h"]
    assert (tmp_path / "net.c").stat().st_size < 30_000
    text = (tmp_path / "net.c").read_text()
    own, _ = text.split("#ifdef BP_TEST")
    assert set(re.findall(r"#include (\S+)", own)) == {'"net.h"', "<math.h>", "<stddef.h>", "<stdint.h>", "<cblas.h>"}
    assert "Static memory   80 bytes" in text and "predict         112 multiplications" in text
    assert "double" not in text[text.index("int net_predict") : text.index("#ifdef BP_TEST")].split("{", 1)[1]
    assert self_test(tmp_path / "net.c").startswith("10 rows: largest relative difference")


def test_predictions_are_those_of_bp(runs, tmp_path):
    run, data = runs["flats"]
    library, rows = Library(run, tmp_path), _rows(data)
    found = np.array([library.call("predict", [row], 2) for row in rows])
    expected = _predicted(run, data, tmp_path)
    np.testing.assert_allclose(found[:, 0], expected["prediction_price"], rtol=1e-12)
    np.testing.assert_allclose(found[:, 1], expected["prediction_rent"], rtol=1e-12)


def test_a_value_that_cannot_be_used_is_named_by_its_column(runs, tmp_path):
    run, data = runs["flats"]
    library, row = Library(run, tmp_path), _rows(data)[1]
    columns = [feature.name for feature in library.saved.transform.features]
    assert library.call("predict", [row | {"city": "Genf"}], 2) == columns.index("city") + 1
    assert library.call("predict", [row | {"area": "inf"}], 2) == columns.index("area") + 1
    assert isinstance(library.call("predict", [row | {"floor": ""}], 2), np.ndarray)


def test_probabilities_and_classes_are_those_of_bp(runs, tmp_path):
    run, data = runs["flowers"]
    library = Library(run, tmp_path, precision="float32")
    expected = _predicted(run, data, tmp_path, proba=True)
    names = (ctypes.c_char_p * 3).in_dll(library.functions, "net_classes")
    for row, probabilities, name in zip(_rows(data), expected["probability"], expected["prediction"], strict=True):
        out = library.call("predict", [row], 3)
        np.testing.assert_allclose(out, probabilities, rtol=1e-5)
        assert names[library.functions.net_class(_pointer(out))].decode() == name


def test_derivatives_are_those_of_bp(runs, tmp_path):
    run, data = runs["flats"]
    library, rows = Library(run, tmp_path, "jacobian", "hessian-vector", "training"), _rows(data)
    expected = backprop_cli.jacobian(run, data, rows=["3"]).matrix
    found = library.call("jacobian", [rows[1]], expected.shape, state=True)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())
    size = library.saved.recipe.layout.size
    vector = np.random.default_rng(5).normal(size=size)
    np.save(tmp_path / "vector.npy", vector)
    curvature = backprop_cli.jacobian(run, data, rows=["2-5"], hvp=tmp_path / "vector.npy")
    targets = np.array([[float(row["price"]), float(row["rent"])] for row in rows[:BATCH]])
    found = library.call("hessian_vector", rows[:BATCH], size, _pointer(targets), _pointer(vector), state=True)
    wanted = curvature.arrays["product"]
    np.testing.assert_allclose(found, wanted, atol=1e-12 * np.abs(wanted).max())


def test_steps_are_those_of_bp(runs, tmp_path):
    run, data = runs["flats"]
    library, rows = Library(run, tmp_path, "training"), _rows(data)[:BATCH]
    recipe, transform = library.saved.recipe, library.saved.transform
    plan = Plan(training_step(replace(recipe, accumulate=False), BATCH))
    targets = np.array([[float(row["price"]), float(row["rent"])] for row in rows])
    rate = ctypes.c_double(0.01)
    for name in recipe.states():
        plan.inputs[name][...] = library.saved.vectors.get(name, 0.0)
    for step in range(1, 4):
        plan.inputs["inputs"][...] = _inputs(transform, data, rows)
        plan.inputs["targets"][...] = transform.target.standardize(targets)
        plan.inputs["learning_rate"][...] = 0.01
        for name, value in recipe.optimizer.scalars(step).items():
            plan.inputs[name][...] = value
        plan.run()
        report = library.call("train", rows, 3, _pointer(targets), rate, state=True)
        np.testing.assert_allclose(report[::2], [plan.outputs["loss"], plan.outputs["gradient_norm"]], rtol=1e-12)
    numbers = library.state[: library.result.memory["state"]].view(np.float64)
    expected = np.concatenate([plan.inputs[name] for name in recipe.states()])
    np.testing.assert_allclose(numbers, expected, rtol=1e-11, atol=1e-15)


def _inputs(transform, data, rows):
    from backprop_cli.data.stream import stream_inputs

    (found,) = stream_inputs(data, transform, dtype="float64", chunk_rows=1000, format=None)
    return found[: len(rows)]


def test_weights_are_read_from_a_file(runs, tmp_path):
    weights = tmp_path / "net.weights"
    result = backprop_cli.export(runs["flats"][0], tmp_path / "net.c", weights=weights)
    assert result.files[-1] == weights and "weights" in result.memory
    self_test(tmp_path / "net.c")
    content = weights.read_bytes()
    for wrong in (content[:-1], b"bp-c000000000000" + content[16:], content[:16] + content[24:]):
        weights.write_bytes(wrong)
        done = subprocess.run(["./self_test"], check=False, cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (1, "net.weights: cannot be read\n")


CBLAS = """
enum CBLAS_ORDER {CblasRowMajor = 101};
enum CBLAS_TRANSPOSE {CblasNoTrans = 111, CblasTrans = 112};
static void cblas_dgemm(enum CBLAS_ORDER order, enum CBLAS_TRANSPOSE ta, enum CBLAS_TRANSPOSE tb, int m, int n, int k,
                        double alpha, const double *a, int lda, const double *b, int ldb, double beta, double *c,
                        int ldc)
{
    (void)order;
    for (int i = 0; i < m; ++i) {
        for (int j = 0; j < n; ++j) {
            double sum = 0.0;
            for (int l = 0; l < k; ++l) {
                const double x = a[ta == CblasTrans ? l * lda + i : i * lda + l];
                sum += x * b[tb == CblasTrans ? j * ldb + l : l * ldb + j];
            }
            c[i * ldc + j] = alpha * sum + (beta == 0.0 ? 0.0 : beta * c[i * ldc + j]);
        }
    }
}
"""


@pytest.mark.slow
def test_products_by_cblas(runs, tmp_path):
    (tmp_path / "cblas.h").write_text(CBLAS)
    parts = ["jacobian", "training", "hessian-vector"]
    backprop_cli.export(runs["flats"][0], tmp_path / "net.c", parts=parts)
    assert "cblas_dgemm(" in (tmp_path / "net.c").read_text()
    self_test(tmp_path / "net.c", "-DBP_CBLAS", "-I.")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["flats", "flowers"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_all_parts_compile_without_a_warning_and_run_clean(name, precision, compiler, runs, tmp_path, monkeypatch):
    if shutil.which(compiler) is None:
        pytest.skip(f"there is no {compiler}")
    monkeypatch.setenv("CC", compiler)
    find_compiler.cache_clear()
    parts = ["jacobian", "hessian-vector", "training"]
    backprop_cli.export(runs[name][0], tmp_path / "net.c", parts=parts, precision=precision)
    self_test(tmp_path / "net.c", "-Wdouble-promotion")
    find_compiler.cache_clear()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("net.txt",), "net.txt: unknown suffix '.txt'; end the file's name with .c"),
        (("net.txt", "c"), "net.txt: --to c writes .c; end the file's name with it"),
        (
            ('a"b.c',),
            'a"b.c: #include takes no quote, backslash or line break; choose another name',
        ),
        (("net.c", "d"), "--to d: unknown format; known: c"),
        (
            ("net.c", "c", [], "net.h"),
            "--weights net.h: is also the name of another file of the export; choose another",
        ),
        (
            ("net.c", "c", [], "none/net.weights"),
            "none/net.weights: cannot be written: No such file or directory",
        ),
        (("net.c", "c", ["jacobi"]), "--with jacobi: not a part of --to c; known: jacobian, hessian-vector, training"),
    ],
)
def test_refusals(arguments, message, runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, to, parts, weights = (*arguments, None, None, None)[:4] if len(arguments) < 4 else arguments
    with pytest.raises(UsageError) as caught:
        backprop_cli.export(runs["flowers"][0], path, to=to, parts=parts, weights=weights)
    assert str(caught.value) == message
    assert not list(tmp_path.iterdir())


def test_fast_math_does_not_lose_missing_values(runs, tmp_path):
    backprop_cli.export(runs["flats"][0], tmp_path / "net.c")
    fast = ["-O3", "-ffast-math", "-DBP_TEST", "-Wundef"]
    refused = subprocess.run(
        [*find_compiler().command, *fast, "net.c", "-lm"], check=False, cwd=tmp_path, capture_output=True, text=True
    )
    assert refused.returncode != 0
    assert "missing values are NaN: after -ffast-math, add -fno-finite-math-only" in refused.stderr
    assert "largest relative difference" in self_test(tmp_path / "net.c", *fast, "-fno-finite-math-only")


@pytest.mark.parametrize("name", ["flats", "flowers"])
def test_the_file_has_no_two_empty_lines_in_a_row(name, runs, tmp_path):
    parts = ["jacobian", "hessian-vector", "training"]
    backprop_cli.export(runs[name][0], tmp_path / "net.c", parts=parts, weights=tmp_path / "net.weights")
    for file in ("net.c", "net.h"):
        assert "\n\n\n" not in (tmp_path / file).read_text()


@pytest.mark.parametrize("name", ["für", "int", "2-nets"])
def test_any_name_of_a_file_will_do(name, runs, tmp_path):
    backprop_cli.export(runs["flowers"][0], tmp_path / f"{name}.c")
    assert f" {name}.h: see {name}.c. ".encode("ascii", "backslashreplace") in (tmp_path / f"{name}.h").read_bytes()
    self_test(tmp_path / f"{name}.c")


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++")
def test_the_header_is_one_of_old_cxx_as_well(runs, tmp_path):
    for name in ("flats", "flowers"):
        parts = ["jacobian", "hessian-vector", "training"]
        backprop_cli.export(runs[name][0], tmp_path / f"{name}.c", parts=parts)
    (tmp_path / "main.cpp").write_text('#include "flats.h"\n#include "flowers.h"\n')
    strict = ["-std=c++98", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    subprocess.run(["g++", *strict, "-fsyntax-only", "main.cpp"], check=True, cwd=tmp_path)


def test_a_batch_needs_a_function_that_takes_one(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        backprop_cli.export(runs["flowers"][0], "net.c", parts=["jacobian"], batch=8)
    assert str(caught.value) == (
        "--batch 8: goes with --with hessian-vector or training; add one of them, or leave it out"
    )
    assert not list(tmp_path.iterdir())
