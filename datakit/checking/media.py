"""Videos and sound as the trainer finds them: where the files are. Their content is not looked at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

PLACES = {"images": "<image>", "videos": "<video>", "audios": "<audio>"}
"""Column of a medium -> what stands for it in the texts."""


def media_fault(folder: Path, medium: str, place: Any) -> tuple[str, str] | None:
    """Code and words of what stops the training at a video or a sound, None for a file that is there.

    `place` is a path in `media_dir` or an absolute one; a video may be a list of those of its frames.
    """
    noun = "a video" if medium == "videos" else "a sound"
    if isinstance(place, list) and medium == "videos":
        if not place:
            return "media_broken", "a video has no frames"
        faults = (media_fault(folder, medium, frame) for frame in place)
        return next((fault for fault in faults if fault is not None), None)
    if not isinstance(place, str):
        return "media_broken", f"{noun} is {type(place).__name__}, not a path"
    path = os.path.join(folder, place)
    if not os.path.isfile(path):
        return "media_missing", f"there is no file {place}"
    if not os.path.getsize(path):
        return "media_broken", f"{place} is empty"
    return None
