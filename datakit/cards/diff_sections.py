"""What differs between two builds as sections of a page, and of the card for the build before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from datakit.artifacts.ledger import Figure
from datakit.artifacts.metric_names import metric, shown
from datakit.cards.chat_changes import LengthShift, TextChange
from datakit.cards.diff import ClassShare, Diff, Moved, ScoreChange, Some
from datakit.cards.score_words import difference_text, ends_text
from datakit.core.language import Language
from datakit.core.word_diff import shortened
from datakit.core.wording import later, speaking, t, told
from datakit.pages.blocks import Block, Bullets, Card, Cell, ChangedText, Section, Table, Text

MOST_ROWS = 50
"""Of a table."""
_AROUND = 200
"""Characters of a text that are shown beside a change."""
_TEXT_TITLES = {"prompt": later("Prompt of {whose}"), "answer": later("Answer of {whose}")}
_TEXTS = {"prompt": later("the prompt"), "answer": later("the answer")}
_NEW_COLUMNS, _LOST_COLUMNS = later("Columns added: {names}"), later("Columns removed: {names}")


def diff_page(diff: Diff, language: Language = "en") -> Card:
    """Everything that differs, as one page in this language."""
    with speaking(language):
        return replace(_page(diff), language=language)


def _page(diff: Diff) -> Card:
    """The page in the language that is spoken."""
    texts: list[Block] = [
        ChangedText(t(_TEXT_TITLES[change.what], whose=text_title(change)), shortened(change.pieces, _AROUND))
        for change in diff.texts
    ]
    settings = [told(line) for line in diff.settings]
    scores = [score_line(score) for score in diff.scores]
    sections = [
        Section(t("Labels that moved"), _moves(diff.labels)),
        Section(t("Recipe, files and sources"), [Bullets(settings)] if settings else []),
        Section(t("Records"), _records(diff)),
        Section(t("Records in another part"), _moves(diff.splits)),
        Section(t("Texts that changed most"), texts),
        Section(t("Classes in training"), _classes(diff.classes)),
        Section(t("Lengths in training"), _lengths(diff.lengths)),
        Section(t("Scores"), [Bullets(scores)] if scores else []),
    ]
    return Card(
        name=diff.after if diff.before == diff.after else f"{diff.before} → {diff.after}",
        lead=t("Both hold the same records and chats.") if diff.same else record_line(diff),
        notices=(),
        front="",
        sections=[section for section in sections if section.blocks],
        title=t("What changed"),
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
    text = t("{id}: {share:.0f}% of its words", id=change.id, share=100 * change.share)
    return text + (t(", and alike in {count:,} more", count=change.others) if change.others else "")


def score_line(score: ScoreChange) -> str:
    """The score of both builds with intervals, and whether they are told from chance."""
    name = score.metric
    before, after = (
        f"{shown(name, figure.value)} ({ends_text(name, figure.low, figure.high)})"
        for figure in (score.before, score.after)
    )
    title = t(metric(name).title)
    text = t(
        "{title} on {part}: {before} → {after}", title=title, part=score.part, before=before, after=after
    )
    if score.model_before != score.model_after:
        models = [model or t("unnamed") for model in (score.model_before, score.model_after)]
        text += t(", model {before} → {after}", before=models[0], after=models[1])
    found = score.difference
    if found is None:
        return text + t("; the answers to single records are not kept: not compared record by record")
    return text + t(
        "; {change} on the {count:,} records of both: {verdict}",
        change=difference_text(name, found),
        count=score.compared,
        verdict=_verdict(found),
    )


def _verdict(difference: Figure) -> str:
    """Whether a difference is more than chance."""
    if difference.low == difference.high == 0:
        return t("the same records are right")
    is_told = difference.low > 0 or difference.high < 0
    return t("told from chance" if is_told else "may be chance")


def _records(diff: Diff) -> list[Block]:
    rows = [(t("added"), diff.added), (t("removed"), diff.removed)]
    rows += [(t("another {name}", name=name), some) for name, some in diff.columns.items()]
    table: list[list[Cell]] = [[what, some.count, ", ".join(some.ids)] for what, some in rows if some.count]
    lines = [
        t(form, names=", ".join(names))
        for form, names in ((_NEW_COLUMNS, diff.columns_added), (_LOST_COLUMNS, diff.columns_removed))
        if names
    ]
    blocks: list[Block] = [Table([t("what"), t("records"), t("such as")], table)] if table else []
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
    spread_head = [t("mean"), t("median"), t("95th percentile"), t("longest")]
    rows: list[list[Cell]] = [
        [t(_TEXTS[shift.what]), when, spread.mean, spread.median, spread.p95, spread.longest]
        for shift in lengths
        for when, spread in ((t("before"), shift.before), (t("after"), shift.after))
    ]
    head = [t("characters of"), "", *spread_head]
    prompts = t("A prompt counts with its system text and every turn that the model does not write.")
    return [Table(head, rows), Text(prompts)] if rows else []


def _more(rows: list[Moved] | list[ClassShare]) -> list[Block]:
    return [Text(t("{count:,} more.", count=len(rows) - MOST_ROWS))] if len(rows) > MOST_ROWS else []
