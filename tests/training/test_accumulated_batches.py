"""An update of accumulated batches is that of one large batch, whatever counts in the batches."""

import dataclasses

import numpy as np
import pytest
from training_support import Examples, epochs, examples, losses, recipe, spec, trained

POSITIONS, TOKENS = 3, 5
TEXT = ({"type": "dense", "units": POSITIONS * TOKENS}, {"type": "reshape", "shape": [POSITIONS, TOKENS]})
OPTIMIZERS = {
    "sgd": {"type": "sgd", "learning_rate": 0.1, "momentum": 0.9},
    "adamw": {"type": "adamw", "learning_rate": 0.1, "weight_decay": 0.1},
}
CUTS = [(2, 2), (1, 4)]
"""Sizes and numbers of batches, in place of one of 4."""


def ignored(which):
    """Ten sequences: no label counts, those of every second example, or only those of the first six do."""
    data = examples(10, recipe(TEXT, loss="next_token"))
    rows = {"all": slice(None), "every second": slice(None, None, 2), "the last": slice(6, None), "none": slice(0)}
    data.targets[rows[which]] = -1
    return data


def compared(recipe_of, data, batch, count, **more):
    """Parameters and losses of accumulated batches against those of one batch of 4; 10 examples leave one of 2."""
    whole = spec(recipe_of(), data, epochs=2, batch_size=4, shuffle=False)
    parts = spec(recipe_of(accumulate=True), data, epochs=2, batch_size=batch, accumulate=count, shuffle=False)
    (expected, some), (found, others) = trained(whole), trained(dataclasses.replace(parts, **more))
    tolerance = 1e-12 if found.parameters.dtype == np.float64 else 2e-5
    np.testing.assert_allclose(found.parameters, expected.parameters, rtol=0, atol=tolerance)
    np.testing.assert_allclose(losses(others), losses(some), rtol=0, atol=tolerance)
    for one, other in zip(epochs(some), epochs(others), strict=True):
        assert other.metrics["train/loss"] == pytest.approx(one.metrics["train/loss"], rel=1e-4, abs=tolerance)
    return found


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("batch", "count"), CUTS)
@pytest.mark.parametrize("which", ["all", "every second", "the last", "none"])
def test_labels_that_are_ignored(which, batch, count, dtype, optimizer):
    def recipe_of(**more):
        keys = {"loss": "next_token", "optimizer": OPTIMIZERS[optimizer], "dtype": dtype, "l1": 0.1, "l2": 0.5}
        return recipe(TEXT, **keys, clip_norm=0.3, **more)

    compared(recipe_of, ignored(which), batch, count)


@pytest.mark.parametrize(("batch", "count"), [(4, 1), *CUTS])
def test_where_no_label_counts_l2_shrinks_the_weights(batch, count):
    """Six updates multiply them by 0.95 each."""
    made = recipe(
        TEXT, loss="next_token", optimizer={"type": "sgd", "learning_rate": 0.1}, l2=0.5, accumulate=count > 1
    )
    this = spec(made, ignored("all"), epochs=2, batch_size=batch, accumulate=count)
    start, _ = trained(dataclasses.replace(this, settings=this.settings.model_copy(update={"max_steps": 1})))
    state, _ = trained(this)
    first, last = (made.layout.arrays(s.parameters)["dense_1.weight"] for s in (start, state))
    np.testing.assert_allclose(last, 0.95**5 * first, rtol=1e-12)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("batch", "count"), CUTS)
def test_parts_of_workers(batch, count, workers):
    def recipe_of(**more):
        return recipe(TEXT, loss="next_token", optimizer=OPTIMIZERS["sgd"], l1=0.1, l2=0.5, **more)

    for which in ("all", "every second"):
        compared(recipe_of, ignored(which), batch, count, workers=workers)


@pytest.mark.parametrize(("batch", "count"), CUTS)
@pytest.mark.parametrize("weights", [np.zeros(10), np.arange(10) % 3], ids=["no example counts", "some count"])
def test_weights_of_examples_and_of_classes(weights, batch, count):
    def recipe_of(**more):
        by_class = np.array([0.0, 1.0, 3.0])
        return recipe(weighted=True, class_weights=by_class, optimizer=OPTIMIZERS["sgd"], l1=0.1, l2=0.5, **more)

    plain = examples(10, recipe())
    compared(recipe_of, Examples(plain.inputs, plain.targets, weights.astype(float)), batch, count)
