"""The ledger shares out what versions scored to the recipe lines that differ: checked on a planted truth."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from datakit.artifacts.ledger import Ablated, Figure, Inputs, Score, add_score, read_scores
from datakit.cli import run
from datakit.evaluation.explaining import Explanation, attribute, explain
from datakit.evaluation.pooled import HELPS, HURTS, NOISE

HELPFUL, HARMFUL, IDLE = "annotate.ocr", "balance.resample", "guard.image"
EFFECTS = {HELPFUL: 0.9, HARMFUL: -0.9, IDLE: 0.0}
VERSIONS = ((), (HELPFUL,), (HELPFUL, HARMFUL), (HELPFUL, HARMFUL, IDLE), (HELPFUL, IDLE), (HARMFUL, IDLE))
"""The steps that each version of the family has beside the common ones."""


def project_of(folder: Path, seed: int, records: int = 400) -> Path:
    """A project whose ledger has six versions that a simulated trainer was trained on.

    Whether a record is answered rightly is drawn from a logistic model of its difficulty and the steps.
    """
    rng = np.random.default_rng(seed)
    ease = rng.normal(2.0, 1.5, records)
    for number, steps in enumerate(VERSIONS, 1):
        chance = 1 / (1 + np.exp(-(ease + sum(EFFECTS[step] for step in steps))))
        enter(folder, number, steps, rng.random(records) < chance)
    return folder


def enter(folder: Path, number: int, steps: tuple[str, ...], right: np.ndarray, **more: object) -> None:
    path = folder / "build" / f"shop_v{number}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(
        {
            "id": [f"r{at:04d}" for at in range(len(right))],
            "label": ["yes"] * len(right),
            "predicted": ["yes" if own else "no" for own in right],
            "confidence": [None] * len(right),
            "problem": [None] * len(right),
        },
        schema_overrides={"confidence": pl.Float64, "problem": pl.String},
    ).write_parquet(path)
    share = round(float(np.mean(right)), 6)
    recipe = {"steps": [{"read.jsonl": {}}, *({step: {}} for step in steps)], "train": {"seed": number}}
    values = {
        "date": f"2026-11-{number:02d}T10:00:00Z",
        "name": f"shop_v{number}",
        "content": str(number),
        "split": "val",
        "records": len(right),
        "metrics": {"accuracy": Figure(value=share, low=share, high=share)},
        "run": str(number),
        "predictions_sha256": str(number),
        "outcomes": path.relative_to(folder).as_posix(),
        "outcomes_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "inputs": Inputs(recipe=recipe, records={"train": 100 + number}),
        **more,
    }
    add_score(folder / "data_cards" / "scores.jsonl", Score.model_validate(values))


def explained(project: Path) -> Explanation:
    (one,) = explain(read_scores(project / "data_cards" / "scores.jsonl"), project, "shop")
    return one


def test_planted_effects_have_their_sign_and_the_idle_step_is_noise(tmp_path: Path) -> None:
    signs, idle = {HELPFUL: 0, HARMFUL: 0}, 0
    for seed in range(20):
        lines = {
            line.texts[0].split()[0]: line for line in explained(project_of(tmp_path / str(seed), seed)).lines
        }
        signs[HELPFUL] += lines[HELPFUL].effect.value > 0
        signs[HARMFUL] += lines[HARMFUL].effect.value < 0
        idle += lines[IDLE].verdict == NOISE
    assert min(signs.values()) >= 19
    assert idle >= 18


def test_scores_explain_prints_the_lines_with_intervals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project_of(tmp_path, 1)
    assert run(["scores", "shop", "--project", str(tmp_path), "--explain"]) == 0
    printed = capsys.readouterr().out
    assert "6 evaluations against shop_v1" in printed
    assert f"{HELPFUL} added" in printed
    assert HELPS in printed
    assert HURTS in printed
    assert "train records" not in printed
    assert run(["scores", "shop", "--project", str(tmp_path), "--explain", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["explanations"]
    assert {line["verdict"] for line in one["lines"]} == {HELPS, HURTS, NOISE}
    assert one["training_noise"] is None


def test_lines_that_always_came_together_stay_together(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for number, steps in enumerate(((), (HELPFUL, IDLE)), 1):
        enter(tmp_path, number, steps, rng.random(300) < 0.6 + 0.2 * len(steps) / 2)
    (line,) = explained(tmp_path).lines
    assert line.texts == (f"{HELPFUL} added", f"{IDLE} added")
    assert line.separable


def test_lines_that_no_versions_tell_apart_say_so() -> None:
    right = np.random.default_rng(1).random((3, 200)).round()
    lines, _ = attribute(right, [(), ("a",), ("a", "b")], [1, 1, 1])
    assert all(line.separable for line in lines)
    lines, _ = attribute(right[:2], [("a", "b"), ("b", "c")], [1, 1])
    assert [line.texts for line in lines if line.separable] == []


def test_trainings_of_one_version_give_the_noise(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for number in (1, 2, 3):
        enter(tmp_path, number, (), rng.random(300) < 0.7)
    one = explained(tmp_path)
    assert one.lines == ()
    assert one.noise is not None
    assert one.noise > 0


def test_the_noise_of_an_ablation_widens_what_was_trained_once() -> None:
    right = np.random.default_rng(1).random((2, 300)).round()
    (narrow,), _ = attribute(right, [(), ("a",)], [1, 1])
    (wide,), noise = attribute(right, [(), ("a",)], [1, 1], 0.03)
    assert noise == 0.03
    assert wide.effect.high - wide.effect.low > narrow.effect.high - narrow.effect.low


def test_an_evaluation_without_outcomes_is_left_out_and_named(tmp_path: Path) -> None:
    project_of(tmp_path, 1)
    (tmp_path / "build" / "shop_v3.parquet").unlink()
    one = explained(tmp_path)
    assert one.versions == 5
    assert one.left_out == ("shop_v3 of 2026-11-03 10:00: its outcomes are not kept",)


def test_a_version_on_other_records_is_left_out_and_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    enter(tmp_path, 1, (), rng.random(40) < 0.7)
    for number in (2, 3):
        enter(tmp_path, number, (HELPFUL,) * (number - 2), rng.random(300) < 0.7)
    one = explained(tmp_path)
    assert (one.versions, one.records) == (2, 300)
    assert "it shares 40" in one.left_out[0]


def test_lines_of_an_ablation_are_explained_and_are_no_versions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(1)
    for number, (change, steps) in enumerate((("", (IDLE,)), ("without guard.image", ())), 1):
        ablation = Ablated(change=change, seeds=1, verdict="noise" if change else "")
        enter(
            tmp_path,
            number,
            steps,
            rng.random(200) < 0.8,
            ablation=ablation,
            name="shop_v1",
            date="2026-11-05T10:00:00Z",
        )
    assert run(["scores", "shop", "--project", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "without guard.image" in printed
    assert "since" not in printed
    assert [line.texts for line in explained(tmp_path).lines] == [("guard.image removed",)]
