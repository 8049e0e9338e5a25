"""The loop of recipes/ecom_loop.yaml on the example: what was planted is doubted, decided, repaired and used.

The texts are the truth of the pictures' text in place of OCR, which takes a minute and reads nearly the same.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import polars as pl
import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.overrides import read_overrides
from datakit.cards.overview import NOTE_CHARS, shortened
from datakit.cards.write import make_card
from datakit.library import build
from datakit.next_records import next_records
from datakit.pages.layout import render_markdown
from datakit.reviewing.chosen import Choice, chosen

ROOT = Path(__file__).resolve().parent.parent
ECOM = ROOT / "examples" / "ecom"


def rows(name: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in (ECOM / name).read_text("utf-8").splitlines()]


RIGHT = {str(row["id"]): str(row["label"]) for row in rows("ground_truth.jsonl")}
PLANTED = {str(row["id"]) for row in rows("train_noisy.jsonl") if row["label"] != RIGHT[str(row["id"])]}


@pytest.mark.parametrize("page", ["docs/tutorials/loop.md", "docs/zh/tutorials/loop.md"])
def test_tutorial_quotes_a_decision_as_it_stands_in_the_example(page: str) -> None:
    quoted = [line for line in (ROOT / page).read_text("utf-8").splitlines() if '"judged"' in line]
    assert quoted
    assert {*quoted} <= {*(ECOM / "overrides.jsonl").read_text("utf-8").splitlines()}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped recipe, templates and example, its rows with their texts and no OCR."""
    folder = tmp_path_factory.mktemp("loop")
    shutil.copytree(ROOT / "templates", folder / "templates")
    ecom = folder / "examples" / "ecom"
    ecom.mkdir(parents=True)
    shutil.copytree(ECOM / "images", ecom / "images", copy_function=os.link)
    shutil.copy(ECOM / "overrides.jsonl", ecom)
    texts = {
        row["id"]: "\n".join(line["text"] for line in row["lines"]) for row in rows("ground_truth.jsonl")
    }  # type: ignore[index, attr-defined]
    for name in ("train_noisy.jsonl", "unlabelled.jsonl"):
        lines = (json.dumps({**row, "ocr_text": texts[row["id"]]}, ensure_ascii=False) for row in rows(name))
        (ecom / name).write_text("\n".join(lines), "utf-8")
    recipe = (ROOT / "recipes" / "ecom_loop.yaml").read_text("utf-8")
    assert len(re.findall("annotate.ocr", recipe)) == 1
    (folder / "recipes").mkdir()
    kept = [line for line in recipe.splitlines() if "annotate.ocr" not in line]
    (folder / "recipes" / "ecom_loop.yaml").write_text("\n".join(kept), "utf-8")
    return folder


def built(project: Path, decisions: str) -> BuildFolder:
    """The build with the reviewer's answer, or with an empty file of decisions."""
    name = f"../{decisions}"
    (project / "none.jsonl").touch()
    change = [
        f"curate.overrides.path={name}",
        f"name={Path(decisions).stem}",
        "curate.pseudo_labels.precision=0.93",
        "card.language=en",
    ]
    return BuildFolder.open(build(project / "recipes/ecom_loop.yaml", overrides=change, card=False).folder)


@pytest.fixture(scope="module")
def doubted(project: Path) -> BuildFolder:
    return built(project, "none.jsonl")


@pytest.fixture(scope="module")
def repaired(project: Path) -> BuildFolder:
    return built(project, "examples/ecom/overrides.jsonl")


def card_of(folder: BuildFolder) -> tuple[str, dict[str, str]]:
    """The card, and its sections by title."""
    text = render_markdown(make_card(folder))
    parts = re.split(r"^## (.+)$", text, flags=re.M)
    return text, dict(zip(parts[1::2], parts[2::2], strict=True))


def test_card_limits_what_the_build_has_and_nothing_else(repaired: BuildFolder) -> None:
    text, sections = card_of(repaired)
    limits = sections["Intended use and limits"]
    assert "written by a program" not in limits
    assert "Repeats" not in limits
    assert re.search(r"Predicted labels: \d+ records of \d+ have a predicted one; .* Transductive: ", limits)
    assert "Texts are written by a model" not in text  # nothing was written


