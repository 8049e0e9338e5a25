"""The parts that data is in already, by a column of its own: train, val, test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from datakit.core.counted import counted
from datakit.core.record import TRAIN, VAL
from datakit.core.split_words import is_test, split_of
from datakit.core.training_columns import plain_name
from datakit.core.visible import visible
from datakit.starting.columns import Column, source_name
from datakit.starting.found import Found

_NAMES = [
    plain_name(name)
    for name in (
        *("given_split", "split", "data_split", "dataset_split", "split_name", "set", "subset", "partition"),
        *("划分", "数据划分", "数据集划分", "数据集"),
    )
]


@dataclass(frozen=True)
class GivenSplit:
    """A column that has the records in training and validation."""

    column: str
    words: Mapping[str, int]
    """Word of the column -> records."""
    blank: int
    """Records of which it says nothing."""

    @property
    def test(self) -> list[str]:
        """Words of the test part, which is left out where there is one for validation too."""
        test = [word for word in self.words if is_test(word)]
        has_val = any(split_of(word) == VAL and word not in test for word in self.words)
        return test if has_val else []


def given_split(found: Found) -> GivenSplit | None:
    """The source's own parts; None where no column has both training and validation."""
    for name, column in _columns(found):
        splits = {split_of(word) for word in column.values}
        if splits == {TRAIN, VAL} and column.filled + column.blank == found.records:
            return GivenSplit(name, dict(column.values.most_common()), column.blank)
    return None


def given_words(found: Found) -> list[str]:
    """What is said of the source's own parts."""
    given = given_split(found)
    if given is None:
        return _not_taken(found)
    said = f"split: {_counts(given.words)} (the column `{source_name(given.column)}`), kept as the data says"
    lines = [said]
    tests = sum(count for word, count in given.words.items() if is_test(word))
    if given.test:
        lines.append(
            f"{counted(tests, 'record')} of the test part are left out, of training and of validation: "
            "score a trained model on them at the end"
        )
    elif tests:
        lines.append("there is no validation part: the test part is taken for it, and never trained on")
    if given.blank:
        lines.append(f"{counted(given.blank, 'record')} without a word in it are split by chance")
    return lines


def _not_taken(found: Found) -> list[str]:
    """That a column names parts, and why the recipe makes its own."""
    for name, column in _columns(found):
        strange = [word for word in column.values if split_of(word) is None]
        known = column.filled - sum(column.values[word] for word in strange)
        if 2 * known > column.filled > 0:
            why = (
                f"`{visible(strange[0])[:40]}` is none of train, val and test"
                if strange
                else "it has one part"
            )
            if not strange and column.filled + column.blank != found.records:
                why = "it has words for no value: those cells should be empty"
            return [
                f"the column `{source_name(name)}` ({_counts(column.values)}) does not part the records, for "
                f"{why}: the recipe parts them by chance"
            ]
    return []


def _columns(found: Found) -> list[tuple[str, Column]]:
    order = {name: at for at, name in enumerate(_NAMES)}
    fitting = [name for name in found.columns if plain_name(source_name(name)) in order]
    fitting.sort(key=lambda name: order[plain_name(source_name(name))])
    return [(name, found.columns[name]) for name in fitting]


def _counts(words: Mapping[str, int]) -> str:
    shown = [f"{count:,} {visible(word)[:40]}" for word, count in Counter(words).most_common(4)]
    return ", ".join(shown) + (" …" if len(words) > 4 else "")
