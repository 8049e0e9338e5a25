"""The card is of the build that bears its name, or it is told: by content, whatever the times say."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from datakit.cli import run
from datakit.core.errors import Exit
from datakit.core.replacing import is_untouched

RECIPE = """\
version: 1
name: toy
steps:
  - read.jsonl: {path: ../data.jsonl}
  - curate.split: {val: 0.2}
  - render.chat: {prompt: ask.j2, answer: answer.j2}
emit: [llamafactory]
"""
Build = Callable[..., dict[str, object]]
MARK = "Not of the present build."


@pytest.fixture
def records(project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Writes so many records into the project's data."""
    (project / "recipes" / "toy.yaml").write_text(RECIPE)
    (project / "templates" / "ask.j2").write_text("{{ text }}")
    (project / "templates" / "answer.j2").write_text("{{ label }}")
    monkeypatch.chdir(project)

    def write(count: int) -> None:
        rows = [{"id": f"r{at}", "text": f"question {at}", "label": "ab"[at % 2]} for at in range(count)]
        (project / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    write(20)
    return write


@pytest.fixture
def build(records: object, capsys: pytest.CaptureFixture[str]) -> Build:
    """Runs `datakit build --json`; what it printed."""

    def go(*words: str, code: int = 0) -> dict[str, object]:
        capsys.readouterr()
        assert run(["build", "recipes/toy.yaml", "--json", *words]) == code
        printed: dict[str, object] = json.loads(capsys.readouterr().out)
        return printed

    return go


def outdated(capsys: pytest.CaptureFixture[str], folder: str = "build/toy") -> list[str]:
    """The names of the pages that the verdict calls outdated."""
    capsys.readouterr()
    assert run(["verdict", folder, "--json"]) == 0
    return [Path(path).name for path in json.loads(capsys.readouterr().out)["outdated_cards"]]


def pages(project: Path) -> dict[str, bytes]:
    folder = project / "data_cards"
    names = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in names}


