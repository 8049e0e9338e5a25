"""What differs between two builds as sections of a page, and of the card for the build before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from datakit.artifacts.metric_names import metric, shown, shown_change, shown_ends
from datakit.cards.chat_changes import LengthShift, TextChange
from datakit.cards.diff import ClassShare, Diff, Moved, ScoreChange, Some
from datakit.core.word_diff import shortened
from datakit.core.wording import t, told
from datakit.pages.blocks import Block, Bullets, Card, Cell, ChangedText, Section, Table, Text

MOST_ROWS = 50
"""Of a table."""
_AROUND = 200
"""Characters of a text that are shown beside a change."""


def diff_page(diff: Diff) -> Card:
    """Everything that differs, as one page."""
    texts: list[Block] = [
        ChangedText(f"{change.what.title()} of {text_title(change)}", shortened(change.pieces, _AROUND))
        for change in diff.texts
    ]
    sections = [
        Section("Labels that moved", _moves(diff.labels)),
        Section("Recipe, files and sources", [Bullets(diff.settings)] if diff.settings else []),
        Section("Records", _records(diff)),
        Section("Records in another part", _moves(diff.splits)),
        Section("Texts that changed most", texts),
        Section("Classes in training", _classes(diff.classes)),
        Section("Lengths in training", _lengths(diff.lengths)),
        Section("Scores", [Bullets([score_line(score) for score in diff.scores])] if diff.scores else []),
    ]
    return Card(
        name=diff.after if diff.before == diff.after else f"{diff.before} → {diff.after}",
        lead="Both hold the same records and chats." if diff.same else record_line(diff),
        notices=(),
        front="",
        sections=[section for section in sections if section.blocks],
        title="What changed",
    )


def since_section(since: Mapping[str, Any]) -> Section:
    """What changed since the build that stood in its place before; nothing for a first one.

    It names no record and quotes no text: what was taken out of the data must not live on in its card.
    """
    title = t("What changed since the last version")
    if not since:
        return Section(title, [])
    try:
        diff = Diff.model_validate(since)
    except ValidationError:
        return Section(title, [Text(t("What was noted down cannot be read; the next build notes it anew."))])
    return Section(
        title,
        [
            Text(t("Since the build that stood in its place before. ") + record_line(diff)),
            *_moves(diff.labels, ids=False),
            *([Bullets([told(line) for line in diff.settings])] if diff.settings else []),
            *_classes(diff.classes),
        ],
    )


def since_of(diff: Diff) -> dict[str, Any]:
    """What the card keeps of the differences: no ids and texts of records, of long lists the beginning."""
    settings = diff.settings[:MOST_ROWS]
    if len(diff.settings) > MOST_ROWS:
        settings.append(f"{len(diff.settings) - MOST_ROWS:,} more changes of recipe, files and sources")
    return Diff(
        before=diff.before,
        after=diff.after,
        same=diff.same,
        settings=settings,
        records_before=diff.records_before,
        records_after=diff.records_after,
        added=Some(count=diff.added.count, ids=[]),
        removed=Some(count=diff.removed.count, ids=[]),
        changed=Some(count=diff.changed.count, ids=[]),
        columns={},
        columns_added=diff.columns_added,
        columns_removed=diff.columns_removed,
        labels=[move.model_copy(update={"ids": []}) for move in diff.labels[:MOST_ROWS]],
        splits=[],
        classes=diff.classes[:MOST_ROWS],
    ).model_dump()


def record_line(diff: Diff) -> str:
    """How many records there were and are, and what became of them."""
    same = diff.records_in_both - diff.changed.count
    return t(
        "Records: {before:,} → {after:,} ({added:,} added, {removed:,} removed, {changed:,} changed, "
        "{same:,} the same)",
        before=diff.records_before,
        after=diff.records_after,
        added=diff.added.count,
        removed=diff.removed.count,
        changed=diff.changed.count,
        same=same,
    )


def text_title(change: TextChange) -> str:
    """Whose text it is, and how much of it changed."""
    others = f", and alike in {change.others:,} more" if change.others else ""
    return f"{change.id}: {100 * change.share:.0f}% of its words{others}"


def score_line(score: ScoreChange) -> str:
    """The score of both builds with intervals, and whether they are told from chance."""
    name = score.metric
    sides = [
        f"{shown(name, figure.value)} ({shown_ends(name, figure.low, figure.high)})"
        for figure in (score.before, score.after)
    ]
    text = f"{metric(name).title} on {score.part}: {' → '.join(sides)}"
    if score.model_before != score.model_after:
        text += f", model {score.model_before or 'unnamed'} → {score.model_after or 'unnamed'}"
    found = score.difference
    if found is None:
        return f"{text}; the answers to single records are not kept: not compared record by record"
    verdict = "told from chance" if found.low > 0 or found.high < 0 else "may be chance"
    if found.low == found.high == 0:
        verdict = "the same records are right"
    unit = " points" if metric(name).is_share else ""
    ends = f"{shown_change(name, found.low)} to {shown_change(name, found.high)}"
    on = f"on the {score.compared:,} records of both"
    return f"{text}; {shown_change(name, found.value)}{unit} ({ends}) {on}: {verdict}"


def _records(diff: Diff) -> list[Block]:
    rows = [("added", diff.added), ("removed", diff.removed)]
    rows += [(f"another {name}", some) for name, some in diff.columns.items()]
    table: list[list[Cell]] = [[what, some.count, ", ".join(some.ids)] for what, some in rows if some.count]
    lines = [
        f"Columns {word}: {', '.join(names)}"
        for word, names in (("added", diff.columns_added), ("removed", diff.columns_removed))
        if names
    ]
    blocks: list[Block] = [Table(["what", "records", "such as"], table)] if table else []
    return blocks + ([Bullets(lines)] if lines else [])


def _moves(moves: list[Moved], *, ids: bool = True) -> list[Block]:
    none = t("none")
    head = [t("before"), t("after"), t("records"), *([t("such as")] if ids else [])]
    rows: list[list[Cell]] = [
        [move.before or none, move.after or none, move.count, *([", ".join(move.ids)] if ids else [])]
        for move in moves[:MOST_ROWS]
    ]
    return [Table(head, rows), *_more(moves)] if rows else []


def _classes(classes: list[ClassShare]) -> list[Block]:
    head = [t("class"), t("rows before"), t("rows after"), t("share before, %"), t("share after, %")]
    rows: list[list[Cell]] = [
        [one.label, one.before, one.after, round(100 * one.share_before, 1), round(100 * one.share_after, 1)]
        for one in classes[:MOST_ROWS]
    ]
    return [Table(head, rows), *_more(classes)] if rows else []


def _lengths(lengths: Iterable[LengthShift]) -> list[Block]:
    head = ["characters of", "", "mean", "median", "95th percentile", "longest"]
    rows: list[list[Cell]] = [
        [f"{shift.what}s", when, spread.mean, spread.median, spread.p95, spread.longest]
        for shift in lengths
        for when, spread in (("before", shift.before), ("after", shift.after))
    ]
    return [Table(head, rows)] if rows else []


def _more(rows: list[Moved] | list[ClassShare]) -> list[Block]:
    return [Text(t("{count:,} more.", count=len(rows) - MOST_ROWS))] if len(rows) > MOST_ROWS else []
