"""Hard screens are the same for a seed, and hard in the ways that they say."""

from __future__ import annotations

import io
import sys
from collections import Counter
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from screens import pages
from screens.hard import NEVER, PHOTOGRAPHS, SHARES, hard_screens, lines_of, neighbours, write_pictures
from screens.layouts import LAYOUTS
from screens.paint import paint
from screens.world import World


def test_a_seed_draws_the_same_screens_and_another_others() -> None:
    assert hard_screens(3, 100) == hard_screens(3, 100)
    assert hard_screens(3, 100) != hard_screens(4, 100)


def test_of_700_screens_23_classes_have_15_records_and_more_and_14_are_silent_photographs() -> None:
    screens = hard_screens(1000)
    counted = Counter(screen.label for screen in screens)
    assert len(screens) == 700
    assert len(counted) == 23
    assert min(counted.values()) >= 14
    assert not set(counted) & set(NEVER)
    assert sum(not screen.text for screen in screens if screen.label == PHOTOGRAPHS) >= 14


def test_some_screens_are_sent_twice_and_read_differently() -> None:
    screens = hard_screens(5, 300, SHARES._replace(again=0.3))
    pages = Counter(screen.page for screen in screens if screen.lines)
    twice = [screen for screen in screens if pages[screen.page] > 1]
    assert len(twice) > 40
    assert len({screen.lines for screen in twice}) > len(twice) * 0.8


def test_lines_of_a_page_are_its_texts_without_style() -> None:
    body = "<style>.a{}</style><div>订单 <b>详情</b><span>复制</span></div><svg><text>5</text></svg>"
    assert lines_of(body) == ["订单 详情", "复制", "5"]


def test_neighbours_are_classes_that_occur() -> None:
    near = neighbours()
    assert len(near) == 23
    assert {other for others in near.values() for other in others} <= set(near)


def test_a_seed_paints_the_same_pictures_and_paints_none_twice(tmp_path: Path) -> None:
    screens = hard_screens(3, 30)
    (tmp_path / "other").mkdir()
    first = [Path(path) for path in write_pictures(screens, 3, tmp_path)]
    second = write_pictures(hard_screens(3, 30), 3, tmp_path / "other")
    assert [path.read_bytes() for path in first] == [Path(path).read_bytes() for path in second]
    first[0].write_bytes(b"kept")
    assert Path(write_pictures(screens, 3, tmp_path)[0]).read_bytes() == b"kept"


def test_every_layout_is_painted_with_all_of_its_lines_in_place() -> None:
    pages.load()
    for label, layouts in LAYOUTS.items():
        for layout in layouts:
            body = layout(World(f"{label}/1", ("",))).body
            image, spans = paint(body)
            assert len(spans) == len(lines_of(body))
            assert all(0 <= top < bottom <= image.height + 20 for top, bottom in spans), layout.__name__
            shades = {colour for _, colour in image.resize((54, 120)).getcolors(54 * 120) or []}
            assert len(shades) > 3, layout.__name__


def test_the_texts_that_are_read_stand_in_the_picture(tmp_path: Path) -> None:
    """A screen whose lines are a part of the page is lower than the page, and one of two pages is higher."""
    screens = hard_screens(11, 60)
    for screen, path in zip(screens, write_pictures(screens, 11, tmp_path), strict=True):
        with Image.open(io.BytesIO(Path(path).read_bytes())) as image:
            assert image.width >= 8
            assert image.height >= 8
        assert screen.parts
    cut = [screen for screen in screens if len(screen.parts) == 1 and not screen.poor and screen.lines]
    assert cut
    for screen in cut[:10]:
        part = screen.parts[0]
        assert part.last - part.first + 1 >= len(screen.lines)
