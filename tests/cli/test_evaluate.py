"""`datakit evaluate`: from a build and a file of answers to figures, page and JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datakit.artifacts.predictions import write
from tests.support.edited_builds import edit_answers, edit_records, join_folds
from tests.support.evaluated_builds import (
    answers,
    every_fifth_wrong,
    make_build,
    make_project,
    right,
    write_answers,
    write_generated,
)

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build folder; tests put their answers into folders of their own."""
    return make_build(make_project(tmp_path_factory.mktemp("scored")))


def test_terminal_shows_scores_classes_and_mistakes(datakit: Run, made: Path, tmp_path: Path) -> None:
    path = write_answers(made, tmp_path / "predictions.jsonl", every_fifth_wrong)
    done = datakit("evaluate", made, "--predictions", path)
    assert (done.code, done.err) == (0, "")
    for words in ("accuracy", "macro F1", "weighted F1", "weakest first", "label_missing", "evaluation.html"):
        assert words in done.out
    assert (tmp_path / "evaluation.json").is_file()


def test_json_holds_all_figures_and_nothing_else_is_printed(datakit: Run, made: Path, tmp_path: Path) -> None:
    paths = [
        write_answers(made, tmp_path / "a" / "predictions.jsonl", every_fifth_wrong),
        write_answers(made, tmp_path / "b" / "predictions.jsonl", right),
    ]
    done = datakit(
        "evaluate", made, "--predictions", paths[0], "--predictions", paths[1], "--model", "m", "--json"
    )
    assert (done.code, done.err) == (0, "")
    first, second = json.loads(done.out)["evaluations"]
    assert first["model"] == second["model"] == "m"
    assert second["metrics"]["accuracy"]["value"] == 1.0
    assert second["compared_with"][0]["differences"]["accuracy"]["interval"]["low"] > 0
    assert (tmp_path / "a" / "evaluation.html").is_file()
    assert (tmp_path / "b" / "evaluation.html").is_file()


def test_json_has_chance_the_score_before_and_what_to_do_next(
    datakit: Run, made: Path, tmp_path: Path
) -> None:
    paths = [
        write_answers(made, tmp_path / "a" / "predictions.jsonl", every_fifth_wrong),
        write_answers(made, tmp_path / "b" / "predictions.jsonl", right),
    ]
    first, second = (
        json.loads(datakit("evaluate", made, "--predictions", path, "--json").out)["evaluations"][0]
        for path in paths
    )
    support = Counter(figures["label"] for figures in first["classes"] for _ in range(figures["support"]))
    label, count = support.most_common(1)[0]
    assert support[first["chance"]["answer"]] == support[label]
    assert first["chance"]["metrics"]["accuracy"] == pytest.approx(count / first["records"])
    page = (tmp_path / "a" / "evaluation.md").read_text("utf-8")
    steps = first["next_steps"]
    assert steps
    assert all(line in page for step in steps for line in step["lines"])
    assert any(line.startswith("datakit why ") for step in steps for line in step["lines"])
    assert len(second["next_steps"]) >= 1
    assert second["chance"] == first["chance"]


def test_answers_of_the_trainer_are_read_too(datakit: Run, made: Path, tmp_path: Path) -> None:
    path = write_generated(made, tmp_path / "generated_predictions.jsonl")
    done = datakit("evaluate", made, "--predictions", path, "--json")
    assert done.code == 0
    assert json.loads(done.out)["evaluations"][0]["metrics"]["accuracy"]["value"] == 1.0


