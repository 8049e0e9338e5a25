"""The out-of-fold predictions of `datakit kfold`, met with the records that they are of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datakit.artifacts.checked_predictions import Checked, read_once, sound
from datakit.artifacts.kfold import asked_of, edit_of, lack_of_join, record_beside
from datakit.artifacts.predictions import Prediction
from datakit.core.counted import counted, counted_with
from datakit.core.errors import UserError
from datakit.core.labels import LabelSet
from datakit.core.suspicion import Guess, guess
from datakit.core.visible import visible

_NAMED = 5
_MANY = 0.1
"""Share of records with another label from which predictions are of other data: a review changes few."""
_OF_ONE = {"are": "is", "have": "has"}
_JOIN = "datakit kfold RECIPE --k K --join"
_AGAIN = "Ask again: datakit kfold RECIPE --k K --run"
_ANEW = "Make them anew: datakit kfold RECIPE --k K --run"


@dataclass
class Reading:
    """The predictions of a file, met with the records."""

    path: Path
    labels: LabelSet | None = None
    checked: Checked = field(default_factory=Checked)
    """What is odd about the predictions themselves."""
    unknown: list[str] = field(default_factory=list)
    """Ids that no record has."""
    changed: list[str] = field(default_factory=list)
    """Records whose pictures or text are others than the model was asked about."""
    untold: list[str] = field(default_factory=list)
    """Records of which the join does not say what the model was asked about."""
    relabelled: list[str] = field(default_factory=list)
    agreeing: int = 0
    """Records with the label that they had when they were predicted."""
    unseen: int = 0
    without_label: int = 0
    missing: int = 0
    edit: str = ""
    """What became of the file since it was joined."""
    unjoined: str = ""
    """Why nothing is known of its join; "" where it is."""

    def guesses(self, labels: Mapping[str, str], content: Callable[[str], Collection[str]]) -> list[Guess]:
        """What is said of records by id; `content` gives artifacts.kfold.content_of a record as it is now,
        with what it brings and without.

        Raises UserError for no file and for one that contradicts itself.
        """
        if not self.path.is_file():
            raise UserError(
                f"there are no out-of-fold predictions at {self.path}",
                remedy="Make them: datakit kfold RECIPE --run. Or leave `predictions` out.",
            )
        record = record_beside(self.path)
        joined = record.joined if record is not None else None
        self.unjoined = lack_of_join(self.path) if joined is None else ""
        self.edit = edit_of(self.path)
        unseen = set(joined.unseen) if joined is not None else set()
        asked = asked_of(self.path)
        every = read_once(self.path, self.labels, self.checked)
        self.checked.refuse_contradictions(
            self.path, f"Out of fold a record is predicted once. Join anew: {_JOIN}"
        )
        heard = []
        for one in every:
            if one.id not in labels:
                self.unknown.append(one.id)
            elif one.id in asked and asked[one.id] not in content(one.id):
                self.changed.append(one.id)
            elif one.id in unseen:
                self.unseen += 1
            else:
                self.untold += [] if one.id in asked else [one.id]
                heard.append(one)
        self.checked.doubled = [id_ for id_ in self.checked.doubled if id_ in labels]
        self.missing = len(labels.keys() - {one.id for one in every})
        return [said for one in heard if (said := self._guess(one, labels[one.id])) is not None]

    def _guess(self, read: Prediction, label: str) -> Guess | None:
        """None where no label is predicted, or none that can be."""
        one = sound(read, self.labels, self.checked)
        if one.predicted is None:
            self.without_label += read.predicted is None  # the others are told by what is wrong in them
            return None
        if one.label is not None and one.label != label:
            self.relabelled.append(one.id)
        else:
            self.agreeing += 1
        return guess(one.id, label, one.predicted, one.probabilities, one.confidence)

    def notes(self, name: str) -> dict[str, Any]:
        """What a person must know of them."""
        checked = self.checked
        counts = {
            "unknown_ids": len(self.unknown),
            "not_predicted": self.missing,
            "predicted_no_label_of_file": len(checked.no_label),
            "predicted_without_label": self.without_label,
            "predicted_twice": len(checked.doubled),
            "impossible_probabilities": len(checked.unsound),
            "against_own_probabilities": len(checked.contrary),
            "label_never_shown": self.unseen,
            "changed_since": len(self.changed),
            "relabelled_since": len(self.relabelled),
        }
        told: dict[str, Any] = {"predictions": {word: count for word, count in counts.items() if count}}
        warnings = [*self._of_the_join(name), *self._of_the_predictions(name)]
        return {**told, "warnings": warnings} if warnings else told

    def _of_the_join(self, name: str) -> list[str]:
        """What is odd about the file."""
        if self.unjoined:
            return [
                f"{name} {self.unjoined}. Without its join nobody can tell predictions by a model that was "
                "never shown the label, nor those of pictures that have changed since"
            ]
        told = [f"{name} {self.edit}"] if self.edit else []
        if self.untold:
            told.append(
                f"{name} does not say which pictures and texts {counted(len(self.untold), 'prediction')} "
                f"{'is' if len(self.untold) == 1 else 'are'} of, so changes since are not seen. Join again, "
                f"which asks nothing: {_JOIN}"
            )
        return told

    def _of_the_predictions(self, name: str) -> list[str]:
        """What is odd about what it says."""
        checked, relabelled = self.checked, self.relabelled
        is_of_other_data = len(relabelled) > _MANY * (len(relabelled) + self.agreeing)
        told = [
            (
                self.changed,
                "have other pictures or another text than the model was asked about, and are not heard. "
                f"{_AGAIN}",
            ),
            (
                relabelled if is_of_other_data else [],
                f"have another label than when they were predicted, so the folds are of other data. {_ANEW}",
            ),
            (checked.doubled, "are predicted more than once: the last prediction counts"),
            (checked.unsound, "have probabilities that are not those of the labels, and are not heard"),
            (checked.contrary, "are predicted to be what their own probabilities do not hold likeliest"),
        ]
        lines = [_line(name, ids, "record", words) for ids, words in told if ids]
        if self.unknown:
            lines.insert(0, _line(name, self.unknown, "prediction", "are of ids that no record has"))
        if checked.no_label:
            shown = _some(list(dict.fromkeys(checked.no_label.values())))
            count = len(checked.no_label)
            verb = "is" if count == 1 else "are"
            lines.append(
                f"{name}: {counted(count, 'prediction')} {verb} of no label of the label file: {shown}"
            )
        if self.missing:
            lines.append(
                f"{name}: {counted_with(self.missing, 'labelled record', 'has', 'have')} no prediction"
            )
        return lines


def _line(name: str, ids: list[str], thing: str, words: str) -> str:
    what, _, remedy = words.partition(". ")
    verb, _, what = what.partition(" ")
    said = counted_with(len(ids), thing, _OF_ONE[verb], verb)
    return f"{name}: {said} {what}: {_some(ids)}" + (f". {remedy}" if remedy else "")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(map(visible, names[:_NAMED])) + more
