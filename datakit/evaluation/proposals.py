"""Entries for the label file, so that the prompt tells apart the classes that are mixed up."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.labels import Label
from datakit.core.plain_yaml import dump
from datakit.core.record import TRAIN
from datakit.evaluation.confusion import Pair, Proposal, label_named
from datakit.evaluation.label_words.screens import screens_of
from datakit.evaluation.label_words.telling import LabelWords

AT_LEAST = 2
"""Mistakes between two classes from which on an entry is proposed: one alone may be chance."""
MOST_PROPOSED = 10
"""Pairs that entries are proposed for, the most frequent first."""
DESCRIPTION_MAX_CHARS = 120
"""A description is a sentence or two: one of so many signs is as long as two of the shipped ones."""
_CLAUSE_CHARS = 80
_CHINESE = re.compile(r"[\u4e00-\u9fff]+")


def proposals(pairs: Sequence[Pair], build: BuildFolder) -> list[Proposal]:
    """Entries for the labels of every pair that was mixed up more than once, in either direction.

    The words that tell two classes apart come from the texts in the training records' pictures
    (`label_words`); none are proposed where too few records have texts. They are a start for a person, who
    reads them first: `datakit labels propose` shows and writes them one by one.
    """
    mixed = _mixed(pairs)
    if not mixed:
        return []
    words = LabelWords(screens_of(build, build.labels, split=TRAIN))
    entries: dict[str, Proposal] = {}
    rivals_by_words: dict[str, dict[tuple[str, ...], list[str]]] = defaultdict(dict)
    for (first, second), count in mixed.items():
        for name, rival in ((first, second), (second, first)):
            entry = entries.setdefault(name, _entry(label_named(name, build.labels)))
            if rival not in entry.confusable_with:
                entry.confusable_with.append(rival)
            entry.why.append(f"{count} mistakes with {rival}")
            telling = words.telling(name, rival, without=[entry.description])
            telling_words = tuple(word.word for word in telling)
            if telling_words and rival not in entry.description:
                rivals_by_words[name].setdefault(telling_words, []).append(rival)
    for name, differences in rivals_by_words.items():
        for chosen, rivals in differences.items():
            entries[name].description += difference(entries[name].description, rivals, chosen)
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


def difference(description: str, rivals: Sequence[str], words: Sequence[str]) -> str:
    """What is added to a description, in the language that it has; "" where it would get too long.

    As many words are named as there is room for.
    """
    texts = (_wording(description, rivals, words[:count]) for count in range(len(words), 0, -1))
    return next((text for text in texts if len(description) + len(text) <= DESCRIPTION_MAX_CHARS), "")


def _wording(description: str, rivals: Sequence[str], words: Sequence[str]) -> str:
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
