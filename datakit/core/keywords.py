"""Whether a label's keywords stand in a text: case, width and white space make no difference."""

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


_CLAUSE = re.compile(r"[，。；！？,;!?\n]|\.(?=\s|$)")
_DENIED_BEFORE = re.compile(
    r"(?:暂无|暂未|尚未|尚无|并未|并无|从未|从无|还未|还没|仍未|未能|未曾|没有|没能|无法|无需|无须|毋需|不用|不必|不需要?"
    r"|不可以?|不能|不会|不再|不是|并非|不属于|不支持|不予|不接受|不提供|不存在|禁止|拒绝|请勿|切勿|不要|免于|缺少|查无)"
    r"[^:：]{0,6}$"
    r"|(?:[不未无無没沒非勿莫免])(?:[有可得曾能见再到]|任何|相关)?$"
    r"|(?:n['’]t|\b(?:no|not|never|without|cannot|neither|nor|none\s+of|unable\s+to|yet\s+to|lacks?|lacking))"
    r"(?:\s+\S+){0,3}\s*$|\b(?:non|un)-?\s*$"
)
_AFFIRMS = re.compile(r"\bnot\s+only\b|\bno\.?\s*(?=\d)|\bno\s+(?:doubt|problem)\b|不[仅只但]|无忧|无误")
_DENIED_BEHIND = re.compile(
    r"[^:：]{0,3}[:：\s]*(?:暂无|没有|尚未|暂未|并未|为空|不存在|不支持|不可用|未(?:成功|完成|开通|提交)|[无否](?=$|\s))"
    r"|\s*(?:\w+\s+)?(?::|is|was|are|were|has|have|can|could|does|do|did)?\s*(?:\bnot\b|n['’]t\b|cannot\b|none\b"
    r"|unavailable\b|n/a\b)"
)


def asserts(text: str, keyword: str) -> bool:
    """Whether the keyword stands in the text undenied: nothing in its clause says that there is none.

    >>> asserts("已退款成功", "退款成功"), asserts("暂无退款成功记录", "退款成功")
    (True, False)
    """
    form = unicodedata.normalize("NFKC", text).casefold()
    for place in _pattern(keyword).finditer(form):
        before = _CLAUSE.split(form[: place.start()])[-1]
        behind = _CLAUSE.split(form[place.end() :], maxsplit=1)[0]
        if not _DENIED_BEFORE.search(_AFFIRMS.sub("", before)) and not _DENIED_BEHIND.match(behind):
            return True
    return False
