"""Inputs of single parts: label files, templates, sources, `train:` sections, answers of models."""

from __future__ import annotations

from typing import Any

from datakit.core.contract import FORMS
from fuzzing import draw_sources, draw_templates
from fuzzing.dice import Dice, Tree
from fuzzing.draw_labels import label_file
from fuzzing.draw_recipes import ANSWERS
from fuzzing.draw_trainer import train_section

_KINDS = ("text", "line", "note", "list", "number", "boolean")
_PIECES = (
    "理由：", "类别：", "描述：", "Label: ", "Reason: ", "\n", "\n\n", "**", "`", "a", "b", "购物车", "不是",
    "或者", "、", "，", ".", '{"label": "', '"}', "12.5", "１２", "-3", "1e400", "[[1, 2, 3, 4]]", "<think>",
    "</think>", "```json\n", "```", "无", "none", "null", "图中有按钮", " ", "［", "(", "）", "\u200b", "|",
    "类别", "# 类别\n",
)  # fmt: skip


def _small(prompt: str, dice: Dice) -> Tree:
    """A project of one reader, one prompt and one emitter, without pictures."""
    most = dice.one_of(None, None, 9000, 2500, 40)
    recipe = {
        "labels": "../labels.yaml",
        "steps": [
            {"read.jsonl": {"path": "../rows.jsonl", "images": "none"}},
            {"render.chat": {"prompt": "p.j2", "answer": "label_only", "max_chars": most}},
        ],
        "emit": ["llamafactory"],
        "run": {"max_reject_rate": 1},
    }
    return {"recipe": recipe, "templates": {"p.j2": prompt}, "labels": label_file(dice, usable=True)}


def labels_input(dice: Dice) -> Tree:
    """A label file; one in six is built with."""
    tree: Tree = {"labels": label_file(dice)}
    if dice.maybe(0.17):
        tree["build"] = _small("Which? {{ label_json }}", dice)
        del tree["build"]["labels"]
    return tree


def template_input(dice: Dice) -> Tree:
    """A prompt of the free grammar over rows of drawn columns."""
    rows = [row for row in draw_sources.rows(dice, [], list(draw_sources.LABELS), plain=True) if row]
    given_away = () if dice.maybe(0.1) else ("label",)
    names = [name for name in (rows[0] if rows else {}) if name not in ("messages", "id", *given_away)]
    names += ["labels", "label_json"]
    free = dice.maybe(0.5)
    text = draw_templates.free(dice, names) if free else draw_templates.prompt(dice, names, places=False)
    tree = _small(text, dice)
    if dice.maybe(0.2):
        tree["templates"]["a.j2"] = dice.one_of(
            "{{ label }}", "Label: {{ label }}", "{{ label }}{{ text }}", "{% if 1 %}", "x"
        )
        tree["recipe"]["steps"][1]["render.chat"]["answer"] = "a.j2"
    tree["sources"] = [{"name": "rows.jsonl", "format": "jsonl", "rows": rows}]
    return tree


def source_input(dice: Dice) -> Tree:
    """A source file with drawn columns, read, rendered and emitted."""
    drawn = draw_sources.pictures(dice, dice.one_of(0, 1, 3))
    source = draw_sources.table(
        dice, "rows", [picture["name"] for picture in drawn], list(draw_sources.LABELS)
    )
    if dice.maybe(0.2):
        source["indent"] = dice.one_of(0, 1, 4)
    kind = "csv" if source["format"] == "tsv" else source["format"]
    first = source["rows"][0] if source["rows"] else {}
    seen = drawn and ("image" in first or "images" in first)
    tree = _small("{% for _ in images %}<image>{% endfor %}What?", dice)
    tree["recipe"]["steps"][0] = {
        f"read.{kind}": {"path": f"../{source['name']}", **({} if seen else {"images": "none"})}
    }
    tree["recipe"]["steps"][1]["render.chat"]["keep_messages"] = "messages" in first
    tree["recipe"]["emit"] = [
        dice.one_of("llamafactory", "llamafactory", "messages", "ms_swift", "parquet"),
        "llamafactory",
    ][:1]
    if seen and dice.maybe(0.5):
        tree["recipe"]["steps"].insert(1, {"guard.image": {"min_side_px": 1}})
    if dice.maybe(0.5):
        del tree["recipe"]["labels"], tree["labels"]
    return {**tree, "pictures": drawn, "sources": [source]}


def train_input(dice: Dice) -> Tree:
    """A small build with a drawn `train:` section."""
    tree = _small("{{ label_json }} {{ text }}\n{{ answer_format }}", dice)
    tree["recipe"]["train"] = train_section(dice)
    rows = [
        {"id": f"r{at}", "label": dice.choice(draw_sources.LABELS), "text": dice.text()}
        for at in range(dice.randint(1, 9))
    ]
    if dice.maybe(0.6):
        tree["recipe"]["steps"].insert(1, {"curate.split": {"val": 0.4, "stratify": None}})
    tree["sources"] = [{"name": "rows.jsonl", "format": "jsonl", "rows": rows}]
    return {
        **tree,
        "limit": None,
        "again": {"run.batch_rows": 2},
        "change": "run.max_reject_rate=0",
        "answers": [],
    }


def _rows_of(labels: Tree) -> list[Any]:
    """The labels of a file, as far as its document is whole."""
    document = labels["document"]
    rows = document.get("labels") if isinstance(document, dict) else None
    rows = rows if isinstance(rows, list) else []
    return [row for row in rows if isinstance(row, str | dict)]


def answers_input(dice: Dice) -> Tree:
    """Texts of a model for a form and for a schema, and a record that the form writes."""

    def text() -> str:
        if dice.maybe(0.2):
            return dice.choice(ANSWERS)
        return "".join(dice.choice(_PIECES) for _ in range(dice.randint(0, 12)))

    names = dice.some(("label", "description", "score", "tags", "ok"), 3) or ["reason"]
    values = [[name, dice.one_of(*_KINDS, ["a", "b"])] for name in names]
    labels = label_file(dice, usable=dice.maybe(0.5))
    known = [row if isinstance(row, str) else row.get("name") for row in _rows_of(labels)] or ["a"]
    texts = ("reason", "description", "answer", "evidence", "exclusion", "conclusion")
    record: Tree = {
        **{name: dice.text() for name in texts},
        "label": dice.choice(known),
        "labels": dice.one_of(dice.some(known), "a", None, 3),
        "number": dice.one_of(1, 2.5, "3", "x", None, 1e300),
    }
    return {
        "form": dice.choice(sorted(FORMS)),
        "schema": {"values": values},
        "labels": labels if dice.maybe(0.8) else None,
        "texts": [text() for _ in range(20)],
        "truth": dice.one_of("a", ["a"], 2.5, "x", None, [], ""),
        "question": dice.text(),
        "record": record,
    }
