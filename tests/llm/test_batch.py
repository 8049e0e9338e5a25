"""Batch files through a real server with Files and Batches: nothing is lost, nothing is paid twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from PIL import Image

from datakit.core.call_budget import CallBudget
from datakit.core.call_stats import CallStats
from datakit.core.errors import BudgetSpent, Exit, StopProvider
from datakit.core.outcome import Rejected, Retry
from datakit.core.settings import LlmSettings, RunSettings
from datakit.core.step_context import StepContext
from datakit.llm.answer_schema import AnswerSchema
from datakit.llm.batch import backends
from datakit.llm.batch.client import Batches
from datakit.llm.batch.journal import BatchFolder, State
from datakit.llm.client import Client
from datakit.llm.request import Completion, Request
from tests.support.loopback import KEY, Call, Reply
from tests.support.loopback_batches import LoopbackBatches, Plan

DESCRIPTION = AnswerSchema.line("description")
PRICE = (60 * 0.15 + 40 * 0.075 + 20 * 0.60) / 1e6
Ask = Callable[..., list[Any]]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackBatches]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with LoopbackBatches() as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where batches lie."""
    return tmp_path / ".datakit" / "batches"


def question(id_: str, *images: Path, max_tokens: int = 100, sample: int = 0) -> Request:
    pictures = tuple(map(str, images))
    return Request(f"请描述。[id:{id_}]", pictures, DESCRIPTION, 0.3, max_tokens, sample=sample)


@pytest.fixture
def ask(server: LoopbackBatches, tmp_path: Path) -> Ask:
    """Asks questions at the same time; gives what came of each: an outcome, or the error that was raised."""

    def go(
        *requests: Request,
        run: dict[str, Any] | None = None,
        budget: CallBudget | None = None,
        stats: CallStats | None = None,
        **llm: Any,
    ) -> list[Any]:
        settings = LlmSettings(**{"provider": "openai", "base_url": server.url, "max_retries": 2, **llm})
        running = RunSettings(**{"mode": "batch", "batch_poll_s": 0.05, **(run or {})})
        context = StepContext(
            tmp_path,
            tmp_path,
            llm=settings,
            run=running,
            budget=budget or CallBudget(),
            stats=stats or CallStats(),
        )

        async def all_() -> list[Any]:
            client = Client(Batches(context))
            go.notes = client.notes  # type: ignore[attr-defined]
            try:
                return await asyncio.gather(*map(client.complete, requests), return_exceptions=True)
            finally:
                await client.close()

        return asyncio.run(all_())

    return go


def many(count: int) -> list[Request]:
    return [question(f"q{number}") for number in range(count)]


def assert_own(found: list[Any]) -> None:
    """Every answer belongs to its question."""
    for number, one in enumerate(found):
        assert isinstance(one, Completion), one
        assert f"记录q{number}的" in one.text


def test_answers_find_their_questions_in_whatever_order_they_come(server: LoopbackBatches, ask: Ask) -> None:
    budget = CallBudget()
    assert_own(found := ask(*many(12), budget=budget))
    assert [len(batch.lines) for batch in server.batches] == [12]
    assert server.replies == {}, "not one single call"
    line = server.batches[0].lines[0]
    assert set(line) == {"custom_id", "method", "url", "body"}
    assert line["url"] == "/v1/chat/completions"
    assert line["body"]["response_format"]["type"] == "json_schema"
    assert found[0].cost_usd == pytest.approx(PRICE / 2)
    assert budget.spent_usd == pytest.approx(12 * PRICE / 2)
    assert budget.reserved_usd == 0
    assert found[0].facts["price_factor"] == 0.5


