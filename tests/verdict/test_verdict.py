"""Each kind of finding is planted in a build and found with its records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.report import Finding
from datakit.core.answer_forms import ContractFormat
from datakit.core.contract import AnswerContract
from datakit.core.errors import UserError
from datakit.core.settings import VERDICT_KINDS
from datakit.verdict import KINDS, command_of, records_of, verdict
from tests.support.card_builds import Draft, ecom


def judged(draft: Draft) -> tuple[BuildFolder, dict[str, Finding]]:
    build = BuildFolder.open(draft.write())
    return build, {finding.kind: finding for finding in verdict(build)}


def of(draft: Draft, split: str) -> list[dict[str, Any]]:
    return [record for record in draft.records if record["split"] == split and record["set"] != "general"]


def unbalance(draft: Draft) -> int:
    draft.steps[3].records_out -= 1
    return 1


def leak_image(draft: Draft) -> int:
    copy = draft.project / "another name.jpg"
    copy.write_bytes(Path(of(draft, "train")[0]["images"][0]).read_bytes())
    of(draft, "val")[0]["images"] = [str(copy)]
    return 1


def leak_text(draft: Draft) -> int:
    for record in (of(draft, "train")[0], of(draft, "val")[0]):
        record["images"], record["text"] = [], "两边都有"
        record["messages"][0]["content"] = "两边都有"
    return 1


def conflict(draft: Draft) -> int:
    one, other = of(draft, "train")[:2]
    other["duplicate_of"] = one["duplicate_of"] = one["id"]
    one["label"], other["label"] = "物流页面-物流列表页面", "平台介入页面"
    return 2


def unknown(draft: Draft) -> int:
    of(draft, "train")[0]["label"] = "不在文件里"
    return 1


def leak_near(draft: Draft) -> int:
    train, val = of(draft, "train")[0], of(draft, "val")[0]
    train["duplicate_of"] = val["duplicate_of"] = train["id"]
    train["label"] = val["label"]
    return 1


def leak_near_text(draft: Draft) -> int:
    train = max(of(draft, "train"), key=lambda record: len(record["ocr_text"] or ""))
    of(draft, "val")[0]["ocr_text"] = "转发 " + train["ocr_text"].replace("1", "7")
    return 1


def name_in_prompt(draft: Draft) -> int:
    for record in of(draft, "train"):
        record["messages"][0]["content"] += f"\n编号：{record['id']}"
    return len(of(draft, "train"))


def without_image(draft: Draft) -> int:
    record = of(draft, "train")[0]
    record["images"] = []
    record["messages"][0]["content"] = record["messages"][0]["content"].removeprefix("<image>")
    return 1


def poor_pictures(draft: Draft) -> int:
    of(draft, "train")[0]["picture_faults"] = ["blurry", "framed"]
    of(draft, "val")[0]["picture_faults"] = ["blurry"]
    return 2


def unanswered(draft: Draft) -> int:
    draft.steps[6].retry, draft.steps[6].records_out = 2, draft.steps[6].records_out - 2
    return 2


def contradicted(draft: Draft) -> int:
    ranked(draft)
    for record in of(draft, "train")[:2]:
        record |= {"noise_probability": 0.01, "noise_label": "another"}
    for record in of(draft, "train")[2:5]:
        record["noise_cluster"] = "one→another 1"
    return 5


def ranked(draft: Draft) -> None:
    for rank, record in enumerate(draft.records, 1):
        record |= {"noise_rank": rank, "noise_probability": 0.9, "noise_label": record["label"]}
        record |= {"noise_label_probability": 0.9, "noise_cluster": None}


def offline(draft: Draft) -> int:
    for record in of(draft, "train"):
        record["reason_by"] = "offline-writer"
    return len(of(draft, "train"))


def bad_reason(draft: Draft) -> int:
    for record in of(draft, "train")[:3]:
        record["reason_flags"] = ["reason_too_similar", "reason_opening"]
    return 3


def shortened(draft: Draft) -> int:
    of(draft, "train")[0]["shrink_rung"] = 1
    return 1


def lost(draft: Draft) -> int:
    """All screens whose text was read, but a few, lose it to the length limit."""
    records = [record for record in draft.records if record.get("split") and record["ocr_text"]]
    for record in records[len(records) // 20 :]:
        record["shrink_rung"] = 2
    return len(records) - len(records) // 20


def no_validation(draft: Draft) -> int:
    for record in of(draft, "val"):
        record["split"] = "train"
    return 140


PLANTED: dict[str, tuple[Callable[[Draft], int], str]] = {
    "unbalanced": (unbalance, "failed"),
    "image_leak": (leak_image, "failed"),
    "text_leak": (leak_text, "failed"),
    "label_conflict": (conflict, "failed"),
    "label_unknown": (unknown, "failed"),
    "column_lost": (lost, "failed"),
    "near_leak": (leak_near, "warned"),
    "near_text_leak": (leak_near_text, "warned"),
    "prompt_names_record": (name_in_prompt, "warned"),
    "no_image": (without_image, "warned"),
    "poor_picture": (poor_pictures, "warned"),
    "retry": (unanswered, "warned"),
    "label_noise": (contradicted, "warned"),
    "offline_texts": (offline, "warned"),
    "reason_fails": (bad_reason, "warned"),
    "prompt_shortened": (shortened, "warned"),
    "no_validation": (no_validation, "warned"),
}


def clean(project: Path) -> Draft:
    """A build that fails nothing of what is planted."""
    draft = ecom(project)
    for record in draft.records:
        record["reason_by"], record["reason_flags"], record["shrink_rung"] = "m", [], 0
        record["duplicate_of"] = record["id"]
        record["picture_faults"] = [] if record["images"] else None
    ranked(draft)
    return draft


@pytest.mark.parametrize("kind", PLANTED)
def test_planted_fault_is_found_with_its_records(tmp_path: Path, kind: str) -> None:
    plant, state = PLANTED[kind]
    draft = clean(tmp_path)
    count = plant(draft)
    build, findings = judged(draft)
    assert (findings[kind].state, findings[kind].count) == (state, count)
    finding, records = records_of(build, kind)
    assert finding == findings[kind]
    if records is not None and kind != "retry":
        assert records.collect().height == count


def test_clean_build_passes_all_that_can_be_planted(tmp_path: Path) -> None:
    _, findings = judged(clean(tmp_path))
    absent = {"text_leak", "no_validation"}  # the first needs records of text, the second is looked at below
    assert {kind for kind in PLANTED if kind in findings and findings[kind].state != "passed"} == set()
    assert set(PLANTED) - set(findings) <= absent


def test_findings_come_failed_first(tmp_path: Path) -> None:
    draft = clean(tmp_path)
    bad_reason(draft)
    conflict(draft)
    build = BuildFolder.open(draft.write())
    states = [finding.state for finding in verdict(build)]
    assert states == sorted(states, key=["failed", "warned", "passed"].index)
    assert states[0] == "failed"


def test_columns_of_shortened_prompts_are_named(tmp_path: Path) -> None:
    draft = clean(tmp_path)
    rungs = (1, 1, 2)
    for record, rung in zip(of(draft, "train"), rungs, strict=False):
        record["shrink_rung"] = rung
    first = next(step["render.chat"]["shrink"][0] for step in draft.recipe["steps"] if "render.chat" in step)
    _, findings = judged(draft)
    assert findings["prompt_shortened"].words == f"3 of 140 are not: {first} cut 2, {first} dropped 1"


def test_reasons_that_quote_what_their_prompt_lost_are_counted(tmp_path: Path) -> None:
    draft = clean(tmp_path)
    for record, held in zip(of(draft, "train")[:3] + of(draft, "val")[:2], (1, 0, 0, 1, 0), strict=True):
        record["shrink_rung"], record["reason"] = 1, "写着“已被截去的行”，因此属于它。"
        record["ocr_text"] = f"{record['ocr_text']}\n已被截去的行"
        record["messages"][0]["content"] += "\n已被截去的行" * held
    build, findings = judged(draft)
    words = findings["prompt_shortened"].words
    assert words.endswith("; 3 of their reasons quote text that their prompt lost")
    shown = records_of(build, "prompt_shortened")[1].collect()
    assert shown["quotes_lost_text"].to_list() == [True] * 3 + [None] * 2
    worse = {record["id"] for record in of(draft, "train")[1:3] + of(draft, "val")[1:2]}
    assert set(shown["id"][:3]) == worse


def test_reasons_of_the_offline_writer_without_evidence_are_counted(tmp_path: Path) -> None:
    draft = clean(tmp_path)
    for at, record in enumerate(of(draft, "train")[:5]):
        record["reason_by"] = "offline-writer" if at else "m"
        record["reason"] = "写着“结算”，所以是它。" if at == 1 else "没有一处文字能定类别，归入它。"
    _, findings = judged(draft)
    assert findings["offline_texts"].words.endswith("; 3 of their reasons say that no text decides")


def test_suspects_and_clusters_are_told_apart(tmp_path: Path) -> None:
    draft = ecom(tmp_path)
    contradicted(draft)
    _, findings = judged(draft)
    assert findings["label_noise"].words == "2 records are suspects; 1 cluster of 3 records"


@pytest.mark.parametrize(
    ("template", "named"),
    [
        ("<image>{{ id }}", True),
        ("<image>{{ images[0] }} 属于？", True),
        ("<image>文件 {{ source_file | upper }}", True),
        ("<image>{% if images %}有图{% endif %}{{ ocr_text }}", False),
        ("<image>{{ images | length }} 张图", False),
        ("{% set id = label_json %}<image>{{ id }}", False),
        ("{% include 'inner.j2' %}", True),
        ("<image>{% set k = id %}{{ k }}", True),
    ],
)
def test_template_that_renders_an_id_or_a_path_is_found(tmp_path: Path, template: str, named: bool) -> None:
    draft = clean(tmp_path)
    name = next(step["render.chat"]["prompt"] for step in draft.recipe["steps"] if "render.chat" in step)
    folder = draft.write()
    path = folder / "templates" / name
    path.parent.mkdir(parents=True)
    path.write_text(template, "utf-8")
    (folder / "templates" / "inner.j2").write_text("{{ source_line }}", "utf-8")
    (finding,) = [line for line in verdict(BuildFolder.open(folder)) if line.kind == "prompt_names_record"]
    assert (finding.state == "warned") is named


def test_texts_alone_with_two_labels_are_a_conflict(tmp_path: Path) -> None:
    draft = clean(tmp_path)
    for record, label in zip(of(draft, "train")[:2], ("物流页面-物流列表页面", "平台介入页面"), strict=True):
        record["images"], record["text"], record["label"] = [], "同一句话", label
        record["messages"][0]["content"] = "同一句话"
    finding = judged(draft)[1]["label_conflict"]
    assert (finding.state, finding.count) == ("failed", 2)


def test_other_questions_about_one_picture_are_no_conflict(tmp_path: Path) -> None:
    draft = clean(tmp_path)
    conflict(draft)
    for number, record in enumerate(of(draft, "train")[:2]):
        record["text"] = f"第{number}问"
    assert judged(draft)[1]["label_conflict"].state == "passed"


def test_a_question_that_many_pictures_share_is_no_near_text(tmp_path: Path) -> None:
    draft = clean(tmp_path)
    draft.drop = ("ocr_text", "ocr")
    for record in draft.records:
        record["text"] = "<image>这张片子有什么异常？请阅片并给出影像印象，不要写别的。"
    findings = judged(draft)[1]
    assert "near_text_leak" not in findings or findings["near_text_leak"].state == "passed"


def test_rejects_and_weak_classes_are_told(tmp_path: Path) -> None:
    build, findings = judged(clean(tmp_path))
    assert findings["rejected"].words == "3 records dropped: image_truncated 2, image_too_small 1"
    assert records_of(build, "rejected")[1].collect().height == 3  # type: ignore[union-attr]
    assert findings["few_records"].state == "warned"


def in_two_forms(draft: Draft, validated: str) -> None:
    contracts = [AnswerContract.of("label_only"), AnswerContract.of("cot")]
    draft.answers = ContractFormat.of_contracts(contracts, [0.5, 0.5])
    for split, names in {"train": ["label_only", "cot"], "val": validated.split()}.items():
        for number, record in enumerate(of(draft, split)):
            record["answer_form"] = names[number % len(names)]


def test_a_served_form_that_validation_lacks_is_told(tmp_path: Path) -> None:
    draft = clean(tmp_path)
    in_two_forms(draft, "cot")
    build, findings = judged(draft)
    finding = findings["untested_form"]
    assert (finding.state, finding.count) == ("warned", 1)
    assert "1 of 2 do not: `label_only` (served and scored; " in finding.words
    assert finding.words.endswith(" training, 0 validation)")
    assert records_of(build, "untested_form")[1].collect()["form"].to_list() == ["label_only"]  # type: ignore[union-attr]


def test_forms_that_validation_has_are_no_finding(tmp_path: Path) -> None:
    draft = clean(tmp_path)
    in_two_forms(draft, "cot label_only")
    assert judged(draft)[1]["untested_form"].state == "passed"


def test_a_build_with_one_form_has_no_finding_of_forms(tmp_path: Path) -> None:
    assert "untested_form" not in judged(clean(tmp_path))[1]


def test_kinds_are_those_that_a_recipe_may_name(tmp_path: Path) -> None:
    assert tuple(KINDS) == VERDICT_KINDS
    with pytest.raises(UserError, match="no finding `label_conflic`"):
        records_of(BuildFolder.open(clean(tmp_path).write()), "label_conflic")


def test_command_can_be_pasted() -> None:
    assert command_of("no_image", "build/店 1") == "datakit verdict 'build/店 1' --kind no_image"
