"""Chats without what they share: the constant parts of prompts, kept once for all records of a batch.

A prompt of 2,100 characters is mostly the same in every record (the instructions, the label block). What is
the same need not be written to a stage, read back and escaped for JSON again for each record.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

import polars as pl

from datakit.core.tokens import IMAGE

CHATS = "messages"
_FACTORED_ROLES = ("system", "user")
"""Answers stay whole: they are short, and a constant one would look empty."""
_SAMPLE = 8
_TRIES = 3


class SharedAffixes(NamedTuple):
    """How every text of one turn begins and ends; "" for what is not shared."""

    start: str = ""
    end: str = ""


class FactoredChats(NamedTuple):
    """Records whose chats lack what they share. `<image>` places are never cut in two."""

    frame: pl.DataFrame
    shared: Sequence[SharedAffixes] = ()
    """One for each turn; () where the chats have different turns, or none, and so are whole."""

    def expanded(self) -> pl.DataFrame:
        """The records with their whole chats."""
        if not self.shared or CHATS not in self.frame.columns:
            return self.frame
        return self.frame.with_columns(expanded(self.frame[CHATS], self.shared))


def expanded(messages: pl.Series, shared: Sequence[SharedAffixes]) -> pl.Series:
    """Whole chats of folded ones."""
    if not shared or messages.is_empty():
        return messages
    roles, turns = turns_of(messages, len(shared))
    whole = [
        turn.to_frame("x").select(pl.concat_str(pl.lit(start), "x", pl.lit(end))).to_series()
        if start or end
        else turn
        for turn, (start, end) in zip(turns, shared, strict=True)
    ]
    return chats(roles, whole)


def factor(frame: pl.DataFrame, like: Sequence[SharedAffixes] = ()) -> FactoredChats:
    """The records without what all their chats share, if all have the same roles in turn.

    Where they share what other records do (`like`), just that is taken off, so that many batches have the
    same form.
    """
    widths = frame[CHATS].list.len()
    width = widths.max()
    if not isinstance(width, int) or width == 0 or widths.null_count() or widths.min() != width:
        return FactoredChats(frame)
    roles, turns = turns_of(frame[CHATS], width)
    if None in roles or not _same_roles(frame[CHATS], roles):
        return FactoredChats(frame)
    rests, shared = [], []
    guesses = like if len(like) == width else [SharedAffixes()] * width
    for role, turn, guess in zip(roles, turns, guesses, strict=True):
        rest, start, end = turn, "", ""
        if role in _FACTORED_ROLES:
            rest, start = _without(turn, guess.start, at_end=False)
            rest, end = _without(rest, guess.end, at_end=True)
        rests.append(rest)
        shared.append(SharedAffixes(start, end))
    return FactoredChats(frame.with_columns(chats(roles, rests)), tuple(shared))


def uncut(start: str, end: str) -> tuple[SharedAffixes, str, str]:
    """The two texts as shared ones, and what of them must stay with each text: a part of an `<image>`."""
    tail = max((size for size in range(1, len(IMAGE)) if start.endswith(IMAGE[:size])), default=0)
    head = max((size for size in range(1, len(IMAGE)) if end.startswith(IMAGE[-size:])), default=0)
    kept = len(start) - tail
    return SharedAffixes(start[:kept], end[head:]), start[kept:], end[:head]


def turns_of(messages: pl.Series, width: int) -> tuple[list[str], list[pl.Series]]:
    """The first chat's roles, and the texts of each turn; every chat has `width` turns."""
    flat = messages.explode().struct.field("content")
    return roles_of(messages), [flat.gather_every(width, number) for number in range(width)]


def roles_of(messages: pl.Series) -> list[str]:
    """The roles of the first chat."""
    return messages.head(1).explode().struct.field("role").to_list()


def chats(roles: Sequence[str], turns: Sequence[pl.Series]) -> pl.Series:
    """Turns, a column each, as one chat a row. Texts are gathered as views, not copied: 5 times quicker than
    `concat_list` of structs (2026-11-24)."""
    count, width = len(turns[0]), len(turns)
    number = pl.int_range(count * width, eager=True)
    order = number % width * count + number // width
    flat = pl.concat([turn.alias("content") for turn in turns]).gather(order)
    names = pl.Series("role", [*roles] * count, dtype=pl.String)
    return pl.DataFrame([names, flat]).to_struct(CHATS).reshape((count, width)).arr.to_list()


def _same_roles(messages: pl.Series, roles: list[str]) -> bool:
    names = messages.explode().struct.field("role")
    return all(
        bool((names.gather_every(len(roles), number) == role).fill_null(False).all())
        for number, role in enumerate(roles)
    )


def _without(texts: pl.Series, guess: str, *, at_end: bool) -> tuple[pl.Series, str]:
    """The texts without what all begin (or end) with, and that. Views of the texts, no copies."""
    if texts.null_count():
        return texts, ""
    sizes = texts.str.len_bytes()
    column = pl.col("x").str
    sample = [texts[at] for at in range(0, len(texts), max(1, len(texts) // _SAMPLE))]
    common = guess or _common(sample, at_end=at_end)
    for _ in range(_TRIES):
        if not common:
            break
        strip = column.strip_suffix(common) if at_end else column.strip_prefix(common)
        rest = texts.to_frame("x").select(strip).to_series()
        others = sizes - rest.str.len_bytes() != len(common.encode())
        if not others.any():
            return rest, common
        sample += texts.filter(others).head(_SAMPLE).to_list()
        common = _common(sample, at_end=at_end)
    return texts, ""


def _common(texts: Sequence[str], *, at_end: bool) -> str:
    """What all texts begin (or end) with, without a part of an `<image>`."""
    whole = (text[::-1] for text in texts) if at_end else texts
    columns = zip(*whole, strict=False)
    size = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))
    if at_end:
        return uncut("", texts[0][len(texts[0]) - size :])[0].end
    return uncut(texts[0][:size], "")[0].start
