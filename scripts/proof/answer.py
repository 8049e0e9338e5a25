"""On the GPU machine: answers of a trained model to a bundle's held-out records, through transformers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

MOST_TOKENS = 256


def answer(bundle: Path, model: Path, out: Path, batch: int) -> None:
    """Writes predictions.jsonl. The bundle's own code reads the answers, as it does those of vLLM."""
    import torch
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    sys.path.insert(0, str(bundle))
    from datakit.artifacts.packed import PackedData
    from datakit.artifacts.predictions import Prediction, write

    name = json.loads((bundle / "bundle.json").read_text("utf-8"))["name"]
    packed = PackedData(bundle / name)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    net = AutoModelForImageTextToText.from_pretrained(model, dtype=dtype).to(device).eval()
    processor = AutoProcessor.from_pretrained(model)
    processor.tokenizer.padding_side = "left"
    rows = json.loads((bundle / name / f"{name}_val.json").read_text("utf-8"))
    lines = []
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        pictures = []
        for row in part:
            with Image.open(bundle / name / row["images"][0]) as opened:
                pictures.append(opened.convert("RGB"))
        texts = [
            processor.apply_chat_template(chat(row), tokenize=False, add_generation_prompt=True)
            for row in part
        ]
        inputs = processor(text=texts, images=pictures, padding=True, return_tensors="pt").to(device)
        with torch.no_grad():
            tokens = net.generate(
                **inputs, max_new_tokens=MOST_TOKENS, do_sample=False, repetition_penalty=1.0
            )
        answers = processor.batch_decode(tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        for row, text in zip(part, answers, strict=True):
            stated = packed.answer_format.parse(text, packed.labels)
            truth = packed.answer_format.parse(row["messages"][-1]["content"], packed.labels).label
            line = {"id": row["id"], "label": truth, "answer": text}
            lines.append(Prediction(**line, predicted=stated.label, problem=stated.problem))
    write(out, lines)
    print(f"{len(lines)} held-out screens answered on {device}")


def chat(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The record's prompt, with places for its pictures."""
    return [{"role": turn["role"], "content": parts(turn["content"])} for turn in row["messages"][:-1]]


def parts(text: str) -> list[dict[str, str]]:
    """A turn's text cut at its picture places."""
    content: list[dict[str, str]] = []
    for number, piece in enumerate(text.split("<image>")):
        if number:
            content.append({"type": "image"})
        if piece:
            content.append({"type": "text", "text": piece})
    return content
