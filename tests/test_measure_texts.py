"""scripts/measure_texts.py: the offline texts keep to their targets, and every fault is counted."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from datakit.core.labels import load_labels
from datakit.llm import offline
from tests.llm.test_offline import line, screen_of, screens

ROOT = Path(__file__).resolve().parents[1]
SCREENS = ROOT / "examples" / "ecom"
sys.path.insert(0, str(ROOT / "scripts"))

import measure_texts  # noqa: E402
from ocr_score import datakit_reader  # noqa: E402

from datakit.annotate.ocr import Ocr  # noqa: E402

LABELS = load_labels(ROOT / "templates" / "ecom" / "labels.yaml")
TRUTH = measure_texts.truth_of(SCREENS / "ground_truth.jsonl")


def written(row: dict[str, Any]) -> dict[str, Any]:
    """The record with the texts of the offline writer."""
    label = LABELS.find(row["label"])
    assert label is not None
    others = offline.neighbours(label, LABELS)
    return {
        **row,
        "description": offline.describe(row, random.Random(row["id"])),
        "reason": offline.reason(row, label, random.Random(row["id"]), others),
    }


def table(rows: list[dict[str, Any]]) -> dict[str, float]:
    return measure_texts.measured(rows, LABELS, TRUTH).table()


def test_offline_texts_keep_to_their_targets_on_the_example() -> None:
    found = table([written(row) for row in screens()[::2]])
    assert found["first_lines"] > 50
    assert found["quotations"] > 300
    faults = ("false_first_lines", "not_in_ocr", "unlike_ocr", "cut", "without_keyword")
    assert {name: found[name] for name in (*faults, "conclusion_first", "other_language")} == dict.fromkeys(
        (*faults, "conclusion_first", "other_language"), 0
    )
    assert (found["false_absences"], found["repeated"]) == (0, 0)
    assert found["name_an_absence"] >= 0.97 * found["reasons_with_evidence"] > 40
    assert found["with_evidence"] >= 0.7
    assert found["similarity_mean"] <= 0.35
    assert found["similarity_nearest"] <= 0.35


def test_offline_texts_keep_to_their_targets_where_an_engine_has_read() -> None:
    read = datakit_reader(Ocr())
    rows = []
    for row in screens()[::16]:
        lines = read(row["images"][0])
        ocr = [{"text": line.text, "score": line.score, "box": list(line[2:6]), "image": 0} for line in lines]
        rows.append(written({**row, "ocr": ocr, "ocr_text": "\n".join(line.text for line in lines)}))
    found = table(rows)
    assert (found["false_first_lines"], found["not_in_ocr"], found["without_keyword"]) == (0, 0, 0)
    assert found["with_evidence"] >= 0.7


@pytest.mark.parametrize(
    ("column", "text", "fault"),
    [
        ("description", "竖长的手机界面，顶部写着“完全不在图上的标题”。", "false_first_lines"),
        ("description", "竖长的手机界面，中部写着“完全不在图上的文字”。", "not_in_ocr"),
        ("reason", "写着“完全不在图上的文字”，因此属于{label}。", "unlike_ocr"),
        ("reason", "写着“{first}…”，因此属于{label}。", "cut"),
        ("reason", "写着“完全不在图上的文字”，因此属于{label}。", "without_keyword"),
        ("reason", "这是{label}，写着不少文字。", "conclusion_first"),
        ("reason", "Some text can be read on it, so it belongs to {label}.", "other_language"),
    ],
)
def test_every_fault_is_counted_with_its_record(column: str, text: str, fault: str) -> None:
    row = written(screens()[0])
    assert measure_texts.measured([row], LABELS, TRUTH).table()[fault] == 0
    first = row["ocr"][-1]["text"]
    result = measure_texts.measured(
        [{**row, column: text.format(label=row["label"], first=first)}], LABELS, TRUTH
    )
    assert result.table()[fault] == 1
    assert result.ids[fault] == [row["id"]]


@pytest.mark.parametrize(
    ("claim", "is_false"),
    [("取消", False), ("取消发表评价", False), ("发表评价", True), ("评价", True), ("添加图片", True)],
)
def test_of_a_row_of_several_texts_only_the_first_is_the_first_line(claim: str, is_false: bool) -> None:
    lines = [
        line("发表评价", 280, 78, 440, 114),
        line("取消", 30, 80, 90, 114),
        line("添加图片", 30, 300, 160, 334),
    ]
    row = {**screen_of(lines), "label": LABELS.names[0], "reason": None}
    row["description"] = f"竖长的手机界面，顶部写着“{claim}”。"
    found = measure_texts.measured([row], LABELS, {}).table()
    assert (found["first_lines"], found["false_first_lines"]) == (1, int(is_false))


@pytest.mark.parametrize(
    ("quote", "faults"),
    [
        ("暂无退款成功记录", {"denied"}),
        ("退款成功记录", {"denied", "cut", "unlike_ocr"}),
        ("钱款去向", {"cut"}),
        ("查看钱款去向", set()),
    ],
)
def test_denied_keywords_and_pieces_of_lines_are_counted(quote: str, faults: set[str]) -> None:
    lines = [line("暂无退款成功记录", 60, 300, 300, 334), line("查看钱款去向", 60, 500, 240, 534)]
    reason = f"写着“{quote}”，因此属于退款页面。"
    row = {**screen_of(lines), "label": "退款页面", "description": None, "reason": reason}
    found = measure_texts.measured([row], LABELS, {}).table()
    assert {name for name in ("denied", "cut", "unlike_ocr", "not_in_ocr") if found[name]} == faults


def test_absences_that_are_none_and_repeated_reasons_are_counted() -> None:
    row = {
        **screen_of([line("仅退款", 60, 300, 300, 334), line("退货地址", 60, 500, 240, 534)]),
        "label": "退款页面",
    }
    said = "写着“仅退款”，没有{}字样，不像退货页面，因此属于退款页面。"
    found = [
        table([{**row, "id": name, "description": None, "reason": said.format(word)} for name in names])
        for word, names in (("寄回方式", "ab"), ("退货地址", "a"))
    ]
    names = ("reasons_with_evidence", "name_an_absence", "false_absences", "repeated")
    assert [tuple(counts[name] for name in names) for counts in found] == [(2, 2, 0, 1), (1, 0, 1, 0)]


def test_a_folder_that_is_no_build_is_told_as_such(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "measure_texts.py"), str(tmp_path / "none"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert str(tmp_path / "none") in done.stderr
    assert not done.stdout or json.loads(done.stdout)
