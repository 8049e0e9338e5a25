"""JSON in as few bytes as it can have, by the standard library: what a bundle sends is what datakit sends."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def json_bytes(value: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    """The value as JSON in UTF-8 without white space, as orjson writes it byte for byte.

    Floats beyond 1e16 and below 1e-4 are spelt as Python spells them.
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=default).encode()
