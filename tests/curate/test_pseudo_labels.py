"""curate.pseudo_labels: sure enough, of every class, never in validation, and every record accounted for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import RecipeErrors
from datakit.core.labels import Label, LabelSet
from datakit.core.reasons import CHOSEN
from datakit.core.step_context import StepContext
from datakit.curate._chosen import Rule, choose
from datakit.curate.pseudo_labels import PseudoLabels
from datakit.curate.split import Split
from datakit.library import build
from datakit.verdict import verdict

CONTEXT = StepContext(base=Path(), project=Path(), seed=7)
Row = dict[str, Any]


def kept(
    rows: list[Row], context: StepContext = CONTEXT, **parameters: Any
) -> tuple[dict[str, Row], dict[str, str], Row]:
    """Id -> record that goes on, id -> reason of those that do not, and the notes."""
    frame = pl.DataFrame(rows, schema=SCHEMA)
    table = PseudoLabels(**parameters).apply(frame.lazy(), context)
    out = {row["id"]: row for row in table.frame.collect().to_dicts()}
    lost = {} if table.rejects is None else dict(table.rejects.select("id", "reason").collect().iter_rows())
    assert len(out) + len(lost) == len(rows)
    assert set(out) | set(lost) == {row["id"] for row in rows}
    assert set(lost.values()) <= CHOSEN
    return out, lost, table.notes


SCHEMA = {
    "id": pl.String(),
    "label": pl.String(),
    "images": pl.List(pl.String),
    "split": pl.String(),
    "ocr_text": pl.String(),
    "prediction": pl.String(),
    "prediction_probability": pl.Float64(),
    "prediction_by": pl.String(),
    "other": pl.String(),
    "true": pl.String(),
}


def record(number: int, label: str | None, said: str | None, sure: float | None = 0.9, **more: Any) -> Row:
    base = {"images": [], "split": "train", "ocr_text": None, "prediction_by": "proxy (1 record, 0)"}
    extra = {"other": None, "true": None}
    return {
        "id": f"r{number:05d}",
        "label": label,
        "prediction": said,
        "prediction_probability": sure,
        **base,
        **extra,
        **more,
    }


def world(seed: int, known: int = 400, unknown: int = 400, bias: float = 1.0) -> list[Row]:
    """Predictions whose log-odds are `bias` times too high: right as often as they would say without."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(known + unknown):
        odds = rng.normal(2.0, 1.6)
        is_right = rng.random() < 1 / (1 + np.exp(-odds))
        truth = f"c{rng.integers(6)}"
        said = truth if is_right else f"c{(int(truth[1]) + 1 + rng.integers(5)) % 6}"
        told = float(1 / (1 + np.exp(-bias * odds)))
        rows.append(record(number, truth if number < known else None, said, told, true=truth))
    return rows


@pytest.mark.parametrize("bias", [0.4, 1.0, 2.5])
def test_the_expected_error_is_the_true_one_however_sure_the_voice_says_it_is(bias: float) -> None:
    off, precision, coverage = [], [], []
    for seed in range(8):
        _, _, notes = kept(world(seed, 700, 700, bias), truth="true", precision=0.95)
        off.append(notes["expected_error"] - (1 - notes["precision"]))
        precision.append(notes["precision"])
        coverage.append(notes["coverage"])
    assert abs(np.mean(off)) < 0.02
    assert np.mean(precision) > 0.93
    assert np.mean(coverage) > 0.4


def test_kept_records_are_of_training_and_say_that_their_label_is_a_prediction() -> None:
    out, lost, _ = kept(world(1))
    pseudo = [row for row in out.values() if row["label_source"] == "pseudo"]
    assert pseudo
    assert all(row["label"] == row["prediction"] and row["split"] == "train" for row in pseudo)
    assert all(row["prediction_by"] for row in pseudo)
    assert sum(row["label_source"] == "given" for row in out.values()) == 400
    assert set(lost.values()) == {"pseudo_unsure"}


def test_rest_keep_lets_the_others_go_on_without_a_label() -> None:
    out, lost, notes = kept(world(1), rest="keep")
    assert len(out) == 800
    assert not lost
    assert sum(row["label"] is None for row in out.values()) == notes["left"]["pseudo_unsure"]
    assert {row["label_source"] for row in out.values()} == {"given", "pseudo", None}


