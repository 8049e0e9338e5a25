"""What an audit of labels finds, as it is printed and as JSON has it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class Fit(BaseModel):
    """How many texts of a class share more with its own description than with any other."""

    label: str
    records: int
    fits: int
    rival: str = ""
    """The description that most of the others share more with; "" where they share nothing with any."""
    rival_fits: int = 0
    wrong: int = 0
    """Records of the class that the last evaluation has with another answer."""
    support: int = 0
    answered: str = ""
    """The most frequent of the wrong answers."""


class Claim(BaseModel):
    """A clause that the text of its class's pictures does not bear out."""

    label: str
    clause: str
    kind: Literal["denied", "elsewhere", "nowhere"]
    """`denied`: it says that something is not there, which is. `elsewhere`: only pictures of other classes
    bear its words. `nowhere`: no picture does, so it is about the look, or wrong."""
    records: int
    holds: int
    """Records whose text bears it out; of a denial, those that have none of its words."""
    other: str = ""
    """The class whose pictures bear its words most often."""
    other_holds: int = 0


class Keyword(BaseModel):
    """A keyword that tells little of its class."""

    label: str
    keyword: str
    kind: Literal["elsewhere", "never", "rare"]
    """`elsewhere`: a larger share of another class's texts holds it."""
    records: int
    holds: int
    other: str = ""
    other_records: int = 0
    other_holds: int = 0


class LabelPair(BaseModel):
    """Two labels that are mixed up, or alike in text, and of which no description says what it is not."""

    first: str
    second: str
    mistakes: int
    """In the last evaluation, in either direction."""
    alike: int
    """Texts of either that are more like the other class than like their own."""
    records: int
    """Texts of both."""
    declared: bool
    """Whether `confusable_with` of either names the other."""
    sentences: dict[str, str]
    """Label -> what its description might say of the other, to be read first."""


class LabelAudit(BaseModel):
    """Everything that `datakit labels audit` says; lists begin with the worst."""

    build: str
    labels_file: str
    column: str
    """The column of text that was read."""
    records: int
    read: int
    """Records whose text was looked at."""
    evaluation: str
    """The evaluation whose mistakes were counted; "" without one."""
    evaluation_is_of_build: bool
    fits: list[Fit]
    claims: list[Claim]
    keywords: list[Keyword]
    pairs: list[LabelPair]
    without: dict[str, list[str]]
    """Field of the label file -> labels that lack it."""
    few: dict[str, int]
    """Labels with too few texts to judge claims and keywords -> texts."""
    edited: str = ""
    """That the build is not as it was built, in words."""
