"""annotate.describe: an objective description of a record's pictures."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import polars as pl
from pydantic import Field, model_validator

from datakit.annotate import _samples as sampling
from datakit.core.language import language_of
from datakit.core.outcome import Done, Outcome, Rejected
from datakit.core.record import record_key, step_print
from datakit.core.step_context import StepContext
from datakit.core.templates import escape_tokens
from datakit.core.transform import Annotator, Asked, AsyncRowWorker, Columns, Executor, Row
from datakit.llm import author, json_answer, offline
from datakit.llm.answer_schema import AnswerSchema
from datakit.llm.request import Request
from datakit.llm.second_tries import FIRST, SecondTries

FIELD = "description"
CANDIDATE = "candidate"
"""The referee's template sees the description that it judges under this name."""
_VERDICT_TOKENS = 256
_MOST_SAMPLES = 32
_PARAMETERS = {"banned_word": "banned", "missing_word": "required", sampling.REFUSED: "referee"}
"""Fault of an answer -> the parameter that finds it."""


class Describe(Annotator):
    """Column `<into>` with a description of the pictures, and `<into>_by` with the name of its writer.

    The template is rendered for each record and sent with its pictures, scaled down to
    `llm.max_image_pixels`; the answer is a JSON object with the one text `description`. Records without
    pictures get null and cost nothing. Without an endpoint (`llm.provider`) the built-in offline writer
    composes the text from OCR lines, layout and light; it never looks at the label, and `<into>_by` says
    `offline-writer`.

    With `samples`, `banned`, `required` or `referee` a record takes several calls: an answer with a banned
    word, without a required one, or refused by the referee is asked for again, at most `max_tries` times,
    and the model is told which words were wrong. Of the answers that pass, the most central one stands (the
    highest mean Jaccard similarity of character 3-grams to the others). When none passes, the record is
    rejected, or with `on_fail: keep` the best one stands; `<into>_faults` says then what is wrong (an empty
    list for those that pass).

    An answer is stored as it came, under a key of the rendered text, the pictures' content, the model and
    the temperature: another timeout, address or concurrency pays for nothing again, nor does a change of
    the template that leaves the rendered text as it was. Every sample, try and verdict is stored on its own:
    more samples or other words pay only for the answers that are not there yet.

    Reasons of rejection: banned_word, missing_word, referee_refused, refused, content_filter, image_refused,
    image_* of a broken file. To be tried again: rate_limited, server_error, timed_out, connection_lost,
    context_too_long, images_off, answer_malformed, answer_truncated, answer_empty.
    """

    needs_images: ClassVar[bool] = True

    keyed: ClassVar[tuple[str, ...]] = ("temperature",)
    reading: ClassVar[int] = json_answer.VERSION
    executor: ClassVar[Executor] = "event_loop"

    template: str = "ecom/describe.j2"
    """Template of the question. Its variables are the records' columns and those of the label file."""
    into: str = Field(default="description", pattern=r"^[A-Za-z_]\w*$")
    """Name of the column."""
    temperature: float = Field(default=0.3, ge=0, le=2)
    """Freedom of the model's wording; low, because a description should keep to what is seen."""
    max_tokens: int = Field(default=512, ge=16)
    """Longest answer. A longer one is asked for once more with twice the room. Not part of the key."""
    samples: int = Field(default=1, ge=1, le=_MOST_SAMPLES)
    """Answers to each question, of which one stands. They need a `temperature` above 0."""
    banned: tuple[str, ...] = ()
    """Words that a description may not have; width, case and white space do not matter."""
    required: tuple[str, ...] = ()
    """Words that a description must have, all of them."""
    referee: str | None = None
    """Template of a question about a description, its variable `candidate`, such as ecom/referee.j2. The
    model answers with a JSON object {why, ok}; a description that is not ok does not pass."""
    max_tries: int = Field(default=3, ge=1, le=10)
    """Answers for each sample, the first included, until one passes."""
    on_fail: Literal["reject", "keep"] = "reject"
    """What becomes of a record none of whose answers passes."""

    @model_validator(mode="after")
    def _samples_differ(self) -> Self:
        if self.samples > 1 and self.temperature == 0:
            raise ValueError("samples at temperature 0 are all alike; raise `temperature`")
        if not all(word.strip() for word in (*self.banned, *self.required)):
            raise ValueError("`banned` and `required` hold words, none of them blank")
        both = [word for word in self.banned if word in self.required]
        if both:
            raise ValueError(f"`{both[0]}` is both banned and required")
        return self

    @property
    def rules(self) -> sampling.Rules:
        """What an answer must keep to."""
        return sampling.Rules(self.banned, self.required, self.referee is not None)

    @property
    def is_single(self) -> bool:
        """Whether one answer is a record's whole result."""
        return self.samples == 1 and not self._has_rules

    @property
    def _has_rules(self) -> bool:
        return bool(self.banned or self.required or self.referee)

    @property
    def asks_model(self) -> bool:
        return True

    def templates(self) -> tuple[str, ...]:
        return (self.template,) if self.referee is None else (self.template, self.referee)

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        needed = author.needed(self.template, context)
        if self.referee is None:
            return needed
        author.need_model(f"the referee of {self.name()}", "judge", context)
        return tuple(sorted({*needed, *author.needed(self.referee, context, given=(CANDIDATE,))}))

    def optional(self, context: StepContext) -> tuple[str, ...]:
        return offline.READS

    def outputs(self, context: StepContext) -> Columns:
        columns = {self.into: pl.String(), f"{self.into}_by": pl.String()}
        marks = self._has_rules and self.on_fail == "keep"
        return {**columns, f"{self.into}_faults": pl.List(pl.String())} if marks else columns

    def key_settings(self, context: StepContext) -> Row:
        single = author.key_settings(context, FIELD, super().key_settings(context))
        if self.is_single:
            return single
        rules = {"samples": self.samples, "banned": self.banned, "required": self.required}
        judged = {"referee": context.templates.digest(self.referee, whole=True)} if self.referee else {}
        tried = {"max_tries": self.max_tries} if self._has_rules else {}
        return {**single, **rules, **judged, **tried}

    def key_fields(self, row: Row, context: StepContext) -> Any:
        if not row["images"]:
            return None
        fields = self._question_fields(row, context)
        judged = self._judged_by(row, context, str(fields.get("text")))
        return {**fields, "judged": judged} if judged else fields

    def _question_fields(self, row: Row, context: StepContext, hint: str = "") -> Row:
        label = self._label(row, context)
        language = offline.language(context, self.into, self.template)
        return author.key_fields(row, context, label, lambda: self.request(row, context, hint), language)

    def _judged_by(self, row: Row, context: StepContext, question: str) -> Row:
        """What the referee is told that the question does not tell: verdicts differ with it."""
        if self.referee is None:
            return {}
        sees = context.templates.variables(self.referee) - {CANDIDATE, "images"}
        of_labels, asked = sees & author.LABEL_VARIABLES, context.templates.variables(self.template)
        told: Row = {
            name: repr(row.get(name))
            for name in sorted(sees - author.LABEL_VARIABLES)
            if name not in asked or not _is_told(row.get(name), question)
        }
        if "label_info" in of_labels:
            told["label"] = row.get("label")
        if of_labels:
            told["labels"] = context.labels.digest if context.labels else ""
        return told

    def questions(self) -> tuple[Asked, ...]:
        answers = self.samples * (self.max_tries if self._has_rules else 1)
        verdicts = (Asked(answers, _VERDICT_TOKENS),) if self.referee else ()
        return (Asked(answers, self.max_tokens), *verdicts)

    def sub_result_keys(self, row: Row, context: StepContext) -> list[bytes]:
        if self.is_single or not row["images"]:
            return []
        return [self.part_key(row, context, sample) for sample in range(self.samples)]

    def part_key(self, row: Row, context: StepContext, sample: int, number: int = 0, hint: str = "") -> bytes:
        """The key of one answer. That of the first is the key of the whole result when there is no other."""
        fields = self._question_fields(row, context, hint)
        if sample or number:
            fields = {**fields, "sample": sample, "try": number}
        settings = author.key_settings(context, FIELD, super().key_settings(context))
        return record_key(step_print(self.name(), self.version, settings), fields)

    def verdict_key(self, row: Row, context: StepContext, candidate: str) -> bytes:
        """The key of the referee's verdict on a description."""
        settings = author.key_settings(context, "verdict", {"temperature": 0.0})
        fields = author.request_fields(self.verdict_request(row, context, candidate), context)
        return record_key(step_print(f"{self.name()}/referee", self.version, settings), fields)

    def start(self, context: StepContext) -> AsyncRowWorker:
        return _Describer(self, context)

    def columns(self, raw: Any, row: Row, context: StepContext) -> Row | Rejected:
        faults: list[str] = []
        if raw is None:
            text = None
        elif "samples" in raw:
            chosen = sampling.choose(raw, FIELD, self.rules, keep=self.on_fail == "keep")
            if isinstance(chosen, Rejected):
                return chosen
            text, faults = chosen.text, [f"{reason}: {word}" for reason, word in chosen.faults]
        else:
            answer = author.text_of(raw, FIELD)
            if isinstance(answer, Rejected):
                return answer
            text = answer
        by = raw["by"] if raw is not None else None
        return {self.into: text, f"{self.into}_by": by, f"{self.into}_faults": faults}

    def request(self, row: Row, context: StepContext, hint: str = "", sample: int = 0) -> Request:
        """What is sent for a record."""
        text = author.rendered(self.template, row, context, self._label(row, context))
        return Request(
            f"{text}\n{hint}" if hint else text,
            tuple(row["images"]),
            AnswerSchema.line(FIELD),
            self.temperature,
            self.max_tokens,
            sample=sample,
        )

    def verdict_request(self, row: Row, context: StepContext, candidate: str) -> Request:
        """What the referee is asked about a description."""
        label = self._label(row, context)
        text = author.rendered(str(self.referee), row, context, label, **{CANDIDATE: candidate})
        return Request(text, tuple(row["images"]), sampling.VERDICT, 0.0, _VERDICT_TOKENS)

    def _label(self, row: Row, context: StepContext) -> Any:
        """The label, when a template asks for it; the offline writer is never told."""
        uses_label = any("label_info" in context.templates.variables(name) for name in self.templates())
        if author.is_offline(context) or not uses_label:
            return None
        label = author.label_of(row, context)
        return None if isinstance(label, Rejected) else label


