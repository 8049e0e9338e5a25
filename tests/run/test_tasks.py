"""Several tasks of one project side by side: one data set, one split, and each task by itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.predictions import Prediction
from datakit.artifacts.predictions import write as write_predictions
from datakit.artifacts.tasks import of_task
from datakit.cards.write import make_card
from datakit.cli.review import overrides_file, unread
from datakit.core.errors import DatakitError, RecipeErrors, UserError
from datakit.core.judged import judged
from datakit.library import build, load
from datakit.reviewing.chosen import Choice, chosen
from datakit.run.plan import plan
from datakit.verdict import records_of, verdict
from tests.support.task_builds import MOODS, RECIPE, TOPICS, moods, project, topics, write


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> BuildFolder:
    return BuildFolder(build(project(tmp_path_factory.mktemp("both"))).folder)


def test_one_data_set_has_the_records_of_all_tasks_in_their_order(both: BuildFolder) -> None:
    records = both.records.collect()
    assert records["task"].to_list() == ["topics"] * 12 + ["moods"] * 24
    prompts = {row["id"]: row["messages"][1]["content"] for row in both.rows("train", "val")}
    assert prompts.keys() == {row["id"] for row in (*topics(), *moods())}
    assert all("物流\n退款\n其他" in prompts[row["id"]] for row in topics())
    assert all("平静\n生气\n其他" in prompts[row["id"]] for row in moods())
    answers = {row["id"]: row["messages"][2]["content"] for row in both.rows("train", "val")}
    assert answers["t0"] == "物流"
    assert answers["m0"] == "类别：平静\n理由：用户说的话里有第0个线索"


def test_a_picture_of_two_tasks_never_stands_in_training_and_validation(both: BuildFolder) -> None:
    shown = both.records.explode("images").drop_nulls("images").collect()
    sides = shown.group_by("images").agg(pl.col("split").n_unique(), pl.col("task").n_unique())
    assert sides["task"].to_list() == [2] * 6
    assert sides["split"].to_list() == [1] * 6
    assert set(both.records.collect()["split"]) == {"train", "val"}


def test_each_class_of_each_task_is_tested_though_two_share_a_name(both: BuildFolder) -> None:
    val = both.records.filter(pl.col("part") == "val").select("task", "label").unique().collect()
    assert set(val.rows()) == {("topics", label) for label in TOPICS} | {("moods", label) for label in MOODS}


def test_steps_account_for_their_own_task(both: BuildFolder) -> None:
    steps = [(step.title, step.records_in, step.records_out) for step in both.report.steps]
    assert steps[:4] == [
        ("topics: read.jsonl", 0, 12),
        ("topics: guard.label", 12, 12),
        ("topics: render.chat", 12, 12),
        ("moods: read.jsonl", 0, 24),
    ]
    assert steps[-2:] == [("curate.split", 36, 36), ("emit.llamafactory", 36, 36)]
    assert all(step.balanced for step in both.report.steps)


def test_what_one_task_loses_another_cannot_make_up_for(both: BuildFolder, tmp_path: Path) -> None:
    shutil.copytree(both.path, tmp_path / "both")
    build = BuildFolder(tmp_path / "both")
    report = build.report
    for step in report.steps:
        if step.name == "guard.label":
            step.records_out += 3 if step.task == "topics" else -3
    (build.path / "report.json").write_bytes(report.to_json())
    (finding,) = (one for one in verdict(BuildFolder(build.path)) if one.kind == "unbalanced")
    assert (finding.state, finding.count) == ("failed", 2)
    assert finding.words == "not in step 2 (topics: guard.label), 5 (moods: guard.label)"


def test_each_task_is_a_build_of_its_own_labels_answers_and_records(both: BuildFolder) -> None:
    own_topics, own_moods = both.tasks
    assert own_topics.labels is not None
    assert own_moods.labels is not None
    assert (own_topics.labels.names, own_moods.labels.names) == (TOPICS, MOODS)
    assert own_moods.answer_format.parse("类别：生气\n理由：x", own_moods.labels).label == "生气"
    assert own_topics.records.collect()["id"].to_list() == [row["id"] for row in topics()]
    assert {row["id"] for row in own_moods.rows("train", "val")} == {row["id"] for row in moods()}
    assert "reason" not in own_topics.columns
    pictures = [path for row in own_moods.rows("train", "val") for path in row["images"]]
    assert len(pictures) == 6
    assert all((own_moods.path / path).is_file() for path in pictures)
    assert [step["name"] for step in map(dict, own_moods.manifest.steps)] == []
    assert own_moods.parameters("render.chat")["answer"] == "label_first"
    assert own_moods.whole is not None
    assert own_moods.whole.path == both.path
    assert both.whole is None


def test_a_task_that_is_not_named_or_not_there_is_told_with_those_there_are(both: BuildFolder) -> None:
    with pytest.raises(UserError, match="2 tasks") as error:
        of_task(both, None)
    assert error.value.remedy == "Name one: --task topics. Tasks: topics, moods."
    with pytest.raises(UserError, match="no task `mood`") as error:
        of_task(both, "mood")
    assert "Did you mean `moods`?" in error.value.remedy
    assert of_task(both, "moods").path == both.tasks[1].path
    with pytest.raises(UserError, match="one task, without a name"):
        of_task(both.tasks[0], "moods")


def test_the_card_has_the_tasks_and_the_classes_of_each(both: BuildFolder) -> None:
    card = (both.path.parents[1] / "data_cards" / "both.md").read_text("utf-8")
    for words in ("## Tasks", "| topics | 3 | 9 | 3 | 9 |", "## Classes of topics", "## Classes of moods"):
        assert words in card
    assert "untested" not in card


def test_an_unchanged_recipe_keeps_its_build_and_an_edited_label_file_does_not(
    tmp_path: Path,
) -> None:
    recipe = project(tmp_path)
    assert not build(recipe, card=False).report.reused
    assert build(recipe, card=False).report.reused
    assert plan(load(recipe)).unchanged
    labels = tmp_path / "moods.yaml"
    labels.write_text(labels.read_text("utf-8").replace("关于生气", "说到生气"), "utf-8")
    assert not build(recipe, card=False).report.reused


def test_a_block_goes_on_with_its_task_behind_steps_of_all(tmp_path: Path) -> None:
    text = RECIPE.replace("        - render.chat: {prompt: mood.j2, answer: label_first}\n", "").replace(
        "emit:",
        "  - task:\n      name: moods\n      steps:\n        - balance.resample: {strategy: uniform}\n"
        "        - render.chat: {prompt: mood.j2, answer: label_first}\nemit:",
    )
    made = BuildFolder(build(project(tmp_path, text), card=False).folder)
    records = made.records.collect()
    assert records["task"].to_list() == ["topics"] * 12 + ["moods"] * 24
    assert records.filter(pl.col("task") == "topics")["repeat"].to_list() == [1] * 12
    assert len(list(made.tasks[1].rows("train", "val"))) == 24


@pytest.mark.fault(
    "a record of one task has the id of one of another",
    "the later one is rejected as duplicate_id, counted and listed; over run.max_reject_rate the build fails",
    kind="bounds",
)
def test_one_id_in_two_tasks_is_a_reject_with_its_place(tmp_path: Path) -> None:
    recipe = project(tmp_path)
    rows = moods()
    write(tmp_path / "moods.jsonl", [{**rows[0], "id": "t0"}, *rows[1:]])
    with pytest.raises(DatakitError, match="duplicate_id 1"):
        build(recipe, card=False)
    made = build(recipe, overrides=["run.max_reject_rate=0.1"], card=False)
    reads = [step for step in made.report.steps if step.name == "read.jsonl"]
    assert [step.rejected for step in reads] == [{}, {"duplicate_id": 1}]
    assert BuildFolder(made.folder).tasks[1].report.rejected == 1


@pytest.mark.fault(
    "one small task of several loses most of its records, of all records a few",
    "the build fails and names the task with its share: run.max_reject_rate holds for each task",
    kind="bounds",
)
def test_a_small_task_that_loses_its_records_does_not_hide_behind_a_large_one(tmp_path: Path) -> None:
    recipe = project(tmp_path)
    many = [{**row, "id": f"{at}-{row['id']}"} for at in range(130) for row in topics()]
    write(tmp_path / "topics.jsonl", many)
    write(
        tmp_path / "moods.jsonl",
        [{**row, "label": "不认识"} if at else row for at, row in enumerate(moods())],
    )
    with pytest.raises(DatakitError, match="23 of 24 records of the task moods were rejected"):
        build(recipe, card=False)


@pytest.mark.parametrize(
    ("rows", "words"),
    [([], "moods: read.jsonl"), ([{**row, "label": "不认识"} for row in moods()], "moods: guard.label")],
)
@pytest.mark.fault(
    "one of several tasks has no record left", "the build ends and names the task's step", kind="bounds"
)
def test_a_task_without_records_ends_the_build(
    tmp_path: Path, rows: list[dict[str, object]], words: str
) -> None:
    recipe = project(tmp_path)
    write(tmp_path / "moods.jsonl", rows)
    with pytest.raises(DatakitError, match=words):
        build(recipe, overrides=["run.max_reject_rate=1"], card=False)


def test_a_source_with_a_column_task_or_of_another_type_is_told_at_once(
    tmp_path: Path,
) -> None:
    recipe = project(tmp_path)
    write(tmp_path / "moods.jsonl", [{**row, "task": "x"} for row in moods()])
    with pytest.raises(RecipeErrors, match="has a column `task`"):
        build(recipe, card=False)
    write(tmp_path / "moods.jsonl", [{**row, "score": 1} for row in moods()])
    write(tmp_path / "topics.jsonl", [{**row, "score": "many"} for row in topics()])
    with pytest.raises(RecipeErrors, match="`score` is Int64 here and String in another task"):
        build(recipe, card=False)


def test_a_column_of_another_task_is_no_column_of_this_one(tmp_path: Path) -> None:
    text = RECIPE.replace("prompt: topic.j2", "prompt: reasoned.j2")
    recipe = project(tmp_path, text.replace("answer: label_only", "answer: label_only, max_chars: null"))
    (tmp_path / "templates" / "reasoned.j2").write_text("{{ label_names }}{{ clue }}", "utf-8")
    write(tmp_path / "moods.jsonl", [{**row, "clue": "x"} for row in moods()])
    with pytest.raises(RecipeErrors, match="`clue`"):
        build(recipe, card=False)


def test_where_drops_of_one_task_are_counted_and_never_fail_the_build(tmp_path: Path) -> None:
    text = RECIPE.replace(
        "        - render.chat: {prompt: mood.j2",
        "        - guard.where: {keep: \"label != '其他'\"}\n        - render.chat: {prompt: mood.j2",
    )
    made = build(project(tmp_path, text), overrides=["run.max_reject_rate=0"], card=False)
    step = next(step for step in made.report.steps if step.name == "guard.where")
    assert (step.title, step.rejected, step.records_out) == ("moods: guard.where", {"where": 8}, 16)
    lines = [json.loads(line) for line in (made.folder / "rejects.jsonl").read_text("utf-8").splitlines()]
    assert {line["reason"] for line in lines} == {"where"}
    assert all(line["detail"] == "not true: label != '其他'" for line in lines)


DOUBTING = RECIPE.replace(
    "        - guard.label: {}\n",
    "        - guard.label: {}\n        - curate.label_noise: {texts: text, images: false}\n"
    "        - curate.suspects: {}\n",
)


def test_each_task_has_its_own_suspects_and_the_verdict_counts_each_by_itself(tmp_path: Path) -> None:
    path = project(tmp_path, DOUBTING)
    more = [
        {**row, "id": f"{row['id']}-{at}", "text": f"{row['text']}再问{at}"}
        for row in topics()
        for at in "ab"
    ]
    write(tmp_path / "topics.jsonl", [*topics(), *more, {**topics()[1], "id": "x", "label": TOPICS[2]}])
    made = BuildFolder(build(path).folder)
    own_topics, own_moods = made.tasks
    assert made.suspects is not None
    assert own_topics.suspects is not None
    assert own_moods.suspects is not None
    assert own_topics.suspects[0].id == "x"
    assert all(one.id[0] in "tx" and not one.task for one in own_topics.suspects)
    assert [one.rank for one in own_topics.suspects] == list(range(1, len(own_topics.suspects) + 1))
    assert len(made.suspects) == len(own_topics.suspects) + len(own_moods.suspects)
    assert {one.task for one in made.suspects} <= {"topics", "moods"}
    finding = next(line for line in made.report.verdict if line.kind == "label_doubted")
    assert finding.count == len(made.suspects)
    assert f"topics: {len(own_topics.suspects)} of 37 are" in finding.words
    titles = [section.title for section in make_card(made).sections]
    assert titles.count("Doubted labels of topics") == 1
    chosen_records, _ = chosen(own_topics, Choice(findings=("label_doubted",)))
    assert set(chosen_records["id"]) == {one.id for one in own_topics.suspects}


@pytest.mark.fault(
    "a file of predictions that several tasks read has ids of no task",
    "told once, by the last of them; ids of another task are none",
    kind="inputs changed",
)
@pytest.mark.parametrize("strays", [[], ["ghost", "nobody"]])
def test_tasks_that_share_a_file_of_predictions_each_meet_their_own(
    tmp_path: Path, strays: list[str]
) -> None:
    step = "        - guard.label: {}\n        - curate.suspects: {predictions: ../kfold.jsonl}\n"
    path = project(tmp_path, RECIPE.replace("        - guard.label: {}\n", step))
    rows = [*topics(), *moods()]
    told = [
        Prediction(id=str(row["id"]), label=str(row["label"]), predicted="其他", confidence=0.9)
        for row in rows
    ]
    told += [Prediction(id=id_, label="其他", predicted="其他") for id_ in strays]
    write_predictions(tmp_path / "kfold.jsonl", told)
    made = build(path, card=False)
    steps = [one for one in made.report.steps if one.name == "curate.suspects"]
    assert [step.notes["predictions"] for step in steps] == [{}, {"unknown_ids": 2} if strays else {}]
    warned = [words for step in steps for words in step.notes["warnings"] if "no record has" in words]
    assert [words.partition(": ")[2] for words in warned] == (
        ["2 predictions are of ids that no record has: ghost, nobody"] if strays else []
    )
    found = BuildFolder(made.folder).suspects
    assert found is not None
    assert {one.id for one in found} == {str(row["id"]) for row in rows if row["label"] != "其他"}


@pytest.mark.parametrize(
    "step",
    [
        "curate.label_noise: {}",
        "curate.suspects: {}",
        "annotate.predict: {}",
        "curate.pseudo_labels: {}",
        "curate.overrides: {path: ../decisions.jsonl}",
        "balance.resample: {}",
        "guard.label: {}",
        "guard.reason: {}",
        "annotate.reason: {template: mood.j2}",
    ],
)
@pytest.mark.fault(
    "A step that goes by labels stands behind the blocks of several tasks",
    "The recipe is refused, and the step belongs into each block",
    kind="bounds",
)
def test_a_step_that_goes_by_labels_is_refused_outside_of_the_blocks(tmp_path: Path, step: str) -> None:
    with pytest.raises(RecipeErrors, match="stands outside of the tasks, and would mix up their classes"):
        load(project(tmp_path, RECIPE.replace("  - curate.split", f"  - {step}\n  - curate.split")))


SAME_PICTURES = """\
name: both
steps:
  - task: {name: topics, labels: ../topics.yaml, steps: [read.jsonl: {path: ../topics.jsonl, text: null}]}
  - task: {name: moods, labels: ../moods.yaml, steps: [read.jsonl: {path: ../moods.jsonl, text: null}]}
  - annotate.image_facts: {}
  - curate.duplicates: {drop: %s}
  - curate.split: {val: 0.25, group: shares_picture_with}
  - task: {name: topics, steps: [render.chat: {prompt: seen.j2, answer: label_only}]}
  - task: {name: moods, steps: [render.chat: {prompt: seen.j2, answer: label_only}]}
