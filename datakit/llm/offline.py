"""The offline writer: composes sentences from the lines of text that OCR read, and from nothing else.

No model is involved and none is claimed. A reason cites a line in which one of its label's keywords stands,
and how often it does or a keyword of the nearest neighbour that stands nowhere; where no keyword was read it
says that no text decides. The texts are varied by the recipe's seed and the record's id, and the
same record always gets the same text. Good for a first look at a recipe; a model sees more.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from datakit.core.keywords import asserts, holds, refuted
from datakit.core.labels import Label, LabelSet
from datakit.core.language import Language
from datakit.core.record import OFFLINE_WRITER
from datakit.core.step_context import StepContext
from datakit.core.transform import Row
from datakit.llm._offline_absence import is_missing, is_plain, nearness
from datakit.llm._offline_chinese import ZH
from datakit.llm._offline_english import EN
from datakit.llm._offline_facts import LOWER, UPPER, Facts, Light, facts_of, light_of
from datakit.llm._offline_pieces import SURE, Piece, bounded, is_whole, trimmed
from datakit.llm._offline_words import Phrases, Words

NAME = OFFLINE_WRITER
"""Stands where a model's name would stand."""
VERSION = 7
"""Raised when the same record gets another text."""
READS = ("ocr", "ocr_text", "width", "height")
"""Columns that the texts are composed from, as far as the records have them."""

_IN: dict[Language, Words] = {"zh": ZH, "en": EN}
_HAN = re.compile(r"[㐀-鿿]")
_LETTER = re.compile(r"[^\W\d_]")
_QUOTE_MARKS = re.compile(r"[“”\"「」『』]")
_QUOTE_CHARS = {"zh": 22, "en": 60}
_LISTED_CHARS = {"zh": 14, "en": 32}
_ONE_LINE_CHARS = 60
_TOP = 0.15
"""Share of the height above which a line stands at the top."""
_TRIES = 40
_LONG = 4
"""Chinese signs of a keyword that is no piece of other words."""


def language(context: StepContext, column: str = "", *templates: str) -> Language:
    """The language that is written in: the recipe's, else that of the labels, else of the templates."""
    if context.default_language is not None:
        return context.default_language
    labels = context.labels.labels if context.labels else ()
    said = "".join(text for label in labels for text in (label.name, label.description))
    if _LETTER.search(said):
        return "zh" if _HAN.search(said) else "en"
    return context.language(column, *templates)


def neighbours(label: Label, labels: LabelSet | None) -> tuple[Label, ...]:
    """The labels that it is confused with."""
    return tuple(other for other in labels.labels if other.name in label.confusable_with) if labels else ()


class Evidence(NamedTuple):
    """A text that stands on the picture and holds a keyword."""

    quote: str
    keyword: str
    piece: Piece


def describe(row: Row, rng: random.Random, language: Language = "zh") -> str:
    """Form, layout and legible words. The label is never looked at."""
    facts, words = facts_of(row), _IN[language]
    if len(facts.words) < 2:
        sentences = _plain_sentences(facts, light_of(row["images"][0]), words, rng)
    else:
        sentences = _layout_sentences(facts, light_of(row["images"][0]).colours, words, language, rng)
    return _fit(sentences, words)


def reason(
    row: Row, label: Label, rng: random.Random, others: Sequence[Label] = (), language: Language = "zh"
) -> str:
    """Evidence read from the picture, what tells it from a neighbour, the label; or that no text decides."""
    facts, words = facts_of(row), _IN[language]
    evidence = _evidence(facts, label, language)
    texts = (
        _reasoned(facts, evidence, label, others, words, rng)
        if evidence
        else _unreasoned(row, facts, label, words, rng)
    )
    least, most = words.reason_chars
    least = least if evidence else 0  # to say that nothing decides takes few words, and the long ones are few
    tries = []
    for text in islice(texts, _TRIES):
        if least <= len(text) <= most:
            return text
        tries.append(text)
    # Where all are too short, the first: the longest would be the same wording for every record.
    return min(tries, key=lambda text: max(0, len(text) - most))


