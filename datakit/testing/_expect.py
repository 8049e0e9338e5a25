"""Expectations that say in words what was expected."""

from __future__ import annotations

import polars as pl
from polars.testing import assert_frame_equal


def expect(holds: object, message: str) -> None:
    """Raises AssertionError with the message when something does not hold (`python -O` keeps it)."""
    if not holds:
        raise AssertionError(message)


def expect_same(frame: pl.DataFrame, expected: pl.DataFrame, message: str) -> None:
    """Raises AssertionError when two frames differ, with the place."""
    try:
        assert_frame_equal(frame, expected)
    except AssertionError as error:
        raise AssertionError(f"{message}\n{error}") from None
