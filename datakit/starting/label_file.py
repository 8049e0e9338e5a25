"""The label file of a new project: each label with its count, its nearest ones, a description to write."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from datakit.core.labels import normal_form, shown
from datakit.core.plain_yaml import yaml_inline
from datakit.core.visible import has_controls

_NEAREST = 3
_LIKE = 0.34
_ALL_PAIRS = 1500
"""Labels that are compared pair by pair: a million pairs take about 2 s."""

HEAD = """\
# {count} labels of {words}, the most frequent first. Each is spelt as answers are to spell it.
# description: goes into the prompt. Say what is seen, and what tells the label from its neighbours.
#   {blank} are blank: a model that sees names alone guesses what you mean by them.
# Further fields, each a list: aliases (other spellings in the data), keywords (words that stand on such
# pictures), confusable_with (labels that it is mixed up with, each named by both).
"""


def merged(labels: Mapping[str, int]) -> tuple[dict[str, int], list[str]]:
    """The labels that a label file can hold, with their records; and in words what was joined or left out.

    Spellings that differ by case, width or white space alone are one label, called as most records call it.
    """
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    left_out = [label for label in labels if has_controls(label) or len(label.splitlines()) > 1]
    for label, count in labels.items():
        if label not in left_out:
            spellings[normal_form(label)][label] += count
    doubts = [
        f"read as one label: {', '.join(shown(name) for name in names)}"
        for names in spellings.values()
        if len(names) > 1
    ][:_NEAREST]
    if left_out:
        records = sum(labels[label] for label in left_out)
        doubts.append(
            f"{len(left_out)} labels hold line breaks or control characters ({shown(left_out[0])[:60]}), "
            f"whose records are left out ({records:,})"
        )
    counts = {names.most_common(1)[0][0]: names.total() for names in spellings.values()}
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))), doubts


def label_file(labels: Mapping[str, int], words: str) -> str:
    """The text of labels.yaml."""
    near = nearest(labels)
    lines = [
        HEAD.format(count=f"{len(labels):,}", words=words, blank="All" if len(labels) > 1 else "It"),
        "labels:\n",
    ]
    for name, count in labels.items():
        like = f"; by its name near {', '.join(map(_plain, near[name]))}" if near.get(name) else ""
        lines.append(f"  - name: {yaml_inline([name])[1:-1]}\n")
        lines.append(f'    description: ""  # to write; {count:,} record{"s" if count != 1 else ""}{like}\n')
    return "".join(lines)


def nearest(labels: Iterable[str]) -> dict[str, list[str]]:
    """Label -> those whose names share most pairs of characters; none for very many labels."""
    names = list(labels)
    if len(names) > _ALL_PAIRS:
        return {}
    pairs = {name: _pairs(name) for name in names}
    near: dict[str, list[str]] = {}
    for name in names:
        own = pairs[name]
        likes = [
            (len(own & pairs[other]) / len(own | pairs[other]), other) for other in names if other != name
        ]
        near[name] = [other for like, other in sorted(likes, reverse=True)[:_NEAREST] if like >= _LIKE]
    return near


def _pairs(name: str) -> frozenset[str]:
    """The characters in pairs, with both ends marked."""
    text = f"^{normal_form(name)}$"
    return frozenset(text[at : at + 2] for at in range(len(text) - 1))


def _plain(name: str) -> str:
    """A name as a comment may hold it."""
    return shown(" ".join(name.split()))
