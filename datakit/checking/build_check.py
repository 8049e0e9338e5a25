"""The check as a part of every build: its report lies in it, and errors keep a build from its place."""

from __future__ import annotations

from dataclasses import replace

from datakit.artifacts.build_draft import BuildDraft
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.checked import CheckReport
from datakit.artifacts.report import BuildReport
from datakit.checking.check import Check, Report
from datakit.checking.finding import Findings, Group
from datakit.checking.records_file import gpus_of, names_in
from datakit.checking.training import Training
from datakit.core.errors import UserError
from datakit.core.registry import find
from datakit.core.shown_path import show_path
from datakit.core.task_blocks import flat_steps
from datakit.core.transform import Artifact
from datakit.recipe.recipe import Recipe
from datakit.run.build import BuildFailed

_EXAMPLES = 3


def check_build(draft: BuildDraft, recipe: Recipe, report: BuildReport) -> list[Artifact]:
    """The file written: every finding, figures and proposals. Warnings go to the build's report.

    A build without emit.llamafactory is not checked. Raises BuildFailed when there are errors.
    """
    if not draft.has_data_set:
        return []
    result = checked(draft)
    groups = list(result.findings.groups())
    errors = [group for group in groups if group.severity == "error"]
    if errors:
        lines = "\n".join(line for group in errors for line in group_lines(group))
        raise BuildFailed(
            f"the check found {result.errors:,} errors: LLaMA-Factory would drop records or stop.\n{lines}\n"
            "  Mend them in the recipe, or build all the same: --no-check"
        )
    report.warnings += [
        f"check, {group.code}: {group.headline}" for group in groups if group.severity == "warning"
    ]
    name = draft.write_check(CheckReport.model_validate(result.plain()))
    return [Artifact(path=name, kind="report")]


def checked(build: BuildFolder) -> Report:
    """The check of a build that is not in its place yet: paths are relative to the build."""
    training = Training.load(build.training_file, gpus=gpus_of(build))
    names = names_in(build) if training.file is None else []
    report = Check(
        training, dataset_dir=build.path, dataset=names, picture_task=is_picture_task(build, training)
    ).run()
    prefix = show_path(build.path)
    settings = {
        key: _inside(value, prefix) if isinstance(value, str) else value
        for key, value in report.settings.items()
    }
    findings = [
        replace(finding, where=_inside(finding.where, prefix), message=_inside(finding.message, prefix))
        for finding in report.findings.all
    ]
    return replace(report, settings=settings, findings=Findings(findings))


def is_picture_task(build: BuildFolder, training: Training) -> bool:
    """Whether a build's rows must have pictures: a step works on them or the model sees, as its recipe says.

    A reader with `images: none` says that text only is meant.
    """
    if training.layout is None or training.layout.family is None:
        return False
    steps = [entry for _, entry in flat_steps(build.recipe) if isinstance(entry, dict)]
    parameters = {str(name): own for entry in steps for name, own in entry.items()}
    readers = [own for name, own in parameters.items() if name.startswith("read.")]
    if any(isinstance(own, dict) and own.get("images") == "none" for own in readers):
        return False
    return training.file is not None or any(_works_on_pictures(name) for name in parameters)


def _works_on_pictures(step: str) -> bool:
    try:
        return find(step).needs_images
    except UserError:  # a plug-in that is not here
        return False


def _inside(text: str, prefix: str) -> str:
    return text.replace(f"{prefix}/", "") if text != prefix else "."


def group_lines(group: Group) -> list[str]:
    """A kind of error: what, the first places, what to do."""
    lines = [f"  {group.title} ({len(group.findings):,})"]
    for finding in group.findings[:_EXAMPLES]:
        place = " ".join(text for text in (finding.where, finding.record) if text)
        lines.append(f"    {place}: {finding.message}")
    return [*lines, f"    {group.remedy}"]
