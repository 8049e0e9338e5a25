"""Lines of text with their places on a picture, and what of each may be quoted: never a cut text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

SURE = 0.9
"""Score of a line that is quoted: of lines that the engines are less sure of, one in three is wrong."""
QUOTE_MARKS = re.compile(r"[“”\"「」『』]")
_ICONS = " <>‹›〈〉《》«»＜＞□■○●◯◎◇△▽☆★▲▼▾√×✕·•|丨-–—_=~…,，、:：;；.。^"
_BOX = re.compile(
    r"^[口日回田囗凸] +"
    r"|^口(?![红罩碑味袋腔服感令岸香号径述才语水琴哨诀粮角供盖布])(?=[\u3400-\u9fff]{3})"
    r"|^[囗凸](?![显起透面版出轮槽])(?=[\u3400-\u9fff]{3})"
)
"""The frame of an icon; with no blank behind it, where no word begins so."""
_OPENED = re.compile(r"[(（]")
_CUT = re.compile(r"[，。；！？!?;]|…|\.\.|、$|^[)）】》]|[(（【《]$|,\s")
_DOTS = r"(?:…|\.{2,}|⋯|。{2,})"
_JOINED = re.compile(r"[\u3400-\u9fff]\s|\s[\u3400-\u9fff]|[¥￥]\s*\d+\.\d{3}|[¥￥].*(?:[¥￥]|人付款)")
"""A blank within Chinese, an amount with more behind it: two texts of a row, or a ticked box and its text."""
_ENDS_CUT = re.compile(
    rf"^{_DOTS}\w|\w{_DOTS}$|[A-Za-z][-‐]$|^[-–—_=]+[\u3400-\u9fff]"
    r"|^键[领加购登复支付]|^\d\s+(?:[A-Z]{4}|Wi-?Fi)"
)
"""Dots at the very sign, as a screen cuts a text; those behind a blank are a menu's icon. A word that is
parted at the line's end, 一 lost or read as a dash, and an icon read as a digit."""
_BOUNDS = re.compile(r"[，。；：！？、,;:!?|｜·\s()（）\[\]【】《》“”\"「」『』]+")
_DOTTED = re.compile(rf"\S*{_DOTS}\S*")
"""What stands beside dots is cut by them."""
_NEAR_EDGE = 0.9
"""Lines' heights between a line and the edge of the picture within which it may be cut: the sign that is cut
is not read."""
_AT_EDGE = 0.2
_ALIGNED = 0.15
"""Lines' heights by which lines of one margin differ."""
_LOOSE = re.compile(r"[^\w“《【(（]|[a-z\d]")
"""What no paragraph begins with: what stood before it was not read."""
_GAP = 0.75
"""Lines' heights between two lines of a paragraph."""
_FULL = re.compile(r"[\u3000-\u9fff\uff00-\uff60]")
_NARROW, _WIDEST = 0.55, 0.93
"""Width of a Latin letter or a digit in that of a Chinese sign, and of such a sign in heights of its line,
with the space that engines leave around a line: of 2,132 lines of one text 95% are narrower."""
_CLOSE = 0.9
"""The same width, from which a narrow gap may stand within: 3 of 100 lines that are one text are wider."""
_DOUBLE = 0.5
"""Width of a sign in heights of its box, below which the box holds two lines."""
_KNOWN_SIGNS = 3
"""Signs of a text that is known as one; a shorter one begins many others."""
_BESIDE = 0.5
"""Lines' heights between two pieces of one text in one row."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A line of text and the middle of its box, as shares of the picture (0 to 1)."""

    text: str
    x: float
    y: float
    height: float
    score: float = 1.0
    left: float = 0.0
    width: float = 0.0
    is_part: bool = False
    """Whether it is one line of a text over several, two texts of a row that the engine has joined, or may be
    cut by the picture's edge."""
    is_at_edge: bool = False
    """Whether the picture's edge touches it."""
    is_loose: bool = False
    """Whether it is so wide that the engine may have joined two texts, one close to the other."""
    above: str = ""
    """The line of the same text above or left of it, if it is such a part."""
    below: str = ""

    @property
    def top(self) -> float:
        return self.y - self.height / 2


