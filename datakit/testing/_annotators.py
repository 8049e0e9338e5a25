"""What a step whose results are paid for must pass besides: its key and its worker are what it declares."""

from __future__ import annotations

from dataclasses import replace

from datakit.core.settings import RunSettings
from datakit.core.transform import Annotator
from datakit.core.workers import AsyncRowWorker, RowWorker
from datakit.llm.author import TextGenerator
from datakit.run.keys import fingerprint
from datakit.testing._bench import Bench
from datakit.testing._expect import expect


def only_named_parameters_reach_the_key(bench: Bench) -> None:
    """Neither the name of its column nor how the build is run makes a paid result be paid again."""
    transform, context = bench.transform, bench.context()
    assert isinstance(transform, Annotator)
    unknown = set(transform.keyed) - set(type(transform).model_fields)
    expect(not unknown, f"`keyed` names what is no parameter: {', '.join(sorted(unknown))}")
    before = fingerprint(transform, context)
    if "into" in type(transform).model_fields and "into" not in transform.keyed:
        other = transform.model_copy(update={"into": "elsewhere"})
        expect(fingerprint(other, context) == before, "another `into` would pay for every record again")
    busy = RunSettings(concurrency=3, workers=7, budget_usd=1.0, batch_rows=5)
    moved = replace(context, run=busy, name="other", project=context.project / "elsewhere")
    expect(
        fingerprint(transform, moved) == before,
        "concurrency, budget, the build's name or its place reach the key: every record would be paid again",
    )


def worker_is_of_the_kind_that_the_executor_says(bench: Bench) -> None:
    """`start` gives an AsyncRowWorker for the event loop and a RowWorker else; a writer is declared."""
    transform = bench.transform
    assert isinstance(transform, Annotator)
    worker = transform.start(bench.context())
    kind = AsyncRowWorker if transform.executor == "event_loop" else RowWorker
    expect(
        isinstance(worker, kind),
        f"executor {transform.executor!r} takes a worker of {kind.__name__}, not a {type(worker).__name__}",
    )
    expect(
        transform.asks_model == isinstance(worker, TextGenerator),
        f"`asks_model` is {transform.asks_model}, but the worker is a {type(worker).__name__}",
    )


CHECKS = (only_named_parameters_reach_the_key, worker_is_of_the_kind_that_the_executor_says)
