"""What a card says of builds that lack things: columns, pictures, labels, validation, samples."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.report import ServedStep, ServingWork, StepReport
from datakit.cards.chat_changes import _Chat, _spread
from datakit.cards.write import write_card
from datakit.core.answer_forms import ContractFormat
from datakit.core.contract import AnswerContract
from datakit.pages.charts import shorten
from datakit.pages.figures import histogram, spread
from datakit.verdict import verdict
from tests.support.card_builds import ROOT, SCHEMA, Draft, ecom

BASE = {"id", "source_file", "source_line", "images", "label", "text", "messages", "split"}
ASK = "你好吗？"


def card(draft: Draft) -> str:
    """The Markdown of the draft's card."""
    written = write_card(draft.write(), draft.project / "cards")
    return written[0].read_text("utf-8")


def headings(text: str) -> list[str]:
    outside = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    found = re.findall(r"^## (.+)$", outside, flags=re.MULTILINE)
    for title in found:
        body = outside.split(f"\n## {title}\n", 1)[1].split("\n## ")[0]
        assert body.strip(), f"section {title} is empty"
    return found


def texts_only(project: Path, count: int = 6, **others: Any) -> Draft:
    """A build of plain dialogues without labels."""
    empty: dict[str, Any] = dict.fromkeys(SCHEMA)
    records = [
        empty
        | {
            "id": f"talk-{number}",
            "source_file": str(project / "talks.jsonl"),
            "source_line": number,
            "images": [],
            "text": f"{ASK} {number}",
            "messages": [
                {"role": "user", "content": f"{ASK} {number}"},
                {"role": "assistant", "content": "我很好，谢谢。"},
            ],
            "split": "train",
            "repeat": 1,
            "set": "",
        }
        | others
        for number in range(1, count + 1)
    ]
    steps = [StepReport(number=1, name="read.jsonl", added=count, records_out=count)]
    return Draft(project, name="talks", records=records, steps=steps)


def test_baseline_recipe_without_optional_columns_gives_a_card_without_empty_sections(tmp_path: Path) -> None:
    draft = ecom(tmp_path)
    draft.records = [record for record in draft.records if record["set"] == ""]
    draft.drop = tuple(sorted(SCHEMA.keys() - BASE))
    draft.rejects, draft.notes, draft.train_yaml = [], [], False
    draft.steps = [StepReport(number=1, name="read.jsonl", added=140, records_out=140)]
    draft.recipe = {}
    text = card(draft)
    assert headings(text) == [
        "Verdict",
        "This version",
        "Parts",
        "Intended use and limits",
        "Gallery",
        "Worst of each kind",
        "Classes",
        "Check",
        "Left out",
        "Sources and licences",
        "How it was made",
        "Use it",
        "Make it again",
    ]
    assert "126 training records and 14 validation records" in text
    assert "No record was rejected." in text
    assert "llamafactory-cli" not in text
    assert "> **Note.**" not in text
    # The description comes out of the prompt's own block.
    assert "| 个人信息页面 | 1 | 0 | “我的”主页" in text


def test_dialogues_without_pictures_and_labels_give_a_card(tmp_path: Path) -> None:
    text = card(texts_only(tmp_path))
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["task_categories"] == ["text-generation"]
    assert front["license"] == "unknown"
    assert "vision-language" not in front["tags"]
    assert "Classes" not in headings(text)
    assert "It has 6 training records; all are text only." in text
    assert "There is no validation part" in text
    assert "No validation picture" not in text


def test_records_with_two_pictures_are_shown_with_both(tmp_path: Path) -> None:
    screens = sorted((ROOT / "examples" / "ecom" / "images").glob("*.jpg"))[:3]
    draft = texts_only(tmp_path, count=4, label="胸腔积液", width=720, height=1560)
    draft.records[0]["images"] = [str(screens[0])]
    draft.records[0]["messages"][0]["content"] = f"<image>{ASK}"
    draft.records[2]["images"] = [str(screens[1]), str(screens[2])]
    draft.records[2]["messages"][0]["content"] = f"<image><image>{ASK}"
    written = write_card(draft.write(), tmp_path / "cards")
    page = written[1].read_text("utf-8")
    assert 'alt="picture 1 of talk-3"' in page
    assert 'alt="picture 2 of talk-3"' in page
    text = written[0].read_text("utf-8")
    assert "<summary>胸腔积液: talk-3</summary>" in text
    assert "the first picture's size counts" in text


