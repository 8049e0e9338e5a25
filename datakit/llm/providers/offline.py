"""The built-in writer: texts are composed on this machine, and no endpoint is asked."""

from __future__ import annotations

from datakit.llm.provider import Provider


class Offline(Provider):
    """What it writes stands in datakit/llm/offline.py."""

    name = "offline"
    asks = False
