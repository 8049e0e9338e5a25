"""What the records of a build ask, answer and show, kept so that the verdict can compare them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import polars as pl

from datakit.core.chat_columns import chat_columns
from datakit.core.compared import BROUGHT, CHAT, compared_keys
from datakit.core.factored_chats import CHATS
from datakit.core.judged import brought_digest, chat_digest
from datakit.core.record import GENERAL
from datakit.core.step_context import StepContext
from datakit.run.record_frames import RecordFrames


def compared_records(
    frames: RecordFrames, context: StepContext, chats: Collection[str]
) -> Iterator[pl.DataFrame]:
    """Keys of the task's own records, a batch at a time. `chats` are those that keep a chat of their own."""
    columns = chat_columns(context)
    names = [name for name in frames.schema if name in {"id", "images", "set", *columns.names}]
    own = pl.Series(list(chats), dtype=pl.String)
    for batch in frames.batches(names):
        records = batch.filter(pl.col("set").fill_null("") != GENERAL) if "set" in names else batch
        given = records["id"].is_in(own.implode()) if columns.messages == "instead" else None
        keys = compared_keys(records, columns, context.labels, given)
        for name, of in ((CHAT, context.chats), (BROUGHT, context.brought)):
            read = [of.get(id_) for id_ in keys["id"]] if of and (name == CHAT or of != context.chats) else []
            keys = keys.with_columns(pl.Series(name, read, dtype=pl.String)) if any(read) else keys
        yield keys


def fresh_chats(records: pl.DataFrame) -> dict[str, str]:
    """Id -> digest of the chat, of the records of a reader that bring one."""
    brought = records.select("id", CHATS).filter(pl.col(CHATS).list.len() > 0)
    return {id_: chat_digest(turns) for id_, turns in brought.iter_rows()}


def fresh_brought(records: pl.DataFrame, chats: Mapping[str, str], columns: Sequence[str]) -> dict[str, str]:
    """Id -> digest of the chat and these columns, of the records of a reader that bring any."""
    if not columns:
        return dict(chats)
    found = {}
    for row in records.select("id", *columns).iter_rows(named=True):
        id_ = row.pop("id")
        if brought := brought_digest(chats.get(id_), row):
            found[id_] = brought
    return found


def image_digests(digests: Mapping[str, str]) -> dict[str, str | None]:
    """Path -> sha256 of its content; None for a picture that is not there."""
    return {path: None if digest.startswith("missing:") else digest for path, digest in digests.items()}
