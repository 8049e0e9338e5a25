"""The page of what differs between two builds: in the data's language, and nothing of the data is markup."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from datakit.artifacts.ledger import Figure
from datakit.cards.chat_changes import KINDS, LengthShift, Spread, TextChange
from datakit.cards.diff import ClassShare, Diff, Moved, ScoreChange, Some
from datakit.cards.diff_sections import diff_page
from datakit.core.word_diff import word_diff
from datakit.pages.layout import render_html
from datakit.pages.writing import write_page
from tests.cards.test_language import HAN, Words


def figure(value: float) -> Figure:
    return Figure(value=value, low=value - 0.1, high=value + 0.1)


def changed(before: str, after: str, id_: str = "r1") -> TextChange:
    pieces = word_diff(before, after)
    return TextChange(id=id_, what="prompt", share=0.5, others=3, before=before, after=after, pieces=pieces)


def everything(**others: object) -> Diff:
    """Differences of every kind, so that each section has content."""
    some, spread = Some(count=2, ids=["r1", "r2"]), Spread(mean=1.5, median=1, p95=2, longest=3)
    score = ScoreChange(part="val", metric="accuracy", before=figure(0.5), after=figure(0.7), model_after="m")
    values: dict[str, object] = {
        "before": "v1",
        "after": "v2",
        "same": False,
        "settings": ["label 退款 added", "order of steps changed", "training rows 5 → 6"],
        "records_before": 10,
        "records_after": 11,
        "added": some,
        "removed": some,
        "changed": some,
        "columns": {"description": some},
        "columns_added": ["ocr"],
        "columns_removed": ["width"],
        "labels": [Moved(before="退款", after=None, count=2, ids=["r1"])] * 60,
        "splits": [Moved(before="train", after="val", count=2, ids=["r1"])],
        "classes": [ClassShare(label="退款", before=1, after=2, share_before=0.1, share_after=0.2)],
        "texts": [
            changed("请看图", "请细看图"),
            changed("a", "b").model_copy(update={"what": "answer", "others": 0}),
        ],
        "lengths": [LengthShift(what=what, before=spread, after=spread) for what in KINDS],
        "scores": [
            score,
            score.model_copy(update={"difference": figure(0.2), "compared": 1_000, "metric": "mae"}),
            score.model_copy(update={"difference": figure(0.0), "compared": 9}),
            score.model_copy(update={"difference": Figure(value=0, low=0, high=0), "compared": 9}),
        ],
    }
    return Diff.model_validate(values | others)


NAMES = {"datakit", "r1", "r1, r2", "v1", "v2", "v1 → v2", "train", "val"}


def test_a_chinese_page_says_nothing_in_english_but_names() -> None:
    words = Words(render_html(diff_page(everything(), "zh")))
    english = {text for text in words.said if re.search("[A-Za-z]{3}", text) and not HAN.search(text)}
    assert english <= NAMES
    assert {"标签的变动", "训练集中的长度", "得分"} <= set(words.ids)
    mixed = re.findall(r"[A-Za-z]{3,}", " ".join(words.said))
    assert set(mixed) <= {"train", "val", "description", "ocr", "width", "datakit", "steps"}


def test_an_english_page_stays_english() -> None:
    page = render_html(diff_page(everything(labels=[], settings=[], classes=[], texts=[])))
    assert "Lengths in training" in page
    assert "A prompt counts with its system text and every turn that the model does not write." in page
    assert "accuracy on val: 50.0% (40.0 to 60.0) → 70.0% (60.0 to 80.0), model unnamed → m" in page
    assert not HAN.search(page)


HOSTILE = [
    "<script>alert(1)</script>",
    "\u202egnp.x\u202c",
    "a\ud800b",
    "\x00\x1b[31m",
    "</pre></ins>",
    "]]>",
    "|`*\n# x",
]


@pytest.mark.parametrize(
    "hostile", HOSTILE, ids=["script", "rtl", "surrogate", "control", "ends", "cdata", "md"]
)
def test_nothing_of_labels_ids_and_texts_is_markup_or_unwritable(tmp_path: Path, hostile: str) -> None:
    diff = everything(
        labels=[Moved(before=hostile, after="退款", count=1, ids=[hostile])],
        added=Some(count=1, ids=[hostile]),
        settings=[hostile],
        columns={hostile: Some(count=1, ids=[hostile])},
        columns_added=[hostile],
        classes=[ClassShare(label=hostile, before=1, after=2, share_before=0.1, share_after=0.2)],
        texts=[changed("看" + hostile, hostile + "图", hostile)],
    )
    page = tmp_path / "page.html"
    write_page(diff_page(diff, "zh"), page)
    text = page.read_text("utf-8")
    assert text.count("<script") == 1  # the page's own
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert "\x00" not in text
    Words(text)


@pytest.mark.parametrize("kind", ["cjk", "one word", "lines"])
def test_a_text_of_100_000_characters_is_shortened(tmp_path: Path, kind: str) -> None:
    long = {
        "cjk": "看" * 100_000,
        "one word": "x" * 100_000,
        "lines": "\n".join("ab" for _ in range(33_000)),
    }[kind]
    page = tmp_path / "page.html"
    write_page(diff_page(everything(texts=[changed(long, long[::-1] + "新的"), changed(long, "")])), page)
    assert page.stat().st_size < 60_000
