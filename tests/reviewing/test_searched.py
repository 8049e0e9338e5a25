"""What the review page searches: texts, prompts without what all share, folded; blocks of a large page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.library import build
from datakit.reviewing import searched
from datakit.reviewing.chosen import Choice, chosen
from datakit.reviewing.prompts import Prompts
from datakit.reviewing.records import PageRecords
from datakit.reviewing.searched import Blocks, folded
from datakit.reviewing.writing import write_folder
from tests.support.review_builds import review_project


@pytest.fixture(scope="module")
def emitted(tmp_path_factory: pytest.TempPathFactory) -> BuildFolder:
    """A build for LLaMA-Factory, which holds its prompts."""
    recipe = review_project(tmp_path_factory.mktemp("project"))
    text = recipe.read_text("utf-8").replace("parquet: {}", "llamafactory: {images: link}")
    recipe.write_text(text, "utf-8")
    return BuildFolder.open(build(recipe).folder)


def test_prompts_are_searched_without_what_all_of_them_say(emitted: BuildFolder) -> None:
    page = PageRecords(emitted, chosen(emitted, Choice())[0])
    rows = dict(zip(page.frame["id"], page.details(), strict=True))
    assert "第1条" in rows["r01"]["prompt"]
    head, tail = page.shared_prompt
    whole = rows["r01"]["prompt"] if rows["r01"]["is_whole_prompt"] else head + rows["r01"]["prompt"] + tail
    assert whole.startswith("<image>这是什么？第1条")
    assert "只回答" in tail  # the form of the answer is the same for all, so no search finds it everywhere
    assert "只回答" not in rows["r01"]["searched"]
    assert "第1条" in rows["r01"]["searched"]


def test_build_without_emitted_prompts_has_none(tmp_path: Path) -> None:
    folder = BuildFolder.open(build(review_project(tmp_path)).folder)
    assert Prompts.of(folder, ["r01"]) == Prompts()


def test_text_is_folded_and_each_line_stands_once() -> None:
    assert folded(["ＡＢＣ退款\n 合计 ", "合计\n\n", "ﬁn"]) == "abc退款\n合计\nfin"
    assert folded([]) == ""
    assert len(folded(["页" * 9_000])) == 4_000


def test_blocks_hold_every_text_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searched, "BLOCK", 3)
    blocks, given = Blocks(), []
    for start in range(0, 8, 2):
        given += blocks.add([str(start), str(start + 1)])
    given += blocks.rest()
    assert given == [(0, ["0", "1", "2"]), (1, ["3", "4", "5"]), (2, ["6", "7"])]
    assert list(Blocks().rest()) == []


def test_folder_holds_the_texts_that_its_server_gives_out(emitted: BuildFolder, tmp_path: Path) -> None:
    from datakit.reviewing import server

    write_folder(PageRecords(emitted, chosen(emitted, Choice())[0]), tmp_path / "review")
    names = [path.name for path in (tmp_path / "review" / "data").iterdir()]
    assert sorted(names) == ["00000.js", "index.js", "texts-00000.js"]
    assert all(server._FILE.fullmatch(f"/data/{name}") for name in names)
    text = (tmp_path / "review" / "data" / "texts-00000.js").read_text("utf-8")
    assert re.match(r'datakitTexts\(0,\["', text)
    assert "<img" not in text
