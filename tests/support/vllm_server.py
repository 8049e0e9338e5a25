"""What the tests know about the server that they share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from datakit.core.qwen_models import QwenModel
from datakit.serving.launch import Server
from datakit.serving.plan import ServingPlan


@dataclass(frozen=True)
class Running:
    """A server, and what was planned for it."""

    server: Server
    plan: ServingPlan
    build: Path
    model: QwenModel
    said: list[str]
    first_log: Path
