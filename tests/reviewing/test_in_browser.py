"""The review page in a real browser without a window: from a file, from a folder, from the server."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.overrides import read_overrides
from datakit.cli.review import write
from datakit.library import build
from datakit.reviewing.answered import Answers
from datakit.reviewing.chosen import Choice, chosen
from datakit.reviewing.decisions_file import DecisionsFile
from datakit.reviewing.records import PageRecords
from datakit.reviewing.server import Review, Server
from tests.support.review_builds import HOSTILE, review_build, review_project

pytestmark = pytest.mark.browser
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

Tab = Any
"""playwright.sync_api.Page; the package is not installed where these tests do not run."""


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> PageRecords:
    folder = review_build(tmp_path_factory.mktemp("project"))
    return PageRecords(folder, chosen(folder, Choice())[0])


@pytest.fixture
def tab(browser: Any) -> Iterator[Tab]:
    """A tab with a storage of its own, which fails the test for any error or request to elsewhere."""
    context = browser.new_context(viewport={"width": 1100, "height": 800}, accept_downloads=True)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: faults.append(f"dialog: {dialog.message}"))
    page.on("request", lambda request: faults.append(request.url) if is_elsewhere(request.url) else None)
    yield page
    context.close()
    assert faults == []


def is_elsewhere(url: str) -> bool:
    return not url.startswith(("file:", "data:", "blob:", "http://127.0.0.1:"))


def show(tab: Tab, address: str, who: str = "王芳") -> None:
    tab.goto(address)
    tab.wait_for_selector("body[data-ready]")
    if who:
        tab.fill("#who", who)
        tab.keyboard.press("Escape")


def until(tab: Tab, condition: str) -> None:
    """Waits for a condition. The page's policy forbids what playwright's own waiting evaluates there."""
    end = time.monotonic() + 20
    while not tab.evaluate(condition):
        assert time.monotonic() < end, condition
        tab.wait_for_timeout(20)


@pytest.fixture(params=["file", "folder"])
def page(request: pytest.FixtureRequest, records: PageRecords, tmp_path: Path, tab: Tab) -> Tab:
    """The page as one file, and as a folder."""
    most = None if request.param == "file" else 0
    target = tmp_path / ("review.html" if request.param == "file" else "review")
    show(tab, write(records, records.build.path, target, most).as_uri())
    return tab


def downloaded(tab: Tab, tmp_path: Path) -> list[dict[str, Any]]:
    with tab.expect_download() as download:
        tab.click("#save")
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.name == "overrides.jsonl"
    read_overrides(path.read_text("utf-8"), str(path))  # each line is a decision
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def cell(tab: Tab, position: int) -> Any:
    return tab.locator(f".cell[data-position='{position}']")


def test_keyboard_decides_one_record_after_the_other(page: Tab, tmp_path: Path) -> None:
    cell(page, 0).click()
    page.keyboard.press("a")
    page.keyboard.press("r")
    page.keyboard.type("tkym")  # by the initials of its pinyin
    page.keyboard.press("Enter")
    page.keyboard.press("d")
    page.keyboard.press("s")
    page.keyboard.press("Escape")
    assert page.inner_text("#progress") == "已决定 3 / 12"
    rows = downloaded(page, tmp_path)
    assert [(row["id"], row["action"], row.get("new")) for row in rows] == [
        ("r00", "accept", None),
        ("r01", "relabel", "退款页面"),
        ("r02", "drop", None),
    ]
    assert {row["who"] for row in rows} == {"王芳"}
    assert {row["build"] for row in rows} == {"screens"}


@pytest.mark.parametrize("typed", ["tuihuo", "tui'huo", "thym", "退货", "退货申请", "thsq", "ｔｈｙｍ　"])
def test_label_is_found_by_name_alias_pinyin_and_initials(page: Tab, typed: str) -> None:
    cell(page, 0).click()
    page.keyboard.press("r")
    page.fill("#new-label", typed)
    assert page.locator("#matches li b").first.inner_text() == "退货页面"


def test_reason_of_a_relabel_goes_into_the_file(page: Tab, tmp_path: Path) -> None:
    cell(page, 0).click()
    page.keyboard.press("r")
    page.keyboard.type("tuikuan")
    page.fill("#why", '标题是"退款" <b>')
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    (row,) = downloaded(page, tmp_path)
    assert row["why"] == '标题是"退款" <b>'


def test_undo_takes_back_the_last_decision_and_after_a_reload_that_of_the_record(
    page: Tab, tmp_path: Path
) -> None:
    cell(page, 0).click()
    page.keyboard.press("a")
    page.keyboard.press("d")
    page.keyboard.press("u")
    page.keyboard.press("Escape")
    assert page.inner_text("#progress") == "已决定 1 / 12"
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert page.inner_text("#progress") == "已决定 1 / 12"  # the browser kept it
    cell(page, 0).click()
    page.keyboard.press("u")
    assert page.inner_text("#v-decided") == ""


def test_one_decision_for_a_whole_cluster(page: Tab, tmp_path: Path) -> None:
    page.select_option("#f-group", index=1)
    assert page.inner_text("#group-words") == "一次决定这 4 条"
    until(
        page, "[...document.querySelectorAll('.cell:not([hidden]) img')].every((one) => one.naturalWidth > 0)"
    )
    page.click("#group-bar [data-do=relabel]")
    page.keyboard.type("thym")
    page.keyboard.press("Enter")
    rows = downloaded(page, tmp_path)
    assert [row["id"] for row in rows] == ["r00", "r03", "r06", "r09"]
    assert {(row["action"], row["new"]) for row in rows} == {("relabel", "退货页面")}
    page.click("#group-bar [data-do=undo]")
    assert page.inner_text("#progress") == "已决定 0 / 12"


def test_whole_cluster_takes_the_label_that_it_resembles(page: Tab, tmp_path: Path) -> None:
    page.select_option("#f-group", index=1)
    assert page.inner_text("#group-take") == "采用建议: 退货页面"
    page.click("#group-take")
    rows = downloaded(page, tmp_path)
    assert [(row["id"], row["new"]) for row in rows] == [
        (name, "退货页面") for name in ("r00", "r03", "r06", "r09")
    ]


def test_proposal_is_taken_by_one_key(page: Tab, tmp_path: Path) -> None:
    cell(page, 0).click()
    page.keyboard.press("p")
    page.keyboard.press("Escape")
    (row,) = downloaded(page, tmp_path)
    assert (row["old"], row["new"]) == ("购物车页面", "退货页面")


def test_nobody_decides_without_a_name(records: PageRecords, tmp_path: Path, tab: Tab) -> None:
    show(tab, write(records, records.build.path, tmp_path / "r.html").as_uri(), who="")
    cell(tab, 0).click()
    tab.keyboard.press("d")
    until(tab, "document.activeElement.id === 'who'")  # the browser gives it back to the grid first
    assert tab.inner_text("#progress") == "已决定 0 / 12"


def test_filters_by_label_split_state_and_words(page: Tab) -> None:
    page.select_option("#f-label", label="退货页面 (4)")
    assert page.inner_text("#shown") == "显示 4 条"
    page.fill("#f-search", "r01")
    until(page, "document.getElementById('shown').textContent === '显示 1 条'")
    page.select_option("#f-state", "decided")
    assert page.locator("#nothing").is_visible()


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("第7条", 0),
        ("第5条", 1),
        ("ONERROR", 12),
        ("第５条", 1),
        ("退货 第4条", 1),
        ("退款 第4条", 0),
        ("thym", 4),
        ("tui’huo 第4条", 1),
    ],
)
def test_search_finds_what_was_read_asked_or_said_and_every_word_must_be_there(
    page: Tab, words: str, count: int
) -> None:
    page.fill("#f-search", words)
    until(page, f"document.getElementById('shown').textContent === '显示 {count} 条'")
    assert page.locator("#nothing").is_visible() == (count == 0)


def test_words_that_were_found_are_marked_in_the_record(page: Tab) -> None:
    page.fill("#f-search", "第5条")
    until(page, "document.getElementById('shown').textContent === '显示 1 条'")
    cell(page, 0).click()
    until(page, "CSS.highlights.get('found')?.size > 0")
    assert page.evaluate("[...CSS.highlights.get('found')].map(String)") == ["第5条"]


def test_later_search_replaces_one_that_is_under_way(page: Tab) -> None:
    page.evaluate(
        "() => { const box = document.getElementById('f-search');"
        " for (const text of ['onerror', '第5条', 'r01']) { box.value = text; filter(); } }"
    )
    until(page, "document.getElementById('shown').textContent === '显示 1 条'")
    assert page.evaluate("grid.view.map((record) => INDEX.id[record])") == ["r01"]


@pytest.mark.fault(
    "a record's text, reason or id holds markup, scripts or paths that lead elsewhere",
    "the review page shows them as they are; nothing runs, and no file is read that is not its own",
    kind="pages",
)
def test_hostile_words_are_shown_as_they_are(page: Tab) -> None:
    for position in range(12):
        page.evaluate("(at) => look(at)", position)
        until(page, "document.querySelector('#v-facts dd') !== null")
    assert (
        page.evaluate("document.querySelectorAll('#v-facts img, #grid script, #v-facts script').length") == 0
    )
    page.evaluate("look(grid.view.indexOf(7))")
    until(page, "document.getElementById('v-id').textContent === 'r07'")
    assert HOSTILE.strip() in page.inner_text("#v-facts")


def test_edited_build_is_told_above_everything_in_the_page_own_words(
    page: Tab, records: PageRecords, tmp_path: Path
) -> None:
    assert page.locator("#notices").is_hidden()
    edited = replace(records, answers=Answers(edited=("k<b>.jsonl",)))
    edited.__dict__["changed"] = {"records.parquet": "was changed"}
    show(page, write(edited, records.build.path, tmp_path / "edited.html").as_uri())
    words = page.locator("#notices").inner_text()
    assert words.startswith("构建完成后被改动的文件：records.parquet。")
    assert "k<b>.jsonl 在各折合并之后被改动" in words


def test_picture_is_large_enough_to_read_and_carries_its_boxes(
    tmp_path: Path, tab: Tab, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = review_build(tmp_path / "project") if (tmp_path / "project").mkdir() is None else None
    assert folder is not None
    import polars as pl

    frame = chosen(folder, Choice())[0]
    line = {"text": "合计", "score": 0.5, "box": [10.0, 20.0, 60.0, 40.0], "image": 0}
    kind = pl.List(
        pl.Struct({"text": pl.String, "score": pl.Float64, "box": pl.List(pl.Float64), "image": pl.UInt32})
    )
    frame = frame.with_columns(ocr=pl.Series([[line]] * frame.height, dtype=kind))
    show(tab, write(PageRecords(folder, frame), folder.path, tmp_path / "r.html").as_uri())
    cell(tab, 0).click()
    until(tab, "document.querySelector('#v-pictures img')?.naturalWidth === 96")
    box = tab.locator("#v-pictures rect.weak")
    assert [box.get_attribute(name) for name in ("x", "y", "width", "height")] == ["10", "20", "50", "20"]
    tab.keyboard.press("b")
    assert not box.is_visible()


@pytest.fixture
def serve(records: PageRecords, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts the server of these records; they end with the test."""
    servers: list[Server] = []

    def start(port: int | None = None) -> Server:
        folder = write(records, records.build.path, tmp_path / "served", most=0).parent
        server = Server(Review(folder, DecisionsFile(tmp_path / "overrides.jsonl", records.seen_by_id)), port)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def written(tmp_path: Path) -> list[tuple[str, str, str]]:
    path = tmp_path / "overrides.jsonl"
    lines = read_overrides(path.read_text("utf-8"), str(path)) if path.exists() else []
    return [(line.override.id, line.override.action, line.override.who) for line in lines]