def with_repeats(draft: Draft) -> int:
    """Makes each repeat of the draft a record of its own, as balance.resample does; how many there are."""
    repeats = []
    for record in draft.records:
        times = record["repeat"] if record["set"] == "" else 1
        record |= {"repeat": 1, "repeat_of": record["id"], "repeat_number": 1}
        repeats += [
            record | {"id": f"{record['id']}~repeat{number}", "repeat_number": number}
            for number in range(2, times + 1)
        ]
    draft.records += repeats
    return len(repeats)


def section(text: str, title: str) -> str:
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ")[0]


def test_repeats_that_are_records_of_their_own_are_rows_and_no_records(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "own").mkdir()
    plain, draft = card(ecom(tmp_path / "plain")), ecom(tmp_path / "own")
    repeats = with_repeats(draft)
    assert repeats == 11
    text = card(draft)
    assert "126 training records (137 rows with repeats), 14 validation records" in text
    assert "with 140 pictures in all" in text
    for title in ("Classes", "Pictures", "OCR text", "Duplicates"):
        assert section(text, title) == section(plain, title), title
    training = re.search(r"^\| training \|.*$", text, flags=re.MULTILINE)
    assert training is not None
    assert training.group().startswith("| training | 126 | 137 | 126 | 0 |")
    assert "2 kept records are look-alikes of one another, in groups of at most 2" in text
    assert "| `train.jsonl` | training | 1 | 126 |" in text
    assert "| description, characters | 140 |" in text  # described before balance.resample
    assert "| reason, characters | 151 |" in text  # and reasoned after it: each repeat has its own


def test_a_repeat_is_no_second_finding_of_the_verdict(tmp_path: Path) -> None:
    draft = ecom(tmp_path)
    with_repeats(draft)
    for record in draft.records:
        if record["repeat_of"] == draft.records[-1]["repeat_of"]:
            record |= {"images": [], "label": "not a label of the file"}
    build = BuildFolder.open(draft.write())
    lines = {line.kind: line for line in verdict(build)}
    assert lines["label_unknown"].count == 1
    assert lines["no_image"].words == "1 of 140 have none"


def test_a_median_is_the_mean_of_the_middle_two() -> None:
    found = spread(pl.LazyFrame({"x": [0.9, 0.95, 0.97, 1.0, None]}), pl.col("x"))
    assert found is not None
    assert found.median == pytest.approx(0.96)
    chats = [_Chat(b"", (b"", b""), (size, size), is_training=True) for size in (1, 2, 5, 9)]
    assert [_spread(chats[:size], 0).median for size in (3, 4)] == [2, 3.5]


def test_the_sample_of_a_build_with_a_chinese_name_is_written_as_it_is(tmp_path: Path) -> None:
    draft = ecom(tmp_path)
    draft.name = "宠物"
    assert 'with open("宠物_train.json", encoding="utf-8")' in card(draft)


def test_text_below_the_confidence_is_told_apart_from_no_text(tmp_path: Path) -> None:
    draft = ecom(tmp_path)
    draft.records[0]["ocr_text"] = ""
    draft.records[1] |= {"ocr_text": None, "ocr": []}
    text = card(draft)
    assert re.search(
        r"on 1\d\d of 140 records with pictures. On 1 more, whatever was read is less sure", text
    )


def test_card_without_emitter_for_the_trainer_has_no_samples_but_stands(tmp_path: Path) -> None:
    build = ecom(tmp_path).write()
    (build / "emitted.json").unlink()
    text = write_card(build, tmp_path / "cards")[0].read_text("utf-8")
    assert "Samples" not in headings(text)
    assert "No validation picture stands in training (by content (sha256))" in text


def test_picture_in_both_parts_fails_the_check_and_is_the_first_thing_said(tmp_path: Path) -> None:
    draft = ecom(tmp_path)
    train = next(record for record in draft.records if record["split"] == "train")
    val = next(record for record in draft.records if record["split"] == "val")
    copy = tmp_path / "another name.jpg"
    copy.write_bytes(Path(train["images"][0]).read_bytes())
    val["images"], val["sha256"] = [str(copy)], train["sha256"]
    text = card(draft)
    found = "No validation picture stands in training (by content, from the emitted files)"
    command = "datakit verdict build/ecom_v3 --kind image_leak"
    assert f"| {found} | FAILED | 1 of 14 validation pictures do | `{command}` |" in text
    assert f"> **Note.** Failed check: {found}: 1 of 14" in text.split("## ")[0]


