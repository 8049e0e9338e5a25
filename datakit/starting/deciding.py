"""What is to be learned of data, and in which language: decided by what it holds, or said by its owner."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from datakit.core.counted import counted
from datakit.core.errors import UserError
from datakit.core.labels import shown
from datakit.core.language import Language
from datakit.core.step_context import StepContext
from datakit.starting.asked import TASK_WORDS, TASKS, Asked, Task
from datakit.starting.columns import ANSWERS, CAPTIONS, QUESTIONS, fields_of, named
from datakit.starting.found import Found, found_in
from datakit.starting.given_split import given_words

_MOST_LABELS = 100
"""Labels from which a prompt that names all of them is long."""
_LONG_LABEL = 40
_FEW = 10
_NUMBER = re.compile(r"-?\d+(\.\d*)?")
"""A label that is a number; tables make 1.0 of the class 1 where a row has none."""


@dataclass(frozen=True)
class Decided:
    """A source, and what its recipe is to do."""

    found: Found
    task: Task
    language: Language
    answer: str = ""
    """Column of the answer or text, where the task has one."""
    fields: tuple[str, ...] = ()
    """Columns that are copied out of the picture."""
    written: bool = False
    """Whether a model is to write the texts, because the data has none."""
    doubts: tuple[str, ...] = field(default=())
    """What is not sure, and how to say it otherwise."""


def decided(found: Found, asked: Asked, context: StepContext) -> Decided:
    """The task and the language. Raises UserError for a task that the data cannot be used for."""
    doubts = list(found.doubts)
    task = asked.task or _task(found, doubts)
    if task == "classify" and not found.labels:
        found = _labelled(found, context, doubts)
    if task == "vqa" and (question := named(found.columns, QUESTIONS)) and not found.texts:
        found = found_in(found.source.having(text=question), context)
    language = asked.language or found.language()
    if language is None:
        doubts.append("nothing says in which language prompts should be: English (Chinese: --language zh)")
    parts = Decided(found, task, language or "en")
    filled = _filled(parts, doubts)
    if not found.images:
        raise UserError(
            f"{found.source.words} names no picture",
            remedy="Say which column has the paths: --image-column NAME. " + _columns(found),
        )
    if task == "chats" and found.beside:
        doubts.append(
            f"beside the chats stands {_quoted(sorted(found.beside))}: written for ms-swift, because "
            "LLaMA-Factory has no place for it; so the recipe has no `train:`"
        )
    doubts += given_words(found)
    _doubt_labels(filled, doubts)
    _doubt_texts(filled, doubts)
    _doubt_pictures(found, doubts)
    return replace(filled, doubts=tuple(dict.fromkeys(doubts)))


def _task(found: Found, doubts: list[str]) -> Task:
    columns = found.columns
    if found.chats * 2 > found.records:
        return "chats"
    if found.boxes:
        return "boxes"
    question, answer = named(columns, QUESTIONS), named(columns, ANSWERS)
    if answer and (question or found.texts):
        return "vqa"
    if found.labels:
        return _labels_or_texts(found, doubts)
    if caption := named(columns, CAPTIONS):
        doubts.append(f"took `{caption}` for what is to be written of a picture (--task {'|'.join(TASKS)})")
        return "caption"
    fields = fields_of(columns)
    if _classes(found) and (len(fields) == 1 or _declared(found)):
        return "classify"
    if fields:
        doubts.append(
            f"took the columns {_quoted(fields)} for values that stand in the picture; if one is a class: "
            f"--label-column {fields[0]}"
        )
        return "extract"
    return "caption"


def _labels_or_texts(found: Found, doubts: list[str]) -> Task:
    """Labels that hardly come twice and are long are no classes."""
    mean = sum(len(label) * count for label, count in found.labels.items()) / found.labels.total()
    if mean > _LONG_LABEL and 2 * len(found.labels) > found.labels.total():
        doubts.append(
            f"{len(found.labels):,} different labels of {mean:.0f} characters are texts, not classes: took "
            "them for captions (--task classify)"
        )
        return "caption"
    return "classify"


def _labelled(found: Found, context: StepContext, doubts: list[str]) -> Found:
    """The same with the one column that may be a class as label. Raises UserError for none."""
    classes = _classes(found)
    if not classes or (len(classes) > 1 and not _declared(found)) or found.source.name == "image_folder":
        how = "Put pictures into a folder for each label, or" if not found.columns else "Say which:"
        raise UserError(
            f"{found.source.words} has no labels",
            remedy=f"{how} --label-column NAME. {_columns(found)} Captions instead: --task caption",
        )
    other = ", ".join(classes[1:]) or "NAME for another"
    doubts.append(f"took the column `{classes[0]}` for the label (--label-column {other})")
    return found_in(found.source.having(label=classes[0]), context)


def _classes(found: Found) -> list[str]:
    """Columns that may be classes; those alone that the source calls so, where it does."""
    fields = fields_of(found.columns)
    return _declared(found) or [name for name in fields if found.columns[name].repeats]


def _declared(found: Found) -> list[str]:
    return [name for name in fields_of(found.columns) if name in found.classes]


def _filled(parts: Decided, doubts: list[str]) -> Decided:
    """The columns that the task is made of. Raises UserError where the data has none of them."""
    found, columns = parts.found, parts.found.columns
    if parts.task == "vqa":
        answer = named(columns, ANSWERS) or ("label" if found.labels else "")
        if not answer or not found.texts:
            raise UserError(
                f"{found.source.words} has no column of {'questions' if answer else 'answers'}",
                remedy=f"Call them `question` and `answer`. {_columns(found)}",
            )
        return replace(parts, answer=answer)
    if parts.task == "caption":
        answer = named(columns, CAPTIONS) or named(columns, ANSWERS) or ("label" if found.labels else "")
        if not answer:
            doubts.append(
                "there are no labels and no texts: a model is to write captions (annotate.describe), the "
                "built-in offline writer until it has a key; for labels put pictures into a folder for each"
            )
            return replace(parts, answer="description", written=True)
        return replace(parts, answer=answer)
    if parts.task == "extract":
        fields = tuple(fields_of(columns))
        if not fields:
            raise UserError(f"{found.source.words} has no columns of values", remedy=_columns(found))
        return replace(parts, fields=fields)
    needed = {"boxes": found.boxes, "chats": found.chats}
    if not needed.get(parts.task, 1):
        raise UserError(
            f"{found.source.words} has no {parts.task}",
            remedy=f"Leave --task out, or take one of {', '.join(TASK_WORDS)}.",
        )
    return parts


def _doubt_labels(parts: Decided, doubts: list[str]) -> None:
    labels = parts.found.labels
    if parts.task != "classify" or not labels:
        return
    unlabelled = parts.found.records - labels.total()
    if unlabelled:
        doubts.append(_left_out(unlabelled, parts.found.records, "label"))
    if len(labels) == 1:
        doubts.append("there is one label alone: a model learns to say it always")
    if len(labels) > _MOST_LABELS:
        doubts.append(f"{len(labels):,} labels make a long prompt: see `max_chars` in the recipe")
    if few := [label for label, count in labels.items() if count < _FEW]:
        names = ", ".join(" ".join(shown(label).split())[:30] for label in few[:3])
        names += " …" if len(few) > 3 else ""
        doubts.append(
            f"fewer than {_FEW} records of {counted(len(few), 'label')} ({names}): little to learn or score"
        )
    if all(_NUMBER.fullmatch(label.strip()) for label in labels):
        doubts.append("labels are numbers: write into the label file what each means")


def _doubt_texts(parts: Decided, doubts: list[str]) -> None:
    """Records that lack the question or the answer."""
    for column, blank in lacking(parts).items():
        what = "question" if column == "text" else "answer" if parts.task == "vqa" else f"`{column}`"
        doubts.append(_left_out(blank, parts.found.records, what))


def _left_out(blank: int, records: int, what: str) -> str:
    have, are = ("has", "is") if blank == 1 else ("have", "are")
    return f"{blank:,} of {records:,} records {have} no {what} and {are} left out until the data has it"


def lacking(parts: Decided) -> dict[str, int]:
    """Columns that a row is made of and that some records do not have -> how many."""
    found = parts.found
    if parts.task not in ("vqa", "caption") or parts.written:
        return {}
    names = [*(["text"] if parts.task == "vqa" else []), parts.answer]
    blank = {name: found.columns[name].blank for name in names if name in found.columns}
    if parts.answer == "label":
        blank["label"] = found.records - found.labels.total()
    return {name: count for name, count in blank.items() if count}


def _doubt_pictures(found: Found, doubts: list[str]) -> None:
    if found.rejects:
        counts = ", ".join(f"{reason} {count:,}" for reason, count in found.rejects.most_common(4))
        doubts.append(f"{found.rejects.total():,} are left out ({counts}), such as {found.example}")
    if found.looked.faults:
        counts = ", ".join(f"{reason} {count}" for reason, count in found.looked.faults.most_common(3))
        doubts.append(
            f"of {found.looked.opened:,} pictures that were opened {found.looked.faults.total():,} cannot be "
            f"used ({counts}), such as {found.looked.example}"
        )


def _columns(found: Found) -> str:
    filled = [name for name, column in found.columns.items() if column.filled]
    return f"Columns there: {', '.join(filled)}." if filled else ""


def _quoted(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:4]) + (" …" if len(names) > 4 else "")
