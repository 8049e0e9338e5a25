"""A review in other tools: written for Label Studio and Argilla, and their answers read as decisions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.odd_overrides import (
    disagreements,
    named_ids,
    oddities,
    shown_ids,
    told_disagreements,
)
from datakit.artifacts.overrides import Action, Override, OverrideLine, read_overrides
from datakit.core.clock import now
from datakit.core.counted import counted
from datakit.core.errors import UserError, did_you_mean
from datakit.core.judged import canonical
from datakit.core.parameters import describe_fault
from datakit.core.regular_files import read_regular
from datakit.core.shown_path import show_path
from datakit.core.text_encoding import decoded
from datakit.core.visible import visible
from datakit.reviewing import argilla, label_studio
from datakit.reviewing.answers import Answer, NoAnswer, Unanswered
from datakit.reviewing.pictures import Unreadable
from datakit.reviewing.records import PageRecords

WRITERS: dict[str, Callable[[PageRecords, Path, Unreadable], None]] = {
    "label-studio": label_studio.write,
    "argilla": argilla.write,
}
_NAMED = 5
_DROPPED = "dropped_by_review"
"""Why a record is left out that a reviewer dropped (curate.overrides): its decision was followed."""
_MOST_WHO, _MOST_WHY = 200, 2000
"""Characters of a name and a reason that a decision holds."""
_EXPORT = "Export as JSON: of Label Studio the full JSON (not JSON-MIN), of Argilla records.json."


@dataclass
class Imported:
    """What a file of answers held."""

    lines: list[OverrideLine] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Answers that are no decision, with why."""
    unanswered: list[str] = field(default_factory=list)
    """Ids of records that nobody has said anything about."""
    undated: list[str] = field(default_factory=list)
    """Ids of the records whose answers do not say when they were given; in the others, who gave them, and
    those whose name or reason is longer than a decision holds."""
    unnamed: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def decisions(self) -> list[Override]:
        return [line.override for line in self.lines]


