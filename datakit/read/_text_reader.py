"""What the readers of text files share: the encoding that a recipe may name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from datakit.core.text_encoding import UTF8, known_encoding
from datakit.read._files import encoding_of
from datakit.read._row_reader import TableReader
from datakit.read._rows import Plan

_TYPED = (".parquet", ".arrow")
_MOST_NAMED = 3


class TextReader(TableReader):
    """Records out of text files in one of Unicode's encodings or an old one."""

    encoding: Annotated[str, AfterValidator(known_encoding)] | None = None
    """Encoding of the files, by any name that Python knows. When not given: UTF-8, UTF-16, UTF-32, GB18030,
    Big5, Shift-JIS, EUC-JP, ISO-2022-JP, CP949 or ISO-2022-KR as the file itself says; one that fits two,
    such as one of UTF-7 or HZ, is an error that names both."""

    def _warnings(self, files: tuple[Path, ...], plan: Plan) -> list[str]:
        texts = [file for file in files if file.suffix.lower() not in _TYPED]
        others: dict[str, list[str]] = {}
        for file in texts:
            others.setdefault(encoding_of(file, self.encoding), []).append(file.name)
        others.pop(UTF8, None)
        return [
            *super()._warnings(files, plan),
            *(f"{_few(names)} read as {encoding}, not UTF-8" for encoding, names in others.items()),
        ]


def _few(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    listed = ", ".join(names[:_MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
    return f"{listed} {'is' if len(names) == 1 else 'are'}"
