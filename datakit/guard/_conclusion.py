"""Which label a Chinese reason concludes, and whether that is another than its own."""

from __future__ import annotations

import re
from dataclasses import dataclass

from datakit.core.labels import LabelSet, normal_form

_QUOTED = re.compile(r"“[^”]*”|「[^」]*」|『[^』]*』|\"[^\"]*\"|《[^》]*》|‘[^’]*’")
_SENTENCES = re.compile(r"[。！？!?\n]")
_CLAUSES = re.compile(r"[，,；;：:]")
_CONCLUDES = re.compile(
    r"因此|所以|故|可见|由此|综上|属于|归入|归为|归类|判断为|判定为|判断是|认定|应为|应是|结论|类别是|类别为|确定为|即为"
)
_DENIES = re.compile(
    r"不是|并非|而非|非|不属于|不属|不同于|区别于|有别于|不像|排除|区分|不应|不能|不等于|不会|不算|不归|没有|无关|混淆|相比|而不"
)
_SHORTEST_ALIAS = 4
"""Shorter aliases (直播, 正常) are everyday words."""


@dataclass(frozen=True)
class Conclusions:
    """Finds the labels that a text concludes."""

    labels: LabelSet

    def __post_init__(self) -> None:
        forms = {normal_form(label.name): label.name for label in self.labels.labels}
        for label in self.labels.labels:
            for alias in label.aliases:
                if len(alias) >= _SHORTEST_ALIAS:
                    forms.setdefault(normal_form(alias), label.name)
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        object.__setattr__(self, "_forms", forms)
        object.__setattr__(self, "_any", re.compile("|".join(map(re.escape, longest_first)) or r"(?!)"))

    def other(self, text: str, label: str) -> str | None:
        """The label that the reason concludes in place of its own; None when there is none.

        Looked at: clauses with a word of conclusion, and the last sentence. Quoted words are evidence, not
        conclusions. A neighbour behind 不是, 而非, 不同于, 区别于 and the like is named to tell it apart.
        """
        own = self.labels.find(label)
        own_name = own.name if own else label
        # The label's own names hold brackets and dashes; widths are folded as in labels.
        plain = _QUOTED.sub("", text)
        sentences = [sentence for sentence in _SENTENCES.split(plain) if sentence.strip()]
        strangers: list[str] = []
        for number, sentence in enumerate(sentences):
            last = number == len(sentences) - 1
            names = self._concluded(sentence, last)
            if own_name in names:
                return None
            strangers += names
        return strangers[0] if strangers else None

    def _concluded(self, sentence: str, last: bool) -> list[str]:
        names = []
        for clause in _CLAUSES.split(sentence):
            if not (last or _CONCLUDES.search(clause)):
                continue
            form = normal_form(clause)
            before = 0
            for match in self._any.finditer(form):  # type: ignore[attr-defined]
                denied = _DENIES.search(form[before : match.start()])
                told_apart = re.match(r"(?:不同|有别|相区别|无关|区分)", form[match.end() :])
                if not denied and not told_apart:
                    names.append(self._forms[match[0]])  # type: ignore[attr-defined]
                    before = match.end()
        return names
