"""The first build of a new project: twenty records, of each label some, which never pays unasked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from datakit.core.errors import DatakitError, Exit
from datakit.estimate import estimate_calls
from datakit.library import build, load
from datakit.run.build import BuildResult, Options
from datakit.run.plan import plan
from datakit.run.progress import Progress
from datakit.starting.readme import LOOK


@dataclass(frozen=True)
class FirstBuild:
    """What became of it: a result, or the words and the exit code of what ended it."""

    result: BuildResult | None = None
    fault: str = ""
    code: int = 0


def first_build(
    recipe: Path,
    progress: Progress,
    ask: Callable[[str], bool] | None = None,
    say: Callable[[str], None] = print,
) -> FirstBuild:
    """A build of `LOOK` records. A model is paid only after a price and a yes; `ask` None never asks."""
    options = Options(limit=LOOK)
    try:
        overrides: list[str] = []
        words = _price(recipe)
        if words and (ask is None or not ask(f"{words} Let it write? Otherwise the offline writer does")):
            overrides.append("llm.provider=offline")
            say("The first build asks no model: the offline writer writes its texts.")
        result = build(recipe, overrides=overrides, options=options, progress=progress)
    except DatakitError as error:
        return FirstBuild(fault=str(error), code=int(error.exit_code or Exit.FAILED))
    return FirstBuild(result, code=int(result.exit_code))


def _price(recipe: Path) -> str:
    """What a model would cost, in words; "" where none is asked."""
    checked = load(recipe)
    if (
        not any(step.transform.is_paid for step in checked.steps)
        or checked.llm.resolved_provider() == "offline"
    ):
        return ""
    made = plan(checked, limit=LOOK, estimate=estimate_calls)
    cost = "an unknown price" if made.cost_usd is None else f"about ${made.cost_usd:.4f}"
    return f"A model ({checked.llm.model}) would write the texts, in {made.calls:,} calls for {cost}."
