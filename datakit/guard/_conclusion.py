"""Which label a Chinese reason concludes, and whether that is another than its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from datakit.core.labels import Label, LabelSet, normal_form

_QUOTED = re.compile(r"“[^”]*”|「[^」]*」|『[^』]*』|\"[^\"]*\"|《[^》]*》|‘[^’]*’")
_SENTENCES = re.compile(r"[。！？!?\n]")
_CLAUSES = re.compile(r"[，,；;：:]")
_CONCLUDES = re.compile(
    r"因此|所以|故|可见|由此|综上|属于|归入|归为|归类|判断为|判定为|判断是|认定|应为|应是|结论|类别是|类别为|确定为|即为"
)
_NO_DENIAL = (
    r"(?:并非|不是|不会|不能|不得|无法|难道|不能说)不(?:是|属于|归为|归入)?|难道不是|(?:不可能|何尝|岂)不是?|岂不是|(?:无法|不能|不可|不容)(?:否认|置疑|怀疑)"
    r"|(?:毫无|没有|并无|无)(?:任何|什么)?(?:疑问|疑义|异议|争议|悬念)|无疑|不(?:仅|只|光|单|但)仅?是?|不如说是?|非[常但凡]"
)
"""What holds a word of denial and affirms."""
_DENIALS = (
    r"是不是|是否|不是|并非|绝非|而非|(?<![除是莫])非(?:属于?|是)?$|不(?:太|再|完全|大)?(?:是|像|属于?)|不同于|区别于|有别于"
    r"|排除|区分|不应该?当?被?(?:视为|算作|是|为|归[为入类])?|不该|不宜|不能(?:归[为入类]|算作?|认定为?|判[断定]为|是|为)?|不等于|不会(?:是|为)?"
    r"|不算|不归[为入类]?|没有|无关|混淆|相比|而不(?:是|属于)?|与其说?是?|尚未|并?未(?:必是?|能|到|见|出现|显示|达到)|不(?:太|大)?可能(?:是|为|属于)?|不见得是?|怎(?:么|会).{0,2}(?:可能)?是?"
    r"|(?:难以|无法|不应|不宜|不足以)(?:归为|归入|判断为|判定为|认定为|视为|算作)|算不上|谈不上|称不上|够不上|不构成|不符合?|不考虑|不满足|否认|不支持"
)
_AFFIRMS = (
    r"而是|属于|归入|归为|归类为?|判断(?:为|是)|判定(?:为|是)|认定(?:为|是)?|应该?当?(?:为|是)|就是|正是"
    r"|确定为|即为|是|为"
)
_TURNS = re.compile(f"{_NO_DENIAL}|(?P<denies>{_DENIALS})|{_AFFIRMS}")
_TOLD_APART = re.compile(
    r"的?(?:可能性?|特征|情况|样式|场景)?(?:[均都也可被应已并]|可以|予以|明显|截然|完全)*"
    r"(?:不同|有别|相?区别|无关|区分|排除|不符|不一致|不成立|不匹配|混淆|不合适|说不通|不恰当|不准确|不适用|不对)"
    r"|的?可能性?(?:很|较|极|非常|比较)?(?:小|低|不大)"
)
_SUPPOSES = re.compile(r"如果|假如|假设|倘若|要是|若(?=[有是为出显])")
_NONE_ELSE = "莫属"
"""Behind a label it turns `非` round: none but this one."""
_SHORTEST_ALIAS = 4
"""Shorter aliases (直播, 正常) are everyday words."""


@dataclass(frozen=True)
class Conclusions:
    """Finds the labels that a text concludes."""

    labels: LabelSet
    any: re.Pattern[str] = field(init=False)
    """Finds every name and long alias in a text's normal form, the longest first."""

    def __post_init__(self) -> None:
        forms = {normal_form(label.name): label.name for label in self.labels.labels}
        for label in self.labels.labels:
            for alias in label.aliases:
                if len(alias) >= _SHORTEST_ALIAS:
                    forms.setdefault(normal_form(alias), label.name)
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        object.__setattr__(self, "_forms", forms)
        object.__setattr__(self, "any", re.compile("|".join(map(re.escape, longest_first)) or r"(?!)"))

    def other(self, text: str, label: str) -> str | None:
        """What the reason concludes in place of its own label: another one, or that it is not its own
        (`不是退款页面`); None when it does neither.

        Looked at: clauses with a word of conclusion, and the last sentence. Quoted words are evidence, not
        conclusions. A neighbour behind 不是, 而非, 不同于, 区别于 and the like is named to tell it apart, up
        to a word that affirms (而是, 属于). 非常, 没有疑问 and 不能不 deny nothing.
        """
        own = self.labels.find(label)
        own_name = own.name if own else label
        # The label's own names hold brackets and dashes; widths are folded as in labels.
        plain = _QUOTED.sub("", text)
        sentences = [sentence for sentence in _SENTENCES.split(plain) if sentence.strip()]
        strangers: list[str] = []
        denies_own = False
        for number, sentence in enumerate(sentences):
            last = number == len(sentences) - 1
            names = self._concluded(sentence, last)
            if own_name in names:
                return None
            strangers += names
            denies_own = denies_own or _denies(sentence, own_name)
        return strangers[0] if strangers else f"不是{own_name}" if denies_own else None

    def _concluded(self, sentence: str, last: bool) -> list[str]:
        names, supposed = [], False
        for clause in _CLAUSES.split(sentence):
            supposed = supposed or _SUPPOSES.search(clause) is not None
            if supposed or not (last or _CONCLUDES.search(clause)):
                continue
            form = normal_form(clause)
            denied, before = False, 0
            for match in self.any.finditer(form):
                for turn in _TURNS.finditer(form, before, match.start()):
                    denied = turn["denies"] is not None
                before = match.end()
                is_only = form.startswith(_NONE_ELSE, before)
                if is_only or not (denied or _TOLD_APART.match(form, before)):
                    names.append(self._forms[match[0]])  # type: ignore[attr-defined]
        return names


