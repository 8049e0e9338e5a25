"""The answer contract: a spec of fields in order, from which everything that knows an answer's form follows.

    contract = AnswerContract.of("reason_first")              # or .of({"fields": ["description", "label"]})
    contract.prompt_lines()          # what `{{ answer_format }}` becomes in a prompt template
    contract.write(record, labels)   # the answer as it is trained
    contract.read(text, labels)      # what a model's answer states, or what is wrong with it
    contract.guide(labels.names)     # what vLLM is asked to decode, and nothing else
    contract.json_schema(names)      # of the values that an answer states
    contract.reward(text, truth)     # {"format": 1.0, "accuracy": 1.0}, for reinforcement learning
    contract.target                  # the field that is scored

It needs no package but pydantic and jinja2, so that a training machine can import it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from datakit.core import contract_values as values
from datakit.core.answer import LABEL, Answer, AnswerFormat, TurnFormat
from datakit.core.contract_changes import Change, changes
from datakit.core.contract_words import Language, announced, format_lines, heading_of
from datakit.core.documented import Documented
from datakit.core.errors import UserError, did_you_mean
from datakit.core.guided import guide
from datakit.core.labels import LabelSet
from datakit.core.outcome import Rejected
from datakit.core.rewards import agreement
from datakit.core.statements import announced_elsewhere

Kind = Literal["text", "line", "label", "labels", "number", "boxes", "evidence"]
_PLACED = ("boxes", "evidence")
_SCORED = ("label", "labels", "number", "boxes")
SHORT_CHARS = 30
"""Longest reason of the form `short_reason`."""


class AnswerField(Documented):
    """One field of an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: str = Field(pattern=r"^[A-Za-z_]\w*$")
    """Name of the field."""
    kind: Kind = "line"
    """`line`: one line of text; `text`: any text; `label`: one of the label file, `labels`: several of them;
    `number`; `boxes`: a list of boxes. Those under `box` are in pixels of the upright picture, as readers and
    annotate.ocr give them, and are written in the numbers of the model that the recipe trains; those under
    `bbox_2d` are in such numbers already, and written as they come; `evidence`: the lines of OCR that the
    reason quotes, with their boxes, checked again when served. What a kind has no place for (line
    breaks, the spelling 007, further keys of boxes) is counted and said; `text` keeps it."""
    column: str = ""
    """Column that holds the value; the field's name when not given, and of evidence `ocr`."""
    heading: str | None = None
    """What stands in front of it; by its name and the prompt's language when not given. An answer of one
    field has none."""
    hint: str = ""
    """What the prompt says is to stand there; by its name when not given."""
    notation: Literal["json", "tokens"] | None = None
    """Of boxes: JSON (Qwen2.5-VL, Qwen3-VL), or the special tokens of Qwen2-VL around whole numbers. By the
    model that the recipe trains when not given, and JSON where it trains none of these."""
    quoted_in: str = "reason"
    """Of evidence: the column whose quotations choose the lines."""
    max_chars: int | None = Field(default=None, ge=1)
    """Most characters. A longer text rejects the record (answer_too_long)."""
    optional: bool = False
    """Whether it may be empty; the answer says then `无` or `none`."""
    turn: int = Field(default=1, ge=1)
    """The assistant turn that it stands in, from 1."""

    @model_validator(mode="before")
    @classmethod
    def _kind_by_name(cls, data: Any) -> Any:
        """A field may be its bare name; `label`, `labels`, `number` and `boxes` are of the kind they say."""
        entry = {"name": data} if isinstance(data, str) else data
        if isinstance(entry, dict) and "kind" not in entry and entry.get("name") in _SCORED:
            entry = {**entry, "kind": entry["name"]}
        return entry

    @model_validator(mode="after")
    def _is_writable(self) -> AnswerField:
        if (self.kind == LABEL) != (self.name == LABEL):
            raise ValueError("the field of kind `label` is named `label`, and no other is")
        if self.kind == LABEL and (self.optional or self.column not in ("", LABEL)):
            raise ValueError("the label is never optional and stands in the column `label`")
        if self.heading is not None and (not self.heading.strip() or "\n" in self.heading):
            raise ValueError("a heading is one line of visible text")
        return self

    @property
    def source(self) -> str:
        """The column that holds the value."""
        return self.column or ("ocr" if self.kind == "evidence" else self.name)

    @property
    def is_placed(self) -> bool:
        """Whether its values are boxes."""
        return self.kind in _PLACED

    @property
    def is_closed(self) -> bool:
        """Whether one value alone can be right; several texts may be."""
        return self.kind in _SCORED

    @property
    def made_prefix(self) -> str:
        """What the name of the column begins with that is made of its boxes for a model."""
        return f"cited_{self.quoted_in}_" if self.kind == "evidence" else "answer_"

    @property
    def lines_column(self) -> str:
        """Of evidence: the column with the lines of OCR, also where `column` is one that is made of it."""
        return self.source.removeprefix(self.made_prefix)

    def heading_in(self, language: Language, *, alone: bool = False) -> str:
        """The heading as the answer has it; "" for a field that stands alone and was given none."""
        if self.heading is not None:
            return self.heading.strip()
        return "" if alone else heading_of(self.name, language)


