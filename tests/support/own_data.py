"""People's own data, small: pictures in folders, tables, chats and boxes as the field's tools write them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import polars as pl
from PIL import Image, ImageDraw


def drawn(path: Path, seed: int = 0, size: int = 64) -> Path:
    """A picture of a few rectangles, another for each seed; its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chance = random.Random(seed)
    picture = Image.new("RGB", (size, size), (chance.randrange(256), 200, chance.randrange(256)))
    pen = ImageDraw.Draw(picture)
    for _ in range(6):
        left, top = chance.randrange(size - 12), chance.randrange(size - 12)
        colour = tuple(chance.randrange(256) for _ in range(3))
        pen.rectangle((left, top, left + chance.randrange(4, 12), top + chance.randrange(4, 12)), fill=colour)
    picture.save(path)
    return path


def folder_by_label(root: Path, labels: dict[str, int], suffix: str = ".png") -> Path:
    """A folder of pictures with a folder for each label."""
    for number, (label, count) in enumerate(labels.items()):
        for at in range(count):
            drawn(root / label / f"{at:03}{suffix}", seed=1000 * number + at)
    return root


def pictures(root: Path, count: int) -> list[str]:
    """The names of so many pictures in a folder."""
    return [drawn(root / f"{at:03}.png", seed=at).name for at in range(count)]


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A JSON Lines file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def labelled_csv(root: Path, count: int = 30, encoding: str = "utf-8", labels: str = "猫狗鸟") -> Path:
    """A CSV file with names of pictures and labels."""
    names = pictures(root / "images", count)
    rows = [f"images/{name},{labels[at % len(labels)]}类\r\n" for at, name in enumerate(names)]
    path = root / "train.csv"
    path.write_bytes(("图片,类别\r\n" + "".join(rows)).encode(encoding))
    return path


def questions(root: Path, count: int = 30) -> Path:
    """A JSON Lines file of questions and answers about pictures."""
    names = pictures(root / "img", count)
    rows = [
        {"image": f"img/{name}", "question": f"What is in picture {at}?", "answer": f"A shape of kind {at}."}
        for at, name in enumerate(names)
    ]
    return lines(root / "qa.jsonl", rows)


def receipts(root: Path, count: int = 30) -> Path:
    """A JSON Lines file of values that stand on pictures."""
    names = pictures(root / "img", count)
    rows = [
        {"image": f"img/{name}", "shop": f"Shop {at}", "total amount": f"{at}.50", "width": 64}
        for at, name in enumerate(names)
    ]
    return lines(root / "receipts.jsonl", rows)


def llava(root: Path, count: int = 30) -> Path:
    """A file of chats as LLaVA has them."""
    names = pictures(root / "images", count)
    rows = [
        {
            "id": str(at),
            "image": f"images/{name}",
            "conversations": [
                {"from": "human", "value": "<image>\nWhat is shown?"},
                {"from": "gpt", "value": f"A drawing with the number {at}."},
            ],
        }
        for at, name in enumerate(names)
    ]
    path = root / "llava.json"
    path.write_text(json.dumps(rows), "utf-8")
    return path


def ms_swift(root: Path, count: int = 30) -> Path:
    """A file of chats as ms-swift has them."""
    names = pictures(root / "images", count)
    rows = [
        {
            "messages": [
                {"role": "user", "content": "<image>这是什么？"},
                {"role": "assistant", "content": f"第{at}张图。"},
            ],
            "images": [f"images/{name}"],
        }
        for at, name in enumerate(names)
    ]
    return lines(root / "swift.jsonl", rows)


def llamafactory(root: Path, count: int = 30, sets: int = 1) -> Path:
    """A folder of LLaMA-Factory's with as many data sets."""
    swift = ms_swift(root, count)
    rows = [json.loads(line) for line in swift.read_text("utf-8").splitlines()]
    swift.unlink()
    (root / "data.json").write_text(json.dumps(rows, ensure_ascii=False), "utf-8")
    entry = {
        "file_name": "data.json",
        "formatting": "sharegpt",
        "columns": {"messages": "messages", "images": "images"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
        },
    }
    index = {f"set_{number}": entry for number in range(sets)}
    (root / "dataset_info.json").write_text(json.dumps(index), "utf-8")
    return root


def coco(root: Path, count: int = 30) -> Path:
    """A COCO file with a box on each picture."""
    names = pictures(root / "images", count)
    document = {
        "images": [{"id": at, "file_name": name, "width": 64, "height": 64} for at, name in enumerate(names)],
        "annotations": [
            {"id": at, "image_id": at, "category_id": at % 2, "bbox": [4, 6, 20, 30]} for at in range(count)
        ],
        "categories": [{"id": 0, "name": "button"}, {"id": 1, "name": "picture"}],
    }
    path = root / "annotations" / "instances.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(document), "utf-8")
    return path


def label_studio(root: Path, count: int = 30) -> Path:
    """An export of Label Studio with a rectangle on each picture, and a text typed for it."""
    names = pictures(root / "images", count)
    place = {"x": 10.0, "y": 10.0, "width": 40.0, "height": 30.0, "rotation": 0}
    size = {"original_width": 64, "original_height": 64}
    tasks = [
        {
            "id": at,
            "data": {"image": f"/data/upload/1/{name}"},
            "annotations": [
                {
                    "was_cancelled": False,
                    "result": [
                        {
                            "id": "a",
                            "type": "rectanglelabels",
                            "value": {**place, "rectanglelabels": ["按钮"]},
                            **size,
                        },
                        {"id": "a", "type": "textarea", "value": {**place, "text": [f"去结算{at}"]}, **size},
                    ],
                }
            ],
        }
        for at, name in enumerate(names)
    ]
    path = root / "project-1.json"
    path.write_text(json.dumps(tasks, ensure_ascii=False), "utf-8")
    return path


def parquet(root: Path, count: int = 30) -> Path:
    """A Parquet file that holds its pictures, as a hub has them."""
    names = pictures(root / "drawn", count)
    images = [{"bytes": (root / "drawn" / name).read_bytes(), "path": name} for name in names]
    path = root / "train.parquet"
    pl.DataFrame({"image": images, "label": [f"kind {at % 3}" for at in range(count)]}).write_parquet(path)
    return path
