"""Any endpoint that speaks OpenAI's chat completions: OpenAI, vLLM, SGLang, DashScope and others."""

from __future__ import annotations

import os
import urllib.parse
from functools import cached_property
from typing import TYPE_CHECKING, Any

from datakit.core.errors import UserError
from datakit.llm import chat_completions, chat_reply
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
    address_hint = "it usually ends in /v1."
    batch_path = "/v1/chat/completions"

    @cached_property
    def base_url(self) -> str:
        return str(self.face.base_url)

    @property
    def url(self) -> str:
        query = urllib.parse.urlencode(self._query)
        return self.base_url.rstrip("/") + "/chat/completions" + (f"?{query}" if query else "")

    @property
    def models_url(self) -> str:
        query = urllib.parse.urlencode(self._query)
        return self.base_url.rstrip("/") + "/models" + (f"?{query}" if query else "")

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
        return chat_completions.headers_of(self.face)

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

        base_url = self._address.partition("?")[0] if self._address else None
        return AsyncOpenAI(
            api_key=self.key,
            base_url=base_url,
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
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self._address or "").query))
