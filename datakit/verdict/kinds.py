"""All kinds of finding, the worst first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.report import Finding
from datakit.core.errors import UserError, did_you_mean
from datakit.core.scripts import shell_words
from datakit.core.settings import VERDICT_KINDS
from datakit.core.task_blocks import TASK
from datakit.verdict import doubts, flow, forms, labels, noise, personal, pictures, pseudo, splits, texts
from datakit.verdict.seen import Seen


@dataclass(frozen=True)
class Kind:
    """A way in which a build is worse than its user may believe."""

    look: Callable[[BuildFolder], Seen | None]
    """None where this build cannot have it."""
    fails: bool = False
    """Whether it makes the data wrong; else it makes it weaker, and is a warning."""
    of_task: bool = False
    """Whether each of several tasks is looked at by itself: what its labels and answers say is its own."""


KINDS: dict[str, Kind] = {
    "unbalanced": Kind(flow.unbalanced, fails=True),
    "image_leak": Kind(splits.image_leak, fails=True),
    "text_leak": Kind(splits.text_leak, fails=True),
    "label_conflict": Kind(labels.label_conflict, fails=True, of_task=True),
    "label_unknown": Kind(labels.label_unknown, fails=True, of_task=True),
    "pseudo_in_validation": Kind(pseudo.in_validation, fails=True),
    "column_lost": Kind(texts.column_lost, fails=True),
    "personal_data": Kind(personal.left),
    "blurred_in_training": Kind(personal.blurred),
    "override_not_applied": Kind(flow.override_not_applied),
    "near_leak": Kind(splits.near_leak),
    "near_text_leak": Kind(splits.near_text_leak),
    "prompt_names_record": Kind(texts.prompt_names_record, of_task=True),
    "no_image": Kind(flow.no_image, of_task=True),
    "poor_picture": Kind(pictures.poor),
    "retry": Kind(flow.retry),
    "label_noise": Kind(noise.label_noise, of_task=True),
    "offline_texts": Kind(texts.offline_texts, of_task=True),
    "pseudo_labels": Kind(pseudo.labels),
    "label_doubted": Kind(doubts.label_doubted, of_task=True),
    "reason_declined": Kind(doubts.reason_declined, of_task=True),
    "reason_fails": Kind(texts.reason_fails, of_task=True),
    "prompt_shortened": Kind(texts.prompt_shortened, of_task=True),
    "not_emitted": Kind(flow.not_emitted),
    "boxes_unclear": Kind(flow.boxes_unclear),
    "places_unclear": Kind(flow.places_unclear),
    "no_validation": Kind(splits.validation, of_task=True),
    "few_records": Kind(labels.few_records, of_task=True),
    "untested_class": Kind(labels.untested, of_task=True),
    "untested_form": Kind(forms.untested, of_task=True),
    "rejected": Kind(flow.rejected),
    "trainer_check": Kind(flow.trainer_check),
}
assert tuple(KINDS) == VERDICT_KINDS  # `run.fail_on` takes these


def verdict(build: BuildFolder) -> list[Finding]:
    """A finding for each kind that the build can have: failed ones first, then warned, then passed."""
    looked = ((name, _look(kind, build)) for name, kind in KINDS.items())
    findings = [_finding(name, seen) for name, seen in looked if seen is not None]
    order = ("failed", "warned", "passed")
    return sorted(findings, key=lambda finding: order.index(finding.state))


def records_of(build: BuildFolder, kind: str) -> tuple[Finding, pl.LazyFrame | None]:
    """What is found of a kind and the records that show it. Raises UserError for a kind that there is not."""
    if kind not in KINDS:
        remedy = did_you_mean(kind, KINDS) or f"Kinds: {', '.join(KINDS)}."
        raise UserError(f"there is no finding `{kind}`", remedy=remedy)
    seen = _look(KINDS[kind], build) or Seen("This build cannot have it", 0, "nothing")
    return _finding(kind, seen), seen.records


def _look(kind: Kind, build: BuildFolder) -> Seen | None:
    """What is found of a kind; of several tasks in each, told by the task's name."""
    if not kind.of_task or not build.tasks:
        return kind.look(build)
    seen = {task.path.name: found for task in build.tasks if (found := kind.look(task)) is not None}
    if not seen:
        return None
    bad = {name: found for name, found in seen.items() if found.count} or seen
    words = "; ".join(f"{name}: {found.words}" for name, found in bad.items())
    frames = [
        found.records.with_columns(pl.lit(name).alias(TASK))
        for name, found in bad.items()
        if found.records is not None
    ]
    records = pl.concat(frames, how="diagonal_relaxed") if frames else None
    statement = next(iter(bad.values())).statement
    return Seen(statement, sum(found.count for found in bad.values()), words, records)


def _finding(kind: str, seen: Seen) -> Finding:
    bad: Literal["failed", "warned"] = "failed" if KINDS[kind].fails else "warned"
    state = bad if seen.count else "passed"
    return Finding(kind=kind, state=state, count=seen.count, statement=seen.statement, words=seen.words)


def command_of(kind: str, build: str) -> str:
    """The command that shows the records of a finding; `build` is the folder as the user says it."""
    if kind == "trainer_check":
        return shell_words(["datakit", "check", build])
    return shell_words(["datakit", "verdict", build, "--kind", kind])
