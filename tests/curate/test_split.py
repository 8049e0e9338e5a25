"""curate.split: no leak, exact shares, every class scored, nothing depends on row order."""

import dataclasses
import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datakit.core.errors import UserError
from datakit.core.step_context import StepContext
from datakit.core.wording import speaking
from datakit.core.wording import told as in_words
from datakit.curate.split import Split
from datakit.recipe.recipe import load_recipe
from datakit.run.build import build

TOOLS = StepContext(base=Path(), project=Path(), seed=7)


def split(
    frame: pl.DataFrame, context: StepContext = TOOLS, **parameters: Any
) -> tuple[pl.DataFrame, dict[str, Any]]:
    table = Split(**parameters).apply(frame.lazy(), context)
    return table.frame.collect(), table.notes


def records(labels: list[str | None], **columns: list[Any]) -> pl.DataFrame:
    return pl.DataFrame(
        {"id": [f"r{i:05d}" for i in range(len(labels))], "label": labels, **columns},
        schema_overrides={"label": pl.String},
    )


def in_val(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(pl.col("split") == "val")


def test_shares_are_exact_without_groups() -> None:
    frame, notes = split(records(["a"] * 500 + ["b"] * 270 + ["c"] * 30), val=0.1)
    counts = dict(in_val(frame)["label"].value_counts().iter_rows())
    assert counts == {"a": 50, "b": 27, "c": 3}
    assert notes == {"train": 720, "val": 80}


def test_total_is_met_although_every_class_rounds_down() -> None:
    frame, _ = split(records([f"class {i % 10}" for i in range(150)]), val=0.1)
    counts = in_val(frame)["label"].value_counts()
    assert in_val(frame).height == 15
    assert set(counts["count"]) == {1, 2}


def test_rare_class_has_one_record_in_validation_and_the_total_stays() -> None:
    frame, notes = split(records(["common"] * 198 + ["rare"] * 2), val=0.1)
    assert dict(in_val(frame)["label"].value_counts().iter_rows()) == {"common": 19, "rare": 1}
    assert "warnings" not in notes


def test_class_of_one_record_stays_in_training_with_a_warning() -> None:
    frame, notes = split(records(["common"] * 20 + ["single"]), val=0.5)
    assert frame.filter(label="single")["split"].to_list() == ["train"]
    assert notes["warnings"] == ["class single is not in validation: its only record stayed in training"]


def test_many_classes_that_validation_lacks_are_one_warning() -> None:
    _, notes = split(records(["common"] * 20 + [f"single {at}" for at in range(8)]), val=0.5)
    assert notes["warnings"] == [
        "8 of 9 classes are not in validation, their records stayed in training: single 0, single 1, "
        "single 2, single 3, single 4 and 3 more"
    ]


def test_class_of_one_group_stays_in_training_with_a_warning() -> None:
    frame = records(["common"] * 20 + ["whole"] * 4, patient=[f"p{i}" for i in range(20)] + ["q"] * 4)
    frame, notes = split(frame, val=0.25, group="patient")
    assert set(frame.filter(label="whole")["split"]) == {"train"}
    assert notes["warnings"] == [
        "class whole is not in validation: its 4 records (one group) stayed in training"
    ]


def test_unlabelled_records_stay_in_training_unless_their_group_is_in_validation() -> None:
    frame = records(
        [None] * 50 + ["a"] * 10, patient=[*(f"u{i}" for i in range(40)), *[f"p{i}" for i in range(10)] * 2]
    )
    frame, notes = split(frame, val=0.5, group="patient")
    alone = frame.filter(pl.col("patient").str.starts_with("u"))
    assert set(alone["split"]) == {"train"}
    paired = frame.filter(pl.col("patient").str.starts_with("p"))
    assert paired.group_by("patient").agg(pl.col("split").n_unique())["split"].max() == 1
    assert in_val(paired)["label"].null_count() == 5
    assert notes["without_class"] == 50


def test_class_whose_groups_are_all_large_is_in_both_parts() -> None:
    frame = records(
        ["a"] * 100 + ["b"] * 12, patient=[f"p{i}" for i in range(100)] + [f"q{i // 6}" for i in range(12)]
    )
    frame, _ = split(frame, val=0.1, group="patient")
    assert frame.filter(label="b")["split"].value_counts()["count"].to_list() == [6, 6]


@pytest.mark.parametrize(
    ("labels", "patients", "told"),
    [
        (
            [f"class {at // 6}" for at in range(150)],
            [f"p{at}" for at in range(150)],
            "17% of the records are in validation, above `val: 0.1`: each class has at least 1 there; more "
            "records of small classes or `min_val: 0` bring it nearer",
        ),
        (
            ["a"] * 100,
            [f"p{at // 50}" for at in range(100)],
            "50% of the records are in validation, above `val: 0.1`: groups stay whole; a finer `group` "
            "brings it nearer",
        ),
        (
            [f"class {at // 8}" for at in range(160)],
            [f"p{at // 2}" for at in range(160)],
            "25% of the records are in validation, above `val: 0.1`: each class has at least 1 there, and "
            "groups stay whole; a finer `group`, more records of small classes or `min_val: 0` bring it "
            "nearer",
        ),
    ],
)
def test_a_validation_part_far_above_its_share_is_told_with_why(
    labels: list[str | None], patients: list[str], told: str
) -> None:
    _, notes = split(records(labels, patient=patients), val=0.1, group="patient")
    assert notes["warnings"] == [told]
    with speaking("zh"):
        chinese = in_words(told, parts=False)
    assert not re.search("[A-Za-z]", re.sub("`.*?`", "", chinese))


def test_groups_are_not_preferred_for_validation() -> None:
    patient = [f"p{i // 3}" for i in range(300)] + [f"s{i}" for i in range(700)]
    frame, _ = split(records(["a"] * 1000, patient=patient), val=0.1, group="patient")
    chosen = in_val(frame)
    assert chosen.height == 100
    assert 27 <= chosen.filter(pl.col("patient").str.starts_with("p")).height <= 30


def test_groups_that_are_few_in_each_class_are_in_validation_by_their_share() -> None:
    """Twenty classes of one pair and eight single records each: 40 of 200 records are in pairs."""
    labels: list[str | None] = [f"class {at // 10}" for at in range(200)]
    patient = [f"pair {at // 10}" if at % 10 < 2 else f"alone {at}" for at in range(200)]
    for seed in range(5):
        context = dataclasses.replace(TOOLS, seed=seed)
        frame, _ = split(records(labels, patient=patient), context, val=0.2, group="patient")
        assert in_val(frame).height == 40
        assert 6 <= in_val(frame).filter(pl.col("patient").str.starts_with("pair")).height <= 8


def test_records_sharing_a_picture_never_straddle() -> None:
    images = [[f"{i}.jpg", f"{i + 1}.jpg"] for i in range(40)]  # a chain: all forty belong together
    images += [[f"x{i}.jpg"] for i in range(40)]
    frame, _ = split(records(["a"] * 80, images=images), val=0.25, group="images")
    chain = frame.head(40)["split"]
    assert chain.n_unique() == 1
    assert in_val(frame).height == 20


def test_several_group_columns_join_their_groups() -> None:
    frame = records(
        ["a"] * 60, patient=[f"p{i % 30}" for i in range(60)], scan=[f"s{i // 2}" for i in range(60)]
    )
    frame, _ = split(frame, val=0.3, group=["patient", "scan"])
    for column in ("patient", "scan"):
        assert frame.group_by(column).agg(pl.col("split").n_unique())["split"].max() == 1


def test_null_is_no_group() -> None:
    frame, _ = split(
        records(["a"] * 100, patient=pl.Series([None] * 100, dtype=pl.String)), val=0.2, group="patient"
    )
    assert in_val(frame).height == 20


def test_order_of_the_records_changes_nothing_and_is_kept() -> None:
    frame = records([f"c{i % 7}" for i in range(300)], patient=[f"p{i % 90}" for i in range(300)])
    first, _ = split(frame, val=0.2, group="patient")
    mixed, _ = split(frame.sample(fraction=1, shuffle=True, seed=3), val=0.2, group="patient")
    assert first["id"].to_list() == frame["id"].to_list()
    assert mixed["id"].to_list() != first["id"].to_list()
    assert mixed.sort("id").equals(first)


def test_seed_changes_the_choice() -> None:
    frame = records(["a"] * 100)
    other = StepContext(base=Path(), project=Path(), seed=8)
    assert not split(frame)[0].equals(split(frame, context=other)[0])


def test_a_few_more_records_move_only_a_few_others() -> None:
    frame = records(["a"] * 1010)
    before, _ = split(frame.head(1000))
    after, _ = split(frame)
    moved = before.join(after, on="id", suffix="_after").filter(pl.col("split") != pl.col("split_after"))
    assert moved.height <= 5


def test_earlier_split_column_is_replaced() -> None:
    frame = records(["a"] * 10).with_columns(split=pl.lit("val"))
    assert in_val(split(frame, val=0.2)[0]).height == 2


def test_zero_records_give_the_columns() -> None:
    frame, notes = split(records([]), group="label")
    assert frame.schema["split"] == pl.String
    assert notes == {"train": 0, "val": 0}


def test_missing_group_column_is_named() -> None:
    with pytest.raises(pl.exceptions.ColumnNotFoundError, match="patient"):
        split(records(["a"]), group="patient")


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c", "d", None]),
            st.one_of(st.none(), st.integers(0, 12)),
            st.one_of(st.none(), st.integers(0, 12)),
        ),
        min_size=1,
        max_size=60,
    ),
    val=st.floats(0.05, 0.9),
    seed=st.integers(0, 5),
)
def test_no_group_ever_straddles_and_no_class_is_lost(
    rows: list[tuple[str | None, int | None, int | None]], val: float, seed: int
) -> None:
    labels, patients, scans = (list(column) for column in zip(*rows, strict=True))
    frame = records(labels, patient=patients, scan=scans).cast({"patient": pl.Int64, "scan": pl.Int64})
    frame, notes = split(
        frame, StepContext(base=Path(), project=Path(), seed=seed), val=val, group=["patient", "scan"]
    )
    assert frame["split"].is_in(["train", "val"]).all()
    assert notes["train"] + notes["val"] == len(rows)
    for column in ("patient", "scan"):
        groups = frame.drop_nulls(column).group_by(column).agg(pl.col("split").n_unique())
        assert groups.height == 0 or groups["split"].max() == 1
    for _, part in frame.drop_nulls("label").group_by("label"):
        assert "train" in part["split"].to_list(), "a class vanished from training"


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 80), min_size=1, max_size=8),
    val=st.floats(0.02, 0.9),
    seed=st.integers(0, 3),
)
def test_without_groups_the_total_is_exact_wherever_the_classes_allow(
    sizes: list[int], val: float, seed: int
) -> None:
    labels = [f"c{number}" for number, size in enumerate(sizes) for _ in range(size)]
    frame, _ = split(records(list(labels)), StepContext(base=Path(), project=Path(), seed=seed), val=val)
    low = sum(size >= 2 for size in sizes)
    high = sum(size - 1 for size in sizes)
    assert in_val(frame).height == min(max(round(val * len(labels)), low), high)
    for number, size in enumerate(sizes):
        count = in_val(frame).filter(label=f"c{number}").height
        assert (count >= 1) == (size >= 2)
        assert abs(count - val * size) <= 1 + len(sizes)  # it makes up for classes that give too little