def _reasoned(
    facts: Facts,
    evidence: list[Evidence],
    label: Label,
    others: Sequence[Label],
    words: Words,
    rng: random.Random,
) -> Iterator[str]:
    absence = _absence(facts, others)
    often = [entry for entry in evidence if _times(facts, entry) > 1]
    shapes = ["cited"] * 2
    shapes += ["absent"] * 2 if absence else []
    shapes += ["also", "also"] if len(evidence) > 1 else []
    shapes += ["repeated", "repeated"] if often else []
    while True:
        shape, chosen = rng.choice(shapes), _chosen(evidence, rng)
        also = chosen.pop() if shape == "also" and len(chosen) > 1 else None
        parts = [_cited(facts, chosen, words, rng)]
        if absence and shape == "absent":
            parts.append(_missed(*absence, words, rng))
        if shape == "repeated":
            parts = [_repeated(facts, rng.choice(often), words, rng)]
        parts.append(rng.choice(words.concluded).format(label=label.name))
        if also is not None:
            parts.append(rng.choice(words.also).format(first=words.quote.format(also.quote)))
        yield _sentence(parts, words)


def _unreasoned(row: Row, facts: Facts, label: Label, words: Words, rng: random.Random) -> Iterator[str]:
    """What is left to say where no keyword was read; nothing of texts where nobody looked for any."""
    count = facts.count
    stated = {"count": count, "lines": words.lines_said(count), "form": words.forms[facts.form]}
    while True:
        taken = rng.choice(words.taken).format(label=label.name)
        if not facts.pictures:
            yield _sentence([rng.choice(words.no_picture), taken], words)
            continue
        if not facts.was_read:
            yield _sentence([*_look(row, facts, words, rng), rng.choice(words.look), taken], words)
            continue
        causes, beyond = _causes(facts, label, words)
        cause = rng.choice(causes).format(**stated)
        yield _sentence([rng.choice(words.leads) + cause, rng.choice(beyond), taken], words)


def _causes(facts: Facts, label: Label, words: Words) -> tuple[Phrases, Phrases]:
    """Why no text is cited, and where to look then, in several wordings."""
    wanted = [keyword for keyword in _wanted(label) if not refuted(facts.text, keyword)]
    if any(asserts(facts.text, keyword) for keyword in wanted):
        of_line = [piece for piece in facts.lines if any(asserts(piece.text, word) for word in wanted)]
        unsure = of_line and all(piece.score < SURE for piece in of_line)
        return (words.doubtful if unsure else words.loose), words.look
    return (words.undecided if facts.count else words.no_text), words.beyond


def _look(row: Row, facts: Facts, words: Words, rng: random.Random) -> list[str]:
    """One or two things that are seen without reading: form, brightness, colours."""
    light = light_of(row["images"][0])
    said = [words.tones[light.tone]] if light.tone in words.tones else []
    if light.colours:
        said.append(words.colours.format(_colour_names(light.colours, words)))
    elif light.is_grey:
        said.append(rng.choice(words.grey))
    if facts.pictures > 1:
        said.append(words.several.format(facts.pictures))
    said.append(rng.choice(words.shapes).format(**_form(facts, words)))
    said = rng.sample(said, min(len(said), rng.choice((1, 2, 2))))
    # The form is a sentence of its own in English, and leads where it is said.
    return sorted(said, key=lambda text: not text.startswith(words.form_begins))


def _evidence(facts: Facts, label: Label, language: Language) -> list[Evidence]:
    """Texts of the picture that hold a keyword of the label, its names where it has no keywords, and do not
    deny it; each keyword once, where it stands shortest."""
    by_keyword: dict[str, Evidence] = {}
    for piece in facts.lines:
        if piece.score < SURE:
            continue
        for keyword in _wanted(label):
            if refuted(facts.text, keyword):
                continue
            quote = _quotable_part(piece, keyword, _QUOTE_CHARS[language])
            before = by_keyword.get(keyword)
            if quote and (before is None or len(quote) < len(before.quote)):
                by_keyword[keyword] = Evidence(quote, keyword, piece)
    by_quote = {entry.quote: entry for entry in by_keyword.values()}
    return sorted(by_quote.values(), key=lambda entry: (entry.piece.y, entry.piece.x))


def _wanted(label: Label) -> tuple[str, ...]:
    return label.keywords or (label.name, *label.aliases)


