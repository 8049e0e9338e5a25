"""Whole builds by batch files: they hold what calls give, and a kill at any point sends nothing twice.

The real command runs in a process of its own, against a real server with Files and Batches.
"""

from __future__ import annotations

import json
import random
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from PIL import Image

from datakit.core.errors import Exit
from tests.support.loopback import KEY, Call, Reply
from tests.support.loopback_batches import LoopbackBatches
from tests.support.waiting import until

FLAGS = (
    "--generation-config vllm --tensor-parallel-size 2 --limit-mm-per-prompt "
    """'{"image": 3, "video": 0}' --enforce-eager --max-num-seqs 8"""
)
RECORDS = 40
PATIENCE_S = 180.0
RECIPE = """\
version: 1
name: batched
labels: labels.yaml
llm: {{provider: openai, base_url: "{url}"}}
steps:
  - read.jsonl: {{path: ../data.jsonl}}
  - annotate.describe: {{template: describe.j2, samples: 2, temperature: 0.8, banned: [坏词]}}
  - annotate.ask: {{template: ask.j2, answer: {{kind: [甲种, 乙种]}}}}
  - annotate.reason: {{template: reason.j2}}
  - guard.reason: {{on_fail: rewrite, template: again.j2, consistent: false}}
  - render.chat: {{prompt: prompt.j2, answer: answer.j2}}
emit: [llamafactory]
serve: {{gpus: 2, images: 3, flags: {{enforce-eager: true, max_num_seqs: 8}}}}
run: {{mode: {mode}, batch_poll_s: 0.2, batch_max_requests: 30, max_reject_rate: 0.2}}
"""
TEMPLATES = {
    "describe.j2": "请描述。[id:{{ id }}]",
    "ask.j2": "哪一种？[id:{{ id }}]",
    "reason.j2": "为什么？[id:{{ id }}]",
    "again.j2": "重写。[id:{{ id }}]旧：{{ candidate }}；{{ faults | join('；') }}",
    "prompt.j2": "<image>{{ description }}{{ kind }}",
    "answer.j2": "理由：{{ reason }}\n类别：{{ label }}",
}
SAME = "顶部写着退款成功，下方列出退款金额与到账账户，因此属于这一类。"


def answer(call: Call) -> dict[str, Any]:
    """The same answer to the same question, whichever way it comes."""
    if call.text.startswith("请描述"):
        bad = "不要出现" not in call.text and call.id in ("r3", "r7")
        return {"description": f"记录{call.id}的画面{'，有坏词' if bad else ''}"}
    if call.text.startswith("哪一种"):
        return {"kind": "甲种" if int(call.id[1:]) % 2 else "乙种"}
    if call.text.startswith("为什么") and int(call.id[1:]) % 4:
        return {"reason": SAME}
    letters = random.Random(call.text).choices([chr(code) for code in range(0x4E00, 0x6E00)], k=30)
    return {"reason": f"{''.join(letters)}，可见如此。"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackBatches]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with LoopbackBatches() as server:
        server.answer = answer
        yield server


@pytest.fixture
def batched(project: Path, server: LoopbackBatches) -> Path:
    """A project whose recipe asks by batches for samples, values, reasons and rewritings."""
    (project / "recipes" / "batched.yaml").write_text(RECIPE.format(url=server.url, mode="batch"))
    (project / "recipes" / "labels.yaml").write_text("labels:\n  - name: 甲\n  - name: 乙\n", "utf-8")
    for name, text in TEMPLATES.items():
        (project / "templates" / name).write_text(text, "utf-8")
    with open(project / "data.jsonl", "w", encoding="utf-8") as lines:
        for number in range(RECORDS):
            Image.new("RGB", (40, 40), (number, 90, 90)).save(project / f"{number}.jpg")
            row = {"id": f"r{number}", "image": f"{number}.jpg", "label": "甲" if number % 3 else "乙"}
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
    return project


Start = Callable[..., subprocess.Popen[str]]


