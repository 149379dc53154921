"""Plugins of a configuration: what they register is known, what is wrong with them has a place."""

import shutil
import sys
from pathlib import Path

import pytest
from config_support import DIGITS, changed, message, write

from backprop_cli.config.json_schema import json_schema
from backprop_cli.config.load import from_tree, load_config
from backprop_cli.config.plugins import read_plugins
from backprop_cli.config.resolve import resolved_tree
from backprop_cli.data.format import FORMATS
from backprop_cli.errors import ConfigError
from backprop_cli.nn.activation import ACTIVATIONS
from backprop_cli.nn.layer import LAYERS
from backprop_cli.registry import use_guests

EXAMPLE = Path(__file__).parents[2] / "configs" / "plugins" / "my_layers.py"

USING = "plugins: [mine.py]\n" + changed("activation: relu", "activation: twice")
TWICE = """\
from typing import Literal

from backprop_cli.plugin import ACTIVATIONS, Activation


@ACTIVATIONS.register
class Twice(Activation):
    \"\"\"``out = 2 x``.\"\"\"

    type: Literal["twice"] = "twice"
    by: float = 2.0
    \"\"\"the factor\"\"\"

    def apply(self, x):
        return self.by * x
"""


def plugin(text=TWICE, name="mine.py"):
    Path(name).write_text(text)
    return Path(name)


def test_what_it_registers_can_be_named(tmp_path):
    plugin()
    loaded = load_config(write(tmp_path, USING))
    activation = loaded.config.model.layers[0].activation
    assert (activation.type, activation.by) == ("twice", 2.0)
    assert type(activation) is ACTIVATIONS["twice"]
    (known,) = loaded.plugins
    assert [(entry.registry, entry.name) for entry in known.entries] == [(ACTIVATIONS, "twice")]
    assert loaded.config.plugins == ("mine.py",)


def test_its_keys_are_checked_and_its_names_suggested():
    plugin()
    assert message(USING.replace("twice", "{type: twice, b: 3}")) == (
        "digits.yaml:8:58: model.layers[0].activation.b: unknown key; did you mean 'by'?\n"
        "    8 |     - {type: dense, units: 64, activation: {type: twice, b: 3}}\n"
        "      |                                                          ^"
    )
    assert message(USING.replace("twice", "twise")).splitlines()[0] == (
        "digits.yaml:8:44: model.layers[0].activation: unknown activation 'twise'; did you mean 'twice'?"
    )


def test_it_is_there_only_for_configurations_that_name_it(tmp_path):
    plugin()
    load_config(write(tmp_path, USING))
    assert "twice" in ACTIVATIONS
    assert "unknown activation 'twice'" in message(changed("activation: relu", "activation: twice"))
    assert "twice" not in ACTIVATIONS
    load_config(write(tmp_path, USING))
    load_config(write(tmp_path, DIGITS))
    assert "twice" not in ACTIVATIONS


def test_the_same_file_is_run_once(tmp_path):
    plugin("import sys\nsys.bp_runs = getattr(sys, 'bp_runs', 0) + 1\n" + TWICE)
    first = load_config(write(tmp_path, USING)).config
    assert load_config(write(tmp_path, USING)).config == first
    assert vars(sys).pop("bp_runs") == 1


def test_a_changed_file_is_run_again(tmp_path):
    plugin()
    load_config(write(tmp_path, USING))
    plugin(TWICE.replace("2.0", "3.0"))
    assert load_config(write(tmp_path, USING)).config.model.layers[0].activation.by == 3.0


def test_it_has_its_own_future():
    plugin(TWICE + "\n\nassert Twice.__annotations__['by'] is float\n")
    assert message(changed("activation: relu", "activation: twice"), "plugins=mine.py", "seed=x") == (
        "override seed=x: expected an integer, got 'x' (text)"
    )


def test_what_it_prints_does_not_mix_with_results(tmp_path, capsys):
    plugin("print('hello')\n" + TWICE)
    load_config(write(tmp_path, USING))
    assert tuple(capsys.readouterr()) == ("", "hello\n")


def test_nothing_is_written_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    plugin()
    load_config(write(tmp_path, USING))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits.yaml", "mine.py"]


