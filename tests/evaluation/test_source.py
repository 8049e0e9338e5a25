"""What answers to a build are scored by."""

from __future__ import annotations

import json
from pathlib import Path

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.answer_forms import ContractFormat
from datakit.core.contract import AnswerContract
from datakit.evaluation.from_build import BuildSource
from datakit.evaluation.tasks import Target, Task
from datakit.library import load
from datakit.run.build import build
from tests.support.card_builds import ecom
from tests.support.emitter_records import picture


def test_boxes_are_scored_by_overlap_and_never_as_labels(tmp_path: Path) -> None:
    draft = ecom(tmp_path)
    contract = AnswerContract.of({"fields": ["boxes"]})
    draft.answers = ContractFormat.of_contracts([contract])
    folder = draft.write()
    assert BuildSource(BuildFolder.open(folder)).target() == Target(Task.BOXES, "boxes", "boxes")
    answer = folder / "answer.json"
    document = json.loads(answer.read_bytes())
    del document["target"]  # as datakit 0.1 wrote it
    answer.write_text(json.dumps(document), "utf-8")
    assert BuildSource(BuildFolder.open(folder)).target() == Target(Task.BOXES, "boxes", "boxes")


def test_record_that_the_emitter_left_out_is_not_scored(project: Path) -> None:
    picture(project / "a.png")
    (project / "b.gif").write_bytes(b"GIF89a\x01")
    rows = [
        {"id": name, "images": [f"{name}.{kind}"], "label": "甲"}
        for name, kind in (("a", "png"), ("b", "gif"))
    ]
    (project / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (project / "labels.yaml").write_text("labels: [{name: 甲}, {name: 乙}]", encoding="utf-8")
    (project / "templates" / "ask.j2").write_text("<image>哪一类？{{ answer_format }}", encoding="utf-8")
    (project / "recipes" / "shop.yaml").write_text(
        "name: shop\nlabels: ../labels.yaml\nsteps:\n  - read.jsonl: {path: ../rows.jsonl}\n"
        "  - render.chat: {prompt: ask.j2, answer: label_only}\n"
        "emit: [llamafactory]\nrun: {max_reject_rate: 1.0}\n"
    )
    folder = build(load(project / "recipes" / "shop.yaml")).folder
    opened = BuildFolder.open(folder)
    assert [row["id"] for row in opened.rows("train")] == ["a"]
    assert list(BuildSource(opened).records("label")) == [("train", "a", "甲")]
