"""Small projects with records with and without a label, to be proposed and decided about."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datakit.artifacts.overrides import Override
from datakit.reviewing.records import PageRecords

KINDS = {
    "物流页面": ("包裹正在派送中请保持电话畅通", "快件已到达转运中心", "查看物流详情复制单号"),
    "退款页面": ("退款成功金额已退回原账户", "申请退款原因不想要了", "退款进度商家审核中"),
    "评价页面": ("宝贝评价晒图追评有用", "好评率全部评价差评", "给商家打分描述相符"),
}
PROMPT = "{% for _ in images %}<image>{% endfor %}这是什么？{{ text }}\n{{ label_names }}"
LABELS = "labels: [物流页面, 退款页面, 评价页面]\n"
RECIPE = """\
name: loop
labels: labels.yaml
steps:
  - read.jsonl: {path: known.jsonl, image: null, label: label, text: text}
  - read.jsonl: {path: unknown.jsonl, image: null, label: null, text: text}
  - guard.label: {allow_missing: true}
  - curate.split: {val: 0.2}
  - curate.overrides: {path: overrides.jsonl}
STEPS
  - render.chat: {prompt: p.j2, answer: label_only}
emit:
  - llamafactory: {}
run: {max_reject_rate: 0.0, store: .store, workers: 1}
"""
LABELLED = "  - guard.where: {keep: label IS NOT NULL}"
"""The steps of a recipe that trains on given labels alone."""
Row = dict[str, Any]


def known_rows(count: int = 12, labels: Sequence[str] = tuple(KINDS)) -> list[Row]:
    """Records with a label, of the first text of each kind."""
    return [
        {"id": f"k{at:02d}", "label": (label := labels[at % len(labels)]), "text": _text(label, 0, at)}
        for at in range(count)
    ]


def unknown_rows(count: int = 18) -> list[Row]:
    """Records without one, of all texts of each kind."""
    kinds = list(KINDS)
    return [{"id": f"u{at:02d}", "text": _text(kinds[at % 3], at // 3 % 3, 100 + at)} for at in range(count)]


def _text(label: str, which: int, number: int) -> str:
    return f"{KINDS[label][which]}\n编号{chr(0x4E00 + 37 * number % 5000)}{chr(0x5E00 + 91 * number % 5000)}"


def project(
    folder: Path,
    known: Sequence[Row] | None = None,
    unknown: Sequence[Row] | None = None,
    *,
    steps: str = LABELLED,
    recipe: str = RECIPE,
) -> Path:
    """The recipe of a project of such records; no decision is made yet."""
    (folder / "templates").mkdir(parents=True)
    (folder / "templates" / "p.j2").write_text(PROMPT, "utf-8")
    (folder / "labels.yaml").write_text(LABELS, "utf-8")
    write_rows(folder / "known.jsonl", known_rows() if known is None else known)
    write_rows(folder / "unknown.jsonl", unknown_rows() if unknown is None else unknown)
    (folder / "overrides.jsonl").touch()
    path = folder / "recipe.yaml"
    path.write_text(recipe.replace("STEPS\n", f"{steps}\n" if steps else ""), "utf-8")
    return path


def write_rows(path: Path, rows: Sequence[Row]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def decide(page: PageRecords, labels: dict[str, str], file: Path) -> None:
    """Adds a decision for each of the page's records that are named, as the page writes it."""
    with open(file, "ab") as lines:
        for id_, label in labels.items():
            judged = page.judged_by_id[id_]
            lines.write(Override(id=id_, judged=judged, action="relabel", new=label, who="王芳").to_line())


def truth_of(id_: str) -> str:
    """The label that a record of `unknown_rows` should have."""
    return list(KINDS)[int(id_[1:]) % 3]
