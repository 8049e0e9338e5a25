"""Every provider passes the same tests against a server that speaks its language."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from PIL import Image

from datakit import doctor
from datakit.core import providers as names
from datakit.core.errors import RecipeErrors, StopProvider, UserError
from datakit.core.outcome import Retry
from datakit.core.plugins import plugins
from datakit.core.settings import EndpointSettings, LlmSettings, RunSettings
from datakit.core.step_context import StepContext
from datakit.library import build, load
from datakit.llm import providers
from datakit.llm.answer_schema import AnswerSchema
from datakit.llm.batch.client import Batches
from datakit.llm.calls import Calls
from datakit.llm.client import Client
from datakit.llm.provider import Provider
from datakit.llm.request import Completion, Request
from tests.support.loopback import KEY, Call, Loopback, Reply

DESCRIPTION = AnswerSchema.line("description")


@dataclass
class Case:
    """A provider as a recipe names it, at the loopback server."""

    provider: str
    path: str = "/v1"
    """Of the address in the recipe."""
    posts_to: str = "/v1/chat/completions"
    key_env: str = "OPENAI_API_KEY"
    model: str = "gpt-4o-mini"
    refuses_key: Reply | None = None
    throttles: Reply = field(default_factory=lambda: Reply(429, "slow down", headers={"Retry-After": "0.01"}))

    def settings(self, server: Loopback, **llm: Any) -> LlmSettings:
        address = server.url.removesuffix("/v1") + self.path
        given = {"provider": self.provider, "base_url": address, "model": self.model, "max_retries": 2, **llm}
        return LlmSettings(**given)


class ToyServer(Loopback):
    """Loopback in the toy's own language."""

    def _shown_key(self, path: str, headers: dict[str, str]) -> str:
        return self.key if path.endswith("/say") else ""

    async def _elsewhere(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        asked = orjson.loads(body)
        question = {"role": "user", "content": asked["ask"][0]}
        call = Call(self.count, {**asked, "messages": [question]}, headers, len(body), 0.0, path)
        self.count += 1
        self.calls.append(call)
        limits = {"x-toy-a-minute": "60000"}
        if headers.get("x-toy-key") != self.key:
            words = f"who is {headers.get('x-toy-key')}?"
            return Reply(499, raw=orjson.dumps({"oops": words}), headers=limits)
        reply = self.script(call) or Reply()
        if reply.status != 200:
            return Reply(418, raw=orjson.dumps({"oops": "slow down"}), headers=limits)
        said = reply.content or json.dumps({"description": f"回答记录{call.id}"}, ensure_ascii=False)
        return Reply(raw=orjson.dumps({"said": said, "used": [100, 20]}), headers=limits)


CLASSIC = "/openai/deployments/gpt-4o-mini/chat/completions?api-version="
AZURE = {"key_env": "AZURE_OPENAI_API_KEY"}
CASES = {
    "openai": Case("openai"),
    "auto": Case("auto"),
    "openai with a query": Case("openai", "/v1?team=a", "/v1/chat/completions?team=a"),
    "azure, the resource": Case("azure", "", f"{CLASSIC}2024-10-21", **AZURE),
    "azure, a deployment": Case(
        "azure", "/openai/deployments/gpt-4o-mini?api-version=2025-01-01", f"{CLASSIC}2025-01-01", **AZURE
    ),
    "azure, the whole": Case("azure", f"{CLASSIC}2025-01-01", f"{CLASSIC}2025-01-01", **AZURE),
    "azure, v1": Case("azure", "/openai/v1/", "/openai/v1/chat/completions", **AZURE),
    "toy": Case("toy", "/v1", "/v1/say", "TOY_KEY", "toy-1"),
}
CHATTING = [name for name in CASES if name != "toy"]


@pytest.fixture
def toy(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Installs tests/support/toy_provider.py as a package with an entry point, for the length of a test."""
    site = tmp_path_factory.mktemp("site")
    info = site / "toy_provider-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy_provider\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[{names.GROUP}]\ntoy = tests.support.toy_provider:Toy\nbroken = tests.support.toy_provider:KEY\n"
    )
    monkeypatch.syspath_prepend(str(site))
    _forget()
    yield
    monkeypatch.undo()
    _forget()


def _forget() -> None:
    plugins.cache_clear()
    providers.find.cache_clear()


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest, toy: None, monkeypatch: pytest.MonkeyPatch) -> Case:
    found = CASES[request.param]
    monkeypatch.setenv(found.key_env, KEY)
    return found


@pytest.fixture
def server(case: Case) -> Iterator[Loopback]:
    with (ToyServer if case.provider == "toy" else Loopback)() as server:
        yield server


def ask(settings: LlmSettings, *images: Path, text: str = "请描述。[id:a]") -> tuple[Any, Client]:
    """The outcome of one question, and the client."""

    async def go() -> Any:
        client = Client(Calls(settings))
        try:
            return await client.complete(Request(text, tuple(map(str, images)), DESCRIPTION, 0.3, 100))
        finally:
            await client.close()
            go.client = client  # type: ignore[attr-defined]

    return asyncio.run(go()), go.client  # type: ignore[attr-defined]


def test_answer_comes_from_the_right_place_with_tokens_and_price(
    case: Case, server: Loopback, tmp_path: Path
) -> None:
    Image.new("RGB", (60, 40), "green").save(tmp_path / "a.jpg")
    found, client = ask(case.settings(server), tmp_path / "a.jpg")
    assert isinstance(found, Completion), found
    assert "记录a" in found.text
    assert (found.tokens_in, found.tokens_out) == (100, 20)
    assert found.cost_usd
    assert client.notes == {"attempts": {"answered": 1}}
    (call,) = server.calls
    assert call.path == case.posts_to
    assert call.headers["content-type"] == "application/json"


def test_answer_without_the_form_is_asked_for_once_more(case: Case, server: Loopback) -> None:
    server.script = lambda call: Reply(content="一段话") if call.number == 0 else None
    found, _ = ask(case.settings(server))
    assert isinstance(found, Completion)
    assert found.facts == {"repaired": True}
    assert "一段话" in orjson.dumps(server.calls[1].body).decode()


def test_refused_call_is_made_again(case: Case, server: Loopback) -> None:
    server.script = lambda call: case.throttles if call.number == 0 else None
    found, client = ask(case.settings(server))
    assert isinstance(found, Completion)
    assert client.notes["attempts"] == {"rate_limited": 1, "answered": 1}


def test_wrong_key_stops_with_the_variable_and_without_the_key(
    case: Case, server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(case.key_env, "sk-not-the-one")
    with pytest.raises(StopProvider) as error:
        ask(case.settings(server))
    assert f"Put a valid key into {case.key_env}" in str(error.value)
    assert "sk-not-the-one" not in str(error.value)
    assert "***" in str(error.value)


def test_own_headers_come_from_the_environment_and_are_never_shown(
    case: Case, server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TICKET", "ticket-4711")
    server.script = lambda call: Reply(400, f"what is {call.headers['x-pass'].split()[1]}?")
    found, _ = ask(case.settings(server, max_retries=0, extra_headers={"X-Pass": "t ${MY_TICKET}"}))
    assert isinstance(found, Retry)
    assert server.calls[0].headers["x-pass"] == "t ticket-4711"
    assert "ticket-4711" not in str(found)


def test_further_fields_and_thinking_are_merged_into_the_body(case: Case, server: Loopback) -> None:
    extra = {"top_p": 0.9, "chat_template_kwargs": {"style": "short"}}
    thinks = case.provider in ("openai", "auto", "toy")  # of Azure's gpt-4o-mini there is nothing to say
    ask(case.settings(server, extra_body=extra, thinking="disabled"))
    body = server.calls[0].body
    assert body["top_p"] == 0.9
    assert body["chat_template_kwargs"]["style"] == "short"
    told = body.get("ponder", body["chat_template_kwargs"].get("enable_thinking"))
    assert told is (False if thinks else None)


def test_limits_of_a_reply_reach_the_pace(case: Case, server: Loopback) -> None:
    if case.provider == "toy":
        headers = {"x-toy-a-minute": "60000"}
    else:
        headers = {"x-ratelimit-limit-requests": "60000"}
    limits = providers.provider_of(case.settings(server)).limits(headers)
    found = limits["requests"]
    assert found is not None
    assert found.per_minute == 60_000


@pytest.mark.parametrize("case", CHATTING, indirect=True)
def test_streamed_answer_is_the_same_answer(case: Case, server: Loopback) -> None:
    whole, _ = ask(case.settings(server))
    streamed, client = ask(case.settings(server, stream=True))
    assert isinstance(streamed, Completion)
    assert (streamed.raw, streamed.cost_usd, streamed.tokens_cached) == (whole.raw, whole.cost_usd, 40)
    assert server.calls[1].body["stream_options"] == {"include_usage": True}
    assert "stream" not in server.calls[0].body
    assert "warnings" not in client.notes


def test_every_provider_of_datakit_has_its_case_here() -> None:
    assert set(names.own_providers()) - {"offline"} <= {case.provider for case in CASES.values()}
    for name in names.own_providers():
        kind = providers.find(name)
        assert kind.name == name
        assert kind.__doc__
        written = {"url", "encode", "decode"} <= vars(kind).keys()
        assert written == kind.asks


# Names, addresses, settings


def test_unknown_provider_gets_a_hint_with_its_line(toy: None, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(
        "name: r\nllm:\n  provider: azur\nsteps: [{read.jsonl: {path: x}}]\nemit: [llamafactory]\n"
    )
    with pytest.raises(RecipeErrors) as error:
        load(path)
    assert "r.yaml:3" in str(error.value)
    assert "no provider is called `azur`. Did you mean `azure`?" in str(error.value)
    assert "auto, azure, offline, openai, broken, toy" in str(error.value)


def test_entry_point_that_is_no_provider_is_refused(toy: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support import toy_provider

    monkeypatch.setattr(toy_provider, "KEY", "text", raising=False)
    with pytest.raises(UserError, match=r"plug-in toy_provider 1\.0: entry point broken .* is no provider"):
        providers.find("broken")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://mine.openai.azure.com/openai/deployments/a?api-version=1", "azure"),
        ("https://mine.services.ai.azure.com", "azure"),
        ("https://mine.openai.azure.com/openai/v1/", "openai"),
        ("https://api.openai.com/v1", "openai"),
        ("http://127.0.0.1:8000/v1", "openai"),
        ("https://openai.azure.com.example.org/v1", "openai"),
    ],
)
def test_auto_goes_by_the_address(address: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert providers.provider_of(LlmSettings(base_url=address)).name == name
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    found = providers.provider_of(LlmSettings())
    assert (found.name, found.settings.resolved_provider()) == (name, "openai")
    endpoint = LlmSettings(endpoints=[EndpointSettings(base_url=address)]).each_endpoint()[0]
    assert providers.provider_of(endpoint).name == name


def test_azure_takes_a_token_in_place_of_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = LlmSettings(provider="azure", base_url="https://a.openai.azure.com", model="m 1")
    with pytest.raises(UserError, match="AZURE_OPENAI_API_KEY is not set"):
        providers.provider_of(settings).headers()
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert providers.provider_of(settings).headers() == {"api-key": "k"}
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "a")
    assert providers.provider_of(settings).headers() == {"api-key": "a"}
    monkeypatch.setenv("TOKEN", "t")
    token = {"Authorization": "Bearer ${TOKEN}"}
    found = providers.provider_of(settings.model_copy(update={"extra_headers": token}))
    assert found.headers() == {}
    assert found.extra_headers() == {"Authorization": "Bearer t"}
    assert found.url.endswith("/openai/deployments/m%201/chat/completions?api-version=2024-10-21")
    monkeypatch.setenv("OPENAI_API_VERSION", "2025-03-01")
    assert found.url.endswith("?api-version=2025-03-01")


def test_provider_without_an_address_says_which_variable() -> None:
    with pytest.raises(UserError) as error:
        _ = providers.provider_of(LlmSettings(provider="azure")).url
    assert "Set llm.base_url or AZURE_OPENAI_ENDPOINT." in str(error.value)


THINKING: list[tuple[str | None, str, str, bool, Any]] = [
    (None, "openai", "gpt-5-mini", False, {"reasoning_effort": "minimal"}),
    (None, "openai", "gpt-5.1", False, {"reasoning_effort": "none"}),
    (None, "openai", "gpt-5", True, {"reasoning_effort": "medium"}),
    (None, "openai", "gpt-4o", False, {}),
    (None, "openai", "gpt-4o", True, "does not think"),
    (None, "openai", "o3", False, "always thinks"),
    ("https://a.openai.azure.com", "azure", "o4-mini", True, {"reasoning_effort": "medium"}),
    (
        "https://dashscope.aliyuncs.com/compatible-mode/v1",
        "openai",
        "qwen3-vl",
        False,
        {"enable_thinking": False},
    ),
    ("https://open.bigmodel.cn/api", "openai", "glm-4.5v", True, {"thinking": {"type": "enabled"}}),
    ("https://openrouter.ai/api/v1", "openai", "m", False, {"reasoning": {"enabled": False}}),
    ("http://gpu:8000/v1", "openai", "m", True, {"chat_template_kwargs": {"enable_thinking": True}}),
]


@pytest.mark.parametrize(("address", "provider", "model", "on", "fields"), THINKING)
def test_thinking_is_said_in_the_words_of_the_service(
    address: str | None, provider: str, model: str, on: bool, fields: Any
) -> None:
    found = providers.provider_of(LlmSettings(provider=provider, base_url=address, model=model))
    if isinstance(fields, str):
        with pytest.raises(UserError, match=fields):
            found.thinking(on)
    else:
        assert found.thinking(on) == fields


def test_thinking_of_a_service_that_has_no_word_for_it_is_refused() -> None:
    with pytest.raises(UserError, match=r"llm\.thinking cannot be set for offline"):
        Provider.thinking(providers.provider_of(LlmSettings(provider="offline")), True)


@pytest.mark.parametrize(
    ("llm", "fault"),
    [
        ({"extra_headers": {"Authorization": "Bearer sk-1"}}, "looks like a secret"),
        ({"extra_headers": {"x-api-key": "sk-1"}}, "looks like a secret"),
        ({"extra_body": {"model": "other"}}, "set llm.model"),
        ({"extra_body": {"stream": True}}, "set llm.stream"),
        ({"extra_body": {"n": 2}}, "samples"),
        ({"extra_body": {"best_of": 4}}, "samples"),
        ({"extra_body": {"max_tokens": None}}, "set `max_tokens` of the step"),
        ({"extra_body": {"max_completion_tokens": 0}}, "set `max_tokens` of the step"),
    ],
)
def test_settings_that_would_leak_or_contradict_are_refused(llm: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        LlmSettings(**llm)


def test_header_whose_variable_is_not_set_is_named() -> None:
    settings = LlmSettings(base_url="http://127.0.0.1:1/v1", extra_headers={"X-Team": "${NO_SUCH_THING}"})
    with pytest.raises(UserError, match="NO_SUCH_THING is not set"):
        Calls(settings)


def test_doctor_lists_providers_and_names_the_one_that_does_not_load(toy: None) -> None:
    (check,) = doctor._providers(Path())
    assert check.state == "fail"
    assert 'plug-in toy_provider 1.0: entry point broken = "tests.support.toy_provider:KEY"' in check.message
    names.plugin_providers().pop("broken")
    (check,) = doctor._providers(Path())
    assert (check.state, check.message) == ("ok", "azure, offline, openai, toy")


# Whole builds, batches


@pytest.fixture
def recipe(project: Path) -> Callable[..., Path]:
    """Writes a recipe of three records that asks one question about each."""

    def write(**llm: Any) -> Path:
        (project / "templates" / "ask.j2").write_text("为什么？[id:{{ id }}]", encoding="utf-8")
        (project / "templates" / "chat.j2").write_text("这是什么？", encoding="utf-8")
        rows = [json.dumps({"id": f"r{number}", "label": "物流"}) for number in range(3)]
        (project / "rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
        path = project / "recipes" / "asks.yaml"
        path.write_text(
            f"name: asks\nllm: {json.dumps(llm)}\nsteps:\n"
            "  - read.jsonl: {path: ../rows.jsonl, label: label}\n"
            "  - annotate.ask: {template: ask.j2, into: description}\n"
            "  - render.chat: {prompt: chat.j2, answer: label_only}\nemit: [llamafactory]\n",
            encoding="utf-8",
        )
        return path

    return write


def test_build_asks_a_provider_of_another_package_once(
    toy: None, recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_KEY", KEY)
    with ToyServer() as server:
        path = recipe(provider="toy", model="toy-1", base_url=server.url)
        (step,) = [step for step in build(path).report.steps if step.name == "annotate.ask"]
        assert (step.new, step.cost_usd) == (3, pytest.approx(3 * (100 * 1.0 + 20 * 2.0) / 1e6))
        # Headers and streams leave the keys as they are; what changes answers does not.
        monkeypatch.setenv("TEAM", "a")
        build(recipe(provider="toy", model="toy-1", base_url=server.url, extra_headers={"X-Team": "${TEAM}"}))
        assert server.count == 1 + 3, "one word first: this service lists no models"
        build(recipe(provider="toy", model="toy-1", base_url=server.url, thinking="enabled"))
        build(recipe(provider="toy", model="toy-1", base_url=server.url, extra_body={"top_k": 3}))
        assert server.count == 3 * (1 + 3)


def test_batches_are_refused_by_a_provider_without_them(toy: None, tmp_path: Path) -> None:
    llm = LlmSettings(provider="toy", base_url="http://127.0.0.1:1")
    with pytest.raises(UserError, match="toy takes no batch files"):
        Batches(StepContext(tmp_path, tmp_path, llm=llm, run=RunSettings(mode="batch_files")))
