"""A small project with every kind of step, the server that it asks, and builds in processes of their own."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

from disasters.outcome import Outcome, outcome
from tests.support.loopback import KEY, Call, Loopback

ROOT = Path(__file__).resolve().parent.parent.parent
NAME = "chaos"
CONCURRENCY = 4
RECORDS = 12
PATIENCE_S = 300.0
"""For what takes seconds on a machine of its own."""
_RECIPE = """\
version: 1
name: {name}
card: {{language: en}}
seed: 7
labels: ../labels.yaml
llm: {{provider: openai, base_url: "{url}", model: gpt-4o-mini}}
steps:
  - read.jsonl: {{path: ../data/rows.jsonl, image: image, label: label}}
  - guard.image: {{min_side_px: 28}}
  - guard.label: {{}}
  - annotate.image_facts: {{}}
  - curate.duplicates: {{on_label_conflict: review}}
  - annotate.ocr: {{engine: rapidocr, into: ocr}}
  - annotate.describe: {{template: describe.j2, into: description}}
  - annotate.reason: {{template: reason.j2, into: reason}}
  - guard.reason: {{max_similarity: 0.6, on_fail: rewrite}}
  - curate.split: {{val: 0.2, group: duplicate_of}}
  - balance.resample: {{by: label, strategy: sqrt, max_repeat: 3}}
  - render.chat: {{prompt: classify.j2, answer: ecom/reason_then_label.j2, max_chars: 2500,
                  shrink: [ocr_text, description]}}
  - mix.general: {{read.alpaca: {{path: ../data/general.json}}, share: 0.15, licence: Apache-2.0}}
emit:
  - llamafactory: {{images: link}}
