"""The bytes of a label file with proposals written in: everything else in it stays as it is.

Comments, quotes, order, line ends, encoding and byte order mark are kept, because only the places that change
are replaced. What comes out is read again and compared with what was meant, so that an odd file (aliases that
two labels share, say) is refused and never damaged.
"""

from __future__ import annotations

import codecs
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from difflib import unified_diff
from pathlib import Path
from typing import Any

from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from datakit.core.errors import UserError
from datakit.core.labels import LabelSet, load_labels
from datakit.core.plain_yaml import ONE_LINE, YamlFault, compose, dump, parse, yaml_inline
from datakit.core.regular_files import read_regular
from datakit.core.text_encoding import OLD, decoded, marked_encoding
from datakit.evaluation.label_proposals.proposing import LabelProposal, with_proposals

Edit = tuple[int, int, str]
"""From, to, and what stands there instead."""
_MARKS = {"utf-8": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
_BY_HAND = "Paste the sentences by hand: datakit labels propose BUILD shows them."


def edited(data: bytes, path: Path, labels: LabelSet, accepted: Sequence[LabelProposal]) -> bytes:
    """The file's bytes with the proposals. Raises UserError where that cannot be done without damage."""
    text = decoded(data, path, "the label file")
    new = text
    for start, end, written in sorted(_edits(text, path, labels, accepted), reverse=True):
        new = new[:start] + written + new[end:]
    try:
        is_meant = _plain(parse(new)) == _plain(_meant(parse(text), labels, accepted))
    except YamlFault:
        is_meant = False
    if not is_meant:
        raise UserError(
            f"{path} is written in a way that this cannot edit without changing something else",
            remedy=_BY_HAND,
        )
    return _encoded(new, text, data, path)


def difference_of(before: bytes, after: bytes, path: Path, name: str) -> str:
    """What changes, as a unified diff."""
    old, new = (decoded(data, path, "the label file").splitlines(keepends=True) for data in (before, after))
    changed = unified_diff(old, new, f"a/{name}", f"b/{name}", n=1)
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in changed)


def write(path: Path, before: bytes, after: bytes) -> None:
    """Puts the new bytes in place at once. Raises UserError where the file is no longer as it was read."""
    real = path.resolve()  # a link stays one
    draft = ""
    try:
        handle, draft = tempfile.mkstemp(dir=real.parent, prefix=f".{real.name}.", suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(after)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(real, draft)
        if read_regular(real) != before:
            raise UserError(
                f"{path} was edited meanwhile, so nothing was written",
                remedy="Run the same command again, and read its diff.",
            )
        os.replace(draft, real)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}", remedy="Make it writable.") from None
    finally:
        if draft:
            with suppress(FileNotFoundError):
                os.unlink(draft)
    load_labels(path)  # what was written is a label file


def _plain(document: Any) -> Any:
    """The data of a file; a block of text ends with a line end that is no part of the description."""
    rows = [
        {**row, "description": row["description"].rstrip()}
        if isinstance(row, dict) and isinstance(row.get("description"), str)
        else row
        for row in document["labels"]
    ]
    return {**document, "labels": rows}


def _meant(document: Any, labels: LabelSet, accepted: Sequence[LabelProposal]) -> Any:
    """The plain data of the file with the proposals."""
    after = {label.name: label for label in with_proposals(labels, accepted).labels}
    touched = {own.label for own in accepted}
    rows = []
    for row in document["labels"]:
        name = row if isinstance(row, str) else row["name"]
        if name not in touched:
            rows.append(row)
            continue
        label = after[name]
        new = {"name": row} if isinstance(row, str) else dict(row)
        new["description"] = label.description
        if label.confusable_with:
            new["confusable_with"] = list(label.confusable_with)
        if not label.description and not (isinstance(row, dict) and "description" in row):
            del new["description"]
        rows.append(new)
    return {**document, "labels": rows}


def _edits(text: str, path: Path, labels: LabelSet, accepted: Sequence[LabelProposal]) -> Iterator[Edit]:
    after = {label.name: label for label in with_proposals(labels, accepted).labels}
    before = {label.name: label for label in labels.labels}
    touched = {own.label for own in accepted}
    rows = _value(compose(text), "labels")
    assert isinstance(rows, SequenceNode)  # it was loaded as a label file
    for row in rows.value:
        name = row.value if isinstance(row, ScalarNode) else _value(row, "name").value
        if name not in touched:
            continue
        own, old = after[name], before[name]
        fields: dict[str, Any] = {}
        if own.description != old.description:
            fields["description"] = own.description
        if own.confusable_with != old.confusable_with:
            fields["confusable_with"] = list(own.confusable_with)
        yield from _row_edits(text, row, fields, own.description.removeprefix(old.description.rstrip()))


