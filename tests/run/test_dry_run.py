"""A dry run pays nothing, is exact where it can be, and says at most where it cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from datakit.core.outcome import Done, Outcome, Rejected
from datakit.core.step_context import StepContext
from datakit.core.transform import Columns, Row, RowWorker, Transform
from datakit.recipe.recipe import Step
from datakit.run.dry_run import DryRun
from datakit.run.engine import Engine
from datakit.run.policy import Pay
from datakit.run.store import Store
from tests.support.toys import DropShort, Numbers, OnlyOdd, Shout, Work


class After(Work):
    """Works on what `toy.work` gave."""

    registered_name: ClassVar[str] = "toy.after"

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("worked",)

    def columns(self, raw: Any, row: Row, context: StepContext) -> Row | Rejected:
        return {self.into: raw}

    def start(self, context: StepContext) -> Any:
        return _After(self)


class _After(RowWorker):
    def __init__(self, after: After) -> None:
        self.after = after

    def answer(self, row: Row) -> Outcome:
        with open(self.after.log, "a") as log:
            log.write(f"{row['worked']}\n")
        return Done(row["worked"] + "+")


Run = Callable[..., tuple[Engine, pl.DataFrame]]


@pytest.fixture
def run(tmp_path: Path, make_context: Callable[..., StepContext]) -> Run:
    """Runs steps, paying for them or not; returns the engine and the records."""
    count = iter(range(100))

    def go(policy: type[Pay | DryRun], *transforms: Transform) -> tuple[Engine, pl.DataFrame]:
        store = Store(tmp_path / ".datakit")
        engine = Engine(make_context(), store, tmp_path / f"work{next(count)}", policy=policy())
        try:
            frames = engine.run([Step(n, item, f"r.yaml:{n}:1") for n, item in enumerate(transforms, 1)])
            return engine, frames.lazy().collect()
        finally:
            store.close()

    return go


def steps(log: Path, count: int = 6, **work: Any) -> list[Transform]:
    return [
        Numbers(count=count),
        Work(log=str(log), **work),
        DropShort(min_chars=1, by="worked"),
        After(log=str(log), into="after"),
    ]


def figures(engine: Engine) -> list[tuple[int, int, int, int]]:
    assert isinstance(engine.policy, DryRun)
    return [(item.records, item.cached, item.calls, item.open) for item in engine.policy.lookups]


def test_dry_run_of_a_fresh_project_counts_every_record_and_pays_nothing(run: Run, tmp_path: Path) -> None:
    engine, frame = run(DryRun, *steps(tmp_path / "log"))
    assert figures(engine) == [(6, 0, 6, 0), (6, 0, 0, 6)]
    assert frame["after"].to_list() == [None] * 6
    assert not (tmp_path / "log").exists()


def test_dry_run_of_paid_work_gives_the_records_that_a_build_gives(run: Run, tmp_path: Path) -> None:
    _, built = run(Pay, *steps(tmp_path / "log"))
    engine, frame = run(DryRun, *steps(tmp_path / "log"))
    assert figures(engine) == [(6, 6, 0, 0), (6, 6, 0, 0)]
    columns = [name for name in built.columns if not name.startswith("@")]
    assert frame.select(columns).equals(built.select(columns))


def test_step_that_reads_no_unknown_column_is_exact_behind_an_unpaid_one(run: Run, tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    second = Work(log=log, into="second", times=2)
    run(Pay, Numbers(count=6), second)
    engine, frame = run(DryRun, Numbers(count=6), Work(log=log), Shout(), second)
    assert figures(engine) == [(6, 0, 6, 0), (6, 6, 0, 0)]
    assert frame["loud"].to_list() == [f"{n}!" for n in range(6)]
    assert frame["second"].to_list() == [f"{n}{n}" for n in range(6)]


def test_half_paid_work_is_exact_for_the_paid_half(run: Run, tmp_path: Path) -> None:
    run(Pay, *steps(tmp_path / "log", count=4))
    engine, frame = run(DryRun, *steps(tmp_path / "log", count=6))
    assert figures(engine) == [(6, 4, 2, 0), (6, 4, 0, 2)]
    assert sorted(frame["after"].drop_nulls()) == ["0+", "1+", "2+", "3+"]


def test_stored_rejection_counts_as_cached(run: Run, tmp_path: Path) -> None:
    run(Pay, *steps(tmp_path / "log", refuse=("2",)))
    engine, frame = run(DryRun, *steps(tmp_path / "log", refuse=("2",)))
    assert figures(engine)[0] == (6, 6, 0, 0)
    assert engine.reports[1].rejected == {"refused": 1}
    assert frame.height == 5


class Check(Work):
    """Gives no column; only rejects."""

    registered_name: ClassVar[str] = "toy.check"

    def outputs(self, context: StepContext) -> Columns:
        return {}

    def columns(self, raw: Any, row: Row, context: StepContext) -> Row | Rejected:
        return {}


def test_step_that_gives_no_column_is_paid_or_open_all_the_same(run: Run, tmp_path: Path) -> None:
    check = Check(log=str(tmp_path / "log"))
    engine, frame = run(DryRun, Numbers(count=3), check)
    assert (figures(engine), frame["@2.toy.check"].null_count()) == ([(3, 0, 3, 0)], 3)
    run(Pay, Numbers(count=3), check)
    engine, frame = run(DryRun, Numbers(count=3), check)
    assert (figures(engine), frame["@2.toy.check"].null_count()) == ([(3, 3, 0, 0)], 0)


def test_record_that_is_open_twice_leaves_both_columns_unknown(run: Run, tmp_path: Path) -> None:
    """Else a step that reads the second column would take its null for a value."""
    log = str(tmp_path / "log")
    read = (DropShort(min_chars=1, by="second"), After(log=log, into="after"))
    engine, frame = run(DryRun, Numbers(count=4), Work(log=log), Work(log=log, into="second", times=2), *read)
    assert figures(engine) == [(4, 0, 4, 0), (4, 0, 4, 0), (4, 0, 0, 4)]
    assert frame.height == 4


def test_equal_inputs_count_as_one_call(run: Run, tmp_path: Path) -> None:
    class Same(Numbers):
        def read(self, context: StepContext) -> Any:
            for batch in super().read(context):
                yield type(batch)(batch.frame.with_columns(text=batch.frame["label"]), batch.rejects)

    engine, _ = run(DryRun, Same(count=6), OnlyOdd(), Work(log=str(tmp_path / "log")))
    assert figures(engine) == [(3, 0, 1, 0)]