train: {{model: Qwen/Qwen2.5-VL-7B-Instruct, method: lora, preset: ecom}}
serve: {{gpu_memory_gb: 24, gpus: 2}}
run: {{concurrency: {concurrency}, workers: 1, max_reject_rate: 0.5, store: "{store}"}}
"""
_TEMPLATES = {
    "describe.j2": "请客观描述这张图片。{% if ocr_text %}文字：{{ ocr_text }}{% endif %}"
    '只输出一个 JSON 对象：{"description": "图片描述"}',
    "reason.j2": "这张图片属于“{{ label_info.name }}”，描述：{{ description }}。请写出判断理由。"
    '只输出一个 JSON 对象：{"reason": "判断理由"}',
    "classify.j2": "{% for _ in images %}<image>{% endfor %}图片描述：{{ description }}\n"
    "{% if ocr_text %}图中文字：{{ ocr_text }}\n{% endif %}从下列类别中选出一个：\n{{ label_json }}",
}
_WORDS = (
    "画面上方有一行标题中间是列表价格按钮图标搜索框底部导航栏红色蓝色数字商品评价文字说明清楚可见左侧右边两排"
)


@dataclass
class Finished:
    """How a command ended."""

    code: int
    words: str
    """What it said on both streams."""
    seconds: float


@dataclass(frozen=True)
class Undisturbed:
    """A build that nothing happened to."""

    outcome: Outcome
    calls: int
    seconds: float
    operations: list[str]


class Server(Loopback):
    """Answers each question in words that follow from it alone and that name it, and counts each question."""

    def __init__(self) -> None:
        super().__init__(latency_s=0.05)
        self.asked: list[str] = []
        """The digest of each question, in the order of arrival."""
        self.keep_calls = False
        self.alarm: tuple[int, Callable[[], object]] | None = None
        """What is done when that many questions have arrived."""
        self.script = self._note
        self.answer = self._words

    def _note(self, call: Call) -> None:
        self.asked.append(digest_of(call))
        if self.alarm is not None and len(self.asked) >= self.alarm[0]:
            ring, self.alarm = self.alarm[1], None
            ring()

    def _words(self, call: Call) -> dict[str, Any]:
        digest = digest_of(call)
        is_reason = '"reason"' in json.dumps(call.body, ensure_ascii=False).replace('\\"', '"')
        draw = random.Random("all alike" if is_reason and int(digest, 16) % 4 == 0 else digest)
        text = "".join(draw.choices(_WORDS, k=50)) + f"，编号{digest}。"
        return {"reason" if is_reason else "description": text}


def digest_of(call: Call) -> str:
    """12 hex digits that tell a question, pictures included."""
    return hashlib.sha256(json.dumps(call.body["messages"]).encode()).hexdigest()[:12]


@dataclass
class World:
    """The folder of the project, one for all points since paths stand in builds; the server."""

    folder: Path
    server: Server
    _undisturbed: dict[str, Undisturbed] = field(default_factory=dict)

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def build_folder(self) -> Path:
        return self.project / "build" / NAME

    def fresh(self, store: str = ".datakit") -> None:
        """Writes the project anew, without store and builds."""
        shutil.rmtree(self.project, ignore_errors=True)
        (self.project / "recipes").mkdir(parents=True)
        (self.project / "templates" / "ecom").mkdir(parents=True)
        (self.project / "data").mkdir()
        (self.project / "temp").mkdir()
        self.write_recipe(NAME, store)
        for name, text in _TEMPLATES.items():
            (self.project / "templates" / name).write_text(text, "utf-8")
        for name in ("templates/ecom/reason_then_label.j2", "templates/ecom/rewrite_reason.j2"):
            shutil.copy(ROOT / name, self.project / name)
        shutil.copy(ROOT / "templates/ecom/labels.yaml", self.project / "labels.yaml")
        shutil.copy(ROOT / "examples/general_zh.json", self.project / "data/general.json")
        self._write_rows()

    def write_recipe(self, name: str, store: str = ".datakit") -> None:
        """Writes recipes/<name>.yaml."""
        text = _RECIPE.format(name=name, url=self.server.url, concurrency=CONCURRENCY, store=store)
        (self.project / "recipes" / f"{name}.yaml").write_text(text, "utf-8")

    def _write_rows(self) -> None:
        """Parts of screens and their labels, a copy, a damaged picture, an unknown label, a damaged row."""
        example = ROOT / "examples" / "ecom"
        lines = (example / "train.jsonl").read_text("utf-8").splitlines()[: RECORDS - 1]
        rows = []
        for number, line in enumerate(lines):
            row = json.loads(line)
            with Image.open(example / row["image"]) as screen:  # a part, which is soon read
                part = screen.crop((0, 300, screen.width, 700))
                part.save(self.project / "data" / f"{number}.jpg", quality=90)
            rows.append({"id": f"r{number}", "image": f"{number}.jpg", "label": row["label"]})
        shutil.copy(self.project / "data/0.jpg", self.project / "data/copy.jpg")
        rows.append({**rows[0], "id": "copy", "image": "copy.jpg"})
        (self.project / "data/damaged.jpg").write_bytes((self.project / "data/1.jpg").read_bytes()[:900])
        rows.append({**rows[1], "id": "damaged", "image": "damaged.jpg"})
        rows.append({**rows[2], "id": "unknown", "label": "没有这个类别"})
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows) + '{"id": "torn", "im\n'
        (self.project / "data/rows.jsonl").write_text(text, "utf-8")

    def undisturbed(self, edit: Callable[[Path], None] | None = None) -> Undisturbed:
        """The build, from nothing, of the inputs after an edit. It is made once, in a fresh project."""
        name = edit.__name__ if edit else ""
        if name not in self._undisturbed:
            self.fresh()
            if edit is not None:
                edit(self.project)
            asked = len(self.server.asked)
            ended = self.build()
            if ended.code:
                raise SystemExit(f"the undisturbed build ended with {ended.code}:\n{ended.words}")
            calls = len(self.server.asked) - asked
            self._undisturbed[name] = Undisturbed(self.outcome(), calls, ended.seconds, self.operations())
        return self._undisturbed[name]

    def clear(self) -> None:
        """Removes store, builds and cards."""
        for name in ("build", "data_cards", ".datakit"):
            shutil.rmtree(self.project / name, ignore_errors=True)

    def outcome(self) -> Outcome:
        """Of the build that stands there."""
        return outcome(self.project, NAME)

    def start(
        self, *command: str, at: tuple[int, int, float, str] = (0, 0, 0, "")
    ) -> subprocess.Popen[bytes]:
        """Begins a datakit command in the project, which gets a signal at an operation (`killed_at`)."""
        script = Path(__file__).with_name("killed_at.py")
        head = [sys.executable, str(script), str(self.log), str(self.project), *map(str, at)]
        self.log.unlink(missing_ok=True)
        with open(self.folder / "said", "wb") as said:
            return subprocess.Popen(
                [*head, *(command or ("build", f"recipes/{NAME}.yaml"))],
                cwd=self.project,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=self.environment(),
            )

    @property
    def log(self) -> Path:
        """The operations of the last command."""
        return self.folder / "operations.json"

    def operations(self) -> list[str]:
        """Those of the last command, in their order."""
        result: list[str] = json.loads(self.log.read_text("utf-8")) if self.log.exists() else []
        return result

    def environment(self) -> dict[str, str]:
        compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return {
            **compiled,
            "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / f"chaos-compiled-{os.getuid()}"),
            "OPENAI_API_KEY": KEY,
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self.project / "temp"),
            "OMP_NUM_THREADS": "1",
        }

    def end(self, process: subprocess.Popen[bytes], began: float) -> Finished:
        """How a command ended; one that does not is killed and has code 124."""
        try:
            code = process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code = 124
        words = (self.folder / "said").read_text("utf-8", errors="replace")
        return Finished(code, words, time.monotonic() - began)

    def build(self, *options: str, at: tuple[int, int, float, str] = (0, 0, 0, "")) -> Finished:
        """A build to its end, or to its signal."""
        began = time.monotonic()
        return self.end(self.start("build", f"recipes/{NAME}.yaml", *options, at=at), began)

    def stored(self) -> set[str]:
        """The digests of the questions whose answers the store holds, read from a copy of its files."""
        return set(stored_questions(self.project / ".datakit"))


def stored_questions(store: Path) -> Counter[str]:
    """How many results of a store are the answer to each question."""
    if not (store / "results.sqlite").exists():
        return Counter()
    with tempfile.TemporaryDirectory() as folder:
        for path in store.glob("results.sqlite*"):
            shutil.copy(path, folder)
        db = sqlite3.connect(Path(folder) / "results.sqlite")
        try:
            values = [value for (value,) in db.execute("SELECT value FROM results")]
        except sqlite3.OperationalError:  # killed before its tables were made
            values = []
        finally:
            db.close()
    counts: Counter[str] = Counter()
    for value in values:
        text = (zlib.decompress(value[1:]) if value[:1] == b"z" else value).decode(errors="replace")
        counts.update({part[:12] for part in text.split("编号")[1:]})
    return counts


def left_over(session: int, patience_s: float = 30.0) -> list[str]:
    """Processes that a command started and that outlived it, as command lines; they are killed then."""
    until = time.monotonic() + patience_s
    while (alive := _of_session(session)) and time.monotonic() < until:
        time.sleep(0.05)
    lines = []
    for process in alive:
        with contextlib.suppress(psutil.Error):
            lines.append(" ".join(process.cmdline())[:120])
            process.kill()
    return lines


def _of_session(session: int) -> list[psutil.Process]:
    processes = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                processes.append(process)
    return processes
