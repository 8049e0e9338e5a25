"""Whether every record is accounted for, and what became of those that are not in the data set."""

from __future__ import annotations

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.checked import CheckReport
from datakit.artifacts.originals import originals
from datakit.verdict.seen import SHOWN, Seen, height, records


def unbalanced(build: BuildFolder) -> Seen | None:
    """In = out + rejected + retry, in every step."""
    wrong = [f"{step.number} ({step.name})" for step in build.report.steps if not step.balanced]
    words = f"not in step {', '.join(wrong)}" if wrong else "yes"
    return Seen("Every record is accounted for in every step", len(wrong), words)


def rejected(build: BuildFolder) -> Seen | None:
    """Records that steps dropped, by reason."""
    reasons: dict[str, int] = {}
    for step in (step for step in build.report.steps if not step.emits):
        for reason, count in step.rejected.items():
            reasons[reason] = reasons.get(reason, 0) + count
    count = sum(reasons.values())
    worst_first = sorted(reasons.items(), key=lambda reason: -reason[1])
    listed = ", ".join(f"{reason} {number:,}" for reason, number in worst_first)
    words = f"{records(count)} dropped: {listed}" if count else "none was dropped"
    return Seen("No record was dropped", count, words, _rejects(build, "rejected", emitted=False))


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


def places_unclear(build: BuildFolder) -> Seen | None:
    """Numbers of chats that may be places in pictures which are scaled, and were left as they are."""
    noted = [step.notes for step in build.report.steps if step.emits and "unclear places" in step.notes]
    if not noted:
        return None
    notes = max(noted, key=lambda notes: int(notes["unclear places"]))  # of the emitter that scales most
    count, shown = int(notes["unclear places"]), dict(notes["first unclear places"])
    first, text = next(iter(shown.items()))
    words = f"{records(count)} may hold such, left as they are; the first is {first} with {text}"
    frame = pl.LazyFrame({"id": list(shown), "text": list(shown.values())})
    return Seen("No chat holds numbers that may be places in pixels of a scaled picture", count, words, frame)


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
