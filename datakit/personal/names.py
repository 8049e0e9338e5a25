"""Names of people: behind words that announce one, before a title, beside a telephone number."""

from __future__ import annotations

import re
from collections.abc import Iterator

from datakit.personal.name_words import (
    ANNOUNCING,
    DOUBLE,
    NOT_ENGLISH_NAMES,
    NOT_NAMES,
    RARE,
    SURNAMES,
    TITLES,
    TO_SIMPLIFIED,
)
from datakit.personal.spans import Span
from datakit.personal.texts import Text

_HAN = "\u4e00-\u9fff"
_AFTER_TITLE = "|".join(
    (
        rf"(?=$|[^{_HAN}]|收|您|你|的|已|在|于|电话|手机|联系|购买|签收|下单|为|说|请|预|好|来|到",
        "本人|亲启|启|与|和|给|号码|地址|正|成功|付款|退款|申请|要求|反馈|确认|電話|聯|購買|簽收|說|請|與|給|於)",
    )
)
"""What may follow a title without making it a brand: 李先生牛肉面, 康师傅红烧面."""
_AFTER_NAME = "|".join(
    (
        rf"(?=$|[^{_HAN}*]|{TITLES}|电话|手机|联系|地址|身份证|证件|收货|签收|已|您|的|性别|年龄|男|女",
        "号码|本人|为您|正在|将|住址|卡号|银行|收件|寄件|送货|派送|配送)",
    )
)
_SURNAME = f"(?P<surname>{DOUBLE}|[{SURNAMES}])"
_NO_GIVEN = f"(?!{TITLES}|[某的是在和与及或您你我他她它了请要为把被师店号码收])"
"""What no given name begins with."""
_BETWEEN = r"(?:[ \n]{0,2}[:=][ \n]{0,2}|[ \n]{1,2}|(?:是|为|叫|信息):?)?"
_ANNOUNCED = re.compile(
    rf"(?=[{''.join(sorted({word[0] for word in ANNOUNCING.split('|')}))}])(?:{ANNOUNCING}){_BETWEEN}"
    rf"(?P<name>{_SURNAME}{_NO_GIVEN}(?P<given>[{_HAN}](?: ?[{_HAN}])??)"
    rf"|[{_HAN}]{{2,8}}·[{_HAN}]{{2,8}}){_AFTER_NAME}"
)
_TITLED = re.compile(
    rf"{_SURNAME}(?P<given>{_NO_GIVEN}[{_HAN}]{{1,2}}?|(?: {_NO_GIVEN}[{_HAN}]){{1,2}})?"
    rf" ?(?P<title>{TITLES}){_AFTER_TITLE}"
)
"""OCR sets the signs of a name apart: 王 小 明 先生."""
_DOTTED = re.compile(
    rf"(?P<name>[{_HAN}]{{2,12}}(?:·[{_HAN}]{{2,8}}?){{1,3}}) ?(?:先生|女士|小姐|太太){_AFTER_TITLE}"
)
_LEAD_IN = re.compile(
    "(?:尊敬的|亲爱的|親愛的|您好|你好|感谢|感謝|联系|聯繫|聯絡|致电|致電|欢迎|恭喜|客户|用户|会员|买家|卖家|乘客|给|请|找|叫|是|由)+"
)
_LEAST_DOTTED = 3
_LEADS = re.compile(
    rf"(?:^|[^{_HAN}]|尊敬的|亲爱的|您好|你好|感谢|联系|致电|给|由|请|找|叫|是|为|与|和|及|向|的|到|人|员|让|被"
    "|親愛的|感謝|聯絡|聯繫|致電|給|請|為|與|員|讓|客戶|用戶|會員|買家|賣家|歡迎|司機|騎手|患者"
    "|客户|用户|会员|买家|卖家|房东|业主|患者|乘客|主治|欢迎|祝|恭喜|司机|骑手|我)$"
)
"""What may stand before a name with a title, so that it is no end of another word."""
_MASKED_PHONE = re.compile(r"(?:\(?\+?86\)?[ -]?)?1[3-9][0-9]\*{4}[0-9]{4}")
_BESIDE_PHONE = re.compile(rf"(?:^|(?<=[ \n,:|])){_SURNAME}{_NO_GIVEN}(?P<given>[{_HAN}]{{1,2}})[ ,|]{{1,3}}")
_WORD = "[A-Z][a-z]{1,15}"
_ENGLISH = re.compile(
    r"(?=[MDdPpRrCcFfNSsA])(?:(?<![A-Za-z])(?:(?:Mr|Mrs|Ms|Dr|Prof)\.?|Miss|MR\.?|MRS\.?)[ ]"
    rf"(?P<titled>{_WORD}(?:[ ]{_WORD}){{0,2}})"
    r"|(?:[Rr]ecipient|[Rr]eceiver|[Cc]onsignee|[Cc]ontact(?: [Nn]ame| [Pp]erson)?|[Ff]ull [Nn]ame"
    r"|(?<![A-Za-z] )Name|[Cc]ustomer(?: [Nn]ame)?|[Ss]hip(?:ped)? [Tt]o|[Dd]eliver(?:ed)? [Tt]o|Attn"
    r"|[Cc]ardholder(?: [Nn]ame)?|[Pp]assenger|[Pp]atient|[Ss]igned by|Dear)[ ]?[:.,]?[ \n]"
    rf"(?P<named>{_WORD}(?:[ ](?:[A-Z]\.|{_WORD})){{1,2}}))"
)


