"""The kinds of phrases of the offline writer. Each states what was read or measured."""

from __future__ import annotations

from dataclasses import dataclass, field

Phrases = tuple[str, ...]


@dataclass(frozen=True)
class Words:
    """Phrases of one language; those of a tuple say the same."""

    quote: str
    comma: str
    pause: str
    stop: str
    listed: str
    """Between the parts of a list."""
    places: Phrases
    """From top to bottom."""
    reason_chars: tuple[int, int]
    description_chars: tuple[int, int]
    placed: Phrases
    """One quotation and where it stands."""
    unplaced: Phrases
    two_placed: Phrases
    two: Phrases
    three: Phrases
    repeated: Phrases
    """A quotation, and how often it stands there."""
    also: Phrases
    """A quotation behind the conclusion."""
    absent: Phrases
    """What a neighbour's pictures say and this one does not. Not in quotes: it stands nowhere."""
    set_apart: Phrases
    """The same behind the conclusion."""
    concluded: Phrases
    undecided: Phrases
    """Some text was read, and none of it decides."""
    doubtful: Phrases
    """A word that would decide was read, but not surely."""
    loose: Phrases
    """One stands there that can be cited by no text of its own: it may be cut, or goes on beside it."""
    no_picture: Phrases
    no_text: Phrases
    leads: Phrases
    """May stand before those."""
    beyond: Phrases
    """Where to look then."""
    look: Phrases
    """Where to look, and nothing of texts."""
    taken: Phrases
    """The label, where no text decides; never that it was annotated, as nothing is where the model serves."""
    screen: str
    picture: str
    forms: dict[str, str]
    openings: Phrases
    first_line: Phrases
    top: Phrases
    """The first line, where it stands at the top."""
    upper: Phrases
    """Lines of the upper third. Those of one place in `upper`, `middle` and `bottom` have the same verb."""
    middle: Phrases
    lines: Phrases
    """Some lines, where their places are not known."""
    bottom: Phrases
    amounts: str
    several: str
    colours: str
    """Colours that cover much of the picture."""
    colour: str
    both: str
    grey: Phrases
    shapes: Phrases
    """The form of a picture with hardly any text."""
    form_begins: Phrases
    """How those begin."""
    tones: dict[str, str]
    """Dark and light; of others nothing is said."""
    lopsided: dict[str, str]
    """Which side of some parts is brighter: left or right."""
    even: Phrases
    """No part's sides differ."""
    down: str
    """The colours of the upper, middle and lower third."""
    few_lines: str
    some_lines: str
    """Lines of which none can be quoted whole."""
    no_lines: str
    counted: tuple[str, str]
    """A line of text, and several."""
    names: dict[str, str] = field(default_factory=dict)
    """Colours, where they are not the Chinese ones."""

    def lines_said(self, count: int) -> str:
        """So many lines of text."""
        return self.counted[count != 1].format(count)

    def named(self, word: str) -> str:
        """A colour."""
        return self.names.get(word, word)
