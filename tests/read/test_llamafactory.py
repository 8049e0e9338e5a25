"""read.llamafactory: every formatting, columns and tags of its own, and what datakit emitted comes back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datakit.core.errors import UserError
from datakit.core.record import COLUMNS
from datakit.core.step_context import StepContext
from datakit.emit.llamafactory import Llamafactory
from datakit.testing import HeldRecords

SCREENS = Path(__file__).resolve().parents[2] / "examples" / "ecom" / "images"
TAGS = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
TURNS = [{"role": "user", "content": "<image>这是什么？"}, {"role": "assistant", "content": "购物车"}]


def write(folder: Path, rows: Any, entry: dict[str, Any], name: str = "mine.json") -> None:
    text = json.dumps(rows, ensure_ascii=False)
    if name.endswith(".jsonl"):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / name).write_text(text, "utf-8")
    info = {"mine": {"file_name": name, **entry}, "other": {"hf_hub_url": "a/b"}}
    (folder / "dataset_info.json").write_text(json.dumps(info), "utf-8")


@pytest.mark.parametrize("name", ["mine.json", "mine.jsonl"])
def test_messages_with_tags_of_their_own(name: str, tmp_path: Path, read: Any) -> None:
    entry = {
        "formatting": "sharegpt",
        "columns": {"messages": "talk", "images": "pics", "system": "who"},
        "tags": {**TAGS, "user_tag": "问", "assistant_tag": "答"},
    }
    talk = [{"role": "问", "content": "<image>这是什么？"}, {"role": "答", "content": "购物车"}]
    write(
        tmp_path, [{"id": "a", "talk": talk, "pics": ["1.jpg"], "who": "你是客服。", "note": 1}], entry, name
    )
    got = read("read.llamafactory", path=".", dataset="mine")
    assert got.column("messages") == [[{"role": "system", "content": "你是客服。"}, *TURNS]]
    assert got.column("images") == [[str(tmp_path / "1.jpg")]]
    assert got.column("id") == ["a"]
    assert got.column("note") == [1]


def test_the_trainers_defaults_hold_where_the_entry_names_nothing(tmp_path: Path, read: Any) -> None:
    talk = [{"from": "human", "value": "一"}, {"from": "gpt", "value": "二"}]
    write(tmp_path, [{"conversations": talk}], {"formatting": "sharegpt"})
    (turns,) = read("read.llamafactory", path=".", dataset="mine").column("messages")
    assert turns == [{"role": "user", "content": "一"}, {"role": "assistant", "content": "二"}]


def test_openai_formatting(tmp_path: Path, read: Any) -> None:
    write(
        tmp_path,
        [{"messages": TURNS, "images": ["1.jpg"]}],
        {"formatting": "openai", "columns": {"messages": "messages", "images": "images"}},
    )
    assert read("read.llamafactory", path=".", dataset="mine").column("messages") == [TURNS]


def test_alpaca_is_the_default_and_a_mapping_resets_what_it_does_not_name(tmp_path: Path, read: Any) -> None:
    rows = [{"instruction": "一", "input": "二", "output": "三"}]
    write(tmp_path, rows, {})
    (turns,) = read("read.llamafactory", path=".", dataset="mine").column("messages")
    assert turns[0]["content"] == "一\n二"
    write(tmp_path, rows, {"columns": {"prompt": "instruction", "response": "output"}})
    (turns,) = read("read.llamafactory", path=".", dataset="mine").column("messages")
    assert turns[0]["content"] == "一"


def test_rows_at_which_the_trainer_would_stop_are_rejected(tmp_path: Path, read: Any) -> None:
    entry = {"formatting": "sharegpt", "columns": {"messages": "messages", "images": "images"}, "tags": TAGS}
    rows = [
        {"id": "good", "messages": TURNS, "images": ["1.jpg"]},
        {"id": "places", "messages": TURNS, "images": []},
        {"id": "order", "messages": TURNS[::-1], "images": ["1.jpg"]},
        {"id": "role", "messages": [{"role": "boss", "content": "x"}, TURNS[1]], "images": ["1.jpg"]},
        {"id": "none", "messages": [], "images": []},
        {"id": "outside", "messages": TURNS, "images": ["../1.jpg"]},
    ]
    write(tmp_path, rows, entry)
    got = read("read.llamafactory", path=".", dataset="mine")
    assert got.column("id") == ["good"]
    assert got.reasons == {
        "places": "image_places",
        "order": "messages_order",
        "role": "messages_format",
        "none": "messages_format",
        "outside": "image_outside",
    }


@pytest.mark.fault(
    "columns or tags of a dataset_info.json are no names",
    "refused with the entry and the value",
    kind="bounds",
)
@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"ranking": True}, "preference data"),
        ({"columns": {"videos": "v"}}, "`videos`"),
        ({"formatting": "odd"}, "Known: alpaca, sharegpt, openai"),
        ({"formatting": "sharegpt", "columns": {"messages": "talk"}}, "no column `talk`"),
        ({"file_name": "gone.json"}, r"gone\.json does not exist"),
        ({"columns": ["messages"]}, "`columns` of `mine` is .*, not an object"),
        ({"columns": {"messages": 3}}, "`messages` of `mine` is 3, not a name"),
        ({"formatting": "sharegpt", "tags": "role"}, "`tags` of `mine` is 'role', not an object"),
        ({"formatting": "sharegpt", "tags": {"user_tag": True}}, "`user_tag` of `mine` is True"),
        ({"formatting": "sharegpt", "tags": {"role_tag": ["role"]}}, "`role_tag` of `mine`"),
        ({"formatting": ["sharegpt"]}, "Known: alpaca, sharegpt, openai"),
    ],
)
def test_entries_that_records_cannot_hold_are_errors(
    entry: dict[str, Any], words: str, tmp_path: Path, read: Any
) -> None:
    write(tmp_path, [{"messages": TURNS, "images": ["1.jpg"]}], entry)
    with pytest.raises(UserError, match=words):
        read("read.llamafactory", path=".", dataset="mine")


def test_a_role_without_a_tag_is_that_of_no_turn(tmp_path: Path, read: Any) -> None:
    entry = {
        "formatting": "sharegpt",
        "columns": {"messages": "talk", "images": "pics"},
        "tags": {**TAGS, "observation_tag": None, "function_tag": ""},
    }
    tool = [TURNS[0], {"role": "tool", "content": "{}"}, TURNS[1]]
    rows = [{"id": name, "talk": talk, "pics": ["1.jpg"]} for name, talk in (("a", TURNS), ("b", tool))]
    write(tmp_path, rows, entry)
    got = read("read.llamafactory", path=".", dataset="mine")
    assert got.column("id") == ["a"]
    assert got.reasons == {"b": "messages_format"}


def test_a_missing_index_a_broken_one_and_an_unknown_set_are_errors(tmp_path: Path, read: Any) -> None:
    with pytest.raises(UserError, match=r"dataset_info\.json does not exist"):
        read("read.llamafactory", path=".", dataset="mine")
    write(tmp_path, [], {})
    with pytest.raises(UserError, match="Did you mean `mine`"):
        read("read.llamafactory", path=".", dataset="mein")
    with pytest.raises(UserError, match="names no file"):
        read("read.llamafactory", path=".", dataset="other")
    (tmp_path / "dataset_info.json").write_text('{\n "mine": ]')
    with pytest.raises(UserError, match="not JSON") as error:
        read("read.llamafactory", path=".", dataset="mine")
    assert error.value.where.endswith("dataset_info.json:2:10")


def test_what_datakit_emitted_comes_back_with_ids_messages_and_pictures(tmp_path: Path, read: Any) -> None:
    shutil.copyfile(SCREENS / "0001.jpg", tmp_path / "1.jpg")
    records = pl.DataFrame(
        {
            "id": ["a", "b"],
            "images": [[str(tmp_path / "1.jpg")], [str(tmp_path / "1.jpg")]],
            "messages": [TURNS, TURNS],
            "split": ["train", "train"],
            "repeat": [3, 1],
            "set": ["", ""],
        },
        schema={name: COLUMNS[name] for name in ("id", "images", "messages", "split", "repeat", "set")},
    )
    build = tmp_path / "build"
    build.mkdir()
    Llamafactory().write(HeldRecords(records), build, StepContext(base=tmp_path, project=tmp_path, name="it"))
    got = read("read.llamafactory", path="build", dataset="it_train")
    assert got.column("id") == ["a", "b"]
    assert got.column("messages") == [TURNS, TURNS]
    assert Path(got.column("images")[0][0]).read_bytes() == (tmp_path / "1.jpg").read_bytes()
    assert [reject.reason for reject in got.rejects] == ["duplicate_id"] * 2
