"""annotate.ask through the engine against a real server: any question, answered into typed columns."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image
from pydantic import ValidationError

from datakit.annotate.ask import Ask
from datakit.core.errors import Exit, RecipeErrors, UserError
from datakit.core.labels import load_labels
from datakit.core.parameters import validated
from datakit.core.record import BASE, COLUMNS
from datakit.core.settings import LlmSettings
from datakit.core.step_context import StepContext
from datakit.recipe.recipe import Step
from datakit.run.engine import Engine
from datakit.run.record_frames import RecordFrames
from datakit.run.store import Store
from tests.support.loopback import Call, Loopback, Reply

ROOT = Path(__file__).resolve().parents[2]
LABELS = load_labels(ROOT / "templates" / "ecom" / "labels.yaml")
ALL = {
    "topic": ["退款", "退货（含换货）"],
    "score": "number",
    "urgent": "boolean",
    "tags": "list",
    "note": "text",
    "title": "line",
}
ANSWER = {
    "topic": "退货 (含换货)",
    "score": 3,
    "urgent": False,
    "tags": ["甲", "乙"],
    "note": "第一行\n第二行",
    "title": "第一行\n第二行",
}
Run = Callable[..., tuple[pl.DataFrame, Engine]]


def ask(**parameters: Any) -> Ask:
    return validated(Ask, {"template": "ask.j2", **parameters})


@pytest.fixture
def run(tmp_path: Path, project: Path, make_context: Callable[..., StepContext]) -> Run:
    """Runs the step over rows with the project's one store; gives the frame and the engine."""
    (project / "templates" / "ask.j2").write_text("这是什么？[id:{{ id }}] {{ text }}")
    count = iter(range(1000))

    def go(rows: list[dict[str, Any]], step: Ask, **llm: Any) -> tuple[pl.DataFrame, Engine]:
        number = next(count)
        schema = {name: COLUMNS[name] for name in BASE}
        given = RecordFrames(tmp_path / f"given{number}", schema)
        given.append(pl.DataFrame([{"source_file": "x", "source_line": 1, **row} for row in rows], schema))
        store = Store(tmp_path / "store")
        engine = Engine(
            make_context(llm=LlmSettings(**llm), labels=LABELS), store, tmp_path / f"work{number}"
        )
        try:
            return engine.run([Step(1, step, "r.yaml:1:1")], given).lazy().collect(), engine
        finally:
            store.close()

    return go


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, Any]]:
    """Three records with a picture each."""
    out = []
    for number in range(3):
        path = tmp_path / f"{number}.jpg"
        Image.new("RGB", (40, 60), (number, 0, 90)).save(path)
        out.append({"id": f"r{number}", "images": [str(path)], "label": "退款页面", "text": f"t{number}"})
    return out


def test_one_text_column(run: Run, server: Loopback, rows: Any) -> None:
    frame, engine = run(rows, ask(into="topic"), base_url=server.url)
    for row in frame.to_dicts():
        assert f"记录{row['id']}的" in row["topic"]
    assert engine.reports[0].notes["writer"] == "gpt-4o-mini"
    assert engine.reports[0].cost_usd > 0
    call = server.calls[0]
    assert len(call.images) == 1
    assert call.body["temperature"] == 0
    assert call.body["response_format"]["json_schema"]["schema"]["required"] == ["topic"]


def test_typed_columns_of_one_answer(run: Run, server: Loopback, rows: Any) -> None:
    server.answer = lambda call: ANSWER
    frame, _ = run(rows, ask(answer=ALL), base_url=server.url)
    assert server.count == 3
    assert {name: frame.schema[name] for name in ALL} == {
        "topic": pl.String,
        "score": pl.Float64,
        "urgent": pl.Boolean,
        "tags": pl.List(pl.String),
        "note": pl.String,
        "title": pl.String,
    }
    wanted = {**ANSWER, "topic": "退货（含换货）", "score": 3.0, "title": "第一行第二行"}
    assert frame.select(list(ALL)).row(0, named=True) == wanted


def test_answer_outside_the_choices_is_repaired_or_left_to_the_next_run(
    run: Run, server: Loopback, rows: Any
) -> None:
    def script(call: Call) -> Reply | None:
        wrong = call.id == "r0" or (call.id == "r1" and call.attempt == 0)
        return Reply(content='{"topic": "换货"}') if wrong else None

    server.script = script
    step = ask(answer={"topic": ["退款", "退货"]})
    frame, engine = run(rows, step, base_url=server.url)
    assert frame.select("id", "topic").rows() == [("r1", "退款"), ("r2", "退款")]
    assert (engine.reports[0].retry, server.count) == (1, 5)
    server.script = lambda call: None
    frame, _ = run(rows, step, base_url=server.url)
    assert (frame.height, server.count) == (3, 6)


def test_pictures_stay_at_home_when_they_are_not_wanted(
    run: Run, server: Loopback, rows: Any, tmp_path: Path
) -> None:
    step = ask(into="topic", images=False)
    run(rows, step, base_url=server.url)
    assert [call.images for call in server.calls] == [[], [], []]
    Image.new("RGB", (40, 60), "white").save(tmp_path / "1.jpg")
    run(rows, step, base_url=server.url)
    assert server.count == 3


