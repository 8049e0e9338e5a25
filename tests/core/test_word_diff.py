"""Texts are compared word by word, Chinese sign by sign, and no part of either is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from datakit.core.word_diff import MOST_WORDS, as_plain, changed_share, shortened, word_diff, words


def test_chinese_is_compared_sign_by_sign_and_latin_by_words() -> None:
    pieces = word_diff("红色连衣裙，长款 T-shirt size 12", "红色连衣裤，长款 T-shirt size 14")
    assert [piece for piece in pieces if piece[0] != "="] == [
        ("-", "裙"),
        ("+", "裤"),
        ("-", "12"),
        ("+", "14"),
    ]


def test_signs_of_rare_blocks_are_words_too() -> None:
    assert words("𠮷野家ab𠀀") == ["𠮷", "野", "家", "ab", "𠀀"]


@given(
    st.text(alphabet="图画a b，\n\x1b\ud800", max_size=40),
    st.text(alphabet="图画a b，\n\x1b\ud800", max_size=40),
)
def test_pieces_are_both_texts_again(before: str, after: str) -> None:
    pieces = word_diff(before, after)
    assert "".join(text for sign, text in pieces if sign in "=-") == before
    assert "".join(text for sign, text in pieces if sign in "=+") == after
    assert all(text for _, text in pieces)
    assert (before == after) == all(sign == "=" for sign, _ in pieces)


def test_a_blank_between_two_changes_belongs_to_one_change() -> None:
    assert word_diff("红 蓝", "绿 黄") == [("-", "红 蓝"), ("+", "绿 黄")]


def test_texts_too_long_to_be_compared_differ_as_a_whole() -> None:
    before, after = "旧" * (MOST_WORDS + 1), "新" * 10
    assert word_diff(f"头{before}尾", f"头{after}尾") == [
        ("=", "头"),
        ("-", before),
        ("+", after),
        ("=", "尾"),
    ]


def test_share_of_words_in_one_text_alone() -> None:
    assert (changed_share("", ""), changed_share("图片", "图片"), changed_share("图", "画")) == (0, 0, 1)
    assert changed_share("图片", "画片") == 0.5


def test_marks_are_those_of_git() -> None:
    assert as_plain(word_diff("一张图", "一张画")) == "一张[-图-]{+画+}"


def test_what_stands_in_both_is_cut_and_changes_are_whole() -> None:
    pieces = word_diff("a" * 100 + " 图 " + "b" * 100, "a" * 100 + " 画 " + "b" * 100)
    assert as_plain(shortened(pieces, 5)) == "…aaaa [-图-]{+画+} bbbb…"
