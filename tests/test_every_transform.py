"""The suite that every transform must pass: documented, exact about columns, the same in any batch or order.

A changed golden file needs a raised `version` of the transform:
    DATAKIT_GOLDEN=write python -m pytest tests/test_every_transform.py
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from contracts import (
    MODULES_OF_EXTRAS,
    absent_packages,
    opened_files,
    strange_files,
    undeclared_packages,
    with_others_moved,
)
from every import CASES, ROOT, with_nulls
from file_toys import Banned
from final_records import Held
from loopback import KEY, Loopback
from polars.testing import assert_frame_equal
from pydantic import ValidationError

from datakit.artifacts.report import StepReport
from datakit.core.errors import UserError
from datakit.core.labels import load_labels
from datakit.core.parameters import validated
from datakit.core.record import BASE
from datakit.core.registry import find, names
from datakit.core.settings import LlmSettings, RunSettings
from datakit.core.step_context import StepContext, UndeclaredFile
from datakit.core.transform import EVERY, Annotator, Artifact, Emitter, Reader, Transform
from datakit.core.workers import AsyncRowWorker, RowWorker, row_worker
from datakit.llm.author import TextGenerator
from datakit.recipe.recipe import Step
from datakit.run.columns import Algebra
from datakit.run.engine import Engine
from datakit.run.keys import fingerprint
from datakit.run.record_frames import RecordFrames
from datakit.run.store import Store

GOLDEN = Path(__file__).parent / "golden"
NAMES = names()
MIDDLE = [name for name in NAMES if not issubclass(find(name), Reader | Emitter)]
READERS = [name for name in NAMES if issubclass(find(name), Reader)]
EMITTERS = [name for name in NAMES if issubclass(find(name), Emitter)]
ANNOTATORS = [name for name in NAMES if issubclass(find(name), Annotator)]


@dataclass(frozen=True)
class Ran:
    frame: pl.DataFrame
    rejects: list[dict[str, Any]]
    report: StepReport


Try = Callable[..., Ran]
Whole = Callable[[str], Ran]


def made(name: str) -> Transform:
    return validated(find(name), CASES[name].parameters)


def tools_in(folder: Path, batch_rows: int = 4096) -> StepContext:
    return StepContext(
        base=folder,
        project=folder,
        labels=load_labels(ROOT / "templates" / "ecom" / "labels.yaml"),
        llm=LlmSettings(),  # the offline writer, unless a case has a model answer
        run=RunSettings(batch_rows=batch_rows, workers=1),
    )


@pytest.fixture(autouse=True)
def model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A model that answers as the case of the transform says, if it says so."""
    name = request.getfixturevalue("name") if "name" in request.fixturenames else None
    answers = CASES[name].answers if name in CASES else None
    if answers is None:
        yield
        return
    with Loopback() as server:
        server.answer = lambda call: answers
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield


@pytest.fixture(scope="module")
def attempt(tmp_path_factory: pytest.TempPathFactory) -> Try:
    """Runs a transform through the engine, each time with a store of its own."""

    def run(name: str, frame: pl.DataFrame, batch_rows: int = 4096) -> Ran:
        folder = tmp_path_factory.mktemp("run")
        given = RecordFrames(folder / "given", dict(frame.schema))
        for part in frame.iter_slices(batch_rows):
            given.append(part)
        store = Store(folder / "store")
        try:
            engine = Engine(tools_in(folder, batch_rows), store, folder / "work")
            stage = engine.run([Step(1, made(name), "case.yaml:1:1")], given)
            rejects = [
                json.loads(line) for line in (folder / "work" / "rejects.jsonl").read_text().splitlines()
            ]
            (report,) = engine.reports
            return Ran(stage.lazy().collect(), rejects, report)
        finally:
            store.close()

    return run


@pytest.fixture(scope="module")
def whole(attempt: Try) -> Whole:
    """What a transform makes of all records of its case: run once, compared with many times."""
    return cache(lambda name: attempt(name, CASES[name].records()))


@pytest.fixture
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder with the source of the reader that the test is about."""
    folder = tmp_path / "source"
    folder.mkdir()
    write = CASES[request.getfixturevalue("name")].source
    assert write is not None
    write(folder)
    return folder


@pytest.fixture
def read(source: Path, tmp_path: Path) -> Callable[..., Ran]:
    """Reads a reader's case through the engine."""

    def run(name: str, batch_rows: int = 4096) -> Ran:
        folder = tmp_path / f"read{batch_rows}"
        store = Store(folder / "store")
        try:
            engine = Engine(replace(tools_in(source, batch_rows), project=tmp_path), store, folder / "work")
            stage = engine.run([Step(1, made(name), "case.yaml:1:1")])
            return Ran(stage.lazy().collect(), [], engine.reports[0])
        finally:
            store.close()

    return run


