"""What a prompt template says by hand about the form of the answer, with its line."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from datakit.core.answer import TurnFormat
from datakit.core.contract_words import HEADINGS

_USUAL = (
    *(word for words in HEADINGS.values() for word in words),
    *(
        "原因",
        "分类原因",
        "判断理由",
        "判断依据",
        "依据",
        "分类",
        "标签",
        "分类结果",
        "类别名称",
        "所见",
        "印象",
    ),
    *(
        "诊断",
        "图片描述",
        "思考",
        "推理",
        "category",
        "class",
        "explanation",
        "rationale",
        "thinking",
        "answer",
    ),
)
"""Headings that prompts usually give; those of the answer itself are known besides."""
_VALUE = "\x00"
_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
_TAG = re.compile(r"\{%.*?%\}", re.DOTALL)
_OUTPUT = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_HEADED = re.compile(
    r"^[\s\-*#>\d.、)）【\[<“\"]*(?P<head>[^\s:：\x00]{1,20}(?: [a-z]{1,12})?)[】\]>”\"]*\s*"
    r"[:：](?P<rest>.*)$"
)
_CUE = re.compile(r"格式|如下|例如|示例|模板|\bforma?t?\b|example|template|like this", re.IGNORECASE)
_JSON = re.compile(r'"([^"{}\[\]\x00\n]{1,20})"\s*[:：]')
_OBJECT = re.compile(r"(?<!\[)\{[^{}]*\}")  # one in an array is an item, such as a box
_ONLY = re.compile(
    r"[只仅](?:需要?|能|要)?(?:回答|输出|返回|写|给出)(?P<zh>[^，。；,;\n]{0,10})"
    r"|(?:answer|reply|respond|output|return|write)\s+(?:with\s+)?(?:only|just|nothing but)\s+"
    r"(?P<en>[^.,;\n]{0,40})"
    r"|(?:only|just)\s+(?:answer|reply|respond|output|return|write)\s+(?P<en2>[^.,;\n]{0,40})",
    re.IGNORECASE,
)
_LABEL_WORDS = re.compile(r"类别|标签|印象|名称|分类|label|category|class", re.IGNORECASE)
_FIRST_THEN = re.compile(
    r"先(?:写|给出|输出|回答|说明|描述)(?P<first>[^，。；,;\n]{0,12})[，,、]?\s*(?:然后|再|最后)(?:写|给出|输出|回答|说明|判断)?(?P<then>[^，。；,;\n]{1,12})"
)
_LABEL = ("类别", "标签", "印象", "分类", "label", "category", "class")


class Stated(NamedTuple):
    """A form that a template states."""

    fields: tuple[str, ...]
    """The headings in order; a JSON object's keys."""
    line: int
    words: str
    """The template's own words, shortened."""
    kind: str
    """lines, json, order or only."""


def headings_of(turn: TurnFormat) -> tuple[str, ...]:
    """What stands in front of each variable of an answer, without its punctuation; "" for nothing."""
    headings = []
    for constant in turn.constants[:-1]:
        last = constant.rstrip().rpartition("\n")[2]
        keys = _JSON.findall(last)
        headings.append(keys[-1] if keys else _bare(last))
    return tuple(headings)


def is_json(turn: TurnFormat) -> bool:
    """Whether an answer is a JSON object."""
    return turn.constants[0].lstrip().startswith("{")


def statements(source: str, own: Collection[str] = ()) -> list[Stated]:
    """All forms that a template's source states by hand, in the order of their lines.

    Two headings on neighbouring lines with constant text behind them, one such line after a word like `格式`,
    a JSON object with constant keys, "first … then …" of two known fields, and "only the label". A heading
    with a variable behind it, or a list below it, states no form of the answer.
    """
    lines = plain_lines(source)
    known = {_bare(word) for word in (*_USUAL, *own) if word}
    stated = [*_blocks(lines, known), *_objects(lines), *_only(lines), *_orders(lines, known)]
    return sorted(stated, key=lambda statement: statement.line)


