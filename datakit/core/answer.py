"""An answer template read backwards: the label and texts that a model's answer states, or what is wrong."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from jinja2 import nodes

from datakit.core.errors import UserError
from datakit.core.labels import LabelSet
from datakit.core.statements import announcements, correction, second_thought, unannounced
from datakit.core.templates import Templates

LABEL = "label"
"""The variable whose value is one of the closed set."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one answer states."""

    values: Mapping[str, str]
    """Variable -> text without white space around it, the label in its canonical spelling. Absent: unsaid."""
    problem: str = ""
    """Why there is no label: empty, form, label_missing, label_unknown, label_ambiguous; "" when there is."""
    detail: str = ""
    """One sentence for the user."""
    exact: bool = True
    """Whether the text has the template's form to the letter (but for white space at either end)."""

    @property
    def label(self) -> str | None:
        """The label, None where there is a problem."""
        return self.values.get(LABEL)

    @property
    def reason(self) -> str | None:
        """The reason, None when none was given."""
        return self.values.get("reason")


@dataclass(frozen=True)
class TurnFormat:
    """One assistant turn: constant texts around variables, one constant more than variables."""

    variables: tuple[str, ...]
    constants: tuple[str, ...]

    def render(self, values: Mapping[str, str]) -> str:
        """The turn's text; the values must be there. Targets are never rewritten."""
        parts = [self.constants[0]]
        for name, constant in zip(self.variables, self.constants[1:], strict=True):
            parts += (values[name].strip(), constant)
        return "".join(parts)

    def clash(self, values: Mapping[str, str]) -> str:
        """The variable whose value holds a separator of the turn, so that it cannot be read back; or ""."""
        for name in self.variables:
            if any(separator in values[name] for separator in self.separators):
                return name
        return ""

    @cached_property
    def separators(self) -> tuple[str, ...]:
        """The constants between variables."""
        return tuple(text for text in self.constants[1:-1] if text)

    @cached_property
    def _exact(self) -> re.Pattern[str]:
        first, *inner, last = self.constants
        around = [first.lstrip(), *inner, last.rstrip()]
        return re.compile("(.*?)".join(re.escape(text) for text in around), re.DOTALL)

    @cached_property
    def _markers(self) -> dict[str, re.Pattern[str]]:
        """Variable -> the visible text in front of it, in any width and spacing, where there is one."""
        return {
            name: re.compile(_heading(before), re.IGNORECASE)
            for name, before in zip(self.variables, self.constants, strict=False)
            if before.strip()
        }

    def read(self, text: str) -> tuple[dict[str, str], bool]:
        """The values that the text states, and whether it has the template's form exactly."""
        match = self._exact.fullmatch(text.strip())
        if match:
            values = {name: value.strip() for name, value in zip(self.variables, match.groups(), strict=True)}
            if not any(self._marked_again(value) for value in values.values()):
                return {name: value for name, value in values.items() if value}, True
        return self._loosely(text), False

    def statements(self, name: str, text: str) -> list[str]:
        """Every text that stands where a variable is announced: at line starts, else within a line."""
        marker = self._markers.get(name)
        if marker is None:
            return [unannounced(self._loosely(text).get(name, ""))]
        return [self._until_marker(text[match.end() :]) for match in announcements(marker, text)]

    def _marked_again(self, value: str) -> bool:
        return any(separator.strip() and separator in value for separator in self.separators)

    def _loosely(self, text: str) -> dict[str, str]:
        values = {}
        for name, before in zip(self.variables, self.constants, strict=False):
            marker = self._markers.get(name)
            if marker is not None:
                matches = announcements(marker, text)
                value = self._until_marker(text[matches[0].end() :]) if matches else ""
            else:
                value = self._until_marker(text) if not before.strip() else ""
            if value:
                values[name] = value
        return values

    def _until_marker(self, text: str) -> str:
        starts = [
            match.start() for marker in self._markers.values() for match in announcements(marker, text)[:1]
        ]
        ending = self.constants[-1].strip()
        text = text[: min(starts)] if starts else text
        return text.strip().removesuffix(ending).strip() if ending else text.strip()


