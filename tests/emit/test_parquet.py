"""emit.parquet: all columns of the records, with pictures inside when asked, read back by `datasets`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import datasets
import polars as pl
import pytest
from PIL import Image

from datakit.core.errors import RecipeErrors, UserError
from datakit.core.outcome import Reject
from datakit.emit import _tables
from datakit.emit.parquet import Parquet
from tests.support.emitter_records import SCHEMA, emit, picture, record, several


def test_rows_are_the_records_with_all_columns(tmp_path: Path) -> None:
    given = several(tmp_path)
    folder, artifacts = emit(Parquet(), tmp_path, given)
    assert {item.path: item.records for item in artifacts} == {
        "shop_train.parquet": 5,
        "shop_val.parquet": 2,
        "shop_general.parquet": 1,
    }
    found = pl.read_parquet(folder / "shop_train.parquet")
    assert found["id"].to_list() == ["text", "plain", "dialogue", "plain", "plain"]
    assert found.columns == ["id", "images", "label", "text", "messages", "ocr", "reason"]
    assert found["messages"].to_list()[:3] == [row["messages"] for row in given[:3]]
    assert found["reason"].to_list()[:2] == [None, "有结算按钮"]
    assert all((folder / path).is_file() for path in found["images"].explode().drop_nulls())
    assert b"someone" not in (folder / "shop_train.parquet").read_bytes()


def test_all_files_have_the_same_types(tmp_path: Path) -> None:
    folder, artifacts = emit(Parquet(images="bytes"), tmp_path, several(tmp_path))
    schemas = {str(pl.read_parquet_schema(folder / item.path)) for item in artifacts}
    assert len(schemas) == 1


def test_pictures_inside_are_upright_and_within_the_limit(tmp_path: Path) -> None:
    folder, _ = emit(Parquet(images="bytes", image_max_pixels=2400), tmp_path, several(tmp_path))
    assert not (folder / "images").exists()
    row = pl.read_parquet(folder / "shop_val.parquet").row(0, named=True)
    image = Image.open(io.BytesIO(row["images"][0]["bytes"]))
    assert image.width < image.height
    assert image.width * image.height <= 2400
    assert pl.read_parquet(folder / "shop_val.parquet").row(1, named=True)["images"] == []


def test_datasets_decodes_the_pictures(tmp_path: Path) -> None:
    given = several(tmp_path)
    folder, _ = emit(Parquet(images="bytes"), tmp_path, given)
    found = datasets.load_dataset(
        "parquet",
        data_files=str(folder / "shop_train.parquet"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    ).cast_column("images", datasets.Sequence(datasets.Image()))
    assert [row["id"] for row in found] == ["text", "plain", "dialogue", "plain", "plain"]
    assert [image.size for image in found[2]["images"]] == [(60, 90), (200, 40)]
    assert found[0]["images"] == []
    assert found[2]["messages"] == given[2]["messages"]


def test_columns_are_chosen_and_unknown_ones_refused(tmp_path: Path) -> None:
    rows = several(tmp_path)
    folder, _ = emit(Parquet(columns=("reason", "source_line")), tmp_path, rows)
    found = pl.read_parquet(folder / "shop_train.parquet")
    assert found.columns == ["id", "messages", "images", "reason", "source_line"]
    (tmp_path / "again").mkdir()
    with pytest.raises(UserError, match="Did you mean `reason`"):
        emit(Parquet(columns=("reasons",)), tmp_path / "again", rows)


def test_many_batches_keep_order_and_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_tables._ROWS, "path", 7)
    rows = [record(f"r{number:03}", repeat=1 + number % 3) for number in range(50)]
    folder, _ = emit(Parquet(), tmp_path, rows)
    found = pl.read_parquet(folder / "shop_train.parquet")["id"].to_list()
    wanted = [row["id"] for copy in range(3) for row in rows if row["repeat"] > copy]
    assert found == wanted


def test_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    target = tmp_path / "build"
    with pytest.raises(UserError, match=r"no record is left for training.*broken\.jpg"):
        emit(Parquet(images="bytes"), tmp_path, [record("bad", tmp_path / "broken.jpg")], [])
    assert list(target.iterdir()) == []


def test_records_that_cannot_be_written_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    one, left_out = picture(tmp_path / "1.jpg"), list[Reject]()
    rows = [record("good", one), record("bad", one, tmp_path / "broken.jpg"), record("odd", split="test")]
    folder, _ = emit(Parquet(images="bytes"), tmp_path, rows, left_out)
    assert pl.read_parquet(folder / "shop_train.parquet")["id"].to_list() == ["good"]
    assert {(reject.id, reject.reason) for reject in left_out} == {
        ("odd", "split_unknown"),
        ("bad", "image_unreadable"),
    }


def test_schema_of_the_test_has_a_trace_column() -> None:
    assert any(name.startswith("@") for name in SCHEMA)


@pytest.mark.parametrize("parameters", [{"images": "resize"}, {"image_max_pixels": 1000}])
def test_limit_belongs_to_bytes_or_resize(parameters: dict[str, Any]) -> None:
    with pytest.raises(RecipeErrors):
        Parquet(**parameters)
