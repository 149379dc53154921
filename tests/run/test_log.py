"""log.txt: lines of events, in the order of the events."""

from backprop_cli.run.log import RunLog
from backprop_cli.training.events import Checking, Epoch, Started, Step, Warned

STARTED = Started(1, {"train": 1}, 1, 2, 1, 1, 1)
LINE = "training 1 parameter on 1 example; 2 epochs of 1 step, batch 1, 1 thread"


def test_lines_wait_for_the_start(tmp_path):
    path = tmp_path / "log.txt"
    with RunLog(path, (failures := []).append) as log:
        log.show(Warned("early"))
        log.write("text")
        assert not path.exists()
        for event in (STARTED, Step(1, 1, 0.5, 0.0, 1.0, 1e-3, 32, 0.01), Checking(1, 2, 3), Epoch(1, 1, 1.0, {})):
            log.show(event)
        log.write("test/accuracy 0.975")
    assert path.read_text().splitlines() == ["warning: early", "text", LINE, "epoch 1/2", "test/accuracy 0.975"]
    assert failures == []


def test_a_log_that_cannot_be_written_is_reported_once(tmp_path):
    failures: list[str] = []
    log = RunLog(tmp_path, failures.append)
    log.show(STARTED)
    log.show(Epoch(1, 1, 1.0, {}))
    assert failures == [f"{tmp_path}: cannot be written: Is a directory; the run continues without a log"]


def test_a_second_process_appends(tmp_path):
    path = tmp_path / "log.txt"
    for text in ("one", "zwei äöü"):
        with RunLog(path, [].append) as log:
            log.show(STARTED)
            log.write(text)
    assert path.read_text(encoding="utf-8").splitlines() == [LINE, "one", LINE, "zwei äöü"]


def test_a_line_is_in_the_file_at_once_and_after_closing_too(tmp_path):
    path = tmp_path / "log.txt"
    with RunLog(path, [].append) as log:
        log.show(STARTED)
        assert path.read_text().splitlines() == [LINE]
        log.close()
        log.write("later")
        assert path.read_text().splitlines() == [LINE, "later"]
