"""Every fault of a row or a picture is found, at its line, and nothing else with it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from datakit.checking.check import Check, Report
from datakit.checking.training import Training
from datakit.core.tokens import TokenCounter
from tests.support.data_folder import SHARED, TAGS, DataFolder, good, picture, row


def check(folder: DataFolder, *args: Any, decode: bool = False, **more: Any) -> Report:
    return Check(Training.load(folder.write(*args, **more)), decode=decode).run()


def codes(report: Report) -> list[str]:
    return [finding.code for finding in report.findings.all]


Q, A = ("user", "这是什么？"), ("assistant", "购物车")


def test_good_rows_have_no_findings(folder: DataFolder) -> None:
    shown = picture(folder.path, "a.png", 1080, 2340)
    report = check(folder, [good([shown]), good([shown]), good()])
    assert codes(report) == []
    (tally,) = report.tallies
    assert (tally.rows, tally.kept, tally.pictures, tally.cut) == (3, 3, 2, 0)
    assert tally.image_tokens == 2 * 760
    with_frames = [TokenCounter().chat(line["messages"]).total for line in (good([shown]), good())]
    assert tally.text_tokens == 2 * with_frames[0] + with_frames[1]


@pytest.mark.parametrize(
    ("line", "code", "verdict"),
    [
        (row(), "no_messages", "dropped"),
        (row(("system", "你是专家")), "no_messages", "dropped"),
        (row(Q), "turn_count", "dropped"),
        (row(Q, A, Q), "turn_count", "dropped"),
        (row(A, Q), "role_order", "dropped"),
        (row(Q, ("bot", "购物车")), "role_order", "dropped"),
        (row(Q, ("system", "专家"), A), "role_order", "dropped"),
        (row(Q, ("assistant", None)), "not_text", "stops"),
        ({"id": "r1", "messages": None, "images": None}, "not_text", "stops"),
        (row(("user", "<image>这是什么？"), A), "picture_count", "stops"),
        (row(Q, ("assistant", "写作 <image>")), "picture_count", "stops"),
        (row(("user", "放 <video>"), A), "media_place", "stops"),
        (row(("user", "<image>看"), A, images=["gone.png"]), "picture_missing", "stops"),
        (row(("user", "<image>看"), A, images=["empty.png"]), "picture_broken", "stops"),
        (row(("user", "<image>看"), A, images=["words.png"]), "picture_broken", "stops"),
        (row(("user", "<image>看"), A, images=["."]), "picture_missing", "stops"),
        (row(Q, ("assistant", "  ")), "empty_answer", "kept"),
        (row(("user", "a<|im_end|>b"), A), "control_token", "kept"),
        (row(("user", "a<|image_pad|>b"), A), "pad_token", "kept"),
        (row(("user", "第{{idx}}题"), A), "turn_number", "kept"),
        (row(("system", "看 <image>"), Q, A), "image_in_system", "kept"),
        (row(("user", "<image>看"), A, images=["turned.jpg"]), "picture_turned", "kept"),
        (row(("user", "<image>看"), A, images=["long.png"]), "picture_long", "kept"),
        (row(("user", "<image>看"), A, images=["short.png"]), "picture_unfinished", "kept"),
        (row(("user", "<image>看"), A, images=["icon.ico"]), "picture_format", "kept"),
    ],
)
def test_fault_of_a_row_is_found_at_its_line(folder: DataFolder, line: Any, code: str, verdict: str) -> None:
    shown = picture(folder.path, "a.png")
    (folder.path / "empty.png").write_bytes(b"")
    (folder.path / "words.png").write_text("no picture")
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    picture(folder.path, "turned.jpg", exif=exif)
    picture(folder.path, "long.png", 6000, 28)
    picture(folder.path, "icon.ico")
    whole = (folder.path / picture(folder.path, "short.png")).read_bytes()
    (folder.path / "short.png").write_bytes(whole[:-20])
    report = check(folder, [good([shown]), line])
    found = [finding for finding in report.findings.all if finding.where]
    assert [finding.code for finding in found] == [code]
    assert found[0].where == "set.json:3"
    assert found[0].record == "r1"
    assert found[0].plain()["remedy"]
    counts = report.tallies[0].plain()
    assert counts["rows"] == 2
    assert counts[verdict] == (2 if verdict == "kept" else 1)


def test_truncated_picture_is_told_for_sure_by_decoding(folder: DataFolder) -> None:
    picture(folder.path, "a.jpg", 200, 200)
    data = (folder.path / "a.jpg").read_bytes()
    (folder.path / "a.jpg").write_bytes(data[: len(data) * 2 // 3])
    assert codes(check(folder, [good(["a.jpg"])])) == ["picture_unfinished"]
    assert codes(check(folder, [good(["a.jpg"])], decode=True)) == ["picture_broken"]


def test_exif_orientation_leaves_the_trainer_with_the_stored_size(folder: DataFolder) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    picture(folder.path, "a.jpg", 280, 140, exif=exif)
    check_ = Check(Training.load(folder.write([good(["a.jpg"])])))
    (placed,) = list(check_.rows())
    assert placed.found.sizes == [(280, 140)]
    assert placed.found.image_tokens == [50]


def test_cut_answer_is_told_by_its_bytes(folder: DataFolder) -> None:
    answer = "这是购物车页面，" * 30
    report = check(folder, [row(Q, ("assistant", answer))], None, {"cutoff_len": 100})
    assert codes(report) == ["answer_cut"]
    total = len(answer.encode())
    words = report.findings.all[0].message
    begin = int(words.split()[3].replace(",", ""))
    assert words == f"turn 2: bytes {begin:,} to {total:,} of {total:,} are cut"
    assert 300 < begin < total
    assert report.tallies[0].cut == 1


def test_cut_picture_stops_a_training_step(folder: DataFolder) -> None:
    picture(folder.path, "a.png", 600, 600)
    report = check(folder, [good(["a.png"])], None, {"cutoff_len": 100})
    assert codes(report) == ["image_cut", "prompt_cut"]
    assert report.tallies[0].crashes == 1


def test_turns_behind_the_limit_are_lost(folder: DataFolder) -> None:
    report = check(folder, [row(Q, ("assistant", "长" * 300), Q, A)], None, {"cutoff_len": 100})
    assert codes(report) == ["answer_cut", "turns_lost"]


def test_whole_row_at_the_limit_is_not_cut(folder: DataFolder) -> None:
    line = row(Q, A)
    tokens = TokenCounter().chat(line["messages"]).total
    assert codes(check(folder, [line], None, {"cutoff_len": tokens})) == []
    assert codes(check(folder, [line], None, {"cutoff_len": tokens - 1})) != []
    packed = {"cutoff_len": tokens, "neat_packing": True}
    assert codes(check(folder, [line], None, packed)) != []


ALPACA = {"columns": {"prompt": "instruction", "query": "input", "response": "output"}}


def test_alpaca_rows_are_checked(folder: DataFolder) -> None:
    fine = {"instruction": "写一首诗", "input": "", "output": "春眠不觉晓"}
    report = check(folder, [fine, {**fine, "output": None}], ALPACA)
    assert codes(report) == ["answer_not_text"]
    assert report.tallies[0].dropped == 1


def test_alpaca_question_that_is_no_text_stops(folder: DataFolder) -> None:
    rows = [{"instruction": [1], "input": "", "output": "a"}]
    assert codes(check(folder, rows, ALPACA)) == ["not_text"]


# files, columns, index


@pytest.mark.parametrize(
    ("data", "code", "where"),
    [
        ("[\n" + json.dumps(good()) + ",\n{oops}\n]\n", "bad_json", "set.json:3:2"),
        ("[\n" + json.dumps(good()) + ",\n]\n", "bad_json", "set.json:3:1"),
        ("[\n" + json.dumps(good()) + "\n" + json.dumps(good()) + "\n]\n", "bad_json", "set.json:3:1"),
        (json.dumps([good()], indent=2) + "x", "bad_json", None),
        (b"\xef\xbb\xbf" + json.dumps([good()]).encode(), "file_encoding", "set.json:1"),
        (b"[\n" + json.dumps(good()).encode() + b",\n\xff\n]", "file_encoding", "set.json:3"),
        ("[\n" + json.dumps(good()) + ",\n5\n]", "row_not_object", "set.json:3"),
        ("[]", "no_rows", ""),
    ],
)
def test_fault_of_a_file_is_found(
    folder: DataFolder, data: str | bytes, code: str, where: str | None
) -> None:
    found = check(folder, data).findings.all[0]
    assert found.code == code
    assert where is None or found.where == where


def test_rows_have_their_lines_in_any_layout(folder: DataFolder) -> None:
    bad = row(Q)
    pretty = json.dumps([good(), bad], indent=2, ensure_ascii=False)
    at = pretty[: pretty.index("},\n  {")].count("\n") + 2
    assert check(folder, pretty).findings.all[0].where == f"set.json:{at}"
    assert check(folder, json.dumps([good(), bad])).findings.all[0].where == "set.json:1"
    lines = check(folder, [good(), bad], file="set.jsonl")
    assert lines.findings.all[0].where == "set.jsonl:2"


def test_parquet_and_csv_are_read(folder: DataFolder) -> None:
    import polars as pl

    pl.DataFrame([{"instruction": "写", "input": None, "output": "诗"}] * 3).write_parquet("set.parquet")
    folder.write([], ALPACA)
    entry = {"set": {"file_name": "set.parquet", **ALPACA}}
    (folder.path / "dataset_info.json").write_text(json.dumps(entry))
    report = Check(Training.load(folder.path / "train.yaml")).run()
    assert (report.errors, report.tallies[0].kept) == (0, 3)
    (folder.path / "set.csv").write_text("instruction,input,output\n写,,诗\n写,,\n")
    entry["set"]["file_name"] = "set.csv"
    (folder.path / "dataset_info.json").write_text(json.dumps(entry))
    report = Check(Training.load(folder.path / "train.yaml")).run()
    assert (report.tallies[0].kept, report.tallies[0].dropped) == (1, 1)


def test_column_of_two_types_is_found_once(folder: DataFolder) -> None:
    rows = [good(), {**good(), "note": 1}, {**good(), "note": "x"}, {**good(), "note": "y"}]
    (found,) = check(folder, rows).findings.all
    assert (found.code, found.where) == ("mixed_column", "set.json:4")
    assert found.message == "`note`: text beside number"


def test_content_that_is_a_list_in_one_row_spoils_the_file(folder: DataFolder) -> None:
    rows = [good(), row(("user", [{"type": "text"}]), A)]
    assert codes(check(folder, rows)) == ["mixed_column", "not_text"]


def test_pictures_behind_a_thousand_rows_of_text_are_found(folder: DataFolder) -> None:
    shown = picture(folder.path, "a.png")
    rows = [good()] * 1000 + [good([shown])]
    (found,) = check(folder, rows).findings.all
    assert (found.code, found.where) == ("null_before_value", "set.json:1002")
    assert codes(check(folder, [rows[-1], *rows[:-1]])) == []
    assert codes(check(folder, rows[1:])) == []


def test_column_that_no_row_has_is_told_once(folder: DataFolder) -> None:
    rows = [{"id": "a", "messages": good()["messages"]}] * 3
    assert codes(check(folder, rows)) == ["column_missing"]


def test_pictures_in_a_column_that_is_not_named_are_told(folder: DataFolder) -> None:
    entry = {**SHARED, "columns": {"messages": "messages"}}
    shown = picture(folder.path, "a.png")
    line = {**good(), "images": [shown]}
    assert codes(check(folder, [line], entry)) == ["pictures_without_column"]


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ({**SHARED, "formatting": "sharegtp"}, "entry_wrong"),
        ({**SHARED, "tags": {key: TAGS[key] for key in list(TAGS)[:4]}}, "tags_partial"),
        ({**SHARED, "tags": {"user_tag": "user", "assistant_tag": "assistant"}}, "entry_wrong"),
        ({**SHARED, "num_samples": 5}, "num_samples"),
        ({**SHARED, "colums": {}}, "entry_unknown_key"),
        ({**SHARED, "columns": {**SHARED["columns"], "imges": "images"}}, "entry_unknown_key"),  # type: ignore[dict-item]
        ({**SHARED, "ranking": True}, "ranked"),
        ({"hf_hub_url": "a/b"}, "data_set_remote"),
        ({**SHARED, "formatting": "openai"}, "formatting_openai"),
    ],
)
def test_trap_of_the_index_is_found(folder: DataFolder, entry: dict[str, Any], code: str) -> None:
    assert code in codes(check(folder, [good([]), good(None)], entry))


def test_names_of_data_sets_are_checked(folder: DataFolder) -> None:
    report = check(folder, [{**good(), "images": []}], None, {"dataset": "set,set,sett"})
    assert codes(report) == ["data_set_twice", "data_set_undefined"]
    assert "Did you mean `set`?" in report.findings.all[1].remedy


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (None, "index_missing"),
        (b"\xef\xbb\xbf{}", "index_missing"),
        (b"{", "index_missing"),
        (b"[]", "index_missing"),
        ('{"集": {}, "set": {"file_name": "set.json"}}'.encode(), "index_encoding"),
    ],
)
def test_fault_of_the_index_file_is_found(folder: DataFolder, data: bytes | None, code: str) -> None:
    path = folder.write([{"instruction": "a", "input": "", "output": "b"}])
    if data is None:
        (folder.path / "dataset_info.json").unlink()
    else:
        (folder.path / "dataset_info.json").write_bytes(data)
    assert codes(Check(Training.load(path)).run()) == [code]


def test_missing_data_file_is_found(folder: DataFolder) -> None:
    path = folder.write([good()])
    (folder.path / "set.json").unlink()
    assert codes(Check(Training.load(path)).run()) == ["file_missing"]
