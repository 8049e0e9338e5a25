"""`datakit serve`."""

from __future__ import annotations

import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from datakit.cli.build_path import BuildPath
from datakit.cli.numbers import FiniteNumber
from datakit.core.errors import UserError
from datakit.core.scripts import shell_lines

if TYPE_CHECKING:
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.serving.plan import ServingPlan

EPILOG = """\b
Examples:
  datakit serve build/ecom_v3 --dry-run
  datakit serve build/ecom_v3 --model build/ecom_v3-runs/merged
  datakit serve build/ecom_v3 --gpus 2 --gpu-memory-gb 24 --port 8001
  datakit serve build/ecom_v3 --model tiny --cpu --check-only
"""


@click.command(epilog=EPILOG)
@click.argument("build", type=BuildPath(outlives=True))
@click.option(
    "--model", metavar="PATH", help="Folder of the merged model; where the export put it if not given."
)
@click.option("--dry-run", is_flag=True, help="Print the command and why, start nothing.")
@click.option("--gpus", type=click.IntRange(min=1), help="GPUs to split over; serve.gpus if not given.")
@click.option(
    "--gpu-memory-gb", type=FiniteNumber(min=1, max=10_000), help="Memory of one GPU; serve.gpu_memory_gb."
)
@click.option("--port", type=click.IntRange(1, 65535), help="Port on this machine; serve.port if not given.")
@click.option("--cpu", is_flag=True, help="Serve on CPU (needs the CPU build of vLLM).")
@click.option("--check-only", is_flag=True, help="Start, ask about one record, stop.")
@click.option(
    "--timeout-s",
    default=900.0,
    show_default=True,
    help="Longest wait for the start; one that stands still is ended before, by its log.",
)
@click.option("--vllm", "program", default="vllm", envvar="DATAKIT_VLLM", help="The vLLM command.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON on stdout.")
def command(
    build: Path,
    model: str | None,
    dry_run: bool,
    gpus: int | None,
    gpu_memory_gb: float | None,
    port: int | None,
    cpu: bool,
    check_only: bool,
    timeout_s: float,
    program: str,
    as_json: bool,
) -> int:
    """Serve the model trained on BUILD with vLLM, with the pixels and lengths of its training.

    What cannot start is refused beforehand, with the figures. A start that fails for a known reason is tried
    once more with what the server said. The first record is asked about before the server counts as ready.
    """
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.serving.from_build import plan_for

    changes = {"gpus": gpus, "gpu_memory_gb": gpu_memory_gb, "port": port}
    folder = BuildFolder(build)
    plan = plan_for(
        folder,
        model,
        {key: value for key, value in changes.items() if value is not None},
        cpu=cpu,
        untrained=dry_run,
    )
    if as_json:
        from datakit.cli.tables import print_json
        from datakit.serving.serve_files import plan_json

        print_json(plan_json(plan))
    else:
        _show(folder, plan, program)
    if dry_run:
        return 0
    return _serve(folder, plan, program, timeout_s, check_only, quiet=as_json)


def _show(build: BuildFolder, plan: ServingPlan, program: str) -> None:
    """The command as it can be pasted, then why each flag is there."""
    from datakit.cli.tables import print_pairs
    from datakit.serving.ask_files import ask_commands
    from datakit.serving.serve_files import figures

    click.echo(f"{shell_lines(plan.parts(program))}\n")
    print_pairs([(flag.name, flag.why) for flag in plan.flags])
    if not Path(plan.model).is_dir():
        _say(f"Note: {plan.model} is no folder here; an export of the training puts its model into one.")
    _say(figures(plan))
    for note in plan.notes:
        _say(f"Note: {note}.")
    for line in ask_commands(build, plan):
        click.echo(line)


def _say(text: str) -> None:
    """A paragraph, broken between words at a terminal."""
    if sys.stdout.isatty():
        text = textwrap.fill(text, shutil.get_terminal_size().columns, break_long_words=False)
    click.echo(text)


def _serve(
    build: BuildFolder, plan: ServingPlan, program: str, timeout_s: float, check_only: bool, *, quiet: bool
) -> int:
    from datakit.artifacts.signoff import require_signoff
    from datakit.core.qwen_models import qwen_model
    from datakit.serving.launch import running
    from datakit.serving.smoke import smoke_test
    from datakit.training.run_claim import refuse_copy
    from datakit.training.run_folder import RunFolder, has_weights

    if build.training_file is not None:
        run = RunFolder.of(build.path)
        if Path(plan.model) == run.served:
            refuse_copy(run)
            require_signoff(build)
    if Path(plan.model).is_dir() and not has_weights(Path(plan.model)):
        raise UserError(
            f"the weights in {plan.model} are missing or not whole",
            remedy="Export the model again (datakit export BUILD), or copy its folder anew.",
        )

    def say(text: str) -> None:
        if not quiet:
            click.echo(text)

    log = build.runs / "logs" / "serve.log"
    say(f"Starting vLLM; its log: {log}")
    with running(plan.serve_command, log, program=program, timeout_s=timeout_s, say=say) as server:
        result = smoke_test(build, server.url, server.plan.name, qwen_model(plan.model))
        say(result.text)
        if check_only or not result.good:
            return 0 if result.good else 1
        say(f"Serving at {server.url} as `{server.plan.name}`. Ctrl-C ends it.")
        code = server.process.wait()
    say(f"The server ended by itself (code {code}); its log: {server.log}")
    return 0 if code == 0 else 1
