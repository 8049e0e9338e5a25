"""The offline writer: composes Chinese sentences from OCR lines, layout and the label's description.

No model is involved and none is claimed: the texts restate what was read and measured. They are varied by the
recipe's seed and the record's id, and the same record always gets the same text. Good for a first look at a
recipe, not for training.
"""

from __future__ import annotations

import random
import re

from datakit.core.labels import Label
from datakit.core.record import OFFLINE_WRITER
from datakit.core.transform import Row
from datakit.llm._offline_facts import Facts, Light, Piece, facts_of, light_of

NAME = OFFLINE_WRITER
"""Stands where a model's name would stand."""
VERSION = 3
"""Raised when the same record gets another text."""
DESCRIPTION_CHARS = (60, 120)
REASON_CHARS = (40, 90)
READS = ("ocr", "ocr_text", "width", "height")
"""Columns that the texts are composed from, as far as the records have them."""

_HAN_PAIRS = re.compile(r"(?=([一-鿿]{2}))")
_CLAUSES = re.compile(r"[，；。]")
_HEDGE = re.compile(r"^(?:也不|还没|没有|不是|不能|不会|不展示|不涉及|不用|尚未|并非|多为|常|或)")


def describe(row: Row, rng: random.Random) -> str:
    """60 to 120 characters on form, layout and legible words. The label is never looked at."""
    facts = facts_of(row)
    words = facts.words
    if len(words) < 2:
        return _fit(_plain_sentences(facts, light_of(row["images"][0]), words, rng), DESCRIPTION_CHARS)
    colours = light_of(row["images"][0]).colours
    return _fit(_layout_sentences(facts, words, colours, rng), DESCRIPTION_CHARS)


