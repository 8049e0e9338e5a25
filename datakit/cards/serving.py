"""The answers' forms, and what serving a picture costs: calls, local work, tokens in and out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.measured_columns import measured
from datakit.artifacts.report import ServedStep, StepReport
from datakit.cards.parts import PART_NAMES, part_name
from datakit.core.answer_forms import ContractFormat
from datakit.core.errors import UserError
from datakit.core.image import ImageProblem, read_header
from datakit.core.pixels import FAMILIES, FRAME_TOKENS, Family, TrainerLimits, image_tokens
from datakit.core.qwen_models import chat_layout, qwen_model
from datakit.core.tokens import TokenCounter
from datakit.core.wording import t
from datakit.pages.blocks import Block, Cell, Code, Section, Table, Text
from datakit.pages.figures import collect

COUNTED = 1_000
"""Records whose tokens are counted, the first of validation and training."""
FORM = "answer_form"
ONE_FORM = "all"


def answers_section(build: BuildFolder) -> Section:
    """The forms of the answers: their fields in order, what is scored, and how many records have each."""
    form = _format(build)
    if form is None:
        return Section(t("Answers"), [])
    counted = _counted(build)
    splits = [split for split in PART_NAMES if any(split in by_split for by_split in counted.values())]
    several = len(form.contracts) > 1
    names = [contract.form if several else ONE_FORM for contract in form.contracts]
    total = sum(sum(counted.get(name, {}).values()) for name in names)
    rows: list[list[Cell]] = []
    for name, contract in zip(names, form.contracts, strict=True):
        fields = t(", then ").join(field.name for field in contract.fields)
        by_split = counted.get(name, {})
        share = sum(by_split.values()) / total if total else 0
        row: list[Cell] = [Code(contract.form), fields, contract.target.name]
        rows.append([*row, f"{share:.0%}", *(by_split.get(split, 0) for split in splits)])
    head = [
        t("form"),
        t("fields in order"),
        t("scored"),
        t("share"),
        *(part_name(split) for split in splits),
    ]
    text = t(
        "The prompt asks for the form, and the answer has it: both come from one contract (answer.json)."
    )
    if several:
        text += t(
            " One model serves all; the form {form} is asked for when none is named.",
            form=form.contracts[0].form,
        )
    return Section(t("Answers"), [Text(text), Table(head, rows)])


def serving_section(build: BuildFolder) -> Section:
    """What it takes to serve one picture, in the order of the work."""
    work = build.report.serving
    if work is None or not build.data_files:
        return Section(t("What serving a picture costs"), [])
    if work.fault:
        return Section(
            t("What serving a picture costs"), [Text(t("It cannot be served: {fault}.", fault=work.fault))]
        )
    calls = sum(step.calls for step in work.steps)
    lead = (
        t("No paid call")
        if not calls
        else t("1 paid call")
        if calls == 1
        else t("{calls} paid calls", calls=calls)
    )
    text = t("{lead} for each picture, besides the request to the trained model itself.", lead=lead)
    if work.given:
        text += t(" Whoever asks gives {names} with the picture.", names=", ".join(work.given))
    blocks: list[Block] = [Text(text)]
    if work.steps:
        rows = [_step_row(build, step) for step in work.steps]
        head = [
            t("work before the model is asked"),
            t("columns of the prompt"),
            t("where"),
            t("calls"),
            t("tokens of a call"),
        ]
        if not any(row[-1] for row in rows):
            head, rows = head[:-1], [row[:-1] for row in rows]
        blocks.append(Table(head, rows))
    return Section(t("What serving a picture costs"), [*blocks, *_request(build)])


def _step_row(build: BuildFolder, step: ServedStep) -> list[Cell]:
    where = t("a paid model") if step.calls else t("this machine")
    step_report = next((entry for entry in build.report.steps if entry.number == step.number), None)
    tokens = None
    if step.calls and step_report is not None:
        tokens = _tokens_of_a_call(step_report)
    return [Code(step.name), ", ".join(step.columns), where, step.calls, tokens]


def _tokens_of_a_call(report: StepReport) -> str | None:
    """Means over all answers of the build; older reports know of those of their run alone."""
    calls, read, wrote = report.answer_calls, report.answer_tokens_in, report.answer_tokens_out
    if not calls:
        calls, read, wrote = report.attempts.get("answered", 0), report.tokens_in, report.tokens_out
    return (
        t("{read:,.0f} in, {wrote:,.0f} out", read=read / calls, wrote=wrote / calls)
        if calls and read
        else None
    )


@dataclass
class _Tokens:
    """Figures of the requests of one form."""

    requests: int = 0
    turns: int = 0
    text: int = 0
    pictures: int = 0
    answers: list[int] = field(default_factory=list)


def _request(build: BuildFolder) -> Iterator[Block]:
    """The tokens of the request to the trained model, by form."""
    by_form = _tokens(build)
    rows: list[list[Cell]] = []
    for name, tokens in by_form.items():
        count = tokens.requests
        shown = (
            tokens.text / count,
            tokens.pictures / count,
            sum(tokens.answers) / count,
            max(tokens.answers),
        )
        form = t("all") if name == ONE_FORM else Code(name)
        rows.append([form, count, tokens.turns, *(round(value) for value in shown)])
    if rows:
        yield Text(
            t(
                "The request to the trained model, as its training had it, in tokens (means over "
                "the records that were counted; pictures as the trainer resizes them):"
            )
        )
        head = [
            t("form"),
            t("records"),
            t("requests"),
            t("text in"),
            t("pictures in"),
            t("tokens out"),
            t("most out"),
        ]
        yield Table(head, rows)


def _tokens(build: BuildFolder) -> dict[str, _Tokens]:
    family, limits = _family(build), _limits(build)
    train = build.section("train")
    layout = chat_layout(str(train.get("model") or ""), train.get("template"), build.path)
    counter = TokenCounter(template=layout)
    forms = _form_of(build)
    by_form: defaultdict[str, _Tokens] = defaultdict(_Tokens)
    for row in islice(_rows(build), COUNTED):
        tokens = by_form[forms.get(row["id"], ONE_FORM)]
        chat = counter.chat(row["messages"])
        images = [_picture(build, path, family, limits) for path in row.get("images") or ()]
        tokens.requests += 1
        tokens.turns = max(tokens.turns, sum(turn["role"] == "user" for turn in row["messages"]))
        tokens.text += chat.prompt - FRAME_TOKENS * len(images)  # `chat` counts the frames
        tokens.pictures += sum(images)
        tokens.answers.append(chat.answer)
    return dict(sorted(by_form.items()))


def _rows(build: BuildFolder) -> Iterator[dict[str, Any]]:
    """The emitted rows of the task, each record once, validation first."""
    seen_ids: set[str] = set()
    for split in ("val", "train"):
        for row in build.rows(split):
            if row["id"] not in seen_ids:
                seen_ids.add(row["id"])
                yield row


def _picture(build: BuildFolder, path: str, family: Family, limits: TrainerLimits) -> int:
    """Tokens of a picture with its frame; 0 for one that is not there."""
    with suppress(ImageProblem, ValueError):
        header = read_header(build.path / path)
        return image_tokens(header.width, header.height, family, limits) + FRAME_TOKENS
    return 0


def _family(build: BuildFolder) -> Family:
    """The grid of the model that the recipe trains; that of Qwen2.5-VL where it names none."""
    model = build.section("train").get("model")
    with suppress(UserError):
        return FAMILIES[qwen_model(str(model)).size_family if model else "qwen2_5_vl"]
    return FAMILIES["qwen2_5_vl"]


def _limits(build: BuildFolder) -> TrainerLimits:
    plain = TrainerLimits()
    keys: dict[str, Any] = build.training if build.training_file is not None else {}
    most = keys.get("image_max_pixels") or (build.emitted and build.emitted.image_max_pixels)
    return TrainerLimits(most or plain.max_pixels, keys.get("image_min_pixels") or plain.min_pixels)


def _format(build: BuildFolder) -> ContractFormat | None:
    """The contracts of the answers; None for those of a template, or where nothing says."""
    with suppress(UserError):
        form = build.answer_format
        return form if isinstance(form, ContractFormat) else None
    return None


def _counted(build: BuildFolder) -> dict[str, dict[str, int]]:
    """Form -> split -> records."""
    name = pl.col(FORM).fill_null(ONE_FORM) if measured(build.columns, FORM) else pl.lit(ONE_FORM)
    table = collect(build.main.group_by(name.alias("form"), "part").len())
    counts: dict[str, dict[str, int]] = {}
    for form, split, count in table.rows():
        counts.setdefault(form, {})[split] = count
    return counts


def _form_of(build: BuildFolder) -> dict[str, str]:
    """Id -> form, of a build with several; empty for any other."""
    if not measured(build.columns, FORM):
        return {}
    return dict(collect(build.main.select("id", FORM).drop_nulls()).rows())