class AnswerContract(BaseModel):
    """The fields of an answer in their order."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    form: str = "own"
    """Its name: one of FORMS, or what the recipe calls it."""
    fields: tuple[AnswerField, ...] = Field(min_length=1)
    language: Language = "zh"
    """Language of headings and of the prompt's lines."""
    instruction: str = ""
    """The sentence that asks for the form, instead of the usual one."""
    marked: bool = False
    """Whether the prompt's lines have what is to be filled in in angle brackets. Those of builds before
    answer.json of format 3 have not."""

    @model_validator(mode="after")
    def _can_be_read(self) -> AnswerContract:
        names = [field.name for field in self.fields]
        turns = [field.turn for field in self.fields]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ValueError(f"the field `{twice}` stands twice")
        if turns != sorted(turns) or set(turns) != set(range(1, turns[-1] + 1)):
            raise ValueError("the fields stand in the order of their turns, from 1 and with none left out")
        if any(field.kind in _SCORED for field in self.fields if field.turn < turns[-1]):
            raise ValueError(
                "label, labels, number and boxes stand in the last turn, which is the one scored"
            )
        for turn in range(1, turns[-1] + 1):
            heads = [field.heading_in(self.language) for field in self.in_turn(turn)]
            if len(set(heads)) < len(heads):
                raise ValueError("two fields of a turn have the same heading; give one its own `heading`")
        return self

    @classmethod
    def of(
        cls, form: str | Mapping[str, Any], *, language: Language = "zh", instruction: str = ""
    ) -> AnswerContract:
        """A named form, or one of `fields`. Raises UserError with a did-you-mean for an unknown name."""
        settings: dict[str, Any] = {"form": form} if isinstance(form, str) else dict(form)
        name = settings.setdefault("form", "own")
        if "fields" not in settings:
            if name not in FORMS:
                hint = did_you_mean(name, FORMS) or f"Known: {', '.join(FORMS)}."
                raise UserError(f"no answer form `{name}`", remedy=hint)
            settings["fields"] = FORMS[name]
        settings["fields"] = tuple(settings["fields"])
        return cls(**{"language": language, "instruction": instruction, **settings})

    def out_of(self, sources: Mapping[str, str]) -> AnswerContract:
        """The same with other columns in place of some: column -> the one that holds the same."""
        fields = (
            field.model_copy(update={"column": sources[field.source]}) if field.source in sources else field
            for field in self.fields
        )
        return self.model_copy(update={"fields": tuple(fields)})

    @property
    def target(self) -> AnswerField:
        """The field that is scored: the label, labels, number or boxes; else the last text."""
        return next((field for field in self.fields if field.kind in _SCORED), self.fields[-1])

    @property
    def turns(self) -> int:
        return self.fields[-1].turn

    def in_turn(self, turn: int) -> tuple[AnswerField, ...]:
        """The fields of one assistant turn, counted from 1."""
        return tuple(field for field in self.fields if field.turn == turn)

    def headings(self, turn: int) -> tuple[str, ...]:
        """The headings of a turn in order; none for a field that stands alone."""
        fields = self.in_turn(turn)
        heads = (field.heading_in(self.language, alone=len(fields) == 1) for field in fields)
        return tuple(filter(None, heads))

    def prompt_lines(self, turn: int = 1) -> str:
        """What `{{ answer_format }}` becomes in the prompt of a turn."""
        instruction = self.instruction if turn == self.turns else ""
        return format_lines(self.in_turn(turn), self.language, instruction, marked=self.marked)

    @cached_property
    def format(self) -> AnswerFormat:
        """Constant texts around variables: how the answer is laid out."""
        return AnswerFormat(tuple(self._turn(turn) for turn in range(1, self.turns + 1)))

    def write(self, record: Mapping[str, Any], labels: LabelSet | None = None) -> tuple[str, ...] | Rejected:
        """The assistant turns of a record, or why it has none."""
        texts = {}
        for field in self.fields:
            text = values.written(field, record.get(field.source), self.language, labels)
            if isinstance(text, Rejected):
                return text
            texts[field.name] = text
        for form in self.format.turns:
            for name in form.variables:
                texts[name] = _without_separators(texts[name], form.separators)
        return self.format.render(texts)

    def changes(
        self, record: Mapping[str, Any], labels: LabelSet | None = None
    ) -> list[tuple[AnswerField, Change]]:
        """What `write` changes in the values of a record that has an answer."""
        changed = []
        for turn in range(1, self.turns + 1):
            separators = self.format.turns[turn - 1].separators
            for field in self.in_turn(turn):
                value = record.get(field.source)
                changed += [(field, change) for change in changes(field, value, self.language, labels)]
                text = str(value).strip() if field.kind == "text" else ""
                if any(separator in text for separator in separators):
                    changed.append((field, Change("next_heading")))
        return changed

    def read(self, text: str, labels: LabelSet | None = None, turn: int = -1) -> Answer:
        """What an answer states; by default that of the last turn.

        Width, white space, aliases, punctuation and missing free fields are read over. What does not state
        the target is a problem, never a guess.
        """
        number = turn % self.turns + 1
        form, fields = self.format.turns[number - 1], self.in_turn(number)
        if LABEL in form.variables or not text.strip():
            answer = self.format.parse(text, labels, number - 1)
            texts, problem, detail, exact = dict(answer.values), answer.problem, answer.detail, answer.exact
        else:
            (texts, exact), problem, detail = form.read(text), "", ""
            if not texts and len(fields) > 1 and not self._is_elsewhere(text):
                texts = {self._last(number).name: text.strip()}  # the value, and nothing that announces it
        for field in fields:
            if field.name in texts:
                stated = texts.pop(field.name)
                spelt, wrong, why = values.canonical(field, stated, self.language, labels)
                if not exact and not wrong and field.kind in ("labels", "number"):
                    wrong, why = self._differs(field, spelt, form.statements(field.name, text), labels)
                    spelt = "" if wrong else spelt
                exact = exact and not wrong and not (spelt and values.is_loose(field, stated))
                texts |= {field.name: spelt} if spelt else {}
                problem, detail = problem or wrong, detail or why
            elif not problem and field.name == self._last(number).name:
                problem, detail = "form", f"the answer does not state `{field.name}`"
        exact = exact and not problem and all(self._kept(field, texts) for field in fields)
        ordered = {field.name: texts[field.name] for field in fields if field.name in texts}
        return Answer(ordered, problem, detail, exact)

    def typed(self, answer: Answer) -> dict[str, Any]:
        """The values of an answer as what they are: lists of labels, numbers, boxes, else texts."""
        typed = {
            field.name: values.typed(field, answer.values[field.name], self.language)
            for field in self.fields
            if field.name in answer.values
        }
        target = self.target
        if target.kind == "labels" and target.optional and not answer.problem and target.name not in typed:
            typed[target.name] = []  # `none of them` is an answer
        return typed

    def json_schema(self, names: Sequence[str] = ()) -> dict[str, Any]:
        """The JSON schema of `typed`; `names` are the labels."""
        properties = {field.name: values.schema_of(field, names) for field in self.fields}
        required = [field.name for field in self.fields if not field.optional]
        return {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }

    def guide(self, names: Sequence[str] = (), most_chars: int | None = None) -> dict[str, Any] | None:
        """vLLM's `structured_outputs` for the last turn; None where any text is an answer.

        `most_chars`: of a free text, so that what follows still comes.
        """
        return guide(self.format.turns[-1], self.in_turn(self.turns), self.language, names, most_chars)

    def reward(self, text: str, truth: Any, labels: LabelSet | None = None) -> dict[str, float]:
        """`format` (1 for an answer of the form to the letter, bounds kept, else 0) and `accuracy` (0 to 1).

        `truth` is the target's value, or a mapping that holds it. Pure: no file, no clock, no state. For TRL
        (`reward_funcs` of GRPOTrainer), with the column `label` in the data set:

            def accuracy(completions, label, **_):
                texts = [chat[0]["content"] for chat in completions]
                return [contract.reward(text, truth)["accuracy"] for text, truth in zip(texts, label)]

        For EasyR1 and verl (`compute_score`):

            def compute_score(reward_inputs):
                rewards = [contract.reward(row["response"], row["ground_truth"]) for row in reward_inputs]
                return [{"overall": 0.9 * r["accuracy"] + 0.1 * r["format"], **r} for r in rewards]
        """
        target = self.target
        wanted = truth.get(target.source, truth.get(target.name)) if isinstance(truth, Mapping) else truth
        answer = self.read(text, labels)
        spelt = values.written(target.model_copy(update={"max_chars": None}), wanted, self.language, labels)
        accuracy = 0.0
        if not answer.problem and not isinstance(spelt, Rejected):
            right, _, _ = values.canonical(target, spelt, self.language, labels)
            texts = {target.name: right} if right else {}
            accuracy = agreement(
                target.kind,
                self.typed(answer).get(target.name),
                self.typed(Answer(texts)).get(target.name),
            )
        return {"format": float(answer.exact and not answer.problem), "accuracy": accuracy}

    def _is_elsewhere(self, text: str) -> bool:
        """Whether a text that lacks the headings states a number of something else."""
        return self.target.kind == "number" and announced_elsewhere(text)

    def _differs(
        self, field: AnswerField, spelt: str, statements: Sequence[str], labels: LabelSet | None
    ) -> tuple[str, str]:
        """A problem and its sentence when a field is stated twice and differently; else two empty texts."""
        others = [values.canonical(field, text, self.language, labels)[0] for text in statements]
        other = next((text for text in others if text not in ("", spelt)), "")
        if not other:
            return "", ""
        problem = "number_ambiguous" if field.kind == "number" else "label_ambiguous"
        return problem, f"the answer states {spelt} and {other}"

    def _turn(self, turn: int) -> TurnFormat:
        fields = self.in_turn(turn)
        heads = [field.heading_in(self.language, alone=len(fields) == 1) for field in fields]
        before = [announced(head, self.language) if head else "" for head in heads]
        constants = (before[0], *(f"\n{text}" for text in before[1:]), "")
        return TurnFormat(tuple(field.name for field in fields), constants)

    def _last(self, turn: int) -> AnswerField:
        """The field of a turn that an answer must state: the target, else the last."""
        fields = self.in_turn(turn)
        return self.target if self.target in fields else fields[-1]

    def _kept(self, field: AnswerField, texts: Mapping[str, str]) -> bool:
        """Whether a field is there, of its kind, and within its bounds."""
        text = texts.get(field.name)
        if text is None:
            return field.optional
        short = field.max_chars is None or len(text) <= field.max_chars
        return short and not (field.kind == "line" and "\n" in text)


def _without_separators(text: str, separators: Sequence[str]) -> str:
    """A text none of whose lines begins like the next field: such a line goes on behind the one before."""
    for separator in separators:
        text = text.replace(separator, f" {separator.lstrip()}")
    return text


def _fields(*fields: str | Mapping[str, Any]) -> tuple[AnswerField, ...]:
    return tuple(AnswerField.model_validate(field) for field in fields)


FORMS: dict[str, tuple[AnswerField, ...]] = {
    "label_only": _fields("label"),
    "label_first": _fields("label", "reason"),
    "reason_first": _fields("reason", "label"),
    "describe_then_label": _fields("description", "label"),
    "describe_reason_label": _fields("description", "reason", "label"),
    "cot": _fields("evidence", "exclusion", "conclusion", "label"),
    "short_reason": _fields({"name": "reason", "max_chars": SHORT_CHARS}, "label"),
    "two_turn": _fields({"name": "description", "kind": "text"}, {"name": "label", "turn": 2}),
    "free_text": _fields({"name": "answer", "kind": "text"}),
    "multi_label": _fields({"name": "labels", "optional": True}),
    "number": _fields("number"),
}
"""Forms that have a name of their own."""
