"""Boxes of served answers come back to the picture that was asked about, at its own size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from datakit.artifacts import predictions
from datakit.core.answer import AnswerFormat
from datakit.core.answer_forms import ContractFormat
from datakit.core.box_forms import FORMS, BoxForm, SeenPictures
from datakit.core.box_texts import with_tokens
from datakit.core.boxes import Box, Size
from datakit.core.contract import AnswerContract
from datakit.core.image import read_header
from datakit.core.seen_pictures import TrainedPictures
from datakit.core.step_context import StepContext
from datakit.render._model_boxes import placed
from datakit.render.grounding import Grounding
from datakit.serving.asking import Asked, Reply
from datakit.serving.located import boxes_of, states_places

EXIF_ORIENTATION = 0x0112
UPRIGHT = (1080, 2340)
BOX = Box(0, (50.0, 100.0, 400.0, 300.0), "去结算")


def picture(folder: Path) -> Path:
    """A picture that EXIF turns upright."""
    image = Image.new("RGB", UPRIGHT[::-1], "white")
    exif = image.getexif()
    exif[EXIF_ORIENTATION] = 6
    image.save(folder / "screen.jpg", exif=exif)
    return folder / "screen.jpg"


def size_of(path: Path) -> Size:
    """Width and height of the upright picture."""
    header = read_header(path)
    return header.width, header.height


def form_of(form: BoxForm, *fields: str) -> ContractFormat:
    """Answers whose boxes are in a family's numbers."""
    contract = placed(AnswerContract.of({"fields": list(fields or ("boxes",))}), form)
    written = ContractFormat.of_contracts([contract], seen=SeenPictures.by(form))
    again = AnswerFormat.from_json(written.to_json())
    assert isinstance(again, ContractFormat)
    assert again == written
    return again


def answered(form: BoxForm) -> str:
    """BOX as the family answers it."""
    entries = SeenPictures.by(form).written([BOX], [UPRIGHT])
    return with_tokens(entries) if form == "qwen2_vl" else json.dumps(entries, ensure_ascii=False)


@pytest.mark.parametrize("stripped", [False, True])
@pytest.mark.parametrize("fields", [("boxes",), ("reason", "boxes"), ("label", "boxes")])
@pytest.mark.parametrize("form", FORMS)
def test_answers_come_back_to_the_upright_original(
    form: BoxForm, fields: tuple[str, ...], stripped: bool, tmp_path: Path
) -> None:
    contract, text = form_of(form, *fields), answered(form)
    if stripped:
        for mark in ("<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>"):
            text = text.replace(mark, "")
    if len(fields) > 1:
        text = f"{'类别' if fields[0] == 'label' else '理由'}：购物车\n位置：{text}"
    [box] = boxes_of(contract.parse(text).values, contract, size_of(picture(tmp_path)))
    assert box.label == "去结算"
    assert box.sides == pytest.approx(BOX.sides, abs=1.2)


@pytest.mark.parametrize("form", FORMS)
def test_predictions_hold_the_boxes_in_pixels_of_the_picture(form: BoxForm, tmp_path: Path) -> None:
    contract = form_of(form, "label", "boxes")
    reply = Reply(f"类别：购物车\n位置：{answered(form)}", "stop", None, 9, 9, 0.1)
    asked = Asked("a", reply, 9, 9, 0.1, size=size_of(picture(tmp_path)))
    prediction = asked.prediction(contract, None, None, ("screen.jpg",), "m")
    assert prediction.predicted == "购物车"
    [entry] = prediction.boxes or ()
    assert entry["label"] == "去结算"
    assert entry["box"] == pytest.approx(BOX.sides, abs=1.2)
    file = tmp_path / "predictions.jsonl"
    predictions.write(file, [prediction])
    assert list(predictions.read(file)) == [prediction]
    assert asked.prediction(form_of(form, "label"), None, None, (), "m").boxes is None


@pytest.mark.parametrize("number", ["9" * 400, "1e999", "-1e999", "NaN"])
def test_an_answer_of_numbers_without_end_is_no_box(number: str) -> None:
    form = form_of("qwen2_5_vl")
    text = f'[{{"bbox_2d": [{number}, 1, 2, 3], "label": "a"}}]'
    assert boxes_of(form.parse(text).values, form, UPRIGHT) == []


def test_an_answer_without_boxes_has_none() -> None:
    contract = form_of("qwen3_vl")
    assert boxes_of({}, contract, UPRIGHT) == []
    assert boxes_of({"answer": "去结算"}, contract, UPRIGHT) == []


def test_a_form_says_whether_its_boxes_can_be_counted(tmp_path: Path) -> None:
    assert states_places(form_of("qwen2_vl"))
    assert not states_places(ContractFormat.of_contracts([AnswerContract.of({"fields": ["boxes"]})]))
    context = StepContext(tmp_path, tmp_path, pictures=TrainedPictures("qwen2_vl"))
    assert states_places(Grounding().answer_format(context))