def test_card_of_the_build_is_neither_told_nor_written_again(
    project: Path, build: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    build()
    before = {path: path.stat().st_mtime_ns for path in (project / "data_cards").rglob("*")}
    assert build()["outdated_cards"] == {}
    assert {path: path.stat().st_mtime_ns for path in (project / "data_cards").rglob("*")} == before
    assert outdated(capsys) == []


@pytest.mark.fault(
    "a page of the card is of another build, whatever its time",
    "the verdict tells it, and the next build makes it anew",
    kind="pages",
)
@pytest.mark.parametrize("name", ["toy.md", "toy.html", "toy/classes.svg"])
def test_page_of_another_build_is_remade_by_a_build_that_changes_nothing(
    project: Path,
    build: Build,
    records: Callable[[int], None],
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    build()
    page = project / "data_cards" / name
    old, times = page.read_bytes(), page.stat()
    records(30)
    build()
    fresh = pages(project)
    assert fresh[name] != old
    page.write_bytes(old)  # sealed, whole, newer than the build, and of the one before
    os.utime(page, (times.st_atime + 1e6, times.st_mtime + 1e6))
    assert outdated(capsys) == ["toy.md", "toy.html"]
    assert build()["reused"]
    assert pages(project) == fresh
    assert outdated(capsys) == []


def test_missing_plot_of_a_card_is_drawn_again(project: Path, build: Build) -> None:
    build()
    before = pages(project)
    (project / "data_cards" / "toy" / "classes.svg").unlink()
    build()
    assert pages(project) == before


@pytest.mark.fault(
    "kill -9 between a build and its card",
    "the verdict tells it, and the next build makes the card",
    kind="signals",
)
def test_build_that_was_killed_before_its_card_gets_it_from_the_next_one(
    project: Path, build: Build, records: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    build()
    old = pages(project)
    records(30)
    build()
    fresh = pages(project)
    shutil.rmtree(project / "data_cards")
    for name, data in old.items():  # as a kill after the swap leaves it
        (project / "data_cards" / name).parent.mkdir(parents=True, exist_ok=True)
        (project / "data_cards" / name).write_bytes(data)
    (project / "build" / "toy" / "card.json").unlink()
    assert outdated(capsys) == ["toy.md", "toy.html"]
    build()
    assert pages(project) == fresh


def test_build_that_came_from_elsewhere_has_not_the_card_that_lies_there(
    project: Path, build: Build, records: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    build()
    shutil.copytree(project / "build" / "toy", project / "backup")
    records(30)
    build()
    shutil.rmtree(project / "build" / "toy")
    shutil.move(project / "backup", project / "build" / "toy")
    assert outdated(capsys) == ["toy.md", "toy.html"]


@pytest.mark.fault(
    "a build with `--no-card` leaves the card of an earlier one",
    "the card says so at its head, and so do the build and the verdict",
    kind="pages",
)
def test_card_that_no_card_leaves_behind_says_so_itself(
    project: Path, build: Build, records: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    build()
    records(30)
    printed = build("--no-card")
    assert [Path(path).name for path in printed["outdated_cards"]] == ["toy.md", "toy.html"]  # type: ignore[attr-defined]
    for name in ("toy.md", "toy.html"):
        page = project / "data_cards" / name
        assert page.read_text("utf-8").count(MARK) == 1
        assert is_untouched(page)
    head = (project / "data_cards" / "toy.md").read_text("utf-8").partition("# toy\n\n")[2]
    assert head.startswith(f"> **{MARK}**")
    build("--no-card")
    assert (project / "data_cards" / "toy.md").read_text("utf-8").count(MARK) == 1
    assert outdated(capsys) == ["toy.md", "toy.html"]
    assert build()["kept"] == {}
    assert MARK not in (project / "data_cards" / "toy.md").read_text("utf-8")
    assert MARK not in (project / "data_cards" / "toy.html").read_text("utf-8")


def test_card_that_somebody_edited_is_told_and_kept(
    project: Path, build: Build, records: Callable[[int], None]
) -> None:
    build()
    page = project / "data_cards" / "toy.md"
    edited = page.read_text("utf-8") + "looks good to me\n"
    page.write_text(edited, "utf-8")
    records(30)
    assert str(page) in build("--no-card")["outdated_cards"]  # type: ignore[operator]
    assert page.read_text("utf-8") == edited
    kept = build()["kept"]
    assert isinstance(kept, dict)
    assert Path(kept[str(page)]).read_text("utf-8") == edited


@pytest.mark.fault(
    "the folder of the cards cannot be written to",
    "the build stands, says that its card is not of it, and exits 2",
    kind="pages",
)
def test_build_stands_and_says_that_its_card_cannot_be_written(
    project: Path, build: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    build("--no-card")
    (project / "data_cards").write_text("a file where a folder is needed")
    (why, *_) = build(code=Exit.USAGE)["outdated_cards"].values()  # type: ignore[attr-defined]
    assert f"cannot write to {project / 'data_cards'}" in why
    assert run(["build", "recipes/toy.yaml", "--quiet"]) == Exit.USAGE
    assert "it is not of this build" in capsys.readouterr().err


def test_scores_that_came_into_the_ledger_make_the_card_anew(
    project: Path, build: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    build()
    line = {"name": "toy", "date": "2026-11-26T00:00:00", "content": "0", "split": "val", "records": 4}
    line |= {"metrics": {"accuracy": {"value": 0.5, "low": 0.1, "high": 0.9}}, "run": "r", "model": "m-1"}
    ledger = project / "data_cards" / "scores.jsonl"
    ledger.write_text(json.dumps({**line, "predictions_sha256": "0"}, separators=(",", ":")) + "\n")
    assert outdated(capsys) == ["toy.md", "toy.html"]
    build()
    assert "m-1" in (project / "data_cards" / "toy.md").read_text("utf-8")
    assert outdated(capsys) == []


def test_card_of_a_look_stands_in_its_build(
    project: Path, build: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    build("--limit", "10", "--out", "build/look")
    assert outdated(capsys, "build/look") == []
    page = project / "build" / "look" / "card" / "toy.md"
    page.write_text("# toy\n")
    assert outdated(capsys, "build/look") == ["toy.md", "toy.html"]
    assert build("--limit", "12", "--out", "build/look")["kept"]


def test_untouched_card_of_a_look_goes_without_a_word_and_an_edited_document_is_kept(
    project: Path, build: Build
) -> None:
    build("--limit", "10", "--out", "build/look")
    document = Path("card") / "toy" / "croissant.json"
    assert (project / "build" / "look" / document).is_file()
    assert not build("--limit", "12", "--out", "build/look")["kept"]
    mine = (project / "build" / "look" / document).read_text("utf-8").replace('"unknown"', '"CC0"')
    (project / "build" / "look" / document).write_text(mine, "utf-8")
    (kept,) = build("--limit", "11", "--out", "build/look")["kept"].values()
    assert (project / kept / document).read_text("utf-8") == mine


def test_card_says_what_changed_since_the_build_in_its_place(
    project: Path, records: Callable[[int], None], build: Build
) -> None:
    page, heading = project / "data_cards" / "toy.md", "## What changed since the last version"
    build()
    assert heading not in page.read_text("utf-8")
    records(25)
    build()
    told = page.read_text("utf-8").partition(heading)[2].partition("\n## ")[0]
    assert "Records: 20 → 25 (5 added, 0 removed, " in told
    assert "source data.jsonl changed" in told
    assert "r24" not in told


def test_what_changed_stays_on_the_card_of_the_same_data(
    project: Path, records: Callable[[int], None], build: Build
) -> None:
    page = project / "data_cards" / "toy.md"
    build()
    records(25)
    build("--no-card")
    build()
    told = page.read_text("utf-8")
    assert "Records: 20 → 25" in told
    build("--force")
    assert page.read_text("utf-8") == told
    page.unlink()
    build()
    assert page.read_text("utf-8") == told


def test_a_damaged_build_in_the_place_keeps_no_other_from_being_made(
    project: Path, records: Callable[[int], None], build: Build
) -> None:
    build()
    (project / "build" / "toy" / "records.parquet").write_bytes(b"none")
    records(25)
    build()
    assert "What changed" not in (project / "data_cards" / "toy.md").read_text("utf-8")
