"""curate.overrides: decisions are applied to what was judged, and nothing that is not applied is lost."""

from __future__ import annotations

import hashlib
import itertools
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.artifacts.overrides import Override, OverrideLine, read_overrides
from datakit.core.blocks import Text
from datakit.core.clock import now
from datakit.core.errors import DatakitError, UserError
from datakit.core.judged import judged
from datakit.core.labels import Label, LabelSet
from datakit.core.step_account import StepAccount
from datakit.core.step_context import StepContext
from datakit.core.transform import Transform
from datakit.curate._decisions import decided
from datakit.curate.overrides import Overrides
from datakit.curate.pseudo_labels import PseudoLabels
from datakit.read.image_folder import ImageFolder
from tests.support.own_data import drawn
from tests.support.toy_builds import Toy

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
LABELS = LabelSet((Label("购物车页面", aliases=("购物车",)), Label("退货页面"), Label("退款页面")))


def line(id_: str = "r1", sees: str | None = "购物车页面", **values: Any) -> dict[str, Any]:
    action = "relabel" if values.get("new") else "accept"
    seen = judged(sees, [], ["text"])
    return {"id": id_, "judged": seen, "action": action, "old": sees, "who": "王", **values}


def apply(
    tmp_path: Path,
    lines: list[dict[str, Any]],
    labels: list[str | None] | None = None,
    *,
    steps: tuple[Transform, ...] = (),
    source: list[str | None] | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, Any]]:
    """Records r1, r2 … without pictures, with these decisions: what goes on, what is dropped, the notes."""
    path = tmp_path / "overrides.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in lines), "utf-8")
    given_labels = labels or ["购物车页面", "退货页面", None]
    frame = pl.DataFrame(
        {
            "id": [f"r{number}" for number in range(1, len(given_labels) + 1)],
            "images": [[] for _ in given_labels],
            "label": given_labels,
            "text": ["text"] * len(given_labels),
        },
        schema={"id": pl.String, "images": pl.List(pl.String), "label": pl.String, "text": pl.String},
    )
    if source is not None:
        frame = frame.with_columns(label_source=pl.Series(source, dtype=pl.String))
    step = next((one for one in reversed(steps) if isinstance(one, Overrides)), None)
    step = step or Overrides(path="overrides.jsonl")
    context = StepContext(base=tmp_path, project=tmp_path, labels=LABELS, steps=steps)
    table = step.apply(frame.lazy(), context)
    assert table.rejects is not None
    kept, dropped = table.frame.collect(), table.rejects.collect()
    assert kept.height + dropped.height == frame.height
    return kept, dropped, table.notes


def test_relabelled_record_says_who_changed_it_from_what_when_and_why(tmp_path: Path) -> None:
    kept, _, notes = apply(tmp_path, [line(new="退货页面", when="2026-11-27T12:00:00Z", why="标题是退货")])
    assert kept.row(0, named=True)["label"] == "退货页面"
    assert kept.row(0, named=True)["label_by"] == "王"
    change = "购物车页面 → 退货页面; 王, 2026-11-27 12:00 UTC: 标题是退货"
    assert kept.row(0, named=True)["label_change"] == change
    assert kept["label_by"].to_list()[1:] == [None, None]
    assert notes["relabelled"] == 1
    assert notes["not_applied"] == {}


def test_dropped_record_is_a_reject_that_says_who_and_why(tmp_path: Path) -> None:
    kept, dropped, _ = apply(tmp_path, [line(action="drop", why="两个页面")])
    assert kept["id"].to_list() == ["r2", "r3"]
    assert dropped.rows() == [("r1", "dropped_by_review", "王: 两个页面")]


def test_unlabelled_record_gets_the_label_that_a_reviewer_gives(tmp_path: Path) -> None:
    kept, _, _ = apply(tmp_path, [line("r3", None, new="退款页面")])
    assert kept["label"].to_list() == ["购物车页面", "退货页面", "退款页面"]


@pytest.mark.fault(
    "A record was edited after it was reviewed",
    "The decision is not applied; report, card and verdict name it.",
    kind="inputs changed",
)
def test_decision_about_a_record_that_has_changed_is_named_and_not_applied(tmp_path: Path) -> None:
    kept, _, notes = apply(tmp_path, [line("r2", new="退款页面")])
    assert kept["label"].to_list()[1] == "退货页面"
    assert notes["not_applied"] == {"changed": 1}
    assert notes["faults"][0]["id"] == "r2"


