"""Where an archive was unpacked: answers compared, report page, results.tar. The archive carries this."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from datakit.ablation.comparing import Answered, Comparison, compare_answers, missing_note
from datakit.ablation.hours import Cost, measured_hours
from datakit.ablation.report import write_report
from datakit.artifacts import names
from datakit.artifacts.ablation_record import Job
from datakit.artifacts.ablation_results import write_ablation_results
from datakit.artifacts.packed import PackedData
from datakit.artifacts.packed_ablation import PackedAblation
from datakit.artifacts.results import RESULTS
from datakit.core.errors import UserError
from datakit.core.file_locks import waited_for
from datakit.evaluation.evaluation import Options, score
from datakit.evaluation.packed import PackedSource
from datakit.handoff.stages import StageRecords

PACKING = ".results.lock"
"""Held while results are packed: machines that share the folder pack one after the other."""


def data_of(job: Job) -> Path:
    """The folder with the data set of a training, in that of its bundle."""
    return job.path / job.path.name


def bring(folder: Path, about: PackedAblation) -> Comparison:
    """The comparison; results.tar of every training that has some, with the report page in it, is written.

    Raises UserError and OSError where it cannot be written.
    """
    with _one_at_a_time(folder):
        jobs = list(about.jobs(folder))
        result = comparison(jobs, about.seed)
        page = folder / names.ABLATION_PAGE
        write_report(page, about.recipe, result, costs(jobs))
        results = {job.path.name: job.path / RESULTS for job in jobs if (job.path / RESULTS).is_file()}
        write_ablation_results(folder / RESULTS, about.recipe, results, page)
    return result


def comparison(jobs: list[Job], seed: int) -> Comparison:
    """The comparison of the answers that are there; a file that cannot be read is told."""
    found: dict[str, Answered] = {}
    unanswered, notes = list[str](), list[str]()
    for job in jobs:
        own = found.setdefault(job.change.name, Answered(job.change, build=job.path.name))
        path = answers_of(job)
        if path is None:
            unanswered.append(job.path.name)
            continue
        try:
            (run,) = score(PackedSource(PackedData(data_of(job))), [path], Options(resamples=2))
        except UserError as error:
            notes.append(f"{job.path.name} is not compared: {error.message}")
            unanswered.append(job.path.name)
            continue
        own.runs.append(run)
        own.files.append(path)
        notes += missing_note(job.path.name, run)
    result = compare_answers(list(found.values()), seed)
    result.unanswered, result.notes = unanswered, [*notes, *result.notes]
    return result


def costs(jobs: list[Job]) -> list[Cost]:
    """GPU hours of what has answered; of the others they are not known here."""
    found = []
    for job in jobs:
        run = _run(job)
        gpus = PackedData(data_of(job)).packed.gpus
        hours = None if run is None else measured_hours(StageRecords(run), gpus)
        found.append(Cost(job, hours, hours is not None))
    return found


def answers_of(job: Job) -> Path | None:
    """The whole file of answers of a training; None while there is none."""
    run = _run(job)
    path = None if run is None else run / f"predictions_val_{run.name}.jsonl"
    return path if path is not None and path.is_file() else None


def _run(job: Job) -> Path | None:
    """The newest run of a training."""
    runs = [path.parent for path in job.path.glob("*-runs/*/status.json")]
    return max(runs, key=lambda run: (run / "status.json").stat().st_mtime_ns, default=None)


def _one_at_a_time(folder: Path) -> BinaryIO:
    try:
        return waited_for(folder / PACKING)
    except OSError:  # a file system that knows no locks
        return open(folder / PACKING, "ab")
