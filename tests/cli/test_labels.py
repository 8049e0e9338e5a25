"""`datakit labels audit`: tables, JSON, and what is said where there is nothing to read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datakit.library import build as make
from tests.support.card_builds import ecom
from tests.support.edited_builds import edit_records
from tests.support.evaluated_builds import make_build, make_project
from tests.support.review_builds import review_project

Run = Callable[..., Any]
TITLES = (
    "Descriptions that fit their own class worst",
    "Clauses that the text does not bear out",
    "Keywords that tell little",
    "Pairs that need a sentence of difference",
)


@pytest.fixture(scope="module")
def screens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of the example screens, whose records have the texts of their pictures."""
    return Path(ecom(tmp_path_factory.mktemp("screens")).write())


def test_tables_stand_one_after_the_other_and_end_with_what_is_to_be_done(
    datakit: Run, screens: Path
) -> None:
    done = datakit("labels", "audit", screens)
    assert (done.code, done.err) == (0, "")
    places = [done.out.index(f"\n{title}: ") for title in TITLES]
    assert places == sorted(places)
    assert "labels.yaml: 140 records with a text in `ocr_text`" in done.out
    labels = done.out.partition(": ")[0]
    assert Path(labels).is_file()
    assert ".." not in labels
    assert f"Next: mend {labels}, build again" in done.out
    assert "nothing was scored yet" in done.out
    assert "个人信息页面 (1)" in done.out
    assert f"build again, and look again: datakit labels audit {screens}" in done.out


def test_the_help_of_labels_shows_its_commands_line_whole(datakit: Run) -> None:
    text = datakit("labels", "--help").out
    assert "audit    Say where labels and the text of their pictures do not agree.\n" in text
    assert "propose  Propose sentences that tell labels apart, and write them.\n" in text


def test_json_holds_what_the_tables_say_and_all_of_it(datakit: Run, screens: Path) -> None:
    told = json.loads(datakit("labels", "audit", screens, "--json").out)
    assert told["records"] == told["read"] == 140
    assert told["few"]["个人信息页面"] == 1
    table = datakit("labels", "audit", screens, "--limit", "0").out
    assert len(told["claims"]) > 10
    assert all(claim["clause"] in table for claim in told["claims"])
    assert all(word["keyword"] in table for word in told["keywords"])


def test_a_build_that_was_edited_by_hand_is_told_in_words_and_in_json(datakit: Run, tmp_path: Path) -> None:
    recipe, data = review_project(tmp_path), tmp_path / "d.jsonl"
    data.write_text(data.read_text("utf-8").replace('"suspect_why"', '"ocr_text"'), "utf-8")
    build = make(recipe).folder
    for words in (("audit", build), ("propose", build)):
        assert json.loads(datakit("labels", *words, "--json").out)["edited"] == ""
    edit_records(build)
    note = f"{build.name} is not as it was built: records.parquet was changed"
    for words in (("audit", build), ("propose", build)):
        assert json.loads(datakit("labels", *words, "--json").out)["edited"] == note
        assert f"Note: {note}" in datakit("labels", *words).out


def test_a_table_ends_at_the_limit_and_says_so(datakit: Run, screens: Path) -> None:
    shown = datakit("labels", "audit", screens, "--limit", "1").out
    assert "The first 1; all: --limit 0" in shown
    assert len(shown.splitlines()) < len(datakit("labels", "audit", screens).out.splitlines())


def test_a_build_without_ocr_exits_with_2_and_the_step_that_is_missing(datakit: Run, tmp_path: Path) -> None:
    done = datakit("labels", "audit", make_build(make_project(tmp_path)))
    assert (done.code, done.out) == (2, "")
    assert "has no text of its pictures" in done.err
    assert "- annotate.ocr: {}" in done.err


def test_a_place_without_a_build_exits_with_2(datakit: Run, tmp_path: Path) -> None:
    done = datakit("labels", "audit", tmp_path / "gone")
    assert done.code == 2
    assert "there is no build" in done.err
