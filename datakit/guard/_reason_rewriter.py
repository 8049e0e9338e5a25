"""Has faulty reasons written again, told what was wrong and which reasons they must differ from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal

import polars as pl

from datakit.core.labels import Label
from datakit.core.language import Language, language_of
from datakit.core.outcome import RETRY, Batch, Outcome, Reject, Rejected, Retry
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator, Asked, AsyncRowWorker, Columns, Executor, Reviser, Row
from datakit.guard._findings import ReasonSettings
from datakit.guard._quotations import Misquotes
from datakit.guard._reasons import Reasons
from datakit.llm import author, json_answer, offline
from datakit.llm.answer_schema import AnswerSchema
from datakit.llm.request import Request

FIELD = "reason"
OWN = ("candidate", "faults", "neighbours")
"""Template variables that come from the check: the reason as it is, what is wrong with it (a list of
sentences), and the reasons that it must differ from."""
TRY = "try"
PROBE = 20
"""Records that are written again first; when all of them fail again for one reason, the others would too."""
_MENDS = {
    "reason_missing": "the template",
    "reason_too_short": "`min_chars` or the length that the template asks for",
    "reason_too_long": "`max_chars` or the length that the template asks for",
    "reason_language": "`min_chinese` or the language of the template",
    "reason_contradicts": "`consistent`, or the label file",
    "reason_concludes_first": "the template: evidence first, then the label",
    "reason_misquotes": "`quotes_in`, or let the template give the OCR text",
    "reason_repeated": "`temperature` or the template",
    "reason_too_similar": "`max_similarity` or the template",
    "reason_opening": "`max_equal_openings` or the template",
}
"""Flag -> the setting that mends it."""
_SAID: dict[Language, dict[str, str]] = {
    "zh": {
        "reason_missing": "还没有写理由",
        "reason_too_short": "太短，至少写{min_chars}个字",
        "reason_too_long": "太长，最多写{max_chars}个字",
        "reason_language": "没有用中文写",
        "reason_contradicts": "结论成了别的类别，结论必须是给定的类别",
        "reason_concludes_first": "一开头就说出了类别，要先写证据，最后才下结论",
        "reason_misquotes": "{misquotes}",
        "reason_repeated": "与同类另一张图的理由完全相同",
        "reason_too_similar": "与同类其他图的理由太相似",
        "reason_opening": "开头与同类许多理由相同，要换一种开头",
    },
    "en": {
        "reason_missing": "there is no reason yet",
        "reason_too_short": "too short: write at least {min_chars} characters",
        "reason_too_long": "too long: write at most {max_chars} characters",
        "reason_language": "it is not written in Chinese",
        "reason_contradicts": "it concludes another label; it must conclude the given one",
        "reason_concludes_first": "it opens with the label; give the evidence first and conclude at the end",
        "reason_misquotes": "{misquotes}",
        "reason_repeated": "it is word for word that of another picture of the label",
        "reason_too_similar": "it is too much like those of other pictures of the label",
        "reason_opening": "it begins as many reasons of the label do; begin differently",
    },
}
"""What the writer is told, in the language of its template."""
_MISQUOTES: dict[Language, dict[str, str]] = {
    "zh": {
        "missing": "引用的{}不在图中文字里，只能引用图上确有的文字",
        "denied": "说没有{}，而图中文字里有",
    },
    "en": {
        "missing": "it quotes {}, which does not stand in the picture; quote its own text",
        "denied": "it says that {} is not there, which does stand in the picture",
    },
}


class _Question(Annotator):
    """What a ReasonRewriter asks of the model; a step of its own only towards the engine."""

    registered_name: ClassVar[str] = "guard.reason"
    executor: ClassVar[Executor] = "event_loop"
    reading: ClassVar[int] = json_answer.VERSION

    column: str
    template: str
    temperature: float
    max_tokens: int

    @property
    def asks_model(self) -> bool:
        return True

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        needed = author.needed(self.template, context, given=OWN)
        return tuple(sorted({"label", *needed, *OWN, TRY}))

    def optional(self, context: StepContext) -> tuple[str, ...]:
        return offline.READS

    def outputs(self, context: StepContext) -> Columns:
        return {self.column: pl.String(), f"{self.column}_by": pl.String()}

    def questions(self) -> tuple[Asked, ...]:
        return (Asked(1, self.max_tokens),)

    def key_settings(self, context: StepContext) -> Row:
        return author.key_settings(context, FIELD, {"temperature": self.temperature})

    def key_fields(self, row: Row, context: StepContext) -> Any:
        label = _label(row, context)
        language = offline.language(context, self.column, self.template)
        fields = author.key_fields(row, context, label, lambda: self.request(row, context), language)
        return {**fields, TRY: row[TRY]}

    def start(self, context: StepContext) -> AsyncRowWorker:
        return _Writer(self, context)

    def columns(self, raw: Any, row: Row, context: StepContext) -> Row | Rejected:
        text = author.text_of(raw, FIELD)
        return text if isinstance(text, Rejected) else {self.column: text, f"{self.column}_by": raw["by"]}

    def request(self, row: Row, context: StepContext) -> Request:
        """What is sent for a record."""
        own = {name: row[name] for name in OWN}
        text = author.rendered(self.template, row, context, _label(row, context), **own)
        images = tuple(row["images"] or ())
        schema = AnswerSchema.line(FIELD)
        return Request(text, images, schema, self.temperature, self.max_tokens, sample=row[TRY])


class _Writer(author.TextGenerator):
    def __init__(self, step: _Question, context: StepContext) -> None:
        super().__init__(context)
        self._step, self._context = step, context

    async def answer(self, row: Row) -> Outcome:
        rng, label = self._context.rng("guard.reason", row["id"], row[TRY]), _label(row, self._context)
        outcome = await self.write(
            ask=lambda: self._step.request(row, self._context),
            compose=lambda: offline.reason(
                row,
                label,
                rng,
                offline.neighbours(label, self._context.labels),
                offline.language(self._context, self._step.column, self._step.template),
            ),
        )
        if isinstance(outcome, Retry) and outcome.reason in author.UNREADABLE:
            return author.unreadable(outcome)  # paid for: it counts as one of `max_rewrites`
        return outcome


def _label(row: Row, context: StepContext) -> Label:
    label = author.label_of(row, context)
    assert isinstance(label, Label)  # `wanted` leaves the others out
    return label


class ReasonRewriter(Reviser):
    """The worker of guard.reason that has reasons with a fault written again, then marks or rejects."""

    def __init__(self, guard: ReasonSettings, context: StepContext, frame: pl.LazyFrame) -> None:
        self.guard, self._context, self._frame = guard, context, frame
        self.budget_usd = guard.budget_usd
        self.annotator: Annotator = _Question(
            column=guard.column,
            template=guard.template,
            temperature=guard.temperature,
            max_tokens=guard.max_tokens,
        )
        self._reasons = Reasons(guard, context, frame)
        self._flagged_before = len(self._reasons.flagged())
        self._mends = bool(self._reasons.to_mend.flags)
        self._by: dict[str, str] = {}
        self._asked: dict[str, int] = {}
        self._given_up: set[str] = set()
        """Records that can never be answered: refused, withheld, or without a known label."""
        self._retries: dict[str, Reject] = {}
        self._open: set[str] = set()
        """Records whose answer a dry run does not find: what becomes of them is not known."""
        self._stopped = ""
        self._later: pl.DataFrame | None = None
        """The rest of a round whose first records show whether it is worth it."""
        self._held: dict[str, str] = {}
        """What those first records were answered; put in place with the others of their round."""
        self._futile = ""

    @property
    def notes(self) -> Row:
        """For the report: what was written again, and what still fails."""
        failing = [id_ for id_ in self._reasons.flagged() if id_ not in self._retries]
        notes = {
            **self._reasons.notes,
            "flagged_before": self._flagged_before,
            "rewritten": len(self._reasons.rewrites),
            "rewrites": sum(self._asked.values()),
            "still_failing": len(failing),
        }
        if self._futile:
            others = max(len(set(self._reasons.to_mend.flags).intersection(failing)) - PROBE, 0)
            notes["warnings"] = [
                f"the first {PROBE} reasons that were written again failed again for {self._futile}; "
                f"the other {others:,} were not asked for. Mend {_MENDS[self._futile]}."
            ]
        if self._stopped == "budget":
            notes["budget_spent"] = f"guard.reason stopped at its budget_usd of {self.budget_usd:g}"
        return notes

    def wanted(self) -> pl.DataFrame | None:
        if self._stopped or self._retries:
            return None
        if self._later is not None:
            later, self._later = self._later, None
            return self._asked_for(later)
        ids = [id_ for id_ in sorted(self._reasons.to_mend.flags) if self._may(id_)]
        rows = self._rows(ids) if ids else None
        if rows is None or rows.is_empty():
            return None
        if self.probes and not self._reasons.rewrites and rows.height > PROBE:
            rows, self._later = rows.head(PROBE), rows.slice(PROBE)
        return self._asked_for(rows)

    def _asked_for(self, rows: pl.DataFrame) -> pl.DataFrame:
        for id_ in rows["id"]:
            self._asked[id_] = self._asked.get(id_, 0) + 1
        return rows

    def take(self, batch: Batch) -> None:
        column = self.guard.column
        answered = batch.frame.select("id", column, f"{column}_by").rows()
        self._by |= {id_: by for id_, _, by in answered}
        for reject in batch.rejects:
            if reject.reason.startswith(RETRY):
                self._asked[reject.id] -= 1
                self._retries[reject.id] = reject
            elif reject.reason != author.NOT_READ:  # which used up a try; others may be left
                self._given_up.add(reject.id)
        self._held |= {id_: text for id_, text, _ in answered}
        if self._later is not None and not self._retries:
            # The round goes on as if it had not been parted: what it asks rests on the texts before it.
            self._futile = self._reasons.shared_fault(self._held) if len(self._held) >= PROBE else ""
            if not self._futile:
                return
            self._later, self._stopped = None, "futile"
        self._reasons.replace(self._held)
        self._held = {}

    def most_wanted(self, others: int) -> int:
        # A reason that is written anew may free another that was out because of it, so any may be wanted.
        own = len(self._reasons.texts) if others or self._mends else 0
        return (own + others) * self.guard.max_rewrites

    def stop(self, why: Literal["budget", "open"]) -> None:
        if self._held:  # the rest of their round is not to come
            self._reasons.replace(self._held)
            self._held = {}
        self._later = None
        if why == "open":
            self._open = set(self._retries)
        self._stopped, self._retries = why, {}

    def __call__(self, frame: pl.DataFrame) -> Batch:
        column = self.guard.column
        ids = frame["id"].to_list()
        by = frame[f"{column}_by"].to_list() if f"{column}_by" in frame.columns else [None] * len(ids)
        answered = frame.with_columns(
            pl.Series(column, [self._reasons.texts[id_] for id_ in ids], dtype=pl.String()),
            pl.Series(
                f"{column}_by",
                [self._by.get(id_, old) for id_, old in zip(ids, by, strict=True)],
                dtype=pl.String(),
            ),
            pl.Series(
                f"{column}_rewrites", [self._reasons.rewrites.get(id_, 0) for id_ in ids], dtype=pl.Int64()
            ),
        )
        waiting = [self._waiting(row) for row in frame.select("id", "source_file", "source_line").to_dicts()]
        kept = pl.Series([reject is None for reject in waiting], dtype=pl.Boolean())
        going = answered.filter(kept)
        checked = self._reasons(going, but=self._open)
        return replace(
            checked, rejects=[*checked.rejects, *(left_out for left_out in waiting if left_out is not None)]
        )

    def _may(self, id_: str) -> bool:
        """Whether a record with a fault is written again in this round."""
        tries = self._asked.get(id_, 0)
        return id_ not in self._given_up and tries < self.guard.max_rewrites

    def _waiting(self, row: Row) -> Reject | None:
        """Why the record is left to the next run, when it is."""
        reject = self._retries.get(row["id"])
        if reject is not None or not self._retries:
            return reject
        faulty = row["id"] in self._reasons.to_mend.flags
        if not faulty or not self._may(row["id"]):
            return None
        detail = "its reason waits for others of this round that were not answered"
        return Reject.of(row, f"{RETRY}rewrite_waits", detail)

    def _rows(self, ids: list[str]) -> pl.DataFrame:
        """The records of these ids with the columns that the annotator reads."""
        context, annotator = self._context, self.annotator
        read = annotator.reads(context)
        schema = self._frame.collect_schema()
        names = [
            name for name in dict.fromkeys(("id", "source_file", "source_line", *read)) if name in schema
        ]
        rows = self._frame.filter(pl.col("id").is_in(ids)).select(names).sort("id").collect().to_dicts()
        labelled = [row for row in rows if isinstance(author.label_of(row, context), Label)]
        self._given_up |= {row["id"] for row in rows} - {row["id"] for row in labelled}
        prompt_rows = [{**row, **self._told(row["id"])} for row in labelled]
        texts = pl.List(pl.String())
        own = {"candidate": pl.String(), "faults": texts, "neighbours": texts, TRY: pl.Int64()}
        return pl.DataFrame(prompt_rows, schema={**{name: schema[name] for name in names}, **own})

    def _told(self, id_: str) -> Row:
        """What the writer of the next reason is told."""
        findings = self._reasons.to_mend
        language = language_of([self._context.templates.source(self.guard.template)]) or "zh"
        wrong = findings.misquotes.get(id_, Misquotes([], [])).said(_MISQUOTES[language])
        known, words = {**self._reasons.bounds._asdict(), "misquotes": wrong}, _SAID[language]
        return {
            self.guard.column: self._reasons.texts[id_],
            "candidate": self._reasons.texts[id_],
            "faults": [words[flag].format(**known) for flag in findings.flags[id_]],
            "neighbours": [self._reasons.texts[other] for other in findings.neighbours.get(id_, [])],
            TRY: self._asked.get(id_, 0) + 1,
        }
