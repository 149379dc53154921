"""bp init: what it writes, what it says, and what it refuses."""

import io
import json
import os
from pathlib import Path

import pytest
import yaml
from api_support import bp

import backprop_cli
from backprop_cli.api.init import SCHEMA, InitResult, init, list_templates
from backprop_cli.config.load import load_config
from backprop_cli.files import ready_folder

FIRST = "# yaml-language-server: $schema=bp.schema.json\n"


def here():
    """The names in the working directory."""
    return sorted(path.name for path in Path().iterdir())


def test_a_template_trains_where_it_is_written(capsys):
    assert bp("init", "iris") == 0
    captured = capsys.readouterr()
    assert captured.out == "wrote iris.yaml, and bp.schema.json for editors\nnext: bp train iris.yaml\n"
    assert captured.err == ""
    assert here() == ["bp.schema.json", "iris.yaml"]
    assert bp("train", "iris.yaml", "training.epochs=1", "--quiet", "--run-dir", "run") == 0


def test_it_is_the_template_with_its_comments_and_other_paths():
    init("iris", "first.yaml")
    lines = Path("first.yaml").read_text().splitlines(keepends=True)
    template = (ready_folder() / "configs" / "iris.yaml").read_text().splitlines(keepends=True)
    assert lines[0] == FIRST
    changed = [(old, new) for old, new in zip(template, lines[1:], strict=True) if old != new]
    data = ready_folder() / "datasets" / "iris.csv"
    old = "  source: ../datasets/iris.csv  # a table with a header line\n"
    assert changed == [(old, old.replace("../datasets/iris.csv", str(data)))]


def test_comments_name_the_file_and_its_run():
    init("names_gru", Path("mine.yaml"))
    comment = Path("mine.yaml").read_text().partition("data:")[0]
    assert "#   bp train mine.yaml\n" in comment
    assert "#   bp generate runs/mine/latest --tokens 100\n" in comment


@pytest.mark.parametrize(
    ("template", "schema", "plugins"),
    [
        ("iris", SCHEMA, []),
        ("plugins/diabetes", "diabetes.schema.json", ["--plugins", ready_folder() / "configs/plugins/my_layers.py"]),
    ],
)
def test_the_schema_is_that_of_bp_schema(template, schema, plugins, capsys):
    assert init(template).schema == Path(schema)
    assert bp("schema", *plugins) == 0
    assert Path(schema).read_text(encoding="utf-8") == capsys.readouterr().out
    (config,) = Path().glob("*.yaml")
    assert config.read_text().startswith(f"# yaml-language-server: $schema={schema}\n")


def test_a_copy_with_plugins_is_usable():
    init("plugins/diabetes")
    assert load_config("diabetes.yaml").config.loss.type == "log_cosh"


def test_a_schema_that_is_there_is_kept():
    Path(SCHEMA).write_text("{}")
    assert init("iris").schema is None
    assert init("iris", force=True).schema is None
    assert Path(SCHEMA).read_text() == "{}"


def test_standard_output_gets_the_configuration_alone(capfd):
    assert bp("init", "spiral", "-o", "-") == 0
    captured = capfd.readouterr()
    assert (
        captured.err
        == "its first line names a schema for editors, which bp schema prints\nnext: bp train spiral.yaml\n"
    )
    assert here() == []
    init("spiral")
    assert captured.out == Path("spiral.yaml").read_text()


def test_a_stream_gets_the_configuration():
    stream = io.BytesIO()
    result = init("xor", stream)
    assert stream.getvalue().startswith(FIRST.encode())
    assert (result.config, result.schema) == (None, None)


@pytest.mark.skipif(os.name != "posix", reason="the folder of devices is POSIX")
def test_nothing_is_written_next_to_a_device():
    result = init("xor", os.devnull)
    assert (result.config, result.schema) == (None, None)
    assert not Path(os.devnull).with_name(SCHEMA).exists()


def test_data_to_download(monkeypatch, capsys):
    monkeypatch.delenv("BP_MNIST", raising=False)
    Path(SCHEMA).touch()
    assert bp("init", "autoencoder") == 0
    assert capsys.readouterr().out == (
        "wrote autoencoder.yaml\n"
        "missing data, to be downloaded from https://ossci-datasets.s3.amazonaws.com/mnist/\n"
        "  mnist/train-images-idx3-ubyte.gz\n"
        "  mnist/t10k-images-idx3-ubyte.gz\n"
        "or, if you have it already, set BP_MNIST to its folder\n"
        "next: bp train autoencoder.yaml\n"
    )
    data = yaml.safe_load(Path("autoencoder.yaml").read_text())["data"]
    assert data["train"] == "${BP_MNIST:-mnist}/train-images-idx3-ubyte.gz"


