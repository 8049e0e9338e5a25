"""serve.json and serve.sh: the serving plan as it stands in a build."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from datakit.artifacts.build_draft import BuildDraft
from datakit.artifacts.serving import Serving
from datakit.core.qwen_models import qwen_model
from datakit.core.scripts import comment, shell_words
from datakit.core.transform import Artifact
from datakit.serving.ask_files import ask_files
from datakit.serving.plan import ServingPlan, plan_serving
from datakit.serving.requirements import requirements_of
from datakit.serving.serve_command import PLACE
from datakit.serving.settings import ServeSettings


def write_serving(
    draft: BuildDraft, name: str, settings: ServeSettings, architecture: str
) -> tuple[list[Artifact], ServingPlan]:
    """Writes the plan of a build for the model `architecture` (a name or folder), and how to start it.

    The script takes the folder of the trained model: until the training is exported there is none. Raises
    UserError for what cannot start.
    """
    model = qwen_model(architecture)
    plan = plan_serving(
        model, requirements_of(draft, model), settings, served=PLACE, name=settings.name or name
    )
    written = [
        *draft.write_serving(Serving.model_validate(plan_json(plan)), script(plan, model.name)),
        *draft.write_asking(*ask_files(draft, plan)),
    ]
    return [Artifact(path=file, kind="config") for file in written], plan


def plan_json(plan: ServingPlan) -> dict[str, Any]:
    """The plan as JSON: command, reasons, figures."""
    document = asdict(plan)
    document["flags"] = [asdict(flag) for flag in plan.flags]
    document["command"] = plan.command()
    document["url"] = plan.url
    return document


def script(plan: ServingPlan, architecture: str) -> str:
    """A shell script that serves the model given to it, each flag with its reason."""
    lines = [
        "#!/usr/bin/env bash",
        comment(f"Serves {plan.name} with vLLM, written by datakit; a new build writes it anew."),
        comment("run: ./serve.sh FOLDER_OF_THE_MERGED_MODEL [further flags of vllm serve]"),
        comment(f"Planned for the architecture of {architecture}."),
        comment(figures(plan)),
        *(comment(f"Note: {note}.") for note in plan.notes),
    ]
    lines += [
        "set -euo pipefail",
        'model=${1:?"give the folder of the merged model (llamafactory-cli export makes it)"}; shift',
        "flags=(",
    ]
    for flag in plan.flags:
        lines.append(f"  {shell_words(flag.words)}  {comment(flag.why)}")
    lines += [")", 'exec vllm serve "$model" "${flags[@]}" "$@"']
    return "\n".join(lines) + "\n"


def figures(plan: ServingPlan) -> str:
    """The memory of the plan in one sentence."""
    memory, gib = plan.memory, 1 << 30
    return (
        f"Each GPU (or the CPU): {memory.taken / gib:.1f} of {memory.total / gib:.1f} GiB for vLLM; weights "
        f"{memory.weights / gib:.1f}, working memory about {memory.working / gib:.1f}, cache "
        f"{memory.cache / gib:.2f} GiB = {memory.longest_context:,} tokens at {memory.bytes_per_token:,.0f} "
        f"bytes; the longest request has {plan.max_model_len:,}."
    )
