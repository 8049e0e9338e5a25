"""A build that is killed loses the work in hand and nothing else: no finished call is made twice.

The real command runs in a process of its own, against a real server and the real OCR engine.
"""

from __future__ import annotations

import json
import random
import re
import signal
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from datakit.core.errors import Exit
from tests.support.killed_builds import finish, outcome, start, stop, stored, undisturbed, write_data
from tests.support.loopback import KEY, Loopback
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parent.parent.parent
RECORDS = 90
CONCURRENCY = 12
LATENCY_S = 0.1
NO_CARD = "--no-card"
LLM_RECIPE = """\
version: 1
name: killed
llm: {{provider: openai, base_url: "{url}"}}
steps:
  - read.jsonl: {{path: ../data.jsonl}}
  - annotate.describe: {{template: describe.j2}}
  - curate.split: {{val: 0.1}}
  - render.chat: {{prompt: ask.j2, answer: answer.j2}}
emit: [llamafactory]
run: {{concurrency: {concurrency}}}
"""
OCR_RECIPE = """\
version: 1
name: killed
steps:
  - read.jsonl: {path: ../data.jsonl}
  - annotate.ocr: {}
  - curate.split: {val: 0.1}
  - render.chat: {prompt: ask.j2, answer: answer.j2}
emit: [llamafactory]
run: {workers: 2}
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with Loopback(latency_s=LATENCY_S) as server:
        yield server


@pytest.fixture
def llm_project(project: Path, server: Loopback) -> Path:
    """Records of small pictures, each of which the server is asked about."""
    recipe = LLM_RECIPE.format(url=server.url, concurrency=CONCURRENCY)
    (project / "recipes" / "killed.yaml").write_text(recipe)
    rows = []
    for number in range(RECORDS):
        Image.new("RGB", (40, 40), (number, 2 * number % 256, 90)).save(project / f"{number}.png")
        rows.append({"id": f"r{number}", "image": f"{number}.png", "label": "甲" if number % 3 else "乙"})
    write_data(project, rows, "请描述。[id:{{ id }}]", "{{ description }}")
    return project


@pytest.fixture
def ocr_project(project: Path) -> Path:
    """The upper halves of sixteen screens."""
    (project / "recipes" / "killed.yaml").write_text(OCR_RECIPE)
    rows = []
    for line in (ROOT / "examples" / "ecom" / "train.jsonl").read_text("utf-8").splitlines()[:16]:
        row = json.loads(line)
        with Image.open(ROOT / "examples" / "ecom" / row["image"]) as screen:
            screen.crop((0, 0, screen.width, screen.height // 2)).save(project / Path(row["image"]).name)
        rows.append({"id": row["id"], "image": Path(row["image"]).name, "label": row["label"]})
    write_data(project, rows, "图中写着：{{ ocr_text }}", "{{ label }}")
    return project


def answered(project: Path) -> set[str]:
    """Ids of the records whose answer the store holds; the server puts them into its answers."""
    values = [value for value, _ in stored(project, "annotate.describe").values()]
    texts = [(zlib.decompress(value[1:]) if value[:1] == b"z" else value).decode() for value in values]
    return {found[1] for text in texts if (found := re.search(r"记录(r\d+)的", text))}


def steps(project: Path) -> dict[str, dict[str, int]]:
    """The step reports of the finished build, by name."""
    report = json.loads((project / "build" / "killed" / "report.json").read_bytes())
    return {step["name"]: step for step in report["steps"]}


# model calls


@pytest.mark.fault(
    "kill -9 at any moment of a build that asks a model",
    "only calls in flight are made again; the outcome is that of an undisturbed build",
    kind="signals",
)
@pytest.mark.parametrize("seed", range(3))
def test_killed_build_repeats_only_calls_that_were_in_flight(
    llm_project: Path, server: Loopback, seed: int
) -> None:
    rng = random.Random(seed)
    points = sorted(rng.sample(range(2 * CONCURRENCY, RECORDS - CONCURRENCY), 2))
    point_of_kill: list[tuple[int, set[str]]] = []
    for point in points:
        process = start(llm_project, NO_CARD)
        until(lambda point=point: server.count >= point and server.open > 0, process)
        stop(process, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert not (llm_project / "build" / "killed").exists()
        finished, asked = answered(llm_project), server.ids()
        assert len(asked) - len(finished) <= len(points) * CONCURRENCY
        point_of_kill.append((len(asked), finished))
    finish(llm_project, NO_CARD)
    for count, finished in point_of_kill:
        assert finished.isdisjoint(server.ids()[count:]), "a finished call was made again"
    assert set(server.ids()) == {f"r{number}" for number in range(RECORDS)}
    assert server.count <= RECORDS + len(points) * CONCURRENCY
    assert steps(llm_project)["annotate.describe"]["cached"] == len(point_of_kill[-1][1])
    assert outcome(llm_project) == undisturbed(llm_project, NO_CARD)


def test_killed_build_repeats_no_more_calls_than_were_open(llm_project: Path, server: Loopback) -> None:
    process = start(llm_project, NO_CARD)
    until(lambda: server.count >= RECORDS // 2, process)
    stop(process, signal.SIGKILL)
    finish(llm_project, NO_CARD)
    assert server.count <= RECORDS + CONCURRENCY
    count = server.count
    finish(llm_project, NO_CARD)
    assert server.count == count


@pytest.mark.fault(
    "Ctrl-C during a build",
    "exit 130, a sentence, no traceback; the next run goes on",
    kind="signals",
)
def test_ctrl_c_ends_with_130_and_a_word_and_the_next_run_goes_on(
    llm_project: Path, server: Loopback
) -> None:
    process = start(llm_project, NO_CARD)
    until(lambda: server.count >= RECORDS // 2, process)
    at, told = stop(process, signal.SIGINT)
    assert time.monotonic() - at < 20
    assert process.returncode == Exit.INTERRUPTED, told
    assert "Interrupted" in told
    assert "run the same command to go on" in told
    assert "Traceback" not in told
    assert not (llm_project / "build" / "killed").exists()
    kept = stored(llm_project, "annotate.describe")
    assert len(kept) >= RECORDS // 2 - 2 * CONCURRENCY
    finish(llm_project, NO_CARD)
    assert server.count <= RECORDS + CONCURRENCY
    assert steps(llm_project)["annotate.describe"]["cached"] == len(kept)
    assert outcome(llm_project) == undisturbed(llm_project, NO_CARD)


# OCR


@pytest.mark.fault("kill -9 or Ctrl-C during OCR", "no picture is read twice", kind="signals")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_stopped_ocr_reads_no_picture_twice(ocr_project: Path, how: signal.Signals) -> None:
    kept: dict[bytes, tuple[bytes, int]] = {}
    for point in (3, 9):
        process = start(ocr_project, NO_CARD)
        until(lambda point=point: len(stored(ocr_project, "annotate.ocr")) >= point, process)
        stop(process, how)
        assert process.returncode == (-how if how is signal.SIGKILL else Exit.INTERRUPTED)
        before, kept = kept, stored(ocr_project, "annotate.ocr")
        assert before.items() <= kept.items(), "a stored result was made again"
    assert 9 <= len(kept) < 16
    finish(ocr_project, NO_CARD)
    step = steps(ocr_project)["annotate.ocr"]
    assert (step["cached"], step["new"]) == (len(kept), 16 - len(kept))
    assert kept.items() <= stored(ocr_project, "annotate.ocr").items()
    assert outcome(ocr_project) == undisturbed(ocr_project, NO_CARD)
