"""What can be said about a picture without a model: its lines of text, their places, light and colours."""

from __future__ import annotations

import re
from collections import Counter
from colorsys import rgb_to_hsv
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from PIL import Image

from datakit.core.image import load_rgb
from datakit.core.status_bar import bar_row, without_status_bar
from datakit.core.transform import Row
from datakit.llm._offline_pieces import SURE, Piece, first_of, first_row, trimmed, with_places, without_places

_CLOCK = re.compile(r"^\D{0,3}([01]?\d|2[0-3])[:：][0-5]\d\D{0,12}$")
_PRICE = re.compile(r"[^\d¥￥]{0,8}?([¥￥]\s*\d[\d,]{0,8}(?:\.\d{1,2})?|\d{1,9}(?:\.\d{1,2})?元)")
"""A line that is an amount of money, with a word before it or none."""
_SLANT = 0.35
"""Share of a line's height by which another of its row may stand higher, as on a slanted picture."""
_WORDS = re.compile(r"[一-鿿A-Za-z]")
_HUES = (
    (12, "红"),
    (18, ""),
    (40, "橙"),
    (45, ""),
    (65, "黄"),
    (80, ""),
    (165, "绿"),
    (190, ""),
    (250, "蓝"),
    (262, ""),
    (295, "紫"),
    (348, ""),
    (361, "红"),
)
"""Hue in degrees up to which a colour is named so; "" where people call it one thing or another."""
_PINK = (300, 372)
"""The hues that are pink where they are pale."""
_COLOURED = 40
"""Difference of the channels from which a colour is sure."""
_GREYISH = 14
"""Difference up to which there is none, but for what compression adds."""
_PLAIN = 12
"""Difference of brightness (of 255) from which everybody sees one side lighter than the other."""
_LARGE = 0.15
"""Share of the picture from which a colour is named."""
UPPER, LOWER = 1 / 3, 2 / 3
"""Shares of the height where the middle of a picture begins and ends, in every text."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found on a record's first picture."""

    width: int
    height: int
    pieces: tuple[Piece, ...]
    """In reading order and without a phone's status bar; empty when nothing was read."""
    pictures: int
    was_read: bool
    """Whether OCR looked at the picture at all."""
    has_places: bool
    """Whether it is known where the lines stand."""
    has_status_bar: bool
    text: str
    """All that was read on all pictures of the record."""

    @property
    def words(self) -> list[Piece]:
        """Lines that say something, each text once, from top to bottom."""
        by_text = {piece.text: piece for piece in reversed(self.pieces) if quotable(piece.text)}
        return sorted(by_text.values(), key=lambda piece: piece.y)

    @property
    def lines(self) -> list[Piece]:
        """Lines with a letter, a character or a digit, from top to bottom."""
        legible = (piece for piece in self.pieces if any(map(str.isalnum, piece.text)))
        return sorted(legible, key=lambda piece: piece.y)

    @property
    def texts(self) -> list[str]:
        """What the lines say, without icons; of two signs or more."""
        return [text for piece in self.pieces if len(text := trimmed(piece.text)) > 1]

    @property
    def count(self) -> int:
        """How many texts were surely read on the picture."""
        return sum(piece.score >= SURE and _is_text(piece.text) for piece in self.pieces)

    @property
    def count_of_all(self) -> int:
        """The same of all pictures of the record; of several pictures what `ocr_text` keeps."""
        return self.count if self.pictures < 2 else sum(map(_is_text, self.text.splitlines()))

    @property
    def first_line(self) -> Piece | None:
        """The first line of the picture (see `first_of`); None where that is not sure.

        A row that was read with doubt has no first line, and neither has what stands below it.
        """
        row = [piece for piece in first_row(self.pieces) if any(map(str.isalnum, piece.text))]
        if any(piece.score < SURE or not quotable(piece.text) for piece in row):
            return None
        first = first_of(self.pieces, surely=True)
        if first is None or any(first.y - piece.y > _SLANT * first.height for piece in row):
            return None
        return first

    def is_first(self, piece: Piece) -> bool:
        """Whether nothing stands above a line."""
        return piece in first_row(self.pieces)

    @property
    def form(self) -> str:
        """The picture's form: tall, wide or square."""
        ratio = self.height / max(self.width, 1)
        if ratio > 1.25:
            return "tall"
        return "wide" if ratio < 0.8 else "square"

    @property
    def prices(self) -> list[str]:
        """Amounts of money that stand for themselves, each once; none that runs on into other numbers."""
        found = (_PRICE.fullmatch(piece.text.strip()) for piece in self.pieces if piece.score >= SURE)
        return list(dict.fromkeys(match[1] for match in found if match))


def _is_text(text: str) -> bool:
    """Whether a line is more than one sign, for which engines take corners, dots and rings."""
    return sum(map(str.isalnum, text)) > 1


def quotable(text: str) -> bool:
    """Whether a line says something: at least two letters or characters, and not the clock."""
    return len(_WORDS.findall(text)) >= 2 and not _CLOCK.match(text)


