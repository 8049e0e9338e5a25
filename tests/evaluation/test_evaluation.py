"""One evaluation, from files to page: figures, comparison, calibration, nothing of this machine."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.predictions import write
from datakit.core.errors import UserError
from datakit.evaluation.calibration import calibration
from datakit.evaluation.evaluation import Evaluation, Options
from datakit.evaluation.from_build import BuildSource, evaluate
from datakit.evaluation.outcomes import join
from datakit.evaluation.page import write_evaluation
from tests.support.evaluated_builds import answers, every_fifth_wrong, right, truths, write_answers


def test_unreadable_answers_count_as_wrong(small: BuildFolder, tmp_path: Path) -> None:
    path = write_answers(small.path, tmp_path / "predictions.jsonl", every_fifth_wrong)
    found = evaluate(small, [path], Options())[0].evaluation
    total = len(truths(small.path))
    wrong = len(range(2, total, 5))
    unread = len(range(9, total, 10))
    assert found.problems == {"label_missing": unread}
    assert found.metrics["accuracy"].value == (total - wrong - unread) / total
    assert sum(sum(row) for row in found.confusion.counts) == total
    assert sum(row[-1] for row in found.confusion.counts) == unread
    assert (found.tokens_in, found.tokens_out, found.seconds_per_record) == (100 * total, 5 * total, 0.25)
    assert found.model == "tiny"


def test_second_file_is_compared_with_the_first(small: BuildFolder, tmp_path: Path) -> None:
    before = write_answers(small.path, tmp_path / "a" / "predictions.jsonl", every_fifth_wrong)
    after = write_answers(small.path, tmp_path / "b" / "predictions.jsonl", right)
    first, second = evaluate(small, [before, after], Options())
    assert first.evaluation.compared_with == []
    compared = second.evaluation.compared_with[0]
    assert (compared.records, compared.only_first) == (second.outcomes.count, 0)
    assert compared.only_second == second.outcomes.count - round(
        first.evaluation.metrics["accuracy"].value * first.outcomes.count
    )
    assert compared.differences["accuracy"].significant
    assert compared.differences["macro_f1"].interval.low > 0


def test_same_input_gives_the_same_evaluation(small: BuildFolder, tmp_path: Path) -> None:
    path = write_answers(small.path, tmp_path / "predictions.jsonl", every_fifth_wrong)
    one, two = (evaluate(small, [path], Options())[0].evaluation for _ in range(2))
    assert one.model_copy(update={"date": ""}) == two.model_copy(update={"date": ""})


def test_ece_is_the_weighted_gap_of_ten_bins(small: BuildFolder) -> None:
    items = list(answers(small.path, every_fifth_wrong))
    rng = np.random.default_rng(1)
    items = [
        item if item.predicted is None else item.model_copy(update={"confidence": float(rng.random())})
        for item in items
    ]
    outcomes = join(BuildSource(small).truths("val"), items)
    found = calibration(outcomes)
    assert found is not None
    gap, count = 0.0, 0
    for low in np.arange(10) / 10:
        mine = [
            (item.confidence, item.predicted == truth)
            for item, truth in zip(outcomes.answers, outcomes.truth, strict=True)
            if item.confidence is not None and low < item.confidence <= low + 0.1
        ]
        if mine:
            gap += abs(sum(value for value, _ in mine) - sum(good for _, good in mine))
            count += len(mine)
    assert found.ece == pytest.approx(gap / count)
    assert found.count == count
    assert found.thresholds[0].share == pytest.approx(
        sum((item.confidence or 0) >= 0.5 for item in outcomes.answers) / count
    )


def test_answers_without_confidence_have_no_calibration(small: BuildFolder) -> None:
    items = [item.model_copy(update={"confidence": None}) for item in answers(small.path, right)]
    assert calibration(join(BuildSource(small).truths("val"), items)) is None


def test_files_hold_the_evaluation_each_outcome_and_the_page(small: BuildFolder, tmp_path: Path) -> None:
    path = write_answers(small.path, tmp_path / "predictions.jsonl", every_fifth_wrong)
    one = evaluate(small, [path], Options())[0]
    written = write_evaluation(one, small, tmp_path, "evaluation")
    names = {file.relative_to(tmp_path).as_posix() for file in written}
    assert names == {
        "evaluation.json",
        "evaluation.parquet",
        "evaluation.md",
        "evaluation.html",
        "evaluation/confusion.svg",
        "evaluation/reliability.svg",
        "evaluation/wrong.csv",
    }
    assert Evaluation.model_validate_json((tmp_path / "evaluation.json").read_bytes()) == one.evaluation
    scored = pl.read_parquet(tmp_path / "evaluation.parquet")
    assert dict(scored.select("id", "label").iter_rows()) == truths(small.path)
    right_ones = (scored["label"] == scored["predicted"]).fill_null(value=False).mean()
    assert right_ones == one.evaluation.metrics["accuracy"].value


def test_page_says_the_result_names_the_troubles_and_shows_mistakes(
    small: BuildFolder, tmp_path: Path
) -> None:
    items = list(answers(small.path, every_fifth_wrong))
    path = tmp_path / "predictions.jsonl"
    write(path, items[1:])
    one = evaluate(small, [path], Options())[0]
    write_evaluation(one, small, tmp_path, "evaluation")
    html, text = ((tmp_path / f"evaluation.{kind}").read_text("utf-8") for kind in ("html", "md"))
    for page in (html, text):
        assert f"1 条记录在文件中没有回答：{items[0].id}。" in page
        assert "没有回答的记录按答错计。" in page
        assert one.evaluation.pairs[0].examples[0].id in page
    assert "data:image/jpeg;base64," in html
    assert html.count("<script") == 1, "its own"
    assert "![真实标签与回答" in text
    assert not text.startswith("---")


def test_nothing_written_names_a_path_of_this_machine(small: BuildFolder) -> None:
    run = small.path.parent / "small-runs" / "look"
    path = write_answers(small.path, run / "predictions.jsonl", every_fifth_wrong)
    one = evaluate(small, [path], Options())[0]
    assert one.evaluation.run == "build/small-runs/look/predictions.jsonl"
    for file in write_evaluation(one, small, run, "evaluation"):
        if file.suffix in (".json", ".md", ".html"):
            text = re.sub(r"data:image[^\"]*", "", file.read_text("utf-8"))
            assert str(small.path.parent.parent) not in text
            assert "/examples/" not in text


def test_json_is_plain(small: BuildFolder, tmp_path: Path) -> None:
    path = write_answers(small.path, tmp_path / "predictions.jsonl", right)
    one = evaluate(small, [path], Options())[0]
    write_evaluation(one, small, tmp_path, "evaluation")
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert found["metrics"]["accuracy"].keys() == {"value", "low", "high"}
    assert found["metrics"]["accuracy"]["high"] == 1.0
    assert found["metrics"]["accuracy"]["low"] < 1.0


def test_files_of_different_splits_cannot_be_compared(small: BuildFolder, tmp_path: Path) -> None:
    one = write_answers(small.path, tmp_path / "a.jsonl", right)
    other = write_answers(small.path, tmp_path / "b.jsonl", right, split="train")
    with pytest.raises(UserError, match="--split"):
        evaluate(small, [one, other], Options())
