"""What a command may write over: files of its own kind, and nothing of a person's."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from datakit.artifacts import predictions as prediction
from datakit.artifacts.predictions import Prediction
from datakit.bundling.pack import bundle
from datakit.checking.records_file import write_records
from datakit.cli import run
from datakit.core.errors import UserError
from datakit.core.replacing import check_replaceable, free_name, set_aside
from tests.support.train_builds import _builds, make_build

__all__ = ["_builds", "make_build"]

ONE = Prediction(id="a", predicted="x", answer="x")
OTHER = Prediction(id="a", predicted="y", answer="y")
BOTH = [ONE, Prediction(id="b", predicted="y", answer="y")]


@pytest.mark.fault(
    "an output's place is a folder, a broken link, or a file of another kind",
    "refused in words",
    kind="folders",
)
def test_file_of_another_kind_a_folder_and_a_broken_link_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("file", "folder", "link"):
        with pytest.raises(UserError, match="is not a list, and would be written over"):
            check_replaceable(tmp_path / name, "a list", lambda path: False)
    check_replaceable(tmp_path / "absent", "a list", lambda path: False)
    check_replaceable(tmp_path / "file", "a list", lambda path: True)


def test_what_is_set_aside_keeps_its_content_and_no_two_get_one_name(tmp_path: Path) -> None:
    kept = []
    for n in range(3):
        (tmp_path / "p.jsonl").write_text(str(n))
        kept.append(set_aside(tmp_path / "p.jsonl"))
    assert [path.read_text() for path in kept] == ["0", "1", "2"]
    assert all(path.name.startswith("p.kept-") and path.suffix == ".jsonl" for path in kept)
    (tmp_path / "to").symlink_to("nowhere")
    assert os.readlink(set_aside(tmp_path / "to")) == "nowhere"
    assert free_name(tmp_path / "new") == tmp_path / "new"


def test_predictions_with_other_answers_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    assert prediction.replace(path, [ONE]) is None
    kept = prediction.replace(path, [OTHER])
    assert kept is not None
    assert [list(prediction.read(file)) for file in (kept, path)] == [[ONE], [OTHER]]


def test_predictions_that_only_go_on_are_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    open_ = Prediction(id="b", problem=prediction.NOT_ANSWERED)
    prediction.write(path, [ONE, open_])
    assert prediction.replace(path, BOTH) is None
    assert list(prediction.read(path)) == BOTH


def test_damaged_predictions_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    prediction.write(path, [ONE])
    path.write_bytes(path.read_bytes() + b"broken\n")
    kept = prediction.replace(path, BOTH)
    assert kept is not None
    assert kept.read_bytes().endswith(b"broken\n")


@pytest.mark.fault(
    "an output option names a file of another kind",
    "refused; the file is left as it is",
    kind="folders",
)
@pytest.mark.parametrize("text", ["my notes\n", '{"a": 1}\n', "[1, 2]\n", "\0\1\2"])
def test_no_output_takes_the_place_of_another_file(
    tmp_path: Path, make_build: Callable[..., Path], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("notes.jsonl", "notes.tar", "notes.tar.gz", "notes.json"):
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match="would be written over"):
        prediction.check_place(tmp_path / "notes.jsonl")
    with pytest.raises(UserError, match="would be written over"):
        write_records([], tmp_path / "notes.jsonl")
    build = make_build()
    for name in ("notes.tar", "notes.tar.gz"):
        with pytest.raises(UserError, match="would be written over"):
            bundle(build, tmp_path / name)
    assert run(["schema", "-o", str(tmp_path / "notes.json")]) == 2
    assert "would be written over" in capsys.readouterr().err
    assert {path.read_text() for path in tmp_path.glob("notes.*")} == {text}


def test_outputs_take_the_place_of_their_own_kind(tmp_path: Path, make_build: Callable[..., Path]) -> None:
    build = make_build()
    for name in ("it.tar", "it.tar.gz"):
        assert bundle(build, tmp_path / name).sha256 == bundle(build, tmp_path / name).sha256
    for _ in range(2):
        assert run(["schema", "-o", str(tmp_path / "schema.json")]) == 0
        assert run(["check", str(build), "--records", str(tmp_path / "rows.jsonl")]) in (0, 1)
