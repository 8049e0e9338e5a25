"""What both places do alike: they train, export, serve and ask, for one run of a data set."""

from __future__ import annotations

import json
import os
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datakit
from datakit.artifacts.run_ids import safe
from datakit.core.errors import DatakitError, Exit, UserError
from datakit.core.json_bytes import json_bytes
from datakit.core.regular_files import read_regular
from datakit.core.replacing import set_aside, stamp_now
from datakit.handoff import digests
from datakit.handoff.answering import server_name
from datakit.handoff.asked import ended
from datakit.handoff.handoff import SERVED, SERVING
from datakit.handoff.listening import listening_since
from datakit.handoff.own_server import await_end_of_orphan, flags_of_server, note_server
from datakit.handoff.road import Address, Ended, Progress, Road
from datakit.handoff.stages import EVALUATE, EXPORT, GONE, PREDICT, SERVE, TRAIN, UNKNOWN
from datakit.run.progress import Progress as Counter
from datakit.serving.asker import Asker
from datakit.serving.endpoint import Connect, Endpoint, by_aiohttp
from datakit.serving.items import Item
from datakit.serving.launch import Server, running
from datakit.serving.predict import predict
from datakit.serving.serve_command import ServeCommand
from datakit.training.export import export
from datakit.training.launch import CheckMachine, Place, gpus_and_nodes, train
from datakit.training.run_folder import RunFolder, has_weights
from datakit.training.supervise import refuse_alive

SPLITS = ("train", "val")
"""What may be asked with the prompts that the data set holds, and scored."""
_WITHOUT_EFFECT = frozenset(
    {"output_dir", "export_dir", "dataloader_num_workers", "ddp_timeout", "logging_steps", "plot_loss"}
    | {"preprocessing_num_workers", "report_to"}
)
"""The trainer's keys that change nothing about the weights."""
_OF_MACHINE = frozenset(
    {"--port", "--host", "--served-model-name", "--gpu-memory-utilization", "--kv-cache-memory-bytes"}
    | {"--max-num-seqs", "--tensor-parallel-size", "--enforce-eager", "--skip-mm-profiling"}
)
"""Flags of the server that are of its machine and change no answer."""
_TICK_S = 0.05
"""The kernel tells the start of a process by hundredths of a second."""
_TRAINED_WITH = "trained-with.json"
"""What the training in the run's folder takes in, noted when it begins."""
_MODELS = ("model_name_or_path", "adapter_name_or_path", "ref_model", "reward_model")
"""Keys that name a model: its content counts where it is a folder, not its place."""


@dataclass(frozen=True)
class Wishes:
    """What is asked of the stages after the training. Only what changes an answer or a score is in a key."""

    split: str = "val"
    """train, val, a folder of pictures, or a .jsonl file; a bundle knows the first two."""
    closed: bool = False
    form: str | None = None
    max_answer_tokens: int | None = None
    limit: int | None = None
    model: str | None = None
    """Served name; the only one, or the plan's, if not given."""
    concurrency: int = 32
    timeout_s: float = 300.0
    """Longest wait for an answer."""
    answered_only: bool = False
    tolerance: float = 0.0
    program: str = "vllm"
    start_timeout_s: float = 900.0
    """Longest wait for a server."""

    @property
    def options(self) -> str:
        """What changes an answer; without the later ones the mark is that of earlier versions."""
        later = {"form": self.form, "max_answer_tokens": self.max_answer_tokens}
        return f"closed={self.closed}" + "".join(f" {key}={value}" for key, value in later.items() if value)


class ServerUnfit(DatakitError):
    """A server that started and does not answer as the training was."""

    exit_code = Exit.FAILED


