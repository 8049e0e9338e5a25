"""read.alpaca: instruction, input and output as a dialogue, from every kind of file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datakit.core.errors import UserError

ROWS: list[dict[str, Any]] = [
    {"instruction": "写一句问候。", "input": "", "output": "你好。"},
    {"instruction": "翻译成英文。", "input": "苹果", "output": "apple", "topic": "fruit"},
]
TURNS = [
    [{"role": "user", "content": "写一句问候。"}, {"role": "assistant", "content": "你好。"}],
    [{"role": "user", "content": "翻译成英文。\n苹果"}, {"role": "assistant", "content": "apple"}],
]


def write(folder: Path, rows: Any, name: str = "general.json") -> None:
    path = folder / name
    if path.suffix == ".parquet":
        pl.DataFrame(rows).write_parquet(path)
    elif path.suffix == ".csv":
        pl.DataFrame(rows).write_csv(path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    else:
        path.write_text(json.dumps(rows, ensure_ascii=False), "utf-8")


@pytest.mark.parametrize("name", ["general.json", "general.jsonl", "general.csv", "general.parquet"])
def test_rows_of_any_kind_of_file_become_dialogues(name: str, tmp_path: Path, read: Any) -> None:
    write(tmp_path, ROWS, name)
    got = read("read.alpaca", path=name)
    assert got.column("messages") == TURNS
    assert got.column("images") == [[], []]
    assert got.column("topic") == [None, "fruit"]
    assert set(got.frame.columns) & {"instruction", "input", "output"} == set()


def test_lines_in_a_file_called_json_are_read(tmp_path: Path, read: Any) -> None:
    write(tmp_path, ROWS, "general.jsonl")
    (tmp_path / "general.jsonl").rename(tmp_path / "general.json")
    assert read("read.alpaca", path="general.json").column("messages") == TURNS


def test_system_and_history_come_before_the_question(tmp_path: Path, read: Any) -> None:
    write(tmp_path, [{**ROWS[0], "system": "你是助手。", "history": [["一", "二"], ["三", "四"]]}])
    (turns,) = read("read.alpaca", path="general.json").column("messages")
    assert [turn["content"] for turn in turns] == [
        "你是助手。",
        "一",
        "二",
        "三",
        "四",
        "写一句问候。",
        "你好。",
    ]
    assert turns[0]["role"] == "system"


def test_numbers_are_answers(tmp_path: Path, read: Any) -> None:
    write(tmp_path, [{"instruction": "1+1", "output": 2}, {"instruction": "2+2", "output": "4"}])
    answers = [turns[-1]["content"] for turns in read("read.alpaca", path="general.json").column("messages")]
    assert answers == ["2", "4"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"instruction": "", "input": " ", "output": "x"}, "instruction_missing"),
        ({"instruction": "x", "output": None}, "output_missing"),
        ({"instruction": "x", "output": ["x"]}, "messages_format"),
        ({"instruction": "x", "output": "y", "history": [["one"]]}, "messages_format"),
        ({"instruction": "看<image>", "output": "y"}, "image_places"),
        ("text", "not_an_object"),
    ],
)
def test_rows_that_teach_nothing_are_rejected(row: Any, reason: str, tmp_path: Path, read: Any) -> None:
    write(tmp_path, [*ROWS, row])
    got = read("read.alpaca", path="general.json")
    assert got.column("messages") == TURNS
    assert [(reject.reason, reject.source_line) for reject in got.rejects] == [(reason, 3)]


def test_ids_are_kept_or_made_of_the_dialogue(tmp_path: Path, read: Any) -> None:
    write(tmp_path, ROWS)
    made = read("read.alpaca", path="general.json").column("id")
    write(tmp_path, [{**row, "topic": "new"} for row in ROWS[::-1]])
    assert read("read.alpaca", path="general.json").column("id") == made[::-1]
    write(tmp_path, [{**row, "id": n} for n, row in enumerate(ROWS)])
    assert read("read.alpaca", path="general.json").column("id") == ["0", "1"]


def test_rows_of_another_format_are_an_error_that_names_what_is_there(tmp_path: Path, read: Any) -> None:
    write(tmp_path, [{"question": "x", "answer": "y"}])
    with pytest.raises(UserError, match=r"no column `instruction`.*\n.*answer"):
        read("read.alpaca", path="general.json")
    write(tmp_path, [{"instruction": "x", "response": "y"}])
    with pytest.raises(UserError, match="no column `output`"):
        read("read.alpaca", path="general.json")


def test_an_unknown_kind_of_file_and_an_empty_one_are_errors(tmp_path: Path, read: Any) -> None:
    (tmp_path / "general.txt").write_text("x")
    with pytest.raises(UserError, match=r"Known: \.json"):
        read("read.alpaca", path="general.txt")
    write(tmp_path, [])
    with pytest.raises(UserError, match="holds no record"):
        read("read.alpaca", path="general.json")


def test_a_set_that_the_hub_does_not_answer_for_is_an_error_in_words(
    tmp_path: Path, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"cannot load the data set owner/general"):
        read("read.alpaca", path="owner/general")
