"""annotate.predict by the proxy: no label predicts itself, validation teaches nothing, nobody is lost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from datakit.annotate.predict import Predict
from datakit.core.errors import RecipeErrors
from datakit.core.labels import Label, LabelSet
from datakit.core.step_context import StepContext

CONTEXT = StepContext(base=Path(), project=Path(), seed=7)
WORDS = {"水果": "苹果梨子香蕉葡萄樱桃", "工具": "锤子钳子扳手螺丝刀锯", "衣服": "衬衫裤子毛衣围巾帽子"}
SCHEMA = {
    "id": pl.String(),
    "label": pl.String(),
    "images": pl.List(pl.String),
    "text": pl.String(),
    "split": pl.String(),
    "set": pl.String(),
    "duplicate_of": pl.String(),
}


def record(number: int, label: str | None, kind: str | None = None, **more: Any) -> dict[str, Any]:
    """A record whose text is of `kind`, by default of its label."""
    rng = np.random.default_rng(number)
    about = kind or label or "水果"
    text = "".join(rng.choice(list(WORDS[about]), 9)) + "".join(rng.choice(list("的一是了我不在人"), 4))
    base = {"images": [], "text": text, "split": "train", "set": "", "duplicate_of": f"r{number}"}
    return {"id": f"r{number:04d}", "label": label, **base, **more}


def labelled(count: int = 90) -> list[dict[str, Any]]:
    return [record(number, list(WORDS)[number % 3]) for number in range(count)]


def predicted(
    rows: list[dict[str, Any]], **parameters: Any
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    frame = pl.DataFrame(rows, schema=SCHEMA)
    table = Predict(pictures=False, **parameters).apply(frame.lazy(), CONTEXT)
    out = table.frame.collect()
    assert out["id"].to_list() == frame["id"].to_list()
    return {row["id"]: row for row in out.to_dicts()}, table.notes


def test_unlabelled_records_get_label_probability_and_who_predicted() -> None:
    rows = [*labelled(), *(record(500 + at, None, kind) for at, kind in enumerate(WORDS))]
    found, notes = predicted(rows)
    assert [found[f"r{500 + at:04d}"]["prediction"] for at in range(3)] == list(WORDS)
    row = found["r0500"]
    told = json.loads(row["prediction_probabilities"])
    assert sum(told.values()) == pytest.approx(1, abs=1e-3)
    assert told["水果"] == pytest.approx(row["prediction_probability"], abs=1e-5)
    assert row["prediction_by"].startswith("proxy (90 records, ")
    assert len(row["prediction_evidence"]) == 8
    assert (notes["learnt_from"], notes["predicted"]) == (90, 3)


@pytest.mark.fault("labels are spelled by their aliases", "learnt as one class each", kind="answers")
def test_two_spellings_of_a_label_are_one_class() -> None:
    rows = [*labelled(), record(500, None, "工具")]
    expected, _ = predicted(rows)
    labels = LabelSet(tuple(Label(name, aliases=(f"{name}（旧）",)) for name in WORDS))
    spelt = [{**row, "label": f" {row['label']}(旧)"} if row["id"] < "r0030" else row for row in rows]
    context = replace(CONTEXT, labels=labels)
    table = Predict(pictures=False).apply(pl.DataFrame(spelt, schema=SCHEMA).lazy(), context)
    out = {row["id"]: row for row in table.frame.collect().to_dicts()}
    names = ("prediction", "prediction_probabilities", "prediction_by")
    assert all(out[id_][name] == expected[id_][name] for id_ in out for name in names)
    assert out["r0001"]["label"] == " 工具(旧)"


def test_a_label_does_not_predict_itself_nor_its_look_alike() -> None:
    rows = labelled()
    wrong = record(600, "工具", "水果", duplicate_of="pair")
    rows += [wrong, {**wrong, "id": "r0601"}]  # two records that show the same, both with the wrong label
    found, _ = predicted(rows)
    assert found["r0600"]["prediction"] == found["r0601"]["prediction"] == "水果"


def test_validation_and_general_records_teach_nothing() -> None:
    rows = labelled()
    known, _ = predicted([*rows, record(700, None, "工具")])
    lies = [record(800 + at, "水果", "工具", split="val") for at in range(60)]
    general = [record(900 + at, "水果", "工具", set="general") for at in range(60)]
    found, notes = predicted([*rows, *lies, *general, record(700, None, "工具")])
    assert found["r0700"]["prediction_by"] == known["r0700"]["prediction_by"]
    assert found["r0700"]["prediction"] == "工具"
    assert found["r0800"]["prediction"] == "工具"  # a record of validation gets one all the same
    assert found["r0900"]["prediction"] is None
    assert notes["learnt_from"] == 90


def test_who_predicted_changes_with_what_was_learnt() -> None:
    one, _ = predicted(labelled())
    other, _ = predicted([*labelled()[:-1], record(89, "水果", "衣服")])
    assert one["r0000"]["prediction_by"] != other["r0000"]["prediction_by"]


def test_no_labelled_record_and_one_class_are_told_or_borne() -> None:
    found, notes = predicted([record(at, None, "水果") for at in range(5)])
    assert {row["prediction"] for row in found.values()} == {None}
    assert "nothing is predicted" in notes["warnings"][0]
    found, _ = predicted([*(record(at, "水果") for at in range(5)), record(9, None, "工具")])
    assert found["r0009"]["prediction"] == "水果"
    assert predicted([])[0] == {}


def test_records_without_text_and_picture_get_what_such_records_are() -> None:
    silent = [record(500 + at, "衣服", text=None) for at in range(6)]
    found, _ = predicted([*labelled(), *silent, record(600, None, text="  ")])
    assert found["r0600"]["prediction"] == "衣服"
    assert found["r0500"]["prediction"] == "衣服"


def test_a_record_whose_pictures_are_null_or_broken_is_predicted_by_its_text(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    odd = [
        record(500, None, "工具", images=None),
        record(501, None, "工具", images=[str(tmp_path / "broken.jpg")]),
    ]
    frame = pl.DataFrame([*labelled(), *odd], schema=SCHEMA)
    out = Predict().apply(frame.lazy(), CONTEXT).frame.collect().tail(2)
    assert out["prediction"].to_list() == ["工具", "工具"]


def test_another_name_makes_a_second_voice() -> None:
    found, _ = predicted(labelled(), into="second")
    assert {name for name in found["r0000"] if name.startswith("second")} == {
        "second",
        "second_probability",
        "second_probabilities",
        "second_by",
        "second_evidence",
    }


def test_what_means_nothing_to_the_proxy_is_refused() -> None:
    with pytest.raises(RecipeErrors, match="means nothing to the proxy"):
        Predict(weights="x")
    with pytest.raises(RecipeErrors, match="base_url"):
        Predict(from_build="build/a")
