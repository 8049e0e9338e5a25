"""The closed set of labels: names, descriptions, aliases and the neighbours each is confused with."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from datakit.core.contract_words import Language
from datakit.core.errors import UserError, did_you_mean
from datakit.core.label_blocks import BlockForm, label_block
from datakit.core.regular_files import read_regular
from datakit.core.templates import TrustedText, escape_tokens
from datakit.core.visible import has_controls, texts_in, visible


@dataclass(frozen=True)
class Label:
    """One class. Templates see it as `label_info`, and all of them as `labels`."""

    name: str
    description: str = ""
    aliases: tuple[str, ...] = ()
    confusable_with: tuple[str, ...] = ()
    # Out of the repr: a template may print a whole label, and its prompts are in the keys of paid answers.
    keywords: tuple[str, ...] = field(default=(), repr=False)
    """Words that the text of such an image holds and that of its neighbours does not."""
    short: str = field(default="", repr=False)
    """The description in at most 20 Chinese characters, or 60 letters."""

    @property
    def words(self) -> str:
        """All that is said of what such an image holds, its names first, in lines."""
        said = (self.name, *self.aliases, *self.keywords, self.short, self.description)
        return "\n".join(text for text in said if text)


_SHORT_MOST = 60
_WIDE = 3
"""A Chinese character says about as much as three letters."""

_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e01ef]"
)
"""Signs that no screen shows: zero width, marks of byte order and direction, soft hyphens, fillers, variation
selectors, controls (Unicode's Default_Ignorable_Code_Point, controls and blanks)."""
_UNSEEN = re.compile(
    f"(?<![\u0600-\u0dff\u2190-\u2bff\U0001f000-\U0001faff\ufe0f])[\u200c\u200d]|(?![\u200c\u200d]){_INVISIBLE.pattern}"
)
_BREAK = re.compile(r"[^A-Za-z0-9]")
_LAST_WORD = re.compile(r"[A-Za-z0-9'’-]+$")
_ODD_SPACE = re.compile(r"[^\S \t\r\n]")


def normal_form(text: str) -> str:
    """`text` without differences of width, case and white space, and without signs that cannot be seen.

    Two spellings of one label are equal. NFKC folds full-width brackets, digits and letters into half-width
    ones, and composes what stands in parts (Unicode Annex 15).
    """
    form = unicodedata.normalize("NFKC", text).casefold()
    return "".join((form if form.isascii() and form.isprintable() else _INVISIBLE.sub("", form)).split())


def visible_form(text: str) -> str:
    """`text` as a screen shows it: without signs that cannot be seen, composed (NFC), with plain spaces.

    Joiners stay where they shape what is seen: in emoji, and in scripts from Arabic to Sinhala.
    """
    seen = _ODD_SPACE.sub(" ", _UNSEEN.sub("", text))
    return unicodedata.normalize("NFC", seen).strip()


_NO_VALUE = frozenset(
    '|nan|-nan|nat|null|none|na|n/a|<na>|#n/a|#na|#null!|[]|{}|""|无|無'.split("|")  # noqa: SIM905
)
"""What tables write where there is no value (those of pandas, spreadsheets and databases), casefolded."""


def says_nothing(text: str) -> bool:
    """Whether a text is blank or a word for no value, as it is seen."""
    return len(text) < 100 and visible_form(text).casefold() in _NO_VALUE


def says_no_text(text: str) -> bool:
    """Whether a text is blank or a word for no value that nobody answers with, as they do with 无 and []."""
    return says_nothing(text) and text.strip() not in ("无", "無", "[]", "{}", '""')


def shown(text: str) -> str:
    """`text` with what cannot be seen written out, such as `购物车\\u200b`."""
    parts = unicodedata.normalize("NFC", text) != text
    return "".join(_escaped(sign) if _hides(sign, parts) else sign for sign in text)


def _hides(sign: str, parts: bool) -> bool:
    odd_space = sign != " " and sign.isspace()
    return odd_space or _INVISIBLE.match(sign) is not None or (parts and unicodedata.combining(sign) > 0)


def _escaped(sign: str) -> str:
    return f"\\u{ord(sign):04x}" if ord(sign) < 0x10000 else f"\\U{ord(sign):08x}"


@dataclass(frozen=True)
class LabelSet:
    """Labels in the order of their file."""

    labels: tuple[Label, ...]
    digest: str = ""
    """sha256 of the file's bytes."""
    path: str = ""
    content: bytes = field(default=b"", repr=False, compare=False)
    """The file's bytes: what a build keeps, so that it never holds other labels than it was made with."""

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
        return label_block(self.labels, "json", "zh")

    @cached_property
    def name_block(self) -> str:
        """One label name a line."""
        return label_block(self.labels, "names", "zh")

    def block(self, form: BlockForm, language: Language) -> TrustedText:
        """The label block of a prompt, in one of the forms of `label_block`."""
        return TrustedText(escape_tokens(label_block(self.labels, form, language)))

    @property
    def variables(self) -> dict[str, Any]:
        """What every template may use of the set: label_json, label_names, labels."""
        return {
            "label_json": TrustedText(escape_tokens(self.json_block)),
            "label_names": TrustedText(escape_tokens(self.name_block)),
            "labels": self.labels,
        }

    def to_json(self) -> bytes:
        """The set as JSON, for places that have no YAML."""
        document = {"version": 1, "digest": self.digest, "labels": [_row(label) for label in self.labels]}
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
    try:
        data = read_regular(path)
    except OSError as error:
        raise UserError(
            f"cannot read the label file {path}: {error.strerror}", remedy="Check `labels:`."
        ) from None
    digest = hashlib.sha256(data).hexdigest()
    labels = _KNOWN.get(digest)
    if labels is None:
        labels = _labels_of(data, path)
        while len(_KNOWN) >= _KNOWN_MOST:
            _KNOWN.pop(next(iter(_KNOWN)), None)
        _KNOWN[digest] = labels
    return LabelSet(labels, digest, str(path), data)


_KNOWN: dict[str, tuple[Label, ...]] = {}
"""Digest of a good file -> its labels: a build reads its own file and the copy that it keeps many times."""
_KNOWN_MOST = 16


def _labels_of(data: bytes, path: Path) -> tuple[Label, ...]:
    """The labels of a file's bytes. Raises UserError with the path."""
    from datakit.core.plain_yaml import YamlFault, compose, other_than_text, value_of  # a bundle has no YAML
    from datakit.core.text_encoding import decoded

    try:
        root = compose(decoded(data, path, "the label file"))
        document = value_of(root)
    except YamlFault as fault:
        raise UserError(f"the label file is not YAML: {fault.problem}", where=fault.at(path)) from None
    rows = document.get("labels") if isinstance(document, dict) else None
    if not isinstance(rows, list) or not rows:
        raise UserError(f"{path} holds no list `labels:`", remedy="See templates/ecom/labels.yaml.")
    if strange := next((row for row in rows if has_controls("".join(texts_in(row)))), None):
        raise UserError(
            f"a label holds control characters: {visible(', '.join(texts_in(strange)))[:200]}",
            remedy="Take them out: a terminal would obey them.",
            where=str(path),
        )
    if faults := other_than_text(root, ("labels",)):
        line, words = faults[0].line, "\n  ".join(dict.fromkeys(fault.problem for fault in faults))
        raise UserError(words, where=f"{path}:{line}", remedy="Put each in quotes: labels are texts.")
    return _labels(rows, where=str(path))


def _labels(rows: Iterable[Any], where: str) -> tuple[Label, ...]:
    """The labels of a list. Raises UserError naming every fault at once."""
    faults: list[str] = []
    labels = tuple(label for number, row in enumerate(rows, 1) if (label := _label(row, number, faults)))
    _check_set(labels, faults)
    if faults:
        raise UserError("\n  ".join(faults), where=where)
    return labels


_FIELDS = tuple(part.name for part in fields(Label))
_LATER = ("keywords", "short")
"""Fields that came later: absent where they are empty, so that a set without them keeps its bytes."""


def _row(label: Label) -> dict[str, Any]:
    return {key: value for key, value in asdict(label).items() if value or key not in _LATER}


def _label(row: Any, number: int, faults: list[str]) -> Label | None:
    row = {"name": row} if isinstance(row, str) else row
    if not isinstance(row, dict | list | None):
        faults.append(f"label {number} has no `name`: {row} is no text; put it in quotes")
        return None
    if not isinstance(row, dict) or not isinstance(row.get("name"), str) or not row["name"].strip():
        faults.append(f"label {number} has no `name`")
        return None
    faults += [
        f"label {row['name']}: unknown field `{key}`. {did_you_mean(str(key), _FIELDS)}"
        for key in row.keys() - set(_FIELDS)
    ]
    aliases, confusable, keywords = (
        _texts(row, key, faults) for key in ("aliases", "confusable_with", "keywords")
    )
    description, short = (_text(row, key, faults) for key in ("description", "short"))
    return Label(row["name"], description, aliases, confusable, keywords, short)


def _texts(row: dict[str, Any], key: str, faults: list[str]) -> tuple[str, ...]:
    value = row.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        faults.append(f"label {row['name']}: `{key}` must be a list of texts")
        return ()
    return tuple(value)


def _text(row: dict[str, Any], key: str, faults: list[str]) -> str:
    value = row.get(key) or ""
    if isinstance(value, list | dict | set | bytes):
        faults.append(f"label {row['name']}: `{key}` must be a text")
        return ""
    return str(value)


def _check_set(labels: tuple[Label, ...], faults: list[str]) -> None:
    owner: dict[str, str] = {}
    for label in labels:
        for text in (label.name, *label.aliases):
            other = owner.setdefault(normal_form(text), label.name)
            if other != label.name:
                faults.append(f"`{shown(text)}` names both {shown(other)} and {shown(label.name)}")
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
    faults += [
        f"label {label.name}: confusable_with names the label itself"
        for label in labels
        if label.name in label.confusable_with
    ]
    for label in labels:
        faults += _faults_of(label)


def _faults_of(label: Label) -> list[str]:
    """What is wrong with the keywords and the short form: neither could serve where it is used."""
    forms = [normal_form(keyword) for keyword in label.keywords]
    faults = [
        f"label {label.name}: keyword `{shown(keyword)}` stands twice"
        for at, keyword in enumerate(label.keywords)
        if forms[at] and forms[at] in forms[:at]
    ]
    if not all(forms):
        faults.append(f"label {label.name}: a keyword is blank")
    if _width(label.short) > _SHORT_MOST:
        faults.append(
            f"label {label.name}: `short` has {len(label.short)} characters; at most {_SHORT_MOST // _WIDE} "
            f"Chinese ones or {_SHORT_MOST} letters fit, such as `{_beginning(label.short)}`"
        )
    return faults


def _width(text: str) -> int:
    return sum(_WIDE if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def _beginning(text: str) -> str:
    """As much of a text as a short description may have, to the end of a word."""
    end = next(at for at in range(len(text), 0, -1) if _width(text[:at]) <= _SHORT_MOST)
    cut = text[:end]
    words = cut if _BREAK.match(text, end) else _LAST_WORD.sub("", cut)
    return (words.rstrip(" ,，;；、.。") or cut).strip()