@pytest.mark.parametrize("drop", [("sha256",), ()])
def test_same_picture_is_found_by_records_alone(tmp_path: Path, drop: tuple[str, ...]) -> None:
    draft = ecom(tmp_path)
    draft.drop = drop
    train = next(record for record in draft.records if record["split"] == "train")
    val = next(record for record in draft.records if record["split"] == "val")
    val["images"], val["sha256"] = train["images"], train["sha256"]
    build = draft.write()
    (build / "emitted.json").unlink()
    folder = BuildFolder.open(build, tmp_path / "cards")
    (leak,) = [line for line in verdict(folder) if line.kind == "image_leak"]
    assert (leak.state, leak.words) == ("failed", "1 of 14 validation pictures do")
    assert ("sha256" in leak.statement) is (not drop)


def test_a_look_alike_in_both_splits_is_warned_of(tmp_path: Path) -> None:
    draft = ecom(tmp_path)
    what = "No look-alike of a validation record stands in training"
    assert f"| {what} | passed | none of 14 |" in card(draft)
    draft.project = tmp_path / "second"
    draft.project.mkdir()
    train = next(record for record in draft.records if record["split"] == "train")
    next(record for record in draft.records if record["split"] == "val")["duplicate_of"] = train[
        "duplicate_of"
    ]
    assert f"| {what} | WARNED | 1 of 14 have one; let curate.split keep them together" in card(draft)


def test_a_screen_that_reads_like_one_in_training_is_warned_of(tmp_path: Path) -> None:
    draft = ecom(tmp_path)
    train = max(
        (record for record in draft.records if record["split"] == "train"),
        key=lambda record: len(record["ocr_text"] or ""),
    )
    what = "No validation record reads like one in training (60% alike, OCR text or text alone)"
    val = next(record for record in draft.records if record["split"] == "val")
    val["ocr_text"] = "转发 " + train["ocr_text"].replace("1", "7")
    assert f"| {what} | WARNED | 1 of 14 do; let curate.split keep them together" in card(draft)
    draft.project = tmp_path / "second"
    draft.project.mkdir()
    val["ocr_text"] = "另一个页面的文字，与训练数据里的都不一样，谁也没有见过它，也不会再见到它"
    assert f"| {what} | passed | none of 14 |" in card(draft)


def test_text_in_both_parts_fails_the_check(tmp_path: Path) -> None:
    draft = texts_only(tmp_path)
    draft.records[4]["split"] = "val"
    assert "| No text-only validation record stands in training | passed | none of 1 |" in card(draft)
    draft.project = tmp_path / "second"
    draft.project.mkdir()
    draft.records[4]["text"] = draft.records[0]["text"]
    assert "| No text-only validation record stands in training | FAILED | 1 of 1 texts do |" in card(draft)


def test_label_outside_the_label_file_and_label_without_records_are_named(tmp_path: Path) -> None:
    draft = ecom(tmp_path)
    rare = next(record for record in draft.records if record["label"] == "个人信息页面")
    rare["label"] = "个人中心"
    text = card(draft)
    assert "| Every label stands in the label file | FAILED | not 个人中心 |" in text
    assert "Classes without training records: 个人信息页面." in text


def test_step_that_loses_records_fails_the_check(tmp_path: Path) -> None:
    draft = ecom(tmp_path)
    draft.steps[4].records_out -= 1
    assert "FAILED | not in step 5 (curate.duplicates)" in card(draft)


def test_a_class_with_formulas_in_its_name_is_drawn_as_it_is(tmp_path: Path) -> None:
    draft = texts_only(tmp_path, label="$\\frac{$ & <b>\x07")
    svg = next(path for path in write_card(draft.write(), tmp_path / "cards") if path.name == "classes.svg")
    assert "$\\frac{$ &amp; &lt;b&gt;" in svg.read_text("utf-8")


def test_a_thousand_classes_are_cut_with_a_word(tmp_path: Path) -> None:
    draft = texts_only(tmp_path, count=1000)
    for record in draft.records:
        record["label"] = f"class {record['id']}"
    text = card(draft)
    assert "(the 40 largest of 1,000)" in text
    assert "The 200 largest of 1,000 classes are shown." in text


def test_unreadable_thumbnail_is_said_in_words(tmp_path: Path) -> None:
    build = ecom(tmp_path).write()
    for path in (build / "images").iterdir():
        path.write_bytes(b"no picture")
    page = write_card(build, tmp_path / "cards")[1].read_text("utf-8")
    assert page.count("picture 1 is not in the build folder any more") >= 25
    assert "<img" not in page


