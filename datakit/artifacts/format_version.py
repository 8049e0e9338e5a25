"""Which formats of a file are read: older ones are, a newer one is refused with the remedy."""

from __future__ import annotations

from typing import Any

from datakit.core.errors import UserError

UPGRADE = "Upgrade datakit (pip install -U datakit), or build again: datakit build RECIPE --force"


class NewerFormat(UserError):
    """A file was written by a later datakit, which may mean something else by the same words."""


def refuse_newer(document: Any, newest: int, where: str, remedy: str = UPGRADE) -> None:
    """Raises NewerFormat for a format above `newest`. A document without a version has format 1."""
    version = document.get("version", 1) if isinstance(document, dict) else 1
    if isinstance(version, int) and version > newest:
        raise NewerFormat(
            f"{where} has format {version}, and this version of datakit reads formats up to {newest}",
            remedy=remedy,
        )
