"""What stands where an answer should and is none: the prompt's own example, an error, an apology."""

from __future__ import annotations

import re
import unicodedata

_NEGATED_NAME = re.compile(r"^(?:is_|has_)?(?:not|non|no|un)(?:[_-]|(?=[A-Z]))|^(?:不|非|无|未|勿|排除)")
_OTHER_NAME = re.compile(
    r"(?:^|[_\W])(?:err|errors?|exceptions?|fail\w*|invalid|apolog\w*|sorry|refus\w*|examples?|samples?|demo"
    r"|schema|format|template|placeholder|drafts?|wrong|incorrect|message|msg|detail|status|code|warnings?)"
    r"(?:$|[_\W])"
    r"|错误|报错|出错|失败|异常|抱歉|对不起|拒绝|示例|例子|样例|范例|反例|格式|模板|草稿|初稿|提示|消息|状态",
    re.IGNORECASE,
)
_ONLY_BRACKETS = re.compile(
    r"<[^<>\"：:]{1,40}>|\[[^\[\]\"：:]{1,40}\]|\{+[^{}\"：:]{1,40}\}+|【[^【】：:]{1,20}】|（[^（）：:]{1,20}）"
)
_NOTHING = re.compile(r"[\s.…。·_\-—*~<>{}\[\]()（）【】]*")
_FILL_IN = re.compile(
    r"(?:请)?(?:在)?(?:这里|此处|在此)(?:填写|填入|填|写|输入).{0,20}"
    r"|(?:your|the|a|an|some|insert|write|put)\s[\w ]{1,30}\s(?:goes\s)?here\.?|lorem ipsum.*",
    re.IGNORECASE | re.DOTALL,
)
_PLACEHOLDERS = frozenset(
    (
        *("string", "text", "str", "value", "null", "nan", "undefined", "todo", "tbd", "placeholder"),
        *("xxx", "xxxx", "example", "sample", "图片描述", "影像描述", "画面描述", "截图描述", "描述内容"),
        *(
            "你的描述",
            "判断理由",
            "你的理由",
            "理由内容",
            "影像所见",
            "字符串",
            "文本",
            "内容",
            "示例",
            "占位符",
        ),
    )
)
_PICTURES = "图片|图像|照片|截图|影像"
_ENDS = r"(?:\s*[,。.!;:]|\s*$)"
_CANNOT = "无法|不能|没法|没能|未能|没有能力|没有办法|没办法"
_SEE = "查看|看到|看见|识别|访问|打开|加载|读取|接收到?|处理|提供|协助|帮助|回答|完成|满足|分析|描述|判断"
_APOLOGY = re.compile(
    rf"(?:非常|十分|很)?(?:抱歉|对不起|不好意思)[,。!\s]*(?:但是?|不过|由于.{{0,20}},)?.{{0,12}}?(?:我|{_CANNOT})"
    rf"|(?:我|作为(?:一个|一名)?(?:人工智能|ai|语言模型|大模型)).{{0,16}}?(?:{_CANNOT})(?:直接)?(?:{_SEE})"
    rf"(?:.{{0,12}}?(?:{_PICTURES}|附件|内容|描述|请求|要求|问题|任务|帮助|信息))?{_ENDS}"
    rf"|(?:{_CANNOT})(?:直接)?(?:查看|看到|看见|访问|打开|加载|读取|接收到?)(?:到)?.{{0,8}}?(?:{_PICTURES}|附件){_ENDS}"
    rf"|(?:没有|未)(?:能)?(?:看到|收到|提供|上传|检测到)(?:任何|您|你)?.{{0,6}}?(?:{_PICTURES}){_ENDS}"
    r"|(?:i'?m|i am|we'?re|we are)?\s*(?:very |so |really |terribly )?(?:sorry|afraid)\b.{0,40}?"
    r"(?:can'?t|cannot|can not|unable|not able|don'?t|couldn'?t|won'?t)"
    r"|as an? (?:ai|artificial|language|large)\b.{0,40}?(?:can'?t|cannot|unable|not able|don'?t)"
    r"|(?:unfortunately,? )?i(?:'m| am)? (?:can'?t|cannot|can not|unable to|not able to|couldn'?t|don'?t)\b"
    r".{0,20}?(?:see|view|access|open|load|read|assist|help|provide|process|identify|comply|describe|have)\b"
    r"|(?:unable|failed) to (?:see|view|access|open|load|read|process|fetch|download)\b.{0,20}?"
    r"(?:image|picture|photo)s?(?:[.,;]|$)"
    r"|no (?:image|picture|photo)s? (?:was |were |is |has been )?(?:provided|attached|uploaded|found)",
    re.IGNORECASE,
)
_LONGEST_APOLOGY = 300


def is_other_name(name: str) -> bool:
    """Whether a name says that its value is no answer: it denies, or it names an error or an example.

    >>> is_other_name("error"), is_other_name("is_unreadable"), is_other_name("图片描述")
    (True, True, False)
    """
    return bool(_NEGATED_NAME.search(name) or _OTHER_NAME.search(name) or _UN.search(name))


_UN = re.compile(r"^(?:is_|has_)?(?:un|il|in)(?:readable|legible|clear|valid|usable|known|available)")


def is_placeholder(text: str, name: str) -> bool:
    """Whether a text says nothing: dots, a place to fill in, or the name of its own field.

    >>> is_placeholder("……", "reason"), is_placeholder("<描述>", "x"), is_placeholder("写着已签收", "reason")
    (True, True, False)
    """
    plain = unicodedata.normalize("NFKC", text).strip().strip("\"'“”「」`.。… ").casefold()
    if _NOTHING.fullmatch(plain):
        return True
    spelled = plain.replace("_", " ").replace("-", " ")
    own = name.replace("_", " ").replace("-", " ").casefold()
    if plain in _PLACEHOLDERS or spelled in (own, f"the {own}", f"your {own}"):
        return True
    return bool(_ONLY_BRACKETS.fullmatch(text.strip()) or _FILL_IN.fullmatch(plain))


def is_apology(text: str) -> bool:
    """Whether a text begins by saying that the model cannot see or do what it was asked for.

    Words of the picture (`页面提示“抱歉，系统繁忙”`) do not begin so.
    """
    plain = unicodedata.normalize("NFKC", text).strip().replace("’", "'")
    return len(plain) <= _LONGEST_APOLOGY and _APOLOGY.match(plain) is not None
