"""The worst records of each kind: what a reviewer looks at first, as pictures and as they are trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.measured_columns import measured
from datakit.artifacts.originals import originals
from datakit.cards.evidence import lines_column
from datakit.cards.gallery import MOST_TILES, card_settings, chosen, gallery_section
from datakit.cards.pictures import Pictures
from datakit.cards.sheet import sheet
from datakit.cards.tiles import Tiles
from datakit.core.wording import later, t, told
from datakit.pages.blocks import Block, Gallery, Section, Text
from datakit.pages.figures import collect
from datakit.verdict import records_of
from datakit.verdict.texts import rung_name

LONGEST = later("Longest prompts")
CUT = later("Prompts that were shortened most")
DROPPED = later("What the trainer would cut or leave out")
UNSURE = later("Lowest OCR confidence")
ALIKE = later("Reasons most like another")
CONFLICTS = later("Answered differently, though they look the same")
DUPLICATES = later("Look-alikes of one another")
NOTHING = later("Nothing to show of these: {kinds}.")
_WORDS = {
    LONGEST: later("By characters of the rendered prompt."),
    UNSURE: later("By the mean confidence of what was read, 0 to 1."),
    ALIKE: later("By the share of 3-grams that a reason has in common with the one most like it, 0 to 1."),
    CONFLICTS: later("A record beside the first of its group: the model cannot give both answers."),
    DUPLICATES: later("A record beside the first of its group."),
}
KINDS_OF_WORST = 9
"""Pictures a unit of `card.worst`: five kinds of single records and two of pairs."""
_CONFLICT = "label_conflict"


@dataclass(frozen=True)
class Kind:
    """The worst of one kind: groups of ids, and of each id a figure in words."""

    title: str
    groups: Sequence[Sequence[str]]
    notes: dict[str, str]


def shown_sections(build: BuildFolder, pictures: Pictures) -> list[Section]:
    """The gallery and the worst of each kind, their records read at once."""
    settings = card_settings(build)
    in_gallery = chosen(build, settings.gallery) if build.data_files else []
    kinds = list(worst(build, settings.worst)) if settings.worst else []
    ids = [*in_gallery[:MOST_TILES], *(id_ for kind in kinds for group in kind.groups for id_ in group)]
    tiles = Tiles(build, list(dict.fromkeys(ids)), pictures)
    return [gallery_section(tiles, in_gallery), _worst_section(tiles, kinds)]


def _worst_section(tiles: Tiles, kinds: Sequence[Kind]) -> Section:
    """Each kind with its records; the kinds that have none in one sentence."""
    blocks: list[Block] = []
    for kind in (kind for kind in kinds if kind.groups):
        groups = [[tiles.tile(id_, kind.notes.get(id_, "")) for id_ in group] for group in kind.groups]
        drawn = None
        if any(len(group) > 1 for group in groups):
            shown = [(tile, tiles.first_picture(tile.id)) for group in groups for tile in group]
            name = "-".join(kind.title.lower().replace(",", "").split())
            drawn = sheet(name, t(kind.title), shown, across=2)
        blocks.append(
            Gallery(t(kind.title), groups, t(_WORDS[kind.title]) if kind.title in _WORDS else "", sheet=drawn)
        )
    none = [t(kind.title) for kind in kinds if not kind.groups]
    if none:
        blocks.append(Text(t(NOTHING, kinds=t("; ").join(none))))
    return Section(t("Worst of each kind"), blocks)


def worst(build: BuildFolder, most: int) -> Iterator[Kind]:
    """The kinds that the build can tell of, those without a record too."""
    if measured(build.columns, "prompt_chars"):
        yield _most(build, LONGEST, pl.col("prompt_chars"), most, later("{number:,.0f} characters"))
    if measured(build.columns, "shrink_rung"):
        kind = _most(build, CUT, pl.col("shrink_rung"), most, "{number:.0f}", above=0)
        notes = {id_: told(rung_name(build, int(rung))) for id_, rung in kind.notes.items()}
        yield Kind(CUT, kind.groups, notes)
    if build.check is not None:
        yield _from_check(build, most)
    if (column := lines_column(build)) and "score" in _fields(build, column):
        scores = pl.col(column).list.eval(pl.element().struct.field("score")).list.mean()
        yield _most(build, UNSURE, -scores, most, "{number:.2f}")
    similarity = f"{build.parameters('annotate.reason').get('into', 'reason')}_similarity"
    if similarity in build.columns and build.columns[similarity].is_float():
        yield _most(build, ALIKE, pl.col(similarity), most, "{number:.2f}", above=0)
    yield _conflicts(build, most)
    if measured(build.columns, "duplicate_of"):
        yield _duplicates(build, most)


def _most(
    build: BuildFolder, title: str, value: pl.Expr, most: int, words: str, above: float | None = None
) -> Kind:
    """The records with the highest values."""
    number = value.cast(pl.Float64)
    frame = originals(build).select("id", number=pl.when(number.is_finite()).then(number)).drop_nulls()
    frame = frame if above is None else frame.filter(pl.col("number") > above)
    top = collect(frame.top_k(most, by=["number", "id"], reverse=[False, True]))
    rows = top.sort(["number", "id"], descending=[True, False]).rows()
    return Kind(
        title, [[id_] for id_, _ in rows], {id_: t(words, number=abs(number)) for id_, number in rows}
    )


def _from_check(build: BuildFolder, most: int) -> Kind:
    """The records that the check names, errors first."""
    found = build.check.findings if build.check is not None else []
    order = {"error": 0, "warning": 1}
    about = sorted((line for line in found if line.record), key=lambda line: order.get(line.severity, 2))
    notes: dict[str, str] = {}
    for line in about:
        notes.setdefault(line.record, line.code)
    known = set(collect(build.records.filter(pl.col("id").is_in(list(notes))).select("id")).to_series())
    ids = [id_ for id_ in notes if id_ in known][:most]
    return Kind(DROPPED, [[id_] for id_ in ids], notes)


def _conflicts(build: BuildFolder, most: int) -> Kind:
    """Pairs of the verdict's groups, each record beside the first that is answered otherwise."""
    if not any(line.kind == _CONFLICT and line.count for line in build.report.verdict):
        return Kind(CONFLICTS, [], {})  # the verdict looked already
    _, records = records_of(build, _CONFLICT)
    table = collect(records) if records is not None else pl.DataFrame()
    pairs: list[list[str]] = []
    notes: dict[str, str] = {}
    for (_,), group in table.group_by("same_as", maintain_order=True) if "same_as" in table.columns else ():
        first = group.row(0, named=True)
        other = next((row for row in group.iter_rows(named=True) if _answer(row) != _answer(first)), None)
        if other is not None and len(pairs) < most:
            pairs.append([first["id"], other["id"]])
            notes |= {row["id"]: _answer(row) for row in (first, other)}
    return Kind(CONFLICTS, pairs, notes)


def _answer(row: dict[str, object]) -> str:
    text = " ".join(str(row.get("answer_text") or "").split())
    return text if len(text) <= 60 else f"{text[:60]}…"


def _duplicates(build: BuildFolder, most: int) -> Kind:
    later = originals(build).select("id", "duplicate_of").drop_nulls()
    later = later.filter(pl.col("id") != pl.col("duplicate_of"))
    firsts = later.group_by("duplicate_of").agg(pl.col("id").min(), others=pl.len())
    rows = collect(firsts.top_k(most, by=["others", "id"], reverse=[False, True]))
    rows = rows.sort(["others", "id"], descending=[True, False])
    known = set(
        collect(build.records.filter(pl.col("id").is_in(rows["duplicate_of"].to_list())).select("id"))["id"]
    )
    pairs = [[first, id_] for first, id_, _ in rows.rows() if first in known]
    counted = {first: t("{others:,} alike", others=others + 1) for first, _, others in rows.rows()}
    return Kind(DUPLICATES, pairs, counted)


def _fields(build: BuildFolder, column: str) -> set[str]:
    kind = build.columns[column]
    inner = kind.inner if isinstance(kind, pl.List) else None
    return {field.name for field in inner.fields} if isinstance(inner, pl.Struct) else set()
