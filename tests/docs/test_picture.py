"""The README's picture can be drawn again."""

import subprocess
import sys

import pytest
from documents import ROOT


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_the_picture_of_a_terminal_is_drawn(tmp_path):
    file = tmp_path / "terminal.svg"
    subprocess.run([sys.executable, ROOT / "docs" / "picture.py", file], check=True)
    text = file.read_text(encoding="utf-8").replace("&#160;", " ")
    for shown in ("$ bp train configs/digits.yaml", "test/accuracy 0.9", "dL/dW1 = dL/dz2"):
        assert shown in text
