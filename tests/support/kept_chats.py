"""Projects with chats that came with their records, on a large picture and a small one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from datakit.artifacts.build_folder import BuildFolder
from datakit.library import build

SIZE, SIDES = (1080, 2340), [108, 234, 540, 468]
RESIZE = "llamafactory: {images: resize, image_max_pixels: 589824}"
RECIPE = """\
name: kept
card: {{language: en}}
steps:
  - read.jsonl: {{path: ../data.jsonl, image: image}}
  - render.chat: {{prompt: ask.j2, answer: label_only, max_chars: null, keep_messages: true{kept}}}
emit: [{emit}]
run: {{max_reject_rate: 1.0}}
{train}
"""


def chat(sides: Any, answer: str = "", asked: str = "<image>在哪里？") -> list[dict[str, str]]:
    answer = answer or json.dumps([{"bbox_2d": sides, "label": "购物车"}], ensure_ascii=False)
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]


def built_of(folder: Path, recipe: str, **tables: list[dict[str, Any]]) -> BuildFolder:
    """The build of a project with two pictures, a prompt, these tables and this recipe."""
    for name in ("recipes", "templates", "data_cards"):
        (folder / name).mkdir()
    (folder / "templates" / "ask.j2").write_text("<image>{{ answer_format }}", "utf-8")
    Image.new("RGB", SIZE, "white").save(folder / "large.png")
    Image.new("RGB", (100, 100), "white").save(folder / "small.png")
    for name, rows in tables.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (folder / "recipes" / "chats.yaml").write_text(recipe, "utf-8")
    return BuildFolder(build(folder / "recipes" / "chats.yaml", check=False).folder)


def recipe_of(*, kept: str = "", emit: str = RESIZE, model: str = "Qwen/Qwen2.5-VL-7B-Instruct") -> str:
    train = f"train: {{model: {model}}}" if model else ""
    return RECIPE.format(kept=f", kept_boxes: {kept}" if kept else "", emit=emit, train=train)


def built_with(folder: Path, answers: Sequence[str], **options: Any) -> BuildFolder:
    """A build of a chat on the large picture for each answer, whose ids are their places from 0."""
    rows = [
        {"id": str(at), "image": "large.png", "messages": chat(SIDES, answer)}
        for at, answer in enumerate(answers)
    ]
    own = {"id": "own", "image": "small.png", "messages": chat([1, 2, 30, 40])}
    return built_of(folder, recipe_of(**options), data=[*rows, own])


def reasons_of(folder: BuildFolder) -> dict[str, str]:
    lines = map(json.loads, folder.rejects_file.read_text("utf-8").splitlines())
    return {line["id"]: line["reason"] for line in lines}


def built(
    folder: Path,
    *,
    sides: Any = SIDES,
    answer: str = "",
    asked: str = "<image>在哪里？",
    kept: str = "",
    emit: str = RESIZE,
    model: str = "Qwen/Qwen2.5-VL-7B-Instruct",
) -> BuildFolder:
    rows = [
        {"id": "large", "image": "large.png", "messages": chat(sides, answer, asked)},
        {"id": "small", "image": "small.png", "messages": chat([1, 2, 30, 40])},
        {
            "id": "plain",
            "image": "large.png",
            "messages": [*chat(sides)[:1], {"role": "assistant", "content": "无"}],
        },
    ]
    return built_of(folder, recipe_of(kept=kept, emit=emit, model=model), data=rows)


def rows_of(folder: BuildFolder) -> dict[str, str]:
    return {row["id"]: row["messages"][-1]["content"] for row in folder.rows("train")}


def reject_of(folder: BuildFolder) -> dict[str, Any]:
    [reject] = [json.loads(line) for line in folder.rejects_file.read_text("utf-8").splitlines()]
    return dict(reject)
