"""Starting a server: waiting, failing with words, trying once more. A small program plays vLLM."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from datakit.core.errors import UserError
from datakit.core.processes import process_mark
from datakit.core.qwen_models import known_models
from datakit.serving import starting
from datakit.serving.launch import ServerFailed, running
from datakit.serving.serve_command import ServeCommand
from datakit.serving.settings import ServeSettings
from tests.support.plans import planned
from tests.support.small_disk import needs_root, small_disk
from tests.support.waiting import until

PROGRAM = """\
import http.server, os, pathlib, sys, time
args = sys.argv[1:]
here = pathlib.Path(__file__).parent
with open(here / "calls", "a") as file:
    file.write(repr(args) + "\\n")
script = (here / "script").read_text().split("\\n---\\n")
call = len((here / "calls").read_text().splitlines()) - 1
text = script[min(call, len(script) - 1)]
if text.startswith("hang "):
    print(text[5:], flush=True)
    time.sleep(300)
if text != "serve":
    sys.exit(text)
print("P2P", os.environ.get("NCCL_P2P_DISABLE"), flush=True)
port = int(args[args.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), type("H", (http.server.BaseHTTPRequestHandler,), {
    "do_GET": lambda self: (self.send_response(200), self.end_headers()),
    "log_message": lambda self, *args: None,
})).serve_forever()
"""
LENGTH = "ValueError: the estimated maximum model length is 16256. Try increasing"


@pytest.fixture
def port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def program(folder: Path, *script: str) -> str:
    (folder / "vllm.py").write_text(PROGRAM)
    (folder / "script").write_text("\n---\n".join(script))
    return f"{sys.executable} {folder / 'vllm.py'}"


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


def plan_at(port: int) -> ServeCommand:
    return planned(ServeSettings(port=port, max_model_len=32_768)).serve_command


def test_healthy_server_is_given_and_ended_with_the_block(tmp_path: Path, port: int) -> None:
    with running(plan_at(port), tmp_path / "serve.log", program=program(tmp_path, "serve")) as server:
        assert server.process.poll() is None
        assert server.url == f"http://127.0.0.1:{port}/v1"
    assert server.process.poll() is not None
    assert (tmp_path / "serve.log").read_text().startswith(sys.executable)


def test_server_that_was_killed_is_started_again_at_its_address(tmp_path: Path, port: int) -> None:
    said: list[str] = []
    work = program(tmp_path, LENGTH, "serve")
    with running(plan_at(port), tmp_path / "serve.log", program=work, say=said.append) as server:
        first = server.process
        os.killpg(first.pid, signal.SIGKILL)
        thread = threading.Thread(target=server.revive)
        thread.start()
        thread.join()
        assert urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=30).status == 200
        assert server.process is not first
        assert server.log.name == "serve.2-2.log"
    assert server.process.poll() is not None
    assert "starting it once more" in said[-1]
    assert calls(tmp_path)[1] == calls(tmp_path)[2]  # with what the second try had changed


def test_server_that_does_not_start_again_is_told(tmp_path: Path, port: int) -> None:
    work = program(tmp_path, "serve", "torch.OutOfMemoryError: CUDA out of memory. Tried")
    with running(plan_at(port), tmp_path / "serve.log", program=work) as server:
        os.killpg(server.process.pid, signal.SIGKILL)
        with pytest.raises(ServerFailed, match=r"did not start again: torch\.OutOfMemoryError"):
            server.revive()


def test_known_failure_is_tried_once_more_with_the_servers_own_figure(tmp_path: Path, port: int) -> None:
    said: list[str] = []
    work = program(tmp_path, LENGTH, "serve")
    with running(plan_at(port), tmp_path / "serve.log", program=work, say=said.append) as server:
        assert server.plan.max_model_len == 16_256
    assert "'--max-model-len', '16256'" in calls(tmp_path)[1]
    assert "Trying once more with --max-model-len 16256" in said[0]


def test_second_failure_ends_it_with_both_reasons(tmp_path: Path, port: int) -> None:
    work = program(tmp_path, LENGTH, "torch.OutOfMemoryError: CUDA out of memory. Tried")
    with (
        pytest.raises(ServerFailed, match=r"two tries.*16,256.*CUDA out of memory"),
        running(plan_at(port), tmp_path / "serve.log", program=work),
    ):
        pass
    assert len(calls(tmp_path)) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("RuntimeError: Failed to infer device type", "finds no GPU"),
        ("KeyError: 'strange'", "KeyError: 'strange'"),
    ],
)
def test_what_no_flag_can_mend_is_not_tried_again(tmp_path: Path, port: int, text: str, words: str) -> None:
    with (
        pytest.raises(ServerFailed, match=words),
        running(plan_at(port), tmp_path / "serve.log", program=program(tmp_path, text)),
    ):
        pass
    assert len(calls(tmp_path)) == 1


@needs_root
def test_full_disk_is_told_where_it_left_no_room_in_the_log_to_say_so(tmp_path: Path, port: int) -> None:
    with small_disk(tmp_path / "logs", "1m"):
        fill = f"dd if=/dev/zero of={tmp_path / 'logs' / 'fill'} bs=64k 2>/dev/null"
        server = tmp_path / "vllm"
        server.write_text(f'#!/bin/sh\n{fill}\necho "OSError: [Errno 28] No space left on device"\nexit 1\n')
        server.chmod(0o755)
        log = tmp_path / "logs" / "serve.log"
        with (
            pytest.raises(ServerFailed, match="the disk is full, which vLLM writes its log") as error,
            running(plan_at(port), log, program=str(server)),
        ):
            pass
    assert "Make room in the run's folder" in str(error.value)


def test_port_in_use_and_absent_program_are_found_beforehand(tmp_path: Path, port: int) -> None:
    work = program(tmp_path, "serve")
    with (
        running(plan_at(port), tmp_path / "serve.log", program=work),
        pytest.raises(UserError, match="another server answers"),
        running(plan_at(port), tmp_path / "other.log", program=work),
    ):
        pass
    with (
        pytest.raises(UserError, match="no program `vlm`"),
        running(plan_at(port), tmp_path / "serve.log", program="vlm"),
    ):
        pass


@pytest.mark.fault(
    "the port of the server is taken by another program",
    "it is told before the model is loaded, with another port as the way out",
    kind="processes",
)
def test_port_of_another_program_is_found_beforehand(tmp_path: Path, port: int) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        with (
            pytest.raises(UserError, match=f"port {port} is taken by another program") as caught,
            running(plan_at(port), tmp_path / "serve.log", program=program(tmp_path, "serve")),
        ):
            pass
    assert "--port" in caught.value.remedy
    assert not (tmp_path / "calls").exists()


def test_server_that_is_never_ready_is_ended(tmp_path: Path, port: int) -> None:
    (tmp_path / "slow.py").write_text("import time; print('at work', flush=True); time.sleep(60)")
    began = time.monotonic()
    work = f"{sys.executable} {tmp_path / 'slow.py'}"
    with (
        pytest.raises(ServerFailed, match=r"not ready within 2 s\. It said last: at work"),
        running(plan_at(port), tmp_path / "s.log", program=work, timeout_s=2),
    ):
        pass
    assert time.monotonic() - began < 20


def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that stands still for a moment hangs."""
    monkeypatch.setattr(starting, "HANGS", tuple(replace(hang, still_s=0.0) for hang in starting.HANGS))


