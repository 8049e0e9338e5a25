"""What steps that have texts written share: the rendered question, its key, and who writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from datakit.core.errors import UserError
from datakit.core.image import ImageProblem
from datakit.core.labels import Label
from datakit.core.language import Language
from datakit.core.outcome import REFUSAL, Done, Outcome, Rejected, Retry
from datakit.core.record import digest
from datakit.core.rendering import TooLarge, render
from datakit.core.step_context import StepContext
from datakit.core.transform import Row
from datakit.core.workers import AsyncRowWorker
from datakit.llm import json_answer, offline
from datakit.llm.answer_schema import AnswerSchema
from datakit.llm.asked_once import FREE, AskedOnce
from datakit.llm.request import ModelClient, Request

NOT_READ = "answer_unreadable"
PLACE = ("id", "source_file", "source_line")
"""Columns that tell where a record stands, not what is in it."""
UNREADABLE = frozenset({"answer_empty", "answer_malformed", "answer_truncated", "thinking_cut"})
"""Reasons for which an answer that was paid for is none."""
MOST_RUNS = 3
"""That pay for the same question, when no answer to it is in the form that was asked for."""
LABEL_VARIABLES = frozenset({"label_json", "label_names", "labels", "label_info"})
"""Template variables that come from the label file, not from a record."""


def needed(template: str, context: StepContext, given: Iterable[str] = ()) -> tuple[str, ...]:
    """The columns that rendering `template` takes, and the pictures; `given` are variables of the step's own.

    Raises UserError when the template needs labels that the recipe has not.
    """
    names = context.templates.variables(template) - set(given)
    if context.labels is None and names & LABEL_VARIABLES:
        which = ", ".join(sorted(names & LABEL_VARIABLES))
        raise UserError(
            f"template `{template}` uses {which}, but the recipe has no label file",
            remedy="Name one with `labels:`, or take another template.",
        )
    columns = names - LABEL_VARIABLES | ({"label"} if "label_info" in names else set())
    return tuple(sorted({"images", *columns}))


def is_offline(context: StepContext) -> bool:
    """Whether the built-in writer composes the texts."""
    return context.llm.resolved_provider() == "offline"


def need_model(step: str, what: str, context: StepContext) -> None:
    """Raises UserError when no model is at hand for work that the offline writer cannot do."""
    if is_offline(context):
        key = context.llm.api_key_env or "OPENAI_API_KEY"
        raise UserError(
            f"{step} needs a model: the offline writer cannot {what}",
            remedy=f"Set {key}, or OPENAI_BASE_URL (or llm.base_url) for a server of your own, and leave "
            "llm.provider at auto or openai; or take the step out.",
        )


def key_settings(context: StepContext, field: str, keyed: Row) -> Row:
    """Who is asked for what. The endpoint's address, limits and prices stay out: they change no answer, and
    neither does the service that has the model."""
    if is_offline(context):
        return {"writer": offline.NAME, "version": offline.VERSION, "seed": context.seed, "field": field}
    return {
        **keyed,
        **context.llm.key_settings(),
        "writer": context.llm.model,
        "field": field,
        "max_image_pixels": context.llm.max_image_pixels,
    }


def key_fields(
    row: Row, context: StepContext, label: Label | None, ask: Callable[[], Request], language: Language
) -> Row:
    """The content of the very request that is sent, or what the offline writer reads and writes in."""
    if not is_offline(context):
        return asked_fields(row, context, ask)
    images = [context.files.sha256(path) for path in row["images"] or []]
    read = {name: row.get(name) for name in offline.READS}
    known = (label, *offline.neighbours(label, context.labels)) if label else ()
    confused = [entry.name for entry in known if label and entry.name in label.confusable_with]
    facts = [confused, *([entry.name, *entry.aliases, "", *entry.keywords] for entry in known)]
    words = offline.known_words(context.labels)
    return {"id": row["id"], "images": images, "label": facts, "words": words, "language": language, **read}


def asked_fields(row: Row, context: StepContext, ask: Callable[[], Request]) -> Row:
    """The content of the request about a record; where its values are too much for the template, those."""
    try:
        return request_fields(ask(), context)
    except TooLarge:
        images = [context.files.sha256(path) for path in row["images"] or []]
        values = [[name, repr(row[name])] for name in sorted(row.keys() - {*PLACE, "images"})]
        return {"images": images, "unrendered": values}


def request_fields(request: Request, context: StepContext) -> Row:
    """The request's words and its pictures' digests. Pictures enter by content, never by path."""
    images = [context.files.sha256(path) for path in request.images]
    fields: Row = {"text": request.text, "images": images}
    return {**fields, "system": request.system} if request.system else fields


def rendered(template: str, row: Row, context: StepContext, label: Label | None, **given: Any) -> str:
    """The question about one record; `given` are variables of the step's own. Raises TooLarge."""
    constant = {**row, **context.label_variables, "label_info": label}
    record = {**{name: value for name, value in row.items() if name not in context.label_variables}, **given}
    return render(context.templates.get(template), constant, record, row["id"]).strip()


def label_of(row: Row, context: StepContext) -> Label | Rejected:
    """The record's label, or why it has none that could be explained."""
    name = row.get("label")
    if not name:
        return Rejected("label_missing", "the record has no label, so there is nothing to give a reason for")
    if context.labels is None:
        return Label(name)
    label = context.labels.find(name)
    if label is None:
        hint = context.labels.suggest(name)
        return Rejected("label_unknown", f"`{name}` is not in the label file. {hint}".strip())
    return label


