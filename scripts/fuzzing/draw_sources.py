"""Source files: rows with drawn columns, in every format that datakit reads, and tiny pictures."""

from __future__ import annotations

from typing import Any

from fuzzing.dice import Dice, Tree

LABELS = ("a", "b", "购物车", "退款(售后)", "other")
FORMATS = ("jsonl", "json", "csv", "tsv", "parquet")
PICTURES = ("png", "jpg", "webp", "gif", "bmp")


def pictures(dice: Dice, count: int) -> list[Tree]:
    """A few tiny pictures: name, size, mode, and how many of their bytes are kept."""
    drawn = []
    for number in range(count):
        kind = dice.one_of("png", "png", "jpg", "jpg", *PICTURES)
        odd = ((27, 60), (1, 1), (500, 2), (28, 28))
        wide, high = (
            dice.choice(odd) if dice.maybe(0.15) else dice.one_of((32, 40), (30, 30), (64, 32), (120, 90))
        )
        mode = dice.one_of("RGB", "RGB", "RGB", "L", "RGBA", "P", "1", "CMYK")
        mode = "RGB" if kind in ("webp", "bmp") or (mode in ("RGBA", "P") and kind == "jpg") else mode
        mode = "L" if mode == "CMYK" and kind != "jpg" else mode
        keep = dice.one_of(*[1.0] * 20, 0.5, 0.0)
        turn = dice.one_of(*[0] * 8, 3, 6, 8)
        drawn.append(
            {
                "name": f"pics/{dice.word()}{number}.{kind}",
                "size": [wide, high],
                "mode": mode,
                "colour": dice.randrange(6),
                "keep": keep,
                "turn": turn,
            }
        )
    return drawn


def rows(dice: Dice, names: list[str], labels: list[str], *, plain: bool) -> list[Tree]:
    """Rows of one table: every one has the columns that were drawn for it, sometimes null or odd."""
    kinds = _columns(dice, bool(names), plain)
    count = dice.one_of(1, 2, 3, 5, 8, 13) if not dice.maybe(0.02) else 0
    return [_row(dice, number, kinds, names, labels) for number in range(count)]


def _columns(dice: Dice, seen: bool, plain: bool) -> dict[str, str]:
    """Column -> what stands in it."""
    kinds = {}
    if dice.maybe(0.85):
        kinds["id"] = dice.one_of("id", "id", "id", "number")
    if seen and dice.maybe(0.9):
        kinds["image"] = "image" if plain or dice.maybe(0.7) else "images"
    kinds["label"] = "label"
    if dice.maybe(0.6):
        kinds["text"] = "text"
    if not plain and dice.maybe(0.15):
        kinds["messages"] = "messages"
    if dice.maybe(0.2):
        kinds["reason"] = "text"
    for _ in range(dice.one_of(0, 0, 1, 1, 2)):
        kinds.setdefault(dice.name(), dice.one_of("text", "word", "number", "real", "mixed", "list", "flag"))
    return kinds


def _row(dice: Dice, number: int, kinds: dict[str, str], names: list[str], labels: list[str]) -> Tree:
    return {name: _value(dice, number, kind, names, labels) for name, kind in kinds.items()}


def _value(dice: Dice, number: int, kind: str, names: list[str], labels: list[str]) -> Any:
    if kind == "id":
        return f"r{number}"
    if kind == "number":
        return number + 1
    if dice.maybe(0.03):
        return None
    if kind == "image":
        return dice.choice(names) if not dice.maybe(0.03) else dice.one_of("pics/none.png", "../x.png", "")
    if kind == "images":
        return [dice.choice(names) for _ in range(dice.one_of(1, 1, 2, 0, 3))]
    if kind == "label":
        return dice.choice(labels) if not dice.maybe(0.04) else dice.text()
    if kind == "messages":
        return turns(dice)
    if kind == "mixed":
        return dice.one_of(1, "one", 2.5, None, [1], {"a": "b"}, True)
    if kind == "list":
        return [dice.word() for _ in range(dice.randrange(4))]
    if kind == "flag":
        return dice.maybe(0.5)
    if kind == "real":
        return dice.one_of(0.5, 1e300, -2.0, 3.25)
    return dice.word() if kind == "word" else dice.text()


def turns(dice: Dice) -> list[Tree]:
    """A chat, mostly one that a trainer takes."""
    system = [{"role": "system", "content": dice.text()}] if dice.maybe(0.2) else []
    pairs = [
        turn
        for _ in range(dice.one_of(1, 1, 1, 2, 3))
        for turn in ({"role": "user", "content": dice.text()}, {"role": "assistant", "content": dice.text(0)})
    ]
    chat: list[Tree] = [*system, *pairs]
    if dice.maybe(0.06):
        chat.insert(dice.randrange(len(chat) + 1), {"role": dice.one_of("user", "tool", "x"), "content": "y"})
    if dice.maybe(0.05):
        chat[-1]["content"] = dice.one_of("", None, 3, [{"type": "text", "text": "t"}])
    return chat


def alpaca_rows(dice: Dice) -> list[Tree]:
    """Rows of the alpaca format."""
    drawn = []
    for _ in range(dice.one_of(1, 3, 6, 12)):
        row: Tree = {"instruction": f"{dice.word()}？{dice.text()}", "output": dice.text()}
        if dice.maybe(0.5):
            row["input"] = dice.text()
        if dice.maybe(0.1):
            row["history"] = [[dice.text(0), dice.text(0)]]
        if dice.maybe(0.1):
            row["system"] = dice.text()
        drawn.append(row)
    return drawn


def table(dice: Dice, name: str, names: list[str], labels: list[str]) -> Tree:
    """A source file: its format, rows and the ways in which its bytes are odd."""
    kind = dice.choice(FORMATS)
    drawn: Tree = {"name": f"{name}.{kind}", "format": kind}
    drawn["rows"] = rows(dice, names, labels, plain=kind in ("csv", "tsv"))
    if kind != "parquet" and dice.maybe(0.1):
        drawn["encoding"] = dice.one_of("utf-8-sig", "utf-16", "gb18030")
    if kind != "parquet" and dice.maybe(0.04):
        drawn["damage"] = dice.one_of("cut", "junk", "blank", "crlf")
    return drawn


def folder(dice: Dice, names: list[Tree], labels: list[str]) -> Tree:
    """A folder of pictures, one folder a class."""
    files = [
        {**picture, "name": f"{dice.choice(labels)}/{picture['name'].split('/')[-1]}"} for picture in names
    ]
    return {"name": "folder", "format": "folder", "pictures": files}
