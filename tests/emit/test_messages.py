"""emit.messages: rows as OpenAI and TRL take them, read back by `datasets` and by OpenAI's own types."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import datasets
import pytest
from openai.types.chat import ChatCompletionMessageParam
from PIL import Image
from pydantic import TypeAdapter

from datakit.core.errors import RecipeErrors, UserError
from datakit.core.outcome import Reject
from datakit.emit.messages import Messages
from tests.support.emitter_records import emit, picture, record, several


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def told(row: dict[str, Any], key: str = "messages") -> list[str]:
    """The texts of a row's turns, `<image>` at each picture."""
    texts = []
    for turn in row[key]:
        content = turn["content"]
        if isinstance(content, str):
            texts.append(content)
        else:
            texts.append("".join(part.get("text") or "<image>" for part in content))
    return texts


def test_every_row_has_openais_own_types(tmp_path: Path) -> None:
    folder, artifacts = emit(Messages(), tmp_path, several(tmp_path))
    adapter = TypeAdapter(list[ChatCompletionMessageParam])
    for item in artifacts:
        rows = lines(folder / item.path)
        assert len(rows) == item.records
        for row in rows:
            assert row.keys() == {"messages"}
            adapter.validate_python(row["messages"], strict=True)


def test_texts_and_pictures_stand_in_the_places_of_the_chat(tmp_path: Path) -> None:
    given = several(tmp_path)
    folder, _ = emit(Messages(), tmp_path, given)
    row = lines(folder / "shop_openai_train.jsonl")[1]
    assert told(row) == [turn["content"] for turn in given[2]["messages"]]
    sizes = []
    for part in row["messages"][1]["content"]:
        if part["type"] == "image_url":
            head, data = part["image_url"]["url"].split(",", 1)
            image = Image.open(io.BytesIO(base64.b64decode(data)))
            assert head == f"data:image/{image.format.lower()};base64"
            sizes.append(image.size)
    assert sizes == [(60, 90), (200, 40)]


def test_parts_repeats_and_text_only_rows_have_their_files(tmp_path: Path) -> None:
    folder, artifacts = emit(Messages(), tmp_path, several(tmp_path))
    assert {item.path: item.records for item in artifacts} == {
        "shop_openai_train.jsonl": 4,
        "shop_openai_train_text.jsonl": 1,
        "shop_openai_val.jsonl": 1,
        "shop_openai_val_text.jsonl": 1,
        "shop_openai_general.jsonl": 1,
    }
    rows = lines(folder / "shop_openai_train.jsonl")
    assert [len(row["messages"]) for row in rows] == [2, 5, 2, 2]  # firsts before copies
    assert all(
        isinstance(turn["content"], str)
        for turn in lines(folder / "shop_openai_val_text.jsonl")[0]["messages"]
    )
    assert not (folder / "images").exists()


def test_embedded_pictures_are_upright_and_within_the_limit(tmp_path: Path) -> None:
    folder, _ = emit(Messages(image_max_pixels=2400), tmp_path, several(tmp_path))
    part = lines(folder / "shop_openai_val.jsonl")[0]["messages"][0]["content"][0]
    image = Image.open(io.BytesIO(base64.b64decode(part["image_url"]["url"].split(",")[1])))
    assert image.width < image.height  # the file was 120 x 80, lying
    assert image.width * image.height <= 2400


@pytest.mark.parametrize("form", ["openai", "trl"])
@pytest.mark.parametrize("part", ["train", "train_text", "val", "val_text", "general"])
def test_datasets_loads_every_file(tmp_path: Path, form: Any, part: str) -> None:
    folder, artifacts = emit(Messages(form=form), tmp_path, several(tmp_path))
    path = folder / f"shop_{form}_{part}.jsonl"
    found = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(tmp_path / "c"))
    assert found.num_rows == next(item.records for item in artifacts if item.path == path.name)
    key = "prompt" if form == "trl" else "messages"
    assert [told(row, key) for row in found] == [told(row, key) for row in lines(path)]


