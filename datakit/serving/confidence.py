"""The probability of each label, out of the log-probabilities of the answer's tokens.

Where the answer states its label, the server's most probable tokens are read against the closed set: at each
token the mass of those that still lead to a label is shared out among the labels that they lead to, and what
leads nowhere is left out. The chosen label so gets the probability that decoding restricted to the label set
would give it. Labels that begin alike and were not followed share their branch equally.

Tokens that are no text of their own, as half a character is at vLLM (`"bytes": []`, or U+FFFD), show nothing:
there is no probability where the label was decoded by way of them, or likely could have been.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datakit.core.answer import LABEL, AnswerFormat
from datakit.core.labels import LabelSet
from datakit.llm.thoughts import after_thinking, has_tag


@dataclass(frozen=True, slots=True)
class Token:
    """One token of the answer with the tokens that could have stood there."""

    text: bytes
    others: tuple[tuple[bytes, float], ...]
    """The most probable tokens and their probability, the chosen one among them; none where it has none."""
    unread: float = 0.0
    """Probability of those among them that nobody can read."""


def tokens_of(logprobs: Any, answer: str = "") -> list[Token]:
    """The tokens of a choice's `logprobs`; none when the server gave none, gave them in another form, or gave
    such as are not the text of the answer."""
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    tokens = []
    for entry in content if isinstance(content, list) else ():
        if not isinstance(entry, Mapping):
            return []
        chosen = _bytes(entry)
        tops = entry.get("top_logprobs")
        listed = [top for top in tops if isinstance(top, Mapping)] if isinstance(tops, list) else []
        pairs = [(_bytes(top), _probability(top)) for top in listed]
        probabilities = {text: value for text, value in pairs if value is not None and _is_readable(text)}
        unread = sum(value for text, value in pairs if value is not None and not _is_readable(text))
        own = _probability(entry)
        if own is not None:
            probabilities.setdefault(chosen, own)
        others = tuple(probabilities.items()) if chosen in probabilities and _is_readable(chosen) else ()
        tokens.append(Token(chosen, others, unread))
    whole = b"".join(token.text for token in tokens)
    return tokens if _is_of(whole, answer.encode("utf-8", "replace")) else []


def label_probabilities(
    tokens: Sequence[Token], form: AnswerFormat, labels: LabelSet
) -> dict[str, float] | None:
    """Label -> probability; they sum to 1. None where the answer does not state a label at its place."""
    text = b"".join(token.text for token in tokens)
    start = _label_start(text, form)
    if start is None:
        return None
    spellings = {
        spelling.encode(): label.name for label in labels.labels for spelling in (label.name, *label.aliases)
    }
    return _Walk(spellings).along(tokens, start)


class _Walk:
    """Follows the chosen tokens through the set of spellings."""

    def __init__(self, spellings: Mapping[bytes, str]) -> None:
        self.spellings = spellings
        self.mass = dict.fromkeys(spellings.values(), 0.0)

    def along(self, tokens: Sequence[Token], start: int) -> dict[str, float] | None:
        reach, at, prefix = 1.0, 0, b""
        for token in tokens:
            begin, at = at, at + len(token.text)
            if at <= start and (token.text or begin < start):
                continue
            if not token.others or not self._is_certain(token):
                return None
            lead = max(0, start - begin)  # bytes of the token in front of the label
            before = token.text[:lead]
            step = token.text[lead:]
            reach = self._share(token, before, prefix, reach)
            prefix += step
            open_ = self._led_to(prefix)
            if not open_:
                return None  # what the answer states is no label
            if len(open_) == 1 or self._ended(prefix):
                name = self._name(prefix, open_)
                self.mass[name] += reach
                return self.mass
        if prefix in self.spellings:  # the server did not name the end token
            self.mass[self.spellings[prefix]] += reach
            return self.mass
        return None

    @staticmethod
    def _is_certain(token: Token) -> bool:
        """Whether what cannot be read has too little probability to show in three digits."""
        return token.unread <= _UNCERTAIN * sum(probability for _, probability in token.others)

    def _share(self, token: Token, before: bytes, prefix: bytes, reach: float) -> float:
        """Gives the mass of the tokens not chosen to their labels; what is left for the chosen one."""
        fitting: list[tuple[bytes, float]] = []
        for text, probability in token.others:
            if text.startswith(before) and (text == token.text or self._fits(prefix, text[len(before) :])):
                fitting.append((text, probability))
        total = sum(probability for _, probability in fitting)
        if total <= 0:
            return reach
        remaining = reach
        for text, probability in fitting:
            if text == token.text:
                continue
            share = reach * probability / total
            remaining -= share
            names = self._led_to(prefix + text[len(before) :])
            for name in names:
                self.mass[name] += share / len(names)
        return max(remaining, 0.0)

    def _fits(self, prefix: bytes, step: bytes) -> bool:
        """Whether a token leads to a label: on towards one, or to the end of a whole one."""
        return bool(self._led_to(prefix + step)) if step else False

    def _led_to(self, prefix: bytes) -> set[str]:
        """Labels of which a spelling begins with `prefix`, or is at its beginning and ends there."""
        names = {name for spelling, name in self.spellings.items() if spelling.startswith(prefix)}
        return names or ({self._longest(prefix)} if self._ended(prefix) else set())

    def _ended(self, prefix: bytes) -> bool:
        """Whether a whole spelling stands in front and what follows belongs to no longer one."""
        if any(spelling.startswith(prefix) for spelling in self.spellings):
            return False
        whole = self._longest_spelling(prefix)
        return whole is not None and not _is_word(prefix[len(whole) :])

    def _longest_spelling(self, prefix: bytes) -> bytes | None:
        fitting = [spelling for spelling in self.spellings if prefix.startswith(spelling)]
        return max(fitting, key=len) if fitting else None

    def _longest(self, prefix: bytes) -> str:
        spelling = self._longest_spelling(prefix)
        assert spelling is not None  # asked after `_ended`
        return self.spellings[spelling]

    def _name(self, prefix: bytes, open_: set[str]) -> str:
        return next(iter(open_)) if len(open_) == 1 else self._longest(prefix)


_LEAST = -745.0
"""exp of anything less is 0, too."""
_UNCERTAIN = 0.0005
_BYTE = re.compile(rb"<0x[0-9A-Fa-f]{2}>")
"""How vocabularies with byte fallback write a byte."""
_SPECIAL = (b"<|im_end|>", b"<|endoftext|>")


def _is_of(tokens: bytes, answer: bytes) -> bool:
    """Whether tokens are those of an answer; some servers give the first ones alone."""
    return answer in tokens or answer.startswith(tokens.lstrip())


def _is_readable(text: bytes) -> bool:
    """Whether a token has a text of its own; parts of characters as their true bytes have one."""
    return bool(text) and "\ufffd".encode() not in text and _BYTE.fullmatch(text) is None


def _is_word(rest: bytes) -> bool:
    """Whether the bytes go on with a word, so that the label in front was none."""
    if rest.startswith(_SPECIAL):
        return False
    text = rest.decode("utf-8", "ignore")
    return bool(text) and text[0].isalnum()


def _label_start(text: bytes, form: AnswerFormat) -> int | None:
    """Where the last turn of an answer begins to state its label, in bytes."""
    turn = form.turns[-1]
    if LABEL not in turn.variables:
        return None
    number = turn.variables.index(LABEL)
    marker = turn.constants[number].strip().encode()
    start = after_thinking(text) if not any(map(has_tag, turn.constants)) else 0
    if marker:
        place = text.rfind(marker, start)
        if place < 0:
            return None
        start = place + len(marker)
    elif number:  # an empty line announces the label, which only an exact answer has
        return None
    return start + len(text[start:]) - len(text[start:].lstrip())


def _bytes(entry: Mapping[str, Any]) -> bytes:
    numbers = entry.get("bytes")
    if isinstance(numbers, list) and all(type(byte) is int and 0 <= byte < 256 for byte in numbers):
        return bytes(numbers)
    return str(entry.get("token") or "").encode("utf-8", "replace")


def _probability(entry: Mapping[str, Any]) -> float | None:
    """Probability of a token, 0 to 1; None where the server says nothing that could be one."""
    value = entry.get("logprob")
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return math.exp(max(min(value, 0.0), _LEAST))
