"""card.json: which pages are the card of this build, by content. Pages that are not these are of another."""

from __future__ import annotations

from pydantic import Field

from datakit.artifacts.document import Document


class WrittenCard(Document):
    """What was written when the card of a build was."""

    build: str
    """sha256 of the build's manifest: the file may come to stand in another build, copied or in a race."""
    scores: str = ""
    """sha256 of the lines that the ledger had for the recipe; "" without any."""
    pages: dict[str, str] = Field(default_factory=dict)
    """Path in the card's folder -> sha256."""
