"""Places in chats, told from prose that is about boxes and points."""

from __future__ import annotations

import pytest

from datakit.core.chat_places import places_in


@pytest.mark.parametrize(
    "text",
    [
        "Point: 3 reasons, box: 5 pieces",
        '{"point": 3, "box": "12 x 30 cm"}',
        '[{"bbox_2d": [x1, y1, x2, y2]}]',
        "a bounding box has 4 numbers [1, 2, 3, 4]",
    ],
)
def test_prose_and_keys_without_numbers_are_no_places(text: str) -> None:
    assert places_in(text) == []


@pytest.mark.parametrize(
    ("text", "numbers", "is_plain"),
    [
        ('{"bbox_2d": [1, 2.5, 3e1, 4]}', (1, 2.5, 30, 4), True),
        ('{\\"point_2d\\": [[1, 2], [3, 4]]}', (1, 2, 3, 4), True),
        ('<p data-bbox="1 2 30 40">', (1, 2, 30, 40), True),
        ('{"BBOX_2D": [1, 2, 30, 40]}', (1, 2, 30, 40), False),
        ("<|box_start|>(1,2),(30,40)<|box_end|>", (1, 2, 30, 40), False),
        ("<quad>(1,2),(30,2),(30,40),(1,40)</quad>", (1, 2, 30, 2, 30, 40, 1, 40), False),
    ],
)
def test_a_place_has_its_numbers_in_every_notation(
    text: str, numbers: tuple[float, ...], is_plain: bool
) -> None:
    [place] = places_in(text)
    assert (place.numbers, place.is_plain) == (numbers, is_plain)
