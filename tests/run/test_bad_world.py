"""Every failure at once: each record ends in one state, and every call is explained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from datakit.core.files import FileDigests
from datakit.library import load
from datakit.run.engine import Engine
from datakit.run.store import Store
from tests.support import bad_world
from tests.support.loopback import KEY, Loopback

RECORDS = 1500
RECIPE = """\
version: 1
name: calls
llm: {{provider: openai, base_url: "{url}", timeout_s: {timeout_s}, max_retries: 3}}
steps:
  - read.jsonl: {{path: ../rows.jsonl, label: label}}
  - annotate.reason: {{template: ask.j2, into: answer}}
emit:
  - llamafactory: {{}}
run: {{concurrency: 256}}
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with Loopback(latency_s=0.05) as server:
        server.keep_calls = False
        server.script = bad_world.script
        yield server


def run(project: Path, number: int) -> tuple[Engine, dict[str, Any], Store]:
    """One run of the recipe up to its last step."""
    loaded = load(project / "recipes" / "calls.yaml")
    store = Store(project / ".datakit")
    context = replace(loaded.context(), files=FileDigests(store))
    engine = Engine(context, store, project / f"work{number}")
    frames = engine.run(loaded.steps)
    rejects = (engine.folder / "rejects.jsonl").read_bytes().splitlines()
    found = {
        "rows": frames.lazy().select("id", "answer").collect().rows(),
        "rejects": [orjson.loads(line) for line in rejects],
        "attempts": engine.reports[-1].attempts,
    }
    return engine, found, store


def test_every_record_ends_in_one_state_and_every_call_is_explained(server: Loopback, project: Path) -> None:
    with open(project / "rows.jsonl", "wb") as rows:
        for number in range(RECORDS):
            rows.write(orjson.dumps({"id": f"r{number}", "label": "物流"}) + b"\n")
    (project / "templates" / "ask.j2").write_text("为什么？[id:{{ id }}]", encoding="utf-8")
    recipe = RECIPE.format(url=server.url, timeout_s=bad_world.TIMEOUT_S)
    (project / "recipes" / "calls.yaml").write_text(recipe, encoding="utf-8")
    before = psutil.Process().memory_info().rss
    engine, found, store = run(project, 1)
    grown = psutil.Process().memory_info().rss - before
    assert bad_world.faults(RECORDS, server.stats(), found) == []
    assert grown < 150e6
    step = engine.reports[-1]
    assert step.balanced
    assert step.calls == RECORDS
    assert len(found["attempts"]) >= 8  # every kind of failure came up
    ok, rejected = len(found["rows"]), sum(step.rejected.values())
    (kept,) = [line for line in store.usage() if line["step"] == "annotate.reason"]
    assert kept["results"] == ok + rejected  # nothing that is left to retry is stored
    assert ok > 0.85 * RECORDS
    # The next run asks for nothing but what is left to retry.
    store.close()
    server.script = lambda call: None
    count = server.count
    engine, found, store = run(project, 2)
    assert server.count - count == step.retry == engine.reports[-1].calls
    assert len(found["rows"]) == ok + step.retry
    store.close()
