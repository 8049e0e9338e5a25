"""Labels that were mixed up, in pictures: what was answered wrongly, between right records of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.ledger import Confusion, ledger_of, read_scores, versions
from datakit.artifacts.screen_texts import beginnings_of, pictures_of
from datakit.cards.samples import thumbnail
from datakit.core.wording import later, t
from datakit.pages.blocks import Block, Comparison, Section, Specimen, Text

MOST_WRONG = 2
"""Records that were answered wrongly in one comparison."""
SIDE_PX = 800
"""Longer side of a picture: the text of a screen can be read when it is opened."""
WORDS = later(
    "In the middle records that were answered wrongly, beside them on the left some "
    "of the same label and on the right some of the label that was answered; where "
    "too few were answered rightly, records that were trained on. A picture opens "
    "with a click, and closes with one beside it."
)


@dataclass(frozen=True)
class Shown:
    """A record of a comparison before its pictures are read."""

    id: str
    images: Sequence[str]
    text: str = ""
    note: str = ""


def comparison(
    build: BuildFolder, confusion: Confusion, wrong: Sequence[Shown], beside: Mapping[str, Sequence[Shown]]
) -> Comparison:
    """The block of one pair of labels."""
    title = f"{confusion.truth} → {confusion.answered}: {confusion.count:,}"
    if confusion.back:
        title += t(" (the other way: {back:,})", back=confusion.back)
    groups = (
        (confusion.truth, beside.get(confusion.truth, ())),
        (
            t("{truth}, answered as {answered}", truth=confusion.truth, answered=confusion.answered),
            wrong[:MOST_WRONG],
        ),
        (confusion.answered, beside.get(confusion.answered, ())),
    )
    return Comparison(
        title, [(heading, [_specimen(build, record) for record in records]) for heading, records in groups]
    )


def _specimen(build: BuildFolder, record: Shown) -> Specimen:
    images = [
        thumbnail(build.path / path, at, side_px=SIDE_PX) for at, path in enumerate(record.images[:1], 1)
    ]
    more = len(record.images) - 1
    note = (
        t("{note} {more:,} more pictures", note=record.note, more=more).strip() if more > 0 else record.note
    )
    return Specimen(record.id, images, record.text, note)


def confusions_section(build: BuildFolder) -> Section:
    """The commonest mistakes of the newest score of this very data; nothing where it has none."""
    ledger = ledger_of(build.projects)
    scores = [
        score
        for score in (versions(read_scores(ledger)) if ledger else ())
        if score.name == build.report.name and score.content == build.manifest.content and score.confusions
    ]
    if not scores:
        return Section(t("Confusions"), [])
    newest = max(scores, key=lambda score: score.date)
    ids = [id_ for confusion in newest.confusions for id_ in _ids(confusion)]
    images, texts = pictures_of(build, ids), beginnings_of(build, ids)

    def shown(id_: str) -> Shown:
        return Shown(id_, images.get(id_, []), texts.get(id_, ""))

    who = newest.model or t("a model")
    blocks: list[Block] = [
        Text(
            t(
                "What {who} mixed up most on the split {split}, scored {date}. {words}",
                who=who,
                split=newest.split,
                date=newest.date[:10],
                words=t(WORDS),
            )
        )
    ]
    for confusion in newest.confusions:
        beside = {label: list(map(shown, own)) for label, own in confusion.beside.items()}
        blocks.append(comparison(build, confusion, list(map(shown, confusion.wrong)), beside))
    return Section(t("Confusions"), blocks)


def _ids(confusion: Confusion) -> list[str]:
    return [*confusion.wrong, *(id_ for own in confusion.beside.values() for id_ in own)]
