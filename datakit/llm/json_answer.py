"""A model's answer read against the schema that was asked for, however it was wrapped; never guessed at."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from datakit.core.labels import normal_form
from datakit.llm._json_objects import begins_json, decoded, objects
from datakit.llm._no_answer import is_apology, is_failure, is_placeholder, may_hold
from datakit.llm.answer_schema import AnswerSchema, Kind
from datakit.llm.thoughts import parted

VERSION = 4
"""Raised when the same raw answer is read as other values. Not part of any key of the result store: answers
are stored raw, and reading them again is free. Builds are made anew."""

_ONE_TEXT = re.compile(r'\{\s*"([^"\n]{1,64})"\s*[:：]\s*"(.+)"\s*,?\s*\}\s*\Z', re.DOTALL)
_NEXT_VALUE = re.compile(r'"\s*[,:，：]\s*"|"\s*[:：]\s*[\[{\d]|[}\]]\s*,?\s*"')
_FENCED = re.compile(r"\A```\w*\s*(.*?)\s*```\Z", re.DOTALL)
_EXAMPLE = re.compile(
    r"例如|比如|譬如|(?:示例|样例|范例|例子)(?![图页截])|举例|反例|错误(?:的)?(?:写法|回答|答案)|草稿|初稿"
    r"|不要|勿|别这[样么]|不是|并非|假如|如果|假设|倘若"
    r"|\bexamples?\b(?! (?:image|picture))|\be\.g\.|\bfor instance\b|\bsuch as\b|\bdraft\b|\bnot\b"
    r"|\bdon't\b|\bnever\b|\bif\b|\bwould\b",
    re.IGNORECASE,
)
"""In front of an object: it is an example, ruled out, or supposed."""
_SUPPOSED = re.compile(r"假如|如果|假设|倘若|不要这样|\bif\b|\bwould\b|\bdo not\b|\bdon't\b", re.IGNORECASE)
_FORMAT = re.compile(r"格式|模板|形式|\bformat\b|\btemplate\b|\bschema\b", re.IGNORECASE)
_FINAL = re.compile(
    r"最终|最后|修正|更正|订正|改为|(?:我|正式|正确)的?(?:回答|答案)|答案|结果|\bfinal\b|\bcorrect(?:ed|ion)?\b"
    r"|\brevised\b|\banswer\b|\bresult\b",
    re.IGNORECASE,
)
_DENIED = re.compile(r"不是|并非|\bnot\b", re.IGNORECASE)
_TAKEN_BACK = re.compile(
    r"不对(?![称应齐等])|更正|修正|订正|(?<![如若])有误|错了|[说看写判]错|^\s*等等|等一下|忽略|作废|(?:示例|例子|假设)"
    r"|(?:无法|不能|没法)(?:看|查|识|访|打)|看不[到见清]"
    r"|\bwait\b|\bwrong\b|\bcorrection\b|\bmistake\w*|\bignore\b|\bactually\b|\bexample\b|\bhypothetical\w*"
    r"|\bcan(?:'t|not| not) (?:see|view)\b",
    re.IGNORECASE | re.MULTILINE,
)
"""Behind an object: it does not stand."""
_LOOKED_AT = 1000
"""Characters in front of an object: models that went astray write a hundred thousand blanks or stars."""
_DEEPEST = 2
"""Single names that are looked under, one inside another."""


def read(raw: str, schema: AnswerSchema, question: str = "") -> dict[str, Any] | None:
    """The values that the schema names; None when the answer does not state them.

    Taken are a bare JSON object, one in a code fence, one with words or thoughts around it, one inside a list
    or under a single name, one that is written as a JSON text (encoded twice), one with line breaks or bare
    quotes inside a text or with a comma too many. An object with one text under another name is taken for the
    one text that was asked for (models translate names). Surplus names are dropped, and NaN is no value.

    Objects that the words before them call an example, suppose or rule out are left out, and of several those
    called the format; then all must say the same, or the last be called the final one. Words behind it that
    take it back void it.

    Faults, so that nothing wrong passes for an answer: a missing value, a blank text, a value of another
    type (the text "3" is no number), a text outside the choices (width, case and white space are forgiven),
    prose without any object, a draft inside thinking, an object out of one that cannot be read, a name that
    denies or that names an error, a text that is a place to fill in or the example of the `question`, and an
    apology in the place of the one text that was asked for.
    """
    text = parted(raw).answer
    if (inner := _decoded_text(text)) is not None:
        return read(inner, schema, question)
    values, is_open = _stated(text, schema)
    if values is None and is_open and len(schema.values) == 1:
        values = _bare_quotes(text, schema)
    if values is None and is_open and text != raw.strip() and _is_one_object(raw):
        values, _ = _stated(raw, schema)  # a text of it speaks of the tags of thinking
    return None if values is None or _repeats_example(values, schema, question) else values


def _stated(text: str, schema: AnswerSchema) -> tuple[dict[str, Any] | None, bool]:
    """The one answer among the objects of a text, and whether other ways of reading may still find one."""
    candidates: list[tuple[str, dict[str, Any]]] = []
    end = 0
    for held in objects(text):
        before, end = text[end : held.start], held.end
        values = _matched(held.value, schema)
        if candidates and values is not None and _DENIED.search(before):
            return None, False  # of the one before or of the one behind: nobody can tell
        is_meant = not (_EXAMPLE.search(_last_clause(before)) or _SUPPOSED.search(_last_sentence(before)))
        if values is not None and is_meant:
            candidates.append((before, values))
    if not candidates:
        return None, not end
    if _TAKEN_BACK.search(text[end:]):
        return None, False
    if any(values != candidates[0][1] for _, values in candidates):
        candidates = [item for item in candidates if not _FORMAT.search(_last_clause(item[0]))] or candidates
    before, last = candidates[-1]
    if all(values == last for _, values in candidates) or _FINAL.search(_last_clause(before)):
        return last, False
    return None, False


def _words(text: str) -> str:
    """The words in front of an object, without what opens a code block and without signs at their end."""
    return re.sub(r"(?:```\w*|[\s，,：:、*])+$", "", text.rstrip()[-_LOOKED_AT:])


def _last_clause(text: str) -> str:
    """The last clause in front of an object."""
    return re.split(r"[。！？!?；;，,]|\n\s*\n", _words(text))[-1][-60:]


def _last_sentence(text: str) -> str:
    """The last sentence in front of an object."""
    return re.split(r"[。！？!?]|\n", _words(text))[-1][-120:]


def _is_one_object(raw: str) -> bool:
    """Whether the whole text, in a code fence or not, is one JSON value."""
    fenced = _FENCED.match(raw.strip())
    text = fenced[1] if fenced else raw.strip()
    return text.startswith(("{", "[")) and decoded(text, 0)[1] == len(text)


def _decoded_text(text: str) -> str | None:
    """The text that a JSON text holds, in a code fence or not; None when the text is no such thing."""
    fenced = _FENCED.match(text)
    quoted = fenced[1] if fenced else text
    if not quoted.startswith('"'):
        return None
    try:
        value = json.loads(quoted, strict=False)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, str) and "{" in value and value != text else None


def _repeats_example(values: dict[str, Any], schema: AnswerSchema, question: str) -> bool:
    """Whether a text, or every text of a list, is one that the question's own example shows in its place."""
    for name, kind in schema.values:
        if kind not in ("text", "line", "list") or name not in question:
            continue
        shown = _shown(question, name)
        texts = values[name] if kind == "list" else [values[name]]
        if texts and all(text.rstrip("。.") in shown for text in texts):
            return True
    return False


