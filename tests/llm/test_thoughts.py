"""Thinking and answer in one text: the answer is what follows the thinking, and a cut thought is none."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.llm.answer import parted_reply
from datakit.llm.thoughts import Parted, has_tag, parted

TAGS = [
    ("<think>", "</think>"),
    ("<THINK>", "</Think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<seed:think>", "</seed:think>"),
    ("◁think▷", "◁/think▷"),
    ("[THINK]", "[/THINK]"),
]
texts = st.text(st.characters(codec="utf-8")).filter(lambda text: not has_tag(text))


@pytest.mark.parametrize(("opening", "closing"), TAGS)
def test_answer_is_what_follows_the_thinking(opening: str, closing: str) -> None:
    wanted = Parted("类别：甲", "像是\n类别：乙")
    assert parted(f"{opening}\n像是\n类别：乙\n{closing}\n\n类别：甲") == wanted
    assert parted(f"\ufeff {opening}像是\n类别：乙{closing}类别：甲") == wanted
    assert parted(f"像是\n类别：乙{closing}类别：甲") == wanted, "the chat template opened the thought"
    assert parted(f"{opening}像是{closing}{opening}类别：乙{closing}类别：甲") == wanted


@pytest.mark.parametrize(("opening", "closing"), TAGS)
def test_thought_that_is_not_closed_is_no_answer(opening: str, closing: str) -> None:
    assert parted(f"{opening}\n像是\n类别：乙") == Parted("", "像是\n类别：乙", cut=True)
    assert parted(f"{opening}像是{closing}\n{opening}类别：乙") == Parted("", "像是\n类别：乙", cut=True)


@given(texts, texts, st.sampled_from(TAGS))
def test_any_thought_is_told_from_any_answer(thought: str, answer: str, tags: tuple[str, str]) -> None:
    found = parted(f"{tags[0]}{thought}{tags[1]}\n{answer}")
    if not parted(answer).cut:
        assert (found.answer, found.cut) == (parted(answer).answer, False)
        assert thought.strip() in found.thinking


@given(texts)
def test_text_without_thinking_is_the_answer(text: str) -> None:
    found = parted(text)
    assert found.cut or (found.thinking == "" and found.answer == text.strip(" \t\r\n\u3000\ufeff"))


@pytest.mark.parametrize(
    ("content", "reasoning", "finish_reason", "wanted"),
    [
        ("甲", "想", "stop", Parted("甲", "想")),
        ("", "想", "length", Parted("", "想", cut=True)),
        ("<think>想</think>", "", "length", Parted("", "想", cut=True)),
        ("<think>想</think>", "", "stop", Parted("", "想")),
        ("", "", "length", Parted("")),
        ("<think>二</think>甲", "一", "stop", Parted("甲", "一\n二")),
    ],
)
def test_thinking_that_used_up_all_tokens_was_cut(
    content: str, reasoning: str, finish_reason: str, wanted: Parted
) -> None:
    assert parted_reply(content, reasoning, finish_reason) == wanted


def test_endless_tags_cost_no_seconds() -> None:
    began = time.process_time()
    for text in ("<think>" * 100_000, "</think>" * 100_000, "<think></think>" * 50_000, "[THINK]</" * 50_000):
        parted(text)
    assert time.process_time() - began < 3
