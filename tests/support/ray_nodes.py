"""A real Ray cluster of two nodes on this machine, with one CPU each; nodes come and go as tests ask."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_STORE_BYTES = 100 << 20
_TRIES = 4
_PORTS = (
    "metrics_agent_port",
    "metrics_export_port",
    "runtime_env_agent_port",
    "dashboard_agent_listen_port",
)
"""A node waits half a minute for its own parts to choose these, and ends where that takes longer."""
_PATIENCE = {"RAY_raylet_start_wait_time_s": "300", "RAY_USAGE_STATS_ENABLED": "0"}
"""A busy machine takes longer to start a node than Ray waits by itself."""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class RayNodes:
    """The head, which has a CPU of its own, and a second node."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster: Any = Cluster()
        self._node(include_dashboard=False)
        self._second: Any = None
        self.address: str = self._cluster.address

    def complete(self) -> None:
        """Both nodes are there."""
        if self._second is None:
            self._second = self._node()

    def _node(self, **more: Any) -> Any:
        """A further node; tried again where a busy machine lets a part of Ray give up waiting for another."""
        for patience in range(_TRIES - 1, -1, -1):
            try:
                ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
                return self._cluster.add_node(num_cpus=1, object_store_memory=_STORE_BYTES, **ports, **more)
            except Exception:
                if not patience:
                    raise
        return None

    def kill_second(self) -> None:
        """The second node ends without a word, its actors with it."""
        self._cluster.remove_node(self._second, allow_graceful=False)
        self._second = None

    def logs(self) -> bytes:
        """Whatever Ray has written about this cluster."""
        folder = Path(self._cluster.head_node.get_session_dir_path())
        return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())

    def shutdown(self) -> None:
        """Ends every node at once: an orderly end waits for a head that ends too."""
        for node in list(self._cluster.list_all_nodes()):
            node.kill_all_processes(check_alive=False, allow_graceful=False)


@contextmanager
def ray_nodes() -> Iterator[RayNodes]:
    """The cluster, for the length of some tests."""
    os.environ.update(_PATIENCE)  # before Ray is imported, which reads it then
    pytest.importorskip("ray")
    nodes = RayNodes()
    try:
        yield nodes
    finally:
        nodes.shutdown()
