"""What a service of models is: all that differs between services, in one class.

Pace, pool, circuit, budget, result store and batches are the same for all of them. A provider of another
package is a subclass that an entry point of the group `datakit.providers` names:

    class Mine(Provider):
        name, key_env, structured = "mine", "MINE_API_KEY", ("none",)

        @property
        def url(self):
            return f"{self.base_url}/generate"

        def headers(self):
            return {"x-key": self.key}

        def encode(self, question):
            return {"prompt": question.request.text, "max_new_tokens": question.request.max_tokens}

        def decode(self, data):
            return Answer(orjson.loads(data)["text"])
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from datakit.core.credentials import credentials_of_address, is_credential_name
from datakit.core.errors import UserError
from datakit.core.settings import LlmSettings, Structured
from datakit.llm import prices
from datakit.llm._faults import Fault, fault_of
from datakit.llm._pace import Headers, limits_of
from datakit.llm.answer import Answer
from datakit.llm.image_tokens import picture_tokens
from datakit.llm.prices import Price
from datakit.llm.request import Request, Turn

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["Answer", "Fault", "Headers", "Price", "Provider", "Question", "Request"]

_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Question:
    """A request as it is to be put to a service."""

    request: Request
    model: str
    structured: Structured
    """How JSON is asked for: one of the ways that the provider knows."""
    max_image_pixels: int
    """Pictures are scaled down to it: `pictures.picture_bytes`."""
    further: Sequence[Turn] = ()
    """Turns after the question: the model's answer, and the wish for another form."""
    left_out: Collection[str] = ()
    """What this server refused: reasons of faults whose fate is `adapt`."""
    stream: bool = False


class Provider:
    """A service of models under the settings of a recipe. Made before keys are there; asks nothing itself."""

    name: ClassVar[str]
    """Name in `llm.provider`."""
    asks: ClassVar[bool] = True
    """Whether an endpoint is asked; else texts are composed on this machine."""
    key_env: ClassVar[str] = ""
    """Environment variable with the key, where `llm.api_key_env` names none."""
    base_url_env: ClassVar[str] = ""
    """Environment variable with the address, where `llm.base_url` is not given."""
    variables: ClassVar[tuple[str, ...]] = ()
    """Further environment variables that it reads: actors on other machines are given them too."""
    default_base_url: ClassVar[str] = ""
    """Address where nothing else names one."""
    address_hint: ClassVar[str] = "See the service's documentation for its form."
    structured: ClassVar[tuple[Structured, ...]] = ("json_schema", "json_object", "none")
    """The ways to ask for JSON that it knows, the strictest first."""
    prices: ClassVar[Mapping[str, Price]] = prices.TABLE
    """Price by model, without a date in its name."""
    batch_path: ClassVar[str] = ""
    """The path in the lines of batch files; empty for a service without OpenAI's Files and Batches API."""

    def __init__(self, settings: LlmSettings) -> None:
        self.settings = settings

    @classmethod
    def owns(cls, address: str) -> bool:
        """Whether an address can only be this service's: then `llm.provider: auto` takes it."""
        return False

    @cached_property
    def base_url(self) -> str:
        """Address of the service. Raises UserError when nothing names one."""
        url = self.settings.base_url or os.environ.get(self.base_url_env) or self.default_base_url
        if not url:
            also = f" or {self.base_url_env}" if self.base_url_env else ""
            raise UserError(
                f"llm.provider is {self.name}, but no address is given", remedy=f"Set llm.base_url{also}."
            )
        return url.rstrip("/")

    @property
    def url(self) -> str:
        """The address that questions are posted to."""
        raise NotImplementedError(f"{self.name} is no endpoint")

    @property
    def models_url(self) -> str:
        """The address at which the models are listed in OpenAI's form; empty for a service without."""
        return ""

    @property
    def key_name(self) -> str:
        """The environment variable that holds the key."""
        return self.settings.api_key_env or self.key_env

    @property
    def key(self) -> str:
        """The key; empty for a service without keys. Raises UserError when it is not set."""
        key = os.environ.get(self.key_name, "")
        if self.key_name and not key:
            raise UserError(
                f"llm.provider is {self.name}, but {self.key_name} is not set",
                remedy=f"Set {self.key_name}, or name another variable with llm.api_key_env.",
            )
        return key

    def headers(self) -> dict[str, str]:
        """Headers of every request, the key among them. Raises UserError."""
        return {}

    def extra_headers(self) -> dict[str, str]:
        """The recipe's own headers, with what the environment holds. Raises UserError."""

        def value_of(match: re.Match[str]) -> str:
            value = os.environ.get(match[1])
            if value is None:
                raise UserError(
                    f"llm.extra_headers names {match[0]}, but {match[1]} is not set",
                    remedy=f"Set {match[1]}.",
                )
            return value

        return {name: _VARIABLE.sub(value_of, text) for name, text in self.settings.extra_headers.items()}

    def secrets(self) -> list[str]:
        """What nothing may show: the key, what headers take from the environment, and what addresses hold."""
        headers = self.settings.extra_headers.items()
        held = [os.environ.get(name, "") for _, text in headers for name in _VARIABLE.findall(text)]
        named = [value for name, value in self.extra_headers().items() if is_credential_name(name)]
        addresses = (self.settings.base_url or "", os.environ.get(self.base_url_env, ""))
        within = [text for address in addresses for text in credentials_of_address(address)]
        return [self.key, *named, *held, *within]

    def encode(self, question: Question) -> dict[str, Any]:
        """The JSON body of a question. Reads its pictures. Raises ImageProblem."""
        raise NotImplementedError(f"{self.name} is no endpoint")

    def decode(self, data: bytes) -> Answer | Fault:
        """The answer in the body of a 200, streamed or not; a fault when there is none."""
        raise NotImplementedError(f"{self.name} is no endpoint")

    def fault(self, status: int, headers: Mapping[str, str], data: bytes) -> Fault:
        """What a reply other than 200 means for the record and for the build."""
        return fault_of(status, headers, data)

    def limits(self, headers: Mapping[str, str]) -> dict[str, Headers | None]:
        """What a reply says of the limits of `requests` and `tokens`, each where it says something."""
        return limits_of(headers)

    def image_tokens(self, width: int, height: int) -> int:
        """Input tokens of one picture of this size, as it is sent."""
        return picture_tokens(self.settings.model, width, height)

    def price(self) -> Price | None:
        """The price of the model in force; None when neither the recipe nor the service's table knows it."""
        return prices.price_of(self.settings, self.prices)

    def thinking(self, on: bool) -> dict[str, Any]:
        """Fields of the body by which `llm.thinking` is said here. Raises UserError where it cannot be."""
        raise UserError(
            f"llm.thinking cannot be set for {self.name}",
            remedy="Take it out, or say it in the service's own words with llm.extra_body.",
        )

    async def models(self) -> list[str]:
        """Names of the models that the service lists; empty when it lists none."""
        return []

    @cached_property
    def face(self) -> AsyncOpenAI | None:
        """The service as the `openai` package sees it, for Files and Batches; None where it does not fit."""
        return None

    async def close(self) -> None:
        """Gives connections back, those of the `openai` package."""
        face = self.__dict__.get("face")
        if face is not None:
            await face.close()
