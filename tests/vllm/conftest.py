"""One real vLLM for the whole module, on the CPU, with a tiny random Qwen2.5-VL. See scripts/test_vllm.sh."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.qwen_models import qwen_model
from datakit.serving.from_build import plan_for
from datakit.serving.launch import running
from tests.support.served import made_build
from tests.support.vllm_server import Running

CACHE = "16M"
TOO_LONG = "32768"
"""Longer than a cache of 16 MB holds, so that the first start fails."""


@pytest.fixture(scope="session")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of a small build. Its first start asks for too long a context and fails."""
    folder = os.environ["DATAKIT_TINY_MODEL"]
    build = made_build(tmp_path_factory.mktemp("project"), train_keys="image_max_pixels: 50176")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    flags = {
        "kv-cache-memory-bytes": CACHE,
        "max-model-len": TOO_LONG,
        # A random model would write white space between the parts of a JSON object for ever.
        "structured-outputs-config": '{"backend": "xgrammar", "disable_any_whitespace": true}',
    }
    changes = {"port": port, "flags": flags}
    plan = plan_for(BuildFolder(build), folder, changes, cpu=True)
    log, said = tmp_path_factory.mktemp("logs") / "serve.log", list[str]()
    with running(plan.serve_command, log, program=os.environ["DATAKIT_VLLM"], say=said.append) as server:
        yield Running(server, plan, build, qwen_model(folder), said, log)
