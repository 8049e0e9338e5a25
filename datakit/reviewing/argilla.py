"""A review for Argilla: a data set as its `Dataset.from_disk` reads it; and its responses read back."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from datakit.core.regular_files import read_regular
from datakit.core.shown_picture import ShownPicture
from datakit.reviewing import pictures
from datakit.reviewing.answers import Answer, NoAnswer, Unanswered, moment
from datakit.reviewing.pictures import Unreadable
from datakit.reviewing.records import PageRecords
from datakit.reviewing.words import language_of_names, words_in

_DROP = "__drop__"
_LABEL, _WHY = "label", "why"
_PENDING = "pending"
"""State of a record to which fewer responses were submitted than complete it (`min_submitted`)."""
_ENOUGH = 1
"""Submitted responses that complete a record, as long as nobody has changed the data set in Argilla."""


def write(records: PageRecords, out: Path, unreadable: Unreadable) -> None:
    """.argilla/settings.json, .argilla/dataset.json and records.json, with the pictures inside: each is a
    field of its own, `image`, `image_2` and so on."""
    words = words_in(language_of_names(records.labels))
    (out / ".argilla").mkdir()
    columns, names = records.columns(), records.labels
    rows, most = [], 0
    for at, detail in enumerate(records.details()):
        label, proposal = columns["label"][at], columns["proposal"][at]
        old = names[label] if label >= 0 else columns["written"].get(at)
        told = "\n".join(text for name, text in detail["facts"] if name != "source")
        fields = {"told": f"{old or words['noLabel']}\n{told}".strip()}
        images = _images(columns["id"][at], detail["pictures"], unreadable)
        most = max(most, len(images))
        fields |= {_field(number): image for number, image in enumerate(images)}
        metadata = {"judged": columns["judged"][at], "build": records.build.report.name}
        rows.append(
            {
                "id": columns["id"][at],
                "fields": fields,
                "metadata": metadata | ({"old": old} if old is not None else {}),
                "suggestions": {_LABEL: {"value": names[proposal], "score": None, "agent": "datakit"}}
                if proposal >= 0
                else {},
                "responses": {},
                "vectors": {},
                "status": _PENDING,
            }
        )
    _put(out / ".argilla" / "settings.json", _settings(records, words, most))
    _put(out / ".argilla" / "dataset.json", {"name": records.build.report.name, "status": "draft"})
    _put(out / "records.json", rows)


def _put(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), "utf-8")


def _images(id_: str, own: list[ShownPicture], unreadable: Unreadable) -> list[str]:
    """The pictures that can be read, as data URIs."""
    shown = []
    for picture in own:
        drawn = pictures.readable(picture)
        if drawn.readable:
            shown.append(f"data:image/webp;base64,{base64.b64encode(drawn.readable).decode()}")
        else:
            unreadable.append((id_, picture.path))
    return shown


def _field(number: int) -> str:
    return "image" if number == 0 else f"image_{number + 1}"


def _settings(records: PageRecords, words: Mapping[str, str], most: int) -> dict[str, Any]:
    """One question: which label, or that the record is to be dropped; and why. `most`: fields for pictures,
    none of them required, as a record may have fewer."""
    options = [{"value": name, "text": name} for name in records.labels]
    options.append({"value": _DROP, "text": words["drop"]})
    return {
        "guidelines": "\n".join(f"{row['name']}: {row['about']}" for row in records.label_rows()),
        "allow_extra_metadata": True,
        "distribution": {"strategy": "overlap", "min_submitted": _ENOUGH},
        "fields": [
            *(
                _named(name, name, required=False, settings={"type": "image"})
                for name in map(_field, range(most))
            ),
            _named("told", words["label"], required=True, settings={"type": "text", "use_markdown": False}),
        ],
        "questions": [
            _named(
                _LABEL,
                words["relabel"],
                required=True,
                settings={"type": "label_selection", "options": options, "visible_options": None},
            ),
            _named(_WHY, words["why"], required=False, settings={"type": "text", "use_markdown": False}),
        ],
        "metadata": [],
        "vectors": [],
        "mapping": None,
    }


def _named(name: str, title: str, *, required: bool, settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "title": title,
        "required": required,
        "description": None,
        "settings": settings,
        "type": settings["type"],
    }


def enough(path: Path) -> int:
    """How many submitted responses complete a record, by the settings that Argilla writes beside the file."""
    try:
        settings = json.loads(read_regular(path.parent / ".argilla" / "settings.json"))
        number = settings["distribution"]["min_submitted"]
    except (OSError, ValueError, RecursionError, LookupError, TypeError):
        return _ENOUGH
    return number if type(number) is int and number > 0 else _ENOUGH


def answers(
    document: list[Any], *, drafts: bool = False, enough: int = _ENOUGH
) -> Iterator[Answer | NoAnswer | Unanswered]:
    """An answer for each person who submitted a response to a record of records.json; with `drafts` for each
    who did not discard theirs.

    Argilla 2.8.0 writes into that file neither when a response was made nor whether it was submitted. A
    record is complete once `enough` were: as long as no more people responded to it, all of them submitted.
    """
    for row in document:
        if not isinstance(row, Mapping) or not isinstance(row.get("id"), str):
            yield NoAnswer("", "the record has no id")
            continue
        responses = row.get("responses")
        responses = responses if isinstance(responses, Mapping) else {}
        reasons = {_person(one): str(one.get("value") or "") for one in _listed(responses.get(_WHY))}
        metadata = row.get("metadata")
        labels = _listed(responses.get(_LABEL))
        people = {_person(one) for name in (_LABEL, _WHY) for one in _listed(responses.get(name))}
        if not labels:
            yield Unanswered(row["id"])
        for one in labels:
            if doubt := _doubt(one, row, len(people), drafts=drafts, enough=enough):
                yield NoAnswer(row["id"], doubt)
            elif not isinstance(one.get("value"), str):
                yield NoAnswer(row["id"], "the response names no label")
            else:
                yield _answer(row["id"], metadata if isinstance(metadata, Mapping) else {}, one, reasons)


def _doubt(
    response: Mapping[str, Any], row: Mapping[str, Any], people: int, *, drafts: bool, enough: int
) -> str:
    """Why a response may be none that its person submitted; "" for one that counts."""
    status = response.get("status")
    if status == "submitted" or (drafts and status != "discarded"):
        return ""
    if status is not None:
        return f"the response is not submitted ({status})"
    if row.get("status") == _PENDING:
        return f"the response is not submitted ({_PENDING}); --drafts takes it all the same"
    if people > enough:
        return f"{people} people responded, and nothing says which of them submitted; --drafts takes all"
    return ""


def _answer(
    id_: str, metadata: Mapping[str, Any], response: Mapping[str, Any], reasons: Mapping[str, str]
) -> Answer:
    old, value = metadata.get("old"), str(response["value"])
    return Answer(
        id=id_,
        judged=str(metadata.get("judged")),
        old=old if isinstance(old, str) else None,
        label=None if value == _DROP else value,
        drops=value == _DROP,
        who=_person(response),
        when=moment(response.get("updated_at") or response.get("inserted_at")),
        why=reasons.get(_person(response), ""),
        build=str(metadata.get("build") or ""),
        is_named=bool(response.get("user_id")),
    )


def _listed(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _person(response: Mapping[str, Any]) -> str:
    return f"Argilla {response.get('user_id') or ''}".strip()
