"""Measures annotate.image_quality: planted faults that it finds, and clean screens that it calls poor.

    python scripts/bench_image_quality.py
    python scripts/bench_image_quality.py --screens /folder/of/screens --take 200 --json

Screens are those of examples/ecom, or any folder's. Into each of them one fault at a time is planted:
darkness (by stops of light that are missing), a white veil, gamma, Gaussian blur by its radius in pixels,
plain colours, odd shapes, bars around it, and the screen inside a viewer or a chat. All are saved as JPEG of
quality 85 before they are measured. `clean` counts each word on the screens as they are.

Where cleanvision is installed (it is no part of datakit) its own words for the same pictures, at its default
limits, stand beside datakit's. It knows no frames, and its odd sizes are those that differ from the others
of a set, so that both are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from datakit.annotate._picture_measures import measure
from datakit.annotate.image_quality import ImageQuality
from datakit.core.image import load_rgb

SCREENS = Path(__file__).resolve().parents[1] / "examples" / "ecom" / "images"
PEER = {
    "dark": "is_dark_issue",
    "light": "is_light_issue",
    "blurry": "is_blurry_issue",
    "low_information": "is_low_information_issue",
}
WANTED_RECALL, MOST_FALSE = 0.9, 0.02
BEYOND = (
    "blurry 1",
    "dark gamma 3",
    "light gamma 1/3",
    "framed white beside",
    "framed white above",
    "framed on another screen",
)
"""Planted, told and not demanded: text is still read, white stays white and black black, a white bar beside a
white page has no edge, and a white page on a white page little of one."""

Plant = Callable[[Image.Image], Image.Image]


def levels(change: Callable[[np.ndarray], np.ndarray]) -> Plant:
    """A fault that moves every level, from 0 to 1, by itself."""
    table = [round(255 * float(value)) for value in np.clip(change(np.arange(256) / 255), 0, 1)]
    return lambda picture: picture.point(table * 3)


def exposed(stops: int) -> Plant:
    """The picture with 1 / 2**stops of its light."""
    return levels(lambda level: level * (0.5**stops) ** (1 / 2.2))


def bars(picture: Image.Image, colour: str, *, share: float, upright: bool) -> Image.Image:
    """The picture with a bar at each of two sides, which take `share` of the whole together."""
    wide, high = picture.size
    size = (round(wide / (1 - share)), high) if upright else (wide, round(high / (1 - share)))
    whole = Image.new("RGB", size, colour)
    whole.paste(picture, ((size[0] - wide) // 2, (size[1] - high) // 2))
    return whole


def viewer(picture: Image.Image) -> Image.Image:
    """The picture in a phone's picture viewer: a clock above, buttons below, black around."""
    wide, high = picture.size
    whole, inner = Image.new("RGB", picture.size, "black"), picture.resize((wide * 3 // 4, high * 3 // 4))
    whole.paste(inner, (wide // 8, high // 8))
    draw = ImageDraw.Draw(whole)
    draw.text((wide // 20, high // 60), "14:08", fill="white", font_size=high // 50)
    draw.text((wide // 3, high * 15 // 16), "Share   Edit   Delete", fill="white", font_size=high // 50)
    return whole


def chat(picture: Image.Image, other: Image.Image) -> Image.Image:
    """The picture sent in a chat, under the head of another screen."""
    wide, high = picture.size
    whole, inner = Image.new("RGB", picture.size, "#ededed"), picture.resize((wide * 6 // 10, high * 6 // 10))
    whole.paste(other.resize(picture.size).crop((0, 0, wide, high // 10)), (0, 0))
    whole.paste(inner, (wide // 5, high // 5))
    return whole


def on_another(picture: Image.Image, other: Image.Image) -> Image.Image:
    """The picture on top of another screen."""
    whole = other.resize(picture.size)
    whole.paste(
        picture.resize((picture.width * 6 // 10, picture.height * 6 // 10)),
        (picture.width // 5, picture.height // 5),
    )
    return whole


def planted(picture: Image.Image, other: Image.Image, number: int) -> Iterator[tuple[str, Image.Image]]:
    """What is planted -> the picture with it; the first word is the one that must be said."""
    wide, high = picture.size
    for stops in (4, 5, 6):
        yield f"dark {stops} stops", exposed(stops)(picture)
    yield "dark gamma 3", levels(lambda level: level**3)(picture)
    for veil in (70, 80):
        yield f"light veil {veil}%", levels(lambda level, by=veil / 100: by + (1 - by) * level)(picture)
    yield "light gamma 1/3", levels(lambda level: level ** (1 / 3))(picture)
    for radius in (1, 2, 3, 4):
        yield f"blurry {radius}", picture.filter(ImageFilter.GaussianBlur(radius))
    colour = ("black", "white", "grey", "navy", "orange", "#f5f5f5")[number % 6]
    yield "low_information plain", Image.new("RGB", picture.size, colour)
    yield "low_information gradient", Image.linear_gradient("L").resize(picture.size).convert("RGB")
    yield "odd_size long", picture.resize((wide, 5 * wide))
    yield "odd_size wide", picture.crop((0, 0, wide, wide // 5))
    yield "odd_size small", picture.resize((150, 150 * high // wide))
    for colour in ("black", "white", "#808080"):
        yield f"framed {colour} beside", bars(picture, colour, share=0.3, upright=True)
        yield f"framed {colour} above", bars(picture, colour, share=0.3, upright=False)
    yield "framed in a viewer", viewer(picture)
    yield "framed in a chat", chat(picture, other)
    yield "framed on another screen", on_another(picture, other)


def peer_of() -> Callable[[list[Path]], dict[str, set[str]]] | None:
    """cleanvision's words by picture, where it is installed."""
    try:
        from cleanvision import Imagelab
    except ImportError:
        return None

    def look(paths: list[Path]) -> dict[str, set[str]]:
        lab = Imagelab(filepaths=[str(path) for path in paths])
        lab.find_issues({word: {} for word in PEER}, n_jobs=1, verbose=False)
        rows = lab.issues.iterrows()
        return {name: {word for word, column in PEER.items() if row[column]} for name, row in rows}

    return look


def bench(screens: list[Path], folder: Path) -> dict[str, dict[str, object]]:
    """What is planted -> how many pictures had it, and shares of them with each word."""
    written: dict[str, list[Path]] = {"clean": screens}
    for number, path in enumerate(screens):
        other = load_rgb(screens[(number + 7) % len(screens)])
        for what, picture in planted(load_rgb(path), other, number):
            target = folder / f"{number}-{what.replace(' ', '_').replace('/', '_')}.jpg"
            picture.save(target, quality=85)
            written.setdefault(what, []).append(target)
    step, peer, rows = ImageQuality(), peer_of(), {}
    for what, paths in written.items():
        found = [step._faults(measure(str(path))) for path in paths]
        rows[what] = {"pictures": len(paths), "words": _shares(found)}
        if peer is not None:
            rows[what]["cleanvision"] = _shares(list(peer(paths).values()))
    return rows


def _shares(found: list[set[str]]) -> dict[str, float]:
    words = sorted({word for words in found for word in words})
    return {word: round(sum(word in words for words in found) / len(found), 4) for word in words}


def failures(rows: dict[str, dict[str, object]]) -> list[str]:
    """What is not as good as the step's page says."""
    told = []
    for what, row in rows.items():
        shares = row["words"]
        assert isinstance(shares, dict)
        if what == "clean":
            told += [f"clean: {word} {share}" for word, share in shares.items() if share > MOST_FALSE]
        elif what not in BEYOND and shares.get(what.split()[0], 0) < WANTED_RECALL:
            told.append(f"{what}: {shares.get(what.split()[0], 0)}")
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--screens", type=Path, default=SCREENS)
    parser.add_argument("--take", type=int, default=60, help="screens, evenly out of the folder")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    paths = sorted(path for path in given.screens.iterdir() if path.suffix.lower() in (".jpg", ".png"))
    paths = paths[:: max(1, len(paths) // given.take)][: given.take]
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        for path in paths:
            measure(str(path))
        each_ms = 1000 * (time.process_time() - began) / len(paths)
        rows = bench(paths, Path(folder))
    if given.json:
        print(json.dumps({"cpu_ms_a_picture": round(each_ms), "planted": rows}))
    else:
        print(f"{each_ms:.0f} ms of CPU a picture")
        for what, row in rows.items():
            print(f"{what:28}", row["pictures"], row["words"], row.get("cleanvision", ""))
    for words in (told := failures(rows)):
        print(words, file=sys.stderr)
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