def _row_edits(text: str, row: Any, fields: dict[str, Any], added: str) -> Iterator[Edit]:
    if isinstance(row, ScalarNode):  # `- name` alone becomes a mapping
        start, end = row.start_mark.index, row.end_mark.index
        yield start, end, _mapping_lines({"name": row.value, **fields}, row.start_mark.column, _end_of(text))
        return
    absent: dict[str, Any] = {}
    for key, value in fields.items():
        node = _value(row, key)
        if isinstance(node, ScalarNode) and isinstance(value, str) and node.value:
            yield _scalar_edit(text, node, value, added, in_flow=bool(row.flow_style))
        elif isinstance(node, SequenceNode) and node.value:
            yield _list_edit(text, node, value[len(node.value) :])
        elif node is not None:  # nothing behind the colon, or []
            start = text.index(":", _key(row, key).end_mark.index) + 1
            end = node.end_mark.index if isinstance(node, SequenceNode) or node.value else start
            yield start, end, f" {_inline(value)}"
        else:
            absent[key] = value
    if absent:
        yield _new_fields(text, row, absent)


def _value(node: Any, key: str) -> Any:
    """The node at a key; None for none."""
    return next((value for name, value in node.value if name.value == key), None) if node else None


def _key(node: MappingNode, key: str) -> Any:
    """The node of a key that is there."""
    return next(name for name, _ in node.value if name.value == key)


def _scalar_edit(text: str, node: ScalarNode, value: str, added: str, *, in_flow: bool) -> Edit:
    """A text made longer, in the style that it has."""
    start, end = node.start_mark.index, node.end_mark.index
    if node.style in ("|", ">"):
        kept = text[start:end].rstrip()
        return start + len(kept), start + len(kept), added
    if node.style == "'":
        return end - 1, end - 1, added.replace("'", "''")
    if node.style == '"':
        return end - 1, end - 1, re.sub(r'(["\\])', r"\\\1", added)
    if _inline(value) == value and (not in_flow or not re.search(r"[,\[\]{}]", added)):
        return end, end, added
    return start, end, _inline(value)


def _inline(value: Any) -> str:
    """A value in one line, as it may stand anywhere in the file."""
    return yaml_inline([value])[1:-1]


def _list_edit(text: str, node: SequenceNode, added: Sequence[str]) -> Edit:
    """A list with more texts at its end."""
    if node.flow_style:
        at = node.value[-1].end_mark.index
        return at, at, "".join(f", {_inline(name)}" for name in added)
    last = node.value[-1]
    at = _line_end(text, last.end_mark.index)  # behind a comment
    indent = text[_line_start(text, last.start_mark.index) : last.start_mark.index]
    return at, at, "".join(f"{_end_of(text)}{indent}{_inline(name)}" for name in added)


def _new_fields(text: str, row: MappingNode, fields: dict[str, Any]) -> Edit:
    """Fields that a label lacks, after the name."""
    name = next(value for key, value in row.value if key.value == "name")
    at = name.end_mark.index
    if row.flow_style:
        return at, at, "".join(f", {key}: {_inline(value)}" for key, value in fields.items())
    column = row.value[0][0].start_mark.column
    lines = (f"{key}: {_inline(value)}" for key, value in fields.items())
    at = _line_end(text, at)  # behind a comment
    return at, at, "".join(f"{_end_of(text)}{' ' * column}{line}" for line in lines)


def _mapping_lines(fields: dict[str, Any], column: int, newline: str) -> str:
    lines = dump(fields, width=ONE_LINE, flow=None).splitlines()
    return f"{newline}{' ' * column}".join(lines)


def _line_start(text: str, at: int) -> int:
    return max(text.rfind("\n", 0, at), text.rfind("\r", 0, at)) + 1


def _line_end(text: str, at: int) -> int:
    match = re.compile(r"\r\n|\r|\n").search(text, at)
    return match.start() if match else len(text)


def _end_of(text: str) -> str:
    """The line end of the file's first line."""
    match = re.search(r"\r\n|\r|\n", text)
    return match[0] if match else "\n"


def _encoded(new: str, text: str, data: bytes, path: Path) -> bytes:
    """The new text in the encoding of the old one, with its byte order mark if it had one."""
    marked = marked_encoding(data)
    for encoding in dict.fromkeys((marked or "utf-8", "utf-8", *OLD.values())):
        for mark in (b"", _MARKS.get(encoding, codecs.BOM_UTF32_LE)):
            with suppress(UnicodeEncodeError):
                if mark + text.encode(encoding) == data:
                    return mark + new.encode(encoding)
    raise UserError(
        f"{path} is in an encoding that has no signs for what would be written",
        remedy=f"Save it as UTF-8. {_BY_HAND}",
    )
