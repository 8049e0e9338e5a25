"""The offline writer: composes sentences from the lines of text that OCR read, and from nothing else.

No model is involved and none is claimed. A reason cites a line in which one of its label's keywords stands,
and a keyword of the nearest neighbour that stands nowhere; where no keyword was read it says that no text
decides. The texts are varied by the recipe's seed and the record's id, and the
same record always gets the same text. Good for a first look at a recipe; a model sees more.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from datakit.core.keywords import asserts, refuted
from datakit.core.labels import Label, LabelSet
from datakit.core.language import Language
from datakit.core.likeness import grams, jaccard
from datakit.core.record import OFFLINE_WRITER
from datakit.core.step_context import StepContext
from datakit.core.transform import Row
from datakit.llm._offline_absence import absence
from datakit.llm._offline_chinese import ZH
from datakit.llm._offline_english import EN
from datakit.llm._offline_evidence import Evidence, chosen, evidence_of, times, wanted
from datakit.llm._offline_facts import LOWER, UPPER, Facts, Light, facts_of, light_of
from datakit.llm._offline_pieces import QUOTE_MARKS, SURE, Piece, is_whole, may_be_joined, trimmed
from datakit.llm._offline_words import Phrases, Words

NAME = OFFLINE_WRITER
"""Stands where a model's name would stand."""
VERSION = 9
"""Raised when the same record gets another text."""
READS = ("ocr", "ocr_text", "width", "height")
"""Columns that the texts are composed from, as far as the records have them."""

_IN: dict[Language, Words] = {"zh": ZH, "en": EN}
_HAN = re.compile(r"[㐀-鿿]")
_LETTER = re.compile(r"[^\W\d_]")
_LISTED_CHARS = {"zh": 14, "en": 32}
_ONE_LINE_CHARS = 60
_TOP = 0.15
"""Share of the height above which a line stands at the top."""
_FEW = 4
"""Lines that are enough to describe a picture by."""
_TRIES = 40
_NEAREST = 3
"""Labels that are told apart besides those which the label file names as confusable."""


def language(context: StepContext, column: str = "", *templates: str) -> Language:
    """The language that is written in: the recipe's, else that of the labels, else of the templates."""
    if context.default_language is not None:
        return context.default_language
    labels = context.labels.labels if context.labels else ()
    said = "".join(text for label in labels for text in (label.name, label.description))
    if _LETTER.search(said):
        return "zh" if _HAN.search(said) else "en"
    return context.language(column, *templates)


def known_words(labels: LabelSet | None) -> tuple[str, ...]:
    """Words at which one text of a row may end and another begin: the keywords of all labels."""
    return tuple(word for label in labels.labels for word in label.keywords) if labels else ()


def neighbours(label: Label, labels: LabelSet | None) -> tuple[Label, ...]:
    """The labels that it is confused with, then those whose names, descriptions and keywords are likest."""
    if labels is None:
        return ()
    confused = [other for other in labels.labels if other.name in label.confusable_with]
    own = grams(_said(label))
    others = [other for other in labels.labels if other.name != label.name and other not in confused]
    likest = sorted(others, key=lambda other: -jaccard(own, grams(_said(other))))
    return (*confused, *likest[:_NEAREST])


def _said(label: Label) -> str:
    return "\n".join((label.name, label.description, *label.keywords))


def describe(row: Row, rng: random.Random, language: Language = "zh", known: Sequence[str] = ()) -> str:
    """Form, layout and legible words. The record's label is never looked at; `known` are words of any."""
    facts, words = facts_of(row), _IN[language]
    light = light_of(row["images"][0])
    if len(facts.words) < 2:
        sentences = _plain_sentences(facts, light, words, rng)
    else:
        quoted = _quoted(facts, [*known, *facts.texts], _LISTED_CHARS[language])
        sentences = _layout_sentences(facts, quoted, light.colours, words, rng)
    return _fit(sentences, words)


def reason(
    row: Row, label: Label, rng: random.Random, others: Sequence[Label] = (), language: Language = "zh"
) -> str:
    """Evidence read from the picture, what tells it from a neighbour, the label; or that no text decides."""
    facts, words = facts_of(row), _IN[language]
    known = [word for entry in (label, *others) for word in entry.keywords]
    evidence = evidence_of(facts, label, language, known)
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
    missed = absence(facts.text, label, others, rng)
    often = [entry for entry in evidence if times(facts, entry) > 1]
    shapes = ["cited", "cited", "last", "last"] if missed else ["cited"]
    shapes += ["also"] * (1 if missed else 2) if len(evidence) > 1 else []
    shapes += ["repeated", "repeated"] if often else []
    while True:
        shape, shown = rng.choice(shapes), chosen(evidence, rng)
        also = shown.pop() if shape == "also" and len(shown) > 1 else None
        parts = [_cited(facts, shown, words, rng)]
        if shape == "repeated":
            parts = [_repeated(facts, rng.choice(often), words, rng)]
        if missed and shape != "last":
            parts.append(_missed(*missed, words.absent, rng))
        parts.append(rng.choice(words.concluded).format(label=label.name))
        if missed and shape == "last":
            parts.append(_missed(*missed, words.set_apart, rng))
        if also is not None:
            parts.append(rng.choice(words.also).format(first=words.quote.format(also.quote)))
        yield _sentence(parts, words)


