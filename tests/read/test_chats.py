"""Chats as the field writes them: parts of contents, packed lists, roles, tools, and one odd record."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.support.in_chinese import english_left

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
ANSWER = {"role": "assistant", "content": "红"}
TEXT = {"type": "text", "text": "是什么"}


def lines(folder: Path, *rows: Any) -> None:
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / "rows.jsonl").write_text(text, encoding="utf-8")


def user(*parts: Any) -> list[Any]:
    return [{"role": "user", "content": list(parts)}, ANSWER]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image", "image": "i/a.png"},
        {"type": "image", "image": "file://ROOT/i/a.png"},
        {"type": "image_url", "image_url": {"url": "i/a.png"}},
        {"type": "image_url", "image_url": "i/a.png"},
        {"type": "input_image", "image_url": "i/a.png"},
        {"type": "image", "path": "i/a.png"},
        {"type": "image", "url": "i/a.png"},
        {"type": "image", "value": "i/a.png"},
        {"type": "image", "image": {"bytes": None, "path": "i/a.png"}},
        {"image": "i/a.png"},
    ],
)
def test_a_picture_inside_a_content_is_a_picture_of_the_record(part: Any, tmp_path: Path, read: Any) -> None:
    part = json.loads(json.dumps(part).replace("ROOT", str(tmp_path)))
    lines(tmp_path, {"id": "a", "messages": user(part, TEXT)})
    got = read("read.jsonl", path="rows.jsonl")
    assert got.column("images") == [[str(tmp_path / "i/a.png")]]
    assert got.column("messages")[0][0] == {"role": "user", "content": "<image>是什么"}


@pytest.mark.parametrize(
    "part",
    [
        {
            "type": "image_url",
            "image_url": {"url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}"},
        },
        {
            "type": "image",
            "source": {"media_type": "image/png", "data": base64.b64encode(PNG).decode()},
        },
        {"type": "image", "image": {"bytes": base64.b64encode(PNG).decode()}},
    ],
)
def test_a_picture_in_base64_inside_a_content_is_written_to_a_file(
    part: Any, tmp_path: Path, read: Any
) -> None:
    lines(tmp_path, {"id": "a", "messages": user(part, TEXT)})
    ((path,),) = read("read.jsonl", path="rows.jsonl").column("images")
    assert Path(path).read_bytes() == PNG
    assert path.endswith(".png")


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "text": "红"},
        {"type": "text", "value": "红"},
        {"type": "text", "content": "红"},
        {"type": "output_text", "text": "红"},
        {"text": "红"},
        {"type": "text", "text": "红", "image": None},
        "红",
    ],
)
def test_a_text_inside_a_content_is_read(part: Any, tmp_path: Path, read: Any) -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": [part]}]
    lines(tmp_path, {"id": "a", "messages": turns})
    assert read("read.jsonl", path="rows.jsonl").column("messages")[0][1]["content"] == "红"


@pytest.mark.parametrize(
    ("asker", "answerer"),
    [("User", "Assistant"), ("HUMAN", "GPT"), ("human", "bot"), (" user ", "model"), ("用户", "助手")],
)
def test_roles_are_known_in_any_case_and_by_their_other_names(
    asker: str, answerer: str, tmp_path: Path, read: Any
) -> None:
    lines(
        tmp_path,
        {"id": "a", "conversations": [{"from": asker, "value": "q"}, {"from": answerer, "value": "a"}]},
    )
    roles = [turn["role"] for turn in read("read.jsonl", path="rows.jsonl").column("messages")[0]]
    assert roles == ["user", "assistant"]


@pytest.mark.parametrize(
    "cell",
    ['["i/a.png", "i/b.png"]', "['i/a.png', 'i/b.png']", ["i/a.png", "i/b.png"], [["i/a.png"], ["i/b.png"]]],
)
def test_packed_lists_of_pictures_are_read(cell: Any, tmp_path: Path, read: Any) -> None:
    lines(tmp_path, {"id": "a", "images": cell})
    assert read("read.jsonl", path="rows.jsonl").column("images") == [
        [str(tmp_path / "i/a.png"), str(tmp_path / "i/b.png")]
    ]


def test_one_list_for_each_key_of_turns_is_read(tmp_path: Path, read: Any) -> None:
    packed = {"role": ["user", "assistant"], "content": ["q", "a"]}
    pl.DataFrame({"id": ["a"], "messages": [packed]}).write_parquet(tmp_path / "rows.parquet")
    turns = read("read.parquet", path="rows.parquet").column("messages")
    assert turns == [[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]]


def test_pictures_as_bytes_and_path_are_read_from_json(tmp_path: Path, read: Any) -> None:
    held = {"bytes": base64.b64encode(PNG).decode(), "path": "x.png"}
    lines(
        tmp_path, {"id": "a", "images": [held]}, {"id": "b", "images": [{"bytes": None, "path": "i/a.png"}]}
    )
    (first,), (second,) = read("read.jsonl", path="rows.jsonl").column("images")
    assert Path(first).read_bytes() == PNG
    assert second == str(tmp_path / "i/a.png")


def test_calls_of_tools_become_turns(tmp_path: Path, read: Any) -> None:
    function = {"name": "search", "arguments": '{"q": "猫"}'}
    turns = [
        {"role": "user", "content": "搜"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "c", "name": "search", "content": "结果"},
        ANSWER,
    ]
    lines(tmp_path, {"id": "a", "messages": turns})
    messages = read("read.jsonl", path="rows.jsonl").column("messages")[0]
    assert [turn["role"] for turn in messages] == ["user", "function_call", "observation", "assistant"]
    assert json.loads(messages[1]["content"]) == {"name": "search", "arguments": {"q": "猫"}}


QUESTION = {"role": "user", "content": "q"}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"messages": [QUESTION, {"role": "assistant", "content": ""}]}, "answer_empty"),
        ({"messages": [QUESTION, {"role": "assistant", "content": None}]}, "messages_format"),
        (
            {"messages": [QUESTION, {"role": "assistant", "content": [{"type": "video", "video": "v"}]}]},
            "messages_format",
        ),
        ({"messages": [QUESTION, {"role": "function_call", "content": "no json"}]}, "messages_format"),
        ({"messages": [QUESTION, {"role": "narrator", "content": "x"}]}, "messages_format"),
        ({"messages": {"role": ["user"], "content": ["q", "a"]}}, "messages_format"),
        ({"messages": [QUESTION, {**ANSWER, "weight": 0.5}]}, "messages_format"),
        (
            {"messages": [QUESTION, {**ANSWER, "tool_calls": [{"function": {"name": "f"}}]}]},
            "messages_format",
        ),
        ({"messages": [QUESTION, ANSWER], "tools": "not json"}, "tools_format"),
        (
            {"messages": user({"type": "image_url", "image_url": {"url": "data:image/png;base64,!"}})},
            "image_not_a_path",
        ),
    ],
)
def test_one_odd_record_is_a_reject(row: Any, reason: str, tmp_path: Path, read: Any) -> None:
    good = {"id": "good", "messages": [QUESTION, {**ANSWER, "weight": 0}, QUESTION, ANSWER], "tools": "[]"}
    lines(tmp_path, good, {"id": "odd", **row})
    got = read("read.jsonl", path="rows.jsonl")
    assert got.reasons == {"odd": reason}
    assert got.column("id") == ["good"]


def test_turns_that_are_not_trained_on_are_told(tmp_path: Path, read: Any) -> None:
    turns = [QUESTION, {**ANSWER, "loss": False}, QUESTION, {**ANSWER, "loss": True}]
    lines(
        tmp_path,
        {"id": "a", "messages": turns, "system": "专家"},
        {"id": "b", "messages": [QUESTION, ANSWER]},
    )
    got = read("read.jsonl", path="rows.jsonl")
    assert got.column("turn_loss") == [[None, None, False, None, True], None]
    assert got.column("messages")[0][0] == {"role": "system", "content": "专家"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("loss", False),
        ("loss", "false"),
        ("weight", 0.0),
        ("train", "False"),
        ("trainable", False),
        ("loss_scale", 0),
        ("loss_weight", 0),
        ("loss_mask", 0),
        ("masked", True),
        ("masked", 1),
    ],
)
def test_every_way_to_say_that_a_turn_is_not_trained_on_is_told(
    key: str, value: Any, tmp_path: Path, read: Any
) -> None:
    lines(tmp_path, {"messages": [QUESTION, {**ANSWER, key: value}, QUESTION, ANSWER]})
    assert read("read.jsonl", path="rows.jsonl").column("turn_loss") == [[None, False, None, None]]


def test_turns_that_say_that_they_are_trained_on_need_no_column(tmp_path: Path, read: Any) -> None:
    lines(
        tmp_path, {"messages": [QUESTION, {**ANSWER, "masked": False, "trainable": True, "loss_scale": 1.0}]}
    )
    assert "turn_loss" not in read("read.jsonl", path="rows.jsonl").frame.columns


def test_pictures_of_alpaca_rows_are_read(tmp_path: Path, read: Any) -> None:
    row = {"instruction": "<image>图里是什么", "input": "", "output": "狗", "images": ["i/a.png"]}
    lines(tmp_path, row, {**row, "instruction": "图里是什么"})
    got = read("read.alpaca", path="rows.jsonl")
    assert got.column("images") == [[str(tmp_path / "i/a.png")]]
    assert list(got.reasons.values()) == ["image_places"]


DIALOGUE = [{"role": "user", "content": "问"}, ANSWER]
MARKED: dict[str, tuple[str, dict[str, Any]]] = {
    "chats": ("read.jsonl", {"messages": DIALOGUE}),
    "chats without the column": ("read.jsonl", {"messages": DIALOGUE}),
    "question and answer apart": ("read.jsonl", {"prompt": DIALOGUE[:1], "completion": [ANSWER]}),
    "an array of chats": ("read.json", {"messages": DIALOGUE}),
    "alpaca": ("read.alpaca", {"instruction": "问", "output": "红"}),
    "an entry of alpaca": ("read.llamafactory", {"instruction": "问", "output": "红"}),
    "an entry of chats": ("read.llamafactory", {"messages": DIALOGUE}),
}


@pytest.mark.parametrize("mark", ["label", "kto_tag"])
@pytest.mark.parametrize("form", list(MARKED))
def test_an_answer_that_is_marked_as_unwanted_is_never_learnt(
    form: str, mark: str, tmp_path: Path, read: Any
) -> None:
    reader, row = MARKED[form]
    rows = [{"id": f"r{at}", **row, mark: wanted} for at, wanted in enumerate((True, False, None, True))]
    parameters: dict[str, Any] = {"path": "rows.json"}
    if reader == "read.llamafactory":
        entry = {"file_name": "rows.json"}
        if "messages" in row:
            tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user"}
            columns = {"messages": "messages"}
            entry |= {
                "formatting": "sharegpt",
                "columns": columns,
                "tags": {**tags, "assistant_tag": "assistant"},
            }
        (tmp_path / "dataset_info.json").write_text(json.dumps({"set": entry}))
        parameters = {"path": ".", "dataset": "set"}
    elif reader == "read.jsonl":
        parameters = {"path": "rows.jsonl"}
    if form == "chats without the column":
        parameters["drop"] = [mark]
    lines(tmp_path, *rows)
    (tmp_path / "rows.json").write_text(json.dumps(rows), "utf-8")
    got = read(reader, **parameters)
    assert got.column("id") == ["r0", "r2", "r3"]
    (reject,) = got.rejects
    assert (reject.id, reject.reason) == ("r1", "answer_unwanted")
    assert f"`{mark}` is false" in reject.detail


BAD_AND_GOOD: list[tuple[Any, Any]] = [(0, 1), ("False", "True"), ("false", "true"), ("0", "1"), (0.0, 1.0)]


@pytest.mark.parametrize("mark", ["label", "Label", "kto_tag", "desirable"])
@pytest.mark.parametrize("values", BAD_AND_GOOD, ids=repr)
@pytest.mark.parametrize(
    ("reader", "row"),
    [("read.jsonl", {"messages": DIALOGUE}), ("read.alpaca", {"instruction": "问", "output": "红"})],
)
def test_marks_that_are_no_truth_values_are_marks_too(
    reader: str, row: dict[str, Any], values: tuple[Any, Any], mark: str, tmp_path: Path, read: Any
) -> None:
    bad, good = values
    lines(tmp_path, *({"id": f"r{at}", **row, mark: value} for at, value in enumerate((bad, good, None))))
    got = read(reader, path="rows.jsonl")
    assert got.column("id") == ["r1", "r2"]
    assert got.reasons == {"r0": "answer_unwanted"}


def test_a_column_of_nothing_but_zeros_beside_answers_is_no_good_answer(tmp_path: Path, read: Any) -> None:
    lines(tmp_path, {"id": "a", "instruction": "问", "output": "坏", "label": 0})
    assert read("read.alpaca", path="rows.jsonl").reasons == {"a": "answer_unwanted"}


@pytest.mark.parametrize(
    ("values", "parameters"),
    [
        (("false", "true", "unsure"), {}),
        ((0, 1, 2), {}),
        (("0", "1", "2"), {}),
        ((0, 1), {"label": "label"}),
        (("false", "true"), {"label": "label"}),
        ((0, 1), {"keep": ["label"]}),
    ],
)
def test_a_label_that_is_a_class_is_no_mark(
    values: tuple[Any, ...], parameters: dict[str, Any], tmp_path: Path, read: Any
) -> None:
    lines(
        tmp_path, *({"id": f"r{at}", "messages": DIALOGUE, "label": value} for at, value in enumerate(values))
    )
    got = read("read.jsonl", path="rows.jsonl", **parameters)
    assert len(got.column("id")) == len(values)
    assert not got.rejects


def test_a_class_that_is_called_false_is_no_mark(tmp_path: Path, read: Any) -> None:
    lines(
        tmp_path,
        {"id": "a", "messages": DIALOGUE, "label": "false"},
        {"id": "b", "text": "问", "label": False},
    )
    got = read("read.jsonl", path="rows.jsonl")
    assert got.column("id") == ["a", "b"]


def test_marks_in_a_table_of_texts_count_too(tmp_path: Path, read: Any) -> None:
    (tmp_path / "a.csv").write_text("id,instruction,output,kto_tag\na,问,答,True\nb,问,坏,False\n", "utf-8")
    got = read("read.alpaca", path="a.csv")
    assert got.column("id") == ["a"]
    assert [reject.reason for reject in got.rejects] == ["answer_unwanted"]


def test_chats_with_places_that_nothing_fills_are_told(tmp_path: Path, make_context: Any) -> None:
    """The model would learn the signs; `<video>` is also a word of HTML, so the rows stay."""
    from datakit.read.jsonl import Jsonl

    chats = [
        ("找到<ref-object>", "<bbox>", {}),
        ("找到<ref-object>", "<bbox>", {"objects": {"ref": ["狗"], "bbox": [[1, 2, 3, 4]]}}),
        ("<video>比较", "甲", {}),
        ("<audio>听", "乙", {}),
        ("1 < 2", "丙", {}),
    ]
    rows = [
        {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}], **beside}
        for q, a, beside in chats
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    batches = list(Jsonl(path=str(path)).read(make_context()))
    warnings = [line for batch in batches for line in batch.notes.get("warnings", ())]
    assert sum(batch.frame.height for batch in batches) == len(rows)
    held = "and nothing that belongs there, such as line"
    assert [line for line in warnings if "nothing that belongs there" in line] == [
        f"1 chat holds <bbox> {held} 1: the sign is taken for text",
        f"1 chat holds <ref-object> {held} 1: the sign is taken for text",
        f"1 chat holds <video> {held} 3: the sign is taken for text",
        f"1 chat holds <audio> {held} 4: the sign is taken for text",
    ]


def test_questions_and_answers_without_a_chat_among_chats_are_told(tmp_path: Path, read: Any) -> None:
    chat = [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "A cat."}]
    rows = [{"messages": chat}] * 2 + [{"query": f"What {at}?", "response": "A dog."} for at in range(4)]
    lines = [json.dumps(row) for row in (*rows, {"messages": chat, "query": "q", "response": "r"})]
    (tmp_path / "train.jsonl").write_text("\n".join(lines) + "\n")
    [words] = read("read.jsonl", path="train.jsonl").warnings
    assert words.startswith("4 rows have `query` and `response` and no `messages` (line 3, 4, 5 …)")
    assert "write the question as a turn of `user`" in words
    assert english_left([words]) == []
