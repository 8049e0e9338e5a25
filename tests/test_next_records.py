"""What should be labelled next: which records, why, and that a decision labels one in the next build."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import UserError
from datakit.library import build
from datakit.next_records import NextRecords, next_records
from tests.support.next_builds import (
    RECIPE,
    decide,
    known_rows,
    project,
    truth_of,
    unknown_rows,
    write_rows,
)


def built(recipe: Path) -> BuildFolder:
    return BuildFolder.open(build(recipe, card=False).folder)


def ids(found: NextRecords) -> list[str]:
    return [one.id for one in found.proposals]


def test_whole_round_makes_more_records_labelled(tmp_path: Path) -> None:
    recipe = project(tmp_path)
    before = built(recipe)
    assert before.main.collect().height == 12
    found = next_records(before, 6)
    assert (found.labelled, found.unlabelled, len(found.proposals)) == (12, 18, 6)
    decide(found.page(), {id_: truth_of(id_) for id_ in ids(found)}, tmp_path / "overrides.jsonl")
    again = next_records(before, 50)  # without a build: decisions since count
    assert (again.labelled, again.unlabelled) == (18, 12)
    assert set(ids(again)) & set(ids(found)) == set()
    after = built(recipe)
    records = after.main.collect()
    assert records.height == 18
    assert dict(records.select("id", "label").iter_rows())[ids(found)[0]] == truth_of(ids(found)[0])
    labelled = records.filter(pl.col("id").is_in(ids(found)))
    assert set(labelled["split"]) == {"train"}  # behind curate.split: validation stays what it was
    assert set(labelled["label_reviewed_by"]) == {"王芳"}


def test_round_works_beside_pseudo_labels(tmp_path: Path) -> None:
    recipe = project(tmp_path, steps="  - annotate.predict: {}\n  - curate.pseudo_labels: {}")
    before = built(recipe)
    found = next_records(before, 4)
    assert found.unlabelled == 18  # a predicted label is nobody's
    decide(found.page(), {id_: truth_of(id_) for id_ in ids(found)}, tmp_path / "overrides.jsonl")
    after = built(recipe).main.filter(pl.col("id").is_in(ids(found))).collect()
    assert after["label_source"].to_list() == ["reviewed"] * 4
    assert next_records(before, 50).unlabelled == 14


def test_batch_covers_every_kind_of_record_before_it_repeats_one(tmp_path: Path) -> None:
    found = next_records(built(project(tmp_path)), 6)
    texts = {row["id"]: row["text"].split("\n")[0] for row in unknown_rows()}
    kinds = [texts[id_] for id_ in ids(found)]
    assert len(set(kinds)) == 6
    assert set(kinds) == set(texts.values()) - {row["text"].split("\n")[0] for row in known_rows()}


def test_same_build_gives_the_same_whatever_the_order_of_the_source(tmp_path: Path) -> None:
    first = next_records(built(project(tmp_path / "a")), 10)
    second = next_records(built(project(tmp_path / "b", unknown=unknown_rows()[::-1])), 10)
    assert first.proposals == second.proposals


def test_every_proposal_says_why_and_the_page_says_it_in_words(tmp_path: Path) -> None:
    found = next_records(built(project(tmp_path)), 18)
    assert all(one.why for one in found.proposals)
    assert [one.worth for one in found.proposals] == sorted(
        (one.worth for one in found.proposals), reverse=True
    )
    facts = [dict(row["facts"]) for row in found.page().details()]
    assert all(fact["next_why"] for fact in facts)
    assert found.page().columns()["split_names"] == ["unlabelled"]
    assert set(found.page().labels) == {"物流页面", "退款页面", "评价页面"}


def test_no_two_of_a_group_are_proposed_and_none_that_looks_like_a_labelled_one(tmp_path: Path) -> None:
    from PIL import Image

    def picture(name: str, colour: tuple[int, int, int]) -> str:
        image = Image.new("RGB", (64, 64), colour)
        image.paste((255 - colour[0], 40, colour[2]), (8, 8, 30, 50))
        image.save(tmp_path / name)
        return name

    same = picture("same.png", (200, 10, 10)), picture("twin.png", (10, 10, 200))
    known = [
        {**row, "image": picture(f"{row['id']}.png", (9 * at, 255 - 20 * at, 90))}
        for at, row in enumerate(known_rows(6))
    ]
    known[0]["image"] = same[0]
    rows = unknown_rows(6)
    unknown = [
        {**row, "image": picture(f"{row['id']}.png", (40 * at, 30, 255 - 9 * at))}
        for at, row in enumerate(rows)
    ]
    unknown[0]["image"], unknown[1]["image"], unknown[2]["image"] = same[0], same[1], same[1]
    recipe = RECIPE.replace("image: null", "image: image").replace(
        "  - curate.split",
        "  - annotate.image_facts: {}\n  - curate.duplicates: {}\n  - curate.split",
    )
    path = project(tmp_path / "p", known, unknown, recipe=recipe)
    for row in (*known, *unknown):
        (tmp_path / "p" / str(row["image"])).write_bytes((tmp_path / str(row["image"])).read_bytes())
    found = next_records(built(path), 50)
    assert "u00" not in ids(found)
    assert len({"u01", "u02"} & set(ids(found))) == 1
    assert any("look the same as one that has a label" in note for note in found.notes)
    assert any("can be proposed, not 50" in note for note in found.notes)


def test_build_without_an_unlabelled_record_says_how_to_add_some(tmp_path: Path) -> None:
    reader = "  - read.jsonl: {path: unknown.jsonl, image: null, label: null, text: text}\n"
    with pytest.raises(UserError, match=r"every record of .* has a label") as error:
        next_records(built(project(tmp_path, recipe=RECIPE.replace(reader, ""))), 5)
    assert "read.jsonl" in error.value.remedy


def test_unlabelled_records_that_guard_label_rejects_are_told_with_the_remedy(tmp_path: Path) -> None:
    recipe = RECIPE.replace("{allow_missing: true}", "{}").replace(
        "max_reject_rate: 0.0", "max_reject_rate: 1"
    )
    with pytest.raises(UserError, match=r"guard\.label rejects 18 records") as error:
        next_records(built(project(tmp_path, recipe=recipe)), 5)
    assert "allow_missing" in error.value.remedy


def test_one_class_alone_still_gives_a_spread_of_records(tmp_path: Path) -> None:
    found = next_records(built(project(tmp_path, known_rows(4, ["物流页面"]))), 5)
    assert len(found.proposals) == 5
    assert all(not one.probabilities for one in found.proposals)
    assert any("2 of 3 labels have no labelled record" in note for note in found.notes)
    assert found.page().count == 5


def test_records_without_text_or_picture_do_not_fill_the_batch(tmp_path: Path) -> None:
    unknown = [*unknown_rows(9), *({"id": f"v{at}", "text": ""} for at in range(5))]
    found = next_records(built(project(tmp_path, unknown=unknown)), 7)
    assert 1 <= sum(id_.startswith("v") for id_ in ids(found)) <= 4


def test_one_record_without_a_label_is_proposed(tmp_path: Path) -> None:
    found = next_records(built(project(tmp_path, unknown=unknown_rows(1))), 5)
    assert ids(found) == ["u00"]


def answer(id_: str, label: str | None, **more: object) -> dict[str, object]:
    return {"id": id_, **({"predicted": label} if label else {"problem": "form"}), "model": "m", **more}


def test_model_that_contradicts_the_proxy_makes_a_record_worth_more(tmp_path: Path) -> None:
    folder = built(project(tmp_path))
    plain = next_records(folder, 18)
    sure = [one for one in plain.proposals if one.id in {"u00", "u01", "u02"}]  # texts that are labelled
    target = sure[-1]
    agreeing = {one.id: one.likeliest[0][0] for one in plain.proposals}
    other = next(label for label in ("物流页面", "退款页面", "评价页面") if label != agreeing[target.id])
    rows = [answer(id_, other if id_ == target.id else label) for id_, label in agreeing.items()]
    file = write_rows(tmp_path / "p.jsonl", rows)
    found = next_records(folder, 18, predicted=[file])
    mine = next(one for one in found.proposals if one.id == target.id)
    assert "voices_disagree" in mine.why
    assert mine.said["model"] == other
    assert ids(found).index(target.id) < ids(plain).index(target.id)
    assert any("says something of 18 of 18 records" in note for note in found.notes)
    assert found.page().columns()["predicted"] != plain.page().columns()["predicted"]


@pytest.mark.parametrize(
    "more",
    [{"predicted": "没有的类"}, {"problem": "form"}, {"predicted": "物流页面", "confidence": 0.0}],
    ids=["unknown label", "no label", "no confidence"],
)
def test_answer_that_says_no_label_changes_nothing_badly(tmp_path: Path, more: dict[str, object]) -> None:
    file = write_rows(tmp_path / "p.jsonl", [{"id": "u00", **more}])
    found = next_records(built(project(tmp_path / "p")), 18, predicted=[file])
    assert len(found.proposals) == 18
    assert all(abs(sum(one.probabilities.values()) - 1) < 1e-6 for one in found.proposals)


def test_columns_of_a_source_that_only_look_like_predictions_do_no_harm(tmp_path: Path) -> None:
    odd = {"prediction": "物流页面", "prediction_probability": -3.5, "prediction_probabilities": "[1, {"}
    unknown = [{**row, **odd} for row in unknown_rows()]
    unknown[1]["prediction_probabilities"] = json.dumps({"物流页面": "viel"}, ensure_ascii=False)
    unknown[2] |= {"prediction": None, "prediction_probability": None}
    found = next_records(built(project(tmp_path, unknown=unknown)), 18)
    assert len(found.proposals) == 18
    assert all(abs(sum(one.probabilities.values()) - 1) < 1e-6 for one in found.proposals)


def test_model_that_says_something_of_a_few_leaves_the_others_to_likeness(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "p.jsonl", [answer(f"u{at:02d}", "退款页面") for at in range(3)])
    folder = built(
        project(tmp_path / "p", known=known_rows(3, ["物流页面"]))
    )  # one class: the proxy is silent
    found = next_records(folder, 18, predicted=[file])
    assert len(found.proposals) == 18
    assert all(one.worth >= 0 for one in found.proposals)
    said = {one.id: one.probabilities for one in found.proposals}
    assert {id_ for id_, own in said.items() if own} == {"u00", "u01", "u02"}
    assert all(sum(own.values()) == pytest.approx(1) for own in said.values() if own)


def test_predictions_of_other_records_are_an_error(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "p.jsonl", [answer("k00", "物流页面")])
    with pytest.raises(UserError, match="about a record without a label"):
        next_records(built(project(tmp_path / "p")), 5, predicted=[file])


def test_overrides_before_the_split_are_told(tmp_path: Path) -> None:
    split, decisions = "  - curate.split: {val: 0.2}\n", "  - curate.overrides: {path: overrides.jsonl}\n"
    recipe = RECIPE.replace(split + decisions, decisions + split)
    found = next_records(built(project(tmp_path, recipe=recipe)), 5)
    assert any("before curate.split" in note for note in found.notes)
    assert not any(
        "before curate.split" in note for note in next_records(built(project(tmp_path / "b")), 5).notes
    )


def test_build_whose_recipe_is_gone_says_so(tmp_path: Path) -> None:
    recipe = project(tmp_path)
    folder = built(recipe)
    recipe.unlink()
    with pytest.raises(UserError, match="is gone"):
        next_records(folder, 5)


def test_recipe_that_changed_since_is_told(tmp_path: Path) -> None:
    folder = built(project(tmp_path))
    assert next_records(folder, 5).notes == ()
    write_rows(tmp_path / "unknown.jsonl", unknown_rows(12))
    found = next_records(folder, 5)
    assert found.unlabelled == 12
    assert any("is not what its recipe and files would make" in note for note in found.notes)


def test_dropped_record_is_not_proposed_again(tmp_path: Path) -> None:
    folder = built(project(tmp_path))
    found = next_records(folder, 3)
    page, id_ = found.page(), ids(found)[0]
    line = {"id": id_, "judged": page.judged_by_id[id_], "action": "drop", "who": "王芳"}
    (tmp_path / "overrides.jsonl").write_text(json.dumps(line) + "\n", "utf-8")
    assert next_records(folder, 50).unlabelled == 17
    assert id_ not in ids(next_records(folder, 50))


def test_recipe_without_a_label_file_offers_the_labels_that_were_given(tmp_path: Path) -> None:
    recipe = RECIPE.replace("labels: labels.yaml\n", "").replace(
        "  - guard.label: {allow_missing: true}\n", ""
    )
    path = project(tmp_path, recipe=recipe)
    (tmp_path / "templates" / "p.j2").write_text("这是什么？{{ text }}", "utf-8")
    page = next_records(built(path), 3).page()
    assert set(page.labels) == {"物流页面", "退款页面", "评价页面"}
    assert page.relabels


TASKS = """\
name: both
steps:
  - task:
      name: pages
      labels: labels.yaml
      steps:
        - read.jsonl: {path: known.jsonl, image: null, label: label, text: text}
        - read.jsonl: {path: unknown.jsonl, image: null, label: null, text: text}
        - guard.label: {allow_missing: true}
        - curate.overrides: {path: overrides.jsonl}
        - guard.where: {keep: label IS NOT NULL}
        - render.chat: {prompt: p.j2, answer: label_only}
  - task:
      name: others
      labels: labels.yaml
      steps:
        - read.jsonl: {path: others.jsonl, image: null, label: label, text: text}
        - guard.label: {}
        - render.chat: {prompt: p.j2, answer: label_only}
  - curate.split: {val: 0.2}
emit:
  - llamafactory: {}
run: {max_reject_rate: 0.0, store: .store, workers: 1}
"""


def test_task_of_several_is_proposed_from_alone(tmp_path: Path) -> None:
    others = [{**row, "id": f"o{row['id']}"} for row in known_rows(9)]
    path = project(tmp_path, recipe=TASKS)
    write_rows(tmp_path / "others.jsonl", others)
    folder = built(path)
    found = next_records(folder, 4, task="pages")
    assert (found.labelled, found.unlabelled) == (12, 18)
    decide(found.page(), {id_: truth_of(id_) for id_ in ids(found)}, tmp_path / "overrides.jsonl")
    assert built(path).main.collect().height == 12 + 4 + 9
    with pytest.raises(UserError, match=r"every record of .* has a label"):
        next_records(folder, 4, task="others")
    with pytest.raises(UserError, match="has 2 tasks"):
        next_records(folder, 4)
