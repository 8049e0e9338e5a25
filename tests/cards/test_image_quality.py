"""The card says how many pictures are poor, of which fault, and in which classes."""

from __future__ import annotations

from pathlib import Path

from datakit.artifacts.build_folder import BuildFolder
from datakit.cards.image_quality import image_quality_section
from datakit.pages.blocks import Table, Text
from tests.support.card_builds import Draft, ecom


def looked_at(folder: Path, *faults: list[str]) -> Draft:
    draft = ecom(folder)
    for record in draft.records:
        record["picture_faults"] = [] if record["images"] else None
    for record, own in zip(draft.records, faults, strict=False):
        record["picture_faults"] = own
    return draft


def test_poor_pictures_stand_on_the_card_by_fault_and_by_class(tmp_path: Path) -> None:
    draft = looked_at(tmp_path, ["blurry"], ["dark", "blurry"])
    for record in draft.records[:2]:
        record["label"] = "<b>one</b>"
    section = image_quality_section(BuildFolder.open(draft.write()))
    lead, faults, _, classes = section.blocks
    assert isinstance(lead, Text)
    assert lead.text.startswith("2 of 140 records with pictures have a poor one.")
    assert isinstance(faults, Table)
    assert [(row[0], row[2]) for row in faults.rows] == [("dark", 1), ("blurry", 2)]
    assert isinstance(classes, Table)
    assert classes.rows == [["<b>one</b>", 2, 2, "100%"]]


def test_where_nothing_is_poor_the_card_says_what_was_looked_for(tmp_path: Path) -> None:
    (lead,) = image_quality_section(BuildFolder.open(looked_at(tmp_path).write())).blocks
    assert isinstance(lead, Text)
    assert lead.text.startswith("0 of 140")
    assert "framed" in lead.text


def test_a_build_without_the_step_has_no_such_section(tmp_path: Path) -> None:
    assert image_quality_section(BuildFolder.open(ecom(tmp_path).write())).blocks == []


def test_records_without_labels_have_no_table_of_classes(tmp_path: Path) -> None:
    draft = looked_at(tmp_path, ["blurry"])
    for record in draft.records:
        record["label"] = None
    blocks = image_quality_section(BuildFolder.open(draft.write())).blocks
    assert sum(isinstance(block, Table) for block in blocks) == 1
