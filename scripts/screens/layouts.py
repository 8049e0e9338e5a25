"""The registry of layouts: label -> functions that draw one kind of its screens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from screens.world import World


@dataclass(frozen=True)
class Page:
    """What the browser is to show."""

    body: str
    """HTML of the whole picture."""
    height: int
    """CSS px."""


Layout = Callable[[World], Page]
LAYOUTS: dict[str, list[Layout]] = {}
"""Labels in the order of their modules. Written by `layout` alone, while the modules are imported."""


def layout(label: str) -> Callable[[Layout], Layout]:
    """Registers a function as a layout of the label."""

    def register(function: Layout) -> Layout:
        LAYOUTS.setdefault(label, []).append(function)
        return function

    return register