def _shown(question: str, name: str) -> set[str]:
    """The texts that stand behind a name in the JSON, or what is like it, of a question."""
    texts: set[str] = set()
    for match in re.finditer(
        rf"[\"'“]{re.escape(name)}[\"'”]\s*[:：]\s*(\[[^\]]*\]|[\"'“][^\"'”]*)", question
    ):
        texts |= {text.strip().rstrip("。.") for text in re.split(r"[\[\],，\"'“”]", match[1])}
    return texts - {""}


def _matched(value: Any, schema: AnswerSchema, depth: int = 0) -> dict[str, Any] | None:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict) or is_failure(value, schema.names):
        return None
    values = {name: _said(value.get(name), name, kind, schema) for name, kind in schema.values}
    if all(item is not None for item in values.values()):
        only = values[schema.names[0]]
        twice = _object_in(only) if len(values) == 1 and isinstance(only, str) and depth < _DEEPEST else None
        if isinstance(twice, dict) and is_failure(twice, schema.names):
            return None
        return (_matched(twice, schema, depth + 1) or values) if _names(twice, schema) else values
    if len(value) != 1 or schema.names[0] in value:
        return None
    ((other, inner),) = value.items()
    if not may_hold(other, schema.names[0], is_text=len(schema.values) == 1 and not isinstance(inner, dict)):
        return None
    if isinstance(inner, str) and (held := _object_in(inner)) is not None:
        within = _matched(held, schema, depth + 1) if depth < _DEEPEST else None
        if within is not None:
            return within
    if isinstance(inner, dict | list) and depth < _DEEPEST:
        return _matched(inner, schema, depth + 1)
    if len(schema.values) == 1:
        ((name, kind),) = schema.values
        text = _said(inner, name, kind, schema) if kind in ("text", "line", "note") else None
        return None if text is None else {name: text}
    return None


