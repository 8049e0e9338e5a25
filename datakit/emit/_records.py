"""The records of a build on their way out: some at a time, and none that a trainer would stumble over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from datakit.core.blur import BLUR, BLUR_COLUMN
from datakit.core.errors import UserError
from datakit.core.factored_chats import FactoredChats, SharedAffixes
from datakit.core.outcome import Reject
from datakit.core.record import COLUMNS, GENERAL, TRAIN, VAL
from datakit.core.tokens import IMAGE
from datakit.core.training_columns import LOSS, OBJECTS, TOOLS
from datakit.core.transform import FinalRecords

SPLITS = (TRAIN, VAL, GENERAL)
_PAIR = "(user|observation) (assistant|function_call)"
_TURNS = f"^(system )?{_PAIR}( {_PAIR})*$"
_CHUNK = 4096
_ABSENT = {"split": TRAIN, "repeat": 1, "set": "", BLUR: None}
_DTYPES = {**COLUMNS, BLUR: BLUR_COLUMN}
PLACED = tuple(_ABSENT)
"""The columns that say which file a record goes to and how often, and what of its pictures is blurred, where
records have them."""
CHOSEN = ("id", "messages", "images", *PLACED)
"""The columns that every emitter reads."""
_CARRIED = {TOOLS: pl.String(), OBJECTS: pl.String(), LOSS: pl.List(pl.Boolean())}


def batches(records: FinalRecords, others: Sequence[str] = ()) -> Iterator[pl.DataFrame]:
    """The records in order, some at a time: their texts are never all in memory.

    Columns: id, messages, images, split, repeat, set and `others`.
    """
    for chats in factored_batches(records, others):
        yield chats.expanded()


def factored_batches(records: FinalRecords, others: Sequence[str] = ()) -> Iterator[FactoredChats]:
    """The same with what their chats share apart."""
    have = [name for name in (*CHOSEN, *others) if name in records.schema]
    absent = [pl.lit(value, _DTYPES[name]).alias(name) for name, value in _ABSENT.items() if name not in have]
    for chunk in records.factored(have):
        frame = chunk.frame.with_columns(absent).select([*CHOSEN, *others])
        for portion in frame.with_columns(pl.col("set").fill_null("")).iter_slices(_CHUNK):
            yield FactoredChats(portion, chunk.shared)


def carried_columns(records: FinalRecords, names: Sequence[str]) -> list[str]:
    """Those of the columns that readers make (core.training_columns) which the records have."""
    return [name for name in names if name in records.schema and records.schema[name] == _CARRIED[name]]


def fitting(
    batch: pl.DataFrame, trainer: str, left_out: list[Reject], shared: Sequence[SharedAffixes] = ()
) -> pl.DataFrame:
    """The records that a trainer takes; those that it would drop or stop at join the ones left out.

    `shared` is what the chats of the batch lack, when they are folded.
    """
    faults: dict[str, Reject] = {}
    for reason, words, ids in _faulty(batch, shared):
        detail = f"the record has {words}; {trainer} would drop or stop at it"
        for id_ in ids:
            faults.setdefault(id_, Reject(id_, reason, detail))
    if not faults:
        return batch
    left_out += faults.values()
    return batch.filter(~pl.col("id").is_in(list(faults)))


def check(batch: pl.DataFrame, trainer: str, shared: Sequence[SharedAffixes] = ()) -> None:
    """Raises UserError for what a trainer would drop without a word or stop at; `fitting` leaves it out."""
    for _, words, ids in _faulty(batch, shared):
        raise UserError(
            f"{named(ids)} {words}; {trainer} would drop or stop at such a record",
            remedy="Put render.chat before emitting, or reject these records with a guard.",
        )


def _faulty(batch: pl.DataFrame, shared: Sequence[SharedAffixes]) -> Iterator[tuple[str, str, pl.Series]]:
    """Each fault that records of the batch have: its reason, what they have, and their ids."""
    contents = pl.element().struct.field("content")
    is_answer = pl.element().struct.field("role") == "assistant"
    facts = batch.select(
        "id",
        "split",
        "repeat",
        "set",
        pictures=pl.col("images").list.len().fill_null(0),
        turns=pl.col("messages").list.eval(pl.element().struct.field("role")).list.join(" "),
        untold=pl.col("messages").list.eval(contents.is_null()).list.any(),
        silent=pl.col("messages").list.eval(is_answer & (contents.str.strip_chars() == "")).list.any(),
        places=pl.col("messages").list.eval(contents.str.count_matches(IMAGE, literal=True)).list.sum()
        + sum(text.count(IMAGE) for both in shared for text in both),
    )
    known = pl.col("split").is_in([TRAIN, VAL]).fill_null(False)
    general = (pl.col("set") == GENERAL) & (pl.col("split") != TRAIN)
    order = "turns that are not user and assistant in turn"
    faults = (
        ("messages_missing", "no messages", pl.col("turns").is_null() | (pl.col("turns") == "")),
        ("messages_order", order, ~pl.col("turns").str.contains(_TURNS)),
        ("messages_format", "a turn without text", pl.col("untold")),
        ("answer_empty", "an empty answer", pl.col("silent")),
        (
            "image_places",
            "another number of <image> places than pictures",
            pl.col("places") != pl.col("pictures"),
        ),
        ("split_unknown", "a split that is neither train nor val", ~known),
        ("repeat_below_one", "`repeat` below 1", pl.col("repeat").fill_null(0) < 1),
        ("general_outside_train", "the set general, but not the split train", general),
    )
    for reason, words, wrong in faults:
        ids = facts.filter(wrong)["id"]
        if len(ids):
            yield reason, words, ids


def split_keys(batch: pl.DataFrame) -> list[tuple[str, bool, int]]:
    """For each record its split (train, val, general), whether it has pictures, and copies.

    >>> from datakit.testing import HeldRecords, example_records
    >>> split_keys(next(batches(HeldRecords(example_records().tail(2)))))
    [('train', True, 1), ('val', False, 1)]
    """
    keys = batch.select(
        part=pl.when(pl.col("set") == GENERAL).then(pl.lit(GENERAL)).otherwise("split"),
        pictures=pl.col("images").list.len().fill_null(0) > 0,
        copies=pl.when(pl.col("split") == TRAIN).then("repeat").otherwise(1),
    )
    return keys.rows()


def with_places(batch: pl.DataFrame, places: dict[str, str]) -> pl.DataFrame:
    """The records with the paths of their pictures in the build.

    >>> frame = pl.DataFrame({"id": ["a"], "images": [["/data/a.jpg"]]})
    >>> with_places(frame, {"/data/a.jpg": "images/0af3.jpg"})["images"].to_list()
    [['images/0af3.jpg']]
    """
    images = pl.col("images").fill_null([])
    if places:
        new = pl.element().replace_strict(list(places), list(places.values()), return_dtype=pl.String)
        images = images.list.eval(new)
    return batch.with_columns(images)


def named(ids: pl.Series) -> str:
    """The first few of some records, as the subject of a sentence."""
    if len(ids) == 1:
        return f"record {ids[0]} has"
    return f"records {', '.join(ids.head(3))}{' and others' if len(ids) > 3 else ''} have"


def nothing_to_train(left_out: Sequence[Reject] = ()) -> UserError:
    """The error of a build without training records; `left_out` had no place in the files."""
    if left_out:
        first = left_out[0]
        return UserError(
            f"no record is left for training: {len(left_out):,} have no place in these files, such as "
            f"{first.id} ({first.reason}): {first.detail}",
            remedy="Put render.chat before emitting, or reject these records with a guard.",
        )
    return UserError(
        "no record is left for training",
        remedy="Look at the steps' rejects; with curate.split, lower `val`.",
    )
