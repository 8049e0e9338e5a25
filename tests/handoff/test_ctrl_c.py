"""Ctrl-C at a terminal, while a server has taken questions and answers none of them."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.handoff.conftest import Home
from tests.support.waiting import until


class Terminal:
    """A command at a terminal of its own, as a user starts it."""

    def __init__(self, words: list[str], output: Path, **environment: str) -> None:
        self.keyboard, screen = pty.openpty()
        self.output = output
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                words,
                stdin=screen,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                preexec_fn=_foreground,
                text=True,
            )
        os.close(screen)

    def interrupted(self, longest_s: float) -> tuple[int, float]:
        """The exit code after Ctrl-C, and how long the end took in seconds."""
        began = time.monotonic()
        os.write(self.keyboard, b"\x03")
        try:
            code = self.process.wait(longest_s)
        finally:
            self.process.kill()
            os.close(self.keyboard)
        return code, time.monotonic() - began


def _foreground() -> None:
    import fcntl
    import termios

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell may have it ignored in what it starts
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_ctrl_c_ends_a_handoff_whose_server_answers_nothing(home: Home, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "datakit.cli", "handoff", *home.words, "--split", "train"]
    terminal = Terminal(words, tmp_path / "said", FAKE_VLLM="hangs:3")
    until(lambda: home.asked() > 3, terminal.process)
    code, took = terminal.interrupted(30)
    said = terminal.output.read_text()
    assert code == 130, said
    assert "run the same command to go on" in said
    assert took < 4, said


def test_ctrl_c_ends_a_prediction_whose_server_answers_nothing(home: Home, tmp_path: Path) -> None:
    name, url = "it", f"http://127.0.0.1:{home.port}"
    words = [str(home.vllm), "serve", "/model", "--served-model-name", name, "--port", str(home.port)]
    with subprocess.Popen(words, env={**os.environ, "FAKE_VLLM": "hangs:3"}, text=True) as server:
        try:
            until(lambda: listens(home.port), server)
            words = [sys.executable, "-m", "datakit.cli", "predict", str(home.build), "--split", "train"]
            terminal = Terminal([*words, "--base-url", f"{url}/v1"], tmp_path / "said")
            until(lambda: home.asked() > 3, terminal.process)
            code, took = terminal.interrupted(30)
        finally:
            server.kill()
    said = terminal.output.read_text()
    assert code == 130, said
    assert "run the same command to go on" in said
    assert took < 3, said


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


ASKING = """\
import asyncio, sys
from datakit.llm._plain_connection import PlainConnection
from datakit.llm._wire import Body

async def ask():
    connection = PlainConnection(sys.argv[1], {}, timeout_s=300)
    asked = asyncio.ensure_future(connection.post(Body(b"{}")))
    await asyncio.sleep(0.5)
    asked.cancel()
    await connection.close()

asyncio.run(ask())
"""


def test_process_with_a_plain_connection_ends_though_the_server_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        ended = subprocess.run([sys.executable, "-c", ASKING, url], timeout=60, check=False)
    assert ended.returncode == 0
