"""SIGTERM, Ctrl-C and SIGHUP end a command at any moment alike: its exit code, no traceback, no process left.

The moments are spread over a whole build with pictures, OCR, a model and a card: the command counts the files
that it opens and the modules that it imports, and tells the test at the n-th, which sends the signal.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import psutil
import pytest

from datakit.core import interrupts
from tests.support.killed_builds import outcome, stored, write_data
from tests.support.loopback import KEY, Loopback
from tests.support.waiting import PATIENCE_S, until

ROOT = Path(__file__).resolve().parent.parent.parent
SCREENS = 5
MOMENTS = 16
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
RECIPE = """\
version: 1
name: killed
card: {{language: en}}
llm: {{provider: openai, base_url: "{url}"}}
steps:
  - read.jsonl: {{path: ../data.jsonl}}
  - guard.image: {{}}
  - annotate.ocr: {{}}
  - annotate.describe: {{template: describe.j2}}
  - curate.split: {{val: 0.2}}
  - render.chat: {{prompt: ask.j2, answer: answer.j2}}
emit: [llamafactory, parquet]
run: {{concurrency: 2, workers: 1}}
"""
COMMAND = """\
import atexit, os, runpy, signal, sys
at, count, tell = int(sys.argv[1]), 0, int(sys.argv[2])
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL if number != signal.SIGINT else signal.default_int_handler)

def heard(event, args):
    global count
    if event in ("open", "import", "os.rename"):
        count += 1
        if count == at:
            os.write(tell, b"x")

sys.argv[:] = ["-m", *sys.argv[3:]]
sys.addaudithook(heard)
if at < 0:
    atexit.register(lambda: os.write(tell, str(count).encode()))
runpy.run_module("datakit.cli", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with Loopback(latency_s=0.05) as server:
        yield server


@pytest.fixture
def screens(project: Path, server: Loopback) -> Path:
    """A project of a few screens, whose texts are read and which a model describes."""
    (project / "recipes" / "killed.yaml").write_text(RECIPE.format(url=server.url))
    rows = []
    for line in (ROOT / "examples" / "ecom" / "train.jsonl").read_text("utf-8").splitlines()[:SCREENS]:
        row = json.loads(line)
        shutil.copy(ROOT / "examples" / "ecom" / row["image"], project)
        rows.append({"id": row["id"], "image": Path(row["image"]).name, "label": row["label"]})
    write_data(project, rows, "请描述。[id:{{ id }}]", "描述：{{ description }}\n类别：{{ label }}")
    return project


class Counted:
    """A command that tells when it is at the n-th of its events."""

    def __init__(self, project: Path, at: int, *words: str) -> None:
        self.ears, mouth = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, str(at), str(mouth), *words],
            cwd=project,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=[mouth],
        )
        os.close(mouth)

    def ended(self) -> tuple[int, str]:
        """The exit code, and what it said on stderr. Fails where a process of its is left."""
        _, errors = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, errors

    def stopped(self, *numbers: signal.Signals) -> tuple[int | None, str]:
        """The same of a command that gets these signals at its moment; None where it had ended before."""
        reached = os.read(self.ears, 1)
        family = psutil.Process(self.process.pid).children(recursive=True) if reached else []
        for number in numbers:
            self.process.send_signal(number)
        code, errors = self.ended()
        assert psutil.wait_procs(family, timeout=PATIENCE_S)[1] == []
        return (code if reached else None), errors

    def length(self) -> int:
        """How many events an undisturbed run has, counted to its end."""
        told = b""
        while more := os.read(self.ears, 100):
            told += more
        code, errors = self.ended()
        assert code == 0, errors
        return int(told)


BUILD = ("build", "recipes/killed.yaml")


def described(project: Path) -> set[str]:
    """Ids of the records whose description is in the store; the server puts them into its answers."""
    values = [value for value, _ in stored(project, "annotate.describe").values()]
    texts = [(zlib.decompress(value[1:]) if value[:1] == b"z" else value).decode() for value in values]
    return {found[1] for text in texts if (found := re.search(r"记录([\w-]+)的", text))}


OF_THE_RUN = ("## What changed since the last version", "## Spend")
_OF_THE_RUN = re.compile(r"\| (step|---:|\d+) \||Tokens and cost|<!-- written|$")


def card(project: Path) -> dict[str, list[str]]:
    """The card's files, without what it says of the run that wrote it: tokens and cost of its own calls."""
    folder = project / "data_cards"
    texts = {path.name: path.read_text("utf-8").splitlines() for path in folder.rglob("*") if path.is_file()}
    html = texts.pop("killed.html")
    assert html[-1].startswith("<!-- written by datakit")
    return {
        name: [line for line in _own(lines) if not _OF_THE_RUN.match(line)] for name, lines in texts.items()
    }


def _own(lines: list[str]) -> list[str]:
    """Without what changed since the build that stood there before, and what the last run spent."""
    since, own = False, []
    for line in lines:
        since = line in OF_THE_RUN if line.startswith("## ") else since
        own += [] if since else [line]
    return own


