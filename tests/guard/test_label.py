"""guard.label: labels leave in the label file's own spelling, strangers are rejected with the nearest one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datakit.core.errors import UserError
from datakit.core.labels import load_labels
from datakit.core.outcome import Reject
from datakit.core.step_context import StepContext
from datakit.guard.label import Label

LABELS = """\
labels:
  - name: 购物车页面（含结算）
    aliases: [购物车, cart]
  - name: 退货页面
  - name: "3"
"""


def context(folder: Path, labels: str | None = LABELS) -> StepContext:
    if labels is None:
        return StepContext(base=folder, project=folder)
    path = folder / "labels.yaml"
    path.write_text(labels, "utf-8")
    return StepContext(base=folder, project=folder, labels=load_labels(path))


def check(
    folder: Path, *labels: str | None, **parameters: Any
) -> tuple[list[str | None], list[Reject], dict[str, Any]]:
    rows = [
        {"id": f"r{n}", "source_file": "rows.jsonl", "source_line": n + 1, "label": label}
        for n, label in enumerate(labels)
    ]
    schema = {"id": pl.String, "source_file": pl.String, "source_line": pl.Int64, "label": pl.String}
    worker = Label(**parameters).start(context(folder), pl.LazyFrame(schema=schema))
    batch = worker(pl.DataFrame(rows, schema=schema))
    return batch.frame["label"].to_list(), batch.rejects, worker.notes  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "written",
    [
        "购物车页面（含结算）",
        "购物车页面(含结算)",
        " 购物车 页面（含结算） ",
        "购物车",
        "CART",
        "ｃａｒｔ",
        "cart\n",
    ],
)
def test_every_spelling_of_a_label_leaves_in_the_files_own(written: str, tmp_path: Path) -> None:
    labels, rejects, _ = check(tmp_path, written)
    assert labels == ["购物车页面（含结算）"]
    assert rejects == []


def test_a_number_in_full_width_is_the_same_label(tmp_path: Path) -> None:
    assert check(tmp_path, "３", "3")[0] == ["3", "3"]


@pytest.mark.fault("a label is none of the set", "rejected with the nearest one", kind="answers")
def test_a_stranger_is_rejected_with_the_nearest_label_and_its_place(tmp_path: Path) -> None:
    labels, (reject,), _ = check(tmp_path, "退货页面", "退货页")
    assert labels == ["退货页面"]
    assert (reject.id, reject.reason, reject.source_file, reject.source_line) == (
        "r1",
        "label_unknown",
        "rows.jsonl",
        2,
    )
    assert reject.detail == "`退货页` is not among the 3 labels. Did you mean `退货页面`?"


def test_a_missing_label_is_rejected_unless_allowed(tmp_path: Path) -> None:
    labels, rejects, _ = check(tmp_path, None, "  ", "3")
    assert labels == ["3"]
    assert [reject.reason for reject in rejects] == ["label_missing"] * 2
    labels, rejects, _ = check(tmp_path, None, "3", allow_missing=True)
    assert labels == [None, "3"]
    assert rejects == []


def test_a_stranger_is_rejected_even_where_labels_may_be_missing(tmp_path: Path) -> None:
    labels, (reject,), _ = check(tmp_path, None, "strange", allow_missing=True)
    assert labels == [None]
    assert reject.reason == "label_unknown"


def test_respelt_labels_and_rare_classes_are_told(tmp_path: Path) -> None:
    _, _, notes = check(tmp_path, "cart", "购物车", "购物车页面（含结算）", "退货页面")
    assert notes["respelt"] == 2
    assert notes["warnings"] == [
        "1 of 3 labels have no record: 3",
        "1 of 3 labels have one record only: 退货页面",
    ]
    assert check(tmp_path, *["cart", "退货页面", "3"] * 2)[2] == {"respelt": 2}


def test_without_a_label_file_the_recipes_line_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no labels to compare with\n.*labels:"):
        Label().start(context(tmp_path, None), pl.LazyFrame())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("labels: []", "holds no list"),
        ("a: [", "is not YAML"),
        ("labels: [{description: x}]", "has no `name`"),
        ("labels: [{name: a, alias: [b]}]", "unknown field `alias`. Did you mean `aliases`"),
        ("labels: [a, a]", "label a stands twice"),
        ("labels: [{name: a, aliases: [x]}, {name: b, aliases: [Ｘ]}]", "`Ｘ` names both a and b"),
        ("labels: [{name: a, confusable_with: [b]}]", "confusable_with names `b`"),
        ("labels: [{name: a, confusable_with: [a]}]", "a: confusable_with names the label itself"),
    ],
)
def test_a_faulty_label_file_is_an_error_that_names_the_fault(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        context(tmp_path, text)
    assert words in str(error.value)
