"""The connection to a Ray cluster: one that is there, or one started here that ends with the process."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from datakit.core.counted import counted
from datakit.core.errors import UserError, missing_extra
from datakit.core.interrupts import unhurried

_PROBE_S = 5.0
"""Ray itself looks for a head that is not there for minutes."""


@dataclass(frozen=True)
class Cluster:
    """A cluster that this process is connected to."""

    address: str
    cpus: int
    nodes: int
    is_ours: bool
    """Whether it was started here, and for this process."""

    def news(self) -> str:
        """What it is, in a line; "" where this process has told it."""
        if self.address in _told:
            return ""
        _told.add(self.address)
        size = f"{counted(self.nodes, 'node')}, {counted(self.cpus, 'CPU')}"
        return f"Ray: {'started on this machine' if self.is_ours else 'a running cluster'}, {size}"

    def close(self) -> None:
        """Ends a cluster that was started here; another is left alone."""
        if self.is_ours:
            with unhurried():
                package().shutdown()


def package() -> Any:
    """Ray itself. Raises UserError where it is not installed."""
    try:
        import ray
    except ImportError:
        raise missing_extra("ray", "ray", "run.executor: ray") from None
    return ray


_told: set[str] = set()
_ours: list[str] = []
"""The address of the cluster that was started here."""


def connect(workers: int | None) -> Cluster:
    """The cluster that this process is connected to, else that of RAY_ADDRESS, else one that runs on this
    machine, else one that is started here with `workers` CPUs.

    Raises UserError where Ray is not installed and where nobody answers at RAY_ADDRESS.
    """
    ray = package()
    if not ray.is_initialized():
        with _own_signals():
            _init(ray, workers)
    cpus = int(ray.cluster_resources().get("CPU", 0))
    nodes = sum(bool(node["Alive"]) for node in ray.nodes())
    address = ray.get_runtime_context().gcs_address
    return Cluster(address, cpus, nodes, address in _ours)


def _init(ray: Any, workers: int | None) -> None:
    quiet: dict[str, Any] = {
        "logging_level": logging.ERROR,
        "log_to_driver": bool(os.environ.get("DATAKIT_DEBUG")),
    }
    address = os.environ.get("RAY_ADDRESS", "")
    if address not in ("", "auto", "local"):
        _probe(address)
        try:
            ray.init(address=address, **quiet)
        except Exception as error:  # Ray raises plain ones
            raise _unknown(address, _first_line(error)) from None
        return
    if address != "local":
        with contextlib.suppress(ConnectionError):  # none runs here
            ray.init(address="auto", **quiet)
            return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster of ours tells nobody of itself
    try:
        ray.init(address="local", num_cpus=workers, include_dashboard=False, **quiet)
    except Exception as error:  # Ray raises plain ones
        raise UserError(
            f"Ray cannot be started on this machine: {_first_line(error)}",
            remedy="Its logs in /tmp/ray/session_latest/logs say why; `executor: local` needs no Ray.",
        ) from None
    _ours[:] = [ray.get_runtime_context().gcs_address]


def _probe(address: str) -> None:
    """Raises UserError where nobody listens."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PROBE_S).close()
    except (OSError, ValueError) as error:
        raise _unknown(address, str(error)) from None


def _unknown(address: str, words: str) -> UserError:
    return UserError(
        f"no Ray cluster answers at RAY_ADDRESS={address}: {words}",
        remedy="`ray start --head` prints the address; without RAY_ADDRESS one is started on this machine.",
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself; here it ends a command as Ctrl-C does, before and after."""
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if is_main and before is not None:
            signal.signal(signal.SIGTERM, before)