def test_batches_of_azure_have_paths_and_a_key_of_their_own(
    server: LoopbackBatches, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    address = server.url.removesuffix("/v1") + "/openai/deployments/gpt-4o-mini?api-version=2024-10-21"
    assert_own(ask(*many(3), provider="azure", base_url=address))
    assert {line["url"] for batch in server.batches for line in batch.lines} == {"/chat/completions"}
    assert server.files.content == {}, "fetched and deleted"


def test_price_factor_can_be_given(server: LoopbackBatches, ask: Ask) -> None:
    (found,) = ask(question("a"), batch_price_factor=0.8)
    assert found.cost_usd == pytest.approx(PRICE * 0.8)


def test_nothing_is_left_behind_here_or_at_the_provider(
    server: LoopbackBatches, ask: Ask, folder: Path
) -> None:
    ask(*many(3))
    assert [path for path in folder.iterdir() if path.is_dir()] == []
    assert server.files.content == {}


@pytest.mark.parametrize(
    ("limits", "expected"),
    [({"batch_max_requests": 4}, [4, 4, 2]), ({"batch_max_mb": 0.002}, [4, 4, 2])],
    ids=["requests", "bytes"],
)
def test_no_file_exceeds_a_limit(
    server: LoopbackBatches, ask: Ask, limits: dict[str, Any], expected: list[int]
) -> None:
    server.is_held = True
    server.seen = lambda step: setattr(server, "is_held", len(server.batches) < 3)  # type: ignore[func-returns-value]
    assert_own(ask(*many(10), run=limits))
    assert [len(batch.lines) for batch in server.batches] == expected
    assert max(server.uploads) <= 2000 or "batch_max_mb" not in limits
    assert len(set(server.questions)) == 10


def test_line_that_no_file_can_hold_is_left_until_files_may_be_larger(
    server: LoopbackBatches, ask: Ask, tmp_path: Path
) -> None:
    Image.effect_noise((300, 300), 90).convert("RGB").save(tmp_path / "a.jpg", quality=95)
    large, small = ask(question("l", tmp_path / "a.jpg"), question("s"), run={"batch_max_mb": 0.02})
    assert isinstance(large, Retry)
    assert large.reason == "request_too_large"
    assert isinstance(small, Completion)


def test_broken_picture_is_that_records_own_trouble(
    server: LoopbackBatches, ask: Ask, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    broken, good = ask(question("a", tmp_path / "a.jpg"), question("q1"))
    assert broken.reason.startswith("image_")
    assert isinstance(good, Completion)


def test_samples_of_one_question_are_lines_of_their_own_and_equal_ones_share_one(
    server: LoopbackBatches, ask: Ask
) -> None:
    budget = CallBudget()
    found = ask(question("a"), question("a"), question("a", sample=1), budget=budget)
    assert all(isinstance(one, Completion) for one in found)
    assert len(server.questions) == 2
    assert sum(one.cost_usd for one in found) == pytest.approx(budget.spent_usd) == pytest.approx(PRICE)


def test_bad_form_is_repaired_and_a_cut_answer_repeated_in_the_next_batch(
    server: LoopbackBatches, ask: Ask
) -> None:
    def script(call: Call) -> Reply | None:
        if call.id == "q0" and call.attempt == 0:
            return Reply(content="没有JSON")
        if call.id == "q1" and call.attempt == 0:
            return Reply(content='{"descr', finish_reason="length")
        return None

    server.script = script
    found = ask(*many(3))
    assert_own(found)
    assert [len(batch.lines) for batch in server.batches] == [3, 2]
    assert found[0].facts["repaired"] is True
    bodies = [line["body"] for line in server.batches[1].lines]
    assert sorted(body["max_tokens"] for body in bodies) == [100, 200]
    assert found[1].cost_usd == pytest.approx(PRICE), "two answers at half price"


def test_refused_parameter_is_left_out_of_the_next_batch(server: LoopbackBatches, ask: Ask) -> None:
    def script(call: Call) -> Reply | None:
        asked = call.body.get("response_format", {}).get("type")
        return Reply(400, "response_format json_schema is not supported") if asked == "json_schema" else None

    server.script = script
    assert_own(ask(*many(4)))
    kinds = [{line["body"]["response_format"]["type"] for line in batch.lines} for batch in server.batches]
    assert kinds == [{"json_schema"}, {"json_object"}]


@pytest.mark.parametrize(
    "plan",
    [
        Plan("expired", answered=3),
        Plan("cancelled", answered=3),
        Plan("completed", answered=3),
        Plan("completed", answered=3, unanswered="missing"),
        Plan("expired", answered=0),
    ],
    ids=["expired", "cancelled", "failed lines", "missing lines", "nothing done"],
)
def test_only_what_is_missing_is_sent_again(server: LoopbackBatches, ask: Ask, plan: Plan) -> None:
    server.plan = lambda batch: plan if batch.number == 0 else None
    assert_own(ask(*many(10)))
    again = 10 - (plan.answered or 0)
    assert [len(batch.lines) for batch in server.batches] == [10, again]
    assert set(server.batches[1].ids) == set(server.batches[0].ids[10 - again :])


def test_question_that_never_comes_through_is_left_to_the_next_run(server: LoopbackBatches, ask: Ask) -> None:
    server.script = lambda call: Reply(500, "made to fail") if call.id == "q0" else None
    failed, good = ask(*many(2))
    assert isinstance(failed, Retry)
    assert failed.reason == "server_error"
    assert isinstance(good, Completion)
    assert [len(batch.lines) for batch in server.batches] == [2, 1, 1]
    server.script = lambda call: None
    (found,) = ask(question("q0"))
    assert isinstance(found, Completion)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(400, "content_filter triggered", "content_filter"), "content_filter"),
        (Reply(refusal="我不能"), "refused"),
    ],
)
def test_refusals_are_those_of_calls(server: LoopbackBatches, ask: Ask, reply: Reply, reason: str) -> None:
    server.script = lambda call: reply
    (found,) = ask(question("a"))
    assert isinstance(found, Rejected)
    assert found.reason == reason


