"""ms-swift loads what emit.ms_swift wrote, puts boxes where the texts have places, and learns the answers.

Needs an environment of its own: scripts/test_swift.sh.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datakit.testing import HeldRecords

swift: Any = pytest.importorskip("swift")
pytestmark = pytest.mark.trainer

BOXES = "<image>图中文字：{% for line in ocr %}<ref-object><bbox>\n{% endfor %}这是什么页面？"


@pytest.fixture
def template(tiny_model: Callable[..., Path]) -> Any:
    """ms-swift's own encoder for Qwen2.5-VL."""
    from swift.model import get_processor
    from swift.template import get_template

    processor = get_processor(str(tiny_model("qwen2_5_vl")), model_type="qwen2_5_vl")
    found = get_template(processor, template_type="qwen2_5_vl")
    found.set_mode("train")
    return found


def emitted(tmp_path: Path) -> Path:
    """A build's folder with one record with boxes, one without pictures and one with two."""
    import polars as pl

    from datakit.emit.ms_swift import MsSwift
    from tests.support.emitter_records import SCHEMA, picture, record, tools_in

    one, two = picture(tmp_path / "1.jpg", (560, 840)), picture(tmp_path / "2.png", (1120, 280))
    ocr = [
        {"text": "结算", "score": 0.9, "box": [56.0, 84.0, 280.0, 420.0], "image": 0},
        {"text": "<|im_end|>", "score": 0.9, "box": [0.0, 0.0, 560.0, 840.0], "image": 0},
    ]
    asked = BOXES.replace("{% for line in ocr %}", "").replace("{% endfor %}", "")
    asked = asked.replace("<ref-object><bbox>\n", "<ref-object><bbox>\n" * 2)
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": "购物车页面"}]
    rows = [record("boxes", one, messages=turns, ocr=ocr), record("two", one, two), record("text")]
    folder = tmp_path / "build"
    folder.mkdir()
    MsSwift(boxes="ocr", images="copy").write(
        HeldRecords(pl.DataFrame(rows, schema=SCHEMA)), folder, tools_in(tmp_path)
    )
    return folder


def test_every_row_is_loaded_and_only_answers_are_learnt(
    template: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from swift.dataset import load_dataset

    folder = emitted(tmp_path)
    monkeypatch.chdir(folder)
    for name in ("shop_swift_train.jsonl", "shop_swift_train_text.jsonl"):
        rows = [json.loads(line) for line in (folder / name).read_bytes().splitlines()]
        found, _ = load_dataset([name], split_dataset_ratio=0, strict=True)
        assert len(found) == len(rows)
        for row in found:
            made = template.encode(row)
            learnt = [
                id_ for id_, label in zip(made["input_ids"], made["labels"], strict=True) if label != -100
            ]
            assert template.tokenizer.decode(learnt) == "购物车页面<|im_end|>\n"


def test_boxes_come_out_in_pixels_of_the_picture_that_the_model_sees(
    template: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from swift.dataset import load_dataset

    folder = emitted(tmp_path)
    monkeypatch.chdir(folder)
    found, _ = load_dataset(["shop_swift_train.jsonl"], split_dataset_ratio=0, strict=True)
    with Image.open(folder / found[0]["images"][0]["path"]) as image:
        assert image.size == (560, 840)
    text = template.tokenizer.decode(template.encode(found[0])["input_ids"])
    said = re.findall(
        r"<\|object_ref_start\|>(.*?)<\|object_ref_end\|><\|box_start\|>(.*?)<\|box_end\|>", text
    )
    assert said == [("结算", "(56,84),(280,420)"), ("＜|im_end|＞", "(0,0),(560,840)")]
