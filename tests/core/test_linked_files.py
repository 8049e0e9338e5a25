"""What is known of a file outlasts links that are made of it and removed, and ends with an edit."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from datakit.core import files as files_module
from datakit.core.files import FileDigests
from datakit.run.store import Store


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the files that were read for their digest."""
    paths: list[str] = []
    read: Callable[[str], object] = files_module._read_digest
    monkeypatch.setattr(files_module, "_read_digest", lambda path: (paths.append(path), read(path))[1])
    return paths


def _edited(path: Path, content: bytes) -> None:
    """Writes other content of the same size, and puts the time back."""
    before = os.stat(path)
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_link_made_and_removed_costs_no_reading_now_or_later(tmp_path: Path, readings: list[str]) -> None:
    store, picture = Store(tmp_path / "store"), tmp_path / "a.png"
    picture.write_bytes(b"one")
    files = FileDigests(store)
    files.sha256(picture)
    files.link(str(picture), tmp_path / "first")
    files.link(str(picture), tmp_path / "second")
    files.unlink(str(tmp_path / "first"))
    digest = files.sha256(picture)
    files.settle()
    later = FileDigests(store)
    assert later.sha256(picture) == digest == hashlib.sha256(b"one").hexdigest()
    assert later.sha256(tmp_path / "second") == digest
    assert readings == [str(picture)]


@pytest.mark.fault(
    "a picture is replaced by one of the same size and time after a link to it was made",
    "it has another digest: what was known of it ends",
    kind="inputs changed",
)
@pytest.mark.parametrize("settled", [False, True])
def test_an_edit_after_the_link_is_seen(tmp_path: Path, settled: bool) -> None:
    store, picture = Store(tmp_path / "store"), tmp_path / "a.png"
    picture.write_bytes(b"one")
    files = FileDigests(store)
    files.sha256(picture)
    files.link(str(picture), tmp_path / "link")
    if settled:
        files.settle()
    _later(picture)
    _edited(picture, b"two")
    files.settle()
    two = hashlib.sha256(b"two").hexdigest()
    assert files.sha256(picture) == FileDigests(store).sha256(picture) == two


def test_an_edit_before_the_link_is_seen(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"one")
    files = FileDigests()
    files.sha256(picture)
    _later(picture)
    _edited(picture, b"two")
    files.link(str(picture), tmp_path / "link")
    assert files.sha256(picture) == hashlib.sha256(b"two").hexdigest()


def test_an_edit_before_a_link_is_removed_is_seen(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"one")
    files = FileDigests()
    files.sha256(picture)
    files.link(str(picture), tmp_path / "link")
    _later(picture)
    _edited(picture, b"two")
    files.unlink(str(tmp_path / "link"))
    assert files.sha256(picture) == hashlib.sha256(b"two").hexdigest()


def test_a_file_that_is_gone_is_no_error_when_stamps_are_settled(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"one")
    files = FileDigests(Store(tmp_path / "store"))
    files.sha256(picture)
    files.link(str(picture), tmp_path / "link")
    picture.unlink()
    files.unlink(str(tmp_path / "link"))
    files.settle()
    assert files.sha256(picture) == f"missing:{picture}"


def test_many_files_are_told_in_the_order_of_their_paths(tmp_path: Path, readings: list[str]) -> None:
    store = Store(tmp_path / "store")
    paths = [str(tmp_path / f"{number:04d}") for number in range(1_100)]
    for path in paths[::2]:
        Path(path).write_bytes(path.encode())
    files = FileDigests(store)
    known = files.sha256(paths[4])
    digests = files.sha256_of([*reversed(paths), paths[0]])
    assert list(digests) == paths[::-1]
    assert digests[paths[4]] == known
    assert digests[paths[1]] == f"missing:{paths[1]}"
    assert FileDigests(store).sha256_of(paths) == digests
    assert sorted(readings) == paths[::2]


def _later(path: Path) -> None:
    """Waits until the clock of the file system has moved on."""
    before, probe = os.stat(path).st_ctime_ns, path.with_name("probe")
    while not probe.exists() or os.stat(probe).st_ctime_ns <= before:
        probe.write_bytes(b"")
