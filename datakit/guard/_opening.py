"""Whether a reason opens with its conclusion: names its label before it gives any evidence."""

from __future__ import annotations

import re

from datakit.core.labels import Label, LabelSet, normal_form
from datakit.core.quotations import quotations
from datakit.guard import _english_conclusion as english
from datakit.guard._conclusion import DESCRIBES, REFUSES, UNFIT, is_denied, is_told_apart, without_quotations
from datakit.guard._english_conclusion import HIDDEN

_SENTENCES = re.compile(r"[。！？!?\n]|…+|\.{3,}")
_CLAUSES = re.compile(r"[，,；;：:—]")
_CLAUSE_OR_SENTENCE = re.compile(f"{_CLAUSES.pattern}|{_SENTENCES.pattern}")
_OPENING_WORDS = """
    这 此 该 本 上述 其 它 我 一 张 幅 份 个 种 图片 图像 图 截图 画面 页面 界面 屏幕 照片 影像 片子 内容
    整体 显然 明显 很 非常 典型 明确 清楚 清晰 展示 显示 呈现 可以 能够 能 可 可见 看出 看到 看 得出 知道
    判断 判定 认定 确定 推断 归类 归入 归为 归 分类 应该 应当 应 当 属于 属 为 是 即 就 正 确实 的 了 出
    上 结论 类别 类型 标签 答案 最终 最后 首先 因此 所以 故 由此 综上 毫无 疑问 无疑 根据 依据 据 从 由
    布局 来看 来说 综合 分析 经过 标题 结构 风格 样式 外观 信息 特征 特点 元素 视觉 版式 总体 认为 觉得
    手机 用户 上传 提供 答 难 最 描述 中 里 内 如 我们 知 得 将 把 被 与 对应 像 来自 选择 选 拍 观察 仔细
    通过 结合 判 结果 对 在 那 么 有 电商 平台 app 文字 就是 由于 因为 理由 一类 这类 所见 印象 诊断 考虑
    提示 符合 见 显而易见 不用多想 毫不犹豫 没有 没 先说 依 凭 思考 起来 乍 乃 定为 归到 绝 可能 一定 说明
    表明 呢 吧 啊 且 并 而 但 又 如下 细节 各处 经 直觉
"""
_VAGUE = re.compile(f"{'|'.join(sorted(_OPENING_WORDS.split(), key=len, reverse=True))}|[\\W\\d_]")
"""What may stand before a conclusion without being evidence, in the form that `normal_form` gives."""
_IDIOMS = re.compile(
    r"(?:[也又更既并]*(?:不是|并非|绝非|不属于|排除)[^,;:。!?]{2,10}?(?:页面?|界面|截图|图片|类)[,;、]*)+(?=而是|就是|应?当?是)"
    r"|(?:从|在)?(?:[这全]部?)?(?:\d+|[一二两三四五六七八九十百]+|各|多|众多|所有|全部|每)[个种类]?(?:类别|选项|候选|标签|分类)(?:[里中]|之[中一])?"
    r"|(?:选项|候选|类别|标签|备选)(?:[里中]|之中)?|(?:倘若|假如|假使|若|如果|要是)(?:只能|必须|非要|一定要|让我|要我|叫我|由我)?来?"
    r"|(?:只能|必须)?给(?:它|出)?一个|最?(?:贴切|贴近|接近|妥当|稳妥|恰当|合适)|莫过于|必然|翻遍|唯有|惟有|唯一|只有|经验|告诉|凡是"
    r"|(?:出现|看到|遇到|见到)?(?:这种|这样|此类|这类|这般)的?(?:排版|画面|版式|界面|布局|样子|情形)?|多半|八成|九成|十有八九|想必|恐怕|大概"
    r"|逐[一个](?:比较|对比|排除|核对|筛选)?|排除之?后|(?:最后)?只?剩下?|半?点?悬念|落[在入到]|这一[格类栏]|毫不|犹豫|写下|老实|第二[种个]"
    r"|截下|自己|挑[出选]?|选[出定]|首推|当推|二话不说|简而言之|总而言之|一言以蔽之|归根结底|思来想去|左思右想|权衡|掂量|琢磨|再三|一番|之后"
    r"|锁定|敲定|断定|拍板|除了?|毫无|舍|还能|说得通|其余|其他|别的|都|不如|放[进到在]|会"
)
"""Idioms that lead to a conclusion, and say nothing of the picture: pages that it is not among them."""
_NO_EVIDENCE = 2
"""Characters besides those words that are no evidence yet, in all that stands before the conclusion's clause,
as are that many and one in this. A list of words has gaps, and evidence is longer."""
_TELLS = re.compile(
    r"[有无没列含写带附缺少只仅由从凭据见现已了]|(?<!目)标(?![签准为])|要求|包括|因为|由于|根据|是一(?![张个幅份种])"
)
_TOLD = 2
"""With such a word so many characters are evidence: `有编号`."""
_WRITTEN = re.compile(
    r"(?:写|(?<!目)标(?![签准为注])|题|字样|文字|按钮|读到|名为|印|入口|选项|[首末第一1]行|点击|点开)"
    r"(?:着|有|了|明|出|到|是|为|的)*[:：]?\s*$|标题(?!看|来看|判断|可|就)[^是为]{0,4}(?:是|为)?$"
)
"""Before a name that can be read on the picture."""
_HEADING = re.compile(r"\s*(?:[—–:：=,，.。\-]|$)")
"""Behind a name in quotes that a text opens with: it is a conclusion, no line of the picture."""
_LEADS_ON = re.compile(
    r"(?:[是为即像选属归见打填]|写下|属于|归[为入类到属]+|判[断定]?为?|选择|符合|对应|展示|显示|呈现|拍摄|来自|类别|类型"
    r"|标签|答案|答|结论|分类|诊断|印象|理由|判断|判定|认定|的|看来|考虑|提示|指向|倾向于?|此乃|首选|定为)"
    r"(?:[的了是为即就正一这那张个幅份种类款出到在于属型很]|典型|明显|标准|非常|完整|常见|普通|电商|淘宝|手机|[\W_])*+$"
)
_ENDS = re.compile(
    r"[\W_]|$|的(?:特征|典型|样式|界面|页面|截图|图|情形|描述|特点|标志|布局|内容|样|一)|因为|由于|无疑|截图|图片"
    r"|无误|没错|没跑|莫属|[一这]?类(?!目)|是(?:最|唯一|正确)|最(?:合适|贴切|符合)|之|的?可能性?(?:最|很|较)"
)
"""What may follow a name that nothing leads to: `退款页面标题写在顶部` speaks of a title."""
_NAMES_TEXT = re.compile(
    r"(?:这?[一二三四五六七八九十几两\d]+个?(?:大|小|汉)?字|字样|标题|按钮|入口|文字|一词|标签页|选项)"
)
_ANSWERS = re.compile(r"(?:写下|填[上入写下]?|打上|贴上|标上|给出|输出|答)[了出的]*[^,，;；]{0,4}$")
"""Before a name that the writer gives, however many signs he says it has: `写下退款页面四个字`."""
_ASKS = re.compile(r"是不是|是否|不同于|区别于|有别于|区分|混淆|相比|与其|难道|如果|若")
_REFUSED = re.compile(f"{REFUSES}$")
_UNFIT = re.compile(UNFIT)
_SHORTEST_ALIAS = 4
_EVERYDAY = 2
"""Names so short are everyday words: `肺野是正常的` is evidence."""
_REACH = 40
_PLENTY = 6
"""Characters that are evidence whatever they say, before a name that evidence follows: idioms are shorter."""
_NUMBER = re.compile(r"\d[\d.,]*")
_PAGE = re.compile(r"(?:截图页面|页面|截图|图片)$")
_PAGES = ("页", "界面", "截图", "画面", "页面")
"""What the end of a name may be said as: 退款页, 退款界面."""
_PARTICLE = r"(?:一?类|相关|这[类种]|方面)?(?:的|之)?"
_MARKER = re.compile(r"^[\s\d.、)）*#>_（(【\[-]+")


