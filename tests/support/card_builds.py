"""Build folders for tests of the card: real emitter, real pictures, records as the steps leave them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import yaml
from PIL import Image

from datakit.artifacts.build_draft import BuildDraft
from datakit.artifacts.manifest import Manifest, content_hash, stamp
from datakit.artifacts.report import BuildReport, ServingWork, StepReport
from datakit.core.answer import AnswerFormat
from datakit.core.labels import load_labels
from datakit.core.picture_faults import FAULTS, QUALITY_COLUMNS
from datakit.core.record import COLUMNS
from datakit.core.step_context import StepContext
from datakit.core.suspect_columns import NOISE_COLUMNS
from datakit.emit.llamafactory import Llamafactory
from datakit.testing import HeldRecords

ROOT = Path(__file__).resolve().parent.parent.parent
SCREENS = ROOT / "examples" / "ecom"
OFFLINE = "No model wrote the texts: the built-in offline writer composed descriptions and reasons."


@dataclass
class Draft:
    """What a build folder is made of; tests change it before `write`."""

    project: Path
    name: str = "ecom_v3"
    records: list[dict[str, Any]] = field(default_factory=list)
    steps: list[StepReport] = field(default_factory=list)
    recipe: dict[str, Any] = field(default_factory=dict)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    drop: tuple[str, ...] = ()
    """Columns that the records shall not have."""
    train_yaml: bool = True
    serving: ServingWork | None = None
    answers: AnswerFormat | None = None
    language: str = "en"
    """Of the card, where the recipe says nothing."""

    def write(self) -> Path:
        """The build's folder."""
        folder = self.project / "build" / self.name
        folder.mkdir(parents=True)
        (self.project / "recipes").mkdir(exist_ok=True)
        others = {name: kind for name, kind in SOME_HAVE.items() if any(name in row for row in self.records)}
        frame = pl.DataFrame(self.records, schema={**SCHEMA, **others}).drop(self.drop)
        context = StepContext(base=self.project / "recipes", project=self.project, name=self.name)
        artifacts = Llamafactory(images="copy").write(HeldRecords(frame), folder, context)
        frame.drop("messages").write_parquet(folder / "records.parquet")
        rejects = b"".join(orjson.dumps(row) + b"\n" for row in self.rejects)
        (folder / "rejects.jsonl").write_bytes(rejects)
        recipe = self.recipe | {"card": {"language": self.language, **self.recipe.get("card", {})}}
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, allow_unicode=True), "utf-8")
        if self.train_yaml:
            (folder / "train.yaml").write_text("stage: sft\n")
        report = BuildReport(name=self.name, recipe=f"recipes/{self.name}.yaml", seconds=12.5)
        report.steps, report.notes, report.serving = self.steps, self.notes, self.serving
        draft = BuildDraft(folder)
        if self.answers is not None:
            draft.write_answer_format(self.answers)
        draft.write_report(report)
        data = [item.path for item in artifacts if item.kind == "data"]
        sources = sorted({row["source_file"] for row in self.records})
        manifest = Manifest(
            datakit="0.1.0",
            name=self.name,
            settings="0" * 64,
            steps=[
                {
                    "number": 5,
                    "name": "annotate.ocr",
                    "fingerprint": "f" * 32,
                    "settings": {"engine": "rapidocr"},
                }
            ],
            sources={path: stamp(Path(path), hashed=True) for path in sources},
            artifacts={path: stamp(folder / path, hashed=True) for path in data},
            content=content_hash({path: stamp(folder / path, hashed=True) for path in data}),
            records={item.path: item.records for item in artifacts if item.records is not None},
        )
        draft.write_manifest(manifest)
        return folder


SCHEMA: dict[str, Any] = {
    **COLUMNS,
    "ocr": pl.List(
        pl.Struct({"text": pl.String, "score": pl.Float64, "box": pl.List(pl.Float64), "image": pl.UInt32})
    ),
    "ocr_text": pl.String(),
    "description": pl.String(),
    "reason": pl.String(),
    "reason_by": pl.String(),
    "reason_similarity": pl.Float64(),
    "reason_flags": pl.List(pl.String()),
    "sha256": pl.String(),
    "width": pl.Int64(),
    "height": pl.Int64(),
    "bytes": pl.Int64(),
    "duplicate_of": pl.String(),
    "prompt_chars": pl.UInt32(),
    "shrink_rung": pl.UInt8(),
}

SOME_HAVE: dict[str, Any] = {
    **NOISE_COLUMNS,
    FAULTS: QUALITY_COLUMNS[FAULTS],
    "answer_form": pl.String(),
    "repeat_of": pl.String(),
    "repeat_number": pl.UInt32(),
}
"""Columns of builds in which some record has a value for them."""


