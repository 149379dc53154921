"""Exit codes, on which scripts rely, and the JSON that says why."""

from pathlib import Path


def test_0_done(bp):
    assert bp("train", "flowers.yaml", "--run-dir", "run").code == 0


def test_2_a_configuration_that_is_wrong(bp):
    assert bp("train", "flowers.yaml", "loss=crossentropy").code == 2


def test_2_a_command_that_does_not_exist(bp):
    ended = bp("trian", "flowers.yaml")
    assert (ended.code, ended.out) == (2, "")
    assert "did you mean 'train'?" in ended.err


def test_3_a_requirement_that_is_not_met(bp):
    bp("train", "flowers.yaml", "training.epochs=1", "--run-dir", "run")
    assert bp("eval", "run", "--require", "accuracy>=1.5").code == 3


def test_4_a_training_that_diverges(bp):
    overrides = ("model.layers.0.activation=relu", "optimizer={type: sgd, learning_rate: 1e30}")
    assert bp("train", "flowers.yaml", *overrides, "--run-dir", "run").code == 4


def test_5_a_file_that_is_no_checkpoint(bp):
    assert bp("eval", "flowers.csv").code == 5


def test_6_data_that_cannot_be_read(bp):
    Path("flowers.csv").write_text("length,width,kind\n1,2,a\n3,wide,b\n")
    assert bp("train", "flowers.yaml", "--run-dir", "run").code == 6


def test_a_run_directory_is_never_written_twice(bp):
    assert bp("train", "flowers.yaml", "--run-dir", "run").code == 0
    assert bp("train", "flowers.yaml", "--run-dir", "run").code == 2


def test_a_failure_is_one_json_object_too(bp):
    ended = bp("train", "flowers.yaml", "training.epochs=none", "--json")
    assert ended.json["error"]["code"] == ended.code == 2
    assert ended.json["error"]["kind"] == "config"
    assert "training.epochs" in str(ended.json["error"]["problems"])


def test_results_go_to_standard_output_and_progress_to_standard_error(bp):
    ended = bp("train", "flowers.yaml", "--run-dir", "run")
    assert ended.out.splitlines()[0] == "run run"
    assert "test/accuracy 1 (majority 0.3077, linear 1)\n" in ended.out
    assert "epoch 1/20" in ended.err
