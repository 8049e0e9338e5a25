"""The builds of the folds, which share the result store: what OCR or a model answered is paid for once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from datakit.artifacts.kfold import KfoldFolder, KfoldRecord
from datakit.artifacts.report import BuildReport
from datakit.core.errors import UserError
from datakit.core.language import Language
from datakit.core.replacing import set_aside
from datakit.core.scripts import comment, shell_words
from datakit.handoff.status import read_status
from datakit.recipe.recipe import Recipe, Step
from datakit.run.build import BuildResult, Options
from datakit.run.manifest import is_current

SPLIT, SUSPECTS = "curate.split", "curate.suspects"
PREDICT, PSEUDO_LABELS = "annotate.predict", "curate.pseudo_labels"
EXAMPLE = "- curate.split: {val: 0.1, stratify: label, group: duplicate_of}"


@dataclass(frozen=True)
class Wanted:
    """Which folds are asked for."""

    recipe: Path
    k: int
    overrides: tuple[str, ...] = ()
    limit: int | None = None
    again: bool = False
    """Whether other folds that stand there are set aside."""

    @property
    def words(self) -> list[str]:
        """The options of the command that say it."""
        words = ["--k", str(self.k)]
        for text in self.overrides:
            words += ["--set", text]
        return words if self.limit is None else [*words, "--limit", str(self.limit)]

    @property
    def command(self) -> str:
        """The line that a person types."""
        return shell_words(["datakit", "kfold", str(self.recipe), *self.words])

    def of_fold(self, number: int, recipe: Recipe) -> list[str]:
        """What is replaced in the recipe for one fold.

        Findings of the verdict that a fold has by its nature (a class that validation lacks) fail no build.
        Nobody signs a fold: what a person signs is the build of the recipe. Predictions that curate.suspects
        reads are made of the folds, so that these cannot rest on them.
        """
        own = [f"name=fold-{number}", f"{SPLIT}.folds={self.k}", f"{SPLIT}.fold={number}"]
        own += ["run.fail_on=[]", "run.require_signoff=false"]
        suspects = [step.transform for step in recipe.steps if step.name == SUSPECTS]
        for at, step in enumerate(suspects, 1):
            if step.model_dump().get("predictions") is not None:
                name = SUSPECTS if len(suspects) == 1 else f"{SUSPECTS}#{at}"
                own.append(f"{name}.predictions=null")
        return [*self.overrides, *own]


@dataclass
class Made:
    """What the making of the builds came to."""

    folder: KfoldFolder
    reports: list[BuildReport] = field(default_factory=list)
    kept: Path | None = None
    """Where other folds lie that stood there."""
    stale: list[int] = field(default_factory=list)
    """Folds that were taken as they stand although their recipe or data were edited since."""
    as_they_stand: bool = False
    """Whether nothing was built."""
    language: Language = "zh"
    """That of the prompts."""

    @property
    def fresh(self) -> list[int]:
        """The folds that were made anew, from 1."""
        return [number for number, report in enumerate(self.reports, 1) if not report.reused]

    @property
    def new(self) -> int:
        """Results that were worked on, of all folds."""
        return sum(step.new for report in self.reports for step in report.steps)

    @property
    def cached(self) -> int:
        """Results that the store had."""
        return sum(step.cached for report in self.reports for step in report.steps)

    @property
    def cost_usd(self) -> float:
        return sum(step.cost_usd or 0.0 for report in self.reports for step in report.steps)


def folder_of(recipe: Recipe) -> KfoldFolder:
    """Where the folds of a recipe lie: `build/NAME.kfold`."""
    build = recipe.build_folder
    return KfoldFolder(build.with_name(f"{build.name}.kfold"))


def check_recipe(recipe: Recipe) -> None:
    """Raises UserError for a recipe that does not say, once, which records belong together, for one of
    several tasks, and for one whose pseudo-labels rest on labels that a fold holds out."""
    splits = [step for step in recipe.steps if step.name == SPLIT]
    if not splits:
        raise UserError(
            f"the recipe `{recipe.name}` has no {SPLIT}, so nothing says which records belong together",
            remedy=f"Add the step before those that balance and render:\n  {EXAMPLE}",
            where=str(recipe.path),
        )
    if len(splits) > 1:
        raise UserError(
            f"the recipe has {len(splits)} steps {SPLIT}, and folds take the place of one",
            remedy="Leave one of them.",
            where=splits[1].where,
        )
    if recipe.tasks:
        raise UserError(
            f"the recipe has {len(recipe.tasks)} tasks, and the models of folds are asked and judged for one",
            remedy="Write a recipe with the steps of one task, without its `task:`, and make folds of that.",
            where=recipe.tasks[0].where,
        )
    if any(step.name == PSEUDO_LABELS for step in recipe.steps):
        _check_predictions(recipe, splits[0])


def _check_predictions(recipe: Recipe, split: Step) -> None:
    """Raises UserError where who predicts pseudo-labels was shown labels that a fold holds out."""
    for step in recipe.steps:
        if step.name != PREDICT:
            continue
        if step.transform.model_dump().get("from_build") is not None:
            raise UserError(
                f"{PREDICT} asks a served model, the same for every fold, so pseudo-labels may rest on "
                "labels that a fold holds out",
                remedy=f"Let the proxy predict (without `from_build`), or leave {PSEUDO_LABELS} out.",
                where=step.where,
            )
        if step.number < split.number:
            raise UserError(
                f"{PREDICT} stands before {SPLIT}, so the pseudo-labels of every fold are those of a model "
                "that was shown the labels which the fold holds out",
                remedy=f"Put {SPLIT} before {PREDICT}: each fold is then predicted by what it trains on.",
                where=step.where,
            )


def check_choice(wanted: Wanted, recipe: Recipe, folder: KfoldFolder) -> Path | None:
    """Where other folds that stood in the folder lie now; None where there were none.

    Raises UserError where they would be mixed with these, unless they are to be set aside, and for a record
    that cannot be read.
    """
    try:
        record = folder.record()
    except UserError:
        if not wanted.again:
            raise
        return _set_aside(folder)
    if record is None and not folder.numbers:
        if folder.path.exists() and any(folder.path.iterdir()):
            raise UserError(
                f"{folder.path} holds something else than folds",
                remedy="Move it away, or name another recipe.",
            )
        return None
    differing = _differing(record, _record(wanted, recipe), folder)
    if not differing:
        return None
    if not wanted.again:
        raise UserError(
            f"{folder.path} holds other folds: {'; '.join(differing)}",
            remedy="Folds of two choices are never mixed. Give the same options, or set those aside (nothing "
            f"is deleted): {wanted.command} --again",
        )
    return _set_aside(folder)


def _differing(record: KfoldRecord | None, new: KfoldRecord, folder: KfoldFolder) -> list[str]:
    """By what the folds that stand there are others, in words. Where their record is lost, by their number
    alone: of the rest each build tells by itself whether it is current."""
    if record is None:
        there = folder.numbers[-1]
        return [] if there <= new.k else [f"fold-{there} there, --k {new.k} here"]
    return [
        f"{name} {_shown(old)} there, {_shown(new.choice[name])} here"
        for name, old in record.choice.items()
        if old != new.choice[name]
    ]


def _set_aside(folder: KfoldFolder) -> Path:
    """Where the folds lie now. Raises UserError while a handoff works on one of them."""
    for run in sorted(folder.path.glob("fold-*-runs/*")):
        status = read_status(run)
        if status is not None and status.is_alive:
            raise UserError(
                f"process {status.pid} works on {run} (stage {status.stage})",
                remedy="Wait for it or end it; nothing is moved under its hands.",
            )
    return set_aside(folder.path)


def no_folds(folder: KfoldFolder, command: str) -> UserError:
    """The error for a folder without a record, where folds are needed; `command` makes them."""
    if folder.numbers:
        return UserError(
            f"{folder.record_file} is missing, which says what the folds there are of",
            remedy=f"Write it anew; folds, trainings and answers that stand there are kept: {command}",
        )
    return UserError(f"there are no folds in {folder.path}", remedy=f"Make them: {command}")


def make(
    wanted: Wanted,
    load: Callable[[Sequence[str]], Recipe],
    build: Callable[[Recipe, Options], BuildResult],
    say: Callable[[str], None],
) -> Made:
    """The builds of all folds; those that stand as they would be made are kept.

    `load` gives the recipe with some values replaced. Interrupted, the same call goes on. Raises what a build
    raises, and UserError for folds that do not fit together.
    """
    recipe = load(wanted.overrides)
    check_recipe(recipe)
    folder = folder_of(recipe)
    made = Made(folder, kept=check_choice(wanted, recipe, folder), language=recipe.context().language(""))
    if made.kept is not None:
        say(f"Kept: the other folds lie in {made.kept}")
    folder.path.mkdir(parents=True, exist_ok=True)
    record = folder.record() or _record(wanted, recipe)
    if not folder.record_file.is_file():
        record.write(folder.record_file)  # before the first build: what stands here is told from then on
    _write_script(folder, wanted, recipe)
    for number in range(1, wanted.k + 1):
        options = Options(out=folder.fold(number), limit=wanted.limit)
        result = build(load(wanted.of_fold(number, recipe)), options)
        made.reports.append(result.report)
        state = "unchanged" if result.report.reused else "built"
        say(f"fold-{number}: {state}, {_sizes(result.report)}")
    return made


def as_they_stand(wanted: Wanted, load: Callable[[Sequence[str]], Recipe]) -> Made:
    """The builds of all folds without making any. Raises UserError where there are none, or other ones."""
    recipe = load(wanted.overrides)
    check_recipe(recipe)
    folder = folder_of(recipe)
    if folder.record() is None:
        raise no_folds(folder, wanted.command)
    check_choice(replace(wanted, again=False), recipe, folder)
    made = Made(folder, language=recipe.context().language(""), as_they_stand=True)
    for number in range(1, wanted.k + 1):
        made.reports.append(folder.build(number).report)
        own = load(wanted.of_fold(number, recipe))
        if not is_current(folder.build(number), own, own.context(), wanted.limit):
            made.stale.append(number)
    return made


def _record(wanted: Wanted, recipe: Recipe) -> KfoldRecord:
    return KfoldRecord(
        recipe=recipe.name,
        k=wanted.k,
        seed=recipe.seed,
        overrides=list(wanted.overrides),
        limit=wanted.limit,
    )


def _shown(value: object) -> str:
    return "none" if value in (None, []) else str(value)


def _sizes(report: BuildReport) -> str:
    notes = next((step.notes for step in report.steps if step.name == SPLIT), {})
    without = int(notes.get("val_without_class", 0))
    labelled = int(notes.get("val", 0)) - without
    words = f"{notes.get('train', 0):,} records to train on, {labelled:,} to be predicted"
    return f"{words}, {without:,} without a label beside them" if without else words


def _write_script(folder: KfoldFolder, wanted: Wanted, recipe: Recipe) -> None:
    project = recipe.project.absolute()
    path = recipe.path.absolute()
    shown = path.relative_to(project) if path.is_relative_to(project) else path
    words = shell_words(["kfold", str(shown), *wanted.words, "--run"])
    text = "\n".join(
        (
            "#!/usr/bin/env bash",
            comment(
                f"Trains, serves and asks the model of each of the {wanted.k} folds of {recipe.name}, and"
            ),
            "# joins what they say. The same command goes on after any interruption. Further",
            "# words are options of `datakit kfold`, such as --python and --vllm for other environments.",
            "set -euo pipefail",
            f"cd {shell_words([str(project)])}",
            f'exec "${{DATAKIT:-datakit}}" {words} "$@"',
            "",
        )
    )
    folder.script.write_text(text, "utf-8")
    folder.script.chmod(0o755)
