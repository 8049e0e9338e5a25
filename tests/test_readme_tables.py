"""The generated parts of the README are those of this very tree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import make_reference  # noqa: E402 (its folder is no package)

SCRIPT = ROOT / "scripts" / "make_reference.py"


def test_readme_is_current() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_text_between_markers_is_replaced_and_the_rest_stays() -> None:
    text = "a\n<!-- commands -->\nold\n<!-- end -->\nb\n"
    assert make_reference.filled(text, {"commands": "new"}) == "a\n<!-- commands -->\nnew\n<!-- end -->\nb\n"


def test_missing_marker_is_an_error() -> None:
    with pytest.raises(ValueError, match="no marker <!-- commands -->"):
        make_reference.filled("<!-- command -->\n<!-- end -->", {"commands": "new"})


def test_bars_do_not_break_a_table() -> None:
    assert make_reference.table(("a",), [("x | y",)]).splitlines()[-1] == "| x &#124; y |"
