"""The road at home: a build in its project, with memory plan, ledger and card, and steps for new pictures."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from datakit.artifacts import names
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.run_ids import predictions_name
from datakit.artifacts.signoff import require_signoff
from datakit.artifacts.tasks import of_task
from datakit.core.errors import Exit, UserError
from datakit.core.qwen_models import qwen_model
from datakit.core.regular_files import read_regular
from datakit.evaluation.evaluation import Evaluation, Options
from datakit.evaluation.summary import score_figures, score_lines
from datakit.handoff import digests
from datakit.handoff.answering import run_elsewhere
from datakit.handoff.road import Address, Ended
from datakit.handoff.run_road import SPLITS, RunRoad, ServerUnfit, Wishes
from datakit.serving.asker import Asker, counts_as_trained
from datakit.serving.items import Item
from datakit.serving.serve_command import ServeCommand
from datakit.serving.source_names import source_name
from datakit.training.launch import Place, rank_of
from datakit.training.run_claim import claim, refuse_copy
from datakit.training.run_folder import RunFolder


@dataclass(frozen=True)
class ServeChanges:
    """What of the recipe's `serve:` section is replaced."""

    settings: dict[str, Any] = field(default_factory=dict)
    """gpus, gpu_memory_gb, port."""
    cpu: bool = False


