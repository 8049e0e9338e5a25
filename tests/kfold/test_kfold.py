"""`datakit kfold`: folds that share the store, their handoff, and what is joined of their answers."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.kfold import KfoldFolder
from datakit.artifacts.predictions import Prediction, read, write
from datakit.artifacts.suspects import read_suspects
from datakit.cli import run
from tests.kfold.conftest import LABELS, Folds
from tests.support.task_builds import project as task_project


def in_val(folder: KfoldFolder, number: int) -> set[str]:
    frame = folder.build(number).main.filter(pl.col("part") == "val").select("id").collect()
    return set(frame["id"])


def test_every_record_is_predicted_by_one_fold_and_no_session_is_torn(folds: Folds) -> None:
    assert folds.go() == 0
    parts = [in_val(folds.folder, number) for number in (1, 2, 3)]
    assert sorted(id_ for part in parts for id_ in part) == [f"s{at:02d}" for at in range(18)]
    for first, second in (("s00", "s01"), ("s02", "s03"), ("s04", "s05")):
        assert sum({first, second} <= part for part in parts) == 1


def test_folds_share_the_store_and_a_second_call_makes_nothing(folds: Folds) -> None:
    first = folds.json()
    assert (first["results_made"], first["results_stored"]) == (18, 36)
    second = folds.json()
    assert (second["built"], second["results_made"]) == ([], 0)


def test_the_project_has_no_card_and_no_scores_of_folds(counted: Folds) -> None:
    assert counted.run() == 0
    project = counted.recipe.parent.parent
    assert not (project / "data_cards").exists()


def test_run_trains_asks_and_joins_all_folds_and_a_second_one_passes_all_over(counted: Folds) -> None:
    assert counted.run() == 0
    assert "Predicted out of fold: 18 of 18 records" in counted.output
    assert counted.trainings() == 3
    joined = list(read(counted.folder.predictions_file))
    assert [one.id for one in joined] == [f"s{at:02d}" for at in range(18)]
    suspects = list(read_suspects(counted.folder.suspects_file))
    assert {one.proposed for one in suspects} == {"购物车页面"}
    assert len(suspects) == 12
    assert "退款页面→购物车页面: 6 of 6 records" in counted.output
    assert counted.run() == 0
    assert counted.trainings() == 3
    assert counted.output.count("predict is passed over") == 3


def test_folds_are_trained_without_a_signature_and_the_build_of_the_recipe_is_not(counted: Folds) -> None:
    counted.edit("train: {", "run: {require_signoff: true}\ntrain: {")
    assert counted.run() == 0, counted.output
    assert counted.trainings() == 3
    assert run(["build", str(counted.recipe), "--quiet", "--no-check"]) == 0
    build = counted.recipe.parent.parent / "build" / "screens"
    assert run(["train", str(build), "--cpu"]) == 2
    assert "nobody has signed it" in counted.capsys.readouterr().err
    assert counted.trainings() == 3


def test_the_script_goes_on_where_a_fold_failed(counted: Folds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_TRAINER", "die:3")
    assert counted.run() not in (0, 3)
    assert "fold-2 of 3" not in counted.output
    assert "Go on with: datakit kfold" in counted.output
    monkeypatch.delenv("FAKE_TRAINER")
    program = counted.recipe.parent / "datakit"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m datakit.cli "$@"\n')
    program.chmod(0o755)
    words = ["--cpu", "--port", str(counted.port), "--vllm", str(counted.vllm), "--quiet"]
    done = subprocess.run(
        [str(counted.folder.script), *words],
        env={**os.environ, "DATAKIT": str(program), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "18 of 18" in done.stdout


@pytest.mark.fault(
    "folds of another seed or number lie there", "refused; --again sets them aside", kind="folders"
)
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--k", "4"), "--k 3 there, 4 here"),
        (("--set", "seed=8"), "seed 7 there, 8 here"),
        (("--limit", "9"), "--limit"),
    ],
)
def test_other_folds_are_never_mixed(folds: Folds, words: tuple[str, ...], told: str) -> None:
    folds.go()
    before = in_val(folds.folder, 1)
    assert folds.go(*words) == 2
    assert told in folds.output
    assert in_val(folds.folder, 1) == before
    assert folds.go(*words, "--again") == 0
    (kept,) = folds.folder.path.parent.glob("screens.kept-*.kfold")
    assert in_val(KfoldFolder(kept), 1) == before


def test_an_edited_recipe_makes_folds_stale_with_words(folds: Folds) -> None:
    folds.go()
    assert folds.go("--status") == 0
    assert folds.output.count("built, current") == 3
    folds.edit("ask.j2,", "ask.j2, max_chars: 900,")
    folds.go("--status")
    assert folds.output.count("stale: recipe, templates, labels or data were edited") == 3
    assert folds.go("--join") == 3
    assert "stale" in folds.output
    assert folds.json()["built"] == [1, 2, 3]


def test_a_missing_fold_is_named_and_its_records_are_counted(folds: Folds) -> None:
    folds.go()
    folds.predict(1)
    folds.predict(3)
    document = folds.json("--join")
    assert document["missing_folds"] == [2]
    assert document["unpredicted"] == {"its fold has no answers yet": len(in_val(folds.folder, 2))}
    assert document["predicted"] + sum(document["unpredicted"].values()) == document["records"] == 18
    assert folds.go("--join") == 3
    assert "--run, for fold 2" in folds.output
    folds.answers(2).parent.mkdir(parents=True, exist_ok=True)
    folds.answers(2).write_text("")
    assert folds.go("--join") == 3
    assert "--run, for the records without an answer" in folds.output


def test_label_probabilities_rank_the_suspects(folds: Folds) -> None:
    folds.go()
    wrong = {"s06": "退款页面", "s09": "退款页面"}
    for number in (1, 2, 3):
        folds.predict(number, lambda id_, label: wrong.get(id_, label))
    document = folds.json("--join")
    assert {one["id"] for one in document["suspects"]} == wrong.keys()
    assert document["clusters"] == [{"name": "购物车页面→退款页面", "records": 2, "of": 6}]
    assert document["suspects"][0]["voices"][0]["voice"] == "kfold"


@pytest.mark.fault(
    "a fold predicted ids of another build, or what it trained on", "left out and named", kind="answers"
)
def test_predictions_that_are_not_out_of_fold_are_left_out(folds: Folds) -> None:
    folds.go()
    for number in (1, 2, 3):
        folds.predict(number)
    stranger = next(iter(in_val(folds.folder, 2)))
    more = [Prediction(id=name, label=LABELS[0], predicted=LABELS[0]) for name in ("ghost", stranger)]
    write(folds.answers(1), [*read(folds.answers(1)), *more])
    document = folds.json("--join")
    assert (document["unknown"], document["misplaced"]) == (["ghost"], [stranger])
    assert document["predicted"] == 18


@pytest.mark.fault("a fold's answers say two things of a record", "refused with both places", kind="answers")
def test_two_predictions_of_a_record_are_refused_where_they_differ(folds: Folds) -> None:
    folds.go()
    for number in (1, 2, 3):
        folds.predict(number)
    first, *rest = read(folds.answers(1))
    write(folds.answers(1), [first, *rest, first])
    assert folds.json("--join")["predicted"] == 18
    other = next(name for name in LABELS if name != first.predicted)
    write(folds.answers(1), [first, *rest, first.model_copy(update={"predicted": other})])
    assert folds.go("--join") == 2
    assert f"two predictions of `{first.id}`" in folds.output


@pytest.mark.fault("answers of another training lie beside a fold's", "left out and named", kind="folders")
def test_answers_of_another_training_are_left_out(folds: Folds) -> None:
    folds.go()
    folds.predict(1)
    other = folds.folder.path / "fold-1-runs" / "lora-00000000"
    other.mkdir(parents=True)
    folds.answers(1).rename(other / "predictions_val_lora-00000000.jsonl")
    document = folds.json("--join")
    assert document["missing_folds"] == [1, 2, 3]
    folds.go("--join")
    assert "answers of other trainings are left out" in folds.output


def test_edited_predictions_are_kept_when_the_folds_are_joined_anew(folds: Folds) -> None:
    folds.go()
    for number in (1, 2, 3):
        folds.predict(number)
    folds.go("--join")
    path = folds.folder.predictions_file
    path.write_text(path.read_text("utf-8").replace("首页", "退款页面"), "utf-8")
    folds.go("--status")
    assert "the file was edited since the folds were joined" in folds.output
    folds.go("--join")
    assert "Kept: the predictions as they were edited" in folds.output
    assert len(list(folds.folder.path.glob("kfold.kept-*.jsonl"))) == 1


def test_a_label_that_changed_since_is_told_and_ranked_by_the_present_one(folds: Folds) -> None:
    folds.go()
    for number in (1, 2, 3):
        folds.predict(number)
    rows = folds.recipe.parent / "rows.jsonl"
    rows.write_text(
        rows.read_text("utf-8").replace(
            '"s06", "image": "pictures/6.png", "label": "购物车页面"',
            '"s06", "image": "pictures/6.png", "label": "首页"',
        ),
        "utf-8",
    )
    answers = {number: list(read(folds.answers(number))) for number in (1, 2, 3)}
    folds.go()
    for number, predictions in answers.items():
        write(folds.answers(number), predictions)
    document = folds.json("--join")
    # Another label may deal its record into another fold, whose model was shown it.
    assert document["relabelled"] == ["s06"] or "s06" in document["misplaced"]


def test_a_model_that_was_never_shown_a_label_is_no_voice_against_it(folds: Folds) -> None:
    rows = folds.recipe.parent / "rows.jsonl"
    rows.write_text(
        rows.read_text("utf-8").replace(
            '"s17", "image": "pictures/17.png", "label": "首页"',
            '"s17", "image": "pictures/17.png", "label": "孤页"',
        ),
        "utf-8",
    )
    (folds.recipe.parent / "labels.yaml").write_text(f"labels: [{', '.join((*LABELS, '孤页'))}]\n", "utf-8")
    folds.go()
    assert "1 class is in one fold alone" in folds.output
    for number in (1, 2, 3):
        folds.predict(number, lambda id_, label: LABELS[0] if id_ == "s17" else label)
    document = folds.json("--join")
    assert (document["unseen"], document["suspects"]) == (["s17"], [])
    assert document["judged"] == 17


def test_records_that_the_emitter_left_out_are_counted(folds: Folds) -> None:
    folds.go()
    line = {"id": next(iter(in_val(folds.folder, 1))), "name": "emit.llamafactory", "reason": "boxes_moved"}
    rejects = folds.folder.build(1).rejects_file
    rejects.write_text(json.dumps({**line, "step": 5, "state": "rejected", "detail": ""}) + "\n", "utf-8")
    for number in (1, 2, 3):
        folds.predict(number)
    write(folds.answers(1), [one for one in read(folds.answers(1)) if one.id != line["id"]])
    assert folds.json("--join")["unpredicted"] == {"left out by the emitter: boxes_moved": 1}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "  - curate.split: {val: 0.25, stratify: label, group: session, same_text: null}\n",
            "",
            "has no curate.split",
        ),
        ("group: session", "group: nothing", "nothing"),
    ],
)
def test_a_recipe_that_cannot_be_dealt_is_refused(folds: Folds, old: str, new: str, told: str) -> None:
    folds.edit(old, new)
    assert folds.go() == 2
    assert told in folds.output


def test_more_folds_than_groups_are_refused(folds: Folds) -> None:
    assert run(["kfold", str(folds.recipe), "--k", "20", "--quiet"]) == 2
    told = folds.capsys.readouterr().err
    assert "20 folds cannot be made of 18 records in 15 groups" in told
    assert re.search(r"recipes/\S+\.yaml:\d+:\d+  step \d+ \(curate\.split\)", told), told


def test_a_recipe_without_training_is_dealt_and_not_run(folds: Folds) -> None:
    folds.edit("train: {model: ./base, method: lora}\n", "")
    assert folds.go() == 0
    assert folds.run() == 2
    assert "no `train:` section" in folds.output


def test_options_that_do_not_go_together_are_refused(folds: Folds) -> None:
    assert folds.go("--run", "--join") == 2
    assert folds.go("--cpu") == 2
    assert "--cpu belongs to --run" in folds.output


def test_status_and_join_without_folds_name_the_command(folds: Folds) -> None:
    assert folds.go("--status") == 0
    assert "Next: datakit kfold" in folds.output
    assert folds.go("--join") == 2
    assert "Make them: datakit kfold" in folds.output


@pytest.mark.fault(
    "a build of folds is interrupted", "the same call goes on and pays for nothing twice", kind="signals"
)
def test_an_interrupted_call_goes_on(folds: Folds, monkeypatch: pytest.MonkeyPatch) -> None:
    import datakit.library as library

    real, calls = library.build, []

    def build(*words: object, **named: object) -> object:
        calls.append(words)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*words, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(library, "build", build)
    assert folds.go() == 130
    monkeypatch.setattr(library, "build", real)
    document = folds.json()
    assert document["built"] == [2, 3]
    assert document["results_made"] == 0


@pytest.mark.fault(
    "something else than folds lies in their place", "refused, nothing is written over", kind="folders"
)
def test_a_folder_of_something_else_is_left_alone(folds: Folds) -> None:
    folds.folder.path.mkdir(parents=True)
    (folds.folder.path / "mine.txt").write_text("mine")
    assert folds.go() == 2
    assert "holds something else than folds" in folds.output
    assert [path.name for path in folds.folder.path.iterdir()] == ["mine.txt"]


def test_predictions_of_the_folds_are_no_input_of_the_folds(folds: Folds) -> None:
    folds.edit(
        "  - curate.split",
        "  - curate.suspects: {predictions: ../build/screens.kfold/kfold.jsonl}\n  - curate.split",
    )
    assert folds.go() == 0
    for number in (1, 2, 3):
        folds.predict(number, lambda id_, label: LABELS[0])
    assert folds.go("--join") == 0
    assert folds.json()["built"] == []
    assert run(["build", str(folds.recipe), "--quiet", "--no-check"]) == 0
    build = folds.recipe.parent.parent / "build" / "screens"
    assert {one.proposed for one in read_suspects(build / "suspects.jsonl")} == {LABELS[0]}


@pytest.mark.fault("the disk is full when folds are joined", "told; what stood there stays", kind="folders")
def test_a_full_disk_is_told_and_the_last_join_stays(folds: Folds, monkeypatch: pytest.MonkeyPatch) -> None:
    folds.go()
    for number in (1, 2, 3):
        folds.predict(number)
    assert folds.go("--join") == 0
    before = folds.folder.predictions_file.read_bytes()

    def full(source: object, target: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr("datakit.artifacts.predictions.os.replace", full)
    assert folds.go("--join") == 2
    assert "kfold.jsonl" in folds.output
    assert "the same command goes on" in folds.output
    assert folds.folder.predictions_file.read_bytes() == before


PREDICTED = "  - annotate.predict: {pictures: false}\n  - curate.pseudo_labels: {}\n"


@pytest.mark.fault(
    "A recipe's pseudo-labels come from a model that was shown the labels that folds hold out",
    "`datakit kfold` refuses it, and says where the split belongs",
    kind="bounds",
)
def test_pseudo_labels_of_a_model_that_saw_held_out_labels_are_refused(folds: Folds) -> None:
    folds.edit("  - curate.split", PREDICTED + "  - curate.split")
    assert folds.go() == 2
    assert "shown the labels which the fold holds out" in folds.output
    assert "Put curate.split before annotate.predict" in folds.output


def test_pseudo_labels_behind_the_split_are_those_of_each_fold(folds: Folds) -> None:
    rows = folds.recipe.parent / "rows.jsonl"
    more = [{"id": f"u{at}", "image": f"pictures/{at}.png", "label": None} for at in range(3)]
    for at in range(3):
        Image.new("RGB", (112, 112), (5, at * 90, 200)).save(rows.parent / "pictures" / f"u{at}.png")
        more[at]["image"] = f"pictures/u{at}.png"
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in more)
    rows.write_text(rows.read_text("utf-8") + lines, "utf-8")
    folds.edit("  - render.chat", "  - annotate.predict: {}\n  - curate.pseudo_labels: {}\n  - render.chat")
    assert folds.go() == 0, folds.output
    assert "6 to be predicted, 1 without a label beside them" in folds.output
    by = {
        folds.folder.build(at).records.collect()["prediction_by"].drop_nulls().unique().item()
        for at in (1, 2, 3)
    }
    assert len(by) == 3


def test_records_that_come_with_a_predicted_label_are_told(folds: Folds) -> None:
    rows = folds.recipe.parent / "rows.jsonl"
    marked = [json.loads(line) for line in rows.read_text("utf-8").splitlines()]
    marked = [{**row, "label_source": "pseudo" if row["id"] == "s17" else "given"} for row in marked]
    rows.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in marked), "utf-8")
    assert folds.go() == 0, folds.output
    assert "1 records come with a predicted label and are trained on in every fold" in folds.output


def test_a_recipe_of_several_tasks_is_refused(folds: Folds) -> None:
    recipe = task_project(folds.recipe.parent.parent / "tasks")
    assert run(["kfold", str(recipe), "--k", "3"]) == 2


def test_an_answer_that_is_no_label_doubts_nothing(folds: Folds) -> None:
    assert folds.go() == 0
    for number in (1, 2, 3):
        folds.predict(number, lambda id_, label: "店铺页面" if id_ == "s05" else label)
    assert folds.go("--join") == 0, folds.output
    assert "Predicted without a label: 1 (label_unknown)" in folds.output
    assert "1 record predicted to be what is no label of the label file, and not ranked (s05)" in folds.output
    assert "Suspects: 0 of 17 records" in folds.output


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-0.5", "1.5"])
def test_what_is_no_probability_is_refused_with_its_line(folds: Folds, text: str) -> None:
    assert folds.go() == 0
    folds.predict(1)
    path = folds.answers(1)
    path.write_text(path.read_text("utf-8").replace("0.8", text, 1), "utf-8")
    assert folds.go("--join") == 2
    assert f"{path.name}:1" in folds.output


def _with_answers(folds: Folds, *odd: dict[str, Any]) -> dict[str, Any]:
    """What the join says where the first answers of fold 1 are changed so."""
    folds.go()
    for number in (1, 2, 3):
        folds.predict(number)
    first = list(read(folds.answers(1)))
    changed = [one.model_copy(update=more) for one, more in zip(first, odd, strict=False)]
    write(folds.answers(1), [*changed, *first[len(changed) :]])
    return folds.json("--join")


@pytest.mark.fault("a model answers by another spelling of the label", "the label", kind="answers")
def test_another_spelling_of_the_label_is_no_doubt(folds: Folds) -> None:
    names = [f"{{name: {name}, aliases: [{name}2]}}" for name in LABELS]
    (folds.recipe.parent / "labels.yaml").write_text(f"labels: [{', '.join(names)}]\n", "utf-8")
    rows = folds.recipe.parent / "rows.jsonl"
    rows.write_text(rows.read_text("utf-8").replace('"label": "首页"', '"label": "首页2"'), "utf-8")
    folds.go()
    for number in (1, 2, 3):
        folds.predict(number)
        spelt = [
            one.model_copy(
                update={
                    "predicted": f"{one.label}2".removesuffix("22") if one.label != "首页2" else "首页2",
                    "probabilities": None,
                }
            )
            for one in read(folds.answers(number))
        ]
        write(folds.answers(number), spelt)
    document = folds.json("--join")
    assert (document["suspects"], document["relabelled"], document["judged"]) == ([], [], 18)
    assert {one.predicted for one in read(folds.folder.predictions_file)} == set(LABELS)


def test_an_answer_that_does_not_say_the_truth_is_not_relabelled(folds: Folds) -> None:
    document = _with_answers(folds, {"label": None})
    assert (document["relabelled"], document["judged"]) == ([], 18)
    assert all(one.label for one in read(folds.folder.predictions_file))


@pytest.mark.fault(
    "probabilities of an answer add up to 3, are of no label, or speak against it", "named", kind="answers"
)
def test_probabilities_that_cannot_be_such_are_named(folds: Folds) -> None:
    document = _with_answers(
        folds,
        {"probabilities": dict.fromkeys(LABELS, 1.0)},
        {"probabilities": {"没有": 1.0}},
        {"predicted": LABELS[0], "probabilities": dict(zip(LABELS, (0.1, 0.2, 0.7), strict=True))},
    )
    ids = [one.id for one in read(folds.answers(1))]
    assert (document["unsound"], document["contrary"]) == (ids[:2], [ids[2]])
    assert document["without_label"] == {"probabilities": 2}
    assert document["judged"] == 16
    folds.go("--join")
    assert f"do not add up to 1: not ranked ({ids[0]}, {ids[1]})" in folds.output


def test_of_two_predictions_with_another_confidence_the_last_counts_and_is_told(folds: Folds) -> None:
    folds.go()
    for number in (1, 2, 3):
        folds.predict(number)
    first, *rest = read(folds.answers(1))
    write(folds.answers(1), [first, *rest, first.model_copy(update={"confidence": 0.01})])
    document = folds.json("--join")
    assert (document["doubled"], document["predicted"]) == ([first.id], 18)
    assert {one.id: one.confidence for one in read(folds.folder.predictions_file)}[first.id] == 0.01


SUSPECTS = "  - curate.suspects: {predictions: ../build/screens.kfold/kfold.jsonl}\n  - curate.split"


def _doubts(folds: Folds) -> tuple[set[str], dict[str, Any]]:
    """Whom a build of the recipe doubts by the folds, and what it notes of their predictions."""
    assert run(["build", str(folds.recipe), "--quiet", "--no-check"]) == 0
    folds.capsys.readouterr()
    build = BuildFolder.open(folds.recipe.parent.parent / "build" / "screens")
    return {one.id for one in build.suspects or ()}, build.notes("curate.suspects")


@pytest.mark.fault(
    "a picture is changed under the same name after its fold was asked",
    "its old prediction doubts nothing, also when the folds are joined again; named by the build",
    kind="inputs changed",
)
def test_a_picture_that_changed_since_its_fold_was_asked_is_not_judged_by_the_old_one(folds: Folds) -> None:
    folds.edit("  - curate.split", SUSPECTS)
    folds.go()
    for number in (1, 2, 3):
        folds.predict(number, lambda id_, label: LABELS[1] if id_ in ("s06", "s09") else label)
    assert folds.go("--join") == 0
    assert _doubts(folds) == ({"s06", "s09"}, _doubts(folds)[1])
    Image.new("RGB", (112, 112), (1, 2, 3)).save(folds.recipe.parent / "pictures" / "6.png")
    for _ in range(2):
        doubted, notes = _doubts(folds)
        assert doubted == {"s09"}
        assert notes["predictions"] == {"changed_since": 1}
        assert "and are not heard: s06." in notes["warnings"][0]
        assert folds.go("--join") == 0  # as the folds stand, which are of the picture before
        assert "stale" in folds.output


# The record of the folds


DAMAGED = {
    "empty": b"",
    "cut": b'{"version": 2, "recipe": "scr',
    "a list": b"[]",
    "another thing": b'{"version": 2, "weights": 3}',
    "no folds": b'{"version": 2, "recipe": "screens", "k": 0, "seed": 7}',
    "format 0": b'{"version": 0, "recipe": "screens", "k": 3, "seed": 7}',
    "not UTF-8": b"\xff\xfe\x00",
    "deep": b"[" * 100_000,
}


def _joined(folds: Folds) -> bytes:
    """The folds made, answered and joined; the predictions."""
    folds.go()
    for number in (1, 2, 3):
        folds.predict(number)
    assert folds.go("--join") == 0
    return folds.folder.predictions_file.read_bytes()


@pytest.mark.fault(
    "the record of folds (kfold.json) is empty, cut or something else",
    "an error with its name; what it says to do keeps folds, trainings and answers",
    kind="folders",
)
@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_record_is_mended_by_what_the_error_says(folds: Folds, name: str) -> None:
    before = _joined(folds)
    record = folds.folder.record_file
    record.write_bytes(DAMAGED[name])
    for way in ([], ["--status"], ["--join"]):
        assert folds.go(*way) == 2
        assert "kfold.json" in folds.output
        assert "Move this one file away" in folds.output
        assert "datakit build RECIPE" not in folds.output
    record.rename(record.with_name("kfold.json.damaged"))
    assert folds.go() == 0
    assert folds.output.count("unchanged") == 3
    assert folds.go("--join") == 0
    assert folds.folder.predictions_file.read_bytes() == before


def test_a_lost_record_is_told_with_the_command_that_writes_it_anew(folds: Folds) -> None:
    before = _joined(folds)
    folds.folder.record_file.unlink()
    for way in ("--status", "--join"):
        assert folds.go(way) == 2
        assert "kfold.json is missing" in folds.output
        assert "trainings and answers that stand there are kept: datakit kfold" in folds.output
    assert run(["kfold", str(folds.recipe), "--k", "2", "--quiet"]) == 2
    assert "fold-3 there, --k 2 here" in folds.capsys.readouterr().err
    assert folds.go() == 0
    assert folds.output.count("unchanged") == 3
    assert folds.go("--join") == 0
    assert folds.folder.predictions_file.read_bytes() == before


@pytest.mark.parametrize("text", ['{"version": 99, "votes": []}', '{"version": 2'])
def test_folds_whose_record_cannot_be_read_can_be_set_aside(folds: Folds, text: str) -> None:
    _joined(folds)
    folds.folder.record_file.write_text(text)
    assert folds.go() == 2
    assert ("Upgrade datakit" in folds.output and "--again" in folds.output) is ("99" in text)
    assert folds.go("--again") == 0
    (kept,) = folds.folder.path.parent.glob("screens.kept-*.kfold")
    assert KfoldFolder(kept).predictions_file.is_file()


def test_folds_of_another_recipe_are_never_mixed(folds: Folds) -> None:
    _joined(folds)
    record = folds.folder.record()
    assert record is not None
    record.model_copy(update={"recipe": "others"}).write(folds.folder.record_file)
    for way in ([], ["--status"], ["--join"]):
        assert folds.go(*way) == 2
        assert "recipe others there, screens here" in folds.output
    assert folds.go("--again") == 0


def test_a_record_of_format_1_is_read_and_joined_anew(folds: Folds) -> None:
    _joined(folds)
    path = folds.folder.record_file
    document = json.loads(path.read_text("utf-8"))
    del document["joined"]["asked"]
    path.write_text(json.dumps({**document, "version": 1}), "utf-8")
    assert folds.go("--status") == 0
    assert "18 of 18 records" in folds.output
    assert folds.go("--join") == 0
    record = folds.folder.record()
    assert record is not None
    assert record.joined is not None
    assert (record.version, len(record.joined.asked)) == (2, 18)


# A source with a validation part of its own


def _with_own_validation(folds: Folds, how: str) -> set[str]:
    """The source says that the last six records are for validation, of which s12 shares its session with s11;
    their ids."""
    source = folds.recipe.parent / "rows.jsonl"
    rows = [json.loads(line) for line in source.read_text("utf-8").splitlines()]
    own = {row["id"] for row in rows[12:]}
    if how == "folders":
        for row in rows:
            place = source.parent / "sets" / ("test" if row["id"] in own else "train") / row["label"]
            place.mkdir(parents=True, exist_ok=True)
            (source.parent / row["image"]).rename(place / f"{row['id']}.png")
        folds.edit(
            "read.jsonl: {path: rows.jsonl, image: image, label: label}", "read.image_folder: {path: sets}"
        )
        folds.edit("group: session, ", "")
        return own
    for row in rows:
        row["given_split"] = "test" if row["id"] in own else "train"
        row["session"] = "g9" if row["id"] in ("s11", "s12") else row["session"]
    source.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    return own


@pytest.mark.fault(
    "a source that is dealt into folds has a validation part of its own",
    "every record is judged by a fold that did not train on it or its group; the recipe's own build trains "
    "on none of that part",
    kind="bounds",
)
@pytest.mark.parametrize("how", ["column", "folders"])
def test_a_sources_own_validation_part_is_dealt_and_never_leaks(folds: Folds, how: str) -> None:
    own = _with_own_validation(folds, how)
    assert folds.go() == 0, folds.output
    assert "Of the source's own validation part: 6, dealt like any other" in folds.output
    judged: list[str] = []
    for number in (1, 2, 3):
        build = folds.folder.build(number)
        asked = {Path(id_).stem for id_ in in_val(folds.folder, number)}
        taught = {Path(row["id"]).stem for row in build.rows("train")}
        assert asked.isdisjoint(taught)
        assert len(asked | taught) == 18
        assert how == "folders" or len(asked & {"s11", "s12"}) != 1
        judged += asked
    assert sorted(judged) == [f"s{at:02d}" for at in range(18)]
    for number in (1, 2, 3):
        folds.predict(number)
    document = folds.json("--join")
    assert (document["predicted"], document["own_validation"]) == (18, 6)
    assert run(["build", str(folds.recipe), "--quiet", "--no-check"]) == 0
    whole = BuildFolder.open(folds.recipe.parent.parent / "build" / "screens")
    assert {Path(row["id"]).stem for row in whole.rows("train")}.isdisjoint(own)
    assert {Path(row["id"]).stem for row in whole.rows("val")} == own
