"""The life of one record: what each step gave it, from which stored answer, where it left or was emitted."""

from __future__ import annotations

import difflib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import polars as pl
from pydantic import BaseModel, Field

from datakit.artifacts.build_folder import BuildFolder, failed_build
from datakit.artifacts.manifest import Manifest
from datakit.artifacts.rejects import read_rejects
from datakit.artifacts.report import StepReport
from datakit.artifacts.tables import scan_table
from datakit.core.errors import UserError
from datakit.core.files import FileDigests
from datakit.core.outcome import RETRY, Done
from datakit.core.regular_files import regular
from datakit.core.shrink import rung_words
from datakit.core.task_blocks import TASK
from datakit.core.transform import Annotator
from datakit.recipe.recipe import Recipe, Step
from datakit.run import manifest as manifests
from datakit.run.columns import check_columns
from datakit.run.dry_run import DryRun, Lookup
from datakit.run.engine import Engine, NothingLeft
from datakit.run.guard_figures import guard_figures
from datakit.run.record_frames import RecordFrames
from datakit.run.result_store import ResultStore, Stored
from datakit.run.store_place import StorePlace


class Change(BaseModel):
    """A column that a step added, replaced or removed."""

    column: str
    before: Any = None
    after: Any = None


class Answer(BaseModel):
    """The stored result behind a step."""

    key: str
    """Hex key in the result store."""
    stored: bool
    """False when the result is no longer in the store."""
    raw: Any = None
    meta: dict[str, Any] = Field(default_factory=dict)
    """Model, tokens_in, tokens_out, cost_usd, seconds as far as the step noted them."""
    created: int = 0
    """Seconds since 1970."""
    new: bool | None = None
    """Whether the build made it; None when that is not known."""


class StepStory(BaseModel):
    """What one step did with the record."""

    number: int
    name: str
    state: str
    """passed, open (its result is not paid for yet), rejected or retry."""
    changes: list[Change] = Field(default_factory=list)
    figures: dict[str, Any] = Field(default_factory=dict)
    """Of a guard that let the record pass: its limits, and what of the record they were held against."""
    note: str = ""
    """What the figures mean, such as how a prompt was shortened."""
    answer: Answer | None = None
    reason: str = ""
    detail: str = ""


class Place(BaseModel):
    """A row of the build that was made of the record."""

    file: str
    line: int
    """From 1."""
    row: dict[str, Any]


class Story(BaseModel):
    """A record's life."""

    id: str
    source_file: str = ""
    source_line: int | None = None
    source_text: str = ""
    """The record as it stands in the source, when that is a text file with one record a line."""
    replayed: bool = False
    """The steps were gone through again; else they are told from what the build recorded."""
    steps: list[StepStory] = Field(default_factory=list)
    record: dict[str, Any] = Field(default_factory=dict)
    """The columns at the end, or where the record left."""
    build: str = ""
    places: list[Place] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)


def why(
    build: BuildFolder, id_: str, *, recipe: Recipe | None, store: StorePlace, replay: bool = True
) -> Story:
    """The story of a record, out of a build and, with a recipe, by going through its steps.

    Raises UserError with a did-you-mean for an id that neither knows.
    """
    manifest = build.find_manifest()
    if recipe is None and manifest is None and not failed_build(build.path).path.is_dir():
        raise UserError(
            f"there is no build in {build.path}",
            remedy="Name a recipe or a build folder, such as build/ecom_v3.",
        )
    met: list[str] = []
    opened = store.open() if store.is_made or recipe is not None else None
    story = Story(id=id_, build=str(build.path) if manifest is not None else "")
    try:
        if recipe is not None and replay and opened is not None:
            met = _replay(story, recipe, opened)
            current = manifest is not None and _stands(build, recipe, opened)
            if manifest is not None and not current:
                story.notes.append("The recipe or its data differ from the build: its rows may be older.")
        else:
            _recorded(story, build, opened)
    finally:
        if opened is not None:
            opened.close()
    if manifest is not None:
        story.steps += _left_out(story, build)
        story.places = list(_places(build.path, manifest, id_))
    if not story.steps and not story.places:
        raise _unknown(story, [*met, *_known_ids(build)])
    _source(story)
    return story


def _stands(build: BuildFolder, recipe: Recipe, store: ResultStore) -> bool:
    context = replace(recipe.context(), files=FileDigests(store), looks_at_stores=False)
    return manifests.is_current(build, recipe, context, None)


