"""Work on a real Ray cluster of two nodes: the same results as on one machine, and nothing is paid twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from datakit.core.errors import Exit, UserError
from datakit.core.outcome import Done, Outcome, Rejected, Retry
from datakit.core.settings import LlmSettings, RunSettings
from datakit.core.step_context import StepContext
from datakit.run.executors import executor_for, ray_cluster
from datakit.run.executors import ray as ray_executor
from datakit.run.executors.base import Executor, Job
from datakit.run.executors.process import ProcessExecutor
from datakit.run.executors.ray import RayExecutor
from tests.support.loopback import KEY, Loopback, Reply
from tests.support.object_store import SECRET, ObjectStore, object_store
from tests.support.ray_nodes import RayNodes, ray_nodes
from tests.support.toys import AsyncWork, ProcessWork, Work
from tests.support.waiting import until

pytestmark = pytest.mark.ray
LLM = LlmSettings(provider="offline")
PATIENCE_S = 300.0
RECORDS = 60
CONCURRENCY = 16
RECIPE = """\
version: 1
name: same
llm: {{provider: openai, base_url: "{url}", price_in: 10, price_out: 10}}
steps:
  - read.jsonl: {{path: ../data.jsonl{root}}}
  - guard.image: {{}}
  - annotate.image_facts: {{}}
  - annotate.describe: {{template: describe.j2}}
  - render.chat: {{prompt: ask.j2, answer: answer.j2}}
emit: [llamafactory]
run: {{executor: {executor}, concurrency: {concurrency}, max_reject_rate: 0.9{more}}}
"""


@pytest.fixture(scope="module")
def nodes() -> Iterator[RayNodes]:
    with ray_nodes() as nodes:
        yield nodes
        ray_cluster.package().shutdown()


@pytest.fixture
def both(nodes: RayNodes, monkeypatch: pytest.MonkeyPatch) -> RayNodes:
    """Two nodes, whose address the environment names."""
    nodes.complete()
    monkeypatch.setenv("RAY_ADDRESS", nodes.address)
    return nodes


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with Loopback(latency_s=0.1) as server:
        yield server


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """An object store that this process's environment alone names: nodes hear of it by their jobs."""
    with object_store() as store:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        yield store


