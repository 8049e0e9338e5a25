"""The records whose label the out-of-fold model doubts, ranked, and what is confused in clusters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from datakit.artifacts.kfold import KfoldFolder
from datakit.artifacts.suspects import Suspect, Voice, write_suspects
from datakit.core.language import Language
from datakit.core.suspicion import Guess, clusters, ranked, told

VOICE = "kfold"
TOP = 10


@dataclass(frozen=True)
class Cluster:
    """Records of one label that the model gives one other label."""

    label: str
    predicted: str
    records: int
    of: int
    """Records of the label that were judged."""

    @property
    def name(self) -> str:
        return f"{self.label}→{self.predicted}"


def suspects_of(guesses: Sequence[Guess], language: Language) -> tuple[list[Suspect], list[Cluster]]:
    """The doubted records, the least probable label first, and the clusters among them."""
    order = ranked(guesses)
    doubted = [(one, weight) for one, weight in order if one.predicted != one.label]
    judged: dict[str, int] = {}
    for one, _ in order:
        judged[one.label] = judged.get(one.label, 0) + 1
    found = [
        Cluster(label, predicted, count, judged[label])
        for label, predicted, count, _ in clusters(
            (one.label, one.predicted, weight) for one, weight in doubted
        )
    ]
    names = {(cluster.label, cluster.predicted): cluster.name for cluster in found}
    suspects = [
        Suspect(
            id=one.id,
            rank=place,
            score=round(weight, 6),
            label=one.label,
            proposed=one.predicted,
            cluster=names.get((one.label, one.predicted)),
            voices=(Voice(voice=VOICE, says=told(one, language), weight=round(weight, 6)),),
        )
        for place, (one, weight) in enumerate(doubted, 1)
    ]
    return suspects, found


def write(folder: KfoldFolder, suspects: Sequence[Suspect]) -> None:
    """Writes them into the folder of the folds."""
    write_suspects(folder.suspects_file, suspects)


def lines_of(suspects: Sequence[Suspect], found: Sequence[Cluster], judged: int) -> Iterator[str]:
    """The heads of both lists, for the terminal."""
    if not judged:
        yield "Suspects: none, because no record was judged"
        return
    yield f"Suspects: {len(suspects):,} of {judged:,} records are predicted to be something else"
    for suspect in suspects[:TOP]:
        yield f"  {suspect.rank:>3}  {suspect.id}: {suspect.label}; {suspect.voices[0].says}"
    if len(suspects) > TOP:
        yield f"       and {len(suspects) - TOP:,} more"
    if found:
        yield f"Clusters: {len(found):,} confusions of two records and more"
        for cluster in found[:TOP]:
            yield f"  {cluster.name}: {cluster.records:,} of {cluster.of:,} records"
        if len(found) > TOP:
            yield f"  and {len(found) - TOP:,} more"