def screens(count: int) -> list[str]:
    """What OCR read on screens of one template."""
    rng = random.Random(1)
    rows = ["".join(chr(rng.randrange(0x4E00, 0x5200)) for _ in range(50)) for _ in range(count)]
    return [f"订单编号\n商品名称\n{row}\n立即付款" for row in rows]


def photographed_again(text: str) -> str:
    """The same with the first lines cut off and a character read wrongly."""
    return text[2:].replace("商品", "商晶")


def straddling(frame: pl.DataFrame, pairs: int) -> int:
    sides = dict(frame.select("id", "split").iter_rows())
    return sum(sides[f"r{at:05d}"] != sides[f"r{at + pairs:05d}"] for at in range(pairs))


def test_screens_that_read_alike_never_straddle() -> None:
    texts = screens(100)
    frame = records(
        ["a"] * 200,
        images=[[f"/{number}.jpg"] for number in range(200)],
        ocr_text=texts + [photographed_again(text) for text in texts],
        duplicate_of=[f"r{number:05d}" for number in range(200)],
    )
    found, notes = split(frame, val=0.2, group="duplicate_of")
    assert straddling(found, 100) == 0
    assert in_val(found).height == 40
    assert notes["near_duplicate_texts"] == 200
    found, notes = split(frame, val=0.2, group="duplicate_of", same_text=None)
    assert straddling(found, 100) > 10
    assert "near_duplicate_texts" not in notes
    renamed = frame.rename({"ocr_text": "words_text"})
    assert straddling(split(renamed, val=0.2, group="duplicate_of", ocr_text="words_text")[0], 100) == 0