def test_every_predicted_class_keeps_its_surest() -> None:
    rows = [record(number, "a", "a", 0.9) for number in range(40)]
    rows += [record(100 + number, "b", "b", 0.9) for number in range(30)]
    rows += [record(200 + number, None, "a", 0.99) for number in range(40)]
    rows += [record(300 + number, None, "b", 0.4 + number / 1000) for number in range(8)]
    strict, *_ = kept(rows, threshold=0.97, floor=0.0)
    fair, _, notes = kept(rows, threshold=0.97, floor=0.25, floor_probability=0.5)
    assert not [row for row in strict.values() if row["label_source"] == "pseudo" and row["label"] == "b"]
    assert sorted(id_ for id_, row in fair.items() if row["label"] == "b" and id_ >= "r003") == [
        "r00306",
        "r00307",
    ]
    assert notes["kept_for_class"] == 2


def test_a_class_with_few_known_records_stays_near_the_common_threshold() -> None:
    rows = [record(number, "many", "many" if number % 10 else "few", 0.8) for number in range(300)]
    rows += [record(400 + number, None, "many", 0.8) for number in range(5)]
    rows += [record(500, "few", "rare", 0.8), record(501, None, "rare", 0.8)]
    rows += [record(502, "rare", None)]
    _, _, notes = kept(rows, threshold=0.8, floor=0)
    thresholds = {name: row[3] for name, row in notes["classes"].items()}
    # 30 wrong ones of `few` raise its bound far; one wrong one of `rare` raises its own a little.
    assert thresholds["many"] < thresholds["rare"] < thresholds["few"]


def test_a_cap_keeps_the_surest_of_each_class_and_zero_is_refused() -> None:
    out, lost, _ = kept(world(2), max_per_class=3)
    labels = [row["label"] for row in out.values() if row["label_source"] == "pseudo"]
    assert max(labels.count(label) for label in labels) == 3
    assert "pseudo_over_cap" in lost.values()
    with pytest.raises(RecipeErrors, match="max_per_class"):
        PseudoLabels(max_per_class=0)


def test_two_voices_must_agree() -> None:
    rows = [{**row, "other": row["prediction"] if at % 2 else "c9"} for at, row in enumerate(world(3))]
    out, lost, notes = kept(rows, agree="other")
    assert all(row["other"] == row["label"] for row in out.values() if row["label_source"] == "pseudo")
    assert notes["calibrated_by"] == 200  # agreeing records are calibrated by themselves
    assert sum(reason == "pseudo_unsure" for reason in lost.values()) >= 200


_LABELS = StepContext(base=Path(), project=Path(), labels=LabelSet((Label("a"), Label("b"))))


@pytest.mark.parametrize(
    ("odd", "fault"),
    [
        ({"prediction": None}, "it has no prediction"),
        ({"prediction_probability": None}, "its prediction has no probability"),
        ({"prediction_probability": float("nan")}, "the probability of its prediction is nan"),
        ({"prediction_probability": float("inf")}, "the probability of its prediction is inf"),
        ({"prediction_probability": 1.7}, "the probability of its prediction is 1.7"),
        ({"prediction_probability": -0.2}, "the probability of its prediction is -0.2"),
        ({"prediction": "z"}, "`z`, which it is predicted to be, is no label"),
        ({"prediction_probabilities": '{"a":0.9,"b":0.8}'}, "add up to 1.7, not to 1"),
        ({"prediction_probabilities": '{"a":1.4,"b":-0.4}'}, "a probability of its classes is -0.4"),
        ({"prediction_probabilities": '{"a":0.4}'}, "add up to 0.4, not to 1"),
        ({"prediction_probabilities": "{}"}, "add up to 0, not to 1"),
        ({"prediction_probabilities": '{"a":NaN}'}, "no JSON of {label: probability}"),
        ({"prediction_probabilities": '["a"]'}, "no JSON of {label: probability}"),
        ({"prediction_probabilities": '{"a":null}'}, "no JSON of {label: probability}"),
    ],
)
@pytest.mark.fault("a prediction that is none", "the record is rejected and the fault named", kind="answers")
@pytest.mark.parametrize("context", [_LABELS, CONTEXT], ids=["label file", "none"])
def test_a_prediction_that_is_none_is_rejected_and_its_fault_named(
    odd: Row, fault: str, context: StepContext
) -> None:
    rows = [record(number, "a", "a") for number in range(40)]
    rows += [record(100, None, "a"), {**record(101, None, "a"), **odd}]
    frame = pl.DataFrame(rows, schema={**SCHEMA, "prediction_probabilities": pl.String()})
    table = PseudoLabels(threshold=0.1).apply(frame.lazy(), context)
    assert table.rejects is not None
    [(name, reason, detail)] = table.rejects.select("id", "reason", "detail").collect().rows()
    assert (name, reason) == ("r00101", "pseudo_unknown")
    assert fault in detail
    assert table.notes["kept"] == 1


