"""Draws examples/medical: 64 chest-film-like phantoms in five classes, and their records.

No patient, no scan and no medical image is behind them: ribs, lungs, heart and findings are formulas with
seeded noise. The same seed gives the same pictures.

    python scripts/make_medical_example.py                  # into examples/medical
    python scripts/make_medical_example.py --out /some/folder
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE_PX = 512
JPEG_QUALITY = 85
SEED = 20
PER_CLASS = 12

NORMAL, NODULE, PATCH, EFFUSION, HEART = "未见异常", "肺部结节影", "斑片状阴影", "胸腔积液", "心影增大"
FINDINGS = (NORMAL, NODULE, PATCH, EFFUSION, HEART)
TWO_VIEWS = (NODULE, EFFUSION)
QUESTIONS = (
    "<image>请阅片并给出影像印象。",
    "<image>这是一张正位胸片，请给出影像印象。",
    "<image>{sex}，{age}岁，入职体检。请阅片并给出影像印象。",
    "<image>{sex}，{age}岁，咳嗽一周。请阅片并给出影像印象。",
)
TWO_VIEW_QUESTION = "正位片：<image>\n侧位片：<image>\n请结合两张片子给出影像印象。"

Field = npt.NDArray[Any]


@dataclass(frozen=True)
class Body:
    """What frontal and lateral view of one phantom share. Lengths are in units of half the picture's side."""

    zoom: float
    shift: tuple[float, float]
    turn: float
    """Radians."""
    rib_phase: float
    lung: tuple[float, float]
    """Half width and half height of a lung."""
    heart: float
    """Half the heart shadow's width; the inner half-width of the chest is about 0.64."""
    side: int
    """Side of the picture with the finding: -1 left, 1 right."""
    spot: tuple[float, float]
    """Centre of the nodule or patch: distance from the midline, height (down is positive)."""
    size: float
    """Strength of the finding, 0 to 1."""
    gain: float
    gamma: float
    stomach: tuple[float, float]
    """Place and width of the air bubble under the diaphragm."""


def body(finding: str, rng: np.random.Generator) -> Body:
    """The measures of one phantom, within the spread of its class."""
    large = finding == HEART
    return Body(
        zoom=rng.uniform(0.88, 1.16),
        shift=(rng.uniform(-0.08, 0.08), rng.uniform(-0.10, 0.06)),
        turn=rng.uniform(-0.06, 0.06),
        rib_phase=rng.uniform(-0.06, 0.06),
        lung=(rng.uniform(0.26, 0.30), rng.uniform(0.58, 0.68)),
        heart=rng.uniform(0.43, 0.50) if large else rng.uniform(0.25, 0.29),
        side=int(rng.choice((-1, 1))),
        spot=(rng.uniform(0.34, 0.46), rng.uniform(-0.36, 0.06)),
        size=rng.uniform(0.0, 1.0),
        gain=rng.uniform(0.90, 1.10),
        gamma=rng.uniform(0.80, 1.25),
        stomach=(rng.uniform(0.26, 0.44), rng.uniform(0.04, 0.13)),
    )


def _grid(shape: Body) -> tuple[Field, Field]:
    """Body coordinates of every pixel: the body is zoomed, turned and moved within the picture."""
    axis = ((np.arange(SIDE_PX, dtype=np.float32) + 0.5) / SIDE_PX * 2 - 1) * shape.zoom
    x, y = np.meshgrid(axis - shape.shift[0], axis - shape.shift[1])
    sine, cosine = float(np.sin(shape.turn)), float(np.cos(shape.turn))
    return x * cosine - y * sine, x * sine + y * cosine


def _inside(field: Field, edge: float) -> Field:
    """1 where `field` is negative, 0 where positive, with a soft edge of that width."""
    result: Field = 1 / (1 + np.exp(np.clip(field / edge, -40, 40)))
    return result


def _ellipse(x: Field, y: Field, cx: float, cy: float, rx: float, ry: float) -> Field:
    """Negative inside the ellipse, about 0 on its line."""
    result: Field = np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2) - 1
    return result


def _grain(rng: np.random.Generator, cells: int) -> Field:
    """Noise of unit strength whose grains are 512 / `cells` pixels wide."""
    small = rng.standard_normal((cells, cells)).astype(np.float32)
    large = Image.fromarray(small).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
    return np.asarray(large, dtype=np.float32)


def _dome(x: Field, side: int) -> Field:
    """Height of the diaphragm; the liver lifts the one on the picture's left."""
    top = 0.40 if side > 0 else 0.34
    return top + 1.5 * (x - side * 0.34) ** 2


def _lung(x: Field, y: Field, shape: Body, side: int) -> Field:
    """1 inside the lung on that side of the picture."""
    outline = _ellipse(x, y, side * 0.36, -0.04, *shape.lung)
    return _inside(outline, 0.03) * _inside(y - _dome(x, side), 0.012)


