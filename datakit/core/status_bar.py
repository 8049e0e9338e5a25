"""The status bar of a phone: clock, battery, carrier and signal, which say nothing about a screen.

Tried on the 140 screens of examples/ecom, as RapidOCR reads them, and on the 60 without labels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_ANCHORS = (
    r"(?:(?:上午|下午|凌晨|早上|中午|傍晚|晚上)|[AP]M)?(?<!\d)(?:[01]?\d|2[0-4])[:：.][0-5]\d(?:\s?[AP]M)?",
    r"[\[(（【]?(?:100|\d{1,2})[\])）】]?%[+]?",
    r"[2-6]G\+?|5G-?A|LTE\+?|VoLTE|VoNR|Wi-?Fi|WLAN|HSPA\+?|EDGE|HD\d?(?!G)|NFC|VPN",
    r"(?:\d+(?:\.\d+)?)?[KMG]?B?/s",
    r"中国(?:移动|联通|电信|广电)|CMCC|China(?:Mobile|Unicom|Telecom|Broadnet)?|CHN-?(?:CT|CU|UNICOM)"
    r"|(?:Mobile|Unicom|Telecom|Broadnet)",
)
"""Clock, battery, network, speed and carrier: what says that a line is a status bar."""
_BESIDE = (
    r"静音|振动|震动|勿扰|闹钟|蓝牙|飞行模式|无服务|无SIM卡|No\s?SIM"
    r"|[\[(（【]?(?:100|\d{1,2})[\])）】]?"  # a battery without its sign, a speed parted from its unit
    r"|\d+\.\d+"
    r"|[^\w\s]+|_|\s+"  # icons, as OCR reads them
    r"|[1lIiıu|ja川]{1,4}(?!(?!Wi|HD|Vo|LTE|NFC|VPN|HSPA|EDGE)[a-z])"  # signal
    r"|[OCDoc八口丨](?![A-Za-z])"  # a battery that is a frame
)
"""What may stand beside them."""
_TOKEN = re.compile("|".join(f"({token})" for token in (*_ANCHORS, _BESIDE)), re.IGNORECASE)
_DOTTED = re.compile(r"\d+\.\d+")
"""A clock to some engines; by itself as likely a price or a date."""
_DIGIT = re.compile(r"\d")
_MOST_LINES = 3
"""The two sides of a bar stand on lines of their own where OCR takes them to be of different height."""
_WITHIN = 0.06
"""Share of a picture's height within which a status bar lies."""


def without_status_bar(text: str) -> str:
    """The text of a screen, line by line, without the phone's status bar.

    A line goes whole or stays whole. It is a status bar if it holds nothing else than clock, battery,
    carrier, network, speed and signs, and stands at the top: with a clock, or with two of the others. Further
    down, where the text of a second picture begins, it needs a clock and another of these beside it: a time
    alone is that of a message there.

    >>> without_status_bar("9:41 5G 87%\\n订单详情\\n10:32\\n已发货")
    '订单详情\\n10:32\\n已发货'
    """
    lines = text.splitlines()
    bar = bar_lines(lines)
    return "\n".join(line for at, line in enumerate(lines) if at not in bar) if bar else text


def bar_lines(lines: Sequence[str]) -> set[int]:
    """Which lines, from 0, are a status bar; see `without_status_bar`."""
    top = _top(lines)
    return {at for at, line in enumerate(lines) if at < top or _is_whole_bar(line)}


def bar_row(lines: Sequence[tuple[str, float, float]]) -> set[int]:
    """Which lines, from 0, stand in the row of a status bar: with its clock, or with two of battery, carrier,
    network and speed, whatever OCR makes of the signs beside them.

    A line is its text, the middle of its box and its height, both as shares of the picture's height.
    """
    sure = [
        (middle + height / 2, kinds)
        for text, middle, height in lines
        if middle < _WITHIN and (kinds := status_kinds(text))
    ]
    found = set[int]().union(*(kinds for _, kinds in sure))
    if 0 not in found and len(found) < 2:
        return set()
    low = max(bottom for bottom, _ in sure)
    return {at for at, (_, middle, _) in enumerate(lines) if middle <= low}


def _top(lines: Sequence[str]) -> int:
    """How many lines at the top are a status bar."""
    end, anchors = 0, set[int]()
    for number, line in enumerate(lines[: _MOST_LINES + 1], 1):
        kinds = status_kinds(line)
        if kinds is None or (0 in kinds and 0 in anchors) or number > _MOST_LINES:
            break
        anchors |= kinds
        end = number if kinds or not line.strip() else end
    # One word of a network or one percentage at the top is as likely the screen's own.
    return end if 0 in anchors or len(anchors) > 1 else 0


def _is_whole_bar(line: str) -> bool:
    if not (":" in line or "：" in line or "." in line):
        return False  # no clock: nearly every line of a screen, and no pattern looks at it
    kinds = status_kinds(line)
    return kinds is not None and 0 in kinds and len(kinds) > 1


def status_kinds(line: str) -> set[int] | None:
    """Which of clock (0), battery, network, speed and carrier (4) a line holds; None where it says more.

    Digits with nothing of these beside them, a time with a dot among them, are the screen's own. Read sign by
    sign: engines run the pieces of a bar together, as in `6%02:33` and `19:5016.9KB/s`.
    """
    kinds, at, dotted = set[int](), 0, False
    while at < len(line):
        token = _TOKEN.match(line, at)
        if token is None:
            return None
        kind = (token.lastindex or 0) - 1
        if kind == 0 and _DOTTED.fullmatch(token[0]):
            dotted = True
        else:
            kinds.add(kind)
        at = token.end()
    kinds -= {len(_ANCHORS)}
    if not kinds and _DIGIT.search(line):
        return None
    return kinds | {0} if dotted else kinds