def start(project: Path, *settings: str, driver: str = "") -> subprocess.Popen[str]:
    """Begins `datakit build`; `driver` is Python that runs before it."""
    words = ["build", "recipes/batched.yaml", "--no-card"]
    words += [word for setting in settings for word in ("--set", setting)]
    code = f"{driver}\nimport sys\nfrom datakit.cli import run\nsys.exit(run({words!r}))"
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and what was said on stderr."""
    _, told = process.communicate(timeout=PATIENCE_S)
    return process.returncode, told


def finish(project: Path, *settings: str) -> None:
    code, told = end(start(project, *settings))
    assert code == 0, told


def outcome(project: Path, name: str = "batched") -> dict[str, Any]:
    """What a build holds, whichever way it was made."""
    build = project / "build" / name
    records = pl.read_parquet(build / "records.parquet")
    kept = [name for name in records.columns if name not in ("source_file", "images") and name[0] != "@"]
    report = json.loads((build / "report.json").read_bytes())
    return {
        "data": [
            (path.name, path.read_bytes())
            for path in sorted(build.glob("*.json*"))
            if path.name not in ("report.json", "manifest.json", "check.json")
        ],
        "records": records.select(kept).to_dicts(),
        "content": json.loads((build / "manifest.json").read_bytes())["content"],
        "steps": [
            (step["name"], step["records_in"], step["records_out"], step["rejected"])
            for step in report["steps"]
        ],
    }


_called: dict[str, dict[str, Any]] = {}


def by_calls(project: Path, server: LoopbackBatches) -> dict[str, Any]:
    """The outcome of a copy that asks by calls; one recipe's is built once."""
    recipe = (project / "recipes" / "batched.yaml").read_text().replace(server.url, "URL")
    if recipe not in _called:
        copy = project.with_name(f"{project.name}-calls")
        shutil.copytree(project, copy, ignore=shutil.ignore_patterns("build", ".datakit"))
        finish(copy, "run.mode=calls")
        _called[recipe] = outcome(copy)
    return _called[recipe]


def left_behind(project: Path) -> list[Path]:
    return [path for path in (project / ".datakit" / "batches").iterdir() if path.is_dir()]


def is_collected(folder: Path) -> bool:
    """Whether only answers are left, and no picture."""
    state = json.loads((folder / "state.json").read_bytes())
    return state["status"] == "collected" and not (folder / "in.jsonl").exists()


def test_build_by_batches_is_the_build_by_calls_at_half_the_price(
    batched: Path, server: LoopbackBatches
) -> None:
    finish(batched)
    questions, lines = len(set(server.questions)), len(server.questions)
    assert questions == lines > 4 * RECORDS
    assert server.replies == {}, "no single call"
    assert all(len(batch.lines) <= 30 for batch in server.batches)
    assert left_behind(batched) == []
    report = json.loads((batched / "build" / "batched" / "report.json").read_bytes())
    cost = sum(step["cost_usd"] for step in report["steps"])
    made = outcome(batched)
    assert any(record["reason_rewrites"] for record in made["records"])
    _called.clear()
    assert made == by_calls(batched, server)
    called = json.loads(
        (batched.with_name(f"{batched.name}-calls") / "build/batched/report.json").read_bytes()
    )
    assert cost == pytest.approx(sum(step["cost_usd"] for step in called["steps"]) / 2)
    assert sum(server.replies.values()) == lines


def test_each_model_has_files_of_its_own(batched: Path, server: LoopbackBatches) -> None:
    server.models = ("gpt-4o-mini", "gpt-5-mini")
    recipe = batched / "recipes" / "batched.yaml"
    both = ", ".join(f'{{base_url: "{server.url}", model: {model}}}' for model in server.models)
    text = recipe.read_text()
    recipe.write_text(text.replace(f'base_url: "{server.url}"', f"endpoints: [{both}]"))
    finish(batched)
    asked = [{line["body"]["model"] for line in batch.lines} for batch in server.batches]
    assert all(len(models) == 1 for models in asked)
    assert set().union(*asked) == set(server.models)
    assert outcome(batched)["records"] == by_calls(batched, server)["records"]


def test_answers_of_batches_serve_later_calls(batched: Path, server: LoopbackBatches) -> None:
    finish(batched)
    count = server.count
    shutil.rmtree(batched / "build")
    finish(batched, "run.mode=calls")
    assert server.count == count


