"""Every kind of mistake against the schema, by the whole text of its message."""

import pytest
from config_support import DIGITS, changed, message
from hypothesis import given, settings
from hypothesis import strategies as st

from backprop_cli.config.configuration import Config
from backprop_cli.config.load import check_tree, load_config, read_tree
from backprop_cli.errors import ConfigError
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.metric import METRICS
from backprop_cli.nn.optimizer import OPTIMIZERS

WITH_BETA1 = ", ".join(sorted(name for name, optimizer in OPTIMIZERS.items() if "beta1" in optimizer.model_fields))


def test_all_problems_at_once_in_file_order():
    text = "# 1\n" * 17 + (
        "loss: cross_entropy\n"
        "data: {source: digits.csv, target: digit}\n"
        "model:\n"
        "  layers:\n"
        "    - {type: dense, units: -64, activation: relu}\n"
        "    - dropout: 0.2\n"
        "    - unit: 10\n"
        "      type: dense\n"
    )
    assert message(text) == (
        "digits.yaml:22:28: model.layers[0].units: must be greater than 0, got -64\n"
        "   22 |     - {type: dense, units: -64, activation: relu}\n"
        "      |                            ^^^\n"
        f"digits.yaml:23:7: model.layers[1]: needs a 'type': {', '.join(LAYERS)}\n"
        "   23 |     - dropout: 0.2\n"
        "      |       ^^^^^^^\n"
        "digits.yaml:24:7: model.layers[2].unit: unknown key; did you mean 'units'?\n"
        "   24 |     - unit: 10\n"
        "      |       ^^^^"
    )


