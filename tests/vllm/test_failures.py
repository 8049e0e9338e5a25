"""What the real vLLM does on a port that is taken, and what is told of it by every command that meets it."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from datakit.cli import run
from datakit.serving.failures import read_failure
from tests.support.real_bundle import RealBundle
from tests.support.vllm_server import Running

pytestmark = pytest.mark.vllm


@pytest.mark.fault(
    "a real vLLM of another model listens on the port of a bundle",
    "named by the doctor and before anything is trained, with a port that is free; it is never asked",
    kind="scripts",
)
def test_port_taken_by_another_model_is_named_before_anything_is_trained(
    vllm: Running, tmp_path: Path
) -> None:
    bundle = RealBundle(vllm.build, tmp_path / "there")
    port = vllm.server.plan.port
    for words in (("doctor",), ()):
        done = bundle.go(*words, PORT=str(port))
        assert done.returncode == 1
        told = done.stdout + done.stderr
        assert f"port: port {port} is taken by a server of something else" in told
        assert "Stop it, or give another port: PORT=" in told
    assert not list(bundle.folder.glob("small-runs/*/trained"))


def test_serving_on_a_port_that_a_real_vllm_has_is_refused_with_the_way_out(
    vllm: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    port = vllm.server.plan.port
    words = ["--model", os.environ["DATAKIT_TINY_MODEL"], "--cpu", "--vllm", os.environ["DATAKIT_VLLM"]]
    assert run(["serve", str(vllm.build), *words, "--port", str(port)]) == 2
    told = capsys.readouterr()
    assert f"another server answers on port {port}" in told.err
    assert "choose another port with --port" in told.err


def test_vllms_own_words_of_a_taken_port_are_read(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        words = ["serve", os.environ["DATAKIT_TINY_MODEL"], "--host", "127.0.0.1", "--port", str(port)]
        done = subprocess.run(
            [os.environ["DATAKIT_VLLM"], *words, "--enforce-eager"],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    assert done.returncode != 0
    failure = read_failure(done.stdout + done.stderr)
    assert failure is not None
    assert failure.kind == "port_taken"
