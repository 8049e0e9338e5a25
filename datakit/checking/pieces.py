"""Where a cut falls: through which picture, and behind which byte of an answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar
from unicodedata import normalize

from datakit.checking.layout import EMPTY_THOUGHT, END, START
from datakit.core.tokens import Vocabulary, encoding, token_ids

_MARK = "\0picture\0"


@dataclass
class Piece:
    """The tokens of a question or an answer."""

    PICTURE: ClassVar[str] = START + _MARK + END
    """What stands for a picture in the texts that `of` takes."""

    ids: list[int] = field(default_factory=list)
    """Ids of the text; -1 for each token of a picture."""
    pictures: list[tuple[int, int]] = field(default_factory=list)
    """First token of each picture, and the one behind its last."""
    vocabulary: Vocabulary = "qwen2_5"

    @classmethod
    def of(cls, texts: Sequence[str], vocabulary: Vocabulary, pads: Iterator[int]) -> Piece:
        """The tokens of texts; `pads` gives the token count of each picture in turn."""
        piece = cls(vocabulary=vocabulary)
        for text in texts:
            for number, fragment in enumerate(text.split(_MARK)):
                if number:
                    begin = len(piece.ids)
                    piece.ids += [-1] * next(pads, 0)
                    piece.pictures.append((begin, len(piece.ids)))
                piece.ids += token_ids(fragment, vocabulary)
        return piece


def pictures_cut(piece: Piece, kept: int) -> Iterator[str]:
    """What the first `kept` tokens leave of each picture that they do not hold whole."""
    for begin, end in piece.pictures:
        if kept < end:
            yield f"{max(0, kept - begin):,} of a picture's {end - begin:,} tokens stay"


def answer_cut(piece: Piece, kept: int, answer: str) -> str:
    """Which bytes of the answer are lost, in UTF-8 and NFC."""
    whole = len(normalize("NFC", answer).encode("utf-8", "surrogatepass"))
    ids = [token for token in piece.ids[:kept] if token >= 0]
    stays = len(encoding(piece.vocabulary).decode_bytes(ids))
    thought = token_ids(EMPTY_THOUGHT, piece.vocabulary)
    if piece.ids[: len(thought)] == thought and not answer.startswith(EMPTY_THOUGHT):
        stays -= len(EMPTY_THOUGHT)
    stays = min(max(0, stays), whole)
    if stays == whole:
        return "only its end token is cut"
    return f"bytes {stays:,} to {whole:,} of {whole:,} are cut"
