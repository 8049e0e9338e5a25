"""read.jsonl: records out of files with one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from datakit.read._json_lines import json_lines
from datakit.read._row_reader import RowReader
from datakit.read._rows import Block
from datakit.read._text_reader import TextReader


class Jsonl(RowReader, TextReader):
    """One record per line of JSON Lines files, in order, with every further column of theirs.

    The files are read twice: once for ids and the types of all values, once for the records, a part at a
    time. A further column becomes Boolean, Int64, Float64, String or a list of one of them if every value
    fits; else each value is kept as its JSON text. Blank lines are no records and are not counted.

    Reasons of rejection: bad_json, bad_encoding, not_an_object, duplicate_id, id_rounded (a number such as
    1.23E+18), label_not_text, text_not_text, image_not_a_path, image_outside, image_places (a dialogue's
    `<image>` places are not as many as its pictures), messages_format, messages_order, answer_empty,
    answer_unwanted, tools_format, objects_format. `source_line` is the line in the file.
    """

    def _blocks(self, files: tuple[Path, ...], rows: int) -> Iterator[Block]:
        for file in files:
            yield from json_lines(file, rows, self.encoding)
