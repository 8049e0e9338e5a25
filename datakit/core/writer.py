"""The prompt and the answer of one record, as training and serving both write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from datakit.core.answer import LABEL, AnswerFormat
from datakit.core.answer_forms import ContractFormat
from datakit.core.counted import counted
from datakit.core.labels import LabelSet
from datakit.core.outcome import Rejected
from datakit.core.prompt import Filled, Prompt
from datakit.core.rendering import TooLarge
from datakit.core.shrink import longest_that_fits
from datakit.core.template_filters import filtered
from datakit.core.templates import PROMPT_ROLES, breaking_token
from datakit.core.tokens import IMAGE, TokenCounter

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Prompted:
    """The prompt of one record."""

    system: str | None
    turns: tuple[Filled, ...]
    """The user turns in parts; one but for dialogues."""
    chars: int
    """Characters of the user turns together."""
    tokens: int | None
    """Tokens of the system and user turns in the chat template, without pictures; None when not counted."""
    rung: int
    """How far the ladder was climbed: 0 untouched, then for each column of `shrink` 1 cut and 2 dropped."""

    @property
    def users(self) -> tuple[str, ...]:
        """The user turns."""
        return tuple([turn.text for turn in self.turns])

    @property
    def messages(self) -> list[dict[str, str]]:
        """The first request's messages; further user turns follow after the model's answers."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, {"role": "user", "content": self.users[0]}]


