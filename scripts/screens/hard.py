"""Screens that are as hard to tell by their text as real ones: drawn pages, cut, mixed, misread.

The pages of this folder name their class in every title, so that characters alone tell them all. Here each is
seen as customers send it: scrolled so that the title is gone, under a window or beside a part of a page that
belongs to a neighbouring class, a few lines only, photographed again, with lines misread by OCR, or a
photograph without a word. `SHARES` are set so that a character 1-3-gram logistic regression is right, out of
fold, on 0.70 to 0.80 of 700 screens, as on the real ones that the field has. No browser is needed: texts are
the page's own, in order, and a picture is its blocks and colours, painted roughly.
"""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from random import Random
from typing import NamedTuple

from screens import pages
from screens.layouts import LAYOUTS, Layout
from screens.world import World

NEVER = ("平台介入页面", "投诉举报页面")
"""Classes of the label file that do not occur, as two of the field's 25 do not."""
PHOTOGRAPHS = "实物拍摄(含售后)"
FEWEST, MOST = 15, 39
"""Records a class."""


class Shares(NamedTuple):
    """How often what happens to a screen."""

    cut: float = 0.75
    """Scrolled: a run of the page's lines is seen."""
    untitled: float = 0.5
    """The first lines, with the title, are not seen."""
    mixed: float = 0.32
    """A part of a page of another class is seen too."""
    twin: float = 0.005
    """The page is another class's, with a few lines of its own class: what people disagree about."""
    near: float = 0.5
    """Of those two, the share whose other class is one that the label file names as confusable."""
    little: float = 0.13
    """One to five lines."""
    again: float = 0.05
    """The screen of an earlier record, sent a second time."""
    misread: float = 0.07
    """Of the lines."""


SHARES = Shares()
_ROUGH = "口日目曰田由甲申囗一二三工土士干千于夭天夫未末己已巳人入八大太犬木本禾"
_SKIPPED = frozenset({"style", "script"})
_INLINE = frozenset({"b", "i", "em", "strong", "u", "s", "small"})


@dataclass(frozen=True)
class HardScreen:
    """One record."""

    label: str
    template: str
    """The layout that it was drawn with."""
    lines: tuple[str, ...]
    """What OCR read, from top to bottom."""
    page: int
    """Number of the page: equal for a screen that was sent twice."""

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


class _Lines(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._words: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._hidden += tag in _SKIPPED
        self._end(tag)

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in _SKIPPED
        self._end(tag)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._words.append(data)

    def _end(self, tag: str) -> None:
        if tag in _INLINE:
            return
        line = " ".join("".join(self._words).split())
        if line:
            self.lines.append(line)
        self._words.clear()


def lines_of(body: str) -> list[str]:
    """The texts of a page, one for each element that has any, in order."""
    parser = _Lines()
    parser.feed(body)
    parser.close()
    parser._end("")
    return parser.lines


def hard_screens(seed: int, count: int = 700, shares: Shares = SHARES) -> list[HardScreen]:
    """`count` records in an order drawn from the seed; 14 of 700 are photographs without a word."""
    pages.load()
    random = Random(f"hard/{seed}")
    sizes = _sizes(random, count)
    near = neighbours()
    screens: list[HardScreen] = []
    number = 0
    for label, size in sizes.items():
        own: list[HardScreen] = []
        silent = round(count * 0.02) if label == PHOTOGRAPHS else 0
        for at in range(size):
            if own and random.random() < shares.again:
                earlier = random.choice(own)
                lines = _seen(random, earlier.lines, shares, 0.15)
                page, template = earlier.page, earlier.template
            else:
                number += 1
                layout = _layout(random, label)
                template, page = f"{label}/{layout.__name__}", number
                lines = _drawn(random, label, layout, near[label], shares)
            if at < silent:
                lines = []
            own.append(HardScreen(label, template, tuple(lines), page))
        screens += own
    random.shuffle(screens)
    return screens


def _sizes(random: Random, count: int) -> dict[str, int]:
    """Records of each class: between FEWEST and MOST for 700, in proportion else."""
    names = [name for name in LAYOUTS if name not in NEVER]
    raw = {name: random.triangular(FEWEST, MOST, MOST) for name in names}
    scale = count / sum(raw.values())
    sizes = {name: max(int(value * scale), 1) for name, value in raw.items()}
    short = count - sum(sizes.values())
    for name in random.sample(names, len(names)) * 2:
        if short > 0:
            sizes[name] += 1
            short -= 1
    return sizes


def _layout(random: Random, label: str) -> Layout:
    """One of a class's layouts; the first is as common as all others together."""
    choices = LAYOUTS[label]
    return choices[0] if random.random() < 0.5 else random.choice(choices)


def _drawn(random: Random, label: str, layout: Layout, near: list[str], shares: Shares) -> list[str]:
    own = lines_of(layout(World(str(random.random()), ("",))).body)
    if random.random() < shares.twin and near:
        other = _page(random, random.choice(near if random.random() < shares.near else sorted(LAYOUTS)))
        lines = _run(random, other, 0.3, 0.9) + random.sample(own, min(random.randint(1, 3), len(own)))
        return _seen(random, lines, shares, 0.0)
    if random.random() < shares.untitled:
        own = own[random.randint(3, 8) :]
    if random.random() < shares.cut:
        own = _run(random, own, 0.2, 0.8)
    if random.random() < shares.mixed and near:
        anyone = near if random.random() < shares.near else sorted(LAYOUTS)
        other = _run(random, _page(random, random.choice(anyone)), 0.2, 0.7)
        at = random.choice((0, len(own), random.randint(0, len(own))))
        own = [*own[:at], *other, *own[at:]]
    if random.random() < shares.little:
        own = _run(random, own, 0.0, 0.2)[:5]
    return _seen(random, own, shares, 0.0)


def _page(random: Random, label: str) -> list[str]:
    return lines_of(_layout(random, label)(World(str(random.random()), ("",))).body)


def _run(random: Random, lines: list[str], least: float, most: float) -> list[str]:
    """A run of the lines, one at the least."""
    size = max(1, round(len(lines) * random.uniform(least, most)))
    start = random.randint(0, max(len(lines) - size, 0))
    return lines[start : start + size]


def _seen(random: Random, lines: list[str] | tuple[str, ...], shares: Shares, lost: float) -> list[str]:
    """The lines as OCR reads them; a share is not found at all."""
    read = []
    for line in lines:
        if random.random() < lost + 0.02:
            continue
        if random.random() < shares.misread:
            places = random.sample(range(len(line)), min(len(line), 1 + len(line) // 4))
            letters = (random.choice(_ROUGH) if at in places else letter for at, letter in enumerate(line))
            line = "".join(letters)
        read.append(line)
    return read


def neighbours() -> dict[str, list[str]]:
    """Class -> the classes that occur and that the shipped label file names as confusable with it."""
    from ruamel.yaml import YAML

    file = Path(__file__).resolve().parents[2] / "templates/ecom/labels.yaml"
    labels = YAML(typ="safe").load(file)["labels"]
    return {
        label["name"]: [name for name in label.get("confusable_with", ()) if name not in NEVER]
        for label in labels
        if label["name"] not in NEVER
    }
