"""emit.llamafactory: what is written is what the trainer loads, row for row and picture for picture."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from datakit.core.errors import RecipeErrors, UserError
from datakit.core.outcome import Reject
from datakit.core.record import COLUMNS
from datakit.core.settings import RunSettings
from datakit.core.step_context import StepContext
from datakit.core.transform import Artifact
from datakit.emit.llamafactory import Llamafactory
from datakit.emitting import check_chats
from datakit.testing import HeldRecords

SCHEMA = {name: COLUMNS[name] for name in ("id", "images", "messages", "split", "repeat", "set")}
TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}


def record(id_: str, *images: Path, **values: Any) -> dict[str, Any]:
    places = "<image>" * len(images)
    return {
        "id": id_,
        "images": [str(path) for path in images],
        "messages": [
            {"role": "user", "content": f"{places}这是什么“页面”？\n{id_}"},
            {"role": "assistant", "content": "购物车页面"},
        ],
        "split": "train",
        "repeat": 1,
        "set": "",
    } | values


def picture(path: Path, size: tuple[int, int] = (60, 90), **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shade = int(hashlib.sha256(path.name.encode()).hexdigest()[:2], 16)
    image = Image.new(options.pop("mode", "RGB"), size, options.pop("colour", (shade, 90, 60)))
    image.save(path, **options)
    return path


def emit(
    folder: Path, rows: list[dict[str, Any]], left_out: list[Reject] | None = None, **parameters: Any
) -> tuple[list[Artifact], dict[str, Any]]:
    """The artifacts, and every JSON file that was written: of all records, unless `left_out` takes some."""
    folder.mkdir(parents=True, exist_ok=True)
    context = StepContext(base=folder, project=folder, name="it", run=RunSettings(workers=2))
    artifacts = Llamafactory(**parameters).write(
        HeldRecords(pl.DataFrame(rows, schema=SCHEMA)), folder, context
    )
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
    assert left_out is not None or context.left_out == []
    if left_out is not None:
        left_out += context.left_out
    return artifacts, {path.name: json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")}


def test_a_row_holds_id_messages_and_pictures_and_every_part_its_file(tmp_path: Path) -> None:
    one = picture(tmp_path / "1.png")
    rows = [
        record("a", one),
        record("b", one, split="val"),
        record("general-1", set="general"),
        record("c", one, one),
    ]
    artifacts, files = emit(tmp_path / "build", rows)
    place = f"images/{hashlib.sha256(one.read_bytes()).hexdigest()[:32]}.png"
    assert files["it_train.json"] == [
        {"id": "a", "messages": rows[0]["messages"], "images": [place]},
        {"id": "c", "messages": rows[3]["messages"], "images": [place, place]},
    ]
    assert [row["id"] for row in files["it_val.json"]] == ["b"]
    assert [row["id"] for row in files["it_general.json"]] == ["general-1"]
    found = {item.path: item.records for item in artifacts if item.kind == "data"}
    assert found == {"it_train.json": 2, "it_val.json": 1, "it_general.json": 1}


def test_the_index_maps_every_column_and_tag_in_ascii(tmp_path: Path) -> None:
    one = picture(tmp_path / "1.png")
    _, files = emit(tmp_path / "build", [record("a", one), record("b"), record("c", one, split="val")])
    entry = {"file_name": "it_train.json", "formatting": "sharegpt", "tags": TAGS}
    info = files["dataset_info.json"]
    assert info["it_train"] == {**entry, "columns": {"messages": "messages", "images": "images"}}
    assert info["it_train_text"] == {
        **entry,
        "file_name": "it_train_text.json",
        "columns": {"messages": "messages"},
    }
    assert list(info) == ["it_train", "it_train_text", "it_val"]
    (tmp_path / "build" / "dataset_info.json").read_bytes().decode("ascii")


def test_sets_with_and_without_pictures_are_apart_and_those_with_pictures_come_first(tmp_path: Path) -> None:
    one = picture(tmp_path / "1.png")
    artifacts, files = emit(tmp_path / "build", [record("text"), record("a", one), record("more")])
    assert [row["id"] for row in files["it_train.json"]] == ["a"]
    assert [row["id"] for row in files["it_train_text.json"]] == ["text", "more"]
    assert [item.path for item in artifacts if item.kind == "data"] == ["it_train.json", "it_train_text.json"]
    assert all(row["images"] for row in files["it_train.json"])


def test_a_set_of_texts_alone_has_the_plain_name(tmp_path: Path) -> None:
    _, files = emit(tmp_path / "build", [record("a"), record("b")])
    assert len(files["it_train.json"]) == 2
    assert "it_train_text.json" not in files
    assert "images" not in files["dataset_info.json"]["it_train"]["columns"]


def test_repeated_records_are_written_so_often_first_copies_first(tmp_path: Path) -> None:
    rows = [record("a", repeat=3), record("b"), record("c", repeat=2), record("v", split="val", repeat=4)]
    _, files = emit(tmp_path / "build", rows)
    assert [row["id"] for row in files["it_train.json"]] == ["a", "b", "c", "a", "c", "a"]
    assert [row["id"] for row in files["it_val.json"]] == ["v"]
    summary = files["emitted.json"]["files"]["it_train"]
    assert (summary["records"], summary["rows"], summary["pictures"]) == (3, 6, False)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    repeats=st.lists(st.integers(1, 5), min_size=1, max_size=40),
    val=st.lists(st.booleans(), min_size=40, max_size=40),
    texts=st.lists(st.booleans(), min_size=40, max_size=40),
)
def test_no_record_is_lost_and_none_written_more_often_than_it_says(
    repeats: list[int], val: list[bool], texts: list[bool], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    one = picture(folder / "1.png")
    rows = [
        record(f"r{n}", *([] if texts[n] else [one]), repeat=count, split="val" if val[n] and n else "train")
        for n, count in enumerate(repeats)
    ]
    artifacts, files = emit(folder / "build", rows)
    data = [item.path for item in artifacts if item.kind == "data"]
    written = Counter(row["id"] for name in data for row in files[name])
    assert written == {row["id"]: row["repeat"] if row["split"] == "train" else 1 for row in rows}
    assert sum(item.records or 0 for item in artifacts) == written.total()
    for name in data:
        assert all(bool(row["images"]) == bool(files[name][0]["images"]) for row in files[name])


@pytest.mark.parametrize("how", ["link", "copy", "resize"])
def test_plain_pictures_keep_their_bytes_and_are_named_by_content(how: str, tmp_path: Path) -> None:
    one = picture(tmp_path / "中文 1.jpg")
    same = tmp_path / "same.jpg"
    same.write_bytes(one.read_bytes())
    two = picture(tmp_path / "2.webp", lossless=True)
    _, files = emit(tmp_path / "build", [record("a", one, two), record("b", same)], images=how)
    first, second = (row["images"] for row in files["it_train.json"])
    assert first[0] == second[0]
    assert {path.name for path in (tmp_path / "build" / "images").iterdir()} == {
        Path(place).name for place in first
    }
    for source, place in ((one, first[0]), (two, first[1])):
        target = tmp_path / "build" / place
        assert target.read_bytes() == source.read_bytes()
        assert target.stem == hashlib.sha256(source.read_bytes()).hexdigest()[:32]
        assert os.path.samefile(source, target) == (how == "link")
        assert not target.is_symlink()


def test_a_changed_picture_gets_another_name(tmp_path: Path) -> None:
    one = picture(tmp_path / "1.png")
    _, before = emit(tmp_path / "before", [record("a", one)])
    picture(one, colour=(1, 2, 3))
    _, after = emit(tmp_path / "after", [record("a", one)])
    assert before["it_train.json"][0]["images"] != after["it_train.json"][0]["images"]


def test_where_no_hard_link_is_possible_a_symbolic_one_stands_and_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = picture(tmp_path / "1.png")

    def refuse(*_: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    _, files = emit(tmp_path / "build", [record("a", one)])
    target = tmp_path / "build" / files["it_train.json"][0]["images"][0]
    assert target.is_symlink()
    assert target.read_bytes() == one.read_bytes()
    assert files["emitted.json"]["pictures_linked_softly"] == 1


@pytest.mark.parametrize("how", ["link", "copy", "resize"])
def test_pictures_that_the_trainer_would_see_otherwise_are_written_upright(how: str, tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    odd = [
        picture(tmp_path / "turned.jpg", exif=turned),
        picture(tmp_path / "print.jpg", mode="CMYK", colour=(0, 255, 255, 0)),
        picture(tmp_path / "clear.png", mode="RGBA", colour=(0, 0, 0, 0)),
        picture(tmp_path / "old.bmp"),
    ]
    _, files = emit(tmp_path / "build", [record("a", *odd)], images=how)
    pictures = [Image.open(tmp_path / "build" / place) for place in files["it_train.json"][0]["images"]]
    assert pictures[0].size == (90, 60)
    assert all(image.mode == "RGB" and image.getexif().get(0x0112, 1) == 1 for image in pictures)
    assert pictures[2].getpixel((5, 5)) == (255, 255, 255)
    assert {image.format for image in pictures} <= {"JPEG", "PNG"}
    assert files["emitted.json"]["pictures_saved_anew"] == 4
    assert all(Image.open(path).size == (60, 90) for path in odd)  # the originals stay


def test_resize_scales_down_what_is_over_the_limit_and_tells_the_training(tmp_path: Path) -> None:
    large, small = picture(tmp_path / "large.png", (1000, 2000)), picture(tmp_path / "small.png")
    _, files = emit(
        tmp_path / "build", [record("a", large, small)], images="resize", image_max_pixels=100_000
    )
    first, second = (Image.open(tmp_path / "build" / p).size for p in files["it_train.json"][0]["images"])
    assert first[0] * first[1] <= 100_000
    assert first[1] / first[0] == pytest.approx(2, rel=0.01)
    assert second == (60, 90)
    assert files["emitted.json"]["image_max_pixels"] == 100_000
    _, files = emit(tmp_path / "default", [record("a", large)], images="resize")
    size = Image.open(tmp_path / "default" / files["it_train.json"][0]["images"][0]).size
    assert size[0] * size[1] <= 589_824 == files["emitted.json"]["image_max_pixels"]


def test_a_limit_without_resizing_is_refused() -> None:
    with pytest.raises(RecipeErrors, match="belongs to `images: resize`"):
        Llamafactory(image_max_pixels=100_000)


def say(*turns: tuple[str, str | None]) -> list[dict[str, str | None]]:
    return [{"role": role, "content": content} for role, content in turns]


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({"messages": None}, "messages_missing", "no messages"),
        ({"messages": []}, "messages_missing", "no messages"),
        ({"messages": say(("user", "x"))}, "messages_order", "not user and assistant in turn"),
        ({"messages": say(("assistant", "x"), ("user", "y"))}, "messages_order", "in turn"),
        ({"messages": say(("user", "x"), ("user", "y"), ("assistant", "z"))}, "messages_order", "in turn"),
        ({"messages": say(("user", "x"), ("assistant", " \n"))}, "answer_empty", "an empty answer"),
        ({"messages": say(("user", None), ("assistant", "y"))}, "messages_format", "a turn without text"),
        ({"messages": say(("user", "<image>"), ("assistant", "y"))}, "image_places", "<image> places"),
        ({"split": "test"}, "split_unknown", "neither train nor val"),
        ({"split": None}, "split_unknown", "neither train nor val"),
        ({"repeat": 0}, "repeat_below_one", "`repeat` below 1"),
        ({"repeat": None}, "repeat_below_one", "`repeat` below 1"),
        ({"set": "general", "split": "val"}, "general_outside_train", "general"),
    ],
)
def test_a_record_that_the_trainer_would_drop_or_stop_at_is_left_out_with_its_reason(
    change: dict[str, Any], reason: str, words: str, tmp_path: Path
) -> None:
    left_out: list[Reject] = []
    _, files = emit(tmp_path, [record("good"), record("bad") | change, record("last")], left_out)
    assert [(reject.id, reject.reason) for reject in left_out] == [("bad", reason)]
    assert words in left_out[0].detail
    assert [row["id"] for row in files["it_train.json"]] == ["good", "last"]


def test_check_of_plug_ins_names_the_records() -> None:
    frame = pl.DataFrame([record("good"), record("bad", split="test")], schema=SCHEMA)
    with pytest.raises(UserError, match="record bad has a split that is neither") as error:
        check_chats(frame, "my trainer")
    assert error.value.remedy


def test_no_record_for_training_is_refused(tmp_path: Path) -> None:
    for number, rows in enumerate([[], [record("a", split="val")], [record("g", set="general")]]):
        with pytest.raises(UserError, match="no record is left for training"):
            emit(tmp_path / f"{number}", rows)


def test_records_with_a_picture_that_cannot_be_read_are_left_out_with_its_path(tmp_path: Path) -> None:
    one, broken = picture(tmp_path / "1.png"), picture(tmp_path / "broken.png")
    broken.write_bytes(broken.read_bytes()[:20])
    left_out: list[Reject] = []
    rows = [
        record("a", one, broken),
        record("b", tmp_path / "gone.png"),
        record("c", one),
        record("d", broken),
    ]
    _, files = emit(tmp_path / "build", rows, left_out)
    assert [(reject.id, reject.reason) for reject in left_out] == [
        ("a", "image_truncated"),
        ("b", "image_missing"),
        ("d", "image_truncated"),
    ]
    assert "gone.png" in left_out[1].detail
    assert [row["id"] for row in files["it_train.json"]] == ["c"]


def test_text_keeps_every_character(tmp_path: Path) -> None:
    content = '引号"、反斜杠\\、换行\n、制表\t、表情🛒、零宽\u200b、行分隔\u2028、控制\u0001'
    row = record("a") | {"messages": say(("user", content), ("assistant", content))}
    _, files = emit(tmp_path, [row])
    assert [turn["content"] for turn in files["it_train.json"][0]["messages"]] == [content, content]
    lines = (tmp_path / "it_train.json").read_bytes().split(b"\n")
    assert len(lines) == 4  # [, one row, ], end


def test_an_emitted_file_comes_with_the_digest_of_its_bytes(tmp_path: Path) -> None:
    rows = [record(f"r{number}", repeat=1 + number % 3) for number in range(100)]
    artifacts, _ = emit(tmp_path, rows)
    (train,) = [item for item in artifacts if item.kind == "data"]
    assert train.sha256 == hashlib.sha256((tmp_path / train.path).read_bytes()).hexdigest()


def test_records_without_split_repeat_and_set_are_training_records(tmp_path: Path) -> None:
    frame = pl.DataFrame([record("a"), record("b")], schema=SCHEMA).select("id", "images", "messages")
    Llamafactory().write(
        HeldRecords(frame), tmp_path, StepContext(base=tmp_path, project=tmp_path, name="it")
    )
    assert len(json.loads((tmp_path / "it_train.json").read_text("utf-8"))) == 2


def test_more_records_than_a_batch_keep_their_order(tmp_path: Path) -> None:
    rows = [record(f"r{n:05d}", repeat=2 if n % 7 == 0 else 1) for n in range(5000)]
    _, files = emit(tmp_path, rows)
    ids = [row["id"] for row in files["it_train.json"]]
    assert ids[:5000] == [row["id"] for row in rows]
    assert ids[5000:] == [row["id"] for row in rows if row["repeat"] == 2]
