"""The label block of a prompt: every label with what it means, in one of several forms."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

from datakit.core.contract_words import Language
from datakit.core.errors import UserError

if TYPE_CHECKING:
    from datakit.core.labels import Label

BlockForm = Literal["json", "pairs", "lines", "short", "brackets", "names"]
_WIDE_BRACES = str.maketrans("{}", "｛｝")
BLOCK_FORMS: tuple[BlockForm, ...] = get_args(BlockForm)


def label_block(labels: Sequence[Label], form: BlockForm, language: Language) -> str:
    """The labels in the order of their file.

    | form | a label |
    |---|---|
    | `json` | an entry of one JSON object: `"name": "description"` |
    | `pairs` | a line `label:{name}, description:{description}` |
    | `lines` | a line `name：description` |
    | `short` | a line `name：short`, and the neighbours that it is confused with |
    | `brackets` | an entry of one list in brackets: `["name", …]` |
    | `names` | a line `name` |

    Raises UserError for `short` where labels have no short description.
    """
    colon = ": " if language == "en" else "："
    if form == "json":
        entries = {label.name: label.description for label in labels}
        return json.dumps(entries, ensure_ascii=False, indent=2)
    if form == "brackets":
        return json.dumps([label.name for label in labels], ensure_ascii=False, separators=(",", ":"))
    if form == "names":
        return "\n".join(label.name for label in labels)
    if form == "pairs":
        return "\n".join(
            f"label:{{{label.name}}}, description:{{{_braced(label.description)}}}" for label in labels
        )
    if form == "short":
        _check_short(labels)
        return "\n".join(f"{label.name}{colon}{_short(label, language)}" for label in labels)
    texts = ((label.name, _line(label.description)) for label in labels)
    return "\n".join(f"{name}{colon}{text}" if text else name for name, text in texts)


def _short(label: Label, language: Language) -> str:
    """The short description, and which labels it is not."""
    if not label.confusable_with:
        return _line(label.short)
    if language == "en":
        return f"{_line(label.short)} (easily taken for {', '.join(label.confusable_with)})"
    return f"{_line(label.short)}（易混：{'、'.join(label.confusable_with)}）"


def _line(text: str) -> str:
    return " ".join(text.split())


def _braced(text: str) -> str:
    """A text on one line that cannot close the brace it stands in."""
    return _line(text).translate(_WIDE_BRACES)


def _check_short(labels: Sequence[Label]) -> None:
    lacking = [label.name for label in labels if not label.short]
    if lacking:
        names = ", ".join(lacking[:3]) + (f" and {len(lacking) - 3} more" if len(lacking) > 3 else "")
        raise UserError(
            f"the label block `short` needs a short description of each label; {names} has none",
            remedy="Give each label of the label file its `short`, or take another `label_block`.",
        )
