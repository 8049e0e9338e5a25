"""Checksums: another content is always seen, and the same content is read once."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from datakit.handoff import digests
from datakit.handoff.digests import CACHE, Digests, of
from datakit.handoff.stages import GONE
from tests.support.fake_trainer import write_model

LONG_AGO = time.time() - 3600


def aged(path: Path) -> Path:
    """The file as if it had been written an hour ago, as far as a program can make it so."""
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


@pytest.fixture(autouse=True)
def _old_changes_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """No program sets the time of change; without this every file of a test was written just now."""
    stamp = digests._stamp

    def without_change(path: Path) -> tuple[int, int, int, int] | None:
        status = stamp(path)
        return status and (status[0], status[1], status[1], status[3])

    monkeypatch.setattr(digests, "_stamp", without_change)


def test_unchanged_file_is_read_once_also_by_a_later_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"abc")
    aged(file)
    first = Digests(tmp_path / "run").file(file)
    later = Digests(tmp_path / "run")
    monkeypatch.setattr(Digests, "_read", lambda *_: pytest.fail("read again"))
    assert later.file(file) == first


def test_file_of_the_same_size_and_time_in_another_inode_is_read_again(tmp_path: Path) -> None:
    file, other = tmp_path / "a", tmp_path / "b"
    file.write_bytes(b"abc")
    other.write_bytes(b"xyz")
    aged(file), aged(other)
    sums = Digests(tmp_path / "run")
    first = sums.file(file)
    os.replace(other, file)
    assert sums.file(file) != first


def test_file_that_was_written_just_now_is_not_remembered(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"abc")
    status = file.stat()
    sums = Digests(tmp_path / "run")
    first = sums.file(file)
    file.write_bytes(b"xyz")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))  # within one step of the clock
    assert sums.file(file) != first


def test_missing_file_and_folder_are_gone(tmp_path: Path) -> None:
    sums = Digests(tmp_path / "run")
    assert sums.file(tmp_path / "nothing") == GONE
    assert sums.model(tmp_path / "nothing") == GONE
    (tmp_path / "empty").mkdir()
    assert sums.model(tmp_path / "empty") == GONE


def test_model_is_its_weights_and_what_makes_its_prompts_but_not_its_logs(tmp_path: Path) -> None:
    model = tmp_path / "trained"
    write_model(model)
    sums = Digests(tmp_path / "run")
    first = sums.model(model)
    (model / "trainer_log.jsonl").write_text("{}")
    (model / "trainer_state.json").write_text("{}")
    (model / "checkpoint-1").mkdir()
    assert sums.model(model) == first
    (model / "chat_template.jinja").write_text("{{ messages }}")
    with_template = sums.model(model)
    assert with_template != first
    data = bytearray((model / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (model / "model.safetensors").write_bytes(bytes(data))
    assert sums.model(model) != with_template


@pytest.mark.parametrize("text", ["{", "[]", '{"files": {"/a": [1]}}', '{"files": 3}'])
def test_damaged_cache_only_costs_time(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"abc")
    aged(file)
    good = Digests(tmp_path / "other").file(file)
    run = tmp_path / "run"
    run.mkdir()
    (run / CACHE).write_text(text)
    assert Digests(run).file(file) == good
    assert json.loads((run / CACHE).read_text())["files"]


def test_order_of_keys_is_no_other_value() -> None:
    assert of({"a": 1, "b": [{"d": 2, "c": 3}]}) == of({"b": [{"c": 3, "d": 2}], "a": 1})
    assert of({"a": 1}) != of({"a": "1"})
    assert of([1, 2]) != of([2, 1])


def test_pictures_are_read_once_by_a_process_however_new_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes(bytes([number]))
    sums, reads = Digests(tmp_path), list[Path]()
    read = Digests._read

    def counted(self: Digests, path: Path, *, remember: bool = True) -> str:
        reads.append(path)
        return read(self, path, remember=remember)

    monkeypatch.setattr(Digests, "_read", counted)
    first = sums.folder(folder)
    assert [sums.folder(folder) for _ in range(4)] == [first] * 4
    assert len(reads) == 3
    (folder / "1.png").write_bytes(b"another")
    assert sums.folder(folder) != first
    assert len(reads) == 6
