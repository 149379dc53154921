"""Damaged files: readers answer with errors of the project's own, in little time and memory."""

import pytest
from harness import damaged_input, fuzz, targets

TARGETS = targets()


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_are_refused_in_words(name):
    outcome = fuzz(name, 2000)
    assert not outcome.failures, "\n".join(map(str, outcome.kinds()))
    assert outcome.refused > 100


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("raises", "ZeroDivisionError in faulty.py"),
        ("crashes", "the process ended with -11"),
        ("is_slow", "slow"),
        ("is_large", "much memory"),
        ("asks_for_too_much", "MemoryError in faulty.py"),
        ("warns", "RuntimeWarning in faulty.py"),
    ],
)
def test_the_harness_notices(name, kind):
    outcome = fuzz(name, 1, module="faulty", workers=1)
    assert [failure.kind.partition(":")[0] for failure in outcome.kinds()] == [kind]
    assert outcome.failures[0].index == 0
    assert f"python -m tests.fuzz {name} --seed 0 --replay 0" in str(outcome.failures[0])


def test_an_error_of_our_own_is_an_answer():
    outcome = fuzz("refuses", 40, module="faulty", workers=2)
    assert (outcome.refused, outcome.failures) == (40, [])


def test_same_seed_same_bytes(tmp_path):
    target = targets("faulty")["raises"]
    good = target.good(tmp_path)
    first = [damaged_input(target, good, 0, index) for index in range(50)]
    assert [damaged_input(target, good, 0, index) for index in range(50)] == first
    assert [damaged_input(target, good, 1, index) for index in range(50)] != first
