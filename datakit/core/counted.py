"""Numbers of things in sentences."""

from __future__ import annotations


def counted(count: int, thing: str) -> str:
    """`1 record`, `2 records`, `3 classes`.

    >>> counted(1_000, "class")
    '1,000 classes'
    """
    ending = "es" if thing.endswith(("s", "x", "ch", "sh")) else "s"
    return f"{count:,} {thing}{'' if count == 1 else ending}"


def counted_with(count: int, thing: str, one: str, several: str) -> str:
    """The same with its verb: `1 record is`, `2 records are`."""
    return f"{counted(count, thing)} {one if count == 1 else several}"