def _ribs(x: Field, y: Field, phase: float) -> Field:
    """Brightness of the ribs: arcs that fall outwards, behind and in front."""
    away = np.abs(x)
    total = np.zeros_like(x)
    for number in range(9):
        back = -0.66 + phase + 0.135 * number + 0.55 * (away - 0.25) ** 2
        total += 0.085 * np.exp(-(((y - back) / 0.026) ** 2)) * _inside(away - 0.68, 0.02)
        front = -0.52 + phase + 0.15 * number + 0.37 * (0.70 - away)
        total += 0.03 * np.exp(-(((y - front) / 0.024) ** 2)) * _inside(0.28 - away, 0.03)
    return total * _inside(away - 0.70, 0.02) * _inside(y - 0.52, 0.05)


def _vessels(x: Field, y: Field, rng: np.random.Generator) -> Field:
    """Brightness of the vessels that fan out from both hila."""
    total = np.zeros_like(x)
    for side in (-1, 1):
        for angle in (np.linspace(-1.25, 1.25, 9) + rng.normal(0, 0.07, 9)).tolist():
            along = (x * side - 0.13) * np.cos(angle) + (y + 0.04) * np.sin(angle)
            across = (y + 0.04) * np.cos(angle) - (x * side - 0.13) * np.sin(angle) + 0.18 * along**2
            reach = np.exp(-np.clip(along, 0, None) / 0.17) * _inside(-along, 0.02)
            total += 0.10 * reach * np.exp(-((across / 0.014) ** 2))
    return total


def _finding(x: Field, y: Field, lungs: Field, finding: str, shape: Body, rng: np.random.Generator) -> Field:
    """Brightness that the finding adds, on the side that the body names."""
    cx, cy = shape.side * shape.spot[0], shape.spot[1]
    if finding == NODULE:
        radius = 0.055 + 0.03 * shape.size
        return 0.30 * _inside(_ellipse(x, y, cx, cy, radius, radius * 0.94), 0.09)
    if finding == PATCH:
        cloud = np.zeros_like(x)
        for _ in range(14):
            dx, dy = rng.normal(0, 0.085, 2).tolist()
            reach = rng.uniform(0.05, 0.10)
            cloud += 0.16 * np.exp(-((x - cx - dx) ** 2 + (y - cy - 0.08 - dy) ** 2) / reach**2)
        mottle = np.clip(1 + 0.28 * _grain(rng, 40), 0, 2)
        return np.clip(cloud * mottle, 0, 0.34) * lungs
    if finding == EFFUSION:
        level = 0.20 - 0.16 * shape.size - 1.6 * np.clip(x * shape.side - 0.30, 0, None) ** 1.6
        return 0.42 * _inside(level - y, 0.016) * lungs * _inside(-x * shape.side, 0.02)
    return np.zeros_like(x)


def _expose(picture: Field, shape: Body, rng: np.random.Generator) -> Image.Image:
    """The grey picture: film grain, uneven exposure, 8 bits."""
    picture = (
        np.clip(picture * shape.gain, 0, 1) ** shape.gamma + 0.014 * _grain(rng, 256) + 0.012 * _grain(rng, 6)
    )
    return Image.fromarray((np.clip(picture, 0, 1) * 255).round().astype(np.uint8))


def frontal(finding: str, shape: Body, rng: np.random.Generator) -> Image.Image:
    """A frontal view, 512 x 512 grey."""
    x, y = _grid(shape)
    shoulders = 0.80 - 0.34 * np.clip(-y - 0.55, 0, None) ** 0.8
    torso = _inside((np.abs(x) - shoulders) / 0.5, 0.03) * _inside(-y - 0.90 + 0.35 * np.abs(x), 0.03)
    neck = _inside(np.abs(x) - 0.17, 0.02) * _inside(y + 0.6, 0.05)
    picture = 0.05 + 0.55 * np.maximum(torso, neck)
    lungs = np.maximum(_lung(x, y, shape, -1), _lung(x, y, shape, 1))
    heart = _inside(_ellipse(x, y, 0.06 + 0.25 * (shape.heart - 0.25), 0.20, shape.heart, 0.26), 0.05)
    heart *= _inside(y - 0.46, 0.03)
    aorta = _inside(_ellipse(x, y, 0.08, -0.22, 0.10, 0.12), 0.08)
    air = lungs * (1 - np.maximum(heart, 0.85 * aorta))
    picture -= 0.40 * air
    picture += _vessels(x, y, rng) * air
    picture += _ribs(x, y, shape.rib_phase) * torso
    spine = np.exp(-((x / 0.075) ** 4)) * (0.07 + 0.025 * np.cos(y * 46))
    picture += spine * torso
    picture -= 0.10 * np.exp(-(((x + 0.01) / 0.035) ** 4)) * _inside(y + 0.22, 0.03)
    collar = -0.60 - 0.16 * (np.abs(x) - 0.12) + 0.28 * (np.abs(x) - 0.35) ** 2
    picture += 0.15 * np.exp(-(((y - collar) / 0.026) ** 2)) * _inside(0.10 - np.abs(x), 0.02) * torso
    stomach = _inside(_ellipse(x, y, shape.stomach[0], 0.56, shape.stomach[1], 0.05), 0.10)
    picture -= 0.16 * stomach
    picture += _finding(x, y, air, finding, shape, rng)
    return _expose(picture, shape, rng)


