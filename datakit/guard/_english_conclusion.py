"""Which labels an English reason concludes or denies, and whether it opens with one.

English tells by words what Chinese tells by characters: names are looked for as whole words (`abnormal` is
not `normal`), and a name before a noun (`normal heart size`) is an adjective.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

HIDDEN = "□"
"""Stands for a quotation: evidence."""
_HAN = re.compile(r"[㐀-鿿]")
_LATIN = re.compile(r"[A-Za-z]")
_SENTENCE = re.compile(r"[.!?](?=\s|$)|[\n;]")
_REACH = 120
"""Characters before a name in which its lead stands."""

_FILLERS = (
    r"(?:\s*(?:\b(?:a|an|the|clearly|obviously|certainly|definitely|plainly|most|likely|probably|typical|typically|"
    r"usual|classic|clear|standard|simple|ordinary|common|best|indeed|therefore|thus|hence|really|rather|very|it|"
    r"this|that|is|image|picture|screenshot|page|screen|photo|class|category|label|type|kind|sort|of|what|one|"
    r"be|been|called|named|shown|follows|user's|app's|shop's|an?\s+example)\b|[\"'(*_`]))*\s*$"
)
_SUBJECT = (
    r"\b(?:it|this|that|these|here|which|what|we|i|you|one|(?:the|this|that|our|my|a)\s+(?:\w+\s+){0,2}?(?:image|"
    r"picture|screenshot|screen|page|photo|photograph|film|scan|x-ray|radiograph|study|label|class|category|answer|"
    r"conclusion|diagnosis|impression|result|verdict|type|findings?))"
)
_VERB = (
    r"(?:'s|\s+(?:(?:clearly|obviously|certainly|definitely|most likely|probably|therefore|thus|hence)"
    r"\s+)*(?:(?:is|was|are|were|must|should|can|could|may|might|will|would|has|have|to)\s+)*"
    r"(?:is|was|be|been|are|seems?|appears?|"
    r"looks?|shows?|showing|depicts?|displays?|represents?|see|have|got|means|"
    r"indicates?|suggests?|confirms?|reveals?|falls|matches|fits|captures|contains))"
    r"(?:\s+(?:to be|like|under|into|in|as))?"
)
_RELATION = (
    r"\b(?:belong\w*\s+to|correspond\w*\s+to|consistent\s+with|compatible\s+with|in\s+keeping\s+with|typical\s+of|"
    r"indicative\s+of|diagnostic\s+of|characteristic\s+of|points?\s+to|(?:classif\w+|label+ed|label|categori[sz]ed?|"
    r"identified|recogni[sz]ed|described|diagnosed|assigned|filed|tagged|regarded|marked)\s+(?:\w+\s+){0,2}(?:as|to|"
    r"into|under|in)|(?:qualifies|counts|serves)\s+as|(?:label|class|category|answer|conclusion|diagnosis|impression|"
    r"result|verdict|type)\s*(?:[:=]|is\b|-|\bwould\b)|mak\w+\s+(?:it|this))"
)
_CAUSE = r"\b(?:so|hence|thus|therefore|consequently|conclud\w*|overall|but|instead|i\.e\.)(?:\s+that\b)?,?"
_STRONG = re.compile(f"(?:{_SUBJECT}{_VERB}|{_RELATION}|{_CAUSE}){_FILLERS}")
_WEAK = re.compile(
    r"\b(?:is|was|are|were|shows?|seen|as|to|of|with|like|has|have|sent|uploaded|shared|provided|a|an|there)\b"
    + _FILLERS
)
_AFFIRMING = re.compile(
    r"\b(?:not\s+only|no\s+(?:doubt|question)|(?:without|beyond)\s+(?:any\s+|a\s+)?(?:doubt|question)|nothing\s+but|"
    r"(?:none|nothing|no)\s+other\s+than|not\s+(?:anything\s+)?other\s+than|cannot\s+be\s+anything\s+but|can(?:not|'t)\s+deny|"
    r"not\s+(?:un)\w+ly|unmistakabl\w+)\b"
)
_DENIES = re.compile(
    r"n't\b|\b(?:not|no|never|neither|nor|without|cannot|unlike|rather\s+than|instead\s+of|differ\w*|distinguish\w*|"
    r"opposed\s+to|other\s+than|exclud\w+|rul\w+\s+out|absen\w+|free\s+of|lack\w*|negative\s+for|unlikely|nothing|"
    r"against|hardly|far\s+from|confus\w+|mistak\w+|similar\s+to|than|barely)\b"
)
_DIRECTLY = (
    r"(?:n't|\bcannot|\bnever|\bnot?)\b(?:\s+(?:evidence|signs?|suggestion|indication|trace)\s+of\b)?"
    + _FILLERS
)
_IS_SHOWN = re.compile(r"\s*(?:is|are)\s+(?:shown|displayed|depicted|seen|visible|present)\b")
_SUPPOSES = re.compile(r"\b(?:if|whether|were\s+it|would|might\s+have)\b")
_TOLD_APART = re.compile(
    r"\s*(?:(?:is|are|was|were|can\s+be|could\s+be|has\s+been)\s+)?(?:not\b|ruled\s+out|excluded|absent|unlikely|"
    r"would\b(?!\s+(?:be\s+(?:the|my|our)|fit|seem))|"
    r"does\s*n[o']t|do\s+not|don't|isn't|aren't|wasn't)"
)
_ENDS = re.compile(
    r"\s*(?:$|[^\w\s'□]|\b(?:because|since|as|with|and|or|but|rather|not|of|in|at|on|for|from|that|which|where|whose|"
    r"given|due|here|screenshot|image|picture|class|category|label|case|is|was|shown|by|than|instead|too|itself|"
    r"to|fits?|best|alone|indeed|without|beyond|present|would|it|seems|matches|"
    r"though|although|while|after|from)\b)"
)
_CUT = re.compile(r"[,:()—]|\s-\s|\b(?:but|so|hence|therefore|thus|yet|whereas|while|because|since)\b")
_TURN = re.compile(r"\b(?:but|so|hence|therefore|thus|instead|yet)\b|;")
_JOINED = re.compile(r"[\s\"'”’]*(?:/|,?\s*\b(?:or|and)\b)\s*(?:also\s+)?(?:a\s+|an\s+|the\s+)?[\"'“‘]*")
_SHOWS = re.compile(
    r"\b(?:titles?|titled|headings?|headed|headers?|captions?|text|words?|wording|buttons?|tabs?|menus?|links?|says?|"
    r"reads?|written|named)\b"
)
_VAGUE_WORDS = """
    a an the this that these those here it its it's we i you me my our one is are was were be been can
    could may must should will would has have had to of in into on as at by for from with and image images
    picture pictures screenshot screenshots screen page photo photograph photography film scan x-ray
    radiograph study app app's user user's sent uploaded shared provided given shows show showing shown
    depicts depict displays display displayed see seen look looks looking like appears appear seems seem
    clearly obviously evidently plainly certainly definitely surely undoubtedly unmistakably therefore
    thus so hence label labels class category type answer conclusion result verdict final best correct
    right most likely probably typical typically kind sort belongs belong corresponds correspond
    classified classify labelled labeled identified recognised recognized categorised categorized
    described diagnosed assigned regarded tell say conclude believe think judge judging based layout shape
    overall content contents appearance visual visible features feature structure elements first glance
    view opinion information evidence details design size style what without no doubt any question finding
    findings impression consistent well okay ok yes sure reason sum short general all everything
    considered after before analysis analysing analyzing examining inspection closer careful title text
    there's am hesitation hesitating confident words know known according there captured taken got contains
    example follows us let's i'd i'll i'm would go going pick picking picked choose choosing chosen opt
    opting settle lean leaning leans toward towards vote votes goes fit fits match matches best closest
    nearest only but everything points point pointing upon on reflection reflecting consideration thinking
    guess bet call verdict simply just really definite definitely hands down closely doubtless evident
    obvious apparent very much more less than anything else way far comes come end day said done nothing
    other put