def _replay(story: Story, recipe: Recipe, store: ResultStore) -> list[str]:
    """Goes through the recipe step by step and notes what becomes of the record; returns ids that it met."""
    work = Path(tempfile.mkdtemp(prefix="datakit-why-"))
    context = replace(recipe.context(), files=FileDigests(store), looks_at_stores=False)
    dry = DryRun(keep_keys=True, keep_only=story.id)
    engine = Engine(context, store, work, policy=dry)
    frames, before = None, dict[str, Any]()
    story.replayed = True
    try:
        check_columns(recipe, context)
        for step in recipe.steps:
            try:
                frames = engine.run([step], frames)
            except NothingLeft:
                frames = None
                story.notes.append(f"Step {step.number} ({step.title}) left no record at all.")
            lookups = [lookup for lookup in dry.lookups if lookup.step is step]
            step_story, row = _step(story.id, step, frames, engine, lookups, before)
            if step_story is not None:
                story.steps.append(step_story)
                before = row
            if frames is None or (step_story is not None and step_story.reason):
                break
        ids = frames.lazy().select("id").collect()["id"].to_list() if frames and not story.steps else []
    finally:
        shutil.rmtree(work, ignore_errors=True)
    story.record = _plain(before)
    _note_source(story, before)
    return ids


def _step(
    id_: str,
    step: Step,
    frames: RecordFrames | None,
    engine: Engine,
    lookups: list[Lookup],
    before: dict[str, Any],
) -> tuple[StepStory | None, dict[str, Any]]:
    """What the step did with the record, None when it did not come by; and the record's columns after it."""
    trace = f"@{step.number}.{step.name}"
    paid = isinstance(step.transform, Annotator)
    found_rows = frames.lazy().filter(pl.col("id") == id_).head(1).collect() if frames is not None else None
    if found_rows is not None and found_rows.height:
        row = found_rows.row(0, named=True)
        if step.task and row.get(TASK) != step.task:
            return None, before  # it works on the records of another task
        is_open = any(id_ in lookup.open_ids for lookup in lookups)
        state = "open" if is_open or (paid and row[trace] is None) else "passed"
        answer = _answer(row.get(trace), engine.store)
        changes = _changes(before, row)
        note = _note(changes, step.transform.model_dump().get("shrink") or ())
        story = StepStory(number=step.number, name=step.title, state=state, changes=changes, note=note)
        story.answer = answer
        story.figures = guard_figures(step.transform, row, engine.context.in_task(step.task))
        return story, row
    reject = _reject_of(read_rejects(engine.rejects_file), id_)
    if reject is None:
        return None, before
    step_story = _left(reject, step.number, step.title)
    if paid:
        step_story.answer = _answer({"key": lookups[-1].keys.get(id_)}, engine.store)
    return step_story, before or reject


def _recorded(story: Story, build: BuildFolder, store: ResultStore | None) -> None:
    """What the build wrote down: answers by their keys, rejects, the columns at the end."""
    row = _record(build, story.id)
    reject, report = None, None
    for place in (build, failed_build(build.path)):
        if not place.has_report:
            continue
        told_apart = {step.number for step in place.report.steps if step.emits} if place is build else set()
        lines = (line for line in place.reject_lines() if line["step"] not in told_apart)
        reject = _reject_of(lines, story.id)
        if row is not None or reject is not None:
            report = place.report
            break
    if report is None:
        return
    lacking = {line["step"] for line in build.reject_lines() if line["id"] == story.id}
    for step in report.steps:
        if step.task and row is not None and row.get(TASK) != step.task:
            continue
        if step.emits and step.number in lacking:
            continue  # `_left_out` tells it
        if reject is not None and reject["step"] == step.number:
            story.steps.append(_left(reject, step.number, step.title))
            break
        story.steps.append(_told(step, row or {}, store))
    story.record = _plain(row or {})
    if rung := story.record.get("shrink_rung"):
        shortened = rung_words(build.parameters("render.chat").get("shrink") or (), rung)
        story.notes.append(f"The prompt was shortened: {shortened}.")
    _note_source(story, row or reject or {})


def _left_out(story: Story, build: BuildFolder) -> list[StepStory]:
    """The emitters whose files lack the record."""
    if not build.has_report:
        return []
    emitters = {step.number: step.name for step in build.report.steps if step.emits}
    return [
        _left(line, line["step"], emitters[line["step"]])
        for line in build.reject_lines()
        if line["id"] == story.id and line["step"] in emitters
    ]


def _told(step: StepReport, row: dict[str, Any], store: ResultStore | None) -> StepStory:
    step_story = StepStory(number=step.number, name=step.title, state="passed")
    step_story.answer = _answer(row.get(f"@{step.number}.{step.name}"), store)
    return step_story