@dataclass
class Writer:
    """Writes prompts and answers. Made by `render.chat`; holds compiled templates."""

    prompts: tuple[Prompt, ...]
    form: AnswerFormat
    labels: LabelSet | None
    system: str | None
    max_chars: int | None
    max_tokens: int | None
    shrink: tuple[str, ...]
    count_tokens: bool
    counter: TokenCounter = field(default_factory=TokenCounter)
    spelt: dict[str, str] = field(default_factory=dict)
    """Spellings of labels that were met -> the label file's own."""

    def prompt(self, record: Record) -> Prompted | Rejected:
        """The prompt of a record, shortened until it fits, or why there is none."""
        try:
            return self._prompt(record)
        except TooLarge as fault:
            return Rejected(fault.reason, fault.detail)

    def _prompt(self, record: Record) -> Prompted | Rejected:
        turns = self._filled(record)
        fault = _places(turns, len(record["images"]), self.prompts[0].name)
        if fault:
            return fault
        chars, tokens = self._size(turns)
        if self._within(chars, tokens):
            return Prompted(self.system, turns, chars, tokens, 0)
        return self._shortened(dict(record), chars)

    def answers(self, record: Record) -> tuple[str, ...] | Rejected:
        """The assistant turns of a record, or what is missing for them, or breaks the trainer."""
        answers = self._answers(record)
        if isinstance(answers, Rejected):
            return answers
        return next((fault for text in answers if (fault := _broken(text))), answers)

    def _answers(self, record: Record) -> tuple[str, ...] | Rejected:
        if isinstance(self.form, ContractFormat):
            return self.form.contract.write(record, self.labels)
        values = {}
        for name in self.form.variables:
            value = record[name]
            text = "" if value is None else str(value).strip()
            if not text:
                if name == LABEL:
                    return Rejected("label_missing", "the record has no label to learn")
                words = (
                    f"the answer needs `{name}`, which is empty. Where it may be, give `answer` as `fields`"
                )
                return Rejected("answer_incomplete", f"{words}, with `{{name: {name}, optional: true}}`")
            values[name] = text
        if self.labels is not None and LABEL in values:
            label = self._canonical(values[LABEL], self.labels)
            if label is None:
                hint = self.labels.suggest(values[LABEL])
                return Rejected(
                    "label_unknown", f"`{values[LABEL]}` is not in the label file. {hint}".strip()
                )
            values[LABEL] = label
        for turn in self.form.turns:
            name = turn.clash(values)
            if name:
                return Rejected(
                    "answer_unreadable",
                    f"`{name}` holds a line of the answer's own form, so the answer cannot be read back",
                )
        return self.form.render(values)

    def given(self, turns: Sequence[tuple[str, str]], images: int) -> tuple[int, int | None, int] | Rejected:
        """The size of a chat that came with the record, or why it cannot pass."""
        users = tuple(text for role, text in turns if role == "user")
        if not users or turns[-1][0] != "assistant" or not turns[-1][1].strip():
            return Rejected("answer_incomplete", "the record's messages end without an answer")
        silent = [at for at, (role, text) in enumerate(turns, 1) if role == "assistant" and not text.strip()]
        if silent:
            return Rejected(
                "answer_incomplete", f"turn {silent[0]} of the record's messages is an empty answer"
            )
        targets = (text for role, text in turns if role not in PROMPT_ROLES)
        if fault := next((fault for text in targets if (fault := _broken(text, images=True))), None):
            return fault
        in_system = sum(text.count(IMAGE) for role, text in turns if role == "system")
        if in_system:  # trainers keep the system's text apart and look for pictures in the turns alone
            words = f"the system turn has {in_system} <image> places; write them into the user's turns"
            return Rejected("image_places", words)
        places = sum(text.count(IMAGE) for _, text in turns)
        if places != images:
            words = f"the messages have {places} <image> places for {counted(images, 'picture')}"
            words += "" if places else "; write <image> at the beginning of the first user's turn"
            return Rejected("image_places", words)
        chars, tokens = sum(map(len, users)), self._tokens(users)
        if not self._within(chars, tokens):
            return self._over(chars, tokens, "")
        return chars, tokens, 0

    def _canonical(self, text: str, labels: LabelSet) -> str | None:
        if text not in self.spelt:
            label = labels.find(text)
            if label is None:
                return None
            self.spelt[text] = label.name
        return self.spelt[text]

    def _filled(self, record: Record) -> tuple[Filled, ...]:
        return tuple([prompt.fill(record) for prompt in self.prompts])

    def _size(self, turns: tuple[Filled, ...]) -> tuple[int, int | None]:
        chars = sum([turn.chars for turn in turns])
        if not self.count_tokens and self.max_tokens is None:
            return chars, None
        return chars, self._tokens([turn.text for turn in turns])

    def _tokens(self, users: Sequence[str]) -> int | None:
        if not self.count_tokens and self.max_tokens is None:
            return None
        turns = [{"role": "user", "content": user} for user in users]
        if self.system:
            turns.insert(0, {"role": "system", "content": self.system})
        return self.counter.chat(turns).prompt

    def _within(self, chars: int, tokens: int | None) -> bool:
        if self.max_chars is not None and chars > self.max_chars:
            return False
        return self.max_tokens is None or (tokens or 0) <= self.max_tokens

    def _shortened(self, record: dict[str, Any], full: int) -> Prompted | Rejected:
        for at, column in enumerate(self.shrink):
            value = self._asked_for(column, record.get(column))
            if not value:
                continue
            cut = longest_that_fits(value, partial(self._fits_with, record, column))
            if cut is not None and self._keeps_places(shortened := {**record, column: cut}):
                return self._fitted(shortened, 2 * at + 1)
            shortened = {**record, column: [] if isinstance(value, list) else None}
            if not self._keeps_places(shortened):
                continue  # the text has the places of the pictures, and a longer form does not fit
            record = shortened
            if self._fits(record):
                return self._fitted(record, 2 * at + 2)
        return self._too_long(record, full)

    def _asked_for(self, column: str, value: Any) -> Any:
        """A text as the prompts write it (no status bar): lines that they leave out are none to be kept."""
        if not isinstance(value, str):
            return value
        chains = (chain for prompt in self.prompts for name, chain in prompt.tests if name == column)
        for chain in chains:
            text = filtered(value, chain)
            value = text if filtered(text, chain) == text else value  # a fence is no part of the text
        return value

    def _keeps_places(self, record: Record) -> bool:
        """Whether a shortened prompt still has a place for each picture."""
        return _places(self._filled(record), len(record["images"]), self.prompts[0].name) is None

    def _fits(self, record: Record) -> bool:
        return self._within(*self._size(self._filled(record)))

    def _fits_with(self, record: Record, column: str, form: Any) -> bool:
        return self._fits({**record, column: form})

    def _fitted(self, record: Record, rung: int) -> Prompted:
        turns = self._filled(record)
        return Prompted(self.system, turns, *self._size(turns), rung)

    def _too_long(self, record: Record, full: int) -> Rejected:
        chars, tokens = self._size(self._filled(record))
        after = f", even without {', '.join(self.shrink)} ({full:,} characters with)" if self.shrink else ""
        return self._over(chars, tokens, after)

    def _over(self, chars: int, tokens: int | None, after: str) -> Rejected:
        over = []
        if self.max_chars is not None and chars > self.max_chars:
            over.append(f"{chars:,} characters, max_chars allows {self.max_chars:,}")
        if self.max_tokens is not None and (tokens or 0) > self.max_tokens:
            over.append(f"{tokens:,} tokens, max_tokens allows {self.max_tokens:,}")
        return Rejected("prompt_too_long", f"the prompt has {' and '.join(over)}{after}")


def _broken(answer: str, *, images: bool = False) -> Rejected | None:
    token = breaking_token(answer, images=images)
    if not token:
        return None
    return Rejected(
        "answer_tokens",
        f"the answer holds {token}, which the trainer takes for a token of its own: {answer[:60]}",
    )


def _places(turns: tuple[Filled, ...], images: int, name: str) -> Rejected | None:
    """The trainer stops at a record whose `<image>` places are not as many as its pictures."""
    places = turns[0].images
    later = sum([turn.images for turn in turns[1:]])
    if places == images and not later:
        return None
    if later:
        return Rejected("image_places", f"a later turn has {later} <image> places; all belong into the first")
    detail = f"`{name}` gives {places} <image> places for {counted(images, 'picture')}"
    if not places:
        detail += "; write them so: {% for _ in images %}<image>{% endfor %}"
    return Rejected("image_places", detail)