"""
_VAGUE = frozenset(_VAGUE_WORDS.split())
_WORD = re.compile(r"[^\W_][\w'-]*")
_I_SAY = re.compile(r"\b(?:i|i'd|i'll|we|to)\s+(?:would\s+|will\s+|can\s+)?say\b")
_PLENTY = 4
"""Words that are evidence whatever they say, before a name that a quotation follows."""
_MOST_OTHERS = 1
"""Words of the opening's own clause that need not be vague, where the name has several words itself: `the
heart is normal` is evidence."""


def has_han(text: str) -> bool:
    """Whether a Chinese character stands in it."""
    return _HAN.search(text) is not None


def is_english(text: str) -> bool:
    """Whether a text, its labels and quotations left out, is written in Latin letters alone."""
    return _HAN.search(text) is None and _LATIN.search(text) is not None


def plain_form(text: str) -> str:
    """The text in the form in which names are looked for: one width, one case, one apostrophe."""
    form = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return re.sub(r"[^\S\n]+", " ", form)


def pattern_of(forms: Mapping[str, str]) -> re.Pattern[str]:
    """Finds names as whole words, the longest first; `forms` has them in `plain_form`."""
    longest_first = sorted(forms, key=lambda form: (-len(form), form))
    return re.compile(
        "|".join(rf"(?<![a-z0-9]){re.escape(form)}(?![a-z0-9])" for form in longest_first) or r"(?!)"
    )


class _Mention(NamedTuple):
    name: str
    is_own: bool
    is_denied: bool
    is_concluded: bool
    is_joined: bool
    """Whether it stands beside the mention before it (`a refund page or a return page`)."""


def other(text: str, own: str, forms: Mapping[str, str], names: re.Pattern[str]) -> str | None:
    """What an English reason concludes in place of its own label; see Conclusions.other."""
    sentences = [sentence for sentence in _SENTENCE.split(plain_form(text)) if sentence.strip()]
    strangers, denies_own = list[str](), False
    for number, sentence in enumerate(sentences):
        mentions = list(_mentions(sentence, own, forms, names, number == len(sentences) - 1))
        joined = [
            second.name if first.is_own else first.name
            for first, second in pairwise(mentions)
            if second.is_joined
            and first.is_own != second.is_own
            and not (first.is_denied or second.is_denied)
            and (first.is_concluded or second.is_concluded)
        ]
        if joined:
            strangers += joined
        elif any(mention.is_own and mention.is_concluded for mention in mentions):
            return None
        strangers += [mention.name for mention in mentions if mention.is_concluded and not mention.is_own]
        denies_own = denies_own or any(mention.is_own and mention.is_denied for mention in mentions)
    return strangers[0] if strangers else f"not {own}" if denies_own else None


def _mentions(
    sentence: str, own: str, forms: Mapping[str, str], names: re.Pattern[str], is_last: bool
) -> Iterator[_Mention]:
    end = 0
    for match in names.finditer(sentence):
        name, after = forms[match[0]], sentence[match.end() :]
        is_joined = end > 0 and _JOINED.fullmatch(sentence, end, match.start()) is not None
        end = match.end()
        before = sentence[: match.start()]
        if _SUPPOSES.search(before):
            continue
        is_denied = _is_denied(before) or _TOLD_APART.match(after) is not None
        leads = _STRONG.search(before[-_REACH:]) is not None
        if not leads and (is_last or name == own):
            leads = _WEAK.search(before[-_REACH:]) is not None or not before.strip(" *_\"'(")
        concludes = leads and not is_denied and _ENDS.match(after) is not None
        direct = is_denied and re.search(_DIRECTLY, before[-_REACH:]) is not None
        denies = is_denied if name != own else direct and _ENDS.match(after) is not None
        yield _Mention(name, name == own, denies, concludes, is_joined)


def _is_denied(before: str) -> bool:
    """Whether what stands before a name denies it; a list goes on with what its first member had."""
    turns = [match.start() for match in _TURN.finditer(before)]
    clause = before[turns[-1] :] if turns else before
    cuts = [match.start() for match in _CUT.finditer(clause)]
    segment = clause[cuts[-1] :] if cuts else clause
    if not re.search(r"\b(?:is|was|it|this|shows?|as|to)\b|[:(]", segment):
        segment = clause
    return _DENIES.search(_AFFIRMING.sub("", segment)) is not None


def opens_with(text: str, names: re.Pattern[str]) -> bool:
    """Whether an English text names its label, or denies it, before it gives any evidence."""
    form = re.sub(r"^[\s\d.)*#>_-]+", "", plain_form(text))
    sentences = [sentence for sentence in _SENTENCE.split(form) if re.search(r"[^\W_]", sentence)]
    while len(sentences) > 1 and _is_vague(sentences[0], 0) and not names.search(sentences[0]):
        sentences = sentences[1:]
    match = names.search(sentences[0]) if sentences else None
    if match is None:
        return False
    before, after = sentences[0][: match.start()], sentences[0][match.end() :]
    *intro, clause = re.split(r"[,:—=]|\s-\s", before)
    if HIDDEN in before or _SHOWS.search(clause) or not all(_is_vague(part, 0) for part in intro):
        return False
    if _RULED_OUT.match(after) or (_is_denied(before) and re.search(_DIRECTLY, before[-_REACH:])):
        return _is_vague(_DENIES.sub("", clause), 0)
    if _is_denied(before) or _TOLD_APART.match(after) or not _ENDS.match(after):
        return False
    if not _is_vague(clause, _MOST_OTHERS if " " in match[0] else 0):
        return False
    reach = before[-_REACH:]
    leads = _STRONG.search(reach) or _WEAK.search(reach) or _IS_SHOWN.match(after)
    return bool(leads) or _is_vague(clause, 0)


def names_before_evidence(text: str, names: re.Pattern[str]) -> bool:
    """Whether an English text names its label before its first quotation with hardly a word before it."""
    form = re.sub(r"^[\s\d.)*#>_-]+", "", plain_form(text))
    for match in names.finditer(form, 0, max(form.find(HIDDEN), 0)):
        before, after = form[: match.start()], form[match.end() :]
        own = set(_WORD.findall(match[0]))
        if sum(word not in _VAGUE and word not in own for word in _WORD.findall(before)) >= _PLENTY:
            return False
        clause = re.split(r"[,:.!?;\n]", before)[-1]
        is_read = _SHOWS.search(_I_SAY.sub("", clause)) or _SUPPOSES.search(before)
        is_denied = _DENIES.search(_AFFIRMING.sub("", clause)) or _TOLD_APART.match(after)
        if not (is_read or is_denied) and _ENDS.match(after):
            return True
    return False


_RULED_OUT = re.compile(
    r"\s*(?:(?:is|can\s+be|could\s+be)\s+)?(?:ruled\s+out|excluded|out\s+of\s+the\s+question)\b"
)


def _is_vague(clause: str, others: int) -> bool:
    """Whether a clause gives no evidence: all its words but so many could stand in any reason."""
    words = re.findall(r"[^\W\d_][\w'-]*", clause)
    return sum(word not in _VAGUE for word in words) <= others
