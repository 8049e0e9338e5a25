"""Boxes as texts have them: JSON, or the marks of Qwen-VL, Qwen2-VL and InternVL; written and read.

A server that leaves special tokens out of its answers (vLLM does so unless told otherwise) gives
`结算(10,20),(30,40)`: read as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from datakit.core.boxes import BoxFault, is_number

SIDES_KEYS = ("bbox_2d", "bbox", "box")
"""What a box's numbers are called."""
LABEL_KEYS = ("label", "ref", "name", "category", "category_name", "class", "caption")
"""What the name of what stands there is called."""
TEXT_KEYS = ("text", "text_content", "transcription")
"""What the text that is written there is called."""
NAME_KEYS = (*LABEL_KEYS, *TEXT_KEYS)
_REF, _REF_END = "<|object_ref_start|>", "<|object_ref_end|>"
_BOX, _BOX_END = "<|box_start|>", "<|box_end|>"
TOKENS = (_REF, _REF_END, _BOX, _BOX_END)
"""The special tokens of Qwen2-VL."""
_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
_CORNERS = re.compile(rf"\({_NUMBER},{_NUMBER}\)\s*,\s*\({_NUMBER},{_NUMBER}\)")
_MARKED = re.compile(
    rf"(?:{re.escape(_REF)}([^<]*(?:<(?!\|object_ref_)[^<]*)*){re.escape(_REF_END)}\s*)?{re.escape(_BOX)}{_CORNERS.pattern}{re.escape(_BOX_END)}",
    re.DOTALL,
)
_LIST = re.compile(rf"\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\]")
_MARKS = re.compile(r"<\|?/?(?:object_ref_start|object_ref_end|box_start|box_end|ref|box|quad|det)\|?>")
_STARTS = re.compile(r"<\|box_start\|>|<box>|<\|det\|>")
"""Of Qwen2-VL, of Qwen-VL and InternVL, of DeepSeek-VL2: thousandths of the sides stand behind."""
_UNREAD = re.compile(r"<quad>|<\|quad_start\|>|<bbox>|<loc_?\d+>")
"""Marks of boxes in notations that are not read: four corners, ms-swift's places, PaliGemma, Florence."""
_FENCE = re.compile(r"^```\w*")
_KEYS = frozenset((*SIDES_KEYS, "label", *TEXT_KEYS))
"""Keys of an object that is a place, and must then have a box: `name` may be that of anything."""
_NAMED_LIST = re.compile(
    r"""[`\w\s,{}\[\]]*?(?<!\w)(?P<key>"(?:[^"\\]|\\.)+"|'[^']+')\s*:[\s\[]*""", re.DOTALL
)
"""The words before the list of a JSON object that has its names as keys."""
_SIDES_KEY = re.compile(rf"""["'](?:{"|".join(SIDES_KEYS)})["']\s*:""")
_ANY_KEY = re.compile(
    r"""["'](?:bbox|box)(?:_2d)?\\?["']\s*:|(?<!["'\w])bbox(?:_2d)?\s*[:=]""", re.IGNORECASE
)
"""A key of boxes as people and models write it: in any case, escaped, without quotes."""
_OBJECT = re.compile(r"""\{(?:[^{}"]|"(?:[^"\\]|\\.)*")*\}""", re.DOTALL)
"""An object without others in it."""
_SPACE = " \t\r\n,，、"

Entry = dict[str, Any]
"""`bbox_2d`, and `label` where the box has a name."""


def with_tokens(entries: Sequence[Mapping[str, Any]]) -> str:
    """Boxes in the special tokens of Qwen2-VL. Numbers are whole; names hold none of TOKENS."""
    texts = []
    for entry in entries:
        left, top, right, bottom = entry["bbox_2d"]
        name = f"{_REF}{entry['label']}{_REF_END}" if entry.get("label") else ""
        texts.append(f"{name}{_BOX}({left},{top}),({right},{bottom}){_BOX_END}")
    return "".join(texts)


def entries_in(text: str) -> list[Entry] | None:
    """The boxes that a text states, in order; None for one that states none.

    Of a list that is cut off, as an answer at the end of its tokens is, the boxes before the cut. Marks and
    corners go before JSON that does not say what its numbers are: a name may hold brackets.
    """
    plain = _FENCE.sub("", text.strip()).strip()
    if plain[:1] not in ("[", "{") and _REF in text and _BOX in text:
        return _in_tokens(text)
    if _SIDES_KEY.search(text):
        return json_entries(text)
    if _CORNERS.search(text):
        return _between(_CORNERS, text, _SPACE)
    return _between(_LIST, text, _SPACE + "：:;；[]") if _LIST.search(text) else None


