"""The recipe's `llm:` and `run:` sections: how work is done, never what comes out of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from pydantic import ConfigDict, Field, JsonValue, field_validator

from datakit.core.credentials import credentials_of_address, is_credential_field
from datakit.core.documented import Documented
from datakit.core.errors import did_you_mean
from datakit.core.image_memory import picture_mb
from datakit.core.providers import AUTO, provider_names
from datakit.core.store_address import fault_of_url, is_url

Structured = Literal["json_schema", "json_object", "none"]
OWN_FIELDS = {
    "model": "set llm.model",
    "messages": "write it into the step's template",
    "stream": "set llm.stream",
    "n": "set `samples` of annotate.describe",
    "best_of": "set `samples` of annotate.describe",
}
"""Fields of a body that `llm.extra_body` must not hold -> what to do instead."""
ANSWER_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens")
"""What services call the field of a body that bounds the tokens of an answer."""
_SECRET = re.compile(r"auth|cookie|key|secret|token|passw|credential|signature", re.I)
_SCHEME = re.compile(r"(?:bearer|basic|token)\s|sk-\w", re.I)
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class Settings(Documented):
    """Base of the sections: frozen, strict, no unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def filled(cls, values: Any) -> Any:
        """A section's plain values with those that others of them stand for; a build keeps them so."""
        return values


def open_address(address: str) -> str:
    """The address, which a build may show. Raises ValueError for one with a password or a key."""
    if credentials_of_address(address):
        raise ValueError(
            "the address holds a name, a password or a key, which would stand in builds and logs. Take it "
            "out; give it as a header by llm.extra_headers and a ${VARIABLE}"
        )
    return address


def _secret_fields(value: JsonValue) -> Iterator[str]:
    """Names of fields that hold credentials, however deep."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if is_credential_field(name) and isinstance(inner, str):
                yield name
            yield from _secret_fields(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _secret_fields(inner)


class EndpointSettings(Settings):
    """One of several endpoints. What is not given is taken from `llm:`."""

    base_url: str
    """Address of the endpoint."""
    model: str | None = None
    """Name of the model there. Where endpoints have different models, each record is bound to one of them by
    its content and the weights, so that it is never paid for twice; it fails over among equal models only."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the key."""
    weight: float = Field(default=1.0, gt=0)
    """Share of the calls while every endpoint has room."""
    concurrency: int | None = Field(default=None, ge=1, le=4096)
    """Calls in flight at this endpoint; `run.concurrency` bounds all of them together."""
    max_requests_per_minute: float | None = Field(default=None, gt=0)
    """See `llm.max_requests_per_minute`; not taken from there."""
    max_tokens_per_minute: float | None = Field(default=None, gt=0)
    """See `llm.max_tokens_per_minute`; not taken from there."""
    structured: Structured | None = None
    """How this endpoint is asked for JSON."""
    price_in: float | None = Field(default=None, ge=0)
    """USD per million input tokens here; 0 for a server of one's own."""
    price_out: float | None = Field(default=None, ge=0)
    """USD per million output tokens here."""
    price_cached: float | None = Field(default=None, ge=0)
    """USD per million input tokens from the provider's prefix cache."""

    @field_validator("base_url")
    @classmethod
    def _open_address(cls, address: str) -> str:
        return open_address(address)


def _choices(schema: dict[str, Any]) -> None:
    """The names that `llm.provider` may take, for editors."""
    schema["enum"] = [AUTO, *provider_names()]


