"""Which quotations of a text are said not to stand in the picture: `没有“退货地址”字样`."""

from __future__ import annotations

import re
from enum import Enum

HIDDEN = "□"
"""Stands for a quotation, so that its own words deny nothing."""
_CLAUSE = re.compile(r"[，,；;：:。！？!?\n]|\.(?=\s|$)|——|\bbut\b")
_SEEN = (
    r"(?:出现|看[到见]|见[到着]?|读[到出]|显示|展示|列[出有]|写[着有明出]?|标[着有注明出]?|印[着有]?|"
    r"提[供及到示]|包?含有?|发现|找[到出]|带有?|给出|呈现|设有?|配有|附有)"
)
_READ = r"(?:看|读|找|见|寻|认|搜|瞧)"
_WHOLE = (
    r"(?:(?:在|于)?(?:整个|整张|整幅|整|全|该|此|本|这张|这个)?(?:页面?|图片?|画面|界面|屏幕|截图|"
    r"文)(?:[上中里内]|之[中上内])?)"
)
_FILLS = (
    r"(?:过|到|了|着|任何|一个|一处|一行|一个?字|半个|哪怕|像|如|诸如|类似|所谓|关于|有关|名为|写着|写有|标着|标有|带有?|含有?"
    rf"|叫做?|题为|相应的?|对应的?|单独的?|明确的?|明显的?|清楚的?|文字|字样|标题|按钮|入口|提示|[：:\s]|{_WHOLE})"
)
_LIST = (
    rf"(?:{HIDDEN}(?:[一二两三四五六七八几]个?字|字样|按钮|入口|一词|一栏|一项)?(?:[、\s和与及或]|"
    rf"以及|或者|还是|and|nor|or|,\s*(?:and|or|nor))*)*"
)
"""The quotations that are denied together with the next."""
_DENIES = (
    rf"(?:并?没有?(?:再|能)?{_SEEN}?|(?:毫|全|并|均)?无(?:法{_SEEN})?|(?:并|均|尚|仍|从)?未(?:曾|再|能)?{_SEEN}|{_READ}不[到见出着]|不[曾再]?{_SEEN}|(?:不|没)存在|不见"
    r"|缺[少乏失]?|欠缺|少了|不(?:含|带)有?)"
)
_AFFIRMS = re.compile(
    r"(?:不是|并非|绝非|不会|不能说|不能|难道|不可能|未必|未尝|何尝|怎[么会]+|岂|有|是否|会不会|若|如果|假如|除非|要不是)(?:[会是])?$"
)
"""Before a denial: it is denied itself, asked or supposed."""
_BEFORE = re.compile(rf"(?P<denial>{_DENIES}){_FILLS}*{_LIST}(?:也)?$")
_WEAK_BEFORE = re.compile(
    rf"(?:不是|并非|绝非|而非|不像|不同于|区别于|有别于|不等于|非|不叫|不写作?|instead\s+of|rather\s+than|unlike|\bnot){_FILLS}*\s*(?:the|a|an)?\s*{_LIST}$"
    r"|(?:不像|unlike)[^□]{1,20}$",
    re.IGNORECASE,
)
"""Says that a text is another, and leaves open whether this one stands elsewhere."""
_ENGLISH = re.compile(
    r"(?P<denial>\b(?:there(?:'s|\s+is|\s+are)\s+no(?:t)?|no|without|lacks?|lacking|nor|neither|(?:does|do|did)(?:n't|\s+not|\s+never)\s+"
    r"(?:show|say|read|mention|contain|list|display|have|include|bear|give)|never\s+(?:shows|says|reads|mentions)"
    r"|can(?:not|'t|\s+not)\s+(?:see|find|read|make\s+out)|(?:is|are)(?:n't|\s+not|\s+no)|nowhere(?:\s+\w+){0,3}\s+(?:say|says|read|show)))"
    r"(?:\s+(?:a|an|any|the|such|single|sign|trace|mention|of|word|words|text|phrase|label|labell?ed|button|line|heading|entry|field|visible|reading|saying|that|says|reads|either|to\s+be\s+seen))*\s*"
    rf"{_LIST}$",
    re.IGNORECASE,
)
_NOT_WITHOUT = re.compile(r"\b(?:not|never|if|whether|n't)\s*$", re.IGNORECASE)
_NAMED = (
    r"(?:等|这?[一二两三四五六七八九十几\d]+个?(?:大|小|汉)?字|这?[一几]?[行词句项栏]|字样|文字|按钮|入口|标题|选项|字段|提示|标签|图标"
    r"|\s*(?:button|heading|title|label|line|text|entry|field|words?))*"
)
_BEHIND = re.compile(
    rf"{_NAMED}(?:[、\s和与及或]*{HIDDEN}{_NAMED})*(?:在?{_WHOLE})?(?:[均都也并却从全皆更]|一概|根本|完全|始终)*"
    rf"(?:(?:没有?|未曾?|不曾)(?:出现|露面|显示|列出|写出)|不存在|缺[失席]|{_READ}不[到见]|不见(?:踪影|了)?|未见|没有)"
    r"(?:过|的)?(?=[在于]|[，,；;：:。！？!?\n]|\s*$)",
)
_BEHIND_ENGLISH = re.compile(
    rf"{_NAMED}(?:\s+(?:and|or)\s+{HIDDEN}{_NAMED})*\s+(?:(?:does|do|did)(?:n't|\s+not)\s+(?:appear|show|stand|occur|exist)"
    r"|(?:is|are)(?:n't|\s+not)\s+(?:shown|there|present|visible|seen|listed|written|to\s+be\s+(?:seen|found))"
    r"|(?:is|are)\s+(?:absent|missing|nowhere)|can(?:not|'t)\s+be\s+(?:seen|found|read)|never\s+appears?)\b",
    re.IGNORECASE,
)
_EXCEPT = re.compile(
    r"(?:除了?|除去|除开|except(?:\s+for)?|besides|apart\s+from)[^，,。；;]*$", re.IGNORECASE
)
_PLACE = re.compile(
    r"[顶底][部栏端]?|[上下]方|[上下]面|中[部间央]|[左右][侧边上下]|旁|首行|末行|标题|弹窗|按钮上|这一?[行栏]|该[行栏]|此[处行]|[之以][上下前后]|角"
    r"|[行栏](?:[里中内上]|$)|\b(?:top|bottom|header|heading|title|left|right|corner|above|below|footer)\b",
    re.IGNORECASE,
)
"""A part of the picture: what is not there may stand elsewhere."""
_OF_ANOTHER = re.compile(
    r"[^，,。；;\s]{0,2}(?:的|以外|之外|外的?|相关|之类|那样|这样|一样)|\s*(?:other|else|related|-like)\b|\s+(?:page|screen|flow|step)\b"
)
"""Behind a quotation: something of it is denied, not the text."""
_WORDS = re.compile(
    r"[等]?(?:这?[一二两三四五六七八九十几\d]+个?(?:大|小|汉)?字|字样|文字|一词|[一几]?[词句])"
)
_ITEM = re.compile(
    r"(?:这?一?[个项栏行列])?(?:的)?(?:按钮|入口|标题|选项|字段|标签页?|图标|栏|项|菜单|[一这][栏项行])|\s*(?:button|heading|title|label|tab|entry|field)\b",
    re.IGNORECASE,
)


