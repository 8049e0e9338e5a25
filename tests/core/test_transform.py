"""The example in the docstring of the kinds of transform is a plug-in that works as it says."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datakit.core import transform as kinds
from datakit.core.outcome import Table
from datakit.core.step_context import StepContext, UndeclaredFile


@pytest.fixture
def example() -> Any:
    """The class of the example, under the names that a module of its own would import."""
    text = str(kinds.__doc__)
    code = textwrap.dedent(text[text.index("    class Prices") :])
    names = {
        **vars(kinds),
        "StepContext": StepContext,
        "Table": Table,
        "pl": pl,
        "Path": Path,
        "__name__": "example.prices",
    }
    exec(f"from __future__ import annotations\n{code}", names)
    return names["Prices"]


def test_example_joins_the_file_that_it_declares(example: Any, tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text("text,price\nb,2\n")
    step = example(table="prices.csv")
    context = StepContext(base=tmp_path, project=tmp_path).for_step(step)
    assert step.files(context) == [tmp_path / "prices.csv"]
    given = pl.LazyFrame({"text": ["a", "b"]})
    assert step.apply(given, context).frame.collect()["price"].to_list() == [None, 2]
    with pytest.raises(UndeclaredFile):
        context.read_text("other.csv")


def test_step_that_declares_nothing_needs_nothing(example: Any, tmp_path: Path) -> None:
    class Plain(kinds.TableTransform):
        def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
            return Table(frame)

    step, context = Plain(), StepContext(base=tmp_path, project=tmp_path)
    assert (step.reads(context), step.files(context), step.packages(context)) == ((), [], ())
    assert not step.asks_model


def test_paths_are_the_same_however_they_are_written(example: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "prices.csv").write_text("text,price\n")
    context = StepContext(base=tmp_path, project=tmp_path).for_step(example(table="in/../in/prices.csv"))
    assert context.read_text("in/prices.csv") == context.read_text(tmp_path / "in" / "." / "prices.csv")