emit: [llamafactory: {}]
run: {max_reject_rate: 1.0}
"""


@pytest.mark.fault(
    "two tasks show one picture, with other labels or the same",
    "no conflict and no duplicate; the records share a picture",
    kind="answers",
)
@pytest.mark.parametrize("drop", ["none", "alike"])
def test_one_picture_in_two_tasks_is_no_conflict_and_no_duplicate(tmp_path: Path, drop: str) -> None:
    path = project(tmp_path, SAME_PICTURES % drop)
    (tmp_path / "templates" / "seen.j2").write_text("<image>{{ label_names }}{{ answer_format }}", "utf-8")
    for name, labels in (("topics", TOPICS), ("moods", MOODS)):
        rows = [
            {"id": f"{name}{at}", "image": f"{at}.jpg", "label": "其他" if at == 5 else labels[at % 2]}
            for at in range(6)
        ]
        rows += [{**rows[0], "id": f"{name}-torn", "label": labels[1]}, {**rows[5], "id": f"{name}-twice"}]
        write(tmp_path / f"{name}.jsonl", rows)
    made = build(path, card=False)
    (step,) = (step for step in made.report.steps if step.name == "curate.duplicates")
    assert (step.notes["label_conflicts"], step.notes["groups_of_duplicates"]) == (2, 4)
    assert step.rejected == ({"duplicate": 2} if drop == "alike" else {})
    records = {row["id"]: row for row in BuildFolder(made.folder).records.collect().to_dicts()}
    assert ("topics5" in records) == (drop == "none")
    assert records["topics-twice"]["duplicate_of"] == "topics-twice"
    assert records["moods-twice"]["shares_picture_with"] == records["topics-twice"]["shares_picture_with"]
    assert records["moods-torn"]["review"] == "another label on the same picture: 平静 (moods0)"
    assert {id_ for id_, row in records.items() if row["review"]} == {
        f"{name}{which}" for name in ("moods", "topics") for which in ("0", "-torn")
    }
    assert [line.count for line in made.report.verdict if line.kind == "label_conflict"] == [4]


def test_tasks_that_share_a_file_of_decisions_each_meet_their_own(tmp_path: Path) -> None:
    step = "        - guard.label: {}\n        - curate.overrides: {path: ../decisions.jsonl}\n"
    path = project(tmp_path, RECIPE.replace("        - guard.label: {}\n", step))
    topic, mood = topics()[6], moods()[6]
    decisions = [
        {"id": topic["id"], "judged": judged(topic["label"], [], [topic["text"]]), "new": "退款"},
        {"id": mood["id"], "judged": judged(mood["label"], [], [mood["dialogue"]]), "new": "生气"},
        {"id": "nobody", "judged": "0" * 32, "new": "退款"},
    ]
    write(tmp_path / "decisions.jsonl", [{"action": "relabel", "who": "王", **row} for row in decisions])
    made = BuildFolder(build(path).folder)
    labels = dict(made.records.select("id", "label").collect().iter_rows())
    assert (labels[topic["id"]], labels[mood["id"]]) == ("退款", "生气")
    finding = next(line for line in made.report.verdict if line.kind == "override_not_applied")
    assert (finding.count, finding.words) == (1, "1 of 3 was not: 1 about no record that comes to the step")
    found, shown = records_of(made, "override_not_applied")
    assert found.count == 1
    assert shown is not None
    assert shown.collect()["id"].to_list() == ["nobody"]


def test_a_review_of_a_task_says_which_block_is_to_read_its_decisions(tmp_path: Path) -> None:
    step = "        - guard.label: {}\n        - curate.overrides: {path: ../decisions.jsonl}\n"
    path = project(tmp_path, RECIPE.replace("        - guard.label: {}\n", step, 1))
    write(tmp_path / "decisions.jsonl", [])
    own_topics, own_moods = BuildFolder(build(path).folder).tasks
    assert overrides_file(own_topics) == tmp_path / "decisions.jsonl"
    assert unread(own_topics, overrides_file(own_topics)) == ""
    told = unread(own_moods, overrides_file(own_moods))
    assert "in the block of the task moods" in told
    assert "{path: ../overrides/both.moods.jsonl}" in told


@pytest.mark.parametrize(
    ("step", "fails"),
    [("guard.where: {keep: \"label != '其他'\"}", False), ("guard.prompt_length: {max_chars: 40}", True)],
)
def test_a_build_fails_on_rejected_records_and_not_on_those_that_the_recipe_drops(
    tmp_path: Path, step: str, *, fails: bool
) -> None:
    text = RECIPE.replace(
        "        - guard.label: {}\n", f"        - guard.label: {{}}\n        - {step}\n", 1
    )
    if fails:
        text = text.replace(f"        - {step}\n", "").replace(
            "answer: label_only}\n", f"answer: label_only}}\n        - {step}\n", 1
        )
    path = project(tmp_path, text + "run: {fail_on: [rejected], max_reject_rate: 1.0}\n")
    row = {**topics()[0], "id": "long", "text": "长" * 60}
    write(tmp_path / "topics.jsonl", [*topics(), row])
    if fails:
        with pytest.raises(DatakitError, match="fail_on"):
            build(path)
    else:
        assert build(path).report.steps[2].rejected == {"where": 4}
