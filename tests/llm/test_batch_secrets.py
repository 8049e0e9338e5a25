"""Batch files: a key that a provider repeats in answers or errors stands in no file and no message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from datakit.core.outcome import Rejected
from datakit.core.private_files import open_private, private_folder
from datakit.core.settings import LlmSettings, RunSettings
from datakit.core.step_context import StepContext
from datakit.llm.answer_schema import AnswerSchema
from datakit.llm.batch.client import Batches
from datakit.llm.batch.openai_service import BatchService
from datakit.llm.client import Client
from datakit.llm.request import Completion, Request
from tests.support.loopback import KEY
from tests.support.loopback_batches import LoopbackBatches, Plan

Ask = Callable[..., list[Any]]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackBatches]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with LoopbackBatches() as server:
        yield server


@pytest.fixture
def ask(server: LoopbackBatches, tmp_path: Path) -> Ask:
    """Asks two questions in one batch; what came of each, errors too."""

    def go() -> list[Any]:
        llm = LlmSettings(provider="openai", base_url=server.url, max_retries=0)
        run = RunSettings(mode="batch", batch_poll_s=0.05)

        async def both() -> list[Any]:
            client = Client(Batches(StepContext(tmp_path, tmp_path, llm=llm, run=run)))
            requests = [
                Request(f"请描述。[id:q{number}]", (), AnswerSchema.line("description"), 0.3, 100)
                for number in range(2)
            ]
            try:
                return await asyncio.gather(*map(client.complete, requests), return_exceptions=True)
            finally:
                await client.close()

        return asyncio.run(both())

    return go


@pytest.mark.fault(
    "an answer of a batch repeats the key",
    "the answer is rejected, and its file holds no key",
    kind="secrets",
)
def test_answer_that_repeats_the_key_is_rejected_and_its_file_holds_none(
    server: LoopbackBatches, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[bytes] = []
    fetch = BatchService.fetch

    async def watched(service: BatchService, file_id: str, target: Path) -> None:
        await fetch(service, file_id, target)
        kept.append(target.read_bytes())

    monkeypatch.setattr(BatchService, "fetch", watched)
    good = {"description": "一段足够长的描述，*** 也算。"}
    server.answer = lambda call: {"description": f"钥匙是 {KEY} 的描述"} if call.id == "q0" else good
    first, second = ask()
    assert isinstance(first, Rejected)
    assert (first.reason, first.meta["tokens_out"]) == ("answer_holds_key", 20), "it was paid for"
    assert isinstance(second, Completion)
    assert second.text == good["description"], "an answer without the key keeps every byte"
    assert kept
    assert not [data for data in kept if KEY.encode() in data]


@pytest.mark.fault(
    "a provider refuses a batch and repeats the key",
    "it is told without the key",
    kind="secrets",
)
def test_refused_batch_is_told_without_the_key(server: LoopbackBatches, ask: Ask) -> None:
    server.plan = lambda job: Plan("failed", errors=(("bad", f"no batch for {KEY}"),))  # type: ignore[assignment]
    outcomes = ask()
    assert outcomes
    assert all("no batch for ***" in str(outcome) for outcome in outcomes)
    assert KEY not in str(outcomes)


@pytest.mark.fault("other users of the machine", "cannot read files of batches", kind="secrets")
def test_private_folder_and_file_are_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir(mode=0o755)
    (tmp_path / "team").mkdir()
    (tmp_path / "team").chmod(0o775)
    for name, mode in (("new/inner", 0o700), ("old", 0o700), ("team", 0o775)):
        assert private_folder(tmp_path / name).stat().st_mode & 0o777 == mode
    (tmp_path / "log").touch(mode=0o644)
    with open_private(tmp_path / "log") as file:
        file.write(b"x")
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600
