"""scripts/handoff.sh: the stages in order, each resumable, the server stopped at the end."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent.parent / "scripts" / "handoff.sh"
FAKE = """\
#!/bin/bash
# Notes its call; FAIL names a stage that fails; `serve` says that it serves and stays.
echo "$*" >> "$CALLS"
[ "$1" != "${FAIL:-}" ] || { echo "Error: $1 fails"; exit 5; }
case $1 in
  serve)
    trap 'echo stopped >> "$CALLS"; exit 0' INT TERM
    echo "Serving at http://127.0.0.1:$4/v1"
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
    logs = {path.name.split("-")[0] for path in (tmp_path / "build/it-runs/lora-1234/logs").iterdir()}
    assert logs == {"check", "train", "export", "serve", "predict", "evaluate"}


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
    assert done.returncode == 2
    assert "serve fails" in done.stderr
    assert "predict" not in stages(tmp_path)


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


def test_one_stage_may_be_made_again(go: Go, tmp_path: Path) -> None:
    go()
    (tmp_path / "calls").unlink()
    assert go("--again", "evaluate").returncode == 0
    assert stages(tmp_path) == ["evaluate"]


def test_options_reach_the_commands(go: Go, tmp_path: Path) -> None:
    go(TRAIN_FLAGS="--ignore-memory", SERVE_FLAGS="--gpus 2", PREDICT_FLAGS="--split test.jsonl", CPU="1")
    calls = (tmp_path / "calls").read_text()
    assert "--ignore-memory --cpu" in calls
    assert "--port 18461 --gpus 2 --cpu" in calls
    assert "/predictions.jsonl --split test.jsonl" in calls


def test_other_nodes_train_alone(go: Go, tmp_path: Path) -> None:
    assert go(NODE_RANK="1", MASTER_ADDR="10.0.0.1").returncode == 0
    assert stages(tmp_path) == ["check", "train"]


def test_wrong_calls_say_what_is_right(go: Go, build: Path) -> None:
    assert "unknown stage tarin" in go("tarin").stderr
    (build / "train.yaml").unlink()
    assert "has no train.yaml" in go().stderr
    done = subprocess.run([str(SCRIPT), "nowhere"], capture_output=True, text=True, check=False)
    assert (done.returncode, "usage:" in done.stderr) == (2, True)
