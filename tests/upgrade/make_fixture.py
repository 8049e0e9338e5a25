"""Made the store, the expected hashes and the old builds of this folder; see README.md.

    python tests/upgrade/make_fixture.py        (with the datakit whose results are to be kept)

It refuses to replace what is there: a fixture that is made again proves nothing about an upgrade.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import re
import shutil
import sqlite3
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))  # for the loopback server

from datakit.library import build  # noqa: E402
from tests.support.loopback import KEY, Call, Loopback, Reply  # noqa: E402

PAID = ("paid", "two_models")
RECIPES = ("ecom_v1", "ecom_v2", "ecom_v3", "medical", *PAID)
KEPT = ("ecom_v1", "ecom_v3")
"""Builds that are kept whole, as `old_builds/`."""
NOBODY = re.compile(r"http://127\.0\.0\.1:9(?:/second)?/v1")
REFUSED = "0138.jpg"
"""The picture about which the model refuses to speak; small enough to be sent byte for byte."""
SAME = "顶部标题与下方按钮都指向这一类操作，列表里的金额和状态也对得上，因此属于{label}。"
PARTS = ("顶部是状态栏", "左上角有返回箭头", "中间一列卡片", "底部一排按钮", "右侧有小图标", "价格用橙色写出")
MORE = (
    "文字清楚可读",
    "背景是浅灰色",
    "可能有一处弹窗",
    "留白较多",
    "图标为圆角方形",
    "数字排成两列",
    "标题居中",
)


def answer(call: Call) -> dict[str, Any]:
    """What the model says: some words are banned, some descriptions refused, half of the reasons alike."""
    rng = random.Random(json.dumps([call.body, call.attempt], sort_keys=True))
    said = "，".join([*rng.sample(PARTS, 3), *rng.sample(MORE, 2)]) + "。"
    label = re.search(r"正确(?:类别|印象)是“([^”]+)”", call.text)
    told = SAME.format(label=label[1] if label else "这一类")
    if "重新写一条" in call.text:
        told = "太短" if rng.random() < 0.3 else said + told[-14:]
    elif rng.random() < 0.5:
        told = said + told
    values: dict[str, Any] = {
        "description": said,
        "reason": told,
        "why": rng.choice(PARTS),
        "ok": rng.random() < 0.7,
        "kind": rng.choice(["手机界面", "相机照片", "设计图"]),
        "legible": rng.random() < 0.5,
        "doubt": rng.choice(MORE),
        "tags": rng.sample(PARTS, 2),
        "amount": round(rng.random() * 100, 2),
        "note": said,
        "title": rng.choice(PARTS),
    }
    return {
        name: values[name] for name in call.body["response_format"]["json_schema"]["schema"]["properties"]
    }


def refuse(call: Call) -> Reply | None:
    """No words about one of the pictures when it is to be judged."""
    data = (HERE / "project" / "examples" / "ecom" / "images" / REFUSED).read_bytes()
    shown = any(base64.b64decode(url.partition(",")[2]) == data for url in call.images)
    return Reply(content="", refusal="I cannot help with that.") if shown and "legible" in call.text else None


def main() -> None:
    """Builds every recipe in a folder aside and keeps what an upgrade must find again."""
    kept = [HERE / "project" / "results.sqlite", HERE / "expected.json", HERE / "old_builds"]
    if any(path.exists() for path in kept):
        sys.exit("The fixture is there. It must not be made again: see README.md.")
    project = Path(tempfile.gettempdir()) / "datakit-upgrade"
    shutil.copytree(HERE / "project", project)
    expected: dict[str, Any] = {"rapidocr": version("rapidocr"), "builds": {}}
    with Loopback(models=("gpt-4o-mini", "qwen-vl-max")) as server:
        server.answer, server.script = answer, refuse
        for name in RECIPES:
            os.environ.pop("OPENAI_API_KEY", None)  # `auto` takes the offline writer without it
            if name in PAID:
                os.environ["OPENAI_API_KEY"] = KEY
            expected["builds"][name] = one(project, name, server.url)
    (HERE / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")
    keep_store(project / ".datakit" / "results.sqlite", kept[0])
    for name in KEPT:
        shutil.copytree(project / "build" / name, kept[2] / name)
    shutil.rmtree(project)


def one(project: Path, name: str, url: str) -> dict[str, Any]:
    """Builds a recipe; the hashes of its data."""
    recipe = project / "recipes" / f"{name}.yaml"
    recipe.write_text(NOBODY.sub(url, recipe.read_text("utf-8")), "utf-8")
    folder = build(recipe).folder
    manifest = json.loads((folder / "manifest.json").read_bytes())
    files = {path: hashlib.sha256((folder / path).read_bytes()).hexdigest() for path in manifest["records"]}
    return {"content": manifest["content"], "files": dict(sorted(files.items()))}


def keep_store(store: Path, place: Path) -> None:
    """The results without the memo of files, which names paths that no other machine has."""
    shutil.copyfile(store, place)
    with sqlite3.connect(place) as db:
        db.execute("DELETE FROM files")
    db.execute("PRAGMA journal_mode=DELETE")
    db.execute("VACUUM")
    db.close()


if __name__ == "__main__":
    main()
