"""The status bar of a phone: clock, battery, carrier and signal, which say nothing about a screen."""

from __future__ import annotations

import re

_CLOCK = re.compile(
    r"(?:(?:上午|下午|凌晨|早上|中午|傍晚|晚上)|[AP]M)?(?:[01]?\d|2[0-4])[:：.][0-5]\d(?:[AP]M)?",
    re.IGNORECASE,
)
_BATTERY = re.compile(r"[\[(（【]?(?:100|\d{1,2})[\])）】]?%[+]?")
_NETWORK = re.compile(
    r"(?:[2-6]G\+?|5G-?A|4G\+|LTE\+?|VoLTE|VoNR|Wi-?Fi\d?|WLAN|HSPA\+?|EDGE|HD\d?|NFC|VPN)", re.IGNORECASE
)
_SPEED = re.compile(r"(?:\d+(?:\.\d+)?)?[KMG]?B?/s", re.IGNORECASE)
_CARRIER = re.compile(
    r"中国(?:移动|联通|电信|广电)|CMCC|China|(?:China)?(?:Mobile|Unicom|Telecom|Broadnet)|CHN-?(?:CT|CU|UNICOM)",
    re.IGNORECASE,
)
_ANCHORS = (_CLOCK, _BATTERY, _NETWORK, _SPEED, _CARRIER)
"""What says that a line is a status bar, where all the rest of the line may stand in one."""
_BESIDE = re.compile(
    r"静音|振动|震动|勿扰|闹钟|蓝牙|飞行模式|无服务|无SIM卡|No\s?SIM"
    r"|[\[(（【]?(?:100|\d{1,2})[\])）】]?"  # a battery without its sign, a speed parted from its unit
    r"|\d+\.\d+"
    r"|[^\w\s]+"  # icons, as OCR reads them
    r"|[lIiıua川|!.…·•・,-]{1,4}",
    re.IGNORECASE,
)
_GLUED = (
    re.compile(r"(?:上午|下午)?(?:[01]?\d|2[0-4])[:：][0-5]\d(?:[AP]M)?", re.IGNORECASE),
    re.compile(r"(?:100|\d{1,2})%"),
    re.compile(r"HD(?=[2-6]G)|[2-6]G\+?|Wi-?Fi", re.IGNORECASE),
    re.compile(r"\d+(?:\.\d+)?[KMG]?B/s", re.IGNORECASE),
    re.compile(r"中国(?:移动|联通|电信|广电)"),
)
"""The same where nothing parts them, as engines read `84%22:42` and `l4G0`; what is a word by itself too
(China, HD) is left out."""
_ICONS = re.compile(r"静音|振动|震动|勿扰|[\W_]|[lIiıua1川丨口]")
"""What engines make of a bar's icons, and the words that stand in one."""
_BATTERY_ICON = re.compile(r"[DOCQo0]{0,2}")
"""What a battery without its figure is read as."""
_MOST_LINES = 3
"""The two sides of a bar stand on lines of their own where OCR takes them to be of different height."""


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
    top = _top(lines)
    kept = [line for line in lines[top:] if not _is_whole_bar(line)]
    return text if len(kept) == len(lines) else "\n".join(kept)


def status_anchors(line: str) -> set[int] | None:
    """Which kinds of what says that a line is a status bar it holds (0 is the clock); None for a line that
    holds anything that a status bar does not."""
    return _kinds(line)


def _top(lines: list[str]) -> int:
    """How many lines at the top are a status bar."""
    end, anchors = 0, set[int]()
    for number, line in enumerate(lines[: _MOST_LINES + 1], 1):
        kinds = _kinds(line)
        if kinds is None or (0 in kinds and 0 in anchors) or number > _MOST_LINES:
            break
        anchors |= kinds
        end = number if kinds or not line.strip() else end
    # One word of a network or one percentage at the top is as likely the screen's own.
    return end if 0 in anchors or len(anchors) > 1 else 0


def _is_whole_bar(line: str) -> bool:
    kinds = _kinds(line)
    return kinds is not None and 0 in kinds and len(kinds) > 1


def _kinds(line: str) -> set[int] | None:
    """Which of `_ANCHORS` a line holds (0 is the clock); None for a line that says something else."""
    kinds = set()
    for piece in line.split():
        kind = next((at for at, anchor in enumerate(_ANCHORS) if anchor.fullmatch(piece)), None)
        if kind is not None:
            kinds.add(kind)
        elif not _BESIDE.fullmatch(piece):
            return _kinds_glued(line)
    return kinds


def _kinds_glued(line: str) -> set[int] | None:
    """The same of a line whose parts OCR did not part."""
    kinds, rest = set(), "".join(line.split())
    for at, anchor in enumerate(_GLUED):
        rest, count = anchor.subn(" ", rest)
        if count:
            kinds.add(at)
    rest = _ICONS.sub("", rest)
    return kinds if kinds and _BATTERY_ICON.fullmatch(rest) else None
