"""Builds with everything that a review shows: suspects, clusters, conflicts, boxes, hostile words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from datakit.artifacts.build_folder import BuildFolder
from datakit.library import build
from tests.support.toy_builds import Toy

HOSTILE = "</script><img src=x onerror=alert(1)>\u2028<!--&amp;'\""
LABELS = """\
labels:
  - {name: 购物车页面, description: 待结算的商品}
  - {name: 退货页面, description: 退货的申请, aliases: [退货申请]}
  - {name: 退款页面, description: 退款的申请}
"""
RECIPE = """\
name: %s
labels: labels.yaml
steps:
  - read.jsonl: {path: d.jsonl, image: image, label: label}
%s  - render.chat: {prompt: p.j2, answer: label_only}
emit:
  - parquet: {}
run: {store: .store, max_reject_rate: 1, workers: 1}
"""


def review_rows(project: Toy) -> list[dict[str, Any]]:
    """Twelve records: a cluster of four, one has no picture, one three, one id leads elsewhere."""
    names = ["购物车页面", "退货页面", "退款页面"]
    rows: list[dict[str, Any]] = [
        {
            "id": f"r{number:02d}",
            "image": project.picture(f"{number}.png", number + 1),
            "label": names[number % 3],
            "text": f"第{number}条",
            "noise_rank": number + 1,
            "noise_label": names[(number + 1) % 3] if number < 5 else names[number % 3],
            "noise_label_probability": 0.875,
            "noise_cluster": "购物车页面→退货页面 1" if number in (0, 3, 6, 9) else None,
            "suspect_why": HOSTILE,
        }
        for number in range(12)
    ]
    rows[7] |= {"image": None, "text": HOSTILE}
    rows[10]["image"] = [rows[10]["image"], project.picture("10b.png", 20), project.picture("10c.png", 21)]
    rows[8]["id"] = f"../../{HOSTILE}"
    return rows


def review_project(folder: Path, *, steps: str = "", name: str = "screens") -> Path:
    """The recipe of a project with these records."""
    project = Toy(folder)
    (folder / "templates").mkdir()
    prompt = "{% for _ in images %}<image>{% endfor %}这是什么？{{ text }}\n{{ answer_format }}"
    (folder / "templates" / "p.j2").write_text(prompt, "utf-8")
    (folder / "labels.yaml").write_text(LABELS, "utf-8")
    lines = [json.dumps(row, ensure_ascii=False) for row in review_rows(project)]
    (folder / "d.jsonl").write_text("\n".join(lines), "utf-8")
    recipe = folder / "r.yaml"
    recipe.write_text(RECIPE % (name, steps), "utf-8")
    return recipe


def review_build(folder: Path) -> BuildFolder:
    """The build of these records."""
    return BuildFolder.open(build(review_project(folder)).folder)


def write_answers(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A file of answers as `datakit predict` writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path
