"""Which texts of a picture can be asked about and answered: those that are sure to be written there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from datakit.core.boxes import Box
from datakit.core.contract_words import Language
from datakit.core.status_bar import bar_lines, bar_row

LeftOut = Literal["status_bar", "single_signs"]
"""What of a picture's texts no question is asked about."""

_ICONS = " <>‹›〈〉《》«»＜＞□■○●◯◎◇◆△▽▲▼▾▸►☆★√✓✕丨|"
"""What engines make of arrows, frames and ticks beside a text. Signs that end a sentence are its own."""
_FRAME = re.compile(r"^[口日回田囗凸] +")
_ARROW = re.compile(r"\w{2,6}[，、]")
"""A comma behind so short a text is the arrow that opens it; behind longer ones a sentence goes on."""
_MONEY_RUN_ON = re.compile(r"[¥￥$]\s*\d+\.\d{3}")
"""An amount that the engine has run together with the number beside it, however sure it is."""
_READ_AS_DIGIT = re.compile(r"\d\s+(?:[A-Z]{4}|Wi-?Fi)")
"""An icon that was read as a digit before its text, as in `8 WLAN`."""
_OPENED = re.compile(r"[(（]")
_WORDS: dict[Language, dict[LeftOut, str]] = {
    "zh": {"status_bar": "手机状态栏", "single_signs": "图标和单个字符"},
    "en": {"status_bar": "the status bar", "single_signs": "icons and single signs"},
}
_AND: dict[Language, str] = {"zh": "、", "en": ", "}


def apart_from(left_out: Sequence[LeftOut], language: Language) -> str:
    """What a question says that it does not ask for; "" for nothing."""
    words = _WORDS[language]
    return _AND[language].join(text for name, text in words.items() if name in left_out)


@dataclass(frozen=True)
class Legible:
    """The boxes of a picture by what can be done with them."""

    boxes: list[Box]
    """Those that are asked about and answered."""
    doubtful: list[str]
    """Texts that OCR is not sure of, or has run together; a full answer would have to hold them."""
    left_out: list[str]
    """Texts that no question is asked about."""

    @property
    def others(self) -> list[str]:
        """The texts of the picture that stand in no answer."""
        return [*self.doubtful, *self.left_out]


def legible(
    entries: Sequence[tuple[Mapping[str, Any], Box]],
    height: int,
    min_score: float,
    left_out: Sequence[LeftOut],
    *,
    by_label: bool,
) -> Legible:
    """The boxes of a picture of this height, each beside the entry of the column that it is of. With
    `by_label`, boxes that are asked for by another label than their text stay whatever their text."""
    bar = _bar([box for _, box in entries], height) if "status_bar" in left_out else set()
    boxes, doubtful, omitted = list[Box](), list[str](), list[str]()
    for at, (entry, box) in enumerate(entries):
        score = entry.get("score")
        text = box.text if score is None or box.text is None else without_icons(box.text)
        is_read = score is not None and "single_signs" in left_out
        is_single = is_read and text is not None and len("".join(text.split())) < 2
        is_named = by_label and box.label is not None and box.label != box.text
        if (at in bar or is_single) and not is_named:
            omitted.append(box.text or "")
        elif score is not None and (float(score) < min_score or _is_run_together(text or "")):
            doubtful.append(text or box.name)
        else:
            boxes.append(box._replace(text=text or None))
    return Legible(boxes, doubtful, omitted)


def _is_run_together(text: str) -> bool:
    return _MONEY_RUN_ON.search(text) is not None or _READ_AS_DIGIT.match(text) is not None


def without_icons(text: str) -> str:
    """A line of OCR without what its engine makes of the icons at either end.

    >>> [without_icons(text) for text in ("<订单详情", "已允许〉", "查看全部，", "《三体》", "单号:")]
    ['订单详情', '已允许', '查看全部', '《三体》', '单号:']
    """
    if (text[:1] == "《" and "》" in text) or (text[:1] == "<" and text[-1:] == ">"):
        return text
    text = _FRAME.sub("", text.strip(_ICONS)).strip(_ICONS)
    text = text[:-1] if _ARROW.fullmatch(text) else text
    return text[:-1].rstrip(_ICONS) if text[-1:] in (")", "）") and not _OPENED.search(text) else text


def _bar(boxes: Sequence[Box], height: int) -> set[int]:
    lines = [box.text or "" for box in boxes]
    placed = [
        (text, (box.sides[1] + box.sides[3]) / 2 / height, (box.sides[3] - box.sides[1]) / height)
        for text, box in zip(lines, boxes, strict=True)
    ]
    of_text = {at for at, box in enumerate(boxes) if box.text}
    return (bar_lines(lines) | bar_row(placed)) & of_text
