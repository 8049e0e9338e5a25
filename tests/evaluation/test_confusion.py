"""Mistakes between classes, with records to look at."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.predictions import write
from datakit.cards.write import make_card
from datakit.evaluation.entering import enter_scores
from datakit.evaluation.evaluation import Options
from datakit.evaluation.from_build import evaluate
from datakit.evaluation.page import write_evaluation
from datakit.pages.blocks import Card, Comparison, Section, Specimen
from datakit.pages.layout import render_html, render_markdown
from tests.support.evaluated_builds import REFUND, RETURN, answers, mistakes, mixed, right


def test_pairs_are_counted_one_way_and_the_other(screens: BuildFolder) -> None:
    found = mistakes(screens, mixed(screens, {REFUND: RETURN, RETURN: REFUND}))
    assert {(pair.truth, pair.answered) for pair in found} == {(REFUND, RETURN), (RETURN, REFUND)}
    one, other = found
    assert (one.share, one.back, one.known) == (1.0, other.count, True)
    assert len(one.examples) == 3
    assert all(path.endswith(".jpg") for example in one.examples for path in example.images)


def test_surest_mistakes_are_shown_first(screens: BuildFolder) -> None:
    items = mixed(screens, {REFUND: RETURN})
    wrong = [at for at, item in enumerate(items) if item.predicted != item.label]
    items[wrong[-1]] = items[wrong[-1]].model_copy(update={"confidence": 0.99})
    found = mistakes(screens, items)
    assert found[0].examples[0].id == items[wrong[-1]].id


def test_no_mistakes_make_no_pairs(small: BuildFolder) -> None:
    assert mistakes(small, answers(small.path, right), "val") == []


def test_right_records_of_both_labels_stand_beside_the_confused_ones(screens: BuildFolder) -> None:
    items = mixed(screens, {REFUND: RETURN})
    spared = next(item for item in items if item.label == REFUND)
    items = [spared.model_copy(update={"predicted": REFUND}) if item is spared else item for item in items]
    (pair,) = mistakes(screens, items)
    assert [example.id for example in pair.beside[REFUND]] == [spared.id]
    returned = {item.id for item in items if item.label == RETURN}
    assert len(pair.beside[RETURN]) == 2
    assert {example.id for example in pair.beside[RETURN]} <= returned
    assert all(example.images and example.answer for example in pair.beside[RETURN])


def test_where_nothing_was_answered_rightly_trained_records_stand_beside(small: BuildFolder) -> None:
    found = mistakes(small, list(answers(small.path, lambda *_: REFUND)), "val")
    pair = next(pair for pair in found if pair.truth == RETURN)
    frame = small.main.filter(pl.col("split") == "train").collect()
    trained = set(frame.filter(pl.col("label") == RETURN)["id"])
    assert len(pair.beside[RETURN]) == 2
    assert {example.id for example in pair.beside[RETURN]} <= trained
    assert {example.answer for example in pair.beside[RETURN]} == {""}


def test_no_record_that_was_answered_wrongly_shows_what_a_label_looks_like(screens: BuildFolder) -> None:
    (pair,) = mistakes(screens, mixed(screens, {REFUND: RETURN}))
    assert pair.beside[REFUND] == []


def test_examples_say_what_stands_on_their_pictures_but_not_the_status_bar(screens: BuildFolder) -> None:
    (pair,) = mistakes(screens, mixed(screens, {REFUND: RETURN}))
    text = pair.examples[0].text
    assert "退款" in text
    assert len(text) <= 91
    assert "%" not in text.split(" / ")[0]


def test_page_and_card_show_the_confused_records_in_pictures(screens: BuildFolder, tmp_path: Path) -> None:
    shutil.copytree(screens.path.parent.parent, tmp_path / "project")
    build = BuildFolder.open(tmp_path / "project" / "build" / screens.path.name)
    path = build.runs / "x" / "predictions.jsonl"
    path.parent.mkdir(parents=True)
    write(path, mixed(build, {REFUND: RETURN}))
    results = evaluate(build, [path], Options(split="train", resamples=20))
    written = [write_evaluation(results[0], build, path.parent, "evaluation")]
    enter_scores(results, written, build, None)
    page = (path.parent / "evaluation.html").read_text("utf-8")
    (card,) = (part for part in make_card(build).sections if part.title == "Confusions")
    (shown,) = (block for block in card.blocks if isinstance(block, Comparison))
    assert shown.title.startswith(f"{REFUND} → {RETURN}: ")
    assert [heading for heading, _ in shown.groups] == [REFUND, f"{REFUND}, answered as {RETURN}", RETURN]
    for _, specimens in shown.groups[1:]:
        assert all(specimen.images[0].uri.startswith("data:image/jpeg;base64,") for specimen in specimens)
        assert all(f"<code>{specimen.id}</code>" in page for specimen in specimens)
        assert all(specimen.images[0].uri in page for specimen in specimens)


def test_texts_of_pictures_are_no_html_on_the_page() -> None:
    specimen = Specimen("<b>1", [], "<script>alert(1)</script>", "<i>")
    block = Comparison("<u>a → b", [("<s>", [specimen])])
    card = Card("x", "y", [], "", [Section("Mistakes", [block])])
    for text in (render_html(card), render_markdown(card)):
        assert not any(mark in text for mark in ("<script>alert", "<b>1", "<u>a", "<s>", "<i>"))
        assert "alert(1)" in text
