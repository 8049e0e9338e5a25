"""What `cutoff_len` leaves of a dialogue, by LLaMA-Factory's own rule."""

from __future__ import annotations

from collections.abc import Sequence

Lengths = tuple[int, int]
"""Tokens of a question with all before it, and of its answer."""


def kept_lengths(source: int, target: int, room: int) -> Lengths:
    """How many tokens of one turn stay within `room` (`infer_seqlen`): the longer part gives way first."""
    if target * 2 < room:
        most = room
    elif source * 2 < room:
        most = room - source
    else:
        most = int(room * (target / (source + target)))
    kept = min(most, target)
    return min(max(room - kept, 0), source), kept


def cut(turns: Sequence[Lengths], cutoff: int, *, last_first: bool = False) -> list[Lengths]:
    """The tokens that stay of each turn; (0, 0) for turns that find no room.

    Tokens are cut from the right of each part. Turns take room in order, with `last_first` (the trainer's
    `mask_history`) from the end.
    """
    kept = [(0, 0)] * len(turns)
    used = 0
    for number in reversed(range(len(turns))) if last_first else range(len(turns)):
        if used >= cutoff:
            break
        kept[number] = kept_lengths(*turns[number], cutoff - used)
        used += sum(kept[number])
    return kept
