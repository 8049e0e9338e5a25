"""Proposed records in a real browser: those labelled there are labelled in the next build."""

from __future__ import annotations

from pathlib import Path

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.cli import run
from datakit.library import build
from tests.reviewing.test_in_browser import Tab, cell, downloaded, show, tab, until
from tests.support import next_builds

pytestmark = pytest.mark.browser
__all__ = ["tab"]


def test_proposed_records_are_labelled_in_the_browser_and_the_next_build_has_them(
    tmp_path: Path, tab: Tab
) -> None:
    recipe = next_builds.project(tmp_path / "project")
    folder = build(recipe, card=False).folder
    place = tmp_path / "next.html"
    assert run(["next", str(folder), "--n", "6", "-o", str(place)]) == 0
    show(tab, place.as_uri())
    assert "为何建议标注" not in tab.inner_text("#grid")
    cell(tab, 0).click()
    until(tab, "document.querySelector('#v-facts').textContent.includes('为何建议标注')")
    tab.keyboard.press("a")  # there is no label to accept: the proposed one is
    tab.keyboard.press("r")
    tab.keyboard.type("pingjia")
    tab.keyboard.press("Enter")
    tab.keyboard.press("d")
    tab.keyboard.press("Escape")
    rows = downloaded(tab, tmp_path)
    assert [row["action"] for row in rows] == ["relabel", "relabel", "drop"]
    assert all("old" not in row for row in rows)
    assert rows[1]["new"] == "评价页面"
    assert run(["review", str(folder), "--import", str(tmp_path / "overrides.jsonl")]) == 0
    after = BuildFolder.open(build(recipe, card=False).folder).main.collect()
    labels = dict(after.select("id", "label").iter_rows())
    assert {id_: labels.get(id_) for id_ in (row["id"] for row in rows)} == {
        row["id"]: row.get("new") for row in rows
    }
    assert after.height == 12 + 2


def test_record_without_label_and_proposal_asks_for_a_label(tmp_path: Path, tab: Tab) -> None:
    recipe = next_builds.project(tmp_path / "project", next_builds.known_rows(4, ["退款页面"]))
    place = tmp_path / "next.html"
    assert run(["next", str(build(recipe, card=False).folder), "--n", "3", "-o", str(place)]) == 0
    show(tab, place.as_uri())
    cell(tab, 0).click()
    tab.keyboard.press("a")
    assert tab.evaluate("document.querySelector('#relabel').open")
    tab.keyboard.type("wuliu")
    tab.keyboard.press("Enter")
    tab.keyboard.press("Escape")
    (row,) = downloaded(tab, tmp_path)
    assert (row["action"], row["new"]) == ("relabel", "物流页面")
