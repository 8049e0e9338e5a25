"""What the steps measured: prompts, pictures, OCR text, reasons, duplicates and rejected records."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.measured_columns import measured
from datakit.artifacts.originals import originals, own_texts
from datakit.core.answer import LABEL
from datakit.core.language import char_bound
from datakit.core.record import place_of
from datakit.core.regular_files import read_regular_text
from datakit.core.wording import later, t, told
from datakit.pages import charts
from datakit.pages.blocks import Block, Cell, Chart, Code, Section, Table, Text
from datakit.pages.figures import Spread, collect, counts, histogram, spreads
from datakit.verdict.texts import rung_name

MOST_DOTS = 1_500
FEW_SIZES = 8
"""So many sizes stand in a table, more in a plot."""
EXAMPLES = 3
"""Examples of each kind of reject."""
MOST_REASONS = 40
MOST_WORDS = 12
MOST_CLASSES = 30
"""Rows of the table of prompt lengths."""
_LACKING = later(
    "What a step of emit rejected is lacking in its own files alone: the records are "
    "in the build, and in the files of emitters that have a place for them."
)
CHARACTERS = later("characters per record")


def prompt_section(build: BuildFolder) -> Section:
    """Length of the prompts against the recipe's limit, and how many had to be shortened."""
    names = {"prompt_chars": t("prompt, characters"), "prompt_tokens": t("prompt, tokens")}
    values = {words: pl.col(name) for name, words in names.items() if measured(build.columns, name)}
    rows = spreads(build.main, values)
    spread = rows.get(names["prompt_chars"])
    if spread is None:
        return Section(t("Prompts"), [])
    limit = _most_chars(build)
    text = t(
        "Length of the rendered prompt, label block included. A steady length helps: very long prompts make "
        "small models repeat themselves."
    )
    if limit:
        text += t(
            " The recipe allows {limit:,} characters; the longest prompt has {most:,.0f}.",
            limit=limit,
            most=spread.most,
        )
    mark = (float(limit), f"max_chars {limit:,}") if limit else None
    shape = histogram(build.main, pl.col("prompt_chars"), spread, beside=limit)
    svg = charts.columns(t("Prompt length"), shape, t("characters"), t("records"), limit=mark)
    chart = Chart("prompt-length", t("Prompt length: {words} characters", words=_words(spread)), svg)
    blocks: list[Block] = [Text(text), _spread_table(rows), chart, *_lengths_by_class(build, spread)]
    if measured(build.columns, "shrink_rung"):
        blocks += _rungs(build)
    return Section(t("Prompts"), blocks)


def _most_chars(build: BuildFolder) -> int | None:
    """The recipe's bound for prompts in the language of the build's templates."""
    chat, folder = build.parameters("render.chat"), build.templates_folder
    prompts = chat.get("prompt") or ()
    paths = [folder / name for name in ([prompts] if isinstance(prompts, str) else prompts)] if folder else []
    sources = [read_regular_text(path, "utf-8-sig") for path in paths if path.is_file()]
    return char_bound(chat.get("max_chars"), sources)


def _lengths_by_class(build: BuildFolder, spread: Spread) -> list[Block]:
    """How long the prompts of each class are, the class with the widest spread first."""
    middle = (spread.least + spread.most) / 2
    share = (spread.most - spread.least) / ((spread.most + spread.least) or 1)  # a source's own may be 0
    lengths = (
        t("{least:,.0f} to {most:,.0f}", least=spread.least, most=spread.most)
        if share
        else f"{spread.least:,.0f}"
    )
    words = t("All prompts have {lengths} characters", lengths=lengths)
    words += (
        t(", ±{share:.1%} around the middle of the two, {middle:,.0f}.", share=share, middle=middle)
        if share
        else t(".")
    )
    if build.columns.get(LABEL) != pl.String:
        return [Text(words)]
    chars = pl.col("prompt_chars")
    table = collect(
        build.main.filter(pl.col(LABEL).is_not_null())
        .group_by(LABEL)
        .agg(pl.len().alias("prompts"), least=chars.min(), median=chars.median(), most=chars.max())
        .sort(pl.col("most").cast(pl.Int64) - pl.col("least").cast(pl.Int64), LABEL, descending=[True, False])
    )
    if table.height < 2:
        return [Text(words)]
    more = t(
        " The {most_classes} of {height:,} classes that differ most:",
        most_classes=MOST_CLASSES,
        height=table.height,
    )
    rows = [
        [label, prompts, least, _number(median), most]
        for label, prompts, least, median, most in table.head(MOST_CLASSES).rows()
    ]
    head = [t("class"), t("prompts"), t("shortest prompt"), t("median"), t("longest prompt")]
    return [Text(words + (more if table.height > MOST_CLASSES else t(" By class:"))), Table(head, rows)]


