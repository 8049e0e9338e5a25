"""read.jsonl: every line becomes a record or a reject that names it, whatever the line holds."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datakit.core.errors import UserError
from datakit.core.record import MESSAGES

SAYS = [{"role": "user", "content": "<image>这是什么？"}, {"role": "assistant", "content": "购物车"}]


def write(folder: Path, *rows: Any, name: str = "rows.jsonl", encoding: str = "utf-8") -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path = folder / name
    path.write_bytes("".join(line + "\n" for line in lines).encode(encoding))
    return path


def test_given_ids_labels_texts_and_pictures_are_kept(tmp_path: Path, read: Any) -> None:
    path = write(tmp_path, {"id": "a", "image": "pics/1.jpg", "label": "购物车页面", "text": "有几件？"})
    (row,) = read("read.jsonl", path="rows.jsonl").frame.to_dicts()
    assert row == {
        "id": "a",
        "source_file": str(path),
        "source_line": 1,
        "images": [str(tmp_path / "pics" / "1.jpg")],
        "label": "购物车页面",
        "text": "有几件？",
    }


def test_ids_that_are_numbers_become_texts(tmp_path: Path, read: Any) -> None:
    write(tmp_path, {"id": 7, "text": "a"}, {"id": 7.5, "text": "b"})
    assert read("read.jsonl", path="rows.jsonl").column("id") == ["7", "7.5"]


def test_made_ids_stay_when_rows_are_moved_added_or_the_folder_is_renamed(tmp_path: Path, read: Any) -> None:
    rows: list[Any] = [{"image": f"{n}.jpg", "label": "x", "text": f"t{n}"} for n in range(9)]
    write(tmp_path, *rows)
    before = read("read.jsonl", path="rows.jsonl").frame
    random.Random(1).shuffle(rows)
    (tmp_path / "another").mkdir()
    write(tmp_path / "another", {"text": "new"}, *rows)
    after = read("read.jsonl", path="another/rows.jsonl").frame
    assert (
        dict(before.select("text", "id").iter_rows()).items()
        <= dict(after.select("text", "id").iter_rows()).items()
    )
    assert after["id"].n_unique() == 10


def test_made_ids_change_with_what_a_record_says_and_not_with_further_columns(
    tmp_path: Path, read: Any
) -> None:
    rows = [
        {"image": "1.jpg", "label": "x", "note": 1},
        {"image": "1.jpg", "label": "y", "note": 1},
        {"image": "2.jpg", "label": "x", "note": 1},
    ]
    write(tmp_path, *rows)
    first = read("read.jsonl", path="rows.jsonl").column("id")
    write(tmp_path, *({**row, "note": 2} for row in rows))
    assert read("read.jsonl", path="rows.jsonl").column("id") == first
    assert len(set(first)) == 3


def test_made_ids_stay_when_other_rows_bring_columns(tmp_path: Path, read: Any) -> None:
    write(tmp_path, {"text": "one"}, {"note": 1})
    before = read("read.jsonl", path="rows.jsonl").column("id")
    write(
        tmp_path,
        {"text": "one"},
        {"note": 1},
        {"image": "1.jpg", "messages": SAYS},
        {"id": "x", "image": [], "label": "y"},
    )
    assert read("read.jsonl", path="rows.jsonl").column("id")[:2] == before


def test_equal_rows_without_ids_are_counted_up(tmp_path: Path, read: Any) -> None:
    write(tmp_path, *[{"image": "1.jpg", "label": "x"}] * 3)
    for batch_rows in (1, 4096):
        first, second, third = read("read.jsonl", path="rows.jsonl", batch_rows=batch_rows).column("id")
        assert (second, third) == (f"{first}-2", f"{first}-3")


def test_a_made_id_never_takes_the_place_of_a_given_one(tmp_path: Path, read: Any) -> None:
    write(tmp_path, {"text": "same"})
    (made,) = read("read.jsonl", path="rows.jsonl").column("id")
    write(tmp_path, {"text": "same"}, {"id": made, "text": "another"}, {"text": "same"})
    got = read("read.jsonl", path="rows.jsonl")
    assert got.frame["id"].n_unique() == got.frame.height == 3
    assert got.frame.filter(text="another")["id"].item() == made


def test_a_row_with_a_null_blank_or_nested_id_gets_one_made(tmp_path: Path, read: Any) -> None:
    write(tmp_path, *({"id": id_, "text": f"{n}"} for n, id_ in enumerate([None, "", "  ", [1], True])))
    got = read("read.jsonl", path="rows.jsonl")
    assert got.frame["id"].n_unique() == 5
    assert all(len(id_) == 16 for id_ in got.column("id"))


def test_of_two_rows_with_one_id_the_second_is_rejected_and_both_places_named(
    tmp_path: Path, read: Any
) -> None:
    path = write(tmp_path, {"id": "a", "text": "1"}, {"id": "b", "text": "2"}, {"id": "a", "text": "3"})
    for batch_rows in (1, 4096):
        got = read("read.jsonl", path="rows.jsonl", batch_rows=batch_rows)
        assert got.column("text") == ["1", "2"]
        (reject,) = got.rejects
        assert (reject.id, reject.reason, reject.source_line) == ("a", "duplicate_id", 3)
        assert f"{path}:3" in reject.detail
        assert f"{path}:1" in reject.detail


def test_an_id_may_stand_in_two_files_only_once(tmp_path: Path, read: Any) -> None:
    write(tmp_path, {"id": "a", "text": "1"}, name="1.jsonl")
    write(tmp_path, {"id": "a", "text": "2"}, {"id": 1, "text": "3"}, name="2.jsonl")
    got = read("read.jsonl", path="*.jsonl")
    assert got.column("text") == ["1", "3"]
    assert "1.jsonl:1" in got.rejects[0].detail


@pytest.mark.fault("a line is no JSON", "a reject with line and column", kind="bounds")
def test_a_malformed_line_is_a_reject_with_line_and_column(tmp_path: Path, read: Any) -> None:
    path = write(
        tmp_path, {"id": "a"}, '{"id": "b", "label": }', {"id": "c"}, "[1, 2]", '"text"', "{}garbage"
    )
    got = read("read.jsonl", path="rows.jsonl")
    assert got.column("id") == ["a", "c"]
    assert got.column("source_line") == [1, 3]
    assert [(reject.id, reject.reason, reject.source_line) for reject in got.rejects] == [
        ("rows.jsonl:2", "bad_json", 2),
        ("rows.jsonl:4", "not_an_object", 4),
        ("rows.jsonl:5", "not_an_object", 5),
        ("rows.jsonl:6", "bad_json", 6),
    ]
    assert "line 2, column 22" in got.rejects[0].detail
    assert all(reject.source_file == str(path) for reject in got.rejects)


def test_blank_lines_are_no_records_but_count_as_lines(tmp_path: Path, read: Any) -> None:
    write(tmp_path, {"id": "a"}, "", "   ", {"id": "b"})
    got = read("read.jsonl", path="rows.jsonl")
    assert got.column("source_line") == [1, 4]
    assert got.rejects == []


def test_a_last_line_without_an_end_and_windows_line_ends_are_read(tmp_path: Path, read: Any) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b'{"id": "a"}\r\n{"id": "b"}')
    assert read("read.jsonl", path="rows.jsonl").column("id") == ["a", "b"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("batch_rows", [1, 4096])
def test_chinese_is_read_in_utf_8_with_or_without_mark_and_in_gb18030(
    encoding: str, batch_rows: int, tmp_path: Path, read: Any
) -> None:
    rows = [{"id": f"编号{n}", "label": "购物车页面", "text": "请看图，“𠮷”字怎么读？"} for n in range(3)]
    write(tmp_path, *rows, encoding=encoding)
    got = read("read.jsonl", path="rows.jsonl", batch_rows=batch_rows)
    assert got.column("id") == ["编号0", "编号1", "编号2"]
    assert set(got.column("text")) == {"请看图，“𠮷”字怎么读？"}


def test_a_damaged_byte_costs_its_line_and_not_the_file(tmp_path: Path, read: Any) -> None:
    path = write(tmp_path, *({"id": f"r{n}", "label": "购物车页面"} for n in range(4)))
    data = path.read_bytes().split(b"\n")
    data[2] = data[2].replace("购".encode(), b"\xe8\xb4")
    path.write_bytes(b"\n".join(data))
    got = read("read.jsonl", path="rows.jsonl")
    assert got.column("id") == ["r0", "r1", "r3"]
    assert got.column("label") == ["购物车页面"] * 3
    (reject,) = got.rejects
    assert (reject.reason, reject.source_line) == ("bad_encoding", 3)


@pytest.mark.parametrize("content", [b"", b"\n\n  \n", b"\xef\xbb\xbf"])
def test_an_empty_source_is_an_error(content: bytes, tmp_path: Path, read: Any) -> None:
    (tmp_path / "rows.jsonl").write_bytes(content)
    with pytest.raises(UserError, match=r"rows\.jsonl holds no record"):
        read("read.jsonl", path="rows.jsonl")


def test_a_missing_file_names_the_nearest_one(tmp_path: Path, read: Any) -> None:
    write(tmp_path, {"id": "a"}, name="train.jsonl")
    with pytest.raises(UserError, match=r"Did you mean `train\.jsonl`"):
        read("read.jsonl", path="tain.jsonl")
    with pytest.raises(UserError, match=r"a folder, not a file\n.*\*\.jsonl"):
        read("read.jsonl", path=".")
    with pytest.raises(UserError, match="no file matches"):
        read("read.jsonl", path="none*.jsonl")


def test_a_pattern_takes_every_match_by_name_and_ids_stay_their_files(tmp_path: Path, read: Any) -> None:
    (tmp_path / "b").mkdir()
    write(tmp_path, {"id": "2"}, name="2.jsonl")
    write(tmp_path, {"id": "1"}, name="1.jsonl")
    write(tmp_path / "b", {"id": "3"}, name="3.jsonl")
    assert read("read.jsonl", path="*.jsonl").column("id") == ["1", "2"]
    assert read("read.jsonl", path="**/*.jsonl").column("id") == ["1", "2", "3"]


def test_numbers_and_truth_values_are_labels_and_blank_ones_null(tmp_path: Path, read: Any) -> None:
    write(
        tmp_path, *({"id": f"{n}", "label": label} for n, label in enumerate([3, 1.5, True, "", "  ", None]))
    )
    assert read("read.jsonl", path="rows.jsonl").column("label") == ["3", "1.5", "true", None, None, None]


def test_labels_and_texts_that_are_lists_or_objects_are_rejected(tmp_path: Path, read: Any) -> None:
    write(tmp_path, {"id": "a", "label": ["x"]}, {"id": "b", "text": {"a": 1}}, {"id": "c", "label": "x"})
    got = read("read.jsonl", path="rows.jsonl")
    assert got.reasons == {"a": "label_not_text", "b": "text_not_text"}
    assert got.column("id") == ["c"]


def test_null_absent_and_empty_pictures_make_a_record_of_text_only(tmp_path: Path, read: Any) -> None:
    write(
        tmp_path, {"id": "a", "image": None}, {"id": "b"}, {"id": "c", "image": []}, {"id": "d", "image": ""}
    )
    assert read("read.jsonl", path="rows.jsonl").column("images") == [[]] * 4


def test_several_pictures_come_in_their_order_from_one_column_or_from_two(tmp_path: Path, read: Any) -> None:
    write(tmp_path, {"id": "a", "image": ["2.jpg", "1.jpg"]}, {"id": "b", "image": "3.jpg"})
    found = read("read.jsonl", path="rows.jsonl").column("images")
    assert found == [[str(tmp_path / "2.jpg"), str(tmp_path / "1.jpg")], [str(tmp_path / "3.jpg")]]
    write(tmp_path, {"id": "a", "front": "f.jpg", "side": ["s.jpg", "t.jpg"]}, {"id": "b", "side": "s.jpg"})
    found = read("read.jsonl", path="rows.jsonl", image=["side", "front"]).column("images")
    assert [[Path(path).name for path in paths] for paths in found] == [
        ["s.jpg", "t.jpg", "f.jpg"],
        ["s.jpg"],
    ]


@pytest.mark.parametrize("picture", [5, {"path": 5}, ["1.jpg", None], [[5]], True, "a\0b.jpg"])
def test_pictures_that_are_no_paths_are_rejected(picture: Any, tmp_path: Path, read: Any) -> None:
    write(tmp_path, {"id": "a", "image": picture}, {"id": "b", "image": "1.jpg"})
    got = read("read.jsonl", path="rows.jsonl")
    assert got.reasons == {"a": "image_not_a_path"}


@pytest.mark.fault("a record names a picture outside its root", "rejected", kind="bounds")
@pytest.mark.parametrize(
    "picture", ["../1.jpg", "a/../../1.jpg", "/etc/passwd", "../base/../../x.jpg", "..", "../base2/1.jpg"]
)
def test_a_picture_outside_its_root_is_rejected(picture: str, tmp_path: Path, read: Any) -> None:
    (tmp_path / "base").mkdir()
    write(tmp_path / "base", {"id": "a", "image": picture}, {"id": "b", "image": "sub/../1.jpg"})
    got = read("read.jsonl", path="base/rows.jsonl")
    assert got.reasons == {"a": "image_outside"}
    assert got.column("images") == [[str(tmp_path / "base" / "1.jpg")]]


@pytest.mark.fault("a link below the root leads out of it", "rejected", kind="bounds")
def test_links_may_lead_about_but_not_out_of_the_root(tmp_path: Path, read: Any) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "real", outside):
        folder.mkdir(parents=True)
        (folder / "1.jpg").write_bytes(b"x")
    (root / "within.jpg").symlink_to(root / "real" / "1.jpg")
    (root / "without.jpg").symlink_to(outside / "1.jpg")
    (root / "folder").symlink_to(outside)
    rows = [("a", "within.jpg"), ("b", "without.jpg"), ("c", "folder/1.jpg"), ("d", "real/1.jpg")]
    write(root, *({"id": id_, "image": path} for id_, path in rows))
    got = read("read.jsonl", path="root/rows.jsonl")
    assert got.reasons == {"b": "image_outside", "c": "image_outside"}
    write(tmp_path, {"id": "b", "image": "root/without.jpg"}, {"id": "c", "image": "root/folder/1.jpg"})
    assert read("read.jsonl", path="rows.jsonl").rejects == []


def test_image_root_is_where_paths_start(tmp_path: Path, read: Any) -> None:
    (tmp_path / "data").mkdir()
    write(
        tmp_path / "data", {"id": "a", "image": "pics/1.jpg"}, {"id": "b", "image": str(tmp_path / "2.jpg")}
    )
    got = read("read.jsonl", path="data/rows.jsonl", image_root=".")
    assert got.column("images") == [[str(tmp_path / "pics" / "1.jpg")], [str(tmp_path / "2.jpg")]]


@pytest.mark.fault("a record names a picture by an address", "rejected; nothing is fetched", kind="bounds")
def test_addresses_of_pictures_are_rejected_with_what_to_do(tmp_path: Path, read: Any) -> None:
    write(tmp_path, {"id": "a", "image": "https://example.com/1.jpg"}, {"id": "b"})
    (reject,) = read("read.jsonl", path="rows.jsonl").rejects
    assert reject.reason == "image_not_a_path"
    assert "download" in reject.detail


def test_text_with_image_places_must_have_as_many_as_pictures(tmp_path: Path, read: Any) -> None:
    write(
        tmp_path,
        {"id": "good", "image": ["1.jpg", "2.jpg"], "text": "<image>和<image>哪个好？"},
        {"id": "none", "image": ["1.jpg", "2.jpg"], "text": "哪个好？"},
        {"id": "few", "image": ["1.jpg", "2.jpg"], "text": "<image>哪个好？"},
        {"id": "many", "image": "1.jpg", "text": "<image><image>"},
    )
    got = read("read.jsonl", path="rows.jsonl")
    assert got.column("id") == ["good", "none"]
    assert got.reasons == {"few": "image_places", "many": "image_places"}
    assert "1 <image> places for 2 pictures" in got.rejects[0].detail


def test_dialogues_come_as_turns_in_both_spellings(tmp_path: Path, read: Any) -> None:
    spoken = [{"from": "human", "value": "<image>这是什么？"}, {"from": "gpt", "value": "购物车"}]
    write(tmp_path, {"id": "a", "image": "1.jpg", "messages": SAYS})
    one = read("read.jsonl", path="rows.jsonl").frame
    write(tmp_path, {"id": "a", "image": "1.jpg", "conversations": spoken})
    other = read("read.jsonl", path="rows.jsonl").frame
    assert one["messages"].to_list() == other["messages"].to_list() == [SAYS]
    assert one.schema["messages"] == MESSAGES


def test_parts_of_a_turn_become_text_and_places(tmp_path: Path, read: Any) -> None:
    content = [
        {"type": "image_url", "image_url": {"url": "x"}},
        {"type": "text", "text": "这是什么？"},
    ]
    turns = [{"role": "user", "content": content}, SAYS[1]]
    write(tmp_path, {"id": "a", "images": ["1.jpg"], "messages": turns})
    assert read("read.jsonl", path="rows.jsonl").column("messages") == [SAYS]


def test_several_turns_and_a_system_turn_are_kept(tmp_path: Path, read: Any) -> None:
    turns = [
        {"role": "system", "content": "你是客服。"},
        *SAYS,
        {"role": "user", "content": "然后？"},
        SAYS[1],
    ]
    write(tmp_path, {"id": "a", "image": "1.jpg", "messages": turns})
    assert read("read.jsonl", path="rows.jsonl").column("messages") == [turns]


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        (SAYS[:1], "messages_order"),
        (SAYS[::-1], "messages_order"),
        ([SAYS[0], *SAYS], "messages_order"),
        ([*SAYS, {"role": "system", "content": "late"}], "messages_order"),
        ([], "messages_format"),
        ("no json", "messages_format"),
        ({"role": "user"}, "messages_format"),
        (["hello"], "messages_format"),
        ([{"role": "boss", "content": "x"}, SAYS[1]], "messages_format"),
        ([{"role": "user", "content": 5}, SAYS[1]], "messages_format"),
        ([{"role": "user", "content": [{"type": "video"}]}, SAYS[1]], "messages_format"),
        ([{"role": "user", "content": "no place"}, SAYS[1]], "image_places"),
    ],
)
def test_dialogues_that_the_trainer_would_drop_are_rejected(
    turns: Any, reason: str, tmp_path: Path, read: Any
) -> None:
    write(
        tmp_path,
        {"id": "a", "image": "1.jpg", "messages": turns},
        {"id": "b", "image": "1.jpg", "messages": SAYS},
    )
    got = read("read.jsonl", path="rows.jsonl")
    assert got.reasons == {"a": reason}
    assert got.rejects[0].detail
    assert got.column("id") == ["b"]


def test_a_row_without_a_dialogue_among_dialogues_has_null_messages(tmp_path: Path, read: Any) -> None:
    write(tmp_path, {"id": "a", "image": "1.jpg", "messages": SAYS}, {"id": "b", "image": "1.jpg"})
    assert read("read.jsonl", path="rows.jsonl").column("messages") == [SAYS, None]


def test_columns_may_have_other_names(tmp_path: Path, read: Any) -> None:
    write(tmp_path, {"sku": "a", "pic": "1.jpg", "类别": "x", "q": "?"})
    got = read("read.jsonl", path="rows.jsonl", id="sku", image="pic", label="类别", text="q")
    row = got.frame.to_dicts()[0]
    assert (row["id"], row["label"], row["text"], len(row["images"])) == ("a", "x", "?", 1)
    assert set(got.frame.columns) == {"id", "source_file", "source_line", "images", "label", "text"}


def test_a_named_column_that_is_not_there_is_an_error_with_the_nearest(tmp_path: Path, read: Any) -> None:
    write(tmp_path, {"image": "1.jpg", "category": "x"})
    with pytest.raises(UserError, match=r"no column `categry` \(parameter `label`\)\n.*`category`"):
        read("read.jsonl", path="rows.jsonl", label="categry")
    with pytest.raises(UserError, match="parameter `keep`"):
        read("read.jsonl", path="rows.jsonl", keep=["nothing"])


def test_a_column_that_only_some_rows_have_is_there_for_all(tmp_path: Path, read: Any) -> None:
    write(tmp_path, *({"id": f"{n}"} for n in range(50)), {"id": "x", "late": 1.5})
    got = read("read.jsonl", path="rows.jsonl", batch_rows=7)
    assert got.frame.schema["late"] == pl.Float64
    assert got.column("late") == [None] * 50 + [1.5]


def test_further_columns_keep_their_types(tmp_path: Path, read: Any) -> None:
    write(
        tmp_path,
        {"id": "a", "int": 1, "float": 1, "bool": True, "str": "x", "list": [1, 2], "none": None},
        {"id": "b", "int": -(2**60), "float": 0.5, "bool": None, "str": None, "list": [], "none": None},
    )
    frame = read("read.jsonl", path="rows.jsonl").frame
    types = {"int": pl.Int64, "float": pl.Float64, "bool": pl.Boolean, "str": pl.String, "none": pl.String}
    assert {name: frame.schema[name] for name in types} == types
    assert frame.schema["list"] == pl.List(pl.Int64)
    assert frame["int"].to_list() == [1, -(2**60)]
    assert frame["float"].to_list() == [1.0, 0.5]


def test_mixed_and_nested_values_are_kept_as_their_json(tmp_path: Path, read: Any) -> None:
    values = [1, "one", True, {"a": [1]}, [1, "x"], None, 2**70]
    write(tmp_path, *({"id": f"{n}", "odd": value} for n, value in enumerate(values[:-1])))
    found = read("read.jsonl", path="rows.jsonl").column("odd")
    assert found == ["1", "one", "true", '{"a":[1]}', '[1,"x"]', None]


def test_a_column_with_a_name_of_datakits_own_is_renamed_not_lost(tmp_path: Path, read: Any) -> None:
    write(tmp_path, {"id": "a", "split": "test", "repeat": 5, "source_split": "y", "@x": 1, "set": "z"})
    row = read("read.jsonl", path="rows.jsonl").frame.to_dicts()[0]
    assert row["source_repeat"] == 5
    assert row["source_split"] == "y"
    assert row["source_source_split"] == "test"
    assert row["source_x"] == 1
    assert row["source_set"] == "z"


def test_only_the_asked_columns_are_kept(tmp_path: Path, read: Any) -> None:
    write(tmp_path, {"id": "a", "x": 1, "y": 2})
    assert "x" not in read("read.jsonl", path="rows.jsonl", keep=["y"]).frame.columns
    assert "y" not in read("read.jsonl", path="rows.jsonl", keep=[]).frame.columns


def test_a_file_that_cannot_be_opened_is_an_error_in_words(tmp_path: Path, read: Any) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(UserError):
        read("read.jsonl", path="pipe.jsonl")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["id", "image", "label", "text", "messages", "split", "note", "@at", ""])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.dictionaries(NAMES, JSON, max_size=5) | JSON, min_size=1, max_size=8),
    batch_rows=st.integers(1, 9),
)
def test_every_line_is_a_record_or_a_reject(
    rows: list[Any], batch_rows: int, tmp_path: Path, read: Any
) -> None:
    path = write(tmp_path, *(json.dumps(row) for row in rows))
    got = read("read.jsonl", path=path.name, batch_rows=batch_rows)
    lines = [*got.column("source_line"), *(reject.source_line for reject in got.rejects)]
    assert sorted(lines) == list(range(1, len(rows) + 1))
    assert got.frame["id"].n_unique() == got.frame.height
    whole = read("read.jsonl", path=path.name)
    assert whole.frame.equals(got.frame)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image", "image": "1.jpg"},
        {"type": "image", "image": "file://{root}/1.jpg"},
        {"type": "image_url", "image_url": {"url": "1.jpg"}},
        {"type": "image_url", "image_url": "1.jpg"},
    ],
)
def test_pictures_that_a_dialogue_names_itself_are_its_pictures(
    tmp_path: Path, read: Any, part: dict[str, Any]
) -> None:
    part = json.loads(json.dumps(part).replace("{root}", str(tmp_path)))
    turns = [
        {"role": "User", "content": [part, {"type": "input_text", "text": "是什么"}]},
        {"role": "Assistant", "content": [{"type": "output_text", "text": "红"}]},
    ]
    write(tmp_path, {"messages": turns}, {"messages": json.dumps(turns)}, {"messages": SAYS})
    got = read("read.jsonl", path="rows.jsonl")
    assert got.column("images") == [[str(tmp_path / "1.jpg")]] * 2
    says = [{"role": "user", "content": "<image>是什么"}, {"role": "assistant", "content": "红"}]
    assert got.column("messages") == [says, says]
    assert [reject.reason for reject in got.rejects] == ["image_places"]


def test_dialogues_about_other_pictures_are_other_records(tmp_path: Path, read: Any) -> None:
    def row(name: str, **more: Any) -> dict[str, Any]:
        content = [{"type": "image", "image": name}]
        turns = [{"role": "user", "content": content}, {"role": "assistant", "content": "红"}]
        return {"messages": turns, **more}

    write(tmp_path, row("1.jpg"), row("2.jpg"), row("1.jpg"), row("2.jpg", images=["1.jpg"]))
    first, second, third, fourth = read("read.jsonl", path="rows.jsonl").column("id")
    assert third == f"{first}-2"
    assert len({first, second, fourth}) == 3
    write(tmp_path, row("2.jpg"))
    assert read("read.jsonl", path="rows.jsonl").column("id") == [second]


@pytest.mark.parametrize("path", ["../1.jpg", "https://example.com/1.jpg", "data:image/png;base64,AA==", 5])
def test_picture_that_a_dialogue_may_not_name_rejects_its_record(
    tmp_path: Path, read: Any, path: Any
) -> None:
    turns = [{"role": "user", "content": [{"type": "image", "image": path}]}, SAYS[1]]
    write(tmp_path, {"id": "a", "messages": turns}, {"id": "b", "image": "1.jpg", "messages": SAYS})
    got = read("read.jsonl", path="rows.jsonl")
    assert got.column("id") == ["b"]
    assert got.reasons["a"] in ("image_outside", "image_not_a_path")


@pytest.mark.parametrize(
    ("line", "words"), [("null", "null"), ("[1]", "a list"), ("3", "a number"), ("true", "true or false")]
)
def test_a_line_that_is_no_object_is_told_in_the_words_of_json(
    tmp_path: Path, read: Any, line: str, words: str
) -> None:
    (tmp_path / "x.jsonl").write_text(line + "\n", "utf-8")
    [reject] = read("read.jsonl", path="x.jsonl").rejects
    assert f"holds {words}, not an object" in reject.detail
