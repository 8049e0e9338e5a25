"""The language of texts is that of the templates which ask for them."""

from __future__ import annotations

import pytest

from datakit.core.language import language_of


@pytest.mark.parametrize(
    ("source", "language"),
    [
        ('请描述这张图片。只输出一个 JSON 对象：{"description": "图片描述"}', "zh"),
        ('Describe the picture. Answer with one JSON object: {"description": "..."}', "en"),
        ("{# 这里的说明是中文，不会发给模型 #}Why does the picture show {{ label }}?", "en"),
        (
            "{# For guard.reason; an explanation in English for whoever edits it. #}为什么是{{ label }}？",
            "zh",
        ),
        ("Say why this is 退款页面 or 购物车页面, in one or two plain English sentences.", "en"),
        ("Décrivez l'image en une phrase.", "en"),
        ("{{ text }}", None),
        ("", None),
    ],
)
def test_constant_text_of_a_template_tells_its_language(source: str, language: str | None) -> None:
    assert language_of([source]) == language
