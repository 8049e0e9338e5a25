"""The small model of scripts/make_tiny_model.py is a Qwen-VL to everything but its wits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datakit.core.tokens import token_ids

pytestmark = pytest.mark.trainer

FAMILIES = ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"]
PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"
SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
TEXT = "优惠券 Ａ１ 2,599.00元\n\n  “é”🙂 def f(x): return x <|im_end|><|box_start|>(1,2)<|box_end|>"


def processor_of(folder: Path) -> Any:
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_tokenizer_gives_the_ids_that_datakit_counts(tiny_model: Callable[..., Path], family: str) -> None:
    tokenizer = processor_of(tiny_model(family)).tokenizer
    assert tokenizer(TEXT)["input_ids"] == token_ids(TEXT)
    assert tokenizer.decode(token_ids(TEXT)) == TEXT


@pytest.mark.parametrize("family", FAMILIES)
def test_chat_template_renders_as_the_family_does(tiny_model: Callable[..., Path], family: str) -> None:
    processor = processor_of(tiny_model(family))
    picture = Image.new("RGB", (64, 64), "white")
    user = {
        "role": "user",
        "content": [{"type": "image", "image": picture}, {"type": "text", "text": "是什么？\n"}],
    }
    answer = {"role": "assistant", "content": [{"type": "text", "text": " 首页"}]}
    words = f"<|im_start|>user\n{PICTURE}是什么？\n<|im_end|>\n<|im_start|>assistant\n"
    bare = processor.apply_chat_template([user], tokenize=False, add_generation_prompt=True)
    assert bare == ("" if family == "qwen3_vl" else SYSTEM) + words
    system = {"role": "system", "content": "看图。"}
    whole = processor.apply_chat_template([system, user, answer], tokenize=False)
    assert whole == f"<|im_start|>system\n看图。<|im_end|>\n{words} 首页<|im_end|>\n"


@pytest.mark.parametrize("family", FAMILIES)
def test_picture_and_question_give_an_answer(tiny_model: Callable[..., Path], family: str) -> None:
    import torch
    from transformers import AutoModelForImageTextToText

    folder = tiny_model(family)
    processor = processor_of(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    text = f"<|im_start|>user\n{PICTURE}是什么？<|im_end|>\n<|im_start|>assistant\n"
    inputs = processor(text=[text], images=[Image.new("RGB", (280, 560), "red")], return_tensors="pt")
    pads = int((inputs["input_ids"] == token_ids("<|image_pad|>")[0]).sum())
    assert pads == {"qwen3_vl": 9 * 18}.get(family, 10 * 20)
    with torch.no_grad():
        given = model.generate(**inputs, max_new_tokens=4, do_sample=False)
    assert 1 <= given.shape[1] - inputs["input_ids"].shape[1] <= 4


def test_same_seed_gives_the_same_weights_and_another_one_others(
    tiny_model: Callable[..., Path],
) -> None:
    first, again, other = (
        (tiny_model("qwen2_5_vl", *options) / "model.safetensors").read_bytes()
        for options in ((), ("--seed", "0"), ("--seed", "1"))
    )
    assert first == again
    assert len(first) == len(other)
    assert first != other
