"""One build asked and scored by two roads: `datakit` predicts and evaluates, and so does a bundle."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from datakit.cli import run
from datakit.library import build
from tests.support.loopback import Call, Loopback, Reply
from tests.support.unpacked import unpack

RECORDS = 28
LABELS = ("购物车页面", "退款页面", "退货页面", "首页")
RECIPE = """\
name: {name}
{labels}steps:
  - read.jsonl: {{path: ../data.jsonl, image: image, label: label}}
  - curate.split: {{val: 0.5, stratify: null}}
  - render.chat: {{prompt: {prompt}, answer: {form}}}
emit: [llamafactory]
train: {{model: Qwen/Qwen2.5-VL-7B-Instruct}}
"""
ASK = "{% for _ in images %}<image>{% endfor %}第{{ place }}题。\n{{ answer_format }}"
SAY: dict[str, Callable[[int], list[str]]] = {
    "label_only": lambda n: [LABELS[n % 4], LABELS[n % 3], "别的页面", "", f"{LABELS[n % 4]}。"],
    "label_first": lambda n: [f"类别：{LABELS[n % 4]}\n理由：有按钮", "类别：首页", "不知道"],
    "multi_label": lambda n: ["、".join(LABELS[: n % 4]) or "无", "首页、退款页面", "首页、别的", ""],
    "number": lambda n: [f"{n * 1.5 - 3:g}", "１２．５", "很多", f"{n}", ""],
    "free_text": lambda n: [f"第{n}张图是一只猫。", "一只狗", "", f"图{n}"],
    "two_turn": lambda n: [LABELS[n % 4], "首页", "别的页面"],
}
"""Form -> what may be answered to the question of a place, right and wrong."""


def write_pictures(folder: Path) -> list[str]:
    """Pictures that a trainer treats each in its own way: large, small, grey, long, with a profile."""
    from PIL import ImageCms

    names = []
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    dice = random.Random(5)
    for at in range(RECORDS):
        size = [(1000, 720), (64, 48), (600, 1200), (20, 300)][at % 4]
        small = Image.new("RGB", (16, 12))
        small.putdata([tuple(dice.randrange(256) for _ in range(3)) for _ in range(16 * 12)])
        picture = small.resize(size, Image.Resampling.BICUBIC)
        if at % 5 == 3:
            picture = picture.convert("L")
        suffix, options = [("jpg", {"quality": 97, "icc_profile": profile}), ("png", {}), ("webp", {})][
            at % 3
        ]
        names.append(f"{at}.{suffix}")
        picture.save(folder / names[-1], **options)  # type: ignore[arg-type]
    return names


def make_build(project: Path, form: str) -> Path:
    """A build of 28 records, half of them for validation, whose answers have this form."""
    (project / "recipes").mkdir(parents=True)
    (project / "templates").mkdir()
    (project / "templates" / "ask.j2").write_text(ASK, "utf-8")
    (project / "templates" / "more.j2").write_text("再答第{{ place }}题。\n{{ answer_format }}", "utf-8")
    with open(project / "data.jsonl", "w", encoding="utf-8") as file:
        for at, name in enumerate(write_pictures(project)):
            row = {
                "id": f"r{at:02d}",
                "image": name,
                "place": at,
                "label": LABELS[at % 4],
                "reason": f"第{at}张有按钮",
                "description": f"第{at}张截图",
                "labels": list(LABELS[: at % 4]),
                "number": 1.5 * at,
                "answer": f"第{at}张图是一只猫。",
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    labels = ""
    if form not in ("number", "free_text"):
        (project / "recipes" / "labels.yaml").write_text(f"labels: [{', '.join(LABELS)}]\n", "utf-8")
        labels = "labels: labels.yaml\n"
    prompt = "[ask.j2, more.j2]" if form == "two_turn" else "ask.j2"
    recipe = project / "recipes" / f"{form}.yaml"
    recipe.write_text(RECIPE.format(name=form, labels=labels, prompt=prompt, form=form), "utf-8")
    return build(recipe, card=False, check=False).folder


@dataclass
class Roads:
    """A build, and the bundle of it in a folder of its own."""

    build: Path
    there: Path
    python: Path = Path(sys.executable)
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, build: Path, folder: Path) -> Roads:
        folder.mkdir()
        return cls(build, unpack(build, folder))

    @property
    def data(self) -> Path:
        return self.there / self.build.name

    def by_datakit(self, server: Loopback, out: Path, *words: str) -> int:
        """`datakit predict`; its exit code."""
        return run(
            ["predict", str(self.build), "--base-url", server.url, "--out", str(out), "--quiet", *words]
        )

    def by_bundle(self, server: Loopback, out: Path, *words: str) -> subprocess.CompletedProcess[str]:
        """The bundle's predict.py."""
        return self.script("predict.py", str(self.data), "--url", server.url, "--out", str(out), *words)

    def run_sh(self, server: Loopback, *words: str) -> subprocess.CompletedProcess[str]:
        """Stages of the bundle, against this server."""
        environment = {**os.environ, "PATH": "/usr/bin:/bin", "PYTHON": str(self.python)}
        environment = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
        return subprocess.run(
            [str(self.there / "run.sh"), *words, "--base-url", server.url],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def script(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A script of the bundle, in an empty folder and with no datakit on the PATH."""
        empty = self.there.parent / "empty"
        empty.mkdir(exist_ok=True)
        own = ("PYTHON", "VIRTUAL_ENV", "PYTEST_", "COV_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        return subprocess.run(
            [str(self.python), str(self.there / words[0]), *words[1:]],
            env={**kept, "PATH": "/usr/bin:/bin", **self.environment},
            cwd=empty,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )


def rows(path: Path) -> dict[str, dict[str, Any]]:
    """Id -> row of a file of predictions, without what two machines never share: time and places."""
    lines = map(json.loads, path.read_text("utf-8").splitlines())
    return {row["id"]: {**row, "seconds": None, "images": len(row["images"])} for row in lines}


def place(call: Call) -> int:
    """The number of the record that a request is about."""
    found = re.search(r"第(\d+)题", call.text)
    assert found is not None
    return int(found[1])


def answering(form: str) -> Callable[[Call], Reply]:
    """A server that answers right and wrong, always the same to the same question."""

    def answer(call: Call) -> Reply:
        number = place(call)
        choices = SAY[form](number)
        said = choices[number % len(choices)]
        turns = [turn for turn in call.body["messages"] if turn["role"] == "user"]
        if form == "two_turn" and len(turns) == 1:
            said = f"第{number}张截图"
        return completion({"content": said})

    return answer


def completion(message: dict[str, Any], **fields: Any) -> Reply:
    """A chat completion of one message; `fields` replace those of the body, `choice` those of the choice."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    choice |= fields.pop("choice", {})
    body = {"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 5}, **fields}
    return Reply(raw=json.dumps(body, ensure_ascii=False).encode())