def test_a_question_that_many_pictures_share_groups_nothing_but_texts_alone_are_compared() -> None:
    question = "这张图里的商品一共有多少件？请只回答一个数字，不要写任何解释。"
    frame = records(
        ["a"] * 60,
        images=[["/1.jpg"]] * 30 + [[]] * 30,
        text=[question] * 30 + [question] * 2 + screens(28),
        patient=[f"p{number}" for number in range(60)],
    )
    found, notes = split(frame, val=0.5, group="patient")
    assert notes["near_duplicate_texts"] == 2
    sides = found["split"].to_list()
    assert sides[30] == sides[31]
    assert set(sides[:30]) == {"train", "val"}


def test_records_that_share_a_picture_never_straddle() -> None:
    shared = [f"r{number // 3 * 3:05d}" if number < 60 else None for number in range(100)]
    frame = records(
        ["a"] * 100, duplicate_of=[f"r{number:05d}" for number in range(100)], shares_picture_with=shared
    )
    found, _ = split(frame, val=0.2, group="duplicate_of")
    torn = (
        found.drop_nulls("shares_picture_with")
        .group_by("shares_picture_with")
        .agg(pl.col("split").n_unique())
    )
    assert torn["split"].max() == 1
    assert in_val(found).height == 20


def test_records_stay_in_the_split_that_their_source_says() -> None:
    given_split = ["train"] * 20 + ["val"] * 10 + [None] * 20
    frame, notes = split(records(["a"] * 50, given_split=given_split), val=0.5)
    sides = frame["split"].to_list()
    assert sides[:30] == given_split[:30]
    assert sides[30:].count("val") == 10
    assert notes["given"] == 30