def test_a_later_one_may_use_an_earlier_one(tmp_path):
    plugin()
    later = TWICE.replace("twice", "thrice").replace("Twice", "Thrice")
    plugin(later.replace("return self.by * x", "return ACTIVATIONS['twice']().apply(x) + x"), "more.py")
    text = USING.replace("[mine.py]", "[mine.py, more.py]").replace("activation: twice", "activation: thrice")
    assert load_config(write(tmp_path, text)).config.model.layers[0].activation.type == "thrice"


def test_paths_start_at_the_configuration_and_are_rewritten(tmp_path):
    (tmp_path / "own" / "code").mkdir(parents=True)
    plugin(name="own/code/mine.py")
    text = USING.replace("[mine.py]", "code/mine.py")
    loaded = load_config(write(tmp_path / "own", text))
    run = tmp_path / "runs" / "1"
    run.mkdir(parents=True)
    assert resolved_tree(loaded, run)["plugins"] == ["../../own/code/mine.py"]
    assert resolved_tree(loaded)["plugins"] == [str(tmp_path.resolve() / "own" / "code" / "mine.py")]


def test_a_stored_configuration_runs_nothing(tmp_path):
    plugin()
    loaded = load_config(write(tmp_path, USING))
    tree = resolved_tree(loaded)
    plugin("raise SystemExit('was run')")
    assert from_tree(tree, base=tmp_path, label="x", plugins=loaded.plugins).config.plugins == (
        str(Path("mine.py").resolve()),
    )
    with pytest.raises(ConfigError) as caught:
        from_tree(tree, base=tmp_path, label="x")
    assert str(caught.value).startswith("x: model.layers[0].activation.type: unknown activation 'twice'; known: ")
    with pytest.raises(ConfigError) as caught:
        from_tree(tree, ["plugins=[mine.py]"], base=tmp_path, label="x", plugins=loaded.plugins)
    assert str(caught.value) == (
        "override plugins=[mine.py]: plugins of a checkpoint or run are named with --plugins FILE\n"
        "1 problem; nothing was run."
    )


def test_the_schema_has_it(tmp_path):
    plugin()
    load_config(write(tmp_path, USING))
    assert json_schema()["$defs"]["activations.twice"]["properties"]["by"]["description"] == "the factor"
    use_guests(())
    assert "activations.twice" not in json_schema()["$defs"]


def test_a_format(tmp_path):
    plugin(
        "from backprop_cli.data.format import FORMATS, TableFormat\n\n\n"
        "@FORMATS.register\nclass Lines(TableFormat):\n    suffixes = ('.lines',)\n"
    )
    text = changed("source: digits.csv", "source: digits.txt\n  format: lines")
    assert load_config(write(tmp_path, "plugins: mine.py\n" + text)).config.data.format == "lines"
    assert "lines" in FORMATS
    said = message(text)
    assert "lines" not in FORMATS
    assert said == (
        f"digits.yaml:3:11: data.format: must be one of {', '.join(map(repr, FORMATS))}, got 'lines'\n"
        "    3 |   format: lines\n"
        "      |           ^^^^^"
    )


