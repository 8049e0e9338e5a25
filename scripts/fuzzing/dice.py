"""Drawn values: texts, numbers and choices that are ordinary most of the time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, TypeVar

T = TypeVar("T")
Tree = dict[str, Any]
"""An input: plain values that JSON can hold."""

_WORDS = (
    "cart", "order", "退款", "购物车", "优惠券 页面", "full text", "a<image>b", "<|im_end|>", "{{ label }}",
    "{% raw %}", "理由：有按钮\n类别：a", "x" * 60, "No", "true", "007", "1e5", "3.0", "-", "#note", "a: b",
    "tab\there", "two\nlines", 'say "hi"', "it's", "comma, and; semi|", "\\n", "émoji 🙂", "全角（括号）",
    "(括号)", "ａｂｃ", "nan", "null", "None", "无", "=1+1", "[1, 2]", '{"a": 1}', "e\u0301", "ß", "İ", "ﬁ",
    "<tool_call>", "<think>", "{{idx}}", "../up", "~", "*", "&amp;", "<b>bold</b>", "100%", "$HOME", "`id`",
    "مرحبا", "한국어", "日本語の文章です。", "这是一张商品图片，按钮写着立即购买。", " lead", "trail ", "0",
)  # fmt: skip
_ODD = (
    "",
    " ",
    "\u200b",
    "\ufeff",
    "\x1b[31m",
    "\x00",
    "\u202e",
    "\ud83d",
    "\r",
    "\u2028",
    "a" * 700,
    "\x85",
)
"""Texts that a file can hold and hardly anybody means."""


class Dice(random.Random):
    """Random choices; the same for the same seed text."""

    wild: float = 0.0
    """How often a value lies beyond what is allowed."""

    def maybe(self, chance: float) -> bool:
        """True so often."""
        return self.random() < chance

    def one_of(self, *choices: T) -> T:
        """Any of the arguments."""
        return choices[self.randrange(len(choices))]

    def some(self, choices: Sequence[T], most: int | None = None) -> list[T]:
        """Some of the choices, in any order, perhaps none."""
        count = self.randint(0, min(len(choices), len(choices) if most is None else most))
        return self.sample(list(choices), count)

    def text(self, odd: float = 0.04) -> str:
        """A text of a few words, with odd signs now and then."""
        if self.maybe(odd):
            return self.choice(_ODD)
        joint = self.one_of(" ", " ", "", "，", "\n")
        return joint.join(self.choice(_WORDS) for _ in range(self.one_of(1, 1, 1, 2, 3, 8)))

    def word(self) -> str:
        """One short plain word, Latin or Chinese."""
        return self.one_of(
            "a", "b", "c", "cart", "order", "购物车", "退款页面", "首页", "other", "d-e", "f_g"
        )

    def name(self) -> str:
        """What a column or file may be called."""
        plain = ("price", "说明", "note", "kind_2", "Shop", "sex", "age")
        odd = (
            "split",
            "repeat",
            "set",
            "a b",
            "x.y",
            "Label",
            "image_2",
            "reason",
            "width",
            "1st",
            "id_",
            "_by",
        )
        return self.choice(odd if self.maybe(0.25) else plain)

    def whole(self, least: int | None, most: int | None, usual: int) -> int:
        """A whole number within the bounds, near one of them or near what is usual."""
        low = least if least is not None else -3
        high = most if most is not None else max(low, usual) * 4 + 5
        near = (low, low + 1, high, high - 1, usual, usual + 1, self.randint(low, high))
        return min(max(self.choice(near), low), high)

    def real(self, least: float | None, most: float | None, usual: float) -> float:
        """A number within the bounds."""
        low = least if least is not None else -1.0
        high = most if most is not None else max(abs(usual), 1.0) * 4
        near = (low, high, usual, self.uniform(low, high), (low + high) / 2)
        return min(max(self.choice(near), low), high)

    def beyond(self, value: Any) -> Any:
        """A value of another type, or far outside, in place of `value`."""
        huge = 10 ** self.one_of(9, 18, 40)
        nothing: tuple[Any, ...] = (None, "", [], {}, "\x00", "x" * 2000)
        numbers: tuple[Any, ...] = (-1, 0, 1.5, huge, -huge, float("inf"), float("nan"), True)
        deep = {"a": {"b": [{"c": value}]}}
        return self.one_of(*nothing, *numbers, [value], {"x": value}, str(value), deep)
