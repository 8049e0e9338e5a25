"""Whether a label's keywords stand in a text, and whether the text says that there is what they name: case,
width and white space make no difference."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache


@lru_cache(maxsize=8192)
def _pattern(keyword: str) -> re.Pattern[str]:
    signs = "".join(unicodedata.normalize("NFKC", keyword).split()).casefold()
    spaced = r"\s*".join(map(re.escape, signs))
    before = r"(?<![a-z0-9])" if signs[:1].isascii() and signs[:1].isalnum() else ""
    after = r"(?![a-z0-9])" if signs[-1:].isascii() and signs[-1:].isalnum() else ""
    return re.compile(f"{before}{spaced}{after}" if signs else r"(?!)")


def holds(text: str, keyword: str) -> bool:
    """Whether the keyword stands in the text; a Latin one as a word of its own.

    >>> holds("购物车（12）", "购物车("), holds("Cartoon", "cart"), holds("Refund  Amount", "refund amount")
    (True, False)
    """
    return _pattern(keyword).search(unicodedata.normalize("NFKC", text).casefold()) is not None


_HAN = r"[㐀-鿿]"
_SENTENCE = re.compile(r"[。；！;!?\n]|\.(?=\s|$)")
_PART = re.compile(r"[，,]")
_BLOCK = re.compile(r"[\s·|｜•]+")
"""Between the texts of one line, where they are Chinese."""
_WORD_BEFORE = re.compile(r"(?:^|[^㐀-鿿])(?:去|我的|正在)?$")
_WORD_BEHIND = re.compile(rf"(?:了|中|页面?|按钮|入口|字样)?(?!{_HAN})")
"""What may stand at a Chinese word and leaves it a word of its own."""
_SURE_CHARS = 4
"""A keyword of so many signs is no piece of other words, whatever stands before it."""
_BEGINS_WORD = re.compile(r"[已未不无没仅]")
"""No word has these within it."""
_AFFIRMS = re.compile(
    r"无(?:理由|忧|误|门槛)|免(?:费|邮)|不锈钢|不想要|(?:未|没有?)收到货|不退货$|不[仅只但]"
    r"|\bnot\s+only\b|\bno\.?\s*(?=\d)|\bno[\s-](?:doubt|problem|fees?|costs?|charge|reason|hassle)\b"
)
"""What holds a sign of denial and denies nothing."""
_DENIES = r"[不未无無没沒非勿莫免否禁拒别]"
_DOUBTED = re.compile(
    rf"{_DENIES}|[若如倘假待可能将会要欲想怎何哪谁几吗么前后缺避防排除零停关删撤消掉清移曾例×✗✕❌]"
    r"|怀疑|疑似|预计|预期|历史|上次|过去|支持|允许|(?<!\d)0(?![\d.])"
    r"|n['’]t\b|\b(?:no|not|never|none|nor|neither|non|un|without|cannot|unable|lack\w*|yet|zero|negative|absen\w+|free"
    r"|rul(?:e|es|ed|ing)|exclu\w+|den(?:y|ies|ied)|declin\w+|reject\w*|refus\w+|unsuccessful\w*|fail\w*|resol\w+|cleared|gone|closed?|ended|expired|cancel\w*"
    r"|hid(?:e|den)|off|disabled|unavailable|unlikely|if|whether|unless|until|when|how|what|why|or|can|could|may|might"
    r"|would|should|will|shall|must|possib\w+|probab\w+|suspect\w*|pending|awaiting|expect\w*|eligible|request\w*"
    r"|previous\w*|prior|history|was|were|had|r/o|n/a)\b"
)
"""Denied, asked, supposed, possible, counted as none, or over."""
_SUPPOSED = re.compile(
    r"若|倘|假[如设]|如果|如(?![下图意])|一旦|是否|未[见发检提闻]|排除|否认|(?:时|后|的话|之?前)$"
    r"|\b(?:no|without|negative|free\s+of|den(?:y|ies|ied)|rul\w+\s+out|absen\w+|if|whether|unless|when)\b"
)
"""Doubts what stands behind the next comma too: a condition, and a denial with a list of nouns."""
_LEFT_OPEN = re.compile(
    rf"(?:{_DENIES}|不支持|不可以?|不能|无法|未(?:开通|安装|发现|出现|完成)|没有|暂无|[若如待]|如[果何]|怎[么样]|是否|可(?:以|申请)?)"
    r"[:(]?$"
)
_NONE = re.compile(
    r"(?:[-–—]+\s+)?[已被均都全共总计暂尚并仍目当前状态结果为是的]*(?:期[限间]?)?已?"
    rf"(?:0(?![\d.:,])|[-×✗✕x一–—]+(?:$|[\s)\]])|{_DENIES}|阴性|可能|待|关(?!注)|结束|下[线架]|取消|失[败效]|[过到]期|过$|撤[销回]"
    r"|停|删|排除|缓解|消失|驳回|终止|缺|空|零|除外|清|吸收|好转|售罄|[抢领用]完|抢光|已满|维护|升级|敬请|即将"
    r"|(?:none|no|not|off|n/a|nil|negative|absent|resolved|den\w+|declin\w+|reject\w+|refus\w+|unsuccessful\w*|ruled|excluded|cancel\w*|closed|failed)\b)"
)
"""A value, or what stands behind a blank, that says there is none or no more."""
_ENDS_LATER = re.compile(rf"(?!无需|不用|不必|[勿别]|可能(?!性)|no\b)(?:{_NONE.pattern})")
"""Says so behind a comma."""
_NO_VALUE = re.compile(r"(?:暂?无|没有|空|未填写?|待填写|[-—–]+)(?=$|[\s)])")
_FREE_TEXT = re.compile(r"(?:原因|理由|说明|描述|类型|方式|规格)$")
"""Names of fields whose value may deny something else: `投诉原因：未收到货`."""


def asserts(text: str, keyword: str) -> bool:
    """Whether the text says that there is what the keyword names; where that is not sure it does not.

    The keyword stands as a word of its own: Chinese has no blanks between words, so it fills its block
    between signs, blanks and digits; one of four characters, or that begins with 已 or 未, may have others
    before it. Nothing of its clause outside of it denies, asks, supposes, counts none or says that it is
    over.

    >>> asserts("退款成功", "退款成功"), asserts("退款成功：0笔", "退款成功"), asserts("完全选修", "全选")
    (True, False, False)
    """
    form = unicodedata.normalize("NFKC", text).casefold()
    for place in _pattern(keyword).finditer(form):
        before = _SENTENCE.split(form[: place.start()])[-1]
        behind = form[place.end() :]
        if _is_word(place[0], before, behind) and not (
            _is_doubted_before(before, place[0]) or _is_doubted_behind(behind, place[0])
        ):
            return True
    return False


def _is_word(keyword: str, before: str, behind: str) -> bool:
    if re.match(_HAN, keyword[-1]) and not _WORD_BEHIND.match(behind):
        return False
    is_sure = len(re.findall(_HAN, keyword)) >= _SURE_CHARS or _BEGINS_WORD.match(keyword) is not None
    return is_sure or not re.match(_HAN, keyword) or _WORD_BEFORE.search(before) is not None


def _is_doubted_before(before: str, keyword: str) -> bool:
    *earlier, part = _PART.split(_AFFIRMS.sub("", before))
    if any(_SUPPOSED.search(text) for text in earlier):
        return True
    *others, block = _BLOCK.split(part) if re.match(_HAN, keyword) else [part]
    return _DOUBTED.search(block) is not None or any(
        _SUPPOSED.search(text) or _LEFT_OPEN.search(text) for text in others
    )


def _is_doubted_behind(behind: str, keyword: str) -> bool:
    end = _SENTENCE.search(behind)
    clause, sign = (behind[: end.start()], end[0]) if end else (behind, "")
    part, *later = _PART.split(clause)
    if sign == "?" and not later:
        return True
    if (later and _ENDS_LATER.match(later[0].strip())) or (
        part[:1] in tuple("、/和与及或") and (_DOUBTED.search(part) or _NONE.match(part[1:]))
    ):
        return True
    if not re.search(_HAN, keyword) and re.search(r"[a-z]", part) and _DOUBTED.search(_AFFIRMS.sub("", part)):
        return True
    value = _AFFIRMS.sub("", part).lstrip(" \t:([【<=/·|>")
    rule = _NO_VALUE if _FREE_TEXT.search(keyword) else _NONE
    return rule.match(value) is not None


_OUTCOME = re.compile(
    rf"(?:已|已经)?(?P<zh>{_HAN}{{2,4}}?)(?:已?(?:成功|完成|通过|到账|同意))|已(?P<done>{_HAN}{{2}})"
    r"|(?P<en>[a-z]{3,}(?:\s[a-z]{3,})?)\s+(?:successful(?:ly)?|succeeded|approved|completed?|issued|accepted|granted"
    r"|sent|processed|confirmed)"
)
"""A keyword that says how something ended, and what that is."""
_FAILED = r"(?:declined|denied|rejected|refused|failed|closed|cancell?ed|unsuccessful|pending)"


def refuted(text: str, keyword: str) -> bool:
    """Whether a line of the text denies that what a keyword says has come about, or still waits for it. Only
    keywords that state an outcome can be refuted: they may be the step of a progress bar that is not reached.

    >>> refuted("商家拒绝换货\\n换货成功", "换货成功"), refuted("等待商家同意换货\\n换货编号", "换货编号")
    (True, False)
    """
    form = unicodedata.normalize("NFKC", keyword).casefold().strip()
    outcome = _OUTCOME.fullmatch(form)
    if outcome is None:
        return False
    noun = re.escape(next(filter(None, outcome.groups())))
    denies = re.compile(
        rf"(?:拒绝|驳回|等待|待|未|无法|不支持|不同意|取消){_HAN}{{0,4}}{noun}(?!后)"
        rf"|{noun}(?:申请)?(?:已?被?(?:失败|关闭|拒绝|驳回|取消|终止|中止|撤销)|未通过|中$)"
        if outcome["en"] is None
        else rf"\b{noun}\s+(?:\w+\s+){{0,3}}{_FAILED}\b|\b(?:awaiting|{_FAILED})\s+(?:\w+\s+)?{noun}\b"
    )
    lines = unicodedata.normalize("NFKC", text).casefold().splitlines()
    return any(denies.search(line.strip()) and not holds(line, keyword) for line in lines)
