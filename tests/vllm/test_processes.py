"""The real vLLM ends with the datakit that started it: server, engine and worker."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from datakit.core.processes import process_mark
from tests.support.served import made_build
from tests.support.waiting import until

pytestmark = pytest.mark.vllm


def test_every_process_of_vllm_ends_when_datakit_is_killed(tmp_path: Path) -> None:
    build = made_build(tmp_path, train_keys="image_max_pixels: 50176")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["serve", str(build), "--model", os.environ["DATAKIT_TINY_MODEL"], "--cpu", "--port", str(port)]
    command = [sys.executable, "-m", "datakit.cli", *words, "--vllm", os.environ["DATAKIT_VLLM"]]
    datakit = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert datakit.stdout is not None
    assert any("Serving at" in line for line in datakit.stdout)
    processes = psutil.Process(datakit.pid).children(recursive=True)
    assert len(processes) > 3  # the one in between, the server, its engine, its worker
    datakit.kill()
    datakit.wait()
    until(lambda: not any(process_mark(process.pid) for process in processes))
