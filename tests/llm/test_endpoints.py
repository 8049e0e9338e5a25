"""Several endpoints, an endpoint that is down, and the budget: who is called, and how often at most."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import ValidationError

from datakit.core.call_budget import CallBudget
from datakit.core.errors import BudgetSpent, Exit, StopProvider, UserError
from datakit.core.settings import EndpointSettings, LlmSettings, RunSettings
from datakit.llm._circuit import IN_A_ROW
from datakit.llm.answer_schema import AnswerSchema
from datakit.llm.calls import Calls
from datakit.llm.client import Client
from datakit.llm.request import Completion, Request
from tests.support.loopback import KEY, Call, Loopback, Reply

CALL_USD = (60 * 0.15 + 40 * 0.075 + 20 * 0.60) / 1e6
"""Of the loopback server's answers, at the price of gpt-4o-mini."""


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Loopback]]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with ExitStack() as stack:
        yield [stack.enter_context(Loopback(latency_s=0.02)) for _ in range(2)]


def endpoints(servers: list[Loopback], **second: Any) -> list[EndpointSettings]:
    first, other = servers
    return [EndpointSettings(base_url=first.url), EndpointSettings(base_url=other.url, **second)]


def ask_all(
    settings: LlmSettings, count: int, run: RunSettings | None = None, account: CallBudget | None = None
) -> tuple[list[Any], Client]:
    """The outcomes of so many questions at once; errors stand among them."""

    async def go() -> Any:
        client = Client(Calls(settings, run or RunSettings(concurrency=16), account))
        requests = [
            Request(f"请描述。[id:{number}]", (), AnswerSchema.line("description"), 0.3, 100)
            for number in range(count)
        ]
        try:
            found = await asyncio.gather(*map(client.complete, requests), return_exceptions=True)
        finally:
            await client.close()
        return found, client

    return asyncio.run(go())


def test_calls_are_shared_by_weight(servers: list[Loopback]) -> None:
    found, _ = ask_all(LlmSettings(endpoints=endpoints(servers, weight=3.0)), 200)
    assert all(isinstance(answer, Completion) for answer in found)
    assert servers[1].count == pytest.approx(150, abs=12)


def test_calls_of_an_endpoint_that_fails_go_to_the_other(servers: list[Loopback]) -> None:
    servers[0].script = lambda call: Reply(503)
    began = time.monotonic()
    found, client = ask_all(LlmSettings(endpoints=endpoints(servers)), 200)
    assert all(isinstance(answer, Completion) for answer in found)
    assert servers[1].count == 200
    assert servers[0].count <= IN_A_ROW + 16
    assert time.monotonic() - began < 5
    assert client.notes["attempts"] == {"answered": 200, "server_error": servers[0].count}


