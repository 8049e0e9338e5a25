"""What stands where an answer should and is none: the prompt's own example, an error, an apology."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

_GROUPS = (
    ("description", "desc", "caption", "summary", "描述", "说明", "概述", "描写"),
    ("reason", "reasons", "rationale", "explanation", "justification", "理由", "原因", "依据", "解释"),
    ("label", "category", "class", "类别", "标签", "分类"),
    ("title", "标题"),
    ("name", "名称"),
    ("text", "content", "文本", "文字", "内容", "正文"),
    ("note", "notes", "remark", "备注"),
    ("doubt", "doubts", "疑问", "疑点"),
)
"""What models call a field in another language or word."""
_WRAPPERS = frozenset(
    ("answer", "result", "results", "output", "response", "data", "json", "object", "final", "reply")
) | frozenset(("回答", "答案", "结果", "输出", "最终答案", "最终结果"))
_AFFIX = re.compile(
    r"^(?:the|your|my|image|picture|final|short)+|^(?:图片|图像|画面|截图|影像|页面|判断|分类|最终|简短)+的?"
    r"|(?:text|zh|cn|en|here)$|(?:文本|文字|内容)$"
)
_SAYS_NOTHING = frozenset(
    (
        "string",
        "text",
        "str",
        "value",
        "null",
        "nan",
        "undefined",
        "todo",
        "tbd",
        "placeholder",
        "xxx",
        "xxxx",
    )
) | frozenset(
    ("example", "sample", "字符串", "文本", "示例", "占位符", "影像所见", "待补充", "待填写", "请填写")
)
_NONE = frozenset(("none", "n/a", "na", "unknown", "无", "暂无", "未知", "不详", "略", "没有"))
"""Real answers to some questions, and none to one that asks for a text alone."""
_NOTHING = re.compile(r"[\s.…。·_\-—*~<>{}\[\]()（）【】]*")
_PLACE = re.compile(
    r"(?:请)?(?:在)?(?:这里|此处|在此|此)(?:填写|填入|填|写|输入|描述|说明).{0,20}"
    r"|(?:一句话|简短|具体|详细)?的?(?:写出?|说明|描述|概括|解释)?(?:判断|图片|画面|页面|截图)?的?"
    r"(?:理由|原因|描述|文字|文本|内容)"
    r"|(?:your|the|a|an|some|insert|write|put)\s[\w ]{1,30}\s(?:goes\s)?here\.?"
    r"|[\w ]{1,20} here|lorem ipsum.*"
    r"|(?:string|text)\b[\x20-\x7e]{0,30}|todo\b.{0,20}|[$%@]\w{1,30}",
    re.IGNORECASE | re.DOTALL,
)
_PICTURES = "图片|图像|照片|截图|影像"
_CANNOT = "无法|不能|没法|没能|未能|没有能力|没有办法|没办法"
_SEE = "查看|看到|看见|识别|访问|打开|加载|读取|接收到?|处理|提供|协助|帮助|回答|完成|满足|分析|描述|判断"
_ENDS = r"(?:\s*[,。.!;:]|\s*$)"
_ALONE = r"(?:\s*$|\s*[,。.!;]\s*(?:请|因此|所以|故|我|无法|不能|建议|如需|$).*)"
_APOLOGY = re.compile(
    rf"(?:非常|十分|很)?(?:抱歉|对不起|不好意思)(?:[,。!\s]+(?:但是?|不过|由于.{{0,20}},)?.{{0,12}}?(?:我|{_CANNOT}|加载失败)"
    rf"|我|{_CANNOT})"
    rf"|(?:我|作为(?:一个|一名)?(?:人工智能|ai|语言模型|大模型)).{{0,16}}?(?:{_CANNOT})(?:直接)?(?:{_SEE})"
    rf"(?:.{{0,12}}?(?:{_PICTURES}|附件|内容|描述|请求|要求|问题|任务|帮助|信息))?{_ENDS}"
    rf"|(?:我)?(?:{_CANNOT}|看不到|看不见)(?:直接)?(?:查看|看到|看见|访问|打开|加载|读取|识别|接收到?)?(?:到)?.{{0,8}}?"
    rf"(?:{_PICTURES}|附件)(?:的?内容)?{_ALONE}"
    rf"|(?:您|你)?(?:没有|未)(?:能)?(?:看到|收到|提供|上传|检测到)(?:任何|您|你)?.{{0,6}}?(?:{_PICTURES}){_ALONE}"
    rf"|请(?:您|你)?(?:先|重新)?(?:提供|上传|发送).{{0,8}}?(?:{_PICTURES})"
    rf"|(?:{_PICTURES})(?:未能|无法|没有)?(?:成功)?(?:加载|显示|打开)(?:失败|出错)?{_ALONE}",
    re.IGNORECASE | re.DOTALL,
)
_APOLOGY_EN = re.compile(
    r"(?:i'?m|i am|we'?re|we are)?\s*(?:very |so |really |terribly )?(?:sorry|afraid)\b.{0,40}?"
    r"(?:can'?t|cannot|can not|unable|not able|don'?t|couldn'?t|won'?t)"
    r"|as an? (?:ai|artificial|language|large)\b.{0,40}?(?:can'?t|cannot|unable|not able|don'?t)"
    r"|(?:unfortunately,? )?i(?:'m| am)? (?:can'?t|cannot|can not|unable to|not able to|couldn'?t|do not"
    r"|don'?t)\b.{0,20}?(?:see|view|access|open|load|read|assist|help|provide|process|identify|comply|describe|have)\b"
    r"|(?:unable|failed) to (?:see|view|access|open|load|read|process|fetch|download)\b.{0,20}?"
    r"(?:image|picture|photo)s?(?:[.,;]|$)"
    r"|(?:it (?:looks|seems|appears) (?:like|that|as if) )?(?:there (?:is|was) )?"
    r"(?:no|the) (?:image|picture|photo)s? (?:(?:was|were|is|has been|could)\s)?(?:not )?(?:be )?"
    r"(?:provided|attached|uploaded|found|loaded)"
    r"|(?:please|i need you to) (?:provide|upload|attach|send|share) (?:the |an? )?(?:image|picture|photo)"
    r"|i need (?:the |an? )?(?:image|picture|photo)|unfortunately,? the (?:image|picture|photo) could not",
    re.IGNORECASE | re.DOTALL,
)
_ERROR = re.compile(
    r"(?:error|exception)\s*[:：]\s*(?:\d{3}|[a-z ]*(?:server|request|time))\b.*|http (?:error )?[45]\d\d\b.*"
    r"|internal server error.*|(?:request )?timed? ?out.*|rate limit.*"
    r"|(?:服务器?|系统|接口)(?:内部)?(?:错误|异常|繁忙|超时).{0,12}"
    r"|请求(?:超时|失败|被拒绝).{0,12}|(?:内容|该图片)(?:违规|违反了).{0,30}|[a-z]+(?:_[a-z]+)+",
    re.IGNORECASE | re.DOTALL,
)
_LONGEST_APOLOGY = 300
_FAILED = frozenset(("error", "failed", "fail", "failure", "exception", "refused", "错误", "失败"))


def _spelled(name: str) -> str:
    """A field's name without case, signs and what stands around its word."""
    plain = "".join(char for char in unicodedata.normalize("NFKC", name).casefold() if char.isalnum())
    return _AFFIX.sub("", plain) or plain


