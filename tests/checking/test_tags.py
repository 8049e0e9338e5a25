"""Tags and columns that do not fit the rows get the sentence that the trainer's KeyError does not give."""
# ruff: noqa: E501

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from datakit.checking.check import Check, Report
from datakit.checking.training import Training
from tests.support.data_folder import SETTINGS, DataFolder, picture

TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "tool",
    "function_tag": "function",
    "system_tag": "system",
}
CALL = [{"function": {"name": "f", "arguments": {}}}]
CHAT: dict[str, Any] = {
    "messages": [
        {"role": "user", "content": "<image>问"},
        {"role": "assistant", "content": "好"},
    ],
    "images": ["a.png"],
}
TOOLS: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "<image>问"},
        {"role": "assistant", "content": "", "tool_calls": CALL},
        {"role": "tool", "content": "22"},
        {"role": "assistant", "content": "好"},
    ],
    "images": ["a.png"],
    "tools": "[]",
    "system": "s",
}
ALPACA: dict[str, Any] = {
    "instruction": "<image>问",
    "input": "",
    "output": "好",
    "history": [["q", "a"]],
    "images": ["a.png"],
}
COLUMNS = {"messages": "messages", "images": "images"}
ENTRIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sharegpt": ({"formatting": "sharegpt", "columns": COLUMNS, "tags": TAGS}, CHAT),
    "openai": (
        {"formatting": "openai", "columns": {**COLUMNS, "tools": "tools", "system": "system"}, "tags": TAGS},
        TOOLS,
    ),
    "alpaca": (
        {
            "columns": {
                "prompt": "instruction",
                "query": "input",
                "response": "output",
                "history": "history",
                "images": "images",
            }
        },
        ALPACA,
    ),
}
JUNK: list[Any] = [
    None,
    True,
    0,
    1.5,
    float("nan"),
    "",
    "role",
    "user",
    "gpt",
    [],
    {},
    [[]],
    ["a"],
    {"a": 1},
    CALL,
    [1],
]


def checked(folder: DataFolder, rows: list[Any], entry: dict[str, Any]) -> Report:
    picture(folder.path, "a.png")
    path = folder.write(rows, entry, SETTINGS)
    return Check(Training.load(path), dataset_dir=Path(), dataset=["set"]).run()


def told(report: Report, code: str) -> list[str]:
    return [finding.message for finding in report.findings.all if finding.code == code]


@pytest.mark.fault(
    "tags or columns of dataset_info.json do not fit the rows",
    "`datakit check` names the tag, the keys that are there and the row; no KeyError",
    kind="bounds",
)
@pytest.mark.parametrize("formatting", ["sharegpt", "openai"])
@pytest.mark.parametrize("tag", ["role_tag", "content_tag"])
def test_tag_whose_key_no_turn_has_is_told_once_with_the_keys_that_are_there(
    folder: DataFolder, formatting: str, tag: str
) -> None:
    entry, row = ENTRIES[formatting]
    report = checked(folder, [row] * 3, {**entry, "tags": {**TAGS, tag: "from"}})
    (words,) = told(report, "tags_unmatched")
    assert words.startswith(f"`{tag}` is `from`; the turns have `role`, `content`")
    assert not told(report, "role_order")


def test_entry_without_tags_for_turns_of_role_and_content_says_what_holds(folder: DataFolder) -> None:
    entry, row = ENTRIES["sharegpt"]
    report = checked(folder, [row] * 3, {key: value for key, value in entry.items() if key != "tags"})
    assert told(report, "tags_unmatched") == [
        "`role_tag` is `from`, which holds where the entry has no `tags`; the turns have `role`, `content`",
        "`content_tag` is `value`, which holds where the entry has no `tags`; the turns have `role`, `content`",
    ]


@pytest.mark.parametrize("formatting", ["sharegpt", "openai"])
def test_role_that_no_tag_names_is_told_with_its_row_and_the_tags(
    folder: DataFolder, formatting: str
) -> None:
    entry, row = ENTRIES[formatting]
    odd = {
        **row,
        "messages": [
            {**turn, "role": {"user": "human"}.get(turn["role"], turn["role"])} for turn in row["messages"]
        ],
    }
    report = checked(folder, [row, odd], entry)
    (finding,) = [one for one in report.findings.all if one.code == "role_order"]
    assert "`human`, which is none of the tags `user`, `assistant`" in finding.message
    assert finding.record == "row 2"


