"""What refusals do to a build: one is its record's own, many alike end the run, none is stored as a fact."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from datakit.core.errors import DatakitError, Exit
from datakit.library import load
from datakit.llm._evidence import CONFIRMED, FIRST_OPEN
from datakit.run.build import Options, build
from tests.support.loopback import KEY, Loopback, Reply

RECIPE = """\
llm: {{provider: openai, base_url: "{url}", max_retries: {tries}, price_in: 1.0, price_out: 1.0}}
name: shop
steps:
  - read.jsonl: {{path: ../rows.jsonl}}
  - annotate.ask: {{template: ask.j2, into: answer}}
  - render.chat: {{prompt: ask.j2, answer: reply.j2}}
emit:
  - llamafactory: {{images: link}}
run: {{max_reject_rate: 1.0, concurrency: {concurrency}}}
"""
Make = Callable[..., Path]
CONTEXT = "This model's maximum context length is 2048 tokens. However, you requested {} tokens."


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr("datakit.llm._faults._FIRST_BACKOFF_S", 0.02)
    with Loopback() as server:
        yield server


@pytest.fixture
def make(project: Path, server: Loopback) -> Make:
    def write(records: int = 300, *, concurrency: int = 64, tries: int = 5) -> Path:
        (project / "templates" / "ask.j2").write_text("类别？[id:{{ text }}]", encoding="utf-8")
        (project / "templates" / "reply.j2").write_text("{{ answer }}", encoding="utf-8")
        rows = "".join(f'{{"id": "r{n}", "text": "t{n}"}}\n' for n in range(records))
        (project / "rows.jsonl").write_text(rows)
        path = project / "recipes" / "shop.yaml"
        path.write_text(RECIPE.format(url=server.url, concurrency=concurrency, tries=tries))
        return path

    return write


def ended(recipe: Path) -> DatakitError:
    with pytest.raises(DatakitError) as error:
        build(load(recipe))
    return error.value


@pytest.mark.fault(
    "a server refuses everything",
    "the run ends in the server's words; nothing of it is stored",
    kind="answers",
)
@pytest.mark.parametrize("concurrency", [1, 64, 512])
@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, {"error": {"message": "parameter.enable_thinking must be set to false"}}, "llm.thinking"),
        (400, {"error": {"message": "This model only support stream mode"}}, "llm.stream"),
        (422, {"detail": [{"loc": ["body", "n"], "msg": "Extra inputs are not permitted"}]}, "body.n"),
        (422, {"detail": "no such field"}, "no such field"),
        (400, {"error_code": 336003, "error_msg": "at most 20000"}, "336003: at most 20000"),
        (400, "plain words", "plain words"),
        (400, "<html><body>Bad <b>gateway</b></body></html>", "Bad gateway"),
        (413, {"message": "entity too large"}, "entity too large"),
        (403, {"message": "your region is not served"}, "your region is not served"),
        (401, {"message": "who are you"}, "who are you"),
        (402, {"message": "no money"}, "no money"),
        (418, {"message": "a teapot"}, "a teapot"),
    ],
)
def test_refusal_of_everything_ends_the_run_in_the_servers_own_words(
    make: Make, server: Loopback, status: int, body: Any, words: str, concurrency: int
) -> None:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    server.script = lambda call: Reply(status, raw=raw)
    error = ended(make(concurrency=concurrency))
    assert error.exit_code == Exit.PROVIDER
    assert words in str(error)
    assert server.count <= 40


def test_refusals_that_name_what_was_sent_are_the_same_one(make: Make, server: Loopback) -> None:
    server.script = lambda call: Reply(400, CONTEXT.format(2500 + call.number))
    error = ended(make())
    assert "maximum context length" in str(error)
    assert "longer context" in str(error)
    assert server.count <= 40


def test_refusals_that_differ_in_every_word_end_too(make: Make, server: Loopback) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    server.script = lambda call: Reply(400, letters[call.number % 26] * (1 + call.number // 26))
    assert ended(make()).exit_code == Exit.PROVIDER
    assert server.count <= 45


@pytest.mark.fault(
    "a server begins to refuse in the middle of a run",
    "what was answered stays stored",
    kind="answers",
)
def test_what_was_answered_before_a_refusal_stays_stored(make: Make, server: Loopback) -> None:
    recipe = make(30)
    build(load(recipe), Options(limit=10))
    assert server.count == 10
    server.script = lambda call: Reply(400, "not today")
    assert ended(recipe).exit_code == Exit.PROVIDER
    server.script = lambda call: None
    before = server.count
    assert build(load(recipe)).exit_code == Exit.FINE
    assert server.count - before == 20


@pytest.mark.parametrize("at", [0, 1, 5])
@pytest.mark.parametrize("concurrency", [1, 4, 64])
@pytest.mark.parametrize(
    "reply",
    [
        Reply(403, "forbidden today"),
        Reply(401, "try another key"),
        Reply(402, "no money"),
        Reply(429, "You exceeded your current quota", "insufficient_quota"),
        Reply(404, "The model `gpt-4o-mini` does not exist."),
        Reply(404, "not here"),
    ],
    ids=lambda reply: str(reply.content),
)
def test_one_refusal_among_answers_is_that_moments_own(
    make: Make, server: Loopback, reply: Reply, at: int, concurrency: int
) -> None:
    server.script = lambda call: reply if call.number == at else None
    assert build(load(make(12, concurrency=concurrency))).exit_code == Exit.FINE
    assert server.count == 13


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_record_that_is_always_refused_leaves_the_others_alone(
    make: Make, server: Loopback, status: int
) -> None:
    server.script = lambda call: Reply(status, "not this one") if call.id == "t0" else None
    error = ended(make(40, tries=0))
    assert error.exit_code == Exit.PARTIAL
    assert "1 record could not be answered" in str(error)
    assert server.count == 39 + 3
    server.script = lambda call: None
    assert build(load(make(40))).exit_code == Exit.FINE
    assert server.count == 39 + 3 + 1


@pytest.mark.fault(
    "the key is revoked halfway",
    "the run ends; what was answered stays stored",
    kind="answers",
)
def test_key_that_is_revoked_halfway_ends_the_run(make: Make, server: Loopback) -> None:
    server.script = lambda call: Reply(401, "revoked") if call.number >= 50 else None
    error = ended(make(concurrency=8))
    assert error.exit_code == Exit.PROVIDER
    assert "refused the key" in str(error)
    assert server.count <= 50 + 40


def test_good_list_of_models_hides_no_refused_chat(make: Make, server: Loopback) -> None:
    server.script = lambda call: Reply(401, "chat is not for you")
    error = ended(make())
    assert "chat is not for you" in str(error)
    assert server.count <= CONFIRMED + 2 * FIRST_OPEN  # those in flight, and those sent as they came back


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, CONTEXT.format(2500)),
        (400, "At most 0 image(s) may be provided in one prompt."),
        (400, "qwen3-8b is not a multimodal model"),
        (413, "Request Entity Too Large"),
        (400, "This model only support stream mode"),
        (400, "parameter.enable_thinking must be set to false"),
    ],
)
def test_server_that_is_started_well_is_asked_again_by_the_same_command(
    make: Make, server: Loopback, status: int, words: str
) -> None:
    recipe = make(3)
    server.script = lambda call: Reply(status, words)
    error = ended(recipe)
    assert error.exit_code == Exit.PARTIAL
    assert words in str(error)
    before = server.count
    server.script = lambda call: None
    assert build(load(recipe)).exit_code == Exit.FINE
    assert server.count == before + 3


def test_partial_build_is_completed_by_the_same_command(make: Make, server: Loopback) -> None:
    recipe = make(3)
    server.script = lambda call: Reply(400, CONTEXT.format(2500)) if call.id == "t1" else None
    assert build(load(recipe), Options(allow_partial=True)).report.retry == 1
    server.script = lambda call: None
    made = build(load(recipe))
    assert (made.exit_code, made.report.retry, server.count) == (Exit.FINE, 0, 4)


@pytest.mark.parametrize(
    ("reason", "detail", "counts"),
    [
        ("context_too_long", f"HTTP 400: {CONTEXT}", False),
        ("image_refused", "HTTP 400: At most 0 image(s) may be provided in one prompt.", False),
        ("image_refused", "HTTP 400: Failed to load image: broken data", True),
        ("content_filter", "HTTP 400: flagged", True),
    ],
)
def test_reject_of_an_earlier_version_that_was_the_servers_no_longer_counts(
    make: Make, server: Loopback, project: Path, reason: str, detail: str, counts: bool
) -> None:
    recipe = make(3)
    assert build(load(recipe)).exit_code == Exit.FINE
    with sqlite3.connect(project / ".datakit" / "results.sqlite") as db:
        (key,) = db.execute("SELECT key FROM results LIMIT 1").fetchone()
        body = orjson.dumps([reason, detail])
        db.execute("UPDATE results SET rejected=1, value=?, meta=X'7B7D' WHERE key=?", (body, key))
    made = build(load(recipe), Options(force=True))
    assert server.count == 3 + (not counts)
    assert made.report.steps[1].records_out == 3 - counts


def test_finished_build_without_such_records_is_made_anew(
    make: Make, server: Loopback, project: Path
) -> None:
    recipe = make(3)
    build(load(recipe))
    with sqlite3.connect(project / ".datakit" / "results.sqlite") as db:
        (key,) = db.execute("SELECT key FROM results LIMIT 1").fetchone()
        body = orjson.dumps(["image_refused", "HTTP 400: broken picture"])
        db.execute("UPDATE results SET rejected=1, value=?, meta=X'7B7D' WHERE key=?", (body, key))
    assert build(load(recipe), Options(force=True)).report.steps[1].records_out == 2
    assert build(load(recipe)).report.reused
    folder = project / "build" / "shop"
    for path, old, new in (
        ("report.json", "image_refused", "context_too_long"),
        ("rejects.jsonl", "image_refused", "context_too_long"),
    ):
        text = (folder / path).read_text()
        assert old in text
        (folder / path).write_text(text.replace(old, new))
    with sqlite3.connect(project / ".datakit" / "results.sqlite") as db:
        db.execute(
            "UPDATE results SET value=?, meta=X'7B7D' WHERE key=?",
            (orjson.dumps(["context_too_long", CONTEXT]), key),
        )
    made = build(load(recipe))
    assert (made.report.reused, made.report.steps[1].records_out, server.count) == (False, 3, 4)


def test_judge_and_samples_that_hold_such_a_reject_are_asked_again() -> None:
    from datakit.core.outcome import Done
    from datakit.run.result_store import _counts

    good: dict[str, Any] = {"raw": "{}", "by": "m"}
    late = {"rejected": ["context_too_long", "HTTP 400"]}
    assert _counts(Done({"samples": [[good]], "by": "m"}))
    assert not _counts(Done({"samples": [[good], [late]], "by": "m"}))
    assert not _counts(Done({"samples": [[{**good, "verdict": late}]], "by": "m"}))
    assert _counts(Done({"samples": [[{"rejected": ["refused", "no"]}]], "by": "m"}))


@pytest.mark.parametrize(
    ("llm", "words"),
    [
        ("{provider: offline}", "because llm.provider is offline."),
        ("{provider: auto}", "because neither OPENAI_API_KEY nor OPENAI_BASE_URL is set."),
        ("{api_key_env: MY_KEY}", "because neither MY_KEY nor OPENAI_BASE_URL is set."),
    ],
)
def test_note_says_why_no_model_wrote(
    make: Make, monkeypatch: pytest.MonkeyPatch, project: Path, llm: str, words: str
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    recipe = make(2)
    (project / "templates" / "shown.j2").write_text("哪种？", encoding="utf-8")
    (project / "templates" / "ask.j2").write_text("为什么？", encoding="utf-8")
    rows = '{"id": "a", "label": "物流"}\n{"id": "b", "label": "物流"}\n'
    (project / "rows.jsonl").write_text(rows)
    text = recipe.read_text().replace(recipe.read_text().splitlines()[0], f"llm: {llm}")
    text = text.replace(
        "annotate.ask: {template: ask.j2, into: answer}", "annotate.reason: {template: ask.j2, into: answer}"
    )
    recipe.write_text(text.replace("prompt: ask.j2", "prompt: shown.j2"))
    assert words in build(load(recipe)).report.notes[0]


FILTERS = [
    Reply(400, "The response was filtered due to the prompt", "content_filter"),
    Reply(400, "Input data may contain inappropriate content.", "data_inspection_failed"),
    Reply(400, "DataInspectionFailed"),
    Reply(400, "blocked: SAFETY"),
    Reply(403, "Your input was flagged."),
    Reply(451, "输入内容包含敏感信息"),
    Reply(200, raw=b'{"error": {"code": "data_inspection_failed", "message": "inappropriate content"}}'),
    Reply(200, "", finish_reason="content_filter"),
    Reply(200, "", finish_reason="SAFETY"),
    Reply(200, "", refusal="I cannot help with that."),
]


@pytest.mark.parametrize("concurrency", [1, 64])
@pytest.mark.parametrize("reply", FILTERS, ids=lambda reply: f"{reply.status} {reply.finish_reason}")
def test_filter_that_refuses_everything_ends_the_run_and_nothing_is_stored_of_it(
    make: Make, server: Loopback, reply: Reply, concurrency: int
) -> None:
    server.script = lambda call: Reply(**vars(reply))
    recipe = make(60, concurrency=concurrency)
    error = ended(recipe)
    assert error.exit_code == Exit.PROVIDER
    assert server.count <= 40
    server.script, server.count = (lambda call: None), 0
    assert build(load(recipe)).exit_code == Exit.FINE
    assert server.count == 60, "what refused everything was no fact about a record"


@pytest.mark.parametrize("concurrency", [1, 64])
@pytest.mark.parametrize("reply", FILTERS, ids=lambda reply: f"{reply.status} {reply.finish_reason}")
def test_filter_that_refuses_a_few_rejects_those_for_good(
    make: Make, server: Loopback, reply: Reply, concurrency: int
) -> None:
    refused = {"t0", "t1", "t20", "t39"}
    server.script = lambda call: Reply(**vars(reply)) if call.id in refused else None
    recipe = make(40, concurrency=concurrency)
    made = build(load(recipe))
    assert made.exit_code == Exit.FINE
    assert (made.report.steps[1].records_out, sum(made.report.steps[1].rejected.values())) == (36, 4)
    assert server.count == 40
    build(load(recipe), Options(force=True))
    assert server.count == 40


@pytest.mark.parametrize("concurrency", [1, 64])
@pytest.mark.parametrize("status", [400, 409 + 2, 418, 422, 451, 499])
def test_record_that_is_refused_in_unknown_words_again_and_again_is_rejected(
    make: Make, server: Loopback, status: int, concurrency: int
) -> None:
    refused = {"t0", "t7", "t39"}
    server.script = lambda call: Reply(status, "we will not have this one") if call.id in refused else None
    recipe = make(40, concurrency=concurrency)
    made = build(load(recipe))
    assert made.report.steps[1].rejected == {"request_refused": 3}
    assert server.count == 37 + 3 * 3
    assert "we will not have this one" in (made.folder / "rejects.jsonl").read_text()
    build(load(recipe), Options(force=True))
    assert server.count == 37 + 3 * 3, "asked to the end once"


def test_words_that_change_from_try_to_try_are_no_verdict_about_a_record(
    make: Make, server: Loopback
) -> None:
    words = iter(["not this", "nor that", "nothing"])
    server.script = lambda call: Reply(418, next(words, "else")) if call.id == "t3" else None
    made = build(load(make(20)), Options(allow_partial=True))
    assert (made.report.retry, made.report.steps[1].rejected) == (1, {})


def test_server_that_refuses_whatever_comes_from_a_moment_on_says_nothing_about_records(
    make: Make, server: Loopback
) -> None:
    server.script = lambda call: Reply(418, "closed") if call.number >= 20 else None
    recipe = make(40, concurrency=4)
    made = build(load(recipe), Options(allow_partial=True))
    assert (made.report.retry, made.report.steps[1].rejected) == (20, {})
    server.script = lambda call: None
    assert build(load(recipe)).report.steps[1].records_out == 40


def test_too_many_rejects_are_told_before_anything_is_paid(make: Make, server: Loopback) -> None:
    recipe = make(6)
    with open(recipe.parent.parent / "rows.jsonl", "a", encoding="utf-8") as file:
        file.write("no json\n" * 2)
    with pytest.raises(DatakitError, match=r"2 of 8 records were rejected") as error:
        build(load(recipe, ["run.max_reject_rate=0.1"]))
    assert "For example" in str(error.value)
    assert server.count == 0
    assert build(load(recipe)).exit_code == Exit.FINE
