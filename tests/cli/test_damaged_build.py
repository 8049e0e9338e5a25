"""Damaged tables of a build: every command that reads them says which file it is, and what mends it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.library import build as make
from tests.support.review_builds import review_project

Run = Callable[..., Any]


def _middle(data: bytes) -> bytes:
    """Other bytes where the records lie: the head and the foot stay."""
    half = len(data) // 2
    return data[:50] + b"\xff" * half + data[50 + half :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "something else": lambda data: b"id,label\nr01,a\n" * 100,
    "a foot that is none": lambda data: data[:-20] + b"\xff" * 12 + data[-8:],
    "other bytes in the middle": _middle,
}
COMMANDS = (
    ("labels", "audit", "BUILD"),
    ("labels", "propose", "BUILD"),
    ("diff", "BUILD", "OTHER"),
    ("diff", "OTHER", "BUILD"),
    ("review", "BUILD"),
    ("review", "BUILD", "--suspects"),
    ("verdict", "BUILD"),
    ("evaluate", "BUILD", "--predictions", "answers.jsonl"),
    ("predict", "BUILD", "--split", "val"),
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a build, a copy of it, and answers."""
    folder = tmp_path_factory.mktemp("damaged")
    recipe = review_project(folder, steps="  - curate.suspects: {}\n  - curate.split: {val: 0.3}\n")
    text = recipe.read_text("utf-8").replace("  - parquet: {}\n", "  - llamafactory: {}\n")
    recipe.write_text(text, "utf-8")
    rows = [json.loads(line) for line in (folder / "d.jsonl").read_text("utf-8").split("\n")]
    lines = [json.dumps({**row, "ocr_text": f"退款 退货 {row['id']}"}, ensure_ascii=False) for row in rows]
    (folder / "d.jsonl").write_text("\n".join(lines), "utf-8")
    build = make(recipe, card=False, check=False).folder
    shutil.copytree(build, folder / "other")
    answer = {
        "id": BuildFolder(build).records.filter(split="val").collect()["id"][0],
        "predicted": "退款页面",
    }
    (folder / "answers.jsonl").write_text(json.dumps(answer, ensure_ascii=False) + "\n", "utf-8")
    return folder


@pytest.fixture
def damaged(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, bytes], None]]:
    """Puts another content into a file of the build, which is whole again after the test."""
    build = project / "build" / "screens"
    monkeypatch.chdir(project)
    kept: dict[Path, tuple[bytes, int]] = {}

    def put(name: str, data: bytes) -> None:
        path = build / name
        kept.setdefault(path, (path.read_bytes(), path.stat().st_mtime_ns))
        path.write_bytes(data)

    yield put
    for path, (data, at) in kept.items():
        path.write_bytes(data)
        os.utime(path, ns=(at, at))


@pytest.mark.fault(
    "a table of a build (records.parquet) is cut, empty or was written over",
    "every command that reads it ends with its name and what mends it",
    kind="bounds",
)
@pytest.mark.parametrize("damage", DAMAGES)
def test_every_command_names_the_damaged_records_and_the_remedy(
    datakit: Run, project: Path, damaged: Callable[[str, bytes], None], damage: str
) -> None:
    build = project / "build" / "screens"
    damaged("records.parquet", DAMAGES[damage]((build / "records.parquet").read_bytes()))
    for words in COMMANDS:
        given = [{"BUILD": "build/screens", "OTHER": "other"}.get(word, word) for word in words]
        done = datakit(*given)
        assert done.code == 2, (words, done.out, done.err)
        assert "build/screens/records.parquet cannot be read" in done.err, (words, done.err)
        assert "datakit build RECIPE --force" in done.err, words


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_story_of_a_record_is_told_by_the_recipe_or_not_at_all(
    datakit: Run, project: Path, tmp_path: Path, damage: str
) -> None:
    copy = tmp_path / "project"
    shutil.copytree(project, copy)
    build = copy / "build" / "screens"
    (build / "records.parquet").write_bytes(DAMAGES[damage]((build / "records.parquet").read_bytes()))
    done = datakit("why", build, "r01")
    assert (done.code, "The recipe or its data differ from the build" in done.out) == (0, True)
    (copy / "r.yaml").unlink()
    done = datakit("why", build, "r01")
    assert done.code == 2
    assert f"{build / 'records.parquet'} cannot be read" in done.err


@pytest.mark.parametrize("name", ["compared.parquet", "inputs.parquet"])
@pytest.mark.parametrize("damage", ["cut", "other bytes in the middle"])
def test_the_other_tables_are_named_too(
    datakit: Run, project: Path, damaged: Callable[[str, bytes], None], name: str, damage: str
) -> None:
    build = project / "build" / "screens"
    damaged(name, DAMAGES[damage]((build / name).read_bytes()))
    command = ("verdict", "build/screens") if name == "compared.parquet" else ("review", "build/screens")
    done = datakit(*command)
    assert done.code == 2
    assert f"{build / name} cannot be read" in done.err


def test_records_without_ids_are_none(
    datakit: Run, project: Path, damaged: Callable[[str, bytes], None], tmp_path: Path
) -> None:
    pl.DataFrame({"x": [1]}).write_parquet(tmp_path / "x.parquet")
    damaged("records.parquet", (tmp_path / "x.parquet").read_bytes())
    for words in (("review", "build/screens"), ("verdict", "build/screens")):
        done = datakit(*words)
        assert (done.code, "it has no column `id`" in done.err) == (2, True), words


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_remedy_mends_it(project: Path, tmp_path: Path, datakit: Run, damage: str) -> None:
    copy = tmp_path / "project"
    shutil.copytree(project, copy)
    build = copy / "build" / "screens"
    for name in ("records.parquet", "compared.parquet", "inputs.parquet"):
        (build / name).write_bytes(DAMAGES[damage]((build / name).read_bytes()))
    assert datakit("plan", copy / "r.yaml").code == 0
    assert datakit("build", copy / "r.yaml", "--force", "--quiet", "--no-check").code == 0
    assert datakit("why", build, "r01").code == 0


def test_an_error_of_polars_over_a_whole_build_stays_a_fault_of_datakit(
    project: Path, datakit: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*words: object, **named: object) -> None:
        raise pl.exceptions.ColumnNotFoundError("nothing")

    monkeypatch.setattr("datakit.verdict.records_of", fail)
    monkeypatch.setattr("datakit.verdict.kinds.verdict", fail)
    monkeypatch.setattr("datakit.verdict.verdict", fail)
    with pytest.raises(pl.exceptions.ColumnNotFoundError):
        datakit("verdict", project / "build" / "screens")
