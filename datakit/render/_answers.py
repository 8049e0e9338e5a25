"""How a recipe names the answer's form, and whether the prompt's own words agree with it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ConfigDict, Field, model_validator

from datakit.core.answer import AnswerFormat, TurnFormat
from datakit.core.answer_forms import ContractFormat
from datakit.core.contract import FORMS, AnswerContract, AnswerField
from datakit.core.contract_words import LANGUAGES, Language
from datakit.core.documented import Documented
from datakit.core.errors import UserError, did_you_mean
from datakit.core.label_blocks import BlockForm
from datakit.core.language import CharBounds, char_bound
from datakit.core.language import language_of as language_in
from datakit.core.stated_format import conflict, headings_of, plain_lines
from datakit.core.step_context import StepContext
from datakit.core.templates import Templates

ANSWER_FORMAT = "answer_format"
"""The variable of prompt templates that becomes the lines which ask for the answer's form."""
LABEL_BLOCKS = frozenset({"label_json", "label_names"})
"""Variables of prompt templates that become the label block, in the form that their name says if no other is
asked for."""
_CHINESE = re.compile("[\u4e00-\u9fff]")


class AnswerForm(Documented):
    """A form of the answer: a named one, or its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    form: str | None = None
    """A named form, or a name for `fields`."""
    fields: tuple[AnswerField, ...] | None = None
    """The fields in order: `label`, `reason` or `{name: reason, max_chars: 30, column: short}`."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Field -> column that holds it, where that has another name."""
    instruction: str | dict[Language, str] = ""
    """The sentence that asks for the form, instead of the usual one; `{zh: …, en: …}` for recipes in both."""
    language: Language | None = None
    """`zh` or `en`; that of the prompt template when not given."""
    share: float | None = Field(default=None, gt=0, le=1)
    """Under `answers`: the share of the records; forms without one share the rest."""

    @model_validator(mode="after")
    def _is_a_form(self) -> AnswerForm:
        if self.fields is None and self.form not in FORMS:
            hint = did_you_mean(self.form or "", FORMS) or f"Known: {', '.join(FORMS)}."
            raise ValueError(f"no answer form `{self.form}`; give one that is known, or `fields`. {hint}")
        names = [field.name for field in self._fields]
        strange = next((name for name in self.columns if name not in names), None)
        if strange is not None:
            raise ValueError(f"`columns` names `{strange}`; the form has {', '.join(names)}")
        for language in LANGUAGES:
            self.contract(language)  # whose faults are the recipe's
        return self

    @property
    def _fields(self) -> tuple[AnswerField, ...]:
        return self.fields if self.fields is not None else FORMS[self.form or ""]

    def contract(self, language: Language) -> AnswerContract:
        """The contract in the language of a template, unless the recipe names one."""
        fields = [
            AnswerField.model_validate(
                field.model_dump() | {"column": self.columns.get(field.name, field.column)}
            )
            for field in self._fields
        ]
        return AnswerContract(
            form=self.form or "own",
            fields=tuple(fields),
            language=self.language or language,
            instruction=self._instruction(self.language or language),
            marked=True,
        )

    def _instruction(self, language: Language) -> str:
        return self.instruction if isinstance(self.instruction, str) else self.instruction.get(language, "")


def language_of(prompts: Sequence[str], templates: Templates) -> Language:
    """`zh` for templates with a Chinese character in their constant text, else `en`."""
    sources = (templates.source(used) for name in prompts for used in templates.used(name))
    return "zh" if any(_CHINESE.search(line) for text in sources for line in plain_lines(text)) else "en"


def max_chars_of(bounds: CharBounds, prompts: Sequence[str], templates: Templates) -> int | None:
    """The bound for prompts in the language of their templates. Raises UserError where it has none."""
    sources = [templates.source(used) for name in prompts for used in templates.used(name)]
    bound = char_bound(bounds, sources)
    if bounds is not None and bound is None:
        language = language_in(sources) or "zh"
        raise UserError(
            f"`max_chars` has no bound for `{language}`, the language of `{prompts[0]}`",
            remedy=f"Give it one: `max_chars: {{{language}: 2500}}`, or one number for all languages.",
        )
    return bound