def may_hold(other: str, name: str, *, is_text: bool) -> bool:
    """Whether a value under another name may be the one that was asked for as `name`.

    Models translate names and put answers into a wrapper; every other name says something else.

    >>> may_hold("图片描述", "description", is_text=True), may_hold("error", "description", is_text=True)
    (True, False)
    """
    spelled, own = _spelled(other), _spelled(name)
    if spelled == own or other.casefold() in _WRAPPERS or spelled in _WRAPPERS:
        return True
    groups = [group for group in _GROUPS if own in group] or [("text", "content", "文本", "内容")]
    return is_text and any(spelled in group for group in groups)


def is_failure(value: Mapping[str, Any], asked: tuple[str, ...]) -> bool:
    """Whether an object says beside its values that it failed: `error`, a status, a code of 400 or more."""
    for key, item in value.items():
        name = _spelled(key)
        if key in asked:
            continue
        if name in ("error", "errors", "err", "errmsg", "errormessage", "exception", "错误") and item:
            return True
        if name in ("success", "ok", "succeeded") and item is False:
            return True
        if (
            name in ("status", "state", "result", "状态")
            and isinstance(item, str)
            and item.casefold() in _FAILED
        ):
            return True
        if name in ("code", "errorcode", "statuscode", "status") and type(item) is int and item >= 400:
            return True
    return False


def is_placeholder(text: str, name: str, *, is_only: bool = False) -> bool:
    """Whether a text says nothing: dots, a place to fill in, or the name of its own field.

    `is_only`: nothing but this text was asked for, so that "none" is no answer.

    >>> is_placeholder("……", "reason"), is_placeholder("<描述>", "x"), is_placeholder("写着已签收", "reason")
    (True, True, False)
    """
    plain = unicodedata.normalize("NFKC", text).strip().strip("\"'“”「」`.。…:： ").casefold()
    if _NOTHING.fullmatch(plain) or plain in _SAYS_NOTHING or (is_only and plain in _NONE):
        return True
    if re.fullmatch(r"[<‹«][^<>]{1,60}[>›»]|\{+[^{}\"]{1,40}\}+", text.strip()):
        return True
    inner = re.fullmatch(r"[\[(【](.{1,40})[\])】]", plain)
    words = inner[1] if inner else plain
    head = re.split("[:：,，]", words)[0].strip()
    own = _spelled(name)
    group = next((group for group in _GROUPS if own in group), (own,))
    for said in {words, *([head] if inner else [])}:
        if (_spelled(said) in group and (len(said) <= 24)) or _PLACE.fullmatch(said):
            return True
    return False


def is_apology(text: str) -> bool:
    """Whether a text says that the model cannot see or do what it was asked for, or is an error's words.

    Words of the picture (`页面提示“抱歉，系统繁忙”`) do not begin so.
    """
    plain = unicodedata.normalize("NFKC", text).strip().replace("’", "'")
    if len(plain) > _LONGEST_APOLOGY:
        return False
    return any((_APOLOGY.match(plain), _APOLOGY_EN.match(plain), _ERROR.fullmatch(plain)))
