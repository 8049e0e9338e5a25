"""The records whose answers are furthest from the truth, as a page shows them."""

from __future__ import annotations

from pydantic import BaseModel

from datakit.evaluation.confusion import Images
from datakit.evaluation.tasks import Task
from datakit.evaluation.value_outcomes import ValueOutcomes, answered_text, truth_texts

MOST_WORST = 20
_LONGEST = 300


class Worst(BaseModel):
    """A record that was answered badly."""

    id: str
    images: list[str]
    """The build's own copies, relative to it; of a build without copies the names of the originals."""
    truth: list[str]
    """Of free text every reference; else one text."""
    answered: str
    """What the answer states; "" where it has a problem."""
    scores: dict[str, float | None]
    problem: str = ""
    answer: str = ""
    """The answer as it came, shortened."""
    verdict: str = ""
    """Why the referee gave what it gave."""


def worst(outcomes: ValueOutcomes, images_of: Images) -> list[Worst]:
    """The records with the worst first figure; those with a problem first, then in the build's order.

    Of labels and texts only those that are not right, of numbers those that are off.
    """
    order = sorted(
        (at for at in range(outcomes.count) if not _is_perfect(outcomes, at)),
        key=lambda at: _badness(outcomes, at),
        reverse=True,
    )[:MOST_WORST]
    images = images_of([outcomes.ids[at] for at in order])
    return [_one(outcomes, at, images.get(outcomes.ids[at], [])) for at in order]


def _first(outcomes: ValueOutcomes, at: int) -> float | None:
    return next(iter(outcomes.scores[at].values()))


def _is_perfect(outcomes: ValueOutcomes, at: int) -> bool:
    return _first(outcomes, at) == (0.0 if outcomes.target.task is Task.NUMBER else 1.0)


def _badness(outcomes: ValueOutcomes, at: int) -> tuple[bool, float, int]:
    truth, answer, score = outcomes.truth[at], outcomes.given[at], _first(outcomes, at)
    if isinstance(truth, frozenset) and isinstance(answer, frozenset):
        bad = float(len(truth ^ answer))
    else:
        bad = 0.0 if score is None else score if outcomes.target.task is Task.NUMBER else 1.0 - score
    return answer is None, bad, -at


def _one(outcomes: ValueOutcomes, at: int, images: list[str]) -> Worst:
    prediction = outcomes.answers[at]
    verdict = (outcomes.verdicts or {}).get(outcomes.ids[at])
    return Worst(
        id=outcomes.ids[at],
        images=images,
        truth=[text[:_LONGEST] for text in truth_texts(outcomes.truth[at])],
        answered=answered_text(outcomes.given[at])[:_LONGEST],
        scores=outcomes.scores[at],
        problem=prediction.problem,
        answer=prediction.answer[:_LONGEST],
        verdict=verdict[1] if verdict else "",
    )
