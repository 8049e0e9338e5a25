"""scripts/handoff.sh: the stages in order, each resumable, the server stopped at the end."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.fake_vllm import install
from tests.support.waiting import until

SCRIPT = Path(__file__).resolve().parent.parent.parent / "scripts" / "handoff.sh"
FAKE = """\
#!/bin/bash
# Notes its call; FAIL names a stage that fails; `serve` says that it serves and stays.
echo "$*" >> "$CALLS"
[ "$1" != "${FAIL:-}" ] || { echo "Error: $1 fails"; exit 5; }
case $1 in
  serve)
    trap 'echo stopped >> "$CALLS"; exit 0' INT TERM
    [ -z "${SILENT:-}" ] || echo "loading the weights"
    [ -n "${SILENT:-}" ] || echo "Serving at http://127.0.0.1:$4/v1"
    while :; do sleep 0.1; done ;;
  *) echo "$1 was done" ;;
esac
"""
Go = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def build(tmp_path: Path) -> Path:
    folder = tmp_path / "build" / "it"
    folder.mkdir(parents=True)
    (folder / "train.yaml").write_text("bf16: true\noutput_dir: ../it-runs/lora-1234/trained\n")
    return folder


@pytest.fixture
def go(tmp_path: Path, build: Path) -> Go:
    fake = tmp_path / "datakit"
    fake.write_text(FAKE)
    fake.chmod(0o755)

    def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        settings = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "DATAKIT": str(fake)}
        settings |= {"CALLS": str(tmp_path / "calls"), "PORT": "18461", "SERVE_WAIT_S": "20", **environment}
        command = [str(SCRIPT), str(build), *words]
        return subprocess.run(command, env=settings, capture_output=True, text=True, check=False, timeout=90)

    return run


def stages(tmp_path: Path) -> list[str]:
    return [line.split()[0] for line in (tmp_path / "calls").read_text().splitlines()]


def test_stages_run_in_order_and_the_server_is_stopped(go: Go, tmp_path: Path) -> None:
    done = go()
    assert done.returncode == 0, done.stdout + done.stderr
    assert stages(tmp_path) == ["check", "train", "export", "serve", "predict", "stopped", "evaluate"]
    logs = list((tmp_path / "build/it-runs/lora-1234/logs").iterdir())
    assert {path.name.split("-")[0] for path in logs} == {
        *("check", "train", "export", "serve", "predict", "evaluate")
    }
    assert {path.suffix for path in logs} == {".log"}


def test_finished_stages_are_passed_over_but_the_check_is_not(go: Go, tmp_path: Path) -> None:
    go()
    (tmp_path / "calls").unlink()
    done = go()
    assert done.returncode == 0
    assert stages(tmp_path) == ["check"]
    assert "evaluate is done" in done.stdout


def test_failed_stage_ends_with_its_exit_code_and_is_where_the_next_call_goes_on(
    go: Go, tmp_path: Path
) -> None:
    done = go(FAIL="export")
    assert done.returncode == 5
    assert "export fails" in done.stdout
    assert stages(tmp_path) == ["check", "train", "export"]
    (tmp_path / "calls").unlink()
    assert go().returncode == 0
    assert stages(tmp_path) == ["check", "export", "serve", "predict", "stopped", "evaluate"]


def test_server_is_stopped_when_predicting_fails(go: Go, tmp_path: Path) -> None:
    assert go(FAIL="predict").returncode == 5
    assert stages(tmp_path)[-2:] == ["predict", "stopped"]


def test_server_that_does_not_start_ends_the_run_with_its_words(go: Go, tmp_path: Path) -> None:
    done = go(FAIL="serve")
    assert done.returncode == 1
    assert "serve fails" in done.stderr
    assert "predict" not in stages(tmp_path)


def test_server_that_is_not_ready_in_time_is_stopped_and_its_last_words_are_told(
    go: Go, tmp_path: Path
) -> None:
    done = go("predict", SILENT="1", SERVE_WAIT_S="1")
    assert done.returncode == 1
    assert "loading the weights" in done.stderr
    assert "not ready within 1 s" in done.stderr
    assert stages(tmp_path) == ["serve", "stopped"]


def test_server_of_another_model_on_the_port_is_never_asked(go: Go, tmp_path: Path) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = go(PORT=str(server.server_port))
        server.shutdown()
    assert done.returncode == 2
    assert "taken by a server of something else" in done.stderr
    assert "predict" not in stages(tmp_path)


@contextmanager
def served(folder: Path, model: Path, **environment: str) -> Iterator[str]:
    """A server of a model, as vLLM answers; the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [install(folder), "serve", model, "--served-model-name", "it", "--port", str(port)]
    process = subprocess.Popen(words, env={**os.environ, **environment}, stderr=subprocess.DEVNULL)

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(listens)
        yield str(port)
    finally:
        process.kill()
        process.wait()


