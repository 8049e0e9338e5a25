"""Which version of the data a card is of: date, hashes, what changed, and the figures that one asks first."""

from __future__ import annotations

import time
from collections.abc import Sequence

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.ledger import Score, ledger_of, read_scores, versions
from datakit.artifacts.report import Finding
from datakit.artifacts.signoff import read_signoffs
from datakit.cards.changes import changes
from datakit.cards.inputs import inputs_of
from datakit.cards.overview import picture_count
from datakit.cards.usage import state_words
from datakit.core.scripts import shell_words
from datakit.core.wording import later, t, told
from datakit.pages.blocks import Block, Bullets, Cell, Code, CodeBlock, Section, Table, Text

MOST_CHANGES = 12
DATE, VERSION = later("date"), later("version of the inputs")
CONTENT, DATAKIT = later("content hash of the data files"), "datakit"
COUNTED = later("{train:,} training, {val:,} validation, {general:,} general")
CHANGED = later("Changed since version {version}, scored {date}:")
UNCHANGED = later("Made of the same as version {version}, scored {date}.")
FIRST = later("No earlier version was scored; datakit diff OLD NEW compares two builds.")
SIGN = later("Whoever has looked through this page and agrees signs the data as it is:")
SIGNED = later("Signed by {name} on {date}.")
MORE = later("and {count:,} more: datakit diff compares two builds")


def version_section(
    build: BuildFolder, splits: pl.DataFrame, classes: pl.DataFrame, lines: Sequence[Finding]
) -> Section:
    """Date, version, content hash, headline figures, changes, and how the data is signed."""
    inputs = inputs_of(build)
    made = time.strftime("%Y-%m-%d", time.gmtime(build.made_at))
    facts: list[list[Cell]] = [
        [t(DATE), made],
        [t(VERSION), Code(inputs.version)],
        [t(CONTENT), Code(build.manifest.content)],
        [DATAKIT, Code(build.manifest.datakit)],
        *_figures(build, splits, classes),
        [t("verdict"), state_words(lines)],
    ]
    blocks: list[Block] = [Table([t("what"), t("value")], facts), *_changed(build)]
    command = shell_words(
        ["datakit", "signoff", build.clean(str(build.path.absolute())), "--name", t("YOUR NAME")]
    )
    signed = [
        t(SIGNED, name=build.clean(one.name), date=one.date)
        for one in read_signoffs(build).of(build.manifest.content)
    ]
    if signed:
        blocks.append(Bullets(signed))
    return Section(t("This version"), [*blocks, Text(t(SIGN)), CodeBlock(command, "bash")])


def _figures(build: BuildFolder, splits: pl.DataFrame, classes: pl.DataFrame) -> list[list[Cell]]:
    """Records of each part, classes, pictures, rejected ones and tokens."""
    counts = {row["part"]: row["records"] for row in splits.iter_rows(named=True)}
    parts = {part: counts.get(part, 0) for part in ("train", "val", "general")}
    figures: list[list[Cell]] = [[t("records"), t(COUNTED, **parts)]]
    if not classes.is_empty():
        figures.append([t("classes"), f"{classes.height:,}"])
    figures.append([t("pictures"), f"{picture_count(build):,}"])
    figures.append([t("records left out"), f"{build.report.rejected:,}"])
    if build.check is not None:
        text, image = (
            sum(int(one.get(name) or 0) for one in build.check.data_sets)
            for name in ("text_tokens", "image_tokens")
        )
        figures.append(
            [
                t("tokens of the data files"),
                t("{text:,} of text, {image:,} of pictures", text=text, image=image),
            ]
        )
    return figures


def _changed(build: BuildFolder) -> list[Block]:
    """What differs from the newest scored version that is another one."""
    before = last_version(build)
    if before is None:
        return [Text(t(FIRST))]
    words = {"version": before.inputs.version, "date": before.date[:10]}
    found = [told(build.clean(change)) for change in changes(before.inputs, inputs_of(build))]
    if not found:
        return [Text(t(UNCHANGED, **words))]
    more = [t(MORE, count=len(found) - MOST_CHANGES)] if len(found) > MOST_CHANGES else []
    return [Text(t(CHANGED, **words)), Bullets([*found[:MOST_CHANGES], *more])]


def last_version(build: BuildFolder) -> Score | None:
    """The newest score of the recipe on other data; None where only this was ever scored."""
    ledger = ledger_of(build.projects)
    scores = versions(read_scores(ledger)) if ledger else []
    others = [
        score
        for score in scores
        if score.name == build.report.name and score.content != build.manifest.content
    ]
    return max(others, key=lambda score: score.date, default=None)
