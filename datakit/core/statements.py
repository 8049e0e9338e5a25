"""What an answer states, told from what it quotes, rules out, supposes or takes back."""

from __future__ import annotations

import re

from datakit.core.labels import LabelSet, normal_form

_DECORATION = re.compile(r"[\s>#*_\-+•·\d.)）、]*")
_SENTENCE_END = re.compile(r"[。．.！!；;？?）)】\]>*]\s*$")
_PAUSE = re.compile(r"[，,、（(]\s*$")
_CLAUSE = re.compile(r"[。．.！!；;？?，,\n]")
_LEADING = re.compile(
    r"(?:^|[\s，,。.；;：:])(?:\s*(?:因此|所以|故|则|综上|最终|最后|预测|所属|正确|答案|图片|截图|图像)的?)+\s*$"
    r"|(?:^|[\s,.;:])(?:(?:so|thus|therefore|hence|the|final|predicted|correct|answer|image|is)\s+)+$",
    re.IGNORECASE,
)
_NOT_STATED = re.compile(
    r"排除|不属|不是|并非|不选|不应|若|如果|假如|假设|要是|例如|比如|写着|写有|显示|标题|字样|印着|标着|出现|含有?$|内容|有$"
    r"|\b(?:exclud\w*|not|no|never|if|unless|example|e\.g|wrong|incorrect|reads?|says?|titled?|shows?|other)\b",
    re.IGNORECASE,
)
_OPENING, _CLOSING = "“「『《‘", "”」』》’"
_LOOKED_AT = 400
"""Characters in front of a heading: its words stand right before it, and a line may be endless."""
_SHORTEST_CLAUSE = 3
"""A shorter word in front of a heading belongs to it (`商品 类别：`)."""
_TAKES_BACK = re.compile(
    r"更正|修正|订正|纠正|不对(?![称应齐等])|有误|错了|搞错|弄错|说错|判错|改为|改成|收回|^\s*等等|等一下|作废"
    r"|重新(?:判断|考虑|看)|再(?:想|看)一?[想看下]|(?:请|可)忽略|忽略(?:以上|上面|前面)|判断错误|抱歉|看不[到清]图"
    r"|(?:以上|上述|上面|前面|刚才|判断|答案|结论|回答).{0,6}(?:错|误|不正确|有问题)"
    r"|\b(?:wait|actually|correction|correcting|i was wrong|mistake\w*|on second thoughts?|scratch that)\b"
    r"|\b(?:that|this|above|i) (?:is|was|am) (?:wrong|incorrect|mistaken)\b|\bignore (?:the |that|previous)"
    r"|\bdisregard\b",
    re.IGNORECASE,
)
_REPLACES = re.compile(
    rf"{_TAKES_BACK.pattern}|(?<![不非])(?:应为|应该是|应当是|应是)|其实是|其实为|实际上?(?:应|是|为)|更像是"
    r"|(?:正确|真正)的?(?:类别|答案|标签)(?:是|为|应)|(?:综上|因此|所以|可见).{0,4}(?:属于|应为|是)"
    r"|\b(?:should be|rather|instead)\b",
    re.IGNORECASE,
)
_SUPPOSES = re.compile(r"如果|假如|假设|若|要是|倘若|\bif\b", re.IGNORECASE)
_DENIES_OWN = r"(?:不是|并非|不属于?|绝非|不应(?:归为|归入|为|是)|不能归为|\b(?:is|are) not)[\s“「\"']{0,2}"
_DENIES = re.compile(
    r"不是|并非|而非|不属|不同于|区别|有别|不像|排除|不应|不能|不会|不算|不归|没有|无关|混淆|相比|而不|\bnot\b|\bunlike\b",
    re.IGNORECASE,
)


_CALLED_ANSWER = re.compile(
    r"\s*(?:所以|因此)?(?:最终)?(?:答案|结果)(?:是|为)?|\s*(?:the )?(?:final )?answer(?: is)?", re.IGNORECASE
)


_ANNOUNCES = re.compile(
    r"[\s*_【“\"]*(?:最终|预测|正确)?的?(?:类别|答案|标签|分类|label|category|answer)[*_】”\"]*\s*[为是]?\s*[：:][*_\s]*",
    re.IGNORECASE,
)


