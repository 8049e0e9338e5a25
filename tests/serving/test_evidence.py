"""Evidence is checked twice: what is trained is what OCR read, and what is served is read again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

import datakit
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.predictions import Prediction
from datakit.core.errors import RecipeErrors
from datakit.library import build
from datakit.serving.classifier import Classifier
from datakit.serving.items import Item
from datakit.serving.records import split_items
from tests.support.loopback import Loopback
from tests.support.served import saying

SIZE = (1200, 1600)
LINES = {"CHECKOUT NOW": (100, 200), "TOTAL 128": (300, 900)}
RECIPE = """\
name: small
steps:
  - read.jsonl: {path: ../data.jsonl, image: image, label: label}
  - annotate.ocr: {}
  - render.chat:
      prompt: ask.j2
      answer: {fields: [{name: evidence, kind: evidence}, reason, label]}
emit: [llamafactory: {images: resize, image_max_pixels: 200704}]
run: {max_reject_rate: 1.0}
"""
TRAIN = "train: {model: Qwen/Qwen2.5-VL-7B-Instruct}\n"
REASONS = {"a": "底部写着“CHECKOUT NOW”。", "b": "写着“PAID”。", "c": "有“TOTAL 128”和“CHECKOUT NOW”。"}


def made(folder: Path, train: str = TRAIN) -> Path:
    for name in ("recipes", "templates", "data_cards"):
        (folder / name).mkdir()
    (folder / "templates" / "ask.j2").write_text("<image>这是什么？{{ answer_format }}", "utf-8")
    picture = Image.new("RGB", SIZE, "white")
    for text, place in LINES.items():
        ImageDraw.Draw(picture).text(place, text, "black", ImageFont.load_default(size=80))
    picture.save(folder / "screen.png")
    rows = [
        {"id": id_, "image": "screen.png", "label": "购物车", "reason": text} for id_, text in REASONS.items()
    ]
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "recipes" / "small.yaml").write_text(RECIPE + train, "utf-8")
    return build(folder / "recipes" / "small.yaml", card=False, check=False).folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("project"))


@pytest.fixture
def answers(folder: Path) -> dict[str, str]:
    return {row["id"]: row["messages"][-1]["content"] for row in BuildFolder(folder).rows("train")}


@pytest.fixture
def classify(folder: Path, server: Loopback) -> Iterator[Classifier]:
    with datakit.Classifier.from_build(folder, server.url) as classifier:
        yield classifier


def test_only_what_ocr_reads_is_trained_as_evidence(folder: Path, answers: dict[str, str]) -> None:
    assert answers.keys() == {"a", "c"}
    [reject] = BuildFolder(folder).rejects.collect().iter_rows(named=True)
    assert (reject["id"], reject["reason"]) == ("b", "answer_incomplete")
    assert "no line of OCR stands in quotes in `reason`" in reject["detail"]
    assert "`{name: evidence, kind: evidence, optional: true}`" in reject["detail"]
    first, reason, label = answers["c"].splitlines()
    texts = [entry["label"] for entry in json.loads(first.removeprefix("证据："))]
    assert texts == ["TOTAL 128", "CHECKOUT NOW"]
    assert (reason, label) == ("理由：有“TOTAL 128”和“CHECKOUT NOW”。", "类别：购物车")


def evidence(prediction: Prediction) -> list[tuple[str, bool | None]]:
    assert prediction.predicted == "购物车"
    return [(entry["label"], entry["holds"]) for entry in prediction.evidence or ()]


def test_served_evidence_is_read_again(
    classify: Classifier, server: Loopback, folder: Path, answers: dict[str, str]
) -> None:
    picture = folder.parents[1] / "screen.png"
    server.script = lambda call: saying(answers["c"])
    prediction = classify(picture)
    assert evidence(prediction) == [("TOTAL 128", True), ("CHECKOUT NOW", True)]
    for entry, place in zip(prediction.evidence or (), [(300, 900), (100, 200)], strict=True):
        assert entry["box"][0] == pytest.approx(place[0], abs=30)  # of the original, not of its small copy
        assert place[1] - 10 < entry["box"][1] < place[1] + 40
    server.script = lambda call: saying(answers["c"].replace("TOTAL 128", "TOTAL 999"))
    assert evidence(classify(picture)) == [("TOTAL 999", False), ("CHECKOUT NOW", True)]
    moved = answers["a"].replace(
        '[{"bbox_2d": [', '[{"bbox_2d": [1, 1, 9, 9], "label": "CHECKOUT NOW"}, {"bbox_2d": ['
    )
    server.script = lambda call: saying(moved)
    assert evidence(classify(picture)) == [("CHECKOUT NOW", False), ("CHECKOUT NOW", True)]


def test_evidence_of_a_split_is_checked_by_what_the_build_read(
    classify: Classifier, server: Loopback, folder: Path, answers: dict[str, str]
) -> None:
    server.script = lambda call: saying(answers["a"])
    items = split_items(BuildFolder(folder), "train")
    assert [item.sizes for item in items] == [(SIZE,)] * 2
    predictions = [classify.submit(item).result() for item in items]
    assert [evidence(prediction) for prediction in predictions] == [[("CHECKOUT NOW", True)]] * 2
    assert predictions[0].evidence == classify(folder.parents[1] / "screen.png").evidence


def test_a_picture_that_nobody_read_says_nothing_of_its_evidence(
    classify: Classifier, server: Loopback, folder: Path, answers: dict[str, str]
) -> None:
    server.script = lambda call: saying(answers["a"])
    item = split_items(BuildFolder(folder), "train")[0]
    unread = Item(item.images, item.id, messages=item.messages)
    assert evidence(classify.submit(unread).result()) == [("CHECKOUT NOW", None)]


def test_evidence_needs_a_model_that_boxes_are_written_for(tmp_path: Path) -> None:
    with pytest.raises(RecipeErrors, match="names no Qwen-VL"):
        made(tmp_path, train="")
