"""Records rendered batch by batch, in one form of the answer or each in its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl

from datakit.core.answer_forms import ContractFormat
from datakit.core.factored_chats import FactoredChats
from datakit.core.outcome import Batch, Reject, Rejected
from datakit.core.record import DECLINED
from datakit.core.templates import PROMPT_ROLES, escape_breaking
from datakit.core.transform import BatchWorker, FactoredChatsWorker
from datakit.core.writer import Writer
from datakit.render._changes import ChangedAnswers
from datakit.render._chats import Chats
from datakit.render._columns import PlainRecords
from datakit.render._kept_boxes import KeptBoxes

Size = tuple[int, int | None, int]
"""Characters and tokens of the prompt, and the rung of the ladder."""
_PLACE, _FORM_NUMBER = "_place", "_form"


class Batches(FactoredChatsWorker):
    """Renders batch by batch: plain records column by column, the others one by one."""

    def __init__(
        self,
        writer: Writer,
        columns: tuple[str, ...],
        texts: set[str],
        *,
        keep: bool,
        counts: bool,
        kept_boxes: KeptBoxes | None = None,
    ) -> None:
        """`keep`: records that have messages keep them; `counts`: tokens are counted; `kept_boxes`: how boxes
        in such messages are written anew."""
        self.kept_boxes = kept_boxes
        self.writer, self.columns = writer, columns
        self.keep, self.counts = keep, counts
        self.plain = None if self.keep else PlainRecords.of(writer, texts)
        self.changed = ChangedAnswers()  # of records made one by one: plain ones are written as they are

    @property
    def notes(self) -> dict[str, Any]:
        return self.changed.notes

    def factored(self, records: FactoredChats) -> tuple[FactoredChats, list[Reject]]:
        frame = records.expanded()
        if self.plain is None or frame.is_empty():
            batch = self._each(frame)[0]
            return FactoredChats(batch.frame), batch.rejects
        plain = self.plain.make(frame)
        done = (frame if plain.done.all() else frame.filter(plain.done)).with_columns(
            plain.messages,
            plain.chars.alias("prompt_chars"),
            pl.lit(0, dtype=pl.UInt8).alias("shrink_rung"),
        )
        if done.height == frame.height:
            return FactoredChats(done, plain.shared), []
        done = FactoredChats(done, plain.shared).expanded()
        rest, kept = self._each(frame.filter(~plain.done))
        places = pl.concat([plain.done.arg_true(), (~plain.done).arg_true().gather(kept)])
        return FactoredChats(pl.concat([done, rest.frame])[places.arg_sort()]), rest.rejects

    def _each(self, frame: pl.DataFrame) -> tuple[Batch, list[int]]:
        """The records made one by one, and the places of those that go on."""
        chats, sizes = Chats(self.writer.system), list[Size]()
        rejected: dict[int, Rejected] = {}
        for at, values in enumerate(frame.select(self.columns).iter_rows()):
            record = dict(zip(self.columns, values, strict=True))
            record["images"] = record["images"] or []
            size = self._one(record, chats)
            if isinstance(size, Rejected):
                rejected[at] = size
            else:
                sizes.append(size)
        chars, tokens, rungs = zip(*sizes, strict=True) if sizes else ((), (), ())
        added = [chats.series(), pl.Series("prompt_chars", chars, dtype=pl.UInt32)]
        if self.counts:
            added.append(pl.Series("prompt_tokens", tokens, dtype=pl.UInt32))
        added.append(pl.Series("shrink_rung", rungs, dtype=pl.UInt8))
        kept = [at for at in range(frame.height) if at not in rejected]
        going = frame[kept] if rejected else frame
        return Batch(going.with_columns(added), _rejects(frame, rejected)), kept

    def _one(self, record: dict[str, Any], chats: Chats) -> Size | Rejected:
        if self.keep and record["messages"]:
            turns = [(turn["role"], _given_text(**turn)) for turn in record["messages"]]
            if self.kept_boxes is not None:
                rewritten = self.kept_boxes.rewritten(turns, record["images"])
                if isinstance(rewritten, Rejected):
                    return rewritten
                turns = rewritten
            size = self.writer.given(turns, len(record["images"]))
            if not isinstance(size, Rejected):
                chats.add_given(turns)
            return size
        answers = self.writer.answers(record)
        if isinstance(answers, Rejected):
            declined = _declined(answers, record)
            return _without_chat(declined) if self.keep else declined
        prompted = self.writer.prompt(record)
        if isinstance(prompted, Rejected):
            return prompted
        chats.add(prompted.turns, answers)
        if isinstance(self.writer.form, ContractFormat):
            self.changed.count(record, self.writer.form.contract, self.writer.labels)
        return prompted.chars, prompted.tokens, prompted.rung


class Forms(BatchWorker):
    """Renders each record in the form that it is assigned to, and names the form in a column."""

    def __init__(self, workers: dict[str, Batches], assigned: Callable[[str], int], column: str) -> None:
        self.workers, self.assigned, self.column = workers, assigned, column
        self.counts = dict.fromkeys(workers, 0)

    def __call__(self, frame: pl.DataFrame) -> Batch:
        forms = [self.assigned(id_) for id_ in frame["id"]]
        numbered = frame.with_columns(pl.Series(_FORM_NUMBER, forms, dtype=pl.UInt32)).with_row_index(_PLACE)
        frames, rejects = [], list[Reject]()
        for number, (name, worker) in enumerate(self.workers.items()):
            batch = worker(numbered.filter(pl.col(_FORM_NUMBER) == number))
            self.counts[name] += batch.frame.height
            frames.append(batch.frame.with_columns(pl.lit(name, dtype=pl.String).alias(self.column)))
            rejects += batch.rejects
        whole = pl.concat(frames).sort(_PLACE).drop(_PLACE, _FORM_NUMBER)
        order = {id_: at for at, id_ in enumerate(frame["id"])}
        return Batch(whole, sorted(rejects, key=lambda reject: order[reject.id]))

    @property
    def notes(self) -> dict[str, Any]:
        """Form -> records, and what the forms changed."""
        changed = ChangedAnswers()
        for worker in self.workers.values():
            changed.add(worker.changed)
        return {"answer forms": dict(self.counts), **changed.notes}


def _declined(rejected: Rejected, record: dict[str, Any]) -> Rejected:
    """The same reject, under its own word where a text is lacking that the model declined to write."""
    if rejected.reason != "answer_incomplete":
        return rejected
    says = [(name, value) for name, value in record.items() if name.endswith(DECLINED) and value]
    for name, value in says:
        if not record.get(name.removesuffix(DECLINED)):
            return Rejected("reason_declined", f"the model declined to write it: {value}")
    return rejected


def _without_chat(rejected: Rejected) -> Rejected:
    """The same reject, with why there had to be an answer: a record with a chat brings its own."""
    if rejected.reason != "answer_incomplete":
        return rejected
    return Rejected(rejected.reason, f"the record has no chat in `messages` to keep, and {rejected.detail}")


def _given_text(role: str, content: str | None) -> str:
    """A turn that came with its record: answers keep every byte."""
    return escape_breaking(content or "") if role in PROMPT_ROLES else content or ""


def _rejects(frame: pl.DataFrame, rejected: dict[int, Rejected]) -> list[Reject]:
    rows = frame[list(rejected)].select("id", "source_file", "source_line").iter_rows(named=True)
    return [
        Reject.of(row, outcome.reason, outcome.detail)
        for row, outcome in zip(rows, rejected.values(), strict=True)
    ]