class LlmSettings(Settings):
    """The model that writes descriptions and reasons. The key comes from the environment, never from here."""

    keyed: ClassVar[tuple[str, ...]] = ("extra_body", "thinking")
    """The settings besides `model` and `max_image_pixels` that change answers. Only these reach a key of the
    result store (an allow-list), and only when they are given."""

    provider: str = Field(default=AUTO, json_schema_extra=_choices)
    """Who answers. `openai` is any OpenAI-compatible endpoint, `azure` a deployment of Azure OpenAI,
    `offline` the built-in writer; other packages may add more. `auto` takes `openai` when OPENAI_API_KEY or
    OPENAI_BASE_URL is set (`azure` where the address is one of Azure's), else the offline writer, and says
    so."""
    model: str = "gpt-4o-mini"
    """Name of the model at the endpoint."""
    base_url: str | None = None
    """Address of the endpoint; OPENAI_BASE_URL (azure: AZURE_OPENAI_ENDPOINT) when not given."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the key; the provider's own when not given (OPENAI_API_KEY,
    AZURE_OPENAI_API_KEY)."""
    extra_headers: dict[str, str] = Field(default_factory=dict)
    """Headers that go with every request. `${NAME}` in a value stands for that environment variable: secrets
    stay out of the recipe. Not part of a key."""
    extra_body: dict[str, JsonValue] = Field(default_factory=dict)
    """Fields that are merged into the body of every request, such as `{top_p: 0.9}`. They change answers, so
    they are part of the key. A `max_tokens` here stands over that of the step, for `run.budget_usd` too."""
    thinking: Literal["default", "enabled", "disabled"] = "default"
    """Whether the model thinks before it answers, in the words of the service: `chat_template_kwargs` (vLLM),
    `enable_thinking` (DashScope), `reasoning_effort` (OpenAI) and others. `default` says nothing of it. Part
    of the key unless `default`."""
    stream: bool = False
    """Has answers streamed, for endpoints that give them in no other way. Not part of a key."""
    timeout_s: float = Field(default=120.0, gt=0)
    """Longest wait for one answer."""
    max_retries: int = Field(default=5, ge=0)
    """Further tries after 408, 409, 429, 5xx and lost connections."""
    max_down_s: float = Field(default=60.0, ge=0)
    """An endpoint that stays down for longer ends the build, which goes on where it stopped when run again.
    Until then only a probe is sent now and then."""
    max_requests_per_minute: float | None = Field(default=None, gt=0)
    """Calls a minute that the endpoint allows. Learnt from its `x-ratelimit-*` headers when not given."""
    max_tokens_per_minute: float | None = Field(default=None, gt=0)
    """Tokens a minute that the endpoint allows. Learnt from its `x-ratelimit-*` headers when not given."""
    max_image_pixels: int = Field(default=1_003_520, ge=784)
    """Pictures are scaled down to this many pixels before they are sent (1,280 tokens of Qwen2.5-VL)."""
    structured: Structured = "json_schema"
    """How the endpoint is asked for JSON."""
    price_in: float | None = Field(default=None, ge=0)
    """USD per million input tokens, when the price table does not know the model."""
    price_out: float | None = Field(default=None, ge=0)
    """USD per million output tokens."""
    price_cached: float | None = Field(default=None, ge=0)
    """USD per million input tokens that the provider takes from its prefix cache; `price_in` if not given."""
    batch_price_factor: float = Field(default=0.5, ge=0, le=1)
    """Share of a call's price that a line of a batch costs (`run.mode` batch and batch_files); OpenAI asks
    half."""
    endpoints: list[EndpointSettings] = Field(default_factory=list)
    """Several endpoints that share the calls, each with its own limits; calls of one that is down go to the
    others."""

    @field_validator("provider")
    @classmethod
    def _known(cls, name: str) -> str:
        providers = [AUTO, *provider_names()]
        if name not in providers:
            hint = did_you_mean(name, providers)
            raise ValueError(f"no provider is called `{name}`. {hint} Known: {', '.join(providers)}.")
        return name

    @field_validator("extra_headers")
    @classmethod
    def _without_secrets(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if "${" not in value and (_SECRET.search(name) or _SCHEME.match(value)):
                raise ValueError(
                    f"the value of `{name}` looks like a secret; put it into an environment variable and "
                    "write ${NAME_OF_THE_VARIABLE} here"
                )
        return headers

    @field_validator("extra_body")
    @classmethod
    def _without_own_fields(cls, body: dict[str, JsonValue]) -> dict[str, JsonValue]:
        for name, remedy in OWN_FIELDS.items():
            if name in body:
                raise ValueError(f"`{name}` is written by datakit; {remedy}")
        for name in _secret_fields(body):
            raise ValueError(
                f"`{name}` looks like a secret, which would stand in the build; give it as a header: "
                "llm.extra_headers with ${NAME_OF_THE_VARIABLE}"
            )
        for name in ANSWER_LIMITS:
            limit = body.get(name, 1)
            if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
                raise ValueError(
                    f"`{name}` is {limit!r}, so no answer would have an end that a budget could count with; "
                    "take it out and set `max_tokens` of the step"
                )
        return body

    def most_answer_tokens(self, max_tokens: int) -> int:
        """Tokens that an answer may have at most: a step's limit, or what `extra_body` writes over it."""
        limits = (self.extra_body.get(name) for name in ANSWER_LIMITS)
        return max([max_tokens, *(limit for limit in limits if isinstance(limit, int))])

    @field_validator("base_url")
    @classmethod
    def _open_address(cls, address: str | None) -> str | None:
        return address if address is None else open_address(address)

    def key_settings(self) -> dict[str, Any]:
        """What of these settings a key holds besides model and pixels; empty when nothing was given."""
        fields = type(self).model_fields
        values = {name: getattr(self, name) for name in self.keyed}
        return {
            name: value
            for name, value in values.items()
            if value != fields[name].get_default(call_default_factory=True)
        }

    def key_names(self) -> set[str]:
        """The environment variables that these settings name as holding credentials."""
        texts = self.extra_headers.values()
        names = {name for text in texts for name in _VARIABLE.findall(text)}
        return names | {key for key in (self.api_key_env, *(e.api_key_env for e in self.endpoints)) if key}

    def resolved_provider(self) -> str:
        """The provider in force, after `auto` has looked at the environment."""
        if self.provider != AUTO:
            return self.provider
        has_openai = (
            self.base_url
            or self.endpoints
            or os.environ.get(self.api_key_env or "OPENAI_API_KEY")
            or os.environ.get("OPENAI_BASE_URL")
        )
        return "openai" if has_openai else "offline"

    def each_endpoint(self) -> list[LlmSettings]:
        """These settings as every endpoint has them, without further endpoints."""
        if not self.endpoints:
            return [self]
        prices = ("price_in", "price_out", "price_cached")
        endpoints = []
        for endpoint in self.endpoints:
            own = ("max_requests_per_minute", "max_tokens_per_minute", *(prices if endpoint.model else ()))
            own_values = endpoint.model_dump(exclude={"weight", "concurrency"}, exclude_none=True)
            endpoints.append(self.model_copy(update={"endpoints": [], **dict.fromkeys(own), **own_values}))
        return endpoints

    def shares(self) -> list[tuple[LlmSettings, float]]:
        """Every endpoint with its share of the calls while each has room; the shares add up to 1."""
        weights = [endpoint.weight for endpoint in self.endpoints] or [1.0]
        total = sum(weights)
        return [(one, weight / total) for one, weight in zip(self.each_endpoint(), weights, strict=True)]

    def models(self) -> dict[str, float]:
        """Every model that is asked, with the weight of its endpoints."""
        weights: dict[str, float] = {}
        for endpoint in self.endpoints:
            name = endpoint.model or self.model
            weights[name] = weights.get(name, 0.0) + endpoint.weight
        return weights or {self.model: 1.0}

    def of_model(self, model: str) -> LlmSettings:
        """These settings with the endpoints of one model only."""
        kept = [endpoint for endpoint in self.endpoints if (endpoint.model or self.model) == model]
        return self.model_copy(update={"model": model, "endpoints": kept})


VerdictKind = Literal[
    "unbalanced",
    "image_leak",
    "text_leak",
    "label_conflict",
    "label_unknown",
    "pseudo_in_validation",
    "column_lost",
    "personal_data",
    "blurred_in_training",
    "override_not_applied",
    "near_leak",
    "near_text_leak",
    "prompt_names_record",
    "no_image",
    "poor_picture",
    "retry",
    "label_noise",
    "offline_texts",
    "pseudo_labels",
    "label_doubted",
    "reason_declined",
    "reason_fails",
    "prompt_shortened",
    "not_emitted",
    "boxes_unclear",
    "places_unclear",
    "no_validation",
    "few_records",
    "untested_class",
    "untested_form",
    "rejected",
    "trainer_check",
]
VERDICT_KINDS: tuple[str, ...] = get_args(VerdictKind)
"""What a build's verdict speaks of, the worst first."""


class RunSettings(Settings):
    """How the recipe runs. Nothing here can reach a key of the result store."""

    concurrency: int = Field(default=64, ge=1, le=4096)
    """Calls in flight. Fewer while an endpoint's limits or overload demand it."""
    executor: Literal["local", "ray"] = "local"
    """Where records are answered. `local`: in this process and `workers` processes of this machine. `ray`:
    on a Ray cluster (needs `datakit[ray]`), the one that RAY_ADDRESS or a running Ray names, else one that is
    started here. Results are the same, under the same keys, in the same store."""
    mode: Literal["calls", "batch", "batch_files"] = "calls"
    """How models are asked. `calls`: one request at a time each, answered at once. `batch`: through the
    endpoint's Files and Batches API, at `llm.batch_price_factor` of the price, within a day; a build that is
    stopped meanwhile collects its batches when it runs again. `batch_files`: the build writes the same files
    and ends with exit code 3; the next one takes up what `vllm run-batch` (or whoever else runs them) laid
    beside them. The answers are the same results, under the same keys, whichever way they came."""
    batch_max_requests: int = Field(default=50_000, ge=1, le=50_000)
    """Requests in one batch file, and records that wait for answers at the same time, at most. Take fewer
    where the account may queue only so many tokens."""
    batch_max_mb: float = Field(default=200, gt=0, le=200)
    """Size of one batch file at most, in MB of 1,000,000 bytes."""
    batch_poll_s: float = Field(default=60, gt=0)
    """Longest pause between two looks at a batch; the first looks come sooner."""
    workers: int | None = Field(default=None, ge=1)
    """Worker processes; one per core when not given. Actors at most on a Ray cluster; one per CPU of it."""
    worker_memory_mb: int = Field(default=1500, ge=256)
    """A worker process that has grown beyond this is replaced. A picture that would take more to decode, by
    what its header claims, is rejected with the value that lets it in (400 MB are a worker's own)."""
    max_reject_rate: float = Field(default=0.02, ge=0, le=1)
    """The build fails when more of the records than this are rejected, of all or of those of one task. A look
    (`--limit`) fails beyond a half of its few records."""
    fail_on: tuple[VerdictKind, ...] = ()
    """Findings of the verdict that make the build fail (exit 1): the build before stays in its place, the
    new one lies beside it in `.<name>.failed`. `datakit verdict BUILD` lists the kinds."""
    require_signoff: bool = False
    """Whether `datakit train`, `handoff`, `bundle` and `serve` (of the trained model) refuse a build that
    nobody has signed off (`datakit signoff`). The builds of `datakit kfold` and `ablate` ask for no
    signature. Changed, the build is made anew."""
    budget_usd: float | None = Field(default=None, gt=0)
    """The worst price of a call, or of a whole batch file, is set aside before it is sent: what is spent
    stays within this."""
    store: str | None = None
    """Where results are stored: a folder, `.datakit` in the project when not given, or a database that a team
    shares, `postgresql://user@host/database` (needs `datakit[postgres]`). Its password comes from PGPASSWORD,
    from a file that PGPASSFILE names, or from a `${NAME}` in its place. DATAKIT_STORE overrides this."""
    batch_rows: int = Field(default=4096, ge=1)
    """Records handled at a time; does not change what comes out."""

    @property
    def image_memory_mb(self) -> int:
        """What decoding one picture may take, in MB of 1,000,000 bytes."""
        return picture_mb(self.worker_memory_mb)

    @property
    def is_batch(self) -> bool:
        """Whether models are asked through batch files."""
        return self.mode != "calls"

    @field_validator("store")
    @classmethod
    def _without_password(cls, store: str | None) -> str | None:
        if store is not None and is_url(store) and (fault := fault_of_url(store)):
            raise ValueError(fault)
        return store

    @property
    def store_url(self) -> str | None:
        """The database that results are stored in; None where they are stored in a folder. It may hold a
        password: show `shown_url` of it."""
        chosen = os.environ.get("DATAKIT_STORE") or self.store
        return chosen if chosen and is_url(chosen) else None

    def store_folder(self, project: Path) -> Path:
        """Where the result store lies: DATAKIT_STORE, else `store`, else `.datakit` in the project. Beside
        results in a database that folder keeps what is this machine's alone."""
        chosen = os.environ.get("DATAKIT_STORE") or self.store
        if chosen and not is_url(chosen):
            return project / Path(chosen).expanduser()
        return project / ".datakit"
