"""What a contract's fields are called, and how a prompt asks for them, in Chinese and in English."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datakit.core.contract import AnswerField

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")

HEADINGS: dict[str, tuple[str, str]] = {
    "description": ("描述", "Description"),
    "reasoning": ("分析", "Reasoning"),
    "reason": ("理由", "Reason"),
    "evidence": ("证据", "Evidence"),
    "exclusion": ("排除", "Exclusion"),
    "conclusion": ("结论", "Conclusion"),
    "label": ("类别", "Label"),
    "labels": ("类别", "Labels"),
    "number": ("数值", "Number"),
    "boxes": ("位置", "Boxes"),
    "answer": ("回答", "Answer"),
}
"""Field -> its heading in Chinese and in English."""
_HINTS: dict[str, tuple[str, str]] = {
    "description": ("对图片的客观描述", "an objective description of the picture"),
    "reasoning": ("逐步的分析", "the analysis, step by step"),
    "reason": ("依据图片内容的判断理由", "why, from what the picture shows"),
    "evidence": ("图片中支持判断的具体内容", "what in the picture supports the label"),
    "exclusion": ("最容易混淆的类别为什么不对", "why the nearest other label is wrong"),
    "conclusion": ("由证据得出的结论", "what follows from the evidence"),
    "label": ("类别名称，写法与上面完全一致", "the name of the label, spelt as above"),
    "labels": (
        "类别名称，写法与上面完全一致，有多个时用“、”隔开",
        "the names of the labels, spelt as above, with commas between them",
    ),
    "number": ("一个数字，不带单位", "one number without a unit"),
    "boxes": (
        '一个 JSON 数组，每个框一项：[{"bbox_2d": [左, 上, 右, 下], "label": "名称"}]',
        'a JSON array, one item a box: [{"bbox_2d": [left, top, right, bottom], "label": "name"}]',
    ),
    "answer": ("回答", "the answer"),
}
_TOKENS_HINT = (
    "每个框：<|object_ref_start|>名称<|object_ref_end|><|box_start|>(左,上),(右,下)<|box_end|>",
    "a box as <|object_ref_start|>name<|object_ref_end|><|box_start|>(left,top),(right,bottom)<|box_end|>",
)
"""The hint of boxes in special tokens."""
_EVIDENCE = ("作为依据的文字，", "the lines of text that support it, ")
_LINES = (
    '一个 JSON 数组，每行作为依据的文字一项：[{"bbox_2d": [左, 上, 右, 下], "label": "该行文字"}]',
    "a JSON array, one item for each line of text that supports it: "
    '[{"bbox_2d": [left, top, right, bottom], "label": "its text"}]',
)
"""The hints of evidence."""
_COUNTS = ("", "一", "两", "三", "四", "五", "六", "七", "八", "九", "十")
_NUMBERS = ("", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

EMPTY = {"zh": "无", "en": "none"}
"""What stands for a field that may be empty and is."""
BETWEEN = {"zh": "、", "en": ", "}
"""What stands between several labels."""


def heading_of(name: str, language: Language) -> str:
    """The heading of a field; its name, where it has no word of its own."""
    pair = HEADINGS.get(name)
    return pair[language == "en"] if pair else name


def announced(heading: str, language: Language) -> str:
    """A heading as it stands in front of its text."""
    return f"{heading}: " if language == "en" else f"{heading}："


def format_lines(
    fields: Sequence[AnswerField], language: Language, instruction: str = "", *, marked: bool = False
) -> str:
    """How a prompt asks for the fields of one turn. `instruction` replaces the sentence in front; `marked`
    puts what is to be filled in into angle brackets, so that no copy of it looks like an answer."""
    if len(fields) == 1 and not fields[0].heading_in(language, alone=True):
        return instruction or _alone(fields[0], language)
    lines = [
        f"{announced(field.heading_in(language), language)}{asked_for(field, language, marked=marked)}"
        for field in fields
    ]
    marked = marked and any(_can_be_marked(field) for field in fields)
    return "\n".join([instruction or _lead(fields, language, marked=marked), *lines])


def asked_for(field: AnswerField, language: Language, *, marked: bool = False) -> str:
    """What is to stand in a field, with its bounds."""
    english = language == "en"
    in_tokens = field.is_placed and field.notation == "tokens"
    hints = _TOKENS_HINT if in_tokens else _HINTS.get(field.name) or _HINTS.get(field.kind)
    if field.kind == "evidence":  # which is a line of text elsewhere
        hints = (
            (f"{_EVIDENCE[0]}{_TOKENS_HINT[0]}", f"{_EVIDENCE[1]}{_TOKENS_HINT[1]}") if in_tokens else _LINES
        )
    text = field.hint or (hints[english] if hints else field.heading_in(language))
    text = f"<{text}>" if marked and _can_be_marked(field) else text
    if field.max_chars is not None:
        limit = field.max_chars
        text += f" (at most {limit} characters)" if english else f"（不超过{limit}个字）"
    if field.optional:
        empty = EMPTY[language]
        text += f" (or “{empty}”)" if english else f"（没有就写“{empty}”）"
    return text


def _can_be_marked(field: AnswerField) -> bool:
    """Whether the hint is words; that of boxes is their own notation."""
    return field.kind != "boxes" and not ("<" in field.hint or ">" in field.hint)


def _lead(fields: Sequence[AnswerField], language: Language, *, marked: bool) -> str:
    """The sentence in front of the lines; it counts them only where each field is one line."""
    count = len(fields)
    counted = all(field.kind != "text" for field in fields) and count < len(_COUNTS)
    if language == "en":
        lines = f" of {_NUMBERS[count]} line{'s' if count > 1 else ''}" if counted else ""
        words = ", with your own words in place of the angle brackets," if marked else ""
        return f"Answer in this form{lines}{words} and add nothing else:"
    words = "尖括号处换成内容，" if marked else ""
    return f"按下面{f'{_COUNTS[count]}行' if counted else ''}的格式回答，{words}不要添加其他内容："


def _alone(field: AnswerField, language: Language) -> str:
    """The whole request for an answer that is one field and nothing else."""
    text = asked_for(field, language)
    if field.name == "answer" and not field.hint and field.max_chars is None:
        return "Answer directly and add nothing else." if language == "en" else "直接回答，不要添加其他内容。"
    if language == "en":
        return f"Answer only with {text}. Add no explanation and no other text."
    if field.kind == "text":
        return f"只写{text}，不要添加其他内容。"
    return f"只回答{text}，不要解释，也不要添加其他文字。"
