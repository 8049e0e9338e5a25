#!/usr/bin/env python
"""Measures what the data card of a finished build costs alone, and how large it is.

    python scripts/bench_card.py
    python scripts/bench_card.py --records 1000000 --check

Records are texts of 60 Chinese characters beside one of 50 drawn pictures that many share, in 40 classes of
uneven size; the recipe reads JSON lines, checks labels, splits, renders and emits with linked pictures. Rows
are checked as the trainer reads them, so that the card has its sections. The card is made by a process of its
own, from its start to its end, after the build. `half` is that of a build of half the records.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.cost import cost_of

CLASSES, PICTURES, SIDE_PX = 40, 50, 256
LETTERS, TEXT_CHARS = "订单支付物流退款页面商品详情评价店铺优惠券加入购物车立即购买¥0123456789，。 ", 60
MAX_CARD_S, MAX_HTML_MB = 60.0, 15.0
"""Wall seconds of the card and the size of its page at 1,000,000 records."""
TEMPLATE = "<image>这是哪一页：{{ label_names | join('、') }}？\n{{ text }}\n"
RECIPE = """\
version: 1
name: bench
labels: ../labels.yaml
steps:
  - read.jsonl: {path: ../rows.jsonl, label: label, image: image}
  - guard.label: {}
  - curate.split: {val: 0.1, stratify: label}
  - render.chat: {prompt: ask.j2, answer: label_only}
emit:
  - llamafactory: {images: link}
"""


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--records", type=int, default=10_000, help="records of the build")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bound is exceeded")
    parser.add_argument("--card", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.card:
        from datakit.cards.write import write_card

        write_card(given.card / "build" / "bench", given.card / "cards")
        return 0
    with tempfile.TemporaryDirectory(prefix="bench_card.", dir=given.folder) as folder:
        figures = {
            "half": measure(Path(folder) / "half", given.records // 2),
            "whole": measure(Path(folder) / "whole", given.records),
        }
    print(json.dumps(figures, indent=2) if given.json else "\n".join(map(line, figures.values())))
    whole = figures["whole"]
    is_good = whole["card"]["wall_s"] <= MAX_CARD_S and whole["html_mb"] <= MAX_HTML_MB
    return int(given.check and not is_good)


def measure(folder: Path, count: int) -> dict[str, Any]:
    """What the card of a build of so many records costs, beside that build, and the sizes of its files."""
    write_project(folder, count)
    recipe = str(folder / "recipes" / "bench.yaml")
    build = cost_of([sys.executable, "-m", "datakit.cli", "build", recipe, "--quiet", "--no-card"])
    card = cost_of([sys.executable, __file__, "--card", str(folder)])
    files = [path for path in (folder / "cards").rglob("*") if path.is_file()]
    sizes = {path.name: round(path.stat().st_size / 2**20, 3) for path in files}
    return {
        "records": count,
        "build": asdict(build),
        "card": asdict(card),
        "html_mb": sizes["bench.html"],
        "markdown_mb": sizes["bench.md"],
        "croissant_mb": sizes["croissant.json"],
        "all_mb": round(sum(sizes.values()), 3),
    }


def write_project(folder: Path, count: int) -> None:
    """A project with labels, a recipe, a prompt, rows, and the pictures that they share."""
    for name in ("recipes", "templates", "pictures"):
        (folder / name).mkdir(parents=True)
    (folder / "recipes" / "bench.yaml").write_text(RECIPE, "utf-8")
    (folder / "templates" / "ask.j2").write_text(TEMPLATE, "utf-8")
    names = [f"第{number:02d}页" for number in range(CLASSES)]
    labels = [{"name": name, "description": f"{name}的样子"} for name in names]
    (folder / "labels.yaml").write_text(json.dumps({"labels": labels}), "utf-8")
    for number in range(PICTURES):
        draw(folder / "pictures" / f"{number}.png", number)
    rng = random.Random(7)
    shares = [1 / (1 + number) for number in range(CLASSES)]
    with open(folder / "rows.jsonl", "w", encoding="utf-8") as file:
        for number, label in enumerate(rng.choices(names, shares, k=count)):
            text = "".join(rng.choices(LETTERS, k=TEXT_CHARS))
            picture = f"pictures/{number % PICTURES}.png"
            row = {"id": f"r{number:07d}", "label": label, "text": text, "image": picture}
            file.write(json.dumps(row) + "\n")


def draw(path: Path, number: int) -> None:
    """A picture unlike the others, of blocks of random colours."""
    import numpy as np
    from PIL import Image

    blocks = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(blocks).resize((SIDE_PX, SIDE_PX), Image.Resampling.NEAREST).save(path)


def line(figures: dict[str, Any]) -> str:
    """The numbers for people."""
    card = figures["card"]
    return (
        f"{figures['records']:,} records: card in {card['wall_s']} s ({card['cpu_s']} CPU s, "
        f"{card['peak_mb']:.0f} MB; the build {figures['build']['wall_s']} s), "
        f"page {figures['html_mb']} MB, Markdown {figures['markdown_mb']} MB, "
        f"Croissant {figures['croissant_mb']} MB, all files {figures['all_mb']} MB"
    )


if __name__ == "__main__":
    sys.exit(main())
