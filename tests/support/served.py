"""A small real build, and answers as a served model gives them."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datakit.library import build
from tests.support.loopback import Call, Reply

ROOT = Path(__file__).resolve().parents[2]
RECIPE = """\
name: small
labels: ../templates/ecom/labels.yaml
steps:
  - read.jsonl: {{path: ../train.jsonl, image: image, label: label}}
  - annotate.ocr: {{}}
  - curate.split: {{val: 0.3}}
  - render.chat: {{prompt: small/ask.j2, {answer}, shrink: [ocr_text]}}
emit:
  - llamafactory: {{images: link}}
train: {{model: Qwen/Qwen2.5-VL-7B-Instruct{keys}}}
serve: {{gpu_memory_gb: 24}}
"""
PROMPT = """\
{% for _ in images %}<image>{% endfor %}这张截图属于哪一类？
{{ label_names }}
{% if ocr_text %}图中文字：{{ ocr_text }}
{% endif %}"""


_STORES: list[Path] = []
"""Of the builds so far: the first one's OCR is taken over by the others, whose screens are the same."""


def made_build(
    folder: Path,
    answer: str = "label_only",
    records: int = 6,
    *,
    train_keys: str = "",
    answers: str = "",
) -> Path:
    """A build of the first shipped screens in a project of its own; `answers` are several forms."""
    (folder / "recipes").mkdir(parents=True)
    (folder / "templates" / "small").mkdir(parents=True)
    prompt = PROMPT + "{{ answer_format }}" if answers else PROMPT
    (folder / "templates" / "small" / "ask.j2").write_text(prompt, encoding="utf-8")
    (folder / "templates" / "ecom").mkdir()
    labels = ROOT / "templates" / "ecom" / "labels.yaml"
    (folder / "templates" / "ecom" / "labels.yaml").write_bytes(labels.read_bytes())
    rows = []
    for line in (ROOT / "examples" / "ecom" / "train.jsonl").read_text("utf-8").splitlines()[:records]:
        row = json.loads(line)
        rows.append({**row, "image": str(ROOT / "examples" / "ecom" / row["image"])})
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe = folder / "recipes" / "small.yaml"
    keys = f", {train_keys}" if train_keys else ""
    text = RECIPE.format(answer=f"answers: {answers}" if answers else f"answer: {answer}", keys=keys)
    text = text.replace("image: image,", f"image: image, image_root: {ROOT.anchor},")
    recipe.write_text(text, encoding="utf-8")
    store = folder / ".datakit"
    if _STORES and _STORES[0].is_dir() and not store.exists():
        shutil.copytree(_STORES[0], store)
    _STORES.append(store)
    return build(recipe, card=False).folder


def saying(
    text: str, tokens: Sequence[tuple[str, dict[str, float]]] = (), finish_reason: str = "stop"
) -> Reply:
    """An answer; `tokens` are the chosen texts with the probability of each that could stand there."""
    content = [
        {
            "token": chosen,
            "bytes": list(chosen.encode()),
            "logprob": math.log(others[chosen]),
            "top_logprobs": [
                {"token": other, "bytes": list(other.encode()), "logprob": math.log(value)}
                for other, value in others.items()
            ],
        }
        for chosen, others in tokens
    ]
    body: dict[str, Any] = {
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": finish_reason,
                "logprobs": {"content": content} if content else None,
            }
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 5},
    }
    return Reply(raw=json.dumps(body).encode())


def asked_text(call: Call) -> str:
    """The text of the last user turn, `<image>` where a picture was sent."""
    content = call.body["messages"][-1]["content"]
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "<image>") for part in content)


def asked_images(call: Call) -> list[str]:
    """The data addresses of the last user turn."""
    content = call.body["messages"][-1]["content"]
    parts = content if isinstance(content, list) else []
    return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
