"""What each stage of a handoff is at a place: at home (from_build.py) or in a bundle (packed.py)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from datakit.handoff.digests import Digests
from datakit.training.logged_call import newest_log
from datakit.training.run_lock import RunLock

Say = Callable[[str], None]
"""Takes one line or more for the person who waits; they also go into the handoff's log."""


class Address(NamedTuple):
    """A server that answers, and whose weights it has."""

    url: str
    """Base address, such as http://127.0.0.1:8000/v1."""
    weights: str
    """Digest of the weights that it has loaded; UNKNOWN where only the server knows."""
    name: str | None = None
    """What requests call the model; None: the only one that is served."""
    flags: str | None = None
    """Digest of the flags that it was started with, UNKNOWN where only it knows; None: those of the plan."""


@dataclass
class Ended:
    """What a stage came to. Where it could not do its work it raises a DatakitError instead."""

    text: str = ""
    """For the person who waits: what came of it, in lines."""
    exit: int = 0
    """Of the whole command; another than 0 ends the handoff, and the stage is not done."""
    figures: dict[str, Any] = field(default_factory=dict)
    """For `--json`."""
    note: str = ""
    """What the status says of the stage from then on."""


class Progress(NamedTuple):
    """How far a stage has come; None where it does not say."""

    step: int | None = None
    total_steps: int | None = None
    eta_s: float | None = None
    losses: str = ""
    """Of a training, such as `loss 0.1234, eval_loss 0.2345`."""


class Road(ABC):
    """The stages at one place. All of them run in this process; only trainer and server are child processes.

    A stage may be ended at any moment, also by SIGKILL: called again it goes on or begins anew, and never
    takes something half-done for whole.
    """

    folder: Path
    """Of the run: logs, records of stages, status, what was trained, served, answered and scored."""
    command: str
    """The line that a person types to go on, such as `datakit handoff build/ecom_v3 --cpu`."""
    command_after: str = ""
    """What a person may type when everything is done, such as `datakit scores`."""
    elsewhere: str = ""
    """Address of a server that was given (`--base-url`): nothing is trained, exported or served here then."""
    rank: int = 0
    """This node's number; others than 0 check and train alone."""
    say: Say
    lock: RunLock | None = None
    """The right to drive the run, while the stages are gone through."""

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @cached_property
    def digests(self) -> Digests:
        """Checksums, remembered in the run."""
        return Digests(self.folder, lambda line: self.say(line))

    def begin(self) -> None:  # noqa: B027 (a bundle has nothing to do here)
        """Called before the first stage, when the run is this process's to drive."""

    def record_of(self, stage: str) -> str:
        """The name of a stage's record: another where the same stage is done for something else besides."""
        return stage

    def earlier_record_of(self, stage: str) -> str:
        """What earlier versions called the record, which others might share."""
        return self.record_of(stage)

    @abstractmethod
    def inputs(self, stage: str) -> dict[str, str]:
        """Name in words -> digest of everything that a stage's outcome depends on, of train, export, predict
        and evaluate.

        A name completes the sentence "predict runs: other … than on November 26", such as `served weights`.
        UNKNOWN stands for what cannot be read from here: then the stage always runs. GONE stands for what is
        not there. A name that a later version adds must be GONE where it changes nothing, because older
        records lack it. Raises UserError where a stage lacks something, such as a model to serve.
        """

    @abstractmethod
    def outputs(self, stage: str) -> dict[str, str]:
        """Path in the run (`trained`, `predictions_val_lora-1a2b3c.jsonl`) -> digest of what stands there.

        GONE where nothing does. Of a stage that leaves nothing the dictionary is empty.
        """

    @abstractmethod
    def stands(self, stage: str) -> bool:
        """Whether the outcome of a stage without a record may be taken as it is.

        Of train alone: a training that was ended by an earlier version or by `datakit train`. Nobody noted of
        what the outcome of another stage was made.
        """

    def trained_with(self) -> dict[str, str] | None:
        """The inputs of train that what lies in the run was begun with; None where nobody noted them."""
        return None

    @abstractmethod
    def check(self) -> Ended:
        """Looks at data and machine before anything starts. `exit` is 1 where something is wrong."""

    @abstractmethod
    def train(self, *, anew: bool) -> Ended:
        """Trains, from the last whole checkpoint on; `anew`: what was trained is set aside before.

        Attaches to a training of this run that is alive.
        """

    def refuse_training_anew(self) -> None:  # noqa: B027 (a road without a run has nothing to refuse)
        """Raises UserError where a training of this run is alive: nothing is moved under its hands."""

    @abstractmethod
    def export(self) -> Ended:
        """Makes the served model anew; only when it is whole does it take the place of an earlier one."""

    @abstractmethod
    def serving(self) -> AbstractContextManager[Address]:
        """A server of the served model that answers; one that was started here ends with the block."""

    @abstractmethod
    def serve_until_ended(self, address: Address) -> Ended:
        """Returns when the server has ended by itself."""

    @abstractmethod
    def predict(self, address: Address, *, anew: bool) -> Ended:
        """Asks about every record; `anew`: answers of an unfinished run are set aside before.

        The digest of the weights is part of the mark of unfinished answers. `exit` is 3 where some records
        had no answer.
        """

    @abstractmethod
    def evaluate(self) -> Ended:
        """Scores the answers and writes the page. `exit` is 3 where records have no answer."""

    @abstractmethod
    def scores(self) -> Ended:
        """The scores of the last evaluation and where its page is; as numbers in `figures`."""

    def progress(self, stage: str) -> Progress:
        """How far a stage that runs has come. Called from another thread, every few seconds."""
        return Progress()

    def log_of(self, stage: str) -> Path | None:
        """The newest log of the stage's own program (trainer, server); None where it has none."""
        return newest_log(self.logs, stage)