@pytest.mark.fault(
    "predictions that are no label, or no sound ones",
    "rejected; they count as no class in the shares before and after",
    kind="answers",
)
@pytest.mark.parametrize("context", [_LABELS, CONTEXT], ids=["label file", "none"])
def test_a_prediction_that_is_none_is_no_class_of_the_account(context: StepContext) -> None:
    rows = [record(number, "ab"[number % 2], "ab"[number % 2]) for number in range(40)]
    rows += [record(100, None, "a"), record(101, None, "z"), record(102, None, "b", 1.7)]
    rows += [record(103, None, None), record(104, None, "")]
    _, lost, notes = kept(rows, context, threshold=0.1)
    assert {name: counts[:3] for name, counts in notes["classes"].items()} == {
        "a": [20, 1, 1],
        "b": [20, 0, 0],
    }
    assert notes["left"] == {"pseudo_unknown": 4}
    assert "predicted of no record: b" in notes["warnings"][0]
    assert len(lost) == 4


@pytest.mark.fault("a prediction names a label by its alias", "it is that label", kind="answers")
def test_another_spelling_of_a_prediction_is_that_label() -> None:
    labels = LabelSet((Label("a", aliases=("a2",)), Label("b")))
    context = StepContext(base=Path(), project=Path(), labels=labels)
    rows = [
        record(number, ("a", "a2", "b")[number % 3], ("a2", "Ａ", "b")[number % 3]) for number in range(60)
    ]
    rows += [record(100, None, "a2", other="A", true="Ａ2")]
    out, _, notes = kept(rows, context, threshold=0.5, agree="other", truth="true", rest="keep")
    assert notes["classes"].keys() == {"a", "b"}
    assert notes["classes"]["a"][:3] == [40, 1, 1]
    assert notes["precision"] == 1.0
    assert out["r00100"]["label"] == "a"
    assert [out[f"r{at:05d}"]["label"] for at in range(3)] == ["a", "a2", "b"]


def test_probabilities_without_their_smallest_are_sound() -> None:
    rows = [record(number, "a", "a") for number in range(40)] + [record(100, None, "a")]
    told = [{**row, "prediction_probabilities": '{"a":0.95}'} for row in rows]
    frame = pl.DataFrame(told, schema={**SCHEMA, "prediction_probabilities": pl.String()})
    assert PseudoLabels(threshold=0.1).apply(frame.lazy(), CONTEXT).notes["kept"] == 1


def test_all_below_the_threshold_and_no_record_without_a_label_are_told() -> None:
    _, lost, notes = kept([record(number, None, "a", 0.3) for number in range(50)], threshold=0.9)
    assert len(lost) == 50
    assert notes["kept"] == 0
    assert notes["calibrated_by"] == 0
    out, _, notes = kept([record(number, "a", "a") for number in range(5)])
    assert len(out) == 5
    assert "nothing to do" in notes["warnings"][0]


def test_a_class_that_is_never_predicted_is_named() -> None:
    rows = [record(number, "abcd"[number % 4], "abc"[number % 3], 0.9) for number in range(60)]
    rows += [record(100 + number, None, "a", 0.9) for number in range(9)]
    _, _, notes = kept(rows, threshold=0.05)
    assert "predicted of no record: b、c、d" in notes["warnings"][0]


def long_text(number: int) -> str:
    return " ".join(f"第{number * 100 + at}行文字" for at in range(12))