def test_start_that_hangs_is_ended_and_tried_once_more_without_what_hung(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    quickly(monkeypatch)
    monkeypatch.delenv("NCCL_P2P_DISABLE", raising=False)
    said: list[str] = []
    work = program(tmp_path, "hang vLLM is using nccl==2.20.5", "serve")
    with running(plan_at(port), tmp_path / "serve.log", program=work, say=said.append):
        assert "P2P 1" in (tmp_path / "serve.2.log").read_text()
    assert "'--disable-custom-all-reduce'" in calls(tmp_path)[1]
    assert "hangs in NCCL" in said[0]
    assert "Trying once more with --disable-custom-all-reduce, NCCL_P2P_DISABLE=1." in said[0]


def test_start_that_no_flag_can_help_names_the_way_out(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    quickly(monkeypatch)
    line = "hang 'x' thrown while requesting HEAD https://huggingface.co/Qwen/resolve/main/config.json"
    with (
        pytest.raises(ServerFailed, match="its hub cannot be reached") as caught,
        running(plan_at(port), tmp_path / "serve.log", program=program(tmp_path, line)),
    ):
        pass
    assert "HF_HUB_OFFLINE=1" in str(caught.value)
    assert len(calls(tmp_path)) == 1


DRIVER = """\
import pathlib, sys, time
from datakit.serving import starting
from datakit.serving.launch import running
from datakit.serving.serve_command import Flag, ServeCommand
folder, port, program = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
command = ServeCommand("m", "n", port, (Flag("--port", str(port), ""),))
with running(command, folder / "serve.log", program=program):
    (folder / "ready").touch()
    time.sleep(300)
"""


@pytest.mark.fault(
    "datakit is killed (SIGKILL) while a server that it started runs",
    "the server ends with all its processes, and its port is free",
    kind="processes",
)
def test_server_and_its_engine_end_when_datakit_is_killed(tmp_path: Path, port: int) -> None:
    work = program(tmp_path, "serve")
    engine = "import subprocess\n"
    engine += "engine = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
    code = PROGRAM.replace("args = sys.argv[1:]\n", f"args = sys.argv[1:]\n{engine}")
    code = code.replace("call = len(", "(here / 'engine').write_text(str(engine.pid))\ncall = len(")
    (tmp_path / "vllm.py").write_text(code)
    words = [sys.executable, "-c", DRIVER, str(tmp_path), str(port), work]
    driver = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    until((tmp_path / "ready").exists)
    pid = int((tmp_path / "engine").read_text())
    assert process_mark(pid)
    driver.kill()
    driver.wait()
    until(lambda: not process_mark(pid))
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))


def test_command_shows_the_plan_as_json(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from datakit.cli import run

    name = "Qwen/Qwen2.5-VL-7B-Instruct"
    assert run(["serve", str(small), "--model", name, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["command"][:3] == ["vllm", "serve", name]
    assert run(["serve", str(small)]) == 2
    assert "no trained model" in capsys.readouterr().err
    assert run(["serve", str(small), "--model", name, "--gpu-memory-gb", "10", "--dry-run"]) == 2
    assert "What would help" in capsys.readouterr().err
    assert run(["serve", str(small / "images"), "--dry-run"]) == 2
    assert "is no build" in capsys.readouterr().err


def test_half_written_weights_are_refused_before_the_start(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from datakit.cli import run

    config = known_models()["Qwen/Qwen2-VL-2B-Instruct"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    header = json.dumps({"w": {"dtype": "F32", "shape": [100], "data_offsets": [0, 400]}}).encode()
    weights = len(header).to_bytes(8, "little") + header + bytes(300)
    (tmp_path / "model.safetensors").write_bytes(weights)
    work = program(tmp_path, "serve")
    assert run(["serve", str(small), "--model", str(tmp_path), "--vllm", work]) == 2
    assert "not whole" in capsys.readouterr().err
    assert not (tmp_path / "calls").exists()
