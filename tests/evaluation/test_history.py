"""Evaluations become lines of the ledger, and the ledger tells what each version brought."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.ledger import Score, add_score
from datakit.artifacts.names import LEDGER
from datakit.cards.inputs import inputs_of
from datakit.cards.write import write_card
from datakit.evaluation.evaluation import Options
from datakit.evaluation.from_build import evaluate
from datakit.evaluation.ledger import family, history, score_of
from datakit.evaluation.page import write_evaluation
from tests.support.evaluated_builds import every_fifth_wrong, make_build, make_project, right, write_answers


def entered(project: Path, folder: Path, path: Path, date: str) -> Score:
    """Evaluates answers and enters them into the project's ledger."""
    build = BuildFolder.open(folder)
    one = evaluate(build, [path], Options(resamples=200))[0]
    written = write_evaluation(one, build, path.parent, "evaluation")
    dated = one.evaluation.model_copy(update={"date": date})
    score = score_of(dated, build, next(file for file in written if file.suffix == ".parquet"))
    add_score(project / LEDGER, score)
    return score


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, list[Score]]:
    """A project with shop_v1 and, of other prompt and labels and with better answers, shop_v2."""
    project = make_project(tmp_path)
    one = make_build(project, "shop_v1")
    first = write_answers(one, one.with_name("shop_v1-runs") / "a" / "predictions.jsonl", every_fifth_wrong)
    scores = [entered(project, one, first, "2026-11-24T10:00:00Z")]
    prompt = project / "templates" / "ecom" / "classify_v1.j2"
    prompt.write_text(prompt.read_text("utf-8") + "请认真看图。\n", "utf-8")
    labels = project / "templates" / "ecom" / "labels.yaml"
    labels.write_text(labels.read_text("utf-8").replace("仅退款的申请", "退款的申请"), "utf-8")
    other = make_build(project, "shop_v2", answer="answer/label_only.j2")
    second = write_answers(other, other.with_name("shop_v2-runs") / "a" / "predictions.jsonl", right)
    scores.append(entered(project, other, second, "2026-11-25T10:00:00Z"))
    return project, scores


def test_history_tells_what_changed_and_whether_it_is_chance(two: tuple[Path, list[Score]]) -> None:
    project, scores = two
    first, second = history(scores, project)
    assert (first.before, first.changes, first.difference) == (None, (), None)
    assert second.before == scores[0]
    assert set(second.changes) == {
        "template ecom/classify_v1.j2 changed",
        "description of 退款页面 changed",
        "render.chat.answer label_only → answer/label_only.j2",
    }
    assert second.difference is not None
    assert second.difference.significant
    assert second.compared == second.score.records


def test_without_outcomes_the_difference_is_left_open(two: tuple[Path, list[Score]]) -> None:
    project, scores = two
    outcomes = project / scores[0].outcomes
    outcomes.write_bytes(outcomes.read_bytes() + b" ")
    assert history(scores, project)[1].difference is None
    shutil.rmtree(project / "build")
    last = history(scores, project)[1]
    assert (last.difference, len(last.changes)) == (None, 3)


def test_new_states_of_a_recipe_are_versions(two: tuple[Path, list[Score]]) -> None:
    project, scores = two
    again = scores[0].model_copy(update={"date": "2026-11-26T10:00:00Z", "predictions_sha256": "0"})
    changed = again.model_copy(
        update={
            "date": "2026-11-27T10:00:00Z",
            "inputs": scores[1].inputs,
        }
    )
    found = history([changed, again, *scores], project, name="shop_v1")
    assert [(entry.score.date[:10], entry.number) for entry in found] == [
        ("2026-11-24", 1),
        ("2026-11-26", 1),
        ("2026-11-27", 2),
    ]


@pytest.mark.parametrize(
    ("name", "count"), [("", 2), ("shop", 2), ("shop_v2", 1), ("shop_*", 2), ("other", 0)]
)
def test_names_families_and_patterns_choose(two: tuple[Path, list[Score]], name: str, count: int) -> None:
    project, scores = two
    assert len(history(scores, project, name=name)) == count


@pytest.mark.parametrize(
    ("name", "expected"),
    [("ecom_v3", "ecom"), ("ecom-12", "ecom"), ("medical", "medical"), ("v2", "v2"), ("x3", "x")],
)
def test_family_is_the_name_without_its_version(name: str, expected: str) -> None:
    assert family(name) == expected


@pytest.mark.fault(
    "a score is entered in the ledger that is committed",
    "neither a key nor a path of the machine stands in it",
    kind="secrets",
)
def test_ledger_holds_no_secret_and_no_path_of_the_machine(two: tuple[Path, list[Score]]) -> None:
    project, _ = two
    folder = project / "build" / "shop_v1"
    recipe = (folder / "recipe.yaml").read_text("utf-8")
    secrets = (
        "llm: {base_url: 'https://me:hunter2@host/v1?key=hunter2'}\n"
        "train: {hf_hub_token: hunter2, max_new_tokens: 5}\n"
    )
    (folder / "recipe.yaml").write_text(recipe + secrets, "utf-8")
    inputs = inputs_of(BuildFolder.open(folder))
    assert inputs.recipe["llm"] == {"base_url": "https://host/v1"}
    assert inputs.recipe["train"] == {"hf_hub_token": "hidden", "max_new_tokens": 5}
    text = (project / LEDGER).read_text("utf-8") + inputs.model_dump_json()
    assert "hunter2" not in text
    assert str(project) not in text
    assert "/examples/" not in text
    assert json.loads(text.splitlines()[0])["run"] == "build/shop_v1-runs/a/predictions.jsonl"


def test_card_shows_the_scores_of_its_recipe_and_whether_they_are_of_this_data(
    two: tuple[Path, list[Score]],
) -> None:
    project, scores = two
    folder = project / "build" / "shop_v1"
    text = write_card(folder, project / "data_cards")[0].read_text("utf-8")
    row = next(line for line in text.splitlines() if line.startswith("| 2026-11-24"))
    assert row.endswith("| 是 |")
    assert f"| {100 * scores[0].metrics['accuracy'].value:.1f} |" in row
    assert "2026-11-25" not in text
    add_score(
        project / LEDGER, scores[0].model_copy(update={"content": "0" * 64, "date": "2026-11-23T00:00:00Z"})
    )
    text = write_card(folder, project / "data_cards")[0].read_text("utf-8")
    assert next(line for line in text.splitlines() if line.startswith("| 2026-11-23")).endswith("| 否 |")


def test_card_without_scores_has_no_such_section(tmp_path: Path) -> None:
    folder = make_build(make_project(tmp_path))
    assert "## 得分" not in write_card(folder, tmp_path / "data_cards")[0].read_text("utf-8")
