"""The engine: every record is accounted for, paid work is done once, crashes lose nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datakit.core.errors import BudgetSpent, UserError
from datakit.core.settings import RunSettings
from datakit.core.step_context import StepContext
from datakit.core.transform import Transform
from datakit.recipe.recipe import Step
from datakit.run.engine import Engine, NotConserved, NothingLeft
from datakit.run.store import Store
from tests.support.toys import AsyncWork, DropShort, Lossy, Numbers, OnlyOdd, ProcessWork, Rare, Shout, Work

Run = Callable[..., tuple[Any, Engine]]


@pytest.fixture
def run(tmp_path: Path, make_context: Callable[..., StepContext]) -> Run:
    """Runs steps in the test's project; returns the frame and the engine."""
    count = iter(range(1000))

    def go(*transforms: Transform, limit: int | None = None, **settings: Any) -> tuple[Any, Engine]:
        store = Store(tmp_path / ".datakit")
        context = make_context(run=RunSettings(**settings))
        engine = Engine(context, store, tmp_path / f"work{next(count)}", limit=limit)
        steps = [Step(n, transform, f"r.yaml:{n}:1") for n, transform in enumerate(transforms, 1)]
        try:
            frames = engine.run(steps)
            return frames.lazy().collect(), engine
        finally:
            store.close()

    return go


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


@pytest.mark.parametrize("kind", [Work, ProcessWork, AsyncWork])
def test_second_run_repeats_no_work(run: Run, tmp_path: Path, kind: type[Work]) -> None:
    work = kind(log=str(tmp_path / "log"))
    first, _ = run(Numbers(count=50), work, batch_rows=7)
    assert sorted(lines(tmp_path / "log"), key=int) == [str(n) for n in range(50)]
    again, engine = run(Numbers(count=50), work, batch_rows=16)
    assert len(lines(tmp_path / "log")) == 50
    assert again.drop("@2.toy." + kind.registered_name[4:]).equals(
        first.drop("@2.toy." + kind.registered_name[4:])
    )
    assert (engine.reports[1].cached, engine.reports[1].new) == (50, 0)


@pytest.mark.parametrize("kind", [ProcessWork, AsyncWork])
def test_records_keep_their_order(run: Run, tmp_path: Path, kind: type[Work]) -> None:
    frame, _ = run(Numbers(count=40), kind(log=str(tmp_path / "log")), batch_rows=9)
    assert frame["worked"].to_list() == [str(n) for n in range(40)]


def test_parameters_outside_the_key_cost_nothing(run: Run, tmp_path: Path) -> None:
    run(Numbers(count=5), Work(log=str(tmp_path / "log")))
    frame, _ = run(Numbers(count=5), Work(log=str(tmp_path / "log"), suffix="!"))
    assert frame["worked"].to_list() == ["0!", "1!", "2!", "3!", "4!"]
    assert len(lines(tmp_path / "log")) == 5
    run(Numbers(count=5), Work(log=str(tmp_path / "log"), times=2))
    assert len(lines(tmp_path / "log")) == 10


def test_equal_inputs_share_one_piece_of_work(run: Run, tmp_path: Path) -> None:
    class Same(Numbers):
        def read(self, context: StepContext) -> Any:
            for batch in super().read(context):
                yield type(batch)(batch.frame.with_columns(text=batch.frame["label"]), batch.rejects)

    _, engine = run(Same(count=20), ProcessWork(log=str(tmp_path / "log")))
    assert sorted(lines(tmp_path / "log")) == ["even", "odd"]
    assert engine.reports[1].calls == 2
    assert engine.reports[1].new + engine.reports[1].cached == 20


@pytest.mark.parametrize(("price_usd", "count", "guilty"), [(0.5, 20, 7), (0.0, 200, 150)])
def test_crash_of_a_worker_costs_only_its_own_record(
    run: Run, tmp_path: Path, price_usd: float, count: int, guilty: int
) -> None:
    """Also where many records wait and many answers are not read yet, as where nothing is paid."""
    log, others = tmp_path / "log", [str(n) for n in range(count) if n != guilty]
    work = ProcessWork(log=str(log), crash=(str(guilty),), price_usd=price_usd)
    frame, engine = run(Numbers(count=count), work, workers=2)
    assert frame["text"].to_list() == others
    assert engine.reports[1].retry == 1
    assert Counter(lines(log)) == {**dict.fromkeys(others, 1), str(guilty): 2}
    (reject,) = [orjson.loads(line) for line in (engine.folder / "rejects.jsonl").read_bytes().splitlines()]
    assert (reject["id"], reject["state"], reject["reason"]) == (f"n{guilty}", "retry", "worker_crashed")
    run(Numbers(count=count), ProcessWork(log=str(log)))
    assert len(lines(log)) == count - 1 + 2 + 1


