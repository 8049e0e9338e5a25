"""read.csv: records out of delimited text with a header."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from datakit.read._csv import csv_rows
from datakit.read._row_reader import RowReader
from datakit.read._rows import Block
from datakit.read._text_reader import TextReader


class Csv(RowReader, TextReader):
    """One record per row of CSV or TSV files, in order, with every further column as text.

    The first line names the columns. Values stay the texts that they are (`00123` keeps its zeros); an empty
    one is null. A value that is a JSON list may stand for several pictures or for a chat. Blank lines are no
    records and are not counted.

    Reasons of rejection: ragged_row (more or fewer values than columns), bad_csv (a quote that is not
    closed or stands inside a value, or a value of more than 131,072 characters), repeated_header,
    bad_encoding, duplicate_id, id_rounded (a spreadsheet wrote 1.23E+18 for it), image_not_a_path,
    image_outside, image_places, messages_format, messages_order, answer_empty, answer_unwanted,
    tools_format, objects_format. `source_line` is the line on which the row begins, counted as an editor
    does: a line break inside quotes counts too.
    """

    example: ClassVar[dict[str, Any] | None] = {"path": "../data/train.csv", "label": "class"}

    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    """The sign between values. When not given: tab for .tsv, else whichever of `,`, tab, `;` and `|` stands
    most often in the header."""

    def _blocks(self, files: tuple[Path, ...], rows: int) -> Iterator[Block]:
        for file in files:
            yield from csv_rows(file, rows, self.delimiter, self.encoding)
