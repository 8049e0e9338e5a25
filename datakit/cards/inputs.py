"""What a build was made of, as the ledger keeps it and two builds are compared by."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.ledger import Inputs
from datakit.core.labels import Label
from datakit.core.record import digest

_SECRET = re.compile(r"(^|_)(token|secret|password|api_key|access_key)$")


def inputs_of(build: BuildFolder) -> Inputs:
    """What a build was made of, without secrets and paths of this machine."""
    counted = build.records.group_by("part").len().collect()
    manifest = build.manifest
    recipe = {key: value for key, value in build.recipe.items() if key not in ("run", "card")}
    return Inputs(
        recipe=cleaned(recipe, build),
        templates=manifest.templates,
        labels={label.name: _digests(label) for label in build.labels.labels} if build.labels else {},
        sources={build.place(path): stamp.sha256 for path, stamp in sorted(manifest.sources.items())},
        records={split: int(count) for split, count in sorted(counted.iter_rows())},
        datakit=manifest.datakit,
    )


def _digests(label: Label) -> tuple[str, str, str]:
    fields = (label.description, list(label.aliases), list(label.confusable_with))
    description, aliases, confusables = (digest(field, size=4).hex() for field in fields)
    return description, aliases, confusables


def cleaned(value: Any, build: BuildFolder) -> Any:
    """Values of a recipe without secrets and paths of this machine."""
    if isinstance(value, dict):
        return {
            key: "hidden" if _SECRET.search(str(key)) and inner else cleaned(inner, build)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [cleaned(inner, build) for inner in value]
    return build.clean(_without_user(value)) if isinstance(value, str) else value


def _without_user(text: str) -> str:
    """An address without user, password and query; any other text as it is."""
    if "://" not in text:
        return text
    url = urlsplit(text)
    return urlunsplit((url.scheme, url.netloc.rpartition("@")[2], url.path, "", ""))