def test_unreadable_lines_of_a_result_are_fetched_again_and_then_asked_again(
    server: LoopbackBatches, ask: Ask
) -> None:
    fetched: list[str] = []
    server.seen = lambda step: fetched.append(step) if step == "fetch" else None  # type: ignore[func-returns-value]
    server.plan = lambda batch: Plan(garbled=2) if batch.number == 0 else None
    assert_own(ask(*many(5)))
    assert [len(batch.lines) for batch in server.batches] == [5, 2]
    assert len(fetched) == 3 + 1


def test_budget_holds_for_files_and_what_does_not_fit_waits(server: LoopbackBatches, ask: Ask) -> None:
    worst = (44 * 0.15 + 100 * 0.60) / 1e6 / 2
    budget = CallBudget()
    found = ask(*many(6), run={"budget_usd": 3.5 * worst}, budget=budget)
    assert len(server.batches[0].lines) == 3
    assert budget.spent_usd <= 3.5 * worst
    done = [one for one in found if isinstance(one, Completion)]
    assert len(done) == len(server.questions) > 3
    assert all(isinstance(one, BudgetSpent) for one in found if one not in done)


def test_budget_for_not_one_line_sends_nothing(server: LoopbackBatches, ask: Ask) -> None:
    (found,) = ask(question("a"), run={"budget_usd": 1e-7})
    assert isinstance(found, BudgetSpent)
    assert found.exit_code == Exit.BUDGET
    assert server.batches == []
    assert server.uploads == []


def test_budget_of_a_line_is_that_of_the_room_in_its_body(server: LoopbackBatches, ask: Ask) -> None:
    (answer,) = ask(question("a"), run={"budget_usd": 0.001}, extra_body={"max_tokens": 50_000})
    assert isinstance(answer, BudgetSpent)
    assert server.batches == []


def test_wrong_key_stops_at_once(server: LoopbackBatches, ask: Ask) -> None:
    server.key = "another"
    found = ask(*many(2))
    assert all(isinstance(one, StopProvider) for one in found)
    assert "OPENAI_API_KEY" in str(found[0])
    assert KEY not in str(found[0])


def test_unknown_model_stops_with_what_the_server_offers(
    server: LoopbackBatches, ask: Ask, folder: Path
) -> None:
    server.models = ("gpt-5-mini",)
    (found,) = ask(question("a"))
    assert isinstance(found, StopProvider)
    assert "gpt-5-mini" in str(found)
    server.models = ("gpt-4o-mini",)
    (found,) = ask(question("a"))
    assert isinstance(found, Completion), "what failed as a whole is not waited for"


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        ((("billing_hard_limit_reached", "Billing hard limit has been reached."),), "will not bill"),
        ((("invalid_json_line", "Line 3 is no JSON."),), "Line 3 is no JSON"),
        ((("token_limit_exceeded", "Enqueued token limit reached."),), "run.batch_max_requests"),
    ],
)
def test_batch_that_fails_as_a_whole_says_why(
    server: LoopbackBatches, ask: Ask, errors: tuple[tuple[str, str], ...], words: str
) -> None:
    server.plan = lambda batch: Plan("failed", errors=errors)
    (found,) = ask(question("a"))
    assert isinstance(found, StopProvider)
    assert words in str(found)
    assert len(server.batches) == 1


def test_full_queue_is_waited_for(server: LoopbackBatches, ask: Ask) -> None:
    full = Plan("failed", errors=(("token_limit_exceeded", "Enqueued token limit reached."),))
    server.plan = lambda batch: full if batch.number == 1 else None
    server.delay_s = 0.3
    assert_own(ask(*many(8), run={"batch_max_requests": 4}))
    assert [len(batch.lines) for batch in server.batches] == [4, 4, 4]


