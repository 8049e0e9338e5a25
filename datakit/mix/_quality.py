"""Why a general text is left out: empty, too long, not Chinese, looping, refusing, asked twice."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import polars as pl

Turns = Sequence[dict[str, str]]

_CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_WORD = re.compile(r"[A-Za-z]+")
_REFUSAL = re.compile(
    r"(抱歉|对不起|很遗憾|不好意思)[，,。！! ]*(但是?)?(我|作为)[^。！？\n]{0,12}(无法|不能|没有办法)"
    r"|作为(一个|一名|一款)?(AI|人工智能|大?语言模型|机器人)"
    r"|我(只)?是(一个|一款)?(AI|人工智能|语言模型)"
    r"|^我(无法|不能)(回答|提供|完成|浏览|访问|查看)"
    r"|as an ai (language )?model|^(i'm|i am) sorry,? (but )?i (can't|cannot)",
    re.IGNORECASE,
)
_REFUSES_WITHIN = 60
"""Characters at the start of an answer where a refusal is looked for; later it may be a quotation."""
_LOOPING_BELOW = 0.12
"""Share of its size to which zlib brings a looping text. Measured 2026-11-24: 2,500 characters of
Chinese prose 0.61, a regular table 0.18, one sentence twenty times 0.07."""
_LOOPING_FROM_BYTES = 300


def fault_of(turns: Turns | None, max_chars: int, min_chinese: float) -> str | None:
    """A short reason to leave the dialogue out, or None."""
    if not turns or turns[-1]["role"] != "assistant":
        return "no_answer"
    contents = [turn["content"] or "" for turn in turns]
    if any(
        not content.strip() for turn, content in zip(turns, contents, strict=True) if turn["role"] != "system"
    ):
        return "empty"
    text = "\n".join(contents)
    if len(text) > max_chars:
        return "too_long"
    if chinese_share(text) < min_chinese:
        return "not_chinese"
    answers = [content for turn, content in zip(turns, contents, strict=True) if turn["role"] == "assistant"]
    if any(_REFUSAL.search(answer.strip()[:_REFUSES_WITHIN]) for answer in answers):
        return "refusal"
    if any(_loops(answer) for answer in answers):
        return "looping"
    return None


def chinese_share(text: str) -> float:
    """Chinese characters as a share of Chinese characters and Latin words; 1 for a text without either."""
    chinese, words = len(_CHINESE.findall(text)), len(_WORD.findall(text))
    return chinese / (chinese + words) if chinese + words else 1.0


def asked_before(messages: pl.Series, ids: pl.Series) -> pl.Series:
    """Whether a record with a smaller id asks the same, white space and case aside."""
    questions = messages.list.eval(
        pl.element()
        .filter(pl.element().struct.field("role") == "user")
        .struct.field("content")
        .str.replace_all(r"\s+", "")
        .str.to_lowercase()
    ).list.join("\n")
    table = pl.DataFrame({"id": ids, "asked": questions})
    return table.select(pl.col("id") != pl.col("id").min().over("asked")).to_series()


def _loops(text: str) -> bool:
    data = text.encode()
    return len(data) >= _LOOPING_FROM_BYTES and len(zlib.compress(data)) < _LOOPING_BELOW * len(data)
