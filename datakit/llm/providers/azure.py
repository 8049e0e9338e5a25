"""Azure OpenAI: a deployment in the address, the API's version in the query, the key in `api-key`."""

from __future__ import annotations

import os
import re
import urllib.parse
from functools import cached_property
from typing import TYPE_CHECKING, Any

from datakit.llm import chat_completions, chat_reply
from datakit.llm._client_setup import http_client
from datakit.llm._faults import Fault
from datakit.llm.provider import Answer, Provider, Question
from datakit.llm.thinking import reasoning_effort

if TYPE_CHECKING:
    from openai import AsyncOpenAI

API_VERSION = "2024-10-21"
"""Taken where neither the address nor OPENAI_API_VERSION names one: the last version of the classic API that
is not a preview (from memory; not tried against the service)."""
_HOSTS = (".openai.azure.com", ".openai.azure.us", ".cognitiveservices.azure.com", ".services.ai.azure.com")
_PLACE = re.compile(
    r"(?P<root>.*?/openai)(?P<v1>/v1)?(?:/deployments/(?P<deployment>[^/]+))?(?:/chat/completions)?$"
)


class Azure(Provider):
    """Takes every form of address: the resource alone (`https://NAME.openai.azure.com`, with `llm.model` for
    the deployment), that of a deployment, the whole one with `/chat/completions?api-version=…`, and the newer
    one that ends in `/openai/v1`. A token of Entra ID goes into `llm.extra_headers` as `Authorization`."""

    name = "azure"
    key_env = "AZURE_OPENAI_API_KEY"
    base_url_env = "AZURE_OPENAI_ENDPOINT"
    variables = ("OPENAI_BASE_URL", "OPENAI_API_VERSION", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID")
    address_hint = (
        "it looks like https://NAME.openai.azure.com/openai/deployments/NAME?api-version=2024-10-21."
    )
    batch_path = "/chat/completions"

    @classmethod
    def owns(cls, address: str) -> bool:
        """The form that ends in `/openai/v1` is left to the provider `openai`, which it was made for."""
        parts = urllib.parse.urlsplit(address)
        return (parts.hostname or "").endswith(_HOSTS) and not parts.path.rstrip("/").endswith("/openai/v1")

    @property
    def url(self) -> str:
        if self._place["v1"]:
            query = urllib.parse.urlsplit(self.base_url).query
            return f"{self._root}/chat/completions" + (f"?{query}" if query else "")
        deployment = self._place["deployment"] or urllib.parse.quote(self.settings.model)
        path = f"/deployments/{deployment}/chat/completions"
        return f"{self._root}{path}?api-version={self._version}"

    @property
    def key_name(self) -> str:
        """Azure's own variable, else OpenAI's where only that is set."""
        own_name = self.settings.api_key_env
        names = [own_name] if own_name else [self.key_env, "OPENAI_API_KEY"]
        return next((name for name in names if name in os.environ), names[0])

    @property
    def key(self) -> str:
        header_names = {name.lower() for name in self.settings.extra_headers}
        return "" if header_names & {"authorization", "api-key"} else super().key

    def headers(self) -> dict[str, str]:
        return {"api-key": self.key} if self.key else {}

    def encode(self, question: Question) -> dict[str, Any]:
        return chat_completions.encode(question)

    def decode(self, data: bytes) -> Answer | Fault:
        return chat_reply.decode(data)

    def thinking(self, on: bool) -> dict[str, Any]:
        return reasoning_effort(self.settings.model, on)

    @cached_property
    def face(self) -> AsyncOpenAI:
        from openai import AsyncOpenAI

        return AsyncOpenAI(
            api_key=self.key or "none",
            base_url=self._root,
            http_client=http_client(self.url),
            default_query={} if self._place["v1"] else {"api-version": self._version},
            default_headers={**self.headers(), **self.extra_headers()},
            max_retries=0,
            timeout=self.settings.timeout_s,
        )

    @cached_property
    def _place(self) -> dict[str, str | None]:
        """The parts of the address's path."""
        path = urllib.parse.urlsplit(self.base_url).path.rstrip("/")
        match = _PLACE.match(path) or _PLACE.match(path + "/openai")
        assert match is not None  # the second form always fits
        return match.groupdict()

    @property
    def _root(self) -> str:
        """The address of the API, which files and batches are under."""
        parts = urllib.parse.urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}{self._place['root']}{self._place['v1'] or ''}"

    @property
    def _version(self) -> str:
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.base_url).query))
        return query.get("api-version") or os.environ.get("OPENAI_API_VERSION") or API_VERSION
