"""The closed set of labels: names, descriptions, aliases and the neighbours each is confused with."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from datakit.core.errors import UserError, did_you_mean
from datakit.core.templates import TrustedText


@dataclass(frozen=True)
class Label:
    """One class. Templates see it as `label_info`, and all of them as `labels`."""

    name: str
    description: str = ""
    aliases: tuple[str, ...] = ()
    confusable_with: tuple[str, ...] = ()


def normal_form(text: str) -> str:
    """`text` without differences of width, case and white space: two spellings of one label are equal.

    NFKC folds full-width brackets, digits and letters into half-width ones (Unicode Annex 15).
    """
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


@dataclass(frozen=True)
class LabelSet:
    """Labels in the order of their file."""

    labels: tuple[Label, ...]
    digest: str = ""
    """sha256 of the file's bytes."""
    path: str = ""

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)

    @cached_property
    def _by_form(self) -> dict[str, Label]:
        forms = {normal_form(label.name): label for label in self.labels}
        for label in self.labels:
            for alias in label.aliases:
                forms.setdefault(normal_form(alias), label)
        return forms

    def find(self, text: str) -> Label | None:
        """The label that `text` names, by name or alias, in any width; None for a stranger."""
        return self._by_form.get(normal_form(text))

    def suggest(self, text: str) -> str:
        """A did-you-mean for an unknown label."""
        return did_you_mean(text, self.names)

    @cached_property
    def json_block(self) -> str:
        """The JSON object label -> description that goes into prompts."""
        descriptions = {label.name: label.description for label in self.labels}
        return json.dumps(descriptions, ensure_ascii=False, indent=2)

    @cached_property
    def name_block(self) -> str:
        """One label name a line."""
        return "\n".join(self.names)

    @property
    def variables(self) -> dict[str, Any]:
        """What every template may use of the set: label_json, label_names, labels."""
        return {
            "label_json": TrustedText(self.json_block),
            "label_names": TrustedText(self.name_block),
            "labels": self.labels,
        }

    def to_json(self) -> bytes:
        """The set as JSON, for places that have no YAML."""
        document = {"version": 1, "digest": self.digest, "labels": [asdict(label) for label in self.labels]}
        return json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes | str) -> LabelSet:
        """The set that `to_json` wrote. Raises UserError for a text that is none."""
        try:
            document = json.loads(data)
            rows, digest = list(document["labels"]), str(document["digest"])
        except (ValueError, KeyError, TypeError):
            raise UserError("this is no label set in JSON", remedy="It is made of labels.yaml.") from None
        return cls(_labels(rows, where="the label set in JSON"), digest)


def load_labels(path: Path) -> LabelSet:
    """The label set of a YAML file: `labels:` with a list of names or of mappings.

    Raises UserError naming every fault of the file at once.
    """
    from datakit.core.plain_yaml import YamlFault, parse  # a bundle carries this module, and no YAML

    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot read the label file {path}: {error.strerror}", remedy="Check `labels:`."
        ) from None
    try:
        document = parse(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not YAML in UTF-8: {error}") from None
    except YamlFault as fault:
        raise UserError(f"the label file is not YAML: {fault.problem}", where=fault.at(path)) from None
    rows = document.get("labels") if isinstance(document, dict) else None
    if not isinstance(rows, list) or not rows:
        raise UserError(f"{path} holds no list `labels:`", remedy="See templates/ecom/labels.yaml.")
    return LabelSet(_labels(rows, where=str(path)), hashlib.sha256(data).hexdigest(), str(path))


def _labels(rows: Iterable[Any], where: str) -> tuple[Label, ...]:
    """The labels of a list. Raises UserError naming every fault at once."""
    faults: list[str] = []
    labels = tuple(label for number, row in enumerate(rows, 1) if (label := _label(row, number, faults)))
    _check_set(labels, faults)
    if faults:
        raise UserError("\n  ".join(faults), where=where)
    return labels


_FIELDS = ("name", "description", "aliases", "confusable_with")


def _label(row: Any, number: int, faults: list[str]) -> Label | None:
    if isinstance(row, str):
        return Label(row)
    if not isinstance(row, dict) or not isinstance(row.get("name"), str) or not row["name"].strip():
        faults.append(f"label {number} has no `name`")
        return None
    faults += [
        f"label {row['name']}: unknown field `{key}`. {did_you_mean(str(key), _FIELDS)}"
        for key in row.keys() - set(_FIELDS)
    ]
    lists = {}
    for key in ("aliases", "confusable_with"):
        value = row.get(key) or []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            faults.append(f"label {row['name']}: `{key}` must be a list of texts")
            value = []
        lists[key] = tuple(value)
    return Label(row["name"], str(row.get("description") or ""), **lists)


def _check_set(labels: tuple[Label, ...], faults: list[str]) -> None:
    owner: dict[str, str] = {}
    for label in labels:
        for text in (label.name, *label.aliases):
            other = owner.setdefault(normal_form(text), label.name)
            if other != label.name:
                faults.append(f"`{text}` names both {other} and {label.name}")
    names = [label.name for label in labels]
    faults += [
        f"label {name} stands twice" for name in sorted({name for name in names if names.count(name) > 1})
    ]
    faults += [
        f"label {label.name}: confusable_with names `{other}`. {did_you_mean(other, names)}"
        for label in labels
        for other in label.confusable_with
        if other not in names
    ]
