"""packed.json of a build: what its stages need on a machine without datakit."""

from __future__ import annotations

from contextlib import suppress

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.packed import Packed
from datakit.bundling.serving import serving_of
from datakit.core.answer import LABEL
from datakit.core.errors import UserError
from datakit.evaluation.from_build import BuildSource
from datakit.serving.requirements import NEED, longest_prompt, trained_room, trainer_limits
from datakit.training.run_folder import RunFolder


def packed_of(build: BuildFolder) -> Packed:
    """The figures and truths of a build. Raises UserError for one that is not for LLaMA-Factory."""
    source, limits = BuildSource(build), trainer_limits(build)
    columns = {LABEL: None}
    with suppress(UserError):  # answers of a kind that is not scored can still be had
        target = source.target()
        columns |= dict.fromkeys(name for name in (target.column, target.references) if name)
    run = RunFolder.of(build.path) if build.training_file is not None else None
    present = [name for name in columns if name in build.columns]
    return Packed(
        name=source.name,
        content=source.content,
        seed=source.seed,
        emitted_max_pixels=build.emitted_for(NEED).image_max_pixels,
        trainer_max_pixels=limits.max_pixels,
        trainer_min_pixels=limits.min_pixels,
        answer_tokens=trained_room(build),
        prompt_tokens=longest_prompt(build),
        columns=present,
        records=[list(row) for row in source.records(*present)],
        training=run.keys if run is not None else None,
        export=run.export_keys if run is not None else None,
        deepspeed=run.deepspeed() if run is not None else None,
        gpus=run.gpus if run is not None else 1,
        nodes=run.nodes if run is not None else 1,
        serving=serving_of(run, source.name) if run is not None else build.serving,
    )
