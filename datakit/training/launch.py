"""Runs LLaMA-Factory on a build: training that resumes, with its log kept and its progress told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from datakit.artifacts import names
from datakit.core.errors import DatakitError, Exit, UserError
from datakit.core.interrupts import unhurried, uninterrupted
from datakit.core.private_files import open_private, private_folder
from datakit.training import trainer
from datakit.training.run_folder import RunFolder, checkpoints

Say = Callable[[str], None]
_LOOK_EVERY_S = 1.0
_TOLD_LINES = 15


class TrainerFailed(DatakitError):
    """The trainer ended with an error; its log is kept."""

    exit_code = Exit.FAILED


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
    already: bool = False
    """The training had come to its end before; nothing was done."""


def train_call(run: RunFolder, place: Place) -> trainer.Call:
    """The call that trains the data set. Raises UserError where something that it needs is missing."""
    program = trainer.find_trainer(place.python)
    gpus, nodes = share(run, place)
    words = [str(program), "train", names.TRAINING, *run.train_words]
    if place.cpu:
        words += ["use_cpu=true", "bf16=false", "fp16=false", "dataloader_num_workers=0"]
    words += place.flags
    settings = trainer.distributed(
        gpus=gpus,
        nodes=nodes,
        deepspeed=run.deepspeed() is not None,
        node_rank=place.node_rank,
        master=place.master,
        port=place.master_port,
    )
    settings |= trainer.threads(int(run.keys.get("preprocessing_num_workers") or 1), gpus)
    return trainer.Call(tuple(words), run.data.path, settings)


def train(run: RunFolder, place: Place, say: Say, *, check_machine: CheckMachine) -> Trained:
    """The training of a data set, from its last whole checkpoint on if there is one.

    `check_machine` refuses what cannot train here, before anything starts: at home by the memory plan.
    Raises UserError for such a machine, TrainerFailed when the trainer fails.
    """
    if run.finished():
        say(f"The training has come to its end before: {run.trained}")
        return _account(run, Trained(trained=str(run.trained), already=True))
    call = train_call(run, place)
    if not place.cpu:
        check_machine(run, place, say)
    # Node 0 writes the checkpoints; on a shared disk the others must not move them under its hands.
    first = call.settings.get("NODE_RANK", "0") == "0"
    whole = _set_half_written_aside(run, say) if first else checkpoints(run.trained)[0]
    resumed = whole[-1].name if whole else ""
    if resumed:
        say(f"Going on from {resumed}.")
    began = time.monotonic()
    log = run_logged(call, run.logs, "train", say, progress=run.progress)
    if first and not run.finished():
        raise TrainerFailed(f"the trainer ended without a model in {run.trained}\n  Its log: {log}")
    trained = Trained(trained=str(run.trained), log=str(log), resumed_from=resumed)
    trained.seconds = round(time.monotonic() - began, 1)
    return _account(run, trained)


def run_logged(
    call: trainer.Call,
    logs: Path,
    name: str,
    say: Say,
    progress: Callable[[], dict[str, Any] | None] = lambda: None,
) -> Path:
    """The log of a call that has come to its end. Raises TrainerFailed with the log's last lines.

    Interrupting ends the whole process group, so that no process keeps a GPU.
    """
    private_folder(logs)
    log = logs / f"{name}-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.log"
    say(f"Log: {log}")
    with open_private(log) as file, unhurried():
        file.write(f"$ {call.shown()}\n".encode())
        file.flush()
        process: subprocess.Popen[bytes] | None = None
        try:
            with uninterrupted():
                process = subprocess.Popen(
                    call.words,
                    cwd=call.folder,
                    env=call.environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            code = _wait(process, say, progress)
        except BaseException:
            if process is not None:
                _end(process)
            raise
    if code:
        raise TrainerFailed(_failure(name, code, log))
    return log


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


def _set_half_written_aside(run: RunFolder, say: Say) -> list[Path]:
    """The whole checkpoints. The trainer would resume from the last one, whole or not."""
    whole, half = checkpoints(run.trained)
    for path in half:
        target = run.folder / "half-written" / f"{path.name}-{time.time_ns()}"
        target.parent.mkdir(exist_ok=True)
        path.rename(target)
        say(f"{path.name} was only half-written: set aside as {target}")
    return whole


def _wait(process: subprocess.Popen[bytes], say: Say, progress: Callable[[], dict[str, Any] | None]) -> int:
    last_account: Any = progress()
    while True:
        try:
            return process.wait(_LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            account = progress()
            if account is not None and account != last_account:
                say(_told(account))
                last_account = account


def _told(account: dict[str, Any]) -> str:
    steps = f"step {account.get('current_steps', '?')} of {account.get('total_steps', '?')}"
    losses = [f"{name} {account[name]:.4f}" for name in ("loss", "eval_loss") if name in account]
    time_left = f"{account['remaining_time']} left" if "remaining_time" in account else ""
    return ", ".join(text for text in (steps, *losses, time_left) if text)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the trainer with all its workers: first kindly, so that it can release the GPU."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            continue
        return


def _failure(name: str, code: int, log: Path) -> str:
    text = log.read_text("utf-8", "replace")
    lines = [line for line in text.splitlines() if line.strip()]
    remedy = trainer.explain("\n".join(lines[-200:]))
    how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
    tail = "\n".join(f"    {line[:200]}" for line in lines[-_TOLD_LINES:])
    return f"llamafactory-cli {name} {how}. The end of its log, {log}:\n{tail}\n  {remedy}".rstrip()


def _account(run: RunFolder, trained: Trained) -> Trained:
    """Steps and losses out of the trainer's own log."""
    path = run.trained / "trainer_log.jsonl"
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        trained.steps = int(entry.get("current_steps", trained.steps))
        trained.loss = entry.get("loss", trained.loss)
        trained.eval_loss = entry.get("eval_loss", trained.eval_loss)
    return trained