def said_of(line: str) -> str:
    """The headline about one line added to the small configuration, without file, line and source."""
    head = message(DIGITS + line + "\n").split("\n")
    assert len(head) == 3
    place, _, rest = head[0].partition(": ")
    assert place.startswith("digits.yaml:11:")
    assert head[2].index("^") - 7 == int(place.rpartition(":")[2])
    return rest


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nme: x", "nme: unknown key; did you mean 'name'?"),
        (
            "xyzzy: 1",
            "xyzzy: unknown key; known: name, seed, plugins, data, model, loss, regularization, optimizer, schedule, "
            "average, lookahead, metrics, calibrate, intervals, training, early_stopping, checkpoint, gradient_check, "
            "log, run",
        ),
        ("batch_size: 3", "batch_size: unknown key; did you mean 'training.batch_size'?"),
        (
            "1: x",
            "[1]: unknown key; known: name, seed, plugins, data, model, loss, regularization, optimizer, schedule, "
            "average, lookahead, metrics, calibrate, intervals, training, early_stopping, checkpoint, gradient_check, "
            "log, run",
        ),
        ("seed: '0'", "seed: expected an integer, got '0' (text); remove the quotes"),
        ("seed: zero", "seed: expected an integer, got 'zero' (text)"),
        ("seed: 1_000", "seed: expected an integer, got '1_000' (text); write 1000"),
        ("seed: 2.0", "seed: expected an integer, got 2.0; write 2"),
        ("seed: 2.5", "seed: expected an integer, got 2.5"),
        ("seed: true", "seed: expected an integer, got true"),
        ("seed:", "seed: expected an integer, got null"),
        ("seed: [1]", "seed: expected an integer, got a list"),
        ("seed: {a: 1}", "seed: expected an integer, got a mapping"),
        ("seed: -1", "seed: must be at least 0, got -1"),
        ("name: 5", "name: expected text, got 5; put it in quotes"),
        ("name: a/b", "name: must be the name of a folder, without slashes and not starting with a dot, got 'a/b'"),
        ("name: ''", "name: must be the name of a folder, without slashes and not starting with a dot, got ''"),
        ("training: {max_steps: some}", "training.max_steps: expected an integer or none, got 'some' (text)"),
        ("training: {max_seconds: .inf}", "training.max_seconds: must be finite, got .inf"),
        ("training: {max_seconds: 0.0}", "training.max_seconds: must be greater than 0, got 0.0"),
        ("training: {shuffle: yes}", "training.shuffle: expected true or false, got 'yes' (text); write true"),
        ("training: {shuffle: 1}", "training.shuffle: expected true or false, got 1"),
        (
            "training: {precision: float16}",
            "training.precision: must be one of 'float32', 'float64', got 'float16'; did you mean 'float64'?",
        ),
        ("training: {precision: 32}", "training.precision: must be one of 'float32', 'float64', got 32"),
        ("training: {threads: atuo}", "training.threads: expected 'auto' or an integer, got 'atuo'; did you "
            "mean 'auto'?"),
        ("training: {threads: 0}", "training.threads: must be greater than 0, got 0"),
        ("training: 3", "training: expected a mapping, got 3"),
        ("early_stopping: 3", "early_stopping: expected a mapping or none, got 3"),
        ("training: [epochs, 3]", "training: expected a mapping, got a list"),
        ("early_stopping: true", "early_stopping: expected a mapping or none, got true"),
        ("regularization: {l2: '1e-4'}", "regularization.l2: expected a number, got '1e-4' (text); remove the quotes"),
        ("regularization: {l2: 1e-4x}", "regularization.l2: expected a number, got '1e-4x' (text)"),
        ("optimizer: adm", "optimizer: unknown optimizer 'adm'; did you mean 'adam'?"),
        (
            "optimizer: xyz",
            f"optimizer: unknown optimizer 'xyz'; known: {', '.join(OPTIMIZERS)}",
        ),
        ("optimizer: {type: adm}", "optimizer.type: unknown optimizer 'adm'; did you mean 'adam'?"),
        ("optimizer: {type: [adam]}", "optimizer.type: unknown optimizer '['adam']'; did you mean 'adam'?"),
        ("optimizer: 3", "optimizer: expected a name or a mapping with a 'type', got 3"),
        ("optimizer: {lr: 1}", "optimizer.lr: unknown key; did you mean 'learning_rate'?"),
        ("optimizer: {type: sgd, beta1: 1}", f"optimizer.beta1: unknown key; it is a key of {WITH_BETA1}"),
        ("optimizer: {beta1: 1}", "optimizer.beta1: must be less than 1, got 1"),
        ("metrics: accuracy", "metrics: expected a list, got 'accuracy' (text); write [accuracy]"),
        ("metrics: [acuracy]", "metrics[0]: unknown metric 'acuracy'; did you mean 'accuracy'?"),
        ("metrics: [{kind: accuracy}]", f"metrics[0]: needs a 'type': {', '.join(METRICS)}"),
        ("metrics: [{typ: accuracy}]", "metrics[0].typ: unknown key; did you mean 'type'?"),
        ("gradient_check: {samples: some}", "gradient_check.samples: expected 'all' or an integer, got 'some'"),
    ],
)  # fmt: skip
def test_a_line_of_its_own(line, said):
    assert said_of(line) == said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "loss: cross_entropy\n",
            "",
            "digits.yaml:1:1: loss: required, but not given: function that training minimizes\n"
            "    1 | data:\n"
            "      | ^^^^",
        ),
        (
            "units: 64, ",
            "",
            "digits.yaml:7:7: model.layers[0].units: required, but not given: number of outputs; auto in the "
            "last layer: as many as the data and the loss need\n"
            "    7 |     - {type: dense, activation: relu}\n"
            "      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^",
        ),
        (
            "{type: dropout, rate: 0.2}",
            "dense",
            "digits.yaml:8:7: model.layers[1].units: required, but not given: number of outputs; auto in the "
            "last layer: as many as the data and the loss need\n"
            "    8 |     - dense\n"
            "      |       ^^^^^",
        ),
        (
            "activation: relu",
            "activation: {type: leaky_relu, negative: 1}",
            "digits.yaml:7:63: model.layers[0].activation.negative: unknown key; did you mean 'negative_slope'?\n"
            "    7 | ...{type: dense, units: 64, activation: {type: leaky_relu, negative: 1}}\n"
            "      |                                                            ^^^^^^^^",
        ),
        (
            "activation: relu",
            "activation: rleu",
            "digits.yaml:7:44: model.layers[0].activation: unknown activation 'rleu'; did you mean 'relu'?\n"
            "    7 |     - {type: dense, units: 64, activation: rleu}\n"
            "      |                                            ^^^^",
        ),
        (
            "activation: relu",
            "name: 1st",
            "digits.yaml:7:38: model.layers[0].name: must be letters, digits and underscores, not starting with "
            "a digit, "
            "got '1st'\n"
            "    7 |     - {type: dense, units: 64, name: 1st}\n"
            "      |                                      ^^^",
        ),
        (
            "rate: 0.2",
            "rate: 1",
            "digits.yaml:8:29: model.layers[1].rate: must be less than 1, got 1\n"
            "    8 |     - {type: dropout, rate: 1}\n"
            "      |                             ^",
        ),
        (
            "{type: dropout, rate: 0.2}",
            "{type: max_pool, kernel: 2.5}",
            "digits.yaml:8:32: model.layers[1].kernel: expected an integer or a list, got 2.5\n"
            "    8 |     - {type: max_pool, kernel: 2.5}\n"
            "      |                                ^^^",
        ),
        (
            "input: [64]",
            "input: 64",
            "digits.yaml:5:10: model.input: expected a list, got 64; write [64]\n    5 |   input: 64\n"
            "      |          ^^",
        ),
        (
            "input: [64]",
            "input: []",
            "digits.yaml:5:10: model.input: needs at least 1 item, got 0\n    5 |   input: []\n      |          ^^",
        ),
        (
            "input: [64]",
            "input: [8, -8]",
            "digits.yaml:5:14: model.input[1]: must be greater than 0, got -8\n"
            "    5 |   input: [8, -8]\n"
            "      |              ^^",
        ),
        (
            "loss: cross_entropy",
            "loss: {type: cross_entropy, class_weight: {a: x, b: -1}}",
            "digits.yaml:10:47: loss.class_weight.a: expected a number, got 'x' (text)\n"
            "   10 | loss: {type: cross_entropy, class_weight: {a: x, b: -1}}\n"
            "      |                                               ^\n"
            "digits.yaml:10:53: loss.class_weight.b: must be at least 0, got -1\n"
            "   10 | loss: {type: cross_entropy, class_weight: {a: x, b: -1}}\n"
            "      |                                                     ^^",
        ),
        (
            "  target: digit\n",
            "  target: digit\n  transform: {numeric: standardise}\n",
            "digits.yaml:4:24: data.transform.numeric: expected 'standardize', 'none', 'min_max', "
            "'robust', 'quantile', 'log' or a mapping, got 'standardise'; did you mean 'standardize'?\n"
            "    4 |   transform: {numeric: standardise}\n"
            "      |                        ^^^^^^^^^^^",
        ),
        (
            "  target: digit\n",
            "  target: digit\n  transform:\n    numeric:\n      scael: 2\n",
            "digits.yaml:6:7: data.transform.numeric.scael: unknown key; did you mean 'scale'?\n"
            "    6 |       scael: 2\n"
            "      |       ^^^^^",
        ),
        (
            "  source: digits.csv\n",
            "",
            "digits.yaml:1:1: data: needs 'source', 'train' or 'generate'\n    1 | data:\n      | ^^^^",
        ),
    ],
)
def test_a_passage_of_the_file(old, new, said):
    assert message(changed(old, new)) == said


