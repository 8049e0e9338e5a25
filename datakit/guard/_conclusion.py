"""Which label a reason concludes, whether that is another than its own, and whether it opens with it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from datakit.core.labels import LabelSet, normal_form
from datakit.core.quotations import Quotation, quotations
from datakit.guard import _english_conclusion as english

_SENTENCES = re.compile(r"[。！？!?\n]")
_CLAUSES = re.compile(r"[，,；;：:]")
_CONCLUDES = re.compile(
    r"因此|所以|故|可见|由此|综上|属于|归入|归为|归类|判断为|判定为|判断是|认定|应为|应是|结论|类别是|类别为|确定为|即为"
    r"|(?:结果|答案|标签|类型|诊断|印象)(?:是|为)|应选|应该选|选择"
)
_STATES = re.compile(
    r"^(?:显然|明显|综合来看|可以看出)?(?:这|此|该|本|它|其|图|截图|页面|画面|界面|图片)[^是为]{0,8}(?:是|为)(?:一[张个幅份种])?(?:典型的?|明显的?)?$"
)
"""What stands before a label that a sentence is all about: `这张截图是退货页面`."""
_STATED = re.compile(r"$|的?(?:截图|图片|界面|画面|图|照片)$")
_GIVES = re.compile(
    r"(答案|结论|类别|标签|分类|结果|类型|判断|判定|诊断|印象|"
    r"\b(?:label|class|category|answer|conclusion|diagnosis|impression|result))\s*[:：]\s*",
    re.IGNORECASE,
)
_OR = re.compile(r"[\W_]*(?:或者?是?|还是|和|与|及|以及|/|、|or)[\W_]*")
_NO_DENIAL = (
    r"(?:并非|不是|不会|不能|不得|无法|难道|不能说)不(?:是|属于|归为|归入)?|难道不是|(?:不可能|何尝|岂)不是?|岂不是|(?:无法|不能|不可|不容)(?:否认|置疑|怀疑)"
    r"|(?:毫无|没有|并无|无)(?:任何|什么)?(?:疑问|疑义|异议|争议|悬念)|无疑|不(?:仅|只|光|单|但)仅?是?|不如说是?|非[常但凡]|[无莫]非"
)
"""What holds a word of denial and affirms."""
_DENIALS = (
    r"不应?该?选择?|是不是|是否|不是|并非|绝非|而非|(?<![除是莫])非(?:属于?|是)?$|不(?:太|再|完全|大)?(?:是|像|属于?)|不同于|区别于|有别于"
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
REFUSES = (
    r"(?:不是|并非|绝非|不属于|不应(?:归为|归入|为|是)|不能归为|(?:绝|决|并|根本|完全)?不(?:可能|会)?(?:是|为|属于)"
    r"|排除(?:了|掉)?)"
)
UNFIT = (
    r"(?:的[^,，;；。]{0,4})?(?:明显|完全|都|均|并|也|全|毫|截然)*"
    r"(?:不(?:符|一致|成立|匹配|相符|合适|吻合|沾边)|无关|说不通|可以?排除)"
)
"""Behind a label's name: it is not this one."""
_CANNOT = "(?:不能|无法|不可|难以|尚未|未能|没有|不)"
_SURELY = "(?:显然|明显|绝对|肯定|根本|因此|所以|可以|应当?|首先|故)*"
DESCRIBES = re.compile(
    r"(?:页面?|这?类|类型|的图)?(?:一般|通常|往往|常常?|多半?|大多|总是?|都|才|则|必然?|按理|本该|本应|理应|照例|普遍)*"
    r"(?:会(?!是)|应(?:该|当)?有|要有|有|含|出现|显示|列出|需要?|必须|要求?|带|写着?|以"
    r"|的(?:典型|主要|常见)?(?:特征|标志|特点|样式)(?:[是为在有]|通常|一般))"
)
"""Behind a name that a clause begins with: what such pictures usually have, not what this one is."""
_CONTRASTS = re.compile(r"(?:而|但是?|至于|相比之下|相反|反观|另外|真正的|如果是|换作)*")
_SUPPOSES = re.compile(r"如果|假如|假设|倘若|要是|若(?=[有是为出显])")
_NONE_ELSE = "莫属"
"""Behind a label it turns `非` round: none but this one."""
_SHORTEST_ALIAS = 4
"""Shorter aliases (直播, 正常) are everyday words."""


