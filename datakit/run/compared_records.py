"""What the records of a build ask, answer and show, kept so that the verdict can compare them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from datakit.core.chat_columns import chat_columns
from datakit.core.compared import BROUGHT, BROUGHT_COLUMNS, CHAT, compared_keys
from datakit.core.factored_chats import CHATS
from datakit.core.judged import all_column_digests, all_in_words, brought_digests, chat_digest
from datakit.core.record import GENERAL
from datakit.core.step_context import StepContext
from datakit.core.transform import Reader
from datakit.run.record_frames import RecordFrames


def compared_records(
    frames: RecordFrames, context: StepContext, chats: Collection[str]
) -> Iterator[pl.DataFrame]:
    """Keys of the task's own records, a batch at a time. `chats` are those that keep a chat of their own."""
    columns = chat_columns(context)
    names = [name for name in frames.schema if name in {"id", "images", "set", *columns.names}]
    own = pl.Series(list(chats), dtype=pl.String)
    beside = context.brought if context.brought != context.chats else {}
    for batch in frames.batches(names):
        records = batch.filter(pl.col("set").fill_null("") != GENERAL) if "set" in names else batch
        given = records["id"].is_in(own.implode()) if columns.messages == "instead" else None
        keys = compared_keys(records, columns, context.labels, given)
        for name, of in (
            (CHAT, context.chats),
            (BROUGHT, beside),
            (BROUGHT_COLUMNS, context.brought_columns),
        ):
            read = [of.get(id_) for id_ in keys["id"].to_list()] if of else []
            keys = keys.with_columns(pl.Series(name, read, dtype=pl.String)) if any(read) else keys
        yield keys


@dataclass(frozen=True)
class Brought:
    """What the records of a reader bring besides label, pictures and text: chats, and own columns."""

    context: StepContext
    way: Literal["instead", "beside", "never"]
    """Whether chats are trained on, as core.chat_columns.ChatColumns has it."""
    columns: Sequence[str]

    @classmethod
    def of(
        cls, reader: Reader, context: StepContext, columns: Collection[str], seen_ids: Collection[str]
    ) -> Brought:
        """For a reader with these columns; takes what it passes on of records that are not there yet."""
        asked, passed_on = chat_columns(context), reader.brought(context)
        own = [name for name in asked.judged_names if name in columns and passed_on is None]
        for id_, (digest, each) in (passed_on or {}).items():
            if id_ not in seen_ids:
                context.brought[id_] = digest
                context.brought_columns.update({id_: each} if each else {})
        return cls(context, asked.messages if CHATS in columns else "never", own)

    def take(self, records: pl.DataFrame) -> Collection[str]:
        """Notes down what fresh records bring; the ids of those that keep a chat of their own."""
        chats = _chats(records) if self.way != "never" else {}
        self.context.chats.update(chats)
        self.context.brought.update(chats)
        if self.columns:
            ids, words = records["id"].to_list(), all_in_words(records.select(self.columns))
            digests = brought_digests([chats.get(id_) for id_ in ids], words)
            self.context.brought.update(zip(ids, digests, strict=True))
            self.context.brought_columns.update(zip(ids, all_column_digests(words), strict=True))
        return chats if self.way == "instead" else ()


def _chats(records: pl.DataFrame) -> dict[str, str]:
    """Id -> digest of the chat, of the records that bring one."""
    brought = records.select("id", CHATS).filter(pl.col(CHATS).list.len() > 0)
    return {id_: chat_digest(turns) for id_, turns in brought.iter_rows()}


def image_digests(digests: Mapping[str, str]) -> dict[str, str | None]:
    """Path -> sha256 of its content; None for a picture that is not there."""
    return {path: None if digest.startswith("missing:") else digest for path, digest in digests.items()}