def test_missing_answers_end_with_3_unless_left_out(datakit: Run, made: Path, tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    write(path, list(answers(made, right))[2:])
    done = datakit("evaluate", made, "--predictions", path)
    assert (done.code, "2 have no answer in the file" in done.out) == (3, True)
    done = datakit("evaluate", made, "--predictions", path, "--answered-only")
    assert (done.code, "100.0%" in done.out) == (0, True)


def test_different_answers_of_one_record_end_with_3_and_are_named(
    datakit: Run, made: Path, tmp_path: Path
) -> None:
    path = tmp_path / "predictions.jsonl"
    found = list(answers(made, right))
    other = next(one for one in found if one.label != found[0].label)
    write(path, [*found, found[0].model_copy(update={"predicted": other.label})])
    done = datakit("evaluate", made, "--predictions", path)
    assert done.code == 3
    assert "1 have different answers in the file" in done.out
    assert found[0].id in done.out
    (told,) = json.loads(datakit("evaluate", made, "--predictions", path, "--json").out)["evaluations"]
    assert told["trouble"]["contradicted"] == {"count": 1, "ids": [found[0].id]}
    assert told["problems"] == {"contradicted": 1}


def test_edits_of_the_build_and_of_the_answers_out_of_fold_are_told(datakit: Run, tmp_path: Path) -> None:
    build = make_build(make_project(tmp_path))
    path = join_folds(write_answers(build, tmp_path / "small.kfold" / "kfold.jsonl", right))
    words = ("evaluate", build, "--predictions", path, "--json")
    assert "edited" not in json.loads(datakit(*words).out)["evaluations"][0]
    edit_answers(path)
    edit_records(build)
    told = json.loads(datakit(*words).out)["evaluations"][0]["edited"]
    assert told == [
        "small is not as it was built: records.parquet was changed",
        "small.kfold/kfold.jsonl was edited since the folds were joined",
    ]
    shown = datakit(*words[:-1]).out
    page = path.with_name("evaluation-kfold.md")
    page = page if page.is_file() else next(path.parent.glob("evaluation*.md"))
    assert all(f"Note: {words}." in shown for words in told)
    assert "small 已不是构建时的样子：records.parquet" in page.read_text("utf-8")
    assert "small.kfold/kfold.jsonl 在各折合并之后被改动过。" in page.read_text("utf-8")


def test_only_answers_beside_the_build_are_found(datakit: Run, made: Path) -> None:
    done = datakit("evaluate", made)
    assert (done.code, "datakit predict" in done.err) == (2, True)
    runs = made.with_name("small-runs")
    only = write_answers(made, runs / "predictions_val.jsonl", right)
    write_answers(made, runs / "predictions_train.jsonl", right, split="train")
    assert datakit("evaluate", made).code == 0
    assert (runs / "evaluation-val.html").is_file()
    only.unlink()
    one = write_answers(made, runs / "a" / "predictions.jsonl", right)
    assert datakit("evaluate", made).code == 0
    two = write_answers(made, runs / "b" / "predictions.jsonl", right)
    done = datakit("evaluate", made)
    assert (done.code, str(one) in done.err, str(two) in done.err) == (2, True, True)
    two.unlink()
    named = write_answers(made, runs / "a" / "predictions_val_a.jsonl", right)  # as this version names it
    assert datakit("evaluate", made).code == 0
    assert (runs / "a" / "evaluation-val_a.html").is_file()
    write_answers(made, runs / "a" / "predictions_val_x_a.jsonl", every_fifth_wrong)  # of the source val_x
    (runs / "a" / "predictions_val_a.kept-20261126T120000.jsonl").write_bytes(b"{}\n")
    assert datakit("evaluate", made).code == 0
    write_answers(made, named, every_fifth_wrong)
    done = datakit("evaluate", made)
    assert (done.code, f"--predictions {one}" in done.err, f"--predictions {named}" in done.err) == (
        2,
        True,
        True,
    )


def test_two_files_of_one_folder_get_pages_of_their_own(datakit: Run, made: Path, tmp_path: Path) -> None:
    one = write_answers(made, tmp_path / "old.jsonl", every_fifth_wrong)
    two = write_answers(made, tmp_path / "new.jsonl", right)
    assert datakit("evaluate", made, "--predictions", one, "--predictions", two).code == 0
    assert {path.name for path in tmp_path.glob("*.json")} == {"evaluation-old.json", "evaluation-new.json"}
    done = datakit("evaluate", made, "--predictions", one, "--predictions", one)
    assert (done.code, "twice" in done.err or "once" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (("nowhere",), "there is no build nowhere"),
        (("{made}", "--predictions", "nowhere.jsonl"), "cannot read nowhere.jsonl"),
        (("{made}", "--predictions", "{broken}"), "broken.jsonl:1"),
        (("{made}", "--predictions", "{good}", "--split", "test"), "split `test`"),
    ],
)
def test_bad_input_ends_with_2_and_says_what_to_do(
    datakit: Run, made: Path, tmp_path: Path, call: tuple[str, ...], words: str
) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"id": "x"}\n')
    good = write_answers(made, tmp_path / "good.jsonl", right)
    done = datakit("evaluate", *(part.format(made=made, broken=broken, good=good) for part in call))
    assert (done.code, words in done.err) == (2, True), done.err
