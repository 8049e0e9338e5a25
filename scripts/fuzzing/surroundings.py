"""What stands around inputs: a model server, an OCR engine without weights, all work in one process."""

from __future__ import annotations

import gc
import hashlib
import importlib
import os
from typing import Any

from datakit.annotate import ocr
from datakit.annotate._ocr_layout import Line
from datakit.core.outcome import Retry
from datakit.run import executors
from datakit.run.executors import base, event_loop
from datakit.run.executors.inline import InlineExecutor
from tests.support.loopback import KEY, Call, Loopback, Reply

unexpected: list[BaseException] = []
"""What workers raised for the input of the moment; the engine makes a retry of it."""
server = Loopback()
_TEXTS = ("立即购买", "a", "¥12.90", "<image>", "order no. 007")


class PaintedTexts:
    """An engine that reads the same lines off the same pixels, whatever they show."""

    def read(self, pixels: Any, long_side_px: int) -> list[Line]:
        """A few lines in the picture's own bounds."""
        high, wide = pixels.shape[:2]
        state = hashlib.sha256(pixels.tobytes()).digest()
        lines = []
        for at in range(state[0] % 4):
            left, top = (state[at + 1] % max(1, wide // 2)), (state[at + 5] % max(1, high // 2))
            text, score = _TEXTS[state[at] % len(_TEXTS)], state[at + 9] / 255
            lines.append(Line(text, score, float(left), float(top), left + wide / 3, top + high / 4))
        return lines


def prepare() -> None:
    """Sets all of it up, once a process."""
    for package in ("imblearn", "matplotlib.pyplot"):  # seconds of loading are no fault of an input
        importlib.import_module(package)
    gc.freeze()
    for name in [name for name in os.environ if name.startswith(("OPENAI", "AZURE", "DATAKIT"))]:
        del os.environ[name]
    server.__enter__()
    os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"] = server.url, KEY
    executors._OWN["process"] = InlineExecutor  # a process for each input would take most of the time
    ocr.make_engine = lambda *_: PaintedTexts()
    outcome_of = base.unexpected

    def noticed(error: Exception) -> Retry:
        unexpected.append(error)
        return outcome_of(error)

    for module in (base, event_loop):
        module.unexpected = noticed


def answer_with(answers: list[str]) -> None:
    """Makes the server answer equal questions equally, out of these answers."""

    def answer(call: Call) -> Reply:
        state = hashlib.sha256(call.text.encode("utf-8", "replace")).digest()
        return Reply(content=answers[state[0] % len(answers)])

    server.script = answer if answers else lambda _: None
    unexpected.clear()