def trimmed(text: str) -> str:
    """A line without what engines make of the icons beside it, arrows and frames."""
    within = text.strip()
    if within[:1] == "《" and "》" in within:
        return within
    within = _BOX.sub("", within.strip(_ICONS))
    return within[:-1].rstrip(_ICONS) if within[-1:] in ")）" and not _OPENED.search(within) else within


def is_whole(piece: Piece) -> bool:
    """Whether a line stands for itself: neither cut by the screen nor part of a longer text over several."""
    is_cut = _ENDS_CUT.search(piece.text.strip()) is not None
    text = trimmed(piece.text)
    return not (piece.is_part or is_cut or _CUT.search(text) or _JOINED.search(text))


def may_be_joined(piece: Piece, known: Iterable[str]) -> bool:
    """Whether a line may be two texts of a row that the engine has joined: it is as wide as such are, or a
    known text of Chinese stands at its one end and a longer one beside it."""
    line = trimmed(piece.text)
    return piece.is_loose or any(_parts_it(text, line) for text in known)


def _parts_it(text: str, line: str) -> bool:
    if not is_known_text(text, (text,)):
        return False
    beside = line.removesuffix(text) if line.endswith(text) else line.removeprefix(text)
    return beside != line and len(_FULL.findall(beside)) > _KNOWN_SIGNS  # a count in brackets is no text


def is_known_text(text: str, known: Iterable[str]) -> bool:
    """Whether it is a text that is known, and Chinese of so many signs that it begins few others."""
    return len(text) >= _KNOWN_SIGNS and _FULL.match(text) is not None and text in known


def bounded(piece: Piece) -> list[str]:
    """The phrases of a line that have a bound on either side: signs between phrases, or the line's end where
    it stands for itself. What stands beside dots has none."""
    line = _DOTTED.sub("…", piece.text)
    phrases = [trimmed(phrase) for phrase in _BOUNDS.split(line)]
    open_ends = piece.is_part or _ENDS_CUT.search(piece.text.strip()) is not None
    begins = not open_ends or (
        piece.below and not piece.above and not piece.is_at_edge and not _LOOSE.match(line)
    )
    within = phrases[0 if begins else 1 : -1 if open_ends else None]
    return [phrase for phrase in within if phrase and not _JOINED.search(phrase)]


def with_places(lines: Sequence[dict[str, Any]], width: int, height: int) -> list[Piece]:
    """The lines of OCR that have a box."""
    pieces = []
    for line in lines:
        box, text = line.get("box") or [], (line.get("text") or "").strip()
        if len(box) == 4 and text:
            x0, y0, x1, y1 = box
            place = (x0 + x1) / 2 / width, (y0 + y1) / 2 / height
            score = line.get("score")
            sides = x0 / width, (x1 - x0) / width
            pieces.append(Piece(text, *place, (y1 - y0) / height, 1.0 if score is None else score, *sides))
    shape = width / height
    above = _continued(pieces, shape)
    below = {first: second for second, first in above.items()}
    out = []
    for at, piece in enumerate(pieces):
        is_part = at in above or at in below or _lines_of(piece, shape) > 1
        is_part = is_part or _is_wider(piece, shape, _WIDEST) or _is_cut_by_edge(piece, pieces, shape)
        is_loose = _is_wider(piece, shape, _CLOSE)
        beside = [pieces[ends[at]].text if at in ends else "" for ends in (above, below)]
        at_edge = _is_cut_by_edge(piece, (), shape, _AT_EDGE)
        out.append(replace(piece, is_part=is_part, is_at_edge=at_edge, above=beside[0], below=beside[1]))
        out[-1] = replace(out[-1], is_loose=is_loose)
    return out


def without_places(text: str | None) -> list[Piece]:
    """Lines of joined text, spread evenly from top to bottom to keep their order."""
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    return [Piece(line, 0.5, (at + 0.5) / len(lines), 0.4 / len(lines)) for at, line in enumerate(lines)]


