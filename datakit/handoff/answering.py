"""Who answers on a port of this machine: nobody, a server of the wanted model, or something else."""

from __future__ import annotations

import http.client
import json
import os
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from datakit.artifacts.run_ids import run_id
from datakit.core.errors import UserError

if TYPE_CHECKING:
    from datakit.serving.endpoint import Connect

KEY = "VLLM_API_KEY"
_TIMEOUT_S = 5.0


class Answering(NamedTuple):
    """What was found out."""

    kind: str
    """`nobody`, `ours` (it serves the folder), `locked` (it wants another key) or `other`."""
    name: str = ""
    """What requests call the model of a server that is ours."""


def who_answers(port: int, served: Path) -> Answering:
    """Who answers on the port; `served` is the folder of the model that is wanted there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S).close()
    except OSError:
        return Answering("nobody")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    key = os.environ.get(KEY)
    opener.addheaders = [("Authorization", f"Bearer {key}")] if key else []
    place = f"http://127.0.0.1:{port}"
    try:
        opener.open(f"{place}/health", timeout=_TIMEOUT_S).close()
        with opener.open(f"{place}/v1/models", timeout=_TIMEOUT_S) as reply:
            models: list[dict[str, Any]] = json.load(reply)["data"]
        roots = {str(model["id"]): os.path.realpath(str(model.get("root") or "")) for model in models}
    except urllib.error.HTTPError as error:
        return Answering("locked" if error.code in (401, 403) else "other")
    except (OSError, http.client.HTTPException, ValueError, LookupError, AttributeError, TypeError):
        return Answering("other")
    except RecursionError:  # brackets in brackets
        return Answering("other")
    wanted = os.path.realpath(served)
    name = next((name for name, root in roots.items() if root == wanted), None)
    return Answering("other") if name is None else Answering("ours", name)


def server_name(port: int, served: Path) -> str | None:
    """The name under which the folder is served on the port already; None where nobody answers there.

    Raises UserError for a port that something else has taken, or whose server wants another key.
    """
    kind, name = who_answers(port, served)
    if kind == "locked":
        raise UserError(
            f"the server on port {port} wants another key",
            remedy=f"Put its key into {KEY}, or choose another port with --port.",
        )
    if kind == "other":
        raise UserError(
            f"port {port} is taken by a server of something else",
            remedy="Stop it, or choose another port with --port.",
        )
    return name if kind == "ours" else None


def run_elsewhere(runs: Path, url: str, model: str | None, connect: Connect | None = None) -> str:
    """The id of the run whose weights a server has. Raises StopProvider where it does not say.

    `connect` is the way to it where there is no aiohttp.
    """
    import asyncio

    from datakit.serving.endpoint import Endpoint

    async def ask() -> str:
        endpoint = Endpoint(url) if connect is None else Endpoint(url, connect=connect)
        try:
            served = await endpoint.served(model)
        finally:
            await endpoint.close()
        return run_id(runs, served.name, served.root, url)

    return asyncio.run(ask())
