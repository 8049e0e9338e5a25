"""Known forms of data that are neither labelled pictures nor chats to learn, told by their columns."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from datakit.core.errors import UserError
from datakit.core.training_columns import plain_name
from datakit.read._kinds import JSON_TEXT
from datakit.read._known_files import COCO

_SUPERVISED = "datakit makes data for supervised training, and nothing in it reads such rows."


@dataclass(frozen=True)
class Form:
    """One form: what it is called, and the columns that say so."""

    name: str
    columns: tuple[str, ...]
    """Sets of columns, each in one text: a row of this form has all of one set. `label:bool` and
    `responses:list` say the type as well, `-answer` that there is no such column."""
    remedy: str = _SUPERVISED
    beside_chats: bool = False
    """Whether it is this form even where every row has a chat besides."""
    beside_pictures: bool = True
    """Whether it is this form even where the rows have pictures."""


_LABEL = f"{_SUPERVISED} If a column is a label, name it, such as `label: ground_truth`."
_NO_ANSWER = "-completion -response -answer -output -messages -chosen"
FORMS = (
    Form(
        "preference data",
        (
            "chosen rejected",
            "chosen_response rejected_response",
            "chosen_messages rejected_messages",
            "messages rejected_response",
            "messages rejected_messages",
            "preferred_output non_preferred_output",
            "human_ref_A human_ref_B",
            "response_a response_b",
            "conversation_a conversation_b",
            "response_0 response_1",
            "response_j response_k",
            "instruction completions:list",
        ),
        f"{_SUPERVISED} To learn the preferred answers, write them as chats.",
        beside_chats=True,
    ),
    Form(
        "preference data: single answers, each marked as wanted or not (KTO)",
        (
            "prompt completion label:bool",
            "prompt response label:bool",
            "completion kto_tag",
            "output kto_tag",
        ),
        f"{_SUPERVISED} To learn the wanted answers, write them as chats.",
    ),
    Form("reward data: a mark for each step of an answer", ("completions:list labels:list",)),
    Form(
        "preference data: ranked answers",
        tuple(
            f"{answers}:list {ranks}"
            for answers in ("responses", "answers", "completions", "outputs", "candidates")
            for ranks in ("rank", "ranks", "ranking", "rankings", "scores", "ratings", "rewards")
        ),
        f"{_SUPERVISED} To learn the best answers, write them as chats.",
    ),
    Form(
        "reward data: answers and how good they are",
        (
            *(f"{answer} reward" for answer in ("response", "completion", "answer", "output")),
            "prompt response score",
            "query response score",
        ),
        f"{_SUPERVISED} To learn the good answers, write them as chats.",
    ),
    Form(
        "prompts without answers, as GRPO takes them",
        (
            f"prompt reward_model {_NO_ANSWER}",
            f"prompt solution {_NO_ANSWER}",
            f"prompt:list ground_truth {_NO_ANSWER}",
        ),
        _LABEL,
    ),
    Form(
        "prompts without answers, as GRPO takes them",
        (f"prompt ground_truth {_NO_ANSWER}", f"prompt:list {_NO_ANSWER} -label -text"),
        _LABEL,
        beside_pictures=False,
    ),
    Form(
        "pairs for training embeddings",
        ("query positive negative", "anchor positive negative", "query pos:list neg:list"),
    ),
    Form(
        "requests of a batch service", ("custom_id body",), "`datakit build` writes and reads those itself."
    ),
    Form(
        "boxes as COCO has them",
        ("images annotations categories", "image_id category_id bbox"),
        COCO,
    ),
    Form(
        "the predictions of a model (predictions.jsonl)",
        ("id predicted answer", "id problem answer model"),
        "`datakit evaluate` reads them, and so do curate.pseudo_labels and curate.label_noise.",
    ),
    Form(
        "the rejects of a build (rejects.jsonl)",
        ("step reason detail source_file",),
        "They are for people; a step reads the source that they name.",
    ),
    Form(
        "the records of a build (records.parquet)",
        ("source_file source_line split repeat -messages",),
        "read.build reads them: give it the build's folder.",
    ),
)
_TRACE = re.compile(r"@\d+\.\w+\.\w+")
"""Columns in which a build notes where a step's result came from."""
PRE_TRAINING = "plain text as pre-training takes it"


def is_telling(column: str) -> bool:
    """Whether a column is one that forms are told by."""
    return plain_name(column) in _TELLING


def other_form(
    source: str,
    kinds: Mapping[str, Any],
    filled: Mapping[str, int],
    *,
    rows: int,
    has_chats: bool,
    has_pictures: bool,
) -> UserError | None:
    """The error that names what the rows are; None where they may be data to learn.

    `kinds` are the columns that the recipe says nothing of (None for a type that is not known), `filled` how
    many of the `rows` have a value in them.
    """
    columns = {plain_name(name): name for name in kinds}
    traces = [name for name in kinds if _TRACE.fullmatch(name)]
    if traces and not has_chats:
        return _error(source, FORMS[-1], traces[:1])
    for form in FORMS:
        if (has_chats and not form.beside_chats) or (has_pictures and not form.beside_pictures):
            continue
        for texts in form.columns:
            names = list(_matched(texts, columns, kinds))
            least = min((filled.get(name, 0) for name in names), default=0)
            if least >= (rows if has_chats else 1):
                return _error(source, form, names)
    return None


def _matched(texts: str, columns: Mapping[str, str], kinds: Mapping[str, Any]) -> Iterator[str]:
    """The columns of one set; none where one lacks, or has another type."""
    names = []
    for word in texts.split():
        absent, (name, _, kind) = word.startswith("-"), word.lstrip("-").partition(":")
        column = columns.get(plain_name(name))
        if absent:
            if column is not None:
                return
        elif column is None or not _is_kind(kinds[column], kind):
            return
        else:
            names.append(column)
    yield from names


def _is_kind(found: Any, kind: str) -> bool:
    if kind == "bool":
        return bool(found == pl.Boolean())
    if kind == "list":
        return found is None or found == JSON_TEXT or isinstance(found, pl.List)
    return True


def _error(source: str, form: Form, names: Collection[str]) -> UserError:
    ticked = ", ".join(f"`{name}`" for name in names)
    drop = (
        ""
        if form.remedy.startswith(("read.build", "`datakit"))
        else " Columns that `drop` or `keep` names do not count."
    )
    return UserError(f"{source}: {_verb(form)} {form.name} ({ticked})", remedy=f"{form.remedy}{drop}")


def _verb(form: Form) -> str:
    return (
        "these are" if form.name.split()[0] in ("prompts", "pairs", "requests", "boxes", "the") else "this is"
    )


_TELLING = frozenset(
    plain_name(word.partition(":")[0])
    for form in FORMS
    for texts in form.columns
    for word in texts.split()
    if not word.startswith("-")
)
