"""serve.json: how a build's model must be served, and the figures behind it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from datakit.artifacts.document import Document


class ServingFlag(BaseModel):
    """One flag of the command, with its reason."""

    name: str
    value: str | None = None
    why: str = ""
    further: list[str] = Field(default_factory=list)
    """More values of the same flag."""


class Serving(Document):
    """The serving plan of a build."""

    model: str
    """What is served; MODEL until the training is exported."""
    name: str
    port: int
    tensor_parallel: int
    max_model_len: int
    """Tokens of the longest request."""
    max_answer_tokens: int
    """Of the last turn."""
    turn_rooms: list[int] = Field(default_factory=list)
    """Tokens for an answer of each turn; none in builds of older versions."""
    flags: list[ServingFlag] = Field(default_factory=list)
    memory: dict[str, Any] = Field(default_factory=dict)
    """Bytes on one GPU."""
    demand: dict[str, Any] = Field(default_factory=dict)
    """What the data asks of a server."""
    notes: list[str] = Field(default_factory=list)
    command: list[str] = Field(default_factory=list)
    url: str = ""