@pytest.mark.parametrize("column", ["sha256", "duplicate_of", "patient"])
def test_free_records_follow_the_record_of_their_group_that_stays(column: str) -> None:
    given_split = ["train"] * 14 + ["val"] * 6 + [None] * 30
    values = [f"{number % 20:064x}" for number in range(40)] + [f"{number:064x}" for number in range(40, 50)]
    frame, notes = split(
        records(list("ab") * 25, given_split=given_split, **{column: values}), val=0.5, group=column
    )
    assert frame["split"].to_list()[:40] == (["train"] * 14 + ["val"] * 6) * 2
    assert frame["split"].to_list()[40:].count("val") == 5, "the others are split as ever"
    assert (notes["given"], notes["with_given"]) == (20, 20)


def test_record_that_shares_with_both_given_parts_stays_in_training() -> None:
    frame, _ = split(
        records(["a"] * 4, given_split=["val", "train", None, None], pages=[["p"], ["q"], ["p", "q"], ["r"]]),
        group="pages",
    )
    assert frame["split"].to_list()[:3] == ["val", "train", "train"]


def test_records_follow_through_others_although_none_is_left_to_split() -> None:
    frame, notes = split(
        records(["a"] * 4, given_split=["train", "val", None, None], pages=[["z"], ["p"], ["p", "q"], ["q"]]),
        group="pages",
    )
    assert frame["split"].to_list() == ["train", "val", "val", "val"]
    assert notes["with_given"] == 2


