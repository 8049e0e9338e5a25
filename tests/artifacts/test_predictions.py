"""predictions.jsonl: written whole, appended safely, read back with errors that name the line."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from datakit.artifacts.predictions import NOT_ANSWERED, Prediction, append, mend, read, write
from datakit.core.errors import UserError

RIGHT = Prediction(
    id="a",
    label="购物车",
    predicted="购物车",
    confidence=0.75,
    probabilities={"购物车": 0.75, "首页": 0.25},
    answer="理由：有结算按钮\n类别：购物车",
    reason="有结算按钮",
    images=("images/a.jpg",),
    model="tiny",
    tokens_in=120,
    tokens_out=9,
    seconds=0.5,
)
UNREAD = Prediction(id="b", label="首页", problem="label_unknown", detail="`首` is no label", answer="首")


def test_everything_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "run" / "predictions.jsonl"
    unanswered = Prediction(id="c", problem=NOT_ANSWERED)
    assert write(path, [RIGHT, UNREAD]) == 2
    append(path, [unanswered])
    assert list(read(path)) == [RIGHT, UNREAD, unanswered]


def test_an_answer_with_a_problem_is_wrong_and_one_without_truth_is_neither() -> None:
    assert RIGHT.correct is True
    assert UNREAD.correct is False
    assert Prediction(id="c", predicted="首页").correct is None


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    write(path, [RIGHT])

    def broken() -> object:
        yield UNREAD
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write(path, broken())  # type: ignore[arg-type]
    assert list(read(path)) == [RIGHT]


@pytest.mark.parametrize("length", [10, 200_000])
def test_a_line_cut_by_a_crash_is_named_and_can_be_mended(tmp_path: Path, length: int) -> None:
    path = tmp_path / "predictions.jsonl"
    write(path, [RIGHT])
    with path.open("ab") as file:
        file.write(b'{"id": "' + b"x" * length)
    with pytest.raises(UserError, match="never finished") as caught:
        list(read(path))
    assert caught.value.where == f"{path}:2"
    assert mend(path) is True
    append(path, [UNREAD])
    assert list(read(path)) == [RIGHT, UNREAD]
    assert mend(path) is False


def test_mending_copes_with_no_file_and_with_a_file_of_one_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    assert mend(path) is False
    path.write_bytes(b'{"id"')
    assert mend(path) is True
    assert list(read(path)) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"id": "x", "predictd": "首页"}', "unknown parameter `predictd`"),
        ('{"predicted": "首页"}', "`id` is missing"),
        ('{"id": "x"}', "neither `predicted` nor `problem`"),
        ('{"id": "x", "predicted": "首页", "problem": "empty"}', "both"),
        ('{"id": "x", "predicted": "首页", "confidence": 1.5}', "confidence"),
        ('{"id": 3, "predicted": "首页"}', "id"),
        ("[1]", "mapping"),
        ("nonsense", "not JSON"),
    ],
)
def test_a_line_that_is_no_prediction_is_named_with_its_number(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "predictions.jsonl"
    write(path, [RIGHT])
    with path.open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    with pytest.raises(UserError, match=said) as caught:
        list(read(path))
    assert caught.value.where == f"{path}:3"


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="datakit predict"):
        list(read(tmp_path / "none.jsonl"))


def test_a_prediction_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        RIGHT.predicted = "首页"  # type: ignore[misc]


SHARE = st.floats(0, 1)


@settings(deadline=None)
@given(SHARE, st.dictionaries(st.text(), SHARE), st.text(), st.floats(0, 1e300))
def test_lines_have_the_bytes_that_orjson_writes(
    tmp_path_factory: pytest.TempPathFactory,
    confidence: float,
    probabilities: dict[str, float],
    text: str,
    seconds: float,
) -> None:
    item = RIGHT.model_copy(
        update={
            "confidence": confidence,
            "probabilities": probabilities,
            "answer": text,
            "images": ("a", text),
            "seconds": seconds,
        }
    )
    path = tmp_path_factory.getbasetemp() / "lines" / "predictions.jsonl"
    write(path, [item])
    assert path.read_bytes() == orjson.dumps(item.model_dump(exclude_defaults=True)) + b"\n"
