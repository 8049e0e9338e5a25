"""A bundle unpacked on a machine that has a toy LLaMA-Factory and a toy vLLM, and no datakit on its PATH."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import marshal
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from datakit.bundling.needs import needs_of
from datakit.bundling.pack import bundle
from datakit.training.run_folder import RunFolder
from tests.support import fake_trainer, fake_vllm
from tests.support.waiting import until

Make = Callable[..., Path]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether something answers on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def write_python(path: Path, python: str | Path = sys.executable, *options: str) -> Path:
    """A command `python3` of its own folder, which is another Python."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nexec {python} {" ".join(options)} "$@"\n')
    path.chmod(0o755)
    return path


def write_compiled(folder: Path) -> None:
    """Bytecode beside the modules of a bundle for this Python: its processes, which write none, compile none.

    It is taken where it fits its source, so that a module which a test edits is compiled anew.
    """
    for path in folder.rglob("*.py"):
        source = path.read_bytes()
        compiled = Path(importlib.util.cache_from_source(path))
        compiled.parent.mkdir(exist_ok=True)
        checked = (0b11).to_bytes(4, "little") + importlib.util.source_hash(source)
        compiled.write_bytes(importlib.util.MAGIC_NUMBER + checked + _compiled(source, path.name))


@cache
def _compiled(source: bytes, name: str) -> bytes:
    return marshal.dumps(compile(source, name, "exec", dont_inherit=True))


_ARCHIVES: dict[str, tuple[bytes, str]] = {}
"""What a bundle is made of -> its bytes, and the folder inside."""


def unpack(build: Path, folder: Path) -> Path:
    """The folder of a bundle; of equal builds, which give the same archive, it is packed once."""
    made_of = hashlib.sha256(repr(needs_of(RunFolder.of(build))).encode())
    for path in sorted(path for path in build.rglob("*") if path.is_file()):
        content = path.read_bytes()
        made_of.update(f"{path.relative_to(build)} {len(content)} ".encode() + content)
    key = made_of.hexdigest()
    if key not in _ARCHIVES:
        packed = bundle(build, folder / "it.tar")
        _ARCHIVES[key] = ((folder / "it.tar").read_bytes(), packed.starts_with)
    archive, top = _ARCHIVES[key]
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    write_compiled(folder / top / "datakit")
    return folder / top


class UnpackedBundle:
    """A bundle in a folder of its own, and the environment of the machine on which it lies."""

    patience_s = 180.0
    """So long a call of run.sh may take on a busy machine."""

    def __init__(self, build: Path, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.build, self.name, self.folder = build, build.name, unpack(build, folder)
        self.port = free_port()

    @property
    def environment(self) -> dict[str, str]:
        """All that run.sh finds there."""
        return {"PATH": "/usr/bin:/bin", "CPU": "1", "PORT": str(self.port)}

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """run.sh, from another folder than the bundle's."""
        settings = {**self.environment, **environment}
        return subprocess.Popen(
            [str(self.folder / "run.sh"), *words],
            env={name: value for name, value in settings.items() if value},
            cwd=self.folder.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def go(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """run.sh to its end; it never shows a traceback."""
        process = self.start(*words, **environment)
        out, err = process.communicate(timeout=self.patience_s)
        assert "Traceback" not in out + err, out + err
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    @property
    def run(self) -> Path:
        return next((self.folder / f"{self.name}-runs").glob("lora-*"))

    @property
    def answers(self) -> Path:
        return self.run / f"predictions_val_{self.run.name}.jsonl"

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.answers.read_text().splitlines()]

    @property
    def evaluation(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.run / f"evaluation-val_{self.run.name}.json").read_text())
        return document


class Unpacked(UnpackedBundle):
    """A bundle with toy tools, which lie in the home of its machine."""

    def __init__(self, build: Path, folder: Path, python: str | Path = sys.executable) -> None:
        super().__init__(build, folder)
        self.tools = folder / "tools"
        fake_trainer.install(self.tools)
        fake_vllm.install(self.tools)
        self.python = write_python(folder / "bin" / "python3", python)

    @property
    def environment(self) -> dict[str, str]:
        path = f"{self.tools}:{self.python.parent}:/usr/bin:/bin"
        own = {"PATH": path, "HOME": str(self.tools), "SERVE_WAIT_S": "60"}
        own["FAKE_PROMPT_TOKENS"] = str(self.prompt_tokens)
        return {**super().environment, **own}

    @property
    def prompt_tokens(self) -> int:
        """Of the first record that is asked, as the training counts them."""
        data = self.folder / self.name
        try:
            packed = json.loads((data / "packed.json").read_text("utf-8"))
            first = next(row[1] for row in packed["records"] if row[0] == "val")
        except (OSError, ValueError, LookupError, TypeError):  # a test has damaged it
            return 10
        return next(
            int(tokens)
            for row, tokens in zip(packed["records"], packed["asked_tokens"], strict=True)
            if row[1] == first
        )

    @contextmanager
    def other_server(self, root: str = "/other") -> Iterator[None]:
        """A server of another model on the port."""
        words = ["serve", root, "--served-model-name", "x", "--port", str(self.port)]
        server = subprocess.Popen([str(self.tools / "vllm"), *words], text=True)
        try:
            until(lambda: listens(self.port), server)
            yield
        finally:
            server.kill()
            server.wait()
