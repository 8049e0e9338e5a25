"""The services of models, one file each, and how `llm.provider` names them."""

from __future__ import annotations

import importlib
import os
from functools import cache
from typing import TypeGuard

from datakit.core.errors import UserError, did_you_mean
from datakit.core.plugins import broken, load
from datakit.core.providers import AUTO, own_providers, plugin_providers, provider_names
from datakit.core.settings import LlmSettings
from datakit.llm.provider import Provider


def provider_of(settings: LlmSettings) -> Provider:
    """Who answers under these settings. `auto` goes by the address where it tells the service."""
    name = settings.resolved_provider()
    address = settings.base_url or os.environ.get("OPENAI_BASE_URL")
    if settings.provider == AUTO and address:
        owner = next((other for other in own_providers() if find(other).owns(address)), None)
        if owner is not None:
            return find(owner)(settings.model_copy(update={"base_url": address}))
    return find(name)(settings)


@cache
def find(name: str) -> type[Provider]:
    """The class of a provider. Raises UserError with a did-you-mean for an unknown name."""
    point = plugin_providers().get(name)
    if name in own_providers():
        if point is not None:
            raise broken(point, f"takes the name of datakit's own `{name}`")
        module = f"{__name__}.{name}"
        (kind,) = (
            value
            for value in vars(importlib.import_module(module)).values()
            if _is_provider(value) and value.__module__ == module
        )
        return kind
    if point is None:
        hint = did_you_mean(name, provider_names()) or f"Known: {', '.join(provider_names())}."
        raise UserError(f"no provider is called `{name}`", remedy=hint)
    provider = load(point)
    if not _is_provider(provider):
        raise broken(point, f"is no provider, but {provider!r}")
    return provider


def _is_provider(value: object) -> TypeGuard[type[Provider]]:
    return isinstance(value, type) and issubclass(value, Provider)