@pytest.mark.fault("an unlabelled record is like one of validation", "it gets no pseudo-label", kind="bounds")
def test_what_is_like_validation_is_not_kept_by_picture_group_or_text(tmp_path: Path) -> None:
    picture, copy = tmp_path / "a.jpg", tmp_path / "b.jpg"
    picture.write_bytes(b"one picture")
    copy.write_bytes(b"one picture")
    text = long_text(1)
    rows = [record(number, "a", "a", 0.95, ocr_text=long_text(number + 10)) for number in range(40)]
    rows += [record(100, "a", "a", split="val", images=[str(picture)], ocr_text=text)]
    rows += [record(101, None, "a", 0.99, images=[str(copy)])]
    rows += [record(102, None, "a", 0.99, ocr_text=text.replace("第100行", "第1OO行"))]
    rows += [record(103, None, "a", 0.99, split="val", ocr_text=long_text(90))]
    rows += [record(104, None, "a", 0.99, ocr_text=long_text(91))]
    out, lost, _ = kept(rows, threshold=0.5)
    # 102 has no picture, and texts are compared among records with one
    assert lost["r00101"] == lost["r00103"] == "pseudo_near_val"
    assert out["r00104"]["label_source"] == "pseudo"


def test_a_picture_that_has_a_label_gets_no_second_one(tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"one picture")
    rows = [record(number, "a", "a", 0.95) for number in range(40)]
    rows += [
        record(100, "b", "a", 0.9, images=[str(picture)]),
        record(101, None, "a", 0.99, images=[str(picture)]),
    ]
    _, lost, _ = kept(rows, threshold=0.5)
    assert lost == {"r00101": "pseudo_known"}


def test_the_order_of_the_records_changes_nothing() -> None:
    rows = world(5)
    assert kept(rows)[0] == kept(rows[::-1])[0]


def test_split_after_it_keeps_predictions_out_of_validation_and_splits_as_without_them(
    tmp_path: Path,
) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"one picture")
    given = [
        record(number, "ab"[number % 2], "a", images=[str(tmp_path / f"{number}.jpg")])
        for number in range(60)
    ]
    for row in given:
        Path(row["images"][0]).write_bytes(row["id"].encode())
    plain = pl.DataFrame(given, schema=SCHEMA).drop("split").with_columns(label_source=pl.lit("given"))
    sides = dict(
        Split(val=0.2).apply(plain.lazy(), CONTEXT).frame.select("id", "split").collect().iter_rows()
    )
    of_val = next(row for row in given if sides[row["id"]] == "val")
    pseudo = [record(100 + number, "a", "a") for number in range(50)]
    pseudo += [record(200, "a", "a", images=of_val["images"])]
    more = pl.DataFrame(pseudo, schema=SCHEMA).drop("split").with_columns(label_source=pl.lit("pseudo"))
    context = CONTEXT.changed(steps=(PseudoLabels(), Split(val=0.2)))
    table = Split(val=0.2).apply(pl.concat([plain, more]).lazy(), context)
    after = dict(table.frame.select("id", "split").collect().iter_rows())
    assert {id_: side for id_, side in after.items() if id_ in sides} == sides
    assert {side for id_, side in after.items() if id_ not in sides} == {"train"}
    assert table.rejects is not None
    assert table.rejects.select("id", "reason").collect().rows() == [("r00200", "pseudo_near_val")]


RECIPE = """\
name: loop
labels: labels.yaml
steps:
  - read.jsonl: {path: known.jsonl, image: null, label: label, text: text}
  - read.jsonl: {path: unknown.jsonl, image: null, label: null, text: text}
  - guard.label: {allow_missing: true}
STEPS
  - render.chat: {prompt: p.j2, answer: label_only}
emit:
  - llamafactory: {}
run: {max_reject_rate: 0.0}
"""
_PREDICT = "  - annotate.predict: {}\n  - curate.pseudo_labels: {precision: 0.9}"
_SPLIT = "  - curate.split: {val: 0.2, group: id}"
WORDS = {"水果": "苹果梨子香蕉葡萄樱桃", "工具": "锤子钳子扳手螺丝刀锯", "衣服": "衬衫裤子毛衣围巾帽子"}


