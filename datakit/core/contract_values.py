"""A field's value as an answer writes it, and an answer's text as a value; both ways meet in one spelling."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from datakit.core import box_texts
from datakit.core.boxes import is_number
from datakit.core.contract_words import BETWEEN, EMPTY, Language
from datakit.core.labels import LabelSet, says_nothing
from datakit.core.outcome import Rejected

if TYPE_CHECKING:
    from datakit.core.contract import AnswerField

_AROUND = " \t\r\n\u3000\"'“”‘’「」『』《》【】`*.。,，;；!！:："
_NUMBER = re.compile(
    r"[-+]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?|[-+]?\.[0-9]+"
)
_MOST_DIGITS = 40
_SEPARATORS = re.compile(r"[、,，;；\n|]")


def written(field: AnswerField, value: Any, language: Language, labels: LabelSet | None) -> str | Rejected:
    """The text that stands for a record's value in the answer, or why there is none.

    A `line` is one line: white space runs become one space. What a value loses by such a change, and that it
    does, `contract_changes` says.
    """
    empty = EMPTY[language]
    text = _plain(field, value, language, labels)
    if isinstance(text, Rejected):
        return text
    if not text or (field.optional and _is_empty(text, language)):
        if field.optional and field.kind == "labels" and text:
            return Rejected("answer_unreadable", f"the label `{text}` reads like an empty answer")
        if field.optional:
            return empty
        if field.kind == "label":
            return Rejected("label_missing", "the record has no label to learn")
        return Rejected("answer_incomplete", _missing(field))
    if field.max_chars is not None and len(text) > field.max_chars:
        return Rejected(
            "answer_too_long",
            f"`{field.name}` has {len(text)} characters, the answer's form allows {field.max_chars}: "
            f"{text[:40]}. Have it written again: guard.reason with `max_chars` and `on_fail: rewrite`",
        )
    return text


def _missing(field: AnswerField) -> str:
    """That the answer needs a field, why it is empty where that can be said, and what to do."""
    why = f": no line of OCR stands in quotes in `{field.quoted_in}`" if field.kind == "evidence" else ""
    return (
        f"the answer needs `{field.name}`, which is empty{why}. Where it may be, say so in `fields`: "
        f"`{{name: {field.name}, kind: {field.kind}, optional: true}}`"
    )


def _plain(field: AnswerField, value: Any, language: Language, labels: LabelSet | None) -> str | Rejected:
    if value is None:
        return ""
    if field.kind == "labels":
        return _labels_text(value, language, labels)
    if field.kind == "number":
        return _number_text(value, field.name)
    if field.is_placed:
        return _boxes_text(value, field)
    text = str(value).strip()
    if field.kind == "label":
        return _label_text(text, labels)
    return (one_line(text) if field.kind == "line" else text).strip()


def _is_empty(text: str, language: Language) -> bool:
    return text.strip(_AROUND) in ("", EMPTY[language])


def becomes_empty(text: str, language: Language) -> bool:
    """Whether an optional field would say of a text that there is none, though it has marks."""
    return text not in ("", EMPTY[language]) and _is_empty(text, language)


def one_line(text: str) -> str:
    """The text with every run of white space as one space."""
    return " ".join(text.split())


def canonical(
    field: AnswerField, text: str, language: Language, labels: LabelSet | None
) -> tuple[str, str, str]:
    """An answer's text in the spelling that `written` gives, or "", a problem and a sentence about it."""
    if field.optional and _is_empty(text, language):
        return "", "", ""
    if field.kind == "labels":
        return _read_labels(text, language, labels)
    if field.kind == "number":
        return _read_number(text)
    if field.is_placed:
        is_other = _NOT_THE_BOXES.search(_NAMED.sub("", text))  # a box may be named "示例"
        boxes = "" if is_other else _boxes(_stated_boxes(text, field))
        boxes = boxes or (_boxes(box_texts.json_entries(text)) if is_loose(field, text) else "")
        problem = ("", "boxes_unreadable", "the answer holds no JSON array of boxes, or does not stand by it")
        return (boxes, "", "") if boxes else problem
    return text, "", ""


def is_loose(field: AnswerField, text: str) -> bool:
    """Whether the boxes of a text are no whole list in the field's notation, though they may be read."""
    return field.is_placed and field.notation != "tokens" and not _boxes(json_in(text))


def typed(field: AnswerField, text: str, language: Language) -> Any:
    """A canonical text as what it is: a list of labels, a number, a list of boxes, else the text."""
    if field.kind == "labels":
        return (
            text.split(BETWEEN[language].strip() if language == "zh" else BETWEEN[language]) if text else []
        )
    if field.kind == "number":
        number = float(text)
        return int(number) if number.is_integer() and abs(number) < 1 << 53 else number
    return json.loads(text) if field.is_placed else text