def export(records: PageRecords, kind: str, out: Path) -> list[str]:
    """The review for another tool, as a new folder, and what it lacks. Raises UserError for one that is
    there."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{show_path(out)} is there already", remedy="Name a new folder.")
    out.mkdir(parents=True, exist_ok=True)
    unreadable: Unreadable = []
    WRITERS[kind](records, out, unreadable)
    if not unreadable:
        return []
    named = ", ".join(f"{visible(id_)} ({visible(path.name)})" for id_, path in unreadable[:_NAMED])
    more = f" and {len(unreadable) - _NAMED:,} more" if len(unreadable) > _NAMED else ""
    return [f"{counted(len(unreadable), 'picture')} that cannot be read left out: {named}{more}"]


def read_answers(path: Path, records: PageRecords, *, drafts: bool = False) -> Imported:
    """The decisions of a file: of Label Studio (JSON), of Argilla (records.json), or overrides.jsonl.

    Drafts, and answers of which the file does not say whether they are, are left out unless `drafts`. An
    answer that does not say when it was given has the time of the file. Raises UserError for any other
    file, and for one that holds nothing.
    """
    try:
        data = read_regular(path)
    except OSError as error:
        raise UserError(f"cannot read {show_path(path)}: {error.strerror}") from None
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    found = Imported()
    if isinstance(document, list):
        _read_tool(document, path, found, drafts=drafts)
    else:
        found.lines = read_overrides(decoded(data, path), str(path))
        if not found.lines:
            raise UserError(f"{show_path(path)} is empty: it holds no decision", remedy="Download it again.")
    odd = oddities(found.lines, path.name, now())
    found.notes = [*_strange(found.lines, records, path), *found.notes, *odd]
    return found


def meeting(lines: Sequence[OverrideLine], records: PageRecords, path: Path) -> list[str]:
    """What of a file of decisions the next build will not follow, in words."""
    return [*_strange(lines, records, path), *disagreeing(lines, records, path)]


def disagreeing(lines: Sequence[OverrideLine], records: PageRecords, path: Path) -> list[str]:
    """That reviewers decided differently about records as they are in the build, or were before it followed
    one of them."""
    labels, said = records.build.labels, _said_now([line.override for line in lines], records)
    current = [
        line.model_copy(update={"override": line.override.model_copy(update={"judged": said[line.override]})})
        for line in lines
        if line.override in said
    ]
    if labels is not None:  # a label that the file lacks is never given, whoever else decides
        current = [line for line in current if line.override.new is None or labels.find(line.override.new)]
    found = disagreements(current, lambda label: canonical(label, labels))
    return [f"{path.name}: {told_disagreements(found)}"] if found else []


def _read_tool(document: list[Any], path: Path, found: Imported, *, drafts: bool) -> None:
    """Takes the answers of another tool."""
    if not document:
        raise UserError(f"{show_path(path)} is an empty list: it holds no answer", remedy=_EXPORT)
    when = datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
    for answer in _answers(document, path, drafts=drafts):
        if isinstance(answer, Unanswered):
            found.unanswered.append(answer.id)
        elif isinstance(answer, NoAnswer):
            found.left_out.append(f"{visible(answer.id) or 'an answer'}: {answer.why}")
        else:
            _take(answer, found, when)
    _note_answers(found, path, when)


def _answers(document: list[Any], path: Path, *, drafts: bool) -> Iterator[Answer | NoAnswer | Unanswered]:
    first = document[0] if isinstance(document[0], Mapping) else {}
    if "annotations" in first and "data" in first:
        return label_studio.answers(document, drafts=drafts)
    if "responses" in first and "metadata" in first:
        return argilla.answers(document, drafts=drafts, enough=argilla.enough(path))
    raise UserError(
        f"{show_path(path)} holds neither annotations of Label Studio nor responses of Argilla",
        remedy=_EXPORT,
    )


def _take(answer: Answer, found: Imported, when: datetime) -> None:
    """Makes an answer a decision."""
    action: Action = "drop" if answer.drops else "accept" if answer.label == answer.old else "relabel"
    who = answer.who.strip()
    why = answer.why
    try:
        override = Override(
            id=answer.id,
            judged=answer.judged,
            action=action,
            old=answer.old,
            new=answer.label if action == "relabel" else None,
            who=who[:_MOST_WHO],
            when=answer.when or when,
            why=why[:_MOST_WHY],
            build=answer.build,
        )
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        what = "it does not say what was judged"
        if fault["loc"] != ("judged",):
            what = visible(describe_fault(fault, Override)[0])
        found.left_out.append(f"{visible(answer.id) or 'an answer'}: {what}")
        return
    without_zone = answer.when is not None and answer.when.tzinfo is None
    line = OverrideLine(number=len(found.lines) + 1, override=override, is_without_zone=without_zone)
    found.lines.append(line)
    if answer.when is None:
        found.undated.append(answer.id)
    if not answer.is_named:
        found.unnamed.append(answer.id)
    if len(who) > _MOST_WHO or len(why) > _MOST_WHY:
        found.cut.append(answer.id)


def _note_answers(found: Imported, path: Path, when: datetime) -> None:
    """Tells what the answers of a tool do not say, and what is made of it."""
    for ids, thing, words in (
        (found.unanswered, "record", "without an answer"),
        (found.undated, "answer", f"without a time: that of the file counts, {when:%Y-%m-%d %H:%M} UTC"),
        (found.unnamed, "answer", "without a person: they count as one person's, of which the last holds"),
        (
            found.cut,
            "answer",
            f"cut, with more than {_MOST_WHO} characters of name or {_MOST_WHY:,} of reason",
        ),
    ):
        if ids:
            found.notes.append(f"{path.name}: {counted(len(ids), thing)} {words}: {shown_ids(ids)}")


def _strange(lines: Sequence[OverrideLine], records: PageRecords, path: Path) -> list[str]:
    """Tells of decisions about other records, about what a record is no longer, and with labels that are
    none. They are kept: the step that applies them names them again."""
    own = records.seen_by_id
    decisions = [line.override for line in lines]
    strange = [one for one in decisions if one.id not in own]
    lacking = _left_out(records.build) if strange else {}
    strange = [one for one in strange if lacking.get(one.id) != _DROPPED]
    unlabelled = [one for one in strange if one.old is None and one.id in lacking]
    strange = [one for one in strange if one not in unlabelled]
    stale = [one for one in decisions if one.id in own and not own[one.id].is_of(one.judged)]
    followed = _before_it_was_followed(stale, records)
    stale = [one for one in stale if one not in followed]
    name = records.build.report.name
    other = [one for one in stale if one.build and one.build != name]
    stale = [one for one in stale if one not in other]
    of_other = f"of the build {other[0].build} and what {name} has under its id is another" if other else ""
    of_others = (
        f"of the build {other[0].build} and what {name} has under their ids is another" if other else ""
    )
    told = []
    for some, single, several in (
        (strange, "is about no record of this build", "are about no record of this build"),
        (
            unlabelled,
            "is about a record without a label, which this build left out",
            "are about records without a label, which this build left out",
        ),
        (other, f"is about a record {of_other}", f"are about records {of_others}"),
        (stale, "is about a record that has changed since", "are about records that have changed since"),
    ):
        if some:
            of = f"{len(some):,} of {counted(len(lines), 'decision')} in {show_path(path)}"
            told.append(f"{of} {single if len(some) == 1 else several}: {named_ids(some)}")
    return [*told, *_unknown_labels(decisions, records, path)]


def _said_now(decisions: Sequence[Override], records: PageRecords) -> dict[Override, str]:
    """What each decision is about, in today's words, of those about a record as it is, or was before a
    decision about it was followed."""
    own = records.seen_by_id
    said = {one: own[one.id].said for one in decisions if one.id in own and own[one.id].is_of(one.judged)}
    others = [one for one in decisions if one not in said]
    said |= _before_it_was_followed(others, records)
    gone = [one for one in others if one.id not in own]
    lacking = _left_out(records.build) if gone else {}
    return said | {one: one.judged for one in gone if lacking.get(one.id) == _DROPPED}


def _before_it_was_followed(decisions: Sequence[Override], records: PageRecords) -> dict[Override, str]:
    """What decisions are about that the build came from: a record that a reviewer relabelled looks different
    to the decision that did it."""
    labels, relabelled = records.build.labels, records.relabelled
    before = {one: (one.id, canonical(one.old, labels)) for one in decisions if one.id in relabelled}
    seen = records.seen_as(before.values()) if before else {}
    return {one: seen[name].said for one, name in before.items() if seen[name].is_of(one.judged)}


def _left_out(build: BuildFolder) -> dict[str, str]:
    """Id -> why, of the records that went into no file of the build: those without a label among them, of
    which `datakit next` proposes some."""
    if not build.rejects_file.is_file():
        return {}
    return {str(line["id"]): str(line["reason"]) for line in build.reject_lines()}


def _unknown_labels(decisions: Sequence[Override], records: PageRecords, path: Path) -> list[str]:
    unknown: dict[str, list[Override]] = {}
    for one in decisions:
        new = canonical(one.new, records.build.labels) if one.action == "relabel" else None
        if new is not None and new not in records.labels:
            unknown.setdefault(new, []).append(one)
    told = []
    for label, some in list(unknown.items())[:_NAMED]:
        gives = f"{counted(len(some), 'decision')} {'gives' if len(some) == 1 else 'give'}"
        words = f"{path.name}: {gives} `{visible(label)}`, which is no label here: {named_ids(some)}."
        told.append(f"{words} {did_you_mean(label, records.labels)}".rstrip())
    if len(unknown) > _NAMED:
        told.append(f"{path.name}: {counted(len(unknown) - _NAMED, 'more label')} that the build lacks")
    return told
