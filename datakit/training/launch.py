"""Runs LLaMA-Factory on a build: training that resumes, with its log kept and its progress told."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from datakit.artifacts import names
from datakit.core.errors import UserError
from datakit.training import trainer
from datakit.training.base_model import refuse_other_base
from datakit.training.checkpoint_names import mend_names
from datakit.training.leftovers import tell_leftovers
from datakit.training.logged_call import Say, TrainerFailed, steady
from datakit.training.lost_weights import keep_best, set_spoilt_aside
from datakit.training.run_folder import RunFolder, checkpoints
from datakit.training.run_lock import RunLock, held_run
from datakit.training.supervise import attach, is_alive, run_trainer
from datakit.training.trainer_process import TrainerProcess


@dataclass(frozen=True)
class Place:
    """Where a training runs: this node among others, its trainer, its devices."""

    python: str | None = None
    gpus: int | None = None
    """Of this node; those of the recipe when not given."""
    nodes: int | None = None
    node_rank: int | None = None
    master: str | None = None
    master_port: int | None = None
    cpu: bool = False
    """On the processor: for trials with tiny models."""
    ignore_memory: bool = False
    as_reckoned: bool = True
    """Refuse another number of GPUs than the steps were reckoned for: where one can build again."""
    flags: tuple[str, ...] = ()
    """Further words for the trainer, such as `learning_rate=1e-5`."""


CheckMachine = Callable[[RunFolder, Place, Say], None]


class Trained(BaseModel):
    """What a training came to."""

    trained: str
    """Folder of the adapter or model."""
    log: str = ""
    steps: int = 0
    loss: float | None = None
    """The last training loss."""
    eval_loss: float | None = None
    resumed_from: str = ""
    """Name of the checkpoint that the training went on from."""
    seconds: float = 0.0
    attached: bool = False
    """The training was alive without a driver, and this one followed it to its end."""
    already: bool = False
    """The training had come to its end before; nothing was done."""


def train_call(run: RunFolder, place: Place, *, only_shown: bool = False) -> trainer.Call:
    """The call that trains the data set. Raises UserError where something that it needs is missing.

    One that is `only_shown` needs no trainer and no model on this machine.
    """
    if not only_shown:
        refuse_other_base(run.keys, run.data.path)
    program = trainer.find_trainer(place.python, must_exist=not only_shown)
    gpus, nodes = share(run, place)
    words = [str(program), "train", names.TRAINING, *run.train_words]
    if place.cpu:
        words += ["use_cpu=true", "bf16=false", "fp16=false", "dataloader_num_workers=0"]
    if run.keys.get("overwrite_output_dir"):  # with it the trainer goes on from no checkpoint
        words.append("overwrite_output_dir=false")
    words += place.flags
    deepspeed = run.deepspeed()
    settings = trainer.distributed(
        gpus=gpus,
        nodes=nodes,
        deepspeed=deepspeed is not None,
        node_rank=place.node_rank,
        master=place.master,
        port=place.master_port,
    )
    workers = int(run.keys.get("preprocessing_num_workers") or 1)
    settings |= trainer.threads(workers, gpus, updates_on_host=trainer.updates_on_host(run.keys, deepspeed))
    settings |= trainer.allocator()
    return trainer.Call(tuple(words), run.data.path, settings)


def train(
    run: RunFolder,
    place: Place,
    say: Say,
    *,
    check_machine: CheckMachine,
    lock: RunLock | None = None,
) -> Trained:
    """The training of a data set, from its last whole checkpoint on if there is one.

    A training of this run that is alive, because its driver was killed or its terminal closed, is attached to
    and followed to its end. `check_machine` refuses what cannot train here before anything starts: at home by
    the memory plan. `lock` comes from who drives the run already. Raises UserError for a machine that cannot
    train and for a run that another process drives, TrainerFailed when the trainer fails.
    """
    if lock is not None:
        return _train(run, place, steady(say), check_machine, lock)
    look = f"{run.command('handoff')} --status"
    with held_run(run.folder, rank_of(run, place), f"{run.command('train')}", look) as own:
        return _train(run, place, steady(say), check_machine, own)


def _train(run: RunFolder, place: Place, say: Say, check_machine: CheckMachine, lock: RunLock) -> Trained:
    began = time.monotonic()
    training = TrainerProcess.read(run.folder, lock.rank)
    if training is not None and is_alive(run, training):
        log = attach(run, training, say, lock.rank)
        if lock.rank == 0:
            keep_best(run, log, say)
        return _account(run, Trained(trained=str(run.trained), log=str(log), attached=True), began)
    tell_leftovers(run.folder.parent, say)
    if lock.rank == 0:
        set_spoilt_aside(run, say)
    if run.finished():
        if lock.rank == 0 and training is not None:
            keep_best(run, Path(training.log), say)
        say(f"The training has come to its end before: {run.trained}")
        return _account(run, Trained(trained=str(run.trained), already=True), began)
    call = train_call(run, place)
    if not place.cpu:
        check_machine(run, place, say)
    with lock.for_trainer(say) as inherited:
        # Node 0 writes the checkpoints; on a shared disk the others must not move them under its hands.
        whole = _set_half_written_aside(run, say) if lock.rank == 0 else checkpoints(run.trained)[0]
        resumed = whole[-1].name if whole else ""
        if resumed:
            _make_resumable(run, whole[-1], say, lock.rank)
        log = run_trainer(run, call, say, lock.rank, inherited)
    tell_leftovers(run.folder.parent, say, wait=True)
    if lock.rank == 0 and not run.finished():
        raise TrainerFailed(f"the trainer ended without a model in {run.trained}\n  Its log: {log}")
    if lock.rank == 0:
        keep_best(run, log, say)
    return _account(run, Trained(trained=str(run.trained), log=str(log), resumed_from=resumed), began)


def rank_of(run: RunFolder, place: Place) -> int:
    """This node's number among those that train; 0 where it is alone or does not say."""
    rank = str(os.environ.get("NODE_RANK", "0") if place.node_rank is None else place.node_rank)
    return int(rank) if (place.nodes or run.nodes) > 1 and rank.isdigit() else 0