def test_paths_are_told_relative_to_the_project(tmp_path: Path) -> None:
    draft = texts_only(tmp_path)
    build = BuildFolder.open(draft.write(), tmp_path / "cards")
    assert build.place(f"{tmp_path}/recipes/../examples/train.jsonl") == "examples/train.jsonl"
    assert build.place("/elsewhere/secret/train.jsonl") == "train.jsonl"
    assert build.place("talks.jsonl") == "talks.jsonl"
    told = build.clean(
        f"line 3 of {tmp_path}/recipes/../a/b.jsonl and /home/me/x.jpg, not and/or http://a.b/c/d"
    )
    assert told == "line 3 of a/b.jsonl and x.jpg, not and/or http://a.b/c/d"


def test_long_names_are_shortened_by_their_width() -> None:
    assert shorten("短名") == "短名"
    assert shorten("下单过程中出现异常（显示购买失败浮窗）") == "下单过程中出现异常（显示购买失败…"
    assert shorten("line\nbreak\x00") == "line break "


@pytest.mark.parametrize("values", [[0], [3, 3, 3], [1, 2500], [0, 1, 2, 1_000_003], [7, None, 9]])
def test_histogram_counts_every_number_once(values: list[int | None]) -> None:
    frame = pl.LazyFrame({"x": values}, schema={"x": pl.Int64})
    found = spread(frame, pl.col("x"))
    assert found is not None
    shape = histogram(frame, pl.col("x"), found)
    numbers = [value for value in values if value is not None]
    assert sum(shape.counts) == len(numbers) == found.count
    assert found.missing == len(values) - len(numbers)
    assert len(shape.edges) == len(shape.counts) + 1 <= 34
    assert shape.edges[0] <= min(numbers)
    assert max(numbers) < shape.edges[-1]
    assert all(right - left >= 1 for left, right in zip(shape.edges, shape.edges[1:], strict=False))


def test_spread_of_nothing_is_none() -> None:
    frame = pl.LazyFrame({"x": [None]}, schema={"x": pl.Int64})
    assert spread(frame, pl.col("x")) is None


def forms(project: Path) -> Draft:
    """The shipped example with answers in two forms, and a description that a model writes for the prompt."""
    draft = ecom(project)
    for number, row in enumerate(draft.records):
        row["answer_form"] = None if row["set"] == "general" else ("cot" if number % 4 else "label_only")
    draft.serving = ServingWork(
        steps=[
            ServedStep(number=6, name="annotate.ocr", columns=["ocr", "ocr_text"]),
            ServedStep(number=7, name="annotate.describe", columns=["description"], calls=2),
        ],
        given=["text"],
    )
    describe = next(step for step in draft.steps if step.name == "annotate.describe")
    describe.attempts, describe.tokens_in, describe.tokens_out = {"answered": 100}, 90_000, 8_000
    contracts = [AnswerContract.of("label_only"), AnswerContract.of("cot")]
    draft.answers = ContractFormat.of_contracts(contracts, [0.25, 0.75])
    return draft


def test_card_says_the_answers_forms_and_how_many_records_have_each(tmp_path: Path) -> None:
    found = section(card(forms(tmp_path)), "Answers")
    assert "| `label_only` | label | label | 25% | 35 | 0 |" in found
    assert (
        "| `cot` | evidence, then exclusion, then conclusion, then label | label | 75% | 91 | 14 |" in found
    )


def test_the_share_of_a_form_is_that_of_its_records(tmp_path: Path) -> None:
    draft = forms(tmp_path)
    draft.answers = ContractFormat.of_contracts(list(draft.answers.contracts), [0.5, 0.5])
    assert "| `label_only` | label | label | 25% | 35 | 0 |" in section(card(draft), "Answers")


def test_card_says_what_serving_a_picture_costs(tmp_path: Path) -> None:
    found = section(card(forms(tmp_path)), "What serving a picture costs")
    assert "2 paid calls for each picture" in found
    assert "Whoever asks gives text with the picture." in found
    assert re.search(r"`annotate\.ocr` \| ocr, ocr_text \| this machine \| 0 \|", found)
    assert re.search(r"`annotate\.describe` \| description \| a paid model \| 2 \| 900 in, 80 out \|", found)
    rows = re.findall(
        r"\| `(label_only|cot)` \| (\d+) \| 1 \| ([\d,]+) \| ([\d,]+) \| (\d+) \| (\d+) \|", found
    )
    assert [row[0] for row in rows] == ["cot", "label_only"]
    assert sum(int(row[1]) for row in rows) == 140
    assert all(int(row[3].replace(",", "")) > 500 for row in rows)


