"""Whether a disk is full is tried, so that a quota and a limit of file sizes count too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from datakit.core.disk_faults import SAYS_FULL, is_full
from tests.support.small_disk import needs_root, small_disk

ASK = """\
import pathlib, sys
from datakit.core.disk_faults import is_full
print(is_full(pathlib.Path(sys.argv[1])))
"""


def test_folder_with_room_is_not_full_and_keeps_nothing_of_the_trial(tmp_path: Path) -> None:
    assert not is_full(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_gone_is_not_full(tmp_path: Path) -> None:
    assert not is_full(tmp_path / "gone")


def test_limit_of_a_files_size_counts_as_full(tmp_path: Path) -> None:
    words = ["bash", "-c", 'ulimit -f 100; exec "$@"', "bash", sys.executable, "-c", ASK, str(tmp_path)]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "True\n"


@needs_root
def test_full_disk_is_full_until_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "512k") as resize:
        assert is_full(tmp_path / "disk")
        resize("4m")
        assert not is_full(tmp_path / "disk")


def test_words_of_python_rust_and_torch_are_known() -> None:
    for words in (
        "OSError: [Errno 28] No space left on device: 'a'",
        "SafetensorError: Error while serializing: I/O error: No space left on device (os error 28)",
        "RuntimeError: [enforce fail at inline_container.cc:659] . unexpected pos 64 vs 0",
        "OSError: [Errno 122] Disk quota exceeded",
        "OSError: [Errno 27] File too large",
    ):
        assert SAYS_FULL.search(words)