def test_flaws_of_the_text_and_mistakes_of_the_schema_come_together():
    assert message(DIGITS + "seed: !x 1\nseed: a\nlog: []\n") == (
        "digits.yaml:11:7: seed: unknown tag !x; known here: !!str, !!int, !!float, !!bool, !!null; leave it out\n"
        "   11 | seed: !x 1\n"
        "      |       ^^^^\n"
        "digits.yaml:12:1: seed: duplicate key; first given on line 11\n"
        "   12 | seed: a\n"
        "      | ^^^^\n"
        "digits.yaml:13:6: log: expected a mapping, got a list\n"
        "   13 | log: []\n"
        "      |      ^^"
    )


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("optimizer.lr=1", "unknown key; did you mean 'learning_rate'?"),
        ("optimizer.average=ema", "unknown key; average belongs at the top of the configuration, next to optimizer"),
        ("training.seed=1", "unknown key; seed belongs at the top of the configuration, next to training"),
        ("training.learning_rate=1", "unknown key; did you mean 'optimizer.learning_rate'?"),
        ("model.layers.0.batch_size=1", "unknown key; did you mean 'training.batch_size'?"),
        ("optimizer=amsgrad", "unknown optimizer 'amsgrad'; write {type: adam, amsgrad: true}"),
        ("optimizer={type: nesterov}", "optimizer.type: unknown optimizer 'nesterov'; write "
            "{type: sgd, momentum: 0.9, nesterov: true}"),
        ("training.epochs", "expected KEY=VALUE, such as training.epochs=10"),
        ("training.epochs: 5", "expected KEY=VALUE; write training.epochs=5"),
        ("data.exclude: ['ad id']", "expected KEY=VALUE; write 'data.exclude=[\"ad id\"]'"),
        ("data.exclude: [ad id]", "expected KEY=VALUE; write 'data.exclude=[ad id]'"),
        ("model.layers[0].units:", "expected KEY=VALUE in one argument, such as 'model.layers[0].units=VALUE'"),
        ("c:/x", "expected KEY=VALUE, such as training.epochs=10"),
        (
            "=3",
            "expected a key before '=': names and list indexes with dots between, such as model.layers.0.units",
        ),
        (
            "a..b=3",
            "expected a key before '=': names and list indexes with dots between, such as model.layers.0.units",
        ),
        ("training.epochs=", "expected an integer, got null"),
        ("training.epochs='3'", "expected an integer, got '3' (text); remove the quotes"),
        ("training.epochs=[1", "not valid YAML: expected ',' or ']', but got '<stream end>'; is the '[' of line 1, "
            "column 1 closed?"),
        ("training={epochs: 1, epochs: 2}", "duplicate key; first given on line 1"),
        ("training={epochs: 0.5}", "training.epochs: expected an integer, got 0.5"),
        ("training.epochs.x=1", "training.epochs: expected an integer, got a mapping"),
        ("model.layers.0.units.x=1", "'model.layers[0].units' is 64, which has no keys inside"),
        ("model.layers.9.units=1", "no item 9; 'model.layers' has 3 items, 0 to 2"),
        ("model.layers.-4.units=1", "no item -4; 'model.layers' has 3 items, 0 to 2"),
        ("model.layers.first.units=1", "'first' is not a list index; 'model.layers' has 3 items, 0 to 2"),
        ("model.layers[0].units=-1", "must be greater than 0, got -1"),
        ("model.layers.-1.units=0", "must be greater than 0, got 0"),
        ("metrics.0=accuracy", "metrics: expected a list, got a mapping; write the whole list: [accuracy]"),
        (
            "model.layers.1=dense",
            "model.layers[1].units: required, but not given: number of outputs; auto in the last layer: as many as the "
            "data and the loss need",
        ),
    ],
)  # fmt: skip
def test_an_override(override, said):
    assert message(DIGITS, override) == f"override {override}: {said}"