def _record(build: BuildFolder, id_: str) -> dict[str, Any] | None:
    path = build.records_file
    if not path.is_file():
        return None
    rows = scan_table(path, "id").filter(pl.col("id") == id_).head(1).collect()
    return rows.row(0, named=True) if rows.height else None


def _answer(trace: dict[str, Any] | None, store: ResultStore | None) -> Answer | None:
    if trace is None or trace.get("key") is None:
        return None
    key = trace["key"]
    stored: Stored | None = store.get_many([key]).get(key) if store is not None else None
    answer = Answer(key=key.hex(), stored=stored is not None, new=trace.get("new") or None)
    if stored is not None:
        outcome = stored.outcome
        answer.raw = outcome.raw if isinstance(outcome, Done) else None
        answer.meta, answer.created = dict(outcome.meta), stored.created
    return answer


def _left(reject: dict[str, Any], number: int, name: str) -> StepStory:
    state = str(reject.get("state") or "rejected")
    reason = str(reject["reason"]).removeprefix(RETRY)
    return StepStory(number=number, name=name, state=state, reason=reason, detail=reject.get("detail") or "")


def _reject_of(rejects: Iterable[dict[str, Any]], id_: str) -> dict[str, Any] | None:
    return next((line for line in rejects if line["id"] == id_), None)


def _changes(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    """The columns that differ. An empty text where there was nothing is no difference."""
    names = [name for name in (*after, *before) if not name.startswith("@")]
    return [
        Change(column=name, before=before.get(name), after=after.get(name))
        for name in dict.fromkeys(names)
        if before.get(name) != after.get(name) and not (before.get(name) is None and after.get(name) == "")
    ]


def _note(changes: Iterable[Change], shrink: Sequence[str]) -> str:
    rung = next((change.after for change in changes if change.column == "shrink_rung"), None)
    return f"prompt shortened: {rung_words(shrink, rung)}" if rung else ""


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if not name.startswith("@")}


def _note_source(story: Story, row: dict[str, Any]) -> None:
    story.source_file = row.get("source_file") or story.source_file
    line = row.get("source_line")
    story.source_line = line if line is not None else story.source_line


SOURCE_MAX_CHARS = 2_000


def _source(story: Story) -> None:
    path = Path(story.source_file)
    if story.source_line is None or path.suffix not in (".jsonl", ".csv", ".tsv") or not path.is_file():
        return
    with open(path, "rb", opener=regular) as lines:
        for number, line in enumerate(lines, 1):
            if number == story.source_line:
                story.source_text = line.decode("utf-8-sig", "replace").rstrip("\r\n")[:SOURCE_MAX_CHARS]
                return


def _places(folder: Path, manifest: Manifest, id_: str) -> Iterator[Place]:
    """Rows of the data files that bear the id; files hold one row a line."""
    marks = {json.dumps(id_, ensure_ascii=ascii_).encode() for ascii_ in (True, False)}
    for name in manifest.records:
        path = folder / name
        if path.suffix not in (".json", ".jsonl") or not path.is_file():
            continue
        with open(path, "rb", opener=regular) as lines:
            for number, line in enumerate(lines, 1):
                if any(mark in line for mark in marks):
                    row = _row(line)
                    if row.get("id") == id_:
                        yield Place(file=name, line=number, row=row)


def _row(line: bytes) -> dict[str, Any]:
    try:
        row = orjson.loads(line.strip().removeprefix(b"[").removesuffix(b"]").strip().rstrip(b","))
    except orjson.JSONDecodeError:
        return {}
    return row if isinstance(row, dict) else {}


DID_YOU_MEAN_MAX = 100_000
"""Ids among which a near one is looked for; beyond, only those that hold the given text."""


def _unknown(story: Story, ids: list[str]) -> UserError:
    known_ids = sorted(set(ids))
    near = (
        difflib.get_close_matches(story.id, known_ids, n=3, cutoff=0.6)
        if len(known_ids) <= DID_YOU_MEAN_MAX
        else []
    )
    near = near or [other for other in known_ids if story.id in other][:3]
    remedy = f"Did you mean {' or '.join(f'`{other}`' for other in near)}?" if near else ""
    if not remedy and known_ids:
        remedy = f"Ids look like `{ids[0]}`."  # those of the build come first, then those left out
    what = "no step of the recipe" if story.replayed else f"nothing in {story.build or 'the failed build'}"
    return UserError(f"{what} knows a record `{story.id}`", remedy=remedy)


def _known_ids(build: BuildFolder) -> Iterator[str]:
    path = build.records_file
    if path.is_file():
        yield from scan_table(path, "id").select("id").collect()["id"]
    for place in (build, failed_build(build.path)):
        yield from (line["id"] for line in place.reject_lines())
