"""Plots and pictures of cards that are drawn once in a run of the tests and taken again where all is equal.

A plot is text that follows from its figures; a picture of a card follows from its file, the places that are
blurred and its size. Four fifths of a card's time go into both. Tests of the drawing itself call `forget`.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from datakit.cards.pictures import Picture, Pictures
from datakit.core.image import read_header
from datakit.core.shown_picture import ShownPicture
from datakit.core.wording import t
from datakit.pages import charts

_PLOTS = ("bars", "columns", "points", "matrix", "against_diagonal", "intervals", "line")
_drawn: dict[bytes, str] = {}
_made: dict[tuple[Any, ...], Picture] = {}


def forget() -> None:
    """Has the next card drawn anew."""
    _drawn.clear()
    _made.clear()


@contextmanager
def drawn_once() -> Iterator[None]:
    """Equal plots and equal pictures of cards are made once."""
    with pytest.MonkeyPatch.context() as patch:
        for name in _PLOTS:
            patch.setattr(charts, name, _plot(getattr(charts, name)))
        patch.setattr(Pictures, "_make", _picture(Pictures._make))
        yield


def _plot(draw: Callable[..., str]) -> Callable[..., str]:
    def drawn(*figures: Any, **named: Any) -> str:
        key = pickle.dumps((draw.__name__, figures, sorted(named.items())))
        if key not in _drawn:
            _drawn[key] = draw(*figures, **named)
        return _drawn[key]

    return drawn


def _picture(make: Callable[..., Picture]) -> Callable[..., Picture]:
    def made(pictures: Pictures, own: ShownPicture, number: int) -> Picture:
        try:
            digest = hashlib.sha256(own.path.read_bytes()).digest()
            header = read_header(own.path)
            seen = pictures._seen((header.width, header.height))
        except Exception:
            return make(pictures, own, number)  # which says what is wrong
        key = (digest, own.boxes, pictures.share, seen, t("picture {number}", number=number))
        if key not in _made:
            _made[key] = make(pictures, own, number)
        return _made[key]

    return made
