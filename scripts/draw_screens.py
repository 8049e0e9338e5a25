"""Draws screens of a shop app in the 25 classes of templates/ecom/labels.yaml, with the truth of their text.

    pip install playwright                                   # its own browsers are not needed
    python scripts/draw_screens.py --out /some/folder --count 1000
    python scripts/draw_screens.py --out /some/folder --count 50 --seed 3 --workers 4

Needs Chromium (or what --browser or CHROMIUM names) and a font with Chinese characters (--font; of several,
each picture takes one by chance). Everything is invented: shops, couriers, banks, people, numbers.

Written are images/*.jpg (720 px wide, 1,280 to 1,560 high), ground_truth.jsonl (id, image, label, lines:
every text that can be seen, as {"text", "box"} with the box in pixels, measured in the browser) and
train.jsonl (id, image, label). Picture n depends on the seed and n alone: a larger --count adds pictures and
changes none, and on one machine the same call writes the same bytes. Of 25 pictures in a row each class has
one, in an order drawn by the seed, so that numbers tell nothing of classes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from screens import pages
from screens.browser import BrowserFault, browser_path, camera
from screens.layouts import LAYOUTS, Layout
from screens.world import World

FONT = "WenQuanYi Micro Hei"

Row = dict[str, Any]


def label_of(seed: int, number: int) -> str:
    """The class of picture `number`: each block of pictures, one of each class, is shuffled anew."""
    block, at = divmod(number, len(LAYOUTS))
    names = sorted(LAYOUTS)
    Random(f"labels/{seed}/{block}").shuffle(names)
    return names[at]


def layout_of(seed: int, number: int) -> Layout:
    """The layout of picture `number`."""
    return layout_in_turn(seed, label_of(seed, number), number // len(LAYOUTS))


def layout_in_turn(seed: int, label: str, at: int) -> Layout:
    """The layout of the class's picture `at`: its layouts take turns, so that few pictures show many."""
    turn, place = divmod(at, len(LAYOUTS[label]))
    order = list(LAYOUTS[label])
    Random(f"layouts/{seed}/{label}/{turn}").shuffle(order)
    return order[place]


def draw(numbers: Sequence[int], seed: int, fonts: Sequence[str], browser: str, folder: Path) -> list[Row]:
    """The truth of the pictures, which it writes into the folder."""
    pages.load()
    rows = []
    with camera(browser, fonts) as taking:
        for number in numbers:
            page = layout_of(seed, number)(World(f"{seed}/{number}", fonts))
            shot = taking.take(page)
            image = f"images/{number + 1:05}.jpg"
            (folder / image).write_bytes(shot.jpeg)
            rows.append(
                {
                    "id": f"screen-{number + 1:05}",
                    "image": image,
                    "label": label_of(seed, number),
                    "lines": shot.lines,
                }
            )
    return rows


def draw_all(count: int, workers: int, *how: Any) -> Iterator[Row]:
    """The truth of all pictures in order of number, drawn by so many processes, each with a browser."""
    if workers == 1:
        yield from draw(range(count), *how)
        return
    shares = [range(at, count, workers) for at in range(workers)]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        drawn = [task.result() for task in [pool.submit(draw, share, *how) for share in shares]]
    yield from (drawn[number % workers][number // workers] for number in range(count))


def write_lines(path: Path, rows: Sequence[Row]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="a folder that is empty or not there")
    parser.add_argument("--count", type=int, default=100, help="pictures in all (100)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--font", action="append", help=f"a font family with Chinese characters ({FONT})")
    parser.add_argument("--browser", help="path or name of Chromium (CHROMIUM, or chromium)")
    parser.add_argument("--workers", type=int, default=1, help="processes, each with a browser (1)")
    return parser.parse_args()


def main() -> int:
    chosen = arguments()
    if chosen.count < 1 or chosen.workers < 1:
        print("--count and --workers are at least 1", file=sys.stderr)
        return 2
    if chosen.out.exists() and any(chosen.out.iterdir()):
        print(f"{chosen.out} is not empty: name another folder, or empty it", file=sys.stderr)
        return 2
    pages.load()
    began = time.monotonic()
    try:
        browser = browser_path(chosen.browser)
        (chosen.out / "images").mkdir(parents=True, exist_ok=True)
        how = (chosen.seed, chosen.font or [FONT], browser, chosen.out)
        rows = list(draw_all(chosen.count, min(chosen.workers, chosen.count), *how))
    except BrowserFault as fault:
        print(fault, file=sys.stderr)
        return 2
    write_lines(chosen.out / "ground_truth.jsonl", rows)
    write_lines(
        chosen.out / "train.jsonl", [{key: row[key] for key in ("id", "image", "label")} for row in rows]
    )
    took = time.monotonic() - began
    print(f"{chosen.out}: {len(rows)} pictures in {took:.1f} s, {len(rows) / took:.1f} a second")
    return 0


if __name__ == "__main__":
    sys.exit(main())
