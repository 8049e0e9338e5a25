"""Several labels, numbers and free text from a build and a file of answers to figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.predictions import Prediction
from datakit.core.errors import UserError
from datakit.core.labels import Label, LabelSet
from datakit.evaluation.evaluation import Evaluation, Options
from datakit.evaluation.from_build import BuildSource, evaluate
from datakit.evaluation.outcomes import Truths, join
from datakit.evaluation.page import write_evaluation
from datakit.evaluation.tasks import Target, Task, Value, read_labels, read_number, read_texts
from datakit.evaluation.value_outcomes import ValueTruths, join_values, plain
from tests.support.value_builds import ROWS, make_value_build, truths_in, write_values

SET = LabelSet((Label("cat", aliases=("kitty",)), Label("dog"), Label("a,b")))
FIELD = {"labels": "found", "number": "price", "text": "caption"}


@pytest.fixture(scope="module", params=sorted(ROWS))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, BuildFolder]:
    """The task and its build."""
    folder = make_value_build(tmp_path_factory.mktemp("values"), request.param)
    return request.param, BuildFolder.open(folder)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3.0),
        (-2.5, -2.5),
        ("3.50", 3.5),
        ("１２", 12.0),
        ("1,234.5", 1234.5),
        (" -7 ", -7.0),
        ("\N{MINUS SIGN}7", -7.0),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("3 元", None),
        ("5%", None),
        ("1-2", None),
        ("1,23", None),
        ("1_000", None),
        ("nan", None),
        (float("inf"), None),
        ("1e999", None),
        ("", None),
        (True, None),
        (None, None),
        ([3], None),
    ],
)
def test_numbers_are_read_whole_or_not_at_all(value: Any, expected: float | None) -> None:
    assert read_number(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["cat", "dog"], {"cat", "dog"}),
        ("cat、dog", {"cat", "dog"}),
        ("Ｋitty; fish", {"cat", "fish"}),
        ("a,b", {"a,b"}),
        ("dog\ndog", {"dog"}),
        ("", set()),
        ([], set()),
        (["cat", 3], None),
        (3, None),
    ],
)
def test_labels_are_read_from_lists_and_texts(value: Any, expected: set[str] | None) -> None:
    assert read_labels(value, SET) == (None if expected is None else frozenset(expected))


def test_texts_without_a_character_are_no_reference() -> None:
    assert read_texts(["a", " ", None, "b"]) == ("a", "b")
    assert read_texts(" ") is None
    assert read_texts(None) is None


def stated(task: Task, truth: Value, **given: Any) -> tuple[str, str | None]:
    """The problem and the value of one answer."""
    item = Prediction(id="x", **given)
    truths = ValueTruths("b", "val", Target(task, "it"), SET if task is Task.LABELS else None, {"x": truth})
    found = join_values(truths, [item])
    return next(iter(found.problems()), ""), plain(found.given[0])


def test_values_come_by_name_else_as_the_prediction_else_from_the_answer() -> None:
    assert stated(Task.NUMBER, 1.0, values={"it": 2}, predicted="3") == ("", "2.0")
    assert stated(Task.NUMBER, 1.0, predicted="3") == ("", "3.0")
    assert stated(Task.NUMBER, 1.0, values={}, answer="4") == ("", "4.0")
    assert stated(Task.TEXT, ("a",), values={"other": "b"}, answer="c") == ("", '["c"]')


def test_what_states_nothing_of_the_kind_is_a_problem() -> None:
    assert stated(Task.NUMBER, 1.0, values={"it": "many"}) == ("not_a_number", None)
    assert stated(Task.LABELS, frozenset(), values={"it": ["cat", "fish"]}) == ("label_unknown", None)
    assert stated(Task.LABELS, frozenset(), values={"it": 3}) == ("form", None)
    assert stated(Task.TEXT, ("a",), values={"it": " "}) == ("empty", None)
    assert stated(Task.TEXT, ("a",), problem="form", answer="a") == ("form", None)


def test_one_label_may_stand_among_values() -> None:
    truths = Truths.of("b", "val", SET, [("x", "cat"), ("y", "dog"), ("z", "dog")])
    items = [
        Prediction(id="x", values={"label": "kitty"}),
        Prediction(id="y", values={"label": "fish"}),
        Prediction(id="z", values={"reason": "barks"}),
    ]
    found = join(truths, items)
    assert [item.predicted for item in found.answers] == ["cat", None, None]
    assert [item.problem for item in found.answers] == ["", "label_unknown", "label_missing"]


def test_build_says_what_is_scored(made: tuple[str, BuildFolder]) -> None:
    kind, build = made
    target = BuildSource(build).target()
    assert (target.task.value, target.field, target.column) == (kind, FIELD[kind], FIELD[kind])
    answer = build.path / "answer.json"
    whole = answer.read_bytes()
    try:
        answer.write_text(json.dumps({**json.loads(whole), "target": {"kind": "polygons"}}), "utf-8")
        with pytest.raises(UserError, match="polygons"):
            BuildSource(BuildFolder.open(build.path)).target()
        answer.write_text(json.dumps({**json.loads(whole), "target": None}), "utf-8")
        plain_build = BuildFolder.open(build.path)
        assert BuildSource(plain_build).target() == Target(
            Task.TEXT, FIELD[kind], FIELD[kind]
        )  # it has no label
    finally:
        answer.write_bytes(whole)


def test_perfect_answers_are_perfect_in_every_figure(made: tuple[str, BuildFolder], tmp_path: Path) -> None:
    kind, build = made
    path = write_values(tmp_path / "predictions.jsonl", truths_in(build, FIELD[kind]), FIELD[kind])
    found = evaluate(build, [path], Options(resamples=50))[0].evaluation
    lowest = {"hamming_loss", "mae", "rmse", "median_absolute_error"}
    for name, interval in found.metrics.items():
        assert interval.value == pytest.approx(0.0 if name in lowest else 1.0), name
    assert (found.worst, found.problems, found.task.value) == ([], {}, kind)


def test_answers_are_scored_written_and_compared(made: tuple[str, BuildFolder], tmp_path: Path) -> None:
    kind, build = made
    truth = truths_in(build, FIELD[kind])
    wrong: dict[str, Any] = {"labels": ["dog"], "number": 1000, "text": "完全不同"}
    half = {id_: wrong[kind] if at % 2 else value for at, (id_, value) in enumerate(truth.items())}
    half[next(iter(half))] = ValueError("form")
    first = write_values(tmp_path / "a" / "predictions.jsonl", half, FIELD[kind])
    second = write_values(tmp_path / "b" / "predictions.jsonl", truth, FIELD[kind])
    one, two = evaluate(build, [first, second], Options(resamples=200))
    again = evaluate(build, [first], Options(resamples=200))[0].evaluation
    assert again.model_copy(update={"date": ""}) == one.evaluation.model_copy(update={"date": ""})
    compared = two.evaluation.compared_with[0]
    assert (compared.records, compared.only_first, compared.only_second) == (12, 0, 7)
    assert compared.mcnemar_p == pytest.approx(2 / 2**7)
    lead = {"labels": "subset_accuracy", "number": "mae", "text": "char_f1"}[kind]
    assert compared.differences[lead].significant
    assert one.evaluation.problems == {"form": 1}
    assert (one.evaluation.worst[0].problem, len(one.evaluation.worst)) == ("form", 7)
    for each, folder in ((one, tmp_path / "a"), (two, tmp_path / "b")):
        write_evaluation(each, build, folder, "evaluation")
        assert Evaluation.model_validate_json((folder / "evaluation.json").read_bytes()) == each.evaluation
    frame = pl.read_parquet(tmp_path / "a" / "evaluation.parquet")
    assert frame.columns[:5] == ["id", "truth", "answered", "score", "problem"]
    mean = frame["score"].mean()
    assert mean == pytest.approx(one.evaluation.metrics[lead].value)
    page = (tmp_path / "a" / "evaluation.html").read_text("utf-8")
    assert "Worst answers" in page
    assert "data:image/jpeg;base64," in page
    assert "McNemar" in (tmp_path / "b" / "evaluation.md").read_text("utf-8")


def test_numbers_of_another_kind_of_answer_are_said(tmp_path: Path) -> None:
    build = BuildFolder.open(make_value_build(tmp_path, "number"))
    values = dict.fromkeys(truths_in(build, "price"), "viel")
    path = write_values(tmp_path / "predictions.jsonl", values, "price")
    found = evaluate(build, [path], Options(resamples=50))[0]
    assert set(found.evaluation.metrics) == {"within_tolerance", "readable"}
    write_evaluation(found, build, tmp_path / "out", "evaluation")
    text = (tmp_path / "out" / "evaluation.md").read_text("utf-8")
    assert "gives no number for any of 12 records" in text
    assert "12 answers are no number" in text


def test_record_of_a_missing_column_is_named(tmp_path: Path) -> None:
    folder = make_value_build(tmp_path, "text")
    answer = folder / "answer.json"
    document = json.loads(answer.read_bytes())
    answer.write_text(json.dumps({**document, "target": {"kind": "text", "name": "legend"}}), "utf-8")
    build = BuildFolder.open(folder)
    path = write_values(tmp_path / "predictions.jsonl", {"r00": "x"}, "legend")
    with pytest.raises(UserError, match="legend") as raised:
        evaluate(build, [path], Options())
    assert "caption" in raised.value.remedy


def test_words_for_no_value_are_no_true_labels() -> None:

    assert read_labels(["a", "nan", "null", "无", " "], None) == {"a"}
    assert read_labels("a、None", None) == {"a"}
    assert read_labels(["a", "None"], LabelSet((Label("a"), Label("None")))) == {"a", "None"}
