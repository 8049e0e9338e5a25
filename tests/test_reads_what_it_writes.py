"""Records -> emitter -> reader: the same chats, pictures and columns with a meaning, or a refusal."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from datakit.core.errors import UserError
from datakit.core.parameters import validated
from datakit.core.record import COLUMNS
from datakit.core.registry import find
from datakit.core.settings import RunSettings
from datakit.core.step_context import StepContext
from datakit.core.training_columns import LOSS, OBJECTS, TOOLS
from datakit.core.transform import EVERY, Emitter, Reader
from datakit.testing import HeldRecords
from tests.support.emitter_records import picture

pytest.importorskip("datasets")
Record = dict[str, Any]
SCHEMA: dict[str, Any] = {
    **COLUMNS,
    TOOLS: pl.String(),
    OBJECTS: pl.String(),
    LOSS: pl.List(pl.Boolean()),
    "reason": pl.String(),
}
WAYS: dict[str, tuple[str, dict[str, Any], str]] = {
    "llamafactory": ("emit.llamafactory", {}, "read.llamafactory"),
    "openai": ("emit.messages", {}, "read.jsonl"),
    "openai by path": ("emit.messages", {"images": "link"}, "read.jsonl"),
    "trl": ("emit.messages", {"form": "trl"}, "read.jsonl"),
    "ms-swift": ("emit.ms_swift", {}, "read.jsonl"),
    "parquet": ("emit.parquet", {}, "read.parquet"),
    "parquet with pictures": ("emit.parquet", {"images": "bytes"}, "read.parquet"),
    "hub": ("emit.hub", {}, "read.hub"),
    "the hub's files": ("emit.hub", {}, "read.parquet"),
}
"""Way -> emitter, its parameters, and the reader that takes its files back."""
LIMIT = 10**30
TOOL = f'[{{"type":"function","function":{{"name":"天气","parameters":{{"maximum":{LIMIT}}}}}}}]'
CALL = '{"name":"天气","arguments":{"city":"北京","days":12345678901234567890123,"share":1.0,"list":[]}}'
LETTERS = "a是。 \n\t“\"\\{}<>|/&'👍\u2028＜\x01%"


def context(folder: Path) -> StepContext:
    return StepContext(base=folder, project=folder, name="shop", run=RunSettings(workers=1))


def record(turns: list[tuple[str, str]], *images: Path, **values: Any) -> Record:
    return {
        **dict.fromkeys(SCHEMA),
        "id": "r1",
        "images": [str(image) for image in images],
        "messages": [{"role": role, "content": content} for role, content in turns],
        "split": "train",
        "repeat": 1,
        "set": "",
        **values,
    }


def back(way: str, records: list[Record], folder: Path) -> list[Record]:
    """The records after the way. Raises UserError where a column would be lost, as a build does."""
    name, parameters, reader_name = WAYS[way]
    emitter = validated(find(name), parameters)
    assert isinstance(emitter, Emitter)
    carried = emitter.carries(context(folder))
    for column in (TOOLS, OBJECTS, LOSS):
        if any(row[column] is not None for row in records) and carried != EVERY and column not in carried:
            raise UserError(f"{name} has no place for {column}")
    frame = pl.DataFrame(records, schema=SCHEMA)
    frame = frame.select(
        column for column in SCHEMA if column in COLUMNS or frame[column].null_count() < len(records)
    )
    artifacts = emitter.write(HeldRecords(frame), folder, context(folder))
    paths = [item.path for item in artifacts if item.kind == "data"]
    rows = []
    for path in ["hub"] if way == "hub" else paths:
        source = {"path": ".", "dataset": Path(path).stem} if "llama" in name else {"path": path}
        reader = validated(find(reader_name), source)
        assert isinstance(reader, Reader)
        for batch in reader.read(context(folder)):
            assert batch.rejects == []
            assert "warnings" not in batch.notes
            rows += batch.frame.to_dicts()
    return rows


def plain(turn: dict[str, str]) -> tuple[str, Any]:
    """A turn; calls of tools by what they say, for formats write their JSON anew."""
    if turn["role"] != "function_call":
        return turn["role"], turn["content"]
    calls = json.loads(turn["content"])
    return turn["role"], calls if isinstance(calls, list) else [calls]


def shown(paths: list[str]) -> list[str]:
    return [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths]


def check_same(way: str, before: Record, after: Record) -> None:
    assert list(map(plain, after["messages"])) == list(map(plain, before["messages"]))
    assert shown(after["images"]) == shown(before["images"])
    assert after.get(LOSS) == before[LOSS]
    assert json.loads(after.get(TOOLS) or "null") == json.loads(before[TOOLS] or "null")
    if not way.startswith("openai"):
        assert after["id"] == before["id"]
    if way.startswith(("parquet", "hub", "the hub")):
        assert {name: after.get(name) for name in ("label", "text", "reason", OBJECTS)} == {
            name: before[name] for name in ("label", "text", "reason", OBJECTS)
        }


U, A, S, F, T = "user", "assistant", "system", "function_call", "observation"
CHATS: dict[str, tuple[list[tuple[str, str]], int, dict[str, Any]]] = {
    "a text": ([(U, "你好"), (A, "好")], 0, {}),
    "a picture": ([(U, "<image>这是什么？"), (A, "猫")], 1, {"label": "猫", "reason": "有毛"}),
    "a picture at the end": ([(U, "看这里：\n<image>"), (A, "猫")], 1, {}),
    "a picture alone": ([(U, "<image>"), (A, "猫")], 1, {}),
    "many pictures": ([(U, "比<image>和<image>\n"), (A, "一"), (U, "<image>呢"), (A, "二")], 3, {}),
    "a picture of the system": ([(S, "参照<image>"), (U, "看<image>"), (A, "猫")], 2, {}),
    "a picture of a tool": ([(U, "截图"), (F, CALL), (T, "<image>"), (A, "猫")], 1, {TOOLS: TOOL}),
    "a system": ([(S, "你是专家。"), (U, "<image>?"), (A, "猫")], 1, {}),
    "an empty system": ([(S, ""), (U, "问"), (A, "答")], 0, {}),
    "an empty system and a picture": ([(S, ""), (U, "<image>"), (A, "答")], 1, {}),
    "an empty question": ([(U, "<image>"), (A, "猫"), (U, ""), (A, "狗")], 1, {}),
    "thinking": ([(U, "问"), (A, "<think>\n想一想\n</think>\n\n答")], 0, {}),
    "a tool": ([(U, "天气"), (F, CALL), (T, '{"晴": 1}'), (A, "晴天")], 0, {TOOLS: TOOL}),
    "a tool and a picture": ([(U, "<image>天气"), (F, CALL), (T, "晴"), (A, "晴天")], 1, {TOOLS: TOOL}),
    "two calls in turn": ([(U, "a"), (F, CALL), (T, "b"), (F, CALL), (T, "c"), (A, "d")], 0, {TOOLS: TOOL}),
    "a call at the end": ([(U, "天气"), (F, CALL)], 0, {TOOLS: TOOL}),
    "one call in a list": ([(U, "天气"), (F, f"[{CALL}]"), (T, "晴"), (A, "晴天")], 0, {TOOLS: TOOL}),
    "a tool that is not called": ([(U, "你好"), (A, "好")], 0, {TOOLS: TOOL}),
}
SOME_LOSS = {LOSS: [None, False, None, True]}
PARTLY: dict[str, tuple[list[tuple[str, str]], int, dict[str, Any], set[str]]] = {
    "several calls at once": (
        [(U, "天气"), (F, f"[{CALL},{CALL}]"), (T, "晴"), (A, "晴天")],
        0,
        {TOOLS: TOOL},
        {"openai", "openai by path", "trl"},
    ),
    "arguments that are no object": (
        [(U, "天气"), (F, '{"name":"f","arguments":"北京"}'), (T, "晴"), (A, "晴天")],
        0,
        {TOOLS: TOOL},
        {"openai", "openai by path", "trl"},
    ),
    "a call that says more": (
        [(U, "天气"), (F, '{"name":"f","arguments":{},"when":"now"}'), (T, "晴"), (A, "晴天")],
        0,
        {TOOLS: TOOL},
        {"openai", "openai by path", "trl"},
    ),
    "a picture in an answer": ([(U, "<image>"), (A, "像<image>")], 2, {}, {"openai", "openai by path"}),
    "a picture in a call": (
        [(U, "画"), (F, '{"name":"f","arguments":{"x":"<image>"}}'), (T, "好"), (A, "好")],
        1,
        {TOOLS: TOOL},
        {"openai", "openai by path", "trl"},
    ),
    "answers that are not learnt": (
        [(U, "a"), (A, "b"), (U, "c"), (A, "d")],
        0,
        SOME_LOSS,
        {"trl", "llamafactory"},
    ),
    "answers about a picture that are not learnt": (
        [(U, "<image>a"), (A, "b"), (U, "c"), (A, "d")],
        1,
        SOME_LOSS,
        {"trl", "llamafactory"},
    ),
}
"""What some formats have no place for: the ways that refuse it."""


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    return [
        picture(tmp_path / "一 号.jpg"),
        picture(tmp_path / "2.png", (200, 40)),
        picture(tmp_path / "3.webp", (64, 64), lossless=True),
    ]


def built(folder: Path) -> Path:
    (folder / "build").mkdir()
    return folder / "build"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("chat", CHATS)
def test_a_chat_comes_back_as_it_was(way: str, chat: str, tmp_path: Path, pictures: list[Path]) -> None:
    turns, count, values = CHATS[chat]
    before = record(turns, *pictures[:count], **values)
    (after,) = back(way, [before], built(tmp_path))
    check_same(way, before, after)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("chat", PARTLY)
def test_what_a_format_has_no_place_for_is_refused_and_comes_back_elsewhere(
    way: str, chat: str, tmp_path: Path, pictures: list[Path]
) -> None:
    turns, count, values, refusing = PARTLY[chat]
    before = record(turns, *pictures[:count], **values)
    if way in refusing:
        with pytest.raises(UserError, match=r"such as r1 \(\w+\): the record has|no place for turn_loss"):
            back(way, [before], built(tmp_path))
        return
    (after,) = back(way, [before], built(tmp_path))
    check_same(way, before, after)


@pytest.mark.parametrize("way", WAYS)
def test_records_of_all_kinds_come_back_together(way: str, tmp_path: Path, pictures: list[Path]) -> None:
    chats = enumerate(CHATS.values())
    before = [
        record(turns, *pictures[:count], **{**values, "id": f"r{at}"}) for at, (turns, count, values) in chats
    ]
    after = back(way, before, built(tmp_path))
    assert len(after) == len(before)
    if way.startswith("openai"):  # no ids: texts apart from pictures, each in order
        before = sorted(before, key=lambda row: not row["images"])
    else:
        after = sorted(after, key=lambda row: int(row["id"][1:]))
    for one, other in zip(before, after, strict=True):
        check_same(way, one, other)


@pytest.mark.parametrize("images", ["openai", "openai by path", "trl"])
def test_all_contents_of_a_file_have_one_type(images: str, tmp_path: Path, pictures: list[Path]) -> None:
    turns, count, values = CHATS["a tool and a picture"]
    back(images, [record(turns, *pictures[:count], **values)], built(tmp_path))
    (file,) = (tmp_path / "build").glob("shop_*.jsonl")
    row = json.loads(file.read_bytes())
    contents = [turn["content"] for turn in row.get("messages") or [*row["prompt"], *row["completion"]]]
    assert {type(content) for content in contents} <= {list, type(None)}


def test_ms_swift_keeps_boxes_as_shares_and_says_so(tmp_path: Path, pictures: list[Path]) -> None:
    objects = '{"ref":["猫"],"bbox":[[6,9,30,45]]}'
    turns = [(U, "<image>找<ref-object>"), (A, "<bbox>")]
    (after,) = back("ms-swift", [record(turns, pictures[0], objects=objects)], built(tmp_path))
    assert json.loads(after[OBJECTS]) == {"ref": ["猫"], "bbox": [[0.1, 0.1, 0.5, 0.5]], "bbox_type": "norm1"}


texts = st.lists(st.sampled_from([*LETTERS, "<image>", "图片", "</think>"]), max_size=12).map("".join)


@st.composite
def chats(draw: st.DrawFn) -> Iterator[tuple[list[tuple[str, str]], dict[str, Any]]]:
    """Turns in an order that trainers take, and what stands beside them."""
    turns = [(S, draw(texts))] if draw(st.booleans()) else []
    uses_tools = draw(st.booleans())
    for _ in range(draw(st.integers(1, 3))):
        turns.append((U, draw(texts)))
        if uses_tools and draw(st.booleans()):
            arguments = draw(st.dictionaries(st.text(LETTERS, max_size=4), st.integers() | texts, max_size=3))
            call = {"name": draw(st.text("ab是_", min_size=1)), "arguments": arguments}
            turns += [(F, json.dumps(call, ensure_ascii=draw(st.booleans()))), (T, draw(texts))]
        turns.append((A, draw(texts.filter(lambda text: text.replace("<image>", "").strip()))))
    values = {TOOLS: TOOL} if uses_tools else {}
    return turns, values


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chat=chats())
def test_any_chat_comes_back_as_it_was(
    way: str,
    chat: tuple[list[tuple[str, str]], dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
    pictures: list[Path],
) -> None:
    turns, values = chat
    if way.startswith("openai"):
        turns = [(role, text.replace("<image>", "") if role == A else text) for role, text in turns]
    calls = "".join(text for role, text in turns if role == F)
    assume("<image>" not in calls)  # refused, see above
    places = sum(text.count("<image>") for _, text in turns)
    assume(places <= 10)
    images = [pictures[at % len(pictures)] for at in range(places)]
    before = record(turns, *images, **values)
    (after,) = back(way, [before], tmp_path_factory.mktemp("build"))
    check_same(way, before, after)
