"""Proposals: the `cutoff_len` that fits the rows, and what each `image_max_pixels` costs in tokens."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from datakit.checking.tally import Lengths
from datakit.checking.training import Training
from datakit.core.pixels import TRAINER, Family, TrainerLimits, image_tokens

if TYPE_CHECKING:
    import numpy as np

    IntArray = np.ndarray[Any, np.dtype[np.int64]]

STEPS = (200_704, 401_408, TRAINER.max_pixels, 802_816, 1_003_520, 1_605_632)
"""Limits to choose from: 256 to 2,048 picture tokens of Qwen2.5-VL, and the trainer's own default."""
_ROUND = 16


@dataclass(frozen=True)
class Choice:
    """What a limit of pixels comes to."""

    image_max_pixels: int
    image_tokens: int
    """Of all pictures in the training rows."""
    tokens: int
    """Of all training rows: the time of an epoch grows at least with them."""
    cost: float
    """Tokens against those at the configuration's own limit."""
    fits_all: int
    """The `cutoff_len` that cuts no row, held-out ones included: the trainer cuts those too."""
    fits_99: int
    """The `cutoff_len` that leaves 99% of these rows whole."""


@dataclass
class Proposal:
    """What to set, and why."""

    cutoff_len: int | None = None
    """The configuration's own; None when it gives none."""
    fits_all: int = 0
    fits_99: int = 0
    uncounted: int = 0
    """Rows that no figure here holds for."""
    image_max_pixels: int = 0
    choices: list[Choice] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def propose(lengths: Lengths, held_out: Lengths, training: Training) -> Proposal | None:
    """The proposal for kept rows, of the training and held out; None when no tokens were counted."""
    layout = training.layout
    if layout is None or not len(lengths.text):
        return None
    limits, own_cutoff = training.limits, training.cutoff
    cutoff = None if own_cutoff is None else own_cutoff + training.packed
    uncounted = lengths.uncounted + held_out.uncounted
    proposal = Proposal(cutoff_len=cutoff, uncounted=uncounted, image_max_pixels=limits.max_pixels)
    both = (lengths, held_out)
    now = _choice(both, layout.family, limits, None, training.packed)
    proposal.fits_all, proposal.fits_99 = now.fits_all, now.fits_99
    if layout.family is not None and any(lengths.shapes):
        steps = sorted({*STEPS, limits.max_pixels})
        for pixels in steps:
            if pixels >= limits.min_pixels:
                changed_limits = TrainerLimits(pixels, limits.min_pixels)
                proposal.choices.append(
                    _choice(both, layout.family, changed_limits, now.tokens, training.packed)
                )
    proposal.advice = list(_advice(proposal, lengths))
    return proposal


def _choice(
    both: tuple[Lengths, Lengths],
    family: Family | None,
    limits: TrainerLimits,
    base: int | None,
    packed: bool,
) -> Choice:
    import numpy as np

    images = [_image_tokens(lengths, family, limits) for lengths in both]
    rows = [own + np.asarray(lengths.text) for own, lengths in zip(images, both, strict=True)]
    total = int(rows[0].sum())
    lengths = np.sort(np.concatenate(rows))
    most = int(lengths[-1])
    usual = int(lengths[max(0, -(-99 * len(lengths) // 100) - 1)])
    return Choice(
        image_max_pixels=limits.max_pixels,
        image_tokens=int(images[0].sum()),
        tokens=total,
        cost=round(total / base, 3) if base else 1.0,
        fits_all=_up(most) + packed,
        fits_99=_up(usual) + packed,
    )


def _image_tokens(lengths: Lengths, family: Family | None, limits: TrainerLimits) -> IntArray:
    """Of each row."""
    import numpy as np

    per_shape = np.array([_tokens(sizes, family, limits) for sizes in lengths.shapes], dtype=np.int64)
    return per_shape[np.asarray(lengths.shape, dtype=np.int64)]


def _tokens(sizes: tuple[tuple[int, int], ...], family: Family | None, limits: TrainerLimits) -> int:
    total = 0
    for size in sizes if family else ():
        try:
            total += image_tokens(*size, family, limits) if family else 0
        except ValueError:  # a side shrinks to nothing under this limit
            continue
    return total


def _up(tokens: int) -> int:
    """The next multiple of 16: kernels like whole blocks."""
    return -(-tokens // _ROUND) * _ROUND


def _advice(proposal: Proposal, lengths: Lengths) -> list[str]:
    advice = []
    cutoff = proposal.cutoff_len
    rows = "every counted row" if proposal.uncounted else "every row"
    if cutoff is None:
        advice.append(f"cutoff_len: {proposal.fits_all} fits {rows}, {proposal.fits_99} fits 99% of them.")
    elif cutoff < proposal.fits_99:
        advice.append(
            f"cutoff_len: {proposal.fits_all} fits {rows}, {proposal.fits_99} fits 99% of them; "
            f"it is {cutoff}."
        )
    elif cutoff < proposal.fits_all:
        advice.append(f"cutoff_len: {proposal.fits_all} fits {rows}; {cutoff} fits 99% of them.")
    elif cutoff >= 2 * proposal.fits_all and not proposal.uncounted:
        advice.append(
            f"cutoff_len: {proposal.fits_all} fits {rows}; {cutoff} does no harm, and packing would fill it."
        )
    if proposal.uncounted:
        advice.append(f"{proposal.uncounted:,} rows were not counted: they may need more.")
    shrunk = sum(
        any(width * height > proposal.image_max_pixels for width, height in sizes) for sizes in lengths.shapes
    )
    larger = [choice for choice in proposal.choices if choice.image_max_pixels > proposal.image_max_pixels]
    if shrunk and larger:
        fitting = [choice for choice in larger if cutoff is None or choice.fits_all <= cutoff]
        best = fitting[-1] if fitting else larger[0]
        text = (
            f"image_max_pixels: {best.image_max_pixels} shows more of the pictures for {best.cost:.2f} times "
        )
        text += "the tokens" if fitting else f"the tokens, and needs cutoff_len {best.fits_all}"
        advice.append(f"{text}; serve with the same limit.")
    return advice
