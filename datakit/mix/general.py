"""General dialogues beside the task's own records, so that the model does not forget how to talk."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast

import polars as pl
from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from datakit.core.boxes import UNCLEAR
from datakit.core.errors import UserError
from datakit.core.outcome import Table
from datakit.core.parameters import described_faults, validated
from datakit.core.record import COLUMNS, GENERAL, TRAIN, digest
from datakit.core.registry import find, names
from datakit.core.step_context import StepContext
from datakit.core.templates import PROMPT_ROLES, breaking_token, escape_breaking
from datakit.core.transform import Columns, Guard, Package, Reader, TableTransform
from datakit.mix._ahead import Mix, left_of, passing, rows_at_the_end
from datakit.mix._quality import asked_before, fault_of


def _show_reader_by_name(schema: dict[str, Any]) -> None:
    """The JSON schema as recipes write it: the reader's own name instead of the field's."""
    reader = schema["properties"].pop("source")
    schema["properties"] = {"read.alpaca": reader, **schema["properties"]}
    schema["patternProperties"] = {"^read[.]\\w+$": {"type": "object"}}
    schema["required"].remove("source")


_MIN_CHINESE = 0.3
"""Of general data for Chinese prompts."""


class General(TableTransform):
    """General records (`set: general`) beside the main ones, as the given share of all training rows.

    The share is that of the finished build, wherever the step stands: what later steps make of the rows
    (repeats, rejects, a split, another mix) is reckoned ahead, but for records that a later annotator or
    rewriting rejects.

    The records come from a reader of dialogues, which stands among the parameters with its own:
    `mix.general: {read.alpaca: {path: general.json}, share: 0.15}`. Left out, and counted by reason, are
    texts that are empty, too long, looping, not Chinese, asked before (by an earlier mix too), whose answer
    is a refusal, or that a later guard rejects. The rest is drawn by the recipe's seed, by id: the same for
    any order of the source, and a few more records in it change few of those drawn. Where the source holds
    too few, all are taken, with a warning.

    Added records are training data (`split: train`, `repeat: 1`), have ids that begin with "general-" (and
    end with "-2" where that id is taken), and null in columns that their reader does not give. Tokens that
    the trainer would take for its own (`<image>`, `<|im_end|>`) are escaped in their texts.
    """

    source: Annotated[Reader, WithJsonSchema({"type": "object"})] = Field(exclude=True)
    """The reader with its parameters, under its own name: read.alpaca, read.llamafactory or another one that
    gives dialogues."""
    version: ClassVar[int] = 3

    share: float = Field(gt=0, lt=1)
    """General rows as a share of all training rows, repeats counted."""
    max_chars: int = Field(default=2500, ge=1)
    """Longest dialogue, all turns together."""
    min_chinese: float | None = Field(default=None, ge=0, le=1)
    """Least share of Chinese characters among Chinese characters and Latin words; 0 takes any language.
    Translations and code with a Chinese question stay above 0.3. null: 0.3 where the recipe's prompts are
    Chinese, else 0."""
    licence: str | None = None
    """Licence that the data set declares, such as CC-BY-4.0; it goes on the data card."""
    upstream_licence: str | None = None
    """Licence of the data that it was made of, where that differs (Stanford Alpaca: CC-BY-NC-4.0)."""

    @model_validator(mode="before")
    @classmethod
    def _reader_by_name(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or isinstance(values.get("source"), Reader):
            return values
        readers = [key for key in values if str(key).startswith("read.")]
        if len(readers) != 1:
            listing = ", ".join(name for name in names() if name.startswith("read."))
            raise ValueError(f"exactly one reader must stand here ({listing}), not {len(readers)}")
        others = {key: value for key, value in values.items() if key != readers[0]}
        return {**others, "source": _reader(readers[0], values[readers[0]])}

    @model_serializer(mode="wrap")
    def _name_of_reader(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        others: dict[str, Any] = handler(self)
        parameters = self.source.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return {self.source.name(): parameters, **others}

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        schema = super().__get_pydantic_json_schema__(core_schema, handler)
        _show_reader_by_name(handler.resolve_ref_schema(schema))
        return schema

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("id", "messages", "images")

    def optional(self, context: StepContext) -> tuple[str, ...]:
        return ("split", "repeat", "set")

    def outputs(self, context: StepContext) -> Columns:
        return {name: COLUMNS[name] for name in ("split", "repeat", "set")}

    def files(self, context: StepContext) -> list[Path]:
        return self.source.files(context)

    def packages(self, context: StepContext) -> tuple[Package, ...]:
        return self.source.packages(context)

    def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
        if "messages" not in self.source.columns(context):
            raise UserError(
                f"{self.source.name()} gives no `messages`, so there is nothing to learn from",
                remedy="Use a reader of dialogues: read.alpaca or read.llamafactory.",
            )
        main = _with_parts(frame)
        self._check_shares(context)
        others = (step for step in context.later if not isinstance(step, General))
        rows = _rows(left_of(main, others, context))
        if not rows:
            return Table(main)
        records, left_out, said = self._usable(main, context)
        mixes = self._later_mixes(main, context)
        # Without other mixes as it always was, to the last bit: rounding decides about a record.
        besides = (1 - self.share) * rows_at_the_end(rows, [(self.share, None), *mixes]) if mixes else rows
        wanted = round(self.share / (1 - self.share) * besides)
        if not wanted:
            return Table(main)
        chosen = _drawn(records, wanted, context.seed)
        mixed = pl.concat([main, _with_free_ids(_shaped(chosen, main.collect_schema()), main).lazy()])
        total = rows_at_the_end(rows, [(self.share, chosen.height), *mixes])
        notes = self._notes(wanted, records.height, chosen.height, total, left_out)
        for name, told in said.items():
            notes[name] = [*told, *notes.get(name, [])]
        return Table(mixed, added=chosen.height, notes=notes)

    def _later_mixes(self, main: pl.LazyFrame, context: StepContext) -> list[Mix]:
        """Share and usable records of the mixes after this one."""
        mixes: list[Mix] = []
        for at, step in enumerate(context.later):
            if isinstance(step, General):
                own = context.for_step(step).changed(later=context.later[at + 1 :])
                mixes.append((step.share, step._usable(main, own)[0].height))
        return mixes

    def _check_shares(self, context: StepContext) -> None:
        """Raises UserError where this and the later mixes leave no row for the main records."""
        shares = [self.share, *(step.share for step in context.later if isinstance(step, General))]
        if sum(shares) >= 1:
            raise UserError(
                f"the shares of general data ({' + '.join(f'{share:g}' for share in shares)}) leave no row "
                "for the recipe's own records",
                remedy="Each `share` is of all training rows; together they must stay below 1.",
            )

    def _usable(
        self, main: pl.LazyFrame, context: StepContext
    ) -> tuple[pl.DataFrame, Counter[str], dict[str, list[Any]]]:
        """What `_read` gives, without records that earlier mixes have or that later guards reject."""
        records, left_out, said = self._read(context)
        shaped = _shaped(records, main.collect_schema())
        earlier = main.filter(pl.col("set") == GENERAL).select("id", "messages").collect()
        both = pl.concat([earlier.with_columns(id=pl.lit("")), shaped.select("id", "messages")])
        fresh = ~asked_before(both["messages"], both["id"])[earlier.height :]
        left_out.update({"asked_before": int((~fresh).sum())} if not fresh.all() else {})
        shaped = shaped.filter(fresh)
        for guard in context.later:
            own = context.for_step(guard)
            if (
                isinstance(guard, Guard)
                and not guard.compares
                and set(guard.inputs(own)) <= {*shaped.columns}
            ):
                kept, reasons = passing(shaped.lazy(), guard, own)
                left_out.update(reasons)
                shaped = shaped if kept is None else shaped.join(kept, on="id", how="semi")
        ids = pl.format("general-{}", "id")
        return records.filter(ids.is_in(shaped["id"].implode())), left_out, said

    def _read(self, context: StepContext) -> tuple[pl.DataFrame, Counter[str], dict[str, list[Any]]]:
        """The usable records of the source, the reasons of all others, and what its reader tells of."""
        left_out: Counter[str] = Counter()
        frames, said = [], dict[str, list[Any]]()
        usual = _MIN_CHINESE if context.language("") == "zh" else 0.0
        min_chinese = usual if self.min_chinese is None else self.min_chinese
        for batch in self.source.read(context):
            left_out.update(reject.reason for reject in batch.rejects)
            for name in ("warnings", UNCLEAR):
                said.setdefault(name, []).extend(batch.notes.get(name, ()))
            faults = [
                fault_of(turns, self.max_chars, min_chinese) or _broken(turns, bool(images))
                for turns, images in batch.frame.select("messages", "images").iter_rows()
            ]
            left_out.update(fault for fault in faults if fault)
            frames.append(
                batch.frame.filter(pl.Series([fault is None for fault in faults], dtype=pl.Boolean))
            )
        records = pl.concat(frames) if frames else pl.DataFrame(schema=dict(self.source.columns(context)))
        again = asked_before(records["messages"], records["id"])
        left_out.update({"asked_before": int(again.sum())} if again.any() else {})
        return records.filter(~again), left_out, {name: told for name, told in said.items() if told}

    def _notes(
        self, wanted: int, usable: int, added: int, total: float, left_out: Counter[str]
    ) -> dict[str, Any]:
        share = added / total
        notes: dict[str, Any] = {
            "source": self.source.name(),
            "licence": self.licence,
            "upstream_licence": self.upstream_licence,
            "added": added,
            "share_of_training_rows": round(share, 4),
            "usable": usable,
            "left_out": dict(sorted(left_out.items())),
        }
        warnings = []
        if added < wanted:
            warnings.append(
                f"{wanted:,} general records would be {self.share:.0%} of the training rows, "
                f"but the source has {usable:,} usable ones: the share is {share:.1%}"
            )
        if self.licence is None:
            warnings.append("the licence of the general data is not declared: set `licence`")
        if warnings:
            notes["warnings"] = warnings
        return notes


def _reader(name: str, parameters: Any) -> Reader:
    try:
        kind = find(name)
        reader = validated(kind, parameters or {})
    except UserError as error:
        raise ValueError(f"{error.message}. {error.remedy}") from None
    except ValidationError as error:
        faults = described_faults(error, kind)
        raise ValueError("; ".join(f"{name}: {text} {remedy}".rstrip() for text, remedy in faults)) from None
    return cast(Reader, reader)


def _rows(frame: pl.LazyFrame) -> int:
    """The rows that training records make."""
    return int(frame.filter(pl.col("split") == TRAIN).select(pl.col("repeat").sum()).collect().item() or 0)


def _with_free_ids(records: pl.DataFrame, main: pl.LazyFrame) -> pl.DataFrame:
    """The records, those with a number behind the id whose id another record has."""
    there = set(main.select("id").collect()["id"])
    own = set(records["id"])
    free: dict[str, str] = {}
    for id_ in sorted(own & there):
        numbered = (f"{id_}-{number}" for number in count(2))
        free[id_] = next(name for name in numbered if name not in there | own)
        there.add(free[id_])
    return records.with_columns(id=pl.col("id").replace(free)) if free else records


def _with_parts(frame: pl.LazyFrame) -> pl.LazyFrame:
    """The main records with split, repeat and set, where no earlier step has given them."""
    have = frame.collect_schema().names()
    defaults = {"split": TRAIN, "repeat": 1, "set": ""}
    return frame.with_columns(
        pl.lit(value, COLUMNS[name]).alias(name) for name, value in defaults.items() if name not in have
    )


def _drawn(records: pl.DataFrame, wanted: int, seed: int) -> pl.DataFrame:
    """`wanted` records at random, in the order of the source."""
    key = digest([seed, "mix.general"])
    ranks = [hashlib.blake2b(id_.encode(), digest_size=8, key=key).digest() for id_ in records["id"]]
    ranked = records.with_columns(rank=pl.Series(ranks, dtype=pl.Binary)).with_row_index("place")
    return ranked.sort("rank", "id").head(wanted).sort("place").drop("place", "rank")


def _shaped(chosen: pl.DataFrame, schema: Mapping[str, Any]) -> pl.DataFrame:
    """The general records with exactly the columns of the main ones."""
    texts = [
        [{"role": turn["role"], "content": _text(**turn, has_images=bool(images))} for turn in turns]
        for turns, images in chosen.select("messages", "images").iter_rows()
    ]
    ready = chosen.with_columns(
        id=pl.format("general-{}", "id"),
        messages=pl.Series(texts, dtype=COLUMNS["messages"]),
        split=pl.lit(TRAIN, pl.String),
        repeat=pl.lit(1, pl.UInt32),
        set=pl.lit(GENERAL, pl.String),
    )
    return ready.select(
        pl.col(name).cast(dtype) if name in ready.columns else pl.lit(None, dtype).alias(name)
        for name, dtype in schema.items()
    )


def _broken(turns: list[dict[str, str]], has_images: bool) -> str | None:
    targets = (turn["content"] for turn in turns if turn["role"] not in PROMPT_ROLES)
    return "answer_tokens" if any(breaking_token(text, images=has_images) for text in targets) else None


def _text(role: str, content: str, *, has_images: bool) -> str:
    """A turn of a general record: an answer keeps every byte, a prompt all but what breaks the trainer."""
    if role not in PROMPT_ROLES:
        return content
    text = escape_breaking(content)
    return text if has_images else text.replace("<image>", "＜image＞")