def test_card_says_each_thing_once_and_cuts_nothing_in_the_middle(repaired: BuildFolder) -> None:
    _, sections = card_of(repaired)
    made, pseudo = sections["How it was made"], sections["Pseudo-labels"]
    assert "curate.overrides: file" not in made
    assert "kept for class" not in made
    notes = repaired.notes("curate.pseudo_labels")
    assert f"{notes['kept_for_class']} of the kept are less sure than that" in pseudo
    assert f"right with probability {notes['bound']:.2f} or more" in pseudo
    assert len(re.findall(r"^\| screen-\d+ \|", sections["Decisions of reviewers"], flags=re.M)) == 7


def test_long_note_ends_with_a_whole_word_and_says_where_the_rest_is() -> None:
    text = ", ".join(f"screen-{number:04}" for number in range(200))
    start, mark, where = shortened(text).partition(" … ")
    assert len(start) <= NOTE_CHARS
    assert text.startswith(start)
    assert re.fullmatch(r".*screen-\d{4},?", start)
    assert (mark, where) == (" … ", "(the rest stands in report.json)")
    assert shortened("short") == "short"


def labels(folder: BuildFolder, source: str) -> dict[str, str]:
    frame = folder.main.filter(pl.col("label_source") == source).select("id", "label").collect()
    return dict(frame.iter_rows())


def test_every_planted_label_is_among_the_suspects_that_a_reviewer_is_shown(doubted: BuildFolder) -> None:
    frame, _ = chosen(doubted, Choice(suspects=True))
    assert set(frame["id"]) >= PLANTED
    assert frame.height <= 20


def test_the_reviewers_answer_repairs_all_that_was_planted_and_nothing_else(repaired: BuildFolder) -> None:
    given, reviewed = labels(repaired, "given"), labels(repaired, "reviewed")
    assert reviewed.keys() >= PLANTED
    given |= reviewed
    assert given == {id_: RIGHT[id_] for id_ in given}
    changed = repaired.main.filter(pl.col("label_by").is_not_null()).collect()
    assert set(changed["id"]) == PLANTED
    assert len(given) == 140
    (line,) = (line for line in repaired.report.verdict if line.kind == "override_not_applied")
    assert line.state == "passed"


def test_the_answer_that_ships_decides_each_suspect_once() -> None:
    lines = read_overrides((ECOM / "overrides.jsonl").read_text("utf-8"), "overrides.jsonl")
    decided = {line.override.id: line.override for line in lines}
    assert len(decided) == len(lines) == 14
    assert {id_ for id_, own in decided.items() if own.action == "relabel"} == PLANTED
    assert all(own.new in (None, RIGHT[id_]) and own.why for id_, own in decided.items())


def test_pseudo_labels_stand_in_training_alone_and_nearly_all_are_right(repaired: BuildFolder) -> None:
    pseudo = labels(repaired, "pseudo")
    assert len(pseudo) >= 15
    assert sum(RIGHT[id_] == label for id_, label in pseudo.items()) >= 0.9 * len(pseudo)
    splits = repaired.main.filter(pl.col("label_source") == "pseudo").collect()["split"]
    assert set(splits) == {"train"}
    assert not set(pseudo) & {str(row["id"]) for row in rows("train_noisy.jsonl")}


def test_every_record_is_in_the_build_or_says_why_not(repaired: BuildFolder) -> None:
    kept = set(repaired.main.collect()["id"])
    dropped = {str(row["id"]): str(row["reason"]) for row in repaired.reject_lines()}
    assert kept | set(dropped) == set(RIGHT)
    assert not kept & set(dropped)
    assert {reason.split("_")[0] for reason in dropped.values()} == {"pseudo"}


def test_records_proposed_for_a_label_stay_out_of_validation(project: Path, repaired: BuildFolder) -> None:
    proposed = next_records(repaired, 4)
    assert proposed.unlabelled == 60
    assert not any("curate.split" in note for note in proposed.notes)
    page = proposed.page()
    lines = [
        {"id": id_, "judged": page.judged_by_id[id_], "action": "relabel", "new": RIGHT[id_], "who": "审核员"}
        for id_ in (one.id for one in proposed.proposals)
    ]
    answer = (ECOM / "overrides.jsonl").read_text("utf-8").rstrip("\n")
    text = "\n".join([answer, *(json.dumps(line, ensure_ascii=False) for line in lines)])
    (project / "more.jsonl").write_text(text + "\n", "utf-8")
    after = built(project, "more.jsonl").main.collect()
    chosen_now = after.filter(pl.col("id").is_in([line["id"] for line in lines]))
    assert set(chosen_now["label_source"]) == {"reviewed"}
    assert set(chosen_now["split"]) == {"train"}
    validation = [set(frame.filter(split="val")["id"]) for frame in (repaired.main.collect(), after)]
    assert validation[0] == validation[1]  # the same records score every round
