"""What a reason says can be read without quotes: `写着退款失败`, `the heading reads Refund closed`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from datakit.core.labels import LabelSet
from datakit.core.quotations import Quotation
from datakit.guard._absence import DENIED_WORDS

_NAMED = r"(?:标题栏?|文字|字样|按钮|提示语?|首行|[首末第一]行|文案|题头|[大小]字|状态一?[栏行])"
_SIGNS = r"[^\w，,。；;！!？?\n]{0,4}"
"""Any signs around a text, that of no known mark among them."""
_SPEAKS = (
    r"(?:回[复答应]|答复|说道?|表示|[留发]言|询?问道?|提[示醒]|[通告]知|公告|消息|短信|备注|弹[窗出]|气泡"
    r"|写道?|输入|显示|内容)(?:的|了|着|是|为|内容)*\s*(?=[:：])"
)
"""Words that a colon and a text of the picture follow: `客服回复：…`."""
_CHINESE = re.compile(
    rf"(?:写[着有明了]|写的(?:字|文字)?是|印[着有了]|标着|题为|名[为叫]|读[到作](?![的了过])|状态显示为?|(?:写道|注明|标明)[了着有过]?|叫[做作]|[大小]字写|{_NAMED}(?:上|里|处)?(?:文字)?(?:写着|写的是|[是为：:])|{_SPEAKS})\s*[:：]?{_SIGNS}"
    r"(?P<text>[㐀-鿿A-Za-z0-9][^，,。；;：:！!？?、“”‘’\"'「『《〈（(【\[<*…—\n]*)"
)
_ENGLISH = re.compile(
    r"(?:\b(?:[Rr]eads|reading|[Ss]ays|saying|titled|labelled|labeled|headed|(?:[Tt]he|a)\s+(?:title|heading|button|caption))\s+"
    r"|\b(?:[Tt]itle|[Hh]eading|[Bb]utton)\s*(?:[:：]|\s[-–])\s*)(?P<text>[A-Z0-9㐀-鿿][^,.;:!?“”‘’\"'(\[*—\n]*)"
)
_ITEM = r"(?:按钮|入口|标签页?|选项卡?|链接|菜单项)"
"""What has a text: an icon has a picture."""
_LOOK = (
    r"(?:[一二两三四五六七八九十几多数\d]+[个枚排行处颗条组项]|若干|各种|[红橙黄绿青蓝紫黑白灰粉金银]色?[的底]*"
    r"|[大小长]的?|(?:醒目|显眼|明显|圆角|圆形|方形|长条形?|[大小]号|悬浮|固定|可点击?|主要|单独|相应|对应"
    r"|独立|清晰|置灰|高亮|完整)的?)"
)
"""How an item looks, which is not what is written on it."""
_ICON_WORDS = """
    购物车 扫一扫 二维码 放大镜 上一页 下一页 小房子 返回上一页 返回首页 返回顶部 左箭头 右箭头 返回箭头
    三个点 加减号 复选框 单选框 更多操作 更多功能 底部导航 导航栏 快捷操作 快捷功能 数量加减
