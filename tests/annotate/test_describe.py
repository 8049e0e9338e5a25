"""annotate.describe through the engine: against a real server, and with the offline writer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from datakit.annotate.describe import Describe
from datakit.core.errors import StopProvider, UserError
from datakit.core.labels import load_labels
from datakit.core.record import BASE, COLUMNS
from datakit.core.settings import LlmSettings, RunSettings
from datakit.core.step_context import StepContext
from datakit.llm import json_answer, offline
from datakit.recipe.recipe import Step
from datakit.run.engine import Engine
from datakit.run.record_frames import RecordFrames
from datakit.run.store import Store
from tests.support.loopback import KEY, Call, Loopback, Reply

ROOT = Path(__file__).resolve().parents[2]
LABELS = load_labels(ROOT / "templates" / "ecom" / "labels.yaml")
LINE = pl.List(
    pl.Struct({"text": pl.String, "score": pl.Float64, "box": pl.List(pl.Float64), "image": pl.UInt32})
)
Run = Callable[..., tuple[pl.DataFrame, Engine]]


@pytest.fixture
def records(tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """So many records, each with a picture of its own."""

    def make(count: int) -> list[dict[str, Any]]:
        rows = []
        for number in range(count):
            path = tmp_path / f"{number}.jpg"
            if not path.exists():
                Image.new("RGB", (40, 60), (number % 256, number // 256, 90)).save(path)
            rows.append(
                {"id": f"r{number}", "images": [str(path)], "label": "退款页面", "text": f"t{number}"}
            )
        return rows

    return make


@pytest.fixture
def run(tmp_path: Path, project: Path, make_context: Callable[..., StepContext]) -> Run:
    """Runs the step over rows with the project's one store; gives the frame and the engine."""
    (project / "templates" / "ask.j2").write_text("描述这张图。[id:{{ id }}]\n")
    count = iter(range(1000))

    def go(
        rows: list[dict[str, Any]],
        step: Describe | None = None,
        llm: dict[str, Any] | None = None,
        seed: int = 7,
        **settings: Any,
    ) -> tuple[pl.DataFrame, Engine]:
        number = next(count)
        schema = {name: COLUMNS[name] for name in BASE}
        if any("ocr" in row for row in rows):
            schema |= {"ocr": LINE, "ocr_text": pl.String(), "width": pl.Int64(), "height": pl.Int64()}
        given = RecordFrames(tmp_path / f"given{number}", schema)
        given.append(pl.DataFrame([{"source_file": "x", "source_line": 1, **row} for row in rows], schema))
        store = Store(tmp_path / "store")
        context = make_context(
            llm=LlmSettings(**(llm or {})), run=RunSettings(**settings), labels=LABELS, seed=seed
        )
        engine = Engine(context, store, tmp_path / f"work{number}")
        try:
            stage = engine.run([Step(1, step or Describe(template="ask.j2"), "r.yaml:1:1")], given)
            return stage.lazy().collect(), engine
        finally:
            store.close()

    return go


def rejects(engine: Engine) -> dict[str, tuple[str, str]]:
    lines = (engine.folder / "rejects.jsonl").read_text("utf-8").splitlines()
    return {row["id"]: (row["state"], row["reason"]) for row in map(json.loads, lines)}


def test_answers_land_on_their_own_records(run: Run, server: Loopback, records: Any) -> None:
    server.latency_s = 0.02
    frame, engine = run(records(120), llm={"base_url": server.url}, concurrency=32)
    assert frame["id"].to_list() == [f"r{number}" for number in range(120)]
    for row in frame.to_dicts():
        assert f"记录{row['id']}的" in row["description"]
        assert row["description_by"] == "gpt-4o-mini"
    assert server.count == 120
    (report,) = engine.reports
    assert (report.new, report.calls, report.tokens_in, report.tokens_out) == (120, 120, 12_000, 2_400)
    assert report.cost_usd > 0
    assert report.notes["writer"] == "gpt-4o-mini"


def test_writer_is_told_when_every_text_comes_from_the_store(
    run: Run, server: Loopback, records: Any
) -> None:
    run(records(3), llm={"base_url": server.url})
    _, engine = run(records(3), llm={"base_url": server.url})
    assert server.count == 3
    assert engine.reports[0].notes["writer"] == "gpt-4o-mini"