def gpus_and_nodes(run: RunFolder) -> tuple[int, int]:
    """GPUs of each node and number of nodes, as the recipe says and the steps were reckoned with."""
    return max(1, run.gpus // run.nodes), run.nodes


def share(run: RunFolder, place: Place) -> tuple[int, int]:
    """GPUs of each node and nodes that train. Raises UserError where they are others than reckoned with."""
    gpus, nodes = gpus_and_nodes(run)
    per_node, across = place.gpus or gpus, place.nodes or nodes
    if place.as_reckoned and per_node * across != gpus * nodes:
        raise UserError(
            f"the steps were reckoned for {gpus * nodes} GPUs in all, and {per_node * across} would train",
            remedy=f"Build again for them: --set train.gpus={per_node * across} --set train.nodes={across}",
        )
    return per_node, across


def _make_resumable(run: RunFolder, checkpoint: Path, say: Say, rank: int) -> None:
    """Says what the training goes on from, once the trainer will find its weights there."""
    if rank == 0 and run.method != "lora" and run.deepspeed() is None:
        renamed = mend_names(checkpoint)
        if renamed:
            say(f"{renamed} weights of {checkpoint.name} have the names now under which the trainer looks.")
    say(f"Going on from {checkpoint.name}.")


def _set_half_written_aside(run: RunFolder, say: Say) -> list[Path]:
    """The whole checkpoints. The trainer would resume from the last one, whole or not."""
    whole, half = checkpoints(run.trained)
    for path in half:
        target = run.folder / "half-written" / f"{path.name}-{time.time_ns()}"
        target.parent.mkdir(exist_ok=True)
        path.rename(target)
        say(f"{path.name} was only half-written: set aside as {target}")
    return whole


def _account(run: RunFolder, trained: Trained, began: float) -> Trained:
    """Steps and losses out of the trainer's own log."""
    progress = run.progress()
    trained.steps, trained.loss, trained.eval_loss = progress.step or 0, progress.loss, progress.eval_loss
    trained.seconds = 0.0 if trained.already else round(time.monotonic() - began, 1)
    return trained
