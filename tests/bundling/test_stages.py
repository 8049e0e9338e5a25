"""stages.sh: the one loop over stages, which a bundle's run.sh and scripts/handoff.sh read."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from datakit.bundling.pack import bundle

ROOT = Path(__file__).resolve().parents[2]
PAYLOAD = Path(bundle.__code__.co_filename).parent / "payload"
LIBRARY = PAYLOAD / "stages.sh"
READERS = [PAYLOAD / "run.sh", ROOT / "scripts" / "handoff.sh"]
HOOKS = {"stage_check", "stage_train", "stage_export", "stage_predict", "stage_evaluate"}
HOOKS |= {"server_command", "server_ready"}


def functions(script: Path) -> set[str]:
    """Names of the functions that a script defines, however they are written."""
    pattern = r"^\s*(?:function\s+([\w-]+)|([\w-]+)\s*\(\s*\))"
    return {name or other for name, other in re.findall(pattern, script.read_text(), re.MULTILINE)}


@pytest.mark.parametrize("script", READERS, ids=lambda path: path.name)
def test_script_reads_the_shared_file_and_defines_none_of_its_functions(script: Path) -> None:
    shared = functions(LIBRARY)
    assert {"logged", "stop_server", "answering", "start_server", "stage_serve", "run_stages"} <= shared
    assert re.search(r"^source .*/stages\.sh\"$", script.read_text(), re.MULTILINE)
    assert not shared & functions(script)
    assert functions(script) >= HOOKS
    assert not HOOKS & shared


@pytest.mark.parametrize("script", READERS, ids=lambda path: path.name)
def test_traps_and_logs_are_of_the_shared_file_alone(script: Path) -> None:
    for word in (r"\btrap\b", r"\btee\b", r"\bflock\b", r"set -m", r"\.done\b"):
        assert re.search(word, LIBRARY.read_text()), word
        assert not re.search(word, script.read_text()), word


def test_shared_file_alone_says_what_is_to_be_called() -> None:
    done = subprocess.run([LIBRARY], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "call one of them" in done.stderr