@pytest.fixture
def pictures(project: Path, server: Loopback) -> Path:
    """Records of a picture each, one of which is broken, and recipes for both executors."""
    rows = []
    for number in range(RECORDS):
        Image.new("RGB", (64, 64), (4 * number % 256, number, 90)).save(project / f"{number}.png")
        rows.append({"id": f"r{number}", "image": f"{number}.png", "label": "甲" if number % 3 else "乙"})
    (project / "5.png").write_bytes((project / "5.png").read_bytes()[:80])
    (project / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    texts = {"describe": "请描述。[id:{{ id }}]", "ask": "<image>问", "answer": "{{ description }}"}
    for name, text in texts.items():
        (project / "templates" / f"{name}.j2").write_text(text, "utf-8")
    write(project, server, "near", "local")
    write(project, server, "far", "ray")
    return project


def write(
    project: Path, server: Loopback, name: str, executor: str, more: str = "", image_root: str = ""
) -> None:
    root = f", image_root: '{image_root}'" if image_root else ""
    text = RECIPE.format(url=server.url, executor=executor, concurrency=CONCURRENCY, more=more, root=root)
    (project / "recipes" / f"{name}.yaml").write_text(text)


def start(project: Path, name: str, store: str = "store") -> subprocess.Popen[str]:
    """Begins `datakit build`, with a result store of its own."""
    command = [sys.executable, "-m", "datakit.cli", "build", f"recipes/{name}.yaml", "--no-card"]
    env = {**os.environ, "DATAKIT_STORE": str(project / store)}
    return subprocess.Popen(
        command, cwd=project, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code, and what was said on stderr."""
    _, words = process.communicate(timeout=PATIENCE_S)
    return process.returncode, words


def content(project: Path) -> str:
    """The content hash of the build that lies there, which goes."""
    build = project / "build" / "same"
    manifest: dict[str, Any] = json.loads((build / "manifest.json").read_bytes())
    shutil.rmtree(build)  # or the next one would find nothing to do: an executor changes no build
    return str(manifest["content"])


Make = Callable[..., Executor]


@pytest.fixture
def make(tmp_path: Path, make_context: Callable[..., StepContext]) -> Make:
    """The executor of a toy."""

    def make(kind: type[Work], **parameters: Any) -> Executor:
        context = make_context(run=RunSettings(executor="ray", concurrency=CONCURRENCY), llm=LLM)
        return executor_for(kind(log=str(tmp_path / "log"), **parameters), context)

    return make


def outcomes(executor: Executor, count: int) -> dict[bytes, Outcome]:
    """All outcomes by key; no key may come twice."""
    jobs = (Job(b"%d" % number, {"text": str(number)}, LLM.model) for number in range(count))
    answered = [pair for batch in executor.run(jobs) for pair in batch]
    assert len({key for key, _ in answered}) == len(answered)
    return dict(answered)


@pytest.mark.parametrize("kind", [ProcessWork, AsyncWork])
def test_every_job_comes_back_once_under_its_key(both: RayNodes, make: Make, kind: type[Work]) -> None:
    executor = make(kind, fail=("3",), refuse=("4",), times=2)
    assert isinstance(executor, RayExecutor)
    found = outcomes(executor, 100)
    assert found.keys() == {b"%d" % number for number in range(100)}
    assert isinstance(found.pop(b"3"), Retry)
    assert isinstance(found.pop(b"4"), Rejected)
    assert {key: one.raw for key, one in found.items() if isinstance(one, Done)} == {
        key: key.decode() * 2 for key in found
    }


@pytest.mark.fault(
    "a record at which every Ray actor dies",
    "it is left to the next run; all others are answered",
    kind="bounds",
)
def test_record_at_which_actors_die_is_left_to_the_next_run(both: RayNodes, make: Make) -> None:
    found = outcomes(make(ProcessWork, crash=("3",)), 12)
    lost = found.pop(b"3")
    assert isinstance(lost, Retry)
    assert lost.reason == "worker_crashed"
    assert len(found) == 11
    assert all(isinstance(one, Done) for one in found.values())


def test_inline_work_stays_in_this_process(make_context: Callable[..., StepContext], tmp_path: Path) -> None:
    context = make_context(run=RunSettings(executor="ray"), llm=LLM)
    assert not isinstance(executor_for(Work(log=str(tmp_path / "log")), context), RayExecutor)
    local = make_context(run=RunSettings(), llm=LLM)
    assert isinstance(executor_for(ProcessWork(log=str(tmp_path / "log")), local), ProcessExecutor)


def test_jobs_are_read_no_faster_than_actors_have_room(both: RayNodes, make: Make) -> None:
    read: list[int] = []

    def jobs() -> Iterator[Job]:
        for number in range(500):
            read.append(number)
            yield Job(b"%d" % number, {"text": str(number)}, LLM.model)

    done = 0
    for batch in make(AsyncWork, sleep_s=0.01).run(jobs()):
        assert len(read) - done <= CONCURRENCY
        done += len(batch)
    assert done == 500


@pytest.mark.fault(
    "a node of the Ray cluster has another version",
    "the run ends before any work, and names the node and both versions",
    kind="dependencies",
)
def test_node_with_another_version_is_named(
    both: RayNodes, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_executor, "versions", lambda: ("0.0.1", "3.11.0"))
    with pytest.raises(UserError, match=r"node .* has datakit .*this machine has datakit 0\.0\.1"):
        outcomes(make(ProcessWork), 5)


@pytest.mark.fault(
    "RAY_ADDRESS names a place where no cluster is",
    "said in seconds, with what to do",
    kind="dependencies",
)
def test_unknown_address_is_told_at_once(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    code, words = end(start(pictures, "far"))
    assert code == Exit.USAGE
    assert "no Ray cluster answers at RAY_ADDRESS=127.0.0.1:1" in words
    assert "Traceback" not in words


def test_build_is_the_same_as_on_one_machine_and_asks_as_often(
    both: RayNodes, pictures: Path, server: Loopback
) -> None:
    made = []
    for name in ("near", "far"):
        code, words = end(start(pictures, name, store=name))
        assert code == 0, words
        made.append(content(pictures))
    assert "2 nodes, 2 CPUs" in words
    assert Counter(server.ids()).most_common(1)[0][1] == 2, "once for each of the two stores"
    assert server.count == 2 * (RECORDS - 1)
    assert made[0] == made[1]
    assert KEY.encode() not in both.logs()


@pytest.mark.fault(
    "a node of the Ray cluster dies in the middle of a build",
    "the others do its records; no answer that had come is paid for again",
    kind="signals",
)
@pytest.mark.parametrize("place", ["files", "an object store"])
def test_node_that_dies_costs_no_answer_that_had_come(
    both: RayNodes, pictures: Path, server: Loopback, request: pytest.FixtureRequest, place: str
) -> None:
    """The build after it is made of the files: its keys and content are those of the objects."""
    if place != "files":
        objects: ObjectStore = request.getfixturevalue("objects")
        objects.put_all(pictures)
        write(pictures, server, "far", "ray", image_root=objects.url)
    server.script = lambda call: Reply(delay_s=1.0)
    build = start(pictures, "far")
    until(lambda: server.count >= RECORDS // 2, build, within_s=PATIENCE_S)
    both.kill_second()
    code, words = end(build)
    assert code == 0, words
    asked = Counter(server.ids())
    twice = [id_ for id_, count in asked.items() if count > 1]
    assert len(asked) == RECORDS - 1
    assert max(asked.values()) <= 2
    assert len(twice) <= CONCURRENCY // 2, "more than the dead node's share was asked again"
    far = content(pictures)
    assert SECRET.encode() not in both.logs()
    code, words = end(start(pictures, "near"))
    assert code == 0, words
    assert server.count == RECORDS - 1 + len(twice), "the next build asked something again"
    assert content(pictures) == far


def test_budget_holds_for_all_actors_together(both: RayNodes, pictures: Path, server: Loopback) -> None:
    write(pictures, server, "far", "ray", ", budget_usd: 0.11")
    code, words = end(start(pictures, "far"))
    assert code == Exit.BUDGET, words
    assert "is used up: $" in words, words
    spent = float(words.split("is used up: $")[1].split()[0])
    assert spent <= 0.11
    assert 0 < server.count < RECORDS - 1


@pytest.mark.fault(
    "Ctrl-C during work on a Ray cluster that the build has started",
    "no process stays; the same command goes on with what was stored",
    kind="signals",
)
def test_interrupted_build_leaves_no_process_and_goes_on(
    pictures: Path, server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "local")
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "300")
    server.script = lambda call: Reply(delay_s=1.0)
    build = start(pictures, "far")
    until(lambda: server.count >= RECORDS // 2, build, within_s=PATIENCE_S)
    family = psutil.Process(build.pid).children(recursive=True)
    assert family
    build.send_signal(signal.SIGINT)
    code, words = end(build)
    assert code == Exit.INTERRUPTED, words
    assert "Traceback" not in words
    _, alive = psutil.wait_procs(family, timeout=30)
    assert alive == []
    before = server.count
    code, words = end(start(pictures, "near"))
    assert code == 0, words
    assert server.count - before < RECORDS - 1, "nothing was stored"
    assert max(Counter(server.ids()).values()) <= 2