def test_column_that_no_row_has_is_told_with_its_name(folder: DataFolder) -> None:
    entry, row = ENTRIES["sharegpt"]
    report = checked(folder, [row] * 2, {**entry, "columns": {**COLUMNS, "messages": "conversations"}})
    assert told(report, "column_missing") == ["`conversations`"]


@pytest.mark.parametrize(
    ("calls", "words"),
    [
        ("x", "turn 2"),
        ([1], "turn 2"),
        ([{"name": "f"}], "turn 2"),
        ({"function": {}}, "turn 2"),
        (True, "turn 2"),
    ],
)
def test_tool_calls_without_a_function_stop_the_training_with_their_turn(
    folder: DataFolder, calls: Any, words: str
) -> None:
    entry, row = ENTRIES["openai"]
    turns = [{**turn, "tool_calls": calls} if "tool_calls" in turn else turn for turn in row["messages"]]
    report = checked(folder, [{**row, "messages": turns}], entry)
    assert told(report, "not_text") == [f"`tool_calls` of {words} is no list of objects with a `function`"]


@pytest.mark.parametrize("content", [None, 3, ["a"], {"a": "b"}])
def test_answer_of_a_tool_that_is_no_text_stops_the_training(folder: DataFolder, content: Any) -> None:
    entry, row = ENTRIES["openai"]
    turns = [{**turn, "content": content} if turn["role"] == "tool" else turn for turn in row["messages"]]
    report = checked(folder, [{**row, "messages": turns}], entry)
    assert any("the answer of a tool in turn 3" in words for words in told(report, "not_text"))


@pytest.mark.parametrize("depth", [900, 100_000])
def test_deep_nesting_in_rows_is_told(folder: DataFolder, depth: int) -> None:
    picture(folder.path, "a.png")
    path = folder.write([CHAT], ENTRIES["sharegpt"][0], SETTINGS)
    (data,) = [
        file
        for file in folder.path.iterdir()
        if "set" in file.name and file.suffix in (".json", ".jsonl") and "info" not in file.name
    ]
    data.write_text(json.dumps([CHAT])[:-1] + ', {"messages": ' + "[" * depth + "]" * depth + "}]")
    report = Check(Training.load(path), dataset_dir=Path(), dataset=["set"]).run()
    assert report.errors


@pytest.mark.parametrize("text", ["[" * 100_000, "{" + '"a":{' * 100_000, '{"set": ' + "9" * 5_000 + "}"])
def test_index_that_cannot_be_read_is_told(folder: DataFolder, text: str) -> None:
    path = folder.write([CHAT], ENTRIES["sharegpt"][0], SETTINGS)
    (folder.path / "dataset_info.json").write_text(text)
    assert told(Check(Training.load(path), dataset_dir=Path(), dataset=["set"]).run(), "index_missing")


def spoiled(value: Any, rng: random.Random, share: float) -> Any:
    """The value with parts replaced, left out, renamed and repeated."""
    if rng.random() < share:
        return rng.choice(JUNK)
    if isinstance(value, dict):
        kept = {key: inner for key, inner in value.items() if rng.random() > share}
        renamed = {
            (rng.choice(["x", "role", "content"]) if rng.random() < share else key): inner
            for key, inner in kept.items()
        }
        return {key: spoiled(inner, rng, share) for key, inner in renamed.items()}
    if isinstance(value, list):
        kept_parts = [spoiled(part, rng, share) for part in value if rng.random() > share]
        return kept_parts + (kept_parts[-1:] if rng.random() < share else [])
    return value


@pytest.mark.parametrize("formatting", ENTRIES)
@pytest.mark.parametrize("seed", range(3))
def test_no_entry_and_no_row_makes_the_check_fail(folder: DataFolder, formatting: str, seed: int) -> None:
    rng = random.Random(f"{formatting}{seed}")
    entry, row = ENTRIES[formatting]
    for _ in range(60):
        share = rng.choice([0.01, 0.03, 0.1])
        rows, mutated = [spoiled(row, rng, share) for _ in range(3)], spoiled(entry, rng, share)
        json.dumps(checked(folder, rows, mutated if isinstance(mutated, dict) else entry).plain())