def test_every_transform_has_a_case_and_a_golden_file_and_nothing_else_has() -> None:
    assert set(CASES) == set(NAMES)
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_is_documented(name: str) -> None:
    kind = find(name)
    assert kind.name() == name
    assert kind.__doc__ is not None
    assert inspect.cleandoc(kind.__doc__).splitlines()[0].endswith(".")
    undocumented = [field for field, info in kind.model_fields.items() if not info.description]
    assert undocumented == []
    assert kind.version >= 1


@pytest.mark.parametrize("name", NAMES)
def test_has_tests_of_its_own(name: str) -> None:
    folder, _, transform = name.partition(".")
    assert (ROOT / "tests" / folder / f"test_{transform}.py").exists()


@pytest.mark.parametrize("name", NAMES)
def test_survives_yaml(name: str) -> None:
    transform = made(name)
    for unset in (True, False):
        plain = transform.model_dump(mode="json", by_alias=True, exclude_unset=unset)
        again = yaml.safe_load(yaml.safe_dump(plain, allow_unicode=True))
        assert validated(find(name), again) == transform


@pytest.mark.parametrize("name", NAMES)
def test_is_frozen_and_strict(name: str) -> None:
    transform = made(name)
    for field in type(transform).model_fields:
        with pytest.raises(ValidationError):
            setattr(transform, field, None)
    with pytest.raises(ValidationError, match="extra_forbidden"):
        validated(find(name), {**CASES[name].parameters, "no_such_parameter": 1})


@pytest.mark.parametrize("name", NAMES)
def test_travels_to_worker_processes(name: str, tmp_path: Path) -> None:
    transform, _ = pickle.loads(pickle.dumps((made(name), tools_in(tmp_path))))
    assert transform == made(name)


@pytest.mark.parametrize("name", ANNOTATORS)
def test_only_named_parameters_reach_the_key(name: str, tmp_path: Path) -> None:
    kind = find(name)
    assert issubclass(kind, Annotator)
    assert set(kind.keyed) <= set(kind.model_fields)
    context = tools_in(tmp_path)
    transform = made(name)
    assert isinstance(transform, Annotator)
    before = fingerprint(transform, context)
    for field in set(kind.model_fields) - set(kind.keyed):
        if field == "into":
            other = transform.model_copy(update={field: "elsewhere"})
            assert fingerprint(other, context) == before
    busy = RunSettings(concurrency=3, workers=7, budget_usd=1.0, batch_rows=5)
    moved = replace(context, run=busy, name="other", project=tmp_path / "elsewhere")
    assert fingerprint(transform, moved) == before


@pytest.mark.parametrize("name", MIDDLE)
def test_any_batch_size_gives_the_same(name: str, attempt: Try, whole: Whole) -> None:
    once = whole(name)
    small = attempt(name, CASES[name].records(), batch_rows=2)
    assert_frame_equal(plain(once.frame), plain(small.frame))
    assert once.rejects == small.rejects


@pytest.mark.parametrize("name", MIDDLE)
def test_any_row_order_gives_the_same(name: str, attempt: Try, whole: Whole) -> None:
    forward = whole(name)
    backward = attempt(name, CASES[name].records().reverse())
    assert_frame_equal(plain(forward.frame).sort("id"), plain(backward.frame).sort("id"))
    assert sorted(row["id"] for row in forward.rejects) == sorted(row["id"] for row in backward.rejects)


@pytest.mark.parametrize("name", [name for name in MIDDLE if not CASES[name].by_neighbours])
def test_a_record_gives_the_same_without_the_others(name: str, attempt: Try, whole: Whole) -> None:
    among_all = whole(name).frame
    half = attempt(name, CASES[name].records().gather_every(2))
    ids = half.frame["id"].to_list()
    assert_frame_equal(plain(half.frame), plain(among_all.filter(pl.col("id").is_in(ids))))


