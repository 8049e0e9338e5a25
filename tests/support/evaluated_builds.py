"""Real builds of the example screens, and answers to them that go wrong in a known way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.predictions import Prediction, write
from datakit.evaluation.confusion import Pair, pairs
from datakit.evaluation.from_build import BuildSource
from datakit.evaluation.outcomes import join
from datakit.library import build

ROOT = Path(__file__).resolve().parent.parent.parent
RECIPE = """\
name: {name}
labels: ../templates/ecom/labels.yaml
steps:
  - read.jsonl: {{path: {source}, image: image, label: label}}
  - curate.split: {{val: 0.5, stratify: label}}
  - render.chat: {{prompt: ecom/classify_v1.j2, answer: {answer}}}
emit: [llamafactory]
"""

CART, REFUND, RETURN = "购物车页面", "退款页面", "退货页面"

Change = Callable[[int, str, list[str]], str | None]
"""Number of the record, its label, all labels -> what is answered; None for an answer that is no label."""


def make_project(folder: Path) -> Path:
    """A project with templates, and no recipe yet."""
    shutil.copytree(ROOT / "templates", folder / "templates", dirs_exist_ok=True)
    (folder / "recipes").mkdir(exist_ok=True)
    return folder


def make_build(project: Path, name: str = "small", answer: str = "label_only") -> Path:
    """The build of all example screens, half of them for validation."""
    path = project / "recipes" / f"{name}.yaml"
    source = ROOT / "examples" / "ecom" / "train.jsonl"
    path.write_text(RECIPE.format(name=name, source=source, answer=answer), encoding="utf-8")
    return build(path, card=False).folder


def truths(folder: Path, split: str = "val") -> dict[str, str]:
    """Id -> label of a split, in the build's order."""
    frame = pl.read_parquet(folder / "records.parquet").filter(pl.col("split") == split)
    return dict(frame.select("id", "label").drop_nulls().iter_rows())


def answers(folder: Path, change: Change, split: str = "val") -> Iterator[Prediction]:
    """An answer for each record of a split."""
    truth = truths(folder, split)
    labels = sorted(set(truth.values()))
    for number, (id_, label) in enumerate(truth.items()):
        said = change(number, label, labels)
        problem = {} if said is not None else {"problem": "label_missing", "detail": "no label"}
        yield Prediction(
            id=id_,
            label=label,
            predicted=said,
            confidence=None if said is None else 0.9 if said == label else 0.6,
            answer=said or "不知道",
            model="tiny",
            tokens_in=100,
            tokens_out=5,
            seconds=0.25,
            **problem,
        )


def write_answers(folder: Path, path: Path, change: Change, split: str = "val") -> Path:
    """predictions.jsonl with an answer for each record of a split."""
    write(path, answers(folder, change, split))
    return path


def right(number: int, label: str, labels: list[str]) -> str | None:
    """Every answer is right."""
    return label


def every_fifth_wrong(number: int, label: str, labels: list[str]) -> str | None:
    """Every fifth answer is the next label; the last of each ten is none."""
    if number % 10 == 9:
        return None
    return labels[(labels.index(label) + 1) % len(labels)] if number % 5 == 2 else label


def write_generated(folder: Path, path: Path, split: str = "val", **replaced: str) -> Path:
    """generated_predictions.jsonl as LLaMA-Factory writes it; `replaced` maps a record's id to its answer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    emitted = json.loads((folder / "emitted.json").read_text())
    with path.open("w", encoding="utf-8") as file:
        for facts in emitted["files"].values():
            if facts["part"] == split:
                for row in json.loads((folder / facts["file"]).read_text("utf-8")):
                    prompt, answer = row["messages"][-2]["content"], row["messages"][-1]["content"]
                    said = replaced.get(row["id"].replace("-", "_"), answer)
                    line = {"prompt": f"user\n{prompt}", "predict": said, "label": f"{answer}\n"}
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return path


def mixed(build: BuildFolder, changes: dict[str, str], split: str = "train") -> list[Prediction]:
    """Every record of a class in `changes` gets that answer."""
    return list(answers(build.path, lambda _, label, __: changes.get(label, label), split))


def mistakes(build: BuildFolder, items: Iterable[Prediction], split: str = "train") -> list[Pair]:
    """The pairs that the answers mix up."""
    source = BuildSource(build)
    return pairs(join(source.truths(split), items), build.labels, source)


def as_packed(pair: dict[str, Any]) -> dict[str, Any]:
    """A confused pair as a bundle knows it, which has neither OCR's texts nor the records trained on."""
    beside = {
        label: [{**example, "text": ""} for example in examples if example["answer"]]
        for label, examples in pair["beside"].items()
    }
    return {**pair, "examples": [{**one, "text": ""} for one in pair["examples"]], "beside": beside}