def test_records_that_share_with_a_general_one_stay_in_training_with_it() -> None:
    kinds = ["general"] * 5 + ["task"] * 45
    frame, _ = split(
        records(["a"] * 50, set=kinds, page=[f"p{number % 45}" for number in range(50)]),
        val=0.8,
        group="page",
    )
    assert set(frame["split"].to_list()[:5] + frame["split"].to_list()[45:]) == {"train"}


def test_a_source_with_a_training_part_alone_is_split() -> None:
    frame, notes = split(records(["a"] * 20, given_split=["train"] * 20), val=0.5)
    assert in_val(frame).height == 10
    assert "given" not in notes


def test_a_source_that_is_wholly_split_stays_as_it_is() -> None:
    frame, notes = split(records(["a"] * 4, given_split=["val", "train", "train", "val"]))
    assert frame["split"].to_list() == ["val", "train", "train", "val"]
    assert notes == {"train": 2, "val": 2, "given": 4}


@pytest.mark.parametrize("same_text", [None, 0.6])
def test_texts_that_read_alike_never_straddle_without_a_group_either(same_text: float | None) -> None:
    texts = screens(100)
    columns = {"text": texts + [photographed_again(text) for text in texts], "images": [[]] * 200}
    found, notes = split(records(["a"] * 200, **columns), val=0.2, same_text=same_text)
    assert (straddling(found, 100) == 0) is (same_text is not None)
    assert notes.get("near_duplicate_texts") == (200 if same_text else None)
    assert in_val(found).height == 40
    with_picture = {**columns, "images": [["/a.jpg"]] * 200}  # whose text is a question
    found, notes = split(records(["a"] * 200, **with_picture), val=0.2, same_text=same_text)
    assert straddling(found, 100) > 10
    assert "near_duplicate_texts" not in notes


def test_a_split_that_names_neither_group_nor_texts_stays_a_plain_one() -> None:
    texts = screens(100)
    columns = {"text": texts + [photographed_again(text) for text in texts], "images": [[]] * 200}
    found, notes = split(records(["a"] * 200, **columns), val=0.2)
    assert "near_duplicate_texts" not in notes
    assert found["split"].equals(split(records(["a"] * 200), val=0.2)[0]["split"])


@pytest.mark.parametrize("group", ["duplicate_of", "images", "sha256", "phash"])
def test_a_picture_that_records_of_several_have_in_common_keeps_them_together(
    project: Path, group: str
) -> None:
    folder = project / "recipes"
    rows = []
    for number in range(40):
        for side in "ab":
            for name in (f"{side}{number}", f"{side}-shared{number}"):
                seed = number + 1000 * (2 if "shared" in name else side == "a")
                noise = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
                Image.fromarray(noise).resize((90, 120)).save(folder / f"{name}.png")
            images = [f"{side}{number}.png", f"{side}-shared{number}.png"]  # one content under two names
            rows.append({"id": f"{side}{number}", "images": images, "label": "甲乙"[number % 2]})
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    (project / "templates" / "p.j2").write_text("<image><image>是什么？", "utf-8")
    path = folder / "pairs.yaml"
    path.write_text(
        "steps:\n  - read.jsonl: {path: rows.jsonl, image: images, label: label}\n"
        "  - annotate.image_facts: {}\n  - curate.duplicates: {}\n"
        f"  - curate.split: {{val: 0.3, group: {group}}}\n"
        "  - render.chat: {prompt: p.j2, answer: label_only}\nemit: [llamafactory: {images: link}]\n",
        "utf-8",
    )
    if group != "duplicate_of":
        path.write_text(path.read_text("utf-8").replace("  - curate.duplicates: {}\n", ""), "utf-8")
    records = pl.read_parquet(build(load_recipe(path)).folder / "records.parquet")
    sides = dict(records.select("id", "split").iter_rows())
    assert sum(sides[f"a{number}"] != sides[f"b{number}"] for number in range(40)) == 0
    assert records["split"].value_counts().sort("split")["count"].to_list() == [56, 24]