def schema_of(field: AnswerField, names: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of a field's typed value."""
    text: dict[str, Any] = {"type": "string", "minLength": 1}
    if field.max_chars is not None:
        text["maxLength"] = field.max_chars
    label: dict[str, Any] = {"enum": list(names)} if names else {"type": "string", "minLength": 1}
    if field.kind == "label":
        return label
    if field.kind == "labels":
        return {"type": "array", "items": label, "uniqueItems": True, "minItems": 0 if field.optional else 1}
    if field.kind == "number":
        return {"type": "number"}
    if field.is_placed:
        box = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}
        properties = {"bbox_2d": box, "label": {"type": "string"}}
        item = {"type": "object", "properties": properties, "required": ["bbox_2d"]}
        return {"type": "array", "items": {**item, "additionalProperties": False}, "minItems": 1}
    return text


def _label_text(text: str, labels: LabelSet | None) -> str | Rejected:
    if labels is None or not text:
        return one_line(text).strip()
    label = labels.find(text)
    if label is None:
        hint = labels.suggest(text)
        return Rejected("label_unknown", f"`{text}` is not in the label file. {hint}".strip())
    return label.name


def _labels_text(value: Any, language: Language, labels: LabelSet | None) -> str | Rejected:
    """Several labels in the order of the label file, each once."""
    between = BETWEEN[language]
    parts = (
        [str(part) for part in value if part is not None]
        if isinstance(value, list | tuple | set | frozenset)
        else _split(str(value), between, labels)
    )
    names: dict[str, None] = {}
    for part in filter(None, parts):
        name = _label_text(one_line(part), labels)
        if says_nothing(part) and (labels is None or labels.find(part) is None):
            continue
        if isinstance(name, Rejected):
            return name
        if between.strip() in name:
            return Rejected("answer_unreadable", f"the label `{name}` holds `{between.strip()}`")
        names[name] = None
    return between.join(_in_order(names, labels))


def _in_order(names: dict[str, None], labels: LabelSet | None) -> list[str]:
    return list(names) if labels is None else [name for name in labels.names if name in names]


def _split(text: str, between: str, labels: LabelSet | None) -> list[str]:
    """The texts between the separators, or between any of the usual ones."""
    exact = [part.strip() for part in text.split(between.strip())]
    if labels is not None and all(labels.find(part) for part in exact if part):
        return exact
    names = json_in(text) if labels is not None else None
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return [name.strip() for name in names]
    return [without_marks(part) for part in listed(text)]


def listed(text: str) -> list[str]:
    """The texts between any of the usual separators."""
    return [part.strip() for part in _SEPARATORS.split(text)]


def without_marks(label: str) -> str:
    """A label without quotation marks and the like around it."""
    return label.strip(_AROUND)


def _read_labels(text: str, language: Language, labels: LabelSet | None) -> tuple[str, str, str]:
    names: dict[str, None] = {}
    between = BETWEEN[language]
    if labels is None:  # nothing tells where a label ends but the very separator
        names = {part.strip(): None for part in text.split(between.strip())}
        return between.join(filter(None, names)), "", ""
    for part in filter(None, _split(text, between, labels)):
        label = labels.find(part) or labels.find(part.strip(_AROUND))
        if label is None:
            hint = labels.suggest(part)
            detail = f"`{part[:40]}` is not one of the {len(labels.labels)} labels. {hint}".strip()
            return "", "label_unknown", detail
        names[label.name] = None
    if not names:
        return "", "label_missing", "the answer states no label"
    return between.join(_in_order(names, labels)), "", ""


def _number_text(value: Any, name: str) -> str | Rejected:
    text = "" if isinstance(value, bool) else unicodedata.normalize("NFKC", str(value)).strip()
    whole = _NUMBER.fullmatch(text)
    number = _decimal(whole[0]) if whole else ""
    if text and not number:
        return Rejected("number_unreadable", f"`{name}` is no number: {text[:40]}")
    return number


def _decimal(text: str) -> str:
    """A number in plain digits without needless zeros; "" for one of more than 40 digits."""
    try:
        number = Decimal(text.replace(",", ""))
    except InvalidOperation:
        return ""
    if number.adjusted() > _MOST_DIGITS or number.adjusted() < -_MOST_DIGITS:
        return "0" if not number else ""
    return format(number.normalize(), "f") if number else "0"


_NAMED = re.compile(r'"label": "(?:[^"\\]|\\.)*"')
"""The name of a box as `written` gives it."""
_NOT_THE_BOXES = re.compile(r"(?:不是|并非|例如|比如|示例)[^\[]*\[|\][^\]]*(?:更正|不对|有误|错了|抱歉)")
_NOT_THE_NUMBER = re.compile(
    r"(?:不是|并非|不到|不足|至少|至多|最多|最少|超过|多于|少于|大于|小于|[<>≤≥]"
    r"|\b(?:at least|at most|more than|less than|over|under|error|http|code)\b|代码|错误码|编号)\s*$",
    re.IGNORECASE,
)
_LOOKED_AT = 100
"""Characters around a number: a model that went astray writes thousands of them."""
_FACTOR = re.compile(r"\s*(?:[万亿千百]|million\b|billion\b|thousand\b|hundred\b|[kKmM]\b|[²³⁰-⁹])")
_TAKEN_BACK = re.compile(
    r"更正|不对|有误|错了|抱歉|应[为是]|\b(?:wait|actually|correction|sorry|wrong)\b", re.IGNORECASE
)