@pytest.mark.fault(
    "SIGTERM, Ctrl-C or SIGHUP at any moment of a build, one or two of them",
    "exit code 143, 130 or 129 without a traceback or a process left; no finished call is repeated",
    kind="signals",
)
def test_signals_at_moments_of_a_whole_build_end_it_and_lose_nothing(screens: Path, server: Loopback) -> None:
    whole = screens.with_name("whole")
    shutil.copytree(screens, whole)
    length = Counted(whole, -1, *BUILD).length()
    interrupted, stored_then = 0, []
    before = server.count
    numbers = cycle(SIGNALS)
    for moment in range(MOMENTS):
        number = next(numbers)
        twice = [number, number] if moment % 4 == 3 else [number]  # a second one changes nothing
        at = 40 + moment * (length - 40) // MOMENTS
        code, errors = Counted(screens, at, *BUILD).stopped(*twice)
        assert "Traceback" not in errors
        assert "Error" not in errors
        assert code in (None, 0, 128 + number), errors
        interrupted += code == 128 + number
        stored_then.append((server.count, described(screens), stored(screens, "annotate.ocr")))
    assert interrupted >= MOMENTS // 2  # builds get shorter as results are kept: late moments come after them
    code, errors = Counted(screens, 0, *BUILD).ended()
    assert code == 0, errors
    for count, ids, texts in stored_then:
        assert ids.isdisjoint(server.ids()[count:]), "a finished call was made again"
        assert texts.items() <= stored(screens, "annotate.ocr").items(), "a finished picture was read again"
    assert set(server.ids()[before:]) == set(server.ids()[:before])
    assert sorted(path.name for path in (screens / "build").iterdir()) == [".killed.lock", "killed"]
    assert outcome(screens) == outcome(whole)
    assert card(screens) == card(whole)


@pytest.mark.fault(
    "the same during another command",
    "it ends with the same exit codes and no traceback",
    kind="signals",
)
@pytest.mark.parametrize("words", [("plan", "recipes/killed.yaml"), ("transforms",)], ids=["plan", "list"])
def test_signals_end_other_commands_alike(screens: Path, words: tuple[str, ...]) -> None:
    length = Counted(screens, -1, *words).length()
    for moment, number in enumerate(SIGNALS):
        code, errors = Counted(screens, 40 + moment * (length - 40) // 4, *words).stopped(number)
        assert "Traceback" not in errors
        assert code in (None, 128 + number), errors


@pytest.mark.fault(
    "the terminal of a build under nohup is closed",
    "the build goes on",
    kind="signals",
)
def test_ignored_signal_stays_ignored_as_nohup_wants_it(screens: Path) -> None:
    words = [sys.executable, "-m", "datakit.cli", *BUILD, "--no-card"]
    process = subprocess.Popen(
        words,
        cwd=screens,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    until(lambda: (screens / "build" / ".killed.work").is_dir(), process)
    process.send_signal(signal.SIGHUP)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors


KEPT = """\
import hashlib, time
from datakit.core import interrupts

def deep():  # no handler of Python gets its turn meanwhile
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)

def swallowed():
    time.sleep(600)

interrupts.begin()
try:
    try:
        print("ready", flush=True)
        {work}()
    except KeyboardInterrupt:
        pass
except KeyboardInterrupt:  # the signal came before
    pass
{work}()
"""


@pytest.mark.fault(
    "a library keeps the main thread, or swallows the interrupt",
    "the command ends all the same, with the exit code of the signal",
    kind="signals",
)
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("work", ["deep", "swallowed"])
def test_signal_ends_a_command_although_a_library_keeps_it(work: str, number: signal.Signals) -> None:
    code = KEPT.format(work=work)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + number
    assert errors.decode().split() == interrupts.WORDS.split()


ORPHANS = """\
import pathlib, sys
from datakit.core.settings import LlmSettings, RunSettings
from datakit.core.step_context import StepContext
from datakit.run.executors import executor_for
from datakit.run.executors.base import Job
from tests.support.toys import ProcessWork
folder = pathlib.Path(sys.argv[1])
llm, run = LlmSettings(provider="offline"), RunSettings(workers=2)
context = StepContext(base=folder, project=folder, llm=llm, run=run)
work = ProcessWork(log=str(folder / "log"), sleep_s=3600.0)
list(executor_for(work, context).run(Job(b"%d" % at, {"text": str(at)}) for at in range(4)))
"""


@pytest.mark.fault(
    "kill -9 of a build whose workers are deep in a picture",
    "the workers end by themselves",
    kind="signals",
)
def test_workers_end_by_themselves_when_their_parent_is_killed(tmp_path: Path) -> None:
    words = [sys.executable, "-c", ORPHANS, str(tmp_path)]
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "log"
    until(lambda: log.is_file() and len(log.read_text().split()) == 2, process)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) == 2
    process.kill()
    assert psutil.wait_procs(workers, timeout=PATIENCE_S)[1] == []
    assert "Traceback" not in process.communicate(timeout=PATIENCE_S)[1]


@pytest.mark.fault(
    "a signal goes to the whole process group",
    "the parent ends its workers, which say nothing",
    kind="signals",
)
def test_signal_to_the_whole_process_group_reaches_no_worker(tmp_path: Path) -> None:
    words = [sys.executable, "-c", ORPHANS, str(tmp_path)]
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True, process_group=0)
    log = tmp_path / "log"
    until(lambda: log.is_file() and len(log.read_text().split()) == 2, process)
    workers = psutil.Process(process.pid).children(recursive=True)
    groups = {os.getpgid(worker.pid) for worker in workers}
    assert process.pid not in groups
    os.killpg(process.pid, signal.SIGTERM)
    assert psutil.wait_procs(workers, timeout=PATIENCE_S)[1] == []
    assert process.communicate(timeout=PATIENCE_S)[1] == ""