def test_concurrency_is_reached_and_not_exceeded(run: Run, server: Loopback, records: Any) -> None:
    server.latency_s = 1.0  # longer than a busy machine takes to ask 40 times
    run(records(100), llm={"base_url": server.url}, concurrency=40)
    assert server.most_open == 40


def test_only_what_changes_the_answer_is_paid_again(
    run: Run, server: Loopback, records: Any, tmp_path: Path, project: Path
) -> None:
    rows, llm = records(3), {"base_url": server.url}
    run(rows, llm=llm)
    assert server.count == 3
    run(rows, llm={**llm, "timeout_s": 9.0, "max_retries": 1, "structured": "none"}, concurrency=2)
    run(rows, Describe(template="ask.j2", into="elsewhere", max_tokens=99), llm=llm)
    run(rows, llm={"base_url": server.url.replace("127.0.0.1", "localhost")}, seed=8)
    template = project / "templates" / "ask.j2"
    template.write_text("{# a comment #}\n" + template.read_text() + "\n")
    run(rows, llm=llm)
    assert server.count == 3
    Image.new("RGB", (40, 60), "white").save(tmp_path / "1.jpg")
    run(rows, llm=llm)
    assert server.ids()[3:] == ["r1"]
    server.models = ("gpt-4o-mini", "gpt-4o")
    run(rows, llm={**llm, "model": "gpt-4o"})
    assert server.count == 7
    run(rows, Describe(template="ask.j2", temperature=0.9), llm=llm)
    assert server.count == 10
    template.write_text("请描述。[id:{{ id }}]")
    run(rows, llm=llm)
    assert server.count == 13