def test_endpoint_with_a_wrong_key_is_left_out_and_named(
    servers: list[Loopback], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_KEY", "sk-wrong-4711")
    found, client = ask_all(LlmSettings(endpoints=endpoints(servers, api_key_env="OTHER_KEY")), 50)
    assert all(isinstance(answer, Completion) for answer in found)
    (warning,) = client.notes["warnings"]
    assert servers[1].url in warning
    assert "OTHER_KEY" in warning
    assert "4711" not in warning


def test_each_endpoint_keeps_its_own_limit(servers: list[Loopback]) -> None:
    settings = LlmSettings(endpoints=endpoints(servers, max_requests_per_minute=60.0))
    ask_all(settings, 100)
    assert servers[1].count <= 4
    assert servers[0].count == 100 - servers[1].count


def test_concurrency_of_an_endpoint_is_its_own(servers: list[Loopback]) -> None:
    ask_all(LlmSettings(endpoints=endpoints(servers, concurrency=2)), 100)
    assert servers[1].most_open == 2
    assert servers[0].most_open > 8


def test_endpoint_that_goes_down_and_comes_back_costs_no_record(servers: list[Loopback]) -> None:
    server = servers[0]

    def script(call: Call) -> Reply | None:
        return Reply(reset=True) if 0.1 < call.at - server.first_at < 1.6 else None

    server.script = script
    found, client = ask_all(LlmSettings(base_url=server.url), 1000)
    assert all(isinstance(answer, Completion) for answer in found)
    assert 0 < client.notes["attempts"]["connection_lost"] <= IN_A_ROW + 16 + 3


def test_endpoint_that_is_down_ends_the_build_after_few_calls(servers: list[Loopback]) -> None:
    server = servers[0]
    server.script = lambda call: Reply(500) if call.number >= 100 else None
    found, _ = ask_all(LlmSettings(base_url=server.url, max_down_s=2.0), 2000)
    answered = [answer for answer in found if isinstance(answer, Completion)]
    stopped = [answer for answer in found if isinstance(answer, StopProvider)]
    assert len(answered) == 100
    assert len(answered) + len(stopped) == 2000
    assert stopped[0].exit_code == Exit.PROVIDER
    # Those that open the circuit, those in flight meanwhile, and a probe or two: no storm.
    assert server.count <= 100 + IN_A_ROW + 16 + 3


def test_records_that_wait_for_their_next_try_hold_no_slot(servers: list[Loopback]) -> None:
    """Half of the records fail once and wait for 2 s; the others are all answered meanwhile."""
    server = servers[0]
    late = {str(number) for number in range(0, 100, 2)}

    def script(call: Call) -> Reply | None:
        return Reply(500) if call.id in late and call.attempt == 0 and call.number % 4 else None

    server.script = script
    ask_all(LlmSettings(base_url=server.url), 100, RunSettings(concurrency=8))
    first_tries = [call.at for call in server.calls if call.attempt == 0]
    again = [call.at for call in server.calls if call.attempt]
    assert again
    assert max(first_tries) - min(first_tries) < 1.5
    assert server.most_open <= 8


def test_budget_is_never_exceeded_and_answers_under_way_are_taken(servers: list[Loopback]) -> None:
    server, account = servers[0], CallBudget()
    budget = 20.5 * CALL_USD
    found, _ = ask_all(
        LlmSettings(base_url=server.url), 200, RunSettings(concurrency=16, budget_usd=budget), account
    )
    answered = [answer for answer in found if isinstance(answer, Completion)]
    stopped = [answer for answer in found if isinstance(answer, BudgetSpent)]
    assert len(answered) + len(stopped) == 200
    assert server.count == len(answered)  # whatever was sent was taken
    assert account.spent_usd == pytest.approx(len(answered) * CALL_USD)
    worst = (30 * 0.15 + 100 * 0.60) / 1e6
    assert budget - worst - CALL_USD < account.spent_usd <= budget
    assert account.reserved_usd == 0
    assert "the next call may cost" in str(stopped[0])
    assert stopped[0].exit_code == Exit.BUDGET


def test_pictures_and_answers_are_reserved_at_worst(servers: list[Loopback], tmp_path: Path) -> None:
    Image.new("RGB", (640, 640)).save(tmp_path / "a.jpg")
    request = Request("看", (str(tmp_path / "a.jpg"),), AnswerSchema.line("description"), 0.3, 1000)

    async def go(budget_usd: float) -> Any:
        client = Client(Calls(LlmSettings(base_url=servers[0].url), RunSettings(budget_usd=budget_usd)))
        try:
            return await client.complete(request)
        finally:
            await client.close()

    picture = 2833 + 4 * 5667  # 640 x 640 are four tiles of gpt-4o-mini
    worst = (picture * 0.15 + 1000 * 0.60) / 1e6
    with pytest.raises(BudgetSpent):
        asyncio.run(go(worst))
    assert servers[0].count == 0
    assert isinstance(asyncio.run(go(worst * 1.02)), Completion)


def test_budget_without_a_price_is_refused_before_anything_is_asked(servers: list[Loopback]) -> None:
    servers[0].models = ("Qwen/Qwen2.5-VL-7B-Instruct",)
    settings = LlmSettings(base_url=servers[0].url, model="Qwen/Qwen2.5-VL-7B-Instruct")
    with pytest.raises(UserError, match=r"price of Qwen/Qwen2\.5-VL-7B-Instruct is not known"):
        ask_all(settings, 5, RunSettings(budget_usd=1.0))
    assert servers[0].count == 0


def test_budget_holds_for_a_model_behind_the_name_of_a_gateway(servers: list[Loopback]) -> None:
    servers[0].models = ("openai/gpt-4o-mini-2024-07-18",)
    settings = LlmSettings(base_url=servers[0].url, model="openai/gpt-4o-mini-2024-07-18")
    account = CallBudget()
    budget = 22.5 * CALL_USD
    ask_all(settings, 60, RunSettings(concurrency=4, budget_usd=budget), account)
    assert 16 <= servers[0].count <= 22
    assert account.spent_usd <= budget


def test_own_prices_count_cached_tokens_apart(servers: list[Loopback]) -> None:
    settings = LlmSettings(base_url=servers[0].url, price_in=1.0, price_out=2.0, price_cached=0.1)
    (answer,), _ = ask_all(settings, 1)
    assert answer.cost_usd == pytest.approx((60 * 1.0 + 40 * 0.1 + 20 * 2.0) / 1e6)


def test_endpoints_take_from_llm_what_they_do_not_give() -> None:
    settings = LlmSettings(
        model="a",
        price_in=5.0,
        structured="none",
        endpoints=[
            EndpointSettings(base_url="http://one/v1"),
            EndpointSettings(base_url="http://two/v1", model="b", structured="json_object"),
        ],
    )
    one, two = settings.each_endpoint()
    assert (one.base_url, one.model, one.price_in) == ("http://one/v1", "a", 5.0)
    assert (two.base_url, two.model, two.price_in) == ("http://two/v1", "b", None)
    assert (one.structured, two.structured) == ("none", "json_object")
    assert settings.models() == {"a": 1.0, "b": 1.0}
    assert settings.resolved_provider() == "openai"
    with pytest.raises(ValidationError, match="weight"):
        EndpointSettings(base_url="http://one/v1", weight=0.0)


def test_one_long_wait_leaves_one_record_and_not_the_endpoint_to_the_next_run(
    servers: list[Loopback],
) -> None:
    server = servers[0]
    far = {"Retry-After": "3600"}
    server.script = lambda call: Reply(429, "slow down", headers=dict(far)) if call.id == "7" else None
    began = time.monotonic()
    found, _ = ask_all(LlmSettings(base_url=server.url), 60)
    assert time.monotonic() - began < 20
    assert [answer.reason for answer in found if not isinstance(answer, Completion)] == ["rate_limited"]
    assert server.count == 60


def test_endpoint_that_asks_everybody_to_come_back_in_an_hour_ends_the_run(servers: list[Loopback]) -> None:
    server = servers[0]
    server.script = lambda call: Reply(429, "quota of the day", headers={"Retry-After": "3600"})
    found, _ = ask_all(LlmSettings(base_url=server.url), 60)
    stopped = [answer for answer in found if isinstance(answer, StopProvider)]
    assert "asks to come back in 60 minutes. HTTP 429: error: quota of the day" in str(stopped[0])
    assert server.count <= 32
