#!/usr/bin/env python
"""Measures what a build costs anew, unchanged and with one record edited, beside a plain loop over its files.

    python scripts/bench_incremental.py
    python scripts/bench_incremental.py --pictures 100000 --texts 1000000 --check

Pictures are 32 x 32 pixels, so that decoding is next to nothing and our own work shows; the recipe reads JSON
lines, guards and measures pictures (three stored steps), splits, renders and emits with linked pictures.
Texts go the same way without pictures. All are commands `datakit build --no-card --no-check` from the start
of their process to its end, and CPU seconds of whole processes with their children decide, because wall time
depends on what else the machine does.

- floor: one process that reads each JSON line, hashes each picture, links it and writes a line
- decoding: one process that takes the facts of each picture, and its quality, which the first build must do
- build, unchanged, edited: the command, again, and again after the text of one record was changed
- after: the command once more, to show that an edit leaves nothing to be read again
- half: a build of half the records, for the exponent of CPU seconds in the number of records
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import random
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.cost import cost_of

ROOT = Path(__file__).resolve().parent.parent
SIDE_PX = 32
LETTERS, TEXT_CHARS = "订单支付物流退款页面商品详情评价店铺优惠券加入购物车立即购买¥0123456789，。 ", 60
MAX_BUILD_S, MAX_EDITED_S, MAX_UNCHANGED_S = 60.0, 8.0, 1.0
"""CPU seconds beyond decoding and of an edit at 100,000 pictures; wall seconds of an unchanged build."""
MAX_TEXT_EDITED_S, MAX_TEXT_MB = 10.0, 500
"""CPU seconds of an edit and memory at 1,000,000 texts."""
CLASSES = ("chat", "order", "search", "video")
LABELS = {"labels": [{"name": name, "description": f"a screen with {name}"} for name in CLASSES]}
TEMPLATE = """\
{% for _ in images %}<image>{% endfor %}Which of {{ label_names | join(", ") }}?
{{ text }}
"""
RECIPE = """\
version: 1
name: bench
labels: ../labels.yaml
steps:
  - read.jsonl: {path: ../rows.jsonl, label: labelIMAGE}
STEPS  - curate.split: {val: 0.1, stratify: label}
  - render.chat: {prompt: ask.j2, answer: label_only}
emit:
  - llamafactory: {images: link}
"""
PICTURE_STEPS = """\
  - guard.image: {min_side_px: 8, max_ratio: 200}
  - annotate.image_facts: {}
  - annotate.image_quality: {}