def _quotable_part(piece: Piece, keyword: str, most: int) -> str | None:
    """The whole line that says so, else a whole phrase of it; never a cut text."""
    if not asserts(piece.text, keyword):
        return None
    whole = [trimmed(piece.text)] if is_whole(piece) or _is_filled(piece, keyword) else []
    fitting = (
        text
        for text in (*whole, *bounded(piece))
        if len(text) <= most and asserts(text, keyword) and not _QUOTE_MARKS.search(text)
    )
    return next(fitting, None)


def _is_filled(piece: Piece, keyword: str) -> bool:
    """Whether a keyword that is no piece of other words is all that a line says, and no line of the same text
    denies it: the rows of a form stand as close as those of a paragraph."""
    is_long = len(_HAN.findall(keyword)) >= _LONG or keyword[0] in "已未"
    is_all = trimmed(piece.text) == keyword and not piece.is_at_edge
    around = f"{piece.above} {piece.text} {piece.below}".strip()
    return is_long and is_all and asserts(around, keyword)


def _chosen(evidence: list[Evidence], rng: random.Random) -> list[Evidence]:
    """One to three of them, in their order on the picture."""
    count = min(len(evidence), rng.choice((1, 1, 2, 2, 2, 3)))
    return sorted(rng.sample(evidence, count), key=lambda entry: (entry.piece.y, entry.piece.x))


def _cited(facts: Facts, shown: list[Evidence], words: Words, rng: random.Random) -> str:
    quotes = [words.quote.format(entry.quote) for entry in shown]
    names = dict(zip(("first", "second", "third"), quotes, strict=False))
    places = [_place(facts, entry.piece, words) for entry in shown]
    if len(shown) == 1:
        forms = words.placed if facts.has_places else words.unplaced
        return rng.choice(forms).format(place=places[0], **names)
    if len(shown) == 2:
        apart = facts.has_places and places[0] != places[1]
        forms = (*words.two, *words.two_placed) if apart else words.two
        return rng.choice(forms).format(place=places[0], other_place=places[1], **names)
    return rng.choice(words.three).format(**names)


def _times(facts: Facts, entry: Evidence) -> int:
    """How many lines are the quotation, and nothing else."""
    return sum(trimmed(piece.text) == entry.quote for piece in facts.lines)


def _repeated(facts: Facts, entry: Evidence, words: Words, rng: random.Random) -> str:
    first, times = words.quote.format(entry.quote), _times(facts, entry)
    return rng.choice(words.repeated).format(first=first, times=times)


def _absence(facts: Facts, others: Sequence[Label]) -> tuple[Label, list[str]] | None:
    """The neighbour that the texts of the picture are most like, although none of its keywords stands there,
    with its keywords that nothing is like. None where no neighbour comes near: what is missing then is
    missing from most pictures, and tells nothing."""
    near_by = {other.name: nearness(facts.text, other) for other in others}
    near = [other for other in others if near_by[other.name] > 0]
    if not near:
        return None
    nearest = max(near, key=lambda other: near_by[other.name])
    if any(holds(facts.text, word) for word in nearest.keywords):
        return None
    missing = [word for word in nearest.keywords if is_plain(word) and is_missing(word, facts.text)]
    return (nearest, missing) if missing else None


def _missed(other: Label, missing: list[str], words: Words, rng: random.Random) -> str:
    return rng.choice(words.absent).format(word=rng.choice(missing), other=other.name)


def _layout_sentences(
    facts: Facts, colours: tuple[str, ...], words: Words, language: Language, rng: random.Random
) -> list[str]:
    most = _LISTED_CHARS[language]
    legible = [piece for piece in facts.words if _is_legible(piece, most)]
    parts = [rng.choice(words.openings).format(**_form(facts, words))]
    first = facts.first_line
    if first is not None and _is_legible(first, 2 * most):
        is_top = facts.has_places and first.y < _TOP
        forms = (*words.first_line, *words.top) if is_top else words.first_line
        parts.append(rng.choice(forms).format(words.quote.format(trimmed(first.text))))
    by_text = {trimmed(piece.text): piece for piece in reversed(legible) if piece != first}
    rest = list(reversed(by_text.values()))
    if facts.has_places:
        bands = ((words.upper, 0.0, UPPER), (words.middle, UPPER, LOWER), (words.bottom, LOWER, 1.01))
        verbs = rng.sample(range(min(len(forms) for forms, _, _ in bands)), len(bands))
        for verb, (forms, top, end) in zip(verbs, bands, strict=True):
            within = [piece for piece in rest if top <= piece.y < end]
            if within:
                parts.append(_some(within, forms[verb], words, rng))
    elif rest:
        parts.append(_some(rest, rng.choice(words.lines), words, rng))
    extras = _extras(facts, words)
    if colours:
        extras.append(words.colours.format(_colour_names(colours, words)))
    rng.shuffle(extras)
    return [*parts, *extras]


