"""Records of every kind, sound and broken, as people's data sets hold them. The same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

SIZES = [
    *((20, 20), (28, 28), (27, 100), (1, 1), (3, 700), (640, 428), (1080, 2340), (720, 1560), (1280, 960)),
    *((4000, 3000), (6000, 4000), (5000, 20), (7000, 28), (28, 7000), (5601, 28), (5600, 28), (40, 8000)),
    *((768, 768), (769, 768), (512, 512), (70, 98), (56, 56), (14, 14), (900, 900), (1568, 16), (2000, 99)),
]
"""Width and height; aspects up to 250."""
WORDS = [
    *(
        "购物车页面",
        "这是什么？",
        "Hello, world!",
        "\n\n",
        "  ",
        "é",
        "e\N{COMBINING ACUTE ACCENT}",
        "😀🙂",
        "2,599.00元",
    ),
    *(
        "def f(x):\n    return x\n",
        "don't",
        "，。！",
        "\t制表",
        "\r\n",
        "１２３",
        "　全角",
        "{{content}}",
        "{{ idx }}",
    ),
    *('类别：\n{\n  "a": "b"\n}\n', "<b>粗</b>", "< |im_end|>", "🇨🇳", "\u200b", "a" * 40, "哈" * 60),
]
SPECIAL = [
    *("<|im_end|>", "<|im_start|>", "<|endoftext|>", "<|vision_start|>", "<|image_pad|>", "<|video_pad|>"),
    *("<|box_start|>(1,2),(3,4)<|box_end|>", "<tool_call>", "</tool_call>", "{{idx}}", "<|fim_pad|>"),
    *("<think>\n想一想\n</think>\n\n", "<think>", "</think>", "<tool_response>", "<|object_ref_start|>"),
]
PLACES = ["<image>", "<video>", "<audio>", "< image>", "<image"]
MODES = ["RGB", "L", "P", "1", "RGBA", "LA", "I;16"]


def pictures(folder: Path) -> tuple[list[str], list[str]]:
    """Names of pictures that the trainer opens, and of files at which it stops."""
    rng = random.Random(7)
    good = []
    for number, size in enumerate(SIZES):
        name = f"p{number}.png"
        Image.new("RGB", size, (number, 90, 200)).save(folder / name, compress_level=1)
        good.append(name)
    for mode in MODES:
        name = f"mode-{mode.replace(';', '')}.png"
        Image.new(mode, (rng.randint(40, 900), rng.randint(40, 900))).save(folder / name)
        good.append(name)
    good += _other_formats(folder)
    return good, _broken(folder)


def _other_formats(folder: Path) -> list[str]:
    plain = Image.new("RGB", (300, 170), (9, 120, 90))
    names = []
    for orientation in (3, 6, 8):
        exif = Image.Exif()
        exif[0x0112] = orientation
        for ending in ("jpg", "tiff", "webp"):
            names.append(f"turned{orientation}.{ending}")
            plain.save(folder / names[-1], exif=exif)
    plain.convert("CMYK").save(folder / "cmyk.jpg")
    plain.save(folder / "moving.gif", save_all=True, append_images=[plain.rotate(90)] * 2)
    plain.save(folder / "plain.bmp")
    return [*names, "cmyk.jpg", "moving.gif", "plain.bmp"]


def _broken(folder: Path) -> list[str]:
    (folder / "empty.png").write_bytes(b"")
    (folder / "words.jpg").write_text("这不是图片")
    (folder / "folder.png").mkdir()
    Image.effect_noise((300, 200), 80).save(folder / "whole.jpg")
    whole = (folder / "whole.jpg").read_bytes()
    (folder / "head.jpg").write_bytes(whole[:40])
    (folder / "half.jpg").write_bytes(whole[: len(whole) // 2])
    Image.effect_noise((300, 200), 80).save(folder / "whole.png")
    whole = (folder / "whole.png").read_bytes()
    (folder / "half.png").write_bytes(whole[: len(whole) // 2])
    (folder / "head.png").write_bytes(whole[:20])
    names = ["empty.png", "words.jpg", "folder.png", "head.jpg", "half.jpg", "half.png", "head.png"]
    return [*names, "gone.png", ""]


def records(count: int, good: list[str], bad: list[str], seed: int) -> Iterator[dict[str, Any]]:
    """Rows of `messages`, `images` and `system`; about a third of them with a fault."""
    rng = random.Random(seed)
    for number in range(count):
        yield {"id": f"r{number}", **_record(rng, good, bad)}


def _text(rng: random.Random, longest: int = 12) -> str:
    parts = [rng.choice(WORDS) for _ in range(rng.randint(0, longest))]
    if rng.random() < 0.25:
        parts.insert(rng.randint(0, len(parts)), rng.choice(SPECIAL))
    if rng.random() < 0.05:
        parts.insert(rng.randint(0, len(parts)), rng.choice(PLACES))
    return "".join(parts)


def _record(rng: random.Random, good: list[str], bad: list[str]) -> dict[str, Any]:
    pairs = rng.choice((1, 1, 1, 1, 2, 3))
    images: list[Any] = []
    messages: list[dict[str, Any]] = []
    if rng.random() < 0.4:
        messages.append({"role": "system", "content": rng.choice(("", "你是专家。", _text(rng)))})
    for _ in range(pairs):
        shown = [
            rng.choice(bad if rng.random() < 0.06 else good) for _ in range(rng.choice((0, 0, 1, 1, 1, 2, 4)))
        ]
        images += shown
        question = "".join(rng.choice(("<image>", "<image>\n", "看<image>")) for _ in shown) + _text(rng, 40)
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": _text(rng, 25)}]
    row: dict[str, Any] = {"messages": messages, "images": images or rng.choice((None, []))}
    if rng.random() < 0.25:
        _spoil(rng, row)
    if rng.random() < 0.2:
        row["system"] = rng.choice((None, "", "另一个系统提示", _text(rng)))
    else:
        row["system"] = None
    return row


def _spoil(rng: random.Random, row: dict[str, Any]) -> None:
    """Breaks a row in one of the ways that occur."""
    messages = row["messages"]
    turn = rng.choice(messages)
    fault = rng.randrange(14)
    if fault == 0:
        turn["role"] = rng.choice(("bot", "User", "system", "", None))
    elif fault == 1:
        messages.pop(rng.randrange(len(messages)))
    elif fault == 2:
        messages.reverse()
    elif fault == 3:
        row["messages"] = rng.choice(([], None))
    elif fault == 4:
        turn["content"] = None
    elif fault == 5:
        for message in messages:
            message["content"] = [{"type": "text", "text": "a"}]
    elif fault == 6:
        for message in messages:
            message["content"] = 5
    elif fault == 7:
        row["images"] = [*(row["images"] or []), "p0.png"]
    elif fault == 8:
        row["images"] = (row["images"] or [])[:-1]
    elif fault == 9:
        row["images"] = rng.choice((["p0.png"], "p0.png"))
    elif fault == 10:
        turn.pop(rng.choice(("role", "content")))
    elif fault == 11:
        messages.insert(rng.randrange(len(messages) + 1), {"role": "system", "content": "中间"})
    elif fault == 12:
        turn["content"] = rng.choice(("", "   ", "<|im_end|>", "<|image_pad|>"))
    else:
        messages.append({"role": "user", "content": "还有吗？"})


def alpaca(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Rows of the other formatting."""
    rng = random.Random(seed)
    for _ in range(count):
        row: dict[str, Any] = {
            "instruction": rng.choice((None, "", _text(rng))),
            "input": rng.choice((None, "", _text(rng))),
            "output": rng.choice((None, "", _text(rng, 30), _text(rng, 30), _text(rng, 30), 5)),
            "system": rng.choice((None, "", "你是专家。")),
            "history": rng.choice((None, [], [["问", "答"]], [["问", "答"], [_text(rng), _text(rng)]])),
        }
        if rng.random() < 0.05:
            row["history"] = rng.choice(([["只有问"]], [[None, "答"]]))
        yield row
