"""`datakit diff`: what two builds have in common, and what they have not."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from datakit.cards.diff_limits import MEASURES
from datakit.library import build
from tests.support.evaluated_builds import ROOT, every_fifth_wrong, make_project, right, write_answers

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
        self.root = ROOT / "examples" / "ecom"
        text = (ROOT / "examples" / "ecom" / "train.jsonl").read_text("utf-8")
        self.rows: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()][:60]

    def build(self, name: str, chars: int = 2500) -> Path:
        """The build of the rows as they are by now."""
        source = self.project / f"{name}.jsonl"
        source.write_text("".join(json.dumps(row) + "\n" for row in self.rows), "utf-8")
        recipe = self.project / "recipes" / f"{name}.yaml"
        recipe.write_text(RECIPE.format(name=name, source=source, root=self.root, chars=chars), "utf-8")
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


def test_a_picture_of_another_content_is_a_change_and_one_of_another_name_is_none(
    datakit: Run, shop: Shop
) -> None:
    pictures = shop.project / "pictures"
    pictures.mkdir()
    for row in shop.rows:
        row["image"] = shutil.copy(shop.root / row["image"], pictures)
    shop.root = pictures
    one = shop.build("one")
    edited, renamed = (Path(row["image"]) for row in shop.rows[:2])
    ImageOps.mirror(Image.open(edited)).save(edited)
    shop.rows[1]["image"] = str(renamed.rename(pictures / "another name.jpg"))
    value = found(datakit, one, shop.build("other"), 1)
    assert value["columns"] == {"images": {"count": 1, "ids": [shop.rows[0]["id"]]}}
    limited = datakit("diff", one, shop.project / "build" / "other", "--fail-on", "changed>0")
    assert limited.code == 1


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


def test_answers_and_prompts_that_changed_most_are_told_word_by_word(datakit: Run, shop: Shop) -> None:
    one = shop.build("one")
    prompt = shop.project / "templates" / "ecom" / "classify_v1.j2"
    prompt.write_text(prompt.read_text("utf-8").replace("图", "画", 1), "utf-8")
    before = shop.rows[3]["label"]
    shop.rows[3]["label"] = next(row["label"] for row in shop.rows if row["label"] != before)
    value = found(datakit, one, shop.build("other"), 1)
    texts = {text["what"]: text for text in value["texts"]}
    assert texts["answer"]["id"] == shop.rows[3]["id"]
    assert (texts["answer"]["before"], texts["answer"]["after"]) == (before, shop.rows[3]["label"])
    assert texts["prompt"]["others"] == 59
    assert [piece for piece in texts["prompt"]["pieces"] if piece[0] != "="] == [["-", "图"], ["+", "画"]]
    assert (value["prompts"]["count"], value["answers"]["count"]) == (60, 1)
    assert [shift["what"] for shift in value["lengths"]] in (["answer"], [])
    shown = datakit("diff", one, shop.project / "build" / "other").out
    assert "[-图-]{+画+}" in shown
    assert "\x1b" not in shown
    assert shown.index("Labels that moved") < shown.index("Records:") < shown.index("Prompts that changed")


def test_what_is_shown_fits_a_screen_and_says_that_there_is_more(
    datakit: Run, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = shop.build("one")
    labels = sorted({row["label"] for row in shop.rows})
    for row in shop.rows:
        row["label"] = labels[(labels.index(row["label"]) + 1) % len(labels)]
    other = shop.build("other")
    monkeypatch.setenv("LINES", "24")
    short, whole = datakit("diff", one, other).out, datakit("diff", one, other, "--all").out
    assert len(short.splitlines()) < 24 < len(whole.splitlines())
    assert ("--all" in short, "--all" in whole) == (True, False)
    assert f"Labels that moved, 2 of {len(labels)}:" in datakit("diff", one, other, "--limit", "2").out
    value = found(datakit, one, other, 1)
    assert all(f"{move['before']} → {move['after']}: " in whole for move in value["labels"])


@pytest.mark.parametrize(
    ("limits", "code", "said"),
    [
        (["labels>1%"], 1, "FAILED labels>1%: 1 (1.69%)"),
        (["labels>1"], 0, "No limit is passed: labels>1"),
        (["labels > 5%, removed>0"], 1, "FAILED removed>0: 1 (1.67%)"),
        (["removed>2%", "added>0"], 0, "No limit is passed: removed>2%, added>0"),
        (["answers>0,balance>50%"], 1, "FAILED answers>0: 1 ("),
        (["balance>0%"], 1, "points"),
        (["settings>0"], 1, "FAILED settings>0: "),
    ],
)
def test_limits_decide_the_exit_code(
    datakit: Run, shop: Shop, limits: list[str], code: int, said: str
) -> None:
    one = shop.build("one")
    shop.rows.pop(0)
    before = shop.rows[0]["label"]
    shop.rows[0]["label"] = next(row["label"] for row in shop.rows if row["label"] != before)
    words = [word for limit in limits for word in ("--fail-on", limit)]
    done = datakit("diff", one, shop.build("other"), *words)
    assert (done.code, said in done.out) == (code, True), done.out


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("lables>1%", "Did you mean `labels`?"),
        ("nothing_alike>1", "Known: labels, splits"),
        ("labels", "is no limit"),
        ("labels>-1", "is no limit"),
        ("labels<1", "is no limit"),
        ("labels>1%,", "is no limit"),
        ("", "is no limit"),
        ("settings>1%", "settings are counted"),
        ("balance>2", "Write it in percent, such as balance>2%."),
        ("score_drop>0", "the ledger has no scores of both builds"),
    ],
)
def test_limits_that_say_nothing_are_refused(datakit: Run, shop: Shop, limit: str, said: str) -> None:
    one = shop.build("one")
    done = datakit("diff", one, one, "--fail-on", limit)
    assert (done.code, said in done.err) == (2, True), done.err


def test_limit_of_records_in_both_is_no_passed_check_where_the_builds_share_none(
    datakit: Run, shop: Shop
) -> None:
    one = shop.build("one")
    shop.rows = [{**row, "id": f"new-{row['id']}"} for row in shop.rows]
    other = shop.build("other")
    for name in ("labels", "splits", "changed", "prompts", "answers"):
        done = datakit("diff", one, other, "--fail-on", f"{name}>0")
        assert (done.code, "the builds one and other have no record in common" in done.err) == (2, True)
    assert datakit("diff", one, other, "--fail-on", "removed>1%").code == 1


def test_help_names_every_limit(datakit: Run) -> None:
    told = datakit("diff", "--help").out
    assert all(f"\n    {name} " in told for name in MEASURES)


def test_page_shows_both_texts_and_takes_nothing_of_the_data_for_markup(
    datakit: Run, shop: Shop, tmp_path: Path
) -> None:
    one = shop.build("one")
    prompt = shop.project / "templates" / "ecom" / "classify_v1.j2"
    prompt.write_text(prompt.read_text("utf-8") + "<script>alert(1)</script>", "utf-8")
    page = tmp_path / "changes.html"
    page.write_text("mine", "utf-8")
    done = datakit("diff", one, shop.build("other"), "--html", page)
    text = page.read_text("utf-8")
    assert done.code == 1
    assert "Kept: " in done.err
    assert text.count("<script") == 1  # the page's own
    assert '<html lang="zh-CN">' in text  # as the labels
    assert re.search(r"<ins>\s*&lt;script&gt;alert\(1\)&lt;/script&gt;</ins>", text)
    assert datakit("diff", one, one, "--html", tmp_path).code == 2


def test_scores_of_both_are_compared_record_by_record(
    datakit: Run, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = shop.build("one"), shop.build("other", chars=2400)
    monkeypatch.chdir(shop.project)
    for folder, change in ((one, right), (other, every_fifth_wrong)):
        answers = write_answers(folder, shop.project / f"{folder.name}.predictions.jsonl", change)
        assert datakit("evaluate", folder, "--predictions", answers).code == 0
    (score,) = found(datakit, one, other, 0)["scores"]
    assert (score["part"], score["metric"], score["before"]["value"]) == ("val", "accuracy", 1.0)
    assert score["difference"]["low"] <= score["difference"]["value"] < 0
    assert score["compared"] > 10
    shown = datakit("diff", one, other)
    assert "Scores, with 95% intervals" in shown.out
    assert "points" in shown.out
    fails = datakit("diff", one, other, "--fail-on", "score_drop>90%")
    assert (fails.code, "No limit is passed" in fails.out) == (0, True)


def test_what_is_no_build_is_refused(datakit: Run, shop: Shop, tmp_path: Path) -> None:
    done = datakit("diff", shop.build("one"), tmp_path / "nowhere")
    assert (done.code, "there is no build" in done.err) == (2, True)
