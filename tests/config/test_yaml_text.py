"""What is wrong with a text before anything is known about its keys."""

import pytest
from config_support import message
from hypothesis import given, settings
from hypothesis import strategies as st

from backprop_cli.config.compose import UnreadableError, compose
from backprop_cli.config.dump import to_yaml
from backprop_cli.config.load import read_tree
from backprop_cli.errors import ConfigError

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "digits.yaml: is empty; it needs at least data, model and loss"),
        ("# nothing\n", "digits.yaml: is empty; it needs at least data, model and loss"),
        (
            "[1, 2]\n",
            "digits.yaml:1:1: expected a mapping with the keys data, model and loss, got a list\n"
            "    1 | [1, 2]\n      | ^^^^^^",
        ),
        (
            "data\n",
            "digits.yaml:1:1: expected a mapping with the keys data, model and loss, got 'data'\n    1 | data\n"
            "      | ^^^^",
        ),
        (
            "data:\n\tsource: x\n",
            "digits.yaml:2:1: not valid YAML: found character '\\t' that cannot start any token; indent with spaces\n"
            "    2 | \tsource: x\n      | ^",
        ),
        (
            "name: a: b\n",
            "digits.yaml:1:8: not valid YAML: mapping values are not allowed here; check the indentation, or put text "
            "that holds ': ' in quotes\n    1 | name: a: b\n      |        ^",
        ),
        (
            "data:\n  source:x.csv\n  target: y\n",
            "digits.yaml:3:9: not valid YAML: mapping values are not allowed here; is a space missing after 'source:' "
            "in line 2?\n    3 |   target: y\n      |         ^",
        ),
        (
            "data:\n  source:x.csv\n\n  # the class\n  target: y\n",
            "digits.yaml:5:3: not valid YAML: expected <block end>, but found '<block mapping start>'; is a space "
            "missing after 'source:' in line 2?\n    5 |   target: y\n      |   ^",
        ),
        (
            "name: x\nseed:3\nloss: y\n",
            "digits.yaml:3:1: not valid YAML: could not find expected ':'; is a space missing after 'seed:' in line 2?"
            "\n    3 | loss: y\n      | ^",
        ),
        (
            "name: [1, 2\nseed: 3\n",
            "digits.yaml:2:5: not valid YAML: expected ',' or ']', but got ':'; is the '[' of line 1, column 7 "
            "closed?\n"
            "    2 | seed: 3\n      |     ^",
        ),
        (
            'name: "x\nseed: 3\n',
            'digits.yaml:1:7: not valid YAML: this quote is not closed\n    1 | name: "x\n      |       ^',
        ),
        (
            'name: "\\q"\n',
            "digits.yaml:1:9: not valid YAML: found unknown escape character 'q'; write the backslash twice, or use "
            'single quotes\n    1 | name: "\\q"\n      |         ^',
        ),
        (
            "name: @x\n",
            "digits.yaml:1:7: not valid YAML: found character '@' that cannot start any token; text that starts with "
            "it needs quotes\n    1 | name: @x\n      |       ^",
        ),
        (
            "name: *x\n",
            "digits.yaml:1:7: not valid YAML: found undefined alias 'x'; text that starts with '*' needs quotes\n"
            "    1 | name: *x\n      |       ^",
        ),
        (
            "name: &x 1\nseed: &x 2\n",
            "digits.yaml:2:7: not valid YAML: found duplicate anchor 'x'; first defined on line 1\n"
            "    2 | seed: &x 2\n      |       ^",
        ),
        (
            "name: a\n---\nname: b\n",
            "digits.yaml:2:1: not valid YAML: found another document; a configuration is one document: remove "
            "the '---'\n"
            "    2 | ---\n      | ^",
        ),
        (
            "name: a\x07b\n",
            "digits.yaml:1:8: not valid YAML: the character U+0007 is not allowed\n"
            "    1 | name: a\\x07b\n      |        ^^^^",
        ),
        (
            'name: "\\UFFFFFFFF"\n',
            "digits.yaml:1:10: not valid YAML: a number in an escape or a directive is out of range\n"
            '    1 | name: "\\UFFFFFFFF"\n      |          ^',
        ),
        (
            f"name: {'[' * 70}\n",
            f"digits.yaml:1:70: nested deeper than 64 levels\n    1 | ...{'[' * 69}\n      | {' ' * 65}^",
        ),
        (
            "name: &a [*a]\n",
            "digits.yaml:1:7: name[0]: contains itself through an alias\n    1 | name: &a [*a]\n      |       ^^^^^^^",
        ),
    ],
)
def test_a_text_that_cannot_be_read(text, said):
    assert message(text) == said


