"""Which build is asked and scored: of a build of several tasks, the folder of one."""

from __future__ import annotations

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import UserError, did_you_mean


def of_task(build: BuildFolder, task: str | None) -> BuildFolder:
    """The build itself where it has one task, else that of the task named (`--task`).

    Raises UserError for a build of several without a name, and for a name that it does not have.
    """
    known = [own.path.name for own in build.tasks]
    if task in known:
        return build.tasks[known.index(task)]
    if not known and (task is None or (build.whole is not None and task == build.path.name)):
        return build
    if not known:
        words, remedy = f"{build.path} has one task, without a name", "Leave --task out."
    elif task is None:
        words = f"{build.path} has {len(known)} tasks, each with its own prompt, labels and answer"
        remedy = f"Name one: --task {known[0]}. Tasks: {', '.join(known)}."
    else:
        words = f"{build.path} has no task `{task}`"
        remedy = f"{did_you_mean(task, known)} Tasks: {', '.join(known)}.".strip()
    raise UserError(words, remedy=remedy)