def in_thousandths(text: str) -> bool:
    """Whether marks say that the boxes of a text are in thousandths of the sides."""
    return _STARTS.search(text) is not None


def stated_boxes(text: str) -> list[Entry]:
    """All boxes that a text states, for data that must not lose one; none of a text that states none.

    Raises BoxFault where a key or a mark of boxes stands whose box cannot be read, as in a text that is cut
    off, has a box of three numbers, one of four corners (`<quad>`), or boxes in two notations.
    """
    entries = entries_in(text) or []
    keys, corners = len(_SIDES_KEY.findall(text)), len(_CORNERS.findall(text))
    starts = len(_STARTS.findall(text))
    places = keys + (starts if _BOX in text else corners)
    if len(entries) < max(places, starts) or len(_ANY_KEY.findall(text)) != keys or _UNREAD.search(text):
        words = f"an answer names more boxes than can be read ({len(entries)}): {text.strip()[:60]}"
        raise BoxFault("boxes_unreadable", words)
    return entries


def json_entries(text: str) -> list[Entry] | None:
    """The boxes that the objects of a text state; None for none, and where one of them states no box.

    In a fence or not, with words around them, in a list that is whole or cut off, or one after the other.
    """
    value = json_in(text)
    items = value if isinstance(value, list) else [value]
    if not items or not all(map(_is_place, items)):
        items = [item for match in _OBJECT.finditer(text) if _is_place(item := _loaded(match[0]))]
    entries = [entry_of(item) for item in items]
    return [entry for entry in entries if entry is not None] if items and all(entries) else None


def _is_place(item: Any) -> bool:
    """Whether an object has a key of boxes."""
    return isinstance(item, Mapping) and not _KEYS.isdisjoint(item)


def json_in(text: str) -> Any:
    """The JSON array or object in a text, with or without a fence or words around it; None for none."""
    pairs = sorted((("[", "]"), ("{", "}")), key=lambda pair: text.find(pair[0]))
    for first, last in pairs:  # the one that opens first holds the other
        start, end = text.find(first), text.rfind(last)
        if 0 <= start < end and (value := _loaded(text[start : end + 1])) is not None:
            return value
    return None


def _loaded(text: str) -> Any:
    """What a text is as JSON, or as JSON in single quotes alone; None for neither."""
    with suppress(ValueError, RecursionError):
        return json.loads(text if '"' in text else text.replace("'", '"'))
    return None


def entry_of(item: Mapping[str, Any]) -> Entry | None:
    """A box out of an object, under any of the usual keys; None for an object without four numbers."""
    sides = next((item[key] for key in SIDES_KEYS if key in item), None)
    if not isinstance(sides, list | tuple) or len(sides) != 4 or not all(map(is_number, sides)):
        return None
    name = next((item[key] for key in NAME_KEYS if item.get(key) not in (None, "")), "")
    return {"bbox_2d": list(sides), **({"label": str(name)} if name != "" else {})}


def _in_tokens(text: str) -> list[Entry] | None:
    """The boxes of a text with Qwen2-VL's tokens, names to the letter; several may follow one name."""
    entries, name = list[Entry](), ""
    for match in _MARKED.finditer(text):
        name = name if match[1] is None else match[1].strip()
        sides = [_number(side) for side in match.groups()[1:]]
        entries.append({"bbox_2d": sides, **({"label": name} if name else {})})
    return entries or None


def _between(numbers: re.Pattern[str], text: str, around: str) -> list[Entry]:
    """The boxes of a text, each named by the words before it; one without words by those of the last."""
    entries, end, name = list[Entry](), 0, ""
    for match in numbers.finditer(text):
        words = text[end : match.start()]
        if key := _NAMED_LIST.fullmatch(words):
            named = _loaded(f"[{key['key']}]")
            words = str(named[0]) if named else key["key"][1:-1]
        words = _MARKS.sub(" ", words).strip(around)
        name, end = (" ".join(words.split()) or name), match.end()
        sides = [_number(side) for side in match.groups()]
        entries.append({"bbox_2d": sides, **({"label": name} if name else {})})
    return entries


def _number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number
