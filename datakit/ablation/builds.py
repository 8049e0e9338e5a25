"""The builds of an ablation, which share the result store: what OCR or a model answered is paid for once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import polars as pl

from datakit.ablation.changes import Load
from datakit.artifacts.ablation import AblationFolder, AblationRecord, Change
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.report import BuildReport
from datakit.core.errors import UserError
from datakit.core.record import VAL
from datakit.core.regular_files import read_regular
from datakit.core.replacing import set_aside
from datakit.core.scripts import comment, shell_words
from datakit.handoff.status import read_status
from datakit.recipe.recipe import Recipe
from datakit.run.build import BuildResult, Options
from datakit.run.manifest import is_current

_NAMES = ("dataset", "eval_dataset", "output_dir", "run_name")
"""Keys of the trainer that hold the build's own name."""


@dataclass(frozen=True)
class Wanted:
    """Which changes are asked for."""

    recipe: Path
    changes: tuple[Change, ...]
    seeds: int = 1
    limit: int | None = None
    again: bool = False
    """Whether an ablation that stands there is set aside."""

    def command(self, record: AblationRecord | None = None) -> str:
        """The line that a person types for these changes, or for all that stand there."""
        words = ["datakit", "ablate", str(self.recipe)]
        changes, seeds = (record.changes, record.seeds) if record else (self.changes, self.seeds)
        for change in changes:
            words += change.options
        words += ["--seeds", str(seeds)]
        return shell_words(words if self.limit is None else [*words, "--limit", str(self.limit)])


@dataclass
class Made:
    """What the making of the builds came to."""

    folder: AblationFolder
    record: AblationRecord
    reports: list[BuildReport] = field(default_factory=list)
    kept: Path | None = None
    """Where an ablation lies that stood there."""
    stale: list[str] = field(default_factory=list)
    """Builds that were taken as they stand although their recipe or data were edited since."""

    @property
    def new(self) -> int:
        return sum(step.new for report in self.reports if not report.reused for step in report.steps)

    @property
    def cached(self) -> int:
        return sum(step.cached for report in self.reports for step in report.steps)

    @property
    def cost_usd(self) -> float:
        return sum(
            step.cost_usd or 0.0 for report in self.reports if not report.reused for step in report.steps
        )


def folder_of(recipe: Recipe) -> AblationFolder:
    """Where the ablation of a recipe lies: `build/NAME.ablate`."""
    build = recipe.build_folder
    return AblationFolder(build.with_name(f"{build.name}.ablate"))


def record_of(wanted: Wanted, recipe: Recipe) -> AblationRecord:
    """The changes that stand there with those that are asked for, and the most trainings of either.

    What was compared once stays in the count that the correction is for. Raises UserError where the folder
    holds something else, and where there is no change at all.
    """
    folder = folder_of(recipe)
    before = None if wanted.again else folder.record()
    if before is None:
        if not wanted.again and folder.path.exists() and any(folder.path.iterdir()):
            raise UserError(
                f"{folder.path} holds something else than an ablation",
                remedy="Move it away, or name another recipe.",
            )
        if not wanted.changes:
            raise UserError("no change is named", remedy="Name one: --drop STEP, or --set key=value,value")
        return AblationRecord(
            recipe=recipe.name, limit=wanted.limit, seeds=wanted.seeds, changes=list(wanted.changes)
        )
    if before.limit != wanted.limit:
        raise UserError(
            f"{folder.path} holds an ablation with --limit {before.limit or 'none'}, and here it is "
            f"{wanted.limit or 'none'}",
            remedy="Give the same, or set that one aside (nothing is deleted): --again",
        )
    changes = {change.words: change for change in (*before.changes, *wanted.changes)}
    return before.model_copy(
        update={"changes": list(changes.values()), "seeds": max(before.seeds, wanted.seeds)}
    )


def make(
    wanted: Wanted,
    record: AblationRecord,
    load: Load,
    build: Callable[[Recipe, Options], BuildResult],
    say: Callable[[str], None],
) -> Made:
    """The builds of all trainings; those that stand as they would be made are kept.

    Interrupted, the same call goes on. Raises what a build raises, and UserError for answers that cannot be
    compared.
    """
    recipe = load.base()
    folder = folder_of(recipe)
    made = Made(folder, record)
    if wanted.again and folder.path.exists():
        _refuse_working(folder)
        made.kept = set_aside(folder.path)
        say(f"Kept: the other ablation lies in {made.kept}")
    folder.path.mkdir(parents=True, exist_ok=True)
    record.write(folder.record_file)  # before the first build: what stands here is told from then on
    _write_script(folder, wanted, record, recipe)
    for job in list(folder.jobs(record)):
        result = build(load.job(job), Options(out=job.path, limit=wanted.limit))
        made.reports.append(result.report)
        if len(made.reports) == 1:
            check_comparable(folder.build(job))
        state = "unchanged" if result.report.reused else "built"
        say(f"{job.path.name}: {state}, {held_out(folder.build(job)):,} records held out")
    made.record = _without_idle(folder, record, say)
    if made.record != record:
        made.record.write(folder.record_file)
        _write_script(folder, wanted, made.record, recipe)
    return made


