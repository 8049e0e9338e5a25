"""Boxes of served answers come back to the picture that was asked about, at its own size."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from datakit.artifacts.predictions import Prediction
from datakit.core.box_forms import FORMS, BoxForm, SeenPictures
from datakit.core.box_texts import with_tokens
from datakit.core.boxes import Box
from datakit.core.errors import UserError
from datakit.core.seen_pictures import TrainedPictures
from datakit.core.step_context import StepContext
from datakit.render.chat import Chat
from datakit.render.grounding import Grounding
from datakit.serving.located import boxes_of, seen_by

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


@pytest.mark.parametrize("stripped", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_answers_come_back_to_the_upright_original(form: BoxForm, stripped: bool, tmp_path: Path) -> None:
    seen = SeenPictures.by(form)
    entries = seen.written([BOX], [UPRIGHT])
    text = with_tokens(entries) if form == "qwen2_vl" else str(entries).replace("'", '"')
    if stripped:
        for mark in ("<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>"):
            text = text.replace(mark, "")
    answer = Prediction(id="a", answer=text, values={"boxes": text})
    [box] = boxes_of(answer, picture(tmp_path), seen)
    assert box.label == "去结算"
    assert box.sides == pytest.approx(BOX.sides, abs=1.2)


def test_an_answer_without_boxes_has_none_and_needs_no_picture() -> None:
    seen = SeenPictures.by("qwen3_vl")
    assert boxes_of(Prediction(id="a", answer="", problem="empty"), "none.jpg", seen) == []
    assert boxes_of(Prediction(id="a", answer="去结算", values={"answer": "去结算"}), "none.jpg", seen) == []


def test_the_form_is_that_of_the_build(tmp_path: Path) -> None:
    context = StepContext(tmp_path, tmp_path, pictures=TrainedPictures("qwen2_vl"))
    assert seen_by(Grounding(), context).form == "qwen2_vl"
    with pytest.raises(UserError, match="in which numbers"):
        seen_by(Chat(prompt="ask.j2", answer="label_only"), context)