def _continued(pieces: Sequence[Piece], shape: float) -> dict[int, int]:
    """Lines that go on a text over several, or a piece of one text in a row, each with the one before it."""
    parts = dict[int, int]()
    order = sorted(range(len(pieces)), key=lambda at: pieces[at].top)
    for place, first in enumerate(order):
        for second in order[place + 1 :]:
            if pieces[second].top > pieces[first].top + 3 * pieces[first].height:
                break
            if _continues(pieces[first], pieces[second], shape):
                parts.setdefault(second, first)
            elif _is_beside(pieces[first], pieces[second], shape):
                left, right = sorted((first, second), key=lambda at: pieces[at].left)
                parts.setdefault(right, left)
    return parts


def _continues(upper: Piece, lower: Piece, shape: float) -> bool:
    """Whether two lines stand as close below one another as those of a paragraph do."""
    heights = [piece.height / _lines_of(piece, shape) for piece in (upper, lower)]
    height = max(heights)
    gap = lower.y - upper.y - (upper.height + lower.height) / 2
    aligned = min(abs(upper.left - lower.left), abs(upper.x - lower.x)) * shape < 0.6 * height
    alike = min(heights) > 0.7 * height
    full = upper.width > lower.width - height / shape
    return upper.y < lower.y and aligned and alike and full and -height / 2 < gap < _GAP * height


def _is_beside(one: Piece, other: Piece, shape: float) -> bool:
    """Whether two lines stand so close in a row that the engine may have parted one text."""
    left, right = sorted((one, other), key=lambda piece: piece.left)
    height = min(left.height, right.height)
    gap = (right.left - left.left - left.width) * shape
    return abs(left.y - right.y) < 0.3 * height and -height < gap < _BESIDE * height


def _is_wider(piece: Piece, shape: float, most: float) -> bool:
    """Whether a line is wider than its signs are, each at most so many times as wide as the line is high: the
    engine has joined texts that stand apart in a row."""
    return _FULL.search(piece.text) is not None and piece.width * shape > most * _signs(piece) * piece.height


def _signs(piece: Piece) -> float:
    """How wide a line's text is, in Chinese signs."""
    return sum(1.0 if _FULL.match(sign) else _NARROW for sign in piece.text if not sign.isspace())


def _lines_of(piece: Piece, shape: float) -> int:
    """How many lines a box holds: engines put two into one where a paragraph is set close."""
    is_text = _FULL.search(piece.text) is not None and len(piece.text) > 5
    return 2 if is_text and piece.width * shape < _DOUBLE * _signs(piece) * piece.height else 1


def _is_cut_by_edge(piece: Piece, pieces: Iterable[Piece], shape: float, near: float = _NEAR_EDGE) -> bool:
    """Whether the picture's edge may cut a line: it touches it, or comes near it where no other line does."""
    if min(piece.top, 1 - piece.y - piece.height / 2) < 0.1 * piece.height:
        return True
    high = piece.height / shape
    for gap, side in ((piece.left, _left), (1 - piece.left - piece.width, _right)):
        if gap < _AT_EDGE * high:
            return True
        others = (abs(side(other) - side(piece)) for other in pieces if other is not piece)
        if gap < near * high and not any(apart < _ALIGNED * high for apart in others):
            return True
    return False


def _left(piece: Piece) -> float:
    return piece.left


def _right(piece: Piece) -> float:
    return piece.left + piece.width


def first_row(pieces: Sequence[Piece]) -> list[Piece]:
    """The topmost row from left to right: lines that begin above the middle of the one that begins first."""
    if not pieces:
        return []
    top = min(pieces, key=lambda piece: piece.top)
    return sorted((piece for piece in pieces if piece.top < top.y), key=lambda piece: (piece.left, piece.top))


_ALIKE, _PROMINENT = 1.15, 1.5
"""Times the height of the leftmost line of a row: so tall are lines of one size, as they are read, and so
tall is one that stands out."""


def first_of(pieces: Sequence[Piece], *, surely: bool = False) -> Piece | None:
    """The first line of a screen: the leftmost of its topmost row, or the tallest where that is at least half
    as tall again. None where no line says anything, or (`surely`) where a line is taller by less."""
    row = [piece for piece in first_row(pieces) if any(map(str.isalnum, piece.text))]
    if not row:
        return None
    tallest = max(row, key=lambda piece: piece.height)
    times = tallest.height / row[0].height
    if surely and _ALIKE < times < _PROMINENT:
        return None
    return tallest if times >= _PROMINENT else row[0]
