"""`datakit ablate`: changes that are checked before anything runs, trained once, and compared by record."""

from __future__ import annotations

import json
import random

import pytest
from PIL import Image

from datakit.artifacts.ledger import read_scores
from datakit.cli import run
from datakit.cli.cache import _builds
from datakit.core.qwen_models import qwen_model
from datakit.serving.records import split_items
from datakit.serving.requirements import prompt_tokens
from tests.ablation.conftest import Ablation

RATE = "train.learning_rate=1e-3"
SCRIPT = "<script>alert(1)</script>"
RATES = "train.learning_rate=1e-3,2e-3"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--drop", "annotate.image_fact"), "Did you mean `annotate.image_facts`?"),
        (("--set", "train.lerning_rate=1"), "Did you mean `learning_rate`?"),
        (("--set", "curate.splt.val=0.5"), "Did you mean `curate.split`?"),
        (("--drop", "curate.split"), "nothing is held out"),
        (("--drop", "render.chat"), "others depend on the step"),
        (("--drop", "read.jsonl"), "Begin with a reader"),
        (("--set", "train.seed=1"), "Train several times: --seeds"),
        (("--set", "run.concurrency=3"), "changes nothing that a model learns"),
        (("--set", "train"), "not key=value,value"),
        (("--set", "train.learning_rate=[1"), "not YAML between commas"),
        (("--set", "train.learning_rate="), "not YAML between commas"),
        (("--drop", " "), "--drop names no step"),
        ((), "no change is named"),
        (("--set", "curate.split.val=0.25"), "is what the recipe has"),
        (("--drop", "annotate.image_facts#2"), "there are 1 steps"),
    ],
)
def test_a_broken_change_is_told_before_anything_runs(
    ablation: Ablation, words: tuple[str, ...], told: str
) -> None:
    assert ablation.go(*words) == 2
    assert told in ablation.output
    assert not (ablation.project / "build").exists()


def test_a_step_on_which_others_depend_is_named_with_line_and_column(ablation: Ablation) -> None:
    assert ablation.go("--drop", "render.chat") == 2
    assert "screens.yaml:8:" in ablation.output
    assert "column `messages` is given by no earlier step" in ablation.output


@pytest.mark.parametrize(
    "words",
    [("--run", "--join"), ("--part", "1/2"), ("--run", "--part", "3/2"), ("--cpu",), ("--plan", "--again")],
)
def test_options_that_do_not_go_together_are_refused(ablation: Ablation, words: tuple[str, ...]) -> None:
    assert ablation.go("--set", RATE, *words) == 2


def test_a_plan_makes_nothing(ablation: Ablation) -> None:
    assert ablation.go("--set", RATES, "--seeds", "2", "--plan") == 0
    assert "Trainings: 6 (3 recipes, 2 of each)" in ablation.output
    assert not ablation.folder.path.exists()


def test_builds_share_the_store_and_power_is_said_before_anything_is_trained(ablation: Ablation) -> None:
    first = ablation.json("--set", RATES)
    assert (first["results_made"], first["results_stored"]) == (18, 36)
    assert first["power"]["records"] == 4
    assert ablation.json("--set", RATES)["results_made"] == 0
    ablation.go()
    assert "held-out records and 2 comparisons" in ablation.output
    assert ablation.trainings() == 0


def test_a_change_that_trains_the_same_rows_in_the_same_way_is_left_out(ablation: Ablation) -> None:
    assert ablation.go("--drop", "annotate.image_facts", "--set", RATE) == 0
    assert "without annotate.image_facts trains the same rows in the same way as the base" in ablation.output
    assert [job.change.words for job in ablation.jobs] == ["", "train.learning_rate = 1e-3"]


@pytest.mark.fault(
    "two changes of an ablation are one, spelled in two ways", "trained and counted once, told", kind="bounds"
)
def test_two_changes_that_train_in_the_same_way_are_one_comparison(ablation: Ablation) -> None:
    assert ablation.go("--set", "train.learning_rate=1e-3,0.001,2e-3", "--set", RATE) == 0
    assert "0.001 trains the same rows in the same way as train.learning_rate = 1e-3" in ablation.output
    assert [job.change.words for job in ablation.jobs] == [
        "",
        "train.learning_rate = 1e-3",
        "train.learning_rate = 2e-3",
    ]
    assert "held-out records and 2 comparisons" in ablation.output