def test_the_result_as_json(capsys):
    assert bp("init", "mnist", "-o", "a b.yaml", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found.pop("missing")) == 4
    assert found == {
        "config": "a b.yaml",
        "template": "mnist",
        "target": None,
        "task": None,
        "preset": None,
        "seen": None,
        "schema": "bp.schema.json",
        "download": "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "variable": "BP_MNIST",
        "next": "bp train 'a b.yaml'",
    }


def test_from_python():
    result = backprop_cli.init("xor", "x.yaml")
    assert isinstance(result, InitResult)
    assert backprop_cli.validate(result.config).valid


def test_the_templates(capsys):
    assert bp("init", "--list") == 0
    lines = capsys.readouterr().out.splitlines()
    found = list_templates().templates
    assert len(lines) == 1 + len(found)
    assert lines[0].split() == ["template", "data"]
    rows = {line.split()[0]: line for line in lines[1:]}
    assert list(rows) == [each.name for each in found]
    assert rows["iris"].split(maxsplit=1)[1] == "Three species of iris from four lengths  iris"
    assert rows["xor"].endswith("Exclusive or                             generated")
    assert rows["lenet"].endswith("LeNet-5 on MNIST                         mnist, to download")


def test_the_templates_fit_eighty_columns(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert bp("init", "--list") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(list_templates().templates)


def test_the_templates_as_json(capsys):
    assert bp("init", "--list", "--json") == 0
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)["templates"]}
    summary = "Types of your own"
    expected = {"name": "plugins/diabetes", "summary": summary, "data": ["diabetes.csv"], "included": True}
    assert found["plugins/diabetes"] == expected
    assert (found["mnist"]["data"], found["mnist"]["included"]) == (["mnist"], False)
    assert (found["spiral"]["data"], found["spiral"]["included"]) == ([], True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("digit", "'digit' is neither a template nor a file; did you mean 'digits'?"),
        ("digitss.yaml", "'digitss.yaml' is neither a template nor a file; did you mean 'digits'?"),
        ("sales.csv", "'sales.csv' is neither a template nor a file; bp init --list shows the templates"),
        ("./iris", "'./iris' is neither a template nor a file; did you mean 'iris'?"),
        ("note.docx", "'note.docx' is neither a template nor a file; did you mean 'notes.docx'?"),
        (
            "notes.docx",
            "notes.docx: a configuration is written for tables (.csv, .tsv, .jsonl, ...), folders of images and texts "
            "(.txt); for other data start from a template: bp init --list",
        ),
        ("notes.txt --preset plain", "--target, --task and --preset go with a table, and notes.txt is none"),
        ("xor --task classes", "--target, --task and --preset go with a data file, and 'xor' is a template"),
        ("old.yaml", "old.yaml is a configuration already; bp train old.yaml trains it"),
        ("xor -o old.yaml", "old.yaml exists already; --force replaces it, -o FILE writes another file"),
        ("xor -o no/x.yaml", "no/x.yaml: cannot be written: No such file or directory"),
        ("xor -o .", ".: cannot be written: Is a directory"),
        ("xor -o - --json", "init: --json and -o - both print to standard output; leave one out"),
        ("xor --list", "init: name a template or a table; bp init --list shows the templates"),
        ("", "init: name a template or a table; bp init --list shows the templates"),
    ],
)
def test_refusals(words, message, capsys):
    Path("old.yaml").write_text("mine")
    Path("notes.docx").touch()
    Path("notes.txt").write_text("some text")
    assert bp("init", *words.split()) == 2
    assert capsys.readouterr().err == f"{message}\n"
    assert Path("old.yaml").read_text() == "mine"
    assert here() == ["notes.docx", "notes.txt", "old.yaml"]


def test_an_empty_name_is_no_folder(capsys):
    assert bp("init", "") == 2
    assert capsys.readouterr().err == "'' is neither a template nor a file; bp init --list shows the templates\n"


def test_names_that_are_too_long(capsys):
    name = "a" * 300
    hint = "bp init --list shows the templates"
    said = {
        (name,): f"'{name}' is neither a template nor a file; {hint}",
        (f"{name}.csv",): f"'{name}.csv' is neither a template nor a file; {hint}",
        ("xor", "-o", name): f"{name}: cannot be written: File name too long",
    }
    for words, message in said.items():
        assert bp("init", *words) == 2
        assert capsys.readouterr().err == f"{message}\n"
    assert here() == []


def test_force_replaces(capsys):
    Path("xor.yaml").write_text("mine")
    assert bp("init", "xor", "--force") == 0
    assert Path("xor.yaml").read_text().startswith(FIRST)


def test_a_link_is_an_existing_file():
    Path("xor.yaml").symlink_to("nowhere.yaml")
    with pytest.raises(backprop_cli.errors.UsageError, match="exists already"):
        init("xor")
    assert here() == ["xor.yaml"]
