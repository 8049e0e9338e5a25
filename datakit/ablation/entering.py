"""The comparison in the project's ledger and on the card of the recipe's own build."""

from __future__ import annotations

from pathlib import Path

from datakit.ablation.comparing import Comparison
from datakit.ablation.joining import scores_of
from datakit.artifacts.ablation import AblationFolder
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.ledger import add_score, ledger_file
from datakit.cards.current import write_current_card
from datakit.recipe.recipe import Recipe


def enter(result: Comparison, folder: AblationFolder, recipe: Recipe) -> tuple[Path, int]:
    """The ledger, and how many lines are new in it; the same answers are entered once."""
    ledger = ledger_file(recipe.project.absolute())
    added = sum(add_score(ledger, score) for score in scores_of(result, folder, recipe.name))
    own = BuildFolder(recipe.build_folder.absolute())
    if added and own.is_finished and (ledger.parent / f"{recipe.name}.md").is_file():
        write_current_card(own.path, ledger.parent)
    return ledger, added
