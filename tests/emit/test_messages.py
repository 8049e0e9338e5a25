"""emit.messages: rows as OpenAI and TRL take them, read back by `datasets` and by OpenAI's own types."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import datasets
import pytest
from openai.types.chat import ChatCompletionMessageParam
from PIL import Image
from pydantic import TypeAdapter

from datakit.core.errors import RecipeErrors, UserError
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


def test_too_many_or_too_large_pictures_are_refused_for_openai_with_the_record(tmp_path: Path) -> None:
    one = picture(tmp_path / "1.jpg")
    with pytest.raises(UserError, match="record many has 11 pictures"):
        emit(Messages(), tmp_path, [record("many", *[one] * 11)])
    noise = Image.effect_noise((2600, 2600), 90).convert("RGB")
    noise.save(tmp_path / "large.png", compress_level=0)
    (tmp_path / "b").mkdir()
    with pytest.raises(UserError, match=r"record large has 2\d\.\d MB"):
        emit(Messages(), tmp_path / "b", [record("large", tmp_path / "large.png")])


def test_a_call_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "查一下"},
        {"role": "function_call", "content": "{}"},
        {"role": "observation", "content": "晴"},
        {"role": "assistant", "content": "晴天"},
    ]
    with pytest.raises(UserError, match="record tools has a turn of tools that is not one call"):
        emit(Messages(), tmp_path, [record("tools", messages=turns)])


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