def test_overrides_come_after_the_file_in_their_order():
    assert message(changed("rate: 0.2", "rate: 2"), "seed=x", "oops", "training.epochs=-1") == (
        "digits.yaml:8:29: model.layers[1].rate: must be less than 1, got 2\n"
        "    8 |     - {type: dropout, rate: 2}\n"
        "      |                             ^\n"
        "override seed=x: expected an integer, got 'x' (text)\n"
        "override oops: expected KEY=VALUE, such as training.epochs=10\n"
        "override training.epochs=-1: must be at least 0, got -1"
    )


def test_an_override_that_makes_keys_of_the_file_unknown():
    text = DIGITS + "optimizer: {type: adam, beta1: 0.8}\n"
    assert message(text, "optimizer.type=sgd") == (
        f"digits.yaml:11:25: optimizer.beta1: unknown key; it is a key of {WITH_BETA1}\n"
        "   11 | optimizer: {type: adam, beta1: 0.8}\n"
        "      |                         ^^^^^"
    )


def test_a_later_override_takes_the_blame_for_its_value_alone():
    assert message(DIGITS, "training={epochs: x, batch_size: 8}", "training.epochs=y") == (
        "override training.epochs=y: expected an integer, got 'y' (text)"
    )


values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.sampled_from(["none", "adam", "dense", "x", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "units", "layers", "monitor", "x"]) | st.integers(0, 2), inner, max_size=4
        )
    ),
    max_leaves=6,
)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from([*Config.model_fields, "x"]), values, max_size=8))
def test_any_tree_is_a_configuration_or_a_list_of_problems(tree):
    source = read_tree("a: 1", "a.yaml")[1]
    try:
        check_tree(Config, tree, source)
    except ConfigError as error:
        assert error.problems
        assert all(problem.reason for problem in error.problems)


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, len(DIGITS)), st.text("{}[]:-,'\"\n x1", max_size=3)), max_size=3))
def test_any_damage_to_a_file_is_a_configuration_error(tmp_path_factory, damage):
    text = DIGITS
    for place, extra in damage:
        text = text[:place] + extra + text[place:]
    path = tmp_path_factory.mktemp("damage") / "digits.yaml"
    path.write_text(text)
    try:
        load_config(path)
    except ConfigError as error:
        assert all(problem.line is None or problem.line >= 1 for problem in error.problems)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "data.generate=spirals",
            "must be one of 'xor', 'spiral', 'moons', 'circles', 'linear', got 'spirals'; did you mean 'spiral'?",
        ),
        ("data.generate=3", "expected a mapping, got 3"),
        (
            "data.transform.numeric={scale: 0}",
            "data.transform.numeric.scale: must not be 0: every input would be 0",
        ),
        ("data.image.size=8", "expected a list, got 8; write [8, 8]"),
        ("data.image.size=[8]", "needs 2 items, got 1"),
        ("data.image.size=[]", "needs 2 items, got 0"),
    ],
)
def test_values_of_the_data_section(override, said):
    text = changed("  source: digits.csv\n  target: digit\n", "  generate: xor\n")
    assert message(text, override) == f"override {override}: {said}"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model.from_checkpoint=runs/a", "expected a mapping, got 'runs/a' (text); write {path: runs/a}"),
        ("model.from_checkpoint=3", "expected a mapping, got 3"),
        ("data.window=12", "expected a mapping or none, got 12; write {length: 12}"),
        ("data.window=week", "expected a mapping or none, got 'week' (text)"),
        ("data.window={length: 3, season: no}", "data.window.season: expected an integer, got 'no' (text)"),
    ],
)
def test_the_one_key_that_a_mapping_needs(override, said):
    assert message(DIGITS, override) == f"override {override}: {said}"


@pytest.mark.parametrize(
    ("section", "place", "said"),
    [
        ("{source: a.csv, target: k, text: {}}", "40: data.text", "'text' goes with a text file; name a .txt, or set "),
        ("{source: a.txt, target: k}", "31: data.target", "'target' goes with columns, but a text has none: its next "),
        (
            "{source: a.txt, text: {lines: true, stride: 3}}",
            "51: data.text.stride",
            "'stride' goes with running text; ",
        ),
        ("{source: a, test: b, target: k}", "25: data.test", "'test' goes with 'train', not with 'source'"),
    ],
)
def test_the_key_of_a_section_that_does_not_go_with_others(section, place, said):
    text = changed("data:\n  source: digits.csv\n  target: digit\n", f"data: {section}\n")
    assert message(text).splitlines()[0].startswith(f"digits.yaml:1:{place}: {said}")
