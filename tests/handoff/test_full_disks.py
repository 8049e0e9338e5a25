"""A disk that is full or can only be read ends a handoff in words: which place, what is free, what to do."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.train_builds import _builds, make_build
from tests.support.unpacked import Unpacked

__all__ = ["_builds", "make_build"]
Make = Callable[..., Path]


@pytest.fixture
def unpacked(make_build: Make, tmp_path: Path) -> Unpacked:
    return Unpacked(make_build(), tmp_path / "there")


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """The place of a small disk; the test is skipped where none can be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    trial = ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=64k", "none", str(place)]
    if shutil.which("unshare") is None or subprocess.run(trial, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    return place


def on_disk(disk: Path, size: str, source: Path, line: str, **environment: str) -> tuple[int, str, str]:
    """Exit code and output of a line for a shell, with the source on a disk of this size."""
    script = (
        f"mount -t tmpfs -o size={size} none {disk} && cp -r {source}/. {disk} && "
        f"head -c 64K /dev/zero > {disk}/ballast && cd / && {line}"
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
        env=environment,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def size_of(folder: Path) -> int:
    """KiB that a tmpfs needs for a folder, in whole pages."""
    return sum(max(4, -(-path.stat().st_size // 4096) * 4) for path in folder.rglob("*"))


@pytest.mark.fault(
    "the disk of a bundle is full before, in or after the training",
    "words name the place, how much is free there and what to do; with room the same command goes on",
    kind="folders",
)
@pytest.mark.parametrize("room", [0, 4, 8, 16, 32])
def test_full_disk_is_told_with_place_free_bytes_and_remedy(
    unpacked: Unpacked, disk: Path, room: int
) -> None:
    run = f"{disk}/run.sh"
    full = f"mount -o remount,size=$(( $(df --output=used {disk} | tail -1) + {room} ))k {disk}"
    line = f"{run} train export && {full} && {{ {run} predict evaluate; echo FIRST $? >&2; }} && "
    line += f"mount -o remount,size=20g {disk} && {run}"
    code, out, err = on_disk(disk, "20g", unpacked.folder, line, **unpacked.environment)
    first, _, rest = err.partition("FIRST ")
    assert (code, rest[:1] in "125") == (0, True), out + err
    assert f"{disk}" in first
    assert "its disk is full: 0.0 MB of " in first, first
    assert "Make room" in first


def test_disk_without_room_for_the_training_is_told_before_it_begins(unpacked: Unpacked, disk: Path) -> None:
    size = size_of(unpacked.folder) + 128
    code, _, err = on_disk(disk, f"{size}k", unpacked.folder, f"{disk}/run.sh", **unpacked.environment)
    assert code == 1
    assert f"0.0 GB free in {disk}" in err, err
    assert "needed for checkpoints" in err
    assert "Make room, or move the bundle to a larger disk" in err


@pytest.mark.fault(
    "the folder of a bundle can only be read",
    "words name the place and the line that copies it to another disk",
    kind="folders",
)
@pytest.mark.parametrize("word", ["", "doctor", "check"])
def test_folder_that_can_only_be_read_is_told_with_the_remedy(
    unpacked: Unpacked, disk: Path, word: str
) -> None:
    line = f"mount -o remount,ro {disk} && {disk}/run.sh {word}"
    code, out, err = on_disk(disk, "64m", unpacked.folder, line, **unpacked.environment)
    assert code in (1, 2)
    text = out + err
    assert str(disk) in text
    assert "can only be read" in text, text
    assert f"cp -r {disk} ~/" in text, text


def test_scores_that_have_no_place_are_told_by_the_bundles_own_commands(
    unpacked: Unpacked, disk: Path, tmp_path: Path
) -> None:
    assert unpacked.go().returncode == 0
    (tmp_path / "nothing").mkdir()
    command = f"{sys.executable} {unpacked.folder}/evaluate.py {unpacked.answers} --out {disk}/scores.json"
    code, _, err = on_disk(disk, "64k", tmp_path / "nothing", command, **unpacked.environment)
    assert (code, "its disk is full: 0.0 MB" in err, str(disk) in err) == (2, True, True), err


def test_build_on_a_full_disk_is_told_with_place_and_free_bytes(make_build: Make, disk: Path) -> None:
    build = make_build()
    line = f"{sys.executable} -m datakit.cli bundle {disk}/{build.name} --out {disk}/it.tar"
    size = size_of(build.parent) + 72
    code, _, err = on_disk(
        disk, f"{size}k", build.parent, line, PATH="/usr/bin:/bin", PYTHONPATH=":".join(sys.path)
    )
    assert (code, "its disk is full: 0." in err, "Make room" in err) == (2, True, True), err
