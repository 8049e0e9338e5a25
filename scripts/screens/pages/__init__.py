"""The layouts, by the part of a purchase that they belong to. `load()` registers them all."""

from __future__ import annotations

import importlib

MODULES = (
    "account",
    "after_sales",
    "buying",
    "camera",
    "delivery",
    "disputes",
    "exchanges",
    "goods",
    "others",
    "outside",
    "paying",
    "promotions",
    "reviews",
    "shops",
    "talk",
)


def load() -> None:
    """Registers every layout, in the order of MODULES."""
    for module in MODULES:
        importlib.import_module(f"screens.pages.{module}")
