"""What a served model is asked is what LLaMA-Factory trained it on: the same token ids, the same pixels."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.qwen_models import qwen_model
from datakit.serving.asking import Question, Reply, contents
from datakit.serving.endpoint import Endpoint
from datakit.serving.items import Item
from datakit.serving.prompting import BuildPrompts
from datakit.serving.records import split_items
from datakit.serving.requirements import processor_of, requirements_of

pytestmark = pytest.mark.trainer

Make = Callable[..., Any]
LIMIT = 50_176
MASKED = -100


class Listening(Endpoint):
    """Takes the request's messages down and answers nothing."""

    async def chat(self, body: dict[str, Any]) -> Reply:
        self.messages = list(body["messages"])
        return Reply("", "stop", None, None, None, 0)


def sent(build: Path, item: Item) -> tuple[list[dict[str, Any]], list[Image.Image]]:
    """The messages that a server gets for a record, in the form of transformers, and the pictures in them."""
    view = BuildPrompts.load(BuildFolder(build), rendered=True).view
    question = Question("a", *contents(item.messages), tuple(map(view.data_url, map(str, item.images))))
    server = Listening("http://127.0.0.1:9/v1")
    asyncio.run(question.ask(server, "any", 1, None))
    pictures: list[Image.Image] = []
    messages = []
    for turn in server.messages:
        parts = turn["content"]
        if isinstance(parts, str):
            parts = [{"type": "text", "text": parts}]
        chat = []
        for part in parts:
            if part["type"] == "image_url":
                data = base64.b64decode(part["image_url"]["url"].partition(",")[2])
                pictures.append(Image.open(io.BytesIO(data)))
                chat.append({"type": "image", "image": pictures[-1]})
            else:
                chat.append(part)
        messages.append({"role": turn["role"], "content": chat})
    return messages, pictures


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_served_prompts_have_the_token_ids_and_pixels_of_the_training(
    shipped_build: Make, tiny_model: Make, load_as_trainer: Make, family: str
) -> None:
    from llamafactory.data.mm_plugin import get_mm_plugin
    from transformers import AutoProcessor

    folder = tiny_model(family)
    build = shipped_build("ecom_v1", f"train.model={folder}", f"train.image_max_pixels={LIMIT}")
    loaded = load_as_trainer(build)
    rows, examples = loaded.emitted["eval_dataset"], loaded.sets["eval_dataset"]
    trained = {row["id"]: example for row, example in zip(rows, examples, strict=True)}
    served = requirements_of(BuildFolder(build), qwen_model(folder)).served
    processor = AutoProcessor.from_pretrained(folder)
    processor.image_processor.size = {"shortest_edge": served.min_pixels, "longest_edge": served.max_pixels}
    processor.image_processor.min_pixels = served.min_pixels
    processor.image_processor.max_pixels = served.max_pixels
    plugin = get_mm_plugin("qwen2_vl", image_token="<|image_pad|>", video_token="<|video_pad|>")
    items = split_items(BuildFolder(build), "val")
    assert len(items) == len(trained) > 5
    for item in items:
        messages, pictures = sent(build, item)
        whole = processor.apply_chat_template(
            messages, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="np"
        )
        example = trained[item.id]
        prompt = example["input_ids"][: example["labels"].count(MASKED)]
        assert set(example["labels"][: len(prompt)]) == {MASKED}
        assert list(whole["input_ids"][0]) == list(prompt), item.id
        limits = {"image_max_pixels": LIMIT, "image_min_pixels": 1024}
        seen = plugin._regularize_images(list(map(str, item.images)), **limits)["images"]
        for mine, theirs in zip(pictures, seen, strict=True):
            assert np.array_equal(np.asarray(mine), np.asarray(theirs)), item.id


@pytest.mark.parametrize("size", [(520, 1129), (1080, 2340), (640, 428), (30, 900), (56, 56), (3000, 2000)])
@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_planned_pixel_limits_leave_the_trained_grid_alone(
    tiny_model: Make, size: tuple[int, int], family: str
) -> None:
    """The model's real processor, with the server's limits, against the same with its own."""
    from transformers import AutoProcessor

    from datakit.core.pixels import TRAINER, trainer_size
    from datakit.serving.requirements import served_family

    folder = tiny_model(family)
    own = processor_of(qwen_model(folder))
    served = served_family([size], own, TRAINER)
    picture = Image.new("RGB", trainer_size(*size, TRAINER), "white")
    grids = []
    for limits in (own, served):
        processor = AutoProcessor.from_pretrained(folder).image_processor
        processor.size = {"shortest_edge": limits.min_pixels, "longest_edge": limits.max_pixels}
        processor.min_pixels, processor.max_pixels = limits.min_pixels, limits.max_pixels
        grids.append(processor([picture], return_tensors="np")["image_grid_thw"].tolist())
    assert grids[0] == grids[1]
