"""Makes a build: runs a recipe, emits, writes the manifest last and puts the folder in place at once."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import polars as pl

import datakit
from datakit.artifacts.build_draft import BuildDraft
from datakit.artifacts.build_folder import BuildFolder, failed_build
from datakit.artifacts.manifest import Manifest, content_hash, stamp
from datakit.artifacts.place import SIGNATURE, BuildPlace
from datakit.artifacts.report import BuildReport, Finding, StepReport
from datakit.core.counted import counted
from datakit.core.errors import DatakitError, Exit, UserError
from datakit.core.file_locks import taken
from datakit.core.files import FileDigests, says_full
from datakit.core.interrupts import uninterrupted
from datakit.core.providers import AUTO
from datakit.core.settings import LlmSettings
from datakit.core.step_context import Declaring, StepContext
from datakit.core.transform import Artifact, Reader
from datakit.recipe.recipe import Recipe, Step
from datakit.run import manifest as manifests
from datakit.run.build_inputs import BuildInputs
from datakit.run.columns import check_columns
from datakit.run.compared_records import compared_records, image_digests
from datakit.run.dropped import allowed_share, counting, over_reject_rate
from datakit.run.emission import emit
from datakit.run.engine import Engine
from datakit.run.kept_files import keep_files
from datakit.run.picture_task import picture_need
from datakit.run.preflight import Check, preflight
from datakit.run.progress import Progress
from datakit.run.prompt_steps import serving_work
from datakit.run.record_frames import RecordFrames
from datakit.run.result_store import ResultStore
from datakit.run.store import FILE, StoreDamaged, store_folder
from datakit.run.store_place import StorePlace

Finisher = Callable[[BuildDraft, Recipe, BuildReport], list[Artifact]]
"""Adds files to a build before its manifest is written, such as the training configuration."""


class BuildFailed(DatakitError):
    """A guard of the whole build failed; its rejects and report are kept."""

    exit_code = Exit.FAILED


class FailedOn(BuildFailed):
    """The verdict has what `run.fail_on` names."""

    def __init__(self, words: str, folder: Path, report: BuildReport) -> None:
        super().__init__(words)
        self.result = BuildResult(folder, report)


@dataclass(frozen=True)
class BuildResult:
    """A finished build, and its data card.

    >>> import datakit as dk
    >>> result = dk.build("recipes/ecom_v1.yaml")
    >>> result.folder.name, result.exit_code.name
    ('ecom_v1', 'FINE')
    """

    folder: Path
    report: BuildReport
    cards: list[Path] = field(default_factory=list)
    kept: dict[Path, Path] = field(default_factory=dict)
    """What somebody had made or edited in the places of the build or its card -> where it lies now."""
    outdated: dict[Path, str] = field(default_factory=dict)
    """Pages of a card that are not of this build -> why, and what to do."""
    card_failed: bool = False
    """Whether the card was to be written and could not be."""

    @property
    def exit_code(self) -> Exit:
        """That of `datakit build`."""
        fine = Exit.PARTIAL if self.report.retry else Exit.FINE
        return Exit.USAGE if self.card_failed else fine


@dataclass(frozen=True)
class Options:
    """How a build is made; nothing here changes what a full build holds.

    >>> import datakit as dk
    >>> from pathlib import Path
    >>> look = dk.Options(limit=30, out=Path("build/look"))
    >>> dk.build("recipes/ecom_v1.yaml", options=look).report.steps[0].records_out
    30
    """

    out: Path | None = None
    """The build's folder; `build/<name>` in the project when not given, `build/<name>.limit<N>` of a look."""
    limit: int | None = None
    """At most so many records of each reader, by label, for a first look."""
    force: bool = False
    """Build even when nothing has changed, and read every file anew to tell (results of the same content are
    still used)."""
    allow_partial: bool = False
    """Put the build in place although records are left to retry."""


FULL = Options()


