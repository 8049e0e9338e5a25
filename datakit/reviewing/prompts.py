"""The prompts of a build's records as they were emitted, what all of them share written once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.chat_contents import chats_of
from datakit.core.record import TRAIN, VAL

_COMPARED = 200
"""Prompts of which the shared beginning and end are taken."""


@dataclass(frozen=True)
class Prompts:
    """The text of the user's turns of each record, and of all turns where a record brought its own chat."""

    head: str = ""
    """What prompts begin with, up to the end of a line: the task, and the labels with their descriptions."""
    tail: str = ""
    own: dict[str, str] = field(default_factory=dict)
    """Id -> what stands between the two."""
    whole: dict[str, str] = field(default_factory=dict)
    """Id -> the prompt of a record that does not begin and end like the others."""

    @classmethod
    def of(cls, build: BuildFolder, ids: Iterable[str]) -> Prompts:
        """Those of the records with these ids; none where it has no file for LLaMA-Factory."""
        chats = chats_of(build)
        rows = (
            (id_, _whole(row) if id_ in chats else _asked(row))
            for row in build.rows(TRAIN, VAL)
            for id_ in (str(row.get("id")),)
        )
        first = list(islice(rows, _COMPARED))
        prompts = cls(*_shared(sorted({text for _, text in first})))
        wanted = set(ids)
        for id_, text in (*first, *rows):
            if id_ in wanted and id_ not in prompts.own and id_ not in prompts.whole:
                prompts._add(id_, text)
        return prompts

    def _add(self, id_: str, text: str) -> None:
        between = len(text) - len(self.head) - len(self.tail)
        if between >= 0 and text.startswith(self.head) and text.endswith(self.tail):
            self.own[id_] = text[len(self.head) : len(self.head) + between]
        elif text:
            self.whole[id_] = text

    def particular(self, id_: str) -> str:
        """What a record's prompt says that not all of them say."""
        return self.own.get(id_) or self.whole.get(id_, "")


def _turns(row: dict[str, object]) -> Iterator[tuple[str, str]]:
    """Role and text of each turn."""
    messages = row.get("messages")
    for turn in messages if isinstance(messages, list) else ():
        if isinstance(turn, dict):
            yield str(turn.get("role") or ""), str(turn.get("content") or "")


def _asked(row: dict[str, object]) -> str:
    return "\n".join(text for role, text in _turns(row) if role == "user")


def _whole(row: dict[str, object]) -> str:
    return "\n".join(f"{role}: {text}" for role, text in _turns(row))


def _shared(texts: list[str]) -> tuple[str, str]:
    """Beginning and end of all texts, whole lines. Nothing is shared by fewer than two."""
    if len(texts) < 2:
        return "", ""
    head = _beginning(texts)
    head = head[: head.rfind("\n") + 1]
    tail = _beginning([text[len(head) :][::-1] for text in texts])[::-1]
    at = tail.find("\n")
    return head, tail[at:] if at >= 0 else ""


def _beginning(texts: list[str]) -> str:
    """What all texts begin with: as much as the first and the last of them, sorted."""
    first, last = min(texts), max(texts)
    differs = (at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return first[: next(differs, min(len(first), len(last)))]