"""
_SHOWN_AS_ICON = frozenset(_ICON_WORDS.split())
"""Names of items that have a sign on them, or that only say of which kind they are."""
_SEES = r"(?<![没未无不缺])(?:显示|出现|读到|看到|可见|见到?|设|提供|展示|列出|带|含|附|配|有)[着了出有]*"
_WHERE = r"(?:[底顶][部端栏]|[上下左右][方侧边面]|[左右][上下]角|中[部间央]|旁边?)"
_SIGNED = r"(?:字样|[一二两三四五六七八几]个?[大小]?字)"
_NAMED_BEHIND = re.compile(
    rf"(?:(?:{_SEES}|标题)(?P<text>(?:(?![这那该此类处的])[㐀-鿿A-Za-z]){{2,14}}?)[等的这]?{_SIGNED}"
    rf"|(?:{_SEES}|点[击开]?|{_WHERE}[的是为有处]?+)(?:{_LOOK})*"
    rf"(?P<items>(?!{_LOOK}|{_SEES}|[没未无不缺])(?:(?![这那该此类处的在])[㐀-鿿A-Za-z、]){{3,20}}?){_ITEM}(?!上|里|内|中))"
)
"""Words behind what sees, and before what names a text: `出现退款失败字样`, `有再次申请按钮`. With 的
before an item they may say what it does."""
_CLAUSE = re.compile(
    rf"(?:(?:^|[，,。；;！!？?\n])\s*|{_NAMED})"
    r"(?:[（(](?P<text>[^（）()\n]+)[）)]|(?:\*{1,3}|_{2,3})(?P<strong>[^*_\n]+)(?:\*{1,3}|_{2,3}))(?=\s*(?:[，,。；;！!？?\n]|$))"
    r"|[（(](?P<behind>[^（）()\n]+)[）)](?=[等的]?(?:字样|[一二两三四五六七八几]个?[大小]?字))"
)
"""In brackets or emphasis and a clause of its own, or behind what names a text."""
_CHINESE_END = re.compile(
    r"(?:[和与及或]|以及|等(?=$|字|文|按|的|内容)|字样|[一二两三四五六七八几]个?[大小]?字|的?[那这]?一?[行词句列](?=$|[很较最在])|按钮|入口|的?标题|居中|在(?=[顶上下底中左右])|$)"
)
_ENGLISH_END = re.compile(r"\s+(?:and|or|with|at|in|on|so|which|near|above|below|beside|is|as|then|but)\b")
_DESCRIBES = re.compile(
    r"(?:[金余面]额|价格?|数[量字值]|时间|日期|编?号码?|单号|名称?|名字|昵称|地址|信息|内容|文字|状态|原因|说明|详情|图标|按钮|标题"
    r"|店名|客服|规则|条件|进度|记录|列表|选项|销量|评价|规格|参数|电话|账户|结果|方式|类型|门槛|有效期|倒计时|什么|[大小]?字|符号"
    r"|去向|时限|期限|流程|来源|运费|优惠|总价|合计|进展|轨迹|分析|结论|理由|依据|判断|商品|步骤|提示|广告|菜单|描述|字母|英文|中文|数据|日程|[的色形体粗细亮暗])$"
)
"""Ends what says of which kind a text is, and does not give it: `写着价格和销量`."""
_ONE_ITEM = re.compile(r"[^和与及或、]+")
_COUNTED = re.compile(r"(?:等|[这共]?[一二两三四五六七八九几多]+[个种项])+$")
"""How many items a list has, behind it."""
_ITEM_SIGNS = 3
"""Least signs of what an item is called: two name what it does (付款, 返回)."""
_LETTERS = 2
_MOST_CHARS = 40


def unmarked(text: str, labels: LabelSet | None) -> Iterator[Quotation]:
    """The texts that are said to be read, or not to be, without marks; none that only says of which kind they
    are, and no label's name in emphasis."""
    for match in _CHINESE.finditer(text):
        yield from _claim(match, "text", _CHINESE_END)
    for match in _NAMED_BEHIND.finditer(text):
        yield from _claim(match, "text") if match["text"] else _items(match)
    for match in DENIED_WORDS.finditer(text):
        yield Quotation(match["text"], *match.span("text"), True)
    for match in _ENGLISH.finditer(text):
        yield from _claim(match, "text", _ENGLISH_END)
    for match in _CLAUSE.finditer(text):
        group = next(name for name in ("text", "strong", "behind") if match[name])
        if labels is None or labels.find(match[group]) is None:
            yield from _claim(match, group)


def _items(match: re.Match[str]) -> Iterator[Quotation]:
    """The texts that items are said to have: each of `确认和取消按钮`."""
    for item in _ONE_ITEM.finditer(_COUNTED.sub("", match["items"])):
        start = match.start("items") + item.start()
        is_named = len(item[0]) >= _ITEM_SIGNS and item[0] not in _SHOWN_AS_ICON
        if is_named and _is_text(item[0]):
            yield Quotation(item[0], start, start + len(item[0]), True)


def _claim(match: re.Match[str], group: str, end: re.Pattern[str] | None = None) -> Iterator[Quotation]:
    """What a group found, up to where the claim ends."""
    piece = end.split(match[group], maxsplit=1)[0] if end else match[group]
    if _is_text(piece):
        yield Quotation(piece.strip(), match.start(group), match.start(group) + len(piece), True)


def _is_text(piece: str) -> bool:
    letters = sum(map(str.isalpha, piece))
    return _LETTERS <= letters <= _MOST_CHARS and _DESCRIBES.search(piece.strip()) is None
