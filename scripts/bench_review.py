"""Frame times of the review page on many records, in a real browser without a window.

    python scripts/bench_review.py [--records 100000] [--browser PATH]

Writes a build of drawn pictures and its review page into a temporary folder, opens the page from there,
scrolls through it, jumps to far places, filters, and opens records. Prints the time between frames while
scrolling and the time from a far jump until the next frame and until every thumbnail in sight is there, as
median and 95th percentile; the floor is the same browser scrolling an empty page.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from screens.browser import browser_path

from datakit.artifacts.build_folder import BuildFolder
from datakit.library import build
from datakit.reviewing import pictures, writing
from datakit.reviewing.chosen import Choice, chosen
from datakit.reviewing.records import PageRecords

DISTINCT = 200
SIZE = (360, 780)
LABELS = ["购物车页面", "退货页面", "退款页面", "物流页面", "商品详情页截图", "店铺页面", "优惠券领取页面"]

RECIPE = """name: many
steps:
  - read.jsonl: {path: d.jsonl, image: image, label: label}
  - render.chat: {prompt: p.j2, answer: label_only}
emit:
  - parquet: {}
run: {store: .store}
"""

SCROLL = """
async (steps) => {
  const grid = document.getElementById("grid") ?? document.scrollingElement, times = [];
  const frame = () => new Promise(requestAnimationFrame);
  let last = await frame();
  for (let at = 0; at < steps; at += 1) {
    grid.scrollTop += 160;
    const now = await frame();
    times.push(now - last);
    last = now;
  }
  return times;
}
"""
JUMP = """
async (share) => {
  const grid = document.getElementById("grid");
  const frame = () => new Promise(requestAnimationFrame);
  await frame();
  const began = performance.now();
  grid.scrollTop = share * (grid.scrollHeight - grid.clientHeight);
  await frame();
  await frame();
  const seen = performance.now() - began;
  const ready = () => [...grid.querySelectorAll(".cell:not([hidden])")].every((cell) => {
    const image = cell.querySelector("img");
    return image.hasAttribute("src") && image.complete && image.naturalWidth > 0;
  });
  const late = () => performance.now() - began > 10000;
  while (!ready() && !late()) await new Promise((resolve) => setTimeout(resolve, 5));
  return [seen, performance.now() - began];
}
"""
SEARCH = """
async (text) => {
  const box = document.getElementById("f-search"), shown = document.getElementById("shown"), times = [];
  const frame = () => new Promise(requestAnimationFrame);
  document.getElementById("f-label").value = "";
  box.value = text;
  filter();
  const began = performance.now();
  let last = await frame();
  while (shown.textContent.includes("/")) {
    const now = await frame();
    times.push(now - last);
    last = now;
    if (now - began > 60000) break;
  }
  box.value = "";
  const found = grid.view.length, seconds = (performance.now() - began) / 1000;
  filter();
  return [seconds, found, times];
}
"""
FILTER = """
async (value) => {
  const select = document.getElementById("f-label"), began = performance.now();
  select.value = value;
  select.dispatchEvent(new Event("change"));
  await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  return performance.now() - began;
}
"""


def draw(folder: Path) -> list[str]:
    """Different pictures of a phone's shape."""
    names = []
    for number in range(DISTINCT):
        image = Image.new("RGB", SIZE, (240, 240, (number * 37) % 255))
        pen = ImageDraw.Draw(image)
        for at in range(40):
            left, top = (number * 31 + at * 47) % 300, (number * 17 + at * 19) % 760
            pen.rectangle((left, top, left + 60, top + 12), fill=((at * 40) % 255, (number * at) % 255, 90))
        names.append(f"p{number}.jpg")
        image.save(folder / names[-1], quality=70)
    return names


def text_of(number: int) -> str:
    """Some 400 signs, as on a screen; one record of 1,000 has the word that is searched."""
    words = [LABELS[(number * at) % 7] + str(number * 37 + at * 101) for at in range(30)]
    return "\n".join([*words, "独角兽" if number % 1000 == 999 else "合计"])


def made(folder: Path, count: int) -> BuildFolder:
    """A build of so many records."""
    names = draw(folder)
    with open(folder / "d.jsonl", "w", encoding="utf-8") as file:
        for number in range(count):
            row = {
                "text": text_of(number),
                "id": f"screen-{number:06d}",
                "image": names[number % DISTINCT],
                "label": LABELS[number % 7],
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    (folder / "templates").mkdir()
    (folder / "templates" / "p.j2").write_text("<image>这是什么页面？\n{{ answer_format }}", "utf-8")
    (folder / "r.yaml").write_text(RECIPE, "utf-8")
    return BuildFolder.open(build(folder / "r.yaml").folder)


def figures(name: str, values: Sequence[float]) -> None:
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    median = statistics.median(ordered)
    print(f"{name:42} median {median:7.1f} ms   p95 {p95:7.1f} ms   most {ordered[-1]:7.1f} ms")


def measure(page: Path, browser: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        process = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        tab = process.new_page(viewport={"width": 1280, "height": 800})
        tab.set_content('<div style="height:200000px"></div>')
        figures("floor: scrolling an empty page, a frame", tab.evaluate(SCROLL, 200))
        began = time.perf_counter()
        tab.goto(page.as_uri())
        tab.wait_for_selector("body[data-ready]", timeout=120_000)
        print(f"opened after {time.perf_counter() - began:.2f} s")
        figures("scrolling, a frame", tab.evaluate(SCROLL, 400))
        places = [(at * 0.381966) % 1 for at in range(1, 41)]
        jumps = [tab.evaluate(JUMP, place) for place in places]
        figures("far jump, until it is drawn", [jump[0] for jump in jumps])
        figures("far jump, until every thumbnail is there", [jump[1] for jump in jumps])
        figures("filter by label", [tab.evaluate(FILTER, str(at % 7)) for at in range(14)])
        for which in ("first", "later"):
            seconds, found, times = tab.evaluate(SEARCH, "独角兽")
            print(f"{which} search of all texts: {found:,} records found in {seconds:.2f} s")
            figures(f"{which} search, a frame meanwhile", times or [0.0])
        looks = []
        for at in range(20):
            began = time.perf_counter()
            tab.evaluate("(at) => look(at)", at * 97)
            tab.wait_for_function("document.querySelector('#v-pictures img')?.naturalWidth > 0")
            looks.append(1000 * (time.perf_counter() - began))
        figures("open a record, until its picture is there", looks)
        process.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--browser", help="path or name of Chromium (CHROMIUM, or chromium)")
    parser.add_argument("--page", type=Path, help="a page that is there already")
    given = parser.parse_args()
    browser = browser_path(given.browser)
    if given.page:
        measure(given.page.absolute(), browser)
        return 0
    with tempfile.TemporaryDirectory() as place:
        frame, _ = chosen(folder := made(Path(place), given.records), Choice())
        pictures.thumbnail = lru_cache(None)(pictures.thumbnail)  # type: ignore[assignment]
        began = time.perf_counter()
        writing.write_folder(PageRecords(folder, frame), Path(place) / "review")
        print(f"page of {given.records:,} records written in {time.perf_counter() - began:.0f} s")
        measure(Path(place) / "review" / "index.html", browser)
    return 0


if __name__ == "__main__":
    sys.exit(main())
