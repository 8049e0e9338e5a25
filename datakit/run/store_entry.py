"""What the result store tells of a result without its value."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

Key = bytes
"""16 bytes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored result without its value."""

    key: Key
    step: str
    rejected: bool
    bytes: int
    cost_usd: float | None
    """What its making had cost; None where that was not noted, as for a model without a known price."""
    tokens: int
    """What the model read and wrote for it; 0 where nobody counted."""
    model: str | None
    """Who wrote it; None for work of another kind."""
    parts: tuple[Key, ...]
    """Keys of the results that it was put together from, which cost what it cost."""
    created: int
    used: int
    """Day of last use, in seconds since 1970."""


def costs_of(text: str) -> tuple[float | None, int, str | None, tuple[Key, ...]]:
    """Cost, tokens, model and parts, as a result's meta tells them; a damaged one has an unknown cost."""
    try:
        meta = orjson.loads(text)
        cost = meta.get("cost_usd")
        tokens = int(meta.get("tokens_in") or 0) + int(meta.get("tokens_out") or 0)
        parts = tuple(bytes.fromhex(part) for part in meta.get("parts", ()))
        return None if cost is None else float(cost), tokens, meta.get("model"), parts
    except (ValueError, TypeError, AttributeError):
        return None, 0, "unknown", ()
