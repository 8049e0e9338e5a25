"""Functions as steps: their columns, what they reject and pay once, and every way to say it wrongly."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import datakit as dk
from datakit.core.errors import BudgetSpent, RecipeErrors, UserError
from datakit.core.outcome import Done
from datakit.core.settings import RunSettings
from tests.support.toys import Numbers


@pytest.fixture(autouse=True)
def _in_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)


def six(step: Any, **options: Any) -> dk.Records:
    return dk.apply([step], Numbers(count=6), quiet=True, **options)


def test_function_of_a_record_gives_columns_and_rejects_with_its_words() -> None:
    @dk.step(gives={"double": int, "kind": str})
    def doubled(record: dict[str, Any]) -> Any:
        if record["id"] == "n3":
            return dk.Rejected("unlucky", "three")
        return {"double": 2 * int(record["text"]), "kind": None}

    data = six(doubled)
    assert data.frame["double"].to_list() == [0, 2, 4, 8, 10]
    assert data.frame.schema["kind"] == pl.String
    assert data.rejects.select("id", "name", "reason", "detail").rows() == [
        ("n3", "step.doubled", "unlucky", "three")
    ]
    assert [(step.name, step.records_in, step.records_out, step.balanced) for step in data.report][-1] == (
        "step.doubled",
        6,
        5,
        True,
    )
    assert doubled({"id": "x", "text": "4"}) == {"double": 8, "kind": None}  # a function still


def test_function_of_a_batch_may_leave_records_out_and_order_is_kept() -> None:
    @dk.step(gives={"rank": pl.Int32}, reads="text", batch=True)
    def ranked(frame: pl.DataFrame) -> pl.DataFrame:
        assert frame.columns == ["id", "text"]
        return frame.with_columns(rank=pl.lit(1)).filter(pl.col("text") != "2").reverse()

    data = dk.apply([ranked], Numbers(count=6), quiet=True, run=RunSettings(batch_rows=4))
    assert data.frame["id"].to_list() == ["n0", "n1", "n3", "n4", "n5"]
    assert data.frame.schema["rank"] == pl.Int32
    assert data.rejects.select("id", "reason").rows() == [("n2", "dropped_by_step")]


@pytest.mark.parametrize("is_async", [False, True])
def test_function_that_pays_is_paid_once_and_anew_for_another_version(is_async: bool) -> None:
    paid: list[str] = []

    def asked(version: str) -> Any:
        def ask(record: dict[str, Any]) -> Any:
            paid.append(record["text"])
            assert set(record) == {"text"}
            return dk.Rejected("no", "why") if record["text"] == "1" else record["text"] + "!"

        async def ask_async(record: dict[str, Any]) -> Any:
            await asyncio.sleep(0)
            return ask(record)

        chosen = ask_async if is_async else ask
        return dk.step(gives={"said": str}, reads=["text"], pays=True, version=version)(chosen)

    for version, times in (("1", 6), ("1", 6), ("2", 12)):
        data = six(asked(version))
        assert data.frame["said"].to_list() == ["0!", "2!", "3!", "4!", "5!"]
        assert data.rejects["reason"].to_list() == ["no"]
        assert len(paid) == times


def test_cost_counts_against_the_budget_and_what_was_paid_stays() -> None:
    paid: list[str] = []

    @dk.step(gives={"said": str}, reads="text", pays=True, version=1)
    def ask(record: dict[str, Any]) -> Done:
        paid.append(record["text"])
        return Done({"said": "x"}, {"cost_usd": 0.5})

    with pytest.raises(BudgetSpent):
        six(ask, run=RunSettings(budget_usd=1.0))
    assert paid == ["0", "1"]
    assert len(six(ask).frame) == 6
    assert len(paid) == 6


@pytest.mark.fault(
    "a function that is a step and pays fails for a record",
    "the record is left to the next run, the others are stored",
    kind="answers",
)
def test_failure_of_a_function_that_pays_leaves_the_record_to_the_next_run() -> None:
    broken = {"4"}

    @dk.step(gives={"said": str}, reads="text", pays=True, version=1)
    def ask(record: dict[str, Any]) -> str:
        if record["text"] in broken:
            raise ConnectionError("gone")
        return "x"

    data = six(ask)
    assert data.rejects.select("id", "state", "detail").rows() == [("n4", "retry", "ConnectionError: gone")]
    broken.clear()
    assert [(step.cached, step.new) for step in six(ask).report][-1] == (5, 1)


def given(**options: Any) -> Any:
    """A step that gives `options["value"]` for every record."""
    value = options.pop("value")

    @dk.step(**{"gives": {"n": int}, **options})
    def made(_: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value(_) if callable(value) else value

    return made


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"value": ZeroDivisionError("oh")}, "failed at record n0: ZeroDivisionError: oh"),
        ({"value": "x"}, "`n` of record n0 is 'x', which is no Int64"),
        ({"value": {"m": 1}}, "returned no `n`"),
        ({"value": {"n": 1, "m": 1}}, "returned `m`, which `gives` does not name"),
        ({"value": 3, "gives": {"n": int, "m": int}}, "returned int, which is no mapping of n, m"),
        ({"value": 10**30}, "which is no Int64"),
        ({"value": {"n": 1, "id": "z"}}, "returned `id`, which `gives` does not name"),
        ({"value": dk.Rejected("")}, "rejected record n0 without a reason"),
        ({"value": 3, "batch": True}, "returned int, which is no polars DataFrame"),
        ({"value": lambda frame: frame, "batch": True}, "returned a frame without `n`"),
        ({"value": lambda f: pl.concat([f, f]).with_columns(n=1), "batch": True}, "more than once"),
        ({"value": pl.DataFrame({"id": ["z"], "n": [1]}), "batch": True}, "which it was not given"),
        ({"value": ValueError("oh"), "batch": True}, "failed at 6 records from n0 on"),
        ({"value": "x", "pays": True, "version": 1, "reads": "text"}, "which is no Int64"),
    ],
)
def test_what_a_function_gives_wrongly_is_told_with_its_name(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as caught:
        six(given(**options))
    assert words in str(caught.value)
    assert "step.made" in str(caught.value)
    assert caught.value.remedy
    assert "at work" not in caught.value.message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gives": {}}, "gives no column"),
        ({"gives": {"id": str}}, "gives `id`, which steps cannot give"),
        ({"gives": {"@n": str}}, "which steps cannot give"),
        ({"gives": {"n": "int"}}, "the type of `n` is 'int'"),
        ({"gives": ["n"]}, "`gives` is ['n'], no mapping"),
        ({"pays": True, "reads": "text"}, "pays, and has no `version`"),
        ({"pays": True, "version": 1}, "does not say what it reads"),
        ({"pays": True, "version": 1, "reads": "text", "batch": True}, "takes a batch"),
    ],
)
def test_step_that_cannot_be_is_refused_when_it_is_made(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as caught:
        given(value=1, **options)
    assert words in str(caught.value)


def test_other_ways_that_a_step_cannot_be() -> None:
    async def late(record: dict[str, Any]) -> int:
        return 1

    with pytest.raises(UserError, match="is async, which is for functions that pay"):
        dk.step(gives={"n": int})(late)
    with pytest.raises(UserError, match="has no name"):
        dk.step(gives={"n": int})(lambda record: 1)
    with pytest.raises(UserError, match=r"`@dk\.step` does not say what `late` gives"):
        dk.step(late)  # type: ignore[arg-type]
    with pytest.raises(RecipeErrors, match="column `txt` is given by no earlier step"):
        six(given(value=1, reads="txt"))
