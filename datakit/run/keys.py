"""The keys under which the result store holds what was paid for."""

from __future__ import annotations

import math

from datakit.core.record import digest, record_key, step_print
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator, Guard, Row


class Keys:
    """The keys of records at one step, and the model that each record is bound to.

    A record's key never depends on an endpoint, only on its model. Where several models are named, a record
    is bound to one of them by its content (weighted rendezvous hashing): the same in every run, and another
    weight or a further model moves no more records than it must.
    """

    def __init__(self, annotator: Annotator, context: StepContext) -> None:
        self._annotator = annotator
        self.by_model = tools_by_model(annotator, context)
        self._weights = context.llm.models()
        self._prints = {model: _print(annotator, own) for model, own in self.by_model.items()}

    def of(self, row: Row) -> tuple[bytes, str]:
        """The store's key of one record (16 bytes), and its model."""
        model = next(iter(self.by_model))
        fields = self._annotator.key_fields(row, self.by_model[model])
        if len(self.by_model) > 1:
            content = digest(fields)
            model = min(self.by_model, key=lambda name: _rank(content, name, self._weights[name]))
        return record_key(self._prints[model], fields), model


def tools_by_model(annotator: Annotator, context: StepContext) -> dict[str, StepContext]:
    """The context with each model that the step may call; one entry for work on this machine."""
    if (own := annotator.endpoint(context)) is not None:
        return {own.model: context.changed(llm=own)}
    models = context.llm.models()
    if not annotator.asks_model or context.llm.resolved_provider() == "offline":
        return {context.llm.model: context}
    return {model: context.changed(llm=context.llm.of_model(model)) for model in models}


def fingerprint(annotator: Annotator, context: StepContext) -> str:
    """Digest of what a step is: name, version and the settings it lets into the key."""
    contexts = tools_by_model(annotator, context)
    if len(contexts) == 1:
        return _print(annotator, *contexts.values())
    weights = context.llm.models()
    return digest([[_print(annotator, own), weights[model]] for model, own in sorted(contexts.items())]).hex()


def guard_print(guard: Guard) -> str:
    """Digest of what a guard does to texts: name, version and parameters."""
    return step_print(guard.name(), guard.version, guard.model_dump(mode="json"))


def _print(annotator: Annotator, context: StepContext) -> str:
    return step_print(annotator.name(), annotator.version, annotator.key_settings(context))


def _rank(content: bytes, model: str, weight: float) -> float:
    """The model of the least rank has the record; smaller for heavier ones."""
    share = (int.from_bytes(digest([content.hex(), model])[:7], "big") + 1) / (1 << 56)
    return -math.log(min(share, 1 - 1e-16)) / weight
