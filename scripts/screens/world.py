"""One screen's world: what a seed says about its goods, shop, people, money, days and look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import TypeVar

from screens import words
from screens.theme import Theme, draw_theme

T = TypeVar("T")
_LAST = datetime(2026, 9, 30, 23, 0)
_DAYS = 300


@dataclass(frozen=True)
class Goods:
    """An article and the choice that was made of it."""

    kind: str
    """Name of its drawing."""
    title: str
    colours: tuple[str, ...]
    sizes: tuple[str, ...]
    colour: str
    size: str
    price: float
    hue: int

    @property
    def choice(self) -> str:
        return f"{self.colour}；{self.size}"

    @property
    def ordered_sizes(self) -> list[str]:
        """The sizes from small to large, as shops show them; `sizes` begins with the one that is chosen."""
        return sorted(self.sizes, key=words.GOODS[self.kind][2].index)

    @property
    def name(self) -> str:
        """The title in brief."""
        return self.title[:10]


class World:
    """Everything that one screen draws by chance. Equal seeds give equal worlds, in equal order of calls."""

    def __init__(self, seed: str, fonts: Sequence[str]) -> None:
        self.rng = Random(seed)
        self.height = self.rng.choice((640, 680, 700, 720, 740, 760, 780, 780))
        self.theme: Theme = draw_theme(self.rng, fonts)
        self.moment = _LAST - timedelta(minutes=self.rng.randrange(_DAYS * 24 * 60))
        self.shop = self.any_shop()
        self.app = self.pick(words.HOME_APP)
        self._stamp = self.pick(("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y.%m.%d %H:%M"))
        self._day = self.pick(("%Y-%m-%d", "%Y.%m.%d", "%m-%d"))

    def pick(self, values: Sequence[T]) -> T:
        return self.rng.choice(values)

    def some(self, values: Sequence[T], count: int) -> list[T]:
        """`count` of them, none twice."""
        return self.rng.sample(values, min(count, len(values)))

    def maybe(self, share: float) -> bool:
        return self.rng.random() < share

    def number(self, low: int, high: int) -> int:
        return self.rng.randint(low, high)

    def digits(self, count: int) -> str:
        return str(self.rng.randrange(1, 10)) + "".join(str(self.rng.randrange(10)) for _ in range(count - 1))

    # goods and shops

    def any_shop(self) -> str:
        field = self.pick(("", "服饰", "家居", "数码", "食品", "百货"))
        return self.pick(words.SHOP_FRONTS) + field + self.pick(words.SHOP_TRADES)

    def goods(self, kind: str | None = None) -> Goods:
        kind = kind or self.pick(tuple(words.GOODS))
        titles, colours, sizes, (low, high) = words.GOODS[kind]
        price = self.number(low, high) + self.pick((0.0, 0.9, 0.8, 0.5, 0.0))
        return Goods(
            kind,
            self.pick(titles),
            tuple(self.some(colours, self.number(3, 5))),
            tuple(self.some(sizes, self.number(3, 6))),
            self.pick(colours),
            self.pick(sizes),
            price,
            self.rng.choice((4, 22, 38, 96)) if kind == "fruit" else self.rng.randrange(360),
        )

    def sold(self) -> str:
        return self.pick(("100+", "300+", "500+", "1000+", "2000+", "6000+", "1万+", "3万+", "10万+"))

    # people and places

    def person(self) -> str:
        return self.pick(words.SURNAMES) + self.pick(("*", "**", "先生", "女士"))

    def nick(self) -> str:
        letters = "abcdefghkmnpqrstwxyz"
        masked = f"{self.pick(letters)}***{self.pick(letters)}"
        chosen = self.pick(("小", "阿", "大")) + "**" + self.pick("月星云雨风晴禾")
        return self.pick((masked, masked, f"t**{self.digits(2)}", "匿名用户", chosen, chosen))

    def phone(self) -> str:
        return f"1{self.pick('35789')}{self.digits(1)}****{self.digits(4)}"

    def place(self) -> tuple[str, str, str]:
        return self.pick(words.PLACES)

    def city(self) -> str:
        return self.place()[1].removesuffix("市")

    def address(self) -> str:
        where = "".join(self.place())
        house = f"{self.number(2, 688)}号{self.pick(words.COMPOUNDS)}{self.number(1, 28)}栋"
        return where + self.pick(words.ROADS) + house

    # numbers, money and days

    def money(self, amount: float) -> str:
        return f"{amount:.2f}"

    def amount(self, low: int = 5, high: int = 900) -> float:
        return self.number(low * 100, high * 100) / 100

    def order_number(self) -> str:
        return self.digits(self.pick((18, 19, 16)))

    def courier(self) -> str:
        return self.pick(tuple(words.COURIERS))

    def parcel_number(self, courier: str) -> str:
        prefix = words.COURIERS[courier] if self.maybe(0.7) else ""
        return prefix + self.digits(13)

    def bank(self) -> str:
        return f"{self.pick(words.BANKS)}{self.pick(('储蓄卡', '信用卡'))}({self.digits(4)})"

    def ago(self, hours: float) -> datetime:
        """A moment before the screen's, up to an hour more than asked for: whole hours keep their order."""
        return self.moment - timedelta(
            hours=hours, minutes=self.rng.randrange(60), seconds=self.rng.randrange(60)
        )

    def later(self, days: int) -> datetime:
        return self.moment + timedelta(days=days)

    def stamp(self, hours: float = 0) -> str:
        """Date and time, that long ago."""
        return self.ago(hours).strftime(self._stamp)

    def day(self, hours: float = 0) -> str:
        return self.ago(hours).strftime(self._day)