def build(
    recipe: Recipe,
    options: Options = FULL,
    *,
    finishers: Sequence[Finisher] = (),
    progress: Progress | None = None,
    writes: Sequence[Path] = (),
    checks: Sequence[Check] = (),
) -> BuildResult:
    """The build of a recipe. An unchanged one is kept. `writes` come later, `checks` tell what would fail.

    Raises RecipeErrors, UserError, BuildFailed, NothingLeft, BudgetSpent or StopProvider. Whatever was paid
    for before stands in the result store, so the same call goes on from there.
    """
    progress = progress or Progress(quiet=True)
    place = BuildPlace(options.out or recipe.look_folder(options.limit))
    folder, limit, began = place.folder, options.limit, time.perf_counter()
    place.check(_needed(recipe))
    store = StorePlace.of(recipe.run, recipe.project).open(progress.say)
    try:
        place.files = FileDigests(store, again=options.force)
        context = replace(recipe.context(), files=place.files).pinned()
        with _lock(place):
            place.mend()
            kept = None if options.force else _kept(folder, recipe, context, limit, store)
            if kept is not None:
                if failing := failing_kinds(kept, recipe):
                    words = f"{_failing_words(failing)}\n  The build stands as it is: {folder}"
                    raise FailedOn(words, folder, kept)
                place.clear("failed")
                kept.seconds = round(time.perf_counter() - began, 3)
                return BuildResult(folder, kept, kept=place.kept_files)
            check_columns(recipe, context)
            place.check({f"file {path.name}": path for path in manifests.declared_files(recipe, context)})
            preflight(
                recipe, context, store, folder, limit=limit, writes=writes, checks=checks, say=progress.say
            )
            maker = _Maker(recipe, options, context, store, place, progress, list(finishers))
            return maker.make(began)
    except (OSError, pl.exceptions.PolarsError, sqlite3.Error) as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise StoreDamaged(store_folder(recipe.project, recipe.run.store) / FILE, str(error)) from None
        if not says_full(error):
            raise
        with suppress(UserError), _lock(place):  # another build may have begun meanwhile
            place.clear("work")
        raise UserError(
            f"no space is left on the disk of {folder.parent}, or on that of the result store",
            remedy="Free some and run the same command: what was finished and stored is not made again.",
        ) from None
    finally:
        store.close()


def _needed(recipe: Recipe) -> dict[str, Path]:
    """What a build and the next one cannot do without: what it is -> path."""
    needed: dict[str, Path] = {
        "the project": recipe.project,
        "the recipe": recipe.path,
        "the templates": recipe.project / "templates",
        "the result store": store_folder(recipe.project, recipe.run.store),
    }
    if recipe.labels is not None:
        needed["the label file"] = Path(recipe.labels.path)
    for task in recipe.tasks:
        if task.labels is not None:
            needed[f"the label file of {task.name}"] = Path(task.labels.path)
    return needed


def failing_kinds(report: BuildReport, recipe: Recipe) -> list[Finding]:
    """The findings of the verdict that `run.fail_on` names."""
    return [line for line in report.verdict if line.state != "passed" and line.kind in recipe.run.fail_on]


def _failing_words(findings: Sequence[Finding]) -> str:
    lines = [f"  {line.kind}: {line.statement}: {line.words}" for line in findings]
    return "\n".join(["the build has what `run.fail_on` names:", *lines])