def label_variables(form: BlockForm | None, prompts: Sequence[str], context: StepContext) -> dict[str, Any]:
    """What prompts may use of the label file; their label block in the form that the recipe names.

    Raises UserError where no prompt has a label block, or one has two.
    """
    variables = dict(context.label_variables)
    if form is None:
        return variables
    blocks = [LABEL_BLOCKS & context.templates.variables(name) for name in prompts]
    if context.labels is None or not any(blocks):
        raise UserError(
            f"`label_block: {form}` has no effect: no prompt uses {' or '.join(sorted(LABEL_BLOCKS))}",
            remedy="Write {{ label_json }} into the prompt where the labels are to stand, or leave it out.",
        )
    if any(len(used) > 1 for used in blocks):
        raise UserError(
            "`label_block` gives the prompt one label block, and it uses both label_json and label_names",
            remedy="Leave one of them out, or leave out `label_block`.",
        )
    block = context.labels.block(form, language_of(prompts, context.templates))
    return {**variables, **dict.fromkeys(LABEL_BLOCKS, block)}


def shares_of(forms: Sequence[AnswerForm]) -> tuple[float, ...]:
    """The share of each form. Raises ValueError for shares that are no whole."""
    total = sum(form.share or 0 for form in forms)
    open_ = sum(form.share is None for form in forms)
    if total > 1 + 1e-9 or (open_ and total > 1 - 1e-9) or (not open_ and total < 1 - 1e-9):
        raise ValueError(f"the shares of `answers` are {total:g} together; they must be 1, or leave a rest")
    names = [form.form or "own" for form in forms]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"`answers` has two forms `{twice}`; give one with `fields` a `form` of its own")
    if len({form.contract("zh").turns for form in forms}) > 1:
        raise ValueError("the forms of `answers` must have as many turns as each other")
    return tuple(form.share if form.share is not None else (1 - total) / open_ for form in forms)


def check_agreement(prompts: Sequence[str], form: AnswerFormat, templates: Templates) -> None:
    """Raises UserError, with the line, for a prompt that asks for another form than is answered."""
    if not isinstance(form, ContractFormat):
        for name, turn in zip(prompts, form.turns, strict=True):
            _check(name, turn, templates, "the answer writes")
        return
    for contract in form.contracts:
        for name, turn in zip(prompts, contract.format.turns, strict=True):
            _check(name, turn, templates, f"the form `{contract.form}` writes")
        clash = conflict(contract.instruction, contract.format.turns[-1])
        if clash is not None:
            raise UserError(
                f"the instruction of the form `{contract.form}` says `{clash.words}`, but the form writes "
                f"{_described(contract.format.turns[-1])}",
                remedy="Say what the form is, or leave `instruction` out.",
            )


def check_stated(prompts: Sequence[str], templates: Templates) -> None:
    """Raises UserError for a prompt that does not ask for the form of its contract."""
    for name in prompts:
        if ANSWER_FORMAT not in templates.variables(name):
            file = templates.get(name).filename or name
            raise UserError(
                f"the prompt {name} does not ask for the answer's form",
                remedy="Put {{ answer_format }} where it is to say how to answer, in place of such words.",
                where=f"{file}:{len(templates.source(name).splitlines())}",
            )


def prompt_lines(form: AnswerFormat, turn: int, context: StepContext) -> Mapping[str, str]:
    """What a template of a turn (from 1) may use of the contract, in the words of its build."""
    if not isinstance(form, ContractFormat):
        return {}
    contract = form.contract.model_copy(update={"marked": context.marks_places})
    return {ANSWER_FORMAT: contract.prompt_lines(turn)}


def _check(name: str, turn: TurnFormat, templates: Templates, who: str) -> None:
    for used in templates.used(name):
        clash = conflict(templates.source(used), turn)
        if clash is not None:
            raise UserError(
                f"the prompt says `{clash.words}`, but {who} {_described(turn)}",
                remedy="Write {{ answer_format }} there instead, or choose the answer that it asks for.",
                where=f"{templates.get(used).filename or used}:{clash.line}",
            )


def _described(turn: TurnFormat) -> str:
    heads = [head or name for head, name in zip(headings_of(turn), turn.variables, strict=True)]
    return f"{', then '.join(heads)}" if len(heads) > 1 else f"the {turn.variables[0]} alone"
