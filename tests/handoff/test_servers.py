"""Which server a handoff asks, and that no answer is taken for one of other weights."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.handoff.conftest import Home
from tests.handoff.test_home import flip
from tests.support.waiting import until


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def served(home: Home, root: str, **environment: str) -> Iterator[None]:
    """A server of a model on the port, which the handoff did not start."""
    words = [str(home.vllm), "serve", root, "--served-model-name", "theirs", "--port", str(home.port)]
    process = subprocess.Popen(words, env={**os.environ, **environment}, stderr=subprocess.DEVNULL)
    try:
        until(lambda: listens(home.port))
        yield
    finally:
        process.kill()
        process.wait()


def test_server_ends_with_the_handoff(home: Home) -> None:
    assert home.go() == 0, home.output
    until(lambda: not listens(home.port), within_s=20)


def test_server_of_this_model_is_used_and_left_running(home: Home) -> None:
    assert home.ran("train", "export") == ["train", "export"]
    with served(home, str(home.run.served)):
        assert home.go() == 0, home.output
        assert f"A server of this model answers on port {home.port}: it is used." in home.output
        assert listens(home.port)
        assert "prompt tokens, as in training" in home.output  # it was tried first
    assert "the serving cannot be known" in stage_of(home.account(), "predict")["reason"]


def stage_of(account: dict[str, Any], stage: str) -> dict[str, Any]:
    return next(passed for passed in account["stages"] if passed["stage"] == stage)


@pytest.mark.fault(
    "a server of the model runs on the port with other pixels or another chat template than in training",
    "no record is asked: the counts of the first prompt's tokens are told",
    kind="answers",
)
def test_running_server_with_another_template_is_not_asked(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert home.ran("train", "export") == ["train", "export"]
    with served(home, str(home.run.served), FAKE_PROMPT_TOKENS="7"):
        assert home.go() == 1
    assert "The server counts 7 prompt tokens" in home.output
    assert "its chat template are not those of the training" in home.output
    assert home.asked() == 1
    assert not home.answers.exists()


def test_server_of_another_call_of_the_handoff_has_flags_that_are_known(home: Home) -> None:
    assert home.ran("train", "export") == ["train", "export"]
    words = [sys.executable, "-m", "datakit.cli", "handoff", *home.words, "--only", "serve"]
    serving = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
    try:
        until(lambda: listens(home.port), serving)
        until(lambda: home.go("predict", "evaluate") == 0, serving)  # until it has let go of the run
        assert "it is used" in home.output
    finally:
        serving.terminate()
        serving.wait()
    assert home.ran() == ["check"]


def test_server_with_a_key_is_asked_with_the_right_one_alone(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert home.ran("train", "export") == ["train", "export"]
    with served(home, str(home.run.served), VLLM_API_KEY="sk-1"):
        assert home.go() == 2
        assert f"the server on port {home.port} wants another key" in home.output
        assert "Put its key into VLLM_API_KEY" in home.output
        monkeypatch.setenv("VLLM_API_KEY", "sk-1")
        assert home.go() == 0, home.output


def test_server_of_another_model_is_never_asked(home: Home) -> None:
    assert home.ran("train", "export") == ["train", "export"]
    with served(home, "/models/another"):
        assert home.go() == 2
    assert f"port {home.port} is taken by a server of something else" in home.output
    assert home.asked() == 0


def test_port_of_something_else_counts_as_taken(home: Home) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    assert home.ran("train", "export") == ["train", "export"]
    with ThreadingHTTPServer(("127.0.0.1", home.port), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert home.go() == 2
        server.shutdown()
    assert "is taken by a server of something else" in home.output


def test_port_of_no_web_server_counts_as_taken(home: Home) -> None:
    assert home.ran("train", "export") == ["train", "export"]
    with socket.create_server(("127.0.0.1", home.port)) as listener:
        stop = threading.Event()

        def greet() -> None:
            while not stop.is_set():
                connection, _ = listener.accept()
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                connection.close()

        threading.Thread(target=greet, daemon=True).start()
        assert home.go() == 2
        stop.set()
    assert "is taken by a server of something else" in home.output


def test_model_served_elsewhere_is_asked_and_scored_without_training(home: Home) -> None:
    url = f"http://127.0.0.1:{home.port}/v1"
    with served(home, "/models/theirs", FAKE_PROMPT_TOKENS="7"):
        account = home.account("--base-url", url)
        assert [stage["stage"] for stage in account["stages"] if stage["ran"]] == [
            "check",
            "predict",
            "evaluate",
        ]
        assert account["stages"][1]["reason"] == f"the model is served at {url}"
        assert account["run"] != str(home.run.folder)
        assert home.trainings() == []
        assert home.go("--base-url", url) == 0
        assert home.output.count("Warning: The server counts 7 prompt tokens in record") == 1
        again = home.account("--base-url", url)
        assert again["stages"][3]["reason"] == "the served weights cannot be known from here"
    assert home.go("--base-url", url) == 5
    assert f"nothing answers at {url}" in home.output


def test_build_without_training_is_asked_of_a_server_elsewhere(home: Home) -> None:
    for name in ("train.yaml", "export.yaml"):
        (home.build / name).unlink()
    with served(home, "/models/theirs"):
        assert home.go("--base-url", f"http://127.0.0.1:{home.port}/v1", "--from", "predict") == 0, (
            home.output
        )
    assert "macro F1" in home.output


@pytest.mark.fault(
    "weights are trained anew while answers of the old ones are unfinished, at the same path and name",
    "the unfinished answers are not taken: every record is asked anew",
    kind="answers",
)
def test_unfinished_answers_of_other_weights_are_not_taken(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_VLLM", "breaks:3")
    account = home.account("--split", "train")
    assert account["exit"] == 3
    assert account["stages"][-1]["figures"]["answered"] == 2
    flip(home.run.trained / "model.safetensors")
    monkeypatch.delenv("FAKE_VLLM")
    account = home.account("--split", "train")
    assert account["exit"] == 0
    assert account["stages"][3]["figures"]["resumed"] == 0


def test_unfinished_answers_of_the_same_weights_are_taken_unless_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_VLLM", "breaks:3")
    assert home.account("--split", "train")["exit"] == 3
    monkeypatch.delenv("FAKE_VLLM")
    assert home.account("--split", "train")["stages"][3]["figures"]["resumed"] == 2
    monkeypatch.setenv("FAKE_VLLM", "breaks:3")
    assert home.account("--split", "train", "--again", "predict")["exit"] == 3
    monkeypatch.delenv("FAKE_VLLM")
    account = home.account("--split", "train", "--again", "predict")
    assert account["stages"][3]["figures"]["resumed"] == 0
