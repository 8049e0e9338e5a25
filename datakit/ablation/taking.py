"""Results of other machines, taken over: each training's into the folder of its run, beside its build."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from datakit.artifacts.ablation import AblationFolder, AblationRecord, Job
from datakit.artifacts.ablation_results import is_ablation_results, trainings_of
from datakit.artifacts.results import is_results
from datakit.artifacts.results_reader import read_document
from datakit.core.errors import UserError
from datakit.evaluation.taking_over import another_build, take_over
from datakit.handoff.other_base import other_base


def take_results(archives: Sequence[Path], folder: AblationFolder, record: AblationRecord) -> list[str]:
    """What was taken over, in lines.

    What can be taken over is, also where another training's results cannot; then UserError is raised at the
    end, with everything that is wrong: results of another state of a build, of no training of this ablation,
    or a damaged archive.
    """
    jobs = {job.path.name: job for job in folder.jobs(record)}
    lines, faults = list[str](), list[str]()
    for archive in archives:
        with _trainings(archive) as trainings:
            unknown = [name for name in trainings if name not in jobs]
            if unknown:
                faults.append(
                    f"{archive} holds results of {', '.join(unknown)}, which the ablation of {record.recipe} "
                    "does not have: name the changes that were packed (they are added), or take the archive "
                    "to its own recipe"
                )
            for name, path in trainings.items():
                if name not in jobs:
                    continue
                try:
                    lines += _take_one(archive, path, folder, jobs[name])
                except UserError as error:
                    faults.append(str(error).replace(str(path), f"{archive} ({name})"))
    if faults:
        told = "".join(f"\n  {line}" for fault in faults for line in fault.splitlines())
        raise UserError(f"not taken over (what else came is):{told}")
    return lines


@contextmanager
def _trainings(archive: Path) -> Iterator[dict[str, Path]]:
    """Name of each training -> its results; of the results of one training that one alone."""
    try:
        whole, single = is_ablation_results(archive), is_results(archive)
    except OSError as error:
        raise UserError(f"cannot read {archive}: {error.strerror}") from None
    if single:
        yield {read_document(archive).name: archive}
        return
    if not whole:
        raise UserError(
            f"{archive} is no archive of results",
            remedy="Name the results.tar that run.sh of the packed ablation wrote.",
        )
    with trainings_of(archive) as found:
        yield found


def _take_one(archive: Path, path: Path, folder: AblationFolder, job: Job) -> Iterator[str]:
    build = folder.build(job)
    document = read_document(path)
    if document.name != build.report.name:
        raise another_build(path, document, build)
    taken = take_over(path, build)
    answers = "answers" if taken.answers else f"no answers; its logs lie in {taken.folder}"
    yield f"Taken over from {archive}: {job.path.name}, run {taken.run}: {answers}"
    for place, now in taken.kept.items():
        yield f"Kept: other answers, which stood at {place}: {now}"
    if warning := other_base(build, taken):
        yield f"Warning: {job.path.name}: {warning}"