def test_changed_parser_reads_stored_answers_anew_without_a_call(
    run: Run, server: Loopback, records: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script = lambda call: Reply(content='{"description": "一段描述", "note": "备注"}')
    first, _ = run(records(3), llm={"base_url": server.url})
    assert first["description"].to_list() == ["一段描述"] * 3
    monkeypatch.setattr(json_answer, "read", lambda raw, schema: {"description": json.loads(raw)["note"]})
    second, engine = run(records(3), llm={"base_url": server.url})
    assert second["description"].to_list() == ["备注"] * 3
    assert (engine.reports[0].cached, engine.reports[0].new, server.count) == (3, 0, 3)


def test_one_edited_field_costs_one_call(run: Run, server: Loopback, records: Any, project: Path) -> None:
    (project / "templates" / "ask.j2").write_text("[id:{{ id }}] {{ text }}")
    rows, llm = records(4), {"base_url": server.url}
    run(rows, llm=llm)
    rows[2]["text"], rows[1]["label"] = "edited", "购物车页面"
    run(rows, llm=llm)
    assert server.ids()[4:] == ["r2"]


def test_every_failure_ends_in_one_state_and_only_retries_are_asked_again(
    run: Run, server: Loopback, records: Any
) -> None:
    def script(call: Call) -> Reply | None:
        return {
            "r1": Reply(refusal="不便描述"),
            "r2": Reply(content="说不清楚"),
            "r3": Reply(400, "maximum context length is 10 tokens"),
            "r4": Reply(500),
            "r5": Reply(429, headers={"retry-after": "0.1"}) if call.attempt == 0 else None,
            "r6": Reply(content="{", finish_reason="length"),
        }.get(call.id)

    server.script = script
    llm = {"base_url": server.url, "max_retries": 1}
    frame, engine = run(records(8), llm=llm)
    assert frame["id"].to_list() == ["r0", "r5", "r7"]
    assert rejects(engine) == {
        "r1": ("rejected", "refused"),
        "r2": ("retry", "answer_malformed"),
        "r3": ("retry", "context_too_long"),
        "r4": ("retry", "server_error"),
        "r6": ("retry", "answer_truncated"),
    }
    assert engine.reports[0].balanced
    assert frame["description"].null_count() == 0
    before = server.count
    server.script = lambda call: None
    frame, engine = run(records(8), llm=llm)
    assert sorted(server.ids()[before:]) == ["r2", "r3", "r4", "r6"]
    assert frame.height == 7
    assert set(rejects(engine)) == {"r1"}


def test_wrong_key_stops_the_build_and_keeps_no_secret(
    run: Run, server: Loopback, records: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run(records(2), llm={"base_url": server.url})
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-secret-4711")
    with pytest.raises(StopProvider):
        run(records(30), llm={"base_url": server.url})
    assert server.count == 2
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"gpt-4o-mini" in written
    for secret in (KEY.encode(), b"sk-wrong-secret-4711", b"base64"):
        assert secret not in written


def test_broken_picture_is_rejected_without_a_call(
    run: Run, server: Loopback, records: Any, tmp_path: Path
) -> None:
    rows = records(2)
    data = (tmp_path / "1.jpg").read_bytes()
    (tmp_path / "1.jpg").write_bytes(data[: len(data) // 2])
    frame, engine = run(rows, llm={"base_url": server.url})
    assert frame["id"].to_list() == ["r0"]
    assert rejects(engine) == {"r1": ("rejected", "image_truncated")}
    assert server.count == 1


def test_records_without_pictures_get_no_description_and_cost_nothing(
    run: Run, server: Loopback, records: Any
) -> None:
    rows = [*records(1), {"id": "words", "images": [], "text": "t"}]
    frame, _ = run(rows, llm={"base_url": server.url})
    assert frame["description"].is_null().to_list() == [False, True]
    assert frame["description_by"].to_list() == ["gpt-4o-mini", None]
    assert server.count == 1


def test_template_needs_its_columns_and_labels(
    make_context: Callable[..., StepContext], project: Path
) -> None:
    (project / "templates" / "mine.j2").write_text("{{ ocr_text }} {{ label_names }}")
    step = Describe(template="mine.j2")
    assert step.inputs(make_context(labels=LABELS)) == ("images", "ocr_text")
    with pytest.raises(UserError, match="label_names"):
        step.inputs(make_context())


def screen(id_: str, *texts: str) -> dict[str, Any]:
    lines = [
        {
            "text": text,
            "score": 0.95,
            "box": [60.0, 1300 * at / len(texts), 60.0 + 26 * len(text), 1300 * at / len(texts) + 30],
            "image": 0,
        }
        for at, text in enumerate(texts)
    ]
    return {"id": id_, "ocr": lines, "ocr_text": "\n".join(texts), "width": 600, "height": 1300}


def test_without_a_key_the_offline_writer_describes_and_says_so(
    run: Run, server: Loopback, records: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    words = (
        "09:41",
        "退款详情",
        "退款成功",
        "退款总金额 ¥35.80",
        "退回支付账户",
        "退款原因 不想要了",
        "联系商家",
    )
    rows = [{**row, **screen(row["id"], *words)} for row in records(20)]
    frame, engine = run(rows)
    texts = frame["description"].to_list()
    assert frame["description_by"].unique().to_list() == [offline.NAME]
    assert engine.reports[0].notes["writer"] == offline.NAME
    assert (engine.reports[0].cost_usd, server.count) == (0, 0)
    assert len(set(texts)) >= 18
    assert all(60 <= len(text) <= 120 for text in texts)
    assert all(any(word in text for word in words) for text in texts)
    assert not any("模型" in text or "AI" in text for text in texts)


def test_offline_description_depends_on_id_and_seed_and_never_on_the_label(run: Run, records: Any) -> None:
    rows = [{**row, **screen(row["id"], "我的订单", "待付款", "待发货", "查看物流")} for row in records(6)]
    first, _ = run(rows)
    relabelled, engine = run([{**row, "label": "购物车页面"} for row in rows])
    assert first["description"].equals(relabelled["description"])
    assert engine.reports[0].new == 0
    backward, _ = run(rows[::-1], batch_rows=2)
    assert backward["description"].to_list() == first["description"].to_list()[::-1]
    reseeded, _ = run(rows, seed=8)
    assert not first["description"].equals(reseeded["description"])


def test_offline_description_of_a_picture_without_text_states_only_what_is_measured(
    run: Run, records: Any
) -> None:
    frame, _ = run(records(5))
    for text in frame["description"]:
        assert 10 <= len(text) <= 120
        assert "竖长" in text
        assert "像素" not in text
        assert "退款" not in text
        assert "文字" not in text
