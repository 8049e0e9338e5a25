"""Thousands of records, a tenth with faults of every kind: each has the end that it should, in flat memory.

Every record has a picture of its own, which OCR reads and a model describes. The second run, on a server that
is well again, answers what the first one left to retry.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import polars as pl
import psutil
from PIL import Image, ImageDraw

from disasters.point import Point
from disasters.world import World
from tests.support.loopback import Call, Loopback, Reply

SCENARIO = "soak"
SHARE = 0.1
_LOOKS = 60
"""So many are needed to tell growth from the start of a phase."""
_TIMEOUT_S = 6.0
_LABELS = ("物流", "退款", "购物车", "店铺", "优惠券")
_RECIPE = """\
version: 1
name: soak
card: {{language: en}}
labels: ../labels.yaml
llm: {{provider: openai, base_url: "{url}", timeout_s: {timeout_s}, max_retries: 2}}
steps:
  - read.jsonl: {{path: ../data/rows.jsonl, image: image, label: label}}
  - guard.image: {{min_side_px: 28}}
  - guard.label: {{}}
  - annotate.image_facts: {{}}
  - annotate.ocr: {{engine: rapidocr, into: ocr}}
  - annotate.describe: {{template: describe.j2, into: description}}
  - curate.split: {{val: 0.1}}
  - render.chat: {{prompt: classify.j2, answer: label_only}}
emit:
  - llamafactory: {{images: link}}