def opens_with_label(text: str, label: Label) -> bool:
    """Whether a text names its label before it gives any evidence: `这是退款页面，因为…`.

    Where a quotation follows the name and none stands before it, only plenty of words of the reason's own
    are evidence: six characters or four English words that are not the label's and could not stand in any
    reason. Else that is in the first sentence that says anything, unquoted, and asserted or denied of this
    picture. Evidence is a quotation, or words that could not stand in any reason: three characters of them,
    or two beside a word such as 有. A short alias counts where a word of conclusion leads to it. A name in
    quotes is a text of the picture, unless it is concluded, or is a heading of its own.
    """
    plain = _joined(_opening(text, label), label)
    names = {english.plain_form(name): name for name in (label.name, *label.aliases)}
    whole = english.pattern_of(names)
    if english.is_english(whole.sub("", english.plain_form(plain))):
        return english.names_before_evidence(plain, whole) or english.opens_with(plain, whole)
    if _names_before_evidence(normal_form(plain), label):
        return True
    forms = [normal_form(name) for name in names.values()]
    sentences = [part for part in _SENTENCES.split(_MARKER.sub("", plain)) if part.strip()]
    while len(sentences) > 1 and not _is_evidence(first := normal_form(sentences[0]), _NO_EVIDENCE):
        if any(form in first for form in forms):
            break
        sentences = sentences[1:]
    form = normal_form(sentences[0]) if sentences else ""
    return any(
        _opens_with(form, normal_form(name), name == label.name) for name in (label.name, *label.aliases)
    )


