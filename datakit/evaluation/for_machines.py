"""What a page says beside the figures, as values for `--json`: chance, the score before, what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datakit.artifacts.build_folder import BuildFolder
from datakit.evaluation.beside import chance, last_score
from datakit.evaluation.evaluation import Evaluated
from datakit.evaluation.next_steps import next_section
from datakit.evaluation.wrong import wrong_records
from datakit.pages.blocks import Bullets, CodeBlock, Section, Table, Text


def beside_document(evaluated: Evaluated, build: BuildFolder) -> dict[str, Any]:
    """To be called before the score is entered into the ledger, in which the one before is looked up."""
    by_chance, before = chance(evaluated.outcomes), last_score(evaluated.evaluation, build)
    section = next_section(evaluated.evaluation, wrong_records(evaluated.outcomes), build)
    return {
        "chance": {"answer": by_chance.answer, "metrics": by_chance.figures},
        "before": None if before is None else before.model_dump(mode="json"),
        "next_steps": list(_steps(section)),
    }


def _steps(section: Section) -> Iterator[dict[str, Any]]:
    """Each sentence with the lines to copy and the rows that stand under it."""
    step: dict[str, Any] | None = None
    for block in section.blocks:
        if isinstance(block, Text) or step is None:
            if step is not None:
                yield step
            step = {"text": block.text if isinstance(block, Text) else "", "lines": [], "rows": []}
        if isinstance(block, CodeBlock):
            step["lines"] += block.text.splitlines()
        elif isinstance(block, Bullets):
            step["lines"] += list(block.items)
        elif isinstance(block, Table):
            step["rows"] += [dict(zip(block.head, map(_plain, row), strict=True)) for row in block.rows]
    if step is not None:
        yield step


def _plain(cell: Any) -> Any:
    return cell if cell is None or isinstance(cell, str | int | float) else getattr(cell, "text", str(cell))
