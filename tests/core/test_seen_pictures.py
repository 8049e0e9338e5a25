"""What a recipe says of how its model sees pictures: family, limits and what is scaled down before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datakit.core.box_forms import BoxForm, SeenPictures
from datakit.core.pixels import FAMILIES, TrainerLimits
from datakit.core.seen_pictures import form_of_model, trained_pictures


@pytest.mark.parametrize(
    ("model", "form"),
    [
        ("Qwen/Qwen2-VL-7B-Instruct", "qwen2_vl"),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2_5_vl"),
        ("Qwen/Qwen3-VL-30B-A3B-Instruct", "qwen3_vl"),
        ("unsloth/Qwen2.5-VL-3B-Instruct-bnb-4bit", "qwen2_5_vl"),
        ("Qwen/Qwen2.5-7B-Instruct", None),
        ("", None),
    ],
)
def test_the_family_is_told_by_the_name(model: str, form: BoxForm | None, tmp_path: Path) -> None:
    assert form_of_model(model, tmp_path) == form


def test_a_folder_says_by_itself_what_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "mine-Qwen2-VL"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen3_vl_moe"}))
    (folder / "preprocessor_config.json").write_text(json.dumps({"size": {"longest_edge": 200_704}}))
    seen = trained_pictures({"model": "./mine-Qwen2-VL"}, None, tmp_path).seen()
    assert seen is not None
    assert seen.form == "qwen3_vl"
    assert seen.family == FAMILIES["qwen3_vl"].within(max_pixels=200_704)


def test_limits_are_those_of_the_training_else_of_what_is_emitted(tmp_path: Path) -> None:
    model = {"model": "Qwen/Qwen2.5-VL-7B-Instruct"}
    limits = [
        trained_pictures(train, emitted, tmp_path).trainer
        for train, emitted in (
            (model, None),
            (model, 262_144),
            ({**model, "image_max_pixels": 200_704, "image_min_pixels": 784.0}, 262_144),
            ({**model, "image_max_pixels": "many"}, None),
        )
    ]
    assert limits == [
        TrainerLimits(),
        TrainerLimits(262_144),
        TrainerLimits(200_704, 784),
        TrainerLimits(),
    ]


def test_a_form_that_is_asked_for_has_the_same_limits(tmp_path: Path) -> None:
    own = trained_pictures({"model": "Qwen/Qwen2.5-VL-7B-Instruct"}, 262_144, tmp_path)
    other = own.seen("qwen3_vl")
    assert other == SeenPictures("qwen3_vl", FAMILIES["qwen3_vl"], TrainerLimits(262_144), 262_144)
    none = trained_pictures({"model": "Qwen/Qwen2.5-7B"}, None, tmp_path)
    assert none.seen() is None
    assert none.seen("qwen2_vl") == SeenPictures.by("qwen2_vl")
