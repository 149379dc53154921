"""Keys that do not go together."""

import pytest
from config_support import DIGITS, changed, message, write

from backprop_cli.config.conflicts import monitor_direction, monitor_names
from backprop_cli.config.load import load_config
from backprop_cli.nn.loss import LOSSES
from backprop_cli.nn.metric import METRICS


def metrics_for(loss: str) -> str:
    """Those that a message about this loss offers."""
    return ", ".join(sorted(name for name, metric in METRICS.items() if metric.suits(LOSSES[loss]())))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "metrics=[accuracy, r2]",
            "metrics[1]: 'r2' is for regression, but cross_entropy is for classes; "
            f"use one of: {metrics_for('cross_entropy')}",
        ),
        ("metrics=[accuracy, accuracy]", "metrics[1]: 'accuracy' is listed twice; a metric's name is its type"),
        (
            "checkpoint.monitor=validation/acuracy",
            "no metric is named 'validation/acuracy'; did you mean 'validation/accuracy'?",
        ),
        (
            "checkpoint.monitor=loss",
            "no metric is named 'loss'; a name starts with its split; did you mean 'validation/loss'?",
        ),
        (
            "checkpoint.monitor=train/qwertyuiop",
            "no metric is named 'train/qwertyuiop'; known: train/loss, train/accuracy, validation/loss, "
            "validation/accuracy",
        ),
        (
            "early_stopping={monitor: test/loss}",
            "early_stopping.monitor: 'test/loss' is computed only once, at the end; monitor validation/loss instead",
        ),
        (
            "schedule={type: plateau, monitor: validation/f1}",
            "schedule.monitor: 'f1' is not among the metrics; add it there",
        ),
        (
            "data.transform.target=standardize",
            "'standardize' is for regression, but cross_entropy is for classes; leave it at auto",
        ),
    ],
)
def test_what_does_not_go_together(override, said):
    assert message(DIGITS, override) == f"override {override}: {said}"


def test_metrics_of_another_task_are_pointed_at():
    text = changed("loss: cross_entropy", "loss: huber") + "metrics:\n  - accuracy\n  - r2\n"
    assert message(text) == (
        "digits.yaml:12:5: metrics[0]: 'accuracy' is for classes, binary targets or tokens, but huber is for "
        f"regression; use one of: {metrics_for('huber')}\n"
        "   12 |   - accuracy\n"
        "      |     ^^^^^^^^"
    )


def test_metrics_of_probabilities_do_not_go_with_scores():
    text = changed("loss: cross_entropy", "loss: hinge") + "metrics: [brier_score]\n"
    assert message(text) == (
        "digits.yaml:11:11: metrics[0]: 'brier_score' needs probabilities, but hinge gives scores; "
        f"use one of: {metrics_for('hinge')}\n"
        "   11 | metrics: [brier_score]\n"
        "      |           ^^^^^^^^^^^"
    )


@pytest.mark.parametrize("loss", ["poisson", "kl_divergence"])
def test_targets_with_a_unit_of_their_own_are_not_standardized(loss):
    text = changed("loss: cross_entropy", f"loss: {loss}")
    assert message(text, "data.transform.target=standardize") == (
        f"override data.transform.target=standardize: {loss} needs the targets as they are; leave it at auto"
    )


def test_a_monitor_of_a_split_that_is_not_there():
    text = changed("  target: digit\n", "  target: digit\n  split: {validation: 0}\n")
    text += "early_stopping: {patience: 3}\ncheckpoint: {monitor: validation/accuracy}\n"
    assert message(text) == (
        "digits.yaml:12:17: early_stopping.monitor: 'validation/loss' needs a validation split; set "
        "data.split.validation, or monitor train/loss\n"
        "   12 | early_stopping: {patience: 3}\n"
        "      |                 ^^^^^^^^^^^^^\n"
        "digits.yaml:13:23: checkpoint.monitor: 'validation/accuracy' needs a validation split; set "
        "data.split.validation, or monitor train/accuracy\n"
        "   13 | checkpoint: {monitor: validation/accuracy}\n"
        "      |                       ^^^^^^^^^^^^^^^^^^^"
    )


def test_files_a_split_have_a_validation_split_only_if_one_is_given(tmp_path):
    text = changed("  source: digits.csv\n", "  train: a.csv\n")
    assert "validation/loss" not in monitor_names(load_config(write(tmp_path, text)).config)
    with_file = text.replace("  train: a.csv\n", "  train: a.csv\n  validation: b.csv\n")
    assert "validation/loss" in monitor_names(load_config(write(tmp_path, with_file)).config)
    assert "validation/loss" in monitor_names(load_config(write(tmp_path, text), ["data.split.test=0"]).config)


def test_regularization_can_be_monitored_where_there_is_some(tmp_path):
    assert "train/regularization" not in monitor_names(load_config(write(tmp_path)).config)
    some = load_config(write(tmp_path), ["regularization.l2=1e-3"]).config
    assert monitor_names(some) == [
        "train/loss",
        "train/accuracy",
        "train/regularization",
        "validation/loss",
        "validation/accuracy",
    ]


def test_the_best_checkpoint_follows_early_stopping(tmp_path):
    def monitor(*overrides: str) -> str:
        return load_config(write(tmp_path), overrides).config.checkpoint.monitor

    assert monitor() == "validation/loss"
    assert monitor("data.split.validation=0") == "train/loss"
    assert monitor("early_stopping={monitor: validation/accuracy}") == "validation/accuracy"
    own = ("early_stopping={monitor: validation/accuracy}", "checkpoint.monitor=train/loss")
    assert monitor(*own) == "train/loss"


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("validation/loss", "min"),
        ("train/regularization", "min"),
        ("validation/accuracy", "max"),
    ],
)
def test_which_way_is_better(tmp_path, name, direction):
    assert monitor_direction(load_config(write(tmp_path)).config, name) == direction


def test_an_average_begins_before_the_end(tmp_path):
    text = DIGITS + "average: {type: swa, from_epoch: 31}\n"
    assert message(text) == (
        "digits.yaml:11:34: average.from_epoch: training ends after epoch 30, so nothing would be averaged; start "
        "at epoch 30 or earlier, or set training.epochs\n"
        "   11 | average: {type: swa, from_epoch: 31}\n"
        "      |                                  ^^"
    )
    assert load_config(write(tmp_path, text), ["training.epochs=31"]).config.average is not None


def test_an_average_and_lookahead_are_off_unless_asked_for(tmp_path):
    assert load_config(write(tmp_path)).config.average is None
    found = load_config(write(tmp_path, DIGITS + "average: ema\nlookahead: {}\n")).config
    assert (found.average.decay, found.lookahead.steps, found.lookahead.rate) == (0.999, 5, 0.5)