def _denies(sentence: str, label: str) -> bool:
    """Whether a sentence concludes that it is not this label."""
    denial = r"(?:不是|并非|绝非|不属于|不应(?:归为|归入|为|是)|不能归为)"
    return _CONCLUDES.search(sentence) is not None and bool(
        re.search(denial + re.escape(normal_form(label)), normal_form(sentence))
        and not re.search(rf"(?:并非|不能说|难道){denial}", normal_form(sentence))
    )


def mask_of(labels: LabelSet) -> Callable[[str], str]:
    """A function that takes the labels' names out of a text, so that texts of two labels can be compared.

    Aliases of four characters and more count as names. White space, case and width go too.
    """
    names = Conclusions(labels)

    def mask(text: str) -> str:
        return names.any.sub("□", normal_form(text))

    return mask


_CLAUSE_END = re.compile(r"[，,；;：:。！？!?\n]")
_LEADS = re.compile(
    rf"{_CONCLUDES.pattern}|{_DENIALS}|{_AFFIRMS}|类别|类型|标签|与|和"
    r"|\b(?:is|as|to|of|not|than|from|unlike|class|label|category)\b",
    re.IGNORECASE,
)
_LEADS_GLUED = re.compile(r"(?:(?:is|as|be|to)(?:an?|the)?|class|label|category|answer|conclusion)[\W_]*$")
"""The same in English without white space."""
_SHOWS = re.compile(
    r"(?:写|标|显示|读到|看到|见到?|有|出现|印|题|标题为?|名为|字样|文字为?|内容为"
    r"|says?|reads?|shows?|titled?|text|words?|written)"
    r"(?:着|有|了|明|出|到|是|为)?[:：]?\s*$",
    re.IGNORECASE,
)


def leads_to_label(before: str) -> bool:
    """Whether the clause that a label's name stands at the end of concludes it or tells it apart, and does
    not say that it can be read."""
    clause = _CLAUSE_END.split(before)[-1]
    return _LEADS.search(clause) is not None and _SHOWS.search(clause) is None


def is_told_apart(after: str) -> bool:
    """Whether what stands behind a label's name tells it apart."""
    return _TOLD_APART.match(after) is not None


_OPENING_WORDS = """
    这 此 该 本 上述 其 它 我 一 张 幅 份 个 种 图片 图像 图中 图 截图 画面 页面 界面 屏幕 照片 影像
    片子 内容 整体 显然 明显 很 非常 典型 明确 清楚 清晰 展示 显示 呈现 看起来 看上去 可以 能够 能 可
    可见 看出 看到 看 得出 知道 判断 判定 认定 确定 断定 推断 归类 归入 归为 归属 归 分类 应该 应当 应
    当 属于 属 为 是 即 就 正 确实 的 了 出 上 结论 类别 类型 标签 答案 最终 最后 首先 因此 所以 故 由此
    综上 之所以 由于 因为 理由 一类 这类 所见 印象 诊断 考虑 提示 符合 见 this the it that these here we
    i image picture screenshot screen page photo photograph show shows showing depicts displays see seen
    is are was can be a an clearly obviously evidently therefore thus so hence label class category
    answer conclusion belongs belong to in of should must classified labelled labeled identified as
    because typical likely reason finding findings impression consistent with
"""
_OPENING = re.compile(
    # The longest word first, and none given back: a text of such words alone must not take for ever.
    f"(?:{'|'.join(sorted(_OPENING_WORDS.split(), key=len, reverse=True))}|[\\W_])*+"
)
"""What may stand before a conclusion without being evidence, in the form that `normal_form` gives."""
_OPEN_QUOTES = "“「『《\"'‘"


def opens_with_label(text: str, label: Label) -> bool:
    """Whether a text names its label before it gives any evidence: `这是退款页面，因为…`.

    An alias at the very beginning, or a name in quotes there, is a text of the picture.
    """
    form = normal_form(text)
    for name in (label.name, *(alias for alias in label.aliases if len(alias) >= _SHORTEST_ALIAS)):
        opening, _, rest = form.partition(normal_form(name))
        if len(opening) == len(form) or not _OPENING.fullmatch(opening):
            continue
        is_quoted = opening[-1:] in _OPEN_QUOTES and opening != "" and rest != ""
        if (name == label.name and not is_quoted) or _LEADS.search(opening) or _LEADS_GLUED.search(opening):
            return True
    return False
