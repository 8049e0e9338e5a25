"""The input and the parameters with which tests/test_every_transform.py tries every transform."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from datakit import testing
from datakit.annotate.image_facts import LOOKS
from datakit.artifacts.overrides import Override
from datakit.core.files import FileDigests
from datakit.core.judged import judged
from datakit.core.labels import load_labels
from datakit.core.record import COLUMNS
from datakit.core.registry import find

ROOT = Path(__file__).resolve().parents[2]
SCREENS = ROOT / "examples" / "ecom"
PICTURES = ROOT / "scripts" / "ocr_baseline" / "images"
"""Fixed ones, so that golden files change with transforms and not with the drawing of the example."""
GOLDEN = ROOT / "tests" / "golden"


@dataclass(frozen=True)
class Case:
    """How one transform is tried."""

    parameters: dict[str, Any] = field(default_factory=dict)
    source: Callable[[Path], None] | None = None
    """Readers: writes the source into a folder, from which the parameters' paths start."""
    golden: tuple[str, ...] | None = None
    """Columns in the golden file; all that it gives when not named. Digits of scores differ on machines."""
    by_neighbours: bool = False
    """A record's fate depends on the other records, so half the records may give another output."""
    answers: dict[str, Any] | None = None
    """What a model at a loopback server answers to every question; without it the offline writer works."""
    few: bool = False
    """Three records are enough (one picture, two, none): each costs seconds, or gives pages."""
    more: dict[str, Any] = field(default_factory=dict)
    """Further columns, which are null."""
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Record -> values in place of its own."""

    def records(self) -> pl.DataFrame:
        """The records that the transform is tried with."""
        found = pl.concat([records()[1:3], records()[-1:]]) if self.few else records()
        rows = [{**row, **self.changes.get(row["id"], {})} for row in found.to_dicts()]
        return pl.DataFrame(rows, schema={**SCHEMA, **self.more})


@cache
def records() -> pl.DataFrame:
    """Twelve records with every column that a step may read: pictures, two pictures, text only, nulls."""
    rows = [json.loads(line) for line in (SCREENS / "train.jsonl").read_text("utf-8").splitlines()]
    chosen = sorted(rows, key=lambda row: row["label"])[:11]
    chosen += [{"id": "text-only", "image": None, "label": chosen[0]["label"]}]
    return pl.DataFrame([_record(row, number) for number, row in enumerate(chosen, 1)], schema=SCHEMA)


LINE = pl.Struct({"text": pl.String, "score": pl.Float64, "box": pl.List(pl.Float64), "image": pl.UInt32})
SCHEMA: dict[str, Any] = {
    **COLUMNS,
    "ocr": pl.List(LINE),
    "ocr_text": pl.String(),
    "description": pl.String(),
    "reason": pl.String(),
    "sha256": pl.String(),
    "phash": pl.String(),
    "looks": pl.List(pl.Struct(LOOKS)),
    "width": pl.Int64(),
    "height": pl.Int64(),
    "bytes": pl.Int64(),
    "duplicate_of": pl.String(),
    "extra": pl.String(),
}


def _look(number: int) -> dict[str, Any]:
    phash = f"{(1 << (5 * number)) - 1:064x}"
    return {"pixels": f"{number}", "phash": phash, "colours": "80" * 192, "detail": 0.5, "flat": 0.5}


def _record(row: dict[str, Any], number: int) -> dict[str, Any]:
    images = [str(PICTURES / Path(row["image"]).name)] if row["image"] else []
    words = [f"第{number}行", "加入购物车" if number % 2 else "立即购买", f"¥{number * 13}.50"]
    lines = [
        {"text": word, "score": 0.9, "box": [10.0, 40.0 * at, 200.0, 40.0 * at + 30], "image": 0}
        for at, word in enumerate(words)
    ]
    return {
        "id": row["id"],
        "source_file": "train.jsonl",
        "source_line": number,
        "images": images * (2 if number == 3 else 1),
        "label": row["label"],
        "text": "请看图回答。" if number % 2 else None,
        "messages": [
            {
                "role": "user",
                "content": "<image>" * len(images) * (2 if number == 3 else 1) + f"问题{number}",
            },
            {"role": "assistant", "content": row["label"]},
        ],
        "split": "val" if number % 4 == 0 else "train",
        "repeat": 1,
        "set": "",
        "ocr": lines if images else [],
        "ocr_text": "\n".join(words) if images else None,
        "description": f"手机界面，顶部是标题栏，中间列出{number}件商品，底部是按钮“{words[1]}”。",
        "reason": f"页面中部写着“{words[0]}”，价格为{words[2]}，按钮是{words[1]}，可见属于{row['label']}。",
        "sha256": f"{number // 2 * 2:064x}",
        "phash": f"{(1 << (5 * number)) - 1:064x}",
        "looks": [_look(number)] * (2 if number == 3 else 1) if images else None,
        "width": 600 + number,
        "height": 1300,
        "bytes": 40_000 + number,
        "duplicate_of": row["id"],
        "extra": f"value {number}",
    }


def _rows() -> list[dict[str, Any]]:
    return [
        {"image": "1.jpg", "label": "购物车页面", "note": "一"},
        {"image": ["1.jpg", "2.jpg"], "label": "退货页面", "note": None},
        {"image": None, "label": None, "note": "三"},
    ]


def _pictures(folder: Path) -> None:
    shutil.copyfile(PICTURES / "0001.jpg", folder / "1.jpg")
    shutil.copyfile(PICTURES / "0004.jpg", folder / "2.jpg")


def _jsonl(folder: Path) -> None:
    _pictures(folder)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in _rows())
    (folder / "rows.jsonl").write_text(text, "utf-8")


def _decisions(folder: Path) -> None:
    """One record relabelled, one dropped, one accepted, and a decision about what a record no longer is."""
    first, second, third, fourth = records().to_dicts()[:4]
    decisions = [
        ({"action": "relabel", "new": "退货页面", "why": "标题是退货"}, first),
        ({"action": "drop", "why": "两个页面"}, second),
        ({"action": "accept"}, third),
        ({"action": "drop"}, {**fourth, "label": "退货页面"}),
    ]
    lines = [
        Override(id=row["id"], judged=_seen(row), old=row["label"], who="王", **decision).to_line()
        for decision, row in decisions
    ]
    (folder / "overrides.jsonl").write_bytes(b"".join(lines))


def _seen(row: dict[str, Any]) -> str:
    digests = FileDigests()
    return judged(row["label"], [digests.sha256(path) for path in row["images"]], [row["text"]])


def _json(folder: Path) -> None:
    _pictures(folder)
    (folder / "rows.json").write_text(json.dumps(_rows(), ensure_ascii=False), "utf-8")


def _csv(folder: Path) -> None:
    _pictures(folder)
    (folder / "rows.csv").write_text("image,label,note\n1.jpg,购物车页面,一\n2.jpg,退货页面,\n", "utf-8")


def _parquet(folder: Path) -> None:
    _pictures(folder)
    pl.DataFrame({"image": ["1.jpg", "2.jpg"], "label": ["购物车页面", "退货页面"]}).write_parquet(
        folder / "rows.parquet"
    )


def _image_folder(folder: Path) -> None:
    for label, name in (("购物车页面", "0001.jpg"), ("退货页面", "0004.jpg")):
        (folder / "set" / label).mkdir(parents=True)
        shutil.copyfile(PICTURES / name, folder / "set" / label / name)


def _alpaca(folder: Path) -> None:
    rows = [
        {"instruction": "写一句问候。", "input": "", "output": "你好，很高兴见到你。"},
        {"instruction": "翻译成英文。", "input": "苹果", "output": "apple"},
    ]
    (folder / "general.json").write_text(json.dumps(rows, ensure_ascii=False), "utf-8")


def _llamafactory(folder: Path) -> None:
    _pictures(folder)
    row = {
        "messages": [
            {"role": "user", "content": "<image>这是什么页面？"},
            {"role": "assistant", "content": "购物车页面"},
        ],
        "images": ["1.jpg"],
    }
    (folder / "mine.json").write_text(json.dumps([row], ensure_ascii=False), "utf-8")
    info = {
        "mine": {
            "file_name": "mine.json",
            "formatting": "sharegpt",
            "columns": {"messages": "messages", "images": "images"},
            "tags": {
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "user",
                "assistant_tag": "assistant",
            },
        }
    }
    (folder / "dataset_info.json").write_text(json.dumps(info), "utf-8")


def _build(folder: Path) -> None:
    (folder / "done").mkdir()
    records().head(3).drop("messages").write_parquet(folder / "done" / "records.parquet")
    (folder / "done" / "manifest.json").write_text("{}")


def _hub(folder: Path) -> None:
    import datasets

    rows = {"picture": [str(PICTURES / "0001.jpg")] * 2, "label": ["购物车页面", "退货页面"]}
    features = datasets.Features({"picture": datasets.Image(), "label": datasets.Value("string")})
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(folder / "disk"))


def _coco(folder: Path) -> None:
    _pictures(folder)
    document = {
        "images": [
            {"id": 1, "file_name": "1.jpg", "width": 720, "height": 1560, "licence": 4},
            {"id": 2, "file_name": "2.jpg"},
        ],
        "annotations": [
            {"id": 9, "image_id": 1, "category_id": 3, "bbox": [10, 20, 100, 50.5], "iscrowd": 0},
            {"id": 8, "image_id": 1, "category_id": 3, "bbox": [-4, 20, 100, 50], "iscrowd": 0},
        ],
        "categories": [{"id": 3, "name": "按钮"}],
    }
    (folder / "instances.json").write_text(json.dumps(document, ensure_ascii=False), "utf-8")


def _label_studio(folder: Path) -> None:
    _pictures(folder)
    value = {"x": 10, "y": 20, "width": 30, "height": 5, "rotation": 0, "rectanglelabels": ["按钮"]}
    shape = {"id": "a", "type": "rectanglelabels", "value": value}
    tasks = [
        {"id": 1, "data": {"image": "/data/upload/7/1.jpg"}, "annotations": [{"result": [shape]}]},
        {"id": 2, "data": {"image": "/data/local-files/?d=2.jpg"}, "annotations": []},
    ]
    (folder / "tasks.json").write_text(json.dumps(tasks, ensure_ascii=False), "utf-8")


def _line(text: str, row: int) -> dict[str, Any]:
    return {"text": text, "score": 0.9, "box": [10.0, 40.0 * row, 400.0, 40.0 * row + 30], "image": 0}


CASES: dict[str, Case] = {
    "read.jsonl": Case({"path": "rows.jsonl", "image": "image", "label": "label"}, _jsonl),
    "read.json": Case({"path": "rows.json", "image": "image", "label": "label"}, _json),
    "read.csv": Case({"path": "rows.csv", "image": "image", "label": "label"}, _csv),
    "read.parquet": Case({"path": "rows.parquet", "image": "image", "label": "label"}, _parquet),
    "read.image_folder": Case({"path": "set"}, _image_folder),
    "read.alpaca": Case({"path": "general.json"}, _alpaca),
    "read.llamafactory": Case({"path": ".", "dataset": "mine"}, _llamafactory),
    "read.build": Case({"path": "done"}, _build),
    "read.hub": Case({"path": "disk", "image": "picture", "label": "label"}, _hub),
    "read.coco": Case({"path": "instances.json"}, _coco),
    "read.label_studio": Case({"path": "tasks.json"}, _label_studio),
    "balance.tasks": Case(
        {"weights": {"a": 1, "b": 2}},
        more={"task": pl.String()},
        changes={f"screen-{number:04d}": {"task": "a"} for number in range(1, 100)}
        | {f"screen-{number:04d}": {"task": "b"} for number in range(100, 200)},
        by_neighbours=True,
    ),
    "guard.image": Case(
        {"min_side_px": 700},
        changes={
            "screen-0036": {"images": [str(ROOT / "examples" / "medical" / "images" / "0001.jpg")]},
            "screen-0066": {"images": ["/no/such.jpg"]},
        },
    ),
    "guard.label": Case(
        changes={"screen-0036": {"label": "购物 车页面"}, "screen-0066": {"label": "购物车页"}}
    ),
    "guard.prompt_length": Case({"max_chars": 12}),
    "guard.where": Case({"keep": "text IS NOT NULL AND array_length(images) > 0 OR width > 900"}),
    "guard.personal_data": Case(
        {"fields": ["ocr", "ocr_text", "text", "description", "reason", "messages"], "blur": True},
        changes={
            "screen-0036": {
                "ocr": [
                    _line("收货人：张伟  138O0138000", 0),
                    _line("浙江省杭州市西湖区文三路", 1),
                    _line("138号3单元502室", 2),
                ],
                "ocr_text": "收货人：张伟 138O0138000\n浙江省杭州市西湖区文三路\n138号3单元502室",
                "reason": "收货人是“张伟”，电话为13800138000，可见属于订单页面。",
            },
            "screen-0066": {
                "description": "寄往李娜女士，邮箱 lina@example.com。",
                "text": "订单号13800138000",
            },
        },
    ),
    "guard.reason": Case({"max_similarity": 0.6}, by_neighbours=True, more={"reason_declined": pl.String()}),
    "annotate.image_facts": Case(),
    "annotate.image_quality": Case(golden=("picture_faults",)),
    "annotate.ocr": Case(golden=("ocr_text",), few=True),
    "annotate.ask": Case(
        {
            "template": "ecom/judge_picture.j2",
            "answer": {"kind": ["手机界面", "相机照片"], "legible": "boolean"},
        },
        answers={"kind": "相机照片", "legible": False},
    ),
    "annotate.describe": Case({"template": "ecom/describe.j2"}),
    "annotate.reason": Case({"template": "ecom/reason.j2"}),
    "annotate.predict": Case(
        {"pictures": False},
        golden=("prediction",),
        by_neighbours=True,
        more={"shares_picture_with": pl.String()},
    ),
    "curate.pseudo_labels": Case(
        {"threshold": 0.9},
        by_neighbours=True,
        more={
            "prediction": pl.String(),
            "prediction_probability": pl.Float64(),
            "prediction_by": pl.String(),
            "prediction_probabilities": pl.String(),
            "prediction_evidence": pl.List(pl.Float64),
            "label_source": pl.String(),
            "shares_picture_with": pl.String(),
        },
        changes={
            name: {
                "label": None,
                "prediction": "购物车页面",
                "prediction_probability": sure,
                "prediction_evidence": [0.5],
            }
            for name, sure in (("screen-0036", 0.97), ("screen-0066", 0.4))
        },
    ),
    "curate.duplicates": Case(
        by_neighbours=True,
        changes={name: {"text": None, "messages": None} for name in ("screen-0015", "screen-0036")},
    ),
    "curate.split": Case(
        {"val": 0.25},
        by_neighbours=True,
        more={"given_split": pl.String(), "source_split": pl.String(), "label_source": pl.String()},
    ),
    "curate.suspects": Case(
        by_neighbours=True,
        more={
            "noise_rank": pl.Int64(),
            "noise_probability": pl.Float64(),
            "noise_label": pl.String(),
            "noise_label_probability": pl.Float64(),
            "noise_cluster": pl.String(),
            "reason_declined": pl.String(),
            "reason_better": pl.String(),
            "label_source": pl.String(),
            "label_reviewed_by": pl.String(),
        },
        changes={
            "screen-0001": {"noise_rank": 1, "noise_probability": 0.02, "noise_label": "退款页面"},
            "screen-0015": {"reason_declined": "写着“退款金额”", "reason_better": "退款页面"},
            "screen-0036": {"duplicate_of": "screen-0015", "label": "首页"},
        },
    ),
    "curate.overrides": Case(
        {"path": "overrides.jsonl"}, source=_decisions, more={"label_source": pl.String()}
    ),
    "curate.label_noise": Case(
        by_neighbours=True,
        golden=("noise_label", "noise_cluster"),
        more={"label_reviewed_by": pl.String()},
        changes={"screen-0036": {"label": None}},
    ),
    "balance.resample": Case({"by": "label", "strategy": "uniform"}, by_neighbours=True),
    "mix.general": Case({"read.alpaca": {"path": str(ROOT / "examples" / "general_zh.json")}, "share": 0.2}),
    "render.chat": Case(
        {"prompt": "ecom/classify.j2", "answer": "ecom/reason_then_label.j2"},
        few=True,
        more={"reason_declined": pl.String()},
    ),
    "render.grounding": Case({"boxes": "ocr", "form": "qwen2_5_vl"}),
    "emit.llamafactory": Case({"images": "copy"}),
    "emit.messages": Case({"form": "trl", "images": "copy"}),
    "emit.ms_swift": Case({"images": "copy"}),
    "emit.parquet": Case({"images": "bytes"}),
    "emit.hub": Case(),
}
"""Every transform's case. One without fails a test of the suite."""


def case_of(name: str) -> testing.Case:
    """The case of a transform, as the suite takes it. Raises AssertionError for one that has none."""
    case = CASES.get(name)
    if case is None:
        raise AssertionError(
            f'{name} has no case: write "{name}": Case(...) with its parameters into CASES of '
            "tests/support/every.py, and run DATAKIT_GOLDEN=write python -m pytest "
            "tests/test_every_transform.py once for its golden file"
        )
    return testing.Case(
        find(name),
        records=case.records,
        parameters=case.parameters,
        write_files=case.source,
        labels=load_labels(ROOT / "templates" / "ecom" / "labels.yaml"),
        answers=case.answers,
        by_neighbours=case.by_neighbours,
        golden=GOLDEN / f"{name}.json",
        golden_columns=case.golden,
        golden_root=ROOT,
    )