def test_later_changes_join_those_that_stand_there(ablation: Ablation) -> None:
    ablation.go("--set", RATE)
    ablation.go("--set", "train.learning_rate=2e-3", "--seeds", "2")
    assert len(ablation.jobs) == 6
    assert ablation.go("--set", RATE, "--limit", "9") == 2
    assert "--again" in ablation.output
    assert ablation.go("--set", RATE, "--limit", "9", "--again") == 0
    assert len(ablation.jobs) == 2
    assert len(list(ablation.folder.path.parent.glob("screens.kept-*.ablate"))) == 1


def test_seeds_differ_where_a_change_replaces_the_whole_training(ablation: Ablation) -> None:
    assert ablation.go("--set", "train={model: ./base, method: lora, seed: 5}", "--seeds", "2") == 2
    assert "trains the same rows" in ablation.output
    ablation.go(
        "--set", "train={model: ./base, method: lora, seed: 5, lora_rank: 4}", "--seeds", "2", "--again"
    )
    assert [ablation.folder.build(job).training["seed"] for job in ablation.jobs] == [42, 42, 43, 43]


def test_results_that_only_a_change_uses_are_in_use(ablation: Ablation) -> None:
    ablation.go("--set", RATE)
    names = [build.path.name for build in _builds(ablation.project)]
    assert [job.path.name for job in ablation.jobs] == sorted(names)


def test_every_seed_trains_with_its_own_and_holds_out_the_same_records(ablation: Ablation) -> None:
    ablation.go("--set", RATE, "--seeds", "2")
    builds = [ablation.folder.build(job) for job in ablation.jobs]
    assert [build.training["seed"] for build in builds] == [42, 42, 43, 43]
    parts = [set(build.main.filter(part="val").select("id").collect()["id"]) for build in builds]
    assert all(part == parts[0] for part in parts)


def large(ablation: Ablation, records: int = 180) -> None:
    """Makes the recipe's source larger, with more than half of it held out."""
    path = ablation.recipe.parent / "rows.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    draw = random.Random(7)
    for at in range(records):
        image = f"pictures/more-{at}.png"
        size = (8, 8)
        pixels = bytes(draw.randrange(256) for _ in range(3 * size[0] * size[1]))
        drawn = Image.frombytes("RGB", size, pixels).resize((112, 112), Image.Resampling.NEAREST)
        drawn.save(ablation.recipe.parent / image)
        rows.append({**rows[at % 18], "id": f"m{at:03d}", "session": None, "image": image})
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text(lines + "\n", "utf-8")
    ablation.folds.edit("val: 0.25", "val: 0.6")


def test_answers_are_compared_by_record_and_entered_once_in_the_ledger(ablation: Ablation) -> None:
    large(ablation)
    ablation.go("--set", RATES)
    ablation.answer(lambda job, at: at % 10 < (6 if "1e-3" in job.path.name else 9) or at % 40 == 39)
    document = ablation.json("--join")
    first, second = document["changes"]
    assert (first["verdict"], second["verdict"]) == ("hurts", "noise")
    assert first["difference"]["accuracy"]["high"] < 0 == second["difference"]["accuracy"]["value"]
    assert first["p_holm"] == pytest.approx(2 * first["p"])
    assert document["power"]["discordant_observed"]
    ledger = ablation.project / "data_cards" / "scores.jsonl"
    lines = read_scores(ledger)
    assert [line.change for line in lines] == ["", "train.learning_rate = 1e-3", "train.learning_rate = 2e-3"]
    assert lines[1].ablation is not None
    assert (lines[1].ablation.verdict, lines[1].ablation.comparisons) == ("hurts", 2)
    before = ledger.read_bytes()
    assert ablation.go("--join") == 0
    assert ledger.read_bytes() == before
    assert "hurts" in ablation.output
    assert "the luck of a training is in no interval" in ablation.output


def test_the_card_shows_the_ablation_and_its_plot_and_no_score_of_a_change(ablation: Ablation) -> None:
    assert run(["build", str(ablation.recipe), "--quiet"]) == 0
    ablation.go("--set", RATE, "--set", f"train.lora_target={SCRIPT}")
    ablation.answer(lambda job, at: True)
    assert ablation.go("--join") == 0
    card = (ablation.project / "data_cards" / "screens.md").read_text("utf-8")
    assert "## 消融实验" in card
    assert "train.learning_rate = 1e-3" in card
    assert "## 得分" not in card
    assert list((ablation.project / "data_cards" / "screens").glob("*ablation*.svg"))
    page = (ablation.project / "data_cards" / "screens.html").read_text("utf-8")
    assert "ablation" in page
    assert SCRIPT not in page
    assert SCRIPT not in card