@dataclass(frozen=True)
class AnswerFormat:
    """How the answers of a build are written, and read back. Stored in a build as answer.json.

    >>> AnswerFormat.from_json(path.read_bytes()).parse("理由：有结算按钮\\n类别：购物车页面", labels).label
    """

    turns: tuple[TurnFormat, ...]
    """One for each assistant turn; the label stands in the last."""

    @classmethod
    def of(cls, names: Sequence[str], templates: Templates) -> AnswerFormat:
        """The format of answer templates, one per assistant turn.

        Raises UserError with file and line for a template that cannot be read backwards: conditions, loops,
        filters, a variable twice, or two variables with nothing visible between them.
        """
        return cls(tuple(_turn(name, templates) for name in names))

    @property
    def variables(self) -> tuple[str, ...]:
        """All variables in order of their turns."""
        return tuple(dict.fromkeys(name for turn in self.turns for name in turn.variables))

    @property
    def columns(self) -> dict[str, str]:
        """Variable -> the record's column that holds it."""
        return {name: name for name in self.variables}

    def fitting(self, text: str) -> AnswerFormat:
        """The format that an answer has, where a build has answers of several."""
        return self

    def named(self, form: str | None) -> AnswerFormat:
        """The format of one of the build's forms; None for the one that is served by default.

        Raises UserError for a form that the build does not have.
        """
        if form is None:
            return self
        raise UserError(
            f"the build has no answer form `{form}`: its answers have one form, without a name",
            remedy="Leave the form out.",
        )

    def render(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """The assistant turns' texts."""
        return tuple(turn.render(values) for turn in self.turns)

    def parse(self, text: str, labels: LabelSet | None = None, turn: int = -1) -> Answer:
        """What an answer states; by default that of the last turn.

        Width of brackets and colons, white space, aliases, a missing reason and punctuation around the label
        are read over. A label is only taken when it belongs to `labels` (if given) and when the answer states
        no other one: everything else is a problem, never a guess.
        """
        form = self.turns[turn]
        if not text.strip():
            return Answer({}, "empty", "the answer is empty", exact=False)
        values, exact = form.read(text)
        if LABEL not in form.variables:
            if set(form.variables) <= values.keys():
                return Answer(values, exact=exact)
            return Answer(values, "form", f"the answer has not the form {form.constants}", exact=False)
        if exact and LABEL in values:
            label = _known(values[LABEL], labels)
            if label is not None and not _taken_back(form, text, values, label, labels):
                return Answer({**values, LABEL: label})
        return _chosen(form, values, text, labels)

    def to_json(self) -> bytes:
        """The format as JSON."""
        turns = [{"variables": turn.variables, "constants": turn.constants} for turn in self.turns]
        return json.dumps({"version": 1, "turns": turns}, ensure_ascii=False, indent=2).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes | str) -> AnswerFormat:
        """The format of an answer.json. Raises UserError for a file that is none.

        Format 1 holds the constant texts of a template; format 2 holds contracts, which make these texts.
        """
        try:
            document: dict[str, Any] = json.loads(data)
            if "contracts" in document:
                from datakit.core.answer_forms import ContractFormat  # here, because it rests on this module

                return ContractFormat.from_document(document)
            turns = tuple(
                TurnFormat(tuple(turn["variables"]), tuple(turn["constants"])) for turn in document["turns"]
            )
        except (ValueError, KeyError, TypeError):
            raise UserError("this is no answer.json", remedy="Build again with `datakit build`.") from None
        if not turns or any(len(turn.constants) != len(turn.variables) + 1 for turn in turns):
            raise UserError("answer.json is damaged", remedy="Build again with `datakit build`.")
        return cls(turns)


def _chosen(form: TurnFormat, values: dict[str, str], text: str, labels: LabelSet | None) -> Answer:
    """The one label that an answer of a loose form states, or the problem."""
    others = {name: value for name, value in values.items() if name != LABEL}
    statements = [statement for statement in form.statements(LABEL, text) if statement]
    if not statements and labels and _known(_first_line(text), labels):
        statements, others = [text], {}  # the label, and nothing that announces it
    if not statements:
        return Answer(others, "label_missing", "the answer states no label", exact=False)
    if labels is None:
        lines = {_first_line(statement) for statement in statements}
        if len(lines) == 1:
            return Answer({**others, LABEL: lines.pop()}, exact=False)
        return Answer(others, "label_ambiguous", f"the answer states {_listed(lines)}", exact=False)
    matched = [
        _known(statement, labels) or _known(_first_line(statement), labels) for statement in statements
    ]
    strangers = [
        _first_line(statement) for statement, label in zip(statements, matched, strict=True) if label is None
    ]
    names = {label for label in matched if label is not None}
    if strangers:
        hint = labels.suggest(strangers[0])
        detail = f"`{strangers[0][:40]}` is not one of the {len(labels.labels)} labels. {hint}".strip()
        return Answer(others, "label_unknown", detail, exact=False)
    if len(names) > 1:
        return Answer(others, "label_ambiguous", f"the answer states {_listed(names)}", exact=False)
    label = names.pop()
    afterwards = "\n".join(statements[-1].splitlines()[1:])
    doubt = second_thought(afterwards, label, labels) or _taken_back(form, text, values, label, labels)
    if doubt:
        return Answer(
            others, "label_ambiguous", f"the answer states {label} and then `{doubt[:40]}`", exact=False
        )
    return Answer({**others, LABEL: label}, exact=False)