@pytest.mark.fault(
    "Two reviewers decide differently about one record",
    "Neither is followed; both are named with what they decided.",
    kind="inputs changed",
)
def test_reviewers_who_disagree_undo_each_other_and_both_are_named(tmp_path: Path) -> None:
    kept, _, notes = apply(tmp_path, [line(new="退货页面"), line(new="退款页面", who="李")])
    assert kept["label"].to_list()[0] == "购物车页面"
    assert notes["not_applied"] == {"disagree": 2}
    assert [fault["hint"] for fault in notes["faults"]] == [
        "against 李: relabel to 退款页面",
        "against 王: relabel to 退货页面",
    ]


def test_reviewers_who_agree_are_followed(tmp_path: Path) -> None:
    kept, _, notes = apply(tmp_path, [line(new="退货页面"), line(new="退货页面", who="李")])
    assert kept["label"].to_list()[0] == "退货页面"
    assert notes["not_applied"] == {}


def test_who_accepts_and_who_relabels_to_the_label_that_is_there_agree(tmp_path: Path) -> None:
    kept, _, notes = apply(tmp_path, [line(), line(new="购物车", who="李")])
    assert kept["label"].to_list()[0] == "购物车页面"
    assert kept["label_reviewed_by"].to_list()[0] == "李"
    assert notes["not_applied"] == {}


def test_blanks_around_a_name_make_no_other_reviewer(tmp_path: Path) -> None:
    lines = [line(new="退货页面", who="王 "), line(new="退款页面", who=" 王"), line(action="drop", who="李")]
    _, _, notes = apply(tmp_path, lines)
    assert notes["superseded"] == 1
    assert [fault["hint"] for fault in notes["faults"]] == [
        "against 李: drop",
        "against 王: relabel to 退款页面",
    ]


@pytest.mark.fault(
    "Decisions have a time without its zone or in the future, no name, or stand in the file twice",
    "Each is counted and named in a warning; all are applied.",
    kind="inputs changed",
)
@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([line(when="2026-11-26T12:00:00")], "1 decision has a time without its zone, read as UTC: r1"),
        (
            [line(when="2999-01-01T00:00:00Z")],
            "1 decision is dated in the future, against which nothing counts",
        ),
        ([line(who=" ")], "1 decision names no reviewer (`who`)"),
        ([line(), line(), line("r2", "退货页面")], "1 decision stands there more than once"),
    ],
)
def test_odd_decisions_are_named_and_applied(tmp_path: Path, lines: list[dict[str, Any]], words: str) -> None:
    _, _, notes = apply(tmp_path, lines)
    assert [words in warning for warning in notes["warnings"]] == [True]
    assert notes["accepted"] + notes["superseded"] == len(lines)


@pytest.mark.parametrize(("later", "is_future"), [(4, False), (6, True)])
def test_future_begins_five_minutes_after_the_build_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: int, is_future: bool
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(int(NOON.timestamp())))
    when = NOON + timedelta(minutes=later)
    _, _, notes = apply(tmp_path, [line(when=when.isoformat())])
    assert ["in the future" in words for words in notes.get("warnings", ())] == [True] * is_future
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "9" * 10)
    assert "warnings" not in apply(tmp_path, [line(when=when.isoformat())])[2]


@pytest.mark.parametrize("value", ["yesterday", "1e9", "9" * 30])
def test_build_time_that_is_none_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", value)
    with pytest.raises(UserError, match="SOURCE_DATE_EPOCH"):
        now()


def test_time_is_told_in_utc_whatever_zone_it_was_written_in(tmp_path: Path) -> None:
    _, dropped, notes = apply(tmp_path, [line(action="drop", when="2026-11-26T20:00:00+08:00")])
    assert dropped["detail"].to_list() == ["王, 2026-11-26 12:00 UTC"]
    assert "warnings" not in notes


def test_file_without_a_decision_says_so_on_the_card(tmp_path: Path) -> None:
    _, _, notes = apply(tmp_path, [])
    account = StepAccount(1, 3, 3, 0, 0, {}, notes, (), pl.LazyFrame())
    (section,) = Overrides(path="overrides.jsonl").card_sections(account)
    assert section.blocks == [Text("overrides.jsonl holds no decision.")]


def test_byte_order_mark_is_passed_over() -> None:
    (found,) = read_overrides("\ufeff" + json.dumps(line()), "f")
    assert found.override.id == "r1"


