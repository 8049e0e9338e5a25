"""Which language a card is written in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.cards.gallery import card_settings
from datakit.core.language import Language, language_of
from datakit.pages.figures import collect

_PROMPTS = 200
"""Rows whose prompts are looked at, where there are no labels."""
_MOSTLY = 0.5
_HAN = r"[\x{3400}-\x{4dbf}\x{4e00}-\x{9fff}]"


def language_of_card(build: BuildFolder, rows: Mapping[str, list[dict[str, Any]]]) -> Language:
    """That of `card: {language: ...}`; for `auto` that of the data.

    Chinese where half of the labelled records or more have a label with a Chinese sign, or, without labels,
    where the first prompts are mostly Chinese; else English. `rows` are the emitted ones of each part.
    """
    wanted = card_settings(build).language
    if wanted != "auto":
        return wanted
    if build.columns.get("label") == pl.String:
        labelled = build.main.drop_nulls("label")
        share = collect(labelled.select(pl.col("label").str.contains(_HAN).mean())).item()
        if share is not None:
            return "zh" if share >= _MOSTLY else "en"
    return language_of(_prompts(rows)) or "en"


def _prompts(rows: Mapping[str, list[dict[str, Any]]]) -> list[str]:
    """What the first rows ask, without marks for pictures."""
    return [
        str(turn["content"] or "").replace("<image>", "")
        for own in rows.values()
        for row in own[:_PROMPTS]
        for turn in row["messages"]
        if turn["role"] == "user"
    ]
