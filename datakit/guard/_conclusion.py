"""Which label a Chinese reason concludes, and whether that is another than its own."""

from __future__ import annotations

import re
from dataclasses import dataclass

from datakit.core.labels import LabelSet, normal_form

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

    def __post_init__(self) -> None:
        forms = {normal_form(label.name): label.name for label in self.labels.labels}
        for label in self.labels.labels:
            for alias in label.aliases:
                if len(alias) >= _SHORTEST_ALIAS:
                    forms.setdefault(normal_form(alias), label.name)
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        object.__setattr__(self, "_forms", forms)
        object.__setattr__(self, "_any", re.compile("|".join(map(re.escape, longest_first)) or r"(?!)"))

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
            for match in self._any.finditer(form):  # type: ignore[attr-defined]
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
