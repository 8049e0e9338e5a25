"""A project whose recipe is made of toy transforms, found through entry points as any plugin is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from datakit.cli import run
from datakit.core import registry

POINTS = {
    "toy.numbers": "Numbers",
    "toy.work": "Work",
    "toy.process_work": "ProcessWork",
    "toy.only_odd": "OnlyOdd",
    "toy.drop_short": "DropShort",
    "toy.shout": "Shout",
    "emit.lines": "Lines",
}


def _forget() -> None:
    for function in (registry.names, registry.find, registry._own, registry._plugins):
        function.cache_clear()


@pytest.fixture
def toys(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Installs tests/toys.py as a package with entry points, for the length of a test."""
    site = tmp_path_factory.mktemp("site")
    info = site / "toys-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    points = "\n".join(f"{name} = toys:{kind}" for name, kind in POINTS.items())
    (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{points}\n")
    import toys

    names = {kind: getattr(toys, kind).registered_name for kind in POINTS.values()}
    monkeypatch.syspath_prepend(str(site))
    _forget()
    yield
    _forget()
    for kind, name in names.items():
        getattr(toys, kind).registered_name = name


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
