"""What a picture is told by: its look as a whole, and its strips wherever they stand."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from datakit.proxy.pictures import LOOK, SIZE, looked_at


def screen(path: Path, *, scrolled: int = 0, colour: str = "#ffffff") -> str:
    """Rows of a picture and two bars, some of them scrolled away."""
    image = Image.new("RGB", (128, 480), colour)
    draw = ImageDraw.Draw(image)
    for top in range(-scrolled, 480, 40):
        draw.rectangle((8, top + 6, 36, top + 34), fill="#d03030")
        draw.rectangle((48, top + 10, 110, top + 16), fill="#222222")
        draw.rectangle((48, top + 22, 80, top + 28), fill="#777777")
    image.save(path)
    return str(path)


def blank(path: Path) -> str:
    Image.new("RGB", (128, 480), "#ffffff").save(path)
    return str(path)


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_strips_are_much_the_same_where_a_screen_is_scrolled_and_others_elsewhere(tmp_path: Path) -> None:
    paths = [screen(tmp_path / "a.png"), screen(tmp_path / "b.png", scrolled=80), blank(tmp_path / "c.png")]
    told, _, broken = looked_at([[path] for path in paths], 500)
    assert told.shape == (3, SIZE)
    assert broken == 0
    strips = told[:, LOOK:]
    assert likeness(strips[0], strips[1]) > 0.95
    assert likeness(strips[0], strips[2]) < 0.5


def test_a_picture_of_any_shape_has_as_many_numbers(tmp_path: Path) -> None:
    sizes = [(1, 1), (1, 900), (900, 1), (64, 8), (30, 3000)]
    paths = []
    for at, size in enumerate(sizes):
        Image.new("RGB", size, "#336699").save(tmp_path / f"{at}.png")
        paths.append([str(tmp_path / f"{at}.png")])
    told, _, broken = looked_at(paths, 500)
    assert np.isfinite(told).all()
    assert broken == 0


def test_a_broken_picture_is_counted_and_a_record_without_one_is_not_a_number(tmp_path: Path) -> None:
    (tmp_path / "no.png").write_bytes(b"no picture")
    told, _, broken = looked_at([[str(tmp_path / "no.png")], []], 500)
    assert broken == 1
    assert np.isnan(told).all()


def test_a_picture_that_changes_is_looked_at_anew_and_one_that_is_gone_is_broken(tmp_path: Path) -> None:
    path = screen(tmp_path / "a.png")
    before, again = (looked_at([[path]], 500) for _ in range(2))
    blank(tmp_path / "a.png")
    after = looked_at([[path]], 500)
    assert before.lines == again.lines != after.lines
    assert np.array_equal(before.features, again.features)
    assert after.lines == looked_at([[blank(tmp_path / "c.png")]], 500).lines
    (tmp_path / "a.png").unlink()
    assert looked_at([[path]], 500).broken == 1


def test_a_picture_reads_from_top_to_bottom_and_one_below_another_like_a_text(tmp_path: Path) -> None:
    rows, empty = screen(tmp_path / "a.png"), blank(tmp_path / "c.png")
    once, other, both, none = looked_at([[rows], [empty], [rows, empty], []], 500).lines
    assert both == f"{once}\n{other}"
    assert none == ""
    assert len(set(other.split("\n"))) == 1  # nothing changes on an empty screen
    assert len(set(once.split("\n"))) > 3
    assert {len(line) for line in once.split("\n")} == {5}


def test_no_text_has_the_signs_of_a_strip(tmp_path: Path) -> None:
    signs = set(looked_at([[screen(tmp_path / "a.png")]], 500).lines[0]) - {"\n"}
    assert {unicodedata.category(sign) for sign in signs} == {"Co"}


def test_a_broken_picture_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "no.png").write_bytes(b"no picture")
    assert looked_at([[str(tmp_path / "no.png")]], 500).lines == [""]
