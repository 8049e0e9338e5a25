"""Postal addresses down to a house or a room; regions alone are nobody's."""

from __future__ import annotations

import re
from collections.abc import Iterator

from datakit.personal.spans import STARS, Span
from datakit.personal.texts import Text

_HAN = "\u4e00-\u9fff"
_PROVINCES = (
    "北京|天津|上海|重庆|河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|海南|四川|贵州|云南|陕西|"
    "甘肃|青海|台湾|内蒙古|广西|西藏|宁夏|新疆|香港|澳门"
)
_UNIT = re.compile(
    r"(?:(?<![0-9A-Za-z.])[0-9]{1,5}(?:[-之][0-9]{1,5}){0,4}|(?<![A-Za-z])[A-Za-z]-?[0-9]{0,4}"
    r"|[一二三四五六七八九十]{1,3})[ \n]?"
    r"(?:号楼(?!梯)|号院|号(?![线店码仓馆链色机球电粉笔])|栋|幢|座(?![位椅垫机右])|单[ \n]?元|室(?![内外友])"
    r"|层(?![高次级])|楼(?![主盘市梯上下])|户(?![型外口])|房(?![间产价屋型])|弄|组(?![合成件装])"
    r"|队(?![友伍])|#)"
)
_TAIL = re.compile(
    r"[ \n]?[0-9]{1,5}(?:-[0-9]{1,5}){0,4}(?![0-9.*:])"
    rf"(?:[ ]?(?:室|房|户|号)(?![{_HAN}0-9])|(?![0-9{_HAN}]))"
)
_ROOMS = re.compile(r"(?<![0-9.:])[0-9]{1,3}(?:[-#][0-9]{1,5}){1,3}(?![0-9.:-])")
_GAP = re.compile(rf"[ \n,，·]{{0,2}}[{_HAN}A-Za-z0-9]{{0,14}}[ \n(（)）,，·-]{{0,2}}")
_BOUNDARY = re.compile(r"[。；;!?！？，,:：、(（)）【】\[\]|*\"“”‘’《》<>{}¥￥@]")
_REGION = re.compile(
    rf"(?P<province>(?:{_PROVINCES})(?:省|市|壮族自治区|回族自治区|维吾尔自治区|自治区|特别行政区)?)|(?P<city>[{_HAN}]{{2,5}}?(?:自治州|地区|市))"
    rf"|(?P<district>[{_HAN}]{{1,5}}?(?:自治县|自治旗|新区|开发区|高新区|(?<![小社园校景商街厂片院])区(?!域|别|间)|县|旗(?!舰|袍|下)))"
    rf"|(?P<town>[{_HAN}]{{1,5}}?(?:街道|镇|乡))"
)
_ROAD = re.compile(
    rf"[{_HAN}A-Za-z0-9]{{1,8}}?(?:路|大街|大道|街(?!道)|胡同|巷|公路|弄堂|支路|[东南西北中]里|村|屯|庄|社区|环线)"
)
_ESTATE = re.compile(
    rf"[{_HAN}A-Za-z0-9]{{1,10}}?(?:小区|花园|花苑|嘉苑|佳苑|苑|公寓|大厦|广场|家园|新城|新村|华府|府邸|公馆"
    "|山庄|国际|名邸|豪庭|雅苑|雅居|嘉园|佳园|园区|科技园|产业园|工业园|写字楼|宿舍|里弄"
    r"|[城府湾庭轩园居墅邸院](?=[0-9A-Za-z一二三四五六七八九十 \n]))"
)
_BEHIND = re.compile(rf"[ ]?{_ESTATE.pattern}")
_LABEL = re.compile(
    r"(?=[收寄发退配送取联家详通户上安服居所地住派Aa])(?:(?:收货|收件|寄件|发货|退货|配送|送货|取件|联系|家庭"
    r"|详细|通讯|户籍|上门|安装|服务|居住)?地址|(?:家庭)?住址|住所|所在地区|送至|送达|送往|寄往|寄至|寄到"
    r"|配送至|派送至|收货信息|[Aa]ddress)[ \n]{0,2}[:：]?[ \n]{0,2}"
)
_LINE = re.compile(rf"[{_HAN}A-Za-z0-9 ·-]{{6,60}}")
_CUTS = re.compile(r"送达|送至|送往|寄到|寄往|位于|地址|住在|来自|前往|已到|到达|抵达|我家|家住|在|至|住|是")
_STREET = re.compile(r"[A-Z][A-Za-z']+ [A-Z]")
_BACK, _LINES, _MOST_UNITS = 60, 2, 8
_ENGLISH = re.compile(
    r"(?<![0-9A-Za-z])(?:(?:Room|Rm|Unit|Apt|Flat|Suite|No)\.? ?[0-9A-Z-]{1,6}, ?)*"
    r"(?:No\. ?)?[0-9]{1,5}[A-Z]?,? "
    r"(?:(?:North|South|East|West|N|S|E|W)\.? )?(?:[A-Z][A-Za-z']{1,15} ){1,3}"
    r"(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct|Place|Pl|Way|Terrace|Square)\b\.?"
    r"(?:,? ?(?:Apt|Apartment|Suite|Ste|Unit|Room|Rm|Floor|Fl|#)\.? ?[0-9A-Z-]{1,6})?"
)