"""


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--pictures", type=int, default=2_000, help="records with a picture; 0 for none")
    parser.add_argument("--texts", type=int, default=10_000, help="records without one; 0 for none")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bound is exceeded")
    parser.add_argument("--loop", choices=("floor", "decoding"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.loop:
        {"floor": floor, "decoding": decoding}[given.loop](given.folder)
        return 0
    figures = {}
    with tempfile.TemporaryDirectory(prefix="bench_incremental.", dir=given.folder) as folder:
        for kind, count in (("pictures", given.pictures), ("texts", given.texts)):
            if count:
                figures[kind] = measure(Path(folder) / kind, count, pictures=kind == "pictures")
    print(json.dumps(figures, indent=2) if given.json else "\n\n".join(map(table, figures.values())))
    return int(given.check and not all(map(within_bounds, figures.values())))


def measure(folder: Path, count: int, *, pictures: bool) -> dict[str, Any]:
    """The costs of all commands over so many records."""
    write_project(folder / "whole", count, pictures=pictures)
    write_project(folder / "half", count // 2, pictures=pictures)
    project, costs = folder / "whole", {}
    if pictures:
        costs["decoding"] = cost_of(loop_command("decoding", project))
    costs["half"] = cost_of(build_command(folder / "half"))
    costs["build"] = cost_of(build_command(project))
    costs["unchanged"] = cost_of(build_command(project))
    edit(project / "rows.jsonl", count // 2)
    costs["edited"] = cost_of(build_command(project))
    report = json.loads((project / "build" / "bench" / "report.json").read_bytes())
    costs["after"] = cost_of(build_command(project))
    costs["floor"] = cost_of(loop_command("floor", project))
    fixed = costs["unchanged"].cpu_s
    exponent = math.log2(max(costs["build"].cpu_s - fixed, 0.01) / max(costs["half"].cpu_s - fixed, 0.01))
    return {
        "records": count,
        "pictures": pictures,
        **{name: asdict(cost) for name, cost in costs.items()},
        "exponent": round(exponent, 2),
        "edited_by_floor": round(costs["edited"].cpu_s / costs["floor"].cpu_s, 2),
        "edited_new": {step["name"]: step["new"] for step in report["steps"] if step["new"]},
        "edited_steps_s": {step["name"]: step["seconds"] for step in report["steps"]},
    }


def within_bounds(figures: dict[str, Any]) -> bool:
    """Whether the goals are reached; they are for 100,000 pictures and 1,000,000 texts."""
    edited = MAX_EDITED_S if figures["pictures"] else MAX_TEXT_EDITED_S
    bounds = [
        figures["edited"]["cpu_s"] <= edited,
        figures["unchanged"]["wall_s"] <= MAX_UNCHANGED_S,
        sum(figures["edited_new"].values()) <= len(figures["edited_new"]),
    ]
    if figures["pictures"]:
        bounds.append(figures["build"]["cpu_s"] - figures["decoding"]["cpu_s"] <= MAX_BUILD_S)
    else:
        bounds.append(figures["build"]["peak_mb"] <= MAX_TEXT_MB)
    return all(bounds)


def build_command(folder: Path) -> list[str]:
    """The command that builds the project."""
    recipe = str(folder / "recipes" / "bench.yaml")
    return [sys.executable, "-m", "datakit.cli", "build", recipe, "--quiet", "--no-card", "--no-check"]


def loop_command(name: str, folder: Path) -> list[str]:
    """The command that runs one of the loops over the project."""
    return [sys.executable, __file__, "--loop", name, "--folder", str(folder)]


def write_project(folder: Path, count: int, *, pictures: bool) -> None:
    """A project with labels, a recipe, a prompt, rows, and a picture for each where wanted."""
    for name in ("recipes", "templates", "pictures"):
        (folder / name).mkdir(parents=True)
    recipe = RECIPE.replace("IMAGE", ", image: image" if pictures else "")
    recipe = recipe.replace("STEPS", PICTURE_STEPS if pictures else "")
    (folder / "recipes" / "bench.yaml").write_text(recipe, "utf-8")
    (folder / "labels.yaml").write_text(json.dumps(LABELS), "utf-8")
    (folder / "templates" / "ask.j2").write_text(TEMPLATE, "utf-8")
    rng = random.Random(7)
    with open(folder / "rows.jsonl", "w", encoding="utf-8") as file:
        for number in range(count):
            text = "".join(rng.choices(LETTERS, k=TEXT_CHARS))
            row = {"id": f"r{number:07d}", "label": CLASSES[number % len(CLASSES)], "text": text}
            if pictures:
                row["image"] = f"pictures/{number:07d}.png"
                draw(folder / row["image"], number)
            file.write(json.dumps(row) + "\n")


def draw(path: Path, number: int) -> None:
    """A picture unlike all others: random levels, so that none is plain."""
    import numpy as np
    from PIL import Image

    levels = np.random.default_rng(number).integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    Image.fromarray(levels).save(path, compress_level=1)


def edit(path: Path, number: int) -> None:
    """Changes the text of one record."""
    lines = path.read_text("utf-8").splitlines()
    row = json.loads(lines[number])
    lines[number] = json.dumps({**row, "text": f"edited: {row['text']}"})
    path.write_text("\n".join(lines) + "\n", "utf-8")


def floor(folder: Path) -> None:
    """The least that a data set takes: every line read and written, every picture hashed and linked."""
    import orjson

    target = folder / "floor"
    target.mkdir()
    with open(folder / "rows.jsonl", "rb") as lines, open(target / "rows.json", "wb") as out:
        for line in lines:
            row = orjson.loads(line)
            if "image" in row:
                path = folder / row["image"]
                with open(path, "rb") as file:
                    row["image"] = f"{hashlib.file_digest(file, 'sha256').hexdigest()[:32]}.png"
                os.link(path, target / row["image"])
            out.write(orjson.dumps(row) + b",\n")


def decoding(folder: Path) -> None:
    """What the stored steps must do of each picture once."""
    from datakit.annotate.image_quality import ImageQuality
    from datakit.core.image_pass import image_facts
    from datakit.core.step_context import StepContext

    context = StepContext(folder, folder)
    worker = ImageQuality().start(context)
    for path in sorted(map(str, (folder / "pictures").iterdir())):
        image_facts(path)
        worker.answer({"id": path, "images": [path]})


def table(figures: dict[str, Any]) -> str:
    """The numbers for people."""
    what = "pictures" if figures["pictures"] else "texts"
    lines = [f"{figures['records']:,} {what}", f"{'':10}{'CPU s':>8}{'wall s':>8}{'MB':>8}"]
    names = ("floor", "decoding", "half", "build", "unchanged", "edited", "after")
    costs = {name: figures[name] for name in names if name in figures}
    lines += [f"{n:10}{c['cpu_s']:8.2f}{c['wall_s']:8.2f}{c['peak_mb']:8.0f}" for n, c in costs.items()]
    lines.append(f"exponent  {figures['exponent']:8.2f}   of CPU seconds in records, without the start")
    lines.append(f"edited    {figures['edited_by_floor']:8.2f} times the floor; new: {figures['edited_new']}")
    lines.append("steps     " + ", ".join(f"{name} {s} s" for name, s in figures["edited_steps_s"].items()))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
