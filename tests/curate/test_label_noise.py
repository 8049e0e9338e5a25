"""Labels that the other records contradict come first, clusters are one finding, and nothing is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from datakit.core.errors import UserError
from datakit.core.labels import Label, LabelSet
from datakit.core.step_context import StepContext
from datakit.core.suspect_columns import NOISE_COLUMNS, is_suspect
from datakit.curate.label_noise import LabelNoise

PAGES = {
    "退款页面": "退款成功 退款金额 原路退回 到账时间 退款编号",
    "物流页面": "运输中 派送中 快件已到达 快递单号 揽收",
    "支付页面": "收银台 确认付款 支付剩余时间 银行卡 立即支付",
    "购物车页面": "购物车 全选 合计 结算 已失效商品",
}
SHOPS = ("木棉服饰", "小熊家居", "悦听数码", "山野食品", "极客百货")


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    schema = {"id": pl.String, "label": pl.String, "ocr_text": pl.String, "images": pl.List(pl.String)}
    extra = {name: pl.String for row in rows for name in row if name not in schema}
    return pl.DataFrame(rows, schema={**schema, **extra})


def screens(count: int = 12) -> list[dict[str, Any]]:
    rows = []
    for label, page in PAGES.items():
        words = page.split()
        for at in range(count):
            text = "\n".join([SHOPS[at % 5], *words[at % 3 :], f"¥{at * 7}.00"])
            rows.append({"id": f"{at:02}-{len(rows):02}", "label": label, "ocr_text": text, "images": []})
    return rows


def context(tmp_path: Path, labels: LabelSet | None = None) -> StepContext:
    return StepContext(base=tmp_path, project=tmp_path, labels=labels)


def run(rows: list[dict[str, Any]], where: Path, **parameters: Any) -> tuple[pl.DataFrame, dict[str, Any]]:
    table = LabelNoise(**parameters).apply(frame(rows).lazy(), context(where))
    return table.frame.collect(), table.notes


def test_a_wrong_label_is_ranked_first_and_stays_as_it_is(tmp_path: Path) -> None:
    rows = screens()
    rows[3]["label"] = "支付页面"
    out, notes = run(rows, tmp_path)
    first = out.sort("noise_rank").row(0, named=True)
    assert first["id"] == rows[3]["id"]
    assert first["noise_label"] == "退款页面"
    assert first["label"] == "支付页面"
    assert out.drop(NOISE_COLUMNS).equals(frame(rows))
    assert sorted(out["noise_rank"].to_list()) == list(range(1, len(rows) + 1))
    assert notes["suspects"] == 1
    assert out.filter(is_suspect())["id"].to_list() == [rows[3]["id"]]


@pytest.mark.fault("a label is spelled by its alias", "the label, and no doubt of it", kind="answers")
def test_another_spelling_of_a_label_is_that_class(tmp_path: Path) -> None:
    labels = LabelSet(tuple(Label(name, aliases=(f"{name}（旧）",)) for name in PAGES))
    rows = screens()
    rows[3]["label"] = "支付页面"
    expected, _ = run(rows, tmp_path)
    spelt = [
        {**row, "label": f"{row['label']}(旧)" if at % 2 else row["label"]} for at, row in enumerate(rows)
    ]
    table = LabelNoise().apply(frame(spelt).lazy(), context(tmp_path, labels))
    out = table.frame.collect()
    assert out.select("id", *NOISE_COLUMNS).equals(expected.select("id", *NOISE_COLUMNS))
    assert out["label"].to_list() == [row["label"] for row in spelt]
    assert table.notes["suspects"] == 1


def test_a_label_that_a_reviewer_accepted_is_listed_no_more_and_speaks_for_others(
    tmp_path: Path,
) -> None:
    rows = screens()
    rows[3]["label"], rows[20]["label"] = "支付页面", "退款页面"
    before, _ = run(rows, tmp_path)
    rows[3]["label_reviewed_by"] = "王"
    out, notes = run(rows, tmp_path)
    assert out.row(3, named=True)["noise_rank"] is None
    assert out.filter(pl.col("noise_rank") == 1)["id"].to_list() == [rows[20]["id"]]
    assert out["noise_rank"].drop_nulls().sort().to_list() == list(range(1, len(rows)))
    others = pl.col("id") != rows[3]["id"]
    same = "noise_probability"
    assert out.filter(others)[same].to_list() == before.filter(others)[same].to_list()
    assert (notes["ranked"], notes["reviewed"]) == (len(rows) - 1, 1)


def test_a_cluster_that_a_reviewer_judged_is_none_any_more(tmp_path: Path) -> None:
    rows = screens()
    for at in (0, 5, 10):
        rows[at].update(label="支付页面", ocr_text="退款成功 退款金额 原路退回", label_reviewed_by="王")
    out, notes = run(rows, tmp_path)
    assert notes["clusters"] == 0
    assert out["noise_cluster"].null_count() == len(rows)


def test_wrong_labels_that_agree_are_one_cluster(tmp_path: Path) -> None:
    rows = screens(14)
    for row in rows[:6]:
        row["ocr_text"] += "\n退款进度 商家已同意 银行处理中 退款详情"
        row["label"] = "物流页面"
    out, notes = run(rows, tmp_path)
    name = out.drop_nulls("noise_cluster")["noise_cluster"].unique().to_list()
    assert name == ["物流页面→退款页面 1"]
    assert set(out.drop_nulls("noise_cluster")["id"]) == {row["id"] for row in rows[:6]}
    assert notes["clusters"] == 1


def test_neither_order_nor_ids_tell_anything(tmp_path: Path) -> None:
    rows = screens()
    rows[3]["label"] = "支付页面"
    out, _ = run(rows, tmp_path)
    turned, _ = run(rows[::-1], tmp_path)
    assert turned.sort("id").equals(out.sort("id"))


def test_records_of_a_group_do_not_speak_for_each_other(tmp_path: Path) -> None:
    rows = screens()
    for row in rows:
        row["order"] = row["id"]
    for number in range(3):  # one screen, sent three times, with one wrong label
        rows[number] |= {"label": "支付页面", "ocr_text": rows[0]["ocr_text"], "order": "one"}
    out, _ = run(rows, tmp_path, group="order")
    first = set(out.sort("noise_rank").head(3)["id"])
    assert first == {row["id"] for row in rows[:3]}


def test_pictures_alone_tell_wrong_labels(tmp_path: Path) -> None:
    rows = []
    for at in range(24):
        colour = (200, 20 + at, 30) if at % 2 else (20, 30 + at, 200)
        Image.new("RGB", (64, 96), colour).save(tmp_path / f"{at}.png")
        path = [str(tmp_path / f"{at}.png")]
        rows.append(
            {"id": f"{at:02}", "label": "red" if at % 2 else "blue", "ocr_text": None, "images": path}
        )
    rows[4]["label"] = "red"
    out, notes = run(rows, tmp_path)
    assert out.sort("noise_rank")["id"][0] == "04"
    assert "pictures alone" in notes["warnings"][0]


def test_pictures_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    rows = screens()
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    rows[0]["images"] = [str(tmp_path / "broken.jpg"), str(tmp_path / "gone.jpg")]
    out, notes = run(rows, tmp_path)
    assert out["noise_rank"].null_count() == 0
    assert "2 pictures cannot be read" in notes["warnings"][0]


def test_records_without_a_label_are_counted_and_not_ranked(tmp_path: Path) -> None:
    rows = screens()
    rows[0]["label"], rows[1]["label"] = None, "  "
    out, notes = run(rows, tmp_path)
    assert notes["without_label"] == 2
    assert out.filter(pl.col("noise_rank").is_null())["id"].to_list() == [rows[0]["id"], rows[1]["id"]]
    assert notes["ranked"] == len(rows) - 2


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], None),
        (screens()[:1], "all records have one label"),
        (screens()[:12], "all records have one label"),
        ([{**row, "label": f"label {at}"} for at, row in enumerate(screens())], "fewer than 3 records"),
        ([{**row, "ocr_text": ""} for row in screens()], "nothing can be told of any label"),
        ([{**row, "ocr_text": "退款"} for row in screens()], None),
        ([{**row, "label": f"<b>\n{row['label']}→\x00"} for row in screens()], None),
    ],
    ids=["none", "one", "one class", "a class each", "no text", "all equal", "odd labels"],
)
def test_little_to_go_by_is_told_and_no_error(
    rows: list[dict[str, Any]], said: str | None, tmp_path: Path
) -> None:
    out, notes = run(rows, tmp_path)
    assert out.height == len(rows)
    assert out["noise_rank"].null_count() == 0
    assert out["noise_probability"].is_between(0, 1).all()
    assert (said in " ".join(notes.get("warnings", []))) if said else not notes.get("warnings")


def test_a_column_that_is_no_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds lists"):
        run(screens(), tmp_path, label="images")


def test_a_column_without_texts_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    pieces = frame([]).with_columns(ocr=pl.lit(None, pl.List(pl.Struct({"text": pl.String}))))
    with pytest.raises(UserError, match="`ocr`, which holds no texts"):
        LabelNoise(texts="ocr").apply(pieces.lazy(), context(tmp_path))


def test_several_columns_are_read_as_one_text(tmp_path: Path) -> None:
    rows = screens()
    for row in rows:
        row["title"], row["ocr_text"] = row["ocr_text"], None
    rows[3]["label"] = "支付页面"
    out, _ = run(rows, tmp_path, texts=["ocr_text", "title"])
    assert out.sort("noise_rank")["id"][0] == rows[3]["id"]


def test_mistakes_between_confusable_classes_count_more_where_they_are_the_rule(tmp_path: Path) -> None:
    rows = screens(20)
    for at in (0, 1, 20, 21, 40, 41):
        near = {"退款页面": "物流页面", "物流页面": "退款页面", "支付页面": "退款页面"}
        rows[at]["label"] = near[rows[at]["label"]]
    names = list(PAGES)
    labels = LabelSet(
        tuple(Label(name, confusable_with=tuple(n for n in names[:3] if n != name)) for name in names[:3])
    )
    out = LabelNoise().apply(frame(rows).lazy(), context(tmp_path, labels)).frame.collect()
    assert set(out.sort("noise_rank").head(6)["id"]) == {rows[at]["id"] for at in (0, 1, 20, 21, 40, 41)}