def test_server_without_batches_is_told_in_words(ask: Ask, server: LoopbackBatches) -> None:
    server.seen = lambda step: Reply(404, "Not Found")
    (found,) = ask(question("a"))
    assert isinstance(found, StopProvider)
    assert "has no Files and Batches API" in str(found)
    assert "vllm run-batch" in str(found)


def test_order_whose_answer_got_lost_is_not_given_twice(server: LoopbackBatches, ask: Ask) -> None:
    lost = iter([Reply(500, "made to fail"), Reply(reset=True)])
    server.seen = lambda step: next(lost, None) if step == "order" else None
    assert_own(ask(*many(3)))
    assert len(server.batches) == 1


def test_upload_that_failed_is_repeated(server: LoopbackBatches, ask: Ask) -> None:
    lost = iter([Reply(503, "made to fail")])
    server.seen = lambda step: next(lost, None) if step == "upload" else None
    assert_own(ask(*many(3)))
    assert (len(server.uploads), len(server.batches)) == (2, 1)


def test_endpoint_that_cannot_be_reached_while_a_batch_is_away_is_waited_for(
    server: LoopbackBatches, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = iter([Reply(503, "made to fail")] * 4)
    server.seen = lambda step: next(lost, None) if step == "look" else None
    assert_own(ask(*many(2), max_retries=0))
    server.seen = lambda step: Reply(503, "made to fail") if step == "look" else None
    monkeypatch.setattr(backends, "_PATIENCE_S", 0.2)
    (found,) = ask(question("z"), max_retries=0)
    assert isinstance(found, StopProvider)
    assert "go on" in str(found)
    server.seen = lambda step: None
    (found,) = ask(question("z"))
    assert isinstance(found, Completion)
    assert len(server.batches) == 2, "the batch was found again"


def test_batch_that_the_endpoint_does_not_know_any_more_is_never_sent_again_unasked(
    server: LoopbackBatches, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.is_held = True
    server.seen = lambda step: Reply(503, "made to fail") if step == "look" else None
    monkeypatch.setattr(backends, "_PATIENCE_S", 0.1)
    ask(question("a"), max_retries=0)
    server.seen = lambda step: Reply(404, "No batch found with id 'batch_0'.") if step == "look" else None
    (found,) = ask(question("a"))
    assert isinstance(found, StopProvider)
    assert "does not know batch_0 any more" in str(found)
    assert len(server.batches) == 1


def test_no_key_and_no_picture_stand_in_the_state(
    server: LoopbackBatches, ask: Ask, folder: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (40, 40), "red").save(tmp_path / "a.jpg")
    found: list[bytes] = []

    def seen(step: str) -> None:
        if step == "look":
            found.extend(path.read_bytes() for path in folder.rglob("*") if path.is_file())

    server.seen = seen
    ask(question("a", tmp_path / "a.jpg"))
    assert len(found) >= 2
    assert not any(KEY.encode() in data or b"base64" in data for data in found)


def answered_by_hand(file: Path, server: LoopbackBatches, errors: bool = True) -> None:
    """What `vllm run-batch` writes: one file, with failures among the answers."""
    lines = []
    for line in map(orjson.loads, file.read_bytes().splitlines()):
        status, body = server._answered(line["body"])
        found: dict[str, Any] = {"id": "vllm-1", "custom_id": line["custom_id"], "error": None}
        found["response"] = {"status_code": status, "request_id": "r", "body": body}
        if status != 200:
            error = {"error": {**body["error"], "code": status}}
            found |= {"response": {"status_code": status, "request_id": "r", "body": None}, "error": error}
        lines.append(found)
    file.with_name("out.jsonl").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))