def facts_of(row: Row) -> Facts:
    """Size and lines of the record's first picture, from OCR columns as far as there are any."""
    width, height = row.get("width"), row.get("height")
    if (not width or not height) and row.get("images"):
        from datakit.core.image import read_header

        header = read_header(row["images"][0])
        width, height = header.width, header.height
    all_lines = row.get("ocr") or []
    lines = [line for line in all_lines if not line.get("image")]
    pictures = len(row.get("images") or [])
    was_read = pictures > 0 and (row.get("ocr") is not None or row.get("ocr_text") is not None)
    text = row.get("ocr_text") or "\n".join(line.get("text") or "" for line in all_lines)
    placed = with_places(lines, width or 1, height or 1)
    whole = "" if all_lines else text  # of lines that all stand on other pictures none is this one's
    pieces = placed or without_places(whole)
    kept = _below_status_bar(pieces) if placed else without_places(without_status_bar(whole))
    has_bar = len(kept) < len(pieces)
    return Facts(width or 0, height or 0, tuple(kept), pictures, was_read, bool(placed), has_bar, text)


def _below_status_bar(pieces: list[Piece]) -> list[Piece]:
    """The lines without those in the row of a status bar."""
    bar = bar_row([(piece.text, piece.y, piece.height) for piece in pieces])
    return [piece for at, piece in enumerate(pieces) if at not in bar]


@dataclass(frozen=True, slots=True)
class Light:
    """How bright a picture is, and its main colours. Not what is on it."""

    colours: tuple[str, ...]
    """Those that surely cover much of the picture, the largest first; empty for a grey picture."""
    thirds: tuple[str, ...]
    """The main colour of the upper, middle and lower third; empty where one of them is not sure."""
    is_grey: bool
    """Whether there is no colour anywhere."""
    mean: float
    """Mean brightness (0 to 255)."""
    lopsided: tuple[str, ...] = ("", "", "")
    """Which half of the upper, middle and lower third is plainly brighter: left, right or neither ("")."""

    @property
    def tone(self) -> str:
        """dark, light or even."""
        return "dark" if self.mean < 85 else "light" if self.mean > 170 else "even"


def light_of(path: str) -> Light:
    """Brightness and colours of a picture, from a small copy. Raises ImageProblem."""
    image = load_rgb(path, max_side_px=96)
    values = image.convert("L").tobytes()
    colours, is_grey = _colours(image)
    edges = [image.height * at // 3 for at in range(4)]
    bands = [
        _colours(image.crop((0, top, image.width, low)))[0][:1] for top, low in pairwise(edges) if low > top
    ]
    thirds = tuple(colour for band in bands for colour in band)
    lopsided = tuple(_brighter_half(image.crop((0, top, image.width, low))) for top, low in pairwise(edges))
    thirds = thirds if len(thirds) == 3 else ()
    return Light(colours, thirds, is_grey, sum(values) / len(values), lopsided)


def _brighter_half(band: Image.Image) -> str:
    """left or right; "" where nobody sees a difference, or the band is too small to have halves."""
    middle = band.width // 2
    if not middle or not band.height:
        return ""
    halves = (band.crop((0, 0, middle, band.height)), band.crop((band.width - middle, 0, *band.size)))
    left, right = (fmean(half.convert("L").tobytes()) for half in halves)
    return "" if abs(left - right) < _PLAIN else "left" if left > right else "right"


def _colours(image: Image.Image) -> tuple[tuple[str, ...], bool]:
    """The colours of large parts, and whether the picture is grey all over."""
    data = image.tobytes()
    names: Counter[str] = Counter()
    coloured = 0
    pixels_of = Counter(zip(data[::3], data[1::3], data[2::3], strict=True))  # a screen has few colours
    for colour, count in pixels_of.items():
        coloured += count * (max(colour) - min(colour) > 2 * _GREYISH)
        names[_colour(*colour)] += count
    pixels = len(data) // 3
    if coloured < pixels / 1000:
        return (), True
    large = [name for name, count in names.items() if name and count >= _LARGE * pixels]
    return tuple(sorted(large, key=lambda name: (-names[name], name))), False


def _colour(red: int, green: int, blue: int) -> str:
    """What everybody would call it; "" where that is not sure."""
    low, high = min(red, green, blue), max(red, green, blue)
    if high - low <= _GREYISH:
        return "白" if low >= 235 else "黑" if high <= 45 else "灰" if low >= 80 and high <= 215 else ""
    hue, saturation, _ = rgb_to_hsv(red / 255, green / 255, blue / 255)
    degrees = hue * 360
    if low >= 150 and (_PINK[0] <= degrees or degrees <= _PINK[1] - 360):
        return "粉" if high - low >= 20 else ""
    if high - low < _COLOURED or high < 90 or saturation < 0.15:
        return ""
    name = next(name for below, name in _HUES if degrees < below)
    return name if name != "橙" or high >= 190 else "棕" if high < 160 else ""