def _unreasoned(row: Row, facts: Facts, label: Label, words: Words, rng: random.Random) -> Iterator[str]:
    """What is left to say where no keyword was read; nothing of texts where nobody looked for any."""
    count = facts.count_of_all
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
    words_of = [keyword for keyword in wanted(label) if not refuted(facts.text, keyword)]
    if any(asserts(facts.text, keyword) for keyword in words_of):
        of_line = [piece for piece in facts.lines if any(asserts(piece.text, word) for word in words_of)]
        unsure = of_line and all(piece.score < SURE for piece in of_line)
        return (words.doubtful if unsure else words.loose), words.look
    return (words.undecided if facts.count_of_all else words.no_text), words.beyond


def _look(row: Row, facts: Facts, words: Words, rng: random.Random) -> list[str]:
    """What is seen without reading: which side is brighter, and form, tone or colours."""
    light = light_of(row["images"][0])
    said = [words.tones[light.tone]] if light.tone in words.tones else []
    if light.colours:
        said.append(words.colours.format(_colour_names(light.colours, words)))
    elif light.is_grey:
        said.append(rng.choice(words.grey))
    if facts.pictures > 1:
        said.append(words.several.format(facts.pictures))
    said.append(rng.choice(words.shapes).format(**_form(facts, words)))
    fewest = not any(light.lopsided)
    said = rng.sample(said, min(len(said), fewest + rng.choice((0, 1, 1))))
    sides = _sides(light, words, rng)
    said = [*said, *rng.sample(sides, len(sides))]
    # The form is a sentence of its own in English, and leads where it is said.
    return sorted(said, key=lambda text: not text.startswith(words.form_begins))


def _sides(light: Light, words: Words, rng: random.Random) -> list[str]:
    """Which half of which part is brighter; that neither is."""
    parts = dict(zip(words.places[1:4], light.lopsided, strict=True))
    said = []
    for side, form in words.lopsided.items():
        places = [place for place, brighter in parts.items() if brighter == side]
        if places:
            said.append(form.format(words.both.join(places)))
    return said or [rng.choice(words.even)]


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


def _repeated(facts: Facts, entry: Evidence, words: Words, rng: random.Random) -> str:
    first, often = words.quote.format(entry.quote), times(facts, entry)
    return rng.choice(words.repeated).format(first=first, times=often)


def _missed(other: Label, missing: list[str], forms: Phrases, rng: random.Random) -> str:
    return rng.choice(forms).format(word=rng.choice(missing), other=other.name)


class _Quoted(NamedTuple):
    """The lines that a description may quote, and the picture's first, if that is sure and may be quoted."""

    first: Piece | None
    lines: list[Piece]


def _quoted(facts: Facts, known: Sequence[str], most: int) -> _Quoted:
    """Lines that can be quoted whole; those that may be two texts only where few others are left."""
    legible = [piece for piece in facts.words if _is_legible(piece, most)]
    single = [piece for piece in legible if not may_be_joined(piece, known)]
    first = facts.first_line
    if first and (not _is_legible(first, 2 * most) or may_be_joined(first, known)):
        first = None
    return _Quoted(first, single if len(single) >= _FEW else legible)


def _layout_sentences(
    facts: Facts, quoted: _Quoted, colours: tuple[str, ...], words: Words, rng: random.Random
) -> list[str]:
    parts = [rng.choice(words.openings).format(**_form(facts, words))]
    first = quoted.first
    if first is not None:
        is_top = facts.has_places and first.y < _TOP
        forms = (*words.first_line, *words.top) if is_top else words.first_line
        parts.append(rng.choice(forms).format(words.quote.format(trimmed(first.text))))
    by_text = {trimmed(piece.text): piece for piece in reversed(quoted.lines) if piece != first}
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
    return fits and piece.score >= SURE and not QUOTE_MARKS.search(text)


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
    body += _sides(light, words, rng)
    if facts.was_read and not facts.count_of_all:
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
