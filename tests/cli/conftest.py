"""A project whose recipe is made of toy transforms, found through entry points as any plugin is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from datakit.cli import run


@dataclass
class Result:
    """What a command line did."""

    code: int
    out: str
    err: str


@pytest.fixture
def datakit(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Runs `datakit ...` in this process."""

    def go(*args: object) -> Result:
        code = run([str(arg) for arg in args])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Result(code, captured.out, captured.err)

    return go


RECIPE = """\
name: toy
steps:
  - toy.numbers: {{count: 6}}
  - toy.only_odd
  - toy.work: {{log: {log}}}
  - toy.drop_short: {{min_chars: 1, by: worked}}
  - toy.process_work: {{log: {log}, into: again, times: 2}}
emit: [lines]
run: {{max_reject_rate: 1.0}}
"""


@pytest.fixture
def recipe(toys: None, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe of toys in a project of its own, which is the working folder."""
    path = project / "recipes" / "toy.yaml"
    path.write_text(RECIPE.format(log=project / "log"))
    monkeypatch.chdir(project)
    return path


def log_lines(project: Path) -> int:
    """How many pieces of work were done."""
    log = project / "log"
    return len(log.read_text().split()) if log.exists() else 0
