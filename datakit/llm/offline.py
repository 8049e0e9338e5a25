"""The offline writer: composes sentences from the lines of text that OCR read, and from nothing else.

No model is involved and none is claimed. A reason cites a line in which one of its label's keywords stands,
and a keyword of a neighbour that stands nowhere; where no keyword was read it says that no text decides. The
texts are varied by the recipe's seed and the record's id, and the same record always gets the same text. Good
for a first look at a recipe; a model sees more.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from datakit.core.keywords import as_written, holds
from datakit.core.labels import Label, LabelSet
from datakit.core.language import Language
from datakit.core.likeness import standing
from datakit.core.record import OFFLINE_WRITER
from datakit.core.step_context import StepContext
from datakit.core.transform import Row
from datakit.llm._offline_facts import (
    SURE,
    Facts,
    Light,
    Piece,
    facts_of,
    is_whole,
    light_of,
    quotable,
    trimmed,
)
from datakit.llm._offline_words import IN, Words

NAME = OFFLINE_WRITER
"""Stands where a model's name would stand."""
VERSION = 4
"""Raised when the same record gets another text."""
READS = ("ocr", "ocr_text", "width", "height")
"""Columns that the texts are composed from, as far as the records have them."""
STANDS = 0.8
"""Likeness from which a text counts as read: of the lines of real screens about 7% are misread somewhere."""

_HAN = re.compile(r"[㐀-鿿]")
_LETTER = re.compile(r"[^\W\d_]")
_PHRASES = re.compile(r"[，。；：！？、,;:!?|｜·\s]+")
_QUOTE_MARKS = re.compile(r"[“”\"「」『』]")
_QUOTE_CHARS = {"zh": 16, "en": 48}
_LISTED_CHARS = {"zh": 14, "en": 32}
_ONE_LINE_CHARS = 60
_TOP = 0.15
"""Share of the height above which a line stands at the top."""
_TRIES = 40


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
    facts, words = facts_of(row), IN[language]
    if len(facts.words) < 2:
        sentences = _plain_sentences(facts, light_of(row["images"][0]), words, rng)
    else:
        sentences = _layout_sentences(facts, light_of(row["images"][0]).colours, words, language, rng)
    return _fit(sentences, words)


