"""Numbers of things in sentences."""

from __future__ import annotations


def counted(count: int, thing: str) -> str:
    """`1 record`, `2 records`."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
