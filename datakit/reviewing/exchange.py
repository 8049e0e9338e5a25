"""A review in other tools: written for Label Studio and Argilla, and their answers read as decisions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from datakit.artifacts.overrides import Action, Override, read_overrides
from datakit.core.errors import UserError, did_you_mean
from datakit.core.regular_files import read_regular
from datakit.core.visible import visible
from datakit.reviewing import argilla, label_studio
from datakit.reviewing.answers import Answer, NoAnswer
from datakit.reviewing.records import PageRecords

WRITERS: dict[str, Callable[[PageRecords, Path], None]] = {
    "label-studio": label_studio.write,
    "argilla": argilla.write,
}
_NAMED = 5


@dataclass
class Imported:
    """What a file of answers held."""

    decisions: list[Override] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Answers that are no decision, with why."""
    notes: list[str] = field(default_factory=list)


def export(records: PageRecords, kind: str, out: Path) -> None:
    """The review for another tool, as a new folder. Raises UserError for one that is there."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is there already", remedy="Name a new folder.")
    out.mkdir(parents=True, exist_ok=True)
    WRITERS[kind](records, out)


def read_answers(path: Path, records: PageRecords) -> Imported:
    """The decisions of a file: of Label Studio (JSON), of Argilla (records.json), or overrides.jsonl.

    Raises UserError for any other file.
    """
    try:
        data = read_regular(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    found = Imported()
    if isinstance(document, list) and document:
        when = datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
        for answer in _answers(document, path, records):
            _take(answer, found, records, when)
    else:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise UserError(f"{path} is not UTF-8", remedy="Save it as UTF-8.") from None
        found.decisions = [line.override for line in read_overrides(text, str(path))]
    _note_strangers(found, records, path)
    return found


def _answers(document: list[Any], path: Path, records: PageRecords) -> Iterator[Answer | NoAnswer]:
    first = document[0] if isinstance(document[0], Mapping) else {}
    if "annotations" in first and "data" in first:
        return label_studio.answers(document)
    if "responses" in first and "metadata" in first:
        return argilla.answers(document)
    remedy = "Export as JSON: of Label Studio the full JSON (not JSON-MIN), of Argilla records.json."
    raise UserError(
        f"{path} holds neither annotations of Label Studio nor responses of Argilla", remedy=remedy
    )


def _take(answer: Answer | NoAnswer, found: Imported, records: PageRecords, when: datetime) -> None:
    """Makes an answer a decision."""
    if isinstance(answer, NoAnswer):
        found.left_out.append(f"{visible(answer.id) or 'an answer'}: {answer.why}")
        return
    action: Action = "drop" if answer.drops else "accept" if answer.label == answer.old else "relabel"
    if action == "relabel" and answer.label not in records.labels:
        hint = did_you_mean(answer.label or "", records.labels)
        found.notes.append(f"{visible(answer.id)}: `{visible(answer.label or '')}` is no label here. {hint}")
    try:
        found.decisions.append(
            Override(
                id=answer.id,
                judged=answer.judged,
                action=action,
                old=answer.old,
                new=answer.label if action == "relabel" else None,
                who=answer.who[:200],
                when=answer.when or when,
                why=answer.why[:2000],
                build=answer.build,
            )
        )
    except ValueError:
        found.left_out.append(f"{visible(answer.id) or 'an answer'}: it does not say what was judged")


def _note_strangers(found: Imported, records: PageRecords, path: Path) -> None:
    """Tells of decisions about other records, or about what a record is no longer. They are kept: the step
    that applies them names them again."""
    own = dict(zip(records.frame["id"].to_list(), records.judged(), strict=True))
    strange = [one.id for one in found.decisions if one.id not in own]
    stale = [one.id for one in found.decisions if own.get(one.id, one.judged) != one.judged]
    for ids, words in (
        (strange, "are about no record of this build"),
        (stale, "are about records that have changed since"),
    ):
        if ids:
            named = ", ".join(visible(id_) for id_ in ids[:_NAMED])
            found.notes.append(
                f"{len(ids):,} of {len(found.decisions):,} decisions in {path} {words}: {named}"
            )