@pytest.mark.parametrize("name", MIDDLE)
def test_keeps_ids_and_touches_only_its_own_columns(name: str, whole: Whole) -> None:
    before, ran = CASES[name].records(), whole(name)
    transform = made(name)
    outputs = set(transform.outputs(tools_in(ROOT)))
    ids = set(before["id"])
    assert ids <= {*ran.frame["id"], *(row["id"] for row in ran.rejects)}
    assert len(set(ran.frame["id"])) == ran.frame.height
    added = {column for column in ran.frame.columns if not column.startswith("@")} - set(before.columns)
    assert added <= outputs
    kept = before.filter(pl.col("id").is_in(ran.frame["id"].to_list()))
    after = ran.frame.filter(pl.col("id").is_in(kept["id"].to_list()))
    same = [column for column in before.columns if column not in outputs]
    assert_frame_equal(after.select(same), kept.select(same))
    for column, dtype in transform.outputs(tools_in(ROOT)).items():
        assert ran.frame.schema[column] == dtype


@pytest.mark.parametrize("name", MIDDLE)
def test_needs_no_column_that_it_does_not_declare(name: str, attempt: Try) -> None:
    wanted = set(made(name).reads(tools_in(ROOT)))
    given = CASES[name].records()
    assert wanted <= set(given.columns)
    ran = attempt(name, given.select([column for column in given.columns if column in {*wanted, *BASE}]))
    assert ran.report.balanced


@pytest.mark.parametrize("name", MIDDLE)
def test_columns_that_it_does_not_declare_may_hold_anything(name: str, attempt: Try, whole: Whole) -> None:
    transform = made(name)
    ran = attempt(name, with_others_moved(CASES[name].records(), transform, tools_in(ROOT)))
    outputs = ["id", *(column for column in transform.outputs(tools_in(ROOT)) if column != "id")]
    assert_frame_equal(ran.frame.select(outputs), whole(name).frame.select(outputs))
    assert ran.rejects == whole(name).rejects


@pytest.mark.parametrize("name", EMITTERS)
def test_emitter_writes_no_column_that_it_does_not_declare(name: str, tmp_path: Path) -> None:
    emitter = made(name)
    if emitter.optional(tools_in(tmp_path)) == EVERY:  # it writes all, unless it is told which
        emitter = emitter.model_copy(update={"columns": ("label",)})
    moved = with_others_moved(CASES[name].records(), emitter, tools_in(ROOT))
    _, files = emitted(name, tmp_path / "same", emitter=emitter)
    assert emitted(name, tmp_path / "moved", moved, emitter)[1] == files


@pytest.mark.parametrize("name", MIDDLE)
def test_step_touches_no_file_and_no_package_that_it_does_not_declare(
    name: str, attempt: Try, tmp_path: Path
) -> None:
    transform, context, given = made(name), tools_in(tmp_path), CASES[name].records()
    with absent_packages(undeclared_packages(transform, context)), opened_files() as opened:
        if isinstance(transform, Annotator) and transform.executor == "process":
            worker = row_worker(transform.start(context.for_step(transform)))
            for row in given.to_dicts():
                worker.answer(row)
        else:
            attempt(name, given)
    assert strange_files(opened, transform, context) == []


@pytest.mark.parametrize("name", READERS)
def test_reader_touches_no_file_and_no_package_that_it_does_not_declare(
    name: str, source: Path, read: Callable[..., Ran]
) -> None:
    reader, context = made(name), tools_in(source)
    with absent_packages(undeclared_packages(reader, context)), opened_files() as opened:
        read(name)
    assert strange_files(opened, reader, context) == []


@pytest.mark.parametrize("name", EMITTERS)
def test_emitter_touches_no_file_and_no_package_that_it_does_not_declare(name: str, tmp_path: Path) -> None:
    emitter, context, given = made(name), tools_in(tmp_path), CASES[name].records()
    with absent_packages(undeclared_packages(emitter, context)), opened_files() as opened:
        emitted(name, tmp_path / "out", given)  # which reads what was written
    beside = [path for path in opened if tmp_path / "out" not in path.parents]
    assert strange_files(beside, emitter, context) == []