def conflict(source: str, turn: TurnFormat) -> Stated | None:
    """The first statement of a template that contradicts the answer; None where all agree."""
    own = headings_of(turn)
    headed = tuple(_bare(head) for head in own if head)
    return next(
        (statement for statement in statements(source, own) if not _agrees(statement, turn, headed)), None
    )


def plain_lines(source: str) -> list[str]:
    """The template's lines without comments and tags; a value of the record is one NUL."""
    text = _COMMENT.sub(lambda match: "\n" * match[0].count("\n"), source)
    text = _TAG.sub(lambda match: "\n" * match[0].count("\n"), text)
    return _OUTPUT.sub(lambda match: _VALUE + "\n" * match[0].count("\n"), text).splitlines()


def _agrees(statement: Stated, turn: TurnFormat, headed: Sequence[str]) -> bool:
    if statement.kind == "only":
        return turn.variables == ("label",) or "label" not in turn.variables
    if statement.kind == "order":
        places = [_place(word, turn) for word in statement.fields]
        present = [place for place in places if place is not None]
        return len(turn.variables) > 1 and present == sorted(present)
    if (statement.kind == "json") != is_json(turn):
        return False
    return bool(headed) and statement.fields == tuple(headed) * (len(statement.fields) // len(headed))


def _place(word: str, turn: TurnFormat) -> int | None:
    """Which field of the answer a word means; None for a word of none."""
    for at, (name, head) in enumerate(zip(turn.variables, headings_of(turn), strict=True)):
        usual = [_bare(text) for text in (head, *HEADINGS.get(name, ())) if text]
        if any(text in word or word in text for text in usual):
            return at
    if word in _LABEL and "label" in turn.variables:
        return turn.variables.index("label")
    return None


def _blocks(lines: Sequence[str], known: Collection[str]) -> Iterator[Stated]:
    """Runs of neighbouring lines that each begin with a known heading."""
    run: list[str] = []
    for number, line in enumerate([*lines, ""], 1):
        match = _HEADED.match(line)
        head = _bare(match["head"]) if match else ""
        if match and head in known and _VALUE not in match["rest"]:
            run.append(head)
            continue
        if run:
            first = number - len(run)
            cue = first > 1 and _CUE.search(lines[first - 2])
            listed = len(run) == 1 and _VALUE in line  # `类别：` above a list of the classes
            if (len(set(run)) > 1 or cue) and not listed:
                yield Stated(tuple(run), first, _short(lines[first - 1 : number - 1]), "lines")
        run = []


def _objects(lines: Sequence[str]) -> Iterator[Stated]:
    text = "\n".join(lines)
    for match in _OBJECT.finditer(text):
        keys = tuple(map(_bare, _JSON.findall(match[0])))
        if keys:
            yield Stated(keys, text.count("\n", 0, match.start()) + 1, _short([match[0]]), "json")


def _only(lines: Sequence[str]) -> Iterator[Stated]:
    for number, line in enumerate(lines, 1):
        for match in _ONLY.finditer(line):
            what = match["zh"] or match["en"] or match["en2"] or ""
            if _LABEL_WORDS.search(what) and not re.search(r"[和与及并]|\band\b|先", what):
                yield Stated(("label",), number, _short([match[0]]), "only")


def _orders(lines: Sequence[str], known: Collection[str]) -> Iterator[Stated]:
    for number, line in enumerate(lines, 1):
        for match in _FIRST_THEN.finditer(line):
            words = [_named(match["first"], known), _named(match["then"], known)]
            if all(words) and words[0] != words[1]:
                yield Stated(tuple(words), number, _short([match[0]]), "order")


def _named(text: str, known: Collection[str]) -> str:
    """The longest known heading in a text, or ""."""
    folded = _bare(text)
    return max((word for word in known if word in folded), key=len, default="")


def _bare(text: str) -> str:
    """A heading without case, width, quotes and punctuation."""
    return unicodedata.normalize("NFKC", text).casefold().strip(" \t\r\n:\"'“”‘’*#[]【】<>《》{},-")


def _short(lines: Sequence[str]) -> str:
    text = " / ".join(line.strip() for line in lines).replace(_VALUE, "…")
    return text if len(text) <= 80 else f"{text[:80]}…"
