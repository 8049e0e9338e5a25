"""Screens that are as hard to tell by their text as real ones: drawn pages, cut, mixed, misread.

The pages of this folder name their class in every title, so that characters alone tell them all. Here each is
seen as customers send it: scrolled so that the title is gone, under a window or beside a part of a page that
belongs to a neighbouring class, a few lines only, photographed again, with lines misread by OCR, or a
photograph without a word. `SHARES` are set so that a character 1-3-gram logistic regression is right, out of
fold, on 0.70 to 0.80 of 700 screens, as on the real ones that the field has. No browser is needed: texts are
the page's own, in order, and a picture (`write_pictures`) is the same parts of it, painted roughly: its
blocks, colours and drawings, with grey bars for texts, in about 15 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple

from screens import pages
from screens.layouts import LAYOUTS, Layout
from screens.sent import Drawn, Part, body_of, picture
from screens.tree import Tree

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
    """One to five lines are read: the picture is a poor copy."""
    again: float = 0.05
    """The screen of an earlier record, sent a second time."""
    misread: float = 0.07
    """Of the lines."""


SHARES = Shares()
_ROUGH = "口日目曰田由甲申囗一二三工土士干千于夭天夫未末己已巳人入八大太犬木本禾"


class _Line(NamedTuple):
    """A line, and where it stands."""

    text: str
    page: Drawn
    number: int


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
    parts: tuple[Part, ...]
    """What is seen, from top to bottom."""
    again: bool
    """Whether the screen was sent before."""
    poor: bool
    """Whether the picture is a copy so poor that little can be read."""

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def lines_of(body: str) -> list[str]:
    """The texts of a page, one for each element that has any, in order."""
    return Tree(body).lines


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
            again = bool(own) and random.random() < shares.again
            if again:
                earlier = random.choice(own)
                lines = _seen(random, earlier.lines, shares, 0.15)
                page, template, parts, poor = earlier.page, earlier.template, earlier.parts, earlier.poor
            else:
                number += 1
                layout = _layout(random, label)
                template, page = f"{label}/{layout.__name__}", number
                sheet = _sheet(random, label, layout)
                whole = _lines(sheet)
                shown, read = _drawn(random, whole, near[label], shares)
                lines = _seen(random, [line.text for line in read], shares, 0.0)
                poor = len(read) < len(shown)
                parts = _parts(shown) or (Part(sheet, len(whole), len(whole)),)  # below its last line
            if at < silent:
                lines = []
                parts = tuple(part for part in parts if part.page.is_photograph)[:1] or parts
            own.append(HardScreen(label, template, tuple(lines), page, parts, again, poor))
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


def _drawn(
    random: Random, own: list[_Line], near: list[str], shares: Shares
) -> tuple[list[_Line], list[_Line]]:
    """The lines that are seen, and those of them that can be read."""
    if random.random() < shares.twin and near:
        other = _page(random, random.choice(near if random.random() < shares.near else sorted(LAYOUTS)))
        own = _run(random, other, 0.3, 0.9) + random.sample(own, min(random.randint(1, 3), len(own)))
        return own, own
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
        return own, _run(random, own, 0.0, 0.2)[:5]
    return own, own


def _page(random: Random, label: str) -> list[_Line]:
    return _lines(_sheet(random, label, _layout(random, label)))


def _sheet(random: Random, label: str, layout: Layout) -> Drawn:
    return Drawn(layout, str(random.random()), label == PHOTOGRAPHS)


def _lines(page: Drawn) -> list[_Line]:
    return [_Line(text, page, number) for number, text in enumerate(lines_of(body_of(page)))]


def _parts(lines: list[_Line]) -> tuple[Part, ...]:
    """The runs of lines that stand one after another on a page."""
    parts: list[Part] = []
    for line in lines:
        last = parts[-1] if parts else None
        if last and last.page == line.page and last.last + 1 == line.number:
            parts[-1] = last._replace(last=line.number)
        else:
            parts.append(Part(line.page, line.number, line.number))
    return tuple(parts)


def _run(random: Random, lines: list[_Line], least: float, most: float) -> list[_Line]:
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


def write_pictures(screens: Sequence[HardScreen], seed: int, folder: Path) -> list[str]:
    """The path of each screen's picture; one that lies in the folder already is not painted anew."""
    paths = []
    for number, screen in enumerate(screens):
        path = folder / f"{seed}-{number:05}.jpg"
        if not path.exists():
            random = Random(f"picture/{seed}/{number}")
            path.write_bytes(picture(screen.parts, random, again=screen.again, poor=screen.poor))
        paths.append(str(path))
    return paths


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
