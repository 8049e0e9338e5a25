"""The road at home: a build in its project, with its memory plan, its steps for new pictures, ledger and card."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from datakit.artifacts import names
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.run_ids import predictions_name, run_id
from datakit.core.errors import DatakitError, Exit, UserError
from datakit.core.qwen_models import qwen_model
from datakit.core.regular_files import read_regular
from datakit.evaluation.evaluation import Evaluation, Options
from datakit.evaluation.summary import score_lines
from datakit.handoff import digests
from datakit.handoff.road import Address, Ended, Say
from datakit.handoff.run_road import SPLITS, RunRoad, Wishes
from datakit.serving.asker import Asker
from datakit.serving.items import Item
from datakit.serving.serve_command import ServeCommand
from datakit.training.launch import Place
from datakit.training.run_folder import RunFolder


class ServerUnfit(DatakitError):
    """A server that started and does not answer as the training was."""

    exit_code = Exit.FAILED


@dataclass(frozen=True)
class ServeChanges:
    """What of the recipe's `serve:` section is replaced."""

    model: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    """gpus, gpu_memory_gb, port."""
    cpu: bool = False


class HomeRoad(RunRoad):
    """The stages of a build on a machine with datakit."""

    def __init__(
        self,
        build: Path,
        *,
        command: str,
        place: Place | None = None,
        serve: ServeChanges | None = None,
        wishes: Wishes | None = None,
        base_url: str = "",
    ) -> None:
        """Raises UserError for a folder that is no build, or whose recipe says nothing about the training."""
        from datakit.training.machine_check import check_machine

        super().__init__()
        self.build = BuildFolder(build.absolute())
        self.command, self.elsewhere = command, base_url
        self.place, self.wishes = place or Place(), wishes or Wishes()
        self.rank = self.place.node_rank or 0
        self._serve = serve or ServeChanges()
        self.check_machine = check_machine
        self.say = lambda line: None
        if base_url:
            self.folder = self.build.runs / _run_elsewhere(self.build, base_url, self.wishes.model)
        else:
            self.run = RunFolder.of(build)
            self.folder = self.run.folder
