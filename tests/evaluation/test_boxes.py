"""Boxes are scored by their overlap: pairs by hand, and a real build with answers to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.metric_names import METRICS, main_metrics
from datakit.core.box_forms import FORMS, BoxForm
from datakit.evaluation.bootstrap import values
from datakit.evaluation.boxes import PlacedBoxes, read_boxes
from datakit.evaluation.evaluation import Options, score
from datakit.evaluation.from_build import BuildSource
from datakit.evaluation.metrics_boxes import BoxSets, box_score, matched
from datakit.evaluation.tasks import Task
from datakit.library import build


def boxes(*sides: tuple[float, ...], names: str = "") -> PlacedBoxes:
    return PlacedBoxes(tuple(sides), tuple(names or "a" * len(sides)))  # type: ignore[arg-type]


def test_overlap_pairs_are_made_by_hand() -> None:
    truth = boxes((0, 0, 10, 10), (20, 0, 30, 10), names="xy")
    answer = boxes((22, 0, 32, 10), (0, 0, 10, 5), (90, 90, 99, 99), names="Yxz")
    assert matched(truth, answer) == [(1, 0, pytest.approx(80 / 120)), (0, 1, 0.5)]
    assert box_score(truth, answer) == (2, 3, pytest.approx(80 / 120 + 0.5), 2, 2)
    assert not box_score(truth, answer).right
    assert box_score(truth, truth).right


def test_each_box_is_in_one_pair_and_the_largest_overlap_goes_first() -> None:
    truth = boxes((0, 0, 10, 10), (0, 0, 10, 8))
    assert matched(truth, boxes((0, 0, 10, 8))) == [(1, 0, 1.0)]
    assert matched(truth, boxes((50, 50, 60, 60))) == []


def test_figures_of_a_few_records() -> None:
    truth = [boxes((0, 0, 10, 10)), boxes((0, 0, 10, 10), (20, 0, 30, 10)), boxes((0, 0, 1, 1))]
    answers = [truth[0], boxes((0, 0, 10, 10)), None]
    figures = BoxSets.of_answers(truth, answers)
    found = values(figures)
    assert found == {
        "mean_iou": pytest.approx(2 / 4),
        "accuracy_50": pytest.approx(1 / 3),
        "recall_50": pytest.approx(2 / 4),
        "precision_50": 1.0,
        "named_50": 1.0,
    }
    assert set(found) <= set(METRICS)
    assert set(main_metrics("boxes")) <= set(found)
    drawn = figures.of(np.array([[2.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    assert drawn["mean_iou"].tolist() == [1.0, 0.0]
    assert np.isnan(drawn["precision_50"][1])


@pytest.mark.parametrize("value", [None, "", "nothing", [], [{"label": "a"}], [[1, 2, 3, 4]], 7])
def test_what_states_no_boxes_is_none(value: Any) -> None:
    assert read_boxes(value) is None


SIZE = (1080, 2340)
RECIPE = """\
name: places
steps:
  - read.jsonl: {{path: ../data.jsonl, image: image, boxes: where}}
  - curate.split: {{val: 0.5, stratify: null}}
  - render.grounding: {{form: {form}, tasks: [lines]}}
emit: [llamafactory]
"""


def grounded(folder: Path, form: BoxForm) -> BuildFolder:
    (folder / "recipes").mkdir(parents=True)
    (folder / "data_cards").mkdir()
    Image.new("RGB", SIZE, "white").save(folder / "screen.jpg")
    rows = [
        {
            "id": f"r{at}",
            "image": "screen.jpg",
            "where": [
                {"bbox": [50 + at, 100, 400 + at, 300], "text": f"第{at}行"},
                {"bbox": [0, 0, 90, 90], "text": "返回"},
            ],
        }
        for at in range(8)
    ]
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = folder / "recipes" / "places.yaml"
    recipe.write_text(RECIPE.format(form=form), "utf-8")
    return BuildFolder(build(recipe, check=False).folder)


@pytest.mark.parametrize("form", FORMS)
def test_answers_to_a_build_are_scored_by_overlap(form: BoxForm, tmp_path: Path) -> None:
    folder = grounded(tmp_path / "project", form)
    assert folder.answer_target["kind"] == "boxes"
    answered = {row["id"]: row["messages"][-1]["content"] for row in folder.rows("val")}
    assert len(answered) == 4
    first, *others = answered
    predictions = tmp_path / "predictions.jsonl"
    lines = [
        {"id": id_, "model": "hand", "answer": answered[id_], "values": {"boxes": answered[id_]}}
        for id_ in others
    ]
    lines.append({"id": first, "model": "hand", "answer": "没有", "problem": "boxes_unreadable"})
    predictions.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    [result] = score(BuildSource(folder), [predictions], Options(resamples=50))
    assert result.evaluation.task is Task.BOXES
    assert result.evaluation.metrics["mean_iou"].value == pytest.approx(3 / 4)
    assert result.evaluation.metrics["accuracy_50"].value == pytest.approx(3 / 4)
    assert result.evaluation.metrics["precision_50"].value == 1.0
    assert result.evaluation.problems == {"boxes_unreadable": 1}
    assert [worst.id for worst in result.evaluation.worst] == [first]
