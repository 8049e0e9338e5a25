"""Names that `llm.provider` may take, found by place and by entry points; no provider is imported for it."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path

from datakit.core.plugins import PROVIDERS, plugins

GROUP = PROVIDERS
"""Entry-point group through which other packages add providers (`mine = "package.module:Mine"`)."""
AUTO = "auto"


def provider_names() -> tuple[str, ...]:
    """Every provider: those of datakit/llm/providers, then those of other packages."""
    return own_providers() + tuple(sorted(plugin_providers().keys() - set(own_providers())))


@cache
def own_providers() -> tuple[str, ...]:
    """Those of datakit; each is the module of its name."""
    folder = Path(__file__).resolve().parent.parent / "llm" / "providers"
    return tuple(sorted(module.name for module in pkgutil.iter_modules([str(folder)])))


def plugin_providers() -> dict[str, EntryPoint]:
    """Those of other packages. A name of datakit's own cannot be taken."""
    return plugins(GROUP)