def client_of(context: StepContext) -> ModelClient:
    """The client of the endpoint that the recipe names: by calls, or by batch files (`run.mode`)."""
    from datakit.llm.client import Client

    if context.run.is_batch:
        from datakit.llm.batch.client import Batches

        return Client(Batches(context))
    from datakit.llm.batch.journal import under_way
    from datakit.llm.calls import Calls

    client = Client(Calls(context.llm, context.run, context.budget, context.stats))
    if count := under_way(context.run.store_folder(context.project)):
        client.notes.setdefault("warnings", []).append(
            f"{count:,} requests of earlier runs are under way in batches and asked again by calls where "
            "they are wanted; `run.mode: batch` would have collected them."
        )
    return client


class TextGenerator(AsyncRowWorker):
    """Has texts written by the endpoint, or composes them when there is none."""

    def __init__(self, context: StepContext) -> None:
        self._client = None if is_offline(context) else client_of(context)
        self._asked_once = None if self._client is None else AskedOnce(context)
        self._model, self._context = context.llm.model, context

    @property
    def notes(self) -> Row:
        """For the report: who wrote, and what the client had to do differently."""
        if self._client is None:
            return {"writer": offline.NAME}
        return {"writer": self._model, **self._client.notes}

    async def write(self, ask: Callable[[], Request], compose: Callable[[], str] | None = None) -> Outcome:
        """The raw answer with its writer, or the reason why there is none."""
        try:
            if self._asked_once is None:
                assert compose is not None  # steps that cannot be composed are refused by `need_model`
                return Done({"text": compose(), "by": offline.NAME}, {"model": offline.NAME})
            request = ask()
            return await self._asked_once.answer(request, lambda: self._asked(request))
        except (ImageProblem, TooLarge) as problem:
            return Rejected(problem.reason, problem.detail)

    async def _asked(self, request: Request) -> Outcome:
        """The answer of the model; one that was paid for and can be read by now comes first."""
        assert self._client is not None  # `write` composes the text then
        key = self._unread_key(request)
        stored = self._read_now(key, request)
        if stored is not None:
            return stored
        reply = await self._client.complete(request)
        if isinstance(reply, Retry) and reply.meta.get("raw"):
            return self._unread(key, reply)
        if isinstance(reply, Rejected | Retry):
            return reply
        meta = {
            "model": self._model,
            "served_by": reply.model,
            "tokens_in": reply.tokens_in,
            "tokens_out": reply.tokens_out,
            "tokens_cached": reply.tokens_cached,
            "cost_usd": reply.cost_usd,
            "seconds": round(reply.seconds, 3),
            "finish_reason": reply.finish_reason,
            "requests": reply.calls,
            **reply.facts,
        }
        return Done({"raw": reply.raw, "by": self._model}, meta)

    def _unread(self, key: bytes, reply: Retry) -> Outcome:
        """Keeps an answer that cannot be read. One run more, until the question was paid for often enough."""
        before = self._context.sub_results.get(key)
        runs = 1 + (before.raw.get("runs", 1) if isinstance(before, Done) else 0)
        kept = {
            "raw": reply.meta["raw"],
            "reason": reply.reason,
            "reading": json_answer.VERSION,
            "runs": runs,
        }
        meta = {name: value for name, value in reply.meta.items() if name != "raw"}
        self._context.sub_results.keep_unread(key, Done(kept, meta))
        is_last = reply.reason == "answer_malformed" and runs >= MOST_RUNS
        return unreadable(reply) if is_last else reply

    def _unread_key(self, request: Request) -> bytes:
        """Where an answer to this question that nobody could read is kept."""
        images = [self._context.files.sha256(path) for path in request.images]
        llm = self._context.llm
        model = [self._model, llm.key_settings(), llm.max_image_pixels]
        question: list[Any] = [
            request.text,
            request.system,
            request.temperature,
            request.sample,
            request.schema.example(),
        ]
        choices = [kind for _, kind in request.schema.values if isinstance(kind, tuple)]
        if request.image_first or any("|" in choice for kind in choices for choice in kind):
            question += [request.image_first, choices]  # the example alone does not tell these apart
        return digest(["unread", model, question, images])

    def _read_now(self, key: bytes, request: Request) -> Done | None:
        """An answer that an earlier version paid for and could not read, if this one can; free of cost."""
        kept = self._context.sub_results.get(key)
        if not isinstance(kept, Done) or kept.raw["reason"] != "answer_malformed":
            return None
        if (
            kept.raw["reading"] == json_answer.VERSION
            or json_answer.read(kept.raw["raw"], request.schema, request.text) is None
        ):
            return None
        meta = {"model": self._model, **FREE, "paid_earlier": kept.meta}
        return Done({"raw": kept.raw["raw"], "by": self._model}, meta)

    async def close(self) -> None:
        """Closes the client's connections."""
        if self._client is not None:
            await self._client.close()


def unreadable(reply: Retry) -> Rejected:
    """An answer that is not asked for again. Where no other can be read either, the reject is not stored."""
    meta = {name: value for name, value in reply.meta.items() if name != "raw"}
    return Rejected(NOT_READ, f"{reply.reason}: {reply.detail}", {**meta, REFUSAL: True})


def text_of(raw: Any, field: str) -> str | Rejected:
    """The text of a stored result. An answer that a later parser cannot read any more is a reject."""
    if "text" in raw:
        return str(raw["text"])
    values = values_of(raw, AnswerSchema.line(field))
    return values if isinstance(values, Rejected) else str(values[field])


def values_of(raw: Any, schema: AnswerSchema) -> Row | Rejected:
    """The values of a stored answer; a reject when a later parser cannot read it any more."""
    values = json_answer.read(raw["raw"], schema)
    if values is None:
        return Rejected("answer_unreadable", f"the stored answer holds no object like {schema.example()}")
    return values
