"""What pages are made of: sections of text, tables, charts and samples, which Markdown and HTML lay out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from datakit.core.language import Language
from datakit.core.word_diff import Piece, as_plain

PROSE_CHARS = 24
COMMAND_CHARS = 40
MOST_COLUMNS = 5
"""That a narrow page shows side by side."""


@dataclass(frozen=True)
class Code:
    """A table cell in fixed width."""

    text: str


Cell = str | int | float | Code | None
"""Numbers stand to the right, with thousands separated; None is an empty cell."""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    kind: ClassVar[str] = "bullets"
    items: Sequence[str]


@dataclass(frozen=True)
class Table:
    """Rows under a head."""

    kind: ClassVar[str] = "table"
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    folded: str = ""
    """The words that it stands folded under; "" for one that is open. Print shows it either way."""

    def numeric(self, column: int) -> bool:
        """Whether the column holds numbers, which stand to the right."""
        cells = [row[column] for row in self.rows if row[column] not in (None, "")]
        return bool(cells) and all(isinstance(cell, (int, float)) for cell in cells)

    def prose(self, column: int) -> bool:
        """Whether the column holds sentences, which need room."""
        cells = [row[column] for row in self.rows]
        return any(isinstance(cell, str) and len(cell) > PROSE_CHARS for cell in cells)

    @property
    def stacks(self) -> bool:
        """Whether rows are blocks of lines where the page is narrow: of sentences, or of many columns."""
        return len(self.head) > MOST_COLUMNS or any(self.prose(column) for column in range(len(self.head)))

    def commands(self, column: int) -> bool:
        """Whether the column holds text in fixed width that is too long for a line of its own."""
        cells = [row[column] for row in self.rows]
        return any(isinstance(cell, Code) and len(cell.text) > COMMAND_CHARS for cell in cells)


@dataclass(frozen=True)
class CodeBlock:
    """Lines to copy, or text shown as it is."""

    kind: ClassVar[str] = "code"
    text: str
    language: str = ""


@dataclass(frozen=True)
class Link:
    """A paragraph that leads to a file in the page's folder (`<stem>/<file>`)."""

    kind: ClassVar[str] = "link"
    text: str
    file: str


@dataclass(frozen=True)
class Chart:
    """A plot: `<name>.svg` beside the Markdown card, in the page itself in the HTML card."""

    kind: ClassVar[str] = "chart"
    name: str
    alt: str
    svg: str


@dataclass(frozen=True)
class Part:
    """A piece of a message; `summary` folds it away behind these words, or stands for an empty text."""

    text: str
    summary: str = ""


@dataclass(frozen=True)
class Turn:
    """One message of a chat."""

    role: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Thumbnail:
    """A thumbnail as data URI, or the words that stand for it."""

    uri: str
    alt: str


@dataclass(frozen=True)
class Sample:
    """A record as the trainer reads it."""

    kind: ClassVar[str] = "sample"
    title: str
    facts: Sequence[tuple[str, str]]
    images: Sequence[Thumbnail]
    turns: Sequence[Turn]


@dataclass(frozen=True)
class Specimen:
    """A record of a comparison: its picture, its id, and what is known of it in a few words."""

    id: str
    images: Sequence[Thumbnail]
    text: str
    """The beginning of what stands on its picture; "" where nothing was read."""
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """Groups of records side by side, each under a heading."""

    kind: ClassVar[str] = "comparison"
    title: str
    groups: Sequence[tuple[str, Sequence[Specimen]]]


@dataclass(frozen=True)
class Framed:
    """A box on a picture, in pixels of the picture as it was read, with the words that hovering shows."""

    sides: tuple[float, float, float, float]
    words: str
    is_evidence: bool = False
    """Whether the answer quotes what stands in it."""


@dataclass(frozen=True)
class Screen:
    """A picture as the model sees it, with boxes that can be drawn on it."""

    picture: Thumbnail
    width: int = 0
    """Of the picture as it was read, which the boxes are in; 0 where it cannot be read."""
    height: int = 0
    shown_width: int = 0
    """Pixels across as the model sees it."""
    frames: Sequence[Framed] = ()


@dataclass(frozen=True)
class Tile:
    """A record that opens: its pictures, what it is in a few words, and its messages as they are trained."""

    id: str
    label: str
    """Its class, or what stands for it; tiles are filtered by it."""
    note: str
    screens: Sequence[Screen]
    facts: Sequence[tuple[str, str]]
    turns: Sequence[Turn]


@dataclass(frozen=True)
class Gallery:
    """Records to look at. Those of a group stand beside each other, such as a pair that looks alike."""

    kind: ClassVar[str] = "gallery"
    title: str
    """"" for none, where the section says it."""
    groups: Sequence[Sequence[Tile]]
    words: str = ""
    constant: Sequence[Part] = ()
    """What the prompts share: it stands once before the records, and each prompt names it."""
    sheet: Chart | None = None
    """The pictures as one drawing, for readers of Markdown."""
    has_filter: bool = False

    @property
    def tiles(self) -> list[Tile]:
        return [tile for group in self.groups for tile in group]

    @property
    def labels(self) -> list[str]:
        """The classes in order, each once."""
        return list(dict.fromkeys(tile.label for tile in self.tiles))


@dataclass(frozen=True)
class ChangedText:
    """A text of two versions side by side, with marks on what differs."""

    kind: ClassVar[str] = "changed"
    title: str
    pieces: Sequence[Piece]

    @property
    def plain(self) -> str:
        """As one text: `[-gone-]` and `{+new+}`."""
        return as_plain(self.pieces)


Block = Text | Bullets | Table | CodeBlock | Link | Chart | Sample | Comparison | Gallery | ChangedText


@dataclass(frozen=True)
class Section:
    """A heading with its blocks; one without blocks is left out."""

    title: str
    blocks: Sequence[Block]

    @property
    def anchor(self) -> str:
        """The heading as the fragment of an address."""
        return "-".join(self.title.lower().split())


@dataclass(frozen=True)
class Card:
    """All that a card says."""

    name: str
    lead: str
    notices: Sequence[str]
    front: str
    """YAML for the head of the Markdown file, as dataset hubs read it; "" for none."""
    sections: Sequence[Section] = field(default_factory=tuple)
    title: str = "Data card"
    """What kind of page it is."""
    file: str = ""
    """Name of its files, when it is not `name`."""
    language: Language = "en"
    """Of the page's own words."""
    croissant: str = ""
    """The JSON-LD document that stands beside its plots; "" for none."""

    @property
    def stem(self) -> str:
        """Name of the card's files, without their suffix."""
        return self.file or self.name

    @property
    def charts(self) -> list[Chart]:
        blocks = [block for section in self.sections for block in section.blocks]
        sheets = [block.sheet for block in blocks if isinstance(block, Gallery) and block.sheet is not None]
        return [*(block for block in blocks if isinstance(block, Chart)), *sheets]