def lateral(finding: str, shape: Body, rng: np.random.Generator) -> Image.Image:
    """A lateral view of the same body, breastbone to the left, spine to the right."""
    x, y = _grid(shape)
    torso = _inside(_ellipse(x, y, 0.0, 0.25, 0.62, 1.25), 0.03) * _inside(-y - 0.90, 0.03)
    picture = 0.05 + 0.55 * torso
    dome = 0.36 + 0.9 * (x + 0.05) ** 2
    lungs = _inside(_ellipse(x, y, 0.02, -0.05, 0.46, 0.66), 0.03) * _inside(y - dome, 0.012)
    heart = _inside(_ellipse(x, y, -0.16, 0.18, shape.heart * 0.85, 0.24), 0.06)
    air = lungs * (1 - 0.9 * heart)
    picture -= 0.36 * air
    back = 0.40 - 0.16 * (y - 0.1) ** 2
    picture += np.exp(-(((x - back) / 0.075) ** 4)) * (0.13 + 0.05 * np.cos(y * 44)) * torso
    picture += 0.10 * np.exp(-(((x + 0.47 - 0.10 * y) / 0.03) ** 2)) * _inside(np.abs(y) - 0.5, 0.05)
    for number in range(8):
        rib = -0.55 + 0.14 * number + shape.rib_phase + 0.42 * (0.45 - x) * 0.6
        picture += 0.045 * np.exp(-(((y - rib) / 0.024) ** 2)) * lungs
    if finding == EFFUSION:
        level = 0.16 - 0.16 * shape.size - 1.4 * np.clip(x - 0.12, 0, None) ** 1.6
        picture += 0.36 * _inside(level - y, 0.016) * air
    else:
        moved = replace(shape, side=1, spot=(0.10, shape.spot[1]))
        picture += _finding(x, y, air, finding, moved, rng)
    return _expose(picture, shape, rng)


def findings() -> list[str]:
    """The finding of every record, in order: 60 of one view in mixed order, then those of two views."""
    order = np.random.default_rng(SEED).permutation(np.repeat(np.arange(len(FINDINGS)), PER_CLASS))
    return [FINDINGS[number] for number in order] + list(TWO_VIEWS)


def draw(number: int, finding: str) -> tuple[dict[str, Any], dict[str, Image.Image]]:
    """The record of that number (from 1), as a line of a JSONL file, and its pictures by path."""
    rng = np.random.default_rng([SEED, number])
    shape = body(finding, rng)
    sex, age = str(rng.choice(("男", "女"))), int(rng.integers(19, 81))
    question = QUESTIONS[int(rng.integers(len(QUESTIONS)))].format(sex=sex, age=age)
    drawn = [frontal(finding, shape, rng)]
    places = [f"images/{number:04d}.jpg"]
    if number > len(FINDINGS) * PER_CLASS:
        question = TWO_VIEW_QUESTION
        drawn.append(lateral(finding, shape, rng))
        places = [f"images/{number:04d}-{view}.jpg" for view in ("frontal", "lateral")]
    image = places[0] if len(places) == 1 else places
    record = {"id": f"film-{number:04d}", "image": image, "finding": finding, "question": question}
    return {**record, "sex": sex, "age": age}, dict(zip(places, drawn, strict=True))


def make(folder: Path) -> None:
    """Writes images/, train.jsonl (one image a record) and two_views.jsonl (two images a record)."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    lines: dict[str, list[str]] = {"train.jsonl": [], "two_views.jsonl": []}
    for number, finding in enumerate(findings(), 1):
        record, views = draw(number, finding)
        for place, view in views.items():
            view.save(folder / place, quality=JPEG_QUALITY)
        target = "train.jsonl" if len(views) == 1 else "two_views.jsonl"
        lines[target].append(json.dumps(record, ensure_ascii=False) + "\n")
    for name, content in lines.items():
        (folder / name).write_text("".join(content), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(__file__).resolve().parent.parent / "examples" / "medical"
    parser.add_argument(
        "--out", type=Path, default=default, help="folder to write (default: examples/medical)"
    )
    make(parser.parse_args().out)