@dataclass
class _Maker:
    recipe: Recipe
    options: Options
    context: StepContext
    store: ResultStore
    place: BuildPlace
    progress: Progress
    finishers: list[Finisher]

    def make(self, began: float) -> BuildResult:
        work = self.place.make("work")
        engine = Engine(self.context, self.store, work, self.progress, self.options.limit)
        engine.needs_images = self._needs_images()
        engine.picture_need = picture_need(self.recipe.steps, self.recipe)
        report = BuildReport(name=self.recipe.name, recipe=self._recipe_path(), notes=self._notes())
        report.steps = engine.reports  # the same list, so that a failed run has its account too
        for note in report.notes:
            self.progress.say(f"Note: {note}")
        engine.before = partial(self._before_paying, report, engine.rejects_file)
        inputs = BuildInputs.read(self.recipe, self.context, self.options.limit)
        try:
            with self.progress:
                frames = engine.run(self.recipe.steps)
                self._check_rejects(report, engine.rejects_file)
                self._check_retries(report)
                self._check_pictures(engine)
                target = work / "out"
                artifacts = self._emit(engine, frames, target, report)
            if damage := self.store.damage():
                report.notes.append(damage)
                self.progress.say(f"Note: {damage}")
            self._finish(engine, frames, BuildDraft(target), artifacts, report, began, inputs)
        except BaseException as error:
            self._keep_account(engine, report)
            if isinstance(error, DatakitError) and error.exit_code in (Exit.FAILED, Exit.USAGE, Exit.PARTIAL):
                inputs.check(engine.images)  # an edit meanwhile is the better explanation
            raise
        if failing := failing_kinds(report, self.recipe):
            failed = self.place.fail(target)
            self.place.clear("work")
            kept = f"\n  The build before stays as it was; this one lies in {failed}"
            raise FailedOn(_failing_words(failing) + kept, failed, report)
        with uninterrupted():
            self.place.put(target)
        self.place.tidy()
        return BuildResult(self.place.folder, report, kept=self.place.kept_files)

    def _emit(
        self, engine: Engine, frames: RecordFrames, target: Path, report: BuildReport
    ) -> list[Artifact]:
        target.mkdir()
        artifacts: list[Artifact] = []
        engine.context = engine.context.changed(standing_images=self.place.standing(datakit.__version__))
        for step in self.recipe.emitters:
            artifacts += emit(step, len(self.recipe.steps) + step.number, frames, target, engine)
            self._check_rejects(report, engine.rejects_file, report.steps[-1])
        return artifacts

    def _finish(
        self,
        engine: Engine,
        frames: RecordFrames,
        draft: BuildDraft,
        artifacts: list[Artifact],
        report: BuildReport,
        began: float,
        inputs: BuildInputs,
    ) -> None:
        data = {item.path: item.sha256 for item in artifacts if item.kind == "data"}
        stamps = {path: stamp(draft.path / path, hashed=True, sha256=data[path]) for path in data}
        draft.write_records(frames.lazy())
        draft.copy_rejects(engine.rejects_file)
        draft.write_recipe(self.recipe.dump())
        draft.write_input_images(image_digests(engine.images))
        if engine.suspects:
            draft.write_suspects(engine.suspects)
        draft.write_compared(compared_records(frames, self.context, engine.chats))
        manifest = Manifest(
            made_by=SIGNATURE,
            datakit=datakit.__version__,
            name=self.recipe.name,
            settings=inputs.settings,
            steps=manifests.step_settings(self.recipe, self.context),
            sources=dict(inputs.sources),
            images=manifests.images_digest(sorted(engine.images.items())),
            content=content_hash(stamps),
            records={item.path: item.records for item in artifacts if item.records is not None},
            templates=keep_files(draft, self.recipe, self.context),
            labels=self.recipe.labels.digest if self.recipe.labels else "",
        )
        draft.write_manifest(manifest)  # finishers may read the content hash; written again below, complete
        for finisher in self.finishers:
            artifacts += finisher(draft, self.recipe, report)
        report.serving = serving_work(self.recipe, self.context)
        report.seconds = round(time.perf_counter() - began, 3)
        draft.write_report(report)
        inputs.check(engine.images)
        manifest.artifacts = draft.stamps(stamps, {item.path for item in artifacts if item.kind == "image"})
        draft.write_manifest(manifest)

    def _before_paying(
        self, report: BuildReport, rejects: Path, group: Sequence[Step], later: Sequence[Declaring]
    ) -> None:
        """Ends a build that rejects too much before it pays, as soon as all sources are read."""
        is_read = not any(isinstance(transform, Reader) for transform in later)
        if is_read and any(step.transform.is_paid for step in group):
            self._check_rejects(report, rejects)

    def _check_rejects(self, report: BuildReport, rejects: Path, emitter: StepReport | None = None) -> None:
        steps = counting(self.recipe, report.steps, emitter)
        words = over_reject_rate(steps, allowed_share(self.recipe, self.options.limit), rejects)
        if words:
            place = failed_build(self.place.folder).rejects_file
            raise BuildFailed(
                f"{words}  Each is in {place} with its source line. Mend them, or allow more with "
                "run.max_reject_rate."
            )

    def _check_pictures(self, engine: Engine) -> None:
        """Pictures that somebody put into the last build would be moved away from their records."""
        below = f"{self.place.folder}{os.sep}"
        inside = next((path for path in engine.images if path.startswith(below)), None)
        if inside is not None:
            self.place.check({"a picture of the sources": Path(inside)})

    def _check_retries(self, report: BuildReport) -> None:
        if report.retry and not self.options.allow_partial:
            place = failed_build(self.place.folder).rejects_file
            error = BuildFailed(
                f"{counted(report.retry, 'record')} could not be answered; see state retry in {place}.\n"
                "  Run the same command again: only these are tried. Or build without them: --allow-partial"
            )
            error.exit_code = Exit.PARTIAL
            raise error

    def _keep_account(self, engine: Engine, report: BuildReport) -> None:
        """Leaves report and rejects of a failed run where the user can read them."""
        if engine.rejects_file.exists():
            account = BuildDraft(self.place.beside("work") / "account")
            account.path.mkdir(exist_ok=True)
            account.copy_rejects(engine.rejects_file)
            account.write_report(report)
            self.place.fail(account.path)
        self.place.clear("work")

    def _needs_images(self) -> bool:
        """Whether a missing picture would stop the build at the emitter, because no step rejects it."""
        placing = {"emit.llamafactory", "emit.messages", "emit.ms_swift", "emit.hub"}
        guarded = any(step.name == "guard.image" for step in self.recipe.steps)
        return not guarded and any(step.name in placing for step in self.recipe.emitters)

    def _notes(self) -> list[str]:
        notes = []
        if self.options.limit is not None:
            notes.append(
                f"Built from at most {self.options.limit:,} records of each source, by label (--limit)."
            )
        writes = any(step.transform.asks_model for step in self.recipe.steps)
        if writes and self.recipe.llm.resolved_provider() == "offline":
            notes.append(
                "No model wrote the texts: the built-in offline writer composed descriptions and reasons, "
                f"because {_why_offline(self.recipe.llm)}. Good for a first look, not for training."
            )
        return notes

    def _recipe_path(self) -> str:
        path, project = self.recipe.path, self.recipe.project
        return path.relative_to(project).as_posix() if path.is_relative_to(project) else path.name


