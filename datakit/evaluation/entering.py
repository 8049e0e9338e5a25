"""The scores of answers in the project's ledger and on the build's data card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.ledger import add_score
from datakit.artifacts.names import LEDGER
from datakit.cards.current import write_current_card
from datakit.evaluation.evaluation import Evaluated
from datakit.evaluation.ledger import score_of
from datakit.pages.writing import Kept


def enter_scores(
    results: Sequence[Evaluated], written: Sequence[Sequence[Path]], build: BuildFolder, kept: Kept | None
) -> tuple[Path | None, int]:
    """The ledger and how many of the evaluations are new in it; None for a build in no project.

    `written` are the files of each evaluation. The card is written anew where it shows new scores; `kept` is
    told of a card that somebody edited.
    """
    project = build.projects[0]
    if project == build.path:
        return None, 0
    ledger = project / LEDGER
    added = 0
    for result, files in zip(results, written, strict=True):
        outcomes = next(path for path in files if path.suffix == ".parquet")
        added += add_score(ledger, score_of(result.evaluation, build, outcomes))
    shown = build.whole or build  # the card of several tasks is one
    cards, own = ledger.parent, project / "build" / shown.report.name
    if added and own == shown.path and (cards / f"{shown.report.name}.md").is_file():
        write_current_card(shown.path, cards, kept)
    return ledger, added