def test_file_that_is_opened_behind_the_tools_is_noticed(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("a")
    with opened_files() as opened:
        words.read_text()
    assert strange_files(opened, made("guard.label"), tools_in(tmp_path)) == [words]
    assert strange_files(opened, Banned(words="words.txt"), tools_in(tmp_path)) == []


@pytest.mark.parametrize("name", READERS)
def test_reader_cannot_read_a_file_that_it_does_not_declare(
    name: str, read: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find(name), "files", lambda self, context: [])
    with pytest.raises(UndeclaredFile, match=rf"{name} opens .* which it does not declare"):
        read(name)


@pytest.mark.parametrize("name", NAMES)
def test_packages_are_at_hand_and_their_absence_is_told(name: str, tmp_path: Path) -> None:
    transform = made(name)
    (tmp_path / "source").mkdir()
    (CASES[name].source or (lambda folder: None))(tmp_path / "source")
    context = tools_in(tmp_path / "source")
    for module, extra in transform.packages(context):
        assert importlib.util.find_spec(module) is not None
        assert module in MODULES_OF_EXTRAS[extra]
        told = pytest.raises(UserError, match=rf'pip install "datakit\[{extra}\]"')
        with absent_packages({module}), told:
            if isinstance(transform, Reader):
                list(transform.read(context))
            elif isinstance(transform, Emitter):
                emitted(name, tmp_path / module)
            else:
                assert isinstance(transform, Annotator)
                transform.key_settings(context)


@pytest.mark.parametrize("name", ANNOTATORS)
def test_worker_is_of_the_kind_that_the_executor_says_and_asks_a_model_if_declared(
    name: str, tmp_path: Path
) -> None:
    transform = made(name)
    assert isinstance(transform, Annotator)
    worker = transform.start(tools_in(tmp_path))
    assert (AsyncRowWorker if transform.executor == "event_loop" else RowWorker) in type(worker).mro()
    assert transform.asks_model == isinstance(worker, TextGenerator)


def test_only_these_steps_ask_a_model() -> None:
    asking = {name for name in NAMES if made(name).asks_model}
    assert asking == {"annotate.ask", "annotate.describe", "annotate.reason"}
    assert validated(find("guard.reason"), {"on_fail": "rewrite"}).asks_model


@pytest.mark.parametrize("name", MIDDLE)
def test_survives_zero_records(name: str, attempt: Try, whole: Whole, tmp_path: Path) -> None:
    empty = CASES[name].records().clear()
    ran = attempt(name, empty)
    assert ran.frame.height == ran.report.added
    algebra = Algebra(tools_in(tmp_path))
    algebra.columns = dict(empty.schema)
    columns = algebra.run([Step(1, made(name), "case.yaml:1:1")])
    full = whole(name)
    assert {c: t for c, t in full.frame.schema.items() if not c.startswith("@")} == columns


@pytest.mark.parametrize("name", MIDDLE)
def test_accounts_for_records_with_nulls(name: str, attempt: Try) -> None:
    before = with_nulls(CASES[name].records())
    ran = attempt(name, before)
    out = [*ran.frame["id"], *(row["id"] for row in ran.rejects)]
    assert set(before["id"]) <= set(out)
    assert len(out) == len(set(out)) == before.height + ran.report.added
    assert all(row["reason"] and row["detail"] for row in ran.rejects)


@pytest.mark.parametrize("name", READERS)
def test_reader_gives_the_columns_it_names(name: str, source: Path) -> None:
    reader = made(name)
    assert isinstance(reader, Reader)
    context = tools_in(source)
    assert all(path.is_file() for path in reader.files(context))
    for batch in reader.read(context):
        assert dict(batch.frame.schema) == dict(reader.columns(context))


@pytest.mark.parametrize("name", READERS)
def test_reader_gives_the_same_for_any_batch_size(name: str, read: Callable[..., Ran]) -> None:
    whole, single = read(name), read(name, batch_rows=1)
    assert_frame_equal(whole.frame, single.frame)
    assert {"id", "source_file", "source_line", "images", "label", "text"} <= set(whole.frame.columns)
    assert whole.frame["id"].n_unique() == whole.frame.height > 0
    assert whole.report.balanced
    for path in whole.frame["images"].explode().drop_nulls():
        assert Path(path).is_absolute()
        assert Path(path).is_file()


@pytest.mark.parametrize("name", READERS)
def test_reader_gives_the_same_ids_in_another_folder(name: str, source: Path, tmp_path: Path) -> None:
    reader = made(name)
    assert isinstance(reader, Reader)
    moved = tmp_path / "moved, 第二"
    shutil.copytree(source, moved)
    here, there = (
        [id_ for batch in reader.read(tools_in(folder)) for id_ in batch.frame["id"]]
        for folder in (source, moved)
    )
    assert here == there


@pytest.mark.parametrize("name", MIDDLE)
def test_golden_output(name: str, whole: Whole) -> None:
    case, transform, ran = CASES[name], made(name), whole(name)
    columns = case.golden or tuple(transform.outputs(tools_in(ROOT)))
    rows = ran.frame.select("id", *(column for column in columns if column != "id")).to_dicts()
    found = {"out": rows, "rejects": [{k: row[k] for k in ("id", "reason", "detail")} for row in ran.rejects]}
    compare_golden(name, transform.version, found)


@pytest.mark.parametrize("name", READERS)
def test_golden_records(name: str, read: Callable[..., Ran]) -> None:
    rows = read(name).frame.drop("source_file").to_dicts()
    for row in rows:
        row["images"] = [Path(path).name for path in row["images"]]
    compare_golden(name, made(name).version, rows)


@pytest.mark.parametrize("name", EMITTERS)
def test_golden_files(name: str, tmp_path: Path) -> None:
    artifacts, files = emitted(name, tmp_path / "build")
    assert artifacts
    assert {item.path for item in artifacts} <= files.keys()
    texts = {
        file: data.decode().splitlines() if file.endswith((".json", ".jsonl", ".yaml")) else None
        for file, data in files.items()
    }
    compare_golden(name, made(name).version, texts)


@pytest.mark.parametrize("name", EMITTERS)
def test_emitter_writes_the_same_bytes_again(name: str, tmp_path: Path) -> None:
    _, once = emitted(name, tmp_path / "once")
    _, again = emitted(name, tmp_path / "又 again")
    assert once == again
    assert {path.name for path in tmp_path.iterdir()} == {"once", "又 again"}  # nothing beside the folder


@pytest.mark.parametrize("name", EMITTERS)
@pytest.mark.parametrize("fault", ["no records", "nulls", "no messages"])
def test_emitter_refuses_what_it_cannot_write_in_words(name: str, fault: str, tmp_path: Path) -> None:
    given = CASES[name].records()
    given = {
        "no records": given.clear(),
        "nulls": with_nulls(given),
        "no messages": given.with_columns(messages=pl.lit(None, given.schema["messages"])),
    }[fault]
    with pytest.raises(UserError):
        emitted(name, tmp_path, given)


def emitted(
    name: str, folder: Path, given: pl.DataFrame | None = None, emitter: Transform | None = None
) -> tuple[list[Artifact], dict[str, bytes]]:
    """What an emitter says that it wrote, and every file that stands there then."""
    folder.mkdir(exist_ok=True)
    emitter = emitter or made(name)
    assert isinstance(emitter, Emitter)
    frame = CASES[name].records() if given is None else given
    artifacts = emitter.write(Held(frame), folder, tools_in(folder).for_step(emitter))
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}
    return artifacts, {file: path.read_bytes() for file, path in files.items() if path.is_file()}