def addresses(text: Text) -> Iterator[Span]:
    """The part of each address behind its province, city and district; the mask is stars on each line."""
    yield from _chinese(text)
    yield from _unnumbered(text)
    for match in _ENGLISH.finditer(text.plain) if _STREET.search(text.plain) else ():
        yield Span("address", match.start(), match.end(), STARS)


def _chinese(text: Text) -> Iterator[Span]:
    view, done = text.digits, 0
    for first in _UNIT.finditer(view):
        if first.start() < done:
            continue
        end, units = _chain(view, first)
        begin = _start(view, max(done, first.start() - _BACK), first.start())
        left = view[begin : first.start()]
        at = _detail(left, units, named=_is_named(view, begin, first.start()))
        if at is None:
            continue
        yield _span(view, begin + at, end)
        done = end


def _chain(view: str, first: re.Match[str]) -> tuple[int, int]:
    """Where the numbers of houses, stairs and rooms end that follow each other, and how many there are."""
    end, units = first.end(), 1
    while units < _MOST_UNITS and (gap := _GAP.match(view, end)) is not None:
        following = _UNIT.search(view, end, min(len(view), gap.end() + 9))
        if following is None or _BOUNDARY.search(view, end, following.start()):
            break
        if view.count("\n", end, following.start()) > 1:
            break
        end, units = following.end(), units + 1
    if (estate := _BEHIND.match(view, end)) is not None:
        end = estate.end()
    tail = _TAIL.match(view, end) or _ROOMS.match(view, end)
    if tail is not None and tail[0].strip():
        end, units = tail.end(), units + 1
    return end, units


def _start(view: str, lowest: int, end: int) -> int:
    """Where the address that a first number belongs to may begin: at its sentence, or lines before."""
    begin = lowest
    for match in _BOUNDARY.finditer(view, lowest, end):
        begin = match.end()
    lines = view[begin:end].split("\n")
    kept = lines[-1]
    for line in reversed(lines[:-1]):
        if kept.count("\n") >= _LINES or _has_top(kept) or not _goes_on(line):
            break
        kept = f"{line}\n{kept}"
    return end - len(kept)


def _has_top(line: str) -> bool:
    """Whether a line has the beginning of an address: nothing before it belongs to it."""
    return re.search(rf"(?:{_PROVINCES})|[{_HAN}]{{2,5}}市", line) is not None


def _goes_on(line: str) -> bool:
    """Whether a line can be the beginning of an address that goes on below."""
    line = line.strip()
    if not line or re.search(r"[0-9]{5}|先生|女士", line):
        return False
    return (
        re.search(rf"(?:{_PROVINCES})|[市区县镇乡路街道巷村苑园城府]$|[市区县][{_HAN}]{{1,12}}$", line)
        is not None
    )


def _is_named(view: str, begin: int, end: int) -> bool:
    """Whether words say that an address comes."""
    return _LABEL.search(view, max(0, begin - 8), end) is not None


def _detail(left: str, units: int, *, named: bool) -> int | None:
    """Where in the part before the first number the detail begins; None for what is no address."""
    start = max((label.end() for label in _LABEL.finditer(left)), default=0)
    level, region_end = 0, start
    for match in _REGION.finditer(left, start):
        if match.lastgroup == "town":
            level += 1
            break
        level, region_end = level + 1, match.end()
    rest = left[region_end:]
    place = _ESTATE.search(rest) or _ROAD.search(rest) or _ESTATE.search(f"{rest}1")
    has_place = place is not None
    enough = (has_place and (level >= 1 or units >= 2 or named)) or (level >= 2 and units >= 1)
    if not (enough or (named and units >= 2)):
        return None
    if level:
        return region_end + len(rest) - len(rest.lstrip())
    if place is None:
        return start
    begin = place.start()
    for cut in _CUTS.finditer(rest, begin, max(begin, place.end() - 2)):
        begin = cut.end()
    return region_end + begin


def _unnumbered(text: Text) -> Iterator[Span]:
    """Behind words that name an address: a street or an estate of a district, without a number."""
    view = text.digits
    for label in _LABEL.finditer(view):
        line = _LINE.match(view, label.end())
        if line is None:
            continue
        level, region_end = 0, 0
        for match in _REGION.finditer(line[0]):
            if match.lastgroup == "town" or match.start() > region_end + 1:
                break
            level, region_end = level + 1, match.end()
        rest = line[0][region_end:]
        place = _ESTATE.search(f"{rest}1") or _ROAD.search(rest)
        if level >= 2 and place is not None:
            yield _span(view, line.start() + region_end, line.start() + len(line[0].rstrip()))


def _span(view: str, start: int, end: int) -> Span:
    """A place with stars for each of its lines."""
    while start < end and view[start] in " \n":
        start += 1
    return Span("address", start, end, "\n".join(STARS for _ in view[start:end].split("\n")))
