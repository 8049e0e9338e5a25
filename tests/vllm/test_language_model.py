"""The annotators' client against a small real language model: answers, and answers cut short."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from datakit.core.outcome import Rejected, Retry
from datakit.core.settings import LlmSettings
from datakit.llm.answer_schema import AnswerSchema
from datakit.llm.calls import Calls
from datakit.llm.client import Client
from datakit.llm.request import Completion, Request

PYTHON = os.environ.get("DATAKIT_LM_PYTHON", "")
pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(not PYTHON, reason="run scripts/test_vllm.sh with LANGUAGE_MODEL=1"),
]
QUESTION = "晴天的天空是什么颜色？请用JSON回答。"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of llama.cpp's own server."""
    script = Path(__file__).with_name("language_server.py")
    file = Path(PYTHON).parent.parent / "gemma-3-270m.gguf"
    log = tmp_path_factory.mktemp("logs") / "server.log"
    with (
        open(log, "wb") as errors,
        subprocess.Popen(
            [PYTHON, str(script), str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "OMP_WAIT_POLICY": "passive"},
        ) as server,
    ):
        assert server.stdout is not None
        assert server.stdin is not None
        found = server.stdout.readline().strip()
        assert found.startswith("http://"), log.read_text("utf-8", "replace")[-2000:]
        yield f"{found}/v1"
        server.stdin.close()
        server.wait(30)


def asked(address: str, schema: AnswerSchema, max_tokens: int) -> Completion | Rejected | Retry:
    settings = LlmSettings(provider="openai", base_url=address, model="gemma", timeout_s=300)

    async def go() -> Completion | Rejected | Retry:
        client = Client(Calls(settings))
        try:
            return await client.complete(Request(QUESTION, (), schema, 0.0, max_tokens))
        finally:
            await client.close()

    return asyncio.run(go())


def test_question_is_answered_in_its_schema_and_counted(address: str) -> None:
    found = asked(address, AnswerSchema.of({"colour": ("红色", "蓝色")}), 64)
    assert isinstance(found, Completion), found
    assert found.text in ("红色", "蓝色")
    assert (found.finish_reason, found.calls) == ("stop", 1)
    assert found.tokens_in > 10
    assert 0 < found.tokens_out < 64


def test_answer_cut_short_is_asked_for_with_twice_the_room_and_then_left(address: str) -> None:
    found = asked(address, AnswerSchema.line("description"), 4)
    assert isinstance(found, Retry), found
    assert found.reason == "answer_truncated"
    assert found.meta["tokens_out"] == 4 + 8
