"""Patterns of parameters' names: each is to match one, and a group's keys are the optimizer's."""

from pathlib import Path

import pytest
from config_support import DIGITS, changed, message, write

from backprop_cli.config.dump import to_yaml
from backprop_cli.config.load import load_config, read_tree
from backprop_cli.config.resolve import resolved_tree

NAMES = "parameters: dense_1.weight, dense_1.bias, dense_2.weight, dense_2.bias"


def grouped(group: str, kind: str = "adamw") -> str:
    return f"{DIGITS}optimizer:\n  type: {kind}\n  groups:\n    - {group}\n"


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("'*.biass'", "'*.biass' matches no parameter; did you mean '*.bias'?"),
        ("[dense_1.bias, dense_3.weight]", "'dense_3.weight' matches no parameter; did you mean 'dense_2.weight'?"),
        ("dens_*", "'dens_*' matches no parameter; did you mean 'dense_*'?"),
        ("[xyz]", f"'xyz' matches no parameter; {NAMES}"),
    ],
)
def test_a_pattern_that_matches_nothing(pattern, said):
    text = grouped(f"{{weight_decay: 0.0, parameters: {pattern}}}")
    column = text.splitlines()[-1].index(pattern) + 1
    assert message(text) == (
        f"digits.yaml:14:{column}: optimizer.groups[0].parameters: {said}\n"
        f"   14 |     - {{weight_decay: 0.0, parameters: {pattern}}}\n"
        f"      | {' ' * (column - 1)}{'^' * len(pattern)}"
    )


def test_many_parameters_are_counted():
    layers = "    - {type: dense, units: 10}\n" * 5
    text = changed("    - {type: dropout, rate: 0.2}\n", layers) + "optimizer: {type: muon, fallback_for: xyz}\n"
    assert message(text).splitlines()[0] == (
        "digits.yaml:15:39: optimizer.fallback_for: 'xyz' matches no parameter; parameters: dense_1.weight, "
        "dense_1.bias, dense_2.weight, dense_2.bias, dense_3.weight, dense_3.bias, dense_4.weight, dense_4.bias, "
        "... (14 in all)"
    )


def test_what_is_not_trained_is_in_no_group():
    text = changed("{type: dropout, rate: 0.2}", "{type: batch_norm}") + (
        "optimizer: {type: adam, groups: [{parameters: '*.running_mean', learning_rate: 0.1}]}\n"
    )
    assert message(text).splitlines()[0] == (
        "digits.yaml:11:47: optimizer.groups[0].parameters: '*.running_mean' matches only tensors that are not "
        "trained: batch_norm_1.running_mean"
    )


@pytest.mark.parametrize(
    ("group", "kind", "said"),
    [
        (
            "{parameters: '*', weight_deca: 0.0}",
            "adamw",
            "digits.yaml:14:25: optimizer.groups[0].weight_deca: unknown key; did you mean 'weight_decay'?",
        ),
        (
            "{parameters: '*', weight_decay: -1}",
            "adamw",
            "digits.yaml:14:39: optimizer.groups[0].weight_decay: must be at least 0, got -1",
        ),
        (
            "{parameters: '*', nesterov: true}",
            "sgd",
            "digits.yaml:14:35: optimizer.groups[0].nesterov: needs momentum greater than 0",
        ),
        (
            "{momentum: 0.5}",
            "sgd",
            "digits.yaml:14:7: optimizer.groups[0].parameters: required, but not given: names of parameters, with * "
            "for any text, as *.bias; a parameter belongs to the first group that matches",
        ),
        (
            "{parameters: '*', fallback: {type: adam, epsilo: 0.5}}",
            "muon",
            "digits.yaml:14:48: optimizer.groups[0].fallback.epsilo: unknown key; did you mean 'epsilon'?",
        ),
        (
            "{parameters: '*', fallback: muon}",
            "muon",
            "digits.yaml:14:35: optimizer.groups[0].fallback: muon is for matrices; name an optimizer for the others, "
            "such as adamw",
        ),
        (
            "{parameters: '*.bias', learning_rate: 0.1}",
            "lbfgs",
            "digits.yaml:13:3: optimizer.groups: lbfgs steps along all parameters at once; remove the groups",
        ),
        (
            "{parameters: []}",
            "adam",
            "digits.yaml:14:20: optimizer.groups[0].parameters: needs at least 1 item, got 0",
        ),
    ],
)
def test_a_groups_keys_are_the_optimizers(group, kind, said):
    assert message(grouped(group, kind)).splitlines()[0] == said


def test_a_group_to_which_those_above_leave_nothing():
    text = grouped("{parameters: 'dense_*', learning_rate: 0.1}\n    - {parameters: '*.bias', learning_rate: 0.2}")
    assert message(text) == (
        "digits.yaml:15:20: optimizer.groups[1].parameters: all parameters that it matches belong to the groups above; "
        "put it before them\n"
        "   15 |     - {parameters: '*.bias', learning_rate: 0.2}\n"
        "      |                    ^^^^^^^^"
    )
    part = grouped("{parameters: 'dense_1.*', learning_rate: 0.1}\n    - {parameters: '*.bias', learning_rate: 0.2}")
    write(Path(), part)
    assert len(load_config(Path("digits.yaml")).config.optimizer.groups) == 2


def test_a_muon_that_has_no_matrices():
    text = DIGITS + "optimizer: {type: muon, fallback_for: ['*']}\n"
    assert message(text) == (
        "digits.yaml:11:19: optimizer.type: no parameter is left to muon: adamw has them all; use that as the "
        "optimizer\n"
        "   11 | optimizer: {type: muon, fallback_for: ['*']}\n"
        "      |                   ^^^^"
    )


def test_overrides_reach_into_groups():
    text = grouped("{parameters: '*.bias', weight_decay: 0.0}")
    assert message(text, "optimizer.groups.0.weight_decay=x") == (
        "override optimizer.groups.0.weight_decay=x: expected a number, got 'x' (text)"
    )


def test_the_resolved_configuration_has_what_is_given_and_reads_the_same(tmp_path):
    group = "{parameters: '*.bias', fallback: {type: sgd, groups: []}, learning_rate: 1}"
    loaded = load_config(write(tmp_path, grouped(group, "muon")))
    tree = resolved_tree(loaded)
    (found,) = tree["optimizer"]["groups"]
    assert list(found) == ["parameters", "learning_rate", "fallback"]
    assert found["parameters"] == ["*.bias"]
    again, _, problems = read_tree(to_yaml(tree), "x.yaml")
    assert not problems
    assert load_config(write(tmp_path, to_yaml(again))).config.optimizer == loaded.config.optimizer