def test_retries_are_not_stored_and_rejects_are(run: Run, tmp_path: Path) -> None:
    work = Work(log=str(tmp_path / "log"), fail=("1",), refuse=("2",))
    for _ in range(2):
        frame, engine = run(Numbers(count=4), work)
        assert frame["text"].to_list() == ["0", "3"]
        assert (engine.reports[1].retry, engine.reports[1].rejected) == (1, {"refused": 1})
    assert sorted(lines(tmp_path / "log")) == ["0", "1", "1", "2", "3"]


def test_concurrency_is_reached_and_not_exceeded(run: Run, tmp_path: Path) -> None:
    run(Numbers(count=60), AsyncWork(log=str(tmp_path / "log")), concurrency=16, batch_rows=10)
    assert (tmp_path / "log.open").read_text() == "16"


def test_budget_stops_the_run_and_keeps_what_was_paid(run: Run, tmp_path: Path) -> None:
    work = Work(log=str(tmp_path / "log"))
    with pytest.raises(BudgetSpent, match="budget_usd"):
        run(Numbers(count=10), work, budget_usd=2.0)
    assert len(lines(tmp_path / "log")) == 4
    run(Numbers(count=10), work)
    assert sorted(lines(tmp_path / "log"), key=int) == [str(n) for n in range(10)]


@pytest.mark.parametrize("batch_rows", [2, 100])
def test_guards_and_renderers_in_a_row_are_counted_one_by_one(run: Run, batch_rows: int) -> None:
    frame, engine = run(Numbers(count=7), Shout(), OnlyOdd(), Shout(), batch_rows=batch_rows)
    assert frame["loud"].to_list() == ["1!", "3!", "5!"]
    assert [(r.records_in, r.records_out, r.rejected) for r in engine.reports[1:]] == [
        (7, 7, {}),
        (7, 3, {"even": 4}),
        (3, 3, {}),
    ]
    stages = {path.name for path in engine.folder.iterdir()}
    assert stages & {"02.toy.shout", "03.toy.only_odd", "04.toy.shout"} == {"04.toy.shout"}


def test_guard_that_compares_sees_all_records_after_another_guard(run: Run) -> None:
    frame, engine = run(Numbers(count=7), Shout(), Rare(), batch_rows=2)
    assert frame["label"].to_list() == ["odd"] * 3
    assert engine.reports[2].rejected == {"common": 4}


def test_guard_that_rejects_all_in_a_row_of_guards_is_named(run: Run) -> None:
    with pytest.raises(NothingLeft, match=r"step 3 \(toy.rare\) left no record: common 3.*\n.*example n1"):
        run(Numbers(count=7), OnlyOdd(), Rare(), Shout())


def test_loss_without_a_word_is_found(run: Run) -> None:
    with pytest.raises(NotConserved, match="does not account"):
        run(Numbers(count=5), Lossy())


def test_all_records_rejected_is_an_error_with_an_example(run: Run) -> None:
    with pytest.raises(NothingLeft, match="short 5"):
        run(Numbers(count=5), DropShort(min_chars=3))


def test_transform_that_no_worker_can_import_is_named(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be sent to a worker process"):
        run(Numbers(count=2), _local_annotator()(log=str(tmp_path / "log")))


def _local_annotator() -> type[ProcessWork]:
    class Hidden(ProcessWork):
        """Cannot be imported by a worker."""

    Hidden.__qualname__ = "Hidden"
    return Hidden


@given(count=st.integers(1, 40), broken=st.integers(0, 5), size=st.integers(1, 50), short=st.integers(1, 2))
@settings(max_examples=25, deadline=None)
def test_conservation_and_independence_of_batch_size(
    tmp_path_factory: pytest.TempPathFactory, count: int, broken: int, size: int, short: int
) -> None:
    folder = tmp_path_factory.mktemp("run")
    results = []
    for rows in (size, 4096):
        context = StepContext(base=folder, project=folder, run=RunSettings(batch_rows=rows))
        store = Store(folder / "store")
        engine = Engine(context, store, folder / f"work{rows}")
        transforms = [
            Numbers(count=count, broken=broken),
            OnlyOdd(),
            Work(log=str(folder / "log"), refuse=("3",), fail=("5",)),
            DropShort(min_chars=short),
        ]
        try:
            frames = engine.run([Step(n, transform, "") for n, transform in enumerate(transforms, 1)])
            results.append(frames.lazy().collect().drop("@3.toy.work").rows())
        except NothingLeft:
            results.append([])
        rejects = (engine.folder / "rejects.jsonl").read_bytes().splitlines()
        assert engine.reports[0].added == count
        assert len(rejects) + engine.reports[-1].records_out == count
        store.close()
    assert results[0] == results[1]
