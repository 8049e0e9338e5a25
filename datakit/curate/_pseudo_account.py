"""What curate.pseudo_labels did, in figures: for the report, --json and the card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from datakit.core.blocks import Bullets, Cell, Section, Table, Text
from datakit.core.reasons import REJECTED
from datakit.core.wording import t, told
from datakit.curate._calibrated import Calibration
from datakit.curate._chosen import Choice


@dataclass(frozen=True)
class Account:
    """The figures. `expected_error` and `precision` are shares of the kept labels; None for none."""

    candidates: int
    """Records without a label."""
    kept: int
    coverage: float | None
    """Share of the candidates that are kept."""
    expected_error: float | None
    """Share of the kept labels that are wrong, by their own estimate."""
    calibrated_by: int
    """Records with a known label and a prediction by others; 0: probabilities were taken as they are."""
    bound: float
    """Least probability of being right that was asked for."""
    kept_for_class: int
    """Of the kept, those below the bound that stand for their class."""
    left: Mapping[str, int]
    """Reason -> candidates that are not kept."""
    classes: Mapping[str, list[Any]]
    """Class -> given labels, candidates predicted so, kept, and the threshold of its probability."""
    by: Sequence[str]
    """Who predicted, by content."""
    precision: float | None = None
    """Share of the kept labels that are right, where the truth is known."""

    @classmethod
    def of(
        cls, decided: pl.DataFrame, calibration: Calibration, choice: Choice, by: Sequence[str]
    ) -> Account:
        """Of records with their `given` label, `predicted`, `is_open`, `is_valid` (whether the prediction is
        sound and of a label), `kept`, `sure`, `fate` and `truth`."""
        candidates, kept = decided.filter("is_open"), decided.filter("kept")
        count = kept.height
        given = Counter(decided["given"].drop_nulls())
        said, taken = (Counter(rows["predicted"]) for rows in (candidates.filter("is_valid"), kept))
        known = kept.drop_nulls("truth")
        return cls(
            candidates=candidates.height,
            kept=count,
            coverage=round(count / candidates.height, 4) if candidates.height else None,
            expected_error=round(1 - float(kept["sure"].to_numpy().mean()), 4) if count else None,
            calibrated_by=calibration.known,
            bound=round(choice.bound, 4),
            kept_for_class=choice.by_floor,
            left=dict(sorted(Counter(candidates.filter(~pl.col("kept"))["fate"]).items())),
            classes={
                name: [
                    given[name],
                    said[name],
                    taken[name],
                    round(calibration.threshold(choice.bound, name), 4),
                ]
                for name in sorted({*given, *said}, key=lambda name: (-given[name], name))
            },
            by=list(by),
            precision=_share(known["predicted"] == known["truth"]),
        )

    @classmethod
    def from_notes(cls, notes: Mapping[str, Any]) -> Account:
        return cls(**{name: notes[name] for name in cls.__dataclass_fields__ if name in notes})

    def notes(self) -> dict[str, Any]:
        """For the report; empty where there was nothing to do."""
        if not self.candidates:
            return (
                {"warnings": ["No record is without a label, so curate.pseudo_labels had nothing to do."]}
                if self.classes
                else {}
            )
        notes = {
            name: value for name, value in asdict(self).items() if name != "precision" or value is not None
        }
        if warnings := self._warnings():
            notes["warnings"] = warnings
        return notes

    def _warnings(self) -> list[str]:
        never = [name for name, (given, said, *_) in self.classes.items() if given and not said]
        none = [name for name, (_, said, kept, _) in self.classes.items() if said and not kept]
        words = []
        if never:
            words.append(
                f"{len(never)} of {len(self.classes)} classes are predicted of no record: {'、'.join(never)}"
            )
        if none and self.kept:
            have = "predicted class has" if len(none) == 1 else "predicted classes have"
            words.append(f"{len(none)} {have} no record that is kept: {'、'.join(none)}")
        return words


def _share(are_right: pl.Series) -> float | None:
    return round(int(are_right.sum()) / len(are_right), 4) if len(are_right) else None


def _why(reason: str) -> str:
    """What a word of a reject means, as far as it is known."""
    return t(REJECTED[reason]) if reason in REJECTED else ""


def section(account: Account) -> Section:
    """The step's section on the card."""
    kept = t(
        "{kept:,} of {candidates:,} records without a label are kept",
        kept=account.kept,
        candidates=account.candidates,
    )
    if account.expected_error is not None:
        kept += t(", {share:.1%} of them wrong by estimate", share=account.expected_error)
    facts = [kept + t(".")]
    if account.precision is not None:
        facts.append(
            t("The truth is known: {share:.1%} of the kept labels are right.", share=account.precision)
        )
    facts.append(
        t("Asked for: a prediction that is right with probability {bound:.2f} or more.", bound=account.bound)
        if account.bound < 1
        else t("No prediction is sure enough by itself.")
    )
    if account.kept_for_class:
        facts.append(
            t(
                "{count:,} of the kept are less sure than that: the surest of their class, kept so that no "
                "class is left out because others are easier.",
                count=account.kept_for_class,
            )
        )
    facts.append(
        t("The estimate is set right by {count:,} records with a known label.", count=account.calibrated_by)
        if account.calibrated_by
        else t("The estimate is not set right: too few records with a known label have a prediction.")
    )
    facts += [
        (t("{count:,} are not kept: {reason}. ", count=count, reason=reason) + _why(reason)).strip()
        for reason, count in account.left.items()
    ]
    if account.by:
        facts.append(t("Predicted by: {names}.", names=t("; ").join(map(told, account.by))))
    transductive = t(
        "Transductive: a model that trains on these labels has seen these pictures, so its scores on them "
        "say nothing about new ones, and answers to them are no test. None stands in validation."
    )
    columns = t(
        "Shares are those of all labels, before and after. The threshold is the probability, as the model "
        "states it, from which a prediction of the class is as sure as asked for."
    )
    return Section(t("Pseudo-labels"), [Text(transductive), Bullets(facts), Text(columns), _skew(account)])


def _skew(account: Account) -> Table:
    """Every class's share of the labels, before and after."""
    given = sum(row[0] for row in account.classes.values())
    total = given + account.kept
    rows: list[list[Cell]] = [
        [
            name,
            own,
            f"{own / given:.1%}" if given else "",
            said,
            kept,
            f"{(own + kept) / total:.1%}" if total else "",
            f"{bound:.2f}",
        ]
        for name, (own, said, kept, bound) in account.classes.items()
    ]
    names = (
        t("class"),
        t("given"),
        t("share before"),
        t("predicted"),
        t("kept"),
        t("share after"),
        t("threshold"),
    )
    return Table(names, rows)