def _without_idle(
    folder: AblationFolder, record: AblationRecord, say: Callable[[str], None]
) -> AblationRecord:
    """Without the changes that train the same rows in the same way as the base, or as an earlier change.

    Raises UserError where no other is left.
    """
    base, *others = [job for job in folder.jobs(record) if job.seed == 1]
    seen = [("the base", _trained(folder.build(base)))]
    idle = []
    for job in others:
        own = _trained(folder.build(job))
        same = next((words for words, earlier in seen if earlier == own), None)
        seen.append((job.change.words, own))
        if same is not None:
            idle.append(job.change)
            say(f"Note: {job.change.words} trains the same rows in the same way as {same}: left out")
    left = [change for change in record.changes if change not in idle]
    if not left:
        raise UserError(
            "no change is left: each trains the same rows in the same way as the base",
            remedy="Name a change that this data or the training meets.",
        )
    return record.model_copy(update={"changes": left})


def _trained(build: BuildFolder) -> dict[str, object]:
    """What decides a training: the rows, and the trainer's keys but for names of files."""
    own = {key: _number(value) for key, value in build.training.items() if key not in _NAMES}
    paths = [build.path / file.file for file in build.data_files.values()]
    rows = [sha256(read_regular(path)).hexdigest() for path in paths]
    return {**own, "rows": rows}


def _number(value: object) -> object:
    """The number that a text states, as the trainer reads it: YAML takes 1e-3 for a text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def as_they_stand(wanted: Wanted, record: AblationRecord, load: Load) -> Made:
    """The builds without making any. Raises UserError where there are none."""
    folder = folder_of(load.base())
    if folder.record() is None:
        raise UserError(f"there is no ablation in {folder.path}", remedy=f"Make it: {wanted.command()}")
    made = Made(folder, record)
    for job in folder.jobs(record):
        if not BuildFolder(job.path).is_finished:
            continue
        made.reports.append(folder.build(job).report)
        own = load.job(job)
        if not is_current(folder.build(job), own, own.context(), wanted.limit):
            made.stale.append(job.path.name)
    return made


def held_out(build: BuildFolder) -> int:
    """Labelled records that are held out."""
    rows = build.main.filter((pl.col("part") == VAL) & pl.col("label").is_not_null())
    return int(rows.select(pl.col("id").n_unique()).collect().item())


def check_comparable(build: BuildFolder) -> None:
    """Raises UserError for a build whose answers are not right or wrong, or that holds nothing out."""
    kind = build.answer_target.get("kind", "label")
    if kind != "label" or "label" not in build.columns:
        raise UserError(
            f"an ablation compares answers of one label, and these are of the kind `{kind}`",
            remedy="Compare two runs of other answers with `datakit evaluate`.",
        )
    if not held_out(build):
        raise UserError("nothing is held out to compare on", remedy="Add `- curate.split: {val: 0.1}`.")


def _refuse_working(folder: AblationFolder) -> None:
    for run in sorted(folder.path.glob("*-runs/*")):
        status = read_status(run)
        if status is not None and status.is_alive:
            raise UserError(
                f"process {status.pid} works on {run} (stage {status.stage})",
                remedy="Wait for it or end it; nothing is moved under its hands.",
            )


def shown_recipe(recipe: Recipe) -> str:
    """The recipe's path as it is typed in its project."""
    project, path = recipe.project.absolute(), recipe.path.absolute()
    return str(path.relative_to(project) if path.is_relative_to(project) else path)


def _write_script(folder: AblationFolder, wanted: Wanted, record: AblationRecord, recipe: Recipe) -> None:
    project = recipe.project.absolute()
    command = Wanted(Path(shown_recipe(recipe)), (), limit=wanted.limit).command(record).split(" ", 1)[1]
    text = "\n".join(
        (
            "#!/usr/bin/env bash",
            comment(f"Trains, serves and asks the model of each change of {recipe.name}, and compares them."),
            "# The same command goes on after any interruption. Further words are options of `datakit",
            "# ablate`, such as --python and --vllm for other environments, and --part 1/3 for one of three",
            "# machines that share this folder.",
            "set -euo pipefail",
            f"cd {shell_words([str(project)])}",
            f'exec "${{DATAKIT:-datakit}}" {command} --run "$@"',
            "",
        )
    )
    if not folder.script.is_file() or folder.script.read_text("utf-8") != text:
        folder.script.write_text(text, "utf-8")
        folder.script.chmod(0o755)