def test_served_page_writes_the_file_by_itself_and_takes_its_state_from_it(
    serve: Callable[..., Server], tmp_path: Path, tab: Tab
) -> None:
    show(tab, serve().address)
    until(tab, "document.getElementById('kept').textContent.includes('overrides.jsonl')")
    cell(tab, 0).click()
    tab.keyboard.press("a")
    tab.keyboard.press("d")
    until(tab, "state.waiting.size === 0")
    assert written(tmp_path) == [("r00", "accept", "王芳"), ("r01", "drop", "王芳")]
    tab.keyboard.press("u")
    until(tab, "state.waiting.size === 0")
    assert written(tmp_path) == [("r00", "accept", "王芳")]
    tab.evaluate("localStorage.clear()")
    tab.reload()
    until(tab, "document.getElementById('progress').textContent === '已决定 1 / 12'")
    assert "token" not in tab.url


def test_two_tabs_keep_what_each_of_them_decides(
    serve: Callable[..., Server], tab: Tab, tmp_path: Path
) -> None:
    server = serve()
    show(tab, server.address)
    other = tab.context.new_page()
    show(other, f"http://{server.host}/", who="")
    for at, one in enumerate((tab, other, tab, other)):  # before either has written into the storage
        one.evaluate(f"state.decide([{at}], 'drop')")
    for one in (tab, other):
        until(one, "!state.timer && !state.waiting.size && [0, 1, 2, 3].every((at) => state.decided.has(at))")
    until(tab, "localStorage.getItem(state.key) === state.text")
    assert len((tmp_path / "overrides.jsonl").read_text("utf-8").splitlines()) == 4
    for one in (tab, other):
        one.reload()
        until(one, "document.body.dataset.ready !== undefined && state.count() === 4")


