"""A project of people's own data: looked at, decided, written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from datakit.core.counted import counted
from datakit.core.errors import UserError
from datakit.core.scripts import shell_words
from datakit.core.step_context import StepContext
from datakit.starting.asked import TASK_WORDS, Asked
from datakit.starting.deciding import Decided, decided
from datakit.starting.found import Found, data_folders, found_in
from datakit.starting.label_file import label_file, merged
from datakit.starting.place import check_apart, check_free, label_path, project_folder, recipe_name, write
from datakit.starting.prompts import prompts
from datakit.starting.readme import GITIGNORE, readme
from datakit.starting.recipe_text import recipe_text
from datakit.starting.sources import source_of

_LANGUAGES = {"zh": "Chinese", "en": "English"}


@dataclass(frozen=True)
class OwnProject:
    """A project that was made of somebody's data."""

    folder: Path
    name: str
    files: tuple[str, ...]
    decided: Decided
    labels: Mapping[str, int]
    """Label -> records, as the label file has them."""
    words: str
    """What was found, in one line."""

    @property
    def label_file(self) -> str:
        """Its label file, from its folder; "" where the task has none."""
        return label_path(self.name) if self.labels else ""

    @property
    def recipe(self) -> Path:
        return self.folder / "recipes" / f"{self.name}.yaml"


def start_with(place: str, into: Path | None = None, asked: Asked | None = None) -> OwnProject:
    """The project of the data at `place`, written into `into` (`NAME-project` here when not given).

    Nothing is written into the data or over files, and nothing at all where UserError is raised.
    """
    asked = asked or Asked()
    folder = project_folder(place, into)
    with _options(), tempfile.TemporaryDirectory(prefix="datakit-init-") as work:  # for pictures in tables
        context = StepContext(base=Path.cwd(), project=Path(work))
        source = source_of(place, asked, context)
        if source.path is not None and source.path.is_dir():
            check_apart(folder, [source.path], place)
        result = decided(found_in(source, context, asked.task), asked, context)
        data = [path for path in data_folders(result.found) if not path.is_relative_to(work)]
    check_apart(folder, data, place)
    name = recipe_name(folder)
    labels, doubts = merged(result.found.labels) if result.task == "classify" else ({}, [])
    if result.task == "classify" and not labels:
        raise UserError(f"no label of {source.words} can stand in a label file", remedy="; ".join(doubts))
    result = _with(result, doubts)
    words = found_words(result, len(labels))
    texts = {f"templates/{name}/{file}": text for file, text in prompts(result).items()}
    if labels:
        texts[label_path(name)] = label_file(labels, result.found.source.words)
    templates = [path.rpartition("/")[2] for path in texts if path.endswith(".j2")]
    texts[f"recipes/{name}.yaml"] = recipe_text(result, name, folder / "recipes", labels)
    texts["README.md"] = readme(result, name, words, templates, labels)
    texts[".gitignore"] = GITIGNORE
    check_free(folder, texts, shell_words(["datakit", "init", place, "--into", "FOLDER"]))
    write(folder, texts)
    return OwnProject(folder, name, tuple(sorted(texts)), result, labels, words)


@contextmanager
def _options() -> Iterator[None]:
    """Says of what a step of a recipe would be told how it is told here."""
    try:
        yield
    except UserError as error:
        options = {"encoding": "--encoding", "image": "--image-column", "label": "--label-column"}
        options |= {"subset": "--subset", "split": "--split"}
        named = [option for name, option in options.items() if f"`{name}: " in error.remedy]
        said = f"Here that is the option {' and '.join(named)}." if named else ""
        remedy = " ".join(filter(None, (error.remedy, said)))
        raise UserError(error.message, remedy=remedy, where=error.where, exit_code=error.exit_code) from None


def _with(result: Decided, doubts: list[str]) -> Decided:
    notes = tuple(note if note.startswith("took") else f"note: {note}" for note in result.found.notes)
    return replace(result, doubts=tuple(dict.fromkeys((*notes, *result.doubts, *doubts))))


def found_words(result: Decided, labels: int) -> str:
    """What was found, in one line, such as `3,000 pictures, 25 labels, Chinese, 2 pictures a record`."""
    found = result.found
    parts = [counted(found.images, "picture")]
    if found.records != found.images:
        parts.append(counted(found.records, "record"))
    if result.task == "classify":
        parts.append(counted(labels, "label"))
    if result.task == "boxes":
        parts.append(counted(found.boxes, "box") + (" with texts" if found.box_texts else ""))
    if result.fields:
        parts.append(f"fields {', '.join(result.fields)}")
    elif result.answer and not result.written:
        parts.append(f"the text in `{result.answer}`")
    parts.append(_LANGUAGES[result.language])
    if a_record := _a_record(found):
        parts.append(a_record)
    return f"{found.source.words}: {', '.join(parts)}; to {TASK_WORDS[result.task]}"


def _a_record(found: Found) -> str:
    numbers = sorted(found.pictures)
    if numbers == [1]:
        return ""
    span = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    return f"{span} pictures a record"
