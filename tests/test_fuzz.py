"""scripts/fuzz.py: a short run without a fault, and that faults are seen, made smaller and kept."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from datakit.artifacts.report import BuildReport, StepReport
from datakit.run.build import BuildResult

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "fuzz.py"
sys.path.insert(0, str(ROOT / "scripts"))

from fuzzing import checks, faults, one_input, shrink, workers  # noqa: E402
from fuzzing.kinds import KINDS, Kind, drawn  # noqa: E402

ROUND = sum(kind.share for kind in KINDS.values())


@pytest.mark.fault(
    "recipes, label files, templates, sources, training files and answers are drawn at random",
    "built or refused in words; every row is somewhere, and twice the same",
    kind="bounds",
)
def test_a_short_run_is_mostly_valid_goes_deep_and_finds_no_fault(tmp_path: Path) -> None:
    words = ["--seed", "1", "--inputs", str(ROUND), "--seconds", "1500", "--shrink-s", "0", "--json"]
    done = subprocess.run(
        [sys.executable, SCRIPT, *words, "--faults", tmp_path / "faults"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=1800,
    )
    summary: dict[str, Any] = json.loads(done.stdout)
    assert summary["faults"] == {}, done.stderr
    assert done.returncode == 0
    assert summary["inputs"] == {name: kind.share for name, kind in KINDS.items()}
    assert summary["share_valid"] >= 0.6
    assert summary["peak_mb"] < one_input.MOST_MB
    for kind in ("recipe", "labels", "source", "train", "data_info", "answers"):
        assert summary["depths"][kind].get("after", 0) > 0, summary["depths"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_input_is_the_same_for_the_same_seed_and_can_be_kept(kind: str) -> None:
    trees = [drawn(kind, 3, number) for number in range(12)]
    assert json.loads(json.dumps(trees)) == json.loads(json.dumps([drawn(kind, 3, at) for at in range(12)]))
    assert len({json.dumps(tree, sort_keys=True) for tree in trees}) > 9
    assert trees != [drawn(kind, 4, number) for number in range(12)]


def test_a_failing_input_is_made_smaller_as_long_as_it_fails() -> None:
    tree = {
        "recipe": {"name": "x" * 40, "steps": [{"a": {"by": "label", "odd": "12345"}}, {"b": {}}]},
        "rows": [1] * 9,
    }

    def fails(candidate: Any) -> bool:
        steps = candidate.get("recipe", {}).get("steps", [])
        return any("3" in step.get("a", {}).get("odd", "") for step in steps)

    assert shrink.smaller(tree, fails) == {"recipe": {"steps": [{"a": {"odd": "3"}}]}}


def _kind(run: Any) -> Kind:
    return Kind(lambda dice: {"answers": []}, run, 1)


def test_whatever_is_no_error_in_words_is_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def divides(tree: Any, folder: Path, reach: Any) -> None:
        reach("load")
        raise ZeroDivisionError("1/0")

    def refuses(tree: Any, folder: Path, reach: Any) -> None:
        raise faults.UserError("no such column", remedy="Name one.")

    def mumbles(tree: Any, folder: Path, reach: Any) -> None:
        raise faults.UserError("no")

    def hangs(tree: Any, folder: Path, reach: Any) -> None:
        until = time.process_time() + 30
        while time.process_time() < until:
            try:
                time.sleep(0)
            except Exception:
                continue

    monkeypatch.setattr(one_input.surroundings, "answer_with", lambda answers: None)
    monkeypatch.setattr(one_input, "PATIENCE_S", 0.5)
    monkeypatch.setattr(one_input, "MOST_MB", math.inf)  # this process has grown by all tests before
    for name, run in (("divides", divides), ("refuses", refuses), ("mumbles", mumbles), ("hangs", hangs)):
        monkeypatch.setitem(KINDS, name, _kind(run))
    fate = {name: one_input.account_of(name, 0, {}) for name in ("divides", "refuses", "mumbles", "hangs")}
    assert fate["divides"].fault.startswith("ZeroDivisionError")
    assert fate["divides"].valid
    assert (fate["refuses"].fault, fate["refuses"].refusal) == ("", "no such column\n  Name one.")
    assert fate["mumbles"].fault.startswith("words: has neither place nor remedy")
    assert fate["hangs"].fault.startswith("hang")


def test_a_row_that_is_nowhere_is_a_fault() -> None:
    lost = StepReport(number=1, name="read.csv", added=3, records_out=2)
    result = BuildResult(Path("nowhere"), BuildReport(name="x", recipe="x", steps=[lost]))
    with pytest.raises(faults.Fault, match="loss"):
        checks.check_build(result, {"sources": []}, None)


def test_a_worker_that_dies_is_told_with_its_input() -> None:
    worker = workers._started()
    workers._given(worker, ("labels", 3, 7))
    os.kill(worker.process.pid or 0, 9)
    account = workers._received(worker)
    workers._ended(worker)
    assert (account.kind, account.number, account.fault) == (
        "labels",
        7,
        "lost: the process died (exit code -9)",
    )
    assert account.tree == drawn("labels", 3, 7)
