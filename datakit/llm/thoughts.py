"""A model's thinking told from its answer, where both stand in one text."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAMES = r"(?:seed:)?think(?:ing)?|thoughts?|scratchpad|analysis|reasoning|reflection|draft"
_OPEN = re.compile(rf"[\s\ufeff]*(?:<(?:{_NAMES})>|◁think▷|\[THINK\])", re.IGNORECASE)
"""The tags of Qwen, DeepSeek and GLM, of Seed-OSS, of Kimi-VL and of Magistral, in their chat templates."""
_CLOSE = re.compile(rf"</(?:{_NAMES})>|◁/think▷|\[/THINK\]", re.IGNORECASE)
_CLOSE_BYTES = re.compile(_CLOSE.pattern.encode(), re.IGNORECASE)
_AROUND = " \t\r\n\u3000\ufeff"


@dataclass(frozen=True, slots=True)
class Parted:
    """A model's text in its two parts."""

    answer: str
    """What follows the thinking, without white space around it."""
    thinking: str = ""
    cut: bool = False
    """Whether the model was still thinking when its text ended: then there is no answer."""


def parted(text: str) -> Parted:
    """Thinking and answer of a text.

    Thinking stands in front, in one block or several. Servers whose chat template opens the thought leave
    only its end in the text, so that a closing tag alone ends a thought too. A block that is not closed is a
    thought that was cut.
    """
    at, thoughts = 0, []
    while True:
        opened = _OPEN.match(text, at)
        begin = opened.end() if opened else at
        closed = _CLOSE.search(text, begin) if opened else _last_close(text, begin)
        if closed is None:
            break
        thoughts.append(text[begin : closed.start()])
        at = closed.end()
    if opened:
        thoughts.append(text[begin:])
    thinking = "\n".join(thought.strip() for thought in thoughts if thought.strip())
    return Parted("" if opened else text[at:].strip(_AROUND), thinking, cut=opened is not None)


def after_thinking(text: bytes) -> int:
    """Where the answer begins in a text that is made of tokens, in bytes."""
    return max((closed.end() for closed in _CLOSE_BYTES.finditer(text)), default=0)


def has_tag(text: str) -> bool:
    """Whether a tag of thinking stands in the text."""
    return _CLOSE.search(text) is not None


def _last_close(text: str, start: int) -> re.Match[str] | None:
    match = None
    for match in _CLOSE.finditer(text, start):  # noqa: B007 (the last one is wanted)
        pass
    return match
