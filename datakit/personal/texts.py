"""A text as the finders see it, sign for sign: places found there are places of the text itself."""

from __future__ import annotations

import re
from functools import cached_property

_SIGNS = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
"""Full-width ASCII."""
_SIGNS |= dict.fromkeys(map(ord, "\t\u00a0\u1680\u202f\u205f\u3000"), " ")
_SIGNS |= dict.fromkeys(range(0x2000, 0x200B), " ")
_SIGNS |= dict.fromkeys(map(ord, "‐‑‒–—―−－﹣"), "-")
_SIGNS |= dict.fromkeys(map(ord, "•・‧"), "·") | {ord("×"): "X", ord("∶"): ":", ord("丨"): "|"}
_ALIKE = str.maketrans({**dict.fromkeys("Oo", "0"), **dict.fromkeys("lI|", "1")})
"""Letters that OCR reads for digits."""
_MIXED = re.compile(r"[0-9][OolI|]|[OolI|][0-9]")
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9|])((?:(?:SF|YT|JT|JD[A-Z]{0,2}|DPK)(?=[0-9OolI|]{8}))?)((?=[OolI|]*[0-9])[0-9OolI|]{2,})"
    r"(?=[Xx]?(?![A-Za-z0-9|]))"
)
"""Digits and letters like them alone, a carrier's letters before them or X behind."""
_NUMBER = re.compile(r"[0-9][0-9 -]*")

ORDER, PHONE, CARD, ID, COURIER = "order", "phone", "card", "id", "courier"
"""What words before a number can say that it is."""
_PARCELS = (
    "快递|运单|物流|面单|顺丰|圆通|中通|申通|韵达|极兔|百世|德邦|邮政|京东物流|丹鸟|菜鸟|EMS"
    "|[Tt]racking|TRACKING|[Ww]aybill|[Cc]ourier"
)
_PARCEL_WORDS = re.compile(_PARCELS)
_LABELS = re.compile(
    r"(?=[快运物面顺圆中申韵极百德邮京丹菜ETtWwCc身证公Ii银信储借卡收BbPpM电手联座固传热致拨Fo订单交流商支发凭批货款条编型SsVv版序备许执税券兑取验时日O"
    r"EQR群房直会积库销浏人])(?:"
    rf"(?P<courier>{_PARCELS})"
    r"|(?P<id>身份证|证件号|公民身份|ID ?[Cc]ard|[Ii]dentity)"
    r"|(?P<card>银行卡|信用卡|储蓄卡|借记卡|卡号|银行账[号户]|收款账[号户]|[Cc]ard [Nn]o|[Cc]ard [Nn]umber"
    r"|[Bb]ank [Cc]ard)"
    r"|(?P<phone>电话|手机|联系方式|座机|固话|传真|热线|致电|拨打|[Tt]el|TEL|[Pp]hone|[Mm]obile|[Ff]ax|[Cc]all)"
    r"|(?P<order>订单|单号|交易|流水|商户|支付号|发票|凭证|批次|批号|商品|货号|款号|条码|条形码|编号|编码|型号"
    r"|SKU|[Ss]ku|ID|版本|[Vv]ersion|序列号|S/?N|IMEI|备案|许可证?|执照|信用代码|税号|券码|券号|兑换码"
    r"|取件码|验证码|时间戳|日期|[Oo]rder|[Ii]nvoice|[Bb]arcode|[Ii]tem|[Rr]ef|ISBN|EAN|QQ|群号|房间号"
    r"|直播间|会员号|积分|库存|销量|浏览|人气|ICP|公网安备))"
)
_GOES_ON = frozenset({"单号", "编号", "编码", "ID", "卡号", "交易"})
"""Words that say no other thing where they follow another at once: 快递单号, 身份证编号, 订单编号."""
_FAR = 18
"""Signs before a number in which a word says what it is."""
_PRICE = re.compile(r"[¥￥$€£]\s?$|(?:RMB|USD|CNY)\s?$|[0-9][.,:/]$")
_LISTED = re.compile(r"[0-9](?:[ -]?[0-9]){6}[,:/]$")
"""Seven digits or more and a sign are the number before, in a list of them, and no part of an amount."""


class Text:
    """A text with its views, each made when it is wanted."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._labels: dict[int, str] = {}

    @cached_property
    def plain(self) -> str:
        """Half-width, with one kind of space and of hyphen; as long as the text."""
        return self.text.translate(_SIGNS)

    @cached_property
    def digits(self) -> str:
        """The same where letters that stand for digits are digits: `l38OO138OOO` is 13800138000."""
        if not _MIXED.search(self.plain):
            return self.plain
        return _TOKEN.sub(lambda match: match[1] + match[2].translate(_ALIKE), self.plain)

    @cached_property
    def longest(self) -> int:
        """Signs of the longest number, its spaces and hyphens included."""
        return max(map(len, _NUMBER.findall(self.digits)), default=0)

    @cached_property
    def names_parcels(self) -> bool:
        """Whether any word says that a number is that of a parcel."""
        return _PARCEL_WORDS.search(self.plain) is not None

    def label(self, start: int) -> str:
        """What the words before a place say that stands there: ORDER, PHONE …; "" where none does.

        The nearest word counts, so that 快递单号 is a courier's number and 订单编号 none.
        """
        if start not in self._labels:
            self._labels[start] = _label(self.plain[max(0, start - _FAR) : start])
        return self._labels[start]

    def is_amount(self, start: int) -> bool:
        """Whether a place is within an amount, a decimal number or a time."""
        return (
            _PRICE.search(self.plain, max(0, start - 5), start) is not None
            and _LISTED.search(self.plain, max(0, start - 16), start) is None
        )


def _label(before: str) -> str:
    """What the last word of a text names; a word goes on with 号, 编号 and the like."""
    kind, start, end = "", -1, -1
    for match in _LABELS.finditer(before):
        if match.start() != end or match[0] not in _GOES_ON:
            kind = str(match.lastgroup)
        start, end = match.span()
    return "" if start < 0 or _cut_off(before[end:], kind) else kind


def _cut_off(between: str, kind: str) -> bool:
    """Whether a number or a sentence stands between a word and a place, so that it speaks of that;
    other words too, but behind 电话: 电话：张伟 138…."""
    if _CUT.search(between):
        return True
    return kind != PHONE and _HAN.search(between.translate(_FILLING)) is not None


_CUT = re.compile(r"[0-9*]{4}|[。;!?]|\n.*\n|[0-9].*\n")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_FILLING = str.maketrans("", "", "号码是为复制")