def test_other_reviewers_lines_stay_and_both_decisions_stand_in_the_file(
    serve: Callable[..., Server], tmp_path: Path, tab: Tab
) -> None:
    server = serve()
    show(tab, server.address)
    until(tab, "state.server !== null")
    cell(tab, 0).click()
    tab.keyboard.press("a")
    until(tab, "state.waiting.size === 0")
    tab.keyboard.press("Escape")
    tab.fill("#who", "李雷")
    tab.keyboard.press("Escape")
    cell(tab, 0).click()
    tab.keyboard.press("d")
    until(tab, "state.waiting.size === 0")
    assert written(tmp_path) == [("r00", "accept", "王芳"), ("r00", "drop", "李雷")]
    tab.keyboard.press("u")
    until(tab, "state.waiting.size === 0")
    assert written(tmp_path) == [("r00", "accept", "王芳")]


@pytest.mark.fault(
    "the review's server ends while somebody decides",
    "the page says how many decisions are not written, keeps them, and writes them when it is back",
    kind="processes",
)
def test_decisions_wait_in_the_browser_while_the_server_is_gone(
    serve: Callable[..., Server], tmp_path: Path, browser: Any
) -> None:
    context = browser.new_context()
    tab = context.new_page()  # of its own: a refused connection is an error in its log
    first = serve()
    port = first.server_address[1]
    show(tab, first.address)
    until(tab, "state.server !== null")
    first.shutdown()
    first.server_close()
    cell(tab, 0).click()
    tab.keyboard.press("d")
    tab.wait_for_selector("#kept.bad")
    assert "1 个决定尚未写入" in tab.inner_text("#kept")
    second = serve(port)
    second.review.token = first.review.token
    until(tab, "state.waiting.size === 0")
    assert written(tmp_path) == [("r00", "drop", "王芳")]
    context.close()


def test_decisions_of_the_page_make_the_next_build(page: Tab, records: PageRecords, tmp_path: Path) -> None:
    page.select_option("#f-group", index=1)
    page.click("#group-bar [data-do=relabel]")
    page.keyboard.type("thym")
    page.keyboard.press("Enter")
    page.select_option("#f-group", "")
    page.fill("#f-search", "../../")
    until(page, "document.getElementById('shown').textContent === '显示 1 条'")
    cell(page, 0).click()
    page.keyboard.press("d")
    page.keyboard.press("Escape")
    downloaded(page, tmp_path)
    folder = tmp_path / "next"
    folder.mkdir()
    recipe = review_project(folder, steps="  - curate.overrides: {path: ../overrides.jsonl}\n")
    after = BuildFolder.open(build(recipe).folder)
    notes = after.notes("curate.overrides")
    assert (notes["relabelled"], notes["dropped"], notes["not_applied"]) == (4, 1, {})
    labels = dict(after.records.select("id", "label").collect().iter_rows())
    assert {labels[name] for name in ("r00", "r03", "r06", "r09")} == {"退货页面"}
    assert len(labels) == 11