def project(folder: Path, steps: str, unknown: int = 30) -> Path:
    """Records of three kinds of words; the unlabelled ones are of the same."""
    rng = np.random.default_rng(3)

    def lines(prefix: str, count: int, *, labelled: bool) -> str:
        rows = []
        for number in range(count):
            label = list(WORDS)[number % 3]
            text = "".join(rng.choice(list(WORDS[label]), 8)) + "".join(
                rng.choice(list("的一是了我不在人"), 4)
            )
            rows.append(
                {"id": f"{prefix}{number:03d}", "text": text, **({"label": label} if labelled else {})}
            )
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)

    (folder / "templates").mkdir()
    (folder / "templates" / "p.j2").write_text("这是什么？{{ text }}\n{{ label_names }}", "utf-8")
    (folder / "labels.yaml").write_text("labels: [水果, 工具, 衣服]\n", "utf-8")
    (folder / "known.jsonl").write_text(lines("k", 90, labelled=True), "utf-8")
    (folder / "unknown.jsonl").write_text(lines("u", unknown, labelled=False), "utf-8")
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE.replace("STEPS", steps), "utf-8")
    return recipe


@pytest.mark.parametrize("steps", [f"{_SPLIT}\n{_PREDICT}", f"{_PREDICT}\n{_SPLIT}"], ids=["before", "after"])
def test_a_whole_build_labels_what_it_is_sure_of_and_the_verdict_and_the_card_say_so(
    tmp_path: Path, steps: str
) -> None:
    result = build(project(tmp_path, steps))
    made = BuildFolder.open(result.folder)
    pseudo = made.main.filter(pl.col("label_source") == "pseudo").collect()
    assert pseudo.height > 15
    assert set(pseudo["split"]) == {"train"}
    findings = {finding.kind: finding for finding in verdict(made)}
    assert findings["pseudo_in_validation"].state == "passed"
    assert findings["pseudo_labels"].state == "warned"
    assert "wrong by estimate" in findings["pseudo_labels"].words
    page = next(path for path in result.cards if path.suffix == ".md").read_text("utf-8")
    assert "直推式" in page
    assert "## 伪标签" in page
    assert "之后占比" in page


def test_predictions_in_validation_fail_the_verdict(tmp_path: Path) -> None:
    steps = f"{_SPLIT}\n{_PREDICT}"
    result = build(project(tmp_path, steps), card=False)
    made = BuildFolder.open(result.folder)
    frame = pl.read_parquet(made.records_file)
    first = frame["label_source"].to_list().index("pseudo")
    split = [("val" if at == first else side) for at, side in enumerate(frame["split"])]
    frame.with_columns(split=pl.Series(split)).write_parquet(made.records_file)
    findings = {finding.kind: finding for finding in verdict(BuildFolder.open(result.folder))}
    assert findings["pseudo_in_validation"].state == "failed"
    assert findings["pseudo_in_validation"].count == 1


def test_an_empty_unlabelled_source_and_none_labelled_are_told(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with pytest.raises(Exception, match=r"unknown\.jsonl|left no record"):
        build(project(tmp_path / "a", f"{_SPLIT}\n{_PREDICT}", unknown=0), card=False)
    recipe = project(tmp_path / "b", _PREDICT)
    recipe.write_text(recipe.read_text("utf-8").replace("label: label", "label: null"), "utf-8")
    with pytest.raises(Exception, match="left no record"):
        build(recipe, card=False)


def test_what_is_kept_for_its_class_counts_in_the_precision() -> None:
    sure = np.array([0.99] * 10 + [0.93, 0.929, 0.928, 0.927, 0.926, 0.925] + [0.6] * 4)
    predicted = ["退款"] * 16 + ["购物车"] * 4
    alone = choose(sure, predicted, Rule(0.95, None, 0.0, 0.4, None))
    fair = choose(sure, predicted, Rule(0.95, None, 0.25, 0.4, None))
    assert fair.kept[16]
    assert fair.by_floor == 1
    assert sure[fair.kept].mean() >= 0.95
    assert alone.kept.sum() == 16
    assert fair.kept.sum() == 13


def test_a_floor_that_is_too_unsure_for_the_precision_is_all_that_is_kept() -> None:
    sure = np.array([0.8] * 4 + [0.6] * 4)
    choice = choose(sure, ["退款"] * 4 + ["购物车"] * 4, Rule(0.95, None, 0.25, 0.4, None))
    assert choice.kept.sum() == choice.by_floor == 2
    assert choice.bound == 1.0
