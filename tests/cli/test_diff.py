"""`datakit diff`: what two builds have in common, and what they have not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datakit.library import build
from tests.support.evaluated_builds import ROOT, make_project

Run = Callable[..., Any]

RECIPE = """\
name: {name}
labels: ../templates/ecom/labels.yaml
steps:
  - read.jsonl: {{path: {source}, image: image, label: label, image_root: {root}}}
  - curate.split: {{val: 0.25, stratify: label}}
  - render.chat: {{prompt: ecom/classify_v1.j2, answer: label_only, max_chars: {chars}}}
emit: [llamafactory]
"""


class Shop:
    """A project whose recipe is built again and again."""

    def __init__(self, folder: Path) -> None:
        self.project = make_project(folder)
        text = (ROOT / "examples" / "ecom" / "train.jsonl").read_text("utf-8")
        self.rows: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()][:60]

    def build(self, name: str, chars: int = 2500) -> Path:
        """The build of the rows as they are by now."""
        source = self.project / f"{name}.jsonl"
        source.write_text("".join(json.dumps(row) + "\n" for row in self.rows), "utf-8")
        recipe = self.project / "recipes" / f"{name}.yaml"
        root = ROOT / "examples" / "ecom"
        recipe.write_text(RECIPE.format(name=name, source=source, root=root, chars=chars), "utf-8")
        return build(recipe, card=False).folder


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def found(datakit: Run, one: Path, other: Path, code: int) -> dict[str, Any]:
    done = datakit("diff", one, other, "--json")
    assert (done.code, done.err) == (code, "")
    value: dict[str, Any] = json.loads(done.out)
    return value


def test_equal_builds_are_the_same(datakit: Run, shop: Shop) -> None:
    one, other = shop.build("one"), shop.build("other")
    value = found(datakit, one, other, 0)
    assert value["same"]
    assert (value["changed"]["count"], value["columns"], value["classes"]) == (0, {}, [])
    assert "the same records and chats" in datakit("diff", one, other).out


def test_settings_alone_leave_the_records_the_same(datakit: Run, shop: Shop) -> None:
    value = found(datakit, shop.build("one"), shop.build("other", chars=2400), 0)
    assert "render.chat.max_chars 2500 → 2400" in value["settings"]


def test_added_removed_and_relabelled_records_are_named(datakit: Run, shop: Shop) -> None:
    one = shop.build("one")
    gone = shop.rows.pop(0)
    moved = shop.rows[0]
    before = moved["label"]
    moved["label"] = next(row["label"] for row in shop.rows if row["label"] != before)
    shop.rows.append({**shop.rows[5], "id": "new-1"})
    other = shop.build("other")
    value = found(datakit, one, other, 1)
    assert value["added"] == {"count": 1, "ids": ["new-1"]}
    assert value["removed"] == {"count": 1, "ids": [gone["id"]]}
    assert {"before": before, "after": moved["label"], "count": 1, "ids": [moved["id"]]} in value["labels"]
    assert value["columns"]["label"]["ids"] == [moved["id"]]
    assert moved["id"] in value["columns"]["messages"]["ids"]
    assert not value["same"]
    shown = datakit("diff", one, other)
    assert (shown.code, moved["id"] in shown.out, "1 added, 1 removed" in shown.out) == (1, True, True)


def test_changed_prompt_shows_in_the_chats_alone(datakit: Run, shop: Shop) -> None:
    one = shop.build("one")
    prompt = shop.project / "templates" / "ecom" / "classify_v1.j2"
    text = prompt.read_text("utf-8")
    prompt.write_text(text.replace("图", "画", 1), "utf-8")
    value = found(datakit, one, shop.build("other"), 1)
    assert value["columns"].keys() == {"messages"}
    assert value["columns"]["messages"]["count"] == 60
    assert "template ecom/classify_v1.j2 changed" in value["settings"]


def test_new_columns_are_named(datakit: Run, shop: Shop) -> None:
    one = shop.build("one")
    for row in shop.rows:
        row["shop"] = "甲"
    recipe = shop.build("other").parent.parent / "recipes" / "other.yaml"
    recipe.write_text(recipe.read_text("utf-8").replace("image_root:", "keep: [shop], image_root:"), "utf-8")
    other = build(recipe, card=False).folder
    assert found(datakit, one, other, 1)["columns_added"] == ["shop"]
    assert found(datakit, other, one, 1)["columns_removed"] == ["shop"]


def test_what_is_no_build_is_refused(datakit: Run, shop: Shop, tmp_path: Path) -> None:
    done = datakit("diff", shop.build("one"), tmp_path / "nowhere")
    assert (done.code, "there is no build" in done.err) == (2, True)