def test_system_words_and_the_place_of_pictures_are_sent_and_keyed(
    run: Run, server: Loopback, rows: Any
) -> None:
    run(rows[:1], ask(into="topic"), base_url=server.url)
    run(rows[:1], ask(into="topic", system="你是审核员。"), base_url=server.url)
    run(rows[:1], ask(into="topic", image_first=True), base_url=server.url)
    assert server.count == 3
    assert server.calls[1].body["messages"][0] == {"role": "system", "content": "你是审核员。"}
    kinds = [part["type"] for part in server.calls[2].body["messages"][0]["content"]]
    assert kinds == ["image_url", "text"]


def test_second_run_and_another_limit_cost_nothing_and_another_form_costs_a_call(
    run: Run, server: Loopback, rows: Any
) -> None:
    run(rows[:1], ask(into="topic"), base_url=server.url)
    run(rows[:1], ask(into="topic", max_tokens=900), base_url=server.url, timeout_s=5.0)
    assert server.count == 1
    run(rows[:1], ask(answer={"topic": "list"}), base_url=server.url)
    run(rows[:1], ask(into="topic", temperature=0.5), base_url=server.url)
    assert server.count == 3


def test_template_that_asks_for_the_label_rejects_records_without_one(
    run: Run, server: Loopback, rows: Any, project: Path
) -> None:
    (project / "templates" / "ask.j2").write_text("{{ label_info.description }}[id:{{ id }}]")
    rows[1]["label"] = None
    frame, engine = run(rows, ask(into="topic"), base_url=server.url)
    assert frame["id"].to_list() == ["r0", "r2"]
    assert engine.reports[0].rejected == {"label_missing": 1}
    assert server.count == 2


def test_without_a_model_the_recipe_is_refused_before_anything_runs(project: Path) -> None:
    from datakit.library import load
    from datakit.run.build import build

    (project / "templates" / "ask.j2").write_text("这是什么？")
    (project / "rows.jsonl").write_text(json.dumps({"text": "t", "label": "a"}) + "\n")
    path = project / "recipes" / "r.yaml"
    path.write_text(
        "version: 1\nname: r\nsteps:\n  - read.jsonl: {path: ../rows.jsonl, label: label}\n"
        "  - annotate.ask: {template: ask.j2, into: topic}\nemit:\n  - llamafactory: {}\n"
    )
    with pytest.raises(RecipeErrors) as refused:
        build(load(path))
    assert refused.value.exit_code == Exit.USAGE
    assert "r.yaml:5:5" in str(refused.value)
    assert "OPENAI_API_KEY" in str(refused.value)
    assert (
        not (project / ".datakit" / "results.sqlite-wal").exists() or not (project / "build" / "r").exists()
    )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "either `into`"),
        ({"into": "a", "answer": {"b": "text"}}, "either `into`"),
        ({"into": "images"}, "says where a record comes from"),
        ({"answer": {"a": "nubmer"}}, "Did you mean `number`"),
        ({"answer": {"a": ["x"]}}, "at least two"),
        ({"answer": {"a": ["x", " "]}}, "none blank"),
        ({"answer": {"1a": "text"}}, "pattern"),
        ({"answer": {}}, "at least 1"),
    ],
)
def test_form_that_cannot_be_meant_is_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ask(**parameters)


def test_labels_that_the_template_needs_must_be_there(
    make_context: Callable[..., StepContext], project: Path, server: Loopback
) -> None:
    (project / "templates" / "ask.j2").write_text("{{ label_names }} {{ text }}")
    with pytest.raises(UserError, match="label_names"):
        ask(into="topic").inputs(make_context())
    assert ask(into="topic").inputs(make_context(labels=LABELS)) == ("images", "text")


@pytest.mark.fault(
    "a record's value makes a template of annotate.* go on too long",
    "that record is rejected as template_unbounded, the others are asked about; it has a key of its own",
    kind="bounds",
)
def test_record_that_is_too_much_for_the_template_is_rejected_and_asks_nothing(
    run: Run, server: Loopback, rows: Any, project: Path, tmp_path: Path
) -> None:
    loops = "{% for a in text %}{% for b in text %}{% endfor %}{% endfor %}"
    (project / "templates" / "ask.j2").write_text("这是什么？[id:{{ id }}]" + loops)
    rows[1]["text"] = "长" * 3000
    frame, engine = run(rows, ask(into="topic"), base_url=server.url)
    assert frame["id"].to_list() == ["r0", "r2"]
    assert server.count == 2
    assert engine.reports[0].rejected == {"template_unbounded": 1}
    (tmp_path / "again").mkdir()
    frame, engine = run(rows, ask(into="topic"), base_url=server.url)
    assert frame["id"].to_list() == ["r0", "r2"]
    assert server.count == 2
    rows[1]["text"] = "短"
    frame, _ = run(rows, ask(into="topic"), base_url=server.url)
    assert (frame.height, server.count) == (3, 3)
