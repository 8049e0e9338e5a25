"""Small builds whose answers are several labels, a number or a text, and answers to them made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
from PIL import Image

from datakit.artifacts.build_folder import BuildFolder
from datakit.library import build

LABELS = ("cat", "dog", "bird")
RECIPE = """\
name: {name}
{labels}steps:
  - read.jsonl: {{path: ../data.jsonl, image: image}}
  - curate.split: {{val: 0.5, stratify: null}}
  - render.chat: {{prompt: ask.j2, answer: say.j2}}
emit: [llamafactory]
card: {{language: en}}
"""
ROWS: dict[str, list[dict[str, Any]]] = {
    "labels": [{"found": list(LABELS[: at % 4])} for at in range(24)],
    "number": [{"price": 1.5 * at} for at in range(24)],
    "text": [
        {"caption": f"第{at}张图是一只猫。", "others": [f"图{at}里有猫", "猫"] if at % 2 else []}
        for at in range(24)
    ],
}
TARGETS: dict[str, dict[str, str]] = {
    "labels": {"kind": "labels", "name": "found"},
    "number": {"kind": "number", "name": "price"},
    "text": {"kind": "text", "name": "caption", "references": "others"},
}


def make_value_build(folder: Path, kind: str) -> Path:
    """A build of 24 records, half of them for validation, whose answer.json names what is scored."""
    project = folder / kind
    (project / "recipes").mkdir(parents=True)
    (project / "templates").mkdir()
    (project / "data_cards").mkdir()
    field = TARGETS[kind]["name"]
    (project / "templates" / "ask.j2").write_text("<image>看图回答。", "utf-8")
    (project / "templates" / "say.j2").write_text(f"{{{{ {field} }}}}", "utf-8")
    labels = ""
    if kind == "labels":
        labels = "labels: names.yaml\n"
        (project / "recipes" / "names.yaml").write_text(f"labels: [{', '.join(LABELS)}]\n", "utf-8")
    with open(project / "data.jsonl", "w", encoding="utf-8") as file:
        for at, row in enumerate(ROWS[kind]):
            Image.new("RGB", (64, 48), (10 * at, 90, 200)).save(project / f"{at}.png")
            shown = {"id": f"r{at:02d}", "image": f"{at}.png", **row}
            if kind == "labels":
                shown["found"] = shown["found"] or ["cat"]
            file.write(json.dumps(shown, ensure_ascii=False) + "\n")
    recipe = project / "recipes" / f"{kind}.yaml"
    recipe.write_text(RECIPE.format(name=kind, labels=labels), "utf-8")
    made = build(recipe, check=False).folder
    answer = made / "answer.json"
    answer.write_text(json.dumps({**json.loads(answer.read_bytes()), "target": TARGETS[kind]}), "utf-8")
    return made


def write_values(path: Path, values: dict[str, Any], name: str, model: str = "hand") -> Path:
    """predictions.jsonl with a value for each record, or the problem of a value that is an exception."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for id_, value in values.items():
        line: dict[str, Any] = {"id": id_, "model": model, "answer": str(value)}
        line |= {"problem": str(value)} if isinstance(value, Exception) else {"values": {name: value}}
        lines.append(json.dumps(line, ensure_ascii=False))
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def truths_in(build: BuildFolder, column: str, split: str = "val") -> dict[str, Any]:
    """Id -> true value of a split, in the build's order."""
    frame = build.main.filter(pl.col("part") == split).select("id", column).collect()
    return dict(zip(frame["id"], frame[column].to_list(), strict=True))
