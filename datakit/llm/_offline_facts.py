"""What can be said about a picture without a model: its lines of text, their places, light and colours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from datakit.core.image import load_rgb
from datakit.core.transform import Row

_CLOCK = re.compile(r"^\D{0,3}([01]?\d|2[0-3])[:：][0-5]\d\D{0,12}$")
_MONEY = re.compile(r"[¥￥]\s*\d[\d,]*(?:\.\d+)?|\d+(?:\.\d+)?元")
_WORDS = re.compile(r"[一-鿿A-Za-z]")
_COLOURS = {
    "红": (205, 50, 50),
    "橙": (235, 140, 50),
    "黄": (240, 210, 70),
    "绿": (70, 160, 80),
    "蓝": (60, 110, 200),
    "紫": (140, 80, 170),
    "粉": (240, 170, 185),
    "棕": (135, 95, 65),
    "黑": (25, 25, 25),
    "深灰": (85, 85, 85),
    "灰": (145, 145, 145),
    "浅灰": (210, 210, 210),
    "白": (248, 248, 248),
}
REGIONS = ("左上", "上方", "右上", "左侧", "中央", "右侧", "左下", "下方", "右下")


@dataclass(frozen=True, slots=True)
class Piece:
    """A line of text and the middle of its box, as shares of the picture (0 to 1)."""

    text: str
    x: float
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found on a record's first picture."""

    width: int
    height: int
    pieces: tuple[Piece, ...]
    """In reading order; empty when nothing was read."""
    pictures: int
    was_read: bool
    """Whether OCR looked at the picture at all."""

    @property
    def words(self) -> list[Piece]:
        """Lines that say something, each text once, without a phone's status bar."""
        by_text = {piece.text: piece for piece in reversed(self.pieces) if quotable(piece.text)}
        bar = 0.045 if self.has_clock else 0.0
        return sorted((piece for piece in by_text.values() if piece.y >= bar), key=lambda piece: piece.y)

    @property
    def form(self) -> str:
        """The picture's form in a word."""
        ratio = self.height / max(self.width, 1)
        if ratio > 1.25:
            return "竖长"
        return "横长" if ratio < 0.8 else "近方形"

    @property
    def has_clock(self) -> bool:
        """Whether a time of day stands at the very top, as in a phone's status bar."""
        return any(piece.y < 0.06 and _CLOCK.match(piece.text) for piece in self.pieces)

    @property
    def prices(self) -> list[str]:
        """Amounts of money, each once."""
        amounts = [amount for piece in self.pieces for amount in _MONEY.findall(piece.text)]
        return list(dict.fromkeys(amounts))

    def band(self, low: float, high: float) -> list[Piece]:
        """Lines with words whose middle lies between two heights."""
        return [piece for piece in self.words if low <= piece.y < high]

    @property
    def side_share(self) -> float:
        """Share of the lines that stand in the left quarter."""
        return sum(piece.x < 0.25 for piece in self.pieces) / max(len(self.pieces), 1)


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
    lines = [line for line in row.get("ocr") or [] if not line.get("image")]
    was_read = row.get("ocr") is not None or row.get("ocr_text") is not None
    pieces = _with_boxes(lines, width or 1, height or 1) or _without_boxes(row.get("ocr_text"))
    return Facts(width or 0, height or 0, tuple(pieces), len(row.get("images") or []), was_read)


def _with_boxes(lines: Sequence[dict[str, Any]], width: int, height: int) -> list[Piece]:
    pieces = []
    for line in lines:
        box = line.get("box") or []
        if len(box) == 4 and (line.get("score") or 0.0) >= 0.6 and line.get("text"):
            x0, y0, x1, y1 = box
            piece = Piece(
                line["text"].strip(), (x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (y1 - y0) / height
            )
            pieces.append(piece)
    return pieces


def _without_boxes(text: str | None) -> list[Piece]:
    """Lines of joined text, spread evenly from top to bottom."""
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    return [Piece(line, 0.5, (at + 0.5) / len(lines), 0.02) for at, line in enumerate(lines)]


@dataclass(frozen=True, slots=True)
class Light:
    """How bright the parts of a picture are, and its main colours. Not what is on it."""

    levels: tuple[float, ...]
    """Mean brightness (0 to 255) of three rows of three regions."""
    colours: tuple[str, ...]
    """The two most frequent colours; empty for a grey picture."""
    mean: float
    spread: float
    """Standard deviation of the brightness."""

    @property
    def brightest(self) -> str:
        return REGIONS[max(range(9), key=lambda at: self.levels[at])]

    @property
    def darkest(self) -> str:
        return REGIONS[min(range(9), key=lambda at: self.levels[at])]


def light_of(path: str) -> Light:
    """Brightness and colours of a picture, from a small copy. Raises ImageProblem."""
    image = load_rgb(path, max_side_px=96)
    grey = image.convert("L")
    cells = list(grey.resize((3, 3), Image.Resampling.BOX).tobytes())
    values = grey.tobytes()
    mean = sum(values) / len(values)
    spread = (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5
    return Light(tuple(float(cell) for cell in cells), _colours(image), mean, spread)


def _colours(image: Image.Image) -> tuple[str, ...]:
    small = image.resize((16, 16), Image.Resampling.BOX).tobytes()
    counts: dict[str, int] = {}
    vivid = 0
    for at in range(0, len(small), 3):
        red, green, blue = small[at : at + 3]
        vivid += max(red, green, blue) - min(red, green, blue) > 12
        name = min(_COLOURS, key=lambda name: _distance(_COLOURS[name], (red, green, blue)))
        counts[name] = counts.get(name, 0) + 1
    if vivid < 8:
        return ()
    return tuple(sorted(counts, key=lambda name: (-counts[name], name))[:2])


def _distance(first: tuple[int, int, int], second: tuple[int, int, int]) -> int:
    return sum((a - b) ** 2 for a, b in zip(first, second, strict=True))
