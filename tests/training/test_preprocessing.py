"""The processes of a run wait for the rows longer than preparing them takes, and train.yaml says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from datakit.artifacts.emitted import Emitted, EmittedFile
from datakit.training.preprocessing import TORCH_S, prepared_in_s, wait_for_rows


def emitted(rows: int, *, pictures: bool = True) -> Emitted:
    file = EmittedFile(file="it_train.json", part="train", pictures=pictures, records=rows, rows=rows)
    return Emitted(files={"it_train": file})


def test_forty_two_thousand_pictures_take_longer_than_torch_waits(tmp_path: Path) -> None:
    seconds = prepared_in_s(tmp_path, emitted(42_400), 4)
    assert TORCH_S < seconds < 1.1 * TORCH_S
    timeout, reason = wait_for_rows({}, seconds)
    assert timeout >= 4 * seconds
    assert "the first process prepares the rows, which takes about 31 min" in reason
    assert "1,800" in reason


@pytest.mark.parametrize(
    ("rows", "workers", "timeout"), [(140, 4, 1800), (10_000, 16, 1800), (1_000_000, 8, 87_000)]
)
def test_timeout_follows_rows_and_workers_and_is_never_below_torchs(
    rows: int, workers: int, timeout: int, tmp_path: Path
) -> None:
    assert wait_for_rows({}, prepared_in_s(tmp_path, emitted(rows), workers))[0] == timeout


def test_every_picture_of_a_row_counts_wherever_the_file_is_cut(tmp_path: Path) -> None:
    row = '{"messages": [{"content": "<image><image><image>"}]},\n'
    (tmp_path / "it_train.json").write_text(row * 100_000)  # more than one piece that is read at a time
    three = prepared_in_s(tmp_path, emitted(100_000), 1)
    assert three == pytest.approx(100_000 * (0.003 + 3 * 0.17))
    assert prepared_in_s(tmp_path, emitted(100_000, pictures=False), 1) == pytest.approx(300)


def test_own_timeout_stays_and_one_that_is_too_short_is_told() -> None:
    assert wait_for_rows({"ddp_timeout": 180_000_000}, 4000)[0] == 180_000_000
    timeout, reason = wait_for_rows({"ddp_timeout": 600}, 4000)
    assert timeout == 600
    assert "Warning" in reason
    assert "Warning" not in wait_for_rows({"ddp_timeout": 6000}, 4000)[1]