def reason(
    row: Row, label: Label, rng: random.Random, others: Sequence[Label] = (), language: Language = "zh"
) -> str:
    """Evidence read from the picture, what tells it from a neighbour, the label; or that no text decides."""
    facts, words = facts_of(row), IN[language]
    evidence = _evidence(facts, label, language)
    texts = (
        _reasoned(facts, evidence, label, others, words, rng)
        if evidence
        else _unreasoned(facts, label, words, rng)
    )
    least, most = words.reason_chars
    tries = []
    for text in islice(texts, _TRIES):
        if least <= len(text) <= most:
            return text
        tries.append(text)
    return min(tries, key=lambda text: abs(len(text) - (least + most) // 2))


def _reasoned(
    facts: Facts,
    evidence: list[Evidence],
    label: Label,
    others: Sequence[Label],
    words: Words,
    rng: random.Random,
) -> Iterator[str]:
    absences = _absences(facts, others)
    while True:
        cited = _cited(facts, _chosen(evidence, rng), words, rng)
        absent = _missed(absences, words, rng) if absences else ""
        close = rng.choice(words.concluded).format(label=label.name)
        if absent and rng.random() < 0.25:
            cited, absent = f"{absent}{words.pause}{cited}", ""
        yield _sentence([cited, *([absent] if absent else []), close], words)


def _unreasoned(facts: Facts, label: Label, words: Words, rng: random.Random) -> Iterator[str]:
    """What is left to say where no keyword was read."""
    count = len(facts.words)
    forms = words.undecided if count else words.no_text if facts.was_read else words.unread
    while True:
        cause = rng.choice(forms).format(count=count, form=words.forms[facts.form])
        taken = rng.choice(words.taken).format(label=label.name)
        yield _sentence([rng.choice(words.leads) + cause, rng.choice(words.beyond), taken], words)


def _evidence(facts: Facts, label: Label, language: Language) -> list[Evidence]:
    """Texts of the picture that hold a keyword of the label, its names where it has no keywords; each keyword
    once, where it stands shortest."""
    wanted = label.keywords or (label.name, *label.aliases)
    by_keyword: dict[str, Evidence] = {}
    for piece in facts.words:
        if piece.score < SURE:
            continue
        for keyword in wanted:
            if not holds(piece.text, keyword):
                continue
            quote = _quotable_part(piece, keyword, _QUOTE_CHARS[language])
            before = by_keyword.get(keyword)
            if quote and (before is None or len(quote) < len(before.quote)):
                by_keyword[keyword] = Evidence(quote, keyword, piece)
    by_quote = {entry.quote: entry for entry in by_keyword.values()}
    return sorted(by_quote.values(), key=lambda entry: (entry.piece.y, entry.piece.x))


def _quotable_part(piece: Piece, keyword: str, most: int) -> str | None:
    """The whole line, else a whole phrase of it, else the keyword as it is written; never a cut text."""
    if _QUOTE_MARKS.search(piece.text):
        return None
    line = trimmed(piece.text)
    if not piece.is_part and len(line) <= most and is_whole(line) and holds(line, keyword):
        return line
    phrases = [trimmed(phrase) for phrase in _PHRASES.split(line)[1 if piece.is_part else 0 : -1]]
    fitting = [phrase for phrase in phrases if len(phrase) <= most and holds(phrase, keyword)]
    return fitting[0] if fitting else as_written(line, keyword)


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


def _absences(facts: Facts, others: Sequence[Label]) -> list[tuple[Label, list[str]]]:
    """The neighbours of which no keyword stands on the picture, with those that nothing on it is like."""
    strange = [other for other in others if not any(holds(facts.text, word) for word in other.keywords)]
    absences = [
        (other, [word for word in other.keywords if _is_plain(word) and standing(word, facts.text) < STANDS])
        for other in strange
    ]
    return [(other, missing) for other, missing in absences if missing]


def _missed(absences: list[tuple[Label, list[str]]], words: Words, rng: random.Random) -> str:
    other, missing = rng.choice(absences)
    return rng.choice(words.absent).format(word=rng.choice(missing), other=other.name)


def _is_plain(keyword: str) -> bool:
    return keyword[0].isalnum() and keyword[-1].isalnum()


def _layout_sentences(
    facts: Facts, colours: tuple[str, ...], words: Words, language: Language, rng: random.Random
) -> list[str]:
    legible = [piece for piece in facts.words if _is_legible(piece, _LISTED_CHARS[language])]
    parts = [rng.choice(words.openings).format(**_form(facts, words))]
    first = facts.first_line
    if first is not None and _is_legible(first, 2 * _LISTED_CHARS[language]):
        is_top = facts.has_places and first.y < _TOP
        forms = (*words.first_line, *words.top) if is_top else words.first_line
        parts.append(rng.choice(forms).format(words.quote.format(trimmed(first.text))))
    middle = [piece for piece in legible if 0.2 <= piece.y < 0.8 and piece != first]
    if middle:
        count = min(len(middle), rng.choice((2, 3)))
        chosen = sorted(rng.sample(middle, count), key=lambda piece: piece.y)
        forms = words.middle if facts.has_places else words.lines
        parts.append(rng.choice(forms).format(_listed(chosen, words)))
    bottom = [piece for piece in legible if piece.y >= 0.8 and piece != first]
    if bottom and facts.has_places:
        parts.append(rng.choice(words.bottom).format(_listed(bottom[-2:], words)))
    extras = _extras(facts, words)
    if colours:
        extras.append(words.colours.format(_colour_names(colours, words)))
    rng.shuffle(extras)
    return [*parts, *extras]


def _is_legible(piece: Piece, most: int) -> bool:
    """Whether a line can be quoted whole."""
    text = trimmed(piece.text)
    fits = len(text) <= most and quotable(text) and is_whole(text)
    return fits and not piece.is_part and piece.score >= SURE and not _QUOTE_MARKS.search(text)


def _extras(facts: Facts, words: Words) -> list[str]:
    extras = []
    if facts.has_places:
        bands = [len(facts.band(low, high)) for low, high in ((0, 0.34), (0.34, 0.67), (0.67, 1.01))]
        extras.append(words.bands.format(*bands))
    if facts.prices:
        extras.append(words.amounts.format(words.listed.join(facts.prices[:2])))
    numbers = sum(any(letter.isdigit() for letter in piece.text) for piece in facts.words)
    if numbers > 1:
        extras.append(words.numbers.format(numbers))
    if facts.pictures > 1:
        extras.append(words.several.format(facts.pictures))
    return extras


def _plain_sentences(facts: Facts, light: Light, words: Words, rng: random.Random) -> list[str]:
    """For a picture with hardly any text: measured size, light and colours, nothing guessed."""
    colours = _colour_names(light.colours, words)
    body = [
        words.tones_said.format(words.tones[light.tone]),
        words.contrasts[light.spread <= 60],
        words.colours.format(colours) if colours else rng.choice(words.grey),
    ]
    if light.brightest != light.darkest:
        body.append(words.brightest.format(words.named(light.brightest), words.named(light.darkest)))
    body += [said for ways, said in words.even.items() if light.is_even(ways)]
    if facts.was_read:
        if facts.words and _is_legible(facts.words[0], _ONE_LINE_CHARS):
            body.append(words.one_line.format(_listed(facts.words[:1], words)))
        elif not facts.words:
            body.append(words.no_lines)
    if facts.pictures > 1:
        body.append(words.several.format(facts.pictures))
    rng.shuffle(body)
    ratio = words.ratio.format(facts.width / max(facts.height, 1))
    return [rng.choice(words.sizes).format(**_form(facts, words)), *body, ratio]


def _form(facts: Facts, words: Words) -> dict[str, object]:
    return {
        "form": words.forms[facts.form],
        "kind": words.screen if facts.has_status_bar else words.picture,
        "count": len(facts.words),
        "width": facts.width,
        "height": facts.height,
    }


def _colour_names(colours: Sequence[str], words: Words) -> str:
    return words.both.join(words.colour.format(words.named(colour)) for colour in colours)


def _listed(pieces: Sequence[Piece], words: Words) -> str:
    return words.listed.join(words.quote.format(trimmed(piece.text)) for piece in pieces)


def _place(facts: Facts, piece: Piece, words: Words) -> str:
    """Where a line stands; at the top only where nothing stands above it."""
    below = (_TOP, 0.38, 0.65, 0.88)
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
