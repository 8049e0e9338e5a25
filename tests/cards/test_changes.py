"""What changed between two builds, in words that name the step and the value."""

from __future__ import annotations

from typing import Any

import pytest

from datakit.artifacts.ledger import Inputs
from datakit.cards.changes import changes

STEPS: list[Any] = [
    {"read.jsonl": {"path": "train.jsonl"}},
    {"render.chat": {"prompt": "ecom/classify.j2", "max_chars": 2500}},
]


def inputs(steps: list[Any] = STEPS, **others: Any) -> Inputs:
    recipe = {"name": "x", "version": 1, "seed": 7, "run": {"concurrency": 8}, "steps": steps}
    known = {"templates", "labels", "sources", "records", "datakit"}
    return Inputs(
        recipe={**recipe, **{key: value for key, value in others.items() if key not in known}},
        **{key: value for key, value in others.items() if key in known},
    )


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (inputs(), inputs(), []),
        (inputs(), inputs([STEPS[0], {"annotate.ocr": {}}, STEPS[1]]), ["annotate.ocr added"]),
        (inputs([STEPS[0], "annotate.ocr", STEPS[1]]), inputs(), ["annotate.ocr removed"]),
        (
            inputs(),
            inputs([STEPS[0], {"render.chat": {"prompt": "ecom/classify.j2", "max_chars": 2000}}]),
            ["render.chat.max_chars 2500 → 2000"],
        ),
        (
            inputs(),
            inputs([STEPS[0], {"render.chat": {"prompt": "ecom/classify.j2"}}]),
            ["render.chat.max_chars 2500 → default"],
        ),
        (inputs([*STEPS, "a.b"]), inputs([STEPS[0], "a.b", STEPS[1]]), ["order of steps changed"]),
        (inputs(["a.b"]), inputs(["a.b", {"a.b": {"x": True}}]), ["a.b (2) added"]),
        (inputs(emit=["llamafactory"]), inputs(emit=["llamafactory", "parquet"]), ["emit.parquet added"]),
        (inputs(seed=7), inputs(seed=8), ["seed 7 → 8"]),
        (inputs(run={"concurrency": 1}), inputs(run={"concurrency": 9}), []),
        (
            inputs(train={"method": "lora", "gpus": 1}),
            inputs(train={"method": "full", "gpus": 1}),
            ["train.method lora → full"],
        ),
        (
            inputs(templates={"a.j2": "1", "b.j2": "1"}),
            inputs(templates={"a.j2": "2", "b.j2": "1"}),
            ["template a.j2 changed"],
        ),
        (
            inputs(labels={"甲": ("1", "1", "1"), "乙": ("1", "1", "1")}),
            inputs(labels={"甲": ("2", "1", "2"), "丙": ("1", "1", "1")}),
            [
                "label 丙 added",
                "label 乙 removed",
                "description of 甲 changed",
                "confusable_with of 甲 changed",
            ],
        ),
        (
            inputs(sources={"a.jsonl": "1", "old.csv": "1"}, records={"train": 116}),
            inputs(sources={"a.jsonl": "2", "new.csv": "1"}, records={"train": 140, "val": 10}),
            [
                "source a.jsonl changed",
                "source new.csv added",
                "source old.csv removed",
                "training rows 116 → 140",
                "validation rows 0 → 10",
            ],
        ),
        (inputs(datakit="0.1.0"), inputs(datakit="0.2.0"), ["datakit 0.1.0 → 0.2.0"]),
    ],
)
def test_each_difference_is_said_once(before: Inputs, after: Inputs, said: list[str]) -> None:
    assert changes(before, after) == said


def test_many_changed_labels_are_counted() -> None:
    names = [f"类{number}" for number in range(9)]
    before = inputs(labels=dict.fromkeys(names, ("1", "1", "1")))
    after = inputs(labels=dict.fromkeys(names, ("2", "1", "1")))
    assert changes(before, after) == ["description of 类0、类1、类2、类3、类4 and 4 more changed"]


def named(*paths: str, sha256: str = "1") -> dict[str, str]:
    return dict.fromkeys(paths, sha256)


def test_many_sources_are_told_by_their_folder() -> None:
    new = named(*(f"pictures/{at % 40}/{at}.jpg" for at in range(3_000)), "list.csv")
    edited = {path: "2" if path[-5:-4] in "789" else sha256 for path, sha256 in new.items()}
    fewer = named(*(path for path in new if not path.startswith("pictures/1")), "list.csv")
    before = inputs(sources=named("list.csv"))
    assert changes(before, inputs(sources=new)) == ["3,000 of 3,000 files under pictures/ are new"]
    assert changes(inputs(sources=new), inputs(sources=edited)) == [
        "900 of 3,000 files under pictures/ changed"
    ]
    assert changes(inputs(sources=new), inputs(sources=fewer)) == [
        "825 of 3,000 files under pictures/ are gone"
    ]


def test_few_folders_are_told_each_with_its_files() -> None:
    new = named(*(f"{folder}/{at}.jpg" for folder in ("old", "new") for at in range(20)))
    changed = {path: "2" if path.startswith("new") else sha256 for path, sha256 in new.items()}
    assert changes(inputs(sources=new), inputs(sources=changed)) == ["20 of 20 files under new/ changed"]


def test_sources_beside_no_folder_are_counted_together() -> None:
    new = named(*(f"{at}.jpg" for at in range(9)), "deep/in/a.jpg")
    assert changes(inputs(), inputs(sources=new)) == ["10 of 10 source files are new"]


def test_a_file_that_only_lies_elsewhere_is_no_change() -> None:
    before, after = named("data/train.jsonl"), named("train.jsonl")
    assert changes(inputs(sources=before), inputs(sources=after)) == []
    assert len(changes(inputs(sources=before), inputs(sources=named("train.jsonl", sha256="2")))) == 2
