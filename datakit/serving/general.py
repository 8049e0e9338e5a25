"""Room at a server for questions of one's own, beside those of the task: text, several pictures, videos."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datakit.core.pixels import FRAME_TOKENS
from datakit.core.qwen_models import QwenModel
from datakit.serving.requirements import Requirements
from datakit.serving.settings import ServeSettings

if TYPE_CHECKING:
    from datakit.serving.plan import Memory

_TEXT_TOKENS, _ANSWER_TOKENS = 4096, 2048
"""A page or two of text, and an answer of half as much: room for a talk, not for a book."""
_VIDEO_FRAMES = 16
"""Frames of a video that are reckoned with; two and two become one grid of tokens in every Qwen-VL."""
_ROUND = 64


def images_of(demand: Requirements, settings: ServeSettings) -> int:
    """Most pictures of a request."""
    return max(1, demand.images, settings.images or 0)


def largest_item(demand: Requirements, settings: ServeSettings) -> int:
    """Tokens of the largest picture or video that a server prepares for."""
    image = demand.served.max_pixels // demand.served.factor**2
    return image * (_VIDEO_FRAMES // 2) if settings.videos else image


def general_length(
    model: QwenModel, demand: Requirements, settings: ServeSettings, memory: Memory, task_length: int
) -> int:
    """Tokens of the longest request, where questions of one's own are asked too.

    As much as is wanted, as far as memory and model go; the task's own length is the least.
    """
    image = demand.served.max_pixels // demand.served.factor**2 + FRAME_TOKENS
    shown = images_of(demand, settings) * image + settings.videos * (_VIDEO_FRAMES // 2) * image
    wanted = -(-(_TEXT_TOKENS + shown + _ANSWER_TOKENS) // _ROUND) * _ROUND
    most = min(memory.longest_context, model.max_positions) // _ROUND * _ROUND
    return max(task_length, min(wanted, most))
