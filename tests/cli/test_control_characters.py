"""Escape sequences in what users, models and servers say: in no data, on no terminal, on no page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from datakit.core.visible import has_controls, visible, without_controls
from datakit.run.control_characters import ControlCharacters
from tests.support.loopback import KEY, Loopback, Reply

Run = Callable[..., Any]
EVIL = "\x1b]0;pwned\x07 \x00 \x9b31m \x1b[2J \x7f"
SIGNS = ("\x1b", "\x00", "\x9b", "\x07", "\x7f", "\\u001b", "\\u0000", "\\u009b", "\\u0007", "\\u007f")
RECIPE = """\
llm: {{provider: openai, base_url: "{url}", model: gpt-4o-mini, max_retries: 0, max_down_s: 0.1}}
name: shop
steps:
  - read.jsonl: {{path: ../rows.jsonl}}
  - annotate.describe: {{template: ask.j2}}
  - render.chat: {{prompt: shown.j2, answer: reply.j2}}
emit:
  - llamafactory: {{images: link}}
run: {{max_reject_rate: 1.0, concurrency: 1, workers: 1}}
"""


@pytest.fixture
def shop(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    texts = {
        "ask": "什么？",
        "shown": f"哪种？<image> {{{{ text }}}} {{{{ note }}}}{EVIL}",
        "reply": "{{ label }}",
    }
    for name, text in texts.items():
        (project / "templates" / f"{name}.j2").write_text(text, encoding="utf-8")
    Image.new("RGB", (40, 40)).save(project / "a.png")
    Image.new("RGB", (40, 41)).save(project / f"b{EVIL[:3]}.png")
    row = {"images": ["a.png"], "label": f"l{EVIL}", "text": f"t{EVIL}", "note": f"n{EVIL}"}
    rows = [
        {"id": "fine", **row},
        {"id": f"i{EVIL}", **row},
        {"id": "named", **row, "images": [f"b{EVIL[:3]}.png"]},
        {"id": "listed", **row, "note": f"m{EVIL}"},
    ]
    (project / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.chdir(project)
    return project


def answered() -> Reply:
    content = json.dumps({"description": f"画面里有一个按钮和一段文字{EVIL}。"})
    body = {"model": "m", "choices": [{"index": 0, "message": {"content": content}, "finish_reason": "stop"}]}
    return Reply(raw=json.dumps(body).encode())


def obeyed(text: str, where: object) -> None:
    """A terminal obeys nothing in the text; escapes in a source line are shown as they stand there."""
    assert not [sign for sign in SIGNS[:5] if sign in text], (where, text[:2000])


def clean(text: str, where: object) -> None:
    """No sign stands in a document, nor its escape; one that is shown stands behind an escaped backslash."""
    text = text.replace("\\\\", "")
    assert not [sign for sign in SIGNS if sign in text], (where, text[:2000])


@pytest.mark.fault(
    "Texts, names and answers hold escape sequences",
    "taken out of data and counted, shown as escapes",
    kind="pages",
)
def test_no_escape_sequence_reaches_data_terminal_or_page(shop: Path, datakit: Run) -> None:
    with Loopback() as server:
        server.script = lambda call: answered()
        recipe = shop / "recipes" / "shop.yaml"
        recipe.write_text(RECIPE.format(url=server.url))
        result = datakit("build", recipe)
    assert result.code == 0, result.err
    for command in (["verdict", "build/shop"], ["why", "build/shop", "fine"], ["plan", recipe]):
        shown = datakit(*command)
        obeyed(shown.out + shown.err, command)
    obeyed(result.out + result.err, "build")
    build = shop / "build" / "shop"
    for path in [*build.rglob("*"), *(shop / "data_cards").rglob("*")]:
        if path.is_file() and path.suffix in (".json", ".jsonl", ".yaml", ".sh"):
            clean(path.read_text("utf-8"), path)
        if path.is_file() and path.suffix in (".md", ".html", ".svg"):
            obeyed(path.read_text("utf-8"), path)
    records = pl.read_parquet(build / "records.parquet")
    assert records["id"].to_list() == ["fine", "listed"]
    clean(repr(records.rows()), "records")
    row = records.row(0, named=True)
    assert (row["label"], row["text"], row["note"]) == ("l", "t    ", "n    ")
    rejects = [json.loads(line) for line in (build / "rejects.jsonl").read_text().splitlines()]
    assert [reject["reason"] for reject in rejects] == ["control_characters"] * 2
    warnings = json.loads((build / "report.json").read_text())["steps"][0]["notes"]["warnings"]
    assert any("control characters are taken out of `text` in 2 records" in line for line in warnings)


def test_a_servers_message_is_printed_with_its_signs_visible(shop: Path, datakit: Run) -> None:
    with Loopback() as server:
        server.script = lambda call: Reply(401, f"no {EVIL}")
        recipe = shop / "recipes" / "shop.yaml"
        recipe.write_text(RECIPE.format(url=server.url))
        result = datakit("build", recipe)
    assert result.code == 5
    clean(result.out + result.err, "build")


def test_a_column_and_a_label_with_control_characters_are_refused_in_words(shop: Path, datakit: Run) -> None:
    recipe = shop / "recipes" / "shop.yaml"
    recipe.write_text(RECIPE.format(url="http://127.0.0.1:9/v1"))
    (shop / "rows.jsonl").write_text(json.dumps({"images": ["a.png"], f"c{EVIL}": "x"}))
    result = datakit("build", recipe)
    assert result.code == 2
    assert "c\\x1b]0;pwned\\x07" in result.err
    clean(result.err, "column")
    (shop / "labels.yaml").write_text('labels: [{name: a, description: "x\\e]0;pwned\\a"}]')
    recipe.write_text("labels: ../labels.yaml\n" + recipe.read_text())
    result = datakit("build", recipe)
    assert result.code == 2
    assert "a label holds control characters" in result.err
    clean(result.err, "label")


@pytest.mark.parametrize(
    ("text", "data", "shown"),
    [
        ("a\tb\r\nc", "a\tb\r\nc", "a\tb\\r\nc"),
        ("\x1b[31mred\x1b[0m", "red", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link", "\\x1b]8;;http://x\\x1b\\link\\x1b]8;;\\x1b\\"),
        ("\x9d0;t\x9cx", "x", "\\x9d0;t\\x9cx"),
        ("\x1b]no end", "]no end", "\\x1b]no end"),
        ("page1\x0cpage2\x0b\x85", "page1 page2  ", "page1\\x0cpage2\\x0b\\x85"),
        ("a\u202eb", "a\u202eb", "a\\u202eb"),
        ("\udc80", "\udc80", "\\udc80"),
        ("购物车 👩‍👩‍👧", "购物车 👩‍👩‍👧", "购物车 👩‍👩‍👧"),
    ],
)
def test_a_text_is_clean_in_data_and_visible_to_people(text: str, data: str, shown: str) -> None:
    assert without_controls(text) == data
    assert has_controls(text) == (data != text)
    assert visible(text) == shown
    if "\udc80" not in text:
        frame = pl.DataFrame({"id": ["r"], "text": [text]})
        assert ControlCharacters().cleaned(frame)["text"].to_list() == [data]