run: {{concurrency: 16, workers: 2, max_reject_rate: 0.5}}
"""
_TEMPLATES = {
    "describe.j2": "请描述这张图片。[id:{{ id }}] {{ ocr_text or '' }} "
    '只输出一个 JSON 对象：{"description": "描述"}',
    "classify.j2": "{% for _ in images %}<image>{% endfor %}{{ description }} {{ ocr_text or '' }} "
    "是哪一类？",
}


class End(NamedTuple):
    """What becomes of a record in the first run."""

    state: str
    reason: str = ""


_OK = End("ok")
FATES: dict[str, End] = {
    "truncated picture": End("rejected", "image_truncated"),
    "empty picture": End("rejected", "image_empty"),
    "text as picture": End("rejected", "image_unreadable"),
    "picture missing": End("rejected", "image_missing"),
    "small picture": End("rejected", "image_too_small"),
    "wrong label": End("rejected", "label_unknown"),
    "torn row": End("rejected", "bad_json"),
    "list as row": End("rejected", "not_an_object"),
    "bytes in row": End("rejected", "bad_encoding"),
    "id again": End("rejected", "duplicate_id"),
    "refusal": End("rejected", "refused"),
    "filter": End("rejected", "content_filter"),
    "429 twice": _OK,
    "500 once": _OK,
    "reset once": _OK,
    "cut once": _OK,
    "500 always": End("retry", "server_error"),
    "no answer": End("retry", "timed_out"),
    "malformed": End("retry", "answer_malformed"),
    "empty answer": End("retry", "answer_empty"),
    "no completion": End("retry", "body_malformed"),
}
_REPLIES: dict[str, tuple[int, Reply]] = {
    "refusal": (99, Reply(refusal="不便回答")),
    "filter": (99, Reply(content="", finish_reason="content_filter")),
    "429 twice": (2, Reply(429, headers={"Retry-After": "0.2"})),
    "500 once": (1, Reply(500)),
    "reset once": (1, Reply(reset=True)),
    "cut once": (1, Reply(cut=True)),
    "500 always": (99, Reply(500)),
    "no answer": (99, Reply(delay_s=_TIMEOUT_S * 1.5)),
    "malformed": (99, Reply(content='{"description": "没有写完')),
    "empty answer": (99, Reply(content="")),
    "no completion": (99, Reply(raw=b'{"choices": []}')),
}
"""Fate -> for how many tries of a record the server replies so."""


@dataclass
class Sample:
    """One look at the processes of the build."""

    at_s: float
    asked: int
    main_mb: float
    workers_mb: float
    files: int
    """Open file descriptors of the main process."""


@dataclass
class Samples:
    """Looks at the processes of a build, twice a second in a thread."""

    process: psutil.Process
    server: Loopback
    rows: list[Sample] = field(default_factory=list)

    def watch(self) -> None:
        """Until the process has ended."""
        began = time.monotonic()
        while True:
            try:
                workers = sum(child.memory_info().rss for child in self.process.children(recursive=True))
                main, files = self.process.memory_info().rss, self.process.num_fds()
            except psutil.Error:
                return
            row = Sample(time.monotonic() - began, self.server.count, main / 1e6, workers / 1e6, files)
            self.rows.append(row)
            time.sleep(0.5)

    def phases(self) -> Iterator[tuple[str, list[Sample]]]:
        """The looks while pictures were read and while calls were made, without the first fifth of each."""
        last = max((row.asked for row in self.rows), default=0)
        for name, rows in (
            ("pictures", [row for row in self.rows if not row.asked]),
            ("calls", [row for row in self.rows if 0 < row.asked < last]),
        ):
            if len(rows := rows[len(rows) // 5 :]) > _LOOKS:
                yield name, rows


def points(world: World, seed: int, wanted: int, only: int | None) -> Iterator[Point]:
    """One point of so many records."""
    point = Point(SCENARIO, 0, f"{wanted:,} records")
    with Loopback(latency_s=0.05) as server:
        server.keep_calls = False
        fates = _write(world.project, server.url, wanted, seed)
        is_well = False

        def script(call: Call) -> Reply | None:
            tries, reply = _REPLIES.get(fates.get(call.id, ""), (0, None))
            if is_well or reply is None or call.attempt >= tries:
                return None
            return Reply(**{**vars(reply), "headers": dict(reply.headers)})

        server.script = script
        seconds, samples = _run(world, server, point, ended_with=0 if _retried(fates) == 0 else 3)
        _ends(world.project, fates, point, is_well=False)
        _flat(point, samples)
        is_well = True
        again_s, _ = _run(world, server, point, ended_with=0)
        _ends(world.project, fates, point, is_well=True)
        point.count(seconds=round(seconds), seconds_again=round(again_s), requests=server.count)
    yield point


def _retried(fates: dict[str, str]) -> int:
    return sum(FATES[fate].state == "retry" for fate in fates.values() if fate)


def _write(project: Path, url: str, records: int, seed: int) -> dict[str, str]:
    """The project of so many records; id -> fate, "" for those without a fault."""
    shutil.rmtree(project, ignore_errors=True)
    for name in ("recipes", "templates", "data"):
        (project / name).mkdir(parents=True)
    (project / "recipes/soak.yaml").write_text(_RECIPE.format(url=url, timeout_s=_TIMEOUT_S), "utf-8")
    for name, text in _TEMPLATES.items():
        (project / "templates" / name).write_text(text, "utf-8")
    labels = "".join(f"  - {{name: {label}, description: 关于{label}的画面}}\n" for label in _LABELS)
    (project / "labels.yaml").write_text(f"labels:\n{labels}", "utf-8")
    draw, fates = random.Random(seed), {}
    with open(project / "data/rows.jsonl", "wb") as rows:
        for number in range(records):
            fate = draw.choice(list(FATES)) if number and draw.random() < SHARE else ""
            fates[f"s{number}"] = fate
            _write_picture(project / f"data/{number}.jpg", number, fate)
            rows.write(_row(number, fate))
    return fates


def _write_picture(path: Path, number: int, fate: str) -> None:
    if fate == "picture missing":
        return
    size = (20, 20) if fate == "small picture" else (160, 96)
    image = Image.new("RGB", size, (230, 240, 200 + number % 50))
    ImageDraw.Draw(image).text((8, 30), f"ORDER {number}", fill=(10, 10, 10), font_size=24)
    image.save(path, quality=85)
    match fate:
        case "truncated picture":
            path.write_bytes(path.read_bytes()[:-400])
        case "empty picture":
            path.write_bytes(b"")
        case "text as picture":
            path.write_bytes(b"<html>404 Not Found</html>")


def _row(number: int, fate: str) -> bytes:
    row = {"id": f"s{number}", "image": f"{number}.jpg", "label": _LABELS[number % len(_LABELS)]}
    match fate:
        case "wrong label":
            row["label"] = "没有这一类"
        case "id again":
            row["id"] = "s0"
    text = json.dumps(row, ensure_ascii=False)
    line = (text[:-3] if fate == "torn row" else text).encode()
    match fate:
        case "list as row":
            line = b"[" + line + b"]"
        case "bytes in row":
            line = line.replace(b'"label": "', b'"label": "\xff\xfe')
    return line + b"\n"


def _run(world: World, server: Loopback, point: Point, ended_with: int) -> tuple[float, Samples]:
    """A build to its end under watch; its seconds and the samples."""
    command = [
        sys.executable,
        "-m",
        "datakit.cli",
        "build",
        "recipes/soak.yaml",
        "--allow-partial",
        "--quiet",
    ]
    log = world.folder / "said"
    began = time.monotonic()
    with open(log, "wb") as said:
        process = subprocess.Popen(
            command, cwd=world.project, stdout=said, stderr=subprocess.STDOUT, env=world.environment()
        )
    samples = Samples(psutil.Process(process.pid), server)
    thread = threading.Thread(target=samples.watch)
    thread.start()
    code = process.wait()
    thread.join()
    words = log.read_text("utf-8", errors="replace")
    point.expect(code == ended_with, f"exit code {code}, not {ended_with}: {words[-900:]}")
    point.expect("Traceback" not in words, f"a traceback: {words[-1500:]}")
    return time.monotonic() - began, samples


def _ends(project: Path, fates: dict[str, str], point: Point, *, is_well: bool) -> None:
    """Each line of the source has one end, and the right one."""
    build = project / "build/soak"
    if not build.is_dir():
        point.faults.append("there is no build")
        return
    records = pl.read_parquet(build / "records.parquet")
    ends: dict[int, list[End]] = {}
    for line in records["source_line"]:
        ends.setdefault(line, []).append(_OK)
    for reject in map(json.loads, (build / "rejects.jsonl").read_text("utf-8").splitlines()):
        ends.setdefault(reject["source_line"], []).append(End(reject["state"], reject["reason"]))
    wrong = []
    for line, (id_, fate) in enumerate(fates.items(), 1):
        expected = FATES[fate] if fate else _OK
        if is_well and expected.state == "retry":
            expected = _OK
        if ends.get(line) != [expected]:
            wrong.append(f"{id_} ({fate or 'no fault'}) ended as {ends.get(line)}, not {expected}")
    point.faults += [f"{len(wrong)} records with another end, such as {line}" for line in wrong[:5]]
    point.expect(len(ends) == len(fates), f"{len(fates)} records have {len(ends)} ends")
    rows = json.loads((build / "soak_train.json").read_bytes()) + json.loads(
        (build / "soak_val.json").read_bytes()
    )
    point.expect(len(rows) == records.height, f"{records.height} records are {len(rows)} rows")
    mixed = [row for row in rows if f"回答记录{row['id']}的" not in str(row["messages"])]
    point.expect(not mixed, f"texts of one record stand in another: {mixed[:1]}")
    states = Counter(end.state for both in ends.values() for end in both)
    if not is_well:
        point.count(records=len(fates), **states)


def _flat(point: Point, samples: Samples) -> None:
    """Memory and open files do not grow with the records that are done."""
    for name, rows in samples.phases():
        minutes = (rows[-1].at_s - rows[0].at_s) / 60
        for what, values, most in (
            ("main_mb", [row.main_mb for row in rows], 40.0),
            ("workers_mb", [row.workers_mb for row in rows], 200.0),
            ("files", [float(row.files) for row in rows], 4.0),
        ):
            grown = _slope([row.at_s / 60 for row in rows], values) * minutes
            point.figures[f"{name}_{what}_most"] = round(max(values), 1)
            point.figures[f"{name}_{what}_grown"] = round(grown, 1)
            point.expect(grown <= most, f"{what} grew by {grown:.1f} while {name} were worked on")


def _slope(xs: list[float], ys: list[float]) -> float:
    """Of the straight line through the points with the least squares."""
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((a - x) ** 2 for a in xs)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / spread if spread else 0.0