def _rungs(build: BuildFolder) -> list[Block]:
    rungs = sorted((int(rung), number) for rung, number in counts(build.main, pl.col("shrink_rung")))
    shrunk = sum(number for rung, number in rungs if rung)
    if not shrunk:
        return [Text(t("No prompt had to be shortened."))]
    return [
        Text(
            t(
                "{shrunk:,} prompts were shortened, field by field from the least important, "
                "until they fitted:",
                shrunk=shrunk,
            )
        ),
        Table(
            [t("prompt"), t("records")], [[told(rung_name(build, rung)), number] for rung, number in rungs]
        ),
    ]


def pictures_section(build: BuildFolder) -> Section:
    """Size and shape of the pictures."""
    if not measured(build.columns, "width", "height"):
        return Section(t("Pictures"), [])
    own = originals(build)
    width, height = pl.col("width"), pl.col("height")
    values = {
        t("width, pixels"): width,
        t("height, pixels"): height,
        t("width / height"): width / height,
        t("pixels, million"): width * height / 1e6,
    }
    if measured(build.columns, "bytes"):
        values[t("file, KiB")] = pl.col("bytes") / 1024
    sides = spreads(own, values)
    if not sides:
        return Section(t("Pictures"), [])
    common = collect(
        own.select(width, height)
        .drop_nulls()
        .group_by("width", "height")
        .len()
        .sort(["len", "width", "height"], descending=[True, False, False])
        .head(MOST_DOTS)
    )
    blocks: list[Block] = [_spread_table(sides), *_sizes(common)]
    if _several(build):
        blocks.insert(0, Text(t("Of records with several pictures, the first picture's size counts.")))
    return Section(t("Pictures"), blocks)


def _sizes(common: pl.DataFrame) -> list[Block]:
    """A plot of many sizes, a table of few."""
    if common.height <= FEW_SIZES:
        return [Table([t("width, pixels"), t("height, pixels"), t("records")], common.rows())]
    svg = charts.points(
        t("Picture sizes (larger dots: more records)"),
        common["width"].to_list(),
        common["height"].to_list(),
        common["len"].to_list(),
        (t("width, pixels"), t("height, pixels")),
    )
    return [Chart("picture-sizes", t("Width and height of the pictures"), svg)]


def _several(build: BuildFolder) -> bool:
    most = collect(build.main.select(pl.col("images").list.len().max())).item()
    return bool(most and most > 1)


def ocr_section(build: BuildFolder) -> Section:
    """How much text was read on the pictures, and how sure the engine was."""
    into = str(build.parameters("annotate.ocr").get("into", "ocr"))
    name = next((name for name in (f"{into}_text", into) if build.columns.get(name) == pl.String), None)
    if name is None:
        return Section(t("OCR text"), [])
    pictured = own_texts(build, "annotate.ocr").filter(pl.col("images").list.len() > 0)
    length = pl.col(name).fill_null("").str.len_chars()
    values = {t(CHARACTERS): length}
    lines = build.columns.get(into)
    if isinstance(lines, pl.List) and isinstance(lines.inner, pl.Struct):
        values[t("lines per record")] = pl.col(into).list.len()
        if "score" in {field.name for field in lines.inner.fields}:
            scores = pl.col(into).list.eval(pl.element().struct.field("score"))
            values[t("mean confidence per record (0 to 1)")] = scores.list.mean()
    rows = spreads(pictured, values)
    spread = rows.get(t(CHARACTERS))
    if spread is None:
        return Section(t("OCR text"), [])
    empty = int(collect(pictured.select((length == 0).sum())).item())
    text = t(
        "Text was found on {found:,} of {all:,} records with pictures.",
        found=spread.count - empty,
        all=spread.count,
    )
    if t("lines per record") in rows:
        unsure = int(collect(pictured.select(((length == 0) & (pl.col(into).list.len() > 0)).sum())).item())
        text += (
            t(" On {unsure:,} more, whatever was read is less sure than min_score asks.", unsure=unsure)
            if unsure
            else ""
        )
    svg = charts.columns(
        t("Text per record"), histogram(pictured, length, spread), t("characters of OCR text"), t("records")
    )
    return Section(
        t("OCR text"),
        [
            Text(text),
            _spread_table(rows),
            Chart("ocr-text", t("OCR text per record: {words} characters", words=_words(spread)), svg),
        ],
    )


