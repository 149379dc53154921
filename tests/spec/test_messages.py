"""A message says what is wrong, where, and what to write instead; nothing is run before all is right."""

from pathlib import Path


def replaced(old, new):
    path = Path("flowers.yaml")
    path.write_text(path.read_text().replace(old, new))


def test_a_typo_is_shown_at_its_line_and_column_with_the_nearest_word(bp):
    replaced("units: 3", "unit: 3")
    ended = bp("train", "flowers.yaml")
    assert ended.err == (
        "flowers.yaml:6:21: model.layers[2].unit: unknown key; did you mean 'units'?\n"
        "    6 |     - {type: dense, unit: 3}\n"
        "      |                     ^^^^\n"
        "1 problem; nothing was run.\n"
    )
    assert not Path("runs").exists()


def test_all_problems_are_reported_at_once_in_the_order_of_the_file(bp):
    replaced("units: 6", "units: -6")
    replaced("rate: 0.2", "rate: 2")
    ended = bp("validate", "flowers.yaml")
    places = [line.split(": ")[0] for line in ended.err.splitlines() if line.startswith("flowers.yaml:")]
    assert places == ["flowers.yaml:4:28", "flowers.yaml:5:29"]
    assert ended.err.endswith("2 problems; nothing was run.\n")


def test_an_override_is_checked_as_the_file_is(bp):
    ended = bp("train", "flowers.yaml", "optimizer.lr=1")
    assert ended.err.startswith("override optimizer.lr=1: unknown key; did you mean 'learning_rate'?\n")


def test_a_wrong_cell_is_named_by_file_row_and_column(bp):
    Path("flowers.csv").write_text("length,width,kind\n1,2,a\n3,4,b\n5,,a\n7,8,b\n")
    ended = bp("train", "flowers.yaml", "data.split={validation: 0, test: 0}")
    assert ended.err.startswith("flowers.csv:4: column 'width': the value is missing;")