def test_card_of_a_build_that_does_not_say_has_no_such_section(tmp_path: Path) -> None:
    titles = headings(card(ecom(tmp_path)))
    assert not {"Answers", "What serving a picture costs"} & set(titles)


def test_card_says_why_a_prompt_cannot_be_served(tmp_path: Path) -> None:
    draft = ecom(tmp_path)
    draft.serving = ServingWork(fault="annotate.describe writes description with the label in view")
    assert "It cannot be served: annotate.describe writes" in card(draft)


def test_card_shows_how_long_the_prompts_of_each_class_are(tmp_path: Path) -> None:
    draft = texts_only(tmp_path)
    for number, row in enumerate(draft.records):
        row |= {"label": f"类{number % 2}", "prompt_chars": 1000 + (number * 50 if number % 2 else 0)}
    text = card(draft)
    assert (
        "All prompts have 1,000 to 1,250 characters, ±11.1% around the middle of the two, 1,125. By class:"
        in text
    )
    rows = [re.sub(r" +", " ", line) for line in text.splitlines() if line.startswith("| 类")]
    assert rows[-2:] == ["| 类1 | 3 | 1,050 | 1,150 | 1,250 |", "| 类0 | 3 | 1,000 | 1,000 | 1,000 |"]


def test_card_of_prompts_without_classes_shows_their_spread_alone(tmp_path: Path) -> None:
    draft = texts_only(tmp_path)
    for row in draft.records:
        row["prompt_chars"] = 500
    text = card(draft)
    assert "All prompts have 500 characters." in text
    assert "By class" not in text


NAMES = (
    "width",
    "height",
    "bytes",
    "prompt_chars",
    "prompt_tokens",
    "shrink_rung",
    "repeat_number",
    "sha256",
    "phash",
    "looks",
    "duplicate_of",
    "shares_picture_with",
    "review",
    "answer_form",
    "ocr",
    "ocr_text",
    "boxes",
    "description",
    "description_by",
    "reason",
    "reason_by",
    "reason_flags",
    "reason_similarity",
    "reason_style",
)
"""Columns that steps give, and that a source may have as well."""


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (pl.lit("80 cm"), {"Duplicates"}),
        (pl.lit(["a", "b"], pl.List(pl.String)), set()),
        (pl.struct(cm=pl.lit(80), text=pl.lit("x")), set()),
        (pl.lit(True), set()),
        (pl.lit(0), {"Pictures", "Prompts"}),
        (pl.lit(99), {"Pictures", "Prompts"}),
        (pl.lit(float("nan")), set()),
        (pl.lit(float("inf")), set()),
        (pl.lit(None, pl.Null), set()),
        (pl.lit([[1, 2]], pl.List(pl.List(pl.Int64))), set()),
    ],
    ids=["text", "list", "object", "yes", "zero", "number", "nan", "infinite", "null", "lists"],
)
def test_columns_of_a_source_that_are_called_like_measures_do_not_stop_the_card(
    value: pl.Expr, shown: set[str], tmp_path: Path
) -> None:
    draft = ecom(tmp_path)
    draft.drop = tuple(name for name in SCHEMA if name in NAMES)
    draft.steps = [step for step in draft.steps if step.name != "balance.resample"]
    folder = draft.write()
    records = pl.read_parquet(folder / "records.parquet")
    records.with_columns(value.alias(name) for name in NAMES).write_parquet(folder / "records.parquet")
    assert verdict(BuildFolder(folder))
    text = write_card(folder, tmp_path / "cards")[0].read_text("utf-8")
    assert {"Pictures", "Prompts", "Duplicates"} & {*headings(text)} == shown


def test_lines_of_the_verdict_that_passed_are_folded_beside_those_that_ask_for_a_look(tmp_path: Path) -> None:
    folder = ecom(tmp_path).write()
    lines = verdict(BuildFolder(folder))
    markdown, page = (path.read_text("utf-8") for path in write_card(folder, tmp_path / "data_cards")[:2])
    passed = [line for line in lines if line.state == "passed"]
    others = [line for line in lines if line.state != "passed"]
    assert passed
    assert others
    for text in (markdown, page):
        first = text.index(f"<details><summary>{len(passed)} passed</summary>")
        end = text.index("</details>", first)
        assert all(text.index(html.escape(line.statement, quote=False)) > 0 for line in lines)
        inside = text[first:end]
        assert inside.count("passed") == len(passed) + 1
        assert "WARNED" not in inside
        assert "FAILED" not in inside