def test_a_golden_file_is_written_anew_only_for_a_new_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "GOLDEN", tmp_path)
    monkeypatch.setenv("DATAKIT_GOLDEN", "write")
    compare_golden("guard.toy", 1, ["first"])
    with pytest.raises(AssertionError, match="raise its `version`"):
        compare_golden("guard.toy", 1, ["second"])
    compare_golden("guard.toy", 2, ["second"])
    monkeypatch.delenv("DATAKIT_GOLDEN")
    compare_golden("guard.toy", 2, ["second"])
    with pytest.raises(AssertionError, match="no golden output of version 3"):
        compare_golden("guard.toy", 3, ["second"])


def plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Without the engine's trace columns."""
    return frame.select([name for name in frame.columns if not name.startswith("@")])


def compare_golden(name: str, version: int, found: Any) -> None:
    """The output equals the golden file; a new golden file is written only for a new version."""
    path = GOLDEN / f"{name}.json"
    wanted = json.loads(path.read_text("utf-8")) if path.exists() else {"version": 0}
    plain_found = json.loads(json.dumps(found, ensure_ascii=False, default=str).replace(str(ROOT), "ROOT"))
    if os.environ.get("DATAKIT_GOLDEN") == "write" and wanted["version"] < version:
        path.parent.mkdir(exist_ok=True)
        text = json.dumps({"version": version, "output": plain_found}, ensure_ascii=False, indent=1)
        path.write_text(text + "\n", "utf-8")
        return
    assert wanted["version"] == version, f"no golden output of version {version}: see the head of this file"
    assert plain_found == wanted["output"], f"{name} gives another output: raise its `version`"