def reason(row: Row, label: Label, rng: random.Random) -> str:
    """40 to 90 characters: evidence read from the picture, what the label demands, the conclusion."""
    facts = facts_of(row)
    words = facts.words
    evidence = _quoted_evidence(facts, words, label, rng) if words else _measured_evidence(row, rng)
    demand = _demand(label, "".join(piece.text for piece in words), rng)
    close, contrast = _conclusion(label, rng), _contrast(label, rng)
    ends = [close.removesuffix("。") + contrast, close] if rng.random() < 0.35 else [close]
    orders = [f"{evidence}，{demand}", f"{demand}{evidence}，"]
    if rng.random() < 0.3:
        orders.reverse()
    least, most = REASON_CHARS
    texts = [body + end for body in (*orders, f"{evidence}，") for end in ends]
    both = close.removesuffix("。") + contrast
    texts += [orders[0] + both, f"{evidence}，{both}", f"{demand}{both}"]
    fitting = [text for text in texts if least <= len(text) <= most]
    return fitting[0] if fitting else min(texts, key=lambda text: abs(len(text) - (least + most) // 2))


def _layout_sentences(
    facts: Facts, words: list[Piece], colours: tuple[str, ...], rng: random.Random
) -> list[str]:
    top, middle, bottom = facts.band(0.0, 0.2), facts.band(0.2, 0.8), facts.band(0.8, 1.01)
    form, kind = facts.form, "手机界面" if facts.has_clock else "画面"
    openings = [
        f"{form}的{kind}，共读到{len(facts.pieces)}处文字",
        f"一幅{form}的{kind}，{facts.width}×{facts.height}像素",
        f"{kind}呈{form}，文字约{len(facts.pieces)}行",
        f"{form}{kind}，自上而下排着{len(facts.pieces)}处文字",
        f"这是{form}的{kind}，可辨认的文字有{len(words)}处",
    ]
    parts = [rng.choice(openings)]
    if top:
        title = _quote(rng.choice(top[:2]).text)
        parts.append(rng.choice(["顶部写着{}", "最上方是{}", "上端可见{}字样", "页首文字为{}"]).format(title))
    if middle:
        chosen = sorted(rng.sample(middle, min(len(middle), rng.choice((2, 3)))), key=lambda piece: piece.y)
        quotes = "、".join(_quote(piece.text) for piece in chosen)
        parts.append(
            rng.choice(["中部依次有{}", "主体部分列出{}", "中间区域可读到{}", "往下是{}"]).format(quotes)
        )
    if bottom:
        quotes = "、".join(_quote(piece.text) for piece in bottom[-2:])
        parts.append(rng.choice(["底部为{}", "最下方是{}", "下缘排着{}", "末行有{}"]).format(quotes))
    extras = _extras(facts, words)
    if colours:
        extras.append(f"主要颜色为{'色和'.join(colours)}色")
    rng.shuffle(extras)
    return [*parts, *extras]


def _extras(facts: Facts, words: list[Piece]) -> list[str]:
    bands = [len(facts.band(low, high)) for low, high in ((0, 0.34), (0.34, 0.67), (0.67, 1.01))]
    extras = [f"文字在上、中、下三部分各有{bands[0]}、{bands[1]}、{bands[2]}处"]
    if facts.prices:
        extras.append(f"标出金额{'、'.join(facts.prices[:2])}" + ("等" if len(facts.prices) > 2 else ""))
    if facts.side_share > 0.45:
        extras.append("文字多靠左侧排列")
    tallest = max(words, key=lambda piece: piece.height)
    extras.append(f"字号较大的一行是{_quote(tallest.text)}")
    numbers = sum(any(letter.isdigit() for letter in piece.text) for piece in words)
    if numbers > 1:
        extras.append(f"其中{numbers}处文字带有数字")
    if facts.pictures > 1:
        extras.append(f"同组共有{facts.pictures}张图片")
    return extras


def _plain_sentences(facts: Facts, light: Light, words: list[Piece], rng: random.Random) -> list[str]:
    """For a picture with hardly any text: measured size, light and colours, nothing guessed."""
    tone = "偏暗" if light.mean < 85 else "偏亮" if light.mean > 170 else "明暗适中"
    if light.colours:
        colour = f"主要颜色为{'色和'.join(light.colours)}色"
    else:
        colour = rng.choice(["画面为灰度，没有彩色", "整体是黑白灰影像", "只有灰阶，不带颜色"])
    size = f"{facts.width}×{facts.height}像素"
    openings = [
        f"{facts.form}的图片，{size}",
        f"一幅{facts.form}图像，大小{size}",
        f"图像呈{facts.form}，{size}",
    ]
    contrast = "明暗反差较大" if light.spread > 60 else "明暗过渡平缓"
    sides = sum(light.levels[at] for at in (0, 3, 6)) - sum(light.levels[at] for at in (2, 5, 8))
    balance = "左右两侧亮度接近" if abs(sides) < 30 else f"{'左' if sides > 0 else '右'}半边略亮"
    body = [
        f"整体{tone}，{contrast}",
        colour,
        f"最亮处在{light.brightest}，最暗处在{light.darkest}",
        balance,
    ]
    if facts.was_read:
        body.append(f"图中可辨认的文字为{_quote(words[0].text)}" if words else "图上没有读到成行的文字")
    rng.shuffle(body)
    count = "这一组共有" + str(facts.pictures) + "张图片，此处按第一张描述" if facts.pictures > 1 else ""
    rest = [f"平均亮度约为{round(light.mean)}（满值255）", f"亮度起伏约{round(light.spread)}级"]
    return [rng.choice(openings), *([count] if count else []), *body, *rest]


def _quoted_evidence(facts: Facts, words: list[Piece], label: Label, rng: random.Random) -> str:
    """Two or three of the lines with their places, among them one that the label's description speaks of."""
    about = [piece for piece in words if _shares(piece.text, label.name + label.description)]
    first = [rng.choice(about)] if about and rng.random() < 0.75 else []
    others = [piece for piece in words if piece not in first]
    count = min(len(others), rng.choice((2, 2, 3)) - len(first))
    chosen = sorted([*first, *rng.sample(others, count)], key=lambda piece: piece.y)
    quotes, places = [_quote(piece.text, 12) for piece in chosen], [_place(piece.y) for piece in chosen]
    if len(quotes) == 1:
        return rng.choice(["图上能读到{}", "可见文字{}", "画面写有{}"]).format(quotes[0])
    listed, rest = "、".join(quotes), "、".join(quotes[1:])
    if places[0] == places[-1]:
        placed = f"{quotes[0]}与{quotes[-1]}同在{places[0]}"
    else:
        placed = f"{quotes[0]}在{places[0]}，{quotes[-1]}在{places[-1]}"
    shapes = [
        f"{places[0]}写着{quotes[0]}，另有{rest}",
        f"自上而下可读到{listed}",
        f"{listed}几处文字同时出现",
        placed,
        f"读到{listed}",
        f"{quotes[0]}位于{places[0]}，往下是{rest}",
        f"图上写有{listed}",
        f"文字有{quotes[0]}，还有{rest}",
    ]
    prices = [price for price in facts.prices if not any(price in quote for quote in quotes)]
    if prices:
        shapes.append(f"既有{quotes[0]}，又标着{prices[0]}，还有{quotes[-1]}")
    return rng.choice(shapes)


def _measured_evidence(row: Row, rng: random.Random) -> str:
    if not row.get("images"):
        return rng.choice(["按文字内容看", "就所给文字而言", "从叙述看"])
    light = light_of(row["images"][0])
    level = round(light.mean)
    return rng.choice(
        [
            f"画面{light.brightest}最亮、{light.darkest}最暗",
            f"平均亮度约{level}，亮处集中在{light.brightest}",
            f"{light.darkest}较暗而{light.brightest}较亮",
            f"明暗起伏约{round(light.spread)}级，{light.brightest}偏亮",
            f"以{light.darkest}的暗区为界，{light.brightest}明显更亮",
        ]
    )


_MATCHED = ("对应“{}”这一特征，", "与“{}”相符，", "合乎“{}”的说明，", "与说明里的“{}”相合，")
_TOLD = ("这一类的说明是“{}”，", "对应的说明是“{}”，", "说明里写的是“{}”，")


def _demand(label: Label, read: str, rng: random.Random) -> str:
    """A clause or two of the label's description; that they match is said only if their words were read."""
    clauses = [clause for clause in _CLAUSES.split(label.description) if 4 <= len(clause) <= 24]
    positive = [clause for clause in clauses if not _HEDGE.match(clause)] or clauses
    if not positive:
        return ""
    matched = [at for at, clause in enumerate(positive) if _shares(clause, read)]
    at = rng.choice(matched or range(len(positive)))
    phrase, after = positive[at], at + 1
    longer = f"{phrase}，{positive[after]}" if after < len(positive) else ""
    if longer in label.description and (len(phrase) < 9 or (after in matched and rng.random() < 0.4)):
        phrase = longer or phrase
    phrase = phrase.replace("“", "").replace("”", "")
    return rng.choice(_MATCHED if matched else _TOLD).format(phrase)


def _shares(text: str, other: str) -> bool:
    """Whether two texts have two Chinese characters in a row in common."""
    return any(pair in other for pair in _HAN_PAIRS.findall(text))


def _conclusion(label: Label, rng: random.Random) -> str:
    ends = [
        "因此属于{}。",
        "可以判断为{}。",
        "应归入{}。",
        "故归为{}。",
        "由此认定是{}。",
        "所以应为{}。",
        "结论是{}。",
    ]
    return rng.choice(ends).format(label.name)


def _contrast(label: Label, rng: random.Random) -> str:
    if not label.confusable_with:
        return "。"
    other = rng.choice(label.confusable_with)
    return rng.choice(["，而不是{}。", "，并非{}。", "，有别于{}。", "，不属于{}。"]).format(other)


def _place(y: float) -> str:
    return (
        "顶部" if y < 0.15 else "上部" if y < 0.38 else "中部" if y < 0.65 else "下部" if y < 0.88 else "底部"
    )


def _quote(text: str, longest: int = 14) -> str:
    text = text.strip().replace("“", "").replace("”", "")
    return f"“{text if len(text) <= longest else text[: longest - 1] + '…'}”"


def _fit(sentences: list[str], chars: tuple[int, int]) -> str:
    """As many of the sentences as the longest length allows; the first ones matter most."""
    text = ""
    for sentence in sentences:
        longer = f"{text}，{sentence}" if text else sentence
        if text and len(longer) + 1 > chars[1]:
            continue
        text = longer
        if len(text) >= chars[0] + 25:
            break
    return _cut(text + "。", chars[1])


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    return text[: longest - 1].rstrip("，、；“") + "。"
