"""Numbers of things read as people write them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import datakit
from datakit.core.counted import counted, counted_with


@pytest.mark.parametrize(
    ("count", "thing", "words"),
    [(0, "id", "0 ids"), (1, "record", "1 record"), (1_000, "class", "1,000 classes"), (2, "GPU", "2 GPUs")],
)
def test_one_thing_is_no_several(count: int, thing: str, words: str) -> None:
    assert counted(count, thing) == words


def test_the_verb_goes_with_the_number() -> None:
    assert counted_with(1, "record", "is", "are") == "1 record is"
    assert counted_with(2, "record", "is", "are") == "2 records are"


def test_one_helper_counts() -> None:
    """Another `def counted` would not know `classes`, as two did not."""
    sources = Path(datakit.__file__).parent.rglob("*.py")
    texts = {path.name: path.read_text("utf-8") for path in sources}
    own = [
        name
        for name, text in texts.items()
        if re.search(r"def _?count(ed)?\((count|number): int, |def _count\(things", text)
    ]
    assert own == ["counted.py"]
