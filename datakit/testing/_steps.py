"""What a step between reader and emitter must pass: exact about columns, the same in any batch or order."""

from __future__ import annotations

import polars as pl

from datakit.core.record import BASE
from datakit.core.transform import Annotator
from datakit.core.workers import row_worker
from datakit.recipe.recipe import Step
from datakit.run.columns import Algebra
from datakit.testing._bench import PLACE, Bench, Ran, plain
from datakit.testing._case import with_nulls
from datakit.testing._expect import expect, expect_same
from datakit.testing._golden import compare_golden
from datakit.testing._watching import (
    absent_packages,
    opened_files,
    strange_files,
    undeclared_packages,
    with_others_moved,
)


def examples_suit_the_step(bench: Bench) -> None:
    """The example records have every column that the step reads."""
    lacking = set(bench.transform.reads(bench.context())) - set(bench.records.columns)
    expect(
        not lacking,
        f"the example records lack {', '.join(sorted(lacking))}, which the step reads: give `records` with "
        "these columns, such as datakit.testing.example_records().with_columns(...)",
    )


def any_batch_size_gives_the_same(bench: Bench) -> None:
    """Two records at a time give what all at once give."""
    small = bench.run(bench.records, batch_rows=2)
    expect_same(plain(small.frame), plain(bench.whole.frame), "two records at a time give other output")
    expect(small.rejects == bench.whole.rejects, "two records at a time give other rejects")


def any_row_order_gives_the_same(bench: Bench) -> None:
    """The records backwards give the same for each."""
    backward = bench.run(bench.records.reverse())
    expect_same(
        plain(backward.frame).sort("id"),
        plain(bench.whole.frame).sort("id"),
        "the same records in another order give other output",
    )
    expect(
        _rejected(backward) == _rejected(bench.whole),
        "the same records in another order give other rejects",
    )


def a_record_gives_the_same_without_the_others(bench: Bench) -> None:
    """Half of the records give what they give among all."""
    half = bench.run(bench.records.gather_every(2))
    ids = half.frame["id"].to_list()
    expect_same(
        plain(half.frame),
        plain(bench.whole.frame.filter(pl.col("id").is_in(ids))),
        "records give other output when others are not there; where that is meant, say by_neighbours=True",
    )


def keeps_ids_and_touches_only_its_own_columns(bench: Bench) -> None:
    """Every record comes out or is rejected, and only columns of `outputs` are added or changed."""
    before, ran = bench.records, bench.whole
    outputs = dict(bench.transform.outputs(bench.context()))
    ids = ran.frame["id"]
    lost = set(before["id"]) - {*ids, *_rejected(ran)}
    expect(not lost, f"records vanish without a reject: {', '.join(sorted(lost)[:3])}")
    expect(ids.n_unique() == len(ids), "an id stands for two records")
    added = set(plain(ran.frame).columns) - set(before.columns) - set(outputs)
    expect(not added, f"columns come out that `outputs` does not name: {', '.join(sorted(added))}")
    kept = before.filter(pl.col("id").is_in(ids.to_list()))
    after = ran.frame.filter(pl.col("id").is_in(kept["id"].to_list()))
    same = [column for column in before.columns if column not in outputs]
    expect_same(after.select(same), kept.select(same), "columns change that `outputs` does not name")
    for column, dtype in outputs.items():
        real = ran.frame.schema.get(column)
        expect(real == dtype, f"`outputs` says that {column} is {dtype}, but it comes out as {real}")


def needs_no_column_that_it_does_not_declare(bench: Bench) -> None:
    """It works on records that have the columns of `inputs` and `optional` and no others."""
    declared = {*bench.transform.reads(bench.context()), *BASE}
    columns = [column for column in bench.records.columns if column in declared]
    try:
        ran = bench.run(bench.records.select(columns))
    except pl.exceptions.ColumnNotFoundError as error:
        raise AssertionError(f"it reads what neither `inputs` nor `optional` names: {error}") from error
    expect(ran.report.balanced, f"records are not accounted for: {ran.report}")


def columns_that_it_does_not_declare_may_hold_anything(bench: Bench) -> None:
    """Its output is the same when the other columns hold other values."""
    ran = bench.run(with_others_moved(bench.records, bench.transform, bench.context()))
    own = ["id", *(column for column in bench.transform.outputs(bench.context()) if column != "id")]
    message = "its output depends on a column that neither `inputs` nor `optional` names"
    expect_same(ran.frame.select(own), bench.whole.frame.select(own), message)
    expect(ran.rejects == bench.whole.rejects, message)


def touches_no_file_and_no_package_that_it_does_not_declare(bench: Bench) -> None:
    """Every file that it opens stands in `files`; of datakit's extras it imports what it names."""
    transform, context = bench.transform, bench.context()
    with absent_packages(undeclared_packages(transform, context)), opened_files() as opened:
        if isinstance(transform, Annotator) and transform.executor == "process":
            worker = row_worker(transform.start(context.for_step(transform)))
            for row in bench.records.to_dicts():
                worker.answer(row)
        else:
            bench.run(bench.records)
    strange = strange_files(opened, transform, context, bench.folder.parent)
    expect(not strange, f"it reads files that `files` does not name: {', '.join(map(str, strange))}")


def survives_zero_records(bench: Bench) -> None:
    """Zero records come through, with the columns that it names."""
    empty = bench.records.clear()
    ran = bench.run(empty)
    expect(ran.frame.height == ran.report.added, f"zero records become {ran.frame.height}")
    algebra = Algebra(bench.context())
    algebra.columns = dict(empty.schema)
    columns = algebra.run([Step(1, bench.transform, PLACE)])
    real = dict(plain(bench.whole.frame).schema)
    expect(real == columns, f"on zero records its columns are {columns}, else {real}")


def accounts_for_records_with_nulls(bench: Bench) -> None:
    """Records with nulls come out or are rejected with a reason in words."""
    before = with_nulls(bench.records)
    ran = bench.run(before)
    out = [*ran.frame["id"], *(row["id"] for row in ran.rejects)]
    lost = set(before["id"]) - set(out)
    expect(not lost, f"records with nulls vanish: {', '.join(sorted(lost)[:3])}")
    expect(len(out) == len(set(out)) == before.height + ran.report.added, "a record comes out twice")
    bare = [row["id"] for row in ran.rejects if not (row["reason"] and row["detail"])]
    expect(not bare, f"rejects without a reason or a sentence in `detail`: {', '.join(bare[:3])}")


def golden_output(bench: Bench) -> None:
    """The output is that of the golden file."""
    case, transform, ran = bench.case, bench.transform, bench.whole
    assert case.golden is not None
    columns = case.golden_columns or tuple(transform.outputs(bench.context()))
    rows = ran.frame.select("id", *(column for column in columns if column != "id")).to_dicts()
    rejects = [{key: row[key] for key in ("id", "reason", "detail")} for row in ran.rejects]
    output = {"out": rows, "rejects": rejects}
    readings = transform.reading - 1 if isinstance(transform, Annotator) else 0
    compare_golden(case.golden, transform.version + readings, output, root=case.golden_root)


def _rejected(ran: Ran) -> list[str]:
    return sorted(row["id"] for row in ran.rejects)


CHECKS = (
    examples_suit_the_step,
    any_batch_size_gives_the_same,
    any_row_order_gives_the_same,
    keeps_ids_and_touches_only_its_own_columns,
    needs_no_column_that_it_does_not_declare,
    columns_that_it_does_not_declare_may_hold_anything,
    touches_no_file_and_no_package_that_it_does_not_declare,
    survives_zero_records,
    accounts_for_records_with_nulls,
)