def _read_number(text: str) -> tuple[str, str, str]:
    """The one number of a text. Several different ones, a bound, a part of a word and a factor in words are a
    problem and no guess."""
    plain = re.sub("[−–﹣－]|负|零下|\bminus ", "-", "".join(map(_folded, text)))
    numbers: set[str] = set()
    for match in _NUMBER.finditer(plain):
        before = plain[max(match.start() - _LOOKED_AT, 0) : match.start()]
        after = plain[match.end() : match.end() + _LOOKED_AT]
        if before[-1:].isascii() and before[-1:].isalpha():
            continue  # iPhone15, A-5
        if _NOT_THE_NUMBER.search(before) or _FACTOR.match(after):
            return "", "number_ambiguous", f"the answer states no plain number: {text.strip()[:40]}"
        numbers.add(_decimal(match[0]))
    numbers -= {""}
    if len(numbers) == 1:
        if _TAKEN_BACK.search(plain):
            return "", "number_ambiguous", f"the answer takes a number back: {text.strip()[:40]}"
        return numbers.pop(), "", ""
    if not numbers:
        return "", "number_missing", "the answer states no number"
    return "", "number_ambiguous", f"the answer states {' and '.join(sorted(numbers)[:3])}"


def _folded(char: str) -> str:
    """A character in its plain width; raised digits stay what they are."""
    return char if char in "²³¹⁰⁴⁵⁶⁷⁸⁹" else unicodedata.normalize("NFKC", char)


def _boxes_text(value: Any, field: AnswerField) -> str | Rejected:
    if isinstance(value, str):
        value = _stated_boxes(value, field) if value.strip() else []
    if isinstance(value, list) and not value:
        return ""
    boxes = _boxes(value)
    if not boxes:
        return Rejected("boxes_unreadable", f"`{field.name}` is no list of boxes with four numbers each")
    return _in_tokens(boxes, field) if field.notation == "tokens" else boxes


def _in_tokens(boxes: str, field: AnswerField) -> str | Rejected:
    """Canonical boxes in special tokens."""
    entries = json.loads(boxes)
    if any(not isinstance(side, int) for entry in entries for side in entry["bbox_2d"]):
        return Rejected("boxes_unreadable", f"`{field.name}` has boxes whose numbers are not whole")
    if any(token in entry.get("label", "") for entry in entries for token in box_texts.TOKENS):
        return Rejected("answer_unreadable", f"a name in `{field.name}` holds a special token of boxes")
    text = box_texts.with_tokens(entries)
    if box_texts.entries_in(text) != entries:
        return Rejected(
            "answer_unreadable", f"in `{field.name}` a box without a name follows one with a name"
        )
    return text


def _stated_boxes(text: str, field: AnswerField) -> Any:
    """The boxes of a text in the field's notation: the JSON array in it, or all that stands in marks."""
    return box_texts.entries_in(text) if field.notation == "tokens" else json_in(text)


def json_in(text: str) -> Any:
    """The JSON array in a text, with or without a fence or words around it."""
    start, end = text.find("["), text.rfind("]")
    with suppress(ValueError, RecursionError):
        return json.loads(text[start : end + 1]) if 0 <= start < end else None
    return None


def _boxes(value: Any) -> str:
    """Boxes as one line of JSON, in the keys of Qwen2.5-VL; "" for what is no list of boxes."""
    if not isinstance(value, list) or not value:
        return ""
    boxes = []
    for item in value:
        box = item[_sides_key(item)] if isinstance(item, dict) and _sides_key(item) else item
        if not isinstance(box, list | tuple) or len(box) != 4 or not all(map(is_number, box)):
            return ""
        name = name_of_box(item) if isinstance(item, dict) else ""
        entry: dict[str, Any] = {"bbox_2d": [int(side) if float(side).is_integer() else side for side in box]}
        name = one_line(str(name))
        boxes.append({**entry, "label": name} if name else entry)
    return json.dumps(boxes, ensure_ascii=False)


def name_of_box(box: dict[str, Any]) -> Any:
    """What a box is named; "" for one without a name."""
    return box.get(_name_key(box), "")


def keys_left_out(box: dict[str, Any]) -> list[str]:
    """The keys with a value that the written box has no place for."""
    kept = (_sides_key(box), _name_key(box))
    return [key for key, value in box.items() if key not in kept and value not in (None, "")]


def _sides_key(box: dict[str, Any]) -> str:
    return next((key for key in box_texts.SIDES_KEYS if key in box), "")


def _name_key(box: dict[str, Any]) -> str:
    return next((key for key in box_texts.NAME_KEYS if box.get(key) not in (None, "")), "")
