"""Packs an ablation into one tar: the bundle of every training, and the command that takes them all."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from datakit.artifacts import names
from datakit.artifacts.ablation_record import AblationRecord, Job
from datakit.artifacts.needs import Needs
from datakit.artifacts.packed_ablation import PackedAblation
from datakit.bundling import light
from datakit.bundling.archive import Writer
from datakit.bundling.pack import START_HERE, Bundle, fill, packable, written
from datakit.bundling.start_here import start_ablation
from datakit.core.errors import UserError
from datakit.core.json_bytes import json_bytes


def bundle_ablation(folder: Path, record: AblationRecord, about: PackedAblation, out: Path) -> Bundle:
    """Writes the archive `out` (.tar, or .tar.gz) of an ablation's builds; whole or not at all.

    Each training is a whole bundle in a folder of its name; what several have alike, such as pictures and
    code, stands in the archive once and is linked. Raises UserError for a build that cannot be packed.
    """
    jobs = list(record.jobs(folder))
    packed = [packable(job.path) for job in jobs]
    several = [job.path.name for job, (run, _) in zip(jobs, packed, strict=True) if run.nodes > 1]
    if several:
        raise UserError(
            f"{several[0]} trains on several nodes, and an archive trains each change on one machine",
            remedy="Set train.nodes to 1, or run it from here: datakit ablate RECIPE --run",
        )

    def fill_it(writer: Writer) -> None:
        needs = [
            fill(writer, run, manifest, f"{job.path.name}/")
            for job, (run, manifest) in zip(jobs, packed, strict=True)
        ]
        _add_command(writer, jobs, needs, about)

    return written(out, f"{record.recipe}-ablation", fill_it, links=True)


def _add_command(writer: Writer, jobs: Sequence[Job], needs: Sequence[Needs], about: PackedAblation) -> None:
    payload = files("datakit.bundling") / "payload"
    contents = {
        "run.sh": (payload / "run.sh").read_bytes(),
        "handoff.py": (payload / "ablation" / "handoff.py").read_bytes(),
        names.ABLATION: json_bytes(about.model_dump()) + b"\n",
        START_HERE: start_ablation(about, writer.top, jobs, needs).encode(),
        **{path: file.read_bytes() for path, file in light.carried().items()},
    }
    for path in sorted(contents):
        writer.add(path, contents[path])
    writer.add_sums()
