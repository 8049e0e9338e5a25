"""A small project with two tasks side by side: topics of notes, and moods of dialogues."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.served import ROOT

RECIPE = """\
name: both
steps:
  - task:
      name: topics
      labels: ../topics.yaml
      steps:
        - read.jsonl: {path: ../topics.jsonl}
        - guard.label: {}
        - render.chat: {prompt: topic.j2, answer: label_only}
  - task:
      name: moods
      labels: ../moods.yaml
      steps:
        - read.jsonl: {path: ../moods.jsonl, text: dialogue}
        - guard.label: {}
        - render.chat: {prompt: mood.j2, answer: label_first}
  - curate.split: {val: 0.25, group: images}
emit:
  - llamafactory: {}
train: {model: Qwen/Qwen2.5-VL-7B-Instruct}
card: {language: en}
"""
TOPIC = """\
{% for _ in images %}<image>{% endfor %}这条内容是哪一类？只回答类别。
{{ label_names }}
内容：{{ text }}
"""
MOOD = """\
用户的情绪是哪一种？
{{ label_names }}
对话：{{ text }}
{{ answer_format }}
"""
TOPICS, MOODS = ("物流", "退款", "其他"), ("平静", "生气", "其他")


def project(folder: Path, recipe: str = RECIPE) -> Path:
    """The recipe of a new project in `folder`."""
    (folder / "recipes").mkdir(parents=True)
    (folder / "templates").mkdir()
    (folder / "templates" / "topic.j2").write_text(TOPIC, "utf-8")
    (folder / "templates" / "mood.j2").write_text(MOOD, "utf-8")
    for name, labels in (("topics", TOPICS), ("moods", MOODS)):
        entries = "".join(f"  - {{name: {label}, description: 关于{label}的内容}}\n" for label in labels)
        (folder / f"{name}.yaml").write_text(f"labels:\n{entries}", "utf-8")
    for at in range(6):
        shutil.copyfile(
            sorted((ROOT / "examples" / "ecom" / "images").glob("*.jpg"))[at], folder / f"{at}.jpg"
        )
    write(folder / "topics.jsonl", topics())
    write(folder / "moods.jsonl", moods())
    path = folder / "recipes" / "both.yaml"
    path.write_text(recipe, "utf-8")
    return path


def topics() -> list[dict[str, Any]]:
    """12 notes; the first six have a picture."""
    texts = ("包裹到哪里了编号", "退的钱没有到账单号", "营业到几点门牌")
    return [
        {
            "id": f"t{at}",
            "text": f"{texts[at % 3]}{at * 7919 % 1000}",
            "image": f"{at}.jpg" if at < 6 else None,
            "label": TOPICS[at % 3],
        }
        for at in range(12)
    ]


def moods() -> list[dict[str, Any]]:
    """24 dialogues; the first six show a picture of the notes."""
    texts = ("好的谢谢不着急第{}次", "太气人了投诉你们第{}回", "我先看看别的再说第{}个")
    return [
        {
            "id": f"m{at}",
            "dialogue": ("<image>" if at < 6 else "") + texts[at % 3].format(at * 104729 % 10007),
            "image": f"{at}.jpg" if at < 6 else None,
            "label": MOODS[at % 3],
            "reason": f"用户说的话里有第{at}个线索",
        }
        for at in range(24)
    ]


def write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """The rows as JSON Lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
