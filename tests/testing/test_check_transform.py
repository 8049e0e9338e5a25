"""The conformance suite finds every kind of fault in a plug-in, and says what to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from datakit.core.outcome import Batch, Done, Outcome, Reject, Table
from datakit.core.record import BASE, COLUMNS
from datakit.core.step_context import StepContext
from datakit.core.transform import (
    Annotator,
    Artifact,
    Columns,
    Emitter,
    FinalRecords,
    Guard,
    Reader,
    Row,
    RowWorker,
    TableTransform,
    Transform,
    Worker,
)
from datakit.testing import Case, check_transform, example_records, transform_checks

ROWS = [
    {"id": "a", "text": "hello", "label": "x", "price": 3},
    {"id": "b", "text": "a longer text", "label": "y", "price": 4},
    {"id": "c", "text": None, "label": "x"},
    {"id": "d", "text": "more", "label": None},
]


class Length(TableTransform):
    """Column `<into>` with the characters of the text; null without one."""

    into: str = "length"
    """Name of the column."""

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("text",)

    def outputs(self, context: StepContext) -> Columns:
        return {self.into: pl.UInt32()}

    def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
        return Table(frame.with_columns(pl.col("text").str.len_chars().alias(self.into)))


class _Words(RowWorker):
    def answer(self, row: Row) -> Outcome:
        return Done(len((row["text"] or "").split()))


class Words(Annotator):
    """Column `words` with the number of words in the text."""

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("text",)

    def outputs(self, context: StepContext) -> Columns:
        return {"words": pl.Int64()}

    def start(self, context: StepContext) -> RowWorker:
        return _Words()

    def columns(self, raw: Any, row: Row, context: StepContext) -> Row:
        return {"words": raw}


class Lines(Reader):
    """One record per line of a text file."""

    path: str
    """The file."""

    def files(self, context: StepContext) -> list[Path]:
        return [context.path(self.path)]

    def columns(self, context: StepContext) -> Columns:
        return {name: COLUMNS[name] for name in BASE}

    def read(self, context: StepContext) -> Iterator[Batch]:
        lines = context.read_text(self.path).splitlines()
        rows = [
            {"id": self.id_of(line, context), "source_file": self.path, "source_line": at, "text": line}
            for at, line in enumerate(lines, 1)
        ]
        schema = self.columns(context)
        for at in range(0, max(len(rows), 1), context.run.batch_rows):
            frame = pl.DataFrame(rows[at : at + context.run.batch_rows], schema)
            yield Batch(frame.with_columns(pl.col("images").fill_null([])))

    def id_of(self, text: str, context: StepContext) -> str:
        return text


class Ids(Emitter):
    """`ids.txt` with the id of every record."""

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("id",)

    def write(self, records: FinalRecords, folder: Path, context: StepContext) -> list[Artifact]:
        ids = [id_ for batch in records.batches(["id"]) for id_ in batch["id"]]
        (folder / "ids.txt").write_text("\n".join(ids))
        return [Artifact(path="ids.txt", kind="data", records=len(ids))]


def write_lines(folder: Path) -> None:
    (folder / "lines.txt").write_text("one\ntwo\nthree\n")


@pytest.mark.parametrize(
    "case",
    [
        Case(Length(), ROWS),
        Case(Length),
        Case(Length, ROWS, {"into": "size"}),
        Case(Words(), ROWS),
        Case(Lines(path="lines.txt"), write_files=write_lines),
        Case(Ids()),
    ],
    ids=lambda case: case.kind.__name__,
)
def test_sound_transform_passes(case: Case) -> None:
    check_transform(case.transform, case.records, parameters=case.parameters, write_files=case.write_files)


class Bare(Length):
    pass


class Undocumented(Length):
    """The same."""

    more: int = 1


class Secret(Length):
    """Reads a column that it does not name."""

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ()


class Doubled(Length):
    """Reads a price that it does not name."""

    def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
        price = pl.col("price").cast(pl.UInt32)
        return Table(super().apply(frame, context).frame.with_columns(price.alias(self.into)))


class Peeping(Length):
    """Looks at the label where there is one."""

    def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
        names = frame.collect_schema().names()
        value = pl.col("label").str.len_chars() if "label" in names else pl.lit(0, pl.UInt32)
        return Table(frame.with_columns(value.alias(self.into)))


class Meddling(Length):
    """Changes the label as well."""

    def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
        return Table(super().apply(frame, context).frame.with_columns(label=pl.lit("mine")))


class OtherType(Length):
    """Gives another type than it says."""

    def outputs(self, context: StepContext) -> Columns:
        return {self.into: pl.Int64()}


class Neighbourly(Length):
    """Gives the number of records."""

    def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
        return Table(frame.with_columns(pl.len().cast(pl.UInt32).alias(self.into)))


class Ordered(Length):
    """Gives the place of the record."""

    def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
        return Table(frame.with_columns(pl.int_range(pl.len()).cast(pl.UInt32).alias(self.into)))


class BehindTheTools(Length):
    """Opens a file that it does not name."""

    def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
        (context.project / "secret.txt").read_text()
        return super().apply(frame, context)


class Grudging(Guard):
    """Rejects short texts without a word."""

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("text",)

    def start(self, context: StepContext, frame: pl.LazyFrame) -> Worker:
        def keep(batch: pl.DataFrame) -> Batch:
            long = pl.col("text").str.len_chars().fill_null(0) > 4
            short = batch.filter(~long)["id"]
            return Batch(batch.filter(long), [Reject(id_, "short") for id_ in short])

        return keep


class PaysTwice(Words):
    """Lets the concurrency into its key."""

    keyed: ClassVar[tuple[str, ...]] = ()

    def key_settings(self, context: StepContext) -> Row:
        return {"concurrency": context.run.concurrency}


class Unpicklable(Length):
    """Cannot be sent to a worker process."""

    def __reduce__(self) -> Any:
        raise TypeError("not me")


class Moving(Lines):
    """Ids that hold the folder."""

    def id_of(self, text: str, context: StepContext) -> str:
        return f"{context.base}/{text}"


class Timed(Ids):
    """Other bytes each time."""

    def write(self, records: FinalRecords, folder: Path, context: StepContext) -> list[Artifact]:
        (folder / "stamp.txt").write_bytes(os.urandom(8))
        return super().write(records, folder, context)


class Boasting(Ids):
    """Names a file that it did not write."""

    def write(self, records: FinalRecords, folder: Path, context: StepContext) -> list[Artifact]:
        return [Artifact(path="nowhere.json", kind="data")]


class Crashing(Ids):
    """Stops at nulls with an error for programmers."""

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("id", "label")

    def write(self, records: FinalRecords, folder: Path, context: StepContext) -> list[Artifact]:
        texts = [label.upper() for batch in records.batches(["label"]) for label in batch["label"]]
        (folder / "labels.txt").write_text("\n".join(texts))
        return [Artifact(path="labels.txt", kind="data")]


def write_secret(folder: Path) -> None:
    (folder / "secret.txt").write_text("psst")


LINES = {"write_files": write_lines}


@pytest.mark.parametrize(
    ("step", "options", "check", "message"),
    [
        (Bare(), {}, "is_documented", "Bare needs a docstring"),
        (Undocumented(), {}, "is_documented", "without a docstring under the field: more"),
        (Secret(), {}, "columns_that_it_does_not_declare_may_hold_anything", "depends on a column"),
        (Doubled(), {}, "needs_no_column_that_it_does_not_declare", "neither `inputs` nor `optional` names"),
        (Peeping(), {}, "columns_that_it_does_not_declare_may_hold_anything", "depends on a column"),
        (Meddling(), {}, "keeps_ids_and_touches_only_its_own_columns", "columns change"),
        (
            OtherType(),
            {},
            "keeps_ids_and_touches_only_its_own_columns",
            "is Int64, but it comes out as UInt32",
        ),
        (Neighbourly(), {}, "a_record_gives_the_same_without_the_others", "say by_neighbours=True"),
        (Ordered(), {"by_neighbours": True}, "any_row_order_gives_the_same", "in another order"),
        (
            BehindTheTools(),
            {"write_files": write_secret},
            "touches_no_file_and_no_package_that_it_does_not_declare",
            r"`files` does not name: .*secret\.txt",
        ),
        (Grudging(), {}, "accounts_for_records_with_nulls", "without a reason or a sentence"),
        (PaysTwice(), {}, "only_named_parameters_reach_the_key", "every record would be paid again"),
        (Unpicklable(), {}, "travels_to_worker_processes", "cannot be pickled: not me"),
        (Moving(path="lines.txt"), LINES, "gives_the_same_ids_in_another_folder", "gives other ids"),
        (Timed(), {}, "writes_the_same_bytes_again", "these files differ: stamp.txt"),
        (Boasting(), {}, "writes_the_files_that_it_names", "not there: nowhere.json"),
        (Crashing(), {}, "says_in_words_what_it_cannot_write", "raise UserError with words"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Transform) else "",
)
def test_fault_is_found_and_named(step: Transform, options: dict[str, Any], check: str, message: str) -> None:
    records = example_records() if isinstance(step, Emitter) else None if isinstance(step, Reader) else ROWS
    checks = {str(one): one for one in transform_checks(step, records, **options)}
    with pytest.raises(AssertionError, match=message):
        checks[check]()
    with pytest.raises(AssertionError, match=f"{type(step).name()}, check {check}: "):
        check_transform(step, records, **options)


def test_examples_that_lack_a_column_are_told() -> None:
    class Priced(Length):
        """Reads a price."""

        def inputs(self, context: StepContext) -> tuple[str, ...]:
            return ("price",)

    checks = {str(one): one for one in transform_checks(Priced())}
    with pytest.raises(AssertionError, match=r"lack price.*example_records\(\)\.with_columns"):
        checks["examples_suit_the_step"]()


def test_golden_file_is_written_when_asked_and_held_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = tmp_path / "golden" / "length.json"
    with pytest.raises(AssertionError, match="run the tests once with DATAKIT_GOLDEN=write"):
        check_transform(Length(), ROWS, golden=golden)
    monkeypatch.setenv("DATAKIT_GOLDEN", "write")
    check_transform(Length(), ROWS, golden=golden)
    monkeypatch.delenv("DATAKIT_GOLDEN")
    check_transform(Length(), ROWS, golden=golden)
    with pytest.raises(AssertionError, match="raise its `version`"):
        check_transform(Length(), ROWS[:2], golden=golden)


@pytest.mark.parametrize("check", transform_checks(Length(into="size"), ROWS), ids=str)
def test_checks_are_parameters_of_pytest(check: Callable[[], None]) -> None:
    check()


def test_nothing_is_made_while_tests_are_collected() -> None:
    assert transform_checks(Length, ROWS, parameters={"no_such_parameter": 1})
