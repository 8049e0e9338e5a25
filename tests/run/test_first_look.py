"""The records of a look: some of each label, whatever their order and the batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from datakit.core.outcome import Batch, Reject
from datakit.run.first_look import limited


def batches(labels: list[str | None], size: int, rejected: int = 0) -> Iterator[Batch]:
    rejects = [Reject(f"r{number}", "bad_json") for number in range(rejected)]
    yield Batch(pl.DataFrame(schema={"id": pl.String, "label": pl.String}), rejects, {"columns": "took `a`"})
    for start in range(0, len(labels), size):
        part = labels[start : start + size]
        ids = [str(start + at) for at in range(len(part))]
        yield Batch(pl.DataFrame({"id": ids, "label": part}, schema={"id": pl.String, "label": pl.String}))


def look(labels: list[str | None], limit: int, size: int = 7, rejected: int = 0) -> Batch:
    (batch,) = limited(batches(labels, size, rejected), limit)
    return batch


def test_a_source_sorted_by_label_shows_every_label() -> None:
    labels: list[str | None] = ["a"] * 500 + ["b"] * 3 + ["c"] * 200 + [None] * 9
    counts = Counter(look(labels, 20).frame["label"])
    assert counts == {"a": 6, "b": 3, "c": 6, None: 5}


def test_more_labels_than_records_give_one_record_each() -> None:
    labels: list[str | None] = [str(at // 4) for at in range(4000)]
    frame = look(labels, 20).frame
    assert frame["label"].to_list() == [str(at) for at in range(20)]


@given(
    st.lists(st.sampled_from(["a", "b", "c", "d", None]), max_size=80),
    st.integers(1, 30),
    st.integers(1, 20),
)
def test_records_are_the_same_for_any_batches_and_in_their_order(
    labels: list[str | None], limit: int, size: int
) -> None:
    ids = [int(id_) for id_ in look(labels, limit, size).frame["id"]]
    assert ids == [int(id_) for id_ in look(labels, limit, 80).frame["id"]]
    assert ids == sorted(set(ids))
    assert len(ids) == min(limit, len(labels))
    counts = Counter(labels[at] for at in ids)
    most = max(counts.values(), default=0)
    assert all(counts[label] >= min(count, most - 1) for label, count in Counter(labels).items())


def test_rejects_come_in_their_share_of_the_source() -> None:
    labels: list[str | None] = ["a"] * 150
    assert len(look(labels, 20, rejected=50).rejects) == 5
    assert len(look(labels, 20, rejected=1).rejects) == 0
    alone = look([], 20, rejected=3)
    assert (alone.frame.height, len(alone.rejects), alone.notes) == (0, 3, {"columns": "took `a`"})
