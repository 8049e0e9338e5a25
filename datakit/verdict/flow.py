"""Whether every record is accounted for, and what became of those that are not in the data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.checked import CheckReport
from datakit.artifacts.originals import originals
from datakit.artifacts.report import StepReport
from datakit.core.boxes import UNCLEAR
from datakit.core.reasons import CHOSEN
from datakit.verdict.seen import SHOWN, Seen, height, records


def unbalanced(build: BuildFolder) -> Seen | None:
    """In = out + rejected + retry, in every step, of each task by itself: what one loses another cannot make
    up for."""
    wrong = [f"{step.number} ({step.title})" for step in build.report.steps if not step.balanced]
    words = f"not in step {', '.join(wrong)}" if wrong else "yes"
    return Seen("Every record is accounted for in every step", len(wrong), words)


def rejected(build: BuildFolder) -> Seen | None:
    """Records that steps dropped, by reason; those that somebody decided to drop are told, and no fault."""
    reasons: dict[str, int] = {}
    for step in (step for step in build.report.steps if not step.emits):
        for reason, count in step.rejected.items():
            reasons[reason] = reasons.get(reason, 0) + count
    count = sum(number for reason, number in reasons.items() if reason not in CHOSEN)
    words = f"{records(count)} dropped: {_listed(reasons, chosen=False)}" if count else "none was dropped"
    if chosen := _listed(reasons, chosen=True):
        words += f"; besides, on purpose: {chosen}"
    return Seen("No record was dropped", count, words, _rejects(build, "rejected", emitted=False))


def _listed(reasons: dict[str, int], *, chosen: bool) -> str:
    """The reasons that somebody decided for, or the others, the most frequent first."""
    some = [(reason, count) for reason, count in reasons.items() if (reason in CHOSEN) is chosen]
    return ", ".join(f"{reason} {count:,}" for reason, count in sorted(some, key=lambda item: -item[1]))


_OVERRIDE_FAULTS = {
    "changed": "about records that have changed since",
    "disagree": "of reviewers who disagree",
    "no_record": "about no record that comes to the step",
    "unknown_label": "with a label that the label file lacks",
}


def override_not_applied(build: BuildFolder) -> Seen | None:
    """Decisions of reviewers that curate.overrides could not apply."""
    reports = [step for step in build.report.steps if step.name == "curate.overrides"]
    if not reports:
        return None
    steps = [step.notes for step in reports]
    counts: dict[str, int] = {}
    for notes in steps:
        for word, number in notes.get("not_applied", {}).items():
            counts[word] = counts.get(word, 0) + number
    faults = [fault for notes in steps for fault in notes.get("faults", ())]
    if nowhere := _of_no_task(reports):
        counts["no_record"] = counts.get("no_record", 0) + len(nowhere)
        faults += nowhere
    count = sum(counts.values())
    lines = sum({str(notes.get("file")): int(notes.get("lines", 0)) for notes in steps}.values())
    listed = ", ".join(f"{number:,} {_OVERRIDE_FAULTS.get(word, word)}" for word, number in counts.items())
    was = "was" if count == 1 else "were"
    words = f"{count:,} of {lines:,} {was} not: {listed}" if count else f"all {lines:,} were"
    shown = ("id", "line", "what", "by", "why", "hint")
    rows = pl.LazyFrame(
        [{name: str(fault.get(name, "")) for name in shown} for fault in faults],
        schema=dict.fromkeys(shown, pl.String()),
    )
    return Seen("Every decision of the reviewers was applied", count, words, rows if count else None)


def _of_no_task(reports: Sequence[StepReport]) -> list[dict[str, Any]]:
    """The decisions of a file that several tasks share which none of them has a record for."""
    by_file: dict[str, list[list[dict[str, Any]]]] = {}
    for step in reports:
        by_file.setdefault(str(step.notes.get("file")), []).append(list(step.notes.get("elsewhere", ())))
    nowhere = []
    for first, *others in by_file.values():
        missed = [{row["line"] for row in rows} for rows in others]
        nowhere += [row for row in first if all(row["line"] in lines for lines in missed)]
    return nowhere


def not_emitted(build: BuildFolder) -> Seen:
    """Records of the build that files of an emitter lack."""
    lacking = []
    for step in (step for step in build.report.steps if step.emits and step.rejected):
        worst_first = sorted(step.rejected.items(), key=lambda reason: -reason[1])
        listed = ", ".join(f"{reason} {number:,}" for reason, number in worst_first)
        lacking.append(f"{step.name} lacks {sum(step.rejected.values()):,} of {step.records_in:,} ({listed})")
    words = "; ".join(lacking) or "all have"
    return Seen(
        "The files of every emitter have every record",
        build.report.not_emitted,
        words,
        _rejects(build, "rejected", emitted=True),
    )


def boxes_unclear(build: BuildFolder) -> Seen | None:
    """Boxes of which the source does not say what their numbers are, or on which pixels they stand."""
    found = list[dict[str, Any]]()
    for step in build.report.steps:
        found += [each for each in step.notes.get(UNCLEAR, ()) if each not in found]  # emitters see the same
    if not found:
        return None
    shown = [
        {"place": place, "box": box, "what": str(finding["what"])}
        for finding in found
        for place, box in dict(finding["shown"]).items()
    ]
    words = "; ".join(
        f"{records(int(finding['count']))} {finding['what']}, such as {next(iter(finding['shown']))}"
        for finding in found
    )
    count = sum(int(finding["count"]) for finding in found)
    return Seen("Every source says what the numbers of its boxes are", count, words, pl.LazyFrame(shown))


def places_unclear(build: BuildFolder) -> Seen | None:
    """Numbers of chats that may be places in pictures which are scaled or turned, and were left so."""
    noted = [step.notes for step in build.report.steps if step.emits and "unclear places" in step.notes]
    if not noted:
        return None
    notes = max(noted, key=lambda notes: int(notes["unclear places"]))  # of the emitter that scales most
    count, shown = int(notes["unclear places"]), dict(notes["first unclear places"])
    first, text = next(iter(shown.items()))
    words = f"{records(count)} may hold such, to be looked at; the first is {first} with {text}"
    frame = pl.LazyFrame({"id": list(shown), "text": list(shown.values())})
    return Seen(
        "No chat holds numbers that may be places in pixels of a picture that is scaled or turned",
        count,
        words,
        frame,
    )


def retry(build: BuildFolder) -> Seen | None:
    """Records that no answer came for (--allow-partial)."""
    count = build.report.retry
    words = f"{records(count)} left out until the next run" if count else "all were"
    return Seen("Every record was answered", count, words, _rejects(build, "retry"))


def no_image(build: BuildFolder) -> Seen | None:
    """A task with pictures, and records that have none."""
    own = originals(build)
    without = own.filter(pl.col("images").list.len().fill_null(0) == 0)
    count, total = height(without), height(own)
    if not total or (count == total and not build.has_step("guard.image")):
        return None
    words = f"{count:,} of {total:,} have none" if count else f"all {total:,} have one"
    return Seen(
        "Every record has a picture", count, words, without.select(*SHOWN, "source_file", "source_line")
    )


def trainer_check(build: BuildFolder) -> Seen | None:
    """What `datakit check` warned of."""
    check: CheckReport | None = build.check
    if check is None:
        return None
    codes: dict[str, int] = {}
    for finding in check.findings:
        if finding.severity in ("warning", "error"):
            codes[finding.code] = codes.get(finding.code, 0) + 1
    count = sum(codes.values())
    words = ", ".join(f"{code} {number:,}" for code, number in codes.items()) if count else "nothing"
    return Seen("The trainer has nothing to warn of", count, words)


def _rejects(build: BuildFolder, state: str, *, emitted: bool | None = None) -> pl.LazyFrame | None:
    """What left a step in this state: of emitters, of the other steps, or of both."""
    if not build.rejects_file.is_file():
        return None
    emitters = [step.number for step in build.report.steps if step.emits]
    of_kind = pl.lit(True) if emitted is None else pl.col("step").is_in(emitters) == emitted
    return build.rejects.filter((pl.col("state") == state) & of_kind)
