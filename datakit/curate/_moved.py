"""Where records stand that decisions were made about, and that bear another id today."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from datakit.artifacts.overrides import OverrideLine
from datakit.core.judged import Seen, canonical
from datakit.core.step_context import StepContext
from datakit.core.visible import visible

Row = Mapping[str, Any]


def now_under(lines: Sequence[OverrideLine], rows: Sequence[Row], context: StepContext) -> dict[int, str]:
    """Number of a decision's line -> what became of its record, for those whose pictures, text and columns
    are those of a record here: a picture that moved to another folder has a new id, and often a new label."""
    wanted: dict[tuple[str | None, str], list[OverrideLine]] = {}
    for line in lines:
        override = line.override
        old = canonical(override.old, context.labels)
        wanted.setdefault((old, override.judged.split("-")[0]), []).append(line)
    digests = context.files.sha256_of(_paths(rows))
    olds = {old for old, _ in wanted}
    told: dict[int, str] = {}
    for row in rows:
        pictures = [digests[path] for path in row["images"] or ()]
        if not pictures and not row["text"]:
            continue  # all of these are equal
        for old in olds:
            seen = Seen.of(old, pictures, row["text"], context.brought_by(row["id"]))
            for base in {seen.base, seen.whole}:
                for line in wanted.get((old, base), ()):
                    if seen.is_of(line.override.judged):
                        told.setdefault(line.number, _words(row, old, context))
    return told


def _paths(rows: Iterable[Row]) -> Iterable[str]:
    return (path for row in rows for path in row["images"] or ())


def _words(row: Row, old: str | None, context: StepContext) -> str:
    label = canonical(row["label"], context.labels)
    stands = f"The same stands as `{visible(row['id'])}`"
    if label == old:
        return f"{stands}: write that id into the decision."
    return f"{stands}, labelled {visible(label or 'nothing')}: review it there."
