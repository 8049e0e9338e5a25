"""read.json: records out of a JSON array."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from datakit.read._json_array import json_array
from datakit.read._row_reader import RowReader
from datakit.read._rows import Block
from datakit.read._text_reader import TextReader


class Json(RowReader, TextReader):
    """One record per object of a JSON array, in order, with every further column of theirs.

    The file holds an array, or an object with exactly one. A further column becomes Boolean, Int64, Float64,
    String or a list of one of them if every value fits; else each value is kept as its JSON text. A file is
    read as a whole: for more than some gigabytes use read.jsonl.

    Reasons of rejection: not_an_object, bad_json and bad_encoding (a damaged element, whose line is told; the
    others are read), duplicate_id, id_rounded (a number such as 1.23E+18), label_not_text, text_not_text,
    image_not_a_path, image_outside, image_places, messages_format, messages_order, answer_empty,
    answer_unwanted, tools_format, objects_format. `source_line` is the place in the array, from 1. A file of
    which more is damaged, such as one that ends too early, is an error with its line and column.
    """

    example: ClassVar[dict[str, Any] | None] = {"path": "../data/train.json", "text": "question"}

    def _blocks(self, files: tuple[Path, ...], rows: int) -> Iterator[Block]:
        for file in files:
            yield from json_array(file, rows, self.encoding)
