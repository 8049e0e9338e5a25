"""Starts `vllm serve` by a plan, waits until it is healthy, and tries once more after a known failure."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from datakit.core.disk_faults import is_full
from datakit.core.ends_with_parent import ending_with_this_process
from datakit.core.errors import DatakitError, Exit, UserError
from datakit.core.interrupts import unhurried, uninterrupted
from datakit.core.private_files import open_private, private_folder
from datakit.core.replacing import free_name
from datakit.core.scripts import shell_words
from datakit.serving.failures import DISK_FULL, Failure, read_failure
from datakit.serving.serve_command import ServeCommand
from datakit.serving.starting import USUAL_TIMEOUT_S, StartWatch, tail

_POLL_S = 0.5
_END_S, _FREED_S = 20.0, 8.0
Say = Callable[[str], None]


class ServerFailed(DatakitError):
    """The server did not start, or was not healthy in time."""

    exit_code = Exit.FAILED


@dataclass(frozen=True)
class Start:
    """How a server is started, beside its command."""

    program: str = "vllm"
    timeout_s: float = USUAL_TIMEOUT_S
    """Longest wait until it is healthy."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables beside those of this process."""
    say: Say = lambda text: None
    more_time: str = "--timeout-s"
    """What of the command gives the start more time."""


@dataclass
class Server:
    """A running server."""

    plan: ServeCommand
    process: subprocess.Popen[bytes]
    log: Path
    how: Start = field(default_factory=Start)

    @property
    def url(self) -> str:
        return self.plan.url

    def stop(self) -> None:
        """Ends the server and everything that it started."""
        with unhurried():  # it lets go of its GPU; while it serves, an interrupt has no time to lose
            if self.process.poll() is None:
                _signal(self.process, signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(_END_S)
            _signal(self.process, signal.SIGKILL)  # its engine lives in a process of its own
            self.process.wait()

    def revive(self) -> Path:
        """Starts a server that is gone once more, at the same address; its further log. From any thread.

        Raises ServerFailed where it does not become healthy.
        """
        self.stop()
        log = free_name(self.log)
        self.how.say(f"The server is gone; starting it once more. Its log: {log}")
        server, failure = _start(self.plan, log, self.how)
        if server is None:
            detail = f"{failure.detail}.\n  {failure.remedy}" if failure is not None else "it ended"
            raise ServerFailed(f"the server did not start again: {detail}\n  The whole log: {log}")
        self.process, self.log = server.process, server.log
        return self.log


@contextlib.contextmanager
def running(
    plan: ServeCommand,
    log: Path,
    *,
    program: str = "vllm",
    timeout_s: float = USUAL_TIMEOUT_S,
    say: Say = lambda text: None,
    env: dict[str, str] | None = None,
    more_time: str = "--timeout-s",
) -> Iterator[Server]:
    """A healthy server; it ends with the block, and with this process, by whatever that is ended.

    A start that fails for a known reason is tried once more with what the server said. Raises ServerFailed
    with the server's own words, or UserError when vLLM is not there.
    """
    how = Start(program, timeout_s, env or {}, say, more_time)
    server, failure = _start(plan, log, how)
    if failure is not None:
        following, further = next_plan(plan, failure), _further(failure, how)
        if following is None and not further:
            raise ServerFailed(f"{failure.detail}.\n  {failure.remedy}\n  The whole log: {log}")
        following = following or plan
        changed = _changed(plan, following, further)
        how.say(f"vLLM did not start: {failure.detail}. Trying once more with {changed}.")
        second = log.with_name(f"{log.stem}.2{log.suffix}")
        server, again = _start(following, second, replace(how, environment={**how.environment, **further}))
        if again is not None:
            raise ServerFailed(
                f"vLLM did not start in two tries. First: {failure.detail}; then: {again.detail}.\n"
                f"  {again.remedy}\n  The whole logs: {log.parent}"
            )
    assert server is not None  # no failure was found
    try:
        yield server
    finally:
        server.stop()


def next_plan(plan: ServeCommand, failure: Failure) -> ServeCommand | None:
    """The plan for the next try; None when only the user can help.

    A length under that of the data's longest request is none: the server would refuse records.
    """
    changes = {} if _is_users(plan, failure) else dict(failure.changes)
    if failure.kind == "old_limit_syntax":
        changes["--limit-mm-per-prompt"] = f"image={max(1, plan.images)}"
    length = changes.get("--max-model-len")
    if length is not None and int(length) < plan.longest_tokens:
        return None
    if not changes and not failure.dropped:
        return None
    following = plan.with_flags(changes, f"after a failed start: {failure.detail}", dropped=failure.dropped)
    return None if following.command() == plan.command() else following


def _is_users(plan: ServeCommand, failure: Failure) -> bool:
    """Whether a change would replace a flag of many parts that the recipe has set."""
    return "--compilation-config" in failure.changes and any(
        flag.name in ("--compilation-config", "-O") for flag in plan.flags
    )


def _start(plan: ServeCommand, log: Path, how: Start) -> tuple[Server | None, Failure | None]:
    words = plan.command(how.program)
    if shutil.which(words[0]) is None:
        raise UserError(
            f"there is no program `{words[0]}`",
            remedy="Install vLLM where the GPU is (pip install vllm), or name it with --vllm.",
        )
    if _healthy(plan):
        raise UserError(
            f"another server answers on port {plan.port}",
            remedy="End it, or choose another port with --port.",
        )
    _check_free(plan.port)
    private_folder(log.parent)
    with open_private(log) as file:
        file.write(f"{shell_words(words)}\n".encode())
        file.flush()
        server: Server | None = None
        try:
            with uninterrupted():
                process = subprocess.Popen(
                    ending_with_this_process(words),
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                    env={**os.environ, **how.environment},
                )
                server = Server(plan, process, log, how)
            failure = _wait(server, how.timeout_s, StartWatch(log, how.say, how.timeout_s))
        except BaseException:
            if server is not None:
                server.stop()
            raise
    if failure is not None:
        server.stop()
        return None, failure
    return server, None


def _wait(server: Server, timeout_s: float, watch: StartWatch) -> Failure | None:
    """Waits until the server is healthy; why it ended or hangs, when it did."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        code = server.process.poll()
        if code is not None:
            return read_failure(tail(server.log)) or _unknown(server.log, code)
        if _healthy(server.plan):
            return None
        hang = watch.look()
        if hang is not None:
            return hang
        time.sleep(_POLL_S)
    raise ServerFailed(
        f"vLLM was not ready within {timeout_s:g} s. It said last: {watch.last_line.strip()[-300:]}\n"
        f"  Give it more with {server.how.more_time}; its log: {server.log}"
    )


def _healthy(plan: ServeCommand) -> bool:
    address = f"http://127.0.0.1:{plan.port}/health"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def _check_free(port: int) -> None:
    """Raises UserError where something listens on the port: vLLM finds it out once it has loaded the model.

    A server that has just lost its driver is given the time to end.
    """
    until = time.monotonic() + _FREED_S
    while _listens(port):
        if time.monotonic() >= until:
            raise UserError(
                f"port {port} is taken by another program",
                remedy=f"End it (`lsof -i :{port}` names it), or choose another port with --port.",
            )
        time.sleep(_POLL_S)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


def _unknown(log: Path, code: int) -> Failure:
    if is_full(log.parent):  # so that the log lacks the reason
        return DISK_FULL
    lines = [line for line in tail(log).splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line or "error:" in line]
    last = (errors or lines or ["it printed nothing"])[-1]
    return Failure("unknown", f"it ended with code {code}: {last.strip()[-300:]}", "See the log.")


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _further(failure: Failure, how: Start) -> dict[str, str]:
    """The variables of the next try that are not set as they are wanted already."""
    before = {**os.environ, **how.environment}
    return {name: value for name, value in failure.environment.items() if before.get(name) != value}


def _changed(old: ServeCommand, new: ServeCommand, further: dict[str, str]) -> str:
    before = {flag.name: flag.words for flag in old.flags}
    after = {flag.name: flag.words for flag in new.flags}
    changed = [shell_words(words) for name, words in after.items() if before.get(name) != words]
    removed = [f"no {name}" for name in before if name not in after]
    return ", ".join([*changed, *removed, *(f"{name}={value}" for name, value in further.items())])
