"""The README's commands do what the README says, in a clean copy of the project with a clean environment."""

from __future__ import annotations

import difflib
import json
import os
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

pytestmark = pytest.mark.clean_install

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
RUNNING = "DATAKIT_TEST_COMMAND"
"""The test command, when .ci/run is running it: then it need not be run within itself."""
ELSEWHERE = re.compile(
    r"\| (content hash|数据文件的内容哈希|内容哈希|date|日期|\d+ \| `annotate\.ocr` \| `)|<!-- written by "
)
"""Lines of a card that differ from day to day or from machine to machine."""
SECOND_RUN_S = 2.0
INSTALL_S = 1500


def command_between(marker: str) -> str:
    """The shell commands that stand in the fenced block behind a marker."""
    found = re.search(rf"<!-- {marker} -->\n```bash\n(.*?)```\n<!-- end -->", README, re.DOTALL)
    assert found, f"README.md has no command between <!-- {marker} --> and <!-- end -->"
    return found[1]


def clean_copy(target: Path) -> Path:
    """The project without what git ignores: no environment, no build, no result store."""
    ignored = [line.strip().rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines()]
    shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(".git", *filter(None, ignored)))
    return target


def environment(**changes: str) -> dict[str, str]:
    """A stranger's environment: no keys, no settings of Python, of pytest or of datakit."""
    own = ("OPENAI_", "DATAKIT_", "PYTHON", "PYTEST_", "VIRTUAL_ENV", "COV_")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)} | changes


def shell(command: str, folder: Path, **changes: str) -> str:
    """What the commands print; they must succeed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env=environment(**changes),
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_S,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, shared_store: Path) -> Path:
    """A clean copy in which the build command has run, as it is written.

    It takes results from the store of the other tests and gives them its own; then the copy has a store for
    itself, with all of them.
    """
    folder = clean_copy(tmp_path_factory.mktemp("readme") / "datakit")
    shutil.rmtree(folder / "data_cards", ignore_errors=True)
    shell(command_between("build-command"), folder, DATAKIT_STORE=str(shared_store))
    own = folder / ".datakit"
    own.mkdir(exist_ok=True)
    for path in shared_store.glob("*.sqlite"):
        with closing(sqlite3.connect(path)) as shared, closing(sqlite3.connect(own / path.name)) as copy:
            shared.backup(copy)  # of one moment, while others write
    return folder


def test_build_command_leaves_the_build_and_the_card_that_the_readme_names(built: Path) -> None:
    named = re.findall(r"`((?:build|data_cards)/[\w./]+)`", README.split("<!-- test-command -->")[0])
    assert {"build/ecom_v3/", "data_cards/ecom_v3.md"} <= set(named)
    assert [place for place in named if not (built / place).exists()] == []
    build = built / "build" / "ecom_v3"
    rows = {
        part: len(json.loads((build / f"ecom_v3_{part}.json").read_bytes()))
        for part in ("train", "val", "general")
    }
    index = json.loads((build / "dataset_info.json").read_bytes())
    assert {entry["file_name"] for entry in index.values()} == {f"ecom_v3_{part}.json" for part in rows}
    assert rows["train"] > 120
    assert min(rows.values()) > 10
    assert "eval_dataset: ecom_v3_val" in (build / "train.yaml").read_text("utf-8")
    assert (built / "data_cards" / "ecom_v3.html").exists()


def test_second_run_calls_nothing_and_takes_less_than_two_seconds(built: Path) -> None:
    times = []
    for _ in range(3):
        before = cpu_s()
        report = json.loads(shell(".venv/bin/datakit build recipes/ecom_v3.yaml --json", built))
        times.append(cpu_s() - before)
        assert report["reused"]
        assert [step["name"] for step in report["steps"] if step["new"] or step["calls"]] == []
    assert min(times) < SECOND_RUN_S, times


def test_engine_reads_pictures_in_the_clean_environment(built: Path, tmp_path: Path) -> None:
    command = ".venv/bin/datakit build recipes/ecom_v2.yaml --limit 2 --no-card --set name=few --json"
    report = json.loads(shell(command, built, DATAKIT_STORE=str(tmp_path / "store")))
    (step,) = (step for step in report["steps"] if step["name"] == "annotate.ocr")
    assert (step["new"], step["cached"], step["records_out"]) == (2, 0, 2)


def cpu_s() -> float:
    """Seconds that finished child processes spent computing: a busy machine does not lengthen them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_every_step_of_the_second_run_with_force_comes_from_the_store(built: Path) -> None:
    report = json.loads(shell(".venv/bin/datakit build recipes/ecom_v3.yaml --force --json", built))
    steps = {step["name"]: step for step in report["steps"]}
    for name in ("annotate.ocr", "annotate.describe", "annotate.reason"):
        expected = 160 if name == "annotate.reason" else 140  # each repeat has a reason of its own
        assert (steps[name]["new"], steps[name]["cached"]) == (0, expected)


EXACT = ("ecom_v1", "medical")
"""Their cards hold no OCR text, whose last digits another processor may read otherwise."""


@pytest.mark.parametrize("recipe", sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml")))
def test_build_writes_the_card_that_is_committed(built: Path, recipe: str) -> None:
    shell(f".venv/bin/datakit build recipes/{recipe}.yaml --quiet", built)
    committed, written = ROOT / "data_cards", built / "data_cards"
    made_anew = f"data_cards/{recipe}.md is not current: datakit build recipes/{recipe}.yaml"
    before, after = (card_lines(folder / f"{recipe}.md") for folder in (committed, written))
    if recipe in EXACT:
        assert before == after, made_anew
    else:
        alike = difflib.SequenceMatcher(None, before, after, autojunk=False).ratio()
        assert alike > 0.9, f"{made_anew} ({alike:.0%} of its lines are alike)"
    plots = sorted(path.name for path in (written / recipe).glob("*.svg"))
    assert plots == sorted(path.name for path in (committed / recipe).glob("*.svg"))
    assert len(plots) >= 2


def card_lines(path: Path) -> list[str]:
    """A card without the day, its seal, and hashes that another JPEG encoder or OCR engine changes."""
    lines = path.read_text("utf-8").splitlines()
    return [line for line in lines if not ELSEWHERE.match(line)]


def test_card_names_no_place_of_this_machine(built: Path) -> None:
    for path in (built / "data_cards").rglob("*.*"):
        assert str(built) not in path.read_text("utf-8")


def test_test_command_is_the_one_that_runs_or_else_finds_every_test(tmp_path: Path) -> None:
    """.ci/run executes it as it is written; elsewhere it is executed up to the collection of the tests."""
    command = command_between("test-command")
    running = os.environ.get(RUNNING)
    if running is not None:
        assert running.strip() == command.strip()
        assert Path(sys.prefix) == ROOT / ".venv-test"
        return
    folder = clean_copy(tmp_path / "datakit")
    told = shell(command, folder, PYTEST_ADDOPTS="--collect-only")
    assert "tests/test_readme_commands.py" in told
    assert "error" not in told.splitlines()[-1]
