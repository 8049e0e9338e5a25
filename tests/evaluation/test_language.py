"""The page of an evaluation is in the data's language; the terminal and `--json` stay English."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.predictions import write
from datakit.core.wording import speaking
from datakit.evaluation.cited_lines import CitedLines
from datakit.evaluation.evaluation import Evaluated, Options, Trouble
from datakit.evaluation.for_machines import beside_document
from datakit.evaluation.from_build import evaluate
from datakit.evaluation.page import lead, notices, page, write_evaluation
from datakit.evaluation.page_parts import PROBLEMS, TROUBLES
from datakit.evaluation.wrong import wrong_records
from datakit.pages.layout import render_html
from tests.cards.test_language import HAN, Words
from tests.support.evaluated_builds import answers, every_fifth_wrong, right, write_answers
from tests.support.value_builds import ROWS, make_value_build, truths_in, write_values

NAMES = re.compile(
    r"(?<![A-Za-z])(answer|hand|tiny|val|train|datakit|small|labels|number|text|predictions|csv|wrong|form|"
    r"cat|dog|bird|"
    r"sha256|IoU|Spearman|Wilson|McNemar|ANLS|NFKC|PASCAL|VOC|OCR|tokens|max|tolerance|curate|split|balance|"
    r"resample|read|jsonl|image_root|confusable_with|screen|shop|not_answered|label_missing|VQA|json|jsonl|kfold|APP)(?![A-Za-z])"
)
"""Names of things, of parameters and of measures, which have no Chinese."""


def english_left(html: str) -> list[str]:
    """Words of three letters and more, outside of code and pictures, that are no names."""
    said = [re.sub(r"[\w./-]*\d[\w./-]*", " ", text) for text in Words(html).said]
    return [text for text in said if re.search(r"[A-Za-z]{3}", NAMES.sub(" ", text))]


def shown(one: Evaluated, build: BuildFolder) -> str:
    with speaking("zh"):
        card = page(one, build, "evaluation", wrong_records(one.outcomes), None)
    return render_html(replace(card, language="zh"))


def troubled(one: Evaluated) -> Evaluated:
    """With every trouble and problem there is, answers that were cut, evidence and an edited file."""
    update: dict[str, Any] = {
        "trouble": {kind: Trouble(count=2, ids=["r1", "r2"]) for kind in TROUBLES},
        "problems": dict.fromkeys(PROBLEMS, 2),
        "cut": {2: 1234},
        "evidence": CitedLines(hold=3, lack=2, unread=1),
        "edited": ["small.kfold/kfold.jsonl was edited since the folds were joined"],
    }
    return replace(one, evaluation=one.evaluation.model_copy(update=update))


def test_page_of_labels_says_nothing_in_english_but_names(small: BuildFolder, tmp_path: Path) -> None:
    items = [
        item.model_copy(update={"confidence": 0.97 if item.predicted else None})
        for item in answers(small.path, every_fifth_wrong)
    ]
    write(tmp_path / "a.jsonl", items)
    write_answers(small.path, tmp_path / "b.jsonl", right)
    one, two = evaluate(small, [tmp_path / "a.jsonl", tmp_path / "b.jsonl"], Options(resamples=50))
    for result in (one, two, troubled(one)):
        html = shown(result, small)
        left = english_left(html)
        assert not left, left
        assert '<html lang="zh-CN">' in html


@pytest.mark.parametrize("kind", sorted(ROWS))
def test_page_of_values_says_nothing_in_english_but_names(kind: str, tmp_path: Path) -> None:
    build = BuildFolder.open(make_value_build(tmp_path, kind))
    field = {"labels": "found", "number": "price", "text": "caption"}[kind]
    wrong: dict[str, Any] = {"labels": ["dog"], "number": 1000, "text": "完全不同"}
    values = dict.fromkeys(truths_in(build, field), wrong[kind])
    values[next(iter(values))] = ValueError("form")
    path = write_values(tmp_path / "predictions.jsonl", values, field)
    one = evaluate(build, [path], Options(resamples=50))[0]
    for result in (one, troubled(one)):
        left = english_left(shown(result, build))
        assert not left, left


def test_page_that_is_written_has_the_language_of_the_labels_and_the_rest_is_english(
    small: BuildFolder, tmp_path: Path
) -> None:
    one = evaluate(
        small, [write_answers(small.path, tmp_path / "predictions.jsonl", every_fifth_wrong)], Options()
    )[0]
    write_evaluation(one, small, tmp_path, "evaluation")
    assert "## 下一步" in (tmp_path / "evaluation.md").read_text("utf-8")
    assert "rightly" in lead(one.evaluation)
    steps = [step["text"] for step in beside_document(one, small)["next_steps"]]
    labels = set(one.evaluation.confusion.labels)
    for text in (*steps, *notices(one.evaluation)):
        for label in labels:
            text = text.replace(label, "")
        assert not HAN.search(text), text