def test_files_are_written_for_others_and_their_answers_taken_up(
    server: LoopbackBatches, ask: Ask, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    stats = CallStats()
    run = {"mode": "batch_files", "batch_max_requests": 3}
    found = ask(*many(5), run=run, stats=stats, base_url=None)
    assert [one.reason for one in found] == ["batch_file_waits"] * 5
    assert sorted(stats.to_run.values()) == [2, 3]
    assert all(command.startswith("vllm run-batch -i ") for command in stats.to_run)
    server.script = lambda call: Reply(400, "maximum context length is 10") if call.id == "q4" else None
    for file in folder.glob("*/in.jsonl"):
        answered_by_hand(file, server)
    found = ask(*many(5), run=run, base_url=None)
    assert_own(found[:4])
    assert found[4].reason == "context_too_long"
    assert list(folder.glob("*/*.jsonl")) == []
    assert server.batches == []


def test_answers_that_are_still_being_written_are_waited_for(
    server: LoopbackBatches, ask: Ask, folder: Path
) -> None:
    run = {"mode": "batch_files"}
    ask(*many(2), run=run)
    (file,) = folder.glob("*/in.jsonl")
    answered_by_hand(file, server)
    whole = file.with_name("out.jsonl").read_bytes()
    file.with_name("out.jsonl").write_bytes(whole[:-10])
    assert [one.reason for one in ask(*many(2), run=run)] == ["batch_file_waits"] * 2
    file.with_name("out.jsonl").write_bytes(whole)
    assert_own(ask(*many(2), run=run))


def test_state_is_readable(server: LoopbackBatches, ask: Ask, folder: Path) -> None:
    ask(*many(2), run={"mode": "batch_files"})
    (state,) = (json.loads(path.read_bytes()) for path in folder.glob("*/state.json"))
    assert state["status"] == "written"
    assert len(state["ids"]) == 2


@pytest.mark.parametrize("left", ["answers", "state that cannot be read", "collected long ago"])
def test_batch_that_was_paid_for_is_never_removed(tmp_path: Path, left: str) -> None:
    folder = tmp_path / "batches" / "a1"
    folder.mkdir(parents=True)
    if left == "answers":
        (folder / "out.jsonl").write_text("{}\n")
    elif left == "state that cannot be read":
        (folder / "state.json").write_text('{"way": "bat')
    else:
        state = State(way="batch", endpoint="e", status="collected", ids=["q1"], created=0.0, batch_id="b")
        (folder / "state.json").write_text(state.model_dump_json())
        (folder / "out.jsonl").write_text("{}\n")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    batches = BatchFolder(tmp_path, "batch", "e")
    batches.look()
    assert (batches.claim("q1") is not None) == (left == "collected long ago")
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_batch_that_was_never_sent_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "batches" / "a1"
    folder.mkdir(parents=True)
    (folder / "in.jsonl").write_text("{}\n")
    BatchFolder(tmp_path, "batch", "e").look()
    assert not folder.exists()


def test_answers_that_this_run_does_not_ask_for_stay_for_the_next(
    server: LoopbackBatches, ask: Ask, folder: Path
) -> None:
    run = {"mode": "batch_files"}
    ask(*many(10), run=run)
    (file,) = folder.glob("*/in.jsonl")
    answered_by_hand(file, server)
    assert_own(ask(*many(2), run=run))  # as a look at two records does (--limit 2)
    assert file.with_name("out.jsonl").is_file()
    for some in (many(10)[2:5], many(10)[5:]):
        assert all(isinstance(one, Completion) for one in ask(*some, run=run))
    assert list(folder.glob("*/*.jsonl")) == []


def test_batch_at_the_provider_is_collected_for_those_who_ask_later_too(
    server: LoopbackBatches, ask: Ask, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise StopProvider("killed")

    with monkeypatch.context() as patch:
        patch.setattr("datakit.llm.batch.backends.ServiceBackend.look", killed)
        ask(*many(10))
    assert [len(batch.lines) for batch in server.batches] == [10]
    assert_own(ask(*many(2)))
    found = ask(*[question(f"q{number}") for number in range(2, 10)])
    assert all(isinstance(one, Completion) for one in found)
    assert [len(batch.lines) for batch in server.batches] == [10], "no question was sent twice"
    assert list(folder.glob("*/*.jsonl")) == []


def test_odd_fields_around_a_batch_answer_void_none(server: LoopbackBatches, ask: Ask) -> None:
    body = {
        "choices": [
            {
                "message": {"content": [{"type": "text", "text": '{"description": "红"}'}]},
                "finish_reason": "STOP",
            }
        ],
        "usage": {"prompt_tokens": "12", "prompt_tokens_details": []},
    }
    server.script = lambda call: Reply(raw=orjson.dumps(body))
    (found,) = ask(question("a"))
    assert isinstance(found, Completion)
    assert (found.text, found.tokens_in, found.tokens_out) == ("红", 12, 0)
    assert len(server.batches) == 1