def test_later_decision_of_one_reviewer_holds_whatever_the_order_of_the_lines(tmp_path: Path) -> None:
    lines = [
        line(new="退款页面", when="2026-11-27T13:00:00Z"),
        line(new="退货页面", when="2026-11-27T12:00:00Z"),
    ]
    kept, _, notes = apply(tmp_path, lines)
    assert kept["label"].to_list()[0] == "退款页面"
    assert notes["superseded"] == 1


def test_record_reviewed_again_in_the_next_build_has_both_decisions_applied(tmp_path: Path) -> None:
    lines = [line(new="退货页面"), line(sees="退货页面", new="退款页面", who="李")]
    kept, _, notes = apply(tmp_path, lines)
    assert kept["label"].to_list()[0] == "退款页面"
    assert kept["label_by"].to_list()[0] == "李"
    assert notes["not_applied"] == {}


CHAIN = (("购物车页面", "退货页面"), ("退货页面", "退款页面"), ("退款页面", "首页"))


def _chain(*, whens: tuple[str | None, ...], people: str = "王李张") -> list[dict[str, Any]]:
    return [
        line(sees=old, new=new, who=who, when=when)
        for (old, new), who, when in zip(CHAIN, people, whens, strict=True)
    ]


@pytest.mark.parametrize("people", ["王李张", "王王王", "王李王"])
@pytest.mark.parametrize("when", ["2026-11-27T12:00:00Z", None])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_decisions_of_one_time_that_go_on_from_each_other_are_applied_in_any_order_of_the_lines(
    tmp_path: Path, order: tuple[int, ...], when: str | None, people: str
) -> None:
    rows = _chain(whens=(when,) * 3, people=people)
    labels = LabelSet((*LABELS.labels, Label("首页")))
    path = tmp_path / "overrides.jsonl"
    path.write_text("\n".join(json.dumps(rows[at], ensure_ascii=False) for at in order), "utf-8")
    frame = pl.LazyFrame(
        {"id": ["r1"], "images": [[]], "label": ["购物车页面"], "text": ["text"]},
        schema={"id": pl.String, "images": pl.List(pl.String), "label": pl.String, "text": pl.String},
    )
    table = Overrides(path="overrides.jsonl").apply(
        frame, StepContext(base=tmp_path, project=tmp_path, labels=labels)
    )
    record = table.frame.collect().row(0, named=True)
    assert (record["label"], record["label_by"]) == ("首页", people[2])
    assert table.notes["not_applied"] == {}
    assert len(table.notes["decisions"]) == 3  # all of them are told


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_of_one_time_two_who_differ_about_the_same_disagree_in_any_order_of_the_lines(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    when = "2026-11-27T12:00:00Z"
    rows = [
        line(new="退货页面", who="王", when=when),
        line(new="退款页面", who="李", when=when),
        line(sees="退货页面", new="退款页面", who="张", when=when),
    ]
    kept, _, notes = apply(tmp_path, [rows[at] for at in order])
    assert kept["label"].to_list()[0] == "购物车页面"
    assert notes["not_applied"] == {"disagree": 2, "changed": 1}


def test_the_latest_decision_holds_and_earlier_ones_about_what_it_made_are_named(tmp_path: Path) -> None:
    whens = ("2026-11-27T14:00:00Z", "2026-11-27T13:00:00Z", "2026-11-27T12:00:00Z")
    rows = _chain(whens=whens)[:2]
    kept, _, notes = apply(tmp_path, rows)
    assert kept["label"].to_list()[0] == "退货页面"
    assert notes["not_applied"] == {"changed": 1}
    assert notes["faults"][0]["by"].startswith("李")


def test_new_label_is_spelt_as_in_the_label_file_and_an_unknown_one_gets_a_hint(tmp_path: Path) -> None:
    kept, _, notes = apply(tmp_path, [line(new="退货页"), line("r2", "退货页面", new="购物车")])
    assert kept["label"].to_list() == ["购物车页面", "购物车页面", None]
    assert notes["not_applied"] == {"unknown_label": 1}
    assert "退货页面" in notes["faults"][0]["hint"]


@pytest.mark.fault(
    "The review file belongs to another build",
    "No decision is applied; all are counted, and a warning asks whether it is of another build.",
    kind="inputs changed",
)
def test_file_of_another_build_is_told(tmp_path: Path) -> None:
    _, _, notes = apply(tmp_path, [line("x1", build="ecom_v1"), line("x2", build="ecom_v1")])
    assert notes["not_applied"] == {"no_record": 2}
    assert "is it of another build (ecom_v1)?" in notes["warnings"][0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "line 1: this is no JSON"),
        ("\n[1]", "line 2: this is no JSON object"),
        ('{"id": "r1", "judged": "x", "action": "accept"}', "`judged`"),
        ('{"id": "r1", "judged": "%s", "action": "relable"}' % ("0" * 32), "Did you mean `relabel`?"),
        ('{"id": "r1", "judged": "%s", "action": "relabel"}' % ("0" * 32), "needs the label in `new`"),
        ('{"id": "r1", "judged": "%s", "action": "drop", "wo": "a"}' % ("0" * 32), "Did you mean `who`?"),
        ('{"id": "r\\u001b", "judged": "%s", "action": "drop"}' % ("0" * 32), "control characters"),
        ('{"id": "r1", "judged": "%s", "action": "drop", "old": "\\ud83d"}' % ("0" * 32), "surrogate"),
        ('{"id": "r1", "judged": "%s", "action": "drop", "new": "\\ud83d"}' % ("0" * 32), "surrogate"),
        ('{"id": "r1", "judged": "%s", "action": "drop", "build": "\\ud83d"}' % ("0" * 32), "surrogate"),
    ],
)
def test_broken_lines_are_named_with_what_is_wrong(text: str, words: str) -> None:
    with pytest.raises(UserError) as raised:
        read_overrides(text, "overrides.jsonl")
    assert words in str(raised.value)
    assert str(raised.value).startswith("overrides.jsonl")