def ecom(project: Path) -> Draft:
    """A build like that of recipes/ecom_v3.yaml, of the example screens: every section has content."""
    labels = ROOT / "templates" / "ecom" / "labels.yaml"
    (project / "templates").mkdir()
    (project / "templates" / "labels.yaml").write_bytes(labels.read_bytes())
    block = load_labels(labels).json_block
    lines = [json.loads(line) for line in (SCREENS / "train.jsonl").read_text("utf-8").splitlines()]
    truth = _truth()
    rarity = pl.Series([row["label"] for row in lines]).value_counts(name="n")
    sizes = dict(rarity.rows())
    records = [
        _screen(row, number, truth[row["id"]], block, sizes[row["label"]])
        for number, row in enumerate(lines, 1)
    ]
    general = json.loads((ROOT / "examples" / "general_zh.json").read_text("utf-8"))[:20]
    records += [_general(row, number) for number, row in enumerate(general)]
    draft = Draft(project, records=records, notes=[OFFLINE])
    draft.recipe = yaml.safe_load((ROOT / "recipes" / "ecom_v3.yaml").read_text("utf-8"))
    draft.recipe["labels"] = "../templates/labels.yaml"
    source = str(SCREENS / "train.jsonl")
    names = [next(iter(step)) for step in draft.recipe["steps"]]
    main = 143
    for number, name in enumerate(names, 1):
        step = StepReport(number=number, name=name, records_in=main, records_out=main, seconds=1.25 * number)
        if name == "read.jsonl":
            step.records_in, step.added = 0, main
        if name == "guard.image":
            step.rejected, main = {"image_truncated": 2, "image_too_small": 1}, main - 3
            step.records_out = main
        if name.startswith("annotate."):
            step.new, step.cached = main - 30, 30
        if name == "annotate.reason":
            step.tokens_in, step.tokens_out, step.cost_usd = 182_000, 21_000, 0.0391
        if name == "mix.general":
            step.added, step.records_out = 20, main + 20
            step.notes = {
                "source": "read.alpaca",
                "licence": "CC-BY-4.0",
                "added": 20,
                "left_out": {"too_long": 3},
            }
        draft.steps.append(step)
    emit = StepReport(
        number=len(names) + 1, name="emit.llamafactory", records_in=main + 20, records_out=main + 20
    )
    draft.steps.append(emit)
    for number, reason in ((141, "image_truncated"), (142, "image_truncated"), (143, "image_too_small")):
        draft.rejects.append(
            {
                "id": f"screen-{number:04d}",
                "step": 2,
                "name": "guard.image",
                "state": "rejected",
                "reason": reason,
                "detail": f"cannot use {SCREENS}/images/{number:04d}.jpg: see the reason",
                "source_file": source,
                "source_line": number,
            }
        )
    return draft


def _truth() -> dict[str, list[str]]:
    rows = [json.loads(line) for line in (SCREENS / "ground_truth.jsonl").read_text("utf-8").splitlines()]
    return {row["id"]: [line["text"] for line in row["lines"]] for row in rows}


def _screen(row: dict[str, Any], number: int, texts: list[str], block: str, size: int) -> dict[str, Any]:
    path = SCREENS / row["image"]
    with Image.open(path) as picture:
        width, height = picture.size
    kept = texts[: 60 if number % 9 else 12]
    ocr_text = "\n".join(kept)
    description = f"手机界面，顶部是标题栏，中间列出{number % 5 + 1}件商品。"
    reason = f"页面中写着“{texts[0] if texts else '无字'}”，可见属于{row['label']}。"
    prompt = (
        f"<image>你是电商图片方面的专家。\n类别与说明：\n{block}\n图片描述：{description}\n"
        f"图中文字：\n{ocr_text}\n先写判断理由，再写类别名称。"
    )
    val = number % 10 == 0
    return {
        "id": row["id"],
        "source_file": str(SCREENS / "train.jsonl"),
        "source_line": number,
        "images": [str(path)],
        "label": row["label"],
        "text": None,
        "messages": [
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": f"理由：{reason}\n类别：{row['label']}"},
        ],
        "split": "val" if val else "train",
        "repeat": 1 if val else max(1, min(3, round((8 / size) ** 0.5))),
        "set": "",
        "ocr": [
            {
                "text": text,
                "score": 0.8 + 0.19 / (1 + at % 7),
                "box": [40.0, 20.0 * at, 300.0, 20.0 * at + 18],
                "image": 0,
            }
            for at, text in enumerate(kept)
        ],
        "ocr_text": ocr_text,
        "description": description,
        "reason": reason,
        "reason_by": "offline writer",
        "reason_similarity": (number * 37 % 60) / 100,
        "reason_flags": ["too_similar"] if number % 23 == 0 else [],
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "width": width,
        "height": height,
        "bytes": path.stat().st_size,
        "duplicate_of": "screen-0004" if number in (2, 3) else row["id"],
        "prompt_chars": len(prompt),
        "shrink_rung": 1 if number % 9 == 0 else 0,
    }


def _general(row: dict[str, Any], number: int) -> dict[str, Any]:
    ask = "\n".join(part for part in (row["instruction"], row["input"]) if part)
    record: dict[str, Any] = dict.fromkeys(SCHEMA)
    return record | {
        "id": f"general-{number}",
        "source_file": str(ROOT / "examples" / "general_zh.json"),
        "source_line": number + 1,
        "images": [],
        "messages": [{"role": "user", "content": ask}, {"role": "assistant", "content": row["output"]}],
        "split": "train",
        "repeat": 1,
        "set": "general",
    }


def main() -> None:
    """Writes the build to a folder and its card beside it, to look at."""
    import sys

    from datakit.cards.write import write_card

    target = Path(sys.argv[1])
    target.mkdir(parents=True)
    for path in write_card(ecom(target).write(), target / "data_cards"):
        print(path)


if __name__ == "__main__":
    main()
