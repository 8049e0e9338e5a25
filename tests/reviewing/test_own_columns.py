"""A review of records with columns of their own, such as a title: what the prompt shows was judged."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.judged import Seen, brought_digest, column_digests
from datakit.core.judged import judged as judged_of
from datakit.library import build
from datakit.reviewing.chosen import Choice, chosen
from datakit.reviewing.decisions_file import DecisionsFile, sent_decision
from datakit.reviewing.exchange import meeting
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
    (tmp_path / "templates" / "title.j2").write_text("{{ title }}。{{ text }}{{ label_json }}", "utf-8")
    (tmp_path / "templates" / "plain.j2").write_text("{{ text }}{{ label_json }}", "utf-8")
    (tmp_path / "labels.yaml").write_text("labels:\n- {name: 正品}\n- {name: 仿品}\n", "utf-8")
    write_rows(tmp_path / "goods.jsonl", goods())
    write_rows(tmp_path / "overrides.jsonl", [])
    return tmp_path


def made(project: Path, prompt: str = "shown", reader: str = READER, name: str = "goods") -> BuildFolder:
    recipe = RECIPE.format(prompt=prompt, reader=reader, name=name)
    (project / f"{name}.yaml").write_text(recipe.replace("steps:", "labels: labels.yaml\nsteps:"), "utf-8")
    return BuildFolder(build(project / f"{name}.yaml", card=False).folder)


def page(folder: BuildFolder) -> PageRecords:
    return PageRecords(folder, chosen(folder, Choice())[0])


def judged(folder: BuildFolder) -> dict[str, str]:
    return page(folder).judged_by_id


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


@pytest.mark.parametrize(
    ("price", "other"),
    [
        (3, 9.5),
        (3, "面议"),
        (12.0, "面议"),
        (True, "不明"),
        ([1, 2], [1.5]),
        ([1.5, 2.0], "面议"),
        ({"a": 1}, {"a": 1.5, "b": 2}),
        ({"a": [1.0]}, "面议"),
    ],
)
def test_a_column_whose_type_changes_with_one_row_stays_the_same_in_the_others(
    project: Path, price: object, other: object
) -> None:
    rows = [row | {"price": price} for row in goods()]
    write_rows(project / "goods.jsonl", rows)
    drop(project, made(project), "g2", "g3")
    rows[1]["price"] = other
    write_rows(project / "goods.jsonl", rows)
    assert dropped(made(project)) == ["g2", "g3"]


def test_whole_numbers_of_a_json_file_are_those_of_a_table(project: Path) -> None:
    rows = [row | {"price": float(n)} for n, row in enumerate(goods())]
    write_rows(project / "goods.jsonl", rows)
    drop(project, made(project), "g2", "g3")
    pl.DataFrame(rows).write_csv(project / "goods.csv")
    assert dropped(made(project, reader="read.csv: {path: goods.csv}")) == ["g2", "g3"]


def test_decision_made_where_no_prompt_showed_a_title_holds_where_one_does(project: Path) -> None:
    drop(project, made(project, "plain"), "g1", "g2")
    assert dropped(made(project)) == ["g1", "g2"]


def test_decision_holds_where_a_prompt_comes_to_show_one_column_more(project: Path) -> None:
    drop(project, made(project, "title"), "g1", "g2", "g3")
    rows = goods(title="另一商品")
    rows[2]["price"] = 900
    write_rows(project / "goods.jsonl", rows)
    folder = made(project)
    assert dropped(folder) == ["g2", "g3"]
    faults = folder.report.steps[1].notes["faults"]
    assert [(fault["id"], fault["why"]) for fault in faults] == [("g1", "changed")]


def test_decision_holds_where_a_prompt_shows_a_column_no_more(project: Path) -> None:
    drop(project, made(project), "g1", "g2")
    write_rows(project / "goods.jsonl", goods(price=900))
    assert dropped(made(project, "title")) == ["g1", "g2"]
    write_rows(project / "goods.jsonl", goods(title="另一商品"))
    assert dropped(made(project, "title")) == ["g2"]
    assert dropped(made(project, "plain")) == ["g1", "g2"]


def older_forms(one: dict[str, object]) -> list[str]:
    """How decisions about one of the goods said it before: without its columns, and with all as one."""
    label, texts = "正品", [str(one["text"])]
    whole = brought_digest(None, {name: one[name] for name in ("title", "price")})
    return [judged_of(label, [], texts), judged_of(label, [], texts, whole)]


def test_decisions_of_older_forms_are_done_on_the_page_as_in_the_build(project: Path) -> None:
    records = page(made(project))
    (bare, whole), (_, changed) = older_forms(goods()[1]), older_forms(goods(price=900)[1])
    lines = [
        {"id": id_, "judged": said, "action": "drop", "who": "王"}
        for id_, said in (("g1", bare), ("g2", older_forms(goods()[2])[1]), ("g3", changed))
    ]
    write_rows(project / "overrides.jsonl", lines)
    decisions = DecisionsFile(project / "overrides.jsonl", records.seen_by_id)
    assert [one.id for one in decisions.state()] == ["g1", "g2"]
    assert meeting(decisions.lines(), records, decisions.path) == [
        f"1 of 3 decisions in {decisions.path} is about a record that has changed since: g3"
    ]
    assert dropped(made(project)) == ["g1", "g2"]
    other = {"id": "g1", "judged": whole, "action": "accept", "who": "李"}
    write_rows(project / "overrides.jsonl", [*lines, other])
    (told,) = meeting(decisions.lines(), records, decisions.path)[1:]
    assert "reviewers disagree about 1 record" in told


def test_a_decision_takes_the_place_of_its_reviewers_own_in_an_older_form(project: Path) -> None:
    records = page(made(project))
    for said in older_forms(goods()[1]):
        old = {"id": "g1", "judged": said, "action": "drop", "who": "王"}
        write_rows(project / "overrides.jsonl", [old])
        decisions = DecisionsFile(project / "overrides.jsonl", records.seen_by_id)
        row = {"id": "g1", "judged": records.judged_by_id["g1"], "action": "accept", "who": "王"}
        assert decisions.put([sent_decision(["g1", row, "王"], decisions.own)]) == 1
        assert [one.action for one in decisions.state()] == ["accept"]


def test_decisions_from_before_a_title_was_judged_go_on_from_each_other(project: Path) -> None:
    first, second = (judged_of(label, [], ["好用"]) for label in ("正品", "仿品"))
    lines = [
        {"judged": first, "action": "relabel", "old": "正品", "new": "仿品", "when": "2026-11-01T00:00:00Z"},
        {"judged": second, "action": "relabel", "old": "仿品", "new": "正品", "when": "2026-11-02T00:00:00Z"},
    ]
    write_rows(project / "overrides.jsonl", [{"id": "g1", "who": "王"} | line for line in lines])
    notes = made(project).report.steps[1].notes
    assert notes["not_applied"] == {}
    assert [one["what"] for one in notes["decisions"]] == ["relabel to 仿品", "relabel to 正品"]


@pytest.mark.fault(
    "a title is filled in that was empty when a reviewer judged the record",
    "the decision is not applied, counted and named",
    kind="inputs changed",
)
def test_decision_about_a_record_whose_empty_columns_were_filled_since_is_not_applied(project: Path) -> None:
    write_rows(project / "goods.jsonl", goods(title=None, price=None))
    drop(project, made(project), "g1", "g2")
    write_rows(project / "goods.jsonl", goods())
    assert dropped(made(project)) == ["g2"]


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


def test_a_decision_names_each_column_and_an_empty_one_too() -> None:
    def seen(**columns: object) -> Seen:
        brought = (None, brought_digest(None, columns), column_digests(columns) or None)
        return Seen.of("正品", [], "好用", brought)

    assert seen().said == judged_of("正品", [], ["好用"])
    assert seen(a=1, b="x").said == seen(b="x", a=1.0).said != seen(a="x", b=1).said
    assert seen(a=1, b=2).is_of(seen(a=1).said)
    assert seen(a=1).is_of(seen(a=1, b=2).said)
    assert not seen(a=1, b=2).is_of(seen(a=1, b=None).said)
    assert not seen(a=1, b=None).is_of(seen(b=2).said)
    assert not seen(a=1).is_of(Seen.of("仿品", [], "好用").said)


def test_digest_says_that_there_are_columns_and_what_they_hold() -> None:
    assert brought_digest(None, {}) is None
    assert brought_digest("c", {}) == "c"
    empty = brought_digest(None, {"title": None, "tags": [], "note": ""})
    assert empty == brought_digest(None, {"title": ""}) is not None
    assert brought_digest("c", {"title": "a"}) != brought_digest(None, {"title": "a"})
    assert brought_digest(None, {"price": 9.0}) == brought_digest(None, {"price": "9"})
    assert brought_digest(None, {"code": "007"}) != brought_digest(None, {"code": "7"})
    assert brought_digest(None, {"title": "[" * 5000}) != brought_digest(None, {"title": "[" * 5001})
    assert brought_digest(None, {"title": "[" * 900 + "]" * 900}) != empty
