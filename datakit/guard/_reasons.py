"""The reasons of all records, label by label, and what is wrong with them; they may be replaced."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

import polars as pl

from datakit.core.errors import UserError
from datakit.core.labels import Label, LabelSet
from datakit.core.outcome import Batch, reject_rows
from datakit.core.record import DECLINED
from datakit.core.step_context import StepContext
from datakit.guard._conclusion import Conclusions, mask_of
from datakit.guard._findings import Findings, ReasonSettings, counted
from datakit.guard._quotations import SURE, Misquotes, Read, misquotes

_CHUNK = 4096


class Reasons:
    """The worker of guard.reason that marks or rejects records with a fault.

    Its findings follow the texts: a changed text has its own label compared again, and all labels with one
    another.
    Of reasons that are alike the one that was written again less often stands, then the smaller id.
    """

    def __init__(self, guard: ReasonSettings, context: StepContext, frame: pl.LazyFrame) -> None:
        if (declined := f"{guard.column}{DECLINED}") in frame.collect_schema():
            frame = frame.filter(pl.col(declined).is_null())  # the model gives no reason for their label
        table = frame.select("id", "label", text=guard.column).collect()
        self.guard, self.bounds, self._frame = guard, guard.bounds(context), frame
        self.texts: dict[str, str | None] = dict(table.select("id", "text").iter_rows())
        self.rewrites: dict[str, int] = {}
        """How often a reason was written again, where it was."""
        self.labels: dict[str, str | None] = dict(table.select("id", "label").iter_rows())
        self._members: dict[str | None, list[str]] = {}
        for id_, label in self.labels.items():
            self._members.setdefault(label, []).append(id_)
        self._set, self._read = context.labels, _read_columns(guard, frame)
        self._rewrites_across = guard.rewrites_across(context)
        self._evidence_first = guard.is_evidence_first(context)
        consistent = guard.consistent and context.labels is not None
        self._conclusions = Conclusions(context.labels) if consistent and context.labels else None
        self._mask = mask_of(context.labels or LabelSet(tuple(Label(name) for name in self._members if name)))
        self._misquotes = self._misquoted(frame)
        self._by_label = {label: self._look(label) for label in self._members}
        self._found, self._to_mend = self._joined()

    def replace(self, texts: dict[str, str]) -> None:
        """Puts new texts in place and compares them again."""
        for id_, text in texts.items():
            self.texts[id_] = text
            self.rewrites[id_] = self.rewrites.get(id_, 0) + 1
        kept = {id_: missing for id_, missing in self._misquotes.items() if id_ not in texts}
        self._misquotes = kept | self._misquoted(self._frame.filter(pl.col("id").is_in(list(texts))))
        changed = {self.labels[id_] for id_ in texts}
        self._by_label = self._by_label | {label: self._look(label) for label in changed}
        self._found, self._to_mend = self._joined()

    def shared_fault(self, texts: dict[str, str]) -> str:
        """A fault that all of these texts would have in place of the present ones; "" for none."""
        before = {id_: self.texts[id_] for id_ in texts}
        kept = dict(self.rewrites), self._by_label, self._misquotes, self._found, self._to_mend
        self.replace(texts)
        flags = [set(self._to_mend.flags.get(id_, ())) for id_ in texts]
        self.texts |= before
        self.rewrites, self._by_label, self._misquotes, self._found, self._to_mend = kept
        return min(set.intersection(*flags), default="") if flags else ""

    @property
    def findings(self) -> Findings:
        """What is wrong with the texts as they are."""
        return self._found

    @property
    def to_mend(self) -> Findings:
        """The findings that a reason is written again for: all, or those of its own label alone."""
        return self._to_mend

    def flagged(self) -> list[str]:
        """Ids of the records with a fault, in order."""
        return sorted(self._found.flags)

    @property
    def notes(self) -> dict[str, Any]:
        """For the report."""
        return {"flagged": len(self._found.flags), "of": len(self.texts), "flags": counted(self._found)}

    def __call__(self, frame: pl.DataFrame, but: Container[str] = ()) -> Batch:
        """The batch with its faults marked, or without the records that have one; those in `but` stay."""
        return self._marked(frame) if self.guard.marks else self._sifted(frame, but)

    def _marked(self, frame: pl.DataFrame) -> Batch:
        ids, name = frame["id"].to_list(), self.guard.column
        flags = pl.Series([self._found.flags.get(id_, []) for id_ in ids], dtype=pl.List(pl.String()))
        near = pl.Series([self._found.similarity.get(id_) for id_ in ids], dtype=pl.Float64())
        return Batch(frame.with_columns(flags.alias(f"{name}_flags"), near.alias(f"{name}_similarity")))

    def _sifted(self, frame: pl.DataFrame, but: Container[str]) -> Batch:
        bad = pl.Series(
            [id_ in self._found.flags and id_ not in but for id_ in frame["id"]], dtype=pl.Boolean()
        )
        rejects = []
        for row in frame.filter(bad).iter_slices(1):
            (id_,) = row["id"]
            flag = self._found.flags[id_][0]
            rejects += reject_rows(row, flag, [self._found.detail(id_, flag)])
        return Batch(frame.filter(~bad), rejects)

    def _look(self, label: str | None) -> Findings:
        findings = Findings(self.guard, self.bounds)
        ids = self._ordered(self._members[label])
        texts = [self.texts[id_] for id_ in ids]
        findings.shape(ids, texts, self._set)
        if self._conclusions is not None and label:
            findings.contradictions(label, ids, texts, self._conclusions)
        if self._evidence_first and label:
            known = self._set.find(label) if self._set is not None else None
            findings.openings(ids, texts, known or Label(label))
        findings.quotations({id_: self._misquotes[id_] for id_ in ids if id_ in self._misquotes})
        usable = [(id_, text) for id_, text in zip(ids, texts, strict=True) if text and text.strip()]
        findings.compare([id_ for id_, _ in usable], [text for _, text in usable])
        return findings

    def _joined(self) -> tuple[Findings, Findings]:
        """The findings of all labels with what shows only when those are compared with one another, and those
        that a reason is written again for."""
        joined, own = Findings(self.guard, self.bounds), Findings(self.guard, self.bounds)
        for findings in self._by_label.values():
            joined.join(findings.copy())
            own.join(findings)
        if len(self._members) > 1:
            ids = [id_ for id_ in self._ordered(self.texts) if self._is_comparable(id_)]
            joined.across(ids, [self._mask(self.texts[id_] or "") for id_ in ids], self.labels)
        return joined, joined if self._rewrites_across else own

    def _is_comparable(self, id_: str) -> bool:
        """Whether a reason is long enough to be like another for what it says."""
        return len("".join((self.texts[id_] or "").split())) >= max(self.bounds.min_chars, 3)

    def _misquoted(self, frame: pl.LazyFrame) -> dict[str, Misquotes]:
        """Id -> the quotations that are wrong by what was read; not of records whose text nobody read."""
        if self._read is None:
            return {}
        found = {}
        rows = frame.select("id", **self._read).drop_nulls("text")
        for batch in rows.collect_batches(chunk_size=_CHUNK, maintain_order=True):
            for id_, *read in batch.iter_rows():
                if any(wrong := misquotes(self.texts[id_] or "", Read(*read), self._set)):
                    found[id_] = wrong
        return found

    def _ordered(self, ids: Iterable[str]) -> list[str]:
        return sorted(ids, key=lambda id_: (self.rewrites.get(id_, 0), id_))


def _read_columns(guard: ReasonSettings, frame: pl.LazyFrame) -> dict[str, pl.Expr] | None:
    """What gives the fields of Read, where the records have the text that quotations must stand in."""
    name, schema = guard.quotes_in, frame.collect_schema()
    dtype = schema.get(name) if name else None
    if dtype not in (None, pl.String, pl.Null):
        raise UserError(
            f"`{name}` holds {dtype}, no texts",
            remedy="Name with `quotes_in:` the text that OCR read, such as `ocr_text`, or null.",
        )
    if name is None or dtype != pl.String:
        return None
    return {"text": pl.col(name), "unsure": _unsure(lines_of(name), schema)}


def lines_of(text_column: str) -> str:
    """The column in which annotate.ocr gives the lines of a text with their scores."""
    return text_column.removesuffix("_text")


def _unsure(name: str, schema: pl.Schema) -> pl.Expr:
    """The lines that OCR was not sure of; null where there are no lines with scores."""
    inner = getattr(schema.get(name), "inner", None)
    fields = {field.name: field.dtype for field in inner.fields} if isinstance(inner, pl.Struct) else {}
    if fields.get("text") != pl.String or fields.get("score") != pl.Float64:
        return pl.lit(None, pl.String)
    line = pl.element().struct
    unsure = pl.when(line.field("score") < SURE).then(line.field("text"))
    return pl.col(name).list.eval(unsure).list.drop_nulls().list.join("\n")
