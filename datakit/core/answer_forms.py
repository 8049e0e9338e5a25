"""The forms that the answers of a data set have, and which record is answered in which."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from datakit.core.answer import LABEL, Answer, AnswerFormat
from datakit.core.box_forms import SeenPictures
from datakit.core.contract import AnswerContract, AnswerField
from datakit.core.errors import UserError, did_you_mean
from datakit.core.labels import LabelSet

NEWEST = 3
"""Format of answer.json with contracts, which say since 3 whether the prompt's lines are marked; a template's
constant texts have format 1."""


@dataclass(frozen=True)
class ContractFormat(AnswerFormat):
    """How the answers of a build are written and read back, by contract.

    `turns` are those of the first form, which is served by default.
    """

    contracts: tuple[AnswerContract, ...] = ()
    shares: tuple[float, ...] = ()
    """Share of the records that each form answers; they sum to 1."""
    seen: SeenPictures | None = None
    """What the numbers of boxes are counted in; None where they are written as they come."""

    @classmethod
    def of_contracts(
        cls,
        contracts: Sequence[AnswerContract],
        shares: Sequence[float] = (),
        seen: SeenPictures | None = None,
    ) -> ContractFormat:
        """The format of these forms. Without shares each has as many records as the others."""
        weights = tuple(shares) or (1 / len(contracts),) * len(contracts)
        return cls(contracts[0].format.turns, tuple(contracts), weights, seen)

    @property
    def contract(self) -> AnswerContract:
        """That of the form which is served by default."""
        return self.contracts[0]

    @property
    def columns(self) -> dict[str, str]:
        return {field.name: field.source for field in self.contract.fields}

    def named(self, form: str | None) -> ContractFormat:
        if form is None:
            return self.of_contracts(self.contracts[:1], seen=self.seen)
        for contract in self.contracts:
            if contract.form == form:
                return self.of_contracts([contract], seen=self.seen)
        names = [contract.form for contract in self.contracts]
        hint = did_you_mean(form, names) or f"It has {', '.join(names)}."
        raise UserError(f"the build has no answer form `{form}`", remedy=hint)

    def fitting(self, text: str) -> ContractFormat:
        """The form that the text has to the letter, else the one that announces the most fields."""
        exact = [contract for contract in self._by_headings if contract.read(text).exact]
        return self.of_contracts([*exact, *self._by_headings][:1])

    def parse(self, text: str, labels: LabelSet | None = None, turn: int = -1) -> Answer:
        answers = [contract.read(text, labels, turn) for contract in self._by_headings]
        return next((answer for answer in answers if answer.exact), answers[0])

    def to_json(self) -> bytes:
        """The contracts, and the constant texts of the form with most headings for readers of format 1."""
        richest = self._by_headings[0].format
        turns = [{"variables": turn.variables, "constants": turn.constants} for turn in richest.turns]
        contracts = [
            {"share": share, **contract.model_dump(exclude_defaults=True), "form": contract.form}
            for contract, share in zip(self.contracts, self.shares, strict=True)
        ]
        document = {"version": NEWEST, "turns": turns, "contracts": contracts}
        target = self.contracts[0].target
        document["target"] = {"kind": target.kind, "name": target.name, "column": target.source}
        if self.seen is not None:
            document["pictures"] = self.seen.document()
        return json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n"

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> ContractFormat:
        """The format of a parsed answer.json. Raises what a document of another kind raises."""
        rows = [dict(row) for row in document["contracts"]]
        shares = [float(row.pop("share")) for row in rows]
        if not rows:
            raise ValueError("no contracts")
        pictures = document.get("pictures")
        seen = None if pictures is None else SeenPictures.of_document(pictures)
        try:
            return cls.of_contracts([AnswerContract.of(row) for row in rows], shares, seen)
        except ValidationError as error:
            raise ValueError(str(error)) from None

    @cached_property
    def _by_headings(self) -> list[AnswerContract]:
        """The forms, those that announce the most fields first: any text is an answer without headings."""
        return sorted(self.contracts, key=lambda contract: -len(contract.headings(contract.turns)))


def contract_of(form: AnswerFormat) -> AnswerContract:
    """The contract of a format: its first form, or what a hand-written answer template says."""
    if isinstance(form, ContractFormat):
        return form.contract
    fields = [
        AnswerField(name=name, kind="label" if name == LABEL else "text", turn=number)
        for number, turn in enumerate(form.turns, 1)
        for name in turn.variables
    ]
    return AnswerContract(form="template", fields=tuple(fields))


@dataclass(frozen=True)
class Assignment:
    """Which form each record of a set is answered in: by its id and the seed, so that the shares hold."""

    cuts: tuple[int, ...]
    """The largest place of each form's records, in order."""
    seed: int

    @classmethod
    def of(cls, ids: Sequence[str], shares: Sequence[float], seed: int) -> Assignment:
        """Counts by largest remainder: each is its share of the records, up to one.

        Records are ordered by a digest of seed and id, so that neither their order nor another record's
        content moves one, and a further record moves few.
        """
        places = sorted(_place(id_, seed) for id_ in ids)
        ends, end = [], 0
        for count in counts(len(places), shares):
            end += count
            ends.append(places[end - 1] if end else -1)
        return cls(tuple(ends), seed)

    def __call__(self, id_: str) -> int:
        """The number of the record's form."""
        place = _place(id_, self.seed)
        return next((at for at, cut in enumerate(self.cuts) if place <= cut), len(self.cuts) - 1)


def counts(total: int, shares: Sequence[float]) -> list[int]:
    """`total` things shared out by largest remainder; the earlier share gets the odd one."""
    whole = [int(total * share + 1e-9) for share in shares]
    rest = [total * share - count for share, count in zip(shares, whole, strict=True)]
    order = sorted(range(len(shares)), key=lambda at: (-round(rest[at], 9), at))
    for at in order[: total - sum(whole)]:
        whole[at] += 1
    return whole


def _place(id_: str, seed: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}\0{id_}".encode(), digest_size=8).digest(), "big")
