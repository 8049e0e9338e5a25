"""The road in an unpacked bundle: its data set, and a Python with four packages beside trainer and server."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path

from datakit.artifacts import names
from datakit.artifacts.packed import PackedData
from datakit.artifacts.run_ids import predictions_name
from datakit.core.counted import counted
from datakit.core.errors import Exit, UserError
from datakit.core.pixels import TrainerLimits
from datakit.core.regular_files import read_regular
from datakit.core.scripts import shell_words
from datakit.evaluation.evaluation import Evaluation, Options, score
from datakit.evaluation.packed import PackedSource
from datakit.evaluation.summary import score_figures, score_lines
from datakit.handoff import digests
from datakit.handoff.answering import run_elsewhere
from datakit.handoff.bundle_settings import BundleSettings
from datakit.handoff.doctor import examine_quickly, refuse_changed
from datakit.handoff.finding import FAULT, FINE, WARNING
from datakit.handoff.programs import examine_gpus, server_program, trainer_program
from datakit.handoff.road import Address, Ended
from datakit.handoff.run_road import SPLITS, RunRoad, ServerUnfit, Wishes
from datakit.handoff.stages import CHECK, EXPORT, PREDICT, SERVE, STAGES, TRAIN, UNKNOWN
from datakit.llm._plain_connection import PlainConnection
from datakit.serving.asker import Asker, Asking, counts_as_trained
from datakit.serving.endpoint import NoAnswer
from datakit.serving.images import TrainedView
from datakit.serving.items import Item, NoPrompt, rendered_items
from datakit.serving.rooms import Rooms
from datakit.serving.serve_command import ServeCommand, cpu_cache_bytes, cpu_flags
from datakit.training.launch import Place, gpus_and_nodes
from datakit.training.logged_call import Say
from datakit.training.run_folder import RunFolder

_FOR_GPUS = ("--gpu-memory-utilization", "--tensor-parallel-size")


class PackedRoad(RunRoad):
    """The stages of a bundle."""

    more_room = '--max-answer-tokens N; --serve-flags "--max-model-len N" for the context of the server'
    more_time = "--wait (SERVE_WAIT_S)"

    def __init__(self, settings: BundleSettings, *, command: str, wanted: Sequence[str] = STAGES) -> None:
        """`wanted` are the stages to come, for the check. Raises UserError for settings that cannot be."""
        super().__init__()
        self.settings, self.command, self.elsewhere = settings, command, settings.base_url
        self.wanted = wanted
        self.packed = PackedData(settings.data)
        if settings.split not in SPLITS:
            raise UserError(f"a bundle has no split {settings.split!r}", remedy="SPLIT is val or train.")
        self.run = RunFolder.packed(self.packed, base=settings.model if settings.model_given else None)
        self.folder, self.rank = self.run.folder, settings.rank
        self.place = _place(settings)
        program = shell_words([server_program(settings) or settings.vllm])
        self.wishes = Wishes(
            split=settings.split,
            max_answer_tokens=settings.max_answer_tokens,
            program=program,
            start_timeout_s=float(settings.wait_s),
        )
        self.check_machine = self._check_gpus
        self.say = lambda line: None
        if self.elsewhere:
            runs = self.run.folder.parent
            self.folder = runs / run_elsewhere(runs, self.elsewhere, None, PlainConnection)

    def begin(self) -> None:
        if CHECK not in self.wanted:  # which looks at the pictures too
            refuse_changed(self.settings)

    @cached_property
    def answers(self) -> Path:
        return self.folder / predictions_name(self.wishes.split, self.folder.name)

    @cached_property
    def scored(self) -> Sequence[Path]:
        return [self.folder / f"evaluation-{self.answers.stem.partition('_')[2]}.json"]

    @property
    def counts_prompts(self) -> bool:
        return counts_as_trained(self.packed.packed.training or {})

    @property
    def server_env(self) -> dict[str, str]:
        """The server finds what lies beside it first, as in its own environment."""
        program = server_program(self.settings)
        own = [str(Path(program).parent)] if program is not None else []
        return {"PATH": os.pathsep.join([*own, os.environ.get("PATH", os.defpath)])}

    def data(self) -> str:
        folder = self.packed.path
        own = (names.ANSWER_FORMAT, names.LABEL_SET, names.PACKED)
        files = [file.file for file in self.packed.data_files.values()]
        pictures = self.digests.folder(folder / names.IMAGES)
        return digests.of([self.digests.files(folder / name for name in (*files, *own)), pictures])

    def prompts(self) -> str:
        return digests.of([self.wishes.split, self.data()])

    def items(self) -> Sequence[Item]:
        items = rendered_items(self.packed, self.wishes.split, self.packed.label_of, by_name=True)
        if not items:
            raise UserError(
                f"the split {self.wishes.split} has no records", remedy="Choose another with SPLIT."
            )
        return items

    def asker(self, address: Address) -> Asker:
        wishes = self.wishes
        connect = partial(PlainConnection, threads=wishes.concurrency)
        return Asker(
            asking_of(self.packed),
            self.endpoint(address, connect),
            model=address.name,
            closed=wishes.closed,
            max_answer_tokens=wishes.max_answer_tokens,
            concurrency=wishes.concurrency,
        )

    def serve_command(self) -> ServeCommand:
        serving = self.packed.packed.serving
        if serving is None:
            raise UserError(
                f"{self.packed.path} does not say how it is served", remedy="Pack it anew: datakit bundle"
            )
        command = ServeCommand.of(serving, str(self.run.served))
        command = command.with_flags({"--port": str(self.settings.port)}, "as it was told")
        if self.settings.cpu:
            needs = self.packed.packed
            tokens = command.max_model_len or needs.prompt_tokens + needs.answer_tokens
            cache = cpu_cache_bytes(_bytes_per_token(self.run.served), tokens)
            cpu = {flag.name: flag.value for flag in cpu_flags(cache)}
            command = command.with_flags(cpu, "without a GPU", dropped=_FOR_GPUS)
        return command.with_words(self.settings.serve_flags)

    def try_server(self, url: str, name: str) -> None:
        item = self.items()[0]
        with self.asker(Address(url, UNKNOWN, name)) as asker:
            try:
                asked = asker.ask(item)
                other = asker.other_count(item, asked)
            except (NoAnswer, NoPrompt) as problem:
                raise ServerUnfit(f"the server does not answer record {item.id}: {problem}") from None
        if other:
            raise ServerUnfit(other)
        self.say(f"Record {asked.id} was answered in {asked.seconds:g} s.")

    def check(self) -> Ended:
        here = not self.elsewhere
        asks = here and self.rank == 0 and bool({PREDICT, SERVE} & set(self.wanted))
        trains = here and bool({TRAIN, EXPORT} & set(self.wanted))
        findings = list(examine_quickly(self.settings, trains=trains, asks=asks))
        faults = sum(finding.state == FAULT for finding in findings)
        told = [finding for finding in findings if not faults or finding.state != FINE]
        text = "\n".join(("", *(finding.text for finding in told)) if faults else (f.text for f in told))
        if faults:
            text += "\n`./run.sh doctor` tries the programs too."
        return Ended(text, exit=int(faults > 0), figures={"faults": faults})

    def train(self, *, anew: bool) -> Ended:
        gpus, nodes = gpus_and_nodes(self.run)
        here = self.settings.gpus * self.settings.nodes
        if here != gpus * nodes:
            self.say(
                f"Warning: the steps were reckoned for {counted(gpus * nodes, 'GPU')}, and {here} train."
            )
        return super().train(anew=anew)

    def evaluate(self) -> Ended:
        wishes = self.wishes
        options = Options(split=wishes.split, answered_only=wishes.answered_only, tolerance=wishes.tolerance)
        (scored,) = score(PackedSource(self.packed), [self.answers], options)
        write_scores(scored.evaluation, self.scored[0])
        missing = "missing" in scored.evaluation.trouble and not wishes.answered_only
        return Ended(exit=int(Exit.PARTIAL if missing else Exit.FINE))

    def scores(self) -> Ended:
        evaluation = Evaluation.model_validate_json(read_regular(self.scored[0]))
        return Ended("\n".join(score_lines(evaluation)), figures={"metrics": score_figures(evaluation)})

    def _check_gpus(self, run: RunFolder, place: Place, say: Say) -> None:
        for finding in examine_gpus(self.settings):
            if finding.state == FAULT:
                raise UserError(finding.message, remedy=finding.remedy)
            if finding.state == WARNING:
                say(f"Warning: {finding.message}")


def write_scores(evaluation: Evaluation, out: Path) -> None:
    """Puts the scores in their place, whole or not at all."""
    draft = out.with_name(f".{out.name}.part")
    draft.write_text(json.dumps(evaluation.document(), ensure_ascii=False, indent=2) + "\n", "utf-8")
    draft.replace(out)


def asking_of(data: PackedData) -> Asking:
    """How the build of a bundle asks and reads answers."""
    packed = data.packed
    limits = TrainerLimits(packed.trainer_max_pixels, packed.trainer_min_pixels)
    return Asking(
        form=data.answer_format,
        labels=data.labels,
        view=TrainedView(packed.emitted_max_pixels, limits),
        rooms=partial(rooms_of, data),
    )


def rooms_of(data: PackedData) -> Rooms:
    """The rooms of the answers, as the build has them; a bundle of an older version has one for all turns."""
    packed = data.packed
    tokens = {row[1]: count for row, count in zip(packed.records, packed.asked_tokens)}  # noqa: B905
    return Rooms(
        trained=tuple(packed.turn_rooms or (packed.answer_tokens,)),
        longest_prompt=packed.prompt_tokens,
        count=lambda id_, system, users, images: tokens.get(id_) or None,
    )


def _place(settings: BundleSettings) -> Place:
    return Place(
        python=trainer_program(settings) or settings.trainer or None,
        gpus=settings.gpus,
        nodes=settings.nodes,
        node_rank=settings.rank,
        master=settings.master or None,
        master_port=settings.master_port,
        cpu=settings.cpu,
        as_reckoned=False,
        flags=settings.train_flags,
    )


def _bytes_per_token(model: Path) -> float:
    """Of the key-value cache on a CPU (float32), by the model's config.json."""
    try:
        config = json.loads(read_regular(model / "config.json"))
        text = config.get("text_config") or config
        heads = int(text["num_attention_heads"])
        head = int(text.get("head_dim") or int(text["hidden_size"]) // heads)
        return float(int(text["num_hidden_layers"]) * int(text["num_key_value_heads"]) * 2 * head * 4)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{model / 'config.json'} does not say how the model is made: {error}") from None
