"""Token counts: the same as Qwen's tokenizer gives, special tokens and line memory included."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from unicodedata import normalize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiktoken import Encoding

from datakit.core.errors import UserError
from datakit.core.labels import load_labels
from datakit.core.tokens import SPECIAL, TokenCounter, Vocabulary, count, encoding, token_ids, upper_bound

ROOT = Path(__file__).resolve().parents[2]
LABELS = load_labels(ROOT / "templates" / "ecom" / "labels.yaml")


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("Hello, world!", [9707, 11, 1879, 0]),
        ("你好，世界！", [108386, 3837, 99489, 6313]),
        ("<|im_start|>user\n", [151644, 872, 198]),
        ("<|vision_start|><|image_pad|><|vision_end|>", [151652, 151655, 151653]),
        ("You are a helpful assistant.", [2610, 525, 264, 10950, 17847, 13]),
        ("2025", [17, 15, 17, 20]),
    ],
)
def test_ids_are_those_of_the_published_tokenizer(text: str, ids: list[int]) -> None:
    assert token_ids(text) == ids


def test_every_special_token_is_one_token() -> None:
    assert len(SPECIAL) == 22
    assert [token_ids(token) for token in SPECIAL] == [[151_643 + n] for n in range(22)]
    assert count("".join(SPECIAL)) == 22


def test_text_is_counted_in_nfc() -> None:
    assert count("cafe\N{COMBINING ACUTE ACCENT}") == count("café")
    assert TokenCounter().count("cafe\N{COMBINING ACUTE ACCENT}\n好") == count("café\n好")


_ACCENT = "\N{COMBINING ACUTE ACCENT}"
_BREAKS = ["\n", "\r\n", " ", "\t", "\u3000", "\x1c", "\x85", "\u2028"]
_SPACES = [
    " ",
    "  ",
    "\t",
    "\v",
    "\f",
    "\r",
    "\xa0",
    "\x1c ",
    "\u1680",
    "\u2009",
    "\u202f",
    "\u205f",
    "\u180e",
    "\u200b",
]
_WORDS = ["，", "。", "}", '"', "a", "don't", "12", "券后价", "😀", "é", f"e{_ACCENT}", _ACCENT]
PIECES = st.sampled_from([*_BREAKS, *_WORDS, "<|im_end|>", "<|im_"])


_PUBLISHED = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""The pre-tokenizer of Qwen2.5-VL's and Qwen3-VL's tokenizer.json."""


@cache
def published(vocabulary: Vocabulary) -> Encoding:
    own = encoding(vocabulary)
    ranks = own._mergeable_ranks
    return Encoding(
        "published", pat_str=_PUBLISHED, mergeable_ranks=ranks, special_tokens=own._special_tokens
    )


@given(
    st.lists(PIECES | st.sampled_from([*_SPACES, "<think>"]) | st.text(max_size=5), max_size=30).map("".join)
)
@settings(max_examples=400, deadline=None)
def test_ids_are_those_of_the_published_pattern_however_many_spaces_stand_together(text: str) -> None:
    for vocabulary in ("qwen2_5", "qwen3"):
        ids = published(vocabulary).encode(normalize("NFC", text), allowed_special="all")
        assert token_ids(text, vocabulary) == ids


@given(st.lists(PIECES | st.text(max_size=5), max_size=30).map("".join))
@settings(max_examples=400, deadline=None)
def test_remembered_lines_give_the_count_of_the_whole_text(text: str) -> None:
    counter = TokenCounter()
    whole = count(text)
    assert counter.count(text) == whole
    assert counter.count(text) == whole  # lines met before, encoded one by one
    assert counter.count(text) == whole  # from memory
    assert upper_bound(text) >= whole


@given(st.lists(st.lists(PIECES, max_size=12).map("".join), min_size=2, max_size=8))
@settings(max_examples=200, deadline=None)
def test_lines_of_their_own_between_shared_ones_are_counted_exactly(texts: list[str]) -> None:
    counter = TokenCounter()
    shared = [f"Question:\n{text}\nAnswer:\n" for text in texts]
    assert list(map(counter.count, shared)) == [count(text) for text in shared]


@given(
    st.lists(PIECES, max_size=8).map("".join), st.lists(st.lists(PIECES, max_size=8).map("".join), max_size=6)
)
@settings(max_examples=200, deadline=None)
def test_what_long_prompts_begin_with_is_counted_exactly_whatever_follows(end: str, rests: list[str]) -> None:
    counter = TokenCounter()
    head = f"{LABELS.json_block}\n{end}\n"
    texts = [
        head,
        head,
        head,
        *(head + rest for rest in rests),
        LABELS.json_block,
        *(head + rest for rest in rests),
    ]
    assert [counter.count(text) for text in texts] == [count(text) for text in texts]


def test_prompts_of_real_labels_are_counted_exactly_and_from_memory() -> None:
    counter = TokenCounter()
    prompts = [
        f"类别与说明：\n{LABELS.json_block}\n图中文字：\n{'加入购物车 ¥39.9 ' * n}\n请回答" for n in range(20)
    ]
    counts = list(map(counter.count, prompts))
    assert counts == [len(published("qwen2_5").encode(p, allowed_special="all")) for p in prompts]
    assert min(counts) > 1000


def chat(*turns: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in turns]


def test_chat_is_counted_as_the_trainer_lays_it_out() -> None:
    """Laid out by hand. LLaMA-Factory 0.9.5 itself gave the same on 1,000 random chats (2026-11-24)."""
    counter = TokenCounter()
    turns = chat(("user", "<image>这是什么？"), ("assistant", "购物车页面"))
    prompt = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><|vision_end|>这是什么？<|im_end|>\n<|im_start|>assistant\n"
    )
    found = counter.chat(turns)
    assert (found.prompt, found.answer) == (count(prompt), count("购物车页面<|im_end|>\n"))
    assert found.total == found.prompt + found.answer
    system = count("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n")
    assert counter.chat(turns, "qwen3_vl").prompt == found.prompt - system
    given_system = chat(
        ("system", "You are a helpful assistant."), *[(t["role"], t["content"]) for t in turns]
    )
    assert counter.chat(given_system, "qwen3_vl") == found
    assert counter.chat([{"role": "system", "content": ""}, *turns]) == found


def test_all_earlier_turns_belong_to_the_prompt() -> None:
    counter = TokenCounter()
    two = chat(("user", "一"), ("assistant", "二"), ("user", "三"), ("assistant", "四"))
    open_end = two[:3]
    assert counter.chat(two).prompt == counter.chat(open_end).prompt
    assert counter.chat(open_end).answer == 0


def test_unknown_role_is_named() -> None:
    with pytest.raises(UserError, match="`tool`"):
        TokenCounter().chat(chat(("tool", "x")))


def test_import_loads_no_vocabulary() -> None:
    code = "import sys, datakit.core.tokens; sys.exit('tiktoken' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