def test_server_of_this_model_with_a_key_is_used_and_left_running(go: Go, tmp_path: Path) -> None:
    model = tmp_path / "build/it-runs/lora-1234/served"
    with served(tmp_path / "vllm", model, VLLM_API_KEY="sk-1") as port:
        done = go("predict", PORT=port, VLLM_API_KEY="sk-1")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "a server of this model answers" in done.stdout
        assert stages(tmp_path) == ["predict"]
        wrong = go("--again", "predict", PORT=port)
        assert wrong.returncode == 2
        assert "put its key into VLLM_API_KEY" in wrong.stderr
        assert stages(tmp_path) == ["predict"]


def test_port_of_something_that_is_no_web_server_counts_as_taken(go: Go, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def greet() -> None:
            while not stop.is_set():
                connection, _ = listener.accept()
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                connection.close()

        threading.Thread(target=greet, daemon=True).start()
        done = go("predict", PORT=str(listener.getsockname()[1]))
        stop.set()
    assert done.returncode == 2
    assert "taken by a server of something else" in done.stderr
    assert not (tmp_path / "calls").exists()


@pytest.mark.fault("handoff.sh is started twice for one run", "the second is refused", kind="scripts")
def test_two_calls_never_work_on_one_run_but_a_served_model_may_be_asked(
    go: Go, build: Path, tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    with subprocess.Popen(
        [SCRIPT, build, "serve"],
        env={
            **os.environ,
            "DATAKIT": str(tmp_path / "datakit"),
            "CALLS": str(calls),
            "PORT": "18462",
            "SILENT": "1",
        },
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        until(lambda: calls.exists() and "serve" in calls.read_text(), first)
        second = go("evaluate")
        assert second.returncode == 2
        assert "these stages already run" in second.stderr
        (log,) = (tmp_path / "build/it-runs/lora-1234/logs").glob("serve-*")
        with log.open("a") as file:
            file.write("Serving at http://127.0.0.1:18462/v1\n")
        assert first.stdout is not None
        until(lambda: "serving on port" in first.stdout.readline(), first)
        until(lambda: go("evaluate").returncode == 0, first)
        first.terminate()  # its output is read by nobody from here on
    assert first.returncode == 143
    assert stages(tmp_path) == ["serve", "evaluate", "stopped"]


def test_one_stage_may_be_made_again(go: Go, tmp_path: Path) -> None:
    go()
    (tmp_path / "calls").unlink()
    assert go("--again", "evaluate").returncode == 0
    assert stages(tmp_path) == ["evaluate"]


def test_options_reach_the_commands(go: Go, tmp_path: Path) -> None:
    go(
        TRAIN_FLAGS="--ignore-memory\n--nodes 1",
        SERVE_FLAGS="--gpus 2",
        PREDICT_FLAGS="--split test.jsonl",
        CPU="1",
    )
    calls = (tmp_path / "calls").read_text()
    assert "--ignore-memory --nodes 1 --cpu" in calls
    assert "--port 18461 --gpus 2 --cpu" in calls
    assert "/predictions.jsonl --split test.jsonl" in calls


def test_other_nodes_train_alone(go: Go, tmp_path: Path) -> None:
    assert go(NODE_RANK="1", MASTER_ADDR="10.0.0.1").returncode == 0
    assert stages(tmp_path) == ["check", "train"]
    assert go(TRAIN_FLAGS="--node-rank 2 --master 10.0.0.1").returncode == 0
    assert stages(tmp_path) == ["check", "train"] * 2


def test_wrong_calls_say_what_is_right(go: Go, build: Path) -> None:
    assert "unknown stage tarin" in go("tarin").stderr
    assert "80a, which is no port" in go(PORT="80a").stderr
    (build / "train.yaml").unlink()
    assert "has no train.yaml" in go().stderr
    done = subprocess.run([str(SCRIPT), "nowhere"], capture_output=True, text=True, check=False)
    assert (done.returncode, "usage:" in done.stderr) == (2, True)