def texts_section(build: BuildFolder) -> Section:
    """Length of written descriptions and reasons, the flags of the reasons and how alike they are."""
    columns = {
        step: str(build.parameters(step).get("into", default))
        for step, default in (("annotate.describe", "description"), ("annotate.reason", "reason"))
    }
    reason = columns["annotate.reason"]
    rows: dict[str, Spread] = {}
    for step, name in columns.items():
        values = {t("{name}, characters", name=name): pl.col(name).str.len_chars()}
        rows |= spreads(own_texts(build, step), values) if build.columns.get(name) == pl.String else {}
    numeric = [name for name, kind in build.columns.items() if kind.is_numeric()]
    rows |= spreads(build.main, {name: pl.col(name) for name in numeric if name.startswith(f"{reason}_")})
    blocks: list[Block] = [*_writers(build, columns), *([_spread_table(rows)] if rows else [])]
    name = f"{reason}_similarity"
    if name in rows:
        limit = build.parameters("guard.reason").get("max_similarity")
        mark = (float(limit), f"max_similarity {limit}") if limit else None
        shape = histogram(build.main, pl.col(name), rows[name], whole=False, beside=limit)
        title = t("How alike the reasons of a class are")
        svg = charts.columns(title, shape, t("similarity (0 to 1)"), t("records"), limit=mark)
        blocks.append(
            Chart("reason-similarity", t("Similarity of reasons: {words}", words=_words(rows[name])), svg)
        )
    blocks += _flags(build, reason)
    return Section(t("Written texts"), blocks)


def _writers(build: BuildFolder, texts: Mapping[str, str]) -> list[Block]:
    """Who wrote the text of each step: a model, or the offline writer."""
    rows: list[list[Cell]] = [
        [text, writer, number]
        for step, text in texts.items()
        if build.columns.get(f"{text}_by") == pl.String
        for writer, number in counts(own_texts(build, step), pl.col(f"{text}_by"))
    ]
    return [Table([t("text"), t("written by"), t("records")], rows)] if rows else []


def _flags(build: BuildFolder, reason: str) -> list[Block]:
    """Counts of the words that checks put into columns beside the reason, such as its flags."""
    rows: list[list[Cell]] = []
    has_columns = False
    for name, kind in build.columns.items():
        if (
            name in (f"{reason}_by", f"{reason}_style")
            or not name.startswith(f"{reason}_")
            or kind not in (pl.String, pl.Boolean, pl.List(pl.String))
        ):
            continue
        has_columns = True
        words = pl.col(name).explode() if kind == pl.List(pl.String) else pl.col(name)
        if kind == pl.Boolean:
            words = pl.when(pl.col(name)).then(pl.lit("yes"))
        word_counts = [(word, number) for word, number in counts(build.main, words) if word]
        rows += [[Code(name), Code(word), number] for word, number in word_counts[:MOST_WORDS]]
    if not has_columns:
        return []
    if not rows:
        return [Text(t("The checks of the reasons flagged none."))]
    lead = t(
        "What the checks of the reasons found; the records were kept, or they would stand under Left out:"
    )
    return [Text(lead), Table([t("column"), t("found"), t("records")], rows)]