def _said(value: Any, name: str, kind: Kind, schema: AnswerSchema) -> Any:
    """The value as the kind demands it; None when it is something else, or says nothing."""
    item = _value(value, kind)
    is_only = len(schema.values) == 1
    if kind == "note" and isinstance(item, str) and is_placeholder(item, name):
        return ""
    if kind in ("text", "line") and item is not None:
        is_void = is_placeholder(item, name, is_only=is_only) or (is_only and is_apology(item))
        return None if is_void else item
    if kind == "list" and item is not None and any(is_placeholder(entry, name) for entry in item):
        return None
    return item


def _names(value: Any, schema: AnswerSchema) -> bool:
    return isinstance(value, dict) and schema.names[0] in value


def _object_in(text: str) -> Any:
    """The JSON object or list that a text is as a whole; None when it is something else."""
    text = text.strip()
    if not text.startswith(("{", "[")):
        return None
    value, end = decoded(text, 0)
    return value if end == len(text) else None


def _value(value: Any, kind: Kind) -> Any:
    """The value as the kind demands it; None when it is something else."""
    if isinstance(kind, tuple):
        return _choice(value, kind)
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if kind == "number":
        return _number(value)
    if kind == "list":
        if not isinstance(value, list):
            return None
        items = [_text(item) for item in value]
        return None if None in items else items
    if kind == "note" and (value is None or (isinstance(value, str) and not value.strip())):
        return ""
    text = _text(value)
    return text if text is None or kind == "text" else one_line(text)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _text(value: Any) -> str | None:
    """A text that says something and can be written as UTF-8 (JSON allows halves of a character)."""
    if not isinstance(value, str) or not (text := value.strip()):
        return None
    try:
        text.encode()
    except UnicodeEncodeError:
        return None
    return text


def _choice(value: Any, choices: tuple[str, ...]) -> str | None:
    if not isinstance(value, str):
        return None
    if value in choices:
        return value
    form = normal_form(value)
    return next((choice for choice in choices if normal_form(choice) == form), None)


def _bare_quotes(text: str, schema: AnswerSchema) -> dict[str, Any] | None:
    """One text whose inner quotes were not escaped: {"reason": "写着"已签收"字样"}."""
    ((name, kind),) = schema.values
    first, last = text.find("{"), text.rfind("}")
    is_part = begins_json(text[: first + 1]) or _EXAMPLE.search(_last_clause(text[: max(first, 0)]))
    if kind not in ("text", "line") or not 0 <= first < last or is_part:
        return None
    match = _ONE_TEXT.match(text[first : last + 1])
    if match is None or _NEXT_VALUE.search(match[2]) or not may_hold(match[1], name, is_text=True):
        return None
    value = _said(match[2].replace('\\"', '"').replace("\\n", "\n"), name, kind, schema)
    return None if value is None else {name: value}


def one_line(text: str) -> str:
    """Without line breaks: none between Chinese characters, a space between others."""
    parts = [part.strip() for part in text.splitlines() if part.strip()]
    line = ""
    for part in parts:
        join = " " if line and line[-1].isascii() and part[0].isascii() else ""
        line += join + part
    return line
