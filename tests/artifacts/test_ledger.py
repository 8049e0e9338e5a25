"""The ledger: one line a measurement, none twice, and a broken line is named."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from datakit.artifacts.ledger import Figure, Inputs, Score, add_score, ledger_of, read_scores
from datakit.core.errors import UserError

HALF = Figure(value=0.5, low=0.4, high=0.6)


def score(**changes: object) -> Score:
    values = {
        "date": "2026-11-24T10:00:00Z",
        "name": "ecom_v1",
        "content": "c" * 64,
        "split": "val",
        "records": 24,
        "metrics": {"accuracy": HALF, "macro_f1": HALF, "weighted_f1": HALF},
        "run": "build/ecom_v1-runs/a/predictions.jsonl",
        "predictions_sha256": "a" * 64,
        "inputs": Inputs(recipe={"seed": 7, "steps": []}, labels={"购物车": ("a", "b", "c")}),
    }
    return Score.model_validate({**values, **changes})


def test_scores_come_back_as_they_were_added(tmp_path: Path) -> None:
    path = tmp_path / "data_cards" / "scores.jsonl"
    other = score(predictions_sha256="b" * 64, model="qwen", problems={"empty": 2})
    assert add_score(path, score())
    assert add_score(path, other)
    assert read_scores(path) == [score(), other]
    assert read_scores(path)[0].inputs.version == score().inputs.version


def test_the_same_measurement_is_entered_once(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    assert add_score(path, score())
    before = path.read_bytes()
    assert not add_score(path, score(date="2026-11-25T10:00:00Z"))
    assert path.read_bytes() == before
    assert add_score(path, score(content="d" * 64))
    assert add_score(path, score(split="train"))
    assert add_score(path, score(model="other"))


def test_lines_of_many_writers_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda at: add_score(path, score(predictions_sha256=f"{at:064}")), range(40)))
    assert len({one.predictions_sha256 for one in read_scores(path)}) == 40


def test_line_after_an_unfinished_one_stands_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    add_score(path, score())
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    add_score(path, score(split="train"))
    assert len(read_scores(path)) == 2


@pytest.mark.parametrize("line", ["<<<<<<< HEAD", '{"name": "ecom_v1"}'])
def test_broken_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "scores.jsonl"
    add_score(path, score())
    with path.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(UserError) as caught:
        read_scores(path)
    assert caught.value.where == f"{path}:2"


def test_versions_tell_builds_apart() -> None:
    one = Inputs(recipe={"seed": 7}, templates={"a.j2": "1"})
    assert one.version == Inputs(recipe={"seed": 7}, templates={"a.j2": "1"}).version
    assert one.version != Inputs(recipe={"seed": 8}, templates={"a.j2": "1"}).version
    assert one.version != Inputs(recipe={"seed": 7}, templates={"a.j2": "2"}).version


def test_ledger_of_the_nearest_project_is_found(tmp_path: Path) -> None:
    assert ledger_of([tmp_path]) is None
    path = tmp_path / "data_cards" / "scores.jsonl"
    add_score(path, score())
    assert ledger_of([tmp_path / "nowhere", tmp_path]) == path