def _is_told(value: Any, question: str) -> bool:
    """Whether a question that a value went into holds all of it."""
    return not value or (isinstance(value, str) and escape_tokens(value).strip() in question)


class _Describer(author.TextGenerator):
    def __init__(self, step: Describe, context: StepContext) -> None:
        super().__init__(context)
        self._step, self._context = step, context
        self._tried_again = self._judged = 0
        self._futile: list[str] = []
        self._second = SecondTries(self._stop_trying)

    @property
    def notes(self) -> Row:
        counts = {"tried_again": self._tried_again, "judged": self._judged}
        notes = {**super().notes, **{name: count for name, count in counts.items() if count}}
        return {**notes, "warnings": [*notes.get("warnings", ()), *self._futile]} if self._futile else notes

    def _stop_trying(self, fault: str, _: str) -> None:
        self._futile.append(
            f"{fault} stayed the fault of the first {FIRST} answers that were asked for again; no other is. "
            f"Mend `{_PARAMETERS[fault]}` of the step, or its template."
        )

    async def answer(self, row: Row) -> Outcome:
        if not row["images"]:
            return Done(None)
        step = self._step
        if step.is_single:
            return await self._written(row, 0, 0, "")
        return await sampling.Sampling(
            step.rules,
            FIELD,
            step.samples,
            step.max_tries if step._has_rules else 1,
            write=lambda sample, number, hint: self._part(row, sample, number, hint),
            judge=(lambda text: self._verdict(row, text)) if step.referee else None,
            language=language_of([self._context.templates.source(step.template)]) or "zh",
            second=self._second,
        ).run()

    async def _part(self, row: Row, sample: int, number: int, hint: str) -> tuple[bytes, Outcome]:
        key = self._step.part_key(row, self._context, sample, number, hint)
        self._tried_again += number > 0
        return await sampling.paid_once(
            self._context.sub_results, key, lambda: self._written(row, sample, number, hint)
        )

    async def _written(self, row: Row, sample: int, number: int, hint: str) -> Outcome:
        step, context = self._step, self._context
        drawn = [sample, number] if sample or number else []
        return await self.write(
            ask=lambda: step.request(row, context, hint, sample + _MOST_SAMPLES * number),
            compose=lambda: offline.describe(
                row,
                context.rng("annotate.describe", row["id"], *drawn),
                offline.language(context, step.into, step.template),
                offline.known_words(context.labels),
            ),
        )

    async def _verdict(self, row: Row, text: str) -> tuple[bytes, Outcome]:
        step, context = self._step, self._context
        self._judged += 1
        return await sampling.paid_once(
            context.sub_results,
            step.verdict_key(row, context, text),
            lambda: self.write(lambda: step.verdict_request(row, context, text)),
        )
