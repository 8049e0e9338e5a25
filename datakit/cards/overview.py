"""What the data set is, where it comes from and what each step did: the first sections of a card."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.originals import is_original
from datakit.cards.parts import PART_NAMES, part_name
from datakit.core.registry import own_names
from datakit.core.wording import note_name, t, told
from datakit.pages.blocks import Block, Bullets, Cell, Code, Section, Table, Text
from datakit.pages.figures import collect

MOST_WARNINGS = 20
NOTE_CHARS = 500
MOST_FOLDERS = 50
MOST_FILES = 20
_MOST_NAMED = 5
SHOWN_ELSEWHERE = ("classes", "warnings", "unclear places", "first unclear places", "unclear boxes")
_OWN_SECTION = (
    "balance.tasks",
    "curate.overrides",
    "curate.pseudo_labels",
    "curate.suspects",
    "guard.personal_data",
)
"""Steps of datakit whose section on the card says everything that they noted down."""


def part_table(build: BuildFolder) -> pl.DataFrame:
    """Part -> records, rows (with repeats) and pictures, in the order training, validation, general.

    A repeat that is a record of its own is one more row; a picture of several records counts once.
    """
    shown = pl.col("images").list.len().fill_null(0)
    table = collect(
        build.records.select("part", "rows", "images", shown=shown, is_original=is_original(build))
        .group_by("part")
        .agg(
            records=pl.col("is_original").sum(),
            rows=pl.col("rows").cast(pl.Int64).sum(),
            pictures=pl.col("images").explode().drop_nulls().n_unique(),
            text_only=((pl.col("shown") == 0) & pl.col("is_original")).sum(),
            most_pictures=pl.col("shown").max(),
        )
    )
    order = {name: at for at, name in enumerate(PART_NAMES)}
    return table.sort(pl.col("part").replace_strict(order, default=len(order)))


def picture_count(build: BuildFolder) -> int:
    """Different pictures of all records: one of several records, or of several parts, counts once."""
    return int(collect(build.records.select(pl.col("images").explode().drop_nulls().n_unique())).item())


def parts_section(build: BuildFolder, splits: pl.DataFrame) -> Section:
    """Records, rows and pictures of each split, and the file that holds them."""
    files: dict[str, list[str]] = {}
    for facts in build.data_files.values():
        files.setdefault(facts.part, []).append(facts.file)
    rows: list[list[Cell]] = [
        [
            part_name(row["part"]),
            row["records"],
            row["rows"],
            row["pictures"],
            row["text_only"],
            Code(", ".join(files.get(row["part"], ()))),
        ]
        for row in splits.iter_rows(named=True)
    ]
    head = [t("part"), t("records"), t("rows in the file"), t("pictures"), t("text-only records"), t("file")]
    if not files:
        head, rows = head[:-1], [row[:-1] for row in rows]
    blocks: list[Block] = [Table(head, rows)]
    if any(row["rows"] > row["records"] for row in splits.iter_rows(named=True)):
        who = t("a record of a rare class") if build.has_step("balance.resample") else t("a record")
        blocks.append(Text(t("Rows exceed records where {who} is written more than once.", who=who)))
    return Section(t("Parts"), blocks)


def sources_section(build: BuildFolder) -> Section:
    """Folders that the records come from with their files, and the licences that steps declared."""
    counted = collect(
        build.records.filter(is_original(build))
        .group_by("part", "source_file")
        .agg(records=pl.len())
        .sort("part", "source_file")
    )
    blocks: list[Block] = [_folders(build, counted), *_files(build, counted)]
    declared = licences(build)
    if declared:
        lines: list[list[Cell]] = [
            [Code(step), _readable(key, is_own=step in own_names()), value] for step, key, value in declared
        ]
        blocks.append(Table([t("step"), t("of what"), t("licence")], lines))
    else:
        blocks.append(Text(t("No step declares a licence.")))
    blocks.append(
        Text(
            t(
                "The recipe declares no licence for the records that it reads itself; find out "
                "and state it before the data leaves your hands."
            )
        )
    )
    return Section(t("Sources and licences"), blocks)


def _folders(build: BuildFolder, counted: pl.DataFrame) -> Table:
    """Files and records of each folder and part; a file that is alone in its folder is named itself, and so
    are a few without a folder."""
    sums: dict[tuple[str, str], list[int]] = {}
    names = {path or "": build.place(path or "") for path in counted["source_file"]}
    sizes = Counter(PurePosixPath(name).parent for name in set(names.values()))
    for row in counted.iter_rows(named=True):
        path = PurePosixPath(names[row["source_file"] or ""])
        is_named = sizes[path.parent] <= (_MOST_NAMED if path.parent == PurePosixPath() else 1)
        others = t("files elsewhere") if path.parent == PurePosixPath() else f"{path.parent}/"
        folder = str(path) if is_named else others
        files_and_records = sums.setdefault((folder, row["part"]), [0, 0])
        files_and_records[0] += 1
        files_and_records[1] += row["records"]
    order = {name: at for at, name in enumerate(PART_NAMES)}
    found = sorted(sums.items(), key=lambda line: (line[0][0], order.get(line[0][1], len(order))))
    rows: list[list[Cell]] = [
        [Code(folder), part_name(part), files, records]
        for (folder, part), (files, records) in found[:MOST_FOLDERS]
    ]
    if len(found) > MOST_FOLDERS:
        rest = found[MOST_FOLDERS:]
        rows.append(
            [
                t("{rest:,} more", rest=len(rest)),
                "",
                sum(own[0] for _, own in rest),
                sum(own[1] for _, own in rest),
            ]
        )
    return Table([t("folder or file"), t("part"), t("files"), t("records kept")], rows)


def _files(build: BuildFolder, counted: pl.DataFrame) -> list[Block]:
    """Each file with its digest; of many the first, with a word."""
    names = sorted({build.place(path or "") for path in counted["source_file"]})
    stamps = {build.place(path): stamp for path, stamp in build.manifest.sources.items()}
    if not any(name in stamps for name in names):
        return []
    rows: list[list[Cell]] = [
        [Code(name), Code(stamps[name].sha256[:16] if name in stamps else "")] for name in names[:MOST_FILES]
    ]
    table = Table([t("file"), t("sha256 (first 16 digits)")], rows)
    more = t(
        "The first {most_files} of {names:,} files; manifest.json has all.",
        most_files=MOST_FILES,
        names=len(names),
    )
    return [table, *([Text(more)] if len(names) > MOST_FILES else [])]


def licences(build: BuildFolder) -> list[tuple[str, str, str]]:
    """Step, key and value of every note about a licence."""
    rows = []
    for report in build.report.steps:
        for key, value in flat(report.notes):
            if "licen" in key.lower() and value not in (None, ""):
                rows.append((report.name, key, build.clean(str(value))))
    return rows


def flat(notes: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested notes as `outer.inner` -> value; lists of plain values stay whole."""
    if isinstance(notes, dict):
        for key, value in notes.items():
            yield from flat(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(notes, list) and any(isinstance(element, (dict, list)) for element in notes):
        for number, element in enumerate(notes, 1):
            yield from flat(element, f"{prefix}.{number}")
    else:
        yield prefix, ", ".join(map(str, notes)) if isinstance(notes, list) else notes


def flow_section(build: BuildFolder) -> Section:
    """Per step: in, added, rejected, retry, out; answers and money where a step has them."""
    steps = build.report.steps
    head = [t("step"), t("transform"), t("in"), t("added"), t("rejected"), t("retry"), t("out")]
    rows: list[list[Cell]] = [
        [
            step.number,
            Code(step.title),
            step.records_in,
            step.added,
            sum(step.rejected.values()),
            step.retry,
            step.records_out,
        ]
        for step in steps
    ]
    extra: list[tuple[str, list[Cell]]] = [
        (t("answers"), [step.cached + step.new or None for step in steps]),
        (t("tokens in"), [step.tokens_in or None for step in steps]),
        (t("tokens out"), [step.tokens_out or None for step in steps]),
        (t("cost, USD"), [round(step.cost_usd, 4) or None for step in steps]),
    ]
    for name, values in extra:
        if any(values):
            head.append(name)
            rows = [[*row, value] for row, value in zip(rows, values, strict=True)]
    blocks: list[Block] = [
        Text(
            t(
                "Nothing vanishes: what goes into a step plus what it adds is what it lets out, "
                "rejects or leaves to retry."
            )
        ),
        Table(head, rows),
    ]
    if t("tokens in") in head:
        blocks.append(
            Text(
                t(
                    "Tokens and cost are those of the run that wrote this build; stored answers cost "
                    "nothing again."
                )
            )
        )
    return Section(t("How it was made"), [*blocks, *_notes(build)])


def _notes(build: BuildFolder) -> list[Block]:
    """What the steps warned of, and what else they noted down."""
    warned, noted = [], []
    for step in build.report.steps:
        warnings = (told(build.clean(str(text)), parts=False) for text in step.notes.get("warnings", ()))
        warned += [f"{step.title}: {text}" for text in warnings]
        others = {key: value for key, value in step.notes.items() if key not in SHOWN_ELSEWHERE}
        if step.name not in _OWN_SECTION and (
            facts := _facts(build, others, is_own=step.name in own_names())
        ):
            noted.append(f"{step.title}: {shortened(t('; ').join(facts))}")
    blocks: list[Block] = []
    if warned:
        blocks += [Text(t("The steps warned of:")), Bullets(_few(warned))]
    if noted:
        blocks += [Text(t("What the steps noted down:")), Bullets(noted)]
    return blocks


def _facts(build: BuildFolder, notes: dict[str, Any], *, is_own: bool) -> list[str]:
    """Each note as `name: value`, one with several values as `name: first 1, second 2`."""
    facts = []
    for key, note in notes.items():
        values = [
            f"{_readable(name, is_own=is_own)} {_value(build, value, is_own=is_own)}".strip()
            for name, value in flat(note)
            if value not in (None, "") and "licen" not in f"{key}.{name}".lower()
        ]
        name = _readable(key, is_own=is_own)
        facts += [t("{name}: {values}", name=name, values=t(", ").join(values))] if values else []
    return facts


def _value(build: BuildFolder, value: Any, *, is_own: bool) -> str:
    text = build.clean(str(value))
    return told(text, parts=False) if is_own else text


def shortened(text: str) -> str:
    """The text, after its last whole word within NOTE_CHARS with where the rest stands."""
    if len(text) <= NOTE_CHARS:
        return text
    whole = re.match(r"(?s).*(?=[;；,、 ])", text[: NOTE_CHARS + 1])
    return t("{words} … (the rest stands in report.json)", words=whole[0] if whole else text[:NOTE_CHARS])


def _few(lines: list[str]) -> list[str]:
    rest = len(lines) - MOST_WARNINGS
    return (
        lines if rest <= 0 else [*lines[:MOST_WARNINGS], t("and {rest:,} more: see report.json", rest=rest)]
    )


def _readable(key: str, *, is_own: bool) -> str:
    """`left_out.too_long` as words; those of another package's step stay in its language."""
    words = (word for word in key.split(".") if not word.isdigit())
    return " ".join(note_name(word) if is_own else word.replace("_", " ") for word in words)
