"""annotate.ocr does rapidocr's work in its own way, and reads lines with integers where a recipe says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from datakit.annotate import _ocr_rapid, _ocr_weights
from datakit.annotate._ocr_int8 import as_int8
from datakit.annotate._ocr_layout import hull
from datakit.annotate.ocr import Ocr
from datakit.core.errors import RecipeErrors, UserError
from datakit.core.image import load_rgb
from datakit.core.outcome import Done
from datakit.core.step_context import StepContext
from datakit.run.keys import fingerprint

CART = Path(__file__).resolve().parents[2] / "examples" / "ecom" / "images" / "0004.jpg"


def test_gives_bit_by_bit_what_rapidocr_gives_with_the_same_settings() -> None:
    weights = _ocr_weights.shipped("PP-OCRv6_tiny")
    plain, ours = _ocr_rapid._rapidocr(weights, gpu=False), _ocr_rapid.RapidEngine(weights, gpu=False)
    plain.text_rec.rec_batch_num, plain.text_rec.rec_image_shape = 1, [3, 48, 160]
    plain.text_det.limit_side_len = 640
    top = load_rgb(CART).crop((0, 0, 720, 500))
    pictures = (load_rgb(CART), top.rotate(17, expand=True, fillcolor="white"), top.resize((720, 28)))
    for picture in pictures:
        pixels = np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])
        wanted = plain(pixels, use_det=True, use_cls=False, use_rec=True)
        lines = ours.read(pixels, 640)
        assert [line.text for line in lines] == list(wanted.txts or ())
        assert [line.score for line in lines] == list(wanted.scores or ())
        assert [line[2:] for line in lines] == [hull(box) for box in (wanted.boxes if wanted.txts else ())]


def test_integers_read_what_floats_read_but_for_a_few_characters(
    make_context: Callable[..., StepContext],
) -> None:
    texts = []
    for step in (Ocr(), Ocr(precision="int8", min_width_px=48)):
        outcome = step.start(make_context()).answer({"id": "r", "images": [str(CART)]})
        assert isinstance(outcome, Done), outcome
        texts.append("".join(line[0] for line in outcome.raw[0]))
    floats, integers = map(Counter, texts)
    assert (floats & integers).total() >= 0.95 * max(floats.total(), integers.total()) > 150


def test_integer_weights_are_the_same_bytes_each_time_and_half_the_size_at_most() -> None:
    weights = _ocr_weights.shipped("PP-OCRv6_tiny").rec
    content = as_int8(weights)
    assert content == as_int8(weights)
    assert len(content) < weights.onnx.stat().st_size / 2


def test_integers_are_refused_where_they_were_not_measured_or_cannot_be_had(
    make_context: Callable[..., StepContext],
) -> None:
    with pytest.raises(UserError, match=r"ranges of .* were never measured"):
        Ocr(model="PP-OCRv6_small", precision="int8").start(make_context())
    with pytest.raises(RecipeErrors, match="precision and min_width_px: only with engine: rapidocr"):
        Ocr(engine="paddleocr", precision="int8", min_width_px=48)
    with pytest.raises(RecipeErrors, match="for the CPU"):
        Ocr(precision="int8", gpu=True)


def test_variants_have_keys_of_their_own_and_what_was_read_before_them_keeps_its(
    make_context: Callable[..., StepContext],
) -> None:
    context = make_context()
    variants = (Ocr(), Ocr(precision="int8"), Ocr(min_width_px=48), Ocr(precision="int8", min_width_px=48))
    assert len({fingerprint(variant, context) for variant in variants}) == 4
    before = {"engine", "long_side_px", "engine_version", "weights"}
    assert set(Ocr(precision="float32", min_width_px=160).key_settings(context)) == before
