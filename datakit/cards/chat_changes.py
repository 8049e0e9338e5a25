"""What differs between the emitted chats of two builds: prompts and answers by words, and their lengths."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.record import TRAIN
from datakit.core.word_diff import Piece, changed_share, word_diff, words

What = Literal["prompt", "answer"]
KINDS: tuple[What, ...] = ("prompt", "answer")
LOOKED_AT = 1_000
"""Of more changed records so many, evenly spaced, are compared word by word to find the most changed."""


class TextChange(BaseModel):
    """A prompt or an answer that changed."""

    id: str
    what: What
    share: float
    """How much of both texts stands in one of them alone, 0 to 1, by words."""
    others: int
    """Further records whose text changed by the same words, of those that were compared."""
    before: str
    after: str
    pieces: list[Piece]
    """In order, with `=` in both, `-` before alone, `+` after alone."""


class Spread(BaseModel):
    """Characters of texts."""

    mean: float
    median: int | float
    p95: int
    longest: int


class LengthShift(BaseModel):
    """Characters of the prompts, or answers, of all records of training, each once. A prompt is all that the
    model reads of a chat: the system text as well, and every turn that it does not write."""

    what: What
    before: Spread
    after: Spread


@dataclass(frozen=True)
class ChatChanges:
    """Empty where one of the builds has emitted no chats."""

    changed: list[str] = field(default_factory=list)
    """Ids of the records of both whose chats differ, in the order of the build before."""
    prompts: list[str] | None = None
    """Those whose questions differ; None without chats."""
    answers: list[str] | None = None
    texts: list[TextChange] = field(default_factory=list)
    lengths: list[LengthShift] = field(default_factory=list)


_Texts = Mapping[str, tuple[str, str]]
"""Id -> prompt and answer."""


class _Chat(NamedTuple):
    """An emitted chat without its texts."""

    digest: bytes
    """Of all messages."""
    digests: tuple[bytes, bytes]
    """Of the prompt and of the answer."""
    chars: tuple[int, int]
    is_training: bool


def chat_changes(before: BuildFolder, after: BuildFolder, most: int) -> ChatChanges:
    """The differences, records joined by id; `most` prompts and answers are told word by word."""
    if not before.data_files or not after.data_files:
        return ChatChanges()
    first, second = _chats(before), _chats(after)
    changed = [id_ for id_, chat in first.items() if id_ in second and second[id_].digest != chat.digest]
    differing = [
        [id_ for id_ in changed if first[id_].digests[at] != second[id_].digests[at]] for at in (0, 1)
    ]
    texts: list[TextChange] = []
    if changed and most:
        looked_at = {id_ for ids in differing for id_ in _spaced(ids)}
        old, new = _texts(before, looked_at), _texts(after, looked_at)
        for what, ids in zip(KINDS, differing, strict=True):
            texts += _most_changed(what, _spaced(ids), (old, new), most)
    lengths = [
        LengthShift(what=what, before=_spread(first.values(), at), after=_spread(second.values(), at))
        for at, what in enumerate(KINDS)
    ]
    shifted = [shift for shift in lengths if shift.before != shift.after]
    return ChatChanges(changed, differing[0], differing[1], texts, shifted)


def _spaced(ids: Sequence[str]) -> Sequence[str]:
    """At most `LOOKED_AT` of them."""
    return ids[:: -(-len(ids) // LOOKED_AT)] if ids else ids


def _chats(build: BuildFolder) -> dict[str, _Chat]:
    """Id -> its first row; a record that is written several times counts once."""
    chats: dict[str, _Chat] = {}
    for part, row in _rows(build):
        if row["id"] not in chats:
            prompt, answer = _prompt_and_answer(row)
            digests = _digest(prompt), _digest(answer)
            whole = _digest(json.dumps(row["messages"]))
            chats[row["id"]] = _Chat(whole, digests, (len(prompt), len(answer)), part == TRAIN)
    return chats


def _texts(build: BuildFolder, ids: set[str]) -> dict[str, tuple[str, str]]:
    """Id -> prompt and answer of its first row."""
    texts: dict[str, tuple[str, str]] = {}
    for _, row in _rows(build):
        if row["id"] in ids:
            texts.setdefault(row["id"], _prompt_and_answer(row))
    return texts


def _rows(build: BuildFolder) -> Iterator[tuple[str, dict[str, Any]]]:
    for facts in build.data_files.values():
        for row in build.lines(facts.file):
            yield facts.part, row


def _prompt_and_answer(row: Mapping[str, Any]) -> tuple[str, str]:
    """What is asked, the system's words first, and what the model shall say."""
    asked: list[str] = []
    said: list[str] = []
    for message in row["messages"]:
        (said if message["role"] == "assistant" else asked).append(message["content"] or "")
    return "\n".join(asked), "\n".join(said)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _most_changed(
    what: What, ids: Iterable[str], texts: tuple[_Texts, _Texts], most: int
) -> list[TextChange]:
    """So many kinds of change, the largest first, each by the record in which it is largest."""
    at = KINDS.index(what)
    old, new = ({id_: both[at] for id_, both in of_build.items()} for of_build in texts)
    kinds: dict[tuple[frozenset[Any], frozenset[Any]], list[tuple[float, str]]] = {}
    for id_ in ids:
        first, second = old[id_], new[id_]
        before, after = Counter(words(first)), Counter(words(second))
        kind = frozenset((before - after).items()), frozenset((after - before).items())
        kinds.setdefault(kind, []).append((changed_share(first, second), id_))
    # The first id stands for records that changed alike: the same at any order of rows.
    largest = sorted((min((-share, id_) for share, id_ in same), len(same)) for same in kinds.values())
    return [
        TextChange(
            id=id_,
            what=what,
            share=round(-share, 4),
            others=count - 1,
            before=old[id_],
            after=new[id_],
            pieces=word_diff(old[id_], new[id_]),
        )
        for (share, id_), count in largest[:most]
    ]


def _spread(chats: Iterable[_Chat], at: int) -> Spread:
    sizes = sorted(chat.chars[at] for chat in chats if chat.is_training)
    if not sizes:
        return Spread(mean=0, median=0, p95=0, longest=0)
    middle = median(sizes)
    return Spread(
        mean=round(sum(sizes) / len(sizes), 1),
        median=int(middle) if middle == int(middle) else middle,
        p95=sizes[min(len(sizes) * 95 // 100, len(sizes) - 1)],
        longest=sizes[-1],
    )
