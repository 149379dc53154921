"""A million rows of twenty numbers from CSV: under ten seconds, under 1 GB for the whole process.

Processor seconds are measured: reading is one thread, and other work on the machine does not count.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROWS, COLUMNS = 1_000_000, 20

LOAD = """
import resource, sys, time
from pathlib import Path
from backprop_cli.data.fit import Demand
from backprop_cli.data.dataset import load_dataset
from backprop_cli.data.settings import DataSettings
from backprop_cli.nn.task import REGRESSION
start = time.process_time()
data = load_dataset(
    DataSettings(source="big.csv", target="c19"), Demand(REGRESSION, "float32"), base=Path(sys.argv[1]), seed=0
)
seconds = time.process_time() - start
print(sum(map(len, data.splits.values())), seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_million_rows(tmp_path: Path) -> None:
    block = np.random.default_rng(0).normal(size=(10_000, COLUMNS)).tolist()
    text = "".join(",".join(map(repr, row)) + "\n" for row in block)
    with (tmp_path / "big.csv").open("w") as stream:
        stream.write(",".join(f"c{j}" for j in range(COLUMNS)) + "\n")
        for _ in range(ROWS // len(block)):
            stream.write(text)
    done = subprocess.run([sys.executable, "-c", LOAD, str(tmp_path)], capture_output=True, text=True, check=True)
    rows, seconds, peak = map(float, done.stdout.split())
    assert rows == ROWS
    assert seconds < 10
    assert peak < 1e9
