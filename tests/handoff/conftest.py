"""A build with a toy trainer and a toy vLLM, both real programs, and `datakit handoff` on it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.cli import run
from datakit.core.qwen_models import qwen_model
from datakit.serving.records import split_items
from datakit.serving.requirements import prompt_tokens
from datakit.training.run_folder import RunFolder
from tests.support import fake_trainer, fake_vllm
from tests.support.train_builds import _builds, make_build, trainer

__all__ = ["_builds", "home", "make_build", "trainer"]


@dataclass
class Home:
    """A build in its place with everything that a handoff needs."""

    build: Path
    trainer: Path
    vllm: Path
    port: int
    capsys: pytest.CaptureFixture[str]
    cpu: bool = True
    output: str = field(default="", init=False)

    @property
    def run(self) -> RunFolder:
        return RunFolder.of(self.build)

    @property
    def answers(self) -> Path:
        return self.run.folder / f"predictions_val_{self.run.folder.name}.jsonl"

    @property
    def words(self) -> list[str]:
        processor = ["--cpu"] if self.cpu else []
        return [str(self.build), *processor, "--port", str(self.port), "--vllm", str(self.vllm)]

    def go(self, *words: str) -> int:
        """`datakit handoff`; its exit code. What it printed is in `output`."""
        code = run(["handoff", *self.words, *words])
        captured = self.capsys.readouterr()
        self.output = captured.out + captured.err
        return code

    def account(self, *words: str) -> dict[str, Any]:
        """`datakit handoff --json`."""
        run(["handoff", *self.words, "--json", *words])
        document: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        return document

    def ran(self, *words: str) -> list[str]:
        """The stages that ran."""
        return [stage["stage"] for stage in self.account(*words)["stages"] if stage["ran"]]

    def trainings(self) -> list[str]:
        """What the trainer was called for, in order."""
        return [call["words"][0] for call in fake_trainer.calls(self.trainer.parent)]

    def asked(self) -> int:
        """How often the server was asked so far; it may be writing down the next question."""
        listed = self.vllm.parent / "asked.jsonl"
        return listed.read_bytes().count(b"\n") if listed.exists() else 0


@pytest.fixture
def home(
    tmp_path: Path,
    make_build: Callable[..., Path],
    trainer: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Home:
    """The build of eight screens. The base model is a folder in the build's project."""
    for name in ("DATAKIT_VLLM", "VLLM_API_KEY", "FAKE_VLLM"):
        monkeypatch.delenv(name, raising=False)
    build = make_build()
    base = Path(str(BuildFolder(build).training["model_name_or_path"]))
    items = split_items(BuildFolder(build), "val")
    counts = [
        prompt_tokens(BuildFolder(build), item.messages, tuple(map(str, item.images)), qwen_model(str(base)))
        for item in items[:1]
    ]
    monkeypatch.setenv("FAKE_PROMPT_TOKENS", str(counts[0]))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return Home(build, trainer, fake_vllm.install(tmp_path / "vllm"), port, capsys)
