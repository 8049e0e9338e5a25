"""`datakit predict --format csv`: a competition's file, whole or not at all."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from datakit.artifacts.predictions import Prediction, write
from datakit.cli import run
from datakit.core.contract import AnswerContract
from datakit.core.errors import UserError
from datakit.serving.answer_table import Columns, write_table
from datakit.serving.items import Item
from tests.support.loopback import Loopback, Reply
from tests.support.served import ROOT, saying

SCREENS = ROOT / "examples" / "ecom" / "images"
LABEL = AnswerContract.of("label_only")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of three pictures that nobody has labelled."""
    folder = tmp_path / "test"
    folder.mkdir()
    for number, path in enumerate(sorted(SCREENS.iterdir())[:3]):
        shutil.copy(path, folder / f"img_{number}{path.suffix}")
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def table(folder: Path, items: list[Item], answers: list[Prediction], columns: str, **options: str) -> Path:
    write(folder / "answers.jsonl", answers)
    chosen = Columns.parse(columns, items, LABEL)
    return write_table(folder / "t.csv", items, folder / "answers.jsonl", chosen, **options).path


def test_a_folder_becomes_a_file_with_the_columns_of_the_competition(
    small: Path, server: Loopback, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["predict", str(small), "--split", str(pictures), "--base-url", server.url, "-q"]
    assert run([*call, "--format", "csv", "--columns", "id=image_id,label=predicted"]) == 0
    said = capsys.readouterr().out
    (written,) = small.parent.glob("small-runs/*/predictions_test_*.csv")
    assert f"Table: {written} (3 rows)" in said
    assert written.with_suffix(".jsonl").is_file()
    assert written.read_bytes().startswith(b"id,label\n")
    assert rows(written) == [{"id": f"img_{number}", "label": "购物车页面"} for number in range(3)]
    shutil.rmtree(written.parent)


def test_default_columns_are_id_and_answer_and_out_names_the_table(
    small: Path, server: Loopback, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "submission.csv"
    call = [
        "predict",
        str(small),
        "--split",
        str(pictures),
        "--base-url",
        server.url,
        "-q",
        "--format",
        "csv",
    ]
    assert run([*call, "--out", str(out)]) == 0
    assert [row["id"] for row in rows(out)] == sorted(path.name for path in pictures.iterdir())
    assert out.with_suffix(".jsonl").is_file()


def test_columns_of_the_records_reach_the_table_in_their_order(
    small: Path, server: Loopback, pictures: Path, tmp_path: Path
) -> None:
    lines = [
        {"id": f"r{number}", "image": f"test/{path.name}", "image_id": 100 - number, "shop": "=1+1"}
        for number, path in enumerate(sorted(pictures.iterdir()))
    ]
    source = tmp_path / "test.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    call = ["predict", str(small), "--split", str(source), "--base-url", server.url, "-q", "--format", "csv"]
    columns = "image_id,class=predicted,shop,file=image"
    assert run([*call, "--columns", columns, "--out", str(tmp_path / "s.csv")]) == 0
    found = rows(tmp_path / "s.csv")
    assert list(found[0]) == ["image_id", "class", "shop", "file"]
    assert [row["image_id"] for row in found] == ["100", "99", "98"]
    assert [row["file"] for row in found] == [Path(str(line["image"])).name for line in lines]
    assert {row["shop"] for row in found} == {"'=1+1"}


def test_records_without_an_answer_are_an_error_until_a_value_is_given(
    small: Path, server: Loopback, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.script = lambda call: saying("不知道" if call.number == 1 else "店铺页面")
    out = tmp_path / "s.csv"
    call = ["predict", str(small), "--split", str(pictures), "--format", "csv", "--out", str(out), "-q"]
    assert run([*call, "--base-url", server.url]) == 1
    said = capsys.readouterr().err
    assert "s.csv was not written: 1 records have no value for a column of it: img_" in said
    assert f"--answers {out.with_suffix('.jsonl')}" in said
    assert not out.exists()
    asked = server.count
    call = [*call, "--answers", str(out.with_suffix(".jsonl")), "--missing", "其他类别图片"]
    assert run(call) == 0
    assert server.count == asked
    assert sorted(row["label"] for row in rows(out)) == ["其他类别图片", "店铺页面", "店铺页面"]
    assert "1 of them have '其他类别图片' where there is no answer." in capsys.readouterr().out


def test_two_answers_of_one_record_make_no_table(tmp_path: Path) -> None:
    items = [Item((), id="a")]
    found = [Prediction(id="a", predicted=name) for name in ("one", "two")]
    with pytest.raises(UserError, match="two predictions of `a`"):
        table(tmp_path, items, found, "id,label=predicted")
    assert not (tmp_path / "t.csv").exists()
    assert rows(table(tmp_path, items, [found[0]] * 2, "id,label=predicted")) == [{"id": "a", "label": "one"}]


def test_records_that_were_not_answered_are_to_be_asked_again(
    small: Path, server: Loopback, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.script = lambda call: Reply(503)
    call = ["predict", str(small), "--split", str(pictures), "--base-url", server.url, "-q", "--limit", "1"]
    assert run([*call, "--format", "csv", "--out", str(tmp_path / "s.csv")]) == 3
    assert "1 of them were not answered: run the same command again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("id=image_idd", "neither answers nor records have a field `image_idd`"),
        ("id=predictd", "Did you mean `predicted`?"),
        ("id,id=predicted", "`id` is named twice"),
        ("id,,label", "names no column"),
        ("=predicted", "names no column"),
        ("id=", "names no column"),
    ],
)
def test_wrong_columns_are_named_before_anybody_is_asked(
    small: Path,
    server: Loopback,
    pictures: Path,
    capsys: pytest.CaptureFixture[str],
    columns: str,
    words: str,
) -> None:
    call = ["predict", str(small), "--split", str(pictures), "--base-url", server.url, "--format", "csv"]
    assert run([*call, "--columns", columns]) == 2
    assert words in capsys.readouterr().err
    assert server.count == 0


def test_options_of_the_table_belong_to_it(
    small: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in (("--columns", "id"), ("--missing", "x"), ("--answers", "a.jsonl")):
        assert run(["predict", str(small), "--split", str(pictures), *option]) == 2
        assert "belong to --format csv" in capsys.readouterr().err


@pytest.mark.fault(
    "an id, a column or an answer that begins like a formula is written to a competition's file",
    "it stands there as a text that no spreadsheet computes; numbers stay numbers",
    kind="pages",
)
def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    evil = "=cmd|' /C calc'!A0"
    items = [Item((), evil, columns={"size": -1.5, "list": ["=x"], "note": "-2", "ok": True})]
    answers = [Prediction(id=evil, predicted="@SUM(1)", answer="\ttab\x1b[31m")]
    path = table(tmp_path, items, answers, "a=id,predicted,answer,size,list,note,ok")
    (row,) = rows(path)
    assert row == {
        "a": f"'{evil}",
        "predicted": "'@SUM(1)",
        "answer": "'\ttab\\x1b[31m",
        "size": "-1.5",
        "list": '["=x"]',
        "note": "-2",
        "ok": "true",
    }


def test_a_table_of_other_content_is_kept(tmp_path: Path) -> None:
    items, answers = [Item((), "a")], [Prediction(id="a", predicted="x")]
    for _ in range(2):
        path = table(tmp_path, items, answers, "id,label=predicted")
    assert list(tmp_path.glob("t.kept-*")) == []
    path.write_text("my own\n", "utf-8")
    table(tmp_path, items, answers, "id,label=predicted")
    (kept,) = tmp_path.glob("t.kept-*.csv")
    assert (kept.read_text("utf-8"), path.read_text("utf-8")) == ("my own\n", "id,label\na,x\n")


def test_pictures_of_a_build_have_no_name_of_their_own() -> None:
    items = [Item(("build/images/0a1b.jpg",), "a", messages=({"role": "user", "content": "?"},))]
    with pytest.raises(UserError, match="have a field `image_id`"):
        Columns.parse("id=image_id", items, LABEL)


def test_answers_that_are_no_label_fill_a_column_by_their_field(tmp_path: Path) -> None:
    contract = AnswerContract.of("number")
    items, field = [Item((), "a")], contract.target.name
    write(tmp_path / "p.jsonl", [Prediction(id="a", values={field: "12.5"})])
    columns = Columns.parse(None, items, contract)
    write_table(tmp_path / "p.csv", items, tmp_path / "p.jsonl", columns)
    assert rows(tmp_path / "p.csv") == [{"id": "a", field: "12.5"}]