@pytest.mark.parametrize("seed", range(2))
def test_build_that_is_killed_anywhere_sends_nothing_twice(
    batched: Path, server: LoopbackBatches, seed: int
) -> None:
    """Killed before it hears of a step that the server took, whichever step that is."""
    rng = random.Random(seed)
    steps = ["upload", "order", "look", "fetch"]
    rng.shuffle(steps)
    for step in [*steps, "order", "fetch"]:
        process = start(batched)
        server.seen = killing(process, step, rng.randrange(1, 4))
        code, told = end(process)
        if code == 0:
            break
        assert code == -signal.SIGKILL, told
        assert len(set(server.questions)) == len(server.questions)
    server.seen = lambda step: None
    finish(batched)
    assert len(set(server.questions)) == len(server.questions), "a line was sent twice"
    # Killed between the storing of answers and the removal of their file, which nobody asks for again.
    assert all(is_collected(folder) for folder in left_behind(batched))
    assert outcome(batched) == by_calls(batched, server)


def killing(process: subprocess.Popen[str], step: str, time_of: int) -> Callable[[str], None]:
    """Kills the build when the server has taken a step for the n-th time, and before it says so."""
    left, lock = time_of, threading.Lock()

    def seen(found: str) -> None:
        nonlocal left
        with lock:
            left -= found == step
            if left == 0:
                process.kill()
                process.wait()

    return seen


def test_build_that_is_killed_while_it_stores_answers_loses_none(
    batched: Path, server: LoopbackBatches
) -> None:
    """Of a batch that the provider has forgotten already: what was fetched is kept until it is stored."""
    driver = """
import os
from datakit.run.store import Store
put, count = Store.put, iter(range(25))
def some(self, *given):
    put(self, *given)
    next(count, None) is None and os._exit(9)
Store.put = some"""
    code, told = end(start(batched, driver=driver))
    assert code == 9, told
    finish(batched)
    assert len(set(server.questions)) == len(server.questions)
    assert outcome(batched) == by_calls(batched, server)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_while_a_batch_is_away_and_collected_by_the_same_command(
    batched: Path, server: LoopbackBatches, how: signal.Signals
) -> None:
    server.is_held = True
    process = start(batched)
    until(lambda: len(server.batches) == 2 and server.batches[-1].looks > 0, process)
    process.send_signal(how)
    code, told = end(process)
    assert code == (Exit.INTERRUPTED if how is signal.SIGINT else -how)
    if how is signal.SIGINT:
        assert "2 batches go on at the provider: run the same command to collect" in told
        assert "Traceback" not in told
    before = server.questions
    server.is_held = False
    finish(batched)
    assert server.questions[: len(before)] == before
    assert len(set(server.questions)) == len(server.questions)


def test_calls_beside_a_batch_that_is_away_say_that_it_is_paid_for(
    batched: Path, server: LoopbackBatches
) -> None:
    server.is_held = True
    process = start(batched)
    until(lambda: len(server.batches) == 2 and server.batches[-1].looks > 0, process)
    process.kill()
    end(process)
    finish(batched, "run.mode=calls")
    report = (batched / "build" / "batched" / "report.json").read_text("utf-8")
    assert "60 requests of earlier runs are under way in batches" in report


@pytest.mark.fault(
    "two builds by batch at once on one store", "each question is sent in one batch", kind="store"
)
def test_two_builds_at_once_send_each_batch_once(batched: Path, server: LoopbackBatches) -> None:
    server.is_held = True
    first = start(batched)
    until(lambda: len(server.batches) == 2, first)
    second = start(batched, "name=another")
    assert second.stderr is not None
    words = second.stderr.readline()
    server.is_held = False
    assert f"waits for 60 answers of another build (pid {first.pid})" in words
    for process in (first, second):
        code, told = end(process)
        assert code == 0, told
    assert len(set(server.questions)) == len(server.questions)
    assert outcome(batched, "another")["records"] == outcome(batched)["records"]
    assert left_behind(batched) == []


