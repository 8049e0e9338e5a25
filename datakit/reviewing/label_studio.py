"""A review for Label Studio: config.xml, tasks.json and pictures; and its annotations read back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from datakit.core.shown_picture import ShownPicture
from datakit.reviewing import pictures
from datakit.reviewing.answers import Answer, NoAnswer, Unanswered, moment
from datakit.reviewing.pictures import Unreadable
from datakit.reviewing.records import PageRecords
from datakit.reviewing.words import language_of_names, words_in

_LABEL, _DROP, _WHY = "new_label", "drop", "why"
"""Names of the controls; none is a column of a task, which an export may mix."""


def write(records: PageRecords, out: Path, unreadable: Unreadable) -> None:
    """config.xml (the labelling interface), tasks.json (to be imported) and images/ (local files).

    Label Studio finds the pictures where LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT is the folder above `out`.
    """
    words = words_in(language_of_names(records.labels))
    (out / "images").mkdir()
    tasks = [
        _task(records, number, row, _pictures(out, number, row["pictures"], column["id"], unreadable), column)
        for number, (row, column) in enumerate(zip(records.details(), _columns(records), strict=True))
    ]
    has_pictures = any(task["data"]["images"] for task in tasks)
    (out / "config.xml").write_text(_config(records.labels, words, pictures=has_pictures), "utf-8")
    (out / "tasks.json").write_text(json.dumps(tasks, ensure_ascii=False, indent=1), "utf-8")


def _columns(records: PageRecords) -> Iterator[dict[str, Any]]:
    columns = records.columns()
    names = records.labels
    for at, id_ in enumerate(columns["id"]):
        label, proposal = columns["label"][at], columns["proposal"][at]
        yield {
            "id": id_,
            "judged": columns["judged"][at],
            "old": names[label] if label >= 0 else columns["written"].get(at),
            "proposal": names[proposal] if proposal >= 0 else None,
        }


def _pictures(out: Path, number: int, own: list[ShownPicture], id_: str, unreadable: Unreadable) -> list[str]:
    """The pictures as files named by the record's number, and the addresses under which they are served."""
    addresses = []
    for at, picture in enumerate(own):
        drawn = pictures.readable(picture)
        if drawn.readable:
            name = f"{number:06d}-{at}.webp"
            (out / "images" / name).write_bytes(drawn.readable)
            addresses.append(f"/data/local-files/?d={quote(f'{out.name}/images/{name}')}")
        else:
            unreadable.append((id_, picture.path))
    return addresses


def _task(
    records: PageRecords, number: int, row: dict[str, Any], images: list[str], column: dict[str, Any]
) -> dict[str, Any]:
    told = "\n".join(text for name, text in row["facts"] if name != "source")
    task: dict[str, Any] = {
        "id": number + 1,
        "data": {
            "record": column["id"],
            "judged": column["judged"],
            "old": column["old"],
            "build": records.build.report.name,
            "images": images,
            "told": f"{column['old'] or ''}\n{told}".strip(),
        },
    }
    if column["proposal"] is not None:
        result = {
            "id": "proposal",
            "from_name": _LABEL,
            "to_name": "told",
            "type": "choices",
            "value": {"choices": [column["proposal"]]},
        }
        task["predictions"] = [{"model_version": "datakit", "result": [result]}]
    return task


def _config(labels: list[str], words: Mapping[str, str], *, pictures: bool) -> str:
    """The labelling interface: the pictures, what is known, and a choice of the label."""
    choices = "\n".join(f"    <Choice value={quoteattr(name)}/>" for name in labels)
    image = '  <Image name="images" valueList="$images" zoom="true"/>\n' if pictures else ""
    return (
        "<View>\n"
        f"{image}"
        '  <Text name="told" value="$told"/>\n'
        f"  <Header value={quoteattr(words['relabel'])}/>\n"
        f'  <Choices name="{_LABEL}" toName="told" choice="single">\n{choices}\n  </Choices>\n'
        f'  <Choices name="{_DROP}" toName="told" choice="multiple">\n'
        f"    <Choice value={quoteattr(words['drop'])}/>\n  </Choices>\n"
        f'  <TextArea name="{_WHY}" toName="told" placeholder={quoteattr(words["why"])}/>\n'
        "</View>\n"
    )


def answers(document: list[Any], *, drafts: bool = False) -> Iterator[Answer | NoAnswer | Unanswered]:
    """An answer for each annotation of an export (JSON); with `drafts` for what nobody submitted too."""
    for task in document:
        data = task.get("data") if isinstance(task, Mapping) else None
        if not isinstance(data, Mapping) or not isinstance(data.get("record"), str):
            yield NoAnswer("", "the task does not say which record it is of")
            continue
        notes, kept = (
            each if isinstance(each := task.get(name), list) else [] for name in ("annotations", "drafts")
        )
        if not notes and not kept:
            yield Unanswered(data["record"])
        for note in notes:
            yield _answer(data, note)
        for note in kept:
            yield (
                _answer(data, note, by="user")
                if drafts
                else NoAnswer(data["record"], "a draft that nobody submitted; --drafts takes it all the same")
            )


def _answer(data: Mapping[str, Any], note: Any, by: str = "completed_by") -> Answer | NoAnswer:
    """What an annotation decides; `by` is where its person stands."""
    id_ = str(data["record"])
    if not isinstance(note, Mapping) or not isinstance(note.get("result"), list):
        return NoAnswer(id_, "the annotation has no result")
    if note.get("was_cancelled"):
        return NoAnswer(id_, "it was skipped")
    chosen: dict[str, list[str]] = {}
    for part in note["result"]:
        if isinstance(part, Mapping) and isinstance(part.get("value"), Mapping):
            value = part["value"].get("choices") or part["value"].get("text") or []
            texts = [value] if isinstance(value, str) else value if isinstance(value, list) else []
            chosen.setdefault(str(part.get("from_name")), []).extend(str(text) for text in texts)
    labels = list(dict.fromkeys(chosen.get(_LABEL, [])))
    label = next(iter(labels), None)
    if label is None and not chosen.get(_DROP):
        return NoAnswer(id_, "neither a label nor drop was chosen")
    if len(labels) > 1:
        return NoAnswer(id_, f"{len(labels)} labels were chosen")
    if label is not None and chosen.get(_DROP):
        return NoAnswer(id_, "a label and drop were chosen")
    old = data.get("old")
    return Answer(
        id=id_,
        judged=str(data.get("judged")),
        old=old if isinstance(old, str) else None,
        label=label,
        drops=bool(chosen.get(_DROP)),
        who=_who(note.get(by)),
        when=moment(note.get("updated_at") or note.get("created_at")),
        why="\n".join(chosen.get(_WHY, [])),
        build=str(data.get("build") or ""),
        is_named=note.get(by) is not None,
    )


def _who(person: Any) -> str:
    """The name of an annotator: exports hold a number, or the person."""
    if isinstance(person, Mapping):
        name = f"{person.get('first_name') or ''} {person.get('last_name') or ''}".strip()
        number = f"Label Studio {person.get('id')}"  # two people may have one name
        return str(person.get("email") or (f"{name} ({number})" if name else number))
    if isinstance(person, str) and "@" in person:
        return person
    return f"Label Studio {person}" if person is not None else "Label Studio"
