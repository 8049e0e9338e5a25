"""What chats share is kept once, and nothing of them is lost."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.core.factored_chats import FactoredChats, SharedAffixes, factor
from datakit.core.record import MESSAGES
from datakit.emit._json_rows import json_rows

Turns = list[tuple[str, str]]
TEXTS = st.sampled_from(["", "a", "<", "<image>", "<ima", "ge>", 'é"', "\n", "标签\\", "🛒", "\u2028\x01"])
WORDS = st.lists(TEXTS, max_size=4).map("".join)


def frame_of(chats: list[Turns | None]) -> pl.DataFrame:
    """Records with these chats."""
    values = [chat and [{"role": role, "content": text} for role, text in chat] for chat in chats]
    ids = [f'r"{number}' for number in range(len(chats))]
    images = [["images/a.png"] * (number % 2) for number in range(len(chats))]
    columns: dict[str, Any] = {"id": ids, "messages": values, "images": images}
    return pl.DataFrame(columns, schema={"id": pl.String, "messages": MESSAGES, "images": pl.List(pl.String)})


def rows_of(factored: FactoredChats) -> list[bytes]:
    return [row for rows in json_rows(factored) for row in rows]


def asked(*texts: str) -> pl.DataFrame:
    return frame_of([[("system", "Hi."), ("user", text), ("assistant", "yes")] for text in texts])


def test_texts_before_and_after_what_differs_are_kept_once() -> None:
    factored = factor(asked("分类：甲。完", "分类：乙乙。完", "分类：。完"))
    assert factored.shared == (
        SharedAffixes("Hi.", ""),
        SharedAffixes("分类：", "。完"),
        SharedAffixes("", ""),
    )
    assert [chat[1]["content"] for chat in factored.frame["messages"]] == ["甲", "乙乙", ""]


def test_an_answer_that_all_records_have_stays_in_each() -> None:
    factored = factor(asked("a", "b"))
    assert [chat[2]["content"] for chat in factored.frame["messages"]] == ["yes", "yes"]


@pytest.mark.parametrize(
    ("texts", "start", "end"),
    [
        (("<image>a", "<imagine"), "", ""),
        (("<image>x<image>", "<image>ge>"), "<image>", ""),
        (("<image><image>a", "<image>a"), "<image>", "a"),
    ],
)
def test_a_place_of_a_picture_is_never_cut(texts: tuple[str, str], start: str, end: str) -> None:
    shared = factor(asked(*texts)).shared[1]
    assert shared == SharedAffixes(start, end)


def test_one_chat_unlike_the_others_is_found_wherever_it_stands() -> None:
    texts = [f"Which page is {number}?" for number in range(100)]
    texts[57] = "Whole other words"
    factored = factor(asked(*texts))
    assert factored.shared[1] == SharedAffixes("Wh", "")
    assert factored.expanded().equals(asked(*texts))


def test_chats_with_other_turns_are_left_whole() -> None:
    chats: list[Turns | None] = [[("user", "a"), ("assistant", "b")], [("user", "a")], None]
    assert factor(frame_of(chats)).shared == ()
    swapped = frame_of([[("user", "a"), ("assistant", "b")], [("assistant", "a"), ("user", "b")]])
    assert factor(swapped).shared == ()


def test_later_records_take_the_form_of_earlier_ones_where_it_fits() -> None:
    before = factor(asked("Q: a!", "Q: b!")).shared
    assert factor(asked("Q: ab!", "Q: ac!"), before).shared == before
    assert factor(asked("P: a!", "P: b!"), before).shared[1] == SharedAffixes("P: ", "!")


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=12), WORDS, WORDS)
def test_folding_keeps_every_text_its_places_and_its_json(
    turns: list[tuple[str, str]], start: str, end: str
) -> None:
    frame = frame_of([[("user", start + text + end), ("assistant", answer)] for text, answer in turns])
    factored = factor(frame)
    assert factored.expanded().equals(frame)
    assert rows_of(factored) == rows_of(FactoredChats(frame))
    pieces = [text for chat in factored.frame["messages"] for text in (chat[0]["content"],)]
    constant = sum(text.count("<image>") for text in factored.shared[0])
    whole = [(start + text + end).count("<image>") for text, _ in turns]
    assert [piece.count("<image>") + constant for piece in pieces] == whole


@given(
    st.lists(
        st.none() | st.lists(st.tuples(st.sampled_from(["user", "assistant"]), WORDS), max_size=3),
        min_size=1,
        max_size=6,
    )
)
def test_any_chats_come_back(chats: list[Turns | None]) -> None:
    frame = frame_of(chats)
    assert factor(frame).expanded().equals(frame)
    assert rows_of(factor(frame)) == rows_of(FactoredChats(frame))