def names(text: Text, phones: list[int]) -> Iterator[Span]:
    """Names; `phones` are the places where telephone numbers begin. The mask keeps the surname: 张*."""
    yield from _announced(text)
    yield from _dotted(text)
    yield from _titled(text)
    yield from _beside(text, phones)
    yield from _english(text)


def _announced(text: Text) -> Iterator[Span]:
    for match in _ANNOUNCED.finditer(text.plain):
        name = match["name"]
        if match["surname"] is None:
            yield Span("name", match.start("name"), match.end("name"), f"{name[0]}**")
            continue
        is_sure = ":" in match[0]
        if not is_sure and text.plain.startswith(":", match.end()):
            continue  # 姓名, and on the next line 车牌号：
        if not _is_word(match["surname"], match["given"], is_sure=is_sure):
            yield _chinese(match)


def _dotted(text: Text) -> Iterator[Span]:
    """Names of several parts before a title: 买买提·艾力先生. 北京·王小明先生 is a place and a name."""
    for match in _DOTTED.finditer(text.plain) if "·" in text.plain else ():
        lead = _LEAD_IN.match(match["name"])
        start = lead.end() if lead is not None else 0
        name = match["name"][start:]
        if name.index("·") >= _LEAST_DOTTED:
            yield Span("name", match.start() + start, match.end("name"), f"{name[0]}**")


def _titled(text: Text) -> Iterator[Span]:
    at = 0
    while (match := _TITLED.search(text.plain, at)) is not None:
        surname, given = match["surname"], match["given"]
        if not _LEADS.search(text.plain, max(0, match.start() - 4), match.start()):
            at = match.start() + 1  # 谢 of 感谢周女士 is no surname, 周 is
            continue
        at = match.end()
        if given is None:
            if surname not in RARE or match["title"] in ("先生", "女士", "小姐"):
                yield Span("name", match.start("surname"), match.end("surname"), "*")
        elif not _is_word(surname, given):
            yield _chinese(match)


def _beside(text: Text, phones: list[int]) -> Iterator[Span]:
    places = {*phones, *(match.start() for match in _MASKED_PHONE.finditer(text.plain))}
    if not places:
        return
    for match in _BESIDE_PHONE.finditer(text.plain):
        if match.end() in places and not _is_word(match["surname"], match["given"]):
            yield _chinese(match)


def _english(text: Text) -> Iterator[Span]:
    for match in _ENGLISH.finditer(text.plain):
        group = "titled" if match["titled"] else "named"
        words = match[group].split()
        if not NOT_ENGLISH_NAMES.isdisjoint(words):
            continue
        yield Span("name", match.start(group), match.end(group), " ".join(f"{word[0]}***" for word in words))


def _is_word(surname: str, given: str, *, is_sure: bool = False) -> bool:
    """Whether a surname and what follows are a word, or begin with one: 方便面 does. 马云飞
    does too, and counts where it is sure that a name comes."""
    name = (surname + given.replace(" ", "")).translate(TO_SIMPLIFIED)
    return name in NOT_NAMES or (not is_sure and name[:2] in NOT_NAMES)


def _chinese(match: re.Match[str]) -> Span:
    """The name of a match with the groups surname and given."""
    stars = "*" * len(match["given"].replace(" ", ""))
    return Span("name", match.start("surname"), match.end("given"), match["surname"] + stars)