DENIED_WORDS = re.compile(
    rf"{_DENIES}{_FILLS}*(?P<text>[㐀-鿿A-Za-z]{{2,14}}?)[等的]?(?:字样|按钮|入口|标签|选项|[一二两三四五六七八几]个?[大小]?字)"
)
"""Words that are denied without marks: `没有出现退款金额字样`, `没有确认付款按钮`."""


class Denial(Enum):
    """How a text denies what it quotes."""

    NONE = 0
    OTHER = 1
    """It says that something else is this text, or that a part of the picture lacks it: it need not stand
    and may."""
    WORDS = 2
    """These words stand nowhere."""
    ITEM = 3
    """No button, field or heading has these words for its whole."""


def denial(before: str, after: str) -> Denial:
    """How what stands before a quotation and behind it denies it, all quotations hidden in both.

    Only what governs the quotation counts: a denial in its own clause, with nothing between but words that
    could stand before any text (`没有出现任何“…”`), or right behind it (`“…”并未出现`).
    """
    clause = _last_clause(before)
    match = _BEFORE.search(clause) or _ENGLISH.search(clause)
    if match:
        head = clause[: match.start()]
        if _AFFIRMS.search(head) or _NOT_WITHOUT.search(head):
            return Denial.NONE
        return _of(head, after)
    if _WEAK_BEFORE.search(clause):
        return Denial.OTHER
    behind = _BEHIND.match(after) or _BEHIND_ENGLISH.match(after)
    if behind and not _EXCEPT.search(clause):
        return _of(clause + behind[0], after)
    return Denial.NONE


def _last_clause(before: str) -> str:
    ends = [match.end() for match in _CLAUSE.finditer(before)]
    return before[ends[-1] :] if ends else before


def _of(head: str, after: str) -> Denial:
    if _PLACE.search(head):
        return Denial.OTHER
    if _ITEM.match(after):
        return Denial.ITEM
    return Denial.OTHER if _OF_ANOTHER.match(after) and not _WORDS.match(after) else Denial.WORDS
