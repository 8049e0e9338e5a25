"""A review of records with columns of their own, such as a title: what the prompt shows was judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.judged import brought_digest
from datakit.library import build
from datakit.reviewing.chosen import Choice, chosen
from datakit.reviewing.records import PageRecords

RECIPE = """\
version: 1
name: {name}
run: {{max_reject_rate: 1.0}}
steps:
  - {reader}
  - curate.overrides: {{path: overrides.jsonl}}
  - curate.split: {{val: 0.2}}
  - render.chat: {{prompt: {prompt}.j2, answer: label_only}}
emit:
  - llamafactory
"""
READER = "read.jsonl: {path: goods.jsonl}"
FROM_BUILD = "read.build: {path: build/goods, images: none}"


def write_rows(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def goods(**changed: object) -> list[dict[str, object]]:
    """Eight goods; `changed` is about the second."""
    rows: list[dict[str, object]] = [
        {"id": f"g{n}", "text": "好用", "label": "正品", "title": f"商品{n}", "price": n, "crawled": "周一"}
        for n in range(8)
    ]
    rows[1] |= changed
    return rows


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "templates").mkdir()
    shown = "{{ title }}，{{ price }}元。{{ text }}{{ label_json }}"
    (tmp_path / "templates" / "shown.j2").write_text(shown, "utf-8")
    (tmp_path / "templates" / "plain.j2").write_text("{{ text }}{{ label_json }}", "utf-8")
    (tmp_path / "labels.yaml").write_text("labels:\n- {name: 正品}\n- {name: 仿品}\n", "utf-8")
    write_rows(tmp_path / "goods.jsonl", goods())
    write_rows(tmp_path / "overrides.jsonl", [])
    return tmp_path


def made(project: Path, prompt: str = "shown", reader: str = READER, name: str = "goods") -> BuildFolder:
    recipe = RECIPE.format(prompt=prompt, reader=reader, name=name)
    (project / f"{name}.yaml").write_text(recipe.replace("steps:", "labels: labels.yaml\nsteps:"), "utf-8")
    return BuildFolder(build(project / f"{name}.yaml", card=False).folder)


def judged(folder: BuildFolder) -> dict[str, str]:
    return PageRecords(folder, chosen(folder, Choice())[0]).judged_by_id


def drop(project: Path, folder: BuildFolder, *ids: str) -> None:
    names = judged(folder)
    write_rows(
        project / "overrides.jsonl",
        [{"id": id_, "judged": names[id_], "action": "drop", "who": "王"} for id_ in ids],
    )


def dropped(folder: BuildFolder) -> list[str]:
    return sorted(folder.rejects.collect()["id"])


def test_decision_about_a_record_is_applied_while_its_title_is_the_same(project: Path) -> None:
    drop(project, made(project), "g1", "g2")
    write_rows(project / "goods.jsonl", goods(crawled="周二"))
    assert dropped(made(project)) == ["g1", "g2"]


@pytest.mark.fault(
    "a title or price that the prompt shows is changed after a reviewer judged the record",
    "the decision is not applied, counted and named",
    kind="inputs changed",
)
@pytest.mark.parametrize("changed", [{"title": "另一商品"}, {"price": 900}, {"title": None}])
def test_decision_about_a_record_whose_title_has_changed_since_is_not_applied(
    project: Path, changed: dict[str, object]
) -> None:
    drop(project, made(project), "g1", "g2")
    write_rows(project / "goods.jsonl", goods(**changed))
    folder = made(project)
    assert dropped(folder) == ["g2"]
    faults = folder.report.steps[1].notes["faults"]
    assert [(fault["id"], fault["why"]) for fault in faults] == [("g1", "changed")]


def test_a_column_whose_type_changes_with_one_row_stays_the_same_in_the_others(project: Path) -> None:
    drop(project, made(project), "g2", "g3")
    for price in (9.5, "面议"):
        write_rows(project / "goods.jsonl", goods(price=price))
        assert dropped(made(project)) == ["g2", "g3"]


def test_what_was_judged_of_records_whose_prompt_shows_no_further_column_is_as_before(project: Path) -> None:
    folder = made(project, "plain")
    before = judged(folder)
    assert "brought" not in folder.compared.collect_schema() if folder.compared is not None else False
    write_rows(project / "goods.jsonl", goods(title="另一商品"))
    assert judged(made(project, "plain")) == before


def test_decision_about_a_build_holds_for_the_builds_that_are_made_of_it(project: Path) -> None:
    first = made(project)
    drop(project, first, "g1")
    write_rows(project / "overrides.jsonl", [])
    second = made(project, reader=FROM_BUILD, name="second")
    assert judged(second) == judged(first)
    drop(project, first, "g1")
    assert dropped(made(project, reader=FROM_BUILD, name="second")) == ["g1"]


def test_digest_of_empty_columns_is_that_of_the_chat_alone() -> None:
    assert brought_digest(None, {"title": None, "tags": [], "note": ""}) is None
    assert brought_digest("c", {"title": ""}) == "c"
    assert brought_digest("c", {"title": "a"}) != brought_digest(None, {"title": "a"})
    assert brought_digest(None, {"price": 9.0}) == brought_digest(None, {"price": "9"})
