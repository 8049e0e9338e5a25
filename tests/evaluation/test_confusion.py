"""Mistakes between classes, with records to look at, and entries that the label file takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from card_builds import ecom
from evaluated_builds import answers, right

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.predictions import Prediction
from datakit.core.labels import load_labels
from datakit.evaluation.confusion import pairs, proposals, snippet
from datakit.evaluation.outcomes import join

CART, REFUND, RETURN = "购物车页面", "退款页面", "退货页面"


@pytest.fixture(scope="module")
def screens(tmp_path_factory: pytest.TempPathFactory) -> BuildFolder:
    """A build whose records have the texts of their pictures."""
    folder = ecom(tmp_path_factory.mktemp("screens")).write()
    return BuildFolder.open(folder)


def mixed(build: BuildFolder, changes: dict[str, str], split: str = "train") -> list[Prediction]:
    """Every record of a class in `changes` gets that answer."""
    return list(answers(build.path, lambda _, label, __: changes.get(label, label), split))


def test_pairs_are_counted_one_way_and_the_other(screens: BuildFolder) -> None:
    found = pairs(join(screens, mixed(screens, {REFUND: RETURN, RETURN: REFUND}), "train"), screens)
    assert {(pair.truth, pair.answered) for pair in found} == {(REFUND, RETURN), (RETURN, REFUND)}
    one, other = found
    assert (one.share, one.back, one.known) == (1.0, other.count, True)
    assert len(one.examples) == 3
    assert all(path.endswith(".jpg") for example in one.examples for path in example.images)


def test_surest_mistakes_are_shown_first(screens: BuildFolder) -> None:
    items = mixed(screens, {REFUND: RETURN})
    wrong = [at for at, item in enumerate(items) if item.predicted != item.label]
    items[wrong[-1]] = items[wrong[-1]].model_copy(update={"confidence": 0.99})
    found = pairs(join(screens, items, "train"), screens)
    assert found[0].examples[0].id == items[wrong[-1]].id


def test_no_mistakes_make_no_pairs_and_no_proposals(small: BuildFolder) -> None:
    found = pairs(join(small, answers(small.path, right), "val"), small)
    assert found == []
    assert snippet(proposals(found, small)) == ""


def test_proposals_replace_entries_of_the_label_file(screens: BuildFolder, tmp_path: Path) -> None:
    found = pairs(join(screens, mixed(screens, {CART: RETURN}), "train"), screens)
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
    found = pairs(join(screens, mixed(screens, {CART: RETURN}), "train"), screens)
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
    found = pairs(join(screens, items, "train"), screens)
    assert [pair.count for pair in found] == [1]
    assert proposals(found, screens) == []


def test_builds_without_texts_propose_the_neighbours_alone(small: BuildFolder) -> None:
    changes = {CART: RETURN}
    items = list(answers(small.path, lambda _, label, __: changes.get(label, label), "train"))
    entries = proposals(pairs(join(small, items, "train"), small), small)
    assert small.labels is not None
    cart = small.labels.find(CART)
    assert cart is not None
    assert next(entry for entry in entries if entry.name == CART).description == cart.description
