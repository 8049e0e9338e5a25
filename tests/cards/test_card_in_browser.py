"""The card in a real browser without a window, from a file: filter, open, fold, sort, and a narrow screen."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datakit.cards.write import write_card
from datakit.opened_build import open_build
from tests.support.card_builds import ecom

pytestmark = pytest.mark.browser
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

Tab = Any
"""playwright.sync_api.Page; the package is not installed where these tests do not run."""
HOSTILE = "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a build in which one class has texts that a page must not obey."""
    project = tmp_path_factory.mktemp("project")
    draft = ecom(project)
    label = draft.records[0]["label"]
    for record in draft.records:
        if record["label"] == label:
            record["label"] = HOSTILE
            record["ocr"][0]["text"] = HOSTILE
            record["messages"][1]["content"] = f"理由：{HOSTILE}\n类别：{HOSTILE}"
    return write_card(draft.write(), project / "data_cards")[1]


@pytest.fixture
def tab(browser: Any, card: Path) -> Iterator[Tab]:
    """The card in a tab that fails the test for any error or request to elsewhere."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on(
        "request",
        lambda request: None if request.url.startswith(("file:", "data:")) else faults.append(request.url),
    )
    page.goto(card.as_uri())
    page.wait_for_selector("body[data-ready]")
    yield page
    assert page.title() == "ecom_v3: data card"
    page.context.close()
    assert faults == []


def shown(tab: Tab) -> int:
    return int(tab.locator("#gallery .tile:visible").count())


def test_tiles_are_filtered_by_class_and_by_words(tab: Tab) -> None:
    assert shown(tab) == 26
    tab.select_option("#gallery select", "支付页面")
    assert shown(tab) == 1
    assert tab.locator("#gallery .tile:visible b").inner_text() == "支付页面"
    assert tab.locator("#gallery output").inner_text() == "1 / 26"
    tab.select_option("#gallery select", HOSTILE)
    assert shown(tab) == 1
    tab.select_option("#gallery select", "")
    tab.fill("#gallery input[type=search]", "general-")
    assert tab.locator("#gallery .tile:visible b").inner_text() == "general data"


def test_a_click_opens_the_picture_at_the_size_that_the_model_sees_with_its_frames(tab: Tab) -> None:
    tab.select_option("#gallery select", "购物车页面")
    tile = tab.locator("#gallery .tile:visible")
    assert not tile.locator("svg").is_visible()
    small = tile.locator("img").bounding_box()
    tile.locator("summary").click()
    large = tile.locator("img").bounding_box()
    across = tile.locator("img").evaluate("image => image.naturalWidth")
    assert large["width"] == pytest.approx(across, abs=3)
    assert large["width"] > 2 * small["width"]
    picture, drawn = tile.locator("img").bounding_box(), tile.locator("svg").bounding_box()
    assert drawn["height"] == pytest.approx(picture["height"], abs=3)
    assert tile.locator("rect").count() > 1
    assert tile.locator("rect.evidence").count() >= 1
    assert tile.locator(".chat").is_visible()
    assert "类别：购物车页面" in tile.locator(".chat").inner_text()
    tab.uncheck("#gallery input[type=checkbox]")
    assert tile.locator("rect").first.evaluate("box => getComputedStyle(box).stroke") == "none"
    tile.locator("summary").click()
    assert not tile.locator(".chat").is_visible()


def test_what_all_prompts_share_unfolds_once(tab: Tab) -> None:
    fold = tab.locator("#gallery details.constant")
    assert fold.count() == 1
    assert not fold.locator("pre").is_visible()
    fold.locator("summary").click()
    assert "你是电商图片方面的专家" in fold.locator("pre").inner_text()


def test_a_table_is_sorted_by_its_head(tab: Tab) -> None:
    button = tab.locator("#classes th.number button").first
    button.click()
    column = tab.locator("#classes tbody tr td:nth-child(2)").all_inner_texts()
    assert [int(cell) for cell in column] == sorted(int(cell) for cell in column)
    button.click()
    assert tab.locator("#classes tbody tr td:nth-child(2)").all_inner_texts() == column[::-1]


def test_pictures_that_stand_twice_are_filled_in(tab: Tab) -> None:
    assert tab.locator("img[data-same]").count() >= 1
    assert tab.evaluate("[...document.images].every((image) => image.src && image.naturalWidth)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(browser: Any, card: Path, scheme: str) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    page.goto(card.as_uri())
    page.wait_for_selector("body[data-ready]")
    page.locator("#gallery .tile summary").first.click()
    page.locator("#worst-of-each-kind .tile summary").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    cut = """[...document.querySelectorAll('.wide')].filter((box) => box.scrollWidth > box.clientWidth + 1)
        .map((box) => box.innerText.slice(0, 80))"""
    assert page.evaluate(cut) == []
    button = page.locator("table.stacked th.number button").first
    button.click()
    assert button.is_visible(), "a table cannot be sorted on a phone"
    table = page.locator("table.stacked", has=page.locator("th[aria-sort=ascending]"))
    at = table.locator("th").evaluate_all("all => all.findIndex(head => head.ariaSort)")
    column = table.locator(f"tbody td:nth-child({at + 1})").all_inner_texts()
    numbers = [float(cell.replace(",", "")) for cell in column]
    assert numbers == sorted(numbers)
    page.close()


def test_in_a_notebook_links_lead_within_the_card(browser: Any, tmp_path: Path) -> None:
    """A frame without an address of its own would take them for links of the notebook's page."""
    shown = open_build(ecom(tmp_path).write()).card()._repr_html_()
    notebook = tmp_path / "notebook.html"
    notebook.write_text(f"<!doctype html><meta charset=utf-8>{shown}", "utf-8")
    page = browser.new_page(viewport={"width": 1000, "height": 800})
    page.goto(notebook.as_uri())
    frame = page.frames[1]
    frame.wait_for_selector("body[data-ready]")
    frame.locator("nav a", has_text="Gallery").click()
    page.wait_for_timeout(200)
    assert [one.url for one in page.frames] == [notebook.as_uri(), "about:srcdoc#gallery"]
    assert frame.evaluate("scrollY") > 500
    frame.locator("#gallery .tile summary").first.click()
    assert frame.locator("#gallery .tile[open] .chat").is_visible()
    page.close()


def test_a_print_shows_what_is_folded_and_one_record_as_it_is_trained(tab: Tab) -> None:
    tab.emulate_media(media="print", color_scheme="dark")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not tab.locator("nav").is_visible()
    boxes = tab.evaluate(
        "[...document.querySelectorAll('th button')].map(node => getComputedStyle(node).display)"
    )
    assert set(boxes) == {"contents"}, "Chromium repeats no table head on the next page that holds a button"
    for folded in tab.locator("#verdict details td, details.constant pre").all():
        assert folded.evaluate("node => node.checkVisibility()")
    chats = [chat.evaluate("node => node.checkVisibility()") for chat in tab.locator("#gallery .chat").all()]
    assert chats == [True, *[False] * (len(chats) - 1)]
    assert len(tab.pdf(format="A4")) > 100_000
