"""Writes a build's data card: Markdown with plots beside it, and one HTML page that holds everything."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.cards.ablation import ablation_section
from datakit.cards.checked import check_section, lengths_section
from datakit.cards.classes import classes_section
from datakit.cards.confusions import confusions_section
from datakit.cards.croissant import croissant_of
from datakit.cards.diff_sections import since_section
from datakit.cards.gallery import card_settings
from datakit.cards.image_quality import image_quality_section
from datakit.cards.language import language_of_card
from datakit.cards.noise import noise_section
from datakit.cards.overview import (
    flow_section,
    licences,
    part_table,
    parts_section,
    picture_count,
    sources_section,
)
from datakit.cards.pictures import Pictures
from datakit.cards.quality import (
    duplicates_section,
    ocr_section,
    pictures_section,
    prompt_section,
    rejects_section,
    texts_section,
)
from datakit.cards.samples import first_rows, label_block
from datakit.cards.scores import scores_section
from datakit.cards.serving import answers_section, serving_section
from datakit.cards.spend import spend_section
from datakit.cards.steps import step_sections
from datakit.cards.tasks import named, of_each, tasks_section
from datakit.cards.usage import limits_section, reproduce_section, training_section, verdict_section
from datakit.cards.version import version_section
from datakit.cards.worst import KINDS_OF_WORST, shown_sections
from datakit.core.plain_yaml import dump
from datakit.core.wording import later, speaking, t, told
from datakit.pages.blocks import Card, Section
from datakit.pages.writing import Kept, write_pages
from datakit.verdict import verdict
from datakit.verdict.labels import class_table

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_SCRIPTS = {
    "zh": re.compile(r"[\u4e00-\u9fff]"),
    "ja": re.compile(r"[\u3040-\u30ff]"),
    "ko": re.compile(r"[\uac00-\ud7af]"),
    "en": re.compile(r"[A-Za-z]+"),
}
_LANGUAGES = {"zh": later("Chinese"), "ja": later("Japanese"), "ko": later("Korean"), "en": later("English")}
_LEAD_PICTURES = later("{name} is a data set for fine-tuning a vision-language model")
_LEAD_TEXT = later("{name} is a data set for fine-tuning a language model")
_PICTURE_CLASSES = later(" to classify a picture into one of {classes:,} classes")
_TEXT_CLASSES = later(" to choose one of {classes:,} classes")


def write_card(build: Path, folder: Path, kept: Kept | None = None) -> list[Path]:
    """The files of the card of the finished build at `build`, written to `folder`.

    `<name>.md` follows the data-set card format of the Hugging Face hub, with its plots in `<name>/`;
    `<name>.html` holds the same, needs no other file and no network, and opens the pictures of a gallery.
    `<name>/croissant.json` says what the data files are, as JSON-LD.
    The card of an unchanged build is the same to the byte. One that somebody edited is set aside, which
    `kept` is told. Raises UserError for a folder that is no build.
    """
    return write_pages(make_card(BuildFolder.open(build, folder)), folder, kept)


def make_card(build: BuildFolder) -> Card:
    """All that the card says, before it is laid out."""
    rows = first_rows(build)
    language = language_of_card(build, rows)
    with speaking(language):
        return replace(_card(build, rows), language=language)


def _card(build: BuildFolder, rows: Mapping[str, list[dict[str, Any]]]) -> Card:
    """The card in the language that is spoken."""
    splits, classes = part_table(build), class_table(build)
    languages = _languages(rows)
    tasks = _tasks(splits, classes)
    lines = build.report.verdict or verdict(build)
    pictures = Pictures(build, _pictures_wanted(build, classes))
    sections = [
        verdict_section(build, lines),
        version_section(build, splits, classes, lines),
        parts_section(build, splits),
        tasks_section(build),
        since_section(build.report.since),
        *of_each(build, scores_section),
        ablation_section(build),
        limits_section(build, splits, classes, lines),
        *_shown(build, pictures),
        *of_each(build, _classes),
        *of_each(build, confusions_section),
        *of_each(build, prompt_section),
        lengths_section(build),
        check_section(build),
        *of_each(build, answers_section),
        *of_each(build, serving_section),
        pictures_section(build),
        image_quality_section(build),
        ocr_section(build),
        texts_section(build),
        duplicates_section(build),
        *of_each(build, noise_section),
        rejects_section(build),
        sources_section(build),
        flow_section(build),
        spend_section(build),
        *step_sections(build),
        training_section(build),
        reproduce_section(build),
    ]
    failed = [
        t("Failed check: {statement}: {words}.", statement=told(line.statement), words=told(line.words))
        for line in lines
        if line.state == "failed"
    ]
    lead = _lead(build, splits, classes, languages, tasks)
    return Card(
        name=build.report.name,
        title=t("Data card"),
        lead=lead,
        croissant=croissant_of(build, lead),
        notices=[
            build.clean(note) for note in (*map(told, build.report.notes), *failed, *build.report.warnings)
        ],
        front=_front(build, splits, languages, tasks),
        sections=[section for section in sections if section.blocks],
    )


def _shown(build: BuildFolder, pictures: Pictures) -> Iterable[Section]:
    """The sections with records as pictures; of several tasks those of each."""
    for own in build.tasks or (build,):
        for section in shown_sections(own, pictures):
            yield named(section, own.path.name) if build.tasks else section


def _pictures_wanted(build: BuildFolder, classes: pl.DataFrame) -> int:
    """About how many pictures the gallery and the worst of each kind show."""
    settings = card_settings(build)
    several = sum(class_table(task).height for task in build.tasks) if build.tasks else classes.height
    return max(several, 1) * settings.gallery + KINDS_OF_WORST * settings.worst * max(len(build.tasks), 1)


def _classes(build: BuildFolder) -> Section:
    return classes_section(build, class_table(build), label_block(first_rows(build)))


def _lead(
    build: BuildFolder, splits: pl.DataFrame, classes: pl.DataFrame, languages: list[str], tasks: list[str]
) -> str:
    records = {row["part"]: row for row in splits.iter_rows(named=True)}
    train = records.get("train", {"records": 0, "rows": 0})
    repeated = train["rows"] != train["records"]
    rows = t(" ({rows:,} rows with repeats)", rows=train["rows"]) if repeated else ""
    counts = [t("{records:,} training records", records=train["records"]) + rows]
    if "val" in records:
        counts.append(t("{records:,} validation records", records=records["val"]["records"]))
    if "general" in records:
        counts.append(
            t("{records:,} general records against forgetting", records=records["general"]["records"])
        )
    images = picture_count(build)
    form = _LEAD_PICTURES if images else _LEAD_TEXT
    text = t(form, name=build.report.name)
    if build.tasks:
        names = t(", ").join(task.path.name for task in build.tasks)
        text += t(" with {count} tasks: {names}", count=len(build.tasks), names=names)
    elif not classes.is_empty():
        purpose = _PICTURE_CLASSES if "image-classification" in tasks else _TEXT_CLASSES
        text += t(purpose, classes=classes.height)
    counted = t(", ").join(counts[:-1]) + (t(" and ") if len(counts) > 1 else "") + counts[-1]
    text += t(". It has {counted}", counted=counted)
    text += t(", with {images:,} pictures in all.", images=images) if images else t("; all are text only.")
    if languages:
        names = t(" and ").join(t(_LANGUAGES[language]) for language in languages)
        text += t(" The texts are in {names} (told by the script).", names=names)
    return text


def _front(build: BuildFolder, splits: pl.DataFrame, languages: list[str], tasks: list[str]) -> str:
    records = int(splits["records"].sum())
    stated = sorted({value for _, _, value in licences(build)})
    size = next((name for most, name in _SIZES if records < most), "n>1M")
    front: dict[str, Any] = {"pretty_name": build.report.name}
    if languages:
        front["language"] = languages
    front["license"] = "other" if stated else "unknown"
    if stated:
        front["license_name"] = "see-sources"
    front |= {"task_categories": tasks, "size_categories": [size]}
    front["tags"] = ["datakit", *(["llama-factory"] if build.data_files else []), *_tags(build, splits)]
    files: dict[str, list[str]] = {}
    for facts in build.data_files.values():
        files.setdefault({"val": "validation"}.get(facts.part, facts.part), []).append(facts.file)
    if files:
        data = [
            {"split": split, "path": names if len(names) > 1 else names[0]} for split, names in files.items()
        ]
        front["configs"] = [{"config_name": "default", "data_files": data}]
    return dump(front, width=110)


def _tags(build: BuildFolder, splits: pl.DataFrame) -> Iterable[str]:
    if int(splits["pictures"].sum()):
        yield "vision-language"
    if any(note.startswith("No model wrote") for note in build.report.notes):
        yield "placeholder-texts"
    if any(step.name == "annotate.reason" for step in build.report.steps):
        yield "synthetic"


def _tasks(splits: pl.DataFrame, classes: pl.DataFrame) -> list[str]:
    images = bool(splits["pictures"].sum())
    tasks = []
    if not classes.is_empty():
        tasks.append("image-classification" if images else "text-classification")
    tasks.append("image-text-to-text" if images else "text-generation")
    return tasks


def _languages(rows: Mapping[str, list[dict[str, Any]]]) -> list[str]:
    """Languages that make up at least a tenth of the words in the first rows' texts, by their script."""
    counts: Counter[str] = Counter()
    for split_rows in rows.values():
        for row in split_rows[:500]:
            text = "\n".join(message["content"] or "" for message in row["messages"]).replace("<image>", "")
            for language, script in _SCRIPTS.items():
                counts[language] += len(script.findall(text))
    total = sum(counts.values())
    return [language for language, count in counts.most_common() if total and count / total >= 0.1]