def _names_of(labels: LabelSet) -> list[str]:
    """The names and long aliases of labels."""
    return [
        name
        for label in labels.labels
        for name in (label.name, *(alias for alias in label.aliases if len(alias) >= _SHORTEST_ALIAS))
    ]


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
        words = {english.plain_form(name): self.labels.find(name) for name in _names_of(self.labels)}
        object.__setattr__(self, "_words", {form: label.name for form, label in words.items() if label})
        object.__setattr__(self, "_whole", english.pattern_of(self._words))  # type: ignore[attr-defined]
        object.__setattr__(self, "any", re.compile("|".join(map(re.escape, longest_first)) or r"(?!)"))

    def other(self, text: str, label: str) -> str | None:
        """What the reason concludes in place of its own label: another one, or that it is not its own
        (`不是退款页面`); None when it does neither.

        Looked at: clauses with a word of conclusion, sentences that say what the picture is, and the last
        sentence. Quoted words are evidence, but for a label's name behind such a word. A neighbour behind
        不是, 而非, 不同于, 区别于 and the like is named to tell it apart, up to a word that affirms (而是,
        属于). 非常, 没有疑问 and 不能不 deny nothing. English is read by its own words.
        """
        own = self.labels.find(label)
        own_name = own.name if own else label
        plain = without_quotations(text, self.labels, "")
        if english.is_english(self._without_names(plain)):
            return english.other(plain, own_name, self._words, self._whole)  # type: ignore[attr-defined]
        # The label's own names hold brackets and dashes; widths are folded as in labels.
        sentences = [sentence for sentence in _SENTENCES.split(plain) if sentence.strip()]
        strangers: list[str] = []
        denies_own = False
        for number, sentence in enumerate(sentences):
            last = number == len(sentences) - 1
            names, joined = self._concluded(_GIVES.sub(r"\1为", sentence), last)
            beside = [name for pair in joined if own_name in pair for name in pair if name != own_name]
            if names.count(own_name) > len(beside):
                return None
            strangers += beside or names
            denies_own = denies_own or _denies(sentence, own_name)
        return strangers[0] if strangers else f"不是{own_name}" if denies_own else None

    def _without_names(self, text: str) -> str:
        return self._whole.sub("", english.plain_form(text))  # type: ignore[attr-defined, no-any-return]

    def _concluded(self, sentence: str, last: bool) -> tuple[list[str], list[tuple[str, str]]]:
        """The labels that a sentence concludes, and those of them that stand side by side (`甲或乙`)."""
        names, joined, supposed = list[str](), list[tuple[str, str]](), False
        for clause in _CLAUSES.split(sentence):
            supposed = supposed or _SUPPOSES.search(clause) is not None
            if supposed:
                continue
            form, concludes = normal_form(clause), last or _CONCLUDES.search(clause) is not None
            denied, before = False, 0
            for match in self.any.finditer(form):
                for turn in _TURNS.finditer(form, before, match.start()):
                    denied = turn["denies"] is not None
                is_beside = before > 0 and _OR.fullmatch(form, before, match.start()) is not None
                before = match.end()
                if not concludes and not (
                    _STATES.match(form[: match.start()]) and _STATED.match(form, before)
                ):
                    continue
                if _CONTRASTS.fullmatch(form[: match.start()]) and DESCRIBES.match(form, before):
                    continue
                is_only = form.startswith(_NONE_ELSE, before)
                if is_only or not (denied or _TOLD_APART.match(form, before)):
                    name = self._forms[match[0]]  # type: ignore[attr-defined]
                    if is_beside and names and names[-1] != name:
                        joined.append((names[-1], name))
                    names.append(name)
        return names, joined


def _denies(sentence: str, label: str) -> bool:
    """Whether a sentence concludes that it is not this label."""
    form, name = normal_form(sentence), re.escape(normal_form(label))
    denied = f"(?:{REFUSES}{name}|[与和跟同]?{name}{UNFIT})"
    stated = rf"(?:这|此|该|本|它|其)[^,;:是为不并]{{0,8}}{REFUSES}{name}"
    states = re.match(f"{stated}|{_SURELY}{denied}", form)
    concludes = _CONCLUDES.search(sentence) and re.search(denied, form)
    return bool(states or concludes) and not re.search(rf"(?:并非|不能说|难道){REFUSES}|{_CANNOT}排除", form)


def names_label(quotation: Quotation, text: str, labels: LabelSet | None) -> bool:
    """Whether a quotation is a label's name that is concluded or told apart (`属于“退款页面”`), and no text
    of the picture."""
    if labels is None or labels.find(quotation.text) is None:
        return False
    return leads_to_label(text[: quotation.start]) or is_told_apart(text[quotation.end :])


def own_words_of(labels: LabelSet | None) -> Callable[[str], str]:
    """A function that takes quotations and the labels' names, aliases and keywords out of a text: what is
    left is in the writer's language."""
    given = [
        word
        for label in (labels.labels if labels else ())
        for word in (label.name, *label.aliases, *label.keywords)
        if not english.has_han(word)
    ]
    whole = english.pattern_of({english.plain_form(word): word for word in given if word.strip()})
    nothing = LabelSet(())

    def own_words(text: str) -> str:
        return whole.sub("", english.plain_form(without_quotations(text, nothing, "")))

    return own_words


def without_quotations(text: str, labels: LabelSet, instead: str) -> str:
    """The text without what it quotes; a label's name that is concluded or told apart loses its marks."""
    pieces, at = [], 0
    for quotation in quotations(text):
        if not quotation.is_closed:
            continue
        name = quotation.text if names_label(quotation, text, labels) else instead
        pieces += [text[at : quotation.start], name]
        at = quotation.end
    return "".join([*pieces, text[at:]])


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
_SHOWS = re.compile(
    r"(?:(?:标题|文字|字样|按钮|[一1首末]行|顶部|底部|上方|下方|中部|中间|标题栏|标签页|处)(?:是|为)|写|标|显示|读到|看到|见到?|有|出现|印|题|标题为?|名为|字样|文字为?|内容为"
    r"|says?|reads?|shows?|titled?|text|words?|written)"
    r"(?:着|有|了|明|出|到|是|为)?[:：]?\s*$",
    re.IGNORECASE,
)


def leads_to_label(before: str) -> bool:
    """Whether the clause that a label's name stands at the end of concludes it or tells it apart, and does
    not say that it can be read."""
    clause = _CLAUSE_END.split(_GIVES.sub(r"\1为", before))[-1]
    return _LEADS.search(clause) is not None and _SHOWS.search(clause) is None


def is_denied(before: str) -> bool:
    """Whether what stands before a label's name denies it."""
    turns = [turn["denies"] is not None for turn in _TURNS.finditer(before)]
    return bool(turns) and turns[-1]


def is_told_apart(after: str) -> bool:
    """Whether what stands behind a label's name tells it apart."""
    return _TOLD_APART.match(after) is not None