@pytest.mark.fault(
    "kill -9 of one of two builds by batch",
    "the other collects the batch; nothing is sent twice",
    kind="store",
)
def test_batch_of_a_build_that_was_killed_is_taken_over_by_one_that_waits(
    batched: Path, server: LoopbackBatches
) -> None:
    server.is_held = True
    first = start(batched)
    until(lambda: len(server.batches) == 2 and server.batches[-1].looks > 0, first)
    second = start(batched, "name=another")
    assert second.stderr is not None
    words = second.stderr.readline()
    first.kill()
    server.is_held = False
    assert "waits for" in words
    code, told = end(second)
    assert code == 0, told
    end(first)
    assert len(set(server.questions)) == len(server.questions)
    assert left_behind(batched) == []


def test_budget_ends_with_4_and_more_money_goes_on(batched: Path, server: LoopbackBatches) -> None:
    """An answer costs $0.001 and at most $0.0016. Files that hold ever less are not sent."""
    price = ("llm.price_in=0", "llm.price_out=100", "annotate.describe.max_tokens=32")
    code, told = end(start(batched, *price, "run.budget_usd=0.05"))
    assert code == Exit.BUDGET, told
    assert "run.budget_usd" in told
    assert 40 <= len(server.questions) <= 50
    assert 2 <= len(server.batches) <= 5
    finish(batched)
    assert len(set(server.questions)) == len(server.questions)
    assert outcome(batched) == by_calls(batched, server)


def test_files_for_others_end_with_3_say_what_to_run_and_are_taken_up(
    batched: Path, server: LoopbackBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each round is written whole, however many files it takes; the rounds follow one another."""
    monkeypatch.delenv("OPENAI_API_KEY")
    rounds = 0
    while True:
        code, told = end(start(batched, "run.mode=batch_files", "run.batch_max_requests=50"))
        if code == 0:
            break
        assert code == Exit.PARTIAL, told
        commands = [shlex.split(line) for line in told.splitlines() if "vllm run-batch" in line]
        assert commands
        if rounds == 0:
            assert len(commands) == 2
            assert f"{2 * RECORDS} requests stand in batch files" in told
        fails = rounds == 1
        assert ("4 were asked before: HTTP 500: error: no memory" in told) == (rounds == 2)
        assert ("answered then is kept: .datakit/failed_batches/" in told) == (rounds == 2)
        assert all(shlex.join(command).endswith(FLAGS) for command in commands)
        for command in commands:
            server.script = lambda call: Reply(500, "no memory") if fails else None  # noqa: B023
            run_batch(batched / command[3], batched / command[5], server)
        rounds += 1
        assert rounds < 12
    assert rounds >= 5
    assert left_behind(batched) == []
    assert server.batches == []
    made = outcome(batched)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert made == by_calls(batched, server)


def run_batch(source: Path, target: Path, server: LoopbackBatches) -> None:
    """Does what `vllm run-batch -i SOURCE -o TARGET` does."""
    lines = []
    for line in map(orjson.loads, source.read_bytes().splitlines()):
        status, body = server._answered(line["body"])
        response = {"status_code": status, "request_id": "vllm-batch-1", "body": body}
        lines.append({"id": "vllm-1", "custom_id": line["custom_id"], "response": response, "error": None})
    target.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))


def test_plan_shows_the_price_of_batches(batched: Path, server: LoopbackBatches) -> None:
    def planned(*settings: str) -> list[dict[str, Any]]:
        words = [word for setting in settings for word in ("--set", setting)]
        command = [sys.executable, "-m", "datakit.cli", "plan", "recipes/batched.yaml", "--json", *words]
        made = subprocess.run(command, cwd=batched, capture_output=True, text=True, check=True)
        return [step for step in json.loads(made.stdout)["steps"] if step["model"]]

    for half, full in zip(planned(), planned("run.mode=calls"), strict=True):
        assert half["cost_usd"] == pytest.approx(full["cost_usd"] / 2, abs=1e-6)
        assert half["cost_usd"] > 0
    finish(batched)
    again = ("annotate.reason.temperature=0.9", "annotate.describe.temperature=0.9")
    for half, full in zip(planned(*again), planned(*again, "run.mode=calls"), strict=True):
        assert half["cost_usd"] == pytest.approx(full["cost_usd"] / 2, abs=1e-6)


def test_endpoint_without_batches_ends_with_5(batched: Path, server: LoopbackBatches) -> None:
    server.seen = lambda step: Reply(404, "Not Found")
    code, told = end(start(batched))
    assert code == Exit.PROVIDER
    assert "has no Files and Batches API" in told
