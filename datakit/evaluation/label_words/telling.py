"""Words that stand on many pictures of one label and on few of another, and are none of their content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import pstdev

from datakit.evaluation.label_words.content import is_content
from datakit.evaluation.label_words.screens import Screen

FEW = 3
"""Pictures of a label that must have texts before words are told apart, and that a word must stand on."""
COMMON, RARE = 0.5, 0.1
"""A telling word stands on at least so many pictures of its label, and on at most so many of the other."""
_ALONE = 2 / 3
"""Share of a word's pictures on which it stands alone: the noun of a product stands in titles as well."""
_STEADY = 0.12
"""Standard deviation of its height on the screen, as a share of the screen's, up to which a word is steady:
a title, a button or a bar, not a line of a list."""
_STEADY_BONUS = 0.1
MOST = 3


@dataclass(frozen=True)
class TellingWord:
    """A word, and how often it stands on pictures of either label."""

    word: str
    holds: int
    records: int
    rival_holds: int
    rival_records: int
    steady: bool | None = None
    """Whether it stands at the same height on most; None where heights are not known."""


@dataclass(frozen=True)
class LabelWords:
    """The words of a build's pictures by label.

    A share is that of the pictures, and not more than the mean of the shares by template, by month and by
    owner (shop, hospital, order): what only one shop's screens bear, or one campaign's, is no feature of a
    label, however many of them there are.
    """

    screens: Mapping[str, Sequence[Screen]]
    _seen: dict[str, bool] = field(default_factory=dict)

    def telling(
        self, name: str, rival: str, *, without: Sequence[str] = (), most: int = MOST
    ) -> list[TellingWord]:
        """Those that tell `name` from `rival`, the best first; none that is part of a text of `without`."""
        own, others = self.screens.get(name, ()), self.screens.get(rival, ())
        if len(own) < FEW or len(others) < FEW:
            return []
        counted = Counter(word for screen in own for word in screen.words)
        found: list[tuple[float, TellingWord]] = []
        for word, count in counted.items():
            if count < max(FEW, COMMON * len(own)) or any(word in text for text in without):
                continue
            rival_holds = sum(word in screen.text for screen in others)
            rare = rival_holds / len(others)
            if rare > RARE or not self._is_own(word) or (share := self._share(name, word)) < COMMON:
                continue
            steady = _steady(own, word)
            telling = TellingWord(word, count, len(own), rival_holds, len(others), steady)
            found.append((share - rare + (_STEADY_BONUS if steady else 0), telling))
        found.sort(key=lambda entry: (-entry[0], -len(entry[1].word), entry[1].word))
        return _apart([word for _, word in found])[:most]

    def _is_own(self, word: str) -> bool:
        """Whether a word is the screens' own: by its form, and standing alone wherever it stands."""
        if word not in self._seen:
            holding = [screen for screen in self._all if word in screen.text]
            alone = sum(word in screen.words for screen in holding)
            self._seen[word] = not is_content(word) and alone >= _ALONE * len(holding)
        return self._seen[word]

    def _share(self, name: str, word: str) -> float:
        """The smallest of the shares by picture, template, month and owner."""
        own = self.screens[name]
        shares = [sum(word in screen.words for screen in own) / len(own)]
        for groups in self._groups(name):
            if len(groups) > 1:
                parts = [sum(word in screen.words for screen in group) / len(group) for group in groups]
                shares.append(sum(parts) / len(parts))
        return min(shares)

    def _groups(self, name: str) -> list[list[list[Screen]]]:
        if name not in self._grouped:
            own = self.screens[name]
            keys: list[Callable[[Screen], str]] = [
                lambda screen: screen.template,
                lambda screen: screen.month,
            ]
            self._grouped[name] = [*(_by(own, key) for key in keys), _by_owner(own)]
        return self._grouped[name]

    @cached_property
    def _grouped(self) -> dict[str, list[list[list[Screen]]]]:
        return {}

    @cached_property
    def _all(self) -> list[Screen]:
        return [screen for own in self.screens.values() for screen in own]


def _apart(words: Sequence[TellingWord]) -> list[TellingWord]:
    """The words of which none is part of a better one."""
    chosen: list[TellingWord] = []
    for word in words:
        if not any(word.word in other.word or other.word in word.word for other in chosen):
            chosen.append(word)
    return chosen


def _by(screens: Sequence[Screen], key: Callable[[Screen], str]) -> list[list[Screen]]:
    groups: dict[str, list[Screen]] = {}
    for screen in screens:
        groups.setdefault(key(screen) or f"\0{screen.id}", []).append(screen)
    return list(groups.values())


def _by_owner(screens: Sequence[Screen]) -> list[list[Screen]]:
    """Screens that share an owner, directly or by others, together."""
    groups: list[tuple[set[str], list[Screen]]] = []
    for screen in screens:
        owners, members = set(screen.owners), [screen]
        apart = []
        for group in groups:
            if owners & group[0]:
                owners |= group[0]
                members = [*group[1], *members]
            else:
                apart.append(group)
        groups = [*apart, (owners, members)]
    return [members for _, members in groups]


def _steady(screens: Sequence[Screen], word: str) -> bool | None:
    heights = [
        height for screen in screens if word in screen.words and (height := screen.words[word]) is not None
    ]
    return pstdev(heights) <= _STEADY if len(heights) >= FEW else None
