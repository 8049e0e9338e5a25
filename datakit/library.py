"""What the library and the command do: recipe in, build and card out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl

from datakit.artifacts.build_draft import BuildDraft
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.report import BuildReport
from datakit.core.errors import UserError
from datakit.core.settings import Settings
from datakit.core.transform import Artifact
from datakit.outside_loop import outside_loop
from datakit.recipe.recipe import Recipe, load_recipe
from datakit.run.build import FULL, BuildResult, Options
from datakit.run.build import build as run_build
from datakit.run.final_rows import FinalRows
from datakit.run.progress import Progress, in_notebook

Made = BuildResult
"""The name in datakit 0.1. Goes with 0.3."""


def sections() -> dict[str, type[Settings]]:
    """Recipe sections that belong to later stages, with their models."""
    from datakit.cards.settings import CardSettings
    from datakit.serving.settings import ServeSettings
    from datakit.training.config import TrainSettings

    return {"train": TrainSettings, "serve": ServeSettings, "card": CardSettings}


def load(path: str | Path, overrides: Iterable[str] = (), *, drop: str = "") -> Recipe:
    """The checked recipe of a file, without the step `drop`; raises RecipeErrors with all that is wrong.

    >>> import datakit as dk
    >>> dk.load("recipes/ecom_v1.yaml", ["seed=8"]).seed
    8
    """
    from datakit.checking.recipe_faults import training_faults

    return load_recipe(path, overrides=overrides, drop=drop, sections=sections(), checks=[training_faults])


def build(
    recipe: str | Path | Recipe,
    *,
    overrides: Iterable[str] = (),
    options: Options = FULL,
    progress: Progress | None = None,
    card: bool = True,
    check: bool = True,
) -> BuildResult:
    """The build of a recipe with its training configuration and, unless `card` is False, its data card.

    As `datakit build` and `dk.build` make it; see there.
    """
    checked = recipe if isinstance(recipe, Recipe) else load(recipe, overrides)
    finishers = [_training, _serving, *([_checking] if check else []), _tasks, _verdict]
    if not _is_look(options):
        finishers.append(partial(_since, BuildFolder(checked.build_folder)))
    writes = [checked.project / "data_cards"] if card and not _is_look(options) else []
    checks = [partial(_never_fires, checked)]
    shown = progress or Progress(quiet=not in_notebook())

    def work() -> BuildResult:
        return run_build(checked, options, finishers=finishers, progress=shown, writes=writes, checks=checks)

    result = outside_loop(work, shown.cancel)
    return _with_card(result, checked.project, write=card, is_look=_is_look(options))


def _never_fires(recipe: Recipe, rows: Callable[[], FinalRows | None]) -> UserError | None:
    """Why the training's own steps could not be met by the rows that a paid build would end with."""
    from datakit.training.config import TrainSettings, all_keys, total_steps
    from datakit.training.steps import STEPS_REMEDY, is_in_steps, never_firing

    settings = recipe.sections.get("train")
    if not isinstance(settings, TrainSettings) or not is_in_steps(settings.keys):
        return None
    if not any(step.transform.is_paid for step in recipe.steps) or (counted := rows()) is None:
        return None  # without a payment the end of the build is early enough
    keys = all_keys(settings)
    total = total_steps(keys, counted.train, settings.gpus)
    faults = dict(never_firing(keys, total, evaluates=counted.val > 0))
    if not faults:
        return None
    words = f"`train:`: {'; '.join(faults.values())}"
    return UserError(words, remedy=STEPS_REMEDY, where=recipe.places.get("train", ""))


def _training(draft: BuildDraft, recipe: Recipe, report: BuildReport) -> list[Artifact]:
    from datakit.training.config import TrainSettings, write_training

    settings = recipe.sections.get("train")
    if settings is None:
        return []
    assert isinstance(settings, TrainSettings)  # loaded with `sections()`
    return write_training(draft, recipe.name, settings, recipe.path.parent)


def _serving(draft: BuildDraft, recipe: Recipe, report: BuildReport) -> list[Artifact]:
    """The serving plan. One that cannot start is a warning: the data set is good all the same."""
    from datakit.serving.serve_files import write_serving
    from datakit.serving.settings import ServeSettings
    from datakit.training.config import TrainSettings, model_path

    settings, training = recipe.sections.get("serve"), recipe.sections.get("train")
    if settings is None:
        return []
    assert isinstance(settings, ServeSettings)  # loaded with `sections()`
    architecture = settings.model or (training.model if isinstance(training, TrainSettings) else None)
    try:
        if architecture is None:
            raise UserError("`serve:` knows no model", remedy="Give serve.model, or a `train:` section.")
        # The plan's notes stand in serve.sh; readers of the card have no use for them.
        artifacts, _ = write_serving(
            draft, recipe.name, settings, model_path(architecture, recipe.path.parent)
        )
    except UserError as error:
        report.warnings.append(f"No serving plan: {error.message}. {error.remedy}")
        return []
    return artifacts


def _checking(draft: BuildDraft, recipe: Recipe, report: BuildReport) -> list[Artifact]:
    from datakit.checking.build_check import check_build

    return check_build(draft, recipe, report)


def _tasks(draft: BuildDraft, recipe: Recipe, report: BuildReport) -> list[Artifact]:
    """The folder of each task, where the recipe has several."""
    from datakit.run.task_builds import write_task_builds

    write_task_builds(draft, recipe, report)
    return []


def _verdict(draft: BuildDraft, recipe: Recipe, report: BuildReport) -> list[Artifact]:
    """What is worse than the user may believe, into the report."""
    from datakit.verdict import verdict

    draft.write_report(report)  # the steps' account is looked at too
    report.verdict = verdict(draft)
    return []


def _since(before: BuildFolder, draft: BuildDraft, recipe: Recipe, report: BuildReport) -> list[Artifact]:
    """What differs from the build that stands in the place, while it is there, into the report."""
    from datakit.cards.diff import diff
    from datakit.cards.diff_sections import since_of

    if not before.is_finished:
        return []
    try:
        differences = diff(before, draft, chats=False)
    except (UserError, OSError, pl.exceptions.PolarsError):
        return []  # the build before is damaged: nobody can tell, and this one is none the worse
    is_again = differences.same and not differences.settings
    report.since = before.report.since if is_again else since_of(differences)
    return []


def _is_look(options: Options) -> bool:
    return options.limit is not None or options.out is not None


def _with_card(result: BuildResult, project: Path, *, write: bool, is_look: bool) -> BuildResult:
    """The result with its card, which is written where it is not there or not of this build.

    That of a full build goes to data_cards/; that of a look (--limit, --out) stays beside its build.
    """
    from datakit.cards import current
    from datakit.pages.writing import mark_outdated

    build = BuildFolder.open(result.folder)
    folder = current.place_of(result.folder, project, is_look=is_look)
    pages = current.pages_in(folder, build.report.name)
    if current.is_current(build, folder):
        return replace(result, cards=pages if write else [])
    kept = dict(result.kept)
    try:
        if write:
            cards = current.write_current_card(result.folder, folder, kept.__setitem__)
            return replace(result, cards=cards, kept=kept)
        pages = current.outdated_pages(build, folder)
        for page in pages:
            mark_outdated(page)
        why = "it is of an earlier build; `datakit build` without --no-card writes it anew"
    except OSError as error:
        fault = f"cannot write to {folder}: {error.strerror}"
        why = f"it is not of this build: {fault}. Make the folder writable and run the same command"
    return replace(result, kept=kept, outdated=dict.fromkeys(pages, why), card_failed=write)
