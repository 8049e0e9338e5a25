"""Names of answers: a folder never has the name of a split or of another folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from datakit.cli import run
from datakit.serving.source_names import CLAIMS, source_name
from tests.support.loopback import Loopback
from tests.support.served import ROOT

SCREENS = ROOT / "examples" / "ecom" / "images"


def test_split_has_its_own_name_and_an_ordinary_folder_or_file_too(tmp_path: Path) -> None:
    assert [source_name(tmp_path, split) for split in ("train", "val")] == ["train", "val"]
    assert source_name(tmp_path, str(tmp_path / "new")) == "new"
    assert source_name(tmp_path, str(tmp_path / "test.jsonl")) == "test"


@pytest.mark.parametrize("source", ["val/", "./val", "more/val", "train.jsonl", "VAL/", "-val-/"])
def test_folder_or_file_with_the_name_of_a_split_has_another(tmp_path: Path, source: str) -> None:
    name = source_name(tmp_path, source)
    assert name.lower() not in ("train", "val")
    assert name == source_name(tmp_path, source)


def test_two_folders_of_one_name_keep_apart_whoever_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "a" / "new", tmp_path / "b" / "new"
    assert source_name(tmp_path / "run", str(first)) == "new"
    other = source_name(tmp_path / "run", str(second))
    assert other.startswith("new-")
    monkeypatch.chdir(tmp_path)
    assert source_name(tmp_path / "run", "a/new/") == "new"
    assert source_name(tmp_path / "run", "b/new/") == other
    assert source_name(tmp_path / "other-run", "b/new/") == "new"


def test_name_whose_keeping_was_cut_off_is_free(tmp_path: Path) -> None:
    (tmp_path / CLAIMS).mkdir()
    (tmp_path / CLAIMS / "new").touch()
    assert source_name(tmp_path, "new/") == "new"
    assert source_name(tmp_path, "b/new/") != "new"


def test_answers_to_a_folder_named_val_leave_those_to_the_split_alone(
    small: Path, server: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("val", "a/new", "b/new"):
        (tmp_path / folder).mkdir(parents=True)
        shutil.copy(min(SCREENS.iterdir()), tmp_path / folder)
    call = ["predict", str(small), "--base-url", server.url, "-q", "--split"]
    assert run([*call, "val"]) == 0
    (answers,) = small.parent.glob("small-runs/*/predictions_*.jsonl")
    before = answers.read_bytes()
    for folder in ("val/", "a/new", "b/new", "val/"):
        assert run([*call, folder]) == 0
    files = sorted(path.name for path in answers.parent.iterdir() if path.is_file())
    assert len(files) == 4, files
    assert answers.read_bytes() == before
    shutil.rmtree(answers.parent)
