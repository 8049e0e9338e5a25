"""Data-set engineering for fine-tuning vision-language models.

    import datakit as dk
    result = dk.build("recipes/ecom_v3.yaml")          # as `datakit build`
    data = dk.apply([dk.annotate.Ocr(into="ocr")], dk.read.Jsonl(path="train.jsonl"), take=50)
    data                                             # thumbnails, labels and texts as a table in a notebook
    done = dk.open_build("build/ecom_v3")            # records, rejects, report, check, predictions, card
    dk.plan("recipes/ecom_v3.yaml").cost_usd         # so check, why, diff, card, review, evaluate

Transforms are classes in the folders of the flow: dk.read, dk.annotate, dk.guard, dk.curate, dk.balance,
dk.render, dk.mix, dk.emit. `datakit transforms` lists them with their parameters.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datakit.commands import build, card, check, diff, evaluate, plan, review, why
    from datakit.core.outcome import Rejected
    from datakit.function_steps import step
    from datakit.library import load
    from datakit.notebook import Records, apply
    from datakit.opened_build import OpenedBuild, open_build
    from datakit.recipe.recipe import Recipe
    from datakit.run.build import BuildResult, Options
    from datakit.serving.classifier import Classifier

__version__ = "0.2.0"

_FACE = {
    "BuildResult": "datakit.run.build",
    "Classifier": "datakit.serving.classifier",
    "OpenedBuild": "datakit.opened_build",
    "Options": "datakit.run.build",
    "Recipe": "datakit.recipe.recipe",
    "Records": "datakit.notebook",
    "Rejected": "datakit.core.outcome",
    "apply": "datakit.notebook",
    "build": "datakit.commands",
    "card": "datakit.commands",
    "check": "datakit.commands",
    "diff": "datakit.commands",
    "evaluate": "datakit.commands",
    "load": "datakit.library",
    "open_build": "datakit.opened_build",
    "plan": "datakit.commands",
    "review": "datakit.commands",
    "step": "datakit.function_steps",
    "why": "datakit.commands",
}
_OLD_NAMES = {"Made": "datakit.library"}
"""What datakit 0.1 called otherwise. Goes with 0.3."""
_FOLDERS = ("read", "annotate", "guard", "curate", "balance", "render", "mix", "emit")

__all__ = [
    "BuildResult",
    "Classifier",
    "OpenedBuild",
    "Options",
    "Recipe",
    "Records",
    "Rejected",
    "apply",
    "build",
    "card",
    "check",
    "diff",
    "evaluate",
    "load",
    "open_build",
    "plan",
    "review",
    "step",
    "why",
]


def __getattr__(name: str) -> Any:
    if name in _FACE:
        return getattr(importlib.import_module(_FACE[name]), name)
    if name in _OLD_NAMES:
        return getattr(importlib.import_module(_OLD_NAMES[name]), name)
    if name in _FOLDERS:
        return importlib.import_module(f"datakit.{name}")
    raise AttributeError(f"datakit has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*_FACE, *_FOLDERS])
