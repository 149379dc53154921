"""Metrics: scikit-learn on the same predictions, ties, what is undefined."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from nn_support import build
from scipy.special import rel_entr
from sklearn import metrics as sk
from sklearn.metrics.pairwise import cosine_similarity

from backprop_cli import autodiff as ad
from backprop_cli.errors import UsageError
from backprop_cli.nn.confusion import confusion
from backprop_cli.nn.loss import LOSSES
from backprop_cli.nn.metric import METRICS, Predictions, better
from backprop_cli.nn.task import BINARY, CLASSES, REGRESSION, task_of
from backprop_cli.nn.token_counts import TokenCounts


def _macro(function):
    def reference(p, own):
        average = "macro" if p.task == "classes" or p.outputs.shape[1] > 1 else "binary"
        truth = p.targets.astype(int)
        truth, labels = (truth[:, 0], p.labels[:, 0]) if average == "binary" else (truth, p.labels)
        return function(truth, labels, average=average, zero_division=0)

    return reference


def _top_k(p, own):
    return np.mean([y in np.argsort(-row, kind="stable")[: own.k] for y, row in zip(p.targets, p.outputs, strict=True)])


def _flat(function):
    """Of tokens: the same of all positions that count, as so many examples."""
    return lambda p, own: function(getattr(p.tokens, "flat", p), own)


def _nats(p, own):
    return sk.log_loss(p.targets, p.outputs, labels=range(p.outputs.shape[1]))


REFERENCE = {
    "accuracy": _flat(lambda p, own: sk.accuracy_score(p.targets.ravel(), p.labels.ravel())),
    "top_k_accuracy": _flat(_top_k),
    "perplexity": _flat(lambda p, own: np.exp(_nats(p, own))),
    "bits_per_token": _flat(lambda p, own: _nats(p, own) / np.log(2)),
    "precision": _macro(sk.precision_score),
    "recall": _macro(sk.recall_score),
    "f1": _macro(sk.f1_score),
    "roc_auc": lambda p, own: _roc_auc_score(p, own.average),
    "mean_squared_error": lambda p, own: sk.mean_squared_error(p.targets, p.outputs),
    "root_mean_squared_error": lambda p, own: sk.root_mean_squared_error(p.targets, p.outputs),
    "mean_absolute_error": lambda p, own: sk.mean_absolute_error(p.targets, p.outputs),
    "r2": lambda p, own: sk.r2_score(p.targets, p.outputs),
    "mean_absolute_percentage_error": lambda p, own: sk.mean_absolute_percentage_error(p.targets, p.outputs),
    "mean_poisson_deviance": lambda p, own: sk.mean_poisson_deviance(p.targets.ravel(), p.outputs.ravel()),
    "kl_divergence": lambda p, own: np.mean(rel_entr(p.targets, p.outputs).sum(axis=1)),
    "cosine_similarity": lambda p, own: np.mean(np.diag(cosine_similarity(p.targets, p.outputs))),
    "pinball_loss": lambda p, own: sk.mean_pinball_loss(p.targets, p.outputs),
    "log_loss": lambda p, own: _by_output(p, sk.log_loss),
    "brier_score": lambda p, own: _by_output(p, sk.brier_score_loss),
    "expected_calibration_error": lambda p, own: _calibration_error(p, own.bins),
}
POSITIVE = ("mean_poisson_deviance", "kl_divergence")
"""Metrics that are of numbers above 0."""
PROBABLE = ("log_loss", "brier_score", "roc_auc")
"""Metrics that are of probabilities that sum to 1."""


def _calibration_error(p, bins):
    """The definition, bin by bin."""
    labels, outputs = np.atleast_2d(p.labels.T), p.outputs.astype(float)
    sure = [outputs.max(axis=1)] if p.task == "classes" else np.maximum(outputs, 1 - outputs).T
    rows = [
        (c, a == b)
        for k, row in enumerate(np.atleast_2d(p.targets.T))
        for c, a, b in zip(sure[k], labels[k], row, strict=True)
    ]
    total = 0.0
    for k in range(bins):
        inside = [(c, right) for c, right in rows if k / bins < c <= (k + 1) / bins or (k == 0 and c == 0)]
        total += abs(sum(right - c for c, right in inside))
    return total / len(rows)


def _roc_auc_score(p, average):
    """NaN where scikit-learn raises an error, and where no example is positive (scikit-learn: 0)."""
    width = p.outputs.shape[1]
    if p.task == "binary":
        return sk.roc_auc_score(p.targets, p.outputs, average=average) if p.targets.any() else math.nan
    if len(np.unique(p.targets)) < width:
        return math.nan
    if width == 2:
        return sk.roc_auc_score(p.targets, p.outputs[:, 1])
    return sk.roc_auc_score(p.targets, p.outputs, average=average, multi_class="ovr")


def _by_output(p, function):
    if p.task == "classes":
        return function(p.targets, p.outputs, labels=range(p.outputs.shape[1]))
    return np.mean([function(t, o, labels=[0, 1]) for t, o in zip(p.targets.T, p.outputs.T, strict=True)])


def _predictions(task, examples, width, seed, dtype="float64"):
    rng = np.random.default_rng(seed)
    if task == "tokens":
        return _tokens(examples, width, rng)
    outputs = rng.random((examples, width)).round(1)  # rounded: many ties
    if task == "classes":
        return Predictions(task_of(task), outputs.astype(dtype), rng.integers(0, width, examples))
    if task == "binary":
        return Predictions(task_of(task), outputs.astype(dtype), rng.integers(0, 2, (examples, width)).astype(dtype))
    return Predictions(task_of(task), outputs.astype(dtype), rng.normal(size=(examples, width)).astype(dtype))


def _suited(name, p):
    """Numbers that the metric is defined for."""
    if name in POSITIVE:
        return Predictions(p.task, p.outputs + p.outputs.dtype.type(0.1), np.abs(p.targets).round())
    if name in PROBABLE and p.task == "classes":
        shares = p.outputs + p.outputs.dtype.type(0.05)
        return Predictions(p.task, shares / shares.sum(axis=1, keepdims=True), p.targets)
    return p


def _tokens(examples, width, rng, positions=3):
    """Counted in two batches, with ties, and some positions that do not count."""
    logits, labels = (
        rng.normal(size=(examples, positions, width)).round(1),
        rng.integers(-1, width, (examples, positions)),
    )
    labels[0, 0] = 0  # one counts
    counts, loss = TokenCounts(width), build(LOSSES, "next_token")
    for part in (slice(0, 1), slice(1, None)):
        x, t = ad.input_("x", logits[part].shape), ad.input_("t", labels[part].shape, int)
        counts.add(ad.evaluate([loss.metric_inputs(x, t)], {x: logits[part], t: labels[part]})[0])
    probs = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    counts.flat = Predictions(CLASSES, probs[labels >= 0], labels[labels >= 0])
    return Predictions.of_tokens(counts)


CASES = [
    (name, settings, task)
    for name, cls in METRICS.items()
    if not cls.needs_intervals  # see test_intervals
    for settings in cls.samples
    for task in cls.tasks
]


@pytest.mark.parametrize(("name", "settings", "task"), CASES, ids=[f"{n}{list(s.values())}-{t}" for n, s, t in CASES])
@examples(max_examples=15)
@given(count=st.integers(2, 30), width=st.integers(1, 4), seed=st.integers(0, 10_000))
def test_is_scikit_learns(name, settings, task, count, width, seed):
    metric = build(METRICS, {"type": name, **settings})
    predictions = _predictions(task, count, max(width, 2) if task.has_labels else width, seed)
    predictions = _suited(name, predictions)
    found = metric.compute(predictions)
    assert isinstance(found, float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of what is undefined
        expected = REFERENCE[name](predictions, metric)
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12, nan_ok=True)


OF_ARRAYS = [case for case in CASES if case[2] != "tokens"]


@pytest.mark.parametrize(
    ("name", "settings", "task"), OF_ARRAYS, ids=[f"{n}{list(s.values())}-{t}" for n, s, t in OF_ARRAYS]
)
def test_precision_of_the_outputs_does_not_matter(name, settings, task):
    metric = build(METRICS, {"type": name, **settings})
    p = _suited(name, _predictions(task, 20, 2, 0, "float32"))
    if name == "log_loss":  # but for how near to 0 and 1 a probability can be
        p = Predictions(task, np.clip(p.outputs, 0.1, 0.9), p.targets)
    wide = Predictions(task, p.outputs.astype("float64"), p.targets)
    assert metric.compute(p) == metric.compute(wide)


def test_predicted_labels_of_ties_and_of_the_threshold():
    ties = Predictions(CLASSES, np.array([[0.4, 0.4, 0.2], [0.2, 0.4, 0.4]]), np.array([0, 2]))
    assert ties.labels.tolist() == [0, 1]
    assert ties.labels.dtype == np.int64
    half = Predictions(BINARY, np.array([[0.5], [np.nextafter(0.5, 0)]]), np.ones((2, 1)))
    assert half.labels.tolist() == [[1], [0]]


def test_top_1_is_accuracy_with_ties_too():
    for seed in range(20):
        predictions = _predictions("classes", 30, 3, seed)
        top = build(METRICS, {"type": "top_k_accuracy", "k": 1}).compute(predictions)
        assert top == build(METRICS, "accuracy").compute(predictions)


def test_top_k_with_k_classes_is_1():
    assert build(METRICS, {"type": "top_k_accuracy", "k": 3}).compute(_predictions("classes", 9, 3, 0)) == 1


@pytest.mark.parametrize(
    ("metric", "task", "outputs", "said"),
    [
        ("accuracy", "classes", 1000, None),
        ("roc_auc", "classes", 2, None),
        ("roc_auc", "binary", 1, None),
        ("roc_auc", "classes", 3, None),
        ("roc_auc", "binary", 2, None),
        ("roc_auc", "classes", 1, "'roc_auc' needs at least two classes, and the data has 1; leave it out"),
        ({"type": "top_k_accuracy", "k": 2}, "classes", 3, None),
        (
            "top_k_accuracy",
            "classes",
            5,
            "'top_k_accuracy' with k: 5 is always 1, as the data has 5 classes; set k to at most 4",
        ),
        (
            "top_k_accuracy",
            "classes",
            2,
            "'top_k_accuracy' with k: 5 is always 1, as the data has 2 classes; use accuracy",
        ),
    ],
)
def test_metrics_that_do_not_fit_the_data(metric, task, outputs, said):
    problem = build(METRICS, metric).problem(task_of(task), outputs)
    assert (None if problem is None else problem.message) == said


def _roc_auc(scores, targets):
    return build(METRICS, "roc_auc").compute(
        Predictions(BINARY, np.array(scores)[:, None], np.array(targets, float)[:, None])
    )


@pytest.mark.parametrize(
    ("scores", "targets", "area"),
    [
        ([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], 1.0),
        ([0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0], 0.0),
        ([0.5, 0.5, 0.5, 0.5], [0, 1, 0, 1], 0.5),
        ([0.5, 0.5, 0.9, 0.1], [0, 1, 1, 0], 0.875),
        ([0.1, 0.2], [1, 1], math.nan),
        ([0.1, math.nan], [0, 1], math.nan),
    ],
)
def test_area_under_the_curve(scores, targets, area):
    assert _roc_auc(scores, targets) == pytest.approx(area, nan_ok=True)


def test_area_of_a_million_examples_is_quick():
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, 1_000_000)
    assert _roc_auc(rng.random(1_000_000), targets) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_area_of_three_classes_is_the_mean_of_one_against_the_rest(average):
    scores = np.array([[0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.3, 0.3, 0.4], [0.4, 0.4, 0.2]])
    predictions = Predictions(CLASSES, scores, np.array([0, 0, 1, 2]))
    by_hand = [1.0, 2 / 3, 0.5]  # of 4, 3 and 3 pairs: all, two, and one with two ties
    weights = np.array([2, 1, 1]) if average == "weighted" else np.ones(3)
    found = build(METRICS, {"type": "roc_auc", "average": average}).compute(predictions)
    assert found == pytest.approx(np.average(by_hand, weights=weights), rel=1e-12)


def test_area_where_a_class_is_missing_is_nan():
    predictions = Predictions(CLASSES, np.full((4, 3), 1 / 3), np.array([0, 0, 1, 1]))
    for average in ("macro", "weighted"):
        assert math.isnan(build(METRICS, {"type": "roc_auc", "average": average}).compute(predictions))


def test_area_of_a_single_class_is_refused():
    with pytest.raises(UsageError) as caught:
        build(METRICS, "roc_auc").compute(Predictions(CLASSES, np.ones((3, 1)), np.zeros(3, np.int64)))
    assert str(caught.value) == "metric roc_auc: needs at least two classes, got 1; leave it out"


@pytest.mark.parametrize(("outputs", "value"), [([2.0, 2.0], 1.0), ([2.0, 3.0], 0.0)])
def test_r2_of_a_constant_target(outputs, value):
    predictions = Predictions(REGRESSION, np.array(outputs)[:, None], np.full((2, 1), 2.0))
    assert build(METRICS, "r2").compute(predictions) == value


def test_r2_of_one_example_is_nan():
    assert math.isnan(build(METRICS, "r2").compute(Predictions(REGRESSION, np.ones((1, 1)), np.ones((1, 1)))))


def test_a_class_that_is_never_predicted_counts_0_and_one_that_is_nowhere_does_not_count():
    outputs = np.eye(4)[[0, 0, 2]]
    predictions = Predictions(CLASSES, outputs, np.array([0, 1, 2]))
    assert build(METRICS, "precision").compute(predictions) == pytest.approx((1 / 2 + 0 + 1) / 3)
    assert build(METRICS, "recall").compute(predictions) == pytest.approx((1 + 0 + 1) / 3)
    assert build(METRICS, "f1").compute(predictions) == pytest.approx((2 / 3 + 0 + 1) / 3)


def test_confusion_counts_truth_by_row():
    counts = confusion(np.array([0, 0, 1, 2]), np.array([0, 2, 1, 2]), 4)
    assert counts.tolist() == [[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("monitor", "way"),
    [
        ("validation/loss", "min"),
        ("loss", "min"),
        ("train/accuracy", "max"),
        ("test/r2", "max"),
        ("validation/root_mean_squared_error", "min"),
        ("gradient_norm", "min"),
    ],
)
def test_which_way_is_better(monitor, way):
    assert better(monitor) == way


def test_of_tokens_of_which_none_counts_nothing_is_said():
    empty = Predictions.of_tokens(TokenCounts(5))
    for name in ("accuracy", "perplexity", "bits_per_token", "top_k_accuracy"):
        assert math.isnan(build(METRICS, name).compute(empty))


def test_a_perplexity_without_end_is_infinite():
    counts = TokenCounts(2)
    counts.add(np.array([[[1e4, 1.0]]]))
    assert build(METRICS, "perplexity").compute(Predictions.of_tokens(counts)) == math.inf


def _regression(outputs, targets, **more):
    return Predictions(REGRESSION, np.array(outputs), np.array(targets), **more)


@pytest.mark.parametrize(
    ("metric", "outputs", "targets", "value"),
    [
        ("mean_poisson_deviance", [[0.0]], [[1.0]], math.nan),
        ("mean_poisson_deviance", [[1.0]], [[-1.0]], math.nan),
        ("mean_poisson_deviance", [[2.0]], [[0.0]], 4.0),
        ("kl_divergence", [[-0.5, 1.5]], [[0.5, 0.5]], math.nan),
        ("kl_divergence", [[0.0, 1.0]], [[0.5, 0.5]], math.inf),
        ("kl_divergence", [[1.0, 0.0]], [[1.0, 0.0]], 0.0),
        ("cosine_similarity", [[0.0, 0.0]], [[1.0, 2.0]], 0.0),
        ("mean_absolute_percentage_error", [[1.5], [-1.0]], [[1.0], [-2.0]], 0.5),
    ],
)
def test_what_is_undefined_or_on_an_edge(metric, outputs, targets, value):
    assert build(METRICS, metric).compute(_regression(outputs, targets)) == pytest.approx(value, nan_ok=True)


def test_quantiles_are_measured_by_their_own_levels_and_other_metrics_by_the_median():
    rng = np.random.default_rng(0)
    outputs, targets, levels = rng.normal(size=(20, 6)), rng.normal(size=(20, 2)), (0.1, 0.6, 0.95)
    predictions = _regression(outputs, targets, levels=levels)
    expected = [
        sk.mean_pinball_loss(targets[:, k], outputs[:, 3 * k + i], alpha=level)
        for k in range(2)
        for i, level in enumerate(levels)
    ]
    assert build(METRICS, "pinball_loss").compute(predictions) == pytest.approx(np.mean(expected), rel=1e-12)
    found = build(METRICS, "mean_absolute_error").compute(predictions)
    assert found == pytest.approx(sk.mean_absolute_error(targets, outputs[:, [1, 4]]), rel=1e-12)


def test_log_loss_of_a_class_that_was_said_to_be_impossible():
    sure = Predictions(CLASSES, np.array([[1.0, 0.0]], np.float32), np.array([1]))
    assert build(METRICS, "log_loss").compute(sure) == pytest.approx(-math.log(2**-23))