def test_line_is_read_back_as_it_was_written() -> None:
    override = Override(
        id="a\u2028b", judged="0" * 32, action="relabel", new="退货页面", when=NOON, why="<b>"
    )
    (read,) = read_overrides(override.to_line().decode(), "f")
    assert read.override == override


decisions = st.lists(
    st.tuples(
        st.sampled_from(["A", "B", "C"]),
        st.sampled_from(["accept", "drop", "relabel"]),
        st.sampled_from(["A", "B", "C"]),
        st.sampled_from(["wang", "li"]),
        st.integers(0, 3),
    ),
    max_size=6,
)


def lines_of(rows: list[tuple[str, str, str, str, int]]) -> list[OverrideLine]:
    return [
        OverrideLine(
            number=number,
            override=Override(
                id="r",
                judged=judged(sees, [], []),
                action=action,  # type: ignore[arg-type]
                new=new if action == "relabel" else None,
                who=who,
                when=NOON + timedelta(hours=hour),
            ),
        )
        for number, (sees, action, new, who, hour) in enumerate(rows, 1)
    ]


@given(decisions)
def test_every_decision_is_accounted_for_once(rows: list[tuple[str, str, str, str, int]]) -> None:
    lines = lines_of(rows)
    outcome = decided(lines, "A", lambda label: judged(label, [], []))
    told = [*outcome.applied, *outcome.conflict, *outcome.stale, *outcome.superseded]
    assert sorted(one.number for one in told) == [one.number for one in lines]


@given(decisions)
def test_without_conflict_the_label_is_that_of_the_last_applied_change(
    rows: list[tuple[str, str, str, str, int]],
) -> None:
    outcome = decided(lines_of(rows), "A", lambda label: judged(label, [], []))
    changes = [one.override.new for one in outcome.applied if one.override.action == "relabel"]
    assert outcome.label == (changes[-1] if changes else "A")


def test_order_of_lines_with_different_times_decides_nothing() -> None:
    rows = [("A", "relabel", "B", "wang", 0), ("B", "relabel", "C", "li", 1), ("A", "accept", "", "wang", 2)]
    labels = {
        decided(lines_of(list(order)), "A", lambda label: judged(label, [], [])).label
        for order in itertools.permutations(rows)
    }
    assert labels == {"C"}


def toy(tmp_path: Path, rows: list[dict[str, Any]], steps: tuple[str, ...] = ()) -> Any:
    project = Toy(tmp_path, steps=("curate.overrides: {path: o.jsonl}", *steps))
    (tmp_path / "o.jsonl").write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    return project.build([{"text": "text", "label": "a"}, {"text": "text", "label": "b"}])


BEFORE = (Overrides(path="overrides.jsonl"), PseudoLabels())
BEHIND = (PseudoLabels(), Overrides(path="overrides.jsonl"))


