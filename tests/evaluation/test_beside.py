"""Beside a score: what one answer for all would be worth, and the score measured before."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.ledger import add_score
from datakit.evaluation.beside import chance, last_score
from datakit.evaluation.evaluation import Options
from datakit.evaluation.from_build import evaluate
from datakit.evaluation.ledger import score_of
from datakit.evaluation.page import write_evaluation
from tests.support.evaluated_builds import (
    every_fifth_wrong,
    make_build,
    make_project,
    right,
    truths,
    write_answers,
)
from tests.support.value_builds import make_value_build, truths_in, write_values


def test_chance_is_the_most_frequent_label_for_all(small: BuildFolder, tmp_path: Path) -> None:
    path = write_answers(small.path, tmp_path / "p.jsonl", every_fifth_wrong)
    one = evaluate(small, [path], Options(resamples=50))[0]
    found = chance(one.outcomes)
    truth = list(truths(small.path).values())
    assert Counter(truth)[found.answer] == max(Counter(truth).values())
    usual = [found.answer] * len(truth)
    assert found.figures["accuracy"] == pytest.approx(np.mean([label == found.answer for label in truth]))
    assert found.figures["macro_f1"] == pytest.approx(
        f1_score(truth, usual, average="macro", zero_division=0)
    )


def test_chance_of_numbers_is_their_median_and_of_texts_and_sets_the_usual_one(tmp_path: Path) -> None:
    for kind, field in (("number", "price"), ("text", "caption"), ("labels", "found")):
        build = BuildFolder.open(make_value_build(tmp_path / kind, kind))
        truth = truths_in(build, field)
        path = write_values(tmp_path / kind / "p.jsonl", truth, field)
        one = evaluate(build, [path], Options(resamples=50))[0]
        found = chance(one.outcomes)
        if kind == "number":
            values = [float(value) for value in truth.values()]
            errors = [abs(value - float(np.median(values))) for value in values]
            assert found.figures["mae"] == pytest.approx(np.mean(errors))
        else:
            name = {"text": "exact_match", "labels": "subset_accuracy"}[kind]
            counts = Counter(str(value) for value in truth.values())
            assert found.figures[name] >= max(counts.values()) / len(truth) - 1e-9
            assert found.figures[name] <= 1
        assert found.answer


def test_page_and_ledger_name_the_score_before_of_the_family(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    first = BuildFolder.open(make_build(project, "shop_v1"))
    second = BuildFolder.open(make_build(project, "shop_v2"))
    for build, change in ((first, every_fifth_wrong), (second, right)):
        path = write_answers(build.path, build.predictions_file("val", "lora-1a"), change)
        one = evaluate(build, [path], Options(resamples=50))[0]
        before = last_score(one.evaluation, build)
        written = write_evaluation(one, build, path.parent, "evaluation")
        text = (path.parent / "evaluation.md").read_text("utf-8")
        if build is first:
            assert before is None
            assert "| 随机水平 |" in text
            assert "之前 |" not in text
        else:
            assert before is not None
            assert (before.name, before.run_id) == ("shop_v1", "lora-1a")
            assert "| 随机水平 | 之前 |" in text
            assert "之前：shop_v1, tiny, lora-1a，" in text
            assert "可排除偶然" in text
        table = next(file for file in written if file.suffix == ".parquet")
        add_score(project / "data_cards" / "scores.jsonl", score_of(one.evaluation, build, table))
        assert last_score(one.evaluation, build) == before, "these answers are not before themselves"
