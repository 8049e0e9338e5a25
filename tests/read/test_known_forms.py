"""Other known forms of data, given to a reader by mistake, are named; rows that look alike are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datakit.artifacts.predictions import Prediction
from datakit.core.errors import UserError
from tests.support.emitter_records import picture

USER, ANSWER = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
HUMAN, GPT = {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}
PREFERENCE, REWARD = "this is preference data", "this is reward data"
PROMPTS, BOXES = "these are prompts without answers", "these are boxes as"
FORMS: dict[str, tuple[dict[str, Any], str]] = {
    "TRL's pairs": ({"prompt": [USER], "chosen": [ANSWER], "rejected": [ANSWER]}, PREFERENCE),
    "TRL's pairs of texts": ({"prompt": "q", "chosen": "a", "rejected": "b"}, PREFERENCE),
    "pairs of whole chats": ({"chosen": [USER, ANSWER], "rejected": [USER, ANSWER]}, PREFERENCE),
    "LLaMA-Factory's pairs": ({"conversations": [HUMAN], "chosen": GPT, "rejected": GPT}, PREFERENCE),
    "pairs beside an instruction": ({"instruction": "q", "chosen": "a", "rejected": "b"}, PREFERENCE),
    "ms-swift's pairs": ({"messages": [USER, ANSWER], "rejected_response": "b"}, PREFERENCE),
    "OpenAI's pairs": (
        {"input": {"messages": [USER]}, "preferred_output": [ANSWER], "non_preferred_output": [ANSWER]},
        PREFERENCE,
    ),
    "pairs of SHP": ({"history": "q", "human_ref_A": "a", "human_ref_B": "b", "labels": 1}, PREFERENCE),
    "marked texts": ({"prompt": "q", "completion": "a", "label": False}, PREFERENCE),
    "ranked answers": ({"prompt": "q", "responses": ["a", "b"], "ranking": [1, 2]}, PREFERENCE),
    "UltraFeedback": ({"instruction": "q", "completions": [{"response": "a", "score": 3}]}, PREFERENCE),
    "marked steps": ({"prompt": "q", "completions": ["a", "b"], "labels": [True, False]}, REWARD),
    "rewarded answers": ({"prompt": "q", "response": "a", "reward": 0.3}, REWARD),
    "scored answers": ({"query": "q", "response": "a", "score": 0.3}, REWARD),
    "GRPO prompts": ({"prompt": [USER], "solution": "3"}, PROMPTS),
    "GRPO prompts as texts": ({"prompt": "q", "ground_truth": "3"}, PROMPTS),
    "verl's prompts": ({"data_source": "x", "prompt": [USER], "reward_model": {"style": "rule"}}, PROMPTS),
    "prompts alone": ({"prompt": [USER]}, PROMPTS),
    "COCO on one line": ({"images": [{"id": 1}], "annotations": [{"id": 1}], "categories": []}, BOXES),
    "COCO's boxes": ({"id": 1, "image_id": 3, "bbox": [1, 2, 3, 4], "category_id": 2}, BOXES),
    "a batch file": (
        {"custom_id": "1", "method": "POST", "body": {"messages": [USER]}},
        "these are requests",
    ),
    "triples": ({"query": "q", "positive": ["a"], "negative": ["b"]}, "these are pairs"),
}


def write(folder: Path, *rows: dict[str, Any], name: str = "rows.jsonl") -> None:
    (folder / name).write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("reader", ["read.jsonl", "read.alpaca"])
def test_rows_of_another_form_are_named(reader: str, form: str, tmp_path: Path, read: Any) -> None:
    row, words = FORMS[form]
    if form == "COCO on one line":
        row = {**row, "categories": [{"id": 1}]}
    write(tmp_path, row, row)
    with pytest.raises(UserError, match=words) as caught:
        read(reader, path="rows.jsonl")
    assert str(tmp_path / "rows.jsonl") in caught.value.message
    assert caught.value.remedy


def test_preference_data_in_parquet_is_named(tmp_path: Path, read: Any) -> None:
    row, words = FORMS["TRL's pairs"]
    pl.DataFrame([row]).write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(UserError, match=words):
        read("read.parquet", path="rows.parquet")


@pytest.mark.parametrize(
    ("row", "parameters"),
    [
        ({"image": "a.jpg", "prompt": "q", "ground_truth": "猫"}, {}),
        ({"image": "a.jpg", "label": "猫", "score": 0.5, "rank": 3}, {}),
        ({"prompt": "q", "completion": "a"}, {}),
        ({"question": "q", "answer": "a", "score": 1}, {}),
        ({"text": "q", "label": "a", "annotations": 3, "rejected": ""}, {}),
        ({"prompt": "q", "ground_truth": "3"}, {"label": "ground_truth"}),
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, {"drop": ["chosen", "rejected"]}),
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, {"keep": ["chosen", "rejected"]}),
        ({"chosen": [USER, ANSWER], "rejected": [USER, ANSWER]}, {"messages": "chosen"}),
        ({"messages": [USER, ANSWER], "solution": "3", "problem": "q"}, {}),
        ({"image": "a.jpg", "label": "猫", "predicted": "狗"}, {}),
        ({"query": "q", "positive": 3, "label": "a"}, {}),
    ],
)
def test_rows_that_look_alike_are_read(
    row: dict[str, Any], parameters: dict[str, Any], tmp_path: Path, read: Any
) -> None:
    write(tmp_path, row)
    assert read("read.jsonl", path="rows.jsonl", **parameters).frame.height == 1


def test_one_pair_among_chats_makes_no_preference_data(tmp_path: Path, read: Any) -> None:
    chat = {"messages": [USER, ANSWER]}
    write(tmp_path, chat, {**chat, "chosen": "a", "rejected": "b"})
    assert read("read.jsonl", path="rows.jsonl").frame.height == 2


def test_chats_of_one_side_are_rejected_by_their_name(tmp_path: Path, read: Any) -> None:
    write(tmp_path, {"messages": [USER], "solution": "3"}, {"messages": [ANSWER]})
    prompt, text = read("read.jsonl", path="rows.jsonl").rejects
    assert "a prompt without an answer, as GRPO" in prompt.detail
    assert "a text as pre-training takes it" in text.detail


def test_plain_text_is_named(tmp_path: Path, read: Any) -> None:
    write(tmp_path, {"text": "words", "url": "http://x"})
    with pytest.raises(UserError, match="this is plain text as pre-training takes it"):
        read("read.alpaca", path="rows.jsonl")
    got = read("read.jsonl", path="rows.jsonl")
    assert got.column("text") == ["words"]
    assert "plain text as pre-training takes it" in got.warnings[0]
    assert read("read.jsonl", path="rows.jsonl", text="text").warnings == []


def test_answers_in_a_list_are_preference_data(tmp_path: Path, read: Any) -> None:
    write(tmp_path, {"instruction": "q", "output": ["a", "b"]})
    (reject,) = read("read.alpaca", path="rows.jsonl").rejects
    assert "this is preference data" in reject.detail


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"file_name": "rows.jsonl", "columns": {"prompt": "text"}}, "plain text as pre-training takes it"),
        ({"file_name": "rows.jsonl", "formatting": "sharegpt"}, PREFERENCE),
        ({"file_name": "coco.json"}, BOXES),
    ],
)
def test_data_of_another_form_in_an_index_is_named(
    entry: dict[str, Any], words: str, tmp_path: Path, read: Any
) -> None:
    write(tmp_path, FORMS["LLaMA-Factory's pairs"][0])
    coco = {"images": [], "annotations": [], "categories": []}
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    (tmp_path / "dataset_info.json").write_text(json.dumps({"x": entry}))
    with pytest.raises(UserError, match=words):
        read("read.llamafactory", path=".", dataset="x")


VOC = "<annotation><filename>a.jpg</filename><object><name>cat</name></object></annotation>"
FILES = {
    "a.xml": VOC,
    "a.txt": "0 0.5 0.5 0.2 0.2\n12 0.1 0.25 0.3 0.4\n",
    "segments.txt": "0 0.5 0.5 0.2 0.2 0.1 0.1\n",
    "data.yaml": "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n",
    "instances_val.json": '{"info": {}, "images": [], "annotations": [], "categories": []}',
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("reader", ["read.json", "read.alpaca", "read.csv"])
def test_files_of_boxes_are_named(name: str, reader: str, tmp_path: Path, read: Any) -> None:
    if reader == "read.csv" and name.endswith(".json"):
        pytest.skip("no table of texts")
    (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    with pytest.raises(UserError, match=f"{BOXES} (Pascal VOC|YOLO|COCO)"):
        read(reader, path=name)


@pytest.mark.parametrize(
    "text", ["image,label\na.jpg,1\n", "a,b\n1,2\n", "0 0.5 0.5 0.2\n1 0.1 0.2 0.3\n", "image\n1 2 3 4 5\n"]
)
def test_tables_in_text_files_are_read(text: str, tmp_path: Path, read: Any) -> None:
    (tmp_path / "a.txt").write_text(text)
    assert read("read.csv", path="a.txt").frame.height == 1


@pytest.mark.parametrize("name", ["Annotations/a.xml", "labels/a.txt", "annotations/instances_train.json"])
def test_a_folder_of_boxes_gives_no_labels(name: str, tmp_path: Path, read: Any) -> None:
    picture(tmp_path / "set/JPEGImages/a.jpg")
    (tmp_path / "set" / name).parent.mkdir()
    files = {".xml": "a.xml", ".txt": "a.txt", ".json": "instances_val.json"}
    (tmp_path / "set" / name).write_text(FILES[files[Path(name).suffix]])
    with pytest.raises(UserError, match=f"{BOXES}.*no labels"):
        read("read.image_folder", path="set")
    with pytest.raises(UserError, match=f"(?s)is a folder, not a file.*{BOXES[10:]}"):
        read("read.jsonl", path="set")
    got = read("read.image_folder", path="set", labelled=False)
    assert got.column("label") == [None]
    assert list(got.reasons.values()) == ["not_a_picture"]


def test_folders_are_named_with_what_reads_them(tmp_path: Path, read: Any) -> None:
    for name in ("猫/1.jpg", "狗/1.jpg"):
        picture(tmp_path / "classes" / name)
    folders = {
        "classes": "read.image_folder",
        "saved": "read.hub",
        "hub": "read.hub",
        "index": "read.llamafactory",
        "build": "read.build",
    }
    files = (
        "saved/state.json",
        "hub/README.md",
        "hub/x.parquet",
        "index/dataset_info.json",
        "build/manifest.json",
    )
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    for folder, reader in folders.items():
        with pytest.raises(UserError, match=f"(?s)is a folder, not a file.*: {reader} reads"):
            read("read.jsonl", path=folder)
    with pytest.raises(UserError, match=r"this is a picture, not a table\n.*read\.image_folder"):
        read("read.jsonl", path="classes/*/*.jpg")


def test_a_build_s_own_files_are_named(tmp_path: Path, read: Any) -> None:
    answers = [
        Prediction(id="a", label="猫", predicted="猫", answer="猫", images=("a.jpg",), model="m"),
        Prediction(id="b", problem="refused", answer="不", model="m"),
    ]
    for prediction in answers:
        line = prediction.model_dump_json(exclude_defaults=True)
        (tmp_path / "predictions.jsonl").write_text(f"{line}\n", encoding="utf-8")
        with pytest.raises(UserError, match=r"the predictions of a model(.|\n)*datakit evaluate"):
            read("read.jsonl", path="predictions.jsonl")
    columns = {"id": ["a"], "images": [["a.jpg"]], "source_file": ["x"], "source_line": [1]}
    traced = pl.DataFrame({**columns, "@2.annotate.ocr": [{"key": b"1", "new": True}]})
    placed = pl.DataFrame({**columns, "split": ["train"], "repeat": [1]})
    for frame in (traced, placed):
        frame.write_parquet(tmp_path / "records.parquet")
        with pytest.raises(UserError, match=r"the records of a build(.|\n)*read\.build"):
            read("read.parquet", path="records.parquet")
    pl.DataFrame(columns).write_parquet(tmp_path / "records.parquet")
    assert read("read.parquet", path="records.parquet").frame.height == 1
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match=r"the records of a build(.|\n)*read\.build"):
        read("read.parquet", path="records.parquet")
