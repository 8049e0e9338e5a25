"""How the model that a recipe trains sees pictures: its family, its processor, and what resizes before."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import orjson

from datakit.core.box_forms import FORMS, BoxForm, SeenPictures
from datakit.core.pixels import FAMILIES, TRAINER, Family, TrainerLimits
from datakit.core.regular_files import read_regular


@dataclass(frozen=True)
class TrainedPictures:
    """What a recipe says of how pictures reach the model that it trains."""

    form: BoxForm | None = None
    """The form of the model's family; None where no Qwen-VL is trained."""
    family: Family | None = None
    """Its processor's grid and limits."""
    trainer: TrainerLimits = TRAINER
    emitted_max_pixels: int | None = None
    """What the emitter for LLaMA-Factory scales pictures down to."""

    def seen(self, form: BoxForm | None = None) -> SeenPictures | None:
        """How the model sees pictures, or one of a family that is not its own; None where none is named."""
        chosen = form or self.form
        if chosen is None:
            return None
        own = self.family if chosen == self.form else None
        return SeenPictures(chosen, own or FAMILIES[chosen], self.trainer, self.emitted_max_pixels)


def trained_pictures(train: Mapping[str, Any], emitted_max_pixels: int | None, base: Path) -> TrainedPictures:
    """By a recipe's `train:` section; `base` is where the model's folder is looked for."""
    form = form_of_model(str(train.get("model") or ""), base)
    limits = TrainerLimits(
        _pixels(train.get("image_max_pixels")) or emitted_max_pixels or TRAINER.max_pixels,
        _pixels(train.get("image_min_pixels")) or TRAINER.min_pixels,
    )
    family = processor_in(base / str(train["model"]), FAMILIES[form]) if form else None
    return TrainedPictures(form, family, limits, emitted_max_pixels)


def _pixels(value: Any) -> int:
    """A limit as the trainer takes it; 0 for none. What is no number, the section itself complains of."""
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0


def form_of_model(model: str, base: Path) -> BoxForm | None:
    """The form of a model's family, by the config.json of its folder or by its name; None for others."""
    name = model
    with suppress(OSError, orjson.JSONDecodeError, AttributeError):
        name = str(orjson.loads(read_regular(base / model / "config.json")).get("model_type", "")) or model
    plain = re.sub(r"[-_.]", "", name.lower())
    for form in reversed(FORMS):
        if form.replace("_", "") in plain:
            return form
    return None


def processor_in(folder: Path, family: Family) -> Family:
    """A family's processor with the limits of preprocessor_config.json in a model's folder, if any."""
    try:
        own = orjson.loads(read_regular(folder / "preprocessor_config.json"))
    except (OSError, orjson.JSONDecodeError):
        return family
    size = cast(dict[str, Any], own.get("size") or {})
    return family.within(
        min_pixels=own.get("min_pixels") or size.get("shortest_edge"),
        max_pixels=own.get("max_pixels") or size.get("longest_edge"),
    )
