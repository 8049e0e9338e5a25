"""Entries that the label file takes, so that mixed-up classes are told apart."""

from __future__ import annotations

from pathlib import Path

import yaml

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.labels import load_labels
from datakit.evaluation.proposals import proposals, snippet
from tests.support.evaluated_builds import CART, RETURN, answers, mistakes, mixed


def test_no_mistakes_make_no_proposals(small: BuildFolder) -> None:
    assert snippet(proposals([], small)) == ""


def test_proposals_replace_entries_of_the_label_file(screens: BuildFolder, tmp_path: Path) -> None:
    found = mistakes(screens, mixed(screens, {CART: RETURN}))
    entries = proposals(found, screens)
    assert {entry.name for entry in entries} == {CART, RETURN}
    text = snippet(entries)
    proposed = {row["name"]: row for row in yaml.safe_load(text)}
    assert screens.labels is not None
    rows = [
        proposed.get(label.name, {"name": label.name, "aliases": list(label.aliases)})
        for label in screens.labels.labels
    ]
    path = tmp_path / "labels.yaml"
    path.write_text(yaml.safe_dump({"labels": rows}, allow_unicode=True), "utf-8")
    loaded = load_labels(path)
    before = screens.labels.find(CART)
    after = loaded.find(CART)
    assert before is not None
    assert after is not None
    assert RETURN not in before.confusable_with
    assert after.confusable_with == (*before.confusable_with, RETURN)
    assert after.aliases == before.aliases
    assert after.description.startswith(before.description)
    assert f"与「{RETURN}」不同，本类画面常见“" in after.description


def test_proposed_words_stand_in_the_pictures_of_one_class_only(screens: BuildFolder) -> None:
    found = mistakes(screens, mixed(screens, {CART: RETURN}))
    entry = next(entry for entry in proposals(found, screens) if entry.name == CART)
    words = entry.description.split("常见“")[1].split("”字样")[0].split("”、“")
    frame = screens.main.collect()
    train = frame.filter(frame["part"] == "train")
    texts = {name: train.filter(train["label"] == name)["ocr_text"].to_list() for name in (CART, RETURN)}
    for word in words:
        assert sum(word in text for text in texts[CART]) >= len(texts[CART]) / 2
        assert sum(word in text for text in texts[RETURN]) <= len(texts[RETURN]) / 10


def test_one_mistake_alone_proposes_nothing(screens: BuildFolder) -> None:
    items = mixed(screens, {})
    at = next(at for at, item in enumerate(items) if item.label == CART)
    items[at] = items[at].model_copy(update={"predicted": RETURN})
    found = mistakes(screens, items)
    assert [pair.count for pair in found] == [1]
    assert proposals(found, screens) == []


def test_builds_without_texts_propose_the_neighbours_alone(small: BuildFolder) -> None:
    changes = {CART: RETURN}
    items = list(answers(small.path, lambda _, label, __: changes.get(label, label), "train"))
    entries = proposals(mistakes(small, items), small)
    assert small.labels is not None
    cart = small.labels.find(CART)
    assert cart is not None
    assert next(entry for entry in entries if entry.name == CART).description == cart.description
