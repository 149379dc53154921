"""What does not go with lbfgs, at its place."""

import pytest
from config_support import DIGITS, changed, message, write

from backprop_cli.config.load import load_config

BARE = changed("    - {type: dropout, rate: 0.2}\n", "") + "optimizer: lbfgs\n"
SAME = "a loss that is the same at every step"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("training.accumulate=2", "lbfgs sees the whole train split in one batch; leave it at 1"),
        ("training.clip_norm=1", "lbfgs searches along the gradient as it is; leave it at none"),
        ("training.clip_value=1", "lbfgs searches along the gradient as it is; leave it at none"),
        ("average=ema", "lbfgs lowers the loss at every step, so its last parameters are its best; leave it at none"),
        ("lookahead={}", "lbfgs lowers the loss at every step, so its last parameters are its best; leave it at none"),
        ("regularization.l1=1e-3", "lbfgs needs a loss without kinks; use l2"),
        (
            "model.layers.0.regularization={l1: 0.1}",
            "model.layers[0].regularization.l1: lbfgs needs a loss without kinks; use l2",
        ),
    ],
)
def test_keys(override, said):
    assert message(BARE, override) == f"override {override}: {said}"


def test_a_layer_that_draws_random_numbers():
    assert message(DIGITS, "optimizer=lbfgs") == (
        f"digits.yaml:8:7: model.layers[1]: layer dropout_1: draws random numbers, but lbfgs needs {SAME}; remove it\n"
        "    8 |     - {type: dropout, rate: 0.2}\n"
        "      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^"
    )


def test_what_goes_with_it(tmp_path):
    fine = ("regularization.l2=1e-3", "schedule=cosine", "training.batch_size=7", "early_stopping={}")
    assert load_config(write(tmp_path, BARE), fine).config.optimizer.type == "lbfgs"
    load_config(write(tmp_path, DIGITS), ["optimizer=lbfgs", "model.layers.1.rate=0"])
