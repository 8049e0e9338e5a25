"""The recipe's `llm:` and `run:` sections: how work is done, never what comes out of it."""

from __future__ import annotations

import os
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Base of the sections: frozen, strict, no unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class LlmSettings(Settings):
    """The model that writes descriptions and reasons. The key comes from the environment, never from here."""

    provider: Literal["auto", "openai", "offline"] = "auto"
    """`openai` is any OpenAI-compatible endpoint; `offline` is the built-in writer; `auto` takes `openai`
    when OPENAI_API_KEY or OPENAI_BASE_URL is set, else the offline writer, and says so."""
    model: str = "gpt-4o-mini"
    """Name of the model at the endpoint."""
    base_url: str | None = None
    """Address of the endpoint; OPENAI_BASE_URL when not given."""
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key."""
    timeout_s: float = Field(default=120.0, gt=0)
    """Longest wait for one answer."""
    max_retries: int = Field(default=5, ge=0)
    """Further tries after 408, 409, 429, 5xx and lost connections."""
    max_image_pixels: int = Field(default=1_003_520, ge=784)
    """Pictures are scaled down to this many pixels before they are sent (1,280 tokens of Qwen2.5-VL)."""
    structured: Literal["json_schema", "json_object", "none"] = "json_schema"
    """How the endpoint is asked for JSON."""
    price_in: float | None = Field(default=None, ge=0)
    """USD per million input tokens, when the price table does not know the model."""
    price_out: float | None = Field(default=None, ge=0)
    """USD per million output tokens."""

    def resolved_provider(self) -> Literal["openai", "offline"]:
        """The provider in force, after `auto` has looked at the environment."""
        if self.provider != "auto":
            return self.provider
        found = self.base_url or os.environ.get(self.api_key_env) or os.environ.get("OPENAI_BASE_URL")
        return "openai" if found else "offline"


class RunSettings(Settings):
    """How the recipe runs. Nothing here can reach a key of the result store."""

    concurrency: int = Field(default=64, ge=1, le=4096)
    """Calls in flight at the endpoint."""
    workers: int | None = Field(default=None, ge=1)
    """Worker processes; one per core when not given."""
    worker_memory_mb: int = Field(default=1500, ge=256)
    """A worker process that has grown beyond this is replaced."""
    max_reject_rate: float = Field(default=0.02, ge=0, le=1)
    """The build fails when more of the records than this are rejected."""
    budget_usd: float | None = Field(default=None, gt=0)
    """No call is sent once this much is spent."""
    store: str | None = None
    """Folder of the result store; `.datakit` in the project when not given (DATAKIT_STORE overrides)."""
    batch_rows: int = Field(default=4096, ge=1)
    """Records handled at a time; does not change what comes out."""