def _taken_back(
    form: TurnFormat, text: str, values: Mapping[str, str], label: str, labels: LabelSet | None
) -> str:
    """The words of a field behind the label that put another one in its place; "" for none."""
    place = text.find(values.get(LABEL, label).split("\n")[0])
    for name in form.variables:
        value = values.get(name, "")
        is_later = name != LABEL and value != "" and text.rfind(value) > place >= 0
        if is_later and (words := correction(value, label, labels)):
            return words
    return ""


def _known(text: str, labels: LabelSet | None) -> str | None:
    """The canonical label that the text is, with or without punctuation around it; any text without a set."""
    if labels is None:
        return text.strip() or None
    if "\n" in text.strip():
        return None  # a label stands on one line; two lines are never read as one word
    label = labels.find(text) or labels.find(text.strip(_AROUND))
    return label.name if label else None


_AROUND = " \t\r\n\u3000\"'“”‘’「」『』《》【】`*.。,，;；!！:："


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0].strip()


def _listed(labels: set[str]) -> str:
    return " and ".join(sorted(labels))


def _heading(constant: str) -> str:
    """A pattern for a heading in any width, spacing and emphasis: `**类别**：`, `【类别】`, `类别为：`."""
    text = constant.strip()
    if len(text) < 2 or unicodedata.normalize("NFKC", text[-1]) != ":":
        return _loose(constant)
    colon = _any_width(":")
    closing = rf"(?:[*_`”\"\]]{{0,3}}\s*[为是]?\s*{colon}|】\s*{colon}?)"
    return rf"[【\[“\"*_`]{{0,3}}{_loose(text[:-1])}{closing}\s*[*_`]{{0,3}}\s*"


def _loose(constant: str) -> str:
    """A pattern for a separator in any width and with any white space, without the white space around it."""
    return r"\s*".join(_any_width(char) for char in constant if not char.isspace()) + r"\s*"


def _any_width(char: str) -> str:
    """A character in full or half width (`：` and `:`)."""
    folded = unicodedata.normalize("NFKC", char)
    wide = chr(ord(folded) + 0xFEE0) if len(folded) == 1 and 0x21 <= ord(folded) <= 0x7E else folded
    return "(?:" + "|".join(re.escape(form) for form in sorted({char, folded, wide})) + ")"


@dataclass
class _Reading:
    """A template's parts as they are found."""

    place: str
    variables: list[str] = field(default_factory=list)
    constants: list[str] = field(default_factory=lambda: [""])

    def fault(self, line: int, what: str) -> UserError:
        return UserError(
            f"the answer template cannot be read backwards: {what}",
            remedy="Use only {{ variables }} with constant text between them, as in answer/reason_first.j2.",
            where=f"{self.place}:{line}",
        )

    def condition(self, line: int) -> UserError:
        """Of what stands there for some records only, no reader can tell whether it was written."""
        fault = self.fault(line, "it holds a condition ({% if %}), not only variables")
        remedy = (
            "Name the answer's fields instead, and those that may be absent: `answer: {fields: [{name: "
            "reason, optional: true}, label]}`. What is empty is left out then, and read back so."
        )
        return UserError(fault.message, remedy=remedy, where=fault.where)

    def add(self, node: nodes.Node) -> None:
        if isinstance(node, nodes.TemplateData):
            self.constants[-1] += node.data
        elif isinstance(node, nodes.Name):
            if node.name in self.variables:
                raise self.fault(node.lineno, f"`{node.name}` stands twice")
            if self.variables and not self.constants[-1].strip() and "\n" not in self.constants[-1]:
                raise self.fault(
                    node.lineno, f"nothing stands between `{self.variables[-1]}` and `{node.name}`"
                )
            self.variables.append(node.name)
            self.constants.append("")
        elif isinstance(node, nodes.CondExpr):
            raise self.condition(node.lineno)
        else:
            raise self.fault(node.lineno, f"it holds {type(node).__name__.lower()}, not only variables")


def _turn(name: str, templates: Templates) -> TurnFormat:
    template = templates.get(name)
    tree = template.environment.parse(templates.source(name), name, template.filename)
    reading = _Reading(template.filename or name)
    for node in tree.body:
        if isinstance(node, nodes.If):
            raise reading.condition(node.lineno)
        if not isinstance(node, nodes.Output):
            raise reading.fault(node.lineno, f"it holds {{% {type(node).__name__.lower()} %}}")
        for part in node.nodes:
            reading.add(part)
    if not reading.variables:
        raise reading.fault(1, "it has no variable")
    return TurnFormat(tuple(reading.variables), tuple(reading.constants))