def test_general_records_stay_in_training_and_count_for_no_share() -> None:
    frame = records(["a"] * 40, set=[""] * 20 + ["general"] * 20)
    sides, notes = split(frame, val=0.5, stratify=None)
    assert sides.filter(set="general")["split"].unique().to_list() == ["train"]
    assert notes["val"] == sides.filter(split="val").height == 10


def test_classes_in_a_column_of_lists_are_refused_before_a_record_is_read() -> None:
    empty = records([], ocr=[]).with_columns(ocr=pl.Series([], dtype=pl.List(pl.Struct({"text": pl.String}))))
    with pytest.raises(UserError, match="`stratify` names the column `ocr`, which holds lists"):
        split(empty, stratify="ocr")


@pytest.mark.parametrize("word", ["test", "Dev", "验证集", " validation "])
def test_other_words_for_the_given_parts_are_understood(word: str) -> None:
    given_split = ["train"] * 15 + [word] * 4 + [""]
    frame, notes = split(records(["a"] * 20, given_split=given_split), val=0.5)
    assert frame["split"].to_list()[:19] == ["train"] * 15 + ["val"] * 4
    assert notes["given"] == 19


@pytest.mark.fault(
    "a source's own column says another word than train, val or test for a part",
    "refused: no record of an unknown part is trained on",
    kind="bounds",
)
@pytest.mark.parametrize("parts", [["train", "holdout", "val", None], [0, 1, 1, None]])
def test_a_given_part_that_is_none_is_refused(parts: list[Any]) -> None:
    with pytest.raises(UserError, match=r"says `(holdout|0)`, which is no split"):
        split(records(["a"] * 4, given_split=parts))


@pytest.mark.parametrize(
    ("own", "is_told"),
    [
        (["train"] * 15 + ["test"] * 5, True),
        (["train"] * 20, False),
        (["train"] * 15 + ["left"] * 5, False),
        (list(range(20)), False),
    ],
)
def test_a_column_split_of_the_source_with_a_validation_part_is_told(own: list[Any], is_told: bool) -> None:
    _, notes = split(records(["a"] * 20, source_split=own), val=0.2)
    warned = [words for words in notes.get("warnings", ()) if "own column `split` has 5 records" in words]
    assert bool(warned) is is_told
    if is_told:
        frame, notes = split(records(["a"] * 20, source_split=own), val=0.5, given="source_split")
        assert in_val(frame).height == 5
        assert "warnings" not in notes


def test_a_column_of_lists_names_no_given_part() -> None:
    with pytest.raises(UserError, match="names no split"):
        split(records(["a"] * 4, parts=[["train"]] * 4), given="parts")


@pytest.mark.parametrize("value", ["nice", 3, ["a", "b"], {"pixels": "a"}])
@pytest.mark.parametrize("name", ["looks", "phash"])
def test_a_column_of_the_data_that_bears_the_name_of_a_hash_is_no_hash(name: str, value: Any) -> None:
    given = records(["a"] * 10, images=[[] for _ in range(10)], **{name: [value] * 10})
    frame, _ = split(given, val=0.2, group="images")
    assert in_val(frame).height == 2