class HomeRoad(RunRoad):
    """The stages of a build on a machine with datakit."""

    command_after = "datakit scores"
    more_room = (
        '--predict-flags "--max-answer-tokens N"; serve.max_answer_tokens for the context of the server'
    )

    more_time = '--serve-flags "--timeout-s N"'

    def __init__(
        self,
        build: Path,
        *,
        command: str,
        place: Place | None = None,
        serve: ServeChanges | None = None,
        wishes: Wishes | None = None,
        base_url: str = "",
        task: str | None = None,
    ) -> None:
        """`task` is the one that is asked and scored, of a build of several; the training is of all.

        Raises UserError for no build, the copy of one, and one whose recipe says nothing of a training.
        """
        from datakit.training.machine_check import check_machine

        super().__init__()
        self.build = BuildFolder(build.absolute())
        self.asked = of_task(self.build, task)
        self.command, self.elsewhere = command, base_url
        self.place, self.wishes = place or Place(), wishes or Wishes()
        self._serve = serve or ServeChanges()
        self.check_machine = check_machine
        self.say = lambda line: None
        if base_url:
            self.folder = self.build.runs / run_elsewhere(self.build.runs, base_url, self.wishes.model)
        else:
            self.run = RunFolder.of(build)
            refuse_copy(self.run)
            self.folder = self.run.folder
            self.rank = rank_of(self.run, self.place)

    def begin(self) -> None:
        if not self.elsewhere and not self.rank:
            claim(self.run, self.say)

    def train(self, *, anew: bool) -> Ended:
        require_signoff(self.run.build)
        return super().train(anew=anew)

    @contextmanager
    def serving(self) -> Iterator[Address]:
        """As `datakit serve`: a model of data whose signature was taken back is not served either."""
        if not self.elsewhere:
            require_signoff(self.run.build)
        with super().serving() as address:
            yield address

    @cached_property
    def answers(self) -> Path:
        source = source_name(self.folder, self.wishes.split)
        if self.asked is not self.build:
            return self.asked.predictions_file(source, self.folder.name)
        return self.folder / predictions_name(source, self.folder.name)

    @cached_property
    def scored(self) -> Sequence[Path]:
        from datakit.evaluation.runs import page_names

        if self.wishes.split not in SPLITS:
            return []
        ((folder, name),) = page_names([self.answers], None)
        return [folder / f"{name}{suffix}" for suffix in (".json", ".parquet", ".md", ".html")]

    @property
    def counts_prompts(self) -> bool:
        return self.build.training_file is not None and counts_as_trained(self.build.training)

    def data(self) -> str:
        files = [self.build.path / file.file for file in self.build.data_files.values()]
        files += [self.build.path / name for name in (names.ANSWER_FORMAT, names.LABELS, names.RECORDS)]
        pictures = self.digests.folder(self.build.images_folder)
        return digests.of([self.build.manifest.content, self.digests.files(files), pictures, *self._edited()])

    def _edited(self) -> list[str]:
        """Digests of what leads the trainer to its rows where it is edited, with the files that it names.

        None of a build as it was made: records of earlier versions do not have them.
        """
        paths = [self.build.path / name for name in (names.DATASET_INFO, names.EMITTED)]
        stamps = [self.build.manifest.artifacts.get(path.name) for path in paths]
        digests_now = self.digests.files(paths)
        if all(
            stamp is None or digest == stamp.sha256 for stamp, digest in zip(stamps, digests_now, strict=True)
        ):
            return []
        return digests_now + self.digests.files(
            self.build.path / file for file in self.build.entries.values()
        )

    def _misled(self) -> list[str]:
        """Lines about entries of the trainer's index that name another file than the build wrote."""
        written = self.build.emitted.files if self.build.emitted is not None else {}
        return [
            f"Warning: {names.DATASET_INFO} names {file} for `{entry}`, and the build wrote "
            f"{written[entry].file}: the answers are asked and scored on that one"
            for entry, file in self.build.entries.items()
            if entry in written and file != written[entry].file
        ]

    def prompts(self) -> str:
        """Of a split the rows of the data set; of other pictures their bytes, and every step that they go
        through."""
        build, source = self.asked, Path(self.wishes.split)
        pixels = build.training if build.training_file else {}
        limits = [pixels.get("image_max_pixels"), pixels.get("image_min_pixels")]
        if self.wishes.split in SPLITS:
            task = [] if build is self.build else [build.path.name]
            return digests.of([self.wishes.split, self.data(), limits, *task])
        pictures = [Path(str(image)) for item in self.items() for image in item.images]
        files = [source] if source.is_file() else []
        files += [build.recipe_file, build.path / names.LABELS, build.path / names.ANSWER_FORMAT]
        files += sorted(path for path in (build.path / names.TEMPLATES).rglob("*") if path.is_file())
        return digests.of([limits, self.digests.files([*files, *pictures])])

    def items(self) -> Sequence[Item]:
        from datakit.serving.records import items_of

        return items_of(self.asked, self.wishes.split)[: self.wishes.limit]

    def asker(self, address: Address) -> Asker:
        from datakit.serving.classifier import Classifier
        from datakit.serving.prompting import BuildPrompts

        wishes = self.wishes
        prompts = BuildPrompts.load(self.asked, rendered=wishes.split in SPLITS, form=wishes.form)
        return Classifier(
            prompts,
            self.endpoint(address),
            model=address.name,
            closed=wishes.closed,
            max_answer_tokens=wishes.max_answer_tokens,
            concurrency=wishes.concurrency,
        )

    def serve_command(self) -> ServeCommand:
        from datakit.serving.from_build import plan_for

        return plan_for(
            self.build, str(self.run.served), self._serve.settings, cpu=self._serve.cpu
        ).serve_command

    def try_server(self, url: str, name: str) -> None:
        from datakit.serving.smoke import smoke_test

        smoke = smoke_test(self.asked, url, name, qwen_model(str(self.run.served)))
        if not smoke.good:
            raise ServerUnfit(smoke.text)
        self.say(smoke.text)

    def check(self) -> Ended:
        from datakit.checking.build_check import checked, group_lines

        if not self.build.has_data_set:
            raise UserError(
                f"{self.build.path} holds no data set for LLaMA-Factory",
                remedy="Build it with `emit: [llamafactory: {}]`.",
            )
        if not self.rank:  # other nodes ask nothing
            self.items()  # a wrong word or an empty folder is told before the training
        report = checked(self.build)
        groups = [group for group in report.findings.groups() if group.severity != "note"]
        lines = [line for group in groups for line in group_lines(group)]
        lines += self._misled()
        counts = {f"{severity}s": report.findings.count(severity) for severity in ("error", "warning")}
        lines.append(
            f"{counts['errors']:,} errors, {counts['warnings']:,} warnings (datakit check has it all)"
        )
        if not self.elsewhere and shutil.which(self.wishes.program.split()[0]) is None:
            lines.append(
                f"Note: there is no program `{self.wishes.program}` here, which predict needs: --vllm"
            )
        return Ended("\n".join(lines), exit=int(bool(report.errors)), figures=counts)

    def evaluate(self) -> Ended:
        from datakit.evaluation.entering import enter_scores
        from datakit.evaluation.from_build import evaluate
        from datakit.evaluation.page import write_evaluation
        from datakit.evaluation.runs import page_names

        wishes = self.wishes
        if wishes.split not in SPLITS:
            return Ended(f"Nothing to score: {wishes.split} is no split of the build.")
        options = Options(split=wishes.split, answered_only=wishes.answered_only, tolerance=wishes.tolerance)
        build = BuildFolder.open(self.asked.path)
        results = evaluate(build, [self.answers], options)
        ((folder, name),) = page_names([self.answers], None)
        written = [write_evaluation(result, build, folder, name, self._kept) for result in results]
        ledger, _added = enter_scores(results, written, build, self._kept)
        missing = any("missing" in result.evaluation.trouble for result in results)
        text = "" if ledger is None else f"Ledger: {ledger} (datakit scores shows it)"
        return Ended(text, exit=int(Exit.PARTIAL if missing and not wishes.answered_only else Exit.FINE))

    def scores(self) -> Ended:
        if not self.scored:
            return Ended(f"The answers: {self.answers}")
        document, _, page, _ = self.scored
        evaluation = Evaluation.model_validate_json(read_regular(document))
        lines = [*score_lines(evaluation), f"Page: {page}"]
        return Ended("\n".join(lines), figures={"metrics": score_figures(evaluation), "page": str(page)})

    def _kept(self, path: Path, place: Path) -> None:
        self.say(f"Kept: {path.name} as it was edited: {place}")
