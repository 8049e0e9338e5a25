"""Calls of a whole recipe against a real server: pilots, several models, equal records, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from datakit.core.errors import BudgetSpent
from datakit.library import load
from datakit.llm import json_answer
from datakit.run.build import BuildFailed, Options, build
from datakit.run.keys import Keys
from datakit.run.plan import plan
from tests.support.loopback import KEY, Loopback, Reply
from tests.support.waiting import until

Make = Callable[..., Path]
CALL_USD = (60 * 0.15 + 40 * 0.075 + 20 * 0.60) / 1e6


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with Loopback(latency_s=0.01) as server:
        yield server


@pytest.fixture
def make(project: Path, server: Loopback) -> Make:
    """Writes a recipe with two steps that call a model, the second with the first one's answer."""

    def write(records: int = 40, steps: int = 2, run: str = "", **llm: Any) -> Path:
        (project / "templates" / "first.j2").write_text("为什么？[id:{{ id }}]", encoding="utf-8")
        (project / "templates" / "second.j2").write_text("[id:{{ id }}]再说：{{ first }}", encoding="utf-8")
        (project / "templates" / "chat.j2").write_text("这是什么？", encoding="utf-8")
        with open(project / "rows.jsonl", "w", encoding="utf-8") as rows:
            for number in range(records):
                rows.write(json.dumps({"id": f"r{number}", "label": "物流"}, ensure_ascii=False) + "\n")
        settings = {"provider": "openai", "base_url": server.url, **llm}
        asked = ["first", "second"][:steps]
        lines = [f"  - annotate.reason: {{template: {name}.j2, into: {name}}}" for name in asked]
        recipe = project / "recipes" / "calls.yaml"
        recipe.write_text(
            f"version: 1\nname: calls\nllm: {json.dumps(settings)}\nsteps:\n"
            "  - read.jsonl: {path: ../rows.jsonl, label: label}\n"
            + "\n".join(lines)
            + f"\n  - render.chat: {{prompt: chat.j2, answer: label_only}}\nemit:\n  - llamafactory: {{}}\n"
            f"run: {{concurrency: 8{run}}}\n",
            encoding="utf-8",
        )
        return recipe

    return write


def test_pilot_pays_once_for_the_same_records_in_every_step(server: Loopback, make: Make) -> None:
    recipe = load(make())
    made = plan(recipe, pilot=5)
    assert server.count == 10
    assert len(set(server.ids())) == 5
    first, second = [step for step in made.steps if step.model]
    assert (first.cached, first.calls) == (5, 35)
    assert (second.cached, second.calls) == (5, 35)
    assert made.cost_usd == pytest.approx(70 * CALL_USD, rel=1e-3)
    assert made.cost_usd_range == pytest.approx((70 * CALL_USD, 70 * CALL_USD), rel=1e-2)
    assert made.wall_s is not None
    assert "pilot of 5 records cost" in made.notes[-1]
    report = build(recipe).report
    assert server.count == 80
    assert sum(step.calls for step in report.steps) == 70


def test_range_of_the_plan_holds_the_bill(server: Loopback, make: Make) -> None:
    server.answer = lambda call: {"reason": "理由" * (1 + int(call.id[1:]) % 7) + call.id}
    recipe = load(make(records=60, steps=1))
    made = plan(recipe, pilot=20)
    low, high = made.cost_usd_range or (0.0, 0.0)
    bill = sum(step.cost_usd for step in build(recipe).report.steps)
    assert low <= bill <= high * 1.0001


def test_plan_without_a_pilot_calls_nobody(server: Loopback, make: Make) -> None:
    made = plan(load(make()))
    assert server.count == 0
    assert made.calls == 80


def test_limit_of_the_recipe_bounds_the_time_of_the_plan(server: Loopback, make: Make) -> None:
    made = plan(load(make(steps=1, max_requests_per_minute=60.0)), pilot=3)
    assert made.wall_s == pytest.approx(37.0)


def test_records_are_bound_to_models_by_content_and_weight(server: Loopback, make: Make) -> None:
    server.models = ("large", "small")
    one = [{"base_url": server.url, "model": "large", "weight": 3.0, "price_in": 1.0, "price_out": 2.0}]
    two = [*one, {"base_url": server.url, "model": "small", "price_in": 0.1, "price_out": 0.2}]
    assert build(load(make(steps=1, model="large", endpoints=one))).report.steps[1].calls == 40
    alone = server.count
    report = build(load(make(steps=1, endpoints=two))).report
    again = server.calls[alone:]
    assert {call.body["model"] for call in again} == {"small"}  # answers of the large model still stand
    assert 3 <= len(again) <= 18
    assert report.steps[1].cached == 40 - len(again)
    count = server.count
    build(load(make(steps=1, endpoints=two)), Options(force=True))
    assert server.count == count


