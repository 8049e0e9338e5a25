"""Steps in Python: engine and store of a build, tables with thumbnails, an interrupt that stops paying."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

import datakit as dk
from datakit.core.errors import RecipeErrors, UserError
from datakit.notebook import outside_loop
from tests.support.toys import AsyncWork, Numbers, OnlyOdd, Work
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def _in_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)


def answers(log: Path) -> list[str]:
    return log.read_text().split() if log.exists() else []


def test_steps_give_records_rejects_and_report(project: Path) -> None:
    data = dk.apply([OnlyOdd()], Numbers(count=6), quiet=True)
    assert data.frame["id"].to_list() == ["n1", "n3", "n5"]
    assert data.rejects["reason"].to_list() == ["even"] * 3
    assert [(step.name, step.records_out) for step in data.report] == [
        ("toy.numbers", 6),
        ("toy.only_odd", 3),
    ]
    assert "3 records, 3 rejected" in repr(data)


def test_steps_go_on_from_earlier_records_and_pay_once(project: Path) -> None:
    log = project / "log"
    data = dk.apply([OnlyOdd()], Numbers(count=6), quiet=True)
    first = dk.apply([Work(log=str(log))], data, quiet=True)
    again = dk.apply([Work(log=str(log))], first.frame.drop("worked"), take=2, quiet=True)
    assert first.frame["worked"].to_list() == ["1", "3", "5"]
    assert len(again) == 2
    assert answers(log) == ["1", "3", "5"]


def test_missing_column_is_an_error_in_words(project: Path) -> None:
    with pytest.raises(RecipeErrors, match=r"step 1 \(toy.work\): column `text`"):
        dk.apply([Work(log="log")], pl.DataFrame({"id": ["a"], "images": [[]]}), quiet=True)
    with pytest.raises(UserError, match="no column `images`"):
        dk.apply([Work(log="log")], pl.DataFrame({"id": ["a"]}), quiet=True)


def test_table_shows_thumbnails_and_escapes_what_comes_from_data(project: Path) -> None:
    Image.new("RGB", (40, 30), "red").save(project / "a.png")
    frame = pl.DataFrame(
        {"id": ["<script>", "b"], "images": [[str(project / "a.png")], [str(project / "gone.png")]]}
    )
    shown = dk.apply([], frame, quiet=True)._repr_html_()
    assert shown.count("data:image/jpeg;base64,") == 1
    assert "image_missing" in shown
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_works_where_an_event_loop_is_running(project: Path) -> None:
    async def cell() -> int:
        return len(dk.apply([AsyncWork(log=str(project / "log"))], Numbers(count=5), quiet=True))

    assert asyncio.run(cell()) == 5
    assert sorted(answers(project / "log")) == ["0", "1", "2", "3", "4"]


def test_interrupt_in_a_running_loop_stops_the_paid_work(project: Path) -> None:
    log = project / "log"

    async def cell() -> None:
        slow = Work(log=str(log), sleep_s=0.05)
        dk.apply([slow], Numbers(count=400), quiet=True)

    def interrupt() -> None:
        until(lambda: len(answers(log)) >= 3)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(cell())
    paid = answers(log)
    assert 3 <= len(paid) < 100
    again = dk.apply([Work(log=str(log))], Numbers(count=len(paid) - 1), quiet=True)
    assert answers(log) == paid
    assert len(again) == len(paid) - 1


def test_interrupt_waits_until_the_work_has_ended() -> None:
    started, cancelled, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        assert cancelled.wait(60)
        time.sleep(0.1)  # the last call takes its time, which nobody may miss
        ended.set()

    def interrupt() -> None:
        assert started.wait(60)
        os.kill(os.getpid(), signal.SIGINT)

    async def cell() -> None:
        outside_loop(work, cancelled.set)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(cell())
    assert ended.is_set()
