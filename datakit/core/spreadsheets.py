"""Cells of CSV files that a spreadsheet shows as the texts that they are, and never computes.

Excel, LibreOffice and Google Sheets take a cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage
return for a formula (OWASP, CSV injection), full-width forms of the signs included. Emitters of tables guard
their texts with `text_cell`; whoever reads such a file back takes the guard off with `plain_text`. The CSV
reader does not: in a file of somebody else's, `'-` may be what is meant.
"""

from __future__ import annotations

import re

GUARD = "'"
"""Spreadsheets read it as `this is a text`."""
_FORMULA = re.compile(r"'*[=+\-@\t\r＝＋－＠]")
"""Texts that begin so are guarded, those with guards of their own too: one guard is ever taken off."""
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def text_cell(text: str) -> str:
    """A text as a cell: guarded where it would be a formula. Numbers stay numbers.

    >>> text_cell("=1+1"), text_cell("-1.5"), text_cell("shop")
    ("'=1+1", '-1.5', 'shop')
    """
    return GUARD + text if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def plain_text(cell: str) -> str:
    """The text that `text_cell` made a cell of.

    >>> plain_text("'=1+1"), plain_text("-1.5"), plain_text("'tis")
    ('=1+1', '-1.5', "'tis")
    """
    return cell[1:] if cell.startswith(GUARD) and _FORMULA.match(cell) else cell
