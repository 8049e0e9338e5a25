"""Any endpoint that speaks OpenAI's chat completions: OpenAI, vLLM, SGLang, DashScope and others."""

from __future__ import annotations

import os
import urllib.parse
from functools import cached_property
from typing import TYPE_CHECKING, Any

from datakit.core.errors import UserError
from datakit.llm import chat_completions, chat_reply
from datakit.llm._client_setup import http_client
from datakit.llm._faults import Fault
from datakit.llm.provider import Answer, Provider, Question
from datakit.llm.thinking import reasoning_effort

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_TYPED = ("bigmodel.cn", "deepseek.com", "moonshot.cn", "volces.com", "z.ai")
"""Hosts that take `thinking: {type: enabled}` (from memory; not tried against the services)."""
_FLAG = ("aliyuncs.com", "siliconflow.cn", "siliconflow.com")
"""Hosts that take `enable_thinking` in the body itself: DashScope and SiliconFlow."""


class OpenAI(Provider):
    """The `openai` package gives address, headers and types. A server of one's own may do without a key."""

    name = "openai"
    key_env = "OPENAI_API_KEY"
    base_url_env = "OPENAI_BASE_URL"
    variables = ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID")
    address_hint = "it usually ends in /v1, at Azure in /openai/v1."
    batch_path = "/v1/chat/completions"

    @cached_property
    def base_url(self) -> str:
        """Without its query, which goes behind the path of every request."""
        address = self._address or "https://api.openai.com/v1"
        return address.partition("?")[0].rstrip("/").removesuffix("/chat/completions")

    @property
    def url(self) -> str:
        return self._with_query("/chat/completions")

    @property
    def models_url(self) -> str:
        return self._with_query("/models")

    def _with_query(self, path: str) -> str:
        query = (self._address or "").partition("?")[2]
        return self.base_url + path + (f"?{query}" if query else "")

    @property
    def key(self) -> str:
        key = os.environ.get(self.key_name)
        if not key:
            if self._address is None:
                raise UserError(
                    f"llm.provider is openai, but {self.key_name} is not set",
                    remedy=f"Set {self.key_name}, or OPENAI_BASE_URL for a server without keys, or take "
                    "llm.provider: offline.",
                )
            return "none"  # servers of one's own, such as vLLM, ask for no key
        return key

    def headers(self) -> dict[str, str]:
        own = {"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"}
        given = {name: os.environ[variable] for name, variable in own.items() if os.environ.get(variable)}
        azure = {"api-key": self.key} if "/openai/deployments/" in self.base_url else {}  # it takes no other
        return {"Authorization": f"Bearer {self.key}", "Accept": "application/json", **azure, **given}

    def encode(self, question: Question) -> dict[str, Any]:
        return chat_completions.encode(question)

    def decode(self, data: bytes) -> Answer | Fault:
        return chat_reply.decode(data)

    def thinking(self, on: bool) -> dict[str, Any]:
        host = urllib.parse.urlsplit(self._address or "https://api.openai.com").hostname or ""
        if host.endswith("openai.com"):
            return reasoning_effort(self.settings.model, on)
        if host.endswith(_FLAG):
            return {"enable_thinking": on}
        if host.endswith(_TYPED):
            return {"thinking": {"type": "enabled" if on else "disabled"}}
        if host.endswith("openrouter.ai"):
            return {"reasoning": {"enabled": on}}
        return {"chat_template_kwargs": {"enable_thinking": on}}  # vLLM and SGLang, Qwen's templates

    async def models(self) -> list[str]:
        return await chat_completions.models_of(self.face)

    @cached_property
    def face(self) -> AsyncOpenAI:
        from openai import AsyncOpenAI

        return AsyncOpenAI(
            api_key=self.key,
            base_url=self.base_url,
            http_client=http_client(self.url),
            default_query=self._query,
            default_headers=self.extra_headers(),
            max_retries=0,
            timeout=self.settings.timeout_s,
        )

    @property
    def _address(self) -> str | None:
        return self.settings.base_url or os.environ.get(self.base_url_env) or None

    @property
    def _query(self) -> dict[str, str]:
        """The parameters of the address, such as `api-version`."""
        query = urllib.parse.urlsplit(self._address or "").query
        return dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
