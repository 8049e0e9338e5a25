"""The offline writer on the example screens: varied, true to what was read, and never posing as a model."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datakit.core.labels import load_labels
from datakit.llm import offline

ROOT = Path(__file__).resolve().parents[2]
SCREENS = ROOT / "examples" / "ecom"
LABELS = load_labels(ROOT / "templates" / "ecom" / "labels.yaml")
_QUOTE = re.compile(r"“([^”]*)”")


@cache
def screens() -> list[dict[str, Any]]:
    """Every labelled example screen with the texts that stand on it."""
    truth = {row["id"]: row for row in rows("ground_truth.jsonl")}
    out = []
    for row in rows("train.jsonl"):
        path = SCREENS / row["image"]
        with Image.open(path) as picture:
            width, height = picture.size
        lines = [{**line, "score": 0.99, "image": 0} for line in truth[row["id"]]["lines"]]
        out.append(
            {
                "id": row["id"],
                "label": row["label"],
                "images": [str(path)],
                "width": width,
                "height": height,
                "ocr": lines,
                "ocr_text": "\n".join(line["text"] for line in lines),
            }
        )
    return out


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SCREENS / name).read_text("utf-8").splitlines()]


def texts(kind: str, seed: int = 0) -> list[tuple[dict[str, Any], str]]:
    found = []
    for row in screens():
        rng = random.Random(f"{seed}{row['id']}")
        label = LABELS.find(row["label"])
        assert label is not None
        text = offline.reason(row, label, rng) if kind == "reason" else offline.describe(row, rng)
        found.append((row, text))
    return found


@pytest.mark.parametrize("kind", ["describe", "reason"])
@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_quoted_stands_on_the_picture_or_in_the_label_file(kind: str, seed: int) -> None:
    for row, text in texts(kind, seed):
        label = LABELS.find(row["label"])
        assert label is not None
        told = label.description.replace("“", "").replace("”", "") if kind == "reason" else ""
        plain = row["ocr_text"].replace("“", "").replace("”", "")
        for quote in _QUOTE.findall(text):
            assert quote.removesuffix("…") in plain or quote in told, text


@pytest.mark.parametrize("seed", range(3))
def test_label_is_said_to_match_only_where_its_words_were_read(seed: int) -> None:
    for row, text in texts("reason", seed):
        for clause in re.findall(r"(?:对应|与|合乎|与说明里的)“([^”]*)”(?:这一特征|相符|的说明|相合)", text):
            pairs = [clause[at : at + 2] for at in range(len(clause) - 1)]
            assert any(pair in row["ocr_text"] for pair in pairs), text


@pytest.mark.parametrize("kind", ["describe", "reason"])
def test_texts_vary_and_claim_no_insight(kind: str) -> None:
    found = [text for _, text in texts(kind)]
    assert len(set(found)) == len(found) == 140
    openings = Counter(text[:4] for text in found)
    assert max(openings.values()) <= 0.3 * len(found)
    for text in found:
        assert not re.search(r"模型|AI|人工智能|我认为|我们|清楚|美观|呼应", _QUOTE.sub("", text)), text
        assert text.endswith("。")
        assert "。。" not in text
        assert "，，" not in text
        assert "，。" not in text


def test_description_never_names_a_class_of_its_own_accord() -> None:
    for _, text in texts("describe"):
        spoken = _QUOTE.sub("", text)
        assert not [name for name in LABELS.names if name in spoken]


def test_another_draw_gives_another_text_for_most_records() -> None:
    first, second = texts("reason", 1), texts("reason", 2)
    same = sum(one == two for (_, one), (_, two) in zip(first, second, strict=True))
    assert same <= 5