def unannounced(text: str) -> str:
    """An answer that was to be a label alone, without the heading that a model put in front of it."""
    match = _ANNOUNCES.match(text)
    return text[match.end() :] if match else text


def announced_elsewhere(text: str) -> bool:
    """Whether the text announces its value by another heading than that of an answer (`商品数量：5`)."""
    before, colon, _ = text.replace(":", "：").rpartition("：")
    return bool(colon) and _CALLED_ANSWER.fullmatch(before.rpartition("\n")[2]) is None


def announcements(marker: re.Pattern[str], text: str) -> list[re.Match[str]]:
    """Where a heading stands as a heading: those at line starts; without one those within a line.

    A longer word that ends like the heading (`商品类别：`, `Excluded category:`), one in quotes, and one
    behind words that rule out, suppose or tell what a screen shows, announce nothing.
    """
    starts, inner = [], []
    for match in marker.finditer(text):
        earlier, _, before = text[: match.start()].rpartition("\n")
        if _DECORATION.fullmatch(before):
            if not _is_led_off(earlier):
                starts.append(match)
        elif _announces(before):
            inner.append(match)
    return starts or inner


def _is_led_off(earlier: str) -> bool:
    """Whether what stands on the lines before quotes, supposes or rules out the line that follows."""
    if sum(map(earlier.count, _OPENING)) > sum(map(earlier.count, _CLOSING)):
        return True
    line = earlier.rstrip().rpartition("\n")[2]
    return line.endswith(("：", ":")) and _NOT_STATED.search(line) is not None


def _announces(before: str) -> bool:
    """Whether a heading behind these words of its line is one."""
    if sum(map(before.count, _OPENING)) > sum(map(before.count, _CLOSING)) or before.count('"') % 2:
        return _DECORATION.fullmatch(before.strip(_OPENING + '"')) is not None  # the whole answer is quoted
    end = before[-_LOOKED_AT:]
    if _LEADING.search(end) or _SENTENCE_END.search(end):
        return True
    clause = _CLAUSE.split(before.rstrip("，,、（( \t\u3000"))[-1]
    if _NOT_STATED.search(clause):
        return False
    if _PAUSE.search(end):
        return True
    is_apart = before != before.rstrip() and not before.rstrip()[-1:].isascii()
    return is_apart and len(re.split("[：:]", clause)[-1].strip()) >= _SHORTEST_CLAUSE


def second_thought(text: str, label: str, labels: LabelSet) -> str:
    """The words behind a stated label that take it back or name another one; "" for none."""
    for clause in filter(str.strip, _CLAUSE.split(text)):
        if _TAKES_BACK.search(clause) or _other(clause, label, labels) or _denies(clause, label):
            return clause.strip()
    return ""


def correction(text: str, label: str, labels: LabelSet | None) -> str:
    """The words of an explanation that put another label in the place of the stated one; "" for none."""
    for sentence in re.split(r"[。！？!?\n]", text):
        is_supposed = False
        for clause in _CLAUSE.split(sentence):
            is_supposed = is_supposed or _SUPPOSES.search(clause) is not None
            match = None if is_supposed else _REPLACES.search(clause)
            if match and labels is not None and _other(clause[match.end() :], label, labels):
                return clause.strip()
            if not is_supposed and _denies(clause, label):
                return clause.strip()
    return ""


def _denies(clause: str, label: str) -> bool:
    """Whether a clause says that it is not this label."""
    return re.search(_DENIES_OWN + re.escape(label), clause, re.IGNORECASE) is not None


def _other(clause: str, label: str, labels: LabelSet) -> bool:
    """Whether a clause names another label, and not to tell it apart."""
    form, own = normal_form(clause), normal_form(label)
    for name in sorted(labels.names, key=len, reverse=True):
        at = form.find(normal_form(name))
        if at < 0:
            continue
        if normal_form(name) != own and name not in label and not _DENIES.search(form[:at]):
            return True
        form = form.replace(normal_form(name), "\0")
    return False
