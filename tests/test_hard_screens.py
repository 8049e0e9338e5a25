"""Hard screens are the same for a seed, and hard in the ways that they say."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from screens.hard import NEVER, PHOTOGRAPHS, SHARES, hard_screens, lines_of, neighbours


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
