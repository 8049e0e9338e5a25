"""What the entries of a label file might say besides, so that the prompt tells apart what is mixed up."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import UserError
from datakit.core.labels import Label, LabelSet
from datakit.evaluation.label_audit.audit import near_pairs
from datakit.evaluation.label_audit.claims import tells_apart
from datakit.evaluation.label_audit.class_texts import class_texts
from datakit.evaluation.label_audit.last_evaluation import Mistakes
from datakit.evaluation.label_words.screens import screens_of
from datakit.evaluation.label_words.telling import LabelWords, TellingWord
from datakit.evaluation.proposals import AT_LEAST, DESCRIPTION_MAX_CHARS, MOST_PROPOSED, difference, sentence

_ID_CHARS = 6
_MARKS = "；; "
"""What parts a sentence from the one before it."""


@dataclass(frozen=True)
class LabelProposal:
    """One change of one label's entry, which a person takes or leaves."""

    label: str
    rivals: tuple[str, ...]
    """The labels that it tells this one from."""
    added: str
    """The sentence put at the end of the description; "" where `confusable_with` alone grows, or there
    are words and no room for them."""
    confusable: tuple[str, ...]
    """The rivals that `confusable_with` does not name yet."""
    words: tuple[TellingWord, ...] = field(default=(), compare=False)
    """The words of the sentence, counted against the first rival."""
    mistakes: int = field(default=0, compare=False)
    """In the evaluation, in either direction, with all of the rivals."""
    alike: int = field(default=0, compare=False)
    """Texts of either class that are more like the other's, with all of the rivals."""

    @property
    def id(self) -> str:
        """The first hex digits of a digest of the change: another change has another id."""
        parts = "\0".join((self.label, self.added, *self.rivals, "", *self.confusable))
        return hashlib.sha256(parts.encode()).hexdigest()[:_ID_CHARS]


def proposed(build: BuildFolder, mistakes: Mistakes | None) -> list[LabelProposal]:
    """The proposals for every pair of labels that is mixed up or alike, the costliest first.

    A sentence names words that stand on many training pictures of the label and on few of the rival's; where
    there are none, and no description tells the two apart yet, what the rival is. Raises UserError without
    labels or OCR.
    """
    labels = build.labels
    if labels is None:
        raise UserError(
            f"{build.path} has no label file", remedy="Name one in the recipe (`labels:`), and build again."
        )
    pairs = sorted(
        near_pairs(labels, class_texts(build, labels), mistakes), key=lambda pair: (-pair[2], -pair[3])
    )
    words = LabelWords(screens_of(build, labels, split="train"))
    single = [
        _one(label, rival, words, wrong, alike)
        for first, second, wrong, alike, _ in pairs[:MOST_PROPOSED]
        for label, rival in ((first, second), (second, first))
    ]
    return list(_fitting(_joined(single), labels))


def _one(label: Label, rival: Label, words: LabelWords, wrong: int, alike: int) -> LabelProposal:
    telling: Sequence[TellingWord] = ()
    added = ""
    if rival.name not in label.description:
        telling = words.telling(label.name, rival.name, without=[label.description])
        if not telling and wrong >= AT_LEAST and not (tells_apart(label, rival) or tells_apart(rival, label)):
            added = sentence(label.description, "", rival)
    confusable = () if rival.name in label.confusable_with else (rival.name,)
    return LabelProposal(label.name, (rival.name,), added, confusable, tuple(telling), wrong, alike)


def _with(before: str, text: str) -> str:
    """A description with a sentence at its end, parted from whatever stands before it when it is put there:
    of two proposals for one label a person may take the second alone."""
    text = text.lstrip(_MARKS)
    if not before or not text:
        return before + text
    if before[-1] in "。；;.!！":
        return f"{before} {text}" if before.isascii() else before + text
    return f"{before}；{text}" if not before.isascii() else f"{before}; {text}"


def _joined(single: Sequence[LabelProposal]) -> Iterator[LabelProposal]:
    """The proposals of a label whose words are the same, as one."""
    by_words: dict[tuple[str, ...], LabelProposal] = {}
    for own in single:
        texts = (own.label, own.added, *(word.word for word in own.words))
        key = texts if own.words else (*texts, *own.rivals)
        before = by_words.get(key)
        by_words[key] = (
            own
            if before is None
            else replace(
                before,
                rivals=(*before.rivals, *own.rivals),
                confusable=(*before.confusable, *own.confusable),
                mistakes=before.mistakes + own.mistakes,
                alike=before.alike + own.alike,
            )
        )
    yield from by_words.values()


def _fitting(proposals: Iterator[LabelProposal], labels: LabelSet) -> Iterator[LabelProposal]:
    """Each with its sentence, as long as the label's description has room for it after those before it."""
    texts = {label.name: label.description.rstrip() for label in labels.labels}
    for own in proposals:
        before = texts[own.label]
        added = own.added
        if own.words:
            added = difference(before, own.rivals, [word.word for word in own.words]).lstrip(_MARKS)
        elif len(_with(before, added)) > DESCRIPTION_MAX_CHARS:
            added = ""
        if not added and not own.confusable and not own.words:
            continue
        texts[own.label] = _with(before, added)
        named = tuple(word for word in own.words if word.word in added) if added else own.words
        yield replace(own, added=added, words=named)


def with_proposals(labels: LabelSet, accepted: Sequence[LabelProposal]) -> LabelSet:
    """The label set as it is with these proposals."""
    changed = {label.name: label for label in labels.labels}
    for own in accepted:
        label = changed[own.label]
        names = (
            *label.confusable_with,
            *(name for name in own.confusable if name not in label.confusable_with),
        )
        text = _with(label.description.rstrip(), own.added)
        changed[own.label] = replace(label, description=text, confusable_with=names)
    return replace(labels, labels=tuple(changed.values()), digest="")