@pytest.mark.parametrize(("steps", "source"), [(BEFORE, None), (BEHIND, ["given", "given", "pseudo"])])
@pytest.mark.parametrize(
    ("decision", "label", "by"),
    [
        ({"new": "退款页面"}, "退款页面", "王"),
        ({"action": "accept"}, "退货页面", "王"),
        ({"action": "drop"}, None, None),
    ],
)
def test_a_decision_about_a_predicted_label_is_applied_whatever_is_predicted_now(
    tmp_path: Path,
    steps: tuple[Transform, ...],
    source: list[str | None] | None,
    decision: dict[str, Any],
    label: str | None,
    by: str | None,
) -> None:
    labels = ["购物车页面", "退货页面", None if source is None else "购物车页面"]
    lines = [line("r3", "退货页面", **decision)]
    kept, dropped, notes = apply(tmp_path, lines, labels, steps=steps, source=source)
    assert notes["not_applied"] == {}
    assert notes["about_predictions"] == 1
    if label is None:
        assert dropped["id"].to_list() == ["r3"]
        return
    row = kept.row(2, named=True)
    assert (row["label"], row["label_reviewed_by"], row["label_source"]) == (label, by, "reviewed")
    before = "no label" if source is None else "购物车页面 (predicted)"
    assert row["label_change"] == f"{before} → {label}; 王"
    assert kept["label_source"].to_list()[:2] == ([None, None] if source is None else ["given", "given"])


def test_who_disagree_about_a_predicted_label_undo_each_other(tmp_path: Path) -> None:
    lines = [line("r3", "退货页面"), line("r3", "退货页面", new="退款页面", who="李")]
    for order in (lines, lines[::-1]):
        kept, _, notes = apply(tmp_path, order, steps=BEFORE)
        assert kept["label"].to_list()[2] is None
        assert notes["not_applied"] == {"disagree": 2}


def test_a_reviewed_prediction_is_reviewed_again_in_the_next_build(tmp_path: Path) -> None:
    lines = [
        line("r3", "退货页面", new="退款页面", when="2026-11-27T12:00:00Z"),
        line("r3", "退款页面", new="购物车页面", who="李", when="2026-11-28T12:00:00Z"),
    ]
    kept, _, notes = apply(tmp_path, lines, steps=BEFORE)
    assert kept["label"].to_list()[2] == "购物车页面"
    assert notes["not_applied"] == {}


def test_a_label_that_was_taken_from_a_record_is_not_put_back_where_nothing_predicts(tmp_path: Path) -> None:
    kept, _, notes = apply(tmp_path, [line("r3", "退货页面")])
    assert kept["label"].to_list()[2] is None
    assert notes["not_applied"] == {"changed": 1}


def test_an_accepted_prediction_that_the_label_file_no_longer_has_is_named(tmp_path: Path) -> None:
    _, _, notes = apply(tmp_path, [line("r3", "旧页面")], steps=BEFORE)
    assert notes["not_applied"] == {"unknown_label": 1}


def test_a_later_step_does_not_tell_what_an_earlier_one_has_met(tmp_path: Path) -> None:
    first = line(new="退货页面")
    (tmp_path / "first.jsonl").write_text(json.dumps(first, ensure_ascii=False), "utf-8")
    steps = (Overrides(path="first.jsonl"), PseudoLabels(), Overrides(path="overrides.jsonl"))
    fresh = line("r2", "退货页面", new="退款页面")
    kept, _, notes = apply(tmp_path, [first, fresh], ["退货页面", "退货页面"], steps=steps)
    assert kept["label"].to_list() == ["退货页面", "退款页面"]
    assert notes["not_applied"] == {}
    assert notes["met_before"] == 1


def test_accepted_and_relabelled_records_say_who_reviewed_them(tmp_path: Path) -> None:
    kept, _, _ = apply(tmp_path, [line(), line("r2", "退货页面", new="退款页面", who="")])
    assert kept["label_reviewed_by"].to_list() == ["王", "unnamed", None]
    assert kept["label_by"].to_list() == [None, "unnamed", None]


def test_a_relabel_to_the_label_that_is_there_is_counted_as_accepted(tmp_path: Path) -> None:
    kept, _, notes = apply(tmp_path, [line("r2", "退货页面", new="退货页面")])
    assert (notes["lines"], notes["accepted"], notes["relabelled"]) == (1, 1, 0)
    assert kept["label_reviewed_by"].to_list()[1] is not None
    assert kept["label_by"].to_list()[1] is None