@pytest.mark.fault("trainings of an ablation have no answers", "named, the others compared", kind="answers")
def test_trainings_without_answers_are_named_and_the_others_compared(ablation: Ablation) -> None:
    ablation.go("--set", RATES)
    ablation.answer(lambda job, at: True)
    last = ablation.jobs[-1]
    for path in ablation.folder.path.glob(f"{last.path.name}-runs/*/predictions*"):
        path.unlink()
    document = ablation.json("--join")
    assert document["unanswered"] == [last.path.name]
    assert len(document["changes"]) == 1
    assert ablation.go("--join") == 3
    assert f"Not answered yet: {last.path.name}" in ablation.output


@pytest.mark.fault("a training's file of answers is empty or cut", "refused with its path", kind="answers")
@pytest.mark.parametrize("text", ["", '{"id": "s0'])
def test_a_damaged_file_of_answers_is_named(ablation: Ablation, text: str) -> None:
    ablation.go("--set", RATE)
    ablation.answer(lambda job, at: True)
    (path,) = ablation.folder.path.glob(f"{ablation.jobs[-1].path.name}-runs/*/predictions*")
    path.write_text(text)
    assert ablation.go("--join") == 2
    assert str(path) in ablation.output
    assert not (ablation.project / "data_cards").exists()


@pytest.mark.fault("a change holds out other records than the base", "not compared, named", kind="answers")
def test_a_change_that_holds_out_other_records_is_compared_with_nothing(ablation: Ablation) -> None:
    large(ablation)
    ablation.go("--set", RATE, "--set", "curate.split.val=0.05")
    ablation.answer(lambda job, at: True)
    document = ablation.json("--join")
    assert [change["change"] for change in document["changes"]] == ["train.learning_rate = 1e-3"]
    assert any("curate.split.val = 0.05 is not compared" in note for note in document["notes"])


def test_over_the_budget_nothing_is_trained_and_the_changes_that_fit_are_named(ablation: Ablation) -> None:
    ablation.folds.edit("./base", "Qwen/Qwen2.5-VL-7B-Instruct")
    assert ablation.go("--set", RATES, "--budget-gpu-h", "0.25", "--run", "--cpu") == 4
    assert "With it fit: train.learning_rate = 1e-3" in ablation.output
    assert "Not: train.learning_rate = 2e-3" in ablation.output
    assert ablation.trainings() == 0


def test_run_trains_asks_and_compares_and_a_second_one_passes_all_over(
    ablation: Ablation, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted(ablation, monkeypatch)
    assert ablation.run() == 0
    assert ablation.trainings() == 2
    assert "noise" in ablation.output
    assert "Next:" in ablation.output
    assert ablation.run() == 0
    assert ablation.trainings() == 2
    assert ablation.output.count("predict is passed over") == 2
    assert "all 2 trainings are done" in ablation.output


def test_builds_of_an_ablation_are_trained_without_a_signature(
    ablation: Ablation, monkeypatch: pytest.MonkeyPatch
) -> None:
    ablation.folds.edit("train: {", "run: {require_signoff: true}\ntrain: {")
    counted(ablation, monkeypatch)
    assert ablation.run() == 0, ablation.output
    assert ablation.trainings() == 2


def test_parts_share_the_trainings_out_and_join_compares_them(
    ablation: Ablation, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted(ablation, monkeypatch)
    assert ablation.run("--part", "1/2") == 0
    assert ablation.trainings() == 1
    assert ablation.go("--join") == 3
    assert ablation.run("--part", "2/2") == 0
    assert ablation.trainings() == 2
    assert ablation.go("--join") == 0


def test_a_failed_training_ends_the_run_and_the_same_command_goes_on(
    ablation: Ablation, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted(ablation, monkeypatch)
    monkeypatch.setenv("FAKE_TRAINER", "die:3")
    assert ablation.run() not in (0, 3)
    assert "Go on with: datakit ablate" in ablation.output
    monkeypatch.delenv("FAKE_TRAINER")
    assert ablation.run() == 0


def counted(ablation: Ablation, monkeypatch: pytest.MonkeyPatch) -> None:
    """The builds, and a server that counts the tokens of their prompts as the training does."""
    assert ablation.go("--set", RATE) == 0
    build = ablation.folder.build(ablation.jobs[0])
    item = split_items(build, "val")[0]
    model = qwen_model(str(build.training["model_name_or_path"]))
    count = prompt_tokens(build, item.messages, tuple(map(str, item.images)), model)
    monkeypatch.setenv("FAKE_PROMPT_TOKENS", str(count))