def _opening(text: str, label: Label) -> str:
    """The text with its quotations hidden, but for the label's name where that is a conclusion."""
    own = LabelSet((label,))
    for quotation in quotations(text)[:1]:
        head = _MARKER.sub("", text[: quotation.start])
        if not head.strip() and own.find(quotation.text) and _HEADING.match(text, quotation.end):
            text = head + quotation.text + text[quotation.end :]
    return without_quotations(text, own, HIDDEN)


def _joined(text: str, label: Label) -> str:
    """The text with the label's name as it is where a particle stands in it: `退款的页面`."""
    for name in (label.name, *label.aliases):
        page = _PAGE.search(name)
        if page and len(stem := name[: page.start()]) >= _TOLD:
            text = re.sub(rf"({re.escape(stem)}){_PARTICLE}(?={page[0]})", r"\1", text)
    return text


def _names_before_evidence(form: str, label: Label) -> bool:
    """Whether the label is named in front of the first quotation with hardly a word before it, or in the very
    first clause with more behind it."""
    quoted = _first_quotation(form)
    end = next((match.start() for match in _CLAUSE_OR_SENTENCE.finditer(form)), len(form))
    if quoted is None and len(_VAGUE.sub("", form[end:])) < _TOLD:
        return False
    forms = _spellings(label)
    own = {name[at : at + 2] for name in forms for at in range(len(name) - 1)}
    for match in re.finditer("|".join(map(re.escape, forms)) or r"(?!)", form):
        before, after = form[: match.start()], form[match.end() :]
        if match.end() > (end if quoted is None else quoted) or _content(before, own) >= _PLENTY:
            return False
        if _judges(before, after) and (quoted is not None or _LEADS_ON.search(before[-_REACH:])):
            return True
    return False


def _first_quotation(form: str) -> int | None:
    """Where the first quotation stands that is not told apart."""
    for match in re.finditer(HIDDEN, form):
        if not is_denied(_CLAUSE_OR_SENTENCE.split(form[: match.start()])[-1]):
            return match.start()
    return None


def _spellings(label: Label) -> list[str]:
    """The name and aliases with what their ends may be said as, the longest first; none that is an everyday
    word."""
    names = [normal_form(name) for name in label.aliases if len(name) >= _SHORTEST_ALIAS]
    names += [normal_form(label.name)] if len(label.name) > _EVERYDAY else []
    names += [
        stem + page
        for name in names
        if _PAGE.search(name) and len(stem := _PAGE.sub("", name)) >= _TOLD
        for page in _PAGES
    ]
    return sorted(set(names), key=lambda name: (-len(name), name))


def _judges(before: str, after: str) -> bool:
    """Whether a name between these is said of the picture, and not read on it, told apart or described."""
    clause = _CLAUSE_OR_SENTENCE.split(before)[-1]
    return not (
        _names_text(clause, after)
        or _ASKS.search(clause)
        or _WRITTEN.search(clause)
        or DESCRIBES.match(after)
        or is_told_apart(after)
        or is_denied(_IDIOMS.sub("", clause))
    )


def _names_text(clause: str, after: str) -> bool:
    """Whether a name is that of a text of the picture."""
    return _NAMES_TEXT.match(after) is not None and _ANSWERS.search(clause) is None


def _content(text: str, own: set[str]) -> int:
    """Characters that are not the label's and could not stand in any reason; a number is two."""
    said = _MARKER.sub("", _IDIOMS.sub("", text))
    spared = re.sub("|".join(map(re.escape, own)) or "(?!)", "", said)
    return len(_VAGUE.sub("", spared)) + _TOLD * len(_NUMBER.findall(spared))


def _opens_with(form: str, name: str, is_name: bool) -> bool:
    opening, found, rest = form.partition(name)
    *intro, clause = _CLAUSES.split(opening)
    if not found or HIDDEN in opening or _names_text(clause, rest):
        return False
    if _ASKS.search(clause) or _WRITTEN.search(clause) or _is_evidence("".join(intro), _NO_EVIDENCE):
        return False
    refused = _REFUSED.search(clause)
    if refused or _UNFIT.match(rest):
        return not _is_evidence(clause[: refused.start()] if refused else clause, 0)
    if is_told_apart(rest) or is_denied(opening):
        return False
    is_short = len(name) < _SHORTEST_ALIAS and not is_name
    most = 0 if is_short or len(name) <= _EVERYDAY else _NO_EVIDENCE + 1
    if _is_evidence(clause, most):
        return False
    leads = _LEADS_ON.search(opening[-_REACH:]) is not None
    if is_short:
        return leads and _ENDS.match(rest) is not None
    return leads or (is_name and _ENDS.match(rest) is not None)


def _is_evidence(form: str, most: int) -> bool:
    """Whether a clause says more than so many characters that could not stand in any reason."""
    content = len(_VAGUE.sub("", form))
    return content > most or (content >= _TOLD and _TELLS.search(form) is not None)
