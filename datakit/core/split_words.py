"""What the field calls the parts of a data set."""

from __future__ import annotations

from datakit.core.record import TRAIN, VAL

_TEST = ("test", "testing", "测试集", "测试")
_WORDS = {
    **dict.fromkeys(("train", "training", "训练集", "训练"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval", "验证集", "验证"), VAL),
    **dict.fromkeys(_TEST, VAL),
}
"""Word -> split. Nothing that is called `test` is ever trained on."""


def split_of(word: str) -> str | None:
    """The split that a word names, "train" or "val"; None for any other word.

    >>> split_of("Test"), split_of("holdout")
    ('val', None)
    """
    return _WORDS.get(word.strip().casefold())


def is_test(word: str) -> bool:
    """Whether a word names a test part.

    >>> is_test("Test"), is_test("dev")
    (True, False)
    """
    return word.strip().casefold() in _TEST
