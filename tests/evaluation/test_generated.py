"""LLaMA-Factory's answers carry no ids: they are joined by order, and only when every line fits its row."""

from __future__ import annotations

from pathlib import Path

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import UserError
from datakit.evaluation.evaluation import Options
from datakit.evaluation.from_build import evaluate
from datakit.evaluation.generated import is_generated, read_generated
from tests.support.evaluated_builds import make_build, make_project, truths, write_generated


def test_rows_get_the_ids_of_the_emitted_set(small: BuildFolder, tmp_path: Path) -> None:
    path = write_generated(small.path, tmp_path / "generated_predictions.jsonl")
    assert is_generated(path)
    found = read_generated(path, small, "val")
    assert {item.id: item.predicted for item in found} == truths(small.path)
    assert [item.label for item in found] == [item.predicted for item in found]


def test_answers_are_read_by_the_builds_own_form(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    (project / "templates" / "said.j2").write_text("这张图是：{{ label }}\n", encoding="utf-8")
    folder = make_build(project, answer="said.j2")
    first, second, third, *_ = truths(folder)
    said = {first: "这张图是: 退款页面", second: "看不清", third: "这张图是：月球"}
    replaced = {key.replace("-", "_"): value for key, value in said.items()}
    path = write_generated(folder, tmp_path / "run" / "generated_predictions.jsonl", **replaced)
    found = {item.id: item for item in read_generated(path, BuildFolder.open(folder), "val")}
    assert found[first].predicted == "退款页面"
    assert (found[second].predicted, found[second].problem) == (None, "label_missing")
    assert found[third].problem == "label_unknown"
    assert found[third].answer == "这张图是：月球"


def test_evaluation_of_a_perfect_file_is_perfect(small: BuildFolder, tmp_path: Path) -> None:
    path = write_generated(small.path, tmp_path / "generated_predictions.jsonl")
    found = evaluate(small, [path], Options())[0].evaluation
    assert {name: value.value for name, value in found.metrics.items()} == {
        "accuracy": 1.0,
        "macro_f1": 1.0,
        "weighted_f1": 1.0,
    }


def test_other_count_of_lines_is_refused(small: BuildFolder, tmp_path: Path) -> None:
    path = write_generated(small.path, tmp_path / "generated_predictions.jsonl")
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-1]), "utf-8")
    with pytest.raises(UserError, match=f"has {len(lines) - 1} answers.*{len(lines)} rows"):
        read_generated(path, small, "val")


def test_shifted_lines_are_refused_at_the_first_that_does_not_fit(small: BuildFolder, tmp_path: Path) -> None:
    path = write_generated(small.path, tmp_path / "generated_predictions.jsonl")
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join([*lines[1:], lines[0]]), "utf-8")
    labels = list(truths(small.path).values())
    at = next(at for at, label in enumerate(labels) if label != labels[(at + 1) % len(labels)])
    with pytest.raises(UserError, match="not that of row") as caught:
        read_generated(path, small, "val")
    assert caught.value.where == f"{path}:{at + 1}"


@pytest.mark.parametrize("line", ["nonsense", '{"prompt": "a", "predict": null, "label": "b"}'])
def test_broken_line_is_named(small: BuildFolder, tmp_path: Path, line: str) -> None:
    path = write_generated(small.path, tmp_path / "generated_predictions.jsonl")
    lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join([lines[0], line, *lines[2:]]) + "\n", "utf-8")
    with pytest.raises(UserError) as caught:
        read_generated(path, small, "val")
    assert caught.value.where == f"{path}:2"


def test_build_without_an_answer_form_says_how_to_get_one(tmp_path: Path) -> None:
    folder = make_build(make_project(tmp_path))
    path = write_generated(folder, tmp_path / "generated_predictions.jsonl")
    (folder / "answer.json").unlink()
    with pytest.raises(UserError, match="--force"):
        read_generated(path, BuildFolder.open(folder), "val")
