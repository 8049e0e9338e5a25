"""Columns that mean something to a trainer reach the data set, or the build stops and names them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datakit.core.errors import Exit, RecipeErrors
from datakit.core.parameters import validated
from datakit.core.registry import find
from datakit.core.step_context import StepContext
from datakit.core.transform import Reader
from datakit.library import load
from datakit.run.build import build

TOOLS = '[{"name":"search","description":"找","parameters":{}}]'
CHAT = [{"role": "user", "content": "<image>x"}, {"role": "assistant", "content": "猫"}]
ROW = {"images": ["a.jpg"], "messages": CHAT}


def recipe(
    folder: Path, rows: list[Any], emit: str, reader: str = "", keep: str = "true", prompt: str = ""
) -> Path:
    Image.new("RGB", (60, 90), (200, 30, 40)).save(folder / "a.jpg")
    (folder / "d.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    (folder / "templates").mkdir()
    (folder / "templates/p.j2").write_text("{% for _ in images %}<image>{% endfor %}" + prompt)
    (folder / "r.yaml").write_text(
        f"name: x\nsteps:\n  - read.jsonl: {{path: d.jsonl{reader}}}\n"
        f"  - render.chat: {{prompt: p.j2, answer: label_only, keep_messages: {keep}}}\n"
        f"emit: [{emit}]\nrun: {{store: .store, max_reject_rate: 1}}\n"
    )
    return folder / "r.yaml"


LLAMAFACTORY, SWIFT, OPENAI, TRL = (
    "llamafactory: {}",
    "ms_swift: {}",
    "messages: {form: openai}",
    "messages: {form: trl}",
)


@pytest.mark.parametrize(
    ("extra", "name", "emit"),
    [
        ({"videos": ["v.mp4"]}, "videos", LLAMAFACTORY),
        ({"audios": ["v.wav"]}, "audios", SWIFT),
        ({"objects": {"ref": ["羊"], "bbox": [[1, 2, 3, 4]]}}, "objects", LLAMAFACTORY),
        ({"chosen": "a", "rejected": "b"}, "chosen", LLAMAFACTORY),
        ({"kto_tag": True}, "kto_tag", LLAMAFACTORY),
        ({"completion": "a", "label": True}, "label", LLAMAFACTORY),
        ({"reasoning_content": "想"}, "reasoning_content", TRL),
        ({"Bbox": [1, 2, 3, 4]}, "Bbox", OPENAI),
        ({"messages": [CHAT[0], {**CHAT[1], "loss": False}]}, "loss", LLAMAFACTORY),
        ({"messages": [CHAT[0], {**CHAT[1], "loss": False}]}, "loss", TRL),
        ({"messages": [CHAT[0], {**CHAT[1], "trainable": False}]}, "trainable", LLAMAFACTORY),
        ({"messages": [CHAT[0], {**CHAT[1], "masked": True}]}, "masked", LLAMAFACTORY),
        ({"messages": [CHAT[0], {**CHAT[1], "reasoning_content": "想"}]}, "reasoning_content", SWIFT),
        ({"messages": [{**CHAT[0], "name": "小明"}, CHAT[1]]}, "name", LLAMAFACTORY),
    ],
)
def test_what_no_emitter_has_a_place_for_stops_the_build(
    extra: dict[str, Any], name: str, emit: str, tmp_path: Path
) -> None:
    others = [] if name == "label" else [ROW, ROW]
    path = recipe(tmp_path, [{**ROW, **extra}, *others], emit)
    with pytest.raises(RecipeErrors) as stopped:
        build(load(path))
    words = str(stopped.value)
    assert stopped.value.exit_code == Exit.USAGE
    assert f"`{name}`" in words
    assert "in 1 record" in words
    assert f"drop: [{name}" in words
    assert not (tmp_path / "build/x").exists()
    assert ("preference data" in words) == (name in ("chosen", "kto_tag", "label"))


@pytest.mark.parametrize(
    ("extra", "drop"),
    [
        ({"videos": ["v.mp4"]}, "videos"),
        ({"messages": [CHAT[0], {**CHAT[1], "reasoning_content": "想"}]}, "reasoning_content"),
    ],
)
def test_what_a_recipe_drops_is_left_out(extra: dict[str, Any], drop: str, tmp_path: Path) -> None:
    path = recipe(tmp_path, [ROW, {**ROW, **extra}], LLAMAFACTORY, f", drop: [{drop}]")
    assert build(load(path)).report.steps[0].records_out == 2


@pytest.mark.parametrize(
    "extra",
    [
        {"videos": None},
        {"videos": []},
        {"objects": {"ref": [], "bbox": []}},
        {"chosen": ""},
        {"messages": [CHAT[0], {**CHAT[1], "loss": True, "reasoning_content": ""}]},
        {"note": "own"},
    ],
)
def test_what_says_nothing_is_no_loss(extra: dict[str, Any], tmp_path: Path) -> None:
    path = recipe(tmp_path, [{**ROW, **extra}, {**ROW, "id": "b"}], LLAMAFACTORY)
    assert build(load(path)).report.steps[0].records_out == 2


OBJECTS = {"objects": {"ref": ["羊"], "bbox": [[1, 2, 3, 4]]}}
UNTRAINED = {"messages": [CHAT[0], {**CHAT[1], "loss": False}]}


@pytest.mark.parametrize(("extra", "name"), [(OBJECTS, "objects"), (UNTRAINED, "loss")])
@pytest.mark.parametrize(
    "step",
    [
        "curate.split: {val: 0.4, stratify: null, group: images}",
        "annotate.image_facts: {}\n  - curate.duplicates: {}",
        "guard.personal_data: {}",
    ],
)
def test_a_step_that_compares_or_masks_chats_takes_nothing_up(
    extra: dict[str, Any], name: str, step: str, tmp_path: Path
) -> None:
    path = recipe(tmp_path, [{**ROW, **extra}, ROW, ROW], LLAMAFACTORY)
    text = path.read_text("utf-8").replace("  - render.chat", f"  - {step}\n  - render.chat")
    path.write_text(text, "utf-8")
    with pytest.raises(RecipeErrors, match=f"`{name}`"):
        build(load(path))
    path.write_text(text.replace(LLAMAFACTORY, SWIFT), "utf-8")
    assert build(load(path)).report.steps[0].records_out == 3


def test_a_column_that_a_template_reads_is_taken_up(tmp_path: Path) -> None:
    row = {"image": "a.jpg", "label": "猫", "objects": {"bbox": [[1, 2, 3, 4]]}}
    path = recipe(tmp_path, [row], LLAMAFACTORY, keep="false", prompt="{{ objects }}")
    build(load(path))
    (line,) = json.loads((tmp_path / "build/x/x_train.json").read_text("utf-8"))
    assert '"bbox":[[1,2,3,4]]' in line["messages"][1]["content"]


def test_chats_that_a_template_writes_anew_lose_nothing(tmp_path: Path) -> None:
    turns = [CHAT[0], {**CHAT[1], "reasoning_content": "想"}]
    path = recipe(tmp_path, [{**ROW, "label": "猫", "messages": turns}], LLAMAFACTORY, keep="false")
    assert build(load(path)).report.steps[0].records_out == 1


CALL = '{"name":"search","arguments":{"q":"猫"}}'
TURNS = [
    {"role": "user", "content": "<image>搜"},
    {"role": "function_call", "content": CALL},
    {"role": "observation", "content": "结果"},
    {"role": "assistant", "content": "是猫"},
    {"role": "user", "content": "再看"},
    {"role": "assistant", "content": "是狗"},
]
LOSSES = [None, None, None, False, None, True]


def read_back(folder: Path, name: str, **parameters: Any) -> Any:
    reader = validated(find(name), parameters)
    assert isinstance(reader, Reader)
    batches = list(reader.read(StepContext(base=folder, project=folder)))
    assert [reject for batch in batches for reject in batch.rejects] == []
    (frame,) = [batch.frame for batch in batches if batch.frame.height]
    return frame


@pytest.mark.parametrize(
    ("emit", "back", "losses"),
    [
        (LLAMAFACTORY, ("read.llamafactory", {"path": "build/x", "dataset": "x_train"}), False),
        (SWIFT, ("read.jsonl", {"path": "build/x/x_swift_train.jsonl"}), True),
        (OPENAI, ("read.jsonl", {"path": "build/x/x_openai_train.jsonl"}), True),
        (TRL, ("read.jsonl", {"path": "build/x/x_trl_train.jsonl"}), False),
    ],
)
def test_what_an_emitter_carries_comes_back(emit: str, back: Any, losses: bool, tmp_path: Path) -> None:
    turns = [
        {**turn, **({"loss": loss} if losses and loss is not None else {})}
        for turn, loss in zip(TURNS, LOSSES, strict=True)
    ]
    path = recipe(tmp_path, [{"images": ["a.jpg"], "messages": turns, "tools": TOOLS}], emit)
    build(load(path))
    frame = read_back(tmp_path, back[0], **back[1])
    (messages,) = frame["messages"].to_list()
    assert [turn for turn in messages if turn["role"] != "system"] == TURNS
    assert frame["tools"].to_list() == [TOOLS]
    assert [len(paths) for paths in frame["images"].to_list()] == [1]
    if losses:
        assert frame["turn_loss"].to_list()[0][-6:] == LOSSES


def test_boxes_of_chats_come_back_from_ms_swift(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "<image>找到<ref-object>"},
        {"role": "assistant", "content": "<bbox>和<bbox>"},
    ]
    objects = {"ref": ["羊"], "bbox": [[6, 9, 30, 45], [0, 0, 60, 90]]}
    row = {"images": ["a.jpg"], "messages": turns, "objects": objects}
    odd = {**row, "id": "odd", "objects": {"bbox": [[1, 2, 3, 4]]}}
    path = recipe(tmp_path, [row, odd], SWIFT)
    assert build(load(path)).report.steps[0].rejected == {"objects_format": 1}
    frame = read_back(tmp_path, "read.jsonl", path="build/x/x_swift_train.jsonl")
    (messages,) = frame["messages"].to_list()
    assert messages[-2:] == turns
    written = json.loads(frame["objects"].item())
    assert written["ref"] == ["羊"]
    assert written["bbox"] == [[0.1, 0.1, 0.5, 0.5], [0, 0, 1, 1]]
    assert written["bbox_type"] == "norm1"


def test_tools_and_calls_stand_in_rows_for_trl(tmp_path: Path) -> None:
    path = recipe(tmp_path, [{"images": ["a.jpg"], "messages": TURNS, "tools": TOOLS}], TRL)
    build(load(path))
    row = json.loads((tmp_path / "build/x/x_trl_train.jsonl").read_text("utf-8"))
    assert row["tools"] == json.loads(TOOLS)
    (call,) = [turn["tool_calls"][0] for turn in row["prompt"] if "tool_calls" in turn]
    assert call["function"] == {"name": "search", "arguments": {"q": "猫"}}
