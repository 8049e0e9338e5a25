"""Records for render.chat, and what became of them, for the tests of prompts and of answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from datakit.core.labels import load_labels
from datakit.core.outcome import Batch
from datakit.core.record import MESSAGES
from datakit.core.step_context import StepContext
from datakit.render.chat import Chat

ROOT = Path(__file__).resolve().parents[2]
LABELS = load_labels(ROOT / "templates" / "ecom" / "labels.yaml")
FINDINGS = load_labels(ROOT / "templates" / "medical" / "labels.yaml")
CART = "购物车页面"
LINE = pl.Struct({"text": pl.String, "score": pl.Float64})
SCHEMA: dict[str, Any] = {
    "id": pl.String,
    "source_file": pl.String,
    "source_line": pl.Int64,
    "images": pl.List(pl.String),
    "label": pl.String,
    "text": pl.String,
    "ocr_text": pl.String,
    "description": pl.String,
    "reason": pl.String,
    "lines": pl.List(LINE),
    "messages": MESSAGES,
}
V2: dict[str, Any] = {"prompt": "ecom/classify_v2.j2", "answer": "label_only"}
V3: dict[str, Any] = {"prompt": "ecom/classify.j2", "answer": "ecom/reason_then_label.j2"}
TWO_TURNS: dict[str, Any] = {"prompt": ("ecom/ask_description.j2", "ecom/ask_label.j2"), "answer": "two_turn"}
MEDICAL: dict[str, Any] = {"prompt": "medical/classify.j2", "answer": "medical/reason_then_label.j2"}


def record(number: int = 0, **changes: Any) -> dict[str, Any]:
    plain = {
        "id": f"r{number}",
        "source_file": "train.jsonl",
        "source_line": number + 1,
        "images": ["/a.jpg"],
        "label": CART,
        "ocr_text": "全选\n结算(2)",
        "description": "手机界面，底部有结算按钮。",
        "reason": "底部有全选和结算",
    }
    return plain | changes


def frame_of(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SCHEMA)


def run(chat: Chat, context: StepContext, *rows: dict[str, Any]) -> Batch:
    frame = frame_of(*rows)
    return chat.start(context, frame.lazy().head(0))(frame)


def contents(batch: Batch, at: int = 0) -> list[str]:
    return [turn["content"] for turn in batch.frame["messages"].to_list()[at]]


def roles(batch: Batch, at: int = 0) -> list[str]:
    return [turn["role"] for turn in batch.frame["messages"].to_list()[at]]


def write(context: StepContext, text: str, name: str = "mine.j2") -> str:
    (context.project / "templates" / name).write_text(text, "utf-8")
    return name