def duplicates_section(build: BuildFolder) -> Section:
    """How many records show the same or nearly the same picture as another."""
    if not measured(build.columns, "duplicate_of"):
        return Section(t("Duplicates"), [])
    own = originals(build)
    groups = collect(
        own.select("part", "duplicate_of")
        .drop_nulls("duplicate_of")
        .group_by(pl.col("duplicate_of").hash())
        .agg(size=pl.len(), parts=pl.col("part").n_unique())
        .filter(pl.col("size") > 1)
        .select(
            groups=pl.len(),
            records=pl.col("size").sum(),
            largest=pl.col("size").max(),
            split=(pl.col("parts") > 1).sum(),
        )
    ).row(0, named=True)
    dropped = sum(
        sum(step.rejected.values()) for step in build.report.steps if step.name == "curate.duplicates"
    )
    if not groups["groups"]:
        text = t("Among the records that were kept curate.duplicates found none that are the same.")
    else:
        text = t(
            "{records:,} kept records are look-alikes of one another, in groups of at most {largest:,}. ",
            records=groups["records"],
            largest=groups["largest"],
        )
        text += (
            t(
                "{split:,} such groups stand in training and in validation, which flatters scores.",
                split=groups["split"],
            )
            if groups["split"]
            else t("No such group is torn between training and validation.")
        )
    if measured(build.columns, "review"):
        conflicts = int(collect(own.select(pl.col("review").is_not_null().sum())).item())
        if conflicts:
            text += t(
                " {conflicts:,} records contradict the label of a look-alike: the column review names it.",
                conflicts=conflicts,
            )
    if measured(build.columns, "shares_picture_with"):
        sharing = int(collect(own.select(pl.col("shares_picture_with").is_not_null().sum())).item())
        if sharing:
            text += t(" {sharing:,} records ask something else about a picture of another.", sharing=sharing)
    if dropped:
        text += t(" {dropped:,} records were rejected by curate.duplicates.", dropped=dropped)
    return Section(t("Duplicates"), [Text(text)])


def rejects_section(build: BuildFolder) -> Section:
    """What was left out and why, with places in the sources."""
    table = collect(
        build.rejects.sort("step", "reason", "source_file", "source_line", "id")
        .group_by("step", "name", "state", "reason", maintain_order=True)
        .agg(
            records=pl.len(), examples=pl.struct("id", "source_file", "source_line", "detail").head(EXAMPLES)
        )
        .head(MOST_REASONS)
    )
    if table.is_empty():
        return Section(t("Left out"), [Text(t("No record was rejected."))])
    kinds: list[list[Cell]] = []
    examples: list[list[Cell]] = []
    for row in table.iter_rows(named=True):
        reason = (
            row["reason"]
            if row["state"] != "retry"
            else t("{reason} (to be tried again)", reason=row["reason"])
        )
        kinds.append([row["step"], Code(row["name"] or ""), Code(reason), row["records"]])
        for example in row["examples"]:
            place = place_of(build.place(example["source_file"] or ""), example["source_line"])
            detail = told(build.clean(example["detail"] or ""), parts=False)
            examples.append([Code(example["id"]), Code(place), Code(reason), detail])
    return Section(
        t("Left out"),
        [
            Text(
                t("Records that a step rejected; each stands in rejects.jsonl with its place in the source.")
            ),
            *([Text(t(_LACKING))] if build.report.not_emitted else []),
            Table([t("step"), t("transform"), t("reason"), t("records")], kinds),
            Text(t("Examples, at most {examples} of each kind:", examples=EXAMPLES)),
            Table([t("record"), t("source"), t("reason"), t("detail")], examples),
        ],
    )


def _spread_table(rows: Mapping[str, Spread]) -> Table:
    head = ["", t("records"), t("least"), t("median"), t("mean"), t("95th percentile"), t("most")]
    cells: list[list[Cell]] = [
        [
            name,
            spread.count,
            *(
                _number(value)
                for value in (spread.least, spread.median, spread.mean, spread.high, spread.most)
            ),
        ]
        for name, spread in rows.items()
    ]
    return Table(head, cells)


def _number(value: float) -> int | float:
    if value == int(value):
        return int(value)
    return round(value, 1) if abs(value) >= 10 else round(value, 3)


def _words(spread: Spread) -> str:
    least, median, most = (_number(value) for value in (spread.least, spread.median, spread.most))
    return t("{least:,} to {most:,}, median {median:,}", least=least, most=most, median=median)
