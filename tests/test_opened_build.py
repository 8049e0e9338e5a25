"""dk.open_build: what a finished build holds, in Python."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

import datakit as dk
from datakit.artifacts.predictions import Prediction, write
from datakit.cli import run
from datakit.core.errors import UserError
from datakit.core.replacing import seal
from tests.support.evaluated_builds import make_build, make_project, truths


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_build(make_project(tmp_path_factory.mktemp("opened")))


@pytest.fixture
def opened(folder: Path) -> dk.OpenedBuild:
    return dk.open_build(folder)


def test_records_are_lazy_with_their_part_and_without_notes_of_the_store(opened: dk.OpenedBuild) -> None:
    assert isinstance(opened.records, pl.LazyFrame)
    frame = opened.records.collect()
    assert {"id", "label", "part", "rows", "images"} <= set(frame.columns)
    assert [name for name in frame.columns if name.startswith("@")] == []
    assert set(frame["part"]) == {"train", "val"}


def test_account_check_and_rejects_are_there(opened: dk.OpenedBuild) -> None:
    assert opened.report.steps[0].name == "read.jsonl"
    assert opened.check is not None
    assert opened.check.errors == 0
    assert opened.rejects.collect().height == opened.report.rejected
    assert repr(opened).startswith("build small in ")


def test_predictions_join_the_records_by_id(opened: dk.OpenedBuild, folder: Path) -> None:
    with pytest.raises(UserError, match="no answers for"):
        opened.predictions("val")
    answers = [
        Prediction(id=id_, label=label, predicted=label, confidence=0.75, probabilities={label: 0.75})
        for id_, label in truths(folder).items()
    ]
    write(opened.folder.predictions_file("val"), answers)
    found = opened.predictions("val")
    joined = opened.records.filter(pl.col("part") == "val").collect().join(found, on="id", suffix="_answered")
    assert joined.height == len(answers) == found.height
    assert (joined["label"] == joined["predicted"]).all()
    assert found["probabilities"][0].to_list() == [{"label": answers[0].label, "probability": 0.75}]
    assert [answer.id for answer in opened.folder.predictions("val")] == found["id"].to_list()


@pytest.mark.parametrize("replay", [True, False])
def test_why_tells_the_life_of_a_record(opened: dk.OpenedBuild, replay: bool) -> None:
    id_ = opened.records.select("id").head(1).collect().item()
    story = opened.why(id_, replay=replay)
    assert (story.id, story.replayed, bool(story.places)) == (id_, replay, True)
    with pytest.raises(UserError, match="knows a record `nobody`"):
        opened.why("nobody", replay=replay)


def test_card_is_that_of_the_command_and_shows_in_a_notebook(opened: dk.OpenedBuild, tmp_path: Path) -> None:
    card = opened.card()
    written = card.write(tmp_path)
    assert (tmp_path / "small.md").read_text("utf-8") == seal(card.markdown)
    assert (tmp_path / "small.html") in written
    assert card._repr_html_().startswith("<iframe srcdoc=")
    assert "<!DOCTYPE html>" not in card._repr_html_(), "the page is escaped inside its frame"


def test_diff_takes_a_build_or_its_folder(opened: dk.OpenedBuild, folder: Path) -> None:
    assert opened.diff(opened).same
    assert opened.diff(folder).records_before == opened.records.collect().height


def test_folder_that_is_no_build_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no finished build"):
        dk.open_build(tmp_path)


CODE = "!!python/object/apply:os.system ['touch {}']"
REACHING = "{{{{ cycler.__init__.__globals__.os.system('touch {}') }}}}"


@pytest.mark.fault(
    "a build of others holds YAML tags and templates that would run code",
    "reading, checking, explaining, comparing and describing it runs none of it",
    kind="bounds",
)
@pytest.mark.parametrize("name", ["recipe.yaml", "labels.yaml", "templates/ecom/classify_v1.j2"])
def test_reading_a_build_of_others_runs_nothing_of_it(
    folder: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs, mark = tmp_path / "theirs", tmp_path / "ran"
    shutil.copytree(folder, theirs, symlinks=True)
    place = theirs / name
    text = place.read_text("utf-8")
    planted = REACHING.format(mark) + text if name.endswith(".j2") else f"{text}\nx: {CODE.format(mark)}\n"
    place.write_text(planted, "utf-8")
    commands = [["check"], ["verdict"], ["why", "@"], ["card"], ["diff", str(folder)]]
    for command, *words in commands:
        id_ = next(iter(truths(folder)))
        run([command, str(theirs), *(word.replace("@", id_) for word in words)])
    assert "Traceback" not in capsys.readouterr().err
    assert not mark.exists()