def _why_offline(llm: LlmSettings) -> str:
    if llm.provider != AUTO:
        return f"llm.provider is {llm.provider}"
    return f"neither {llm.api_key_env or 'OPENAI_API_KEY'} nor OPENAI_BASE_URL is set"


def _kept(
    folder: Path, recipe: Recipe, context: StepContext, limit: int | None, store: ResultStore
) -> BuildReport | None:
    """The report of the build in `folder` when it still stands; everything in it counts as cached."""
    build = BuildFolder(folder)
    try:
        if not manifests.is_current(build, recipe, context, limit, store):
            return None
    except UserError as error:
        if error.exit_code == Exit.PROVIDER:
            raise  # the store of the pictures: waited for once
        return None  # a template or a source is missing: the check of the columns says so with its place
    report = build.report
    report.reused = True
    for step in report.steps:
        step.cached, step.new, step.calls, step.attempts = step.cached + step.new, 0, 0, {}
        step.tokens_in, step.tokens_out, step.tokens_cached = 0, 0, 0
        step.seconds, step.cost_usd = 0.0, 0.0
    return report


@contextmanager
def _lock(place: BuildPlace) -> Iterator[None]:
    """Keeps a second build out of the same folder while one runs."""
    folder, path = place.folder, place.beside("lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = taken(path)
    except OSError as error:
        raise UserError(
            f"cannot write to {folder.parent}: {error.strerror}",
            remedy="Make the folder writable, or choose another with --out.",
        ) from None
    if lock is None:
        raise UserError(
            f"another build is writing {folder}", remedy="Wait for it, or choose another folder with --out."
        )
    with lock:
        yield