def test_build_with_decisions_that_were_not_applied_warns_at_its_end(tmp_path: Path) -> None:
    build = toy(tmp_path, [line("r000", "a", new="b"), line("r001", "a", new="b"), line("gone", "a")])
    (finding,) = [one for one in build.report.verdict if one.kind == "override_not_applied"]
    assert (finding.state, finding.count) == ("warned", 2)
    assert "1 about records that have changed since" in finding.words
    assert "1 about no record that comes to the step" in finding.words


def test_dropped_records_are_told_apart_from_rejected_ones(tmp_path: Path) -> None:
    build = toy(tmp_path, [line("r000", "a", action="drop")])
    (finding,) = [one for one in build.report.verdict if one.kind == "rejected"]
    assert (finding.state, finding.count) == ("passed", 0)
    assert "on purpose: dropped_by_review 1" in finding.words


def test_step_behind_resample_is_refused(tmp_path: Path) -> None:
    project = Toy(
        tmp_path,
        steps=(
            "curate.split: {val: 0.5}",
            "balance.resample: {by: label}",
            "curate.overrides: {path: o.jsonl}",
        ),
    )
    (tmp_path / "o.jsonl").write_text("", "utf-8")
    with pytest.raises(DatakitError, match=r"before balance\.resample"):
        project.build([{"text": "text", "label": "a"}, {"text": "text", "label": "b"}])


def test_step_behind_a_prompt_is_refused_whose_answer_has_the_old_label(tmp_path: Path) -> None:
    (tmp_path / "o.jsonl").write_text("", "utf-8")
    steps = ("render.chat: {prompt: p.j2, answer: label_only}", "curate.overrides: {path: o.jsonl}")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/p.j2").write_text("{{ text }} {{ answer_format }}", "utf-8")
    with pytest.raises(DatakitError, match=r"Put it before render\.chat"):
        Toy(tmp_path, steps=steps).build([{"text": "text", "label": "a"}])


@pytest.mark.parametrize("count", [3, 1200])
def test_card_says_how_many_decisions_it_does_not_list(tmp_path: Path, count: int) -> None:
    known = [line(f"r{number}", action="drop") for number in range(1, count + 1)]
    strange = [line(f"x{number}", action="drop") for number in range(1, count + 1)]
    labels: list[str | None] = ["购物车页面"] * count
    _, dropped, notes = apply(tmp_path, [*known, *strange], labels)
    assert dropped.height == count
    account = StepAccount(1, 2 * count, count, 0, 0, {}, notes, (), pl.LazyFrame())
    (section,) = Overrides(path="overrides.jsonl").card_sections(account)
    said = [block.text for block in section.blocks if isinstance(block, Text)]
    more = [text for text in said if text.startswith("The first")]
    assert more == ([] if count == 3 else ["The first 200 of 1,200."] * 2)


@pytest.mark.fault(
    "A picture was moved to another class folder, or renamed, after it was reviewed",
    "The decision is counted as one about no record, and says under which id the same picture stands.",
    kind="inputs changed",
)
@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("退货页面/b.png", "The same stands as `退货页面/b.png`: write that id into the decision."),
        ("退款页面/a.png", "The same stands as `退款页面/a.png`, labelled 退款页面: review it there."),
    ],
)
def test_decision_about_a_picture_that_moved_says_where_it_is(tmp_path: Path, place: str, words: str) -> None:
    (tmp_path / "in").mkdir()
    for name in ("退货页面/a.png", "退货页面/c.png", "退款页面/d.png"):
        drawn(tmp_path / "in" / name, seed=ord(name[5]))
    picture = tmp_path / "in" / "退货页面" / "a.png"
    seen = judged("退货页面", [hashlib.sha256(picture.read_bytes()).hexdigest()], [None])
    decision = line("退货页面/a.png", "退货页面", new="购物车页面", judged=seen)
    step = Overrides(path="o.jsonl")
    (tmp_path / "o.jsonl").write_text(json.dumps(decision), "utf-8")

    def notes() -> dict[str, Any]:
        context = StepContext(base=tmp_path, project=tmp_path, labels=LABELS)
        frame = pl.concat([batch.frame for batch in ImageFolder(path="in").read(context)])
        return step.apply(frame.lazy(), context).notes

    assert notes()["relabelled"] == 1
    picture.rename(tmp_path / "in" / place)
    after = notes()
    assert (after["relabelled"], after["not_applied"]) == (0, {"no_record": 1})
    assert after["faults"][0]["hint"] == words
