"""What a build keeps of its project, so that it can be served and scored without it."""

from __future__ import annotations

import shutil
from pathlib import Path

from datakit.core import answer
from datakit.core.tools import Tools
from datakit.core.transform import Renderer
from datakit.recipe.recipe import Recipe

LABELS = "labels.yaml"
"""The recipe's label file, byte for byte."""
TEMPLATES = "templates"
"""Folder of every template that a step used, under the names that the recipe gives them."""


def keep_files(folder: Path, recipe: Recipe, tools: Tools) -> dict[str, str]:
    """Writes labels.yaml, templates/ and answer.json into the build; name -> digest of each template.

    A recipe without labels, or without a renderer that writes answers, leaves out that file.
    """
    if recipe.labels is not None:
        shutil.copyfile(recipe.labels.path, folder / LABELS)
    digests = {}
    for step in recipe.steps:
        for name in step.transform.templates():
            digests[name] = tools.templates.digest(name)
            for used in tools.templates.used(name):
                target = folder / TEMPLATES / used
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(tools.templates.source(used), encoding="utf-8", newline="\n")
    renderers = [step.transform for step in recipe.steps if isinstance(step.transform, Renderer)]
    forms = [form for renderer in renderers if (form := renderer.answer_format(tools)) is not None]
    if forms:
        (folder / answer.FILE).write_bytes(forms[-1].to_json())
    return digests
