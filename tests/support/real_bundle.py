"""A bundle on a machine with the real LLaMA-Factory and the real vLLM, where no datakit can be imported."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from datakit.core.errors import UserError
from datakit.handoff.own_server import OwnServer
from datakit.training.trainer_process import TrainerProcess
from tests.support.unpacked import UnpackedBundle
from tests.support.waiting import until

LOADED_S = 600.0
"""So long a stage of real tools may take on a busy machine."""


class RealBundle(UnpackedBundle):
    """Its folder is in an empty one; HOME is another, so that caches of this machine help nothing."""

    patience_s = 2 * LOADED_S

    @property
    def environment(self) -> dict[str, str]:
        home = self.folder.parent / "home"
        home.mkdir(exist_ok=True)
        vllm = Path(os.environ["DATAKIT_VLLM"])
        return {
            **super().environment,
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "MODEL": os.environ.get("DATAKIT_UNTIED_MODEL", os.environ["DATAKIT_TINY_MODEL"]),
            "TRAINER": os.environ.get("DATAKIT_LLAMAFACTORY", ""),
            "VLLM": str(vllm),
            "PYTHON": str(vllm.with_name("python")),  # which has no datakit; the trainer's may have it
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        }

    @property
    def journal(self) -> str:
        """What all calls of run.sh have said in this run."""
        folders = self.folder.glob(f"{self.name}-runs/*/logs/handoff-*.log")
        return "\n".join(path.read_text("utf-8") for path in sorted(folders))

    def comes_to(self, pattern: str, process: subprocess.Popen[str]) -> None:
        """Waits until a call says something that matches."""
        until(lambda: re.search(pattern, self.journal), process, within_s=LOADED_S)

    @contextlib.contextmanager
    def trainer_at_rest(self) -> Iterator[TrainerProcess]:
        """The training that runs, standing still for the block, so that what is tried meanwhile finds it."""
        training = TrainerProcess.read(self.run, 0)
        assert training is not None
        os.kill(training.pid, signal.SIGSTOP)
        try:
            yield training
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(training.pid, signal.SIGCONT)

    def server_process(self, is_meant: Callable[[psutil.Process], bool]) -> psutil.Process:
        """A process of the server that this bundle has started."""
        server = OwnServer.load(self.run / "server.json")
        return next(filter(is_meant, psutil.Process(server.pid).children(recursive=True)))

    def end_all(self) -> None:
        """Ends what a walk that failed has left behind."""
        for path in self.folder.glob(f"{self.name}-runs/*"):
            training = TrainerProcess.read(path, 0)
            if training is not None:
                training.end()
            with contextlib.suppress(UserError, psutil.NoSuchProcess):
                for process in psutil.Process(OwnServer.load(path / "server.json").pid).children(True):
                    process.kill()
