"""Whether results that were brought home are of the base model that their build names."""

from __future__ import annotations

from pathlib import Path

from datakit.artifacts.build_folder import BuildFolder
from datakit.evaluation.taking_over import TakenOver
from datakit.handoff.digests import Digests


def other_base(build: BuildFolder, taken: TakenOver) -> str:
    """Words for results of another base model than the build names: by content where both can be read, else
    by the last part of their names. "" for the same one, and where the results do not say."""
    results = taken.results
    base = str(build.training.get("model_name_or_path") or "") if build.training_file else ""
    if not results.base or not base:
        return ""
    folder = build.path / base
    if results.base_digest and folder.is_dir():
        is_other = Digests(taken.folder).model(folder) != results.base_digest
    else:
        is_other = Path(results.base).name.lower() != Path(base).name.lower()
    if not is_other:
        return ""
    return (
        f"these results are of another base model: {results.base}; the build names {base}. "
        "Their scores are not those of this build's training."
    )