def test_another_weight_moves_few_records(server: Loopback, make: Make) -> None:
    def bound(weight: float) -> dict[int, str]:
        ends = [{"base_url": "http://a/v1", "model": "a"}, {"base_url": "http://b/v1", "model": "b"}]
        ends[1]["weight"] = weight  # type: ignore[assignment]
        recipe = load(make(endpoints=ends))
        keys = Keys(recipe.steps[1].transform, recipe.context())  # type: ignore[arg-type]
        rows = ({"id": f"r{n}", "label": "物流", "images": [], "text": ""} for n in range(1000))
        return {n: keys.of(row)[1] for n, row in enumerate(rows)}

    even, more = bound(1.0), bound(1.5)
    assert Counter(even.values())["b"] == pytest.approx(500, abs=60)
    assert Counter(more.values())["b"] == pytest.approx(600, abs=60)
    assert not [n for n in even if even[n] == "b" and more[n] == "a"]


def test_equal_questions_of_records_and_of_steps_are_sent_once(server: Loopback, make: Make) -> None:
    path = make(records=200, steps=1)
    text = path.read_text(encoding="utf-8")
    step = "  - annotate.reason: {template: first.j2, into: first}\n"
    (path.parent.parent / "templates" / "first.j2").write_text("为什么？", encoding="utf-8")
    path.write_text(text.replace(step, step + step.replace("into: first", "into: other")), encoding="utf-8")
    report = build(load(path)).report
    assert server.count == len({call.text for call in server.calls})
    assert report.steps[2].calls == 0


def test_answer_that_nobody_could_read_is_kept_and_read_by_a_later_version(
    server: Loopback, make: Make, monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    path = make(records=3, steps=1)
    server.script = lambda call: Reply(content="reason＝因为") if call.id == "r0" else None
    with pytest.raises(BuildFailed, match="1 record could not be answered"):
        build(load(path))
    with closing(sqlite3.connect(project / ".datakit" / "results.sqlite")) as db:
        ((step, value, meta),) = db.execute(
            "SELECT step, value, meta FROM results WHERE step LIKE '%/unread'"
        )
    assert step == "annotate.reason/unread"
    assert json.loads(value)["raw"] == "reason＝因为"
    assert (json.loads(meta)["tokens_out"], json.loads(meta)["cost_usd"]) == (40, pytest.approx(2 * CALL_USD))

    read, asked = json_answer.read, server.count
    monkeypatch.setattr(
        json_answer, "read", lambda raw, schema, *_: read(raw, schema) or dict.fromkeys(schema.names, "因为")
    )
    monkeypatch.setattr(json_answer, "VERSION", json_answer.VERSION + 1)
    report = build(load(path)).report
    assert server.count == asked
    assert (report.steps[1].retry, report.steps[1].records_out, report.steps[1].cost_usd) == (0, 3, 0)


def test_budget_ends_the_build_with_4_and_the_next_run_goes_on(server: Loopback, make: Make) -> None:
    budget = 25 * CALL_USD + 512 * 0.60 / 1e6
    path = make(steps=1, run=f", budget_usd: {budget:.9f}")
    done = subprocess.run(
        [sys.executable, "-m", "datakit.cli", "build", str(path), "--no-card"], capture_output=True, text=True
    )
    assert done.returncode == 4, done.stderr
    assert "budget_usd" in done.stderr
    assert "Traceback" not in done.stderr
    sent = server.count
    assert 20 <= sent <= 26
    assert sent * CALL_USD <= budget
    build(load(path, overrides=["run.budget_usd=1"]))
    assert server.count == 40


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_budget_sets_aside_the_room_that_further_fields_of_the_body_give(
    server: Loopback, make: Make, limit: str
) -> None:
    path = make(steps=1, run=", budget_usd: 0.0005", extra_body={limit: 50_000})
    with pytest.raises(BudgetSpent):
        build(load(path))
    assert server.count == 0, "an answer of 50,000 tokens costs 60 times the budget"
    assert plan(load(path, overrides=["run.budget_usd=null"])).cost_usd_at_most == pytest.approx(
        40 * 3 * 50_000 * 0.60 / 1e6, rel=0.1
    )
    build(load(path, overrides=["run.budget_usd=10"]))
    assert {call.body[limit] for call in server.calls} == {50_000}


def test_ctrl_c_keeps_what_was_answered_and_says_nothing_odd(server: Loopback, make: Make) -> None:
    server.latency_s = 0.2
    path = make(records=200, steps=1)
    command = [sys.executable, "-m", "datakit.cli", "build", str(path), "--no-card"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    until(lambda: server.count >= 50, process)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    told = process.stderr.read()
    assert process.wait() == 130
    assert not [word for word in ("Traceback", "Unclosed", "destroyed", "never awaited") if word in told], (
        told
    )
    sent = server.count
    server.latency_s = 0.0
    build(load(path))
    assert server.count - sent <= 200 - sent + 8  # those in flight, and none that had been answered


def test_a_build_from_the_store_says_what_its_answers_had_taken(make: Make, project: Path) -> None:
    def answers() -> list[tuple[int, int, int]]:
        report = json.loads((project / "build/calls/report.json").read_bytes())
        return [
            (step["answer_calls"], step["answer_tokens_in"], step["answer_tokens_out"])
            for step in report["steps"]
            if step["name"] == "annotate.reason"
        ]

    build(load(make(records=5)))
    assert answers() == [(5, 500, 100), (5, 500, 100)]
    build(load(project / "recipes/calls.yaml"), Options(force=True))
    assert answers() == [(5, 500, 100), (5, 500, 100)]
