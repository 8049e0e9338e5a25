"""How OpenAI's own models are told to think before they answer, or not to (`reasoning_effort`)."""

from __future__ import annotations

import re
from typing import Any

from datakit.core.errors import UserError

_PLAIN = re.compile(r"gpt-(?:3|4)|chatgpt-4")
_ALWAYS = re.compile(r"o\d(?:-|$)")
_MINIMAL = re.compile(r"gpt-5(?:-(?:mini|nano|\d{4}-).*)?$")


def reasoning_effort(model: str, on: bool) -> dict[str, Any]:
    """The field of the body; nothing where the model does not think anyway. Raises UserError.

    gpt-5 thinks `minimal`ly at the least, later models can do without
    (from memory; not tried against the service).
    """
    if _PLAIN.match(model):
        if on:
            raise UserError(f"{model} does not think: llm.thinking cannot be enabled", remedy="Take it out.")
        return {}
    if on:
        return {"reasoning_effort": "medium"}
    if _ALWAYS.match(model):
        raise UserError(
            f"{model} always thinks: llm.thinking cannot be disabled",
            remedy="Take it out, and set llm.extra_body: {reasoning_effort: low}.",
        )
    return {"reasoning_effort": "minimal" if _MINIMAL.match(model) else "none"}
