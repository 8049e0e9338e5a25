"""Entries for the label file, so that the prompt tells apart the classes that are mixed up."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.originals import originals
from datakit.core.labels import Label
from datakit.core.plain_yaml import dump
from datakit.core.record import TRAIN
from datakit.evaluation.confusion import Pair, Proposal, label_named

AT_LEAST = 2
"""Mistakes between two classes from which on an entry is proposed: one alone may be chance."""
MOST_PROPOSED = 10
"""Pairs that entries are proposed for, the most frequent first."""
_FEW = 3
"""Records of a class that must have texts before words are told apart."""
_COMMON, _RARE = 0.5, 0.1
"""A telling word stands in at least so many records of its class, and in at most so many of the other."""
_CLAUSE_CHARS = 80
_CHINESE = re.compile(r"[\u4e00-\u9fff]+")
_TEXTS = ("ocr_text", "text")
_MOST_READ = 2_000


def proposals(pairs: Sequence[Pair], build: BuildFolder) -> list[Proposal]:
    """Entries for the labels of every pair that was mixed up more than once, in either direction.

    The words that tell two classes apart come from the texts in the training records' pictures; none are
    proposed where too few records have texts. They are a start for a person, who reads them first.
    """
    mixed = _mixed(pairs)
    if not mixed:
        return []
    words = _Words(build)
    entries: dict[str, Proposal] = {}
    rivals_by_words: dict[str, dict[tuple[str, ...], list[str]]] = defaultdict(dict)
    for (first, second), count in mixed.items():
        for name, rival in ((first, second), (second, first)):
            entry = entries.setdefault(name, _entry(label_named(name, build.labels)))
            if rival not in entry.confusable_with:
                entry.confusable_with.append(rival)
            entry.why.append(f"{count} mistakes with {rival}")
            telling_words = tuple(words.telling(name, rival))
            if telling_words and rival not in entry.description:
                rivals_by_words[name].setdefault(telling_words, []).append(rival)
    for name, differences in rivals_by_words.items():
        for telling, rivals in differences.items():
            entries[name].description += _wording(entries[name].description, rivals, telling)
    return list(entries.values())


def _entry(label: Label) -> Proposal:
    return Proposal(
        name=label.name,
        description=label.description,
        aliases=list(label.aliases),
        confusable_with=list(label.confusable_with),
        why=[],
    )


def snippet(entries: Sequence[Proposal]) -> str:
    """The proposals as YAML for the list `labels:` of a label file; "" for none."""
    if not entries:
        return ""
    lines = ["# Proposed by datakit evaluate: replace these entries of the label file, and read them first."]
    for entry in entries:
        row = {"name": entry.name, "description": entry.description}
        lists = {"aliases": entry.aliases, "confusable_with": entry.confusable_with}
        plain = {key: value for key, value in {**row, **lists}.items() if value}
        text = dump([plain], width=1000, flow=None)
        comment = " ".join("; ".join(entry.why).split())
        lines += [f"# {comment}", text.rstrip()]
    return "\n".join(lines) + "\n"


def _mixed(pairs: Iterable[Pair]) -> dict[tuple[str, str], int]:
    """Two classes -> mistakes in either direction, where they are more than one."""
    counts: dict[tuple[str, str], int] = {}
    for pair in pairs:
        if (pair.answered, pair.truth) not in counts:
            counts[pair.truth, pair.answered] = pair.count + pair.back
    often = sorted(counts, key=lambda pair: -counts[pair])[:MOST_PROPOSED]
    return {pair: counts[pair] for pair in often if counts[pair] >= AT_LEAST}


def _wording(description: str, rivals: Sequence[str], words: Sequence[str]) -> str:
    """What is added to a description, in the language that it has."""
    if _CHINESE.search(description or rivals[0]):
        mark = "" if not description or description[-1] in "。；;.!！" else "；"
        quoted = "、".join(f"「{rival}」" for rival in rivals)
        return f"{mark}与{quoted}不同，本类画面常见{'、'.join(f'“{word}”' for word in words)}字样"
    mark = "" if not description or description[-1] in ".;" else ";"
    listed = ", ".join(f'"{word}"' for word in words)
    return f"{mark} unlike {' and '.join(rivals)}, these pictures often show {listed}".lstrip()


def sentence(before: str, proposed: str, rival: Label) -> str:
    """What a description, which reads `before`, might say of a class that it is mixed up with.

    That is the words that the proposal adds, where they are about it; else what its own description says.
    """
    added = proposed.removeprefix(before).lstrip("；; ")
    if added != proposed.strip() and rival.name in added:
        return added
    clause = re.split(r"[。；;.!！]", rival.description.strip())[0][:_CLAUSE_CHARS]
    if _CHINESE.search(before or rival.name):
        return f"不是「{rival.name}」" + (f"：后者是{clause}" if clause else "")
    return f"not {rival.name}" + (f", which is: {clause}" if clause else "")


class _Words:
    """Pieces of the texts in the training records' pictures, by class."""

    def __init__(self, build: BuildFolder) -> None:
        self.build = build

    @cached_property
    def _texts(self) -> dict[str, list[str]]:
        column = next((name for name in _TEXTS if name in self.build.columns), None)
        if column is None:
            return {}
        frame = (
            originals(self.build)
            .filter(pl.col("part") == TRAIN)
            .select("label", text=pl.col(column))
            .drop_nulls()
            .collect()
        )
        texts: dict[str, list[str]] = defaultdict(list)
        for label, text in frame.iter_rows():
            if len(texts[label]) < _MOST_READ:
                texts[label].append(text)
        return texts

    def telling(self, name: str, rival: str, most: int = 3) -> list[str]:
        """Chinese words of two to six characters that are common in one class and rare in the other."""
        texts, rival_texts = self._texts.get(name, []), self._texts.get(rival, [])
        if len(texts) < _FEW or len(rival_texts) < _FEW:
            return []
        counted = Counter(piece for text in texts for piece in set(_pieces(text)))
        candidates = []
        for piece, count in counted.items():
            share = count / len(texts)
            if share >= _COMMON:
                rare = sum(piece in text for text in rival_texts) / len(rival_texts)
                if rare <= _RARE:
                    candidates.append((share - rare, piece))
        candidates.sort(key=lambda candidate: (-candidate[0], -len(candidate[1]), candidate[1]))
        chosen: list[str] = []
        for _, piece in candidates:
            if not any(piece in word or word in piece for word in chosen):
                chosen.append(piece)
        return chosen[:most]


def _pieces(text: str) -> Iterable[str]:
    """Runs of Chinese characters that stand alone and are short enough to be a word: a button, a title."""
    return (run for run in _CHINESE.findall(text) if 2 <= len(run) <= 6)