def test_aliases_expand_only_so_far():
    with pytest.raises(ConfigError) as caught:
        read_tree(LAUGHS, "laughs.yaml")
    (problem,) = caught.value.problems
    assert problem.message == "aliases expand to more than 100000 values; write fewer of them"


def test_a_file_that_is_too_long():
    with pytest.raises(UnreadableError, match=r"^1048577 characters; a configuration has at most 1048576: is this"):
        compose("#" * ((1 << 20) + 1))


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("a: 1\nb: 2\na: 3\n", ["a.yaml:3:1: a: duplicate key; first given on line 1"]),
        ("a: {b: 1, b: 2}\n", ["a.yaml:1:11: a.b: duplicate key; first given on line 1"]),
        ("1: a\n0x1: b\n", ["a.yaml:2:1: [1]: duplicate key; first given on line 1"]),
        (
            "a: !foo 1\nb: !!set {x}\nc: !!python/name:os.system 1\n",
            [
                "a.yaml:1:4: a: unknown tag !foo; known here: !!str, !!int, !!float, !!bool, !!null; leave it out",
                "a.yaml:2:4: b: unknown tag !!set; known here: !!map; leave it out",
                "a.yaml:3:4: c: unknown tag !!python/name:os.system; known here: !!str, !!int, !!float, !!bool, "
                "!!null; "
                "leave it out",
            ],
        ),
        ("a: !!int x\n", ["a.yaml:1:4: a: !!int does not fit 'x'"]),
        ("? [1]\n: 2\n", ["a.yaml:1:3: a key must be a single word or number, not a list or a mapping"]),
        (
            "a: &a {b: 1}\nc: {<<: *a}\n",
            [
                "a.yaml:2:5: c.<<: merge keys are not part of YAML 1.2; write the keys out, or use an alias for the "
                "whole mapping"
            ],
        ),
        (f"a: {'1' * 1001}\n", ["a.yaml:1:4: a: an integer of 1001 digits; at most 1000 are read"]),
    ],
)
def test_problems_are_collected(text, reasons):
    _, _, problems = read_tree(text, "a.yaml")
    assert [str(problem).split("\n")[0] for problem in problems] == reasons


def test_core_tags_and_aliases_are_read():
    text = "a: !!str 5\nb: !!float 1\nc: &c {x: [1, no]}\nd: *c\ne: ! 'f'\n"
    tree, _, problems = read_tree(text, "a.yaml")
    assert problems == []
    assert tree == {"a": "5", "b": 1, "c": {"x": [1, "no"]}, "d": {"x": [1, "no"]}, "e": "f"}
    assert tree["c"] is not tree["d"]


@pytest.mark.parametrize(
    "text", ["a: 1\r\nb:\r\n  c: x\r\n", "\ufeffa: 1\nb: {c: x}", "%YAML 1.2\n---\na: 1\nb: {c: x}\n...\n"]
)
def test_line_ends_byte_order_mark_and_directive(text):
    assert compose(text).tree == {"a": 1, "b": {"c": "x"}}


leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30)
keys = st.text(max_size=20) | st.integers()
trees = st.dictionaries(
    keys,
    st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=20
    ),
    max_size=5,
)


def same(a, b):
    """Equal, types and order of keys included."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@settings(max_examples=150)
@given(trees)
def test_any_tree_reads_back_as_it_was_written(tree):
    composed = compose(to_yaml(tree))
    assert composed.problems == []
    assert same(composed.tree, tree)


alphabet = st.sampled_from(list("ab:-[]{}#&*!|>'\"%@` \n\t?,.1e~\\U0<=/\r\x85\u2028\ufeff"))


@settings(max_examples=400)
@given(st.text(alphabet, max_size=40) | st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        compose(text)
    except UnreadableError as refused:
        assert refused.problem.line >= 1
        assert refused.problem.column >= 1
