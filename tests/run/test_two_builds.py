"""Two builds at once on one result store: each question is paid for once, whoever of the two asks it.

The real command runs in processes of its own, against a real server.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from datakit.core.errors import Exit
from datakit.run.postgres_leases import LEASE_S
from tests.support.loopback import KEY, Loopback, Reply
from tests.support.waiting import PATIENCE_S, until

CONCURRENCY = 8
RECIPE = """\
version: 1
name: {name}
llm: {{provider: openai, base_url: "{url}", max_retries: 0}}
steps:
  - read.jsonl: {{path: ../{name}.jsonl}}
  - annotate.ask: {{template: ask.j2, answer: {{word: text}}}}
  - render.chat: {{prompt: prompt.j2, answer: answer.j2}}
emit: [llamafactory]
run: {{concurrency: {concurrency}, max_reject_rate: 0.9}}
"""
NAMES = ("one", "two")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with Loopback(latency_s=0.1) as server:
        yield server


@pytest.fixture
def both(project: Path, server: Loopback, store_setting: str | None) -> Path:
    """A project whose recipes `one` and `two` ask the same of the records that both have."""
    for name, text in {"ask": "[id:{{ text }}]", "prompt": "{{ text }}", "answer": "{{ word }}"}.items():
        (project / "templates" / f"{name}.j2").write_text(text, "utf-8")
    for name in NAMES:
        text = RECIPE.format(name=name, url=server.url, concurrency=CONCURRENCY)
        (project / "recipes" / f"{name}.yaml").write_text(text)
    return project


def write(project: Path, name: str, numbers: range) -> None:
    rows = [{"id": f"{name}{number}", "text": f"t{number}", "label": "甲"} for number in numbers]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (project / f"{name}.jsonl").write_text(lines, "utf-8")


def start(project: Path, name: str, *words: str) -> subprocess.Popen[str]:
    """Begins `datakit build`."""
    command = [sys.executable, "-m", "datakit.cli", "build", f"recipes/{name}.yaml", "--no-card", *words]
    return subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code, and what was said on stderr."""
    _, words = process.communicate(timeout=PATIENCE_S + LEASE_S)
    return process.returncode, words


def answers(project: Path, name: str) -> dict[str, str]:
    """Text -> answer, of a build's records."""
    records = pl.read_parquet(project / "build" / name / "records.parquet")
    return dict(records.select("text", "word").rows())


def answered(numbers: range) -> dict[str, str]:
    return {f"t{number}": f"回答 t{number}" for number in numbers}


@pytest.mark.fault("two builds at once on one store", "each question is paid for once", kind="store")
def test_two_builds_at_once_pay_for_each_question_once(both: Path, server: Loopback) -> None:
    write(both, "one", range(60))
    write(both, "two", range(30, 90))
    for code, words in [end(process) for process in [start(both, name) for name in NAMES]]:
        assert code == 0, words
    assert server.count == 90, [id_ for id_, count in Counter(server.ids()).items() if count > 1]
    assert answers(both, "one").keys() == answered(range(60)).keys()
    assert answers(both, "two").keys() == answered(range(30, 90)).keys()


@pytest.mark.fault(
    "two builds that ask the same in opposite orders",
    "both end; each question is paid for once",
    kind="store",
)
def test_two_builds_in_opposite_orders_do_not_wait_for_each_other_for_good(
    both: Path, server: Loopback
) -> None:
    write(both, "one", range(60))
    write(both, "two", range(59, -1, -1))
    for code, words in [end(process) for process in [start(both, name) for name in NAMES]]:
        assert code == 0, words
    assert server.count == 60
    assert answers(both, "one") == answers(both, "two")


@pytest.mark.fault(
    "kill -9 or Ctrl-C of one of two builds on one store",
    "the other asks what the first had under way, and nothing else twice",
    kind="store",
)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_what_a_build_asked_that_has_ended_is_taken_over_by_the_other(
    both: Path, server: Loopback, how: signal.Signals
) -> None:
    for name in NAMES:
        write(both, name, range(60))
    server.script = lambda call: Reply(delay_s=1000 if 30 <= call.number < 30 + CONCURRENCY else 0)
    first = start(both, "one")
    until(lambda: server.count == 30 + CONCURRENCY, first)
    second = start(both, "two")
    until(lambda: server.count == 60, second)  # all that the first one has no call of
    assert second.poll() is None
    first.send_signal(how)
    code, words = end(first)
    assert code == (-signal.SIGKILL if how == signal.SIGKILL else Exit.INTERRUPTED), words
    code, words = end(second)
    assert code == 0, words
    assert server.count == 60 + CONCURRENCY
    assert answers(both, "two").keys() == answered(range(60)).keys()


def test_a_build_says_whose_answers_it_waits_for(
    both: Path, server: Loopback, store_setting: str | None
) -> None:
    for name in NAMES:
        write(both, name, range(3))
    server.script = lambda call: Reply(delay_s=1000 if call.number < 3 else 0)
    first = start(both, "one")
    until(lambda: server.count == 3, first)
    second = start(both, "two")
    assert second.stderr is not None
    words = second.stderr.readline()
    first.kill()
    whose = f" (pid {first.pid})" if store_setting is None else ""  # of another machine, perhaps
    assert f"waits for 3 answers of another build{whose}" in words
    assert [end(process)[0] for process in (first, second)] == [-signal.SIGKILL, 0]
    assert server.count == 6


@pytest.mark.fault("one of two builds on one store gets no answer", "the other asks", kind="store")
def test_what_one_build_failed_to_get_the_other_one_asks(both: Path, server: Loopback) -> None:
    for name in NAMES:
        write(both, name, range(20))
    server.script = lambda call: Reply(500, delay_s=1.0) if call.number == 0 else None
    first = start(both, "one")
    until(lambda: server.count > 0, first)
    second = start(both, "two")
    assert end(first)[0] == Exit.PARTIAL
    code, words = end(second)
    assert code == 0, words
    assert server.count == 21
    assert server.replies == {"200": 20, "500": 1}
