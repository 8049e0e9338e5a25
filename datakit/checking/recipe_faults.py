"""Faults of a recipe's `train:` that its folder and its other sections decide, before anything is paid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datakit.checking.codes import CODES
from datakit.checking.finding import Findings
from datakit.checking.settings import check_settings
from datakit.checking.training import Training
from datakit.core.errors import UserError
from datakit.core.pixels import TRAINER
from datakit.core.plain_yaml import Key
from datakit.core.task_blocks import flat_steps
from datakit.recipe.yaml_file import YamlFile
from datakit.training import deepspeed
from datakit.training.config import keys_so_far
from datakit.training.family import Family, family_of, why_not
from datakit.training.steps import scheduled

Fault = tuple[Key, str, str]
_MANY_STEPS = 10**9
"""Of a training whose rows are not counted yet: whatever depends on their number counts as right."""
_SECTION = "train"


@dataclass(frozen=True)
class _Keys(Training):
    """A configuration whose findings name the key in place of a line."""

    def where(self, key: str) -> str:
        return key


def training_faults(recipe: Mapping[str, Any], base: Path) -> Iterator[Fault]:
    """What would keep the training of a recipe in the folder `base` from being written or from starting."""
    section = recipe.get(_SECTION)
    if not isinstance(section, dict):
        return
    emitter = _emitter(recipe)
    if emitter is None:
        words = "`train:` needs the data set of LLaMA-Factory, which is not emitted"
        yield (_SECTION,), words, "Add `- llamafactory: {}` under `emit:`, or take `train:` out."
    yield from _pixels(section, emitter or {})
    yield from _deepspeed(section, base)
    model = section.get("model")
    if not isinstance(model, str):
        return
    family = family_of(model, base)
    if words := why_not(model, family, section.get("template"), shows_images=_shows_images(recipe)):
        yield (_SECTION, "model"), f"`train:`: {words}", ""
    yield from _as_checked(section, model, family, base)


def _as_checked(section: Mapping[str, Any], model: str, family: Family, base: Path) -> Iterator[Fault]:
    """What the check of the training's configuration would stop at."""
    keys = scheduled(keys_so_far(section), _MANY_STEPS, evaluates=True, evaluations=1)
    keys |= {"model_name_or_path": model, "dataset": "train", "eval_dataset": "val"}
    keys["template"] = section.get("template") or family.template or "default"
    findings = Findings()
    check_settings(_Keys(keys, YamlFile(base / "train", keys, "")), findings)
    told = ("setting_file", "template_family") if family.kind == "text" else ("setting_file",)
    for finding in findings.all:
        if finding.severity == "error" and finding.code not in told:
            key = finding.where if finding.where in section else ""
            words = f"`train:`: {CODES[finding.code].title}: {finding.message}"
            yield ((_SECTION, key) if key else (_SECTION,)), words, finding.remedy


def _emitter(recipe: Mapping[str, Any]) -> dict[str, Any] | None:
    """The parameters of emit.llamafactory; None without it."""
    steps = recipe.get("emit")
    for step in steps if isinstance(steps, list) else ():
        row = {step: None} if isinstance(step, str) else step
        for name, parameters in row.items() if isinstance(row, dict) else ():
            if str(name).removeprefix("emit.") == "llamafactory":
                return parameters if isinstance(parameters, dict) else {}
    return None


def _pixels(section: Mapping[str, Any], emitter: Mapping[str, Any]) -> Iterator[Fault]:
    wanted = section.get("image_max_pixels")
    if type(wanted) is not int or emitter.get("images") != "resize":
        return
    emitted = emitter.get("image_max_pixels") or TRAINER.max_pixels
    if isinstance(emitted, int) and wanted > emitted:
        words = f"`train:`: pictures of {wanted:,} pixels, but emit.llamafactory leaves only {emitted:,}"
        remedy = "Give both one `image_max_pixels`: serving takes the limit of the training."
        yield (_SECTION, "image_max_pixels"), words, remedy


def _deepspeed(section: Mapping[str, Any], base: Path) -> Iterator[Fault]:
    wanted = section.get("deepspeed")
    if isinstance(wanted, str) and wanted.endswith(".json"):
        try:
            deepspeed.settings_of(wanted, base)
        except UserError as error:
            yield (_SECTION, "deepspeed"), error.message, error.remedy


def _shows_images(recipe: Mapping[str, Any]) -> bool | None:
    """Whether a reader of the recipe gives its records pictures; None where only the data can tell."""
    rows = [step for _, step in flat_steps(recipe) if isinstance(step, dict)]
    readers = [(name, own) for row in rows for name, own in row.items() if str(name).startswith("read.")]
    own_images = [own.get("images") if isinstance(own, dict) else None for _, own in readers]
    if readers and all(images == "none" for images in own_images):
        return False
    named = any(
        name == "read.image_folder" or (isinstance(own, dict) and own.get("image")) for name, own in readers
    )
    return True if named else None
