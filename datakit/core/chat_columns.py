"""Which columns of records make what is asked about their pictures, and what is answered."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from datakit.core.answer import LABEL, AnswerFormat
from datakit.core.answer_forms import ContractFormat, contract_of
from datakit.core.contract import AnswerContract, AnswerField
from datakit.core.errors import UserError
from datakit.core.factored_chats import CHATS
from datakit.core.record import DECLINED
from datakit.core.training_columns import LOSS, OBJECTS, TOOLS
from datakit.core.transform import Annotator, PromptRenderer, Reader, Renderer, Transform

if TYPE_CHECKING:
    from datakit.core.step_context import StepContext

_PLACES = {"id", "images", "source_file", "source_line", CHATS}
"""Columns that say which record it is and what it shows, which are no part of a question."""
BESIDE = (TOOLS, LOSS, OBJECTS)
"""Columns that belong to the chats that records bring."""


@dataclass(frozen=True)
class ChatColumns:
    """The columns by which records are compared. By default what holds where no prompt is rendered."""

    question: tuple[str, ...] = ("text",)
    """Columns that the prompt rests on, besides the pictures."""
    contracts: tuple[AnswerContract, ...] = (AnswerContract.of("label_only"),)
    """The forms of the answer; the first has the target."""
    behind: tuple[str, ...] = ()
    """Columns of which steps make columns of the answer."""
    messages: Literal["instead", "beside", "never"] = "beside"
    """Whether the chat that a record brings is trained on, instead of these columns or (where nothing is
    rendered) beside them; never where a rendered one takes its place."""

    beside: tuple[str, ...] = ()
    """Further columns of those chats, besides `messages`."""

    @property
    def fields(self) -> dict[str, AnswerField]:
        """Column -> the field of an answer that it holds."""
        return {field.source: field for contract in reversed(self.contracts) for field in contract.fields}

    @property
    def target(self) -> AnswerField:
        return self.contracts[0].target

    @property
    def question_names(self) -> tuple[str, ...]:
        """The columns that say what is asked, where records have them."""
        return self.question if self.messages == "never" else (*self.question, CHATS, *self.beside)

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that are compared, where records have them."""
        return tuple(dict.fromkeys((*self.question_names, *self.fields, *self.behind)))

    @property
    def judged_names(self) -> tuple[str, ...]:
        """Those that a decision about a record rests on besides its label, text, pictures and chat."""
        asked = {*self.question, *self.fields, *self.behind}
        return tuple(sorted(asked - _PLACES - {LABEL, "text"}))


def chat_columns(context: StepContext) -> ChatColumns:
    """The columns that the last renderer among the context's steps uses; of several tasks those of all.

    What a step made of other columns and the pictures stands for those: what OCR read is no question.
    """
    if context.tasks and not context.task:
        return _of_all([chat_columns(context.in_task(scope.name)) for scope in context.tasks])
    return _of_last_renderer(context)


def _of_all(tasks: Sequence[ChatColumns]) -> ChatColumns:
    """The columns of several tasks, of which a record has its own; those of the others are null for it."""
    question = {name for columns in tasks for name in columns.question}
    contracts = tuple(contract for columns in tasks for contract in columns.contracts)
    fields = {field.source for contract in contracts for field in contract.fields}
    behind = {name for columns in tasks for name in columns.behind} - question - fields
    ways = [columns.messages for columns in tasks]
    way: Literal["instead", "beside", "never"] = next(
        (way for way in ("instead", "beside") if way in ways), "never"
    )
    return ChatColumns(tuple(sorted(question)), contracts, tuple(sorted(behind)), way, BESIDE)


def _of_last_renderer(context: StepContext) -> ChatColumns:
    renderers = [step for step in context.steps if isinstance(step, Renderer)]
    if not renderers:
        return ChatColumns(beside=BESIDE if context.steps else ())
    renderer, own = renderers[-1], context.for_step(renderers[-1])
    keeps = getattr(renderer, "keep_messages", False) is True
    try:
        form = renderer.answer_format(own)
        contracts = contracts_of(form)
        if isinstance(renderer, PromptRenderer) and (sources := renderer.source_columns(own)):
            contracts = tuple(contract.out_of(sources) for contract in contracts)
        answers = {field.source for contract in contracts for field in contract.fields}
        known = isinstance(renderer, PromptRenderer)
        inputs = (
            renderer.prompt_columns(own) if isinstance(renderer, PromptRenderer) else renderer.inputs(own)
        )
    except UserError:  # the renderer's own fault, which is told as such before any step works
        return ChatColumns()
    names = set(inputs) if known else set(inputs) - answers
    declined = {f"{name}{DECLINED}" for name in answers}  # says of an answer why there is none
    names |= set(renderer.optional(own)) - answers - declined
    if not known and CHATS in names:  # a plug-in that goes on from the chats
        keeps = True
    question = _sources(names, context) - _PLACES - {LABEL}
    behind = _sources(answers, context) - _PLACES - question - answers
    return ChatColumns(
        tuple(sorted(question)), contracts, tuple(sorted(behind)), "instead" if keeps else "never", BESIDE
    )


def contracts_of(form: AnswerFormat | None) -> tuple[AnswerContract, ...]:
    """The contracts of an answer's forms; the usual one where nothing is rendered."""
    if form is None:
        return ChatColumns().contracts
    return form.contracts if isinstance(form, ContractFormat) else (contract_of(form),)


def _sources(names: set[str], context: StepContext) -> set[str]:
    """The columns that others are made of: those of the sources, and what table steps give."""
    steps: Sequence[Transform] = context.steps
    for step in reversed(steps):
        if isinstance(step, Reader | Renderer):
            continue
        with suppress(UserError):  # as above
            own: Any = context.for_step(step)
            if outputs := set(step.outputs(own)) & names:
                names = (names - outputs if isinstance(step, Annotator) else names) | set(step.inputs(own))
    return names
