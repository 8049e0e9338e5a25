"""`datakit train`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from datakit.cli.build_path import BuildPath
from datakit.core.counted import counted
from datakit.core.errors import DatakitError

if TYPE_CHECKING:
    from datakit.training.launch import Place, Trained
    from datakit.training.run_folder import RunFolder

EPILOG = """\b
Examples:
  datakit train build/ecom_v3
  datakit train build/ecom_v3 --dry-run
  datakit train build/ecom_v3 --python /envs/trainer/bin/python
  datakit train build/ecom_v3 --node-rank 1 --master 10.0.0.1
"""


@click.command(epilog=EPILOG)
@click.argument("build", type=BuildPath(outlives=True))
@click.option(
    "--python", metavar="PATH", help="Python of the trainer's environment; DATAKIT_TRAINER else PATH."
)
@click.option(
    "--gpus", type=click.IntRange(min=1), help="GPUs of this node; those of the recipe if not given."
)
@click.option("--nodes", type=click.IntRange(min=1), help="Nodes; those of the recipe if not given.")
@click.option("--node-rank", type=click.IntRange(min=0), help="This node's number, from 0 (or NODE_RANK).")
@click.option("--master", metavar="ADDRESS", help="Address of node 0 (or MASTER_ADDR).")
@click.option("--master-port", type=click.IntRange(1, 65535), help="Port on node 0 (or MASTER_PORT).")
@click.option("--cpu", is_flag=True, help="Train on the processor: for trials with tiny models.")
@click.option("--ignore-memory", is_flag=True, help="Start even where memory does not suffice by the plan.")
@click.option("--dry-run", is_flag=True, help="Print the command, and start nothing; needs no trainer.")
@click.option("--json", "as_json", is_flag=True, help="Print the account as JSON on stdout.")
def command(
    build: Path,
    python: str | None,
    gpus: int | None,
    nodes: int | None,
    node_rank: int | None,
    master: str | None,
    master_port: int | None,
    cpu: bool,
    ignore_memory: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Train the model of BUILD with LLaMA-Factory, and go on from the last whole checkpoint if there is one.

    The trainer may live in an environment of its own (--python). Its log stands in the run's folder beside
    the build. Ctrl-C ends it with all its processes, and the same command goes on. A closed terminal, or the
    end of this process by SIGKILL, leaves it alive: the same command then attaches to it.
    """
    from datakit.artifacts.signoff import require_signoff
    from datakit.cli.tables import print_call, print_json
    from datakit.training.launch import Place, train_call
    from datakit.training.run_folder import RunFolder

    run = RunFolder.of(build)
    place = Place(
        python=python,
        gpus=gpus,
        nodes=nodes,
        node_rank=node_rank,
        master=master,
        master_port=master_port,
        cpu=cpu,
        ignore_memory=ignore_memory,
    )
    if dry_run:
        call = train_call(run, place, only_shown=True)
        print_call(call, as_json=as_json)
        return 0
    require_signoff(run.build)
    result = _train(run, place, lambda line: click.echo(line, err=as_json))
    if as_json:
        print_json(result.model_dump())
    else:
        loss = "" if result.loss is None else f", loss {result.loss:.4f}"
        click.echo(f"Trained: {result.trained} ({counted(result.steps, 'step')}{loss})")
    return 0


def _train(run: RunFolder, place: Place, show: Callable[[str], None]) -> Trained:
    """The training, with a line at least every 30 s and a status that `datakit handoff --status` shows."""
    from datakit.handoff.heartbeat import Heartbeat
    from datakit.handoff.journal import Journal
    from datakit.handoff.road import Progress
    from datakit.handoff.stages import TRAIN
    from datakit.handoff.status import DONE, FAILED, INTERRUPTED, write_status
    from datakit.training.launch import rank_of, train
    from datakit.training.logged_call import newest_log
    from datakit.training.machine_check import check_machine
    from datakit.training.run_claim import claim, refuse_copy
    from datakit.training.run_lock import held_run

    refuse_copy(run)

    def progress(stage: str) -> Progress:
        figures = run.progress()
        return Progress(figures.step, figures.total_steps, figures.eta_s, figures.losses)

    rank, line, look = rank_of(run, place), run.command("train"), f"{run.command('handoff')} --status"
    with (
        held_run(run.folder, rank, line, look) as lock,
        Journal(run.logs, show) as journal,
        Heartbeat(
            journal,
            lambda status: write_status(run.folder, status, rank),
            progress,
            lambda stage: newest_log(run.logs, stage),
            line,
        ) as beat,
    ):
        beat.begin(TRAIN)
        try:
            if not rank:
                claim(run, journal.say)
            result = train(run, place, journal.say, check_machine=check_machine, lock=lock)
        except BaseException as error:
            if isinstance(error, DatakitError):
                journal.note(f"train failed: {error}")
                beat.end(FAILED, f"train failed: {str(error).splitlines()[0]}")
            else:
                beat.end(INTERRUPTED if isinstance(error, KeyboardInterrupt) else FAILED)
            raise
        beat.end(DONE)
        return result
