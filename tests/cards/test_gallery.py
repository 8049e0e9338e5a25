"""The records that a card shows: which ones, how large their pictures are, and the worst of each kind."""

from __future__ import annotations

import random
from pathlib import Path

import polars as pl
import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.cards.evidence import frames_of
from datakit.cards.gallery import card_settings, chosen
from datakit.cards.pictures import LARGE_CARD_BYTES, LEAST_BYTES, MOST_PICTURES, Pictures
from datakit.cards.trained_rows import rows_of
from datakit.cards.worst import ALIKE, CONFLICTS, CUT, DUPLICATES, LONGEST, UNSURE, worst
from datakit.core.errors import UserError
from tests.support.card_builds import ecom


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> BuildFolder:
    return BuildFolder(ecom(tmp_path_factory.mktemp("project")).write())


def by_id(build: BuildFolder) -> dict[str, tuple[str, str]]:
    frame = build.records.select("id", "label", "part").collect()
    return {id_: (label, part) for id_, label, part in frame.iter_rows()}


def test_each_class_has_as_many_records_as_were_asked_for(build: BuildFolder) -> None:
    found = by_id(build)
    one, two = chosen(build, 1), chosen(build, 2)
    assert chosen(build, 0) == []
    assert len(one) == 26
    assert {found[id_][0] for id_ in one} == {label for label, _ in found.values()}
    assert {found[id_][1] for id_ in one} == {"train", "general"}
    tested = {label for label, part in found.values() if part == "val"}
    assert {found[id_][0] for id_ in two if found[id_][1] == "val"} == tested
    assert max(sum(found[id_][0] == label for id_ in two) for label in tested) == 2


def test_the_choice_is_the_same_for_any_order_of_the_records(build: BuildFolder, tmp_path: Path) -> None:
    draft = ecom(tmp_path)
    random.Random(1).shuffle(draft.records)
    assert chosen(BuildFolder(draft.write()), 2) == chosen(build, 2)


def test_rows_are_found_by_their_ids_alone(build: BuildFolder) -> None:
    ids = ["screen-0001", "screen-0140", "general-nobody"]
    rows = rows_of(build, ids)
    assert sorted(rows) == ids[:2]
    assert rows["screen-0001"]["messages"][-1]["role"] == "assistant"


def test_a_line_that_is_no_record_is_told_with_its_place(tmp_path: Path) -> None:
    build = BuildFolder(ecom(tmp_path).write())
    path = build.path / "ecom_v3_train.json"
    path.write_bytes(path.read_bytes().replace(b'{"id":', b'{"id', 1))
    with pytest.raises(UserError, match=r"ecom_v3_train\.json:2"):
        rows_of(build, ["screen-0140"])


def test_worst_records_are_those_with_the_worst_figures(build: BuildFolder) -> None:
    kinds = {kind.title: kind for kind in worst(build, 2)}
    frame = build.main.collect()
    longest = frame["prompt_chars"].max()
    [first, _] = kinds[LONGEST].groups
    assert frame.filter(pl.col("id") == first[0])["prompt_chars"].item() == longest
    assert kinds[LONGEST].notes[first[0]] == f"{longest:,} characters"
    assert all(note == "ocr_text cut" for note in kinds[CUT].notes.values())
    assert [float(kinds[ALIKE].notes[group[0]]) for group in kinds[ALIKE].groups] == [0.59, 0.59]
    assert len(kinds[UNSURE].groups) == 2
    assert kinds[CONFLICTS].groups == []
    assert all(len(pair) == 2 for pair in kinds[DUPLICATES].groups)


def test_the_lines_that_an_answer_quotes_are_evidence() -> None:
    lines = [
        {"text": "实付款 ¥39", "score": 0.9, "box": [1, 2, 3, 4], "image": 0},
        {"text": "确认付款", "score": None, "box": [1, 2, 3, 4], "image": 0},
        {"text": "确认付款", "score": 0.5, "box": [1, 2, 3, 4], "image": 1},
        {"text": "无框", "score": 0.5, "box": [], "image": 0},
    ]
    frames = frames_of(lines, 0, "页面写着“实付款”，因此是支付页面。")
    assert [(frame.words, frame.is_evidence) for frame in frames] == [
        ("实付款 ¥39 (0.90)", True),
        ("确认付款", False),
    ]
    assert frames_of(None, 0, "") == []


@pytest.mark.parametrize(
    ("pictures", "least", "most"), [(1, 60_000, 60_000), (50, 20_000, 22_000), (10_000, 20_000, 22_000)]
)
def test_pictures_share_a_bound_of_bytes(build: BuildFolder, pictures: int, least: int, most: int) -> None:
    share = Pictures(build, pictures).share
    assert least <= share <= most
    assert share >= LEAST_BYTES * 0.9
    assert share * min(pictures, MOST_PICTURES) <= max(LARGE_CARD_BYTES, share)


def test_settings_that_do_not_fit_are_those_of_a_recipe_that_says_nothing(tmp_path: Path) -> None:
    draft = ecom(tmp_path)
    draft.recipe["card"] = {"gallery": 3, "worst": 0}
    assert card_settings(BuildFolder(draft.write())).gallery == 3
    draft.project = tmp_path / "other"
    draft.project.mkdir()
    draft.recipe["card"] = {"gallery": "many"}
    assert card_settings(BuildFolder(draft.write())).gallery == 1