def edited(old, new):
    assert TWICE.count(old) == 1
    return TWICE.replace(old, new)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            edited("def apply(self, x):", "def apply(self, x:"),
            "mine.py:14:14: SyntaxError: '(' was never closed\n   14 |     def apply(self, x:\n      |              ^",
        ),
        (
            edited("from typing import Literal", "from typing import Literally"),
            "mine.py:1:1: ImportError: cannot import name 'Literally' from 'typing' (TYPING)\n"
            "    1 | from typing import Literally\n"
            "      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^",
        ),
        (
            edited("    by: float = 2.0", "    by: float = 1 / 0"),
            "mine.py:11:5: ZeroDivisionError: division by zero\n"
            "   11 |     by: float = 1 / 0\n"
            "      |     ^^^^^^^^^^^^^^^^^",
        ),
        (
            edited('type: Literal["twice"] = "twice"', 'type: Literal["tanh"] = "tanh"'),
            "mine.py:6:1: activation 'tanh' is already registered: Tanh of "
            "backprop_cli.nn.activations.tanh; rename one\n"
            "    6 | @ACTIVATIONS.register\n"
            "      | ^^^^^^^^^^^^^^^^^^^^^",
        ),
        (
            edited('    type: Literal["twice"] = "twice"\n', ""),
            "mine.py:6:1: Twice has no name; start it with the line type: Literal['twice'] = 'twice'\n"
            "    6 | @ACTIVATIONS.register\n"
            "      | ^^^^^^^^^^^^^^^^^^^^^",
        ),
        (
            TWICE.replace("Activation)", "object)"),
            "mine.py:6:1: Twice is not an activation: subclass Activation\n"
            "    6 | @ACTIVATIONS.register\n"
            "      | ^^^^^^^^^^^^^^^^^^^^^",
        ),
        (
            TWICE + "\n\nraise SystemExit(3)\n",
            "mine.py:18:1: SystemExit: 3\n   18 | raise SystemExit(3)\n      | ^^^^^^^^^^^^^^^^^^^",
        ),
        (
            TWICE + "\n\nraise BaseException(3)\n",
            "mine.py:18:1: BaseException: 3\n   18 | raise BaseException(3)\n      | ^^^^^^^^^^^^^^^^^^^^^^",
        ),
        (
            edited("@ACTIVATIONS.register\n", ""),
            "digits.yaml:1:11: plugins[0]: mine.py: registers nothing; register a class with a line above it, "
            "such as @LAYERS.register\n"
            "    1 | plugins: [mine.py]\n"
            "      |           ^^^^^^^",
        ),
    ],
)
def test_a_file_that_cannot_be_used(text, said):
    plugin(text)
    typing = sys.modules["typing"].__file__
    assert message(USING) == said.replace("TYPING", str(typing))
    assert "twice" not in ACTIVATIONS


def test_a_missing_file_and_a_wrong_value():
    assert message(USING.replace("[mine.py]", "mine.py")) == (
        "digits.yaml:1:10: plugins: mine.py: no such file\n    1 | plugins: mine.py\n      |          ^^^^^^^"
    )
    Path("mine.py").mkdir()
    assert message(USING).splitlines()[0] == "digits.yaml:1:11: plugins[0]: mine.py: cannot be read: Is a directory"
    assert message(changed("model:", "plugins: {a: b}\nmodel:")) == (
        "digits.yaml:4:10: plugins: expected a list, got a mapping\n    4 | plugins: {a: b}\n      |          ^^^^^^"
    )
    Path("other.py").write_bytes(b"\xff")
    assert message(USING, "plugins=[other.py]") == (
        "override plugins=[other.py]: plugins[0]: other.py: is not UTF-8 text (byte 0xff)"
    )


def test_a_file_that_is_named_twice():
    plugin()
    assert message(USING.replace("[mine.py]", "[mine.py, ./mine.py]")).splitlines()[0] == (
        "digits.yaml:1:20: plugins[1]: mine.py: is named twice; name it once"
    )


def test_two_that_clash(tmp_path):
    plugin()
    shutil.copy("mine.py", "same.py")
    assert message(USING.replace("[mine.py]", "[mine.py, same.py]")).splitlines()[0] == (
        f"same.py:6:1: activation 'twice' is already registered: Twice of {tmp_path.resolve() / 'mine.py'}; rename one"
    )


def test_the_first_problem_of_every_file():
    plugin("1 / 0\n")
    plugin("import nothing_of_this_name\n", "more.py")
    said = message(USING.replace("[mine.py]", "[mine.py, absent.py, more.py]"))
    assert [line for line in said.splitlines() if line[0].isalpha()] == [
        "mine.py:1:1: ZeroDivisionError: division by zero",
        "digits.yaml:1:20: plugins[1]: absent.py: no such file",
        "more.py:1:1: ModuleNotFoundError: No module named 'nothing_of_this_name'",
    ]


def test_what_a_failed_file_registered_is_gone():
    plugin(TWICE + "1 / 0\n")
    assert message(USING).splitlines()[0] == "mine.py:16:1: ZeroDivisionError: division by zero"
    assert "twice" not in ACTIVATIONS


def test_the_example_registers_one_of_each_kind():
    (found,) = read_plugins([EXAMPLE], lambda number, reason: pytest.fail(reason))
    names = [(entry.registry.kind, entry.name) for entry in found.entries]
    assert names == [("op", "squared_sine"), ("activation", "snake"), ("layer", "feature_scale"), ("loss", "log_cosh")]
    assert LAYERS["feature_scale"].__module__.endswith("_my_layers")