def test_trl_rows_name_pictures_that_datasets_decodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = several(tmp_path)
    folder, _ = emit(Messages(form="trl"), tmp_path, given)
    monkeypatch.chdir(folder)
    found = datasets.load_dataset(
        "json", data_files="shop_trl_train.jsonl", split="train", cache_dir=str(tmp_path / "c")
    ).cast_column("images", datasets.Sequence(datasets.Image()))
    assert [row["id"] for row in found] == ["plain", "dialogue", "plain", "plain"]
    assert [image.size for image in found[1]["images"]] == [(60, 90), (200, 40)]
    assert told(found[1], "completion") == ["有按钮"]
    assert told(found[1], "prompt") == [turn["content"] for turn in given[2]["messages"][:-1]]
    places = sum(part["type"] == "image" for turn in found[1]["prompt"] for part in turn["content"])
    assert places == len(found[1]["images"])


def test_openai_rows_may_name_paths_instead(tmp_path: Path) -> None:
    folder, _ = emit(Messages(images="copy"), tmp_path, several(tmp_path))
    part = lines(folder / "shop_openai_train.jsonl")[0]["messages"][0]["content"][0]
    assert (folder / part["image_url"]["url"]).is_file()


def calling(content: str) -> list[dict[str, str]]:
    return [
        {"role": "user", "content": "查一下"},
        {"role": "function_call", "content": content},
        {"role": "observation", "content": "晴"},
        {"role": "assistant", "content": "晴天"},
    ]


TWO_CALLS = '[{"name": "a", "arguments": {}}, {"name": "b", "arguments": {}}]'


def odd(folder: Path) -> list[dict[str, Any]]:
    """Records that OpenAI has no place for, each for a reason of its own."""
    one = picture(folder / "1.jpg")
    Image.effect_noise((2600, 2600), 90).convert("RGB").save(folder / "large.png", compress_level=0)
    broken = picture(folder / "broken.png")
    broken.write_bytes(broken.read_bytes()[:20])
    shown = [{"role": "user", "content": "画一张"}, {"role": "assistant", "content": "<image>"}]
    return [
        record("many", *[one] * 11),
        record("large", folder / "large.png"),
        record("shown", one, messages=shown),
        record("calls", messages=calling(TWO_CALLS)),
        record("no-call", messages=calling("{}")),
        record("broken", one, broken),
        record("silent", messages=[{"role": "user", "content": "x"}, {"role": "assistant", "content": " "}]),
    ]


def test_records_that_openai_has_no_place_for_are_left_out_and_the_others_written(tmp_path: Path) -> None:
    left_out: list[Reject] = []
    rows = [record("first"), *odd(tmp_path), record("last", picture(tmp_path / "2.jpg"))]
    _, artifacts = emit(Messages(), tmp_path, rows, left_out)
    assert {reject.id: reject.reason for reject in left_out} == {
        "many": "images_too_many",
        "large": "image_too_many_bytes",
        "shown": "image_in_answer",
        "calls": "tool_call_form",
        "no-call": "tool_call_form",
        "broken": "image_truncated",
        "silent": "answer_empty",
    }
    assert len(left_out) == 7
    details = {reject.id: reject.detail for reject in left_out}
    assert "11 pictures; OpenAI takes 10" in details["many"]
    assert re.search(r"2\d\.\d MB.*`image_max_pixels`", details["large"])
    assert "broken.png" in details["broken"]
    assert sum(item.records or 0 for item in artifacts) == 2


def test_trl_takes_what_openai_alone_has_no_place_for(tmp_path: Path) -> None:
    left_out: list[Reject] = []
    emit(Messages(form="trl"), tmp_path, [record("first"), *odd(tmp_path)], left_out)
    assert [reject.id for reject in left_out] == ["silent", "broken", "calls", "no-call"]


def test_words_of_the_first_are_told_where_no_record_is_left(tmp_path: Path) -> None:
    rows = [record("a", messages=calling(TWO_CALLS)), record("b", messages=calling(TWO_CALLS))]
    with pytest.raises(
        UserError, match=r"no record is left.*: 2 have no place.*such as a \(tool_call_form\)"
    ):
        emit(Messages(), tmp_path, rows, [])


@pytest.mark.parametrize(
    "parameters",
    [
        {"form": "trl", "images": "base64"},
        {"images": "link", "image_max_pixels": 1000},
        {"images": "resize"},
    ],
)
def test_parameters_that_contradict_each_other_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(RecipeErrors):
        Messages(**parameters)