class RunRoad(Road):
    """A road whose stages work on a RunFolder."""

    run: RunFolder
    place: Place
    wishes: Wishes
    check_machine: CheckMachine
    """Refuses a machine that cannot train."""
    more_room: str
    """What gives answers that were cut off more room, in this road's words."""
    more_time: str
    """What gives a start of the server more time."""

    def __init__(self) -> None:
        self._counter = Counter(quiet=True)
        self._server: Server | None = None

    @abstractmethod
    def data(self) -> str:
        """Digest of the data set as it lies there: rows, truths and how answers are read."""

    @abstractmethod
    def prompts(self) -> str:
        """Digest of everything that is sent to the server."""

    @abstractmethod
    def items(self) -> Sequence[Item]:
        """The records that are asked about."""

    @abstractmethod
    def asker(self, address: Address) -> Asker:
        """Asks the server."""

    @abstractmethod
    def serve_command(self) -> ServeCommand:
        """What serves the model on this machine."""

    @abstractmethod
    def try_server(self, url: str, name: str) -> None:
        """Asks a fresh server about one record. Raises a DatakitError for one that cannot be used."""

    @property
    @abstractmethod
    def answers(self) -> Path:
        """The file of answers."""

    @property
    @abstractmethod
    def scored(self) -> Sequence[Path]:
        """The files that an evaluation writes."""

    @property
    @abstractmethod
    def counts_prompts(self) -> bool:
        """Whether the tokens of a prompt in the training are known."""

    @property
    def server_env(self) -> dict[str, str]:
        """Environment of the server beside that of this process."""
        return {}

    def record_of(self, stage: str) -> str:
        if stage in (PREDICT, EVALUATE) and self.wishes.split != "val":
            return f"{stage}_{self.source}"
        return stage

    def earlier_record_of(self, stage: str) -> str:
        if stage in (PREDICT, EVALUATE) and self.wishes.split != "val":
            return f"{stage}_{safe(self.wishes.split)}"
        return stage

    @property
    def source(self) -> str:
        """What is asked, as the file of answers calls it: no two folders or files have one name."""
        return self.answers.stem.partition("_")[2].removesuffix(f"_{self.folder.name}")

    def inputs(self, stage: str) -> dict[str, str]:
        if stage == TRAIN:
            return self._of_training()
        if stage == EXPORT:
            if not has_weights(self.run.trained):
                raise UserError(f"{self.run.trained} holds no trained model", remedy="Train it first.")
            return {
                "trained weights": self.digests.model(self.run.trained),
                "export settings": _settings(self.run.export_keys),
                "base model": self._model(self.run.keys.get("model_name_or_path")),
            }
        if stage == PREDICT:
            wanted = [self.wishes.options, self.wishes.model, self.wishes.limit, self.wishes.split]
            return {
                SERVED: self._served(),
                "prompts": self.prompts(),
                "options": digests.of(wanted),
                SERVING: self._serving_key(),
            }
        answers = self.digests.file(self.answers)
        if answers == GONE:
            raise UserError(f"there are no answers: {self.answers} is missing", remedy="Predict first.")
        options = [self.wishes.split, self.wishes.answered_only, self.wishes.tolerance]
        return {
            "answers": answers,
            "data": self.data(),
            "options": digests.of(options),
            "version of datakit": digests.of(datakit.__version__),
        }

    def outputs(self, stage: str) -> dict[str, str]:
        if stage == TRAIN:
            if self.rank:  # the first node has the model
                return {}
            finished = self.run.finished()
            return {"trained": self.digests.model(self.run.trained) if finished else GONE}
        if stage == EXPORT:
            whole = has_weights(self.run.served)
            return {"served": self.digests.model(self.run.served) if whole else GONE}
        files = [self.answers] if stage == PREDICT else list(self.scored)
        return {path.name: digest for path, digest in zip(files, self.digests.files(files), strict=True)}

    def stands(self, stage: str) -> bool:
        return stage == TRAIN and self.run.finished()

    def refuse_training_anew(self) -> None:
        refuse_alive(self.run, self.rank)

    def train(self, *, anew: bool) -> Ended:
        with self._trained_aside(anew=anew and self.rank == 0):
            if self.rank == 0 and (anew or not os.path.lexists(self.run.trained)):
                self._note_training(self.inputs(TRAIN))
            trained = train(self.run, self.place, self.say, check_machine=self.check_machine, lock=self.lock)
        loss = "" if trained.loss is None else f", loss {trained.loss:.4f}"
        text = f"Trained: {trained.trained} ({trained.steps:,} steps{loss})"
        return Ended(text, figures=trained.model_dump())

    def export(self) -> Ended:
        served = export(self.run, self.place.python, self.say, anew=True, lock=self.lock)
        text = f"Served model: {served.served} ({served.tensors:,} tensors, {served.bytes / 1e9:.2f} GB)"
        return Ended(text, figures=served.model_dump())

    @contextmanager
    def serving(self) -> Iterator[Address]:
        """A server that runs already is left running; what weights it has loaded only it knows."""
        if self.elsewhere:
            self.say(f"Asking the server at {self.elsewhere}; which weights it has only it knows.")
            yield Address(self.elsewhere, UNKNOWN, self.wishes.model)
            return
        command = self.serve_command()
        weights = self._served()
        await_end_of_orphan(self.folder, self.say)
        name = server_name(command.port, self.run.served)
        if name is not None:
            is_known = self._refuse_older(command.port)
            told = "" if is_known else "; since when it runs cannot be told, nor which weights it has"
            self.say(f"A server of this model answers on port {command.port}: it is used{told}.")
            self.try_server(command.url, self.wishes.model or name)
            flags = flags_of_server(self.folder, command.port)
            known = weights if is_known else UNKNOWN
            yield Address(command.url, known, self.wishes.model or name, flags)
            return
        log = self.logs / f"{SERVE}-{stamp_now()}-{os.getpid()}.log"
        self.say(f"Starting vLLM; its log: {log}")
        starting = running(
            command,
            log,
            program=self.wishes.program,
            timeout_s=self.wishes.start_timeout_s,
            say=self.say,
            env=self.server_env,
            more_time=self.more_time,
        )
        with starting as self._server:
            note_server(self.folder, self._server.process.pid, command.port, self._serving_key())
            self.try_server(self._server.url, command.name)
            self.say(f"Serving at {self._server.url} as `{command.name}`.")
            yield Address(self._server.url, weights, self.wishes.model or command.name)
            self.say("Stopping the server.")

    def _refuse_older(self, port: int) -> bool:
        """Whether the server that listens there was started after its model was made.

        Raises UserError for one that is older than the model. False where that cannot be told.
        """
        since, made = listening_since(port), _newest(self.run.served)
        if since is None:
            return False
        if since + _TICK_S < made:
            raise UserError(
                f"the server on port {port} is older than the model in {self.run.served}: it answers "
                "with the weights of before",
                remedy="Stop it: the same command starts one of its own. Or choose another port.",
            )
        return True

    def serve_until_ended(self, address: Address) -> Ended:
        if self._server is None:
            return Ended(f"{address.url} is not ours to wait for.")
        code = self._server.process.wait()
        text = f"The server ended by itself (code {code}); its log: {self._server.log}"
        return Ended(text, exit=int(code != 0))

    def predict(self, address: Address, *, anew: bool) -> Ended:
        if anew:
            for path in sorted(self.answers.parent.glob(f".{self.answers.name}.*.part.jsonl")):
                self.say(f"Answers of an unfinished run are kept: {set_aside(path)}")
        self._counter = Counter(quiet=True)
        weights = self._served()  # of a server that we did not start those that it should have
        mark = self.wishes.options + (f" weights={weights}" if weights != UNKNOWN else "")
        with self.asker(address) as asker:
            if self.elsewhere and self.counts_prompts:  # one of this machine was tried
                asker.tell_other = lambda text: self.say(f"Warning: {text}")
            account = predict(
                asker,
                self.items(),
                self.answers,
                options=mark,
                progress=self._counter,
                weights_known=address.weights != UNKNOWN,
            )
        account.more_room = self.more_room
        return ended(account)

    def endpoint(self, address: Address, connect: Connect = by_aiohttp) -> Endpoint:
        """The server at an address; one that was started here is started once more when it is gone."""
        endpoint = Endpoint(address.url, timeout_s=self.wishes.timeout_s, connect=connect)
        if self._server is not None and address.weights != UNKNOWN:
            endpoint.revive, endpoint.log = self._server.revive, self._server.log
        return endpoint

    def trained_with(self) -> dict[str, str] | None:
        try:
            document = json.loads(read_regular(self.folder / _TRAINED_WITH))
        except (OSError, ValueError):
            return None
        inputs = document.get("inputs") if isinstance(document, dict) else None
        return {str(name): str(value) for name, value in inputs.items()} if isinstance(inputs, dict) else None

    def _note_training(self, inputs: dict[str, str] | None) -> None:
        """Notes what the training that lies in the run takes in; None: nobody knows."""
        place = self.folder / _TRAINED_WITH
        if inputs is None:
            place.unlink(missing_ok=True)
            return
        draft = place.with_name(f"{place.name}.part")
        draft.write_bytes(json_bytes({"version": 1, "inputs": inputs}))
        os.replace(draft, place)

    def _serving_key(self) -> str:
        """Digest of the server's flags that change an answer; GONE where the server is elsewhere."""
        if self.elsewhere:
            return GONE
        return digests.of([flag.words for flag in self.serve_command().flags if flag.name not in _OF_MACHINE])

    def progress(self, stage: str) -> Progress:
        if stage == PREDICT:
            return Progress(self._counter.done, self._counter.total, self._counter.left_s)
        if stage != TRAIN or self.elsewhere:
            return Progress()
        figures = self.run.progress()
        return Progress(figures.step, figures.total_steps, figures.eta_s, figures.losses)

    def _of_training(self) -> dict[str, str]:
        keys = self.run.keys
        models = [self._model(value) for key in _MODELS if (value := keys.get(key))]
        deepspeed = self.run.deepspeed()
        return {
            "training settings": digests.of([_settings(keys), list(self.place.flags)]),
            "DeepSpeed settings": GONE if deepspeed is None else digests.of(deepspeed),
            "training data": self.data(),
            "base model": models[0] if len(models) == 1 else digests.of(models),
            "processor (CPU or GPU)": "cpu" if self.place.cpu else GONE,
            "number of GPUs": self._gpus(),
        }

    def _gpus(self) -> str:
        """How many train, where they are others than the steps were reckoned for: a step has other rows."""
        gpus, nodes = gpus_and_nodes(self.run)
        here = (self.place.gpus or gpus) * (self.place.nodes or nodes)
        return GONE if here == gpus * nodes else str(here)

    def _model(self, value: Any) -> str:
        """Digest of the models that a key names, each a folder or a name at a hub."""
        folders = [self.run.data.path / part.strip() for part in str(value).split(",")]
        parts = [
            self.digests.model(folder) if folder.is_dir() else part.strip()
            for folder, part in zip(folders, str(value).split(","), strict=True)
        ]
        return digests.of(parts)

    def _served(self) -> str:
        if self.elsewhere:
            return UNKNOWN
        if not has_weights(self.run.served):
            raise UserError(
                f"there is no whole model to serve in {self.run.served}",
                remedy="Export it first, or give the address of a server that has it: --base-url.",
            )
        return self.digests.model(self.run.served)

    @contextmanager
    def _trained_aside(self, *, anew: bool) -> Iterator[None]:
        """Moves what was trained out of the way; it comes back where nothing new began."""
        trained = self.run.trained
        if not anew or not os.path.lexists(trained):
            yield
            return
        begun_with = self.trained_with()
        kept = set_aside(trained)
        try:
            yield
        except BaseException:
            if not os.path.lexists(trained):
                kept.rename(trained)
                self._note_training(begun_with)
            raise
        finally:
            if os.path.lexists(kept):
                self.say(f"What was trained before is kept: {kept}")


def _settings(keys: dict[str, Any]) -> str:
    return digests.of(
        {key: value for key, value in keys.items() if key not in _WITHOUT_EFFECT and key not in _MODELS}
    )


def _newest(folder: Path) -> float:
    """When a file of the weights was last put in its place, in seconds since the epoch."""
    return max((path.stat().st_ctime for path in folder.glob("*.safetensors")), default=0.0)