def _some(pieces: list[Piece], form: str, words: Words, rng: random.Random) -> str:
    """Two or three of some lines, in their order."""
    chosen = rng.sample(pieces, min(len(pieces), rng.choice((2, 3))))
    return form.format(_listed(sorted(chosen, key=lambda piece: piece.y), words))


def _is_legible(piece: Piece, most: int) -> bool:
    """Whether a line can be quoted whole."""
    text = trimmed(piece.text)
    fits = 0 < len(text) <= most and is_whole(piece)
    return fits and piece.score >= SURE and not _QUOTE_MARKS.search(text)


def _extras(facts: Facts, words: Words) -> list[str]:
    extras = []
    if facts.prices:
        extras.append(words.amounts.format(words.listed.join(facts.prices[:2])))
    if facts.pictures > 1:
        extras.append(words.several.format(facts.pictures))
    return extras


def _plain_sentences(facts: Facts, light: Light, words: Words, rng: random.Random) -> list[str]:
    """For a picture with hardly any text: its form, its text and its colours, nothing guessed."""
    body = [words.tones[light.tone]] if light.tone in words.tones else []
    if len(set(light.thirds)) > 1:
        names = [words.colour.format(words.named(colour)) for colour in light.thirds]
        body.append(words.down.format(words.listed.join(names)))
    elif light.colours:
        body.append(words.colours.format(_colour_names(light.colours, words)))
    elif light.is_grey:
        body.append(rng.choice(words.grey))
    if facts.was_read and not facts.count:
        body.append(words.no_lines)
    if facts.pictures > 1:
        body.append(words.several.format(facts.pictures))
    rng.shuffle(body)
    if facts.count:
        body.insert(0, _few_lines(facts, words))
    return [rng.choice(words.shapes).format(**_form(facts, words)), *body]


def _few_lines(facts: Facts, words: Words) -> str:
    """What hardly any text says."""
    legible = [piece for piece in facts.lines if _is_legible(piece, _ONE_LINE_CHARS)]
    if legible:
        return words.few_lines.format(_listed(legible[:2], words))
    return words.some_lines.format(words.lines_said(facts.count))


def _form(facts: Facts, words: Words) -> dict[str, object]:
    return {
        "form": words.forms[facts.form],
        "kind": words.screen if facts.has_status_bar else words.picture,
        "count": facts.count,
        "lines": words.lines_said(facts.count),
    }


def _colour_names(colours: Sequence[str], words: Words) -> str:
    names = [words.colour.format(words.named(colour)) for colour in colours]
    return words.both.join(filter(None, (words.listed.join(names[:-1]), *names[-1:])))


def _listed(pieces: Sequence[Piece], words: Words) -> str:
    return words.listed.join(words.quote.format(trimmed(piece.text)) for piece in pieces)


def _place(facts: Facts, piece: Piece, words: Words) -> str:
    """Where a line stands; at the top only where nothing stands above it."""
    below = (_TOP, UPPER, LOWER, 0.88)
    at = sum(piece.y >= bound for bound in below)
    return words.places[1 if at == 0 and not facts.is_first(piece) else at]


def _sentence(parts: Sequence[str], words: Words) -> str:
    text = words.comma.join(parts) + words.stop
    return text[0].upper() + text[1:]


def _fit(sentences: list[str], words: Words) -> str:
    """As many of the sentences as the longest length allows; the first ones matter most."""
    least, most = words.description_chars
    parts: list[str] = []
    for sentence in sentences:
        if not parts or len(_sentence([*parts, sentence], words)) <= most:
            parts.append(sentence)
        if len(_sentence(parts, words)) >= least + (most - least) // 2:
            break
    return _sentence(parts, words)
