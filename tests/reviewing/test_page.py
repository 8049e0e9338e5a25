"""The review page as files: what is chosen, what it holds, and that data neither runs nor leads elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.cli import run
from datakit.cli.review import overrides_file, unread, write
from datakit.core.errors import UserError
from datakit.library import build
from datakit.reviewing.chosen import Choice, chosen
from datakit.reviewing.pinyin import typed_forms
from datakit.reviewing.records import PageRecords
from datakit.reviewing.words import WORDS, words_in
from tests.support.card_builds import ecom
from tests.support.edited_builds import edit_records
from tests.support.review_builds import HOSTILE, review_build, review_project


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> PageRecords:
    folder = review_build(tmp_path_factory.mktemp("project"))
    return PageRecords(folder, chosen(folder, Choice())[0])


def ids(records: PageRecords, choice: Choice) -> list[str]:
    return chosen(records.build, choice)[0]["id"].to_list()


def index_of(page: str) -> dict[str, Any]:
    match = re.search(r'<script type="application/json" id="index">(.*?)</script>', page)
    assert match is not None
    value: dict[str, Any] = json.loads(match[1])
    return value


def test_everything_is_chosen_where_nothing_is_named_the_most_suspect_first(records: PageRecords) -> None:
    assert len(ids(records, Choice())) == 12
    assert ids(records, Choice())[0] == "r00"


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([1] * 12, 1.0),
        (["0.5"] * 12, 0.5),
        (["好"] * 12, None),
        ([[1.0]] * 12, None),
        ([float("inf")] * 12, None),
    ],
)
def test_prediction_is_shown_in_whatever_type_the_source_has_its_probability(
    records: PageRecords, values: list[Any], shown: float | None
) -> None:
    frame = records.frame.with_columns(
        pl.lit("退货页面").alias("prediction"), pl.Series("prediction_probability", values)
    )
    columns = PageRecords(records.build, frame).columns()
    assert set(columns["predicted"]) == {records.labels.index("退货页面")}
    assert set(columns["probability"]) == {shown}


def test_suspects_are_the_first_tenth_and_whoever_is_in_a_cluster(records: PageRecords) -> None:
    assert ids(records, Choice(suspects=True)) == ["r00", "r03", "r06", "r09"]


def test_choices_are_joined(records: PageRecords, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("r02\nr11\n")
    assert ids(records, Choice(suspects=True, ids=tmp_path / "ids.txt")) == [
        "r00",
        "r02",
        "r03",
        "r06",
        "r09",
        "r11",
    ]
    assert ids(records, Choice(findings=("no_image",))) == ["r07"]


def test_list_of_ids_that_is_not_there_is_told_with_what_one_is(records: PageRecords, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read") as caught:
        ids(records, Choice(ids=tmp_path / "none.txt"))
    assert "one id a line" in caught.value.remedy


def test_ids_that_name_no_record_are_told_and_none_at_all_is_an_error(
    records: PageRecords, tmp_path: Path
) -> None:
    path = tmp_path / "ids.txt"
    path.write_text("r02\nr002\n")
    frame, notes = chosen(records.build, Choice(ids=path))
    assert frame["id"].to_list() == ["r02"]
    assert "1 of 2 ids" in notes[0]
    assert "Did you mean `r02`?" in notes[0]
    path.write_text("x\n")
    with pytest.raises(UserError, match="no line of"):
        chosen(records.build, Choice(ids=path))


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (Choice(low_ocr=True), "the build has no OCR"),
        (Choice(poor_pictures=True), "annotate.image_quality"),
        (Choice(findings=("no_imag",)), "Did you mean `no_image`?"),
        (Choice(ids=Path("/nowhere/ids")), "cannot read"),
    ],
)
def test_choice_that_the_build_cannot_serve_says_why(
    records: PageRecords, choice: Choice, words: str
) -> None:
    with pytest.raises(UserError) as raised:
        chosen(records.build, choice)
    assert words in str(raised.value)


def test_poor_pictures_are_chosen_and_the_page_filters_by_each_fault(tmp_path: Path) -> None:
    draft = ecom(tmp_path)
    for record in draft.records:
        record["picture_faults"] = [] if record["images"] else None
    for record, faults in zip(draft.records, (["dark"], ["blurry", "framed"]), strict=False):
        record["picture_faults"] = faults
    build = BuildFolder.open(draft.write())
    frame, notes = chosen(build, Choice(poor_pictures=True))
    assert frame["id"].to_list() == [record["id"] for record in draft.records[:2]]
    assert [sorted(tags) for tags in frame["@tags"]] == [
        ["dark", "poor_picture"],
        ["blurry", "framed", "label_conflict", "poor_picture"],
    ]
    assert notes == []
    assert {"dark", "framed", "poor_picture"} <= set(words_in("zh")) & set(words_in("en"))
    everything = chosen(build, Choice())[0]
    assert everything.height > 2
    assert sum("poor_picture" in tags for tags in everything["@tags"]) == 2


def test_low_ocr_is_nothing_read_or_little_confidence(
    records: PageRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datakit.reviewing import chosen as module

    line = {"text": "a", "score": 0.5}
    kind = pl.List(pl.Struct({"text": pl.String, "score": pl.Float64}))
    lines = [[{**line, "score": 0.9}]] * 12
    lines[1], lines[2], lines[7] = [line], [], []  # the last has no picture
    frame = records.frame.drop("@tags").with_columns(ocr=pl.Series(lines, dtype=kind))
    assert module._low_ocr(frame, wanted=True) == {"r01", "r02"}


@pytest.mark.parametrize("most", [None, 0], ids=["file", "folder"])
def test_no_word_of_the_data_is_markup_or_a_name_of_a_file(
    records: PageRecords, tmp_path: Path, most: int | None
) -> None:
    target = write(records, records.build.path, tmp_path / "out", most)
    files = [target] if most is None else [path for path in target.parent.rglob("*") if path.is_file()]
    texts = [path.read_text("utf-8") for path in files if path.suffix in ("", ".html", ".js")]
    assert any("onerror=alert(1)" in text for text in texts)
    for text in texts:
        assert "<img src=x" not in text
        assert "\u2028" not in text
    names = [path.relative_to(target.parent).as_posix() for path in files]
    assert not [name for name in names if "onerror" in name or ".." in name]


@pytest.mark.parametrize("most", [None, 0], ids=["file", "folder"])
def test_policy_of_the_page_allows_no_network_and_only_its_own_script(
    records: PageRecords, tmp_path: Path, most: int | None
) -> None:
    page = write(records, records.build.path, tmp_path / "out", most).read_text("utf-8")
    match = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert match is not None
    rules = dict(rule.split(" ", 1) for rule in match[1].split("; "))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in match[1]
    assert not re.search(r"https?:", match[1])
    assert rules["connect-src"] == ("'none'" if most is None else "'self'")
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page)


def test_page_speaks_the_language_of_the_labels(records: PageRecords, tmp_path: Path) -> None:
    index = index_of(write(records, records.build.path, tmp_path / "p.html").read_text("utf-8"))
    assert (index["language"], index["words"]["drop"]) == ("zh", "剔除")
    recipe = review_project(tmp_path)
    for name in ("labels.yaml", "d.jsonl"):
        text = (tmp_path / name).read_text("utf-8")
        for chinese, english in (("购物车页面", "cart"), ("退货页面", "return"), ("退款页面", "refund")):
            text = text.replace(chinese, english)
        (tmp_path / name).write_text(text, "utf-8")
    from datakit.artifacts.build_folder import BuildFolder

    folder = BuildFolder.open(build(recipe).folder)
    english = PageRecords(folder, chosen(folder, Choice())[0])
    index = index_of(write(english, folder.path, tmp_path / "e.html").read_text("utf-8"))
    assert (index["language"], index["words"]["drop"]) == ("en", "Drop")


def test_labels_are_typed_by_pinyin_and_initials() -> None:
    assert typed_forms(["退款页面", "退款"]) == [
        "退款页面",
        "tuikuanyemian",
        "tkym",
        "退款",
        "tuikuan",
        "tk",
    ]
    assert "refund" in typed_forms(["Refund"])


def test_folder_of_somebody_else_is_not_replaced(records: PageRecords, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(UserError, match="is there, and no review"):
        write(records, records.build.path, tmp_path / "mine", most=0)
    write(records, records.build.path, tmp_path / "ours", most=0)
    write(records, records.build.path, tmp_path / "ours", most=0)
    assert (tmp_path / "mine" / "thesis.txt").is_file()


def test_picture_that_is_gone_is_told_in_its_place(tmp_path: Path) -> None:
    folder = review_build(tmp_path)
    (tmp_path / "0.png").unlink()
    (tmp_path / "1.png").write_bytes(b"no picture")
    records = PageRecords(folder, chosen(folder, Choice())[0])
    page = write(records, folder.path, tmp_path / "p.html").read_text("utf-8")
    assert index_of(page)["thumbs"][:3] == [0, 0, 1]
    assert "there is no such file" in page


@pytest.mark.fault(
    "the records of a build were edited by hand before somebody reviews, scores or audits them",
    "review, evaluate, labels audit and propose name the files that were changed, in words and in --json",
    kind="inputs changed",
)
def test_build_that_was_edited_by_hand_is_told_at_the_end_and_on_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = review_build(tmp_path)
    words = ["review", str(folder.path), "--json"]
    assert run(words) == 0
    account = json.loads(capsys.readouterr().out)
    assert account["notes"] == []
    page = Path(account["page"])
    assert index_of(page.read_text("utf-8"))["notices"] == []
    edit_records(folder.path)
    assert run(words) == 0
    said = capsys.readouterr()
    note = "screens is not as it was built: records.parquet was changed"
    assert json.loads(said.out)["notes"] == [note]
    assert f"Note: {note}" in said.err
    notices = index_of(page.read_text("utf-8"))["notices"]
    assert notices == [["editedBuild", {"files": "records.parquet"}]]


def test_command_says_where_the_page_is_and_where_decisions_belong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = review_build(tmp_path)
    assert run(["review", str(folder.path), "--json"]) == 0
    account = json.loads(capsys.readouterr().out)
    assert account["records"] == 12
    assert Path(account["page"]).name == "screens-review.html"
    assert overrides_file(folder) == tmp_path / "overrides" / "screens.jsonl"
    assert "curate.overrides: {path: overrides/screens.jsonl}" in unread(folder, overrides_file(folder))
    assert run(["review", str(folder.path)]) == 0
    said = capsys.readouterr().out
    assert "Open it in a browser, then add the file that it saves: datakit review" in said
    assert "screens --import FILE" in said
    (tmp_path / "plain").touch()
    assert Path(account["page"]).stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert run(["review", str(folder.path), "--conflicts"]) == 0
    assert "No record is to be reviewed" in capsys.readouterr().out
    assert HOSTILE not in capsys.readouterr().out


def test_decisions_go_where_the_recipe_reads_them_and_nobody_is_left_to_wonder(tmp_path: Path) -> None:
    recipe = review_project(tmp_path, steps="  - curate.overrides: {path: decided.jsonl}\n")
    (tmp_path / "decided.jsonl").touch()
    folder = BuildFolder.open(build(recipe).folder)
    assert overrides_file(folder) == tmp_path / "decided.jsonl"
    assert unread(folder, tmp_path / "decided.jsonl") == ""
    assert "No step of" in unread(folder, tmp_path / "other.jsonl")


def test_what_a_screen_reader_is_told_has_no_place_left_open() -> None:
    page = Path(__file__).resolve().parents[2] / "datakit" / "reviewing" / "page" / "page.html"
    names = re.findall(r'data-name="(\w+)"', page.read_text("utf-8"))
    assert names
    assert [name for name in names if "{" in WORDS[name][0]] == []
